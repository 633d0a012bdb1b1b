// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"
	"io"
	"unicode/utf8"

	"mrlog.dev"
)

// CBORWriter writes a log in CBOR. See [NewCBORWriter].
type CBORWriter struct {
	out  output
	want int64 // records in the array; negative for a sequence
}

// NewCBORWriter returns a writer of a log in CBOR, in deterministic encoding
// (RFC 8949, section 4.2). Of records ≥ 0 it writes an array of exactly so many,
// and Close fails if there were others; otherwise an RFC 8742 sequence, which
// can be written when the number of records is not known.
//
// What CBOR cannot carry is a [*mrlog.CarryError] that names it: content types
// with a name and no number, content in FormJSON, several management events in
// one record, an IMA template name that is not UTF-8. After a CarryError the
// writer may be used on; it has written the records before.
//
// Close writes what is gathered. It does not close w.
func NewCBORWriter(w io.Writer, records int64) *CBORWriter {
	c := &CBORWriter{out: newOutput(w, formatCBOR, ""), want: records}
	if records >= 0 {
		c.out.buf = appendCBOR(c.out.buf, cborArray, uint64(records))
	}
	return c
}

// CountError says that a CBOR array gets more records than it was begun for, or
// had fewer when it was closed.
type CountError struct {
	Want, Got int64 // one more than wanted stands for any number more
}

// Error gives both numbers.
func (e *CountError) Error() string {
	if e.Got > e.Want {
		return fmt.Sprintf("%s: more records than the %d that the array was begun for", formatCBOR, e.Want)
	}
	return fmt.Sprintf("%s: %d records in an array that was begun for %d", formatCBOR, e.Got, e.Want)
}

// Write implements [mrlog.Writer].
func (c *CBORWriter) Write(records []mrlog.Record) error {
	var over error
	if room := c.want - c.out.carried; c.want >= 0 && int64(len(records)) > room {
		if _, what := appendCBORRecord(nil, &records[room]); what != "" {
			// What is refused takes no place in the array.
			return c.out.write(records[:room+1], appendCBORRecord)
		}
		records = records[:room]
		over = &CountError{Want: c.want, Got: c.want + 1}
	}
	if err := c.out.write(records, appendCBORRecord); err != nil {
		return err
	}
	return over
}

// Close implements [mrlog.Writer]. An array that has fewer records than its
// head says is an error; it has been written as far as it goes.
func (c *CBORWriter) Close() error {
	return c.out.close(func(b []byte) ([]byte, error) {
		if n := c.out.carried; c.want >= 0 && n != c.want {
			return b, &CountError{Want: c.want, Got: n}
		}
		return b, nil
	})
}

// appendCBORRecord appends a record, or returns what of it CBOR cannot carry.
func appendCBORRecord(b []byte, r *mrlog.Record) ([]byte, string) {
	if what := cannotCarry(r); what != "" {
		return b, what
	}
	if what := checkCBOR(r); what != "" {
		return b, what
	}
	space := spaceKey(r)
	fields := uint64(4)
	if r.HasNumber {
		fields++
	}
	if space != "" {
		fields++
	}
	b = appendCBOR(b, cborMap, fields)
	if r.HasNumber {
		b = appendCBOR(append(b, fieldNumber), cborUint, r.Number)
	}
	index := byte(fieldPCR)
	if r.Register.Space == mrlog.NV {
		index = fieldNV
	}
	b = appendCBOR(append(b, index), cborUint, uint64(r.Register.Index))
	b = appendCBOR(append(b, fieldDigests), cborArray, uint64(len(r.Digests)))
	for i := range r.Digests {
		d := &r.Digests[i]
		b = appendCBOR(b, cborMap, 2)
		b = appendCBOR(append(b, 0), cborUint, uint64(d.Alg))
		b = appendCBORString(append(b, 1), cborBytes, d.Sum)
	}
	b = appendCBOR(append(b, fieldContentType), cborUint, uint64(r.Type))
	b = appendCBORContent(append(b, fieldContent), r)
	if space != "" {
		b = append(appendCBOR(b, cborText, uint64(len(spaceField))), spaceField...)
		b = append(appendCBOR(b, cborText, uint64(len(space))), space...)
	}
	return b, ""
}

