// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"

	"mrlog.dev"
)

// held is a reader whose first batch has been read ahead.
type held struct {
	mrlog.Reader
	first mrlog.Batch
	err   error
	given bool
}

// heldHasher is held for a reader that computes digests. Those of the first
// batch are computed twice.
type heldHasher struct {
	held
	hasher mrlog.Hasher
}

// maxSeen bounds the registers of a [Sight]. A hostile log names one more in
// each record.
const maxSeen = 64

// Look reads the beginning of a log, and returns what it shows with a reader
// that stands at the beginning still. Errors are those of the reader's, and come
// when it is read.
func Look(name string, r mrlog.Reader) (Sight, mrlog.Reader) {
	h := held{Reader: r}
	h.err = r.Read(&h.first)
	header := r.Header()
	s := Sight{Name: name, Format: header.Format, Assumed: header.SpaceAssumed}
	for i := range h.first.Records {
		rec := &h.first.Records[i]
		if i == 0 {
			first := rec.Clone()
			s.First = &first
		}
		if rec.NotExtended {
			continue // of no register in truth; a header has a digest of another bank
		}
		if space := rec.Register.Space; space != mrlog.NV && !slices.Contains(s.Spaces, space) {
			s.Spaces = append(s.Spaces, space)
		}
		if len(s.Registers) < maxSeen && !slices.Contains(s.Registers, rec.Register) {
			s.Registers = append(s.Registers, rec.Register)
		}
		for _, d := range rec.Digests {
			if len(s.Algs) < mrlog.MaxDigests && !slices.Contains(s.Algs, d.Alg) {
				s.Algs = append(s.Algs, d.Alg)
			}
		}
	}
	if space := header.Space; len(s.Spaces) == 0 && space != mrlog.NoSpace && space != mrlog.NV {
		s.Spaces = []mrlog.Space{space}
	}
	for _, a := range header.Algs {
		if len(s.Algs) < mrlog.MaxDigests && !slices.Contains(s.Algs, a.Alg) {
			s.Algs = append(s.Algs, a.Alg)
		}
	}
	if hasher, ok := r.(mrlog.Hasher); ok {
		return s, &heldHasher{h, hasher}
	}
	return s, &h
}

// Unwrap returns the reader behind it.
func (h *held) Unwrap() mrlog.Reader { return h.Reader }

// take gives the first batch to b.
func (h *held) take(b *mrlog.Batch) error {
	h.given = true
	b.Reset()
	*b, h.first = h.first, *b
	return h.err
}

// Read implements [mrlog.Reader].
func (h *held) Read(b *mrlog.Batch) error {
	if !h.given {
		return h.take(b)
	}
	return h.Reader.Read(b)
}

// Scan implements [mrlog.Hasher].
func (h *heldHasher) Scan(b *mrlog.Batch) error {
	if !h.given {
		return h.take(b)
	}
	return h.hasher.Scan(b)
}

// Hash implements [mrlog.Hasher].
func (h *heldHasher) Hash(records []mrlog.Record) { h.hasher.Hash(records) }

// Input is one of the logs of a [Joined].
type Input struct {
	Name   string
	Reader mrlog.Reader
}

// InputError is an error with one of several logs.
type InputError struct {
	Name string
	Err  error
}

// Error gives the name and the error.
func (e *InputError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the error.
func (e *InputError) Unwrap() error { return e.Err }

// Joined is several logs as one: their records in the order of the logs, so
// that those of each register stand in order. Between registers it has no order
// that means anything.
type Joined struct {
	inputs []Input
	at     int
	number int64
	replay *mrlog.Replay // of the input at hand, if it states a final value

	// What is asked for while records may still be read ahead.
	mu     sync.Mutex
	starts []int64 // records before each input, of those that were begun
	claims []InputError
}

// Join returns a reader of the logs one after the other.
func Join(inputs []Input) *Joined { return &Joined{inputs: inputs, starts: []int64{0}} }

// Header describes the log that is read: its space is that of the first.
func (j *Joined) Header() mrlog.Header {
	h := mrlog.Header{Format: "joined"}
	if len(j.inputs) > 0 {
		first := j.inputs[0].Reader.Header()
		h.Space = first.Space
	}
	return h
}

// Read implements [mrlog.Reader].
func (j *Joined) Read(b *mrlog.Batch) error {
	for j.at < len(j.inputs) {
		in := &j.inputs[j.at]
		err := in.Reader.Read(b)
		switch {
		case err == io.EOF:
			j.end(in)
			continue
		case err != nil:
			return &InputError{in.Name, err}
		}
		if j.number == j.starts[j.at] && in.Reader.Header().Dialect == "envelope" {
			j.replay = new(mrlog.Replay)
		}
		if j.replay != nil {
			if err := j.replay.Extend(b.Records); err != nil {
				return &InputError{in.Name, err}
			}
		}
		j.number += int64(len(b.Records))
		return nil
	}
	b.Reset()
	return io.EOF
}

// end goes on to the next log.
func (j *Joined) end(in *Input) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.replay != nil {
		if err := CheckMR(in.Reader, j.replay); err != nil {
			j.claims = append(j.claims, InputError{in.Name, err})
		}
		j.replay = nil
	}
	j.at++
	j.starts = append(j.starts, j.number)
}

