// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"testing"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// TestLateLaunch: the event that tells of a dynamic launch is not the first of
// its register. Either start may be right, and the register's value decides.
func TestLateLaunch(t *testing.T) {
	pcr17 := mrlog.Register{Space: mrlog.PCR, Index: 17}
	log := array(
		separator(0, 17, mrlog.SHA256),
		entry(1, `"pcr":17`, "pcclient_std", `{"event_type":1026,"event_data":"78"}`, []byte("x"), mrlog.SHA256),
	)
	for first, want := range map[byte]bool{0x00: true, 0xFF: true, 0x01: false} {
		value := bytes.Repeat([]byte{first}, 32)
		for _, data := range []string{"\x00\x00\x00\x00", "x"} {
			value = mrlog.SHA256.AppendSum(nil, append(value, mrlog.SHA256.AppendSum(nil, []byte(data))...))
		}
		r, err := verify.Check(t.Context(), []verify.Log{{Name: "log", Reader: reader(t, log)}},
			verify.Options{Expect: []verify.Expectation{{Register: pcr17, Alg: mrlog.SHA256, Value: value}}})
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() != want || r.Found != 0 {
			t.Errorf("from %#x: OK %v, want %v\n%s", first, r.OK(), want, findings(r))
		}
	}
}
