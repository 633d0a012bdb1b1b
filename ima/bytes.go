// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"encoding/binary"
	"slices"

	"mrlog.dev"
)

func load32(p []byte, big bool) uint32 {
	if big {
		return binary.BigEndian.Uint32(p)
	}
	return binary.LittleEndian.Uint32(p)
}

func store32(p []byte, v uint32, big bool) {
	if big {
		binary.BigEndian.PutUint32(p, v)
		return
	}
	binary.LittleEndian.PutUint32(p, v)
}

func append32(p []byte, v uint32, big bool) []byte {
	if big {
		return binary.BigEndian.AppendUint32(p, v)
	}
	return binary.LittleEndian.AppendUint32(p, v)
}

// loadUint reads an integer of at most eight bytes.
func loadUint(p []byte, big bool) uint64 {
	var v uint64
	for i := range p {
		if big {
			v = v<<8 | uint64(p[i])
		} else {
			v |= uint64(p[i]) << (8 * i)
		}
	}
	return v
}

// appendUint appends an integer of so many bytes.
func appendUint(p []byte, v uint64, width int, big bool) []byte {
	for i := range width {
		if big {
			i = width - 1 - i
		}
		p = append(p, byte(v>>(8*i)))
	}
	return p
}

// filled reports whether all bytes of p have a value.
func filled(p []byte, v byte) bool {
	for _, c := range p {
		if c != v {
			return false
		}
	}
	return true
}

// hexByte returns the value of a hexadecimal digit, or 0xFF.
func hexByte(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xFF
}

// every is a byte in all eight places.
const every = 0x0101010101010101

// unhex8 turns eight lower-case hexadecimal digits into four bytes: the value of
// each digit from its character, and the character from the value to see that it
// was one. What is not one leaves bits in bad.
func unhex8(x uint64) (v, bad uint64) {
	v = x&(0x0F*every) + (x>>6&every)*9
	letter := (v + 6*every) >> 4 & every
	bad = v&(0xF0*every) | (v + '0'*every + letter*('a'-'0'-10) ^ x)
	v = (v<<4 | v>>8) & 0x00FF00FF00FF00FF
	v = (v | v>>8) & 0x0000FFFF0000FFFF
	return v | v>>16, bad
}

// appendUnhex appends what hexadecimal digits stand for. It reports whether
// they are digits, an even number of them, and whether there is an upper-case
// one.
func appendUnhex(dst, src []byte) (_ []byte, ok, upper bool) {
	at, n := len(dst), len(src)/2
	if len(src)%2 != 0 {
		return dst, false, false
	}
	dst = slices.Grow(dst, n)[:at+n]
	var bad uint64
	out, in := dst[at:], src
	for len(in) >= 16 && len(out) >= 8 {
		v, b1 := unhex8(binary.LittleEndian.Uint64(in))
		w, b2 := unhex8(binary.LittleEndian.Uint64(in[8:]))
		bad |= b1 | b2
		binary.LittleEndian.PutUint64(out, v&0xFFFFFFFF|w<<32)
		in, out = in[16:], out[8:]
	}
	if len(in) >= 8 && len(out) >= 4 {
		v, b := unhex8(binary.LittleEndian.Uint64(in))
		bad |= b
		binary.LittleEndian.PutUint32(out, uint32(v))
		in, out = in[8:], out[4:]
	}
	if bad != 0 {
		in, out = src, dst[at:] // an upper-case one, or none
	}
	for i := range out {
		high, low := in[2*i], in[2*i+1]
		upper = upper || high >= 'A' && high <= 'F' || low >= 'A' && low <= 'F'
		high, low = hexByte(high), hexByte(low)
		if high|low == 0xFF {
			return dst[:at], false, false
		}
		out[i] = high<<4 | low
	}
	return dst, true, upper
}

// algsOf lists the algorithms with digests of a size, the likeliest first.
func algsOf(size int) []mrlog.Alg {
	var out []mrlog.Alg
	for _, a := range mrlog.Known() {
		if a.Size() == size {
			out = append(out, a)
		}
	}
	return out
}
