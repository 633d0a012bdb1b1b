// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

// BinaryReader reads a binary list. See [NewBinaryReader].
type BinaryReader struct{ list }

// NewBinaryReader returns a reader of the records of a binary list, as the
// kernel gives it in binary_runtime_measurements, with digests of 20, 32, 48 or
// 64 bytes. It implements [mrlog.Hasher].
//
// An empty input is a list without records. Memory grows with the bytes that
// arrive, whatever lengths they state; [MaxName] and [MaxData] bound a record.
// Errors of r are returned as they are.
func NewBinaryReader(r io.Reader, o Options) *BinaryReader {
	return &BinaryReader{newList(FormatBinary, source.New(r, minBlock, maxBlock), o)}
}

// NewBinaryReaderBytes is NewBinaryReader for a list that is in memory, without
// a copy of it: the records borrow data itself, which must not change while they
// are in use.
func NewBinaryReaderBytes(data []byte, o Options) *BinaryReader {
	return &BinaryReader{newList(FormatBinary, source.InMemory(data, minBlock, maxBlock), o)}
}

// Read implements [mrlog.Reader].
func (t *BinaryReader) Read(b *mrlog.Batch) error {
	if err := t.Scan(b); err != nil {
		return err
	}
	t.Hash(b.Records)
	return nil
}

// Scan implements [mrlog.Hasher].
func (t *BinaryReader) Scan(b *mrlog.Batch) error {
	b.Reset()
	if t.err != nil {
		return t.err
	}
	t.sums = nil
	buf := t.src.Begin(b)
	if t.size == 0 {
		if buf, t.err = t.detect(b, buf); t.err != nil {
			return t.err
		}
	}
	n := 0
	for len(b.Records) < mrlog.BatchRecords {
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
		if buf, err = t.fill(b, buf, -size); err != nil {
			t.err = err
			return err
		}
	}
	if t.src.End(buf, n); len(b.Records) == 0 {
		return t.err
	}
	return nil
}

// fill reads until buf holds need bytes. The end of the input is io.EOF only
// between records.
func (t *BinaryReader) fill(b *mrlog.Batch, buf []byte, need int) ([]byte, error) {
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

// parse adds the record that p begins with to b and returns its size. If p is
// too short the size is negative: so many bytes are needed to say more.
func (t *BinaryReader) parse(b *mrlog.Batch, p []byte, base int64) (int, error) {
	name := 4 + t.size + 4
	if len(p) < name {
		return -name, nil
	}
	index := load32(p, t.big)
	if index > mrlog.MaxIndex {
		return 0, t.fault(base, fmt.Errorf("register index %d is above %d", index, mrlog.MaxIndex))
	}
	nameLen := load32(p[name-4:], t.big)
	if nameLen-1 >= MaxName {
		return 0, t.fault(base+int64(name)-4, fmt.Errorf("template name of %d bytes, want 1 to %d", nameLen, MaxName))
	}
	data := name + int(nameLen)
	if len(p) < data {
		return -data, nil
	}
	if string(p[name:data]) != t.name.name {
		if what := checkName(p[name:data]); what != "" {
			return 0, t.fault(base+int64(name), fmt.Errorf("%s: %.80q", what, p[name:data]))
		}
		t.name = parseTemplate(p[name:data])
	}
	if t.name.old {
		data += imaDigest // its digest stands before the length
	}
	if len(p) < data+4 {
		return -data - 4, nil
	}
	dataLen, limit, what := load32(p[data:], t.big), uint32(MaxData), "template data"
	if t.name.old {
		limit, what = imaName-1, "file name of template ima"
	}
	if dataLen > limit {
		return 0, t.fault(base+int64(data), limitErr(what, uint64(dataLen), int(limit)))
	}
	size := data + 4 + int(dataLen)
	if len(p) < size {
		return -size, nil
	}
	p = p[:size:size]

	r := b.Add()
	r.Type = mrlog.TypeIMATemplate
	r.Name = p[name : name+int(nameLen) : name+int(nameLen)]
	r.Content = p[data+4:]
	r.Span = mrlog.Span{Offset: base, Length: size}
	t.opts.place(r, index)
	if t.name.old {
		t.old(b, r, p[data-imaDigest:data])
	}
	sum := p[4 : 4+t.size : 4+t.size]
	if t.records == 0 {
		t.settle(r, sum, r.Content)
	}
	if filled(sum, 0xFF) {
		r.Notes |= mrlog.NoteNonCanonical // what a violation extends, and does not log
	}
	_ = t.digests(b, r, sum) // fails without data only
	return size, nil
}

// old makes of the fields of template ima what the kernel hashes: the digest,
// and the name with zeros behind it.
func (t *list) old(b *mrlog.Batch, r *mrlog.Record, digest []byte) {
	name := r.Content
	r.Content = b.Alloc(imaData)
	n := copy(r.Content, digest)
	n += copy(r.Content[n:], name)
	clear(r.Content[n:])
	if len(name) > 0 && name[len(name)-1] == 0 {
		r.Notes |= mrlog.NoteNonCanonical // one of the zeros behind it
	}
}
