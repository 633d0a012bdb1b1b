// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/vectors"
	"mrlog.dev/nelr"
)

// reasons maps the vectors' words to what the reader says.
var reasons = map[string]string{
	"no-init":      "no INIT record",
	"first-record": "first record: ",
	"second-init":  "second INIT record",
	"torn":         "torn",
}

func loadVectors(t testing.TB) []*vectors.Vector {
	t.Helper()
	all, err := vectors.Load(os.DirFS("../testdata/vectors"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVectors compares the reader and the replay with values that were
// computed elsewhere; it computes none itself.
func TestVectors(t *testing.T) {
	sources := map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"data+EOF": iotest.DataErrReader,
	}
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			for name, wrap := range sources {
				r := nelr.NewReader(wrap(bytes.NewReader(v.Log)), nelr.Options{})
				records, err := logtest.ReadAll(r)
				checkVector(t, name, v, r, records)
				if v.OK {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				var fault *mrlog.SyntaxError
				if !errors.As(err, &fault) {
					t.Errorf("%s: error %v is not a SyntaxError", name, err)
					continue
				}
				if fault.Line != v.Line || reasons[v.Reason] == "" || !strings.Contains(err.Error(), reasons[v.Reason]) {
					t.Errorf("%s: error %q, want line %d, %s", name, err, v.Line, v.Reason)
				}
			}
			if v.Reason != "torn" {
				return
			}
			r := nelr.NewReader(bytes.NewReader(v.Log), nelr.Options{IgnoreTorn: true})
			records, err := logtest.ReadAll(r)
			if torn, ok := r.Torn(); !ok || torn.Line != v.Line || int(torn.Offset)+torn.Length != len(v.Log) {
				t.Errorf("torn line at %v, %v", torn, ok)
			}
			if len(v.Records) == 0 {
				if err == nil || !strings.Contains(err.Error(), reasons["no-init"]) {
					t.Errorf("error %v without INIT", err)
				}
				return
			}
			if err != nil {
				t.Error(err)
			}
			checkVector(t, "torn ignored", v, r, records)
		})
	}
}

func checkVector(t *testing.T, how string, v *vectors.Vector, r *nelr.Reader, records []mrlog.Record) {
	t.Helper()
	reg, err := mrlog.ParseRegister(v.Register)
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Format != nelr.Format || h.Space != reg.Space || len(h.Algs) != len(v.Algs) {
		t.Errorf("%s: header %+v", how, h)
	}
	var note mrlog.Note // the vectors do not say; TestReaderRegister does
	if r.Header().SpaceAssumed {
		note = mrlog.NoteSpaceAssumed
	}
	var want []mrlog.Record
	for i, w := range v.Records {
		rec := mrlog.Record{
			Number: uint64(i), HasNumber: true, Register: reg, Type: mrlog.TypeCCCEL, Notes: note,
			Content: v.Log[w.Offset : w.Offset+int64(w.Length)],
			Span:    mrlog.Span{Offset: w.Offset, Length: w.Length, Line: w.Line},
		}
		for _, d := range w.Digests {
			rec.Digests = append(rec.Digests, digest(t, d))
		}
		want = append(want, rec)
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("%s: records (-want +got):\n%s", how, diff)
	}
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Errorf("%s: replay: %v", how, err)
	}
	if refused, n := replay.InitErrors(); n != 0 {
		t.Errorf("%s: replay: %v", how, refused)
	}
	for _, w := range v.Final {
		d := digest(t, w)
		if got := replay.Value(reg, d.Alg); !bytes.Equal(got, d.Sum) {
			t.Errorf("%s: final %s value %x, want %x", how, d.Alg, got, d.Sum)
		}
	}
	banks := replay.Banks()
	if len(banks) != len(v.Final) {
		t.Errorf("%s: %d banks, want %d", how, len(banks), len(v.Final))
	}
	for _, b := range banks {
		if b.Unexplained != slices.Contains(v.Unexplained, b.Alg.String()) {
			t.Errorf("%s: %s unexplained: %v", how, b.Alg, b.Unexplained)
		}
		if b.Records != uint64(len(v.Records)) {
			t.Errorf("%s: %s has %d records", how, b.Alg, b.Records)
		}
	}
}

func digest(t *testing.T, d vectors.Digest) mrlog.Digest {
	t.Helper()
	alg, ok := mrlog.AlgByName(d.Alg)
	if !ok {
		t.Fatalf("unknown algorithm %s", d.Alg)
	}
	return mrlog.Digest{Alg: alg, Sum: d.Sum}
}
