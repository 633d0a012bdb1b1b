// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

// formatJSON and formatSeq name the encodings in headers and errors.
const (
	formatJSON = "cel-json"
	formatSeq  = "cel-seq"
)

// Limits of the JSON forms, beside [MaxContent]. They are enforced before a
// record is parsed, so that a hostile log costs no more memory than an honest
// one.
const (
	// MaxJSONRecord bounds one record as JSON text: a content of
	// MaxContent bytes, each of which can take six when escaped (\u0000),
	// and 64 KiB for sixteen digests and for white space.
	MaxJSONRecord = 6*MaxContent + 64<<10

	// MaxJSONBare bounds what of a record stands outside of string values:
	// names, numbers, punctuation, white space. Only a string can take more
	// bytes as text than as content. Names cost the most, because all of an
	// object are kept to find one that occurs twice.
	MaxJSONBare = MaxContent + 64<<10

	// MaxJSONDepth bounds how deep arrays and objects nest in a content
	// that is carried whole. The deepest known, tpm2-tss's, have five
	// levels.
	MaxJSONDepth = 64

	// MaxJSONNames bounds the names in all objects of one record, because
	// finding one that occurs twice takes memory for each.
	MaxJSONNames = 1 << 14
)

const recordSeparator = 0x1E // RFC 7464

var (
	errJSONDepth  = fmt.Errorf("arrays and objects nest deeper than %d levels: %w", MaxJSONDepth, mrlog.ErrLimit)
	errJSONNames  = fmt.Errorf("record has more than %d names: %w", MaxJSONNames, mrlog.ErrLimit)
	errJSONBare   = fmt.Errorf("record has more than %d bytes outside of string values: %w", MaxJSONBare, mrlog.ErrLimit)
	errJSONRecord = fmt.Errorf("record is longer than %d bytes: %w", MaxJSONRecord, mrlog.ErrLimit)
	errControl    = errors.New("control character between values")
)

// jsonFrame finds the end of a JSON value, an object or array or string, in
// input of which more and more arrives. It knows just enough of the grammar
// for that and for the limits; what it has framed is validated afterwards. Its
// zero value stands before the value's first byte.
type jsonFrame struct {
	at      int // next byte to look at
	depth   int
	names   int
	quoted  bool // at is within a string
	start   int  // of the last string
	text    int  // bytes in the last string
	strings int  // bytes in all string values
}

// scan goes on in p, which begins with the value's first byte and has grown
// since the last call. It returns true when f.at is the end of the value, and
// an error about f.at as soon as a limit is passed.
func (f *jsonFrame) scan(p []byte, maxDepth int) (done bool, err error) {
	at, end := f.at, f.strings+MaxJSONBare
	for ; at < len(p); at++ {
		if f.quoted {
			n := bytes.IndexByte(p[at:], '"')
			if n < 0 {
				at = len(p)
				break
			}
			at += n
			escapes := 0
			for p[at-1-escapes] == '\\' { // ends at the opening mark
				escapes++
			}
			if escapes%2 != 0 {
				continue
			}
			f.quoted = false
			f.text = at + 1 - f.start
			f.strings += f.text
			end += f.text
			if f.depth == 0 {
				f.at = at + 1
				return true, nil
			}
			continue
		}
		if at >= end {
			err = errJSONBare
			break
		}
		switch p[at] {
		case '"':
			f.quoted, f.start = true, at
		case ':':
			f.names++
			f.strings -= f.text // it was a name
			end -= f.text
			if f.names > MaxJSONNames {
				err = errJSONNames
			}
		case '{', '[':
			if f.depth++; f.depth > maxDepth {
				err = errJSONDepth
			}
		case '}', ']':
			if f.depth--; f.depth <= 0 {
				f.at = at + 1
				return true, nil
			}
		case 0, recordSeparator:
			err = errControl
		}
		if err != nil {
			break
		}
	}
	f.at = at
	return false, err
}

// jsonChecker validates framed values: grammar, UTF-8, surrogates in pairs, no
// name twice in an object. It does not allocate for a valid value.
type jsonChecker struct {
	dec jsontext.Decoder
	in  bytes.Buffer
}

// check validates p, one value without white space around it. It returns the
// position of what is wrong and the reason; that is io.ErrUnexpectedEOF if
// only the rest of the value is missing.
func (c *jsonChecker) check(p []byte) (at int, err error) {
	c.in = *bytes.NewBuffer(p) // which the decoder parses in place
	c.dec.Reset(&c.in)
	v, err := c.dec.ReadValue()
	if err == nil {
		if len(v) != len(p) {
			return int(c.dec.InputOffset()), errors.New("text after the value")
		}
		return 0, nil
	}
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return 0, io.ErrUnexpectedEOF // there was no value
	}
	at = int(min(syntactic.ByteOffset, int64(len(p))))
	switch {
	case errors.Is(syntactic.Err, io.ErrUnexpectedEOF):
		return len(p), io.ErrUnexpectedEOF
	case errors.Is(syntactic.Err, jsontext.ErrDuplicateName):
		err = fmt.Errorf("%w %.40q", syntactic.Err, syntactic.JSONPointer.LastToken())
	default:
		err = syntactic.Err
	}
	if p := string(syntactic.JSONPointer); p != "" {
		err = fmt.Errorf("%w (in %.80q)", err, p)
	}
	return at, err
}
