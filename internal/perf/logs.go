// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Bounds of -line: room for the event's fixed part, and what the reference
// programs' scanner takes.
const (
	minLine = 80
	maxLine = 60 << 10
)

// lineSource gives the lines of a log, the same on every machine: events as a
// container runtime records them, filled up with digits.
type lineSource struct {
	size  int // of a line without its newline
	count int
	state uint64
	line  []byte
}

func newLineSource(record int) *lineSource {
	return &lineSource{size: record - 1, state: 0x9E3779B97F4A7C15}
}

// next returns the next line, borrowed until the next call.
func (s *lineSource) next() []byte {
	const digits = "0123456789abcdef"
	s.line = fmt.Appendf(s.line[:0], "github.com/confidential-containers ImageLoad %08d sha256:", s.count)
	s.count++
	for len(s.line) < s.size {
		// xorshift64: no two lines share their rest.
		s.state ^= s.state << 13
		s.state ^= s.state >> 7
		s.state ^= s.state << 17
		for x, i := s.state, 0; i < 16 && len(s.line) < s.size; i++ {
			s.line = append(s.line, digits[x&15])
			x >>= 4
		}
	}
	return s.line
}

// writeLog writes a native log of n measured events of that size. INIT comes
// on top of them.
func writeLog(path string, n, record int) error {
	return createFile(path, func(w io.Writer) error {
		fmt.Fprintf(w, "INIT sha384/%s\n", strings.Repeat("0", 96))
		s := newLineSource(record)
		for range n {
			w.Write(s.next()) // an error of a bufio.Writer stays until Flush
			w.Write([]byte{'\n'})
		}
		return nil
	})
}

// writeOddLog writes a small log of what escaping and parsing may get wrong,
// to compare the contestants' output. The script's sed knows quotes and
// backslashes only: plain leaves the rest out.
func writeOddLog(path string, plain bool) error {
	return createFile(path, func(w io.Writer) error {
		fmt.Fprintf(w, "# a comment\n\nINIT sha384/%s\n", strings.Repeat("5a", 48))
		fmt.Fprint(w, "a.example Say \"quoted\" and \\ and \\\\n\n# another\n  leading, trailing  \n-n\n<&>'\n")
		if !plain {
			fmt.Fprint(w, "tab\there, \u00e9\u4e16\U0001f642, \u2028, \x7f\n")
		}
		s := newLineSource(120)
		for range 50 {
			w.Write(s.next())
			w.Write([]byte{'\n'})
		}
		return nil
	})
}

func createFile(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush(), f.Close())
}
