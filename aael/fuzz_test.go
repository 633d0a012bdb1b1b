// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package aael_test

import (
	"bytes"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/aael"
)

// FuzzEvent: the text of an event gives the event back, and so does the record
// that the agent would log of it.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{"domain operation content", "a b ", "a b c d", "a  b", "", "a\tb c d"} {
		f.Add([]byte(s))
		f.Add(aael.AppendTagged(nil, []byte(s)))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if text, ok := aael.ParseTagged(p); ok && !bytes.Equal(aael.AppendTagged(nil, text), p) {
			t.Fatalf("%x is not that of %q", p, text)
		}
		e, ok := aael.ParseEvent(p)
		if !ok {
			if bytes.Count(p, []byte{' '}) > 1 {
				t.Fatalf("%q is an event", p)
			}
			return
		}
		if got := e.AppendText(nil); !bytes.Equal(got, p) {
			t.Fatalf("%q became %q", p, got)
		}
		rec, err := e.Record(mrlog.Register{Space: mrlog.CCMR, Index: 4}, mrlog.SHA384)
		if (err == nil) != (e.Check() == nil) {
			t.Fatalf("%v, and %v", err, e.Check())
		}
		if err != nil {
			return
		}
		if text, ok := aael.Text(&rec); !ok || !bytes.Equal(text, p) || strings.ContainsAny(e.Domain+e.Operation, " \n") {
			t.Fatalf("%q has the text %q", p, text)
		}
	})
}
