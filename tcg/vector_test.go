// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
)

// TestVectors reads every vector in every way in which it can arrive.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		for how, open := range readers {
			t.Run(v.name+"/"+how, func(t *testing.T) {
				r := open(v.log, v.options())
				records, err := logtest.ReadAll(r)
				checkVector(t, v, records)
				h := r.Header()
				if v.expect == "malformed" {
					if s := syntax(t, err); s.Offset != v.offset || s.Format != tcg.Format || s.Record != int64(len(v.records)) {
						t.Errorf("%v, want offset %d of record %d", err, v.offset, len(v.records))
					}
					if r.Read(new(mrlog.Batch)) != err {
						t.Error("the error does not stay")
					}
					if r.End() != (tcg.End{}) {
						t.Error("an end after an error")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if h.Padding != v.padding || r.End().Padding() != v.padding || r.End().Offset != int64(len(v.log))-v.padding {
					t.Errorf("padding %d, %+v, want %d", h.Padding, r.End(), v.padding)
				}
				if d := v.dialect; h.Dialect != d && (d != "none" || h.Dialect != "") || h.Format != tcg.Format || h.Space.String() != v.space {
					t.Errorf("header %+v", h)
				}
				var algs []string
				for _, a := range h.Algs {
					algs = append(algs, a.Alg.String())
				}
				if v.dialect == "sha1" {
					v.algs = []string{"sha1"}
				}
				if diff := cmp.Diff(v.algs, algs); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func checkVector(t *testing.T, v *vector, records []mrlog.Record) {
	t.Helper()
	if len(records) != len(v.records) {
		t.Fatalf("%d records, want %d", len(records), len(v.records))
	}
	for i, want := range v.records {
		rec := &records[i]
		got := vectorRecord{rec.Span.Offset, int64(rec.Span.Length), int64(rec.Register.Index), int64(rec.Event), want.dataOffset, int64(len(rec.Content)), nil}
		for _, d := range rec.Digests {
			got.digests = append(got.digests, d.String())
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(vectorRecord{})); diff != "" {
			t.Errorf("record %d: %s", i, diff)
		}
		if !bytes.Equal(rec.Content, v.log[want.dataOffset:want.dataOffset+want.dataLength]) {
			t.Errorf("record %d: other data", i)
		}
		var note mrlog.Note
		if v.space == "ccmr" {
			note = mrlog.NoteSpaceAssumed
		}
		if rec.NotExtended != (want.event == 3) || rec.HasNumber || rec.Type != mrlog.TypePCClient || rec.Form != mrlog.FormRaw ||
			rec.Register.Space.String() != v.space || rec.Notes != note || rec.Name != nil {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
	if diff := cmp.Diff(v.final, replay(t, records)); diff != "" {
		t.Error(diff)
	}
}

// TestVectorsWriteBack: what is read is written back byte for byte.
func TestVectorsWriteBack(t *testing.T) {
	for _, v := range vectors(t) {
		if v.expect != "ok" {
			continue
		}
		records, err := read(v.log, v.options())
		if err != nil {
			t.Fatal(err)
		}
		out, err := write(records, v.writer())
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
		} else if !bytes.Equal(out, v.log[:int64(len(v.log))-v.padding]) {
			t.Errorf("%s: wrote %x", v.name, out)
		}
	}
}

// TestReaderPassesErrors: an error of the source comes as it is, after the
// records before it, wherever it strikes.
func TestReaderPassesErrors(t *testing.T) {
	for _, v := range vectors(t) {
		if v.expect != "ok" || len(v.records) == 0 {
			continue
		}
		for cut := range v.log {
			whole := 0
			for _, r := range v.records {
				if r.offset+r.length <= int64(cut) {
					whole++
				}
			}
			records, err := logtest.ReadAll(tcg.NewReader(broken(v.log[:cut]), v.options()))
			if err != errBroken || len(records) != whole {
				t.Fatalf("%s, broken at %d: %d records, want %d; %v", v.name, cut, len(records), whole, err)
			}
		}
	}
	if r := tcg.NewReader(io.MultiReader(), tcg.Options{}); r.Read(new(mrlog.Batch)) != io.EOF {
		t.Error("an empty source")
	}
}
