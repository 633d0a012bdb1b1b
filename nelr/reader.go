// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
)

// Format is the name of the format in headers and errors.
const Format = "nelr"

// ErrTorn says that the last line of a log has no newline: its writer died in
// the middle of it, or the file was cut. It was never measured as it stands.
var ErrTorn = errors.New("last line is torn: it does not end in a newline")

// DefaultRegister is the register of a log that does not name one: RTMR 2, as
// the original format assumes.
func DefaultRegister() mrlog.Register { return mrlog.Register{Space: mrlog.RTMR, Index: 2} }

// Options of a Reader. The zero value reads a log as the specification says.
type Options struct {
	// Register that the log is of, whatever its hint says. With SpaceAssumed
	// only its number is the caller's knowledge.
	Register     mrlog.Register
	SpaceAssumed bool

	// Default is the register of a log that does not name its own; the zero
	// value stands for DefaultRegister, which is an assumption.
	Default mrlog.Register

	// IgnoreTorn reads a log with a torn last line as if that line were not
	// there; Torn tells. By default it is an error.
	IgnoreTorn bool

	// MaxLog bounds the bytes that are read; 0 stands for the constant MaxLog.
	MaxLog int64
}

// Reader reads a native log as records, each with its digests computed in
// every bank that INIT lists. It implements [mrlog.Hasher].
type Reader struct {
	src    io.Reader
	limit  int64
	ignore bool

	header   mrlog.Header
	register mrlog.Register
	given    bool       // the register is the caller's: hints do not count
	note     mrlog.Note // of every record

	algs    []mrlog.Alg
	sumSize int // bytes of a record's digests in all banks

	rest   []byte // read beyond the last batch
	chunk  int    // bytes to ask for next
	stop   error  // of src: io.EOF, or what went wrong
	offset int64  // of the next byte to scan
	line   int    // lines scanned
	number uint64
	torn   mrlog.Span
	err    error // ends the log once the batch at hand is given out
}

const (
	minChunk = 4 << 10
	maxChunk = 2 * mrlog.BatchBytes // at 1 KiB a line, enough records to share out
)

// NewReader returns a Reader of the log in r. It reads r in blocks, so put no
// buffer between.
func NewReader(r io.Reader, o Options) *Reader {
	n := &Reader{
		src: r, limit: o.MaxLog, ignore: o.IgnoreTorn, chunk: maxChunk,
		register: o.Register, given: o.Register != mrlog.Register{},
		header: mrlog.Header{Format: Format, Derived: true},
	}
	if n.limit == 0 {
		n.limit = MaxLog
	}
	assumed := o.SpaceAssumed
	if !n.given {
		n.register, assumed = o.Default, false
		if o.Default == (mrlog.Register{}) {
			n.register, assumed = DefaultRegister(), true
		}
	}
	if assumed {
		n.note = mrlog.NoteSpaceAssumed
	}
	return n
}

// Header describes the log; complete once the first Read has returned.
func (r *Reader) Header() mrlog.Header {
	h := r.header
	h.Space = r.register.Space
	h.SpaceAssumed = r.note != 0
	return h
}

// Torn returns the place of the torn last line that IgnoreTorn left out, if
// there was one.
func (r *Reader) Torn() (mrlog.Span, bool) { return r.torn, r.torn.Line > 0 }

// Read fills b with the next records and computes their digests.
func (r *Reader) Read(b *mrlog.Batch) error {
	if err := r.Scan(b); err != nil {
		return err
	}
	r.Hash(b.Records)
	return nil
}

// Hash computes the digests of records that Scan has filled in. It may run on
// disjoint records at once, and during a Scan into another batch.
func (r *Reader) Hash(records []mrlog.Record) {
	for i := range records {
		rec := &records[i]
		for _, d := range rec.Digests {
			d.Alg.AppendSum(d.Sum[:0], rec.Content)
		}
	}
}

// Scan fills b with the next records; their digests are in place, but not
// computed.
func (r *Reader) Scan(b *mrlog.Batch) error {
	for {
		// At every turn: a block without a record left nothing to keep, and
		// a long run of comments must not pile up.
		b.Reset()
		if r.err != nil {
			return r.err
		}
		r.scan(b, r.fill(b))
		if len(b.Records) > 0 {
			r.placeDigests(b)
			return nil
		}
	}
}

// fill returns the next block of the log in memory of the batch: what the last
// one left, and more until there is a whole line, or src ends or fails.
func (r *Reader) fill(b *mrlog.Batch) []byte {
	buf := b.Alloc(max(r.chunk, len(r.rest)))
	n := copy(buf, r.rest)
	whole := bytes.IndexByte(buf[:n], '\n') >= 0
	r.rest = r.rest[:0]
	for idle := 0; r.stop == nil && (!whole || n < len(buf)/2); {
		if n == len(buf) {
			if n > MaxLine {
				break // scan names the line
			}
			longer := b.Alloc(min(2*len(buf), MaxLine+1))
			copy(longer, buf)
			buf = longer
		}
		m, err := r.src.Read(buf[n:])
		whole = whole || bytes.IndexByte(buf[n:n+m], '\n') >= 0
		n += m
		idle++
		if m > 0 {
			idle = 0
		}
		switch {
		case err != nil:
			r.stop = err
		case idle == 100:
			r.stop = io.ErrNoProgress
		case whole && m < len(buf)/4:
			return buf[:n] // a slow source: give out what is there
		}
	}
	return buf[:n]
}

