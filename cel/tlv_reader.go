// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

// formatTLV names the encoding in headers and errors.
const formatTLV = "cel-tlv"

const (
	// maxDigestsTLV is the size of the longest digests field.
	maxDigestsTLV = mrlog.MaxDigests * (tlvHead + mrlog.MaxUnknownDigestSize)

	// minBlock is the first block of a log that is read: a hostile one may be
	// short, and claim to be long. Blocks double up to a whole batch.
	minBlock = 8 << 10

	// maxContentTLV is the size of the longest content field: the heads and
	// integers of its sub-TLVs come on top of the content.
	maxContentTLV = MaxContent + 64
)

// Dialect is a way of writing the integers of a TLV log.
type Dialect string

// The dialects that are written.
const (
	Minimal    Dialect = "minimal"     // fewest bytes: CEL 1.1, libcel
	GoEventlog Dialect = "go-eventlog" // number in 8 bytes, index in 1; index type 108 for a CC-MR
	FourByte   Dialect = "4-byte"      // number, index and event type in 4 bytes
)

// Dialects that are only seen.
const (
	dialectMixed = "mixed" // records of several dialects
	dialectOther = "other" // widths that belong to none
)

// dialects is a set of dialects, of those that would write the integers of a
// record with the widths that were seen.
type dialects uint8

const (
	inMinimal dialects = 1 << iota
	inGoEventlog
	inFourByte
	inAny = inMinimal | inGoEventlog | inFourByte
)

// String returns the dialect that a log which fits all of d is reported as.
func (d dialects) String() string {
	switch {
	case d&inMinimal != 0:
		return string(Minimal)
	case d&inGoEventlog != 0:
		return string(GoEventlog)
	case d&inFourByte != 0:
		return string(FourByte)
	}
	return dialectOther
}

// TLVReader reads a log in TLV. See [NewTLVReader].
type TLVReader struct {
	src    source.Source
	opts   Options
	header mrlog.Header
	err    error // that the next Read returns

	records   int64
	fits      dialects // that all records so far fit, unless mixed
	mixed     bool
	indexType byte // of the first record
	last      tlvLast
	sums      []mrlog.Digest // of the batch, not handed out yet
	scratch   []byte

	// What Header says of the dialect, which later records can change while a
	// consumer asks for it: fits, and the two marks.
	seen atomic.Uint32
}

const (
	hasSeen  = 1 << 30 // at least one record
	hasMixed = 1 << 31 // mixed
)

// tlvBatch is how many records are read at a time. So many stay in a
// processor's first-level cache, and reading a record in place costs little
// more than filling it in: with more of them it costs half as much again.
const tlvBatch = 128

// NewTLVReader returns a reader of the records of a log in TLV. It takes
// integers of any width from one to eight bytes, register indexes of the types
// 1, 2 and 108, also mixed (which go-eventlog refuses), and content of any
// type. Fields must stand in their order: recnum, index, digests, content.
//
// Header.Dialect is one of the [Dialect] values, "other" for widths that
// belong to none of them, or "mixed" once a record differs from those before;
// it is settled by the first record that only one dialect would write. A record
// that the writer of the dialect would have written otherwise is marked
// [mrlog.NoteNonCanonical]. Header.SpaceAssumed says whether the space of the
// first record was assumed, see [Options].
//
// An empty input is a log without records. Memory grows with the bytes that
// arrive, whatever lengths they state, up to [MaxRecord]; a larger record is an
// error that wraps [mrlog.ErrLimit]. Errors of r are returned as they are.
func NewTLVReader(r io.Reader, o Options) *TLVReader {
	return newTLVReader(source.New(r, minBlock, mrlog.BatchBytes), o)
}

// NewTLVReaderBytes is NewTLVReader for a log that is in memory, without a copy
// of it: the records borrow log itself, which must not change while they are
// in use, and hold as long as it does.
func NewTLVReaderBytes(log []byte, o Options) *TLVReader {
	return newTLVReader(source.InMemory(log, minBlock, mrlog.BatchBytes), o)
}

func newTLVReader(src source.Source, o Options) *TLVReader {
	t := &TLVReader{
		src:    src,
		opts:   o,
		header: mrlog.Header{Format: formatTLV},
		fits:   inAny,
	}
	t.err = o.check()
	return t
}

// Header describes the log as far as it has been read. It may be called during
// any Read but the first.
func (t *TLVReader) Header() mrlog.Header {
	h := t.header
	switch seen := t.seen.Load(); {
	case seen&hasMixed != 0:
		h.Dialect = dialectMixed
	case seen != 0:
		h.Dialect = dialects(seen &^ hasSeen).String()
	}
	return h
}

