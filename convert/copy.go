// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/dstack"
	"mrlog.dev/ima"
	"mrlog.dev/internal/pipe"
	"mrlog.dev/nelr"
	"mrlog.dev/tcg"
)

// Target says how a log is to be written.
type Target struct {
	Format  string // by name
	Dialect string // one of the format's; "" for its default

	// Records is how many records will come; needed for the array of
	// cel-cbor, whose head states it.
	Records int64

	// Space that the plain indexes of an IMA list or a dstack log will be
	// read in, if it is not the one that they would be taken for.
	Space mrlog.Space

	// Algs are the banks of a tcg2 log whose first record is not its header;
	// by default those of the first records.
	Algs []mrlog.AlgSize
}

// Check says whether the format and the dialect exist.
func (t Target) Check() error {
	f, err := lookup(t.Format)
	switch {
	case err != nil:
		return fmt.Errorf("unknown format %.40q (written: %s)", t.Format, strings.Join(Written(), ", "))
	case f.ReadOnly:
		return fmt.Errorf("%s is read, and not written (written: %s)", f.Name, strings.Join(Written(), ", "))
	}
	if t.Dialect != "" && !slices.Contains(f.Dialects, t.Dialect) {
		if f.Dialects == nil {
			return fmt.Errorf("%s has no dialects", f.Name)
		}
		return fmt.Errorf("%s has no dialect %.40q (known: %s)", f.Name, t.Dialect, strings.Join(f.Dialects, ", "))
	}
	return nil
}

// NeedsCount reports whether the number of records must be known before the
// first is written.
func (t Target) NeedsCount() bool {
	return t.Format == CELCBOR && (t.Dialect == "" || t.Dialect == "array")
}

// NeedsReplay reports whether the target states the final value of the
// register.
func (t Target) NeedsReplay() bool { return t.Format == CELJSON && t.Dialect == "envelope" }

// NewWriter returns a Writer of the target to w. An envelope takes the final
// value from replay, which must have seen all records when the writer is
// closed.
func NewWriter(w io.Writer, t Target, replay *mrlog.Replay) (mrlog.Writer, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	t.Format, _ = Canonical(t.Format)
	switch t.Format {
	case NELR:
		return nelr.NewWriter(w), nil
	case CELJSON:
		if t.Dialect == "envelope" {
			return cel.NewEnvelopeWriter(w, func() ([]byte, error) { return finalValue(replay) }), nil
		}
		return cel.NewJSONWriter(w), nil
	case CELSeq:
		return cel.NewSeqWriter(w), nil
	case CELCBOR:
		if t.Dialect == "sequence" {
			return cel.NewCBORWriter(w, -1), nil
		}
		if t.Records < 0 {
			return nil, fmt.Errorf("an array of %d records", t.Records)
		}
		return cel.NewCBORWriter(w, t.Records), nil
	}
	switch t.Format {
	case CELTLV:
		dialect := cel.Minimal
		if t.Dialect != "" {
			dialect = cel.Dialect(t.Dialect)
		}
		return cel.NewTLVWriter(w, dialect)
	case TCG2:
		return &namedWriter{tcg.NewWriter(w, tcg.WriterOptions{Dialect: tcg.Dialect(t.Dialect), Algs: t.Algs}), t.Format}, nil
	case AAEL:
		return &namedWriter{tcg.NewWriter(w, tcg.WriterOptions{Dialect: tcg.AAEL}), t.Format}, nil
	case Dstack:
		o := dstack.Options{Space: t.Space}
		if t.Dialect == dstack.Lines {
			return dstack.NewLinesWriter(w, o), nil
		}
		return dstack.NewWriter(w, o), nil
	case IMA:
		out, err := ima.NewBinaryWriter(w, ima.WriteOptions{Space: t.Space})
		return &namedWriter{out, t.Format}, err
	}
	out, err := ima.NewASCIIWriter(w, ima.WriteOptions{Space: t.Space})
	return &namedWriter{out, t.Format}, err
}

