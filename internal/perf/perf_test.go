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

// TestLeast: of a class of logs the one with the least median counts.
func TestLeast(t *testing.T) {
	all := make(rounds)
	for name, ns := range map[string][]float64{
		"F/real/1/a/peer": {30, 40, 50}, "F/real/1/a/ours": {10, 10, 10}, // 3, 4, 5
		"F/real/3/b/peer": {20, 30, 90}, "F/real/3/b/ours": {10, 15, 10}, // 2, 2, 9
		"F/real/3/c/peer": {60, 60, 60}, "F/real/3/c/ours": {10, 10, 10},
		"F/realer/d/peer": {1, 1, 1}, "F/realer/d/ours": {10, 10, 10},
	} {
		for _, v := range ns {
			all[name] = append(all[name], figures{"ns/op": v * 1e6})
		}
	}
	for class, want := range map[string]spread{"F/real": {2, 2, 6}, "F/real/3": {2, 2, 6}, "F/real/1": {4, 3, 5}, "F/real/1/a": {4, 3, 5}} {
		r, err := all.least(class, "peer", "ours", 5)
		if err != nil || r.Value != want {
			t.Errorf("%s: %+v, %v, want %+v", class, r.Value, err, want)
		}
		if class == "F/real" && (!strings.HasPrefix(r.Detail, "the least of 3 logs, their median 4.00x, 2 below the target; b:")) {
			t.Error(r.Detail)
		}
	}
	if _, err := all.least("F/none", "peer", "ours", 5); err == nil {
		t.Error("no error for a class without logs")
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