// Read implements [mrlog.Reader].
func (t *TLVReader) Read(b *mrlog.Batch) error {
	b.Reset()
	if t.err != nil {
		return t.err
	}
	buf := t.src.Begin(b)
	t.sums = nil
	n := 0
	for len(b.Records) < tlvBatch {
		n += t.alike(b, buf[n:], t.src.Base+int64(n))
		if len(b.Records) == tlvBatch {
			break
		}
		size, err := t.parse(b, buf[n:], t.src.Base+int64(n))
		if size > 0 {
			n += size
			t.records++
			continue
		}
		if err != nil {
			t.err = err
			break
		}
		if len(b.Records) > 0 {
			break
		}
		// Not one whole record yet.
		if buf, err = t.fill(b, buf, -size); err != nil {
			t.err = err
			return err
		}
	}
	if t.src.End(buf, n); len(b.Records) == 0 {
		return t.err
	}
	seen := uint32(t.fits) | hasSeen
	if t.mixed {
		seen |= hasMixed
	}
	t.seen.Store(seen)
	return nil
}

// fill reads until buf holds need bytes. The end of the input is io.EOF only
// between records.
func (t *TLVReader) fill(b *mrlog.Batch, buf []byte, need int) ([]byte, error) {
	for len(buf) < need {
		var err error
		switch buf, err = t.src.More(b, buf); {
		case err == io.EOF && len(buf) > 0:
			return buf, t.fault(t.src.Base+int64(len(buf)), errCut)
		case err != nil:
			return buf, err
		}
	}
	return buf, nil
}

var errCut = fmt.Errorf("the log ends within a record: %w", io.ErrUnexpectedEOF)

func (t *TLVReader) fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: formatTLV, Offset: offset, Record: t.records, Err: err}
}

// fieldErr says that a field is not one of those that may stand at its place.
func fieldErr(got byte, want string) error {
	return fmt.Errorf("field of type %d where %s must stand", got, want)
}

// tlvFrame is where the fields of a record begin, and how long they are.
type tlvFrame struct {
	index, digests, content         int
	numberLen, indexLen, digestsLen uint32
}

// measure finds the frame of the record that p begins with: its fields in their
// order, none longer than it may be. Each head is checked as soon as its bytes
// are there, so that garbage is not waited upon. If p ends before the length of
// the content it returns how many bytes are needed to tell more.
func (t *TLVReader) measure(p []byte, base int64) (f tlvFrame, need int, err error) {
	if len(p) > 0 && p[0] != fieldNumber {
		return f, 0, t.fault(base, fieldErr(p[0], "recnum (0)"))
	}
	if len(p) < tlvHead {
		return f, lack(p, 0), nil
	}
	if f.numberLen = binary.BigEndian.Uint32(p[1:]); f.numberLen-1 > 7 {
		return f, 0, t.fault(base+1, widthErr("recnum", f.numberLen))
	}
	f.index = tlvHead + int(f.numberLen)

	if len(p) > f.index && !isIndex(p[f.index]) {
		return f, 0, t.fault(base+int64(f.index), fieldErr(p[f.index], "a register index (1, 2 or 108)"))
	}
	if len(p) < f.index+tlvHead {
		return f, lack(p, f.index), nil
	}
	if f.indexLen = binary.BigEndian.Uint32(p[f.index+1:]); f.indexLen-1 > 7 {
		return f, 0, t.fault(base+int64(f.index)+1, widthErr("register index", f.indexLen))
	}
	f.digests = f.index + tlvHead + int(f.indexLen)

	if len(p) > f.digests && p[f.digests] != fieldDigests {
		return f, 0, t.fault(base+int64(f.digests), fieldErr(p[f.digests], "digests (3)"))
	}
	if len(p) < f.digests+tlvHead {
		return f, lack(p, f.digests), nil
	}
	if f.digestsLen = binary.BigEndian.Uint32(p[f.digests+1:]); f.digestsLen > maxDigestsTLV {
		return f, 0, t.fault(base+int64(f.digests)+1, limitErr("digests", f.digestsLen, maxDigestsTLV))
	}
	f.content = f.digests + tlvHead + int(f.digestsLen)

	if len(p) > f.content && isField(p[f.content]) {
		return f, 0, t.fault(base+int64(f.content), fieldErr(p[f.content], "content"))
	}
	if len(p) < f.content+tlvHead {
		return f, lack(p, f.content), nil
	}
	return f, 0, nil
}

