// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package logtest reads logs whole, for the tests of the packages that read
// them, and holds them to the golden vectors and to other forms.
package logtest

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/internal/vectors"
)

// ReadAll returns clones of all records of r, and the error that ended them if
// it is not io.EOF.
func ReadAll(r mrlog.Reader) ([]mrlog.Record, error) {
	var all []mrlog.Record
	for rec, err := range mrlog.All(r) {
		if err != nil {
			return all, err
		}
		all = append(all, rec.Clone())
	}
	return all, nil
}

// Through writes records with w and holds to them what r reads, which must read
// what w wrote. Places and notes are of one log only.
func Through(t *testing.T, records []mrlog.Record, w mrlog.Writer, r mrlog.Reader) {
	t.Helper()
	if err := errors.Join(w.Write(records), w.Close()); err != nil {
		t.Error(err)
		return
	}
	again, err := ReadAll(r)
	if diff := cmp.Diff(records, again, cmpopts.IgnoreFields(mrlog.Record{}, "Span", "Notes"), cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("written and read again: %v, %s", err, diff)
	}
}

// Vectors reads the vectors of a folder and holds what open reads of each to
// it: records, digests, the line at fault, and the values that a replay ends
// in. It calls each, if that is not nil, with those whose records are right.
func Vectors(t *testing.T, folder string, open func(log []byte) mrlog.Reader, each func(*testing.T, *vectors.Vector, []mrlog.Record)) {
	t.Helper()
	all, err := vectors.Load(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			got, err := ReadAll(open(v.Log))
			fault, bad := errors.AsType[*mrlog.SyntaxError](err)
			if (err == nil) != v.OK || len(got) != len(v.Records) || !v.OK && (!bad || fault.Line != v.Line) {
				t.Fatalf("%d records, %v", len(got), err)
			}
			for i, w := range v.Records {
				r := &got[i]
				if r.Span != (mrlog.Span{Offset: w.Offset, Length: w.Length, Line: w.Line}) || len(r.Digests) != len(w.Digests) {
					t.Fatalf("record %d: %+v, want %+v", i, r, w)
				}
				for j, d := range r.Digests {
					if d.Alg.String() != w.Digests[j].Alg || !bytes.Equal(d.Sum, w.Digests[j].Sum) {
						t.Errorf("record %d: %s, want %+v", i, d, w.Digests[j])
					}
				}
			}
			var replay mrlog.Replay
			if err := replay.Extend(got); err != nil {
				t.Fatal(err)
			}
			reg, err := mrlog.ParseRegister(v.Register)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range v.Final {
				alg, _ := mrlog.AlgByName(f.Alg)
				if !bytes.Equal(replay.Value(reg, alg), f.Sum) {
					t.Errorf("%s ends in %x", reg, replay.Value(reg, alg))
				}
			}
			if each != nil {
				each(t, v, got)
			}
		})
	}
}
