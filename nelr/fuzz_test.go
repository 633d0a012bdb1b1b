// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
)

// FuzzReader compares the reader with a naive one: the same records at the
// same places, the same verdict, whichever way the bytes arrive.
func FuzzReader(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.Log)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		for how, wrap := range sources {
			if how == "one byte" && (raceEnabled || len(log) > 1000) {
				continue
			}
			if diff := differ(nelr.NewReader(wrap(bytes.NewReader(log)), nelr.Options{}), log); diff != "" {
				t.Errorf("%s: %s", how, diff)
			}
		}
	})
}

// FuzzRoundTrip: what is accepted gives its measured lines back byte for byte,
// and the same records when read again.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range loadVectors(f) {
		if v.OK {
			f.Add(v.Log)
		}
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		records, err := logtest.ReadAll(nelr.NewReader(bytes.NewReader(log), nelr.Options{}))
		if err != nil {
			return
		}
		out := write(t, records)
		var want strings.Builder
		if reg := records[0].Register; reg != nelr.DefaultRegister() {
			want.WriteString("#: register " + reg.String() + "\n")
		}
		for line := range bytes.Lines(log) {
			if line = bytes.TrimSuffix(line, []byte("\n")); nelr.Measured(line) {
				want.WriteString(string(line) + "\n")
			}
		}
		if out != want.String() {
			t.Errorf("wrote %q\nwant  %q", out, want.String())
		}
		again, err := logtest.ReadAll(nelr.NewReader(iotest.HalfReader(strings.NewReader(out)), nelr.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, rs := range [][]mrlog.Record{records, again} {
			for i := range rs {
				rs[i].Span = mrlog.Span{} // comments are gone
			}
		}
		if diff := cmp.Diff(records, again); diff != "" {
			t.Error(diff)
		}
		if write(t, again) != out {
			t.Error("a second round trip differs from the first")
		}
	})
}

// FuzzEvent: an event comes back from its line, no two events have one line,
// and the line is one record of a log whatever the fields hold.
func FuzzEvent(f *testing.F) {
	f.Add("a", "b", "c", "a", "b c", "")
	f.Add("a", "b", "", "a", "b", " ")
	f.Add("a", "b", " c", "a", "b ", "c")
	f.Add("INIT", "sha1/00", "", "#", "x", "y")
	f.Add("github.com/x", "Op", "tab\there é", "github.com/x", "Op", "\r")
	f.Fuzz(func(t *testing.T, d1, o1, c1, d2, o2, c2 string) {
		a, b := nelr.Event{Domain: d1, Operation: o1, Content: c1}, nelr.Event{Domain: d2, Operation: o2, Content: c2}
		la, ea := a.AppendLine(nil)
		lb, eb := b.AppendLine(nil)
		for _, x := range []struct {
			event nelr.Event
			line  []byte
			err   error
		}{{a, la, ea}, {b, lb, eb}} {
			if x.err != nil {
				if len(x.line) != 0 {
					t.Errorf("%v: refused, and appended %q", x.event, x.line)
				}
				continue
			}
			if back, err := nelr.ParseEvent(x.line); err != nil || back != x.event {
				t.Errorf("%q: %v, %v", x.line, back, err)
			}
			if err := nelr.CheckFreeForm(x.line); err != nil {
				t.Errorf("%q: %v", x.line, err)
			}
			oneRecord(t, x.line)
		}
		if ea == nil && eb == nil && a != b && bytes.Equal(la, lb) {
			t.Errorf("%q is the line of %v and of %v", la, a, b)
		}
		// The other way: what parses is what is written.
		line := []byte(d1 + " " + o1 + c1)
		if e, err := nelr.ParseEvent(line); err == nil {
			if back, err := e.AppendLine(nil); err != nil || !bytes.Equal(back, line) {
				t.Errorf("%q became %q, %v", line, back, err)
			}
		}
	})
}