// Claims returns what logs state of themselves and is not so, see [CheckMR]. It
// may be called during a Read.
func (j *Joined) Claims() []InputError {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.claims)
}

// Where returns which log has the record that was read as the one with this
// number, and the number that it has there, counted from 0. It may be called
// during a Read.
func (j *Joined) Where(record int64) (name string, number int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := sort.Search(len(j.starts), func(i int) bool { return j.starts[i] > record }) - 1
	// Logs without records share their start with the one behind them.
	i = max(0, min(i, len(j.inputs)-1))
	return j.inputs[i].Name, record - j.starts[i]
}

// Numbering says which numbers records get.
type Numbering uint8

// The ways of numbering. Numbers count per register, from 0 (CEL 1.1,
// information model).
const (
	AsLogged   Numbering = iota // those that they have
	FillIn                      // those without one get the next of their register
	NumberAnew                  // all of them
)

// maxNumbered bounds the registers whose records are counted: each record of a
// hostile log can name another.
const maxNumbered = 1 << 16

// numbered gives records numbers.
type numbered struct {
	mrlog.Reader
	how  Numbering
	next map[mrlog.Register]*uint64

	last   mrlog.Register // and its next number, because records come in runs
	lastAt *uint64
}

// numberedHasher is numbered for a reader that computes digests.
type numberedHasher struct {
	numbered
	hasher mrlog.Hasher
}

// Number returns a reader of the records of r with numbers.
func Number(r mrlog.Reader, how Numbering) mrlog.Reader {
	if how == AsLogged {
		return r
	}
	n := numbered{Reader: r, how: how, next: make(map[mrlog.Register]*uint64)}
	if h, ok := r.(mrlog.Hasher); ok {
		return &numberedHasher{n, h}
	}
	return &n
}

// Unwrap returns the reader behind it.
func (n *numbered) Unwrap() mrlog.Reader { return n.Reader }

// Read implements [mrlog.Reader].
func (n *numbered) Read(b *mrlog.Batch) error { return n.number(n.Reader.Read(b), b) }

// Scan implements [mrlog.Hasher].
func (n *numberedHasher) Scan(b *mrlog.Batch) error { return n.number(n.hasher.Scan(b), b) }

// Hash implements [mrlog.Hasher].
func (n *numberedHasher) Hash(records []mrlog.Record) { n.hasher.Hash(records) }

func (n *numbered) number(err error, b *mrlog.Batch) error {
	if err != nil {
		return err
	}
	for i := range b.Records {
		rec := &b.Records[i]
		if n.lastAt == nil || rec.Register != n.last {
			if n.lastAt = n.next[rec.Register]; n.lastAt == nil {
				if len(n.next) >= maxNumbered {
					return &mrlog.SyntaxError{
						Format: "numbering", Line: rec.Span.Line, Offset: rec.Span.Offset, Record: -1,
						Err: fmt.Errorf("records of more than %d registers: %w", maxNumbered, mrlog.ErrLimit),
					}
				}
				n.lastAt = new(uint64)
				n.next[rec.Register] = n.lastAt
			}
			n.last = rec.Register
		}
		if n.how == NumberAnew || !rec.HasNumber {
			rec.Number, rec.HasNumber = *n.lastAt, true
		}
		*n.lastAt = rec.Number + 1
	}
	return nil
}
