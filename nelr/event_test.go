// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"errors"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

func TestEvent(t *testing.T) {
	for _, tt := range []struct {
		event nelr.Event
		line  string
	}{
		{nelr.Event{Domain: "github.com/confidential-containers", Operation: "ImageLoad", Content: "sha256/01"}, "github.com/confidential-containers ImageLoad sha256/01"},
		{nelr.Event{Domain: "a", Operation: "b"}, "a b"},
		{nelr.Event{Domain: "a", Operation: "b", Content: " "}, "a b  "},
		{nelr.Event{Domain: "a", Operation: "b", Content: " c "}, "a b  c "},
		{nelr.Event{Domain: "a", Operation: "b", Content: "\t#x\té 🔒\u2028"}, "a b \t#x\té 🔒\u2028"},
		{nelr.Event{Domain: "1", Operation: "#"}, "1 #"},
		{nelr.Event{Domain: "-n", Operation: "-e"}, "-n -e"},
		{nelr.Event{Domain: "Init", Operation: "INIT", Content: "INIT"}, "Init INIT INIT"},
		{nelr.Event{Domain: "A#b", Operation: "~"}, "A#b ~"},
		{nelr.Event{Domain: "a", Operation: "b", Content: "\uFFFD"}, "a b \uFFFD"},
		{nelr.Event{Domain: "a", Operation: "b", Content: strings.Repeat("x", nelr.MaxLine-4)}, "a b " + strings.Repeat("x", nelr.MaxLine-4)},
	} {
		got, err := tt.event.AppendLine([]byte("dst"))
		if err != nil || string(got) != "dst"+tt.line {
			t.Errorf("%.80v: %.80q, %v", tt.event, got, err)
		}
		if back, err := nelr.ParseEvent([]byte(tt.line)); err != nil || back != tt.event {
			t.Errorf("%.80q: %.80v, %v", tt.line, back, err)
		}
		if err := nelr.CheckFreeForm([]byte(tt.line)); err != nil {
			t.Errorf("%.80q is no free-form line: %v", tt.line, err)
		}
	}
}

