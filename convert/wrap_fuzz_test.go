// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"errors"
	"testing"

	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// FuzzWrapped: what is found in a wrapping is what was put in, whatever it is:
// the same records, or the same error.
func FuzzWrapped(f *testing.F) {
	for i := range wrappings {
		f.Add([]byte(sample), byte(i))
	}
	f.Add([]byte("[]"), byte(0))
	f.Add([]byte("10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng x /a\n"), byte(3))
	f.Fuzz(func(t *testing.T, log []byte, which byte) {
		w := wrappings[int(which)%len(wrappings)]
		in := w.wrap(log)
		r, err := convert.Open(bytes.NewReader(in), convert.Source{})
		if err != nil {
			checkEnd(t, nil, err)
			return
		}
		if k := convert.Wrapped(r); k.Wrapping != w.kind || k.Member != "" {
			return // taken for something else, as short text may be
		}
		got, err := logtest.ReadAll(r)
		if err != nil {
			checkEnd(t, nil, err)
		}
		plain, err2 := convert.Open(bytes.NewReader(log), convert.Source{})
		if err2 != nil {
			t.Fatalf("%s: read, and without the wrapping %v", w.what, err2)
		}
		if convert.Wrapped(plain).Wrapping != convert.NoWrapping {
			return // two layers: one is taken off
		}
		want, err2 := logtest.ReadAll(plain)
		if diff := diffRecords(want, got); diff != "" || (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %v, without %v\n%s", w.what, err, err2, diff)
		}
		if errors.Is(err, convert.ErrFormat) {
			t.Fatalf("%s: opened, then %v", w.what, err)
		}
	})
}
