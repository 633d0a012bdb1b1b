// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"errors"
	"io"

	"mrlog.dev"
)

// maxEmptyReads bounds how often in a row an io.Reader may return nothing.
const maxEmptyReads = 100

const (
	minBlock = 4 << 10  // the first block that is read: a hostile list may be short
	maxBlock = 24 << 10 // with the records of it, what a first-level cache holds
)

// source reads a list straight into the memory of the batches, so that records
// need not be copied. What a batch read beyond its last whole record is kept
// here for the next one, because the caller may fill another batch next.
//
// Memory grows with the bytes that have arrived, never with a stated length. A
// list that is in memory already is not copied at all.
type source struct {
	r        io.Reader
	inMemory bool
	rest     []byte // of a list in memory, from base on
	base     int64  // offset in the list of the first byte of the batch's memory
	tail     []byte // read, and not part of a record yet
	err      error  // of r; io.EOF at its end
	room     int    // of the last batch's block
}

// begin returns memory of b that holds the tail, with room for more.
func (s *source) begin(b *mrlog.Batch) []byte {
	s.room = min(max(minBlock, 2*s.room), maxBlock)
	if s.inMemory {
		n := min(s.room, len(s.rest))
		return s.rest[:n:n]
	}
	buf := b.Alloc(max(s.room, len(s.tail)))
	return buf[:copy(buf, s.tail)]
}

// more appends what one read gives, at least one byte, or returns the error of
// the underlying reader.
func (s *source) more(b *mrlog.Batch, buf []byte) ([]byte, error) {
	if s.inMemory {
		if len(buf) == len(s.rest) {
			return buf, io.EOF
		}
		n := min(2*len(buf)+minBlock, len(s.rest))
		return s.rest[:n:n], nil
	}
	if s.err != nil {
		return buf, s.err
	}
	if len(buf) == cap(buf) {
		grown := b.Alloc(2 * cap(buf))
		buf = grown[:copy(grown, buf)]
	}
	for range maxEmptyReads {
		n, err := s.r.Read(buf[len(buf):cap(buf)])
		if n < 0 || n > cap(buf)-len(buf) {
			s.err = errors.New("reader returned an impossible count")
			return buf, s.err
		}
		s.err = err
		if n > 0 {
			return buf[:len(buf)+n], nil // the error, if any, is the next call's
		}
		if err != nil {
			return buf, err
		}
	}
	s.err = io.ErrNoProgress
	return buf, s.err
}

// end keeps what follows the first n bytes of buf for the next batch.
func (s *source) end(buf []byte, n int) {
	s.base += int64(n)
	if s.inMemory {
		s.rest = s.rest[n:]
		return
	}
	s.tail = append(s.tail[:0], buf[n:]...)
}
