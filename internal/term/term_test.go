// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package term

import (
	"testing"
	"unicode"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{`plain text with \t and "quotes"`, `plain text with \t and "quotes"`},
		{"tab\there", `"tab\there"`},
		{`"quoted"`, `"\"quoted\""`},
		{"esc\x1b[31m", `"esc\x1b[31m"`},
		{"a\r\nb\\", `"a\r\nb\\"`},
		{"bidi\u202eabc", `"bidi\u202eabc"`},
		{"zero\u200bwidth\U000e0001", `"zero\u200bwidth\U000e0001"`},
		{"no-break\u00a0space", `"no-break\u00a0space"`},
		{"\xff\xfe", `"\xff\xfe"`},
		{"\u009b31m", `"\u009b31m"`},
		{"Grüße, 世界", "Grüße, 世界"},
	} {
		if got := Printable(c.in); got != c.want {
			t.Errorf("Printable(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"世界", 4, "世界"},
		{"世界人", 5, "世界…"},
		{"世界人", 4, "世…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
	} {
		got := Fit(c.in, c.columns)
		if got != c.want || Width(got) > c.columns {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.in, c.columns, got, c.want)
		}
	}
}

// FuzzPrintable: nothing in the result can act on a terminal, and different
// texts give different results.
func FuzzPrintable(f *testing.F) {
	f.Add("a", "b")
	f.Add("\t", `\t`)
	f.Add("\t", `"\t"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		p, q := Printable(a), Printable(b)
		for _, r := range p {
			if r != ' ' && !unicode.IsGraphic(r) {
				t.Fatalf("Printable(%q) holds %U", a, r)
			}
		}
		if (p == q) != (a == b) {
			t.Fatalf("Printable(%q) = %s, Printable(%q) = %s", a, p, b, q)
		}
		if n := Width(Fit(p, 10)); n > 10 {
			t.Fatalf("Fit(%q) is %d wide", p, n)
		}
	})
}

// TestJSON: runs of ASCII are copied, what stands between them is escaped or
// not as it is alone.
func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		``:                        ``,
		`"plain"`:                 `"plain"`,
		"\"a\u007fb\u202ec\"":     `"a\u007fb\u202ec"`,
		"\"é世\u00a0\"":            "\"é世" + `\u00a0"`,
		"\u2028\u2028":            `\u2028\u2028`,
		"x\U000e0001y\U0001f642z": `x\udb40\udc01y` + "\U0001f642z",
	} {
		if got := string(JSON([]byte("- "), []byte(text))); got != "- "+want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
