// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

// jsonStream is what the readers of the JSON forms share: the input, the
// parser of one record, and the faults.
type jsonStream struct {
	src   jsonSource
	rec   jsonRecord
	head  mrlog.Header
	lines bool  // the form has lines to count
	count int64 // records read
	end   error // of the log, or what is wrong with it; sticky
}

func (s *jsonStream) init(r io.Reader, o Options, format string) {
	s.src.r = r
	s.rec.opts = o
	s.head.Format = format
	s.end = o.check()
}

// read fills b by calls of next, which adds one record or returns an error.
func (s *jsonStream) read(b *mrlog.Batch, next func(*mrlog.Batch) error) error {
	b.Reset()
	for s.end == nil && !b.Full() {
		n := len(b.Records)
		if err := next(b); err != nil {
			b.Records = b.Records[:n] // without a record that was not completed
			s.end = err
		}
	}
	if len(b.Records) > 0 {
		return nil // the error, if any, is the next call's
	}
	return s.end
}

// fault says what is wrong at an offset of the input, in the window or where it
// begins. The record is the number of the one at fault, or -1.
func (s *jsonStream) fault(offset, record int64, err error) error {
	line := 0
	if s.lines {
		w := s.src.window()
		n := min(max(offset-s.src.offset(), 0), int64(len(w)))
		line = 1 + s.src.line + bytes.Count(w[:n], []byte{'\n'})
	}
	return &mrlog.SyntaxError{Format: s.head.Format, Line: line, Offset: offset, Record: record, Err: err}
}

// outside is the fault of something beside the records at the present place.
func (s *jsonStream) outside(format string, args ...any) error {
	return s.fault(s.src.offset(), -1, fmt.Errorf(format, args...))
}

// cut is the fault of an input that ends too soon, or the error of the
// underlying reader that ended it.
func (s *jsonStream) cut(err error, record int64, what string) error {
	if err != io.EOF {
		return err
	}
	return s.fault(s.src.base+int64(s.src.end), record, errors.New("input ends "+what))
}

// next returns the next byte that is not white space. If there is none, what
// says where the input ends too soon.
func (s *jsonStream) next(what string) (byte, error) {
	c, err := s.src.next()
	if err != nil {
		return 0, s.cut(err, -1, what)
	}
	return c, nil
}

// frame returns the object or string at the present place, valid, without
// consuming it.
func (s *jsonStream) frame(limit int, tooLong error, record int64) ([]byte, error) {
	var f jsonFrame
	for {
		w := s.src.window()
		done, err := f.scan(w, MaxJSONDepth+1)
		switch {
		case done && f.at <= limit:
			if at, err := s.rec.check.check(w[:f.at]); err != nil {
				return nil, s.fault(s.src.offset()+int64(at), record, err)
			}
			return w[:f.at], nil
		case done || err == nil && len(w) > limit:
			err = tooLong
		}
		if err == nil {
			if err = s.src.more(); err == nil {
				continue
			}
			if err != io.EOF {
				return nil, err
			}
			err = errors.New("input ends within a record")
			if record < 0 {
				err = errors.New("input ends within a string")
			}
			f.at = len(w)
		}
		// The value is too much or not complete. Its cause is the first thing
		// that is wrong in it: a quotation mark that was forgotten, say.
		f.at = min(f.at, limit)
		if at, first := s.rec.check.check(w[:f.at]); first != nil && !errors.Is(first, io.ErrUnexpectedEOF) {
			err, f.at = first, at
		}
		return nil, s.fault(s.src.offset()+int64(f.at), record, err)
	}
}

// record reads the object at the present place as a record.
func (s *jsonStream) record(b *mrlog.Batch) error {
	if c := s.src.buf[s.src.pos]; c != '{' {
		return s.fault(s.src.offset(), s.count, fmt.Errorf("record begins with %q, want an object", c))
	}
	v, err := s.frame(MaxJSONRecord, errJSONRecord, s.count)
	if err != nil {
		return err
	}
	r := b.Add()
	r.Span = mrlog.Span{Offset: s.src.offset(), Length: len(v)}
	at, err := s.rec.parse(v, b, r)
	if err != nil {
		return s.fault(s.src.offset()+int64(at), s.count, err)
	}
	if s.lines {
		r.Span.Line = 1 + s.src.line
		s.src.line += bytes.Count(v, []byte{'\n'})
	}
	if s.count == 0 {
		s.head.Space, s.head.SpaceAssumed = r.Register.Space, assumed(r)
		if s.rec.late && r.Number == 1 && s.head.Dialect == "array" {
			s.head.Dialect = "pcrlock"
		}
	}
	s.count++
	s.src.pos += len(v)
	return nil
}

