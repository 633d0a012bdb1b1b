// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"

	"mrlog.dev"
)

func drawDigests(t *rapid.T, algs []mrlog.Alg) []mrlog.Digest {
	out := make([]mrlog.Digest, len(algs))
	for i, a := range algs {
		size := a.Size()
		if size == 0 {
			size = rapid.IntRange(1, mrlog.MaxUnknownDigestSize).Draw(t, "size")
		}
		out[i] = mrlog.Digest{Alg: a, Sum: rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "sum")}
	}
	return out
}

// drawRecord draws any record that TLV carries, or any that CBOR does.
func drawRecord(tlv bool) func(*rapid.T) mrlog.Record {
	return func(t *rapid.T) mrlog.Record {
		maxAlg, maxType := uint32(0xFFFF), uint32(MaxType)
		if tlv {
			maxAlg, maxType = 0xFF, 0xFF
		}
		alg := rapid.OneOf(rapid.SampledFrom(mrlog.Known()), rapid.Map(rapid.Uint32Range(1, maxAlg), func(n uint32) mrlog.Alg { return mrlog.Alg(n) }))
		r := mrlog.Record{
			HasNumber: tlv || rapid.Bool().Draw(t, "has number"),
			Digests:   drawDigests(t, rapid.SliceOfNDistinct(alg, 1, mrlog.MaxDigests, rapid.ID[mrlog.Alg]).Draw(t, "algs")),
			Content:   rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "content"),
		}
		if r.HasNumber {
			r.Number = rapid.Uint64().Draw(t, "number")
		}
		r.Type = mrlog.ContentType(rapid.OneOf(
			rapid.SampledFrom([]uint32{4, 5, 7, 8, 9, 80, 204}),
			rapid.Uint32Range(4, maxType).Filter(func(n uint32) bool { return n != 108 }),
		).Draw(t, "type"))

		spaces := []mrlog.Space{mrlog.PCR, mrlog.CCMR, mrlog.NV}
		if !tlv {
			spaces = append(spaces, mrlog.RTMR)
		}
		r.Register.Space = rapid.SampledFrom(spaces).Draw(t, "space")
		r.Register.Index = rapid.OneOf(rapid.Uint32Range(0, 23), rapid.Uint32Range(0, mrlog.MaxIndex)).Draw(t, "index")
		switch {
		case r.Register.Space == mrlog.NV:
			r.Register.Index = rapid.Uint32().Draw(t, "nv index")
		case tlv && r.Register.Space == mrlog.PCR && r.Type == mrlog.TypeCCCEL && r.Register.Index <= 3:
			r.Register.Space = mrlog.RTMR
		}

		switch r.Type {
		case mrlog.TypePCClient:
			r.Event = rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32()).Draw(t, "event")
		case mrlog.TypeIMATemplate:
			r.Name = []byte(rapid.StringN(0, 20, 60).Draw(t, "name"))
		case mrlog.TypeCEL:
			r.Form, r.Content = mrlog.FormTLV, nil
			n := 1
			if tlv {
				n = rapid.IntRange(1, 5).Draw(t, "events")
			}
			for range n {
				m := Management{Type: rapid.SampledFrom([]ManagementType{CELVersion, FirmwareEnd, Timestamp, StateTrans}).Draw(t, "event")}
				switch m.Type {
				case CELVersion:
					m.Major, m.Minor = rapid.Uint16().Draw(t, "major"), rapid.Uint16().Draw(t, "minor")
				case Timestamp, StateTrans:
					m.Value = rapid.Uint64().Draw(t, "value")
				}
				r.Content = m.Append(r.Content)
			}
		}
		r.NotExtended = notExtended(&r)
		return r
	}
}

// TestRoundTripTLV: any record that TLV carries comes back, from each dialect
// that carries it.
func TestRoundTripTLV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(drawRecord(true)), 1, 6).Draw(t, "records")
		for _, d := range []Dialect{Minimal, FourByte, GoEventlog} {
			var carried []mrlog.Record
			var buf bytes.Buffer
			w, err := NewTLVWriter(&buf, d)
			if err != nil {
				t.Fatal(err)
			}
			for i := range recs {
				// What one dialect cannot carry is left out; the
				// writer goes on after it.
				switch err := w.Write(recs[i : i+1]); {
				case err == nil:
					carried = append(carried, recs[i])
				case d == Minimal:
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, h, err := readTLV(buf.Bytes())
			if err != nil {
				t.Fatalf("%s: %v", d, err)
			}
			if diff := diffRecords(carried, got); diff != "" || noted(got) {
				t.Fatalf("%s: noted %v, %+v (-want +got):\n%s", d, noted(got), h, diff)
			}
		}
	})
}

// TestRoundTripCBOR: any record that CBOR carries comes back, from an array and
// from a sequence.
func TestRoundTripCBOR(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(drawRecord(false)), 0, 6).Draw(t, "records")
		for _, n := range []int64{-1, int64(len(recs))} {
			out, err := writeCBOR(n, recs)
			if err != nil {
				t.Fatal(err)
			}
			got, h, err := readCBOR(out)
			if err != nil {
				t.Fatalf("%v: %x", err, out)
			}
			if diff := diffRecords(recs, got); diff != "" || noted(got) {
				t.Fatalf("%s: noted %v (-want +got):\n%s", h.Dialect, noted(got), diff)
			}
		}
	})
}

// TestTLVInMemory: a long log in memory gives the records that a stream gives,
// and they point into it.
func TestTLVInMemory(t *testing.T) {
	var records []mrlog.Record
	for i := range 3000 {
		r := record(uint64(i), mrlog.Register{Space: mrlog.CCMR, Index: 4}, 80, bytes.Repeat([]byte{byte(i)}, i%700))
		records = append(records, r)
	}
	log, err := writeTLV(Minimal, records)
	if err != nil {
		t.Fatal(err)
	}
	var b mrlog.Batch
	r := NewTLVReaderBytes(log, Options{})
	n := 0
	for ; ; n += len(b.Records) {
		if err := r.Read(&b); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if diff := diffRecords(records[n:n+len(b.Records)], b.Records); diff != "" {
			t.Fatalf("from record %d:\n%s", n, diff)
		}
		for _, rec := range b.Records {
			end := rec.Span.Offset + int64(rec.Span.Length)
			if len(rec.Content) > 0 && &rec.Content[0] != &log[end-int64(len(rec.Content))] {
				t.Fatalf("record %d is a copy", rec.Number)
			}
		}
	}
	if n != len(records) {
		t.Errorf("%d records of %d", n, len(records))
	}
}
