// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"
	"io"

	"mrlog.dev"
)

// TLVWriter writes a log in TLV. See [NewTLVWriter].
type TLVWriter struct {
	out       output
	dialect   Dialect
	indexType byte // of the first record, in the GoEventlog dialect
}

// NewTLVWriter returns a writer of a log in the dialect d, one of [Minimal],
// [GoEventlog] and [FourByte]. Equal records give equal bytes.
//
// Every record needs a number, because TLV has no record without one. What
// else the dialect cannot carry is a [*mrlog.CarryError] that names it: content
// types and algorithms above 255, content in FormJSON or FormCBOR, registers in
// RTMR space (but for a CC-CEL record in rtmr0 to rtmr3, whose plain index says
// it), numbers that do not fit its integers. After a CarryError the writer may
// be used on; it has written the records before.
//
// Close writes what is gathered. It does not close w.
func NewTLVWriter(w io.Writer, d Dialect) (*TLVWriter, error) {
	switch d {
	case Minimal, GoEventlog, FourByte:
		return &TLVWriter{out: newOutput(w, formatTLV, ""), dialect: d}, nil
	}
	return nil, fmt.Errorf("unknown dialect %.40q of %s (known: %s, %s, %s)", string(d), formatTLV, Minimal, GoEventlog, FourByte)
}

// Write implements [mrlog.Writer].
func (t *TLVWriter) Write(records []mrlog.Record) error { return t.out.write(records, t.append) }

// Close implements [mrlog.Writer].
func (t *TLVWriter) Close() error { return t.out.close(nil) }

// append appends a record, or returns what of it the dialect cannot carry.
func (t *TLVWriter) append(b []byte, r *mrlog.Record) ([]byte, string) {
	if what := cannotCarry(r); what != "" {
		return b, what
	}
	indexType, what := t.check(r)
	if what != "" {
		return b, what
	}

	numberLen, indexLen := minimalLen(r.Number), minimalLen(uint64(r.Register.Index))
	switch t.dialect {
	case GoEventlog:
		numberLen, indexLen = 8, 1
		t.indexType = indexType
	case FourByte:
		numberLen, indexLen = 4, 4
	}
	digestsLen := 0
	for i := range r.Digests {
		digestsLen += tlvHead + len(r.Digests[i].Sum)
	}

	b = appendInt(appendHead(b, fieldNumber, numberLen), r.Number, numberLen)
	b = appendInt(appendHead(b, indexType, indexLen), uint64(r.Register.Index), indexLen)
	b = appendHead(b, fieldDigests, digestsLen)
	for i := range r.Digests {
		d := &r.Digests[i]
		b = append(appendHead(b, byte(d.Alg), len(d.Sum)), d.Sum...)
	}
	return t.appendContent(b, r), ""
}

