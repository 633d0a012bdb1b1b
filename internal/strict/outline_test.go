// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"strings"
	"testing"
)

func TestOutline(t *testing.T) {
	for _, c := range []struct {
		text, want   string
		array, ended bool
	}{
		{"", "", false, false},
		{" \n", "", false, false},
		{"{", "", false, false},
		{`x{"a":1`, "", false, false},
		{`"a":1`, "", false, false},
		{"[", "", true, false},
		{"{}", "", false, true},
		{"[]", "", true, true},
		{` { "a" : 1 , "b":"c"} {"d":1}`, "a b", false, true},
		{`{"a":{"b":{"c":1},"d":[{"e":1}]},"f":[{"g":1}],"h"`, "a a.b a.d f", false, false},
		{`{"a":{"b":1},"c":{"d":1}}`, "a a.b c c.d", false, true},
		{` [{"a":{"b":1}},{"c":1}]`, "a a.b", true, true},
		{`[{"a":1`, "a", true, false},
		{`[1,{"a":1}]`, "", true, true},
		{`["a",{"b":1}]`, "", true, true},
		{`[["a","b"],{"c":1}]`, "", true, true},
		{`{"a":"\"b\":1,\\","c":"\\\"","d":1`, "a c d", false, false},
		{`{"a":"]}","b":1`, "a b", false, false},
		{`{"a\"b":1`, `a\"b`, false, false},
		{`{"a":"unfinished: {`, "a", false, false},
		{`{"a":"\`, "a", false, false},
	} {
		var names []string
		array, ended := Outline([]byte(c.text), func(in, name, value []byte) {
			s := string(name)
			if in != nil {
				s = string(in) + "." + s
			}
			names = append(names, s)
			if !strings.HasSuffix(c.text, string(value)) {
				t.Errorf("%s: value %s", c.text, value)
			}
		})
		if got := strings.Join(names, " "); got != c.want || array != c.array || ended != c.ended {
			t.Errorf("%s: %s, array %v, ended %v", c.text, got, array, ended)
		}
	}
}

// Escapes do not take it back: time is as the text is long.
func TestOutlineEscapes(t *testing.T) {
	for _, unit := range []string{`\\`, `\"`, `"\`, `"`, `\`, `:`, `{"a":`, `}`} {
		n := 0
		Outline([]byte("{"+strings.Repeat(unit, 1<<20)), func(_, _, _ []byte) { n++ })
		Outline([]byte(`{"`+strings.Repeat(unit, 1<<20)), func(_, _, _ []byte) { n++ })
	}
}
