// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// flushSize is how much a writer gathers before it writes.
const flushSize = 64 << 10

var errClosed = errors.New("the log is closed")

// Writer writes a log in one of the forms. Equal records give equal bytes:
// members in dstack's order, nothing that it leaves out.
//
// What the form cannot carry is a [*mrlog.CarryError], and nothing of such a
// record is written; the writer may be used on. An array carries records with
// one digest whose content is a TCG event or a runtime event. Lines carry only
// runtime events of one register whose digest is that of the event, because it
// is not written.
type Writer struct {
	w       io.Writer
	lines   bool
	place   place
	parser  parser
	batch   mrlog.Batch
	buf     []byte
	records int64
	open    bool // an event was written
	closed  bool
	err     error
}

// NewWriter returns a writer of the array of the agent's API. Of the options the
// space counts.
func NewWriter(w io.Writer, o Options) *Writer {
	d := &Writer{w: w, buf: []byte{'['}}
	d.place, d.err = o.place()
	return d
}

// NewLinesWriter returns a writer of the guest's file. Of the options the
// register and the algorithm count.
func NewLinesWriter(w io.Writer, o Options) *Writer {
	d := &Writer{w: w, lines: true}
	d.place, d.err = o.place()
	return d
}

// Write appends records to the log; see [mrlog.Writer].
func (d *Writer) Write(records []mrlog.Record) error {
	for i := range records {
		if d.err != nil {
			return d.err
		}
		start := len(d.buf)
		d.records++
		if what := d.append(&records[i]); what != "" {
			d.buf = d.buf[:start]
			return &mrlog.CarryError{Format: Format, Record: d.records - 1, Span: records[i].Span, What: what}
		}
		d.open = true
		if len(d.buf) >= flushSize {
			d.flush()
		}
	}
	return d.err
}

// Close completes the log; see [mrlog.Writer]. A second Close does nothing.
func (d *Writer) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	if d.err != nil {
		return d.err
	}
	if !d.lines {
		d.buf = append(d.buf, "]\n"...)
	}
	d.flush()
	if d.err != nil {
		return d.err
	}
	d.err = errClosed
	return nil
}

func (d *Writer) flush() {
	if len(d.buf) > 0 {
		n, err := d.w.Write(d.buf)
		if err == nil && n < len(d.buf) {
			err = io.ErrShortWrite
		}
		d.err = err
	}
	if d.buf = d.buf[:0]; cap(d.buf) > 4*MaxEvent {
		d.buf = nil
	}
}

// append appends a record, or returns what cannot be carried.
func (d *Writer) append(r *mrlog.Record) string {
	e, what := d.element(r)
	if what != "" {
		return what
	}
	if d.lines {
		if what := d.lineCarries(r, &e); what != "" {
			return what
		}
		start := len(d.buf)
		if e.line && verbatim(r) {
			d.buf = append(d.buf, r.Content...)
		} else {
			d.buf = e.appendLine(d.buf)
		}
		d.buf = append(d.buf, '\n')
		return tooLong(len(d.buf) - start)
	}
	if d.open {
		d.buf = append(d.buf, ',')
	}
	start := len(d.buf)
	if e.unknown && e.line {
		return "members that mrlog does not know"
	}
	if r.Form == mrlog.FormJSON && !e.line {
		d.buf = append(d.buf, r.Content...)
	} else {
		e.imr, e.digest = r.Register.Index, r.Digests[0].Sum
		d.buf = e.appendAPI(d.buf)
	}
	return tooLong(len(d.buf) - start)
}

// verbatim reports whether a record's content can stand as a line.
func verbatim(r *mrlog.Record) bool {
	return r.Form == mrlog.FormJSON && bytes.IndexByte(r.Content, '\n') < 0
}

func tooLong(n int) string {
	if n > MaxEvent+1 {
		return fmt.Sprintf("the event takes %d bytes, above the limit of %d", n, MaxEvent)
	}
	return ""
}

