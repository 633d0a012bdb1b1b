// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"mrlog.dev"
)

// Format is the name of the format in headers and errors.
const Format = "tcg"

// Dialect is a shape of a log.
type Dialect string

// The dialects.
const (
	Agile Dialect = "agile" // a Spec ID Event03 header, then records with a digest per bank
	CoCo  Dialect = "coco"  // the same, but the header's signature is zero
	AAEL  Dialect = "aael"  // records with a digest per bank and no header
	SHA1  Dialect = "sha1"  // records with one SHA-1 digest (TCG 1.2)
)

// Options says how a log is to be read. The zero value reads what the log
// says.
type Options struct {
	// Space that the indexes are in, PCR or CCMR. A log does not say; see
	// the package comment for what is assumed otherwise.
	Space mrlog.Space

	// Bare reads a log without a header: the file of CoCo's attestation
	// agent.
	Bare bool

	// IgnoreTrailing reads a log that is followed by bytes that are no
	// padding; Reader.End counts them. By default they are an error, because
	// records may be among them.
	IgnoreTrailing bool
}

// Reader reads a log. See [NewReader].
type Reader struct {
	src    window
	opts   Options
	header mrlog.Header
	err    error // that the next Read returns

	begun  bool
	head   bool // the next record is the header
	sha1   bool // records have the SHA-1 shape
	table  []mrlog.AlgSize
	few    [4]mrlog.AlgSize // room for the table of most logs
	note   mrlog.Note
	unsure bool // whether the indexes are those of CC-MRs

	records int64
	sums    []mrlog.Digest // of the batch, not handed out yet
	last    End
	padding atomic.Int64 // for Header, while Read counts
}

// batchRecords is how many records are read at a time: so many stay in a
// processor's first-level cache.
const batchRecords = 64

// usualSize is about how large the records of a real log are at the least; a
// batch begins with room for that many.
const usualSize = 96

// NewReader returns a reader of the records of the log in r, the header record
// among them. It reads r in blocks, so put no buffer between, and to its end,
// past the end of the log.
//
// Memory grows with the bytes that arrive, whatever lengths they state, up to
// one batch, [MaxEvent] and, where the space of the indexes has to be told,
// [MaxLookAhead]. Errors of r are returned as they are.
func NewReader(r io.Reader, o Options) *Reader {
	return newReader(window{r: r}, o)
}

// NewReaderBytes is NewReader for a log that is in memory, without a copy of
// it: the records borrow log itself, which must not change while they are in
// use, and hold as long as it does.
func NewReaderBytes(log []byte, o Options) *Reader {
	return newReader(window{mem: log}, o)
}

func newReader(src window, o Options) *Reader {
	r := &Reader{src: src, opts: o, header: mrlog.Header{Format: Format}}
	switch o.Space {
	case mrlog.NoSpace, mrlog.PCR, mrlog.CCMR:
	default:
		r.err = fmt.Errorf("indexes of a TCG log cannot be in space %q (want pcr or ccmr)", o.Space)
	}
	return r
}

// Header describes the log. It may be called during any Read but the first.
func (r *Reader) Header() mrlog.Header {
	h := r.header
	h.Algs = slices.Clone(h.Algs)
	h.Padding = r.padding.Load()
	return h
}

// End describes what stands after the last record. It is complete once Read
// has returned io.EOF, and until then zero.
func (r *Reader) End() End {
	if r.err != io.EOF {
		return End{}
	}
	return r.last
}

// Read implements [mrlog.Reader].
func (r *Reader) Read(b *mrlog.Batch) error {
	b.Reset()
	if r.err == nil && !r.begun {
		r.begin()
	}
	if r.err != nil {
		return r.err
	}
	buf := r.src.begin(b)
	r.sums = nil
	n := 0
	if b.Records == nil {
		b.Records = make([]mrlog.Record, 0, min(batchRecords, 1+len(buf)/usualSize))
	}
	var ended bool
	for {
		var used, need int
		used, need, ended = r.scan(b, buf[n:], r.src.base+int64(n))
		n += used
		if ended && len(b.Records) == 0 {
			r.src.end(buf, n)
			r.err = r.finish(b)
			return r.err
		}
		if len(b.Records) > 0 || r.err != nil {
			break
		}
		// Not one whole record yet, and no end.
		var err error
		if buf, err = r.src.more(b, buf); err == nil {
			continue
		}
		switch rest := buf[n:]; {
		case err != io.EOF:
			r.err = err
		case len(rest) == 0 || len(rest) >= flagSize && zero(rest) && need <= zeroFlag(r.sha1):
			// A zero flag that the end of the input cuts short.
			r.src.end(buf, n)
			r.err = r.finish(b)
		default:
			r.err = r.fault(r.src.base+int64(len(buf)), fmt.Errorf("the log ends within a record that begins at offset %d: %w", r.src.base+int64(n), io.ErrUnexpectedEOF))
		}
		return r.err
	}
	if r.unsure {
		r.settle(b, n, ended)
	}
	r.src.end(buf, n)
	r.src.expect(n, len(b.Records) == batchRecords)
	if len(b.Records) == 0 {
		return r.err
	}
	return nil
}

