// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

// Names in the object of a record (CEL 1.1, JSON encoding), but for spaceField.
const (
	jsonNumber      = "recnum"
	jsonPCR         = "pcr"
	jsonNV          = "nv_index"
	jsonDigests     = "digests"
	jsonContentType = "content_type"
	jsonContent     = "content"

	jsonHashAlg = "hashAlg"
	jsonDigest  = "digest"

	jsonEventType    = "event_type"
	jsonEventData    = "event_data"
	jsonTemplateName = "template_name"
	jsonTemplateData = "template_data"
)

// isRecordName reports whether an object with the name is a record.
func isRecordName(name string) bool {
	switch name {
	case jsonNumber, jsonPCR, jsonNV, spaceField, jsonDigests, jsonContentType, jsonContent:
		return true
	}
	return false
}

// jsonWalk goes through an object or array that has been validated. On text
// that is not valid it goes astray, but stays within the text and comes to an
// end.
type jsonWalk struct {
	p     []byte
	i     int
	inner bool // a member or element was passed
	loose bool // the writer would have written the same values otherwise
}

// walk returns a walk through the members or elements of the value p. It
// returns false unless p begins with open.
func walk(p []byte, open byte) (jsonWalk, bool) {
	return jsonWalk{p: p, i: 1}, len(p) > 0 && p[0] == open
}

func (w *jsonWalk) peek() byte {
	if w.i < len(w.p) {
		return w.p[w.i]
	}
	return 0
}

func (w *jsonWalk) space() {
	for w.i < len(w.p) && w.p[w.i] <= ' ' {
		w.loose = true
		w.i++
	}
}

// next goes to the next member or element, if there is one.
func (w *jsonWalk) next() bool {
	w.space()
	if w.inner {
		if w.peek() != ',' {
			return false
		}
		w.i++
		w.space()
	} else if c := w.peek(); c == '}' || c == ']' {
		return false
	}
	w.inner = true
	return w.i < len(w.p)
}

// name returns the name of the next member and goes to its value.
func (w *jsonWalk) name() []byte {
	raw := w.value()
	w.space()
	if w.peek() == ':' {
		w.i++
	}
	w.space()
	if len(raw) < 2 {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	w.loose = true
	name, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return nil
	}
	return name
}

// value returns the next value as it stands and goes past it.
func (w *jsonWalk) value() []byte {
	start := w.i
	switch w.peek() {
	case '"', '{', '[':
		var f jsonFrame
		if done, err := f.scan(w.p[start:], math.MaxInt); done && err == nil {
			w.i += f.at
		} else {
			w.i = len(w.p)
		}
	default:
		for ; w.i < len(w.p); w.i++ {
			if c := w.p[w.i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
				break
			}
		}
	}
	return w.p[start:w.i]
}

// jsonUint reads a number that is an integer from 0 to limit.
func jsonUint(raw []byte, limit uint64) (uint64, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, fmt.Errorf("%.40q is not a number", raw)
	}
	var n uint64
	for _, c := range raw {
		d := uint64(c - '0')
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("number %.40q is not a plain integer from 0 to %d", raw, limit)
		}
		if n > (math.MaxUint64-d)/10 {
			return 0, fmt.Errorf("number %.40q is above %d", raw, limit)
		}
		n = 10*n + d
	}
	if n > limit {
		return 0, fmt.Errorf("number %.40q is above %d", raw, limit)
	}
	return n, nil
}

// jsonRecord parses records, one after the other. What it holds between them is
// room.
type jsonRecord struct {
	check   jsonChecker
	opts    Options
	digests [mrlog.MaxDigests]mrlog.Digest
}

// text returns what the string raw stands for, in memory of b, and whether the
// writer would have written it otherwise.
func (d *jsonRecord) text(raw []byte, b *mrlog.Batch) (s []byte, loose, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false, false
	}
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return b.Copy(inside), false, true
	}
	s, err := jsontext.AppendUnquote(b.Alloc(len(raw))[:0], raw)
	return s[:len(s):len(s)], !canonicalEscapes(inside), err == nil
}

// hex returns the bytes that the string raw gives in hexadecimal, in memory of
// b, and whether the writer would have written it otherwise.
func (d *jsonRecord) hex(raw []byte, b *mrlog.Batch) (s []byte, loose, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false, false
	}
	digits := raw[1 : len(raw)-1]
	if bytes.IndexByte(digits, '\\') >= 0 {
		if digits, _, ok = d.text(raw, b); !ok {
			return nil, false, false
		}
		loose = true
	}
	if len(digits)%2 != 0 {
		return nil, false, false
	}
	s = b.Alloc(len(digits) / 2)
	upper, ok := decodeJSONHex(s, digits)
	return s, loose || upper, ok
}

