// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import "io"

// Sizes at which a reader ends a batch. They keep a batch within a
// processor's second-level cache, and are long enough to hand to another
// processor.
const (
	BatchRecords = 512      // records
	BatchBytes   = 64 << 10 // bytes of content and digests
)

// minArena is what a batch begins with. It doubles as batches fill: a short
// input, hostile or not, costs little.
const minArena = 4 << 10

// Batch is a run of records together with the memory that they point into. A
// caller owns its batches; a reader fills one. What was read into a batch
// holds until the next read into it, whichever other batches are read
// meanwhile, so that one processor can work on one batch while the next is
// read. The zero value is ready for use.
type Batch struct {
	// Records of the last read, borrowed from the batch.
	Records []Record

	bytes   []byte   // arena for Alloc; len is what of it is given out
	used    int      // bytes given out since Reset, by all arenas
	digests []Digest // arena for NewDigests
}

// Reset empties the batch for the next read. Readers call it; what earlier
// records point to is invalid from then on (and, in programs built with the
// race detector, overwritten).
func (b *Batch) Reset() {
	poison(b.bytes)
	b.Records = b.Records[:0]
	b.bytes, b.used = b.bytes[:0], 0
	b.digests = b.digests[:0]
}

// Full reports whether a reader should end the batch here.
func (b *Batch) Full() bool {
	return len(b.Records) >= BatchRecords || b.used >= BatchBytes
}

// Add appends an empty record and returns it. The pointer holds until the next
// Add.
func (b *Batch) Add() *Record {
	if len(b.Records) < cap(b.Records) {
		b.Records = b.Records[:len(b.Records)+1]
		r := &b.Records[len(b.Records)-1]
		*r = Record{}
		return r
	}
	b.Records = append(b.Records, Record{})
	return &b.Records[len(b.Records)-1]
}

// Alloc returns n bytes of arbitrary value that live as long as the batch's
// records. The caller must have checked n against what the input really holds:
// n is allocated at once.
func (b *Batch) Alloc(n int) []byte {
	if cap(b.bytes)-len(b.bytes) < n {
		// Earlier slices keep the old arena alive; the new one serves the
		// rest of this batch and, being twice as large, all of later ones.
		b.bytes = make([]byte, 0, max(n, minArena, 2*cap(b.bytes)))
	}
	b.used += n
	l := len(b.bytes)
	b.bytes = b.bytes[:l+n]
	return b.bytes[l : l+n : l+n]
}

// Copy returns a copy of p that lives as long as the batch's records.
func (b *Batch) Copy(p []byte) []byte {
	c := b.Alloc(len(p))
	copy(c, p)
	return c
}

// NewDigests returns n empty digests that live as long as the batch's records.
func (b *Batch) NewDigests(n int) []Digest {
	l := len(b.digests)
	if cap(b.digests)-l < n {
		b.digests = make([]Digest, n, max(n, 16, 2*cap(b.digests)))
		return b.digests[:n:n]
	}
	b.digests = b.digests[:l+n]
	d := b.digests[l : l+n : l+n]
	clear(d)
	return d
}

// isEOF reports whether err is io.EOF itself. A wrapped one is some layer's
// failure: taken for the end, it would cut a log without a word.
func isEOF(err error) bool { return err == io.EOF }
