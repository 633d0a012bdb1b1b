// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// object appends the members of a JSON object.
type object struct {
	dst   []byte
	comma bool
}

func (o *object) name(name string) {
	if o.comma {
		o.dst = append(o.dst, ',')
	}
	o.comma = true
	o.dst = append(append(append(o.dst, '"'), name...), '"', ':')
}

// text adds a string; bytes that are not UTF-8 become U+FFFD.
func (o *object) text(name, s string) {
	o.name(name)
	o.dst = appendString(o.dst, s)
}

// given is text where there is any.
func (o *object) given(name, s string) {
	if s != "" {
		o.text(name, s)
	}
}

func (o *object) number(name string, n uint64) {
	o.name(name)
	o.dst = strconv.AppendUint(o.dst, n, 10)
}

func (o *object) bool(name string, b bool) {
	o.name(name)
	o.dst = strconv.AppendBool(o.dst, b)
}

// hex adds bytes in lower-case hexadecimal.
func (o *object) hex(name string, p []byte) {
	o.name(name)
	o.dst = append(o.dst, '"')
	o.dst = hex.AppendEncode(o.dst, p)
	o.dst = append(o.dst, '"')
}

// address adds a number as 0x and hexadecimal digits: readers of JSON may not
// keep 64 bits.
func (o *object) address(name string, n uint64) {
	o.text(name, "0x"+strconv.FormatUint(n, 16))
}

// object adds an object with the members that fill adds.
func (o *object) object(name string, fill func(*object)) {
	o.name(name)
	o.dst = appendObject(o.dst, fill)
}

// list adds an array; each of fill's calls of add appends one element.
func (o *object) list(name string, fill func(add func(element func(dst []byte) []byte))) {
	o.name(name)
	o.dst = append(o.dst, '[')
	comma := false
	fill(func(element func([]byte) []byte) {
		if comma {
			o.dst = append(o.dst, ',')
		}
		comma = true
		o.dst = element(o.dst)
	})
	o.dst = append(o.dst, ']')
}

func appendObject(dst []byte, fill func(*object)) []byte {
	o := object{dst: append(dst, '{')}
	fill(&o)
	return append(o.dst, '}')
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\ufffd`...)
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7F:
			dst = append(dst, `\u00`...)
			dst = hex.AppendEncode(dst, []byte{byte(r)})
		default:
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return append(dst, '"')
}
