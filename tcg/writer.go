// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
)

// WriterOptions says how a log is to be written. The zero value writes back
// what a Reader read.
type WriterOptions struct {
	// Dialect to write; by default that of the first record: Agile or CoCo
	// for a header record, SHA1 for another TCG event with a SHA-1 digest
	// alone, else Agile with a header of the writer's. AAEL is never a
	// default.
	Dialect Dialect

	// Algs are the banks in a header of the writer's. By default they are
	// those of the records of the first Write.
	Algs []mrlog.AlgSize
}

// Writer writes a log. See [NewWriter].
type Writer struct {
	w       io.Writer
	opts    WriterOptions
	buf     []byte
	records int64 // handed over
	err     error // of w, or errClosed; the writer is spent
	closed  bool

	dialect Dialect // "" before the first record
	table   []mrlog.AlgSize
	space   mrlog.Space
}

const (
	// flushSize is how much a writer gathers before it writes. Most records
	// fit in the rest of outputSize.
	flushSize  = 64 << 10
	outputSize = flushSize + 8<<10

	// outputKeep is the largest buffer that a writer keeps for the next
	// records, so that one large record is not paid for to the end.
	outputKeep = 1 << 20
)

// errClosed says that a writer is used after Close.
var errClosed = errors.New("the log is closed")

// NewWriter returns a writer of a log, without padding and without a flag at
// its end. Equal records give equal bytes.
//
// TCG events are written as they stand. The record of a native log becomes an
// EV_ACTION event with the line as its data, whose digest is that of the line;
// its INIT record likewise, if the value that it states is the register's reset
// value, because no TCG log can state another. Read again, these are TCG
// events: what is an EV_ACTION with the data of a native line was one, or not.
//
// What the format cannot carry is a [*mrlog.CarryError] that names it: other
// contents, registers that are neither PCRs nor CC-MRs or not all of one space,
// digests in banks that the header does not list. After a CarryError the writer
// may be used on; it has written the records before. Numbers of records and the
// space of their registers do not travel: the order gives the one, and readers
// tell the other as [NewReader] does.
//
// Close writes what is gathered. It does not close w.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	t := &Writer{w: w, opts: o, buf: make([]byte, 0, outputSize)}
	switch o.Dialect {
	case "", Agile, CoCo, AAEL, SHA1:
	default:
		t.err = fmt.Errorf("unknown dialect %.40q of %s (known: %s, %s, %s, %s)", string(o.Dialect), Format, Agile, CoCo, AAEL, SHA1)
	}
	for i, a := range o.Algs {
		if err := checkAlg(o.Algs[:i], a); err != nil && t.err == nil {
			t.err = err
		}
	}
	if n := len(o.Algs); n > mrlog.MaxDigests && t.err == nil {
		t.err = fmt.Errorf("%d algorithms, the limit is %d: %w", n, mrlog.MaxDigests, mrlog.ErrLimit)
	}
	return t
}

