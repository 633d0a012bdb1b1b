// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
)

func TestInitRecord(t *testing.T) {
	var all []mrlog.Digest
	for i, alg := range mrlog.Known() {
		v := mrlog.Digest{Alg: alg, Sum: bytes.Repeat([]byte{byte(0x9a + i)}, alg.Size())}
		all = append(all, v)
		for _, values := range [][]mrlog.Digest{{v}, all} {
			line := mrlog.AppendInit([]byte("x"), values)[1:]
			got, err := mrlog.ParseInit(line)
			if err != nil || !mrlog.IsInit(line) {
				t.Fatalf("%s: %v", line, err)
			}
			clear(line) // the values are the caller's
			if diff := cmp.Diff(values, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	if got := string(mrlog.AppendInit(nil, []mrlog.Digest{{Alg: mrlog.SHA1, Sum: make([]byte, 20)}})); got != "INIT sha1/"+strings.Repeat("00", 20) {
		t.Error(got)
	}
}

func TestIsInit(t *testing.T) {
	for line, want := range map[string]bool{
		"INIT": true, "INIT ": true, "INIT x": true, "INIT sha1/": true, "INIT  x": true,
		"": false, "INI": false, "INITX": false, "INIT\t": false, "init x": false, " INIT x": false, "INIT/x": false, "INIT\x00": false,
	} {
		if got := mrlog.IsInit([]byte(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
		for _, rec := range []mrlog.Record{
			{Type: mrlog.TypeCCCEL, Content: []byte(line)},
			{Type: mrlog.TypeCCCEL, Form: mrlog.FormJSON, Content: []byte(line)},
			{Type: mrlog.TypePCClient, Content: []byte(line)},
		} {
			if got := rec.IsInit(); got != (want && rec.Type == mrlog.TypeCCCEL && rec.Form == mrlog.FormRaw) {
				t.Errorf("%q of type %d, form %d: %v", line, rec.Type, rec.Form, got)
			}
		}
	}
}

// Whatever parses is spelled as AppendInit spells it: a start value has one
// text, so that its digest is no choice of whoever wrote the log.
func FuzzParseInit(f *testing.F) {
	sha1 := "sha1/" + strings.Repeat("00", 20)
	for _, s := range []string{
		"INIT " + sha1, "INIT " + sha1 + " sha256/" + strings.Repeat("a9", 32), "INIT " + sha1 + " " + sha1, "INIT  " + sha1,
		"INIT sha1/" + strings.Repeat("0A", 20), "INIT", "INIT ", "INITX",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		values, err := mrlog.ParseInit(line)
		if err != nil {
			return
		}
		if len(values) == 0 || !mrlog.IsInit(line) {
			t.Errorf("%q: %v", line, values)
		}
		if back := mrlog.AppendInit(nil, values); !bytes.Equal(back, line) {
			t.Errorf("%q became %q", line, back)
		}
	})
}
