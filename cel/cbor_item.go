// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"mrlog.dev"
)

// CBOR major types (RFC 8949, section 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// cborBreak ends an item of indefinite length.
const cborBreak = 0xFF

// cborHead is the head of an item: what it is and how long.
type cborHead struct {
	major      byte
	size       int    // of the head in bytes
	arg        uint64 // value, length, count, tag
	indefinite bool   // no length stated; a break follows
	minimal    bool   // in the fewest bytes, and of definite length
}

var errCBORHead = errors.New("item head is reserved by CBOR")

// headSize returns the size of the head that begins with the byte c.
func headSize(c byte) int {
	if info := c & 31; info >= 24 && info <= 27 {
		return 1 + 1<<(info-24)
	}
	return 1
}

// parseHead reads the head that p begins with; p holds all of it.
func parseHead(p []byte) (h cborHead, err error) {
	h = cborHead{major: p[0] >> 5, size: headSize(p[0]), minimal: true}
	switch info := p[0] & 31; {
	case info < 24:
		h.arg = uint64(info)
	case info == 24:
		h.arg = uint64(p[1])
		h.minimal = h.arg >= 24
		if h.major == cborSimple && h.arg < 32 {
			return h, errCBORHead
		}
	case info == 25:
		h.arg = uint64(binary.BigEndian.Uint16(p[1:]))
		h.minimal = h.arg > 0xFF
	case info == 26:
		h.arg = uint64(binary.BigEndian.Uint32(p[1:]))
		h.minimal = h.arg > 0xFFFF
	case info == 27:
		h.arg = binary.BigEndian.Uint64(p[1:])
		h.minimal = h.arg > 0xFFFFFFFF
	case info == 31 && h.major >= cborBytes && h.major != cborTag:
		h.indefinite, h.minimal = true, false
	default:
		return h, errCBORHead
	}
	return h, nil
}

// itemScanner finds the end of one item and checks that it is well formed (RFC
// 8949, section 5.3.1) and its text UTF-8. It keeps its place, so that an item
// which arrives in pieces is scanned once. It allocates nothing.
type itemScanner struct {
	off   int // of the next head; when done, the item's size
	floor int // depth that the item stands at
	depth int
	level [MaxDepth]itemLevel
}

// itemLevel is an open container.
type itemLevel struct {
	left       uint32 // items to come, when definite; no more than bytes
	indefinite bool
	chunks     byte // major type of the chunks of an indefinite string, else 0
	isMap      bool
	odd        bool // an indefinite map waits for a value
}

// scan goes on with the item that p begins with, of at most limit bytes. It
// returns 0 once the item is complete, or the number of bytes that p must have
// for the next step. An error stands at s.off.
func (s *itemScanner) scan(p []byte, limit int) (need int, err error) {
	for {
		if s.off >= limit {
			return 0, fmt.Errorf("item is longer than %d bytes: %w", limit, mrlog.ErrLimit)
		}
		if len(p) <= s.off {
			return s.off + 1, nil
		}
		if c := p[s.off]; c < cborNegative<<5 && c&31 < 24 {
			// A number in one byte, as half of a record's items are.
			if s.depth == s.floor || s.level[s.depth-1].chunks == 0 {
				if s.off++; s.close() {
					return 0, nil
				}
				continue
			}
		}
		if size := headSize(p[s.off]); len(p)-s.off < size {
			return s.off + size, nil
		}
		h, err := parseHead(p[s.off:])
		if err != nil {
			return 0, err
		}
		size := h.size
		if h.major == cborBytes || h.major == cborText {
			if h.arg > uint64(limit) || s.off+h.size+int(h.arg) > limit {
				return 0, fmt.Errorf("string of %d bytes, the limit is %d: %w", h.arg, limit, mrlog.ErrLimit)
			}
			size += int(h.arg)
			if len(p)-s.off < size {
				return s.off + size, nil
			}
			if h.major == cborText && !utf8.Valid(p[s.off+h.size:s.off+size]) {
				return 0, errors.New("text string is not valid UTF-8")
			}
		}
		if done, err := s.step(h, size, limit); err != nil || done {
			return 0, err
		}
	}
}

