// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/line"
	"mrlog.dev/internal/strict"
)

// Format is the name of the format in headers and errors. Its dialects are API
// and Lines.
const (
	Format = "dstack"
	API    = "api"
	Lines  = "lines"
)

// MaxEvent bounds one event as text. The largest payloads in use, boot variables
// in hexadecimal, stay below 128 KiB.
const MaxEvent = 4 << 20

// ErrTorn says that the last line of a file has no newline: its writer died in
// the middle of it.
var ErrTorn = errors.New("last line is torn: it does not end in a newline")

// Options of a Reader. The zero value reads a log of a TDX guest.
type Options struct {
	// Space that the numbers "imr" count in; RTMR if it is not given.
	Space mrlog.Space

	// Register of the events in a file of lines, which does not say. If it
	// is not given it is RTMR 3, or what dstack uses in the Space: CC-MR 4,
	// PCR 14. Without a Space that is an assumption.
	Register mrlog.Register

	// Alg of digests that the log leaves out, SHA-384 if it is not given.
	Alg mrlog.Alg

	// IgnoreTorn reads a file with a torn last line as if that line were not
	// there; Torn tells. By default it is an error.
	IgnoreTorn bool
}

func (o Options) place() (place, error) {
	p := place{space: o.Space, register: o.Register, alg: o.Alg}
	if p.space == mrlog.NoSpace {
		p.space = mrlog.RTMR
	}
	if p.register == (mrlog.Register{}) {
		p.register = mrlog.Register{Space: p.space, Index: runtimeIndex(p.space)}
		if o.Space == mrlog.NoSpace {
			p.note = mrlog.NoteSpaceAssumed
		}
	}
	if p.alg == 0 {
		p.alg = mrlog.SHA384
	}
	switch {
	case p.space > mrlog.RTMR:
		return p, fmt.Errorf("events cannot be in space %q (want pcr, ccmr or rtmr)", p.space)
	case p.register.Space == mrlog.NoSpace:
		return p, fmt.Errorf("register %d is in no space", p.register.Index)
	case p.alg.Size() == 0:
		return p, fmt.Errorf("digests of %s cannot be computed", p.alg)
	}
	return p, nil
}

// runtimeIndex is that of the register of runtime events.
func runtimeIndex(s mrlog.Space) uint32 {
	switch s {
	case mrlog.CCMR:
		return 4
	case mrlog.PCR:
		return 14
	}
	return 3
}

// Reader reads a log in either form. It implements [mrlog.Hasher].
type Reader struct {
	src   io.Reader
	opts  Options
	place place
	head  mrlog.Header

	array  *strict.Decoder
	lines  *line.Reader
	check  strict.Checker
	parser parser
	buf    []byte

	count int64
	torn  mrlog.Span
	end   error // sticky
}

// NewReader returns a Reader of the log in r, whose form it finds out. It reads
// r in blocks, so put no buffer between.
func NewReader(r io.Reader, o Options) *Reader {
	d := &Reader{src: r, opts: o, head: mrlog.Header{Format: Format}}
	d.place, d.end = o.place()
	return d
}

// Header describes the log. It is complete once the first Read has returned.
func (d *Reader) Header() mrlog.Header { return d.head }

// Torn returns the place of the torn last line that IgnoreTorn left out, if
// there was one.
func (d *Reader) Torn() (mrlog.Span, bool) { return d.torn, d.torn.Line > 0 }

// Read fills b with the next records; see [mrlog.Reader].
func (d *Reader) Read(b *mrlog.Batch) error {
	err := d.Scan(b)
	if err == nil {
		d.Hash(b.Records)
	}
	return err
}

// Hash computes the digests that Scan has left out: those of lines.
func (d *Reader) Hash(records []mrlog.Record) {
	if d.head.Dialect != Lines {
		return
	}
	for i := range records {
		r := &records[i]
		preimage := r.Content
		if r.Form != mrlog.FormRaw {
			var ok bool
			if _, preimage, ok = Measured(r); !ok {
				continue
			}
		}
		for _, s := range r.Digests {
			s.Alg.AppendSum(s.Sum[:0], preimage)
		}
	}
}

// Scan is Read but for the digests of lines; see [mrlog.Hasher].
func (d *Reader) Scan(b *mrlog.Batch) error {
	b.Reset()
	if d.end == nil && d.head.Dialect == "" {
		d.end = d.start()
	}
	for d.end == nil && !b.Full() {
		n := len(b.Records)
		if err := d.next(b); err != nil {
			b.Records = b.Records[:n] // without a record that was not completed
			d.end = err
		}
	}
	if len(b.Records) > 0 {
		return nil // the error, if any, is the next call's
	}
	return d.end
}

