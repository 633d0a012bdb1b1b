// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
)

// WriteOptions says how a list is to be written. The zero value writes what the
// kernel writes on a little-endian host.
type WriteOptions struct {
	// Alg of the digest that the list gets. By default it is SHA-1 if the
	// first record has a digest of it, else the algorithm of its first one.
	Alg mrlog.Alg

	// Space that the indexes will be read in, as Options.Space.
	Space mrlog.Space

	// BigEndian writes the integers of a binary list big-endian. Those in the
	// template data stand as they were hashed: in an ASCII list, it tells
	// their order. By default a writer of an ASCII list finds it in the first
	// record.
	BigEndian bool
}

// writer is what the writers of both forms share: it gathers encoded records
// and writes many at once. A record that cannot be carried leaves no trace.
type writer struct {
	w       io.Writer
	format  string
	opts    WriteOptions
	buf     []byte
	records int64 // handed over
	carried int64 // of these
	alg     mrlog.Alg
	name    template // of the last record
	err     error    // of w, or errClosed; the writer is spent
	closed  bool
}

const (
	flushSize  = 64 << 10 // how much a writer gathers before it writes
	outputSize = flushSize + 8<<10
	outputKeep = 1 << 20 // the largest buffer that is kept for the next records
)

var errClosed = errors.New("the list is closed")

func newWriter(w io.Writer, format string, o WriteOptions) (writer, error) {
	if err := (Options{Space: o.Space, Alg: o.Alg}).check(); err != nil {
		return writer{}, err
	}
	return writer{w: w, format: format, opts: o, alg: o.Alg, buf: make([]byte, 0, outputSize)}, nil
}

