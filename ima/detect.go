// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"errors"
	"io"

	"mrlog.dev"
)

const (
	// headSize is the longest head of a record, up to its template name.
	headSize = 4 + mrlog.MaxDigestSize + 4 + MaxName

	// guessSize is how much of a list with an unknown template is looked at.
	guessSize = 16 << 10
)

// sizes are those of the digests in binary lists.
var sizes = [...]int{20, 32, 48, 64}

// layout is how the records of a binary list begin.
type layout struct {
	size int // of the digest
	big  bool
}

// layouts lists what a list can be, as far as the options leave it open.
func (o *Options) layouts() []layout {
	var out []layout
	for _, size := range sizes {
		if o.Alg != 0 && o.Alg.Size() != size {
			continue
		}
		if !o.BigEndian {
			out = append(out, layout{size, false})
		}
		out = append(out, layout{size, true})
	}
	return out
}

// name returns the template name of the record that p begins with, the whole of
// it, or nil.
func (l layout) name(p []byte) []byte {
	at := 4 + l.size + 4
	if len(p) < at || load32(p, l.big) > mrlog.MaxIndex {
		return nil
	}
	n := load32(p[at-4:], l.big)
	if n-1 >= MaxName || uint64(n) > uint64(len(p)-at) {
		return nil
	}
	return p[at : at+int(n)]
}

// walk returns how many records p holds in this layout, the last one perhaps
// not whole, and whether nothing speaks against them.
func (l layout) walk(p []byte) (records int, ok bool) {
	for len(p) > 0 {
		name := l.name(p)
		if name == nil || checkName(name) != "" {
			return records, len(p) < headSize && records > 0
		}
		records++
		at := 4 + l.size + 4 + len(name)
		if string(name) == "ima" {
			at += imaDigest
		}
		if len(p) < at+4 {
			break
		}
		n := load32(p[at:], l.big)
		if n > MaxData {
			return records, false
		}
		if uint64(n) > uint64(len(p)-at-4) {
			break
		}
		p = p[at+4+int(n):]
	}
	return records, true
}

// known is the layout in which the first record has a template that the kernel
// knows.
func known(layouts []layout, p []byte) (layout, bool) {
	for _, l := range layouts {
		if name := l.name(p); name != nil && parseTemplate(name).fields != nil {
			return l, true
		}
	}
	return layout{}, false
}

// DetectBinary reports whether a binary list can begin with head, of which 400
// bytes are enough: one whose first record has a template that the kernel knows.
func DetectBinary(head []byte) bool {
	_, ok := known((&Options{}).layouts(), head)
	return ok
}

// detect finds out the size of the digests and the byte order. A list has no
// header, and says neither: they follow from where the name of the first
// record's template is found. If it is not one that the kernel knows, the layout
// is taken in which most of the following records hold.
func (t *BinaryReader) detect(b *mrlog.Batch, buf []byte) ([]byte, error) {
	need := headSize
	for {
		for len(buf) < need {
			more, err := t.src.More(b, buf)
			if err == nil {
				buf = more
				continue
			}
			if len(buf) == 0 {
				return buf, err
			}
			// What comes before the error is read first, if it can be.
			if fault := t.guess(buf, true); err == io.EOF || fault == nil {
				return buf, fault
			}
			return buf, err
		}
		if _, ok := known(t.opts.layouts(), buf); ok || need == guessSize {
			return buf, t.guess(buf[:min(len(buf), guessSize)], false)
		}
		need = guessSize
	}
}

// guess is detect with the bytes that there are.
func (t *BinaryReader) guess(p []byte, all bool) error {
	layouts := t.opts.layouts()
	best, ok := known(layouts, p)
	for most, i := 0, 0; !ok && i < len(layouts); i++ {
		if n, holds := layouts[i].walk(p); holds && n > most {
			most, best = n, layouts[i]
		}
	}
	switch {
	case best.size > 0:
	case len(layouts) == 1:
		best = layouts[0] // let parse say what is wrong
	case all && len(p) < headSize:
		return t.fault(t.src.Base+int64(len(p)), errCut)
	default:
		return t.fault(t.src.Base, errNoList)
	}
	if t.size, t.big = best.size, best.big; t.big {
		t.header.Dialect = BigEndian
	}
	return nil
}

var errNoList = errors.New("no measurement list: with digests of no size (20, 32, 48 or 64 bytes) is there a template's name behind the first one")