// FuzzFreeForm: what is accepted is one record of the same bytes, and text
// that any format can carry; what is refused has one of the stated reasons.
func FuzzFreeForm(f *testing.F) {
	for _, s := range []string{"word", "#", "INIT x", "INITX", "a\tb", "\r", "\xff", " #", "é", "\u0085", "A b", "\uFFFD"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		word, _, _ := strings.Cut(string(line), " ")
		reserved := strings.ContainsFunc(word, func(r rune) bool { return 'A' <= r && r <= 'Z' }) &&
			!strings.ContainsFunc(word, func(r rune) bool { return 'a' <= r && r <= 'z' })
		control := strings.ContainsFunc(string(line), func(r rune) bool { return r != '\t' && unicode.IsControl(r) })
		bad := len(line) == 0 || line[0] == '#' || len(line) > nelr.MaxLine || reserved || control || !utf8.Valid(line)
		if err := nelr.CheckFreeForm(line); (err != nil) != bad {
			t.Fatalf("%q: %v", line, err)
		}
		if !bad {
			oneRecord(t, line)
		}
	})
}

// oneRecord checks that line, appended to a log, is one record of these bytes.
func oneRecord(t *testing.T, line []byte) {
	t.Helper()
	records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(init1+string(line)+"\n"), nelr.Options{}))
	if err != nil || len(records) != 2 || !bytes.Equal(records[1].Content, line) {
		t.Errorf("%q: %v, %v", line, records, err)
	}
}

// FuzzComment: comments and hints are never measured, never one for the other,
// and change no record wherever they stand.
func FuzzComment(f *testing.F) {
	f.Add("text\nmore", "register", "rtmr3")
	f.Add(": register rtmr3", "boot", "x y")
	f.Add("\n: register rtmr3\nINIT", "register", " rtmr3")
	f.Add("\r", "k\n", "v\nINIT")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		comment, err := nelr.AppendComment(nil, text)
		if err != nil && len(comment) != 0 {
			t.Errorf("%q: refused, and appended %q", text, comment)
		}
		hint, hintErr := nelr.AppendHint(nil, key, value)
		if hintErr != nil && len(hint) != 0 {
			t.Errorf("%q %q: refused, and appended %q", key, value, hint)
		}
		if errors.Is(err, mrlog.ErrLimit) || errors.Is(hintErr, mrlog.ErrLimit) {
			return
		}
		for line := range bytes.Lines(comment) {
			line, ok := bytes.CutSuffix(line, []byte("\n"))
			if _, _, isHint := nelr.ParseHint(line); !ok || isHint || nelr.Measured(line) {
				t.Errorf("%q: line %q", text, line)
			}
		}
		want := nelr.DefaultRegister()
		if hintErr == nil {
			line, ok := bytes.CutSuffix(hint, []byte("\n"))
			k, v, isHint := nelr.ParseHint(line)
			if !ok || !isHint || k != key || v != value || nelr.Measured(line) || bytes.Contains(line, []byte("\n")) {
				t.Errorf("%q %q: hint %q is %q %q, %v", key, value, hint, k, v, isHint)
			}
			if reg, err := mrlog.ParseRegister(value); err == nil && key == nelr.HintRegister && reg.String() == value {
				want = reg
			}
		}
		if err == nil && !strings.HasPrefix(text, "\n") && strings.ReplaceAll(string(comment), "\n# ", "\n") != "# "+strings.TrimSuffix(text, "\n")+"\n" {
			t.Errorf("%q became %q", text, comment)
		}
		for _, log := range []string{
			string(comment) + string(hint) + init1 + "x\n",
			string(hint) + string(comment) + init1 + string(comment) + "x\n" + string(comment) + string(hint),
		} {
			records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(log), nelr.Options{}))
			if err != nil || len(records) != 2 || string(records[1].Content) != "x" || records[1].Register != want {
				t.Errorf("%q: %v, %v", log, records, err)
			}
		}
	})
}