// jsonState is what a JSONReader expects next.
type jsonState uint8

const (
	jsonStart   jsonState = iota
	jsonFirst             // first record of an array, or its end
	jsonRecords           // comma and record, or the array's end
	jsonMembers           // members of the envelope, or its end
	jsonLines             // record, or the end of the log
)

// JSONReader reads a canonical event log in JSON (CEL 1.1, JSON encoding), in
// one of four dialects: "array", an array of records; "pcrlock", the same as
// systemd-pcrlock prints it, its records counted from 1 over the whole log; "envelope", the object
// {"log":[…],"mr":HEX} that converters of native logs write, its names in any
// order; "lines", one record after the other, each on a line of its own. It
// says in [mrlog.Header] which one it saw.
//
// It reads what producers write: keys in any order, white space, algorithms and
// event types in their several spellings, content types by name or number,
// records without a number. A record for which [JSONWriter] would have written
// other bytes has NoteNonCanonical. It refuses what could mean two things, or
// would be lost: names that it does not know or that occur twice, text that is
// not UTF-8, algorithms that occur twice, anything after the log's end.
type JSONReader struct {
	s     jsonStream
	state jsonState

	envelope bool
	members  int // of the envelope, so far
	log      bool
	mr       string
}

// NewJSONReader returns a reader of the log r. The reader holds at most one
// record, see [MaxJSONRecord], and what a batch takes.
func NewJSONReader(r io.Reader, o Options) *JSONReader {
	d := new(JSONReader)
	d.s.init(r, o, formatJSON)
	return d
}

// Header describes the log. It is complete once the first Read has returned.
func (d *JSONReader) Header() mrlog.Header { return d.s.head }

// Read fills b with the next records; see [mrlog.Reader].
func (d *JSONReader) Read(b *mrlog.Batch) error { return d.s.read(b, d.next) }

// MR returns the register value that an envelope states, in hexadecimal as it
// stands, and whether there is one. It is known once Read has returned io.EOF,
// and is no more than a claim of the log.
func (d *JSONReader) MR() (value string, ok bool) { return d.mr, d.mr != "" }

