// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package systemd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/vectors"
	"mrlog.dev/systemd"
)

// cescape as systemd's src/basic/escape.c describes it, by another road than
// the package's.
func cescape(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		switch q := fmt.Sprintf("%q", rune(c)); {
		case c == '"' || c == '\'':
			b.WriteString(`\` + string(rune(c)))
		case c == '\\' || c >= '\a' && c <= '\r':
			b.WriteString(strings.Trim(q, "'"))
		case c < ' ' || c >= 127:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func content(t testing.TB, s, event string) []byte {
	t.Helper()
	p, err := json.Marshal(map[string]any{"string": s, "bootId": strings.Repeat("0", 32), "timestamp": 1, "eventType": event})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMeasured: what was measured comes back from what pcrextend logs of it, as
// far as that can be.
func TestMeasured(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	long := bytes.Repeat([]byte("a\x00"), 512)
	for _, p := range [][]byte{nil, []byte("enter-initrd"), all, []byte("é\\x3a"), long, long[:1023], append([]byte("..."), long...)[:1024], []byte("...")} {
		got, ok := systemd.Measured(content(t, cescape(p), "phase"))
		if !ok || !bytes.Equal(got, p) {
			t.Errorf("%q: %q, %v", p, got, ok)
		}
		if _, ok := systemd.Measured(content(t, cescape(p), "volume-key")); ok {
			t.Errorf("%q: a keyed digest is checked", p)
		}
	}
	for _, n := range []int{1025, 2000, 10000} {
		p := bytes.Repeat([]byte{0xFF}, n)
		if got, ok := systemd.Measured(content(t, cescape(p[:1024])+"...", "phase")); ok {
			t.Errorf("%d bytes, cut: %q", n, got)
		}
	}
	// What cescape does not write was not escaped.
	for _, s := range []string{"é", "a\"b", "it's", "\t", `\`, `a\`, `\q`, `\0`, `\40`, `\400`, `\101`, `\012`, `\134`, `\x41`} {
		if got, ok := systemd.Measured(content(t, s, "phase")); !ok || string(got) != s {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "{}", "[]", "1", `"enter-initrd"`, `{"string":1}`, `{"string":"a"`, `{"string":"a","string":"a"}`, `{"string":"a","bootId":1}`, `{"string":"a","timestamp":-1}`} {
		if got, ok := systemd.Measured([]byte(s)); ok {
			t.Errorf("%s: %q", s, got)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := systemd.Parse([]byte(`{"mapped_pcr":11,"nvIndexName":"hardware","string":"a\\b","bootId":"x","timestamp":18446744073709551615,"eventType":"new","z":[]}`))
	want := systemd.Content{NVIndexName: "hardware", String: `a\b`, HasString: true, BootID: "x", Timestamp: 1<<64 - 1, EventType: "new", MappedPCR: 11, HasMappedPCR: true, Unknown: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	for _, s := range []string{"[]", `{"mapped_pcr":"1"}`, `{"mapped_pcr":4294967296}`, `{"eventType":null}`} {
		if c, err := systemd.Parse([]byte(s)); err == nil || c != (systemd.Content{}) {
			t.Errorf("%s: %+v, %v", s, c, err)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		"\x1E{\"pcr\":11,\"digests\":[],\"content_type\":\"systemd\"": true,
		"": false, "\x1E": false, "{\"content_type\":\"systemd\"": false,
		"\x1E{\"content_type\":\"cel\"}\n\x1E{\"content_type\":\"systemd\"}\n": false,
	} {
		if systemd.Is([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// TestVectors: the logs replay, come back byte for byte, and what each record
// says it measured hashes to its digest where that can be known.
func TestVectors(t *testing.T) {
	isArray := func(log []byte) bool { return bytes.HasPrefix(log, []byte("[")) }
	logtest.Vectors(t, "../testdata/vectors/systemd", func(log []byte) mrlog.Reader {
		if isArray(log) {
			return cel.NewJSONReader(bytes.NewReader(log), cel.Options{})
		}
		return cel.NewSeqReader(bytes.NewReader(log), cel.Options{})
	}, func(t *testing.T, v *vectors.Vector, got []mrlog.Record) {
		unknown := strings.Contains(v.Comment, "cannot be known")
		for i := range got {
			r := &got[i]
			text, ok := systemd.Measured(r.Content)
			if ok == unknown && r.Type == mrlog.TypeSystemd {
				t.Errorf("record %d: %q, %v", i, text, ok)
			}
			for _, d := range r.Digests {
				if ok && !bytes.Equal(d.Alg.AppendSum(nil, text), d.Sum) {
					t.Errorf("record %d: %q has another digest", i, text)
				}
			}
		}
		if isArray(v.Log) || !v.OK || strings.Contains(v.Comment, "skipped") {
			return
		}
		var buf bytes.Buffer
		w := cel.NewSeqWriter(&buf)
		if err := errors.Join(w.Write(got), w.Close()); err != nil || !bytes.Equal(buf.Bytes(), v.Log) {
			t.Errorf("written as %q, %v", buf.Bytes(), err)
		}
	})
}

func FuzzMeasured(f *testing.F) {
	f.Add([]byte(`{"string":"a\\\\b","eventType":"phase"}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := systemd.Parse(p)
		text, ok := systemd.Measured(p)
		if err != nil || !ok {
			return
		}
		if !json.Valid(p) || !c.HasString || string(text) != c.String && cescape(text) != c.String {
			t.Fatalf("%q: %q", p, text)
		}
	})
}
