// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack_test

import (
	"bytes"
	"testing"

	"mrlog.dev/dstack"
)

// FuzzPreimage: what is read as a preimage is the event's own, byte for byte,
// but where the event has the preimage of another.
func FuzzPreimage(f *testing.F) {
	for _, e := range []dstack.Event{{Name: "app-id", Payload: []byte("ok"), Version: 1}, {Name: "é\"", Payload: []byte{0, 255}, Version: 2}, {Version: 2}} {
		p, ok := e.AppendPreimage(nil)
		if !ok {
			f.Fatal(e)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		e, ok := dstack.ParsePreimage(p)
		if !ok {
			return
		}
		if out, ok := e.AppendPreimage(nil); !ok || !bytes.Equal(out, p) {
			t.Fatalf("%q became %q", p, out)
		}
	})
}
