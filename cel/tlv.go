// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"encoding/binary"
	"math/bits"
)

// tlvHead is the size of a TLV's type and length.
const tlvHead = 5

// cutTLV splits the first TLV off p. It returns false if p does not begin with
// a whole one.
func cutTLV(p []byte) (t byte, v, rest []byte, ok bool) {
	if len(p) < tlvHead {
		return 0, nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(p[1:]))
	if n > uint64(len(p)-tlvHead) {
		return 0, nil, nil, false
	}
	end := tlvHead + int(n)
	return p[0], p[tlvHead:end:end], p[end:], true
}

// parseInt reads a big-endian integer of one to eight bytes.
func parseInt(v []byte) (uint64, bool) {
	if len(v) == 0 || len(v) > 8 {
		return 0, false
	}
	var n uint64
	for _, c := range v {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// minimalLen returns the fewest bytes that hold n, one for zero.
func minimalLen(n uint64) int { return (bits.Len64(n|1) + 7) / 8 }

// appendInt appends n big-endian in size bytes, which must hold it.
func appendInt(dst []byte, n uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// appendHead appends a TLV's type and length.
func appendHead(dst []byte, t byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, t), uint32(n))
}

// appendIntTLV appends a TLV of an integer in the fewest bytes.
func appendIntTLV(dst []byte, t byte, n uint64) []byte {
	size := minimalLen(n)
	return appendInt(appendHead(dst, t, size), n, size)
}
