// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"mrlog.dev"
)

// BinaryWriter writes a binary list. See [NewBinaryWriter].
type BinaryWriter struct{ writer }

// NewBinaryWriter returns a writer of a binary list. What the list cannot carry
// is a [*mrlog.CarryError]: content that is no template data, a register whose
// plain index is read in another space, digests beside the logged one that do
// not follow from the content. A digest of 0xFF is that of a violation, and
// logged as zero, unless the record is not marked as one and its content has the
// digest of a file.
func NewBinaryWriter(w io.Writer, o WriteOptions) (*BinaryWriter, error) {
	out, err := newWriter(w, FormatBinary, o)
	return &BinaryWriter{out}, err
}

// Write implements [mrlog.Writer].
func (t *BinaryWriter) Write(records []mrlog.Record) error { return t.write(records, t.append) }

func (t *BinaryWriter) append(b []byte, r *mrlog.Record, tm *template, sum []byte) ([]byte, string) {
	if r.Form != mrlog.FormRaw {
		return b, fmt.Sprintf("fields of template %.80q are known as text only, which does not give the template data back", r.Name)
	}
	big := t.opts.BigEndian
	b = append32(b, r.Register.Index, big)
	b = append(b, sum...)
	b = append32(b, uint32(len(r.Name)), big)
	b = append(b, r.Name...)
	data := r.Content
	if tm.old {
		var mem [2][]byte
		fields, ok := cutOld(mem[:0], data)
		if !ok {
			return b, errOld.Error()
		}
		b = append(b, fields[0]...)
		data = fields[1]
	}
	b = append32(b, uint32(len(data)), big)
	return append(b, data...), ""
}

// ASCIIWriter writes an ASCII list. See [NewASCIIWriter].
type ASCIIWriter struct {
	writer
	big, settled bool // the byte order of the template data
}

// NewASCIIWriter returns a writer of an ASCII list. It refuses what
// [NewBinaryWriter] refuses, and records whose line would not give them back:
// those of a template that the kernel does not know, and those with a blank, a
// newline or a NUL in a name.
func NewASCIIWriter(w io.Writer, o WriteOptions) (*ASCIIWriter, error) {
	out, err := newWriter(w, FormatASCII, o)
	return &ASCIIWriter{writer: out, big: o.BigEndian, settled: o.BigEndian}, err
}

// Write implements [mrlog.Writer].
func (t *ASCIIWriter) Write(records []mrlog.Record) error { return t.write(records, t.append) }

func (t *ASCIIWriter) append(b []byte, r *mrlog.Record, tm *template, sum []byte) ([]byte, string) {
	if r.Register.Index < 10 {
		b = append(b, ' ')
	}
	b = append(strconv.AppendUint(b, uint64(r.Register.Index), 10), ' ')
	b = append(hex.AppendEncode(b, sum), ' ')
	b = append(append(b, r.Name...), ' ')
	if r.Form == mrlog.FormText {
		if bytes.IndexByte(r.Content, '\n') >= 0 {
			return b, "a newline in the text of the fields would end the line"
		}
		return append(append(b, r.Content...), '\n'), ""
	}
	if !t.settled && tm.fields != nil && !tm.old {
		var mem [maxFields][]byte
		if _, big, ok := splitAny(mem[:0], r.Content, len(tm.fields)); ok {
			t.big, t.settled = big, true
		}
	}
	b, what := appendFields(b, tm, r.Content, t.big)
	return append(b, '\n'), what
}