// checkCBOR returns what of a content CBOR cannot carry.
func checkCBOR(r *mrlog.Record) string {
	switch r.Form {
	case mrlog.FormJSON:
		return fmt.Sprintf("content of %s is a JSON value, and this form holds bytes", describeType(r))
	case mrlog.FormCBOR:
		if len(r.Name) != 0 || r.Event != 0 {
			return fmt.Sprintf("content of %s is a CBOR item and has fields beside it", describeType(r))
		}
		if err := checkItem(r.Content); err != nil {
			return fmt.Sprintf("content of %s is no CBOR item: %v", describeType(r), err)
		}
		if !staysWhole(r.Type, r.Content) {
			return fmt.Sprintf("content of %s is a CBOR item that should be fields of the record", describeType(r))
		}
	case mrlog.FormTLV:
		if r.Type != mrlog.TypeCEL {
			return fmt.Sprintf("content of %s is in TLVs", describeType(r))
		}
		switch _, rest, err := ParseManagement(r.Content); {
		case err != nil:
			return err.Error()
		case len(rest) > 0:
			return "several management events in one record"
		}
	case mrlog.FormRaw:
		if r.Type == mrlog.TypeCEL {
			return "content of type cel (4) is not in TLVs"
		}
		if r.Type == mrlog.TypeIMATemplate && !utf8.Valid(r.Name) {
			return fmt.Sprintf("template name %.40q is not UTF-8", r.Name)
		}
	default:
		return fmt.Sprintf("content of %s is in no known form", describeType(r))
	}
	if r.Type == mrlog.TypeNamed {
		return fmt.Sprintf("content %s has no number", describeType(r))
	}
	return ""
}

// appendCBORContent appends the content item.
func appendCBORContent(b []byte, r *mrlog.Record) []byte {
	switch {
	case r.Form == mrlog.FormCBOR:
		return append(b, r.Content...)
	case r.Type == mrlog.TypeCEL:
		m, _, _ := ParseManagement(r.Content)
		return m.appendCBOR(b)
	case r.Type == mrlog.TypePCClient:
		b = appendCBOR(b, cborMap, 2)
		b = appendCBOR(append(b, 0), cborUint, uint64(r.Event))
		b = append(b, 1)
	case r.Type == mrlog.TypeIMATemplate && len(r.Name) > 0:
		b = appendCBOR(b, cborMap, 2)
		b = appendCBORString(append(b, 0), cborText, r.Name)
		b = append(b, 1)
	case r.Type == mrlog.TypeIMATemplate:
		b = append(appendCBOR(b, cborMap, 1), 1)
	case r.Type == mrlog.TypeCCCEL && utf8.Valid(r.Content):
		return appendCBORString(b, cborText, r.Content)
	}
	return appendCBORString(b, cborBytes, r.Content)
}

// appendCBOR appends the event as a content item.
func (m Management) appendCBOR(b []byte) []byte {
	if m.Type == FirmwareEnd {
		return appendCBOR(append(appendCBOR(b, cborMap, 1), 0), cborUint, uint64(m.Type))
	}
	b = appendCBOR(append(appendCBOR(b, cborMap, 2), 0), cborUint, uint64(m.Type))
	b = append(b, 1)
	if m.Type == CELVersion {
		b = appendCBOR(append(appendCBOR(b, cborMap, 2), 0), cborUint, uint64(m.Major))
		return appendCBOR(append(b, 1), cborUint, uint64(m.Minor))
	}
	return appendCBOR(b, cborUint, m.Value)
}
