// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"mrlog.dev"
)

// cborRecord is a record as it is being read.
type cborRecord struct {
	mrlog.Record
	digests [mrlog.MaxDigests]mrlog.Digest
	count   int
	index   uint32 // plain, until the space is known
	space   mrlog.Space
	content []byte // the item
	at      int    // its offset
	loose   bool   // not as the writer writes it
}

// reset makes v ready for the next record. The digests are overwritten as far as
// they are counted.
func (v *cborRecord) reset() {
	v.Record = mrlog.Record{}
	v.count, v.index, v.space, v.content, v.at, v.loose = 0, 0, 0, nil, 0, false
}

// Ranks of the record's keys in deterministic order; the numbers are their own.
const (
	rankSpace = fieldContent + 1
	ranks     = rankSpace + 1
)

// record reads a record from p, a well-formed map, and adds it to b. With an
// error it returns where in p the fault is.
func (c *CBORReader) record(b *mrlog.Batch, p []byte, base int64) (int, error) {
	v := &c.rec
	v.reset()
	cur := cursor{p: p}
	h := cur.head()
	var seen [ranks]bool
	last := -1
	for left := h.arg; cur.more(h, &left); {
		at := cur.off
		rank, err := recordKey(&cur)
		if err != nil {
			return at, err
		}
		if seen[rank] {
			return at, fmt.Errorf("record has two %s", keyName(rank))
		}
		seen[rank] = true
		v.loose = v.loose || rank < last
		last = rank
		at = cur.off
		if off, err := v.field(&cur, rank); err != nil {
			return max(at, off), err
		}
	}
	switch {
	case seen[fieldPCR] == seen[fieldNV]:
		return 0, errors.New("record must have one of pcr (1) and nv_index (2)")
	case seen[fieldNV] && seen[rankSpace]:
		return 0, errors.New("record has an nv_index and the key \"space\"")
	}
	for _, rank := range [...]int{fieldDigests, fieldContentType, fieldContent} {
		if !seen[rank] {
			return 0, fmt.Errorf("record has no %s", keyName(rank))
		}
	}
	if at, err := v.contents(&c.scratch); err != nil {
		return v.at + at, err
	}
	switch {
	case seen[fieldNV]:
		v.Register = mrlog.Register{Space: mrlog.NV, Index: v.index}
	case seen[rankSpace]:
		v.Register = mrlog.Register{Space: v.space, Index: v.index}
		v.loose = v.loose || plainIndex(&v.Record)
	default:
		c.opts.plain(&v.Record, v.index)
	}
	if err := checkIndex(&v.Record); err != nil {
		return 0, err
	}
	if v.Type == mrlog.TypeCEL && v.Form == mrlog.FormTLV {
		v.Content = b.Copy(v.Content)
	}
	v.loose = v.loose || cur.loose
	c.add(b, v, base, len(p))
	return 0, nil
}

// recordKey reads a key of the record.
func recordKey(cur *cursor) (rank int, err error) {
	h := cur.head()
	switch {
	case h.major == cborUint:
		switch h.arg {
		case fieldNumber, fieldPCR, fieldNV, fieldDigests, fieldContentType, fieldContent:
			return int(h.arg), nil
		}
		return 0, fmt.Errorf("record has the unknown key %d", h.arg)
	case h.major == cborText && !h.indefinite:
		key := cur.bytes(h.arg)
		if string(key) == spaceField {
			return rankSpace, nil
		}
		return 0, fmt.Errorf("record has the unknown key %.40q", key)
	}
	return 0, fmt.Errorf("record has %s as a key", describeItem(h))
}

// keyName names a key for an error.
func keyName(rank int) string {
	switch rank {
	case fieldNumber:
		return "recnum (0)"
	case fieldPCR:
		return "pcr (1)"
	case fieldNV:
		return "nv_index (2)"
	case fieldDigests:
		return "digests (3)"
	case fieldContentType:
		return "content_type (9)"
	case fieldContent:
		return "content (10)"
	}
	return "\"" + spaceField + "\""
}

