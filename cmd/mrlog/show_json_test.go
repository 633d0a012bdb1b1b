// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"testing"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// showRecord is what appendRecord writes, and docs/json.md describes.
type showRecord struct {
	Number      uint64       `json:"recnum"`
	Register    string       `json:"register"`
	Type        string       `json:"type"`
	TypeNumber  *uint32      `json:"type_number,omitempty"`
	Content     string       `json:"content"`
	Digests     []showDigest `json:"digests"`
	NotExtended bool         `json:"not_extended,omitempty"`
	Suspicious  string       `json:"suspicious,omitempty"`
	Event       string       `json:"event_type,omitempty"`
	Name        string       `json:"name,omitempty"`
	NameData    string       `json:"name_data,omitempty"`
	Line        int          `json:"line,omitempty"`
	Offset      int64        `json:"offset"`
}

type showDigest struct {
	Bank    string `json:"bank"`
	Digest  string `json:"digest"`
	Content string `json:"content"`
	Value   string `json:"value,omitempty"`
}

// recordOf fills it in.
func recordOf(s *shown) showRecord {
	r := showRecord{
		Number: s.number, Register: s.Register.String(), Type: typeName(s.Record), Content: s.worst().String(),
		NotExtended: s.NotExtended, Suspicious: s.odd, Line: s.Span.Line, Offset: s.Span.Offset,
	}
	switch {
	case s.Record.Type == mrlog.TypeNamed:
		r.Type = string(s.Name)
	default:
		n := uint32(s.Record.Type)
		r.TypeNumber = &n
		if utf8.Valid(s.Name) {
			r.Name = string(s.Name)
		} else {
			r.NameData = hex.EncodeToString(s.Name)
		}
	}
	if s.Record.Type == mrlog.TypePCClient {
		r.Event = eventName(s.Event)
	}
	for i, d := range s.Digests {
		r.Digests = append(r.Digests, showDigest{
			Bank: d.Alg.String(), Digest: hex.EncodeToString(d.Sum), Content: s.content[i].String(), Value: hex.EncodeToString(s.values[i].Sum),
		})
	}
	return r
}

// TestAppendRecord: the records that show writes by hand are those that the
// encoder would.
func TestAppendRecord(t *testing.T) {
	digest := func(alg mrlog.Alg, n int) mrlog.Digest { return mrlog.Digest{Alg: alg, Sum: make([]byte, n)} }
	two := []mrlog.Digest{digest(mrlog.SHA1, 20), digest(mrlog.SHA3_256, 32)}
	for what, s := range map[string]shown{
		"nothing": {Record: &mrlog.Record{}},
		"TCG": {
			Record:  &mrlog.Record{Type: mrlog.TypePCClient, Event: 13, Digests: two, Register: mrlog.Register{Space: mrlog.PCR, Index: 23}},
			content: []verify.Content{verify.Matches, verify.Differs}, values: two, number: 1 << 63,
		},
		"not extended": {
			Record: &mrlog.Record{Type: mrlog.TypePCClient, Event: 0x12345678, NotExtended: true, Digests: two[:1]}, odd: "a \"reason\"",
			content: []verify.Content{verify.Opaque}, values: []mrlog.Digest{{Alg: mrlog.SHA1}},
		},
		"unknown": {
			Record:  &mrlog.Record{Type: 201, Digests: []mrlog.Digest{digest(0x4444, 3)}, Register: mrlog.Register{Space: mrlog.NV, Index: 0x1C10102}},
			content: make([]verify.Content, 1), values: make([]mrlog.Digest, 1),
		},
		"named":       {Record: &mrlog.Record{Type: mrlog.TypeNamed, Name: []byte("<a>\t\"\\\u202e\u00e9\x00\x7f"), Span: mrlog.Span{Line: 12, Offset: 1 << 40}}},
		"named badly": {Record: &mrlog.Record{Type: mrlog.TypeNamed, Name: []byte("\xff\"")}},
		"template":    {Record: &mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima\"-ng\u2028")}},
		"other bytes": {Record: &mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima\xff")}},
	} {
		want, err := appendJSON(nil, recordOf(&s))
		if err != nil {
			t.Fatal(err)
		}
		if got := append(appendRecord(nil, &s), '}'); string(got) != string(want) {
			t.Errorf("%s:\n%s, want\n%s", what, got, want)
		}
	}
}