// write encodes records. The function encode appends a record, or returns what
// of it cannot be carried; sum is the digest to log.
func (w *writer) write(records []mrlog.Record, encode func(b []byte, r *mrlog.Record, tm *template, sum []byte) ([]byte, string)) error {
	if w.err != nil {
		return w.err
	}
	var zero [mrlog.MaxDigestSize]byte
	for i := range records {
		r := &records[i]
		start := len(w.buf)
		sum, what := w.check(r)
		if what == "" {
			if string(r.Name) != w.name.name {
				w.name = parseTemplate(r.Name)
			}
			if violates(r, sum) {
				sum = zero[:len(sum)]
			}
			w.buf, what = encode(w.buf, r, &w.name, sum)
		}
		w.records++
		if what != "" {
			w.buf = w.buf[:start]
			if w.carried == 0 {
				w.alg = w.opts.Alg
			}
			return &mrlog.CarryError{Format: w.format, Record: w.records - 1, Span: r.Span, What: what}
		}
		w.carried++
		if len(w.buf) >= flushSize {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) flush() error {
	if len(w.buf) > 0 {
		n, err := w.w.Write(w.buf)
		if err == nil && n < len(w.buf) {
			err = io.ErrShortWrite
		}
		w.err = err
	}
	if w.buf = w.buf[:0]; cap(w.buf) > outputKeep {
		w.buf = make([]byte, 0, outputSize)
	}
	return w.err
}

// Close writes what is gathered. It does not close what is written to.
func (w *writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.err != nil {
		return w.err
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.err = errClosed
	return nil
}

// check returns the digest to log, or what of the record no list can carry. A
// record's number is not among it: it is the record's place, and a list has its
// records in order.
func (w *writer) check(r *mrlog.Record) (sum []byte, what string) {
	switch {
	case r.Type == mrlog.TypeNamed:
		return nil, fmt.Sprintf("content type is %.60q: a measurement list has IMA templates only", r.Name)
	case r.Type != mrlog.TypeIMATemplate:
		return nil, fmt.Sprintf("content type is %s: a measurement list has IMA templates only", r.Type)
	case r.Form != mrlog.FormRaw && r.Form != mrlog.FormText:
		return nil, "content is in another form than template data"
	case r.NotExtended:
		return nil, "the record was not extended: every record of a measurement list is"
	case r.Event != 0:
		return nil, fmt.Sprintf("event type %d: an IMA template has none", r.Event)
	case r.Register.Index > mrlog.MaxIndex || r.Register.Space == mrlog.NV:
		return nil, fmt.Sprintf("register %s: a measurement list has plain indexes up to %d", r.Register, mrlog.MaxIndex)
	case len(r.Content) > MaxData:
		return nil, fmt.Sprintf("content of %d bytes is above the limit of %d", len(r.Content), MaxData)
	}
	if space := w.opts.Space; space != r.Register.Space {
		switch {
		case space != mrlog.NoSpace:
			return nil, fmt.Sprintf("register %s: the list is to be in space %s", r.Register, space)
		case r.Register.Space != spaceOf(r.Register.Index):
			return nil, fmt.Sprintf("register %s: its plain index is read as %s", r.Register, mrlog.Register{Space: spaceOf(r.Register.Index), Index: r.Register.Index})
		}
	}
	if what := checkName(r.Name); what != "" {
		return nil, fmt.Sprintf("%s: %.80q", what, r.Name)
	}
	if sum, what = w.digest(r); what != "" {
		return nil, what
	}
	switch {
	case filled(sum, 0):
		return nil, "digest is zero: it would be read as that of a violation, of which 0xFF was extended"
	case !filled(sum, 0xFF) && r.Notes&mrlog.NoteViolation != 0:
		return nil, "the record is marked as a violation, and its digest is not 0xFF"
	}
	return sum, ""
}

// digest returns the digest to log. A list has one; others are refused unless
// they follow from the record.
func (w *writer) digest(r *mrlog.Record) (sum []byte, what string) {
	if w.alg == 0 {
		for i, d := range r.Digests {
			if i == 0 || d.Alg == mrlog.SHA1 {
				w.alg = d.Alg
			}
		}
	}
	at := slices.IndexFunc(r.Digests, func(d mrlog.Digest) bool { return d.Alg == w.alg })
	switch {
	case at < 0:
		return nil, fmt.Sprintf("the record has no %s digest, which the list is of", w.alg)
	case w.alg.Size() == 0:
		return nil, fmt.Sprintf("the digest is of the unknown algorithm %s", w.alg)
	}
	if sum = r.Digests[at].Sum; len(sum) != w.alg.Size() {
		return nil, fmt.Sprintf("%s digest has %d bytes, want %d", w.alg, len(sum), w.alg.Size())
	}
	for i := range r.Digests {
		if i != at && !w.follows(r, sum, &r.Digests[i]) {
			return nil, fmt.Sprintf("%s digest beside the %s one: a list has one, and the other does not follow from the content", r.Digests[i].Alg, w.alg)
		}
	}
	return sum, ""
}

// follows reports whether a digest beside the logged one is what a reader of the
// list derives: of the content, or that of SHA-1 with zeros.
func (w *writer) follows(r *mrlog.Record, sum []byte, d *mrlog.Digest) bool {
	if d.Alg == w.alg || d.Alg.Size() == 0 || len(d.Sum) != d.Alg.Size() {
		return false
	}
	sha1 := mrlog.SHA1.Size()
	if violates(r, sum) {
		return filled(d.Sum, 0xFF) || filled(d.Sum[:sha1], 0xFF) && filled(d.Sum[sha1:], 0)
	}
	var buf [mrlog.MaxDigestSize]byte
	if r.Form == mrlog.FormRaw {
		if bytes.Equal(d.Alg.AppendSum(buf[:0], r.Content), d.Sum) {
			return true
		}
		if w.alg != mrlog.SHA1 {
			sum = mrlog.SHA1.AppendSum(buf[:0], r.Content)
		}
	} else if w.alg != mrlog.SHA1 {
		return false
	}
	return bytes.Equal(d.Sum[:sha1], sum) && filled(d.Sum[sha1:], 0)
}
