// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package vectors

import (
	"os"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	all, err := Load(os.DirFS("../../testdata/vectors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Errorf("%d vectors, want at least 40", len(all))
	}
	readme, err := os.ReadFile("../../testdata/vectors/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Comment == "" {
			t.Errorf("%s: no comment", v.Name)
		}
		if v.Reason != "" && !strings.Contains(string(readme), "`"+v.Reason+"`") {
			t.Errorf("%s: reason %q is not explained in README.md", v.Name, v.Reason)
		}
	}
}

// A vector that says less than its author thought must not load.
func TestParseRefuses(t *testing.T) {
	const good = "name: x\nexpect: ok\nregister: rtmr2\nrecords: 1\nalgs: sha256\nrecord: 1 0 3 sha256:00\nfinal: sha256:01\n\nlog\n"
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{"\n\n", "\n"},
		{"name: x\n", ""},
		{"name: ", "name:"},
		{"register: rtmr2\n", ""},
		{"expect: ok", "expect: okay"},
		{"expect: ok", "expect: malformed"},
		{"expect: ok", "expect: ok\nline: 1"},
		{"expect: ok", "expect: ok\nreason: torn"},
		{"expect: ok", "expect: ok\nfinals: x"},
		{"records: 1", "records: 2"},
		{"records: 1", "records: one"},
		{"record: 1 0", "record: 1"},
		{"record: 1 0 3", "record: 1 x 3"},
		{"record: 1 0 3 sha256:00", "record: 1 0 3 sha256"},
		{"record: 1 0 3 sha256:00", "record: 1 0 3 sha256:0"},
		{"record: 1 0 3 sha256:00", "record: 1 0 3 sha384:00"},
		{"final: sha256:01\n", ""},
		{"final: sha256:01", "final: sha256=01"},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q for %q: accepted", edit[1], edit[0])
		}
	}
}
