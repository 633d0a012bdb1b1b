// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"math"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonWalk goes through an object or array that has been validated. On text
// that is not valid it goes astray, but stays within the text and comes to an
// end.
type jsonWalk struct {
	p     []byte
	i     int
	inner bool // a member or element was passed
	loose bool // the writer would have written the same values otherwise
}

// walk returns a walk through the members or elements of the value p. It
// returns false unless p begins with open.
func walk(p []byte, open byte) (jsonWalk, bool) {
	return jsonWalk{p: p, i: 1}, len(p) > 0 && p[0] == open
}

func (w *jsonWalk) peek() byte {
	if w.i < len(w.p) {
		return w.p[w.i]
	}
	return 0
}

func (w *jsonWalk) space() {
	for w.i < len(w.p) && w.p[w.i] <= ' ' {
		w.loose = true
		w.i++
	}
}

// next goes to the next member or element, if there is one.
func (w *jsonWalk) next() bool {
	w.space()
	if w.inner {
		if w.peek() != ',' {
			return false
		}
		w.i++
		w.space()
	} else if c := w.peek(); c == '}' || c == ']' {
		return false
	}
	w.inner = true
	return w.i < len(w.p)
}

// name returns the name of the next member and goes to its value.
func (w *jsonWalk) name() []byte {
	raw := w.value()
	w.space()
	if w.peek() == ':' {
		w.i++
	}
	w.space()
	if len(raw) < 2 {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	w.loose = true
	name, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return nil
	}
	return name
}

// value returns the next value as it stands and goes past it.
func (w *jsonWalk) value() []byte {
	start := w.i
	switch w.peek() {
	case '"', '{', '[':
		var f jsonFrame
		if done, err := f.scan(w.p[start:], math.MaxInt); done && err == nil {
			w.i += f.at
		} else {
			w.i = len(w.p)
		}
	default:
		for ; w.i < len(w.p); w.i++ {
			if c := w.p[w.i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
				break
			}
		}
	}
	return w.p[start:w.i]
}
