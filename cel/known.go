// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"errors"
	"fmt"
	"math"

	"mrlog.dev"
)

// unnamedEvent stands for a TCG event type of which only a name is given, and
// that is not known. No type has this number.
const unnamedEvent = math.MaxUint32

var errShape = errors.New("it is not of the shape that its type has")

// Known reads contents that a reader has kept whole, in [mrlog.FormJSON],
// [mrlog.FormCBOR] or [mrlog.FormTLV], for what their type has in them. The
// zero value is ready for use, again and again; use one per goroutine.
type Known struct {
	json  jsonRecord
	cbor  cborRecord
	batch mrlog.Batch
	rec   mrlog.Record
}

// Record returns r with what its type has in the content, in [mrlog.FormRaw]:
// the type and data of a PC Client event, the name and data of an IMA template,
// the bytes of any other type. Members that are not known are left out, which is
// why the content was kept whole: nothing says whether they were measured. An
// event type that has only a name, which is not known, is one that no rule is
// known of.
//
// It is an error if the content lacks what its type has, has it twice, or of
// another kind; management events, types without a number and text for people
// are not read. The record is borrowed from r and from k, until the next call.
func (k *Known) Record(r *mrlog.Record) (*mrlog.Record, error) {
	k.batch.Reset()
	k.rec = *r
	k.rec.Form, k.rec.Event, k.rec.Content = mrlog.FormRaw, 0, nil
	if r.Type == mrlog.TypeCEL || r.Type == mrlog.TypeNamed {
		return nil, errShape
	}
	if k.rec.Type == mrlog.TypeIMATemplate {
		k.rec.Name = nil
	}
	err := errShape
	switch r.Form {
	case mrlog.FormRaw:
		k.rec = *r
		return &k.rec, nil
	case mrlog.FormJSON:
		err = k.fromJSON(r.Content)
	case mrlog.FormCBOR:
		err = k.fromCBOR(r.Content)
	case mrlog.FormTLV:
		err = k.fromTLV(r.Content)
	}
	if err != nil {
		return nil, err
	}
	return &k.rec, nil
}

func (k *Known) fromJSON(content []byte) error {
	if _, err := k.json.check.check(content); err != nil {
		return err // that of a reader has been checked
	}
	k.json.extra = true
	var ok bool
	switch k.rec.Type {
	case mrlog.TypePCClient:
		_, ok = k.json.parsePCClient(content, &k.batch, &k.rec)
	case mrlog.TypeIMATemplate:
		_, ok = k.json.parseIMATemplate(content, &k.batch, &k.rec)
	case mrlog.TypeCCCEL:
		k.rec.Content, _, ok = k.json.text(content, &k.batch)
	default:
		k.rec.Content, _, ok = k.json.hex(content, &k.batch)
	}
	if !ok {
		return errShape
	}
	return nil
}

func (k *Known) fromCBOR(content []byte) error {
	if err := checkItem(content); err != nil {
		return err
	}
	if k.rec.Type != mrlog.TypePCClient && k.rec.Type != mrlog.TypeIMATemplate {
		var ok bool
		if k.rec.Content, ok = k.chunks(content, cborBytes); !ok {
			return errShape
		}
		return nil
	}
	if content[0]>>5 != cborMap {
		return errShape
	}
	pair, _, err := cutCBORPair(content)
	if err != nil {
		return err
	}
	pair.other = false
	for i, item := range pair.value {
		major := byte(cborBytes)
		if i == 0 {
			major = cborText
		}
		if text, ok := k.chunks(item, major); ok { // also of one that is in pieces
			pair.value[i] = appendCBORString(k.batch.Alloc(len(text) + 9)[:0], major, text)
		}
	}
	k.cbor = cborRecord{Record: k.rec}
	var cur cursor
	switch {
	case k.rec.Type == mrlog.TypeIMATemplate && k.cbor.template(&pair, &cur):
	case k.rec.Type == mrlog.TypePCClient && k.cbor.event(&pair, &cur):
	case k.rec.Type == mrlog.TypePCClient && pair.named():
		pair.value[0] = []byte{cborUint}
		if !k.cbor.event(&pair, &cur) {
			return errShape
		}
		k.cbor.Event = unnamedEvent
	default:
		return errShape
	}
	k.rec = k.cbor.Record
	return nil
}

// named reports whether the first item is the name of an event type.
func (v *cborPair) named() bool {
	name, ok := v.text(0, cborText, new(bool))
	return ok && len(name) > 0
}

// chunks returns the value of an item, well formed, if that is a string of this
// kind, in one piece or in several.
func (k *Known) chunks(item []byte, major byte) ([]byte, bool) {
	if item == nil || item[0]>>5 != major {
		return nil, false
	}
	cur := cursor{p: item}
	h := cur.head()
	if !h.indefinite {
		return cur.bytes(h.arg), true
	}
	out := k.batch.Alloc(len(item))[:0] // than which the pieces together are shorter
	for left := h.arg; cur.more(h, &left); {
		out = append(out, cur.bytes(cur.head().arg)...)
	}
	return out, true
}

func (k *Known) fromTLV(content []byte) error {
	if at, err := checkTLVs(content); err != nil {
		return fmt.Errorf("byte %d: %w", at, err)
	}
	pair, _, err := cutPair(content)
	if err != nil {
		return err
	}
	pair.other = false
	switch k.rec.Type {
	case mrlog.TypePCClient:
		var ok bool
		if k.rec.Event, ok = pair.event(); !ok {
			return errShape
		}
	case mrlog.TypeIMATemplate:
		if !pair.isTemplate() {
			return errShape
		}
		k.rec.Name = pair.value[0]
	default:
		return errShape
	}
	k.rec.Content = pair.value[1]
	return nil
}
