// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// MaxEvent bounds one event as text. The largest in real logs, UEFI variables in
// base64 and in details once more, stay below 256 KiB.
const MaxEvent = 8 << 20

// maxCCMR is the last index of a CC measurement register.
const maxCCMR = 4

// ReaderOptions say how events are to be read. The zero value reads what the
// log says.
type ReaderOptions struct {
	// Space that the indexes are in: PCR, CCMR or RTMR. By default claims
	// of one bank, SHA-384 or SM3, and indexes up to 4 are of CC-MRs, others
	// of PCRs; and what Trust Authority's clients log is of CC-MRs.
	Space mrlog.Space
}

// events is what the readers share.
type events struct {
	dec    *strict.Decoder
	head   mrlog.Header
	opts   ReaderOptions
	object strict.Object
	inner  strict.Object
	buf    []byte
	count  int64
	begun  bool
	end    error // sticky
}

func newEvents(r io.Reader, o ReaderOptions, format string) events {
	e := events{dec: strict.NewDecoder(r, format, MaxEvent), opts: o, head: mrlog.Header{Format: format, Space: o.Space}}
	if o.Space > mrlog.RTMR {
		e.end = fmt.Errorf("indexes cannot be in space %q (want pcr, ccmr or rtmr)", o.Space)
	}
	return e
}

// read fills b by calls of next, which adds one record or returns an error.
func (e *events) read(b *mrlog.Batch, next func(*mrlog.Batch) error) error {
	b.Reset()
	if !e.begun && e.end == nil {
		e.begun = true
		e.end = e.dec.Token('[')
	}
	for e.end == nil && !b.Full() {
		n := len(b.Records)
		e.dec.Record = e.count
		if err := next(b); err != nil {
			b.Records = b.Records[:n] // without a record that was not completed
			e.end = err
			break
		}
		e.count++
	}
	if len(b.Records) > 0 {
		return nil // the error, if any, is the next call's
	}
	return e.end
}

// finish reads what follows the log: nothing.
func (e *events) finish() error {
	e.dec.Record = -1
	if err := e.dec.End(); err != nil {
		return err
	}
	return io.EOF
}

// text returns the string raw.
func (e *events) text(raw []byte) (string, error) {
	var ok bool
	if e.buf, ok = strict.AppendText(e.buf[:0], raw); !ok {
		return "", fmt.Errorf("%.40q is not a string", raw)
	}
	return string(e.buf), nil
}

// digest reads the value of a digest of alg into b.
func (e *events) digest(raw []byte, alg mrlog.Alg, b *mrlog.Batch) (mrlog.Digest, error) {
	var err error
	if e.buf, _, err = strict.AppendHex(e.buf[:0], raw); err != nil {
		return mrlog.Digest{}, err
	}
	n, want := len(e.buf), alg.Size()
	switch {
	case want != 0 && n != want:
		return mrlog.Digest{}, fmt.Errorf("%s digest has %d bytes, want %d", alg, n, want)
	case n == 0 || n > mrlog.MaxUnknownDigestSize:
		return mrlog.Digest{}, fmt.Errorf("%s digest has %d bytes", alg, n)
	}
	return mrlog.Digest{Alg: alg, Sum: b.Copy(e.buf)}, nil
}

// whole makes the event as it stands the content.
func whole(b *mrlog.Batch, r *mrlog.Record, raw []byte) {
	r.Event, r.Form, r.Content = 0, mrlog.FormJSON, b.Copy(raw)
}

// ClaimsReader reads the claims that trustee derives from a log.
type ClaimsReader struct{ e events }

// NewClaimsReader returns a reader of the array uefi_event_logs.
func NewClaimsReader(r io.Reader, o ReaderOptions) *ClaimsReader {
	return &ClaimsReader{newEvents(r, o, Claims)}
}

// Header describes the log. It is complete once the first Read has returned.
func (c *ClaimsReader) Header() mrlog.Header { return c.e.head }

// Read fills b with the next records; see [mrlog.Reader].
func (c *ClaimsReader) Read(b *mrlog.Batch) error { return c.e.read(b, c.next) }

func (c *ClaimsReader) next(b *mrlog.Batch) error {
	more, err := c.e.dec.More()
	if err != nil {
		return err
	}
	if !more {
		return c.e.finish()
	}
	raw, offset, err := c.e.dec.Value()
	if err != nil {
		return err
	}
	r := b.Add()
	r.Span = mrlog.Span{Offset: offset, Length: len(raw)}
	if at, err := c.parse(b, r, raw); err != nil {
		return c.e.dec.Fault(offset+int64(at), err)
	}
	return nil
}

