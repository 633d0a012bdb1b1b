// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"mrlog.dev"
)

// jsonRecordNames is how many names a record has beside its content, at most.
const jsonRecordNames = 6 + 2*mrlog.MaxDigests

// jsonEncoder is what the writers of the JSON forms share.
type jsonEncoder struct {
	open string // the next record
	sep  string // opens all records but the first
	shut string // closes a record

	number decimal
	place  jsonPlace

	seq     bool   // a SeqWriter's
	scratch []byte // a content without what stands elsewhere

	parse jsonRecord // to see how a content kept whole would be read
	batch mrlog.Batch
}

// append appends a record, compact and with its names in the order of CEL 1.1.
// It returns what cannot be carried, or "".
func (e *jsonEncoder) append(dst []byte, r *mrlog.Record) ([]byte, string) {
	if what := cannotCarry(r); what != "" {
		return dst, what
	}
	dst = append(dst, e.open...)
	if e.seq && isMeasureCC(r) {
		return e.appendMeasureCC(dst, r)
	}
	if r.HasNumber {
		dst = append(dst, `"recnum":`...)
		dst = e.number.append(dst, r.Number)
		dst = append(dst, ',')
	}
	for i := range r.Digests {
		d := &r.Digests[i]
		if i == 0 {
			dst = e.place.append(dst, r, d.Alg)
		} else {
			dst = appendJSONAlg(append(dst, ','), d.Alg)
		}
		dst = appendJSONHex(dst, d.Sum)
		dst = append(dst, '"', '}')
	}
	if r.Type == mrlog.TypeCCCEL && r.Form == mrlog.FormRaw {
		dst = append(dst, `],"content_type":"CC-CEL","content":`...)
		var bad int
		if dst, bad = appendJSONString(dst, r.Content); bad >= 0 {
			return dst, fmt.Sprintf("byte %d of the line (0x%02x) is not UTF-8, which a JSON string has to be", bad, r.Content[bad])
		}
	} else {
		dst = append(dst, `],"content_type":`...)
		var what string
		if dst, what = e.appendType(dst, r); what == "" {
			dst = append(dst, `,"content":`...)
			dst, what = e.appendContent(dst, r)
		}
		if what != "" {
			return dst, what
		}
	}
	e.open = e.sep
	return append(dst, e.shut...), ""
}

// appendType appends the value of "content_type".
func (e *jsonEncoder) appendType(dst []byte, r *mrlog.Record) ([]byte, string) {
	if r.Type != mrlog.TypeNamed {
		if name, ok := mrlog.TypeName(r.Type); ok {
			dst = append(dst, '"')
			dst = append(dst, name...)
			return append(dst, '"'), ""
		}
		return strconv.AppendUint(dst, uint64(r.Type), 10), ""
	}
	if len(r.Name) == 0 {
		return dst, "content type has neither a number nor a name"
	}
	if _, ok := mrlog.TypeByName(string(r.Name)); ok {
		return dst, fmt.Sprintf("content type of no number has the name %q, which stands for one", r.Name)
	}
	dst, bad := appendJSONString(dst, r.Name)
	if bad >= 0 {
		return dst, fmt.Sprintf("byte %d of the content type's name (0x%02x) is not UTF-8", bad, r.Name[bad])
	}
	return dst, ""
}

