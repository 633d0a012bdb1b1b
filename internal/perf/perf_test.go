// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mrlog.dev/convert"
)

func TestLogSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := writeLog(path, 7, 120); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	init, rest, _ := bytes.Cut(b, []byte{'\n'})
	if !bytes.HasPrefix(init, []byte("INIT sha384/")) || len(rest) != 7*120 {
		t.Fatalf("%d bytes after %q", len(rest), init)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(rest)) {
		if len(line) != 120 || seen[line] {
			t.Errorf("%d bytes: %q", len(line), line)
		}
		seen[line] = true
	}
}

// TestReferences: the programs that mrlog is compared with do its work.
func TestReferences(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := writeOddLog(path, false); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := convert.Open(f, convert.Source{})
	if err != nil {
		t.Fatal(err)
	}
	var want, one, two bytes.Buffer
	if _, err := convert.Copy(t.Context(), &want, convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, r, convert.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := streaming(path, &one); err != nil {
		t.Fatal(err)
	}
	if err := collect(path, &two); err != nil {
		t.Fatal(err)
	}
	value := func(b []byte) (v any) {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%v: %.300s", err, b)
		}
		return v
	}
	for _, got := range [][]byte{one.Bytes(), two.Bytes()} {
		if !reflect.DeepEqual(value(got), value(want.Bytes())) {
			t.Errorf("got %.300s\nwant %.300s", got, want.Bytes())
		}
	}
}

func TestReadBenchmarks(t *testing.T) {
	got := readBenchmarks([]byte("goos: linux\nBenchmarkPeer/mrlog-2 \t 3 \t 100 ns/op\t 2.5 ns/record\nBenchmarkPeer/go-eventlog-decode 3 7 B/op\nPASS\n"))
	want := map[string]figures{
		"Peer/mrlog":              {"ns/op": 100, "ns/record": 2.5},
		"Peer/go-eventlog-decode": {"B/op": 7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		r    row
		want string
	}{
		{row{Limit: 1.25, Most: true, Value: spread{Median: 1.25}}, "met"},
		{row{Limit: 1.25, Most: true, Value: spread{Median: 1.26}}, "missed"},
		{row{Limit: 2, Value: spread{Median: 1.99}}, "missed"},
		{row{Limit: 2, Value: spread{Median: 3}}, "met"},
		{row{Value: spread{Median: 3}}, ""},
		{row{Limit: 2, Skipped: "no bash"}, "skipped"},
	} {
		if got := tt.r.judge(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
	if got := spreadOf([]float64{4, 1, 2, 3}); got != (spread{2.5, 1, 4}) {
		t.Errorf("spread %+v", got)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-line", "120, 300", "-only", "t1,T7"})
	if err != nil || !reflect.DeepEqual(o.lines, []int{120, 300}) || !o.only["T1"] || !o.only["T7"] || o.records != 1_000_000 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-line", "5"}, {"-line", ""}, {"-only", "T6"}, {"-rounds", "0"}, {"-records", "0"}, {"file"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
