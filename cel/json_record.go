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
	"mrlog.dev/internal/strict"
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

	// What older versions of tpm2-tss call content_type and content.
	jsonOldType    = "type"
	jsonOldContent = "sub_event"

	// In systemd's log of CC registers; see json_rtmr.go.
	jsonRTMR   = "rtmr"
	jsonMapped = "mapped_pcr"
)

// noIndexText is mrlog.NoIndex.
const noIndexText = "4294967295"

// isRecordName reports whether an object with the name is a record.
func isRecordName(name string) bool {
	switch name {
	case jsonNumber, jsonPCR, jsonNV, jsonRTMR, jsonMapped, spaceField, jsonDigests, jsonContentType, jsonContent:
		return true
	}
	return false
}

// jsonRecord parses records, one after the other. What it holds between them is
// room.
type jsonRecord struct {
	check   jsonChecker
	opts    Options
	seq     bool // the writer of the same form is a SeqWriter
	late    bool // the last record's number stood after its register
	extra   bool // a content's members that are not known are passed over, see Known
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
	d.late = false
	w, ok := walk(v, '{')
	if !ok {
		return 0, errors.New("record is not an object")
	}
	var (
		index, content        []byte
		indexAt, contentAt    int
		isNV, isRTMR          bool
		digests, typed        bool
		mapped                []byte
		mappedAt              int
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
			d.late = index != nil
			r.Number, err = strict.Uint(raw, math.MaxUint64)
		case jsonPCR, jsonNV, jsonRTMR:
			place = 2
			if index != nil {
				return at, fmt.Errorf("record has both %q and %q", registerName(isNV, isRTMR), name)
			}
			index, indexAt = raw, valueAt
			isNV, isRTMR = len(name) == len(jsonNV), len(name) == len(jsonRTMR)
		case jsonMapped:
			place = 3
			mapped, mappedAt = raw, at
			_, err = strict.Uint(raw, math.MaxUint32)
		case spaceField:
			place = 3
			spaceAt = at
			if len(raw) > 2 && raw[0] == '"' {
				space, _ = spaceNames.number(string(raw[1 : len(raw)-1]))
			}
			if space == mrlog.NoSpace {
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
		case jsonContentType, jsonOldType:
			place = 5
			if typed {
				return at, fmt.Errorf("record has both %q and %q", jsonContentType, jsonOldType)
			}
			typed = true
			var loose bool
			loose, err = d.parseType(raw, b, r)
			w.loose = w.loose || loose || len(name) == len(jsonOldType)
		case jsonContent, jsonOldContent:
			place = 6
			if content != nil {
				return at, fmt.Errorf("record has both %q and %q", jsonContent, jsonOldContent)
			}
			content, contentAt = raw, valueAt
			w.loose = w.loose || len(name) == len(jsonOldContent)
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
		return end, fmt.Errorf("record has neither %q nor %q nor %q", jsonPCR, jsonNV, jsonRTMR)
	case !digests:
		return end, fmt.Errorf("record has no %q", jsonDigests)
	case !typed:
		return end, fmt.Errorf("record has no %q", jsonContentType)
	case content == nil:
		return end, fmt.Errorf("record has no %q", jsonContent)
	case (isNV || isRTMR) && space != mrlog.NoSpace:
		return spaceAt, fmt.Errorf("record has both %q and %q", registerName(isNV, isRTMR), spaceField)
	case mapped != nil && !isRTMR:
		return mappedAt, fmt.Errorf("record has %q without %q", jsonMapped, jsonRTMR)
	}

	limit := uint64(mrlog.MaxIndex)
	if isNV || string(index) == noIndexText {
		limit = math.MaxUint32
	}
	n, err := strict.Uint(index, limit)
	switch {
	case err != nil:
		return indexAt, fmt.Errorf("register index: %w", err)
	case isNV:
		r.Register = mrlog.Register{Space: mrlog.NV, Index: uint32(n)}
	case isRTMR:
		r.Register = mrlog.Register{Space: mrlog.RTMR, Index: uint32(n)}
		w.loose = w.loose || !d.seq || !isMeasureCC(r)
	case space != mrlog.NoSpace:
		r.Register = mrlog.Register{Space: space, Index: uint32(n)}
		w.loose = w.loose || plainIndex(r) || d.seq && isMeasureCC(r)
	default:
		d.opts.plain(r, uint32(n))
	}

	loose, err := d.parseContent(content, b, r)
	if err == nil && isRTMR {
		if mapped != nil {
			var ok, l bool
			if l, ok = addMapped(b, r, mapped); !ok {
				return mappedAt, fmt.Errorf("%s: the content has no place for it, and it would be lost", jsonMapped)
			}
			loose = loose || l
		} else if _, _, ok := cutMapped(r.Content); ok {
			loose = true
		}
	}
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
	if err := checkIndex(r); err != nil {
		return indexAt, err
	}
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
		n, err := strict.Uint(raw, math.MaxUint16)
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
		n, err := strict.Uint(raw, uint64(MaxType))
		r.Type = mrlog.ContentType(n)
		_, named := mrlog.TypeName(r.Type)
		return named, err
	}
	var ok bool
	if r.Type, ok = mrlog.TypeByName(string(raw[1 : len(raw)-1])); ok {
		return false, nil
	}
	name, loose, ok := d.text(raw, b)
	if !ok || len(name) == 0 {
		return false, errors.New("name is empty")
	}
	if r.Type, ok = mrlog.TypeByName(string(name)); ok {
		return true, nil
	}
	r.Type, r.Name = mrlog.TypeNamed, name
	return loose, nil
}