// field reads the value of a key. With an error it returns where the fault is,
// if that is within the value.
func (v *cborRecord) field(cur *cursor, rank int) (int, error) {
	switch rank {
	case fieldDigests:
		return v.readDigests(cur)
	case fieldContent:
		v.at = cur.off
		v.content = cur.item()
		return 0, nil
	}
	h := cur.head()
	switch rank {
	case fieldNumber:
		if h.major != cborUint {
			return 0, fmt.Errorf("recnum is %s, want a number", describeItem(h))
		}
		v.Number, v.HasNumber = h.arg, true
	case fieldPCR, fieldNV:
		switch {
		case h.major != cborUint:
			return 0, fmt.Errorf("%s is %s, want a number", keyName(rank), describeItem(h))
		case rank != fieldNV && tooLarge(h.arg), h.arg > math.MaxUint32:
			return 0, fmt.Errorf("register index %d is too large", h.arg)
		}
		v.index = uint32(h.arg)
	case fieldContentType:
		switch {
		case h.major == cborUint && h.arg <= uint64(MaxType):
			v.Type = mrlog.ContentType(h.arg)
		case h.major == cborUint:
			return 0, fmt.Errorf("content type %d is above %d", h.arg, MaxType)
		case h.major == cborText && !h.indefinite:
			name := cur.bytes(h.arg)
			t, ok := mrlog.TypeByName(string(name))
			if !ok {
				return 0, fmt.Errorf("content type %.40q is not known, and CBOR carries types by number", name)
			}
			v.Type, v.loose = t, true
		default:
			return 0, fmt.Errorf("content_type is %s, want a number", describeItem(h))
		}
	case rankSpace:
		if h.major != cborText || h.indefinite {
			return 0, fmt.Errorf("space is %s, want a name", describeItem(h))
		}
		name := cur.bytes(h.arg)
		var ok bool
		if v.space, ok = spaceNames.number(string(name)); !ok {
			return 0, fmt.Errorf("space %.40q is not pcr, ccmr or rtmr", name)
		}
	}
	return 0, nil
}

// readDigests reads the list of digests.
func (v *cborRecord) readDigests(cur *cursor) (int, error) {
	list := cur.head()
	if list.major != cborArray {
		return 0, fmt.Errorf("digests are %s, want an array", describeItem(list))
	}
	for left := list.arg; cur.more(list, &left); {
		at := cur.off
		if v.count == mrlog.MaxDigests {
			return at, fmt.Errorf("more than %d digests: %w", mrlog.MaxDigests, mrlog.ErrLimit)
		}
		d, err := v.digest(cur)
		if err == nil {
			err = checkDigest(d.Alg, len(d.Sum))
		}
		for _, e := range v.digests[:v.count] {
			if err == nil && e.Alg == d.Alg {
				err = fmt.Errorf("two %s digests", d.Alg)
			}
		}
		if err != nil {
			return at, err
		}
		v.digests[v.count] = d
		v.count++
	}
	if v.count == 0 {
		return 0, errors.New("no digest")
	}
	return 0, nil
}

