// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

const (
	minBlock = 4 << 10  // the first block that is read: a hostile list may be short
	maxBlock = 24 << 10 // with the records of it, what a first-level cache holds
)

// list is what the readers of both forms share.
type list struct {
	format string
	src    source.Source
	opts   Options
	header mrlog.Header
	err    error // that the next Read returns

	records int64
	alg     mrlog.Alg // of the logged digests; known once the first record is
	size    int
	big     bool

	// What the digests of a record are, besides the logged one.
	banks   []mrlog.Alg
	padded  []mrlog.Alg
	derived int // bytes of them

	name template       // of the last record
	sums []mrlog.Digest // of the batch, not handed out yet
}

func newList(format string, src source.Source, o Options) list {
	return list{
		format: format, src: src, opts: o, err: o.check(),
		header: mrlog.Header{Format: format},
	}
}

// Header implements [mrlog.Reader].
func (l *list) Header() mrlog.Header { return l.header }

// errCut says that a list ends too early.
var errCut = fmt.Errorf("the list ends within a record: %w", io.ErrUnexpectedEOF)

func (l *list) fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: l.format, Offset: offset, Record: l.records, Err: err}
}

func limitErr(what string, n uint64, limit int) error {
	return fmt.Errorf("%s of %d bytes, the limit is %d: %w", what, n, limit, mrlog.ErrLimit)
}

// template returns the template of a name, looked up only when it changes.
func (l *list) template(name []byte) *template {
	if string(name) != l.name.name {
		l.name = parseTemplate(name)
	}
	return &l.name
}

// settle is called with the first record, whose logged digest and data are
// known. It finds out which algorithm the digest is of. Of the data, in one byte
// order after the other, each algorithm with the size is tried, unless the
// options say which; it reports which data it is.
func (l *list) settle(r *mrlog.Record, sum []byte, data ...[]byte) int {
	algs := algsOf(len(sum))
	if l.opts.Alg != 0 {
		algs = []mrlog.Alg{l.opts.Alg}
	}
	l.alg, l.size = algs[0], len(sum)
	found := 0
	if !filled(sum, 0) && len(algs)*len(data) > 1 {
		found = l.tryAll(algs, sum, data)
	}
	l.header.Algs = []mrlog.AlgSize{{Alg: l.alg, Size: l.size}}
	l.header.Space = r.Register.Space
	l.header.SpaceAssumed = r.Notes&mrlog.NoteSpaceAssumed != 0
	for _, a := range l.opts.Banks {
		if a != l.alg {
			l.banks = append(l.banks, a)
			l.derived += a.Size()
		}
	}
	for _, a := range l.opts.Padded {
		if a != l.alg {
			l.padded = append(l.padded, a)
			l.derived += a.Size()
		}
	}
	l.header.DerivedBanks = slices.Concat(l.banks, l.padded)
	return found
}

// tryAll is settle where there is a choice.
func (l *list) tryAll(algs []mrlog.Alg, sum []byte, data [][]byte) int {
	var buf [mrlog.MaxDigestSize]byte
	for i, d := range data {
		for _, a := range algs {
			if string(a.AppendSum(buf[:0], d)) == string(sum) {
				l.alg = a
				return i
			}
		}
	}
	return 0
}

// matches reports whether data hashes to a logged digest.
func (l *list) matches(sum, data []byte) bool {
	var buf [mrlog.MaxDigestSize]byte
	return string(l.alg.AppendSum(buf[:0], data)) == string(sum)
}

var errNoData = errors.New("the digest in further banks cannot be derived: what was hashed is not known")

// digests gives a record its digests: the logged one as it was extended, and
// those of further banks in place, but for those that need hashing.
func (l *list) digests(b *mrlog.Batch, r *mrlog.Record, sum []byte) error {
	n := 1 + len(l.banks) + len(l.padded)
	if len(l.sums) < n {
		l.sums = b.NewDigests(128 * n)
	}
	out := l.sums[:n:n]
	l.sums = l.sums[n:]
	out[0] = mrlog.Digest{Alg: l.alg, Sum: sum}
	r.Digests = out
	if sum[0]|sum[1]|sum[2] == 0 && filled(sum, 0) {
		r.Notes |= mrlog.NoteViolation
		if measures(r) {
			r.Notes |= mrlog.NoteNonCanonical // without the note, 0xFF would be logged
		}
		out[0].Sum = b.Alloc(len(sum))
		fill(out[0].Sum)
	}
	if n == 1 {
		return nil
	}
	if r.Form != mrlog.FormRaw && r.Notes&mrlog.NoteViolation == 0 && (len(l.banks) > 0 || l.alg != mrlog.SHA1) {
		if l.opts.Part {
			r.Digests = out[:1:1]
			return nil
		}
		return errNoData
	}
	mem := b.Alloc(l.derived)
	for i, a := range l.banks {
		out[1+i] = mrlog.Digest{Alg: a, Sum: mem[:a.Size():a.Size()]}
		mem = mem[a.Size():]
		if r.Notes&mrlog.NoteViolation != 0 {
			fill(out[1+i].Sum)
		}
	}
	if len(l.padded) == 0 {
		return nil
	}
	r.Notes |= mrlog.NotePadded
	for i, a := range l.padded {
		d := mrlog.Digest{Alg: a, Sum: mem[:a.Size():a.Size()]}
		out[1+len(l.banks)+i] = d
		mem = mem[a.Size():]
		// Of a violation, too, twenty bytes were extended, and zeros.
		if l.alg == mrlog.SHA1 {
			clear(d.Sum[copy(d.Sum, out[0].Sum):])
		} else if r.Notes&mrlog.NoteViolation != 0 {
			fill(d.Sum[:mrlog.SHA1.Size()])
			clear(d.Sum[mrlog.SHA1.Size():])
		}
	}
	return nil
}

// fill sets what is extended for a violation.
func fill(sum []byte) {
	for i := range sum {
		sum[i] = 0xFF
	}
}

// Hash computes the digests that a Scan has left out: those of Options.Banks,
// and of Options.Padded if the list has no SHA-1 digests. It may run on
// different records at once, and during a Scan into another batch.
func (l *list) Hash(records []mrlog.Record) {
	if len(l.banks)+len(l.padded) == 0 {
		return
	}
	for i := range records {
		r := &records[i]
		if r.Notes&mrlog.NoteViolation != 0 || len(r.Digests) == 1 {
			continue
		}
		for _, d := range r.Digests[1 : 1+len(l.banks)] {
			d.Alg.AppendSum(d.Sum[:0], r.Content)
		}
		if l.alg == mrlog.SHA1 {
			continue
		}
		for _, d := range r.Digests[1+len(l.banks):] {
			clear(d.Sum[len(mrlog.SHA1.AppendSum(d.Sum[:0], r.Content)):])
		}
	}
}
