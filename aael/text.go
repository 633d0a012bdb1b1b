// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package aael

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
	"mrlog.dev/internal/line"
)

// FormatText is the name of the older form in headers and errors.
const FormatText = "aael-text"

// The spellings of INIT, by which the dialects are named.
const (
	AlgSlash  = "INIT ALG/HEX" // what the agent wrote
	InitSlash = "INIT/ALG HEX" // what was published
)

// MaxLine bounds a line. It is that of native logs, so that every line can be
// converted.
const MaxLine = 1 << 20

// maxInit bounds an INIT line whose spelling is this format's own.
const maxInit = 256

// ErrTorn says that the last line of a log has no newline: its writer died in
// the middle of it, or the file was cut.
var ErrTorn = errors.New("last line is torn: it does not end in a newline")

// Options of a TextReader. The zero value reads a log of a TDX guest.
type Options struct {
	// Register that the log is of. If it is not given it is that of PCR 17:
	// RTMR 3, which is an assumption, or in another Space CC-MR 4 or PCR 17
	// itself.
	Register mrlog.Register

	// Space of the register.
	Space mrlog.Space

	// IgnoreTorn reads a log with a torn last line as if that line were not
	// there; Torn tells. By default it is an error.
	IgnoreTorn bool
}

// register returns the register, and the note of its records.
func (o Options) register() (mrlog.Register, mrlog.Note, error) {
	switch {
	case o.Register != (mrlog.Register{}):
		if o.Register.Space == mrlog.NoSpace || o.Space != mrlog.NoSpace && o.Space != o.Register.Space {
			return o.Register, 0, fmt.Errorf("register %s is not in space %q", o.Register, o.Space)
		}
		return o.Register, 0, nil
	case o.Space == mrlog.NoSpace:
		return mrlog.Register{Space: mrlog.RTMR, Index: 3}, mrlog.NoteSpaceAssumed, nil
	case o.Space == mrlog.RTMR:
		return mrlog.Register{Space: mrlog.RTMR, Index: 3}, 0, nil
	case o.Space == mrlog.CCMR:
		return mrlog.Register{Space: mrlog.CCMR, Index: 4}, 0, nil
	case o.Space == mrlog.PCR:
		return mrlog.Register{Space: mrlog.PCR, Index: 17}, 0, nil
	}
	return mrlog.Register{}, 0, fmt.Errorf("log cannot be in space %q (want pcr, ccmr or rtmr)", o.Space)
}

// initLine is what an INIT line says.
type initLine struct {
	values  []mrlog.Digest
	dialect string
	native  bool // a native log can have it
}

// parseInit reads an INIT line in any spelling.
func parseInit(text []byte) (initLine, error) {
	if values, err := mrlog.ParseInit(text); err == nil {
		return initLine{values, AlgSlash, true}, nil
	}
	i := initLine{dialect: AlgSlash}
	rest, ok := bytes.CutPrefix(text, []byte("INIT "))
	sep := []byte{'/'}
	if !ok {
		if rest, ok = bytes.CutPrefix(text, []byte("INIT/")); !ok {
			return i, errors.New("first line is not INIT ALG/HEX or INIT/ALG HEX")
		}
		i.dialect, sep = InitSlash, []byte{' '}
	}
	name, digits, ok := bytes.Cut(rest, sep)
	if !ok {
		return i, fmt.Errorf("INIT %.40q is not of the form %s", rest, i.dialect)
	}
	alg, err := mrlog.ParseAlg(string(name))
	switch {
	case err != nil:
		return i, err
	case alg.Size() == 0:
		return i, fmt.Errorf("INIT names an unknown algorithm: %s", alg)
	case len(digits) == 0 || len(digits) > 2*alg.Size():
		return i, fmt.Errorf("INIT %s value has %d hexadecimal digits, want 1 to %d", alg, len(digits), 2*alg.Size())
	}
	padded := append(bytes.Repeat([]byte{'0'}, 2*alg.Size()-len(digits)), digits...)
	sum := make([]byte, alg.Size())
	if _, err := hex.Decode(sum, padded); err != nil {
		return i, fmt.Errorf("INIT %s value is not hexadecimal", alg)
	}
	i.values = []mrlog.Digest{{Alg: alg, Sum: sum}}
	return i, nil
}

// isInit reports whether a line is an INIT line in any spelling, well formed or
// not; INIT/ may be the beginning of a domain.
func isInit(text []byte) bool {
	if mrlog.IsInit(text) {
		return true
	}
	_, err := parseInit(text)
	return err == nil
}

