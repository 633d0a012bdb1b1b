// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// jsonHexPairs holds the two digits of every byte, so that a digest costs one
// look-up for each of its bytes.
const jsonHexPairs = "" +
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" +
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f" +
	"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f" +
	"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f" +
	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf" +
	"c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf" +
	"e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

// appendJSONHex appends b in lower-case hexadecimal.
func appendJSONHex(dst, b []byte) []byte {
	l := len(dst)
	if n := 2 * len(b); cap(dst)-l < n {
		dst = append(dst, make([]byte, n)...)
	} else {
		dst = dst[:l+n]
	}
	out := dst[l:]
	for len(b) >= 4 && len(out) >= 8 {
		// Four bytes to eight digits at once: a nibble into each byte, then
		// '0' added, and 39 more where the nibble is above 9.
		x := uint64(binary.BigEndian.Uint32(b))
		x = (x | x<<16) & 0x0000FFFF0000FFFF
		x = (x | x<<8) & 0x00FF00FF00FF00FF
		x = (x | x<<4) & 0x0F0F0F0F0F0F0F0F
		letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101
		binary.BigEndian.PutUint64(out, x+0x3030303030303030+39*letters)
		b, out = b[4:], out[8:]
	}
	for _, c := range b {
		if len(out) < 2 {
			break // it is long enough; this tells the compiler
		}
		pair := jsonHexPairs[2*int(c) : 2*int(c)+2]
		out[0], out[1] = pair[0], pair[1]
		out = out[2:]
	}
	return dst
}

// Bits of a byte's entry in jsonHexDigits, beside the digit's value.
const (
	hexDigit = 0x80 // it is a hexadecimal digit
	hexUpper = 0x20 // an upper-case one
)

var jsonHexDigits = [256]byte{
	'0': hexDigit, '1': hexDigit | 1, '2': hexDigit | 2, '3': hexDigit | 3, '4': hexDigit | 4,
	'5': hexDigit | 5, '6': hexDigit | 6, '7': hexDigit | 7, '8': hexDigit | 8, '9': hexDigit | 9,
	'a': hexDigit | 10, 'b': hexDigit | 11, 'c': hexDigit | 12, 'd': hexDigit | 13, 'e': hexDigit | 14, 'f': hexDigit | 15,
	'A': hexDigit | hexUpper | 10, 'B': hexDigit | hexUpper | 11, 'C': hexDigit | hexUpper | 12,
	'D': hexDigit | hexUpper | 13, 'E': hexDigit | hexUpper | 14, 'F': hexDigit | hexUpper | 15,
}

// decodeJSONHex writes the bytes that the digits of src stand for to dst; src
// must be twice as long. It reports whether all of src are hexadecimal digits,
// and whether some are upper-case ones.
func decodeJSONHex(dst, src []byte) (upper, ok bool) {
	all, any := byte(hexDigit), byte(0)
	for i := range dst {
		if len(src) < 2 {
			return false, false
		}
		hi, lo := jsonHexDigits[src[0]], jsonHexDigits[src[1]]
		all &= hi & lo
		any |= hi | lo
		dst[i] = hi<<4 | lo&15
		src = src[2:]
	}
	return any&hexUpper != 0, all&hexDigit != 0
}

// plainRun returns how many bytes at the start of s are ASCII and stand for
// themselves in a JSON string. It looks at eight bytes at once.
func plainRun(s []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(s[i:])
		// The high bit of a byte of m is set if it is below 0x20, a quotation
		// mark, a backslash, or not ASCII. A borrow can set it wrongly, but
		// only after a byte in which it is rightly set.
		m := (x | (x - ' '*ones) | ((x ^ '"'*ones) - ones) | ((x ^ '\\'*ones) - ones)) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// appendJSONString appends s as a JSON string, with the escapes that JSON
// requires and no others. If s is not UTF-8 it returns the position of the
// first byte at fault, else -1; what it has appended is then of no use.
func appendJSONString(dst, s []byte) (_ []byte, bad int) {
	dst = append(dst, '"')
	for i := 0; ; {
		n := plainRun(s[i:])
		dst = append(dst, s[i:i+n]...)
		if i += n; i == len(s) {
			return append(dst, '"'), -1
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			start := i // other scripts come in runs
			for i < len(s) && s[i] >= utf8.RuneSelf {
				r, n := utf8.DecodeRune(s[i:])
				if r == utf8.RuneError && n == 1 {
					return dst, i
				}
				i += n
			}
			dst = append(dst, s[start:i]...)
			continue
		}
		if e := shortEscape(c); e != 0 {
			dst = append(dst, '\\', e)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', jsonHexPairs[2*c], jsonHexPairs[2*c+1])
		}
		i++
	}
}

// shortEscape returns the byte that stands for c after a backslash, or 0 if
// there is none.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\b':
		return 'b'
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\f':
		return 'f'
	case '\r':
		return 'r'
	}
	return 0
}

// canonicalEscapes reports whether the escapes in raw, the inside of a valid
// JSON string, are those that appendJSONString writes.
func canonicalEscapes(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		switch raw[i] {
		case '"', '\\', 'b', 't', 'n', 'f', 'r':
		case 'u':
			if len(raw)-i < 5 || raw[i+1] != '0' || raw[i+2] != '0' || raw[i+3] > '1' {
				return false
			}
			lo := jsonHexDigits[raw[i+4]]
			if lo&hexUpper != 0 || shortEscape((raw[i+3]-'0')<<4|lo&15) != 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}
