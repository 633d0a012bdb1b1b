// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/pipe"
	"mrlog.dev/nelr"
)

// Target says how a log is to be written.
type Target struct {
	Format  string // by name
	Dialect string // one of the format's; "" for its default

	// Records is how many records will come; needed for the array of
	// cel-cbor, whose head states it.
	Records int64
}

// Check says whether the format and the dialect exist.
func (t Target) Check() error {
	f, err := lookup(t.Format)
	if err != nil {
		return err
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
	dialect := cel.Minimal
	if t.Dialect != "" {
		dialect = cel.Dialect(t.Dialect)
	}
	return cel.NewTLVWriter(w, dialect)
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
}

// Copy reads all records of r and writes them as t says, through w. It returns
// the replay of the records when source or target state a final value, and closes the log that
// it writes.
func Copy(ctx context.Context, w io.Writer, t Target, r mrlog.Reader, o Options) (*mrlog.Replay, error) {
	var replay *mrlog.Replay
	if t.NeedsReplay() {
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
		return dst.Write(batch)
	})
	if err != nil {
		return replay, err
	}
	return replay, dst.Close()
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
