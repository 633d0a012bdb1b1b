// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"io"

	"mrlog.dev/internal/source"
)

// jsonBuffer is the size in which input is read. It holds some 200 records, so
// that few of them are moved.
const jsonBuffer = 64 << 10

// jsonSource is the input of a JSON reader: a window on it, and its place.
type jsonSource struct {
	r    io.Reader
	buf  []byte
	pos  int // buf[pos:end] is read and not consumed
	end  int
	base int64 // offset of buf[0] in the input
	line int   // of buf[pos], from 0
	err  error // of r, io.EOF included
}

// offset returns that of the next byte.
func (s *jsonSource) offset() int64 { return s.base + int64(s.pos) }

// window returns what is read and not consumed.
func (s *jsonSource) window() []byte { return s.buf[s.pos:s.end] }

// more makes the window longer by at least one byte, or returns the error of
// the underlying reader.
func (s *jsonSource) more() error {
	if s.err != nil {
		return s.err
	}
	switch {
	case s.buf == nil:
		s.buf = make([]byte, jsonBuffer)
	case s.end == len(s.buf):
		to := s.buf
		if s.pos < len(s.buf)/2 { // the window is long: move it to a longer buffer
			to = make([]byte, 2*len(s.buf))
		}
		n := copy(to, s.window())
		s.base += int64(s.pos)
		s.buf, s.pos, s.end = to, 0, n
	}
	n, err := source.Some(s.r, s.buf[s.end:])
	s.end += n
	s.err = err
	if n > 0 {
		return nil // the error, if any, is the next call's
	}
	return err
}

// next skips white space and returns the byte that follows, without consuming
// it. Newlines are counted.
func (s *jsonSource) next() (byte, error) {
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case '\n':
				s.line++
			case ' ', '\t', '\r':
			default:
				return c, nil
			}
			s.pos++
		}
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}