// TextReader reads a log of the older form. It implements [mrlog.Hasher].
type TextReader struct {
	lines  *line.Reader
	ignore bool
	reg    mrlog.Register
	note   mrlog.Note

	head mrlog.Header
	init []mrlog.Digest // as stated; nil before the first line
	size int            // of a record's digests

	count int64
	torn  mrlog.Span
	end   error // sticky
}

// NewTextReader returns a TextReader of the log in r. It reads r in blocks, so
// put no buffer between.
func NewTextReader(r io.Reader, o Options) *TextReader {
	t := &TextReader{lines: line.NewReader(r, MaxLine), ignore: o.IgnoreTorn}
	t.reg, t.note, t.end = o.register()
	t.head = mrlog.Header{Format: FormatText, Space: t.reg.Space, SpaceAssumed: t.note != 0, Derived: true}
	return t
}

// Header describes the log. It is complete once the first Read has returned.
func (t *TextReader) Header() mrlog.Header { return t.head }

// Init returns the value that the register had before, as the log states it and
// padded to its size, one per bank. It is known once the first Read has
// returned, and is a claim of the log.
func (t *TextReader) Init() []mrlog.Digest { return slices.Clone(t.init) }

// Torn returns the place of the torn last line that IgnoreTorn left out, if
// there was one.
func (t *TextReader) Torn() (mrlog.Span, bool) { return t.torn, t.torn.Line > 0 }

// Read fills b with the next records and computes their digests.
func (t *TextReader) Read(b *mrlog.Batch) error {
	err := t.Scan(b)
	if err == nil {
		t.Hash(b.Records)
	}
	return err
}

// Hash computes the digests of records that Scan has filled in.
func (t *TextReader) Hash(records []mrlog.Record) {
	for i := range records {
		for _, d := range records[i].Digests {
			d.Alg.AppendSum(d.Sum[:0], records[i].Content)
		}
	}
}

// Scan is Read but for the digests; see [mrlog.Hasher].
func (t *TextReader) Scan(b *mrlog.Batch) error {
	b.Reset()
	for t.end == nil && !b.Full() {
		t.end = t.next(b)
	}
	if len(b.Records) > 0 {
		return nil // the error, if any, is the next call's
	}
	return t.end
}

// next adds one record to b.
func (t *TextReader) next(b *mrlog.Batch) error {
	text, torn, err := t.lines.Next()
	for err == nil && len(text) == 0 {
		text, torn, err = t.lines.Next()
	}
	switch {
	case err == io.EOF && t.init == nil:
		return t.fault(0, errors.New("log has no INIT line"))
	case errors.Is(err, line.ErrLong):
		return t.fault(0, fmt.Errorf("line is longer than %d bytes: %w", MaxLine, mrlog.ErrLimit))
	case err != nil:
		return err
	case torn && !t.ignore:
		return t.fault(len(text), ErrTorn)
	case torn:
		t.torn = mrlog.Span{Offset: t.lines.Offset(), Length: len(text), Line: t.lines.Line()}
		if t.init == nil {
			return t.fault(0, errors.New("log has no INIT line"))
		}
		return io.EOF
	}
	action := false
	switch {
	case t.init == nil:
		i, err := parseInit(text)
		if err != nil {
			return t.fault(0, err)
		}
		action = !i.native && bytes.Equal(i.values[0].Sum, t.reg.ResetValue(i.values[0].Alg))
		t.init, t.head.Dialect = i.values, i.dialect
		for _, v := range i.values {
			t.head.Algs = append(t.head.Algs, mrlog.AlgSize{Alg: v.Alg, Size: v.Alg.Size()})
			t.size += v.Alg.Size()
		}
	case isInit(text):
		return t.fault(0, errors.New("second INIT line: a log has one, its first line"))
	}
	r := b.Add()
	r.Register, r.Notes, r.Type = t.reg, t.note, mrlog.TypeCCCEL
	if action {
		r.Type, r.Event = mrlog.TypePCClient, mrlog.EventAction
	}
	r.Content = b.Copy(text)
	r.Span = mrlog.Span{Offset: t.lines.Offset(), Length: len(text), Line: t.lines.Line()}
	sums := b.Alloc(t.size)
	r.Digests = b.NewDigests(len(t.init))
	for i, v := range t.init {
		n := v.Alg.Size()
		r.Digests[i] = mrlog.Digest{Alg: v.Alg, Sum: sums[:n:n]}
		sums = sums[n:]
	}
	t.count++
	return nil
}

// fault is an error so many bytes into the line at hand.
func (t *TextReader) fault(into int, err error) error {
	record := t.count
	if t.init == nil {
		record = -1
	}
	return &mrlog.SyntaxError{Format: FormatText, Line: t.lines.Line(), Offset: t.lines.Offset() + int64(into), Record: record, Err: err}
}
