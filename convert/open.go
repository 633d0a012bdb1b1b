// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/nelr"
)

// Source says how a log is to be read. The zero value reads what the log says
// of itself.
type Source struct {
	Format string // by name; "" to detect it

	// Space overrides the space of registers that the log gives by a plain
	// number.
	Space mrlog.Space

	// Index is the number of a native log's register, in place of its hint.
	// A plain number up to 3 is an RTMR, else a PCR, unless Space says
	// otherwise. The other formats name the register in every record: there
	// it is an error.
	Index    uint32
	HasIndex bool

	// IgnoreTorn reads a native log as if its torn last line were not there.
	IgnoreTorn bool
}

// ErrIndex says that a register was stated for a log that names its own in
// every record.
var ErrIndex = errors.New("a register's number is for native logs")

// Open returns a Reader of the log in r, in the format that is stated or
// detected. It reads r in blocks, so put no buffer between.
func Open(r io.Reader, s Source) (mrlog.Reader, error) {
	if s.Format == "" {
		start := make([]byte, DetectSize)
		n, err := io.ReadFull(r, start)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		start = start[:n]
		if s.Format, err = Detect(start); err != nil {
			return nil, &mrlog.SyntaxError{Format: "detection", Record: -1, Err: err}
		}
		r = &prefixed{start: start, rest: r}
	}
	if s.HasIndex && s.Format != NELR {
		return nil, fmt.Errorf("%w: the records of a %s log name their registers", ErrIndex, s.Format)
	}
	o := cel.Options{Space: s.Space}
	switch s.Format {
	case NELR:
		return native(r, s), nil
	case CELJSON:
		return cel.NewJSONReader(r, o), nil
	case CELSeq:
		return cel.NewSeqReader(r, o), nil
	case CELCBOR:
		return cel.NewCBORReader(r, o), nil
	case CELTLV:
		return cel.NewTLVReader(r, o), nil
	}
	_, err := lookup(s.Format)
	return nil, err
}

// prefixed gives back what detection has read. Unlike an io.MultiReader it
// fills a read from both, so that a reader's first block is a whole one.
type prefixed struct {
	start []byte
	rest  io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	n := copy(b, p.start)
	p.start = p.start[n:]
	if n == len(b) || len(p.start) > 0 {
		return n, nil
	}
	m, err := p.rest.Read(b[n:])
	return n + m, err
}

// native opens a native log with the register that the source states.
func native(r io.Reader, s Source) mrlog.Reader {
	o := nelr.Options{IgnoreTorn: s.IgnoreTorn}
	switch {
	case s.HasIndex:
		o.Register = mrlog.Register{Space: s.Space, Index: s.Index}
		if s.Space == mrlog.NoSpace {
			o.Register.Space = plainSpace(s.Index)
			o.SpaceAssumed = o.Register.Space == mrlog.RTMR
		}
	case s.Space != mrlog.NoSpace:
		o.Default = mrlog.Register{Space: s.Space, Index: nelr.DefaultRegister().Index}
	}
	return nelr.NewReader(r, o)
}

// plainSpace is the space of a plain number in a record of a native log: PCR 0
// to 3 are the firmware's and never have one.
func plainSpace(index uint32) mrlog.Space {
	if index <= 3 {
		return mrlog.RTMR
	}
	return mrlog.PCR
}

// Torn returns the place of a torn last line that was left out of a native
// log, as Source.IgnoreTorn asked.
func Torn(r mrlog.Reader) (mrlog.Span, bool) {
	if t, ok := r.(interface{ Torn() (mrlog.Span, bool) }); ok {
		return t.Torn()
	}
	return mrlog.Span{}, false
}

// StatedMR returns the final value that an envelope states for its log. It is
// a claim of the file, known once all records have been read.
func StatedMR(r mrlog.Reader) (string, bool) {
	if e, ok := r.(interface{ MR() (string, bool) }); ok {
		return e.MR()
	}
	return "", false
}

// CheckMR compares the final value that an envelope states, if it does, with
// the replay of its records.
func CheckMR(r mrlog.Reader, replay *mrlog.Replay) error {
	stated, ok := StatedMR(r)
	if !ok {
		return nil
	}
	banks := replay.Banks()
	for _, b := range banks {
		if v, err := mrlog.ParseHex(stated, b.Alg); err == nil && bytes.Equal(v, b.Value) {
			return nil
		}
	}
	if len(banks) == 1 {
		return fmt.Errorf("envelope states mr %.160q, its records replay to %x", stated, banks[0].Value)
	}
	return fmt.Errorf("envelope states mr %.160q, its records replay to other values", stated)
}