// digest reads one digest.
func (v *cborRecord) digest(cur *cursor) (d mrlog.Digest, err error) {
	h := cur.head()
	if h.major != cborMap {
		return d, fmt.Errorf("digest is %s, want a map", describeItem(h))
	}
	var seen [2]bool
	for left := h.arg; cur.more(h, &left); {
		key := cur.head()
		if key.major != cborUint || key.arg > 1 {
			return d, fmt.Errorf("digest has %s as a key, want 0 and 1", describeItem(key))
		}
		if seen[key.arg] {
			return d, fmt.Errorf("digest has the key %d twice", key.arg)
		}
		seen[key.arg] = true
		v.loose = v.loose || key.arg == 0 && seen[1]
		h := cur.head()
		switch {
		case key.arg == 1 && h.major == cborBytes && !h.indefinite:
			d.Sum = cur.bytes(h.arg)
		case key.arg == 0 && h.major == cborUint && h.arg <= math.MaxUint16:
			d.Alg = mrlog.Alg(h.arg)
		case key.arg == 0 && h.major == cborText && !h.indefinite:
			v.loose = true
			if d.Alg, err = mrlog.ParseAlg(string(cur.bytes(h.arg))); err != nil {
				return d, err
			}
		case key.arg == 0:
			return d, fmt.Errorf("algorithm is %s, want its number", describeItem(h))
		default:
			return d, fmt.Errorf("digest value is %s, want a byte string of definite length", describeItem(h))
		}
	}
	if !seen[0] || !seen[1] {
		return d, errors.New("digest must have the keys 0 and 1")
	}
	return d, nil
}

// contents interprets the content item. What management events become is built
// in scratch. With an error it returns where in the item the fault is.
func (v *cborRecord) contents(scratch *[]byte) (int, error) {
	cur := cursor{p: v.content}
	h := cur.head()
	v.Form, v.Content = mrlog.FormCBOR, v.content
	understood := false
	switch v.Type {
	case mrlog.TypeCCCEL:
		switch {
		case h.major != cborText && h.major != cborBytes:
			return 0, fmt.Errorf("content of a CC-CEL record is %s, want a string", describeItem(h))
		case h.indefinite:
			return 0, errors.New("content of a CC-CEL record is a string of indefinite length")
		}
		v.Form, v.Content = mrlog.FormRaw, cur.bytes(h.arg)
		understood = true
		v.loose = v.loose || h.major == cborBytes && utf8.Valid(v.Content)
	case mrlog.TypePCClient, mrlog.TypeIMATemplate, mrlog.TypeCEL:
		pair, at, err := cutCBORPair(v.content)
		if err != nil {
			return at, err
		}
		cur.loose = cur.loose || pair.loose
		switch v.Type {
		case mrlog.TypePCClient:
			understood = v.event(&pair, &cur)
		case mrlog.TypeIMATemplate:
			understood = v.template(&pair, &cur)
		default:
			understood = v.management(&pair, &cur, scratch)
		}
		v.NotExtended = understood && notExtended(&v.Record)
	default:
		if understood = h.major == cborBytes && !h.indefinite; understood {
			v.Form, v.Content = mrlog.FormRaw, cur.bytes(h.arg)
		}
	}
	if len(v.Name)+len(v.Content) > MaxContent {
		return 0, fmt.Errorf("content of %d bytes, the limit is %d: %w", len(v.Name)+len(v.Content), MaxContent, mrlog.ErrLimit)
	}
	// What stays whole is written as it stood.
	v.loose = v.loose || understood && cur.loose
	return 0, nil
}

// cborPair is a content map with the keys 0 and 1.
type cborPair struct {
	value [2][]byte // the items; nil where absent
	other bool      // not a map, or with other keys
	loose bool
}

// cutCBORPair reads a content item as a pair. It refuses one key twice, and
// returns where.
func cutCBORPair(p []byte) (v cborPair, at int, err error) {
	cur := cursor{p: p}
	h := cur.head()
	if h.major != cborMap {
		v.other = true
		return v, 0, nil
	}
	for left := h.arg; cur.more(h, &left); {
		at := cur.off
		key := cursor{p: cur.item()}
		k := key.head()
		value := cur.item()
		if k.major != cborUint || k.arg > 1 {
			v.other = true
			continue
		}
		if v.value[k.arg] != nil {
			return v, at, fmt.Errorf("content has the key %d twice", k.arg)
		}
		v.loose = v.loose || key.loose || k.arg == 0 && v.value[1] != nil
		v.value[k.arg] = value
	}
	v.loose = v.loose || cur.loose
	return v, 0, nil
}

