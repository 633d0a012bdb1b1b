// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package source reads logs straight into the memory of batches, so that their
// records need not be copied.
package source

import (
	"errors"
	"io"

	"mrlog.dev"
)

// maxEmptyReads bounds how often in a row an io.Reader may return nothing.
const maxEmptyReads = 100

// Some reads at least one byte into p, perhaps with an error, or returns why
// there is none.
func Some(r io.Reader, p []byte) (int, error) {
	for range maxEmptyReads {
		n, err := r.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errors.New("reader returned an impossible count")
		case n > 0 || err != nil:
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// Source gives a log out in windows that the records of a batch point into. What
// a batch read beyond its last whole record is kept here for the next one,
// because the caller may fill another batch next.
//
// Memory grows with the bytes that have arrived, never with a stated length. A
// log that is in memory already is not copied at all.
type Source struct {
	Base int64 // offset in the log of the window's first byte

	r           io.Reader
	inMemory    bool
	rest        []byte // of a log in memory, from Base on
	tail        []byte // read, and not part of a record yet
	err         error  // of r; io.EOF at its end
	room        int    // of the last batch's block
	first, most int
}

// New returns a source of the log in r. Its first block has so many bytes, since
// a hostile log may be short and claim to be long; blocks double up to most.
func New(r io.Reader, first, most int) Source { return Source{r: r, first: first, most: most} }

// InMemory is New for a log that is in memory. It is borrowed, and must not
// change while records of it are in use.
func InMemory(log []byte, first, most int) Source {
	return Source{inMemory: true, rest: log, first: first, most: most}
}

// Begin returns memory of b that holds the tail, with room for more.
func (s *Source) Begin(b *mrlog.Batch) []byte {
	s.room = min(max(s.first, 2*s.room), s.most)
	if s.inMemory {
		n := min(s.room, len(s.rest))
		return s.rest[:n:n]
	}
	buf := b.Alloc(max(s.room, len(s.tail)))
	return buf[:copy(buf, s.tail)]
}

// More appends what one read gives, at least one byte, or returns the error of
// the underlying reader.
func (s *Source) More(b *mrlog.Batch, buf []byte) ([]byte, error) {
	if s.err != nil {
		return buf, s.err
	}
	if s.inMemory {
		if len(buf) == len(s.rest) {
			return buf, io.EOF
		}
		n := min(2*len(buf)+s.first, len(s.rest))
		return s.rest[:n:n], nil
	}
	if len(buf) == cap(buf) {
		grown := b.Alloc(2 * cap(buf))
		buf = grown[:copy(grown, buf)]
	}
	n, err := Some(s.r, buf[len(buf):cap(buf)])
	buf = buf[:len(buf)+n]
	s.err = err
	if n > 0 {
		return buf, nil // the error, if any, is the next call's
	}
	return buf, err
}

// End keeps what follows the first n bytes of buf for the next batch.
func (s *Source) End(buf []byte, n int) {
	s.Base += int64(n)
	if s.inMemory {
		s.rest = s.rest[n:]
		return
	}
	s.tail = append(s.tail[:0], buf[n:]...)
}