// parse reads a claim into r. With an error it returns where in raw it is.
func (c *ClaimsReader) parse(b *mrlog.Batch, r *mrlog.Record, raw []byte) (at int, err error) {
	e := &c.e
	if !e.object.Reset(raw) {
		return 0, errors.New("event is not an object")
	}
	var index, data, named, known bool
	for {
		name, value, at, ok := e.object.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "index":
			index = true
			var n uint64
			n, err = strict.Uint(value, math.MaxUint32)
			r.Register.Index = uint32(n)
		case "type_name":
			named = true
			var text string
			text, err = e.text(value)
			r.Event, known = mrlog.EventByName(text)
		case "event":
			data = true
			if e.buf, err = strict.AppendBase64(e.buf[:0], value); err == nil {
				r.Content = b.Copy(e.buf)
			}
		case "digests":
			err = c.digests(b, r, value)
		}
		if err != nil {
			return at, fmt.Errorf("%s: %w", name, err)
		}
	}
	r.Type = mrlog.TypePCClient
	r.NotExtended = known && r.Event == mrlog.EventNoAction
	switch end := len(raw) - 1; {
	case !index:
		return end, errors.New(`event has no "index"`)
	case !named:
		return end, errors.New(`event has no "type_name"`)
	case !data:
		return end, errors.New(`event has no "event"`)
	case len(r.Digests) == 0:
		return end, errors.New("event has no digest")
	}
	if !known {
		whole(b, r, raw)
	}
	return 0, c.place(r)
}

// place sets the space of a record's register, by the first record that was
// extended.
func (c *ClaimsReader) place(r *mrlog.Record) error {
	h := &c.e.head
	if h.Space == mrlog.NoSpace {
		h.Space = mrlog.PCR
		if alg := r.Digests[0].Alg; len(r.Digests) == 1 && (alg == mrlog.SHA384 || alg == mrlog.SM3) && r.Register.Index <= maxCCMR {
			h.Space, h.SpaceAssumed = mrlog.CCMR, true
		}
	}
	r.Register.Space = h.Space
	if h.SpaceAssumed {
		r.Notes |= mrlog.NoteSpaceAssumed
		if r.Register.Index > maxCCMR && !r.NotExtended {
			return fmt.Errorf("index %d in claims that were taken for those of CC-MRs: state the space of the registers", r.Register.Index)
		}
	}
	if r.Register.Index > mrlog.MaxIndex && !(r.NotExtended && r.Register.Index == mrlog.NoIndex) {
		return fmt.Errorf("register index %d is above %d", r.Register.Index, mrlog.MaxIndex)
	}
	return nil
}

// digests reads the array of a claim's digests.
func (c *ClaimsReader) digests(b *mrlog.Batch, r *mrlog.Record, raw []byte) error {
	var list [mrlog.MaxDigests]mrlog.Digest
	n := 0
	for value, ok := range strict.Elements(raw) {
		if !ok || !c.e.inner.Reset(value) {
			return errors.New("not an array of objects")
		}
		if n == mrlog.MaxDigests {
			return fmt.Errorf("more than %d: %w", mrlog.MaxDigests, mrlog.ErrLimit)
		}
		var (
			alg mrlog.Alg
			sum []byte
		)
		for {
			name, v, _, ok := c.e.inner.Next()
			if !ok {
				break
			}
			switch string(name) {
			case "alg":
				text, err := c.e.text(v)
				if err != nil {
					return err
				}
				if alg, err = mrlog.ParseAlg(text); err != nil {
					return err
				}
			case "digest":
				sum = v
			}
		}
		if alg == 0 || sum == nil {
			return errors.New("one has no algorithm or no value")
		}
		d, err := c.e.digest(sum, alg, b)
		if err != nil {
			return err
		}
		for _, other := range list[:n] {
			if other.Alg == d.Alg {
				return fmt.Errorf("two of %s", d.Alg)
			}
		}
		list[n] = d
		n++
	}
	r.Digests = b.NewDigests(n)
	copy(r.Digests, list[:n])
	return nil
}

// IntelReader reads the log of a client of Intel Trust Authority.
type IntelReader struct {
	e     events
	group bool // an array of events is open
	reg   mrlog.Register
	alg   mrlog.Alg
}

// NewIntelReader returns a reader of the array in r.
func NewIntelReader(r io.Reader, o ReaderOptions) *IntelReader {
	i := &IntelReader{e: newEvents(r, o, Intel)}
	if o.Space == mrlog.NoSpace {
		i.e.head.Space, i.e.head.SpaceAssumed = mrlog.CCMR, true
	}
	return i
}

// Header describes the log. It is complete once the first Read has returned.
func (i *IntelReader) Header() mrlog.Header { return i.e.head }

// Read fills b with the next records; see [mrlog.Reader].
func (i *IntelReader) Read(b *mrlog.Batch) error { return i.e.read(b, i.next) }

func (i *IntelReader) next(b *mrlog.Batch) error {
	for {
		more, err := i.e.dec.More()
		if err != nil {
			return err
		}
		switch {
		case more && i.group:
			return i.event(b)
		case more:
			err = i.open()
		case i.group:
			i.group = false
			err = i.rest()
		default:
			return i.e.finish()
		}
		if err != nil {
			return err
		}
	}
}