// appendContent appends the value of "content", but for CC-CEL lines.
func (e *jsonEncoder) appendContent(dst []byte, r *mrlog.Record) ([]byte, string) {
	switch r.Form {
	case mrlog.FormJSON:
		return e.appendVerbatim(dst, r)
	case mrlog.FormTLV:
		if r.Type == mrlog.TypeCEL {
			return appendJSONManagement(dst, r.Content)
		}
	case mrlog.FormRaw:
		switch r.Type {
		case mrlog.TypeNamed, mrlog.TypeCEL:
		case mrlog.TypePCClient:
			dst = append(dst, `{"event_type":`...)
			if name, ok := mrlog.EventName(r.Event); ok {
				dst = append(dst, '"')
				dst = append(dst, name...)
				dst = append(dst, '"')
			} else {
				dst = strconv.AppendUint(dst, uint64(r.Event), 10)
			}
			dst = append(dst, `,"event_data":"`...)
			dst = appendJSONHex(dst, r.Content)
			return append(dst, '"', '}'), ""
		case mrlog.TypeIMATemplate:
			dst = append(dst, '{')
			if len(r.Name) > 0 {
				dst = append(dst, `"template_name":`...)
				var bad int
				if dst, bad = appendJSONString(dst, r.Name); bad >= 0 {
					return dst, fmt.Sprintf("byte %d of the template's name (0x%02x) is not UTF-8", bad, r.Name[bad])
				}
				dst = append(dst, ',')
			}
			dst = append(dst, `"template_data":"`...)
			dst = appendJSONHex(dst, r.Content)
			return append(dst, '"', '}'), ""
		default:
			dst = append(dst, '"')
			dst = appendJSONHex(dst, r.Content)
			return append(dst, '"'), ""
		}
	}
	return dst, fmt.Sprintf("content of %s in %s has no JSON form", describeType(r), formString(r.Form))
}

// appendVerbatim appends a content that is one JSON value, as it stands. It
// must be a value that the reader would take as just that.
func (e *jsonEncoder) appendVerbatim(dst []byte, r *mrlog.Record) ([]byte, string) {
	refuse := func(reason error) ([]byte, string) {
		return dst, fmt.Sprintf("content of %s is kept as JSON, and is not one valid JSON value: %v", describeType(r), reason)
	}
	if r.Type == mrlog.TypeCCCEL {
		return dst, "line of a native log is not in its raw form"
	}
	if r.Event != 0 || len(r.Name) > 0 && r.Type != mrlog.TypeNamed {
		return dst, "event type or name beside a content that is kept whole"
	}
	v := r.Content
	if len(v) == 0 || bytes.IndexByte([]byte(" \t\r\n"), v[0]) >= 0 {
		return refuse(errors.New("it is empty or begins with white space"))
	}
	if v[0] == '{' || v[0] == '[' {
		var f jsonFrame
		done, err := f.scan(v, MaxJSONDepth)
		switch {
		case err != nil:
			return refuse(err)
		case !done || f.at != len(v):
			return refuse(errors.New("its brackets do not match"))
		case f.names > MaxJSONNames-jsonRecordNames:
			return refuse(errJSONNames)
		}
	}
	if _, err := e.parse.check.check(v); err != nil {
		return refuse(err)
	}
	e.batch.Reset()
	probe := e.batch.Add()
	probe.Type = r.Type
	if _, err := e.parse.parseContent(v, &e.batch, probe); err != nil {
		return refuse(err)
	}
	if probe.Form != mrlog.FormJSON {
		return dst, fmt.Sprintf("content of %s is kept as JSON, and would be read as something else", describeType(r))
	}
	return append(dst, v...), ""
}