// check returns the type of the record's index field, or what the dialect
// cannot carry.
func (t *TLVWriter) check(r *mrlog.Record) (indexType byte, what string) {
	if !r.HasNumber {
		return 0, "the record has no number (recnum), which TLV demands"
	}
	switch r.Register.Space {
	case mrlog.NV:
		indexType = fieldNV
	case mrlog.CCMR:
		indexType = fieldCCMR
	default:
		indexType = fieldPCR
		switch {
		case plainIndex(r):
		case r.Register.Space == mrlog.RTMR:
			return 0, fmt.Sprintf("register %s: TLV has no index type for rtmr; map the log to ccmr", r.Register)
		default:
			return 0, fmt.Sprintf("register %s: a CC-CEL record with this index is read as one of rtmr%d", r.Register, r.Register.Index)
		}
	}
	for _, d := range r.Digests {
		if d.Alg > 0xFF {
			return 0, fmt.Sprintf("hash algorithm %s does not fit the one byte that TLV has for it", d.Alg)
		}
	}

	switch {
	case r.Type == mrlog.TypeNamed:
		return 0, fmt.Sprintf("content type %.40q has a name and no number", r.Name)
	case r.Type > 0xFF:
		return 0, fmt.Sprintf("content type %d does not fit the one byte that TLV has for it", r.Type)
	case isField(byte(r.Type)):
		return 0, fmt.Sprintf("content type %d is the number of a field in TLV", r.Type)
	case r.Form == mrlog.FormJSON:
		return 0, fmt.Sprintf("content of %s is a JSON value, and this form holds bytes", describeType(r))
	case r.Form == mrlog.FormCBOR:
		return 0, fmt.Sprintf("content of %s is a CBOR item", describeType(r))
	}
	if what := checkForm(r); what != "" {
		return 0, what
	}

	switch t.dialect {
	case GoEventlog:
		switch {
		case indexType == fieldNV:
			return 0, fmt.Sprintf("register %s: go-eventlog has no NV indexes", r.Register)
		case r.Register.Index > 0xFF:
			return 0, fmt.Sprintf("register index %d does not fit the one byte that go-eventlog has for it", r.Register.Index)
		case t.indexType != 0 && t.indexType != indexType:
			return 0, fmt.Sprintf("register %s: go-eventlog reads no log that has both pcr and ccmr indexes", r.Register)
		}
	case FourByte:
		if r.Number > 0xFFFFFFFF {
			return 0, fmt.Sprintf("number %d does not fit four bytes", r.Number)
		}
	}
	return indexType, ""
}

// checkForm refuses raw and TLV contents that their type does not have.
func checkForm(r *mrlog.Record) string {
	nested := r.Type == mrlog.TypeCEL || r.Type == mrlog.TypePCClient || r.Type == mrlog.TypeIMATemplate
	switch {
	case r.Form == mrlog.FormRaw && r.Type == mrlog.TypeCEL:
		return "content of type cel (4) is not in TLVs"
	case r.Form == mrlog.FormTLV && !nested:
		return fmt.Sprintf("content of %s is in TLVs", describeType(r))
	case r.Form > mrlog.FormCBOR:
		return fmt.Sprintf("content of %s is in no known form", describeType(r))
	}
	if r.Form == mrlog.FormTLV {
		if len(r.Name) != 0 || r.Event != 0 {
			return fmt.Sprintf("content of %s is in TLVs and has fields beside them", describeType(r))
		}
		if at, err := checkTLVs(r.Content); err != nil {
			return fmt.Sprintf("content of %s at byte %d: %v", describeType(r), at, err)
		}
		if r.Type == mrlog.TypeCEL {
			return ""
		}
		// What reads as fields is not to come from here.
		pair, at, err := cutPair(r.Content)
		if err != nil {
			return fmt.Sprintf("content of %s at byte %d: %v", describeType(r), at, err)
		}
		_, event := pair.event()
		if event && r.Type == mrlog.TypePCClient || pair.isTemplate() && r.Type == mrlog.TypeIMATemplate {
			return fmt.Sprintf("content of %s is in TLVs that should be fields of the record", describeType(r))
		}
	}
	return ""
}

// appendContent appends the content field.
func (t *TLVWriter) appendContent(b []byte, r *mrlog.Record) []byte {
	typ := byte(r.Type)
	switch {
	case r.Form == mrlog.FormTLV:
		b = appendHead(b, typ, len(r.Content))
	case r.Type == mrlog.TypePCClient:
		width := minimalLen(uint64(r.Event))
		if t.dialect == FourByte {
			width = 4
		}
		b = appendHead(b, typ, 2*tlvHead+width+len(r.Content))
		b = appendInt(appendHead(b, 0, width), uint64(r.Event), width)
		b = appendHead(b, 1, len(r.Content))
	case r.Type == mrlog.TypeIMATemplate:
		n := tlvHead + len(r.Content)
		if len(r.Name) > 0 {
			n += tlvHead + len(r.Name)
		}
		b = appendHead(b, typ, n)
		if len(r.Name) > 0 {
			b = append(appendHead(b, 0, len(r.Name)), r.Name...)
		}
		b = appendHead(b, 1, len(r.Content))
	default:
		b = appendHead(b, typ, len(r.Content))
	}
	return append(b, r.Content...)
}