// element returns the event of a record, or what of the record no form carries.
func (d *Writer) element(r *mrlog.Record) (e element, what string) {
	if len(r.Digests) != 1 {
		return e, fmt.Sprintf("%d digests, and an event has one", len(r.Digests))
	}
	sum := &r.Digests[0]
	if alg, ok := algOf(len(sum.Sum)); sum.Alg != d.place.alg && (!ok || alg != sum.Alg) || len(sum.Sum) != sum.Alg.Size() {
		return e, fmt.Sprintf("a digest of %s with %d bytes, whose algorithm an event does not tell", sum.Alg, len(sum.Sum))
	}
	if !d.lines && (r.Register.Space != d.place.space || r.Register.Index > mrlog.MaxIndex) {
		return e, fmt.Sprintf("register %s, and events are of registers %s", r.Register, d.place.space)
	}
	switch {
	case r.Type == mrlog.TypeNamed && r.Form == mrlog.FormJSON && string(r.Name) == TypeName:
		return d.whole(r)
	case r.Type != mrlog.TypePCClient || r.Form != mrlog.FormRaw:
		return e, "content that is neither a TCG event nor an event of dstack"
	case len(r.Name) > 0:
		return e, fmt.Sprintf("name %.40q of a record whose content type has none", r.Name)
	case r.NotExtended != (r.Event == mrlog.EventNoAction):
		return e, "whether the record was extended, which its event type does not say"
	}
	e.eventType = r.Event
	if r.Event == RuntimeEvent {
		var ok bool
		if e.event, ok = ParsePreimage(r.Content); !ok {
			return e, "event of dstack's type whose content is not what dstack hashes"
		}
		return e, ""
	}
	e.event = Event{Payload: r.Content, Version: 1}
	if len(r.Content) == 0 && !ofNothing(sum) {
		return e, "event without data whose digest is of something: it would be read as one whose data was left out"
	}
	return e, ""
}

// whole returns the event of a record that was kept whole. What it says must be
// what the record says, as it would be read.
func (d *Writer) whole(r *mrlog.Record) (e element, what string) {
	if _, err := strict.Check(r.Content); err != nil {
		return e, fmt.Sprintf("content is kept as JSON, and is not one valid JSON value: %v", err)
	}
	e, _, err := d.parser.parse(r.Content)
	if err != nil {
		return e, "content is kept whole, and is not an event: " + err.Error()
	}
	d.batch.Reset()
	probe := d.batch.Add()
	place := d.place
	if e.line {
		place.register, place.note = r.Register, 0
	}
	place.alg = r.Digests[0].Alg
	preimage, derived, err := place.record(&d.batch, probe, &e, r.Content)
	if err != nil {
		return e, "content is kept whole, and is not an event: " + err.Error()
	}
	if derived {
		probe.Digests[0].Alg.AppendSum(probe.Digests[0].Sum[:0], preimage)
	}
	switch {
	case probe.Form != mrlog.FormJSON:
		return e, "content is kept whole, and would be read as something else"
	case !d.lines && probe.Register != r.Register || probe.NotExtended != r.NotExtended || !e.line && !bytes.Equal(probe.Digests[0].Sum, r.Digests[0].Sum):
		return e, "content is kept whole, and says something else than the record"
	case r.Event != 0:
		return e, "event type beside a content that is kept whole"
	}
	return e, ""
}

// lineCarries returns what of an event a line does not carry.
func (d *Writer) lineCarries(r *mrlog.Record, e *element) string {
	if r.Register != d.place.register {
		return fmt.Sprintf("register %s in a file of %s", r.Register, d.place.register)
	}
	preimage, ok := e.event.AppendPreimage(nil)
	switch {
	case !e.runtime():
		return "event that is not dstack's"
	case !ok, e.unknown && !(e.line && verbatim(r)):
		return "members that mrlog does not know"
	case r.Digests[0].Alg != d.place.alg:
		return fmt.Sprintf("a digest of %s, and those of the file are of %s", r.Digests[0].Alg, d.place.alg)
	case !bytes.Equal(d.place.alg.AppendSum(nil, preimage), r.Digests[0].Sum):
		return "digest that is not that of the event, and is not written"
	}
	return ""
}