// fault is an error at the record at hand.
func (r *Reader) fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: Format, Offset: offset, Record: r.records, Err: err}
}

// finish counts what follows the last record.
func (r *Reader) finish(b *mrlog.Batch) error {
	r.last.Offset = r.src.base
	buf := r.src.begin(b)
	for {
		if at := r.last.take(buf); at >= 0 && !r.opts.IgnoreTrailing {
			return r.fault(r.src.base+int64(at), fmt.Errorf("the log ends at offset %d, and what follows is no padding", r.last.Offset))
		}
		r.padding.Store(r.last.Padding())
		var err error
		if buf, err = r.src.more(b, r.src.drop(buf)); err != nil {
			return err
		}
	}
}

// scan adds the records that p begins with to b, up to a whole batch, and
// returns their size. If it stops because p ends, need is how many bytes more
// than these would tell more; if because the log does, ended is true.
func (r *Reader) scan(b *mrlog.Batch, p []byte, base int64) (used, need int, ended bool) {
	for r.err == nil && len(b.Records) < batchRecords {
		var size int
		if r.sha1 || r.head {
			size, need, ended = r.old(b, p[used:], base+int64(used))
		} else {
			size, need, ended = r.agile(b, p[used:], base+int64(used))
		}
		used += size
		if need > 0 || ended {
			break
		}
	}
	return used, need, ended
}

// Sizes of the parts of a record.
const (
	oldSize    = 32 // of one in the SHA-1 shape, without its data
	placeSize  = 8  // index and type
	countSize  = 12 // index, type and number of digests
	algIDSize  = 2
	lengthSize = 4
)

// zeroFlag returns how many zero bytes end a log. It is more than the flag,
// because index 0 and type 0 (EV_PREBOOT_CERT) may stand at the beginning of a
// record of PCR 0; but then its digest, or the number of its digests, is not
// zero.
func zeroFlag(sha1 bool) int {
	if sha1 {
		return oldSize - lengthSize
	}
	return countSize
}

// old adds the records in the SHA-1 shape.
func (r *Reader) old(b *mrlog.Batch, p []byte, base int64) (used, need int, ended bool) {
	for len(b.Records) < batchRecords {
		q := p[used:]
		if len(q) < placeSize {
			return used, placeSize, false
		}
		index, event := binary.LittleEndian.Uint32(q), binary.LittleEndian.Uint32(q[4:])
		if index == event && (index == 0 || index == ^uint32(0)) && !r.head {
			if index != 0 {
				return used, 0, true
			}
			if len(q) < zeroFlag(true) {
				return used, zeroFlag(true), false
			}
			if zero(q[:zeroFlag(true)]) {
				return used, 0, true
			}
		}
		if len(q) < oldSize {
			return used, oldSize, false
		}
		length := binary.LittleEndian.Uint32(q[oldSize-lengthSize:])
		if err := r.check(index, event, base+int64(used)); err != nil {
			r.err = err
			return used, 0, false
		}
		if length > MaxEvent {
			r.err = r.fault(base+int64(used)+oldSize-lengthSize, limitErr("event", uint64(length), MaxEvent))
			return used, 0, false
		}
		size := oldSize + int(length)
		if len(q) < size {
			return used, size, false
		}
		if len(r.sums) == 0 {
			r.moreDigests(b, 1, len(q))
		}
		sums := r.sums[:1:1]
		r.sums = r.sums[1:]
		sums[0] = mrlog.Digest{Alg: mrlog.SHA1, Sum: q[placeSize : oldSize-lengthSize : oldSize-lengthSize]}
		r.add(b, index, event, sums, q[oldSize:size:size], base+int64(used), size)
		used += size
		if r.head {
			r.head = false
			return used, 0, false
		}
	}
	return used, 0, false
}

