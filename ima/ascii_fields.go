// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// reading says how the text of a record's fields was read.
type reading uint8

const (
	isExact  reading = iota // as the kernel writes the data
	isOdd                   // as the data, with other text than the kernel's
	isShort                 // the last fields are missing; the data has them empty
	isOpaque                // no data follows from it
)

// bound is the most bytes that the data of a text of so many bytes can have: a
// name grows by its length and its NUL, and most others shrink.
func bound(tm *template, text int) int {
	if tm.old {
		return imaData
	}
	return text + 8*len(tm.fields)
}

// ngHead is what a digest begins with: the name of its algorithm and a colon,
// and how many digits follow. It is that of the last record in most records.
type ngHead struct {
	text   []byte
	digits int
}

// fields appends the template data that the text of the fields stands for. The
// destination has room for it.
func (t *ASCIIReader) fields(dst []byte, tm *template, text []byte, big bool) ([]byte, reading) {
	if tm.fields == nil {
		return dst, isOpaque
	}
	if tm.old {
		return oldFields(dst, text)
	}
	begin, res := len(dst), isExact
	last := len(tm.fields) - 1
	for i := range tm.fields {
		if res == isShort {
			dst = append(dst, 0, 0, 0, 0)
			continue
		}
		shape := &tm.fields[i]
		if shape.kind == KindDigest && !shape.plain && i < last {
			// The same algorithm as in the record before.
			if n := len(t.ng.text); n > 0 && len(text) > n+t.ng.digits && text[n+t.ng.digits] == ' ' && string(text[:n]) == string(t.ng.text) {
				dst = append32(dst, uint32(n+1+t.ng.digits/2), big)
				dst = append(append(dst, t.ng.text...), 0)
				var ok, upper bool
				if dst, ok, upper = appendUnhex(dst, text[n:n+t.ng.digits]); !ok {
					return dst, isOpaque
				}
				if upper {
					res = isOdd
				}
				text = text[n+t.ng.digits+1:]
				continue
			}
		}
		field := text
		if i < last {
			if end := bytes.IndexByte(text, ' '); end >= 0 {
				field, text = text[:end], text[end+1:]
			} else {
				res = isShort
			}
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		var how reading
		if dst, how = t.field(dst, shape, field, big); how == isOpaque {
			return dst, how
		} else if how > res {
			res = how
		}
		store32(dst[at:], uint32(len(dst)-at-4), big)
	}
	if len(dst)-begin > MaxData {
		return dst, isOpaque
	}
	return dst, res
}

// field appends what the text of one field stands for.
func (t *ASCIIReader) field(dst []byte, shape *shape, text []byte, big bool) ([]byte, reading) {
	switch shape.kind {
	case KindName, KindList:
		if bytes.IndexByte(text, 0) >= 0 {
			return dst, isOpaque // would have ended the text
		}
		if len(text) == 0 && shape.kind == KindList {
			return dst, isExact
		}
		return append(append(dst, text...), 0), isExact
	case KindNumber:
		if len(text) == 0 {
			return dst, isExact
		}
		n, err := strconv.ParseUint(string(text), 10, 8*shape.width)
		if err != nil || text[0] == '+' || len(text) > 1 && text[0] == '0' {
			return dst, isOpaque
		}
		return appendUint(dst, n, shape.width, big), isExact
	case KindDigest:
		if shape.plain || len(text) == 0 {
			break
		}
		head := text[:bytes.LastIndexByte(text, ':')+1]
		switch {
		case len(head) == 0:
			dst = append(dst, ':', 0)
		case len(head) == 1 || bytes.IndexByte(head, 0) >= 0:
			return dst, isOpaque // the kernel leaves a lone colon out
		default:
			text = text[len(head):]
			if len(head) <= maxHead {
				t.ng = ngHead{text: append(t.ng.text[:0], head...), digits: len(text)}
			}
			dst = append(append(dst, head...), 0)
		}
	}
	dst, ok, upper := appendUnhex(dst, text)
	switch {
	case !ok:
		return dst, isOpaque
	case upper:
		return dst, isOdd
	}
	return dst, isExact
}

// maxHead is the longest head of a digest that is remembered, some times what
// the kernel writes.
const maxHead = 64

// oldFields appends the data of template ima: a digest, and a name with zeros
// behind it.
func oldFields(dst, text []byte) ([]byte, reading) {
	end := bytes.IndexByte(text, ' ')
	if end != 2*imaDigest || len(text)-end-1 > imaName-1 || bytes.IndexByte(text, 0) >= 0 {
		return dst, isOpaque
	}
	dst, ok, upper := appendUnhex(dst, text[:end])
	if !ok {
		return dst, isOpaque
	}
	dst = append(dst, text[end+1:]...)
	for n := len(text) - end - 1; n < imaName; n++ {
		dst = append(dst, 0)
	}
	if upper {
		return dst, isOdd
	}
	return dst, isExact
}

// appendFields appends the text of the fields of template data, as the kernel
// shows it. If the text would not give the data back it returns what prevents
// it.
func appendFields(dst []byte, tm *template, data []byte, big bool) ([]byte, string) {
	if tm.fields == nil {
		return dst, "the fields of the template are not known"
	}
	var mem [maxFields][]byte
	fields, ok := mem[:0], false
	if tm.old {
		if fields, ok = cutOld(fields, data); !ok {
			return dst, errOld.Error()
		}
	} else if fields, ok = split(fields, data, len(tm.fields), big); !ok {
		return dst, "template data is not made of the template's fields"
	}
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ' ')
		}
		at := len(dst)
		var what string
		if dst, what = appendField(dst, &tm.fields[i], f, tm.old, big); what != "" {
			return dst, "field " + tm.fields[i].id + ": " + what
		}
		if bytes.IndexByte(dst[at:], '\n') >= 0 {
			return dst, "field " + tm.fields[i].id + ": a newline in it would end the line"
		}
		if i < len(fields)-1 && bytes.IndexByte(dst[at:], ' ') >= 0 {
			return dst, "field " + tm.fields[i].id + ": a blank in it would end the field"
		}
	}
	return dst, ""
}