// scan turns the lines of text into records, and keeps what is left over.
func (r *Reader) scan(b *mrlog.Batch, text []byte) {
	size := len(text)
	for r.err == nil && len(b.Records) < mrlog.BatchRecords {
		end := bytes.IndexByte(text, '\n')
		if end < 0 || end > MaxLine {
			r.tail(text, end)
			break
		}
		r.take(b, text[:end])
		r.offset += int64(end) + 1
		text = text[end+1:]
	}
	if r.err == nil {
		r.rest = append(r.rest, text...)
		// Ask for about as much as makes a batch: what is left over is
		// copied.
		switch {
		case len(text) > size/2:
			r.chunk = max(r.chunk/2, minChunk)
		case len(b.Records) < mrlog.BatchRecords/2:
			r.chunk = min(2*r.chunk, maxChunk)
		}
	}
}

// tail handles text that does not hold a whole line of allowed length.
func (r *Reader) tail(text []byte, end int) {
	switch {
	case end > MaxLine || len(text) > MaxLine:
		r.line++
		r.fail(0, fmt.Errorf("line is longer than %d bytes: %w", MaxLine, mrlog.ErrLimit))
	case r.stop == io.EOF:
		// Not errors.Is: a wrapped EOF is some layer's failure, and the log
		// would be cut without a word.
		if len(text) > 0 {
			r.line++
		}
		if Measured(text) {
			if !r.ignore {
				r.fail(len(text), ErrTorn)
				return
			}
			r.torn = mrlog.Span{Offset: r.offset, Length: len(text), Line: r.line}
		}
		r.end()
	case r.stop != nil:
		r.err = r.stop
	}
}

// end is reached after the last whole line.
func (r *Reader) end() {
	if r.algs == nil {
		r.fail(0, errors.New("log has no INIT record"))
		return
	}
	r.err = io.EOF
}

// take adds a line, without its newline, to the batch if it is a record.
func (r *Reader) take(b *mrlog.Batch, line []byte) {
	r.line++
	if r.offset+int64(len(line)) >= r.limit {
		r.fail(0, fmt.Errorf("log is larger than %d bytes: %w", r.limit, mrlog.ErrLimit))
		return
	}
	if !Measured(line) {
		if r.algs == nil && len(line) > 0 {
			r.hint(line)
		}
		return
	}
	if r.algs == nil {
		values, err := mrlog.ParseInit(line)
		if err != nil {
			r.fail(0, fmt.Errorf("first record: %w", err))
			return
		}
		for _, v := range values {
			r.algs = append(r.algs, v.Alg)
			r.header.Algs = append(r.header.Algs, mrlog.AlgSize{Alg: v.Alg, Size: v.Alg.Size()})
			r.sumSize += v.Alg.Size()
		}
	} else if mrlog.IsInit(line) {
		r.fail(0, errors.New("second INIT record: a log has one, its first record"))
		return
	}
	rec := b.Add()
	rec.Number, rec.HasNumber = r.number, true
	rec.Register = r.register
	rec.Type = mrlog.TypeCCCEL
	rec.Notes = r.note
	rec.Content = line
	rec.Span = mrlog.Span{Offset: r.offset, Length: len(line), Line: r.line}
	r.number++
}

// hint takes the register's name from a hint before the first record, the last
// one there. A later one comes too late: the register of a log does not change.
func (r *Reader) hint(line []byte) {
	key, value, ok := ParseHint(line)
	if !ok || key != HintRegister || r.given {
		return
	}
	if reg, err := mrlog.ParseRegister(value); err == nil && reg.String() == value {
		r.register, r.note = reg, 0
	}
}

// placeDigests gives every record of the batch its digests, not yet computed.
func (r *Reader) placeDigests(b *mrlog.Batch) {
	sums := b.Alloc(r.sumSize * len(b.Records))
	digests := b.NewDigests(len(r.algs) * len(b.Records))
	for i := range b.Records {
		mine := digests[:len(r.algs):len(r.algs)]
		digests = digests[len(r.algs):]
		for j, alg := range r.algs {
			size := alg.Size()
			mine[j] = mrlog.Digest{Alg: alg, Sum: sums[:size:size]}
			sums = sums[size:]
		}
		b.Records[i].Digests = mine
	}
}

// fail ends the log with an error so many bytes into the line at hand.
func (r *Reader) fail(into int, err error) {
	number := int64(r.number)
	if r.algs == nil {
		number = -1
	}
	r.err = &mrlog.SyntaxError{Format: Format, Line: max(r.line, 1), Offset: r.offset + int64(into), Record: number, Err: err}
}