// Write implements [mrlog.Writer].
func (t *Writer) Write(records []mrlog.Record) error {
	if t.err != nil {
		return t.err
	}
	for i := range records {
		start, begins := len(t.buf), t.dialect == ""
		var what string
		if begins {
			what = t.begin(records[i:])
		}
		if what == "" {
			what = t.append(&records[i])
		}
		t.records++
		if what != "" {
			if t.buf = t.buf[:start]; begins {
				t.dialect, t.table = "", nil // the header went with the record
			}
			return &mrlog.CarryError{Format: Format, Record: t.records - 1, Span: records[i].Span, What: what}
		}
		if len(t.buf) >= flushSize {
			if err := t.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close implements [mrlog.Writer].
func (t *Writer) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	if t.err != nil {
		return t.err
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.err = errClosed
	return nil
}

func (t *Writer) flush() error {
	if len(t.buf) > 0 {
		n, err := t.w.Write(t.buf)
		if err == nil && n < len(t.buf) {
			err = io.ErrShortWrite
		}
		t.err = err
	}
	if t.buf = t.buf[:0]; cap(t.buf) > outputKeep {
		t.buf = make([]byte, 0, outputSize)
	}
	return t.err
}

// begin chooses the dialect by the first record, and appends the header if that
// is none. It returns what cannot be carried.
func (t *Writer) begin(records []mrlog.Record) string {
	first := &records[0]
	spec, ok, err := headed(first)
	want := t.opts.Dialect
	switch {
	case ok && err != nil:
		return err.Error()
	case ok:
		own := Agile
		if spec.NoSignature {
			own = CoCo
		}
		if want != "" && want != own {
			return fmt.Sprintf("the record is the header of a log in dialect %s, not %s", own, want)
		}
		t.dialect, t.table = own, spec.Algs
		return ""
	case want != "":
		t.dialect = want
	case first.Type == mrlog.TypePCClient && first.Form == mrlog.FormRaw && oneSHA1(first.Digests):
		t.dialect = SHA1
	default:
		t.dialect = Agile
	}
	switch t.dialect {
	case SHA1:
		t.table = []mrlog.AlgSize{{Alg: mrlog.SHA1, Size: mrlog.SHA1.Size()}}
	case AAEL:
		for _, a := range mrlog.Known() {
			t.table = append(t.table, mrlog.AlgSize{Alg: a, Size: a.Size()})
		}
	default:
		t.table = t.opts.Algs
		if len(t.table) == 0 {
			var what string
			if t.table, what = banks(records); what != "" {
				return what
			}
		}
		h := SpecID{NoSignature: t.dialect == CoCo, Algs: t.table}
		if !h.NoSignature {
			h.Major, h.UintnSize = 2, 2
		}
		data := h.Append(nil)
		t.buf = appendPlace(t.buf, 0, mrlog.EventNoAction)
		t.buf = append(t.buf, make([]byte, mrlog.SHA1.Size())...)
		t.buf = append(binary.LittleEndian.AppendUint32(t.buf, uint32(len(data))), data...)
	}
	return ""
}

// banks returns the algorithms of the records' digests, in the order in which
// they come.
func banks(records []mrlog.Record) ([]mrlog.AlgSize, string) {
	var table []mrlog.AlgSize
	for i := range records {
		for _, d := range records[i].Digests {
			if slices.ContainsFunc(table, func(a mrlog.AlgSize) bool { return a.Alg == d.Alg }) {
				continue
			}
			a := mrlog.AlgSize{Alg: d.Alg, Size: len(d.Sum)}
			if err := checkAlg(nil, a); err != nil {
				if i > 0 {
					continue // the record itself will say so
				}
				return nil, err.Error()
			}
			if len(table) == mrlog.MaxDigests {
				return nil, fmt.Sprintf("a header with more than %d algorithms", mrlog.MaxDigests)
			}
			table = append(table, a)
		}
	}
	if len(table) == 0 {
		return nil, "the record has no digest"
	}
	return table, ""
}

// append appends a record, or returns what of it cannot be carried.
func (t *Writer) append(r *mrlog.Record) string {
	event, what := carried(r)
	if what != "" {
		return what
	}
	if what := t.place(r, event); what != "" {
		return what
	}
	if len(r.Content) > MaxEvent {
		return fmt.Sprintf("event of %d bytes is above the limit of %d", len(r.Content), MaxEvent)
	}
	first := t.space == mrlog.NoSpace
	header := false
	if first && t.dialect != AAEL {
		_, header, _ = headed(r)
	}
	switch {
	case header && t.dialect != SHA1:
		// In the SHA-1 shape, as in its log.
	case t.dialect == SHA1:
		if !oneSHA1(r.Digests) {
			return t.digests(r)
		}
		if event|r.Register.Index == 0 && zero(r.Digests[0].Sum) {
			return "an EV_PREBOOT_CERT event in index 0 with a zero digest reads as the end of the log"
		}
	default:
		if what := t.digests(r); what != "" {
			return what
		}
		if event|r.Register.Index == 0 && r.Register.Space == mrlog.CCMR {
			return "an event of index 0 and type 0 reads as the end of a CC log"
		}
	}
	t.space = r.Register.Space
	b := appendPlace(t.buf, r.Register.Index, event)
	if header || t.dialect == SHA1 {
		b = append(b, r.Digests[0].Sum...)
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Digests)))
		for i := range r.Digests {
			b = binary.LittleEndian.AppendUint16(b, uint16(r.Digests[i].Alg))
			b = append(b, r.Digests[i].Sum...)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Content)))
	t.buf = append(b, r.Content...)
	return ""
}