// appendJSONManagement appends the management events of content: one as an
// object, several as an array.
func appendJSONManagement(dst, content []byte) ([]byte, string) {
	if len(content) == 0 {
		return dst, "management event is missing"
	}
	start, n := len(dst), 0
	for ; len(content) > 0; n++ {
		m, rest, err := ParseManagement(content)
		if err != nil {
			return dst, err.Error()
		}
		content = rest
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":"`...)
		dst = append(dst, m.Type.String()...)
		dst = append(dst, '"')
		switch m.Type {
		case CELVersion:
			dst = append(dst, `,"data":{"major":`...)
			dst = strconv.AppendUint(dst, uint64(m.Major), 10)
			dst = append(dst, `,"minor":`...)
			dst = strconv.AppendUint(dst, uint64(m.Minor), 10)
			dst = append(dst, '}')
		case Timestamp:
			dst = append(dst, `,"data":`...)
			dst = strconv.AppendUint(dst, m.Value, 10)
		case StateTrans:
			dst = append(dst, `,"data":`...)
			if name, ok := StateName(m.Value); ok {
				dst = append(dst, '"')
				dst = append(dst, name...)
				dst = append(dst, '"')
			} else {
				dst = strconv.AppendUint(dst, m.Value, 10)
			}
		}
		dst = append(dst, '}')
	}
	if n > 1 {
		dst = append(dst, "]["...)
		copy(dst[start+1:], dst[start:len(dst)-2])
		dst[start], dst[len(dst)-1] = '[', ']'
	}
	return dst, ""
}

// formString names a form for an error.
func formString(f mrlog.Form) string {
	switch f {
	case mrlog.FormRaw:
		return "raw form"
	case mrlog.FormTLV:
		return "TLV form"
	case mrlog.FormJSON:
		return "JSON form"
	case mrlog.FormCBOR:
		return "CBOR form"
	}
	return "an unknown form"
}

// JSONWriter writes a canonical event log as a JSON array, or in the envelope of
// native logs. Equal records give equal bytes: compact records, one on a line,
// names in the order of CEL 1.1 (JSON encoding), lower-case hexadecimal, no
// escape that JSON does not require. Content that was read as JSON and not
// interpreted is written as it stood.
//
// What JSON cannot carry is a [*mrlog.CarryError] that names it: text that is
// not UTF-8, TLV and CBOR contents that have no JSON form. Nothing of such a
// record is written, and the writer may be used on. After any other error it is
// spent.
type JSONWriter struct {
	out output
	enc jsonEncoder
	end func([]byte) ([]byte, error)
}

// NewJSONWriter returns a writer of an array. Nothing is written before Close
// or 64 KiB.
func NewJSONWriter(w io.Writer) *JSONWriter {
	return newJSONWriter(w, "[", func(b []byte) ([]byte, error) { return append(b, "]\n"...), nil })
}

// NewEnvelopeWriter returns a writer of the envelope {"log":[…],"mr":HEX}.
// Close calls mr for the register value that the log ends in; an error of it,
// or none to call, is returned by Close, and the envelope is then left
// incomplete.
func NewEnvelopeWriter(w io.Writer, mr func() ([]byte, error)) *JSONWriter {
	return newJSONWriter(w, `{"log":[`, func(b []byte) ([]byte, error) {
		if mr == nil {
			return b, errors.New("nothing gives the register value for the envelope")
		}
		value, err := mr()
		if err != nil {
			return b, err
		}
		if len(value) == 0 || len(value) > mrlog.MaxUnknownDigestSize {
			return b, fmt.Errorf("register value of %d bytes for the envelope", len(value))
		}
		b = append(b, `],"mr":"`...)
		b = appendJSONHex(b, value)
		return append(b, "\"}\n"...), nil
	})
}

func newJSONWriter(w io.Writer, head string, end func([]byte) ([]byte, error)) *JSONWriter {
	return &JSONWriter{out: newOutput(w, formatJSON, head), enc: jsonEncoder{open: "{", sep: ",\n{", shut: "}"}, end: end}
}

// Write appends records to the log; see [mrlog.Writer].
func (w *JSONWriter) Write(records []mrlog.Record) error { return w.out.write(records, w.enc.append) }

// Close completes the log and writes what is gathered. It does not close the
// underlying writer. A second Close does nothing.
func (w *JSONWriter) Close() error { return w.out.close(w.end) }

// SeqWriter writes a canonical event log as a JSON text sequence (RFC 7464).
// Records are written as [JSONWriter] writes them, each between the byte 0x1E
// and a newline, and the same cannot be carried. What systemd logs is written
// as systemd does, byte for byte: without a number, and with "rtmr" for an RTMR.
type SeqWriter struct {
	out output
	enc jsonEncoder
}

// NewSeqWriter returns a writer of a sequence. Nothing is written before Close
// or 64 KiB.
func NewSeqWriter(w io.Writer) *SeqWriter {
	const open = string(rune(recordSeparator)) + "{"
	return &SeqWriter{out: newOutput(w, formatSeq, ""), enc: jsonEncoder{open: open, sep: open, shut: "}\n", seq: true}}
}

// Write appends records to the log; see [mrlog.Writer].
func (w *SeqWriter) Write(records []mrlog.Record) error { return w.out.write(records, w.enc.append) }

// Close writes what is gathered. It does not close the underlying writer. A
// second Close does nothing.
func (w *SeqWriter) Close() error { return w.out.close(nil) }