func TestEventRefuses(t *testing.T) {
	for _, tt := range []struct {
		domain, operation, content string
		want                       string
	}{
		{"", "b", "c", "domain is empty"},
		{"a", "", "c", "operation is empty"},
		{"a b", "c", "", "domain holds a blank at byte 1"},
		{"a", "b ", "", "operation holds a blank at byte 1"},
		{"a\tb", "c", "", "domain holds byte 0x09 at byte 1"},
		{"a", "b\n", "", "operation holds byte 0x0a at byte 1"},
		{"é", "b", "", "domain holds byte 0xc3 at byte 0"},
		{"a", "\x7f", "", "operation holds byte 0x7f"},
		{"a\x00", "b", "", "domain holds byte 0x00 at byte 1"},
		{"#a", "b", "", "comment"},
		{"#:", "register", "rtmr3", "comment"},
		{"INIT", "sha1/00", "", "reserved"},
		{"INITX", "x", "", "reserved"},
		{"X", "x", "", "reserved"},
		{"A-1.B", "x", "", "reserved"},
		{"a", "b", "c\nd", "content holds a newline at byte 1"},
		{"a", "b", "\n", "content holds a newline at byte 0"},
		{"a", "b", "c\r", "U+000D at byte 1"},
		{"a", "b", "\x00", "U+0000 at byte 0"},
		{"a", "b", "é\x1b[m", "U+001B at byte 2"},
		{"a", "b", "\x7f", "U+007F"},
		{"a", "b", "\u0085", "U+0085"},
		{"a", "b", "ok\xff", "not valid UTF-8 at byte 2 (0xff)"},
		{"a", "b", "\xed\xa0\x80", "not valid UTF-8 at byte 0"},
		{"a", "b", "\xc3", "not valid UTF-8 at byte 0"},
		{"a", "b", strings.Repeat("x", nelr.MaxLine-3), "event of 1048577 bytes"},
		{strings.Repeat("x", nelr.MaxLine-1), "b", "", "event of 1048577 bytes"},
		{strings.Repeat("X", 1<<21), "b", "", "reserved"},
	} {
		got, err := nelr.Event{Domain: tt.domain, Operation: tt.operation, Content: tt.content}.AppendLine([]byte("dst"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || string(got) != "dst" {
			t.Errorf("%.40q %.40q %.40q: %.40q, %v; want %q", tt.domain, tt.operation, tt.content, got, err, tt.want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	}
	for _, line := range []string{"", "a", "a ", " a b", "a b ", "a  b", "INIT sha1/00", "# a", "a b \r", "a\tb"} {
		if e, err := nelr.ParseEvent([]byte(line)); err == nil {
			t.Errorf("%q: %v", line, e)
		}
	}
	if _, err := (nelr.Event{Domain: strings.Repeat("x", nelr.MaxLine), Operation: "b"}).AppendLine(nil); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("%v is not ErrLimit", err)
	}
}

func TestCheckFreeForm(t *testing.T) {
	for line, want := range map[string]string{
		"word": "", " ": "", " #": "", "\t": "", "-n": "", "x ": "", "a  b": "", "Init x": "", "init": "", "INIT\tx": "", "123 X": "", "é X": "",
		"": "empty", "#": "comment", "# x": "comment", "#: register rtmr3": "comment",
		"INIT": "reserved", "INIT x": "reserved", "INITX foo": "reserved", "VERIFIER ok": "reserved", "A1": "reserved", "INIT\t": "reserved",
		"a\nb": "newline", "a\r": "control", "\x00": "control", "\xff": "UTF-8",
		strings.Repeat("x", nelr.MaxLine): "", strings.Repeat("x", nelr.MaxLine+1): "limit",
	} {
		err := nelr.CheckFreeForm([]byte(line))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", line, err, want)
		}
	}
}

func TestMeasured(t *testing.T) {
	for line, want := range map[string]bool{"": false, "#": false, "# x": false, " ": true, " #": true, "\r": true, "x": true, "INIT": true, "\x00": true} {
		if nelr.Measured([]byte(line)) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
}

func TestComment(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "# \n",
		"one":                "# one\n",
		"one\n":              "# one\n",
		"one\ntwo":           "# one\n# two\n",
		"one\n\n two\t\n":    "# one\n# \n#  two\t\n",
		": register rtmr3":   "# : register rtmr3\n",
		"x\n: register pcr1": "# x\n# : register pcr1\n",
		"INIT sha1/00":       "# INIT sha1/00\n",
	} {
		got, err := nelr.AppendComment([]byte("dst\n"), text)
		if err != nil || string(got) != "dst\n"+want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"a\r", "a\x00", "fine\nnot\xff", "\x1b[31m", strings.Repeat("x", nelr.MaxLine-1), "fine\n" + strings.Repeat("x", nelr.MaxLine-1)} {
		if got, err := nelr.AppendComment([]byte("dst\n"), bad); err == nil || string(got) != "dst\n" {
			t.Errorf("%.20q: %.20q, %v", bad, got, err)
		}
	}
	if got, err := nelr.AppendComment(nil, strings.Repeat("x", nelr.MaxLine-2)); err != nil || len(got) != nelr.MaxLine+1 {
		t.Errorf("the longest comment: %d bytes, %v", len(got), err)
	}
}

func TestHint(t *testing.T) {
	for _, tt := range [][2]string{{"register", "rtmr3"}, {"boot", "6c8a2cd0-4f0b-4e0e-9d0a-0a4f2f1d6b11"}, {"x", " y "}, {"audit", "uid=0 \té"}, {":", "#"}} {
		line, err := nelr.AppendHint(nil, tt[0], tt[1])
		if err != nil || string(line) != "#: "+tt[0]+" "+tt[1]+"\n" {
			t.Errorf("%q: %q, %v", tt, line, err)
			continue
		}
		if key, value, ok := nelr.ParseHint(line[:len(line)-1]); !ok || key != tt[0] || value != tt[1] {
			t.Errorf("%q: %q, %q, %v", tt, key, value, ok)
		}
	}
	for _, tt := range [][2]string{{"", "v"}, {"k", ""}, {"k k", "v"}, {"k\t", "v"}, {"é", "v"}, {"k", "a\nb"}, {"k", "\r"}, {"k", "\xff"}, {"k", strings.Repeat("x", nelr.MaxLine-4)}, {"k\n", "v"}} {
		if got, err := nelr.AppendHint([]byte("dst"), tt[0], tt[1]); err == nil || string(got) != "dst" {
			t.Errorf("%.20q: %.20q, %v", tt, got, err)
		}
	}
	for _, line := range []string{"", "#", "#:", "#: ", "#: k", "#: k ", "#:  v", "#:k v", "# : k v", "# k v", " #: k v", "#:\tk v", "k v"} {
		if k, v, ok := nelr.ParseHint([]byte(line)); ok {
			t.Errorf("%q: %q, %q", line, k, v)
		}
	}
}