// agile adds records with a digest per bank.
func (r *Reader) agile(b *mrlog.Batch, p []byte, base int64) (used, need int, ended bool) {
	table := r.table
	for len(b.Records) < batchRecords {
		q := p[used:]
		if len(q) < countSize {
			if len(q) >= placeSize && binary.LittleEndian.Uint64(q) == ^uint64(0) {
				return used, 0, true
			}
			return used, countSize, false
		}
		index, event, count := binary.LittleEndian.Uint32(q), binary.LittleEndian.Uint32(q[4:]), binary.LittleEndian.Uint32(q[8:])
		if index == event && (index == 0 || index == ^uint32(0)) {
			// In a CC log nothing is extended into index 0.
			if index != 0 || count == 0 || r.header.Space == mrlog.CCMR {
				return used, 0, true
			}
		}
		if index > maxCCMR {
			if r.unsure && event != mrlog.EventNoAction && base+int64(used)+countSize <= MaxLookAhead {
				r.pcrs(b)
			}
			if err := r.check(index, event, base+int64(used)); err != nil {
				r.err = err
				return used, 0, false
			}
		}
		if count-1 >= uint32(len(table)) {
			r.err = r.fault(base+int64(used)+placeSize, countErr(count, len(table)))
			return used, 0, false
		}
		if uint(len(r.sums)) < uint(count) {
			r.moreDigests(b, int(count), len(q))
		}
		sums := r.sums[:count:count]
		at := countSize
		ordered := true
		for i := range sums {
			if len(q)-at < algIDSize {
				return used, at + algIDSize, false
			}
			row := &table[i]
			alg := mrlog.Alg(binary.LittleEndian.Uint16(q[at:]))
			if row.Alg != alg {
				var err error
				if row, err = r.row(alg, sums[:i]); err != nil {
					r.err = r.fault(base+int64(used+at), err)
					return used, 0, false
				}
				ordered = false
			} else if !ordered {
				if _, err := r.row(alg, sums[:i]); err != nil {
					r.err = r.fault(base+int64(used+at), err)
					return used, 0, false
				}
			}
			from := at + algIDSize
			at = from + row.Size
			if len(q) < at {
				return used, at, false
			}
			sums[i].Alg, sums[i].Sum = alg, q[from:at:at]
		}
		if len(q)-at < lengthSize {
			return used, at + lengthSize, false
		}
		length := binary.LittleEndian.Uint32(q[at:])
		if length > MaxEvent {
			r.err = r.fault(base+int64(used+at), limitErr("event", uint64(length), MaxEvent))
			return used, 0, false
		}
		at += lengthSize
		size := at + int(length)
		if len(q) < size {
			return used, size, false
		}
		r.sums = r.sums[count:]
		r.add(b, index, event, sums, q[at:size:size], base+int64(used), size)
		used += size
	}
	return used, 0, false
}

// add appends a record to the batch. It sets each field where it stands: to
// clear a record first takes a third of the time that it takes to read one.
func (r *Reader) add(b *mrlog.Batch, index, event uint32, sums []mrlog.Digest, data []byte, offset int64, size int) {
	n := len(b.Records)
	if n < cap(b.Records) {
		b.Records = b.Records[:n+1]
	} else {
		b.Records = append(b.Records, mrlog.Record{})
	}
	rec := &b.Records[n]
	rec.Number, rec.HasNumber = 0, false
	rec.Register.Space, rec.Register.Index = r.header.Space, index
	rec.Digests = sums
	rec.Type, rec.Form = mrlog.TypePCClient, mrlog.FormRaw
	rec.NotExtended = event == mrlog.EventNoAction
	rec.Notes = r.note
	rec.Event = event
	rec.Name = nil
	rec.Content = data
	rec.Span.Offset, rec.Span.Length, rec.Span.Line = offset, size, 0
	r.records++
}

// row returns the table's row of an algorithm that does not stand in the
// table's order, for a digest that follows others.
func (r *Reader) row(alg mrlog.Alg, before []mrlog.Digest) (*mrlog.AlgSize, error) {
	for _, d := range before {
		if d.Alg == alg {
			return nil, fmt.Errorf("two %s digests", alg)
		}
	}
	for i := range r.table {
		if r.table[i].Alg == alg {
			return &r.table[i], nil
		}
	}
	if r.opts.Bare {
		return nil, fmt.Errorf("digest of the unknown algorithm %s, and no header states its size", alg)
	}
	return nil, fmt.Errorf("digest of %s, which the header does not list", alg)
}

func countErr(count uint32, rows int) error {
	if count == 0 {
		return fmt.Errorf("the record has no digest")
	}
	return fmt.Errorf("the record has %d digests, of %d algorithms", count, rows)
}

// check refuses an index that no register has.
func (r *Reader) check(index, event uint32, offset int64) error {
	switch {
	case event == mrlog.EventNoAction && (index <= mrlog.MaxIndex || index == mrlog.NoIndex):
		return nil
	case index > mrlog.MaxIndex:
		return r.fault(offset, fmt.Errorf("register index %d is too large", index))
	case index > maxCCMR && r.note&mrlog.NoteSpaceAssumed != 0:
		return r.fault(offset, fmt.Errorf("register index %d in a log whose indexes were taken for CC-MRs, which end at %d: state their space (--space pcr)", index, maxCCMR))
	}
	return nil
}

// digestRun is how many digests are taken of a batch at a time, if the log may
// hold so many more.
const digestRun = 64

// moreDigests takes digests of the batch for the records to come: n of them are
// needed, and so many bytes of the log are known.
func (r *Reader) moreDigests(b *mrlog.Batch, n, left int) {
	likely := (1 + left/usualSize) * max(1, len(r.table))
	r.sums = b.NewDigests(max(n, min(digestRun, likely)))
}