// step takes an item's head, or the whole of a string, and reports whether the
// outermost item is complete.
func (s *itemScanner) step(h cborHead, size, limit int) (done bool, err error) {
	var top *itemLevel
	if s.depth > s.floor {
		top = &s.level[s.depth-1]
	}
	switch {
	case h.major == cborSimple && h.indefinite:
		if top == nil || !top.indefinite || top.odd {
			return false, errors.New("break where an item must stand")
		}
		s.depth--
	case top != nil && top.chunks != 0 && (h.major != top.chunks || h.indefinite):
		return false, errors.New("string of indefinite length has a chunk of another kind")
	case h.major >= cborArray && h.major <= cborTag || h.indefinite:
		l := itemLevel{left: uint32(h.arg), indefinite: h.indefinite, isMap: h.major == cborMap}
		switch {
		case h.major == cborTag:
			l.left = 1
		case h.indefinite && h.major <= cborText:
			l.chunks = h.major
		case h.arg > uint64(limit):
			// Every item takes a byte.
			return false, fmt.Errorf("%d items in one container, the limit is %d: %w", h.arg, limit, mrlog.ErrLimit)
		case l.isMap:
			l.left *= 2
		}
		if s.off += size; l.left == 0 && !l.indefinite {
			return s.close(), nil
		}
		if s.depth == MaxDepth {
			s.off -= size
			return false, fmt.Errorf("items nest deeper than %d: %w", MaxDepth, mrlog.ErrLimit)
		}
		s.level[s.depth] = l
		s.depth++
		return false, nil
	}
	s.off += size
	return s.close(), nil
}

// close counts an item that is complete, and the containers that it completes.
func (s *itemScanner) close() (done bool) {
	for s.depth > s.floor {
		top := &s.level[s.depth-1]
		if top.indefinite {
			top.odd = top.isMap && !top.odd
			return false
		}
		if top.left--; top.left > 0 {
			return false
		}
		s.depth--
	}
	return true
}

// checkItem reports whether p is exactly one well-formed item that nests no
// deeper than it may as the content of a record.
func checkItem(p []byte) error {
	s := itemScanner{floor: 1, depth: 1}
	switch need, err := s.scan(p, MaxContent); {
	case err != nil:
		return err
	case need != 0:
		return errors.New("item is cut off")
	}
	if s.off != len(p) {
		return errors.New("bytes follow the item")
	}
	return nil
}

// cursor walks over an item that is known to be well formed.
type cursor struct {
	p     []byte
	off   int
	loose bool // a head was not minimal, or keys out of order
}

// head reads the next head.
func (c *cursor) head() cborHead {
	if b := c.p[c.off]; b&31 < 24 {
		c.off++
		return cborHead{major: b >> 5, size: 1, arg: uint64(b & 31), minimal: true}
	}
	h, _ := parseHead(c.p[c.off:])
	c.off += h.size
	c.loose = c.loose || !h.minimal && h.major != cborSimple
	return h
}

// bytes returns the next n bytes.
func (c *cursor) bytes(n uint64) []byte {
	end := c.off + int(n)
	v := c.p[c.off:end:end]
	c.off = end
	return v
}

// item skips the next item and returns its bytes.
func (c *cursor) item() []byte {
	if h, _ := parseHead(c.p[c.off:]); h.major <= cborText && !h.indefinite {
		n := uint64(h.size)
		if h.major >= cborBytes {
			n += h.arg
		}
		return c.bytes(n)
	}
	var s itemScanner
	// It is complete; only the depth counted from here could differ, and
	// is smaller.
	_, _ = s.scan(c.p[c.off:], MaxRecord)
	return c.bytes(uint64(s.off))
}

// more reports whether a container with the head h has another element; left
// counts down the definite ones.
func (c *cursor) more(h cborHead, left *uint64) bool {
	if h.indefinite {
		if c.p[c.off] == cborBreak {
			c.off++
			return false
		}
		return true
	}
	if *left == 0 {
		return false
	}
	*left--
	return true
}

// appendCBOR appends a head in the fewest bytes.
func appendCBOR(dst []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(dst, major|byte(arg))
	case arg <= 0xFF:
		return append(dst, major|24, byte(arg))
	case arg <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(arg))
	case arg <= 0xFFFFFFFF:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), arg)
}

// appendCBORString appends a byte or text string.
func appendCBORString(dst []byte, major byte, v []byte) []byte {
	return append(appendCBOR(dst, major, uint64(len(v))), v...)
}

// describeItem names a kind of item for an error.
func describeItem(h cborHead) string {
	switch h.major {
	case cborUint:
		return fmt.Sprintf("the number %d", h.arg)
	case cborNegative:
		return "a negative number"
	case cborBytes:
		return "a byte string"
	case cborText:
		return "a text string"
	case cborArray:
		return "an array"
	case cborMap:
		return "a map"
	case cborTag:
		return "a tag"
	}
	return "a simple value"
}
