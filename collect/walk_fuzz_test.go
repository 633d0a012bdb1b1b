// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"bytes"
	"slices"
	"testing"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// FuzzWalk: a log is walked to where the reader of native logs gets, and to the
// same values; and stops where one of them is wanted.
func FuzzWalk(f *testing.F) {
	init := "INIT sha256/" + string(bytes.Repeat([]byte{'0'}, 64))
	for _, s := range []string{init + "\na b c\n", init + "\na b c\n# d\n\ne", init + "\nINIT x\n", "a\n", "", "#: boot x\n" + init + "\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, log []byte, at int) {
		w, err := walk(t.Context(), bytes.NewReader(log), int64(len(log)), position{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := skim(t.Context(), bytes.NewReader(log), int64(len(log)))
		if err != nil {
			t.Fatal(err)
		}
		var replay mrlog.Replay
		var values [][]mrlog.Digest
		r := nelr.NewReader(bytes.NewReader(log), nelr.Options{IgnoreTorn: true})
		var fault error
		for rec, err := range mrlog.All(r) {
			if err != nil {
				fault = err
				break
			}
			if err := replay.Extend([]mrlog.Record{*rec}); err != nil {
				t.Fatal(err)
			}
			var now []mrlog.Digest
			for _, d := range rec.Digests {
				now = append(now, mrlog.Digest{Alg: d.Alg, Sum: bytes.Clone(replay.Value(rec.Register, d.Alg))})
			}
			values = append(values, now)
		}
		if int64(len(values)) != w.records || len(values) > 0 && !same(values[len(values)-1], w.values) {
			t.Fatalf("walked over %d records to %v, read %d: %v; %v", w.records, w.values, len(values), fault, w.stop)
		}
		if len(values) > 0 && !same(s.start, w.start) {
			t.Fatalf("skimmed %v, walked %v", s.start, w.start)
		}
		if len(values) == 0 {
			return
		}
		want := values[int(uint(at)%uint(len(values)))]
		hit, err := walk(t.Context(), bytes.NewReader(log), int64(len(log)), position{}, want)
		if err != nil || hit.hit != 0 || !same(hit.values, want) || hit.offset > int64(len(log)) {
			t.Fatalf("wanted %v: %+v, %v", want, hit, err)
		}
	})
}

func same(a, b []mrlog.Digest) bool {
	return slices.EqualFunc(a, b, func(x, y mrlog.Digest) bool { return x.Alg == y.Alg && bytes.Equal(x.Sum, y.Sum) })
}
