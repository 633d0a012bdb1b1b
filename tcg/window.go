// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

// window gives a log out in parts that the records of a batch point into.
//
// What is in memory, the log itself or its beginning that was read to look
// ahead, is given out as it is. The rest is read straight into the memory of
// the batches; what a batch read beyond its last whole record is kept for the
// next one, because the caller may fill another batch next. Memory grows with
// the bytes that have arrived, never with a stated length.
type window struct {
	r    io.Reader // nil for a log that is in memory
	mem  []byte    // in memory, from base on
	base int64     // offset in the log of the window's first byte
	tail []byte    // read, and not part of a record yet
	err  error     // of r; io.EOF at its end
	room int       // that the next block is to have
}

// minBlock is the first block of a log that is read: a hostile one may be
// short, and claim to be long. Blocks double up to a whole batch.
const minBlock = 8 << 10

// ahead returns what is known of the log's beginning and has been read by now,
// at least more bytes than had, or the reason why there are none. It is for
// looking ahead, before the first window.
func (s *window) ahead(had int) ([]byte, error) {
	if s.r == nil || s.err != nil {
		if len(s.mem) > had {
			return s.mem, nil
		}
		if s.r == nil {
			return s.mem, io.EOF
		}
		return s.mem, s.err
	}
	if len(s.mem) == cap(s.mem) {
		s.mem = append(make([]byte, 0, max(minBlock, 2*cap(s.mem))), s.mem...)
	}
	n, err := source.Some(s.r, s.mem[len(s.mem):cap(s.mem)])
	s.mem, s.err = s.mem[:len(s.mem)+n], err
	if n > 0 {
		err = nil // for the next call
	}
	return s.mem, err
}

// begin returns the window for a batch.
func (s *window) begin(b *mrlog.Batch) []byte {
	if len(s.mem) > 0 || s.r == nil {
		return s.mem
	}
	s.room = min(max(minBlock, s.room), mrlog.BatchBytes)
	buf := b.Alloc(max(s.room, len(s.tail)))
	return buf[:copy(buf, s.tail)]
}

// more makes the window longer by what one read gives, at least one byte, or
// returns why there is no more.
func (s *window) more(b *mrlog.Batch, buf []byte) ([]byte, error) {
	switch {
	case s.r == nil:
		return buf, io.EOF
	case s.err != nil:
		return buf, s.err
	case len(s.mem) > 0 || len(buf) == cap(buf):
		s.mem = nil
		grown := b.Alloc(max(minBlock, 2*len(buf)))
		buf = grown[:copy(grown, buf)]
	}
	n, err := source.Some(s.r, buf[len(buf):cap(buf)])
	buf = buf[:len(buf)+n]
	s.err = err
	if n > 0 {
		return buf, nil // the error, if any, is the next call's
	}
	return buf, err
}

// expect says how large a block the next batch may want: about as much as the
// last one used, if that was full, because what is left over is copied.
func (s *window) expect(n int, full bool) {
	if s.room *= 2; full {
		s.room = n + n/8
	}
}

// end keeps what follows the first n bytes of the window.
func (s *window) end(buf []byte, n int) {
	s.base += int64(n)
	if len(s.mem) > 0 || s.r == nil {
		s.mem = s.mem[n:]
		return
	}
	s.tail = append(s.tail[:0], buf[n:]...)
}

// drop is done with the window, and returns its memory for more, if nothing
// else can point into it.
func (s *window) drop(buf []byte) []byte {
	inMemory := len(s.mem) > 0
	s.end(buf, len(buf))
	if inMemory || s.r == nil {
		return nil
	}
	return buf[:0]
}
