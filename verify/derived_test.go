// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/ima"
	"mrlog.dev/verify"
)

// TestSomeDerived: a reader that computes the digests of further banks does not
// vouch for the contents in the bank that was logged.
func TestSomeDerived(t *testing.T) {
	pcr10 := mrlog.Register{Space: mrlog.PCR, Index: 10}
	data := append([]byte{9, 0, 0, 0}, "sha256:\x00x\x02\x00\x00\x00/\x00"...)
	digest := mrlog.SHA256.AppendSum(nil, data)
	var list bytes.Buffer
	w, err := ima.NewBinaryWriter(&list, ima.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write([]mrlog.Record{{
		Register: pcr10, Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng"), Content: data,
		Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: digest}},
	}})
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for altered, want := range map[bool]uint64{false: 0, true: 1} {
		log := bytes.Clone(list.Bytes())
		if altered {
			log[len(log)-2] = '!'
		}
		value := mrlog.SHA256.AppendSum(nil, append(make([]byte, 32), digest...))
		for _, procs := range []int{1, 2} {
			r, err := verify.Check(context.Background(), []verify.Log{{
				Name:   "list",
				Reader: ima.NewBinaryReader(bytes.NewReader(log), ima.Options{Alg: mrlog.SHA256, Banks: []mrlog.Alg{mrlog.SHA384}}),
			}}, verify.Options{Procs: procs, Expect: []verify.Expectation{{Register: pcr10, Alg: mrlog.SHA256, Value: value}}})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range r.Registers {
				if b.Alg == mrlog.SHA256 && b.Differs != want {
					t.Errorf("altered %t: %d contents differ in the logged bank, want %d (%s)", altered, b.Differs, want, findings(r))
				}
				if b.Alg == mrlog.SHA384 && (b.Differs != 0 || b.Matches != 1) {
					t.Errorf("altered %t: derived bank: %+v", altered, b)
				}
			}
			if r.OK() == altered || strings.Contains(findings(r), "does not hash to its sha256 digest") != altered {
				t.Errorf("altered %t: ok %t: %s", altered, r.OK(), findings(r))
			}
		}
	}
}