// text returns the value of an item that is a string of definite length.
func (v *cborPair) text(i int, major byte, loose *bool) ([]byte, bool) {
	if v.value[i] == nil {
		return nil, false
	}
	cur := cursor{p: v.value[i]}
	h := cur.head()
	if h.major != major || h.indefinite {
		return nil, false
	}
	*loose = *loose || cur.loose
	return cur.bytes(h.arg), true
}

// uint returns the value of an item that is an unsigned number.
func (v *cborPair) uint(i int, loose *bool) (uint64, bool) {
	if v.value[i] == nil {
		return 0, false
	}
	cur := cursor{p: v.value[i]}
	h := cur.head()
	*loose = *loose || h.major == cborUint && cur.loose
	return h.arg, h.major == cborUint
}

// event reads a PC Client event.
func (v *cborRecord) event(pair *cborPair, cur *cursor) bool {
	data, ok := pair.text(1, cborBytes, &cur.loose)
	if !ok || pair.other {
		return false
	}
	n, ok := pair.uint(0, &cur.loose)
	if !ok {
		name, isText := pair.text(0, cborText, &cur.loose)
		if !isText {
			return false
		}
		event, known := mrlog.EventByName(string(name))
		if !known {
			return false
		}
		n, cur.loose = uint64(event), true
	}
	if n > math.MaxUint32 {
		return false
	}
	v.Form, v.Event, v.Content = mrlog.FormRaw, uint32(n), data
	return true
}

// template reads an IMA template record. Its name may be absent.
func (v *cborRecord) template(pair *cborPair, cur *cursor) bool {
	data, ok := pair.text(1, cborBytes, &cur.loose)
	if !ok || pair.other {
		return false
	}
	if pair.value[0] != nil {
		name, ok := pair.text(0, cborText, &cur.loose)
		if !ok {
			return false
		}
		if cur.loose = cur.loose || len(name) == 0; len(name) > 0 {
			v.Name = name
		}
	}
	v.Form, v.Content = mrlog.FormRaw, data
	return true
}

// management reads a management event.
func (v *cborRecord) management(pair *cborPair, cur *cursor, scratch *[]byte) bool {
	if pair.other {
		return false
	}
	n, ok := pair.uint(0, &cur.loose)
	t, exact, known := managementType(n)
	if !ok || !known {
		name, isText := pair.text(0, cborText, &cur.loose)
		if t, ok = ManagementTypeByName(string(name)); !isText || !ok {
			return false
		}
		exact = false
	}
	cur.loose = cur.loose || !exact
	m := Management{Type: t}
	switch t {
	case CELVersion:
		if pair.value[1] == nil {
			return false
		}
		version, _, err := cutCBORPair(pair.value[1])
		if err != nil || version.other {
			return false
		}
		cur.loose = cur.loose || version.loose
		major, ok := version.uint(0, &cur.loose)
		minor, ok2 := version.uint(1, &cur.loose)
		if !ok || !ok2 || major > math.MaxUint16 || minor > math.MaxUint16 {
			return false
		}
		m.Major, m.Minor = uint16(major), uint16(minor)
	case FirmwareEnd:
		if pair.value[1] != nil {
			return false
		}
	default:
		if m.Value, ok = pair.uint(1, &cur.loose); !ok {
			name, isText := pair.text(1, cborText, &cur.loose)
			if m.Value, ok = StateByName(string(name)); !ok || !isText || t != StateTrans {
				return false
			}
			cur.loose = true
		}
	}
	*scratch = m.Append((*scratch)[:0])
	v.Form, v.Content = mrlog.FormTLV, *scratch
	return true
}

// staysWhole reports whether item, the content of a record of type t, stays whole
// when it is read, as FormCBOR.
func staysWhole(t mrlog.ContentType, item []byte) bool {
	v := cborRecord{Record: mrlog.Record{Type: t}, content: item}
	var scratch []byte
	_, err := v.contents(&scratch)
	return err == nil && v.Form == mrlog.FormCBOR && bytes.Equal(v.Content, item)
}
