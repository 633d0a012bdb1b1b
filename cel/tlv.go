// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
	return binary.BigEndian.AppendUint64(dst, n<<(64-8*size))[:len(dst)+size]
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

// checkTLVs reports whether v is a run of whole TLVs, and where not.
func checkTLVs(v []byte) (int, error) {
	for rest := v; len(rest) > 0; {
		at := len(v) - len(rest)
		var ok bool
		if _, _, rest, ok = cutTLV(rest); !ok {
			if len(v)-at < tlvHead {
				return at, errors.New("TLV is cut off by the end of the content")
			}
			return at + 1, fmt.Errorf("TLV of %d bytes, the content ends after %d",
				binary.BigEndian.Uint32(v[at+1:]), len(v)-at-tlvHead)
		}
	}
	return 0, nil
}

// tlvPair is a content of two TLVs, of the types 0 and 1, in either order.
type tlvPair struct {
	value   [2][]byte
	seen    [2]bool
	swapped bool // 1 stands before 0
	other   bool // there are TLVs of other types
}

// cutPair reads a run of whole TLVs as a pair. It refuses two of one type, and
// returns where.
func cutPair(v []byte) (p tlvPair, at int, err error) {
	for rest := v; len(rest) > 0; {
		at = len(v) - len(rest)
		var t byte
		var value []byte
		t, value, rest, _ = cutTLV(rest)
		switch {
		case t > 1:
			p.other = true
			continue
		case p.seen[t]:
			return p, at, fmt.Errorf("content has two TLVs of type %d", t)
		}
		p.swapped = p.swapped || t == 0 && p.seen[1]
		p.value[t], p.seen[t] = value, true
	}
	return p, 0, nil
}

// event returns the event type of a PC Client content, and false if the
// content has another shape.
func (p *tlvPair) event() (uint32, bool) {
	n, ok := parseInt(p.value[0])
	return uint32(n), ok && n <= math.MaxUint32 && p.seen[1] && !p.other
}

// isTemplate reports whether the pair has the shape of an IMA template: its
// name may be absent.
func (p *tlvPair) isTemplate() bool { return p.seen[1] && !p.other }
