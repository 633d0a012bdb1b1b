// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// FuzzTLV holds the TLV codec to exactness: what is accepted is written again
// with the same bytes, unless the reader has said that it would not be; and
// what was read is read again.
func FuzzTLV(f *testing.F) {
	f.Add(unhex(f, exampleTLV))
	for _, d := range []Dialect{Minimal, GoEventlog, FourByte} {
		for _, r := range sampleLog() {
			if p, err := writeTLV(d, []mrlog.Record{r}); err == nil {
				f.Add(p)
			}
		}
	}
	for _, d := range []Dialect{Minimal, GoEventlog} {
		alike := slices.Repeat([]mrlog.Record{record(254, mrlog.Register{Space: mrlog.CCMR, Index: 4}, 80, []byte("x"))}, 4)
		for i := range alike {
			alike[i].Number += uint64(i)
		}
		p, err := writeTLV(d, alike)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		recs, h, err := readTLV(p)
		if err != nil {
			wantSyntax(t, err, -1)
		}
		inPlace, inPlaceErr := logtest.ReadAll(NewTLVReaderBytes(p, Options{}))
		if diff := diffRecords(recs, inPlace); diff != "" || fmt.Sprint(err) != fmt.Sprint(inPlaceErr) {
			t.Fatalf("in memory: %v, else %v (-streamed +in memory):\n%s", inPlaceErr, err, diff)
		}
		for i, r := range recs {
			// Read alone it is the same: none is taken for one that
			// looks alike.
			alone, _, err := readTLV(p[r.Span.Offset : r.Span.Offset+int64(r.Span.Length)])
			if err != nil {
				t.Fatalf("record %d alone: %v", i, err)
			}
			if diff := diffRecords(recs[i:i+1], alone); diff != "" {
				t.Fatalf("record %d (-in the log +alone):\n%s", i, diff)
			}
			if assumed(&r) != assumed(&alone[0]) {
				t.Fatalf("record %d has notes %d in the log, %d alone", i, r.Notes, alone[0].Notes)
			}
		}
		end := len(p)
		if err != nil {
			end = 0
			if len(recs) > 0 {
				last := recs[len(recs)-1].Span
				end = int(last.Offset) + last.Length
			}
		}
		d := Dialect(h.Dialect)
		exact := !noted(recs)
		if h.Dialect == dialectMixed || h.Dialect == dialectOther {
			if exact {
				t.Fatalf("dialect %s, and no record is noted", h.Dialect)
			}
			d = Minimal
		} else if len(recs) == 0 {
			d = Minimal
		}
		out, err := writeTLV(d, recs)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		if exact != bytes.Equal(out, p[:end]) && (exact || d == Dialect(h.Dialect)) {
			t.Fatalf("exact %v\nread    %x\nwritten %x", exact, p[:end], out)
		}
		again, h2, err := readTLV(out)
		if err != nil {
			t.Fatalf("cannot be read again: %v", err)
		}
		if diff := diffRecords(recs, again); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
		if noted(again) || h2.Dialect == dialectMixed || h2.Dialect == dialectOther {
			t.Fatalf("what was written is not canonical: %s", h2.Dialect)
		}
		carryOver(t, recs, func(recs []mrlog.Record) ([]byte, error) { return writeCBOR(-1, recs) }, readCBOR)
	})
}

// FuzzCBOR holds the CBOR codec to the same, and its reader to what an
// independent one accepts.
func FuzzCBOR(f *testing.F) {
	f.Add(unhex(f, exampleCBOR))
	for _, r := range sampleLog() {
		if p, err := writeCBOR(-1, []mrlog.Record{r}); err == nil {
			f.Add(p)
		}
	}
	dec := strictCBOR(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		recs, h, err := readCBOR(p)
		if err != nil {
			wantSyntax(t, err, -1)
		}
		for _, r := range recs {
			item := p[r.Span.Offset : r.Span.Offset+int64(r.Span.Length)]
			if err := dec.Wellformed(item); err != nil {
				t.Fatalf("record accepted that is not well formed: %x: %v", item, err)
			}
		}
		complete := err == nil
		exact := !noted(recs)
		count := int64(-1)
		if h.Dialect == dialectArray {
			count = int64(len(recs))
		}
		out, err := writeCBOR(count, recs)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		if complete && len(recs) > 0 && h.Dialect != dialectIndefinite && exact != bytes.Equal(out, p) {
			t.Fatalf("%s, exact %v\nread    %x\nwritten %x", h.Dialect, exact, p, out)
		}
		again, _, err := readCBOR(out)
		if err != nil {
			t.Fatalf("cannot be read again: %v", err)
		}
		if diff := diffRecords(recs, again); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
		if noted(again) {
			t.Fatalf("what was written is not canonical: %x", out)
		}
		carryOver(t, recs, func(recs []mrlog.Record) ([]byte, error) { return writeTLV(Minimal, recs) }, readTLV)
	})
}

// carryOver writes records in another encoding, one by one: what that carries
// must come back.
func carryOver(t *testing.T, recs []mrlog.Record, write func([]mrlog.Record) ([]byte, error), read func([]byte) ([]mrlog.Record, mrlog.Header, error)) {
	for i := range recs {
		out, err := write(recs[i : i+1])
		if err != nil {
			continue
		}
		again, _, err := read(out)
		if err != nil {
			t.Fatalf("carried over, cannot be read: %v", err)
		}
		if diff := diffRecords(recs[i:i+1], again); diff != "" {
			t.Fatalf("carried over (-first +second):\n%s", diff)
		}
	}
}

// strictCBOR is the independent decoder.
func strictCBOR(t testing.TB) cbor.DecMode {
	dec, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxArrayElements: MaxRecord,
		MaxMapPairs:      MaxRecord,
		MaxNestedLevels:  MaxDepth + 4, // it counts otherwise
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return dec
}