// namedWriter is a writer under the name that its format has here.
type namedWriter struct {
	mrlog.Writer
	name string
}

// Write implements [mrlog.Writer].
func (n *namedWriter) Write(records []mrlog.Record) error {
	err := n.Writer.Write(records)
	var c *mrlog.CarryError
	if errors.As(err, &c) {
		named := *c
		named.Format = n.name
		return &named
	}
	return err
}

// finalValue is the "mr" of an envelope: there is room for one.
func finalValue(replay *mrlog.Replay) ([]byte, error) {
	banks := replay.Banks()
	if len(banks) == 0 {
		return nil, &mrlog.CarryError{Format: "cel-json envelope", What: "it states the value of a register, and no record extends one"}
	}
	if len(banks) != 1 {
		names := make([]string, 0, 4)
		for _, b := range banks[:min(len(banks), 4)] {
			names = append(names, b.Register.String()+":"+b.Alg.String())
		}
		return nil, &mrlog.CarryError{
			Format: "cel-json envelope", Record: 0,
			What: fmt.Sprintf("it states the value of one register in one bank, the log has %d (%s)", len(banks), strings.Join(names, ", ")),
		}
	}
	return banks[0].Value, nil
}

// Options of a Copy.
type Options struct {
	Procs int // processors to use; 0 or 1 for the calling goroutine alone

	// Progress, if not nil, is called after each batch with the records
	// copied so far and the offset in the source.
	Progress func(records, offset int64)

	// Drop, if not nil, is called with the error of each record that the
	// target cannot carry. The record is then left out, whole; otherwise the
	// first such error ends the copy.
	Drop func(*mrlog.CarryError)

	// Replay the records even if nothing states a final value.
	Replay bool
}

// Copy reads all records of r and writes them as t says, through w. It returns
// the replay of the records that were read when source or target state a final
// value, or the options ask for it, and closes the log that it writes.
func Copy(ctx context.Context, w io.Writer, t Target, r mrlog.Reader, o Options) (*mrlog.Replay, error) {
	var replay *mrlog.Replay
	if t.NeedsReplay() || o.Replay {
		replay = new(mrlog.Replay)
	}
	dst, err := NewWriter(w, t, replay)
	if err != nil {
		return nil, err
	}
	var records int64
	err = pipe.Each(ctx, r, o.Procs, func(batch []mrlog.Record) error {
		if records == 0 && replay == nil && r.Header().Dialect == "envelope" {
			replay = new(mrlog.Replay) // for the final value that the source states
		}
		if replay != nil {
			if err := replay.Extend(batch); err != nil {
				return err
			}
			if t.NeedsReplay() && replay.Len() > 1 { // before anything is written in vain
				_, err := finalValue(replay)
				return err
			}
		}
		records += int64(len(batch))
		if o.Progress != nil {
			last := batch[len(batch)-1].Span
			o.Progress(records, last.Offset+int64(last.Length))
		}
		if o.Drop == nil {
			return dst.Write(batch)
		}
		return writeSome(dst, batch, records-int64(len(batch)), o.Drop)
	})
	if err != nil {
		return replay, err
	}
	return replay, dst.Close()
}

// writeSome writes those of the records that can be carried. The first is the
// one with this number of all that were read.
func writeSome(dst mrlog.Writer, batch []mrlog.Record, first int64, drop func(*mrlog.CarryError)) error {
	for i := range batch {
		err := dst.Write(batch[i : i+1])
		var c *mrlog.CarryError
		if errors.As(err, &c) {
			d := *c
			d.Record = first + int64(i)
			drop(&d)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Count returns the number of records of a log, reading it to its end.
func Count(ctx context.Context, r mrlog.Reader) (int64, error) {
	var b mrlog.Batch
	read := r.Read
	if h, ok := r.(mrlog.Hasher); ok {
		read = h.Scan
	}
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		switch err := read(&b); {
		case err == io.EOF: // itself: a wrapped one is some layer's failure
			return n, nil
		case err != nil:
			return n, err
		}
		n += int64(len(b.Records))
	}
}
