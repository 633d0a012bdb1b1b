// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package line reads text line by line, with a limit that holds before memory
// is spent.
package line

import (
	"bytes"
	"errors"
	"io"
)

// ErrLong says that a line is longer than the limit.
var ErrLong = errors.New("line is too long")

const (
	// first is the first block; blocks grow up to what a line needs.
	first = 8 << 10

	// maxEmptyReads bounds how often in a row an io.Reader may return
	// nothing.
	maxEmptyReads = 100
)

// Reader gives the lines of a text.
type Reader struct {
	r     io.Reader
	max   int
	buf   []byte
	pos   int // buf[pos:end] is read and not given out
	end   int
	base  int64 // offset of buf[0]
	lines int
	at    int64 // offset of the last line
	err   error // of r
}

// NewReader returns a Reader of r whose lines have at most max bytes.
func NewReader(r io.Reader, max int) *Reader { return &Reader{r: r, max: max} }

// Next returns the next line without its newline, borrowed until the next call.
// A last line that has no newline is torn. After the last line the error is
// io.EOF, or that of the underlying reader.
func (l *Reader) Next() (text []byte, torn bool, err error) {
	seen := 0
	for {
		w := l.buf[l.pos:l.end]
		n := bytes.IndexByte(w[seen:], '\n')
		switch {
		case n >= 0 && seen+n <= l.max:
			return l.take(seen+n, 1), false, nil
		case n >= 0 || len(w) > l.max:
			l.take(0, 0)
			return nil, false, ErrLong
		case l.err == io.EOF && len(w) > 0:
			return l.take(len(w), 0), true, nil
		case l.err != nil:
			return nil, false, l.err
		}
		seen = len(w)
		l.fill()
	}
}

// take gives out n bytes and skips those of the line's end.
func (l *Reader) take(n, skip int) []byte {
	l.at = l.base + int64(l.pos)
	l.lines++
	text := l.buf[l.pos : l.pos+n]
	l.pos += n + skip
	return text
}

// fill reads more, or sets the error.
func (l *Reader) fill() {
	switch {
	case l.buf == nil:
		l.buf = make([]byte, first)
	case l.end == len(l.buf):
		to := l.buf
		if l.pos < len(l.buf)/2 {
			to = make([]byte, 2*len(l.buf))
		}
		n := copy(to, l.buf[l.pos:l.end])
		l.base += int64(l.pos)
		l.buf, l.pos, l.end = to, 0, n
	}
	for range maxEmptyReads {
		n, err := l.r.Read(l.buf[l.end:])
		if n < 0 || n > len(l.buf)-l.end {
			l.err = errors.New("reader returned an impossible count")
			return
		}
		l.end += n
		if l.err = err; n > 0 || err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// Line returns the number of the last line, from 1, and Offset its place.
func (l *Reader) Line() int { return max(l.lines, 1) }

// Offset returns the place of the last line's first byte.
func (l *Reader) Offset() int64 { return l.at }