// start finds out the form.
func (d *Reader) start() error {
	var head []byte
	for idle := 0; ; {
		p := make([]byte, 512)
		n, err := d.src.Read(p)
		if n < 0 || n > len(p) {
			return errors.New("reader returned an impossible count")
		}
		head = append(head, p[:n]...)
		if t := bytes.TrimLeft(head, " \t\r\n"); len(t) > 0 {
			d.src = io.MultiReader(bytes.NewReader(head), after(d.src, err))
			if t[0] == '[' {
				d.head.Dialect = API
				d.head.Space = d.place.space
				d.array = strict.NewDecoder(d.src, Format, MaxEvent)
				d.array.Record = 0
				return d.array.Token('[')
			}
			break
		}
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case err == io.EOF:
			d.src = bytes.NewReader(head)
		case err != nil:
			return err
		case idle == 100:
			return io.ErrNoProgress
		case len(head) > MaxEvent:
			return &mrlog.SyntaxError{Format: Format, Line: 1, Record: -1, Err: fmt.Errorf("more than %d blanks: %w", MaxEvent, mrlog.ErrLimit)}
		default:
			continue
		}
		break
	}
	d.head.Dialect, d.head.Derived = Lines, true
	d.head.Space, d.head.SpaceAssumed = d.place.register.Space, d.place.note != 0
	d.head.Algs = []mrlog.AlgSize{{Alg: d.place.alg, Size: d.place.alg.Size()}}
	d.lines = line.NewReader(d.src, MaxEvent)
	return nil
}

// after is what follows in r if a read has returned err.
func after(r io.Reader, err error) io.Reader {
	if err == nil {
		return r
	}
	return failed{err}
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// next adds one record to b.
func (d *Reader) next(b *mrlog.Batch) error {
	if d.lines != nil {
		return d.nextLine(b)
	}
	d.array.Record = d.count
	more, err := d.array.More()
	if err != nil {
		return err
	}
	if !more {
		d.array.Record = -1
		if err := d.array.End(); err != nil {
			return err
		}
		return io.EOF
	}
	raw, offset, err := d.array.Value()
	if err != nil {
		return err
	}
	if at, err := d.add(b, raw, mrlog.Span{Offset: offset, Length: len(raw)}); err != nil {
		return d.array.Fault(offset+int64(at), err)
	}
	return nil
}

func (d *Reader) nextLine(b *mrlog.Batch) error {
	for {
		raw, torn, err := d.lines.Next()
		fault := func(at int, err error) error {
			return &mrlog.SyntaxError{Format: Format, Line: d.lines.Line(), Offset: d.lines.Offset() + int64(at), Record: d.count, Err: err}
		}
		switch {
		case errors.Is(err, line.ErrLong):
			return fault(0, fmt.Errorf("event is longer than %d bytes: %w", MaxEvent, mrlog.ErrLimit))
		case err != nil:
			return err
		}
		text := bytes.TrimRight(raw, " \t\r")
		start := len(text)
		text = bytes.TrimLeft(text, " \t\r")
		start -= len(text)
		if len(text) == 0 {
			continue
		}
		if torn {
			if !d.opts.IgnoreTorn {
				return fault(len(raw), ErrTorn)
			}
			d.torn = mrlog.Span{Offset: d.lines.Offset(), Length: len(raw), Line: d.lines.Line()}
			return io.EOF
		}
		if at, err := d.check.Check(text); err != nil {
			return fault(start+at, err)
		}
		at, err := d.add(b, text, mrlog.Span{Offset: d.lines.Offset() + int64(start), Length: len(text), Line: d.lines.Line()})
		if err != nil {
			return fault(start+at, err)
		}
		if len(text) != len(raw) {
			b.Records[len(b.Records)-1].Notes |= mrlog.NoteNonCanonical
		}
		return nil
	}
}

// add adds the record of an event. With an error it returns where in raw it is.
func (d *Reader) add(b *mrlog.Batch, raw []byte, span mrlog.Span) (at int, err error) {
	e, at, err := d.parser.parse(raw)
	switch {
	case err != nil:
		return at, err
	case e.line != (d.lines != nil):
		return 0, fmt.Errorf("event is not of the form %q, which the log has", d.head.Dialect)
	}
	r := b.Add()
	r.Span = span
	preimage, derived, err := d.place.record(b, r, &e, raw)
	if err != nil {
		return 0, err
	}
	if derived && d.lines == nil {
		// Header.Derived stays false: it would vouch for the other events,
		// whose digests are logged.
		r.Digests[0].Alg.AppendSum(r.Digests[0].Sum[:0], preimage)
	}
	if r.Form == mrlog.FormRaw {
		if e.line {
			d.buf = e.appendLine(d.buf[:0])
		} else {
			e.digest = r.Digests[0].Sum
			d.buf = e.appendAPI(d.buf[:0])
		}
		if !bytes.Equal(d.buf, raw) {
			r.Notes |= mrlog.NoteNonCanonical
		}
	}
	d.count++
	return 0, nil
}

// Is reports whether a log that begins so is one of dstack's, as far as can be
// seen: its first event has the members of one form.
func Is(start []byte) bool {
	t := bytes.TrimLeft(start, " \t\r\n")
	if len(t) == 0 {
		return false
	}
	wanted := [2]string{"event", "payload"}
	if t[0] == '[' {
		wanted = [2]string{"imr", "event_type"}
	}
	var seen [2]bool
	strict.Outline(t, func(in, name, _ []byte) {
		for i, w := range wanted {
			if in == nil && string(name) == w {
				seen[i] = true
			}
		}
	})
	return seen[0] && seen[1]
}