// lack returns how many bytes p must have to tell more of the field at an
// offset: first of its type, then of its length.
func lack(p []byte, field int) int {
	if len(p) <= field {
		return field + 1
	}
	return field + tlvHead
}

// parse adds the record that p begins with to b and returns its size. If p is
// too short the size is negative: so many bytes are needed to say more.
func (t *TLVReader) parse(b *mrlog.Batch, p []byte, base int64) (int, error) {
	f, need, err := t.measure(p, base)
	if need > 0 || err != nil {
		return -need, err
	}
	index, digests, content := f.index, f.digests, f.content
	indexType := p[index]
	contentLen := binary.BigEndian.Uint32(p[content+1:])
	if contentLen > maxContentTLV {
		return 0, t.fault(base+int64(content)+1, limitErr("content", contentLen, MaxContent))
	}
	size := content + tlvHead + int(contentLen)
	if len(p) < size {
		return -size, nil
	}
	p = p[:size:size]

	// The values.
	number := loadInt(p[tlvHead:index])
	place := loadInt(p[index+tlvHead : digests])
	if place > mrlog.MaxIndex && tooLarge(place) && (indexType != fieldNV || place > math.MaxUint32) {
		return 0, t.fault(base+int64(index)+tlvHead, fmt.Errorf("register index %d is too large", place))
	}
	sums, at, err := t.digests(b, p[digests+tlvHead:content])
	if err != nil {
		return 0, t.fault(base+int64(digests)+tlvHead+int64(at), err)
	}

	r := b.Add()
	r.Number, r.HasNumber = number, true
	r.Digests = sums
	r.Type = mrlog.ContentType(p[content])
	r.Content = p[content+tlvHead:]
	r.Span = mrlog.Span{Offset: base, Length: size}

	// Which dialects would have written these widths.
	fits := fitting(indexType, int(f.numberLen), number, int(f.indexLen), place)
	switch r.Type {
	case mrlog.TypePCClient, mrlog.TypeIMATemplate, mrlog.TypeCEL:
		if at, err := t.nested(b, r, &fits); err != nil {
			b.Records = b.Records[:len(b.Records)-1]
			return 0, t.fault(base+int64(content)+tlvHead+int64(at), err)
		}
	}
	if contentLen > MaxContent && len(r.Content)+len(r.Name) > MaxContent {
		b.Records = b.Records[:len(b.Records)-1]
		return 0, t.fault(base+int64(content)+1, limitErr("content", contentLen, MaxContent))
	}

	switch indexType {
	case fieldNV:
		r.Register = mrlog.Register{Space: mrlog.NV, Index: uint32(place)}
	case fieldCCMR:
		r.Register = mrlog.Register{Space: mrlog.CCMR, Index: uint32(place)}
	default:
		t.opts.plain(r, uint32(place))
	}
	if err := checkIndex(r); err != nil {
		b.Records = b.Records[:len(b.Records)-1]
		return 0, t.fault(base+int64(index)+tlvHead, err)
	}
	if t.records == 0 {
		t.header.Space, t.header.SpaceAssumed = r.Register.Space, assumed(r)
		t.indexType = indexType
		t.fits = fits
	}
	if indexType != t.indexType {
		fits &^= inGoEventlog // its writer mixes no index types
	}
	switch both := t.fits & fits; {
	case both != 0:
		t.fits = both
	case t.records > 0 && t.fits|fits != 0:
		t.mixed = true
		fallthrough
	default:
		r.Notes |= mrlog.NoteNonCanonical
	}
	t.remember(p, f, r, fits)
	return size, nil
}

// isIndex reports whether a type is that of a register index.
func isIndex(t byte) bool { return t == fieldPCR || t == fieldCCMR || t == fieldNV }

// isField reports whether a type is that of a field before the content.
func isField(t byte) bool { return t <= fieldDigests || t == fieldCCMR }

func widthErr(what string, n uint32) error {
	return fmt.Errorf("%s of %d bytes, want 1 to 8", what, n)
}

func limitErr(what string, n uint32, limit int) error {
	return fmt.Errorf("%s of %d bytes, the limit is %d: %w", what, n, limit, mrlog.ErrLimit)
}

// loadInt reads a big-endian integer of one to eight bytes.
func loadInt(v []byte) uint64 {
	switch len(v) {
	case 1:
		return uint64(v[0])
	case 4:
		return uint64(binary.BigEndian.Uint32(v))
	case 8:
		return binary.BigEndian.Uint64(v)
	}
	n, _ := parseInt(v)
	return n
}