// parse reads the object v, which has been validated, into r. On an error it
// returns the position at fault in v.
func (d *jsonRecord) parse(v []byte, b *mrlog.Batch, r *mrlog.Record) (at int, err error) {
	w, ok := walk(v, '{')
	if !ok {
		return 0, errors.New("record is not an object")
	}
	var (
		index, content        []byte
		indexAt, contentAt    int
		isNV, digests, typed  bool
		space                 mrlog.Space
		spaceAt, order, place int
	)
	for w.next() {
		at = w.i
		name := w.name()
		valueAt := w.i
		raw := w.value()
		switch string(name) {
		case jsonNumber:
			place = 1
			r.HasNumber = true
			r.Number, err = jsonUint(raw, math.MaxUint64)
		case jsonPCR, jsonNV:
			place = 2
			if index != nil {
				return at, fmt.Errorf("record has both %q and %q", jsonPCR, jsonNV)
			}
			index, indexAt, isNV = raw, valueAt, len(name) == len(jsonNV)
		case spaceField:
			place = 3
			spaceAt = at
			switch string(raw) {
			case `"pcr"`:
				space = mrlog.PCR
			case `"ccmr"`:
				space = mrlog.CCMR
			case `"rtmr"`:
				space = mrlog.RTMR
			default:
				err = fmt.Errorf("register space %.40q is not known (known: pcr, ccmr, rtmr)", raw)
			}
		case jsonDigests:
			place = 4
			digests = true
			var in int
			var loose bool
			if in, loose, err = d.parseDigests(raw, b, r); err != nil {
				return valueAt + in, err
			}
			w.loose = w.loose || loose
		case jsonContentType:
			place = 5
			typed = true
			var loose bool
			loose, err = d.parseType(raw, b, r)
			w.loose = w.loose || loose
		case jsonContent:
			place = 6
			content, contentAt = raw, valueAt
		default:
			return at, fmt.Errorf("record has a member %.40q, which mrlog does not know and would lose", name)
		}
		if err != nil {
			return valueAt, fmt.Errorf("%s: %w", name, err)
		}
		w.loose = w.loose || place < order
		order = place
	}
	end := len(v) - 1
	switch {
	case index == nil:
		return end, fmt.Errorf("record has neither %q nor %q", jsonPCR, jsonNV)
	case !digests:
		return end, fmt.Errorf("record has no %q", jsonDigests)
	case !typed:
		return end, fmt.Errorf("record has no %q", jsonContentType)
	case content == nil:
		return end, fmt.Errorf("record has no %q", jsonContent)
	case isNV && space != mrlog.NoSpace:
		return spaceAt, fmt.Errorf("record has both %q and %q", jsonNV, spaceField)
	}

	limit := uint64(mrlog.MaxIndex)
	if isNV {
		limit = math.MaxUint32
	}
	n, err := jsonUint(index, limit)
	switch {
	case err != nil:
		return indexAt, fmt.Errorf("register index: %w", err)
	case isNV:
		r.Register = mrlog.Register{Space: mrlog.NV, Index: uint32(n)}
	case space != mrlog.NoSpace:
		r.Register = mrlog.Register{Space: space, Index: uint32(n)}
		w.loose = w.loose || plainIndex(r)
	default:
		d.opts.plain(r, uint32(n))
	}

	loose, err := d.parseContent(content, b, r)
	if err == nil && len(r.Name)+len(r.Content) > MaxContent {
		err = fmt.Errorf("%d bytes are above the limit of %d: %w", len(r.Name)+len(r.Content), MaxContent, mrlog.ErrLimit)
	}
	if err != nil {
		return contentAt, fmt.Errorf("%s: %w", jsonContent, err)
	}
	if w.loose || loose {
		r.Notes |= mrlog.NoteNonCanonical
	}
	r.NotExtended = notExtended(r)
	return 0, nil
}

// parseDigests reads the value of "digests".
func (d *jsonRecord) parseDigests(v []byte, b *mrlog.Batch, r *mrlog.Record) (at int, loose bool, err error) {
	list, ok := walk(v, '[')
	if !ok {
		return 0, false, fmt.Errorf("%q is not an array", jsonDigests)
	}
	n := 0
	for list.next() {
		start := list.i
		raw := list.value()
		if n == mrlog.MaxDigests {
			return start, false, fmt.Errorf("record has more than %d digests: %w", mrlog.MaxDigests, mrlog.ErrLimit)
		}
		at, loose, err := d.parseDigest(raw, b, &d.digests[n])
		if err != nil {
			return start + at, false, err
		}
		for _, other := range d.digests[:n] {
			if other.Alg == d.digests[n].Alg {
				return start, false, fmt.Errorf("record has two %s digests", other.Alg)
			}
		}
		list.loose = list.loose || loose
		n++
	}
	if n == 0 {
		return 0, false, errors.New("record has no digest")
	}
	r.Digests = b.NewDigests(n)
	copy(r.Digests, d.digests[:n])
	return 0, list.loose, nil
}

