// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package strict

import "bytes"

// Outline calls each with the names of members in the object that p begins
// with, or in the first element of the array, in order and as far as p goes: of
// its own members, and, with in as the name of the member around them, of those
// in the objects that are its members' values. It says whether p begins with an
// array, and whether the object ended, so that there is no further name.
//
// Names are as they stand, between their quotes; value is p from behind the
// colon. What is no JSON leads it astray, but not out of p. It takes time as p is
// long, and no memory. A text that is no array or object has no names.
func Outline(p []byte, each func(in, name, value []byte)) (array, ended bool) {
	p = bytes.TrimLeft(p, " \t\r\n")
	if len(p) == 0 || p[0] != '{' && p[0] != '[' {
		return false, false
	}
	own := 1 // how many are open around the object's own names
	if array = p[0] == '['; array {
		own = 2
	}
	depth := 0
	var member, last []byte
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			n := stringEnd(p[i+1:])
			if n < 0 {
				return array, false
			}
			last = p[i+1 : i+1+n]
			i += 1 + n
		case ':':
			switch depth {
			case own:
				member = last
				each(nil, last, p[i+1:])
			case own + 1:
				each(member, last, p[i+1:])
			}
		case ',':
			if depth < own {
				return array, true // the next element
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < own {
				return array, true
			}
		}
	}
	return array, false
}

// stringEnd returns where the string ends that p goes on with, or -1.
func stringEnd(p []byte) int {
	for at := 0; ; at++ {
		n := bytes.IndexByte(p[at:], '"')
		if n < 0 {
			return -1
		}
		at += n
		escapes := 0
		for escapes < n && p[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
}
