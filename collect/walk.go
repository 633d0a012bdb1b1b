// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// position is a place between two lines of a log, with what the records before
// it give. The zero value is the beginning of any log.
type position struct {
	offset  int64
	records int64 // INIT included
	lines   int
	start   []mrlog.Digest // INIT's values; nil before INIT
	values  []mrlog.Digest // after all records so far
}

// clone returns a position whose values the caller may change.
func (p position) clone() position {
	p.values = cloneDigests(p.values)
	return p
}

// walked is how far a walk came.
type walked struct {
	position
	hit       int   // index of the wanted value that the position gives, -1 for none
	stop      error // why the log cannot be replayed further, nil at its end
	completed bool  // with a newline added to the last line, it would have been a hit
}

// block is how much of a log is read at once.
const block = 128 << 10

var errLongLine = fmt.Errorf("it is longer than %d bytes: %w", nelr.MaxLine, mrlog.ErrLimit)

// walk replays the lines of r, which begins at a position of a log, until the
// replay gives one of the wanted values or r ends. INIT's value before INIT is
// a value of the log, too: the prefix of no records. A hit there has no
// records.
//
// The error is one of reading, or of ctx.
func walk(ctx context.Context, r io.Reader, size int64, from position, wants ...[]mrlog.Digest) (walked, error) {
	w := walked{position: from.clone(), hit: -1}
	if w.gives(wants) {
		return w, nil
	}
	lines := newLineReader(r, size)
	var sum [mrlog.MaxDigestSize]byte
	for {
		if w.lines%64 == 0 && ctx.Err() != nil {
			return w, context.Cause(ctx)
		}
		line, err := lines.next()
		switch {
		case err == io.EOF:
			if w.start != nil && nelr.Measured(line) {
				torn := walked{position: w.clone()}
				torn.extend(line, &sum)
				w.completed = torn.gives(wants)
			}
			return w, nil
		case err == errLongLine:
			w.stop = fmt.Errorf("line %d: %w", w.lines+1, err)
			return w, nil
		case err != nil:
			return w, err
		}
		if nelr.Measured(line) {
			switch {
			case w.start == nil:
				start, err := mrlog.ParseInit(line)
				if err != nil {
					w.stop = fmt.Errorf("line %d: the log does not begin with INIT: %w", w.lines+1, err)
					return w, nil
				}
				w.start, w.values = start, cloneDigests(start)
				if w.gives(wants) {
					return w, nil
				}
			case mrlog.IsInit(line):
				w.stop = fmt.Errorf("line %d: a second INIT", w.lines+1)
				return w, nil
			}
			w.extend(line, &sum)
		}
		w.lines++
		w.offset += int64(len(line)) + 1
		if nelr.Measured(line) && w.gives(wants) {
			return w, nil
		}
	}
}

// gives finds out whether the position's values are wanted ones.
func (w *walked) gives(wants [][]mrlog.Digest) bool {
	for i, want := range wants {
		if gives(w.values, want) {
			w.hit = i
			return true
		}
	}
	return false
}

func (w *walked) extend(line []byte, sum *[mrlog.MaxDigestSize]byte) {
	for _, v := range w.values {
		// Sizes are right by construction: ParseInit checked them.
		_ = v.Alg.Extend(v.Sum, v.Alg.AppendSum(sum[:0], line))
	}
	w.records++
}

// skimmed is what a log says without being hashed.
type skimmed struct {
	start   []mrlog.Digest // nil if it is not opened by INIT
	records int64          // complete ones
	boot    string         // last boot hint: a claim
}

// skim reads a log without hashing it.
func skim(ctx context.Context, r io.Reader, size int64) (skimmed, error) {
	var s skimmed
	lines := newLineReader(r, size)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		line, err := lines.next()
		switch {
		case err == io.EOF || err == errLongLine:
			return s, nil
		case err != nil:
			return s, err
		}
		if !nelr.Measured(line) {
			if key, value, ok := nelr.ParseHint(line); ok && key == nelr.HintBoot {
				s.boot = value
			}
			continue
		}
		if s.records == 0 {
			if s.start, err = mrlog.ParseInit(line); err != nil {
				return skimmed{boot: s.boot}, nil
			}
		}
		s.records++
	}
}

// lineReader gives out lines. It holds one block, and of a longer line at most
// nelr.MaxLine bytes.
type lineReader struct {
	src  *bufio.Reader
	long []byte
}

func newLineReader(r io.Reader, size int64) *lineReader {
	return &lineReader{src: bufio.NewReaderSize(r, int(max(512, min(block, size))))}
}

// next returns the next line without its newline, borrowed until the next
// call; at the end io.EOF, with what follows the last newline.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.src.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		l.long = l.long[:0]
		for err == bufio.ErrBufferFull && len(l.long) <= nelr.MaxLine {
			l.long = append(l.long, line...)
			line, err = l.src.ReadSlice('\n')
		}
		l.long = append(l.long, line...)
		line = l.long
	}
	text := bytes.TrimSuffix(line, []byte{'\n'})
	switch {
	case err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull):
		return nil, err
	case len(text) > nelr.MaxLine:
		return nil, errLongLine
	}
	return text, err
}

// gives reports whether a log's values are the wanted ones in each bank that is
// wanted.
func gives(values, want []mrlog.Digest) bool {
	if len(want) == 0 || len(values) == 0 {
		return false
	}
	for _, d := range want {
		if v := valueOf(values, d.Alg); v == nil || !bytes.Equal(v, d.Sum) {
			return false
		}
	}
	return true
}

// valueOf returns the value in a bank, or nil.
func valueOf(values []mrlog.Digest, alg mrlog.Alg) []byte {
	for _, v := range values {
		if v.Alg == alg {
			return v.Sum
		}
	}
	return nil
}

func cloneDigests(in []mrlog.Digest) []mrlog.Digest {
	if in == nil {
		return nil
	}
	out := make([]mrlog.Digest, len(in))
	for i, d := range in {
		out[i] = mrlog.Digest{Alg: d.Alg, Sum: bytes.Clone(d.Sum)}
	}
	return out
}