// parseDigest reads one element of "digests".
func (d *jsonRecord) parseDigest(v []byte, b *mrlog.Batch, out *mrlog.Digest) (at int, loose bool, err error) {
	w, ok := walk(v, '{')
	if !ok {
		return 0, false, errors.New("digest is not an object")
	}
	*out = mrlog.Digest{}
	sumAt := -1
	for w.next() {
		start := w.i
		name := w.name()
		valueAt := w.i
		raw := w.value()
		switch string(name) {
		case jsonHashAlg:
			var loose bool
			if out.Alg, loose, err = jsonAlg(raw); err != nil {
				return valueAt, false, err
			}
			w.loose = w.loose || loose || sumAt >= 0
		case jsonDigest:
			sumAt = valueAt
			sum, loose, ok := d.hex(raw, b)
			if !ok {
				return valueAt, false, fmt.Errorf("%.40q is not a digest in hexadecimal", raw)
			}
			out.Sum = sum
			w.loose = w.loose || loose
		default:
			return start, false, fmt.Errorf("digest has a member %.40q, which mrlog does not know and would lose", name)
		}
	}
	switch {
	case out.Alg == 0:
		return 0, false, fmt.Errorf("digest has no %q", jsonHashAlg)
	case sumAt < 0:
		return 0, false, fmt.Errorf("digest has no %q", jsonDigest)
	}
	return sumAt, w.loose, checkDigest(out.Alg, len(out.Sum))
}

// jsonAlg reads an algorithm: a name in any spelling, or its id as a string or
// a number.
func jsonAlg(raw []byte) (_ mrlog.Alg, loose bool, err error) {
	if len(raw) < 2 || raw[0] != '"' {
		n, err := jsonUint(raw, math.MaxUint16)
		if err == nil && n == 0 {
			err = errors.New("hash algorithm 0 is none")
		}
		return mrlog.Alg(n), true, err
	}
	if a, ok := mrlog.AlgByName(string(raw[1 : len(raw)-1])); ok {
		return a, false, nil
	}
	name, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return 0, false, err
	}
	a, err := mrlog.ParseAlg(string(name))
	return a, `"`+a.String()+`"` != string(raw), err
}

// parseType reads the value of "content_type".
func (d *jsonRecord) parseType(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose bool, err error) {
	if len(raw) == 0 || raw[0] != '"' {
		n, err := jsonUint(raw, uint64(MaxType))
		r.Type = mrlog.ContentType(n)
		_, named := TypeName(r.Type)
		return named, err
	}
	var ok bool
	if r.Type, ok = TypeByName(string(raw[1 : len(raw)-1])); ok {
		return false, nil
	}
	name, loose, ok := d.text(raw, b)
	if !ok || len(name) == 0 {
		return false, errors.New("name is empty")
	}
	if r.Type, ok = TypeByName(string(name)); ok {
		return true, nil
	}
	r.Type, r.Name = mrlog.TypeNamed, name
	return loose, nil
}

// parseContent reads the value of "content" as the record's type says. A value
// that is not of the shape that the type has is kept as it stands: the record
// is measured whatever its content looks like.
func (d *jsonRecord) parseContent(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose bool, err error) {
	var ok bool
	switch r.Type {
	case mrlog.TypeCCCEL:
		if r.Content, loose, ok = d.text(raw, b); !ok {
			return false, errors.New("line of a native log is not a string")
		}
		return loose, nil
	case mrlog.TypePCClient:
		loose, ok = d.parsePCClient(raw, b, r)
	case mrlog.TypeIMATemplate:
		loose, ok = d.parseIMATemplate(raw, b, r)
	case mrlog.TypeIMATLV, mrlog.TypeSystemd:
		r.Content, loose, ok = d.hex(raw, b)
	case mrlog.TypeCEL:
		loose, ok = d.parseManagement(raw, b, r)
	case mrlog.TypeNamed:
	default:
		// Only what the writer would write: any other string may be text.
		r.Content, loose, ok = d.hex(raw, b)
		ok = ok && !loose
	}
	if ok {
		return loose, nil
	}
	if len(raw) > MaxContent { // before it is copied
		return false, fmt.Errorf("%d bytes are above the limit of %d: %w", len(raw), MaxContent, mrlog.ErrLimit)
	}
	r.Event = 0
	if r.Type != mrlog.TypeNamed {
		r.Name = nil
	}
	r.Form, r.Content = mrlog.FormJSON, b.Copy(raw)
	return false, nil
}