// next adds one record to b.
func (d *JSONReader) next(b *mrlog.Batch) error {
	for {
		var err error
		switch d.state {
		case jsonStart:
			err = d.start()
		case jsonMembers:
			err = d.member()
		case jsonLines:
			return d.line(b)
		default:
			var done bool
			if done, err = d.element(b); err == nil && !done {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// start finds out the dialect.
func (d *JSONReader) start() error {
	c, err := d.s.next("without a log: it is empty")
	if err != nil {
		return err
	}
	switch c {
	case '[':
		d.s.head.Dialect = "array"
		d.s.src.pos++
		d.state = jsonFirst
	case '{':
		name, err := d.firstName()
		if err != nil {
			return err
		}
		if isRecordName(name) {
			d.s.head.Dialect = "lines"
			d.s.lines = true
			d.state = jsonLines
			break
		}
		d.s.head.Dialect = "envelope"
		d.s.src.pos++
		d.envelope = true
		d.state = jsonMembers
	default:
		return d.s.outside("log begins with %q, want an array or an object", c)
	}
	return nil
}

// firstName returns the first name in the object at the present place, without
// consuming anything, or "" if it is not soon to be seen.
func (d *JSONReader) firstName() (string, error) {
	for {
		w := d.s.src.window()
		rest := bytes.TrimLeft(w[1:], " \t\r\n")
		if len(rest) > 0 && rest[0] != '"' {
			return "", nil
		}
		var f jsonFrame
		if done, err := f.scan(rest, 1); done || err != nil {
			name, err := jsontext.AppendUnquote(nil, rest[:f.at])
			if err != nil {
				return "", nil
			}
			return string(name), nil
		}
		if len(w) > maxEnvelopeText {
			return "", nil
		}
		if err := d.s.src.more(); err == io.EOF {
			return "", nil
		} else if err != nil {
			return "", err
		}
	}
}

// line reads a record of the dialect "lines".
func (d *JSONReader) line(b *mrlog.Batch) error {
	line := d.s.src.line
	switch _, err := d.s.src.next(); {
	case err != nil:
		return err // the end of the log, or the underlying reader's error
	case d.s.count > 0 && d.s.src.line == line:
		return d.s.outside("no newline after the record before")
	}
	return d.s.record(b)
}

// element reads the next record of the array, or its end.
func (d *JSONReader) element(b *mrlog.Batch) (done bool, err error) {
	c, err := d.s.next("within the array of records: its ] is missing")
	if err != nil {
		return false, err
	}
	if c == ']' {
		d.s.src.pos++
		d.state = jsonMembers
		if !d.envelope {
			err = d.trailer()
		}
		return true, err
	}
	if d.state != jsonFirst {
		if c != ',' {
			return false, d.s.outside("%q after a record, want a comma or ]", c)
		}
		d.s.src.pos++
		if _, err = d.s.next("after a comma: a record is missing"); err != nil {
			return false, err
		}
	}
	d.state = jsonRecords
	return false, d.s.record(b)
}

// trailer reads what follows the log: nothing.
func (d *JSONReader) trailer() error {
	c, err := d.s.src.next()
	if err != nil {
		return err
	}
	return d.s.outside("%q after the end of the log", c)
}

// member reads the next member of the envelope up to its value's end, or up to
// the first record, or the envelope's end.
func (d *JSONReader) member() error {
	const unfinished = "within the envelope: its } is missing"
	c, err := d.s.next(unfinished)
	if err != nil {
		return err
	}
	if c == '}' {
		if !d.log {
			return d.s.outside(`envelope has no "log"`)
		}
		d.s.src.pos++
		return d.trailer()
	}
	if d.members > 0 {
		if c != ',' {
			return d.s.outside("%q in the envelope, want a comma or }", c)
		}
		d.s.src.pos++
		if c, err = d.s.next(unfinished); err != nil {
			return err
		}
	}
	d.members++
	start := d.s.src.offset()
	name, err := d.text(c, "a name")
	if err != nil {
		return err
	}
	if name != "log" && name != "mr" {
		return d.s.fault(start, -1, fmt.Errorf(`envelope has a member %.40q (known: "log", "mr")`, name))
	}
	if name == "log" && d.log || name == "mr" && d.mr != "" {
		return d.s.fault(start, -1, fmt.Errorf("envelope has two members %q", name))
	}
	if c, err = d.s.next(unfinished); err != nil {
		return err
	}
	if c != ':' {
		return d.s.outside("%q after the name %q, want a colon", c, name)
	}
	d.s.src.pos++
	if c, err = d.s.next(unfinished); err != nil {
		return err
	}
	if name == "log" {
		if c != '[' {
			return d.s.outside(`"log" begins with %q, want an array`, c)
		}
		d.s.src.pos++
		d.log = true
		d.state = jsonFirst
		return nil
	}
	start = d.s.src.offset()
	if d.mr, err = d.text(c, `"mr"`); err != nil {
		return err
	}
	if n := len(d.mr); n == 0 || n%2 != 0 || n > 2*mrlog.MaxUnknownDigestSize ||
		slices.ContainsFunc([]byte(d.mr), func(c byte) bool { return jsonHexDigits[c] == 0 }) {
		return d.s.fault(start, -1, fmt.Errorf(`"mr" is %.40q, want a register value in hexadecimal`, d.mr))
	}
	return nil
}

// maxEnvelopeText bounds the strings of an envelope as they stand: two names,
// and a register value, generously escaped.
const maxEnvelopeText = 4096

// text reads the string at the present place, whose first byte is c.
func (d *JSONReader) text(c byte, what string) (string, error) {
	if c != '"' {
		return "", d.s.outside("%q in the envelope, want %s", c, what)
	}
	tooLong := fmt.Errorf("string in the envelope is longer than %d bytes: %w", maxEnvelopeText, mrlog.ErrLimit)
	raw, err := d.s.frame(maxEnvelopeText, tooLong, -1)
	if err != nil {
		return "", err
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", d.s.outside("string cannot be read: %w", err)
	}
	d.s.src.pos += len(raw)
	return string(text), nil
}

// SeqReader reads a canonical event log as a JSON text sequence (RFC 7464), the
// form in which systemd keeps its log: each record is the byte 0x1E, a JSON
// object, and a newline. An empty input is an empty log.
//
// Records are read as [JSONReader] reads them. What precedes the first 0x1E is
// no record, and left out as systemd does it; [SeqReader.Skipped] tells. RFC
// 7464 would have a parser go on after a text that is cut off; here that is an
// error, because what it drops was measured. So is a record with a NUL byte, of
// which systemd's reader glues the next record to the rest.
type SeqReader struct {
	s       jsonStream
	begun   bool
	skipped mrlog.Span
}

// NewSeqReader returns a reader of the log r. The reader holds at most one
// record, see [MaxJSONRecord], and what a batch takes.
func NewSeqReader(r io.Reader, o Options) *SeqReader {
	d := new(SeqReader)
	d.s.init(r, o, formatSeq)
	d.s.lines = true
	d.s.rec.seq = true
	return d
}

// Header describes the log. It is complete once the first Read has returned.
func (d *SeqReader) Header() mrlog.Header { return d.s.head }

// Read fills b with the next records; see [mrlog.Reader].
func (d *SeqReader) Read(b *mrlog.Batch) error { return d.s.read(b, d.next) }

// Skipped returns the place of what precedes the first record separator, if
// something does. It is known once the first Read has returned.
func (d *SeqReader) Skipped() (mrlog.Span, bool) { return d.skipped, d.skipped.Length > 0 }

// begin goes to the first record separator.
func (d *SeqReader) begin() error {
	d.begun = true
	src := &d.s.src
	for {
		w := src.window()
		n := bytes.IndexByte(w, recordSeparator)
		if n >= 0 {
			w = w[:n]
		}
		src.line += bytes.Count(w, []byte{'\n'})
		src.pos += len(w)
		d.skipped.Length += len(w)
		if n >= 0 {
			d.skipped.Line = 1
			return nil
		}
		switch err := src.more(); {
		case err == io.EOF && d.skipped.Length > 0:
			return &mrlog.SyntaxError{Format: formatSeq, Line: 1, Record: -1, Err: errors.New("log has no record separator 0x1E")}
		case err != nil:
			return err
		}
	}
}

func (d *SeqReader) next(b *mrlog.Batch) error {
	s := &d.s
	if !d.begun {
		if err := d.begin(); err != nil {
			return err // the end of an empty log, say
		}
	}
	if _, err := s.src.next(); err != nil {
		return err // the end of the log, or the underlying reader's error
	}
	if c := s.src.buf[s.src.pos]; c != recordSeparator {
		return s.outside("%q after a record, want the record separator 0x1E", c)
	}
	s.src.pos++
	switch c, err := s.src.next(); {
	case err != nil:
		return s.cut(err, s.count, "after a record separator: the last record is cut off")
	case c == recordSeparator:
		return s.fault(s.src.offset(), s.count, errors.New("record is empty"))
	}
	if err := s.record(b); err != nil {
		return d.explain(err)
	}
	// The newline is what proves that the text was written to its end.
	for {
		if s.src.pos == s.src.end {
			if err := s.src.more(); err != nil {
				return s.cut(err, s.count-1, "without a newline: the last record may be cut off")
			}
		}
		switch c := s.src.buf[s.src.pos]; c {
		case '\n':
			s.src.line++
			s.src.pos++
			return nil
		case ' ', '\t', '\r':
			s.src.pos++
		case recordSeparator:
			return s.fault(s.src.offset(), s.count-1, errors.New("no newline at the record's end: it may be cut off"))
		case 0:
			return s.fault(s.src.offset(), s.count-1, errNUL)
		default:
			return s.fault(s.src.offset(), s.count-1, fmt.Errorf("%q after the record's object", c))
		}
	}
}

var errNUL = errors.New("record holds a NUL byte")

// explain says of a fault at a record separator or a NUL what it means in a
// sequence.
func (d *SeqReader) explain(err error) error {
	e, ok := errors.AsType[*mrlog.SyntaxError](err)
	if !ok {
		return err
	}
	w := d.s.src.window()
	at := e.Offset - d.s.src.offset()
	if at < 0 || at >= int64(len(w)) {
		return err
	}
	switch w[at] {
	case recordSeparator:
		e.Err = errors.New("record is cut off: the next record separator comes before its end")
	case 0:
		e.Err = errNUL
	}
	return e
}