// fitting returns the dialects that write a number and an index of a type with
// these widths.
func fitting(indexType byte, numberLen int, number uint64, indexLen int, index uint64) dialects {
	var d dialects
	if numberLen == minimalLen(number) && indexLen == minimalLen(index) {
		d |= inMinimal
	}
	if numberLen == 8 && indexLen == 1 && indexType != fieldNV {
		d |= inGoEventlog
	}
	if numberLen == 4 && indexLen == 4 {
		d |= inFourByte
	}
	return d
}

// digests reads the value of a digests field. With an error it returns where
// in v the fault is.
func (t *TLVReader) digests(b *mrlog.Batch, v []byte) ([]mrlog.Digest, int, error) {
	count := 0
	for at := 0; at < len(v); count++ {
		if len(v)-at < tlvHead {
			return nil, at, errors.New("digest is cut off by the end of the digests")
		}
		n := int64(binary.BigEndian.Uint32(v[at+1:]))
		if n > int64(len(v)-at-tlvHead) {
			return nil, at + 1, fmt.Errorf("digest of %d bytes, the digests end after %d", n, len(v)-at-tlvHead)
		}
		if alg := mrlog.Alg(v[at]); alg.Size() != int(n) || n == 0 {
			if err := checkDigest(alg, int(n)); err != nil {
				return nil, at, err
			}
		}
		if count == mrlog.MaxDigests {
			return nil, at, fmt.Errorf("more than %d digests: %w", mrlog.MaxDigests, mrlog.ErrLimit)
		}
		at += tlvHead + int(n)
	}
	if count == 0 {
		return nil, 0, errors.New("no digest")
	}
	sums := t.newDigests(b, count)
	for i, at := 0, 0; i < count; i++ {
		end := at + tlvHead + int(binary.BigEndian.Uint32(v[at+1:]))
		sums[i] = mrlog.Digest{Alg: mrlog.Alg(v[at]), Sum: v[at+tlvHead : end : end]}
		for _, d := range sums[:i] {
			if d.Alg == sums[i].Alg {
				return nil, at, fmt.Errorf("two %s digests", d.Alg)
			}
		}
		at = end
	}
	return sums, 0, nil
}

// newDigests returns n digests of the batch, which it takes many at a time.
func (t *TLVReader) newDigests(b *mrlog.Batch, n int) []mrlog.Digest {
	if len(t.sums) < n {
		t.sums = b.NewDigests(digestRun)
	}
	sums := t.sums[:n:n]
	t.sums = t.sums[n:]
	return sums
}

// nested interprets a content made of TLVs and sets what it says of the record.
// It narrows fits to the dialects that write it with these widths, if any is
// left; what no dialect would write like this is noted. Well-formed content of
// another shape than its type's stays whole, as FormTLV. With an error it
// returns where in the content the fault is.
func (t *TLVReader) nested(b *mrlog.Batch, r *mrlog.Record, fits *dialects) (int, error) {
	v := r.Content
	r.Form = mrlog.FormTLV
	if at, err := checkTLVs(v); err != nil {
		return at, err
	}
	if r.Type == mrlog.TypeCEL {
		var ok bool
		if t.scratch, ok = appendManagement(t.scratch[:0], v); ok && !bytes.Equal(t.scratch, v) {
			r.Content = b.Copy(t.scratch)
			r.Notes |= mrlog.NoteNonCanonical
		}
		r.NotExtended = ok && managementNotExtended(r.Content)
		return 0, nil
	}

	pair, at, err := cutPair(v)
	if err != nil {
		return at, err
	}
	if r.Type == mrlog.TypeIMATemplate {
		if !pair.isTemplate() {
			return 0, nil
		}
		r.Form, r.Name, r.Content = mrlog.FormRaw, pair.value[0], pair.value[1]
		if pair.seen[0] && len(r.Name) == 0 {
			r.Name = nil // no name, written as an empty one
			r.Notes |= mrlog.NoteNonCanonical
		}
		if pair.swapped {
			r.Notes |= mrlog.NoteNonCanonical
		}
		return 0, nil
	}

	event, ok := pair.event()
	if !ok {
		return 0, nil
	}
	r.Form, r.Event, r.Content = mrlog.FormRaw, event, pair.value[1]
	r.NotExtended = event == evNoAction
	if pair.swapped {
		r.Notes |= mrlog.NoteNonCanonical
	}
	var width dialects
	if len(pair.value[0]) == minimalLen(uint64(event)) {
		width |= inMinimal | inGoEventlog
	}
	if len(pair.value[0]) == 4 {
		width |= inFourByte
	}
	if *fits&width != 0 {
		*fits &= width
	} else {
		r.Notes |= mrlog.NoteNonCanonical
	}
	return 0, nil
}