// place returns what of the record's register cannot be carried.
func (t *Writer) place(r *mrlog.Record, event uint32) string {
	reg := r.Register
	switch {
	case reg.Space == mrlog.RTMR:
		return fmt.Sprintf("register %s: a TCG log has PCRs or CC-MRs; map the log to ccmr", reg)
	case reg.Space != mrlog.PCR && reg.Space != mrlog.CCMR:
		return fmt.Sprintf("register %s is neither a PCR nor a CC-MR", reg)
	case t.space != mrlog.NoSpace && reg.Space != t.space:
		return fmt.Sprintf("register %s in a log of indexes in space %s", reg, t.space)
	case reg.Index > mrlog.MaxIndex && (reg.Index != mrlog.NoIndex || event != mrlog.EventNoAction):
		return fmt.Sprintf("register index %d is too large", reg.Index)
	}
	return ""
}

// digests returns what of the record's digests does not fit the banks.
func (t *Writer) digests(r *mrlog.Record) string {
	if len(r.Digests) == 0 {
		return "the record has no digest"
	}
	for i, d := range r.Digests {
		row := slices.IndexFunc(t.table, func(a mrlog.AlgSize) bool { return a.Alg == d.Alg })
		switch {
		case row < 0 && t.dialect == AAEL:
			return fmt.Sprintf("digest of the unknown algorithm %s, and no header states its size", d.Alg)
		case row < 0:
			return fmt.Sprintf("digest of %s, which is none of the log's banks", d.Alg)
		case len(d.Sum) != t.table[row].Size:
			return fmt.Sprintf("%s digest of %d bytes in a bank of %d", d.Alg, len(d.Sum), t.table[row].Size)
		case slices.ContainsFunc(r.Digests[:i], func(e mrlog.Digest) bool { return e.Alg == d.Alg }):
			return fmt.Sprintf("two %s digests", d.Alg)
		}
	}
	if t.dialect == SHA1 && len(r.Digests) != 1 {
		return fmt.Sprintf("%d digests, and a log in the SHA-1 format has one", len(r.Digests))
	}
	return ""
}

// carried returns the event type that a record is written with, or why the
// format has none for it.
func carried(r *mrlog.Record) (uint32, string) {
	switch {
	case r.Form != mrlog.FormRaw:
		return 0, describe(r) + " is in the form of another format"
	case r.Type == mrlog.TypePCClient && len(r.Name) != 0:
		return 0, fmt.Sprintf("name %.40q of a TCG event", r.Name)
	case r.Type == mrlog.TypePCClient && r.NotExtended != (r.Event == mrlog.EventNoAction):
		if r.NotExtended {
			return 0, fmt.Sprintf("an event of type %d that was not extended", r.Event)
		}
		return 0, "an EV_NO_ACTION event that was extended"
	case r.Type == mrlog.TypePCClient:
		return r.Event, ""
	case r.Type != mrlog.TypeCCCEL:
		return 0, describe(r) + " is no TCG event"
	case r.NotExtended:
		return 0, "a native record that was not extended"
	case r.IsInit():
		return mrlog.EventAction, initCarried(r)
	}
	return mrlog.EventAction, ""
}

// describe names a record's content.
func describe(r *mrlog.Record) string {
	if r.Type == mrlog.TypeNamed {
		return fmt.Sprintf("content of type %.40q", r.Name)
	}
	if name, ok := mrlog.TypeName(r.Type); ok {
		return fmt.Sprintf("content of type %s (%d)", name, r.Type)
	}
	return fmt.Sprintf("content of type %d", r.Type)
}

// initCarried returns why an INIT record cannot be an event: replays of a TCG
// log begin with the reset value.
func initCarried(r *mrlog.Record) string {
	values, err := mrlog.ParseInit(r.Content)
	if err != nil {
		return err.Error()
	}
	for _, v := range values {
		if !bytes.Equal(v.Sum, r.Register.ResetValue(v.Alg)) {
			return fmt.Sprintf("INIT states the %s value %x, and a TCG log begins with the reset value of %s", v.Alg, v.Sum, r.Register)
		}
	}
	return ""
}

func appendPlace(dst []byte, index, event uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(dst, index), event)
}
