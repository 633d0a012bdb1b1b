// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/binary"

	"mrlog.dev"
)

// tlvLast is what the last record looked like. Records of one log mostly look
// alike: the same widths, register, algorithm and content type. Looking for
// the fields of the next record where those of the last one were lets the
// processor load all heads at once, instead of each when the one before has
// come. What does not look alike is read field by field.
type tlvLast struct {
	tlvFrame
	ok       bool
	register mrlog.Register
	notes    mrlog.Note     // of the register
	fixed    [fixedTLV]byte // from the index to the head of the only digest
	fixedLen int
	alg      mrlog.Alg // of the digest
	typ      byte      // of the content
	fits     dialects  // of the widths, but for Minimal
	minimal  bool      // the index is in the fewest bytes
}

// fixedTLV is the size of the longest index, of eight bytes, and of the heads
// after it.
const fixedTLV = 3*tlvHead + 8

// remember keeps what a record looks like, if it is of the plain kind: one
// digest of a known algorithm and a content without fields.
func (t *TLVReader) remember(p []byte, f tlvFrame, r *mrlog.Record, fits dialects) {
	switch r.Type {
	case mrlog.TypeCEL, mrlog.TypePCClient, mrlog.TypeIMATemplate:
		t.last.ok = false
		return
	}
	place := p[f.index+tlvHead : f.digests]
	t.last = tlvLast{
		tlvFrame: f,
		ok:       len(r.Digests) == 1 && r.Digests[0].Alg.Size() != 0 && len(r.Content) <= MaxContent,
		register: r.Register,
		notes:    r.Notes & mrlog.NoteSpaceAssumed,
		alg:      r.Digests[0].Alg,
		typ:      byte(r.Type),
		fits:     fits &^ inMinimal,
		minimal:  len(place) == minimalLen(loadInt(place)),
	}
	t.last.fixedLen = copy(t.last.fixed[:], p[f.index:f.digests+2*tlvHead])
}

// alike adds the records that p begins with to b, as long as they look like the
// last one and tell nothing new of the dialect. It returns their size. What it
// adds is what parse would.
func (t *TLVReader) alike(b *mrlog.Batch, p []byte, base int64) int {
	if !t.last.ok || t.fits == 0 {
		return 0
	}
	f, seen, sums := &t.last, t.fits, t.sums
	fixed := f.fixed[:f.fixedLen]
	n := 0
	for len(b.Records) < tlvBatch {
		q := p[n:]
		if len(q) < f.content+tlvHead {
			break
		}
		if q[0] != fieldNumber || binary.BigEndian.Uint32(q[1:]) != f.numberLen || q[f.content] != f.typ ||
			!bytes.Equal(q[f.index:f.index+len(fixed)], fixed) {
			break
		}
		contentLen := binary.BigEndian.Uint32(q[f.content+1:])
		size := f.content + tlvHead + int(contentLen)
		if contentLen > MaxContent || len(q) < size {
			break
		}
		number := loadInt(q[tlvHead:f.index])
		fits := f.fits
		if f.minimal && int(f.numberLen) == minimalLen(number) {
			fits |= inMinimal
		}
		if seen&fits != seen {
			break
		}
		if len(sums) == 0 {
			sums = b.NewDigests(digestRun)
		}
		sums[0].Alg, sums[0].Sum = f.alg, q[f.digests+2*tlvHead:f.content:f.content]

		r := b.Add()
		r.Number, r.HasNumber = number, true
		r.Register, r.Notes = f.register, f.notes
		r.Digests = sums[:1:1]
		r.Type = mrlog.ContentType(f.typ)
		r.Content = q[f.content+tlvHead : size : size]
		r.Span.Offset, r.Span.Length = base+int64(n), size
		sums = sums[1:]
		n += size
		t.records++
	}
	t.sums = sums
	return n
}

// digestRun is how many digests are taken of a batch at a time.
const digestRun = 64
