// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"crypto"
	"testing"

	gocel "github.com/google/go-eventlog/cel"
	"pgregory.net/rapid"

	"mrlog.dev"
)

// cosContent is content of type 80, Container-Optimized OS, as go-eventlog's
// users implement it.
type cosContent struct {
	kind  uint8
	value []byte
}

func (c cosContent) TLV() (gocel.TLV, error) {
	inner, err := gocel.TLV{Type: c.kind, Value: c.value}.MarshalBinary()
	return gocel.TLV{Type: 80, Value: inner}, err
}

func (c cosContent) GenerateDigest(h crypto.Hash) ([]byte, error) {
	outer, err := c.TLV()
	if err != nil {
		return nil, err
	}
	b, err := outer.MarshalBinary()
	if err != nil {
		return nil, err
	}
	hash := h.New()
	hash.Write(b)
	return hash.Sum(nil), nil
}

// peerLog makes a log with go-eventlog.
func peerLog(t testing.TB, log gocel.CEL, index int, algs []crypto.Hash, contents []cosContent) []byte {
	t.Helper()
	for _, c := range contents {
		if err := log.AppendEvent(c, algs, index, func(crypto.Hash, int, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := log.EncodeCEL(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

var peerContents = []cosContent{{0, []byte("image")}, {1, []byte("sha256:00")}, {8, nil}, {9, []byte{1}}, {11, bytes.Repeat([]byte{7}, 3000)}}

// TestReadPeer reads what go-eventlog writes.
func TestReadPeer(t *testing.T) {
	for _, tt := range []struct {
		log   gocel.CEL
		space mrlog.Space
		index int
		algs  []crypto.Hash
	}{
		{gocel.NewPCR(), mrlog.PCR, 13, []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384}},
		{gocel.NewConfComputeMR(), mrlog.CCMR, 4, []crypto.Hash{crypto.SHA384}},
	} {
		in := peerLog(t, tt.log, tt.index, tt.algs, peerContents)
		recs, h, err := readTLV(in)
		if err != nil {
			t.Fatal(err)
		}
		if h.Dialect != "go-eventlog" || h.Space != tt.space || noted(recs) || len(recs) != len(peerContents) {
			t.Fatalf("header %+v, %d records", h, len(recs))
		}
		for i, r := range recs {
			if r.Number != uint64(i) || r.Register != (mrlog.Register{Space: tt.space, Index: uint32(tt.index)}) || r.Type != 80 || len(r.Digests) != len(tt.algs) {
				t.Errorf("record %d is %+v", i, r)
			}
			field := appendHead(nil, 80, len(r.Content))
			for _, d := range r.Digests {
				if !bytes.Equal(d.Sum, d.Alg.AppendSum(nil, append(field, r.Content...))) {
					t.Errorf("record %d: %s is not that of its content", i, d)
				}
			}
		}
		if out, err := writeTLV(GoEventlog, recs); err != nil || !bytes.Equal(out, in) {
			t.Errorf("written: %x, %v\nwant %x", out, err, in)
		}
	}
}

// TestPeerReads lets go-eventlog read what the GoEventlog dialect writes.
func TestPeerReads(t *testing.T) {
	hashes := map[mrlog.Alg]crypto.Hash{mrlog.SHA1: crypto.SHA1, mrlog.SHA256: crypto.SHA256, mrlog.SHA384: crypto.SHA384, mrlog.SHA512: crypto.SHA512}
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]mrlog.Space{mrlog.PCR, mrlog.CCMR}).Draw(t, "space")
		algs := rapid.SliceOfNDistinct(rapid.SampledFrom([]mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384, mrlog.SHA512}), 1, 4, rapid.ID[mrlog.Alg]).Draw(t, "algs")
		recs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mrlog.Record {
			return mrlog.Record{
				Number: rapid.Uint64().Draw(t, "number"), HasNumber: true,
				Register: mrlog.Register{Space: space, Index: rapid.Uint32Range(4, 255).Draw(t, "index")},
				Digests:  drawDigests(t, algs),
				Type:     mrlog.ContentType(rapid.SampledFrom([]uint8{9, 80, 200, 204}).Draw(t, "type")),
				Content:  rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "content"),
			}
		}), 1, 8).Draw(t, "records")
		out, err := writeTLV(GoEventlog, recs)
		if err != nil {
			t.Fatal(err)
		}
		log, err := gocel.DecodeToCEL(bytes.NewBuffer(out))
		if err != nil {
			t.Fatalf("%v: %x", err, out)
		}
		if len(log.Records()) != len(recs) {
			t.Fatalf("%d records", len(log.Records()))
		}
		for i, p := range log.Records() {
			r := recs[i]
			indexType := gocel.PCRType
			if space == mrlog.CCMR {
				indexType = gocel.CCMRType
			}
			if p.RecNum != r.Number || uint32(p.Index) != r.Register.Index || p.IndexType != indexType ||
				mrlog.ContentType(p.Content.Type) != r.Type || !bytes.Equal(p.Content.Value, r.Content) || len(p.Digests) != len(r.Digests) {
				t.Fatalf("record %d: go-eventlog reads %+v from %+v", i, p, r)
			}
			for _, d := range r.Digests {
				if !bytes.Equal(p.Digests[hashes[d.Alg]], d.Sum) {
					t.Fatalf("record %d: go-eventlog reads another %s", i, d)
				}
			}
		}
	})
}

// TestCBORPeer lets an independent decoder with strict options read what is
// written, and encode it again deterministically.
func TestCBORPeer(t *testing.T) {
	dec := strictCBOR(t)
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(drawRecord(false)), 0, 6).Draw(t, "records")
		out, err := writeCBOR(int64(len(recs)), recs)
		if err != nil {
			t.Fatal(err)
		}
		var log []map[any]any
		if err := dec.Unmarshal(out, &log); err != nil {
			t.Fatalf("%v: %x", err, out)
		}
		if len(log) != len(recs) {
			t.Fatalf("%d records, want %d", len(log), len(recs))
		}
		for i, p := range log {
			r := recs[i]
			n, has := p[uint64(0)].(uint64)
			key := uint64(1)
			if r.Register.Space == mrlog.NV {
				key = 2
			}
			if has != r.HasNumber || n != r.Number || p[key] != uint64(r.Register.Index) || p[uint64(9)] != uint64(r.Type) {
				t.Fatalf("record %d: %v from %+v", i, p, r)
			}
			for j, d := range p[uint64(3)].([]any) {
				d := d.(map[any]any)
				if d[uint64(0)] != uint64(r.Digests[j].Alg) || !bytes.Equal(d[uint64(1)].([]byte), r.Digests[j].Sum) {
					t.Fatalf("record %d: digest %v from %s", i, d, r.Digests[j])
				}
			}
		}
	})
}