// parsePCClient reads {"event_type":TYPE,"event_data":HEX}.
func (d *jsonRecord) parsePCClient(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var typed, data bool
	for w.next() {
		name := w.name()
		v := w.value()
		var loose bool
		switch string(name) {
		case jsonEventType:
			typed = true
			if len(v) > 0 && v[0] == '"' {
				text, _, ok := d.text(v, b)
				if !ok {
					return false, false
				}
				if r.Event, ok = EventByName(string(text)); !ok {
					return false, false
				}
				name, _ := EventName(r.Event)
				loose = string(v[1:len(v)-1]) != name
			} else {
				n, err := jsonUint(v, math.MaxUint32)
				if err != nil {
					return false, false
				}
				r.Event = uint32(n)
				_, loose = EventName(r.Event)
			}
			loose = loose || data
		case jsonEventData:
			data = true
			var ok bool
			if r.Content, loose, ok = d.hex(v, b); !ok {
				return false, false
			}
		default:
			return false, false
		}
		w.loose = w.loose || loose
	}
	return w.loose, typed && data
}

// parseIMATemplate reads {"template_name":NAME,"template_data":HEX}, the name
// optional.
func (d *jsonRecord) parseIMATemplate(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var data bool
	for w.next() {
		name := w.name()
		v := w.value()
		var loose bool
		switch string(name) {
		case jsonTemplateName:
			var ok bool
			if r.Name, loose, ok = d.text(v, b); !ok || len(r.Name) == 0 {
				return false, false // an empty name is not one left out
			}
			loose = loose || data
		case jsonTemplateData:
			data = true
			var ok bool
			if r.Content, loose, ok = d.hex(v, b); !ok {
				return false, false
			}
		default:
			return false, false
		}
		w.loose = w.loose || loose
	}
	return w.loose, data
}

// parseManagement reads one management event or an array of them into TLVs.
func (d *jsonRecord) parseManagement(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	var buf [128]byte
	tlv := buf[:0]
	if len(raw) > 0 && raw[0] == '[' {
		w, _ := walk(raw, '[')
		n := 0
		for ; w.next(); n++ {
			m, loose, ok := jsonManagement(w.value())
			if !ok {
				return false, false
			}
			w.loose = w.loose || loose
			tlv = m.Append(tlv)
		}
		loose = w.loose || n == 1
	} else {
		m, l, ok := jsonManagement(raw)
		if !ok {
			return false, false
		}
		loose = l
		tlv = m.Append(tlv)
	}
	if len(tlv) == 0 {
		return false, false
	}
	r.Form, r.Content = mrlog.FormTLV, b.Copy(tlv)
	return loose, true
}

// jsonManagement reads one management event: {"type":NAME,"data":VALUE}, or
// {NAME:VALUE} as tpm2-tss writes it.
func jsonManagement(raw []byte) (m Management, loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return m, false, false
	}
	var typed, nested bool
	var data []byte
	for w.next() {
		name := w.name()
		v := w.value()
		switch {
		case nested:
			return m, false, false
		case string(name) == "type" && len(v) > 2 && v[0] == '"':
			typed = true
			w.loose = w.loose || data != nil
			if m.Type, ok = ManagementTypeByName(string(v[1 : len(v)-1])); !ok {
				return m, false, false
			}
		case string(name) == "data":
			data = v
		default:
			if m.Type, nested = ManagementTypeByName(string(name)); !nested || typed || data != nil {
				return m, false, false
			}
			w.loose = true
			data = v
		}
	}
	if !typed && !nested {
		return m, false, false
	}
	switch m.Type {
	case FirmwareEnd:
		return m, w.loose, data == nil
	case CELVersion:
		loose, ok = jsonVersion(data, &m)
		return m, w.loose || loose, ok
	case StateTrans:
		if len(data) > 2 && data[0] == '"' {
			m.Value, ok = StateByName(string(data[1 : len(data)-1]))
			return m, w.loose, ok
		}
		n, err := jsonUint(data, math.MaxUint64)
		_, named := StateName(n)
		m.Value = n
		return m, w.loose || named, err == nil
	}
	n, err := jsonUint(data, math.MaxUint64)
	m.Value = n
	return m, w.loose, err == nil
}

// jsonVersion reads {"major":N,"minor":N}.
func jsonVersion(raw []byte, m *Management) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var major, minor bool
	for w.next() {
		name := w.name()
		n, err := jsonUint(w.value(), math.MaxUint16)
		switch {
		case err != nil:
			return false, false
		case string(name) == "major":
			major, m.Major = true, uint16(n)
			w.loose = w.loose || minor
		case string(name) == "minor":
			minor, m.Minor = true, uint16(n)
		default:
			return false, false
		}
	}
	return w.loose, major && minor
}