// cutOld cuts the data of template ima into its two fields, the name without
// the zeros behind it.
func cutOld(dst [][]byte, data []byte) ([][]byte, bool) {
	if len(data) != imaData || data[imaData-1] != 0 {
		return dst, false
	}
	return append(dst, data[:imaDigest], bytes.TrimRight(data[imaDigest:], "\x00")), true
}

// appendField appends the text of one field.
func appendField(dst []byte, shape *shape, f []byte, old, big bool) ([]byte, string) {
	switch shape.kind {
	case KindName, KindList:
		if !old {
			if len(f) == 0 && shape.kind == KindList {
				return dst, ""
			}
			if len(f) == 0 || f[len(f)-1] != 0 || len(f) == 1 && shape.kind == KindList {
				return dst, "text does not end in a NUL, which text alone cannot tell"
			}
			f = f[:len(f)-1]
		}
		if bytes.IndexByte(f, 0) >= 0 {
			return dst, "a NUL in it would end the text"
		}
		return append(dst, f...), ""
	case KindNumber:
		switch len(f) {
		case 0:
			return dst, ""
		case shape.width:
			return strconv.AppendUint(dst, loadUint(f, big), 10), ""
		}
		return dst, "number of another size than the kernel's"
	case KindDigest:
		if shape.plain || len(f) == 0 {
			break
		}
		n := bytes.IndexByte(f, 0)
		if n < 1 || f[n-1] != ':' {
			return dst, "digest without the name of its algorithm"
		}
		if n == 1 && len(f) == 2 {
			return dst, "digest with neither a value nor the name of its algorithm"
		}
		if n > 1 {
			dst = append(dst, f[:n]...)
		}
		f = f[n+1:]
	}
	return hex.AppendEncode(dst, f), ""
}
