// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/keeper"
)

// A receipt's values and digests are of one bank each, in whatever order INIT and
// the device have them.
func TestReceiptByBank(t *testing.T) {
	var out bytes.Buffer
	r := &recorder{e: &env{stdout: &out, json: true}, register: mrlog.Register{Space: mrlog.PCR, Index: 14}}
	rc := keeper.Receipt{
		Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: []byte{1}}, {Alg: mrlog.SHA384, Sum: []byte{2}}},
		Values:  []mrlog.Digest{{Alg: mrlog.SHA384, Sum: []byte{4}}, {Alg: mrlog.SHA256, Sum: []byte{3}}},
	}
	if err := r.print(&rc); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), "")
	for _, want := range []string{`"bank":"sha384","digest":"02","value":"04"`, `"bank":"sha256","digest":"01","value":"03"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}
