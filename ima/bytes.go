// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"encoding/binary"

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

// appendUnhex appends what hexadecimal digits stand for. It reports whether
// they are digits, an even number of them, and whether there is an upper-case
// one.
func appendUnhex(dst, src []byte) (_ []byte, ok, upper bool) {
	if len(src)%2 != 0 {
		return dst, false, false
	}
	for len(src) >= 8 {
		// Eight digits at once: the value of each from its character, and
		// the character from its value to see that it was a lower-case one.
		x := binary.LittleEndian.Uint64(src)
		v := x&(0x0F*every) + (x>>6&every)*9
		letter := (v + 6*every) >> 4 & every
		if v&(0xF0*every) != 0 || v+'0'*every+letter*('a'-'0'-10) != x {
			if dst, ok = appendUnhexSlow(dst, src[:8]); !ok {
				return dst, false, false
			}
			upper = true
			src = src[8:]
			continue
		}
		v = (v<<4 | v>>8) & 0x00FF00FF00FF00FF
		v = (v | v>>8) & 0x0000FFFF0000FFFF
		dst = binary.LittleEndian.AppendUint32(dst, uint32(v|v>>16))
		src = src[8:]
	}
	for _, c := range src {
		upper = upper || c >= 'A' && c <= 'F'
	}
	dst, ok = appendUnhexSlow(dst, src)
	return dst, ok, upper
}

func appendUnhexSlow(dst, src []byte) ([]byte, bool) {
	for i := 0; i+1 < len(src); i += 2 {
		high, low := hexByte(src[i]), hexByte(src[i+1])
		if high|low == 0xFF {
			return dst, false
		}
		dst = append(dst, high<<4|low)
	}
	return dst, true
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