// open reads a group up to its events.
func (i *IntelReader) open() error {
	dec := i.e.dec
	if err := dec.Token('{'); err != nil {
		return err
	}
	for known := false; ; {
		more, err := dec.More()
		if err != nil {
			return err
		}
		if !more {
			return dec.Fault(dec.Offset(), errors.New(`group has no "rtmr_events"`))
		}
		name, err := dec.Name()
		if err != nil {
			return err
		}
		switch name {
		case "rtmr":
			raw, at, err := dec.Value()
			if err == nil {
				if err = i.register(raw); err != nil {
					err = dec.Fault(at, fmt.Errorf("%s: %w", name, err))
				}
			}
			if err != nil {
				return err
			}
			known = true
		case "rtmr_events":
			if !known {
				return dec.Fault(dec.Offset(), errors.New(`events stand before the "rtmr" that they are of`))
			}
			if kind, err := dec.Peek(); err != nil || kind == 'n' {
				if err == nil {
					err = dec.Skip() // null: a group without events
				}
				if err == nil {
					err = i.rest()
				}
				return err
			}
			i.group = true
			return dec.Token('[')
		default:
			if err := i.unknown(name); err != nil {
				return err
			}
		}
	}
}

// rest reads a group from the end of its events.
func (i *IntelReader) rest() error {
	more, err := i.e.dec.More()
	if err != nil || !more {
		return err
	}
	name, err := i.e.dec.Name()
	if err != nil {
		return err
	}
	return i.unknown(name)
}

func (i *IntelReader) unknown(name string) error {
	return i.e.dec.Fault(i.e.dec.Offset(), fmt.Errorf("group has a member %.40q, which mrlog does not know and would lose", name))
}

// register reads {"index":N,"bank":TEXT}.
func (i *IntelReader) register(raw []byte) error {
	o := &i.e.object
	if !o.Reset(raw) {
		return errors.New("not an object")
	}
	index := false
	i.reg, i.alg = mrlog.Register{Space: i.e.head.Space}, 0
	for {
		name, value, _, ok := o.Next()
		if !ok {
			break
		}
		var err error
		switch string(name) {
		case "index":
			index = true
			var n uint64
			n, err = strict.Uint(value, mrlog.MaxIndex)
			i.reg.Index = uint32(n)
		case "bank":
			var text string
			if text, err = i.e.text(value); err == nil {
				i.alg, err = mrlog.ParseAlg(text)
			}
		default:
			err = errors.New("mrlog does not know this and would lose it")
		}
		if err != nil {
			return fmt.Errorf("%.40s: %w", name, err)
		}
	}
	switch {
	case !index:
		return errors.New(`no "index"`)
	case i.alg == 0:
		return errors.New(`no "bank"`)
	case i.e.head.SpaceAssumed && i.reg.Index > maxCCMR:
		return fmt.Errorf("index %d is of no CC-MR: state the space of the registers", i.reg.Index)
	}
	return nil
}

// event reads the next event of a group.
func (i *IntelReader) event(b *mrlog.Batch) error {
	raw, offset, err := i.e.dec.Value()
	if err != nil {
		return err
	}
	fault := func(at int, err error) error { return i.e.dec.Fault(offset+int64(at), err) }
	o := &i.e.object
	if !o.Reset(raw) {
		return fault(0, errors.New("event is not an object"))
	}
	r := b.Add()
	r.Span = mrlog.Span{Offset: offset, Length: len(raw)}
	r.Register, r.Type = i.reg, mrlog.TypePCClient
	if i.e.head.SpaceAssumed {
		r.Notes = mrlog.NoteSpaceAssumed
	}
	typed := false
	for {
		name, value, at, ok := o.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "type_id":
			typed = true
			var text string
			if text, err = i.e.text(value); err == nil {
				var n uint64
				digits, hex := strings.CutPrefix(strings.ToLower(text), "0x")
				if n, err = strconv.ParseUint(digits, 16, 32); err != nil || !hex {
					err = fmt.Errorf("%.40q is not an event type in hexadecimal", text)
				}
				r.NotExtended = uint32(n) == mrlog.EventNoAction
			}
		case "measurement":
			var d mrlog.Digest
			if d, err = i.e.digest(value, i.alg, b); err == nil {
				r.Digests = b.NewDigests(1)
				r.Digests[0] = d
			}
		}
		if err != nil {
			return fault(at, fmt.Errorf("%s: %w", name, err))
		}
	}
	switch end := len(raw) - 1; {
	case !typed:
		return fault(end, errors.New(`event has no "type_id"`))
	case r.Digests == nil:
		return fault(end, errors.New(`event has no "measurement"`))
	}
	whole(b, r, raw)
	return nil
}
