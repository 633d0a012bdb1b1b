// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/ima"
)

// TestPrefixOfList: a list in either form, with two registers and violations, is
// accepted up to every place, in its own bank and in those that are derived as
// new and as old kernels extend them, and up to no other place.
func TestPrefixOfList(t *testing.T) {
	t.Chdir(t.TempDir())
	const records = 23
	regs := []mrlog.Register{{Space: mrlog.PCR, Index: 10}, {Space: mrlog.PCR, Index: 11}}
	var list []mrlog.Record
	for i := range records {
		sum := mrlog.SHA256.AppendSum(nil, []byte{byte(i)})
		rec := mrlog.Record{Register: regs[i%5%2], Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng")}
		if i%7 == 3 {
			clear(sum)
			rec.Notes = mrlog.NoteViolation
		}
		rec.Content = append(append([]byte{40, 0, 0, 0}, "sha256:\x00"...), sum...)
		rec.Content = append(append(rec.Content, 6, 0, 0, 0), fmt.Sprintf("/f%03d\x00", i)...)
		digest := mrlog.SHA1.AppendSum(nil, rec.Content)
		if rec.Notes != 0 {
			digest = bytes.Repeat([]byte{0xFF}, 20)
		}
		rec.Digests = []mrlog.Digest{{Alg: mrlog.SHA1, Sum: digest}}
		list = append(list, rec)
	}
	for _, name := range []string{"binary", "text"} {
		var out bytes.Buffer
		var w mrlog.Writer
		var err error
		if w, err = ima.NewBinaryWriter(&out, ima.WriteOptions{}); name == "text" {
			w, err = ima.NewASCIIWriter(&out, ima.WriteOptions{})
		}
		if err == nil {
			err = w.Write(list)
		}
		if err != nil || w.Close() != nil || os.WriteFile(name, out.Bytes(), 0o600) != nil {
			t.Fatal(err)
		}
		for _, padded := range []bool{false, true} {
			for _, bank := range []mrlog.Alg{mrlog.SHA256, mrlog.SHA384} {
				value := make([]byte, bank.Size())
				at, total := 0, 0
				for i := range list {
					if list[i].Register == regs[0] {
						total++
					}
				}
				for i := range list {
					if list[i].Register != regs[0] {
						continue
					}
					digest := bank.AppendSum(nil, list[i].Content)
					switch {
					case padded:
						digest = append(bytes.Clone(list[i].Digests[0].Sum), make([]byte, bank.Size()-20)...)
					case list[i].Notes != 0:
						digest = bytes.Repeat([]byte{0xFF}, bank.Size())
					}
					value = bank.AppendSum(nil, append(value, digest...))
					at++
					expect := fmt.Sprintf("pcr10:%s=%x", bank, value)
					got, _ := ran(t, exitOK, "verify", "--prefix", "--expect", expect, name)
					if at == total {
						if want := fmt.Sprintf("  verified   %x  %d records", value, total); !strings.Contains(got, want) {
							t.Errorf("%s, %s padded %t: want %s\n%s", name, bank, padded, want, got)
						}
						continue
					}
					if want := fmt.Sprintf("  verified-prefix  %x  %d of %d records", value, at, total); !strings.Contains(got, want) || !strings.Contains(got, fmt.Sprintf("with %d record", total-at)) {
						t.Errorf("%s, %s padded %t: want %s\n%s", name, bank, padded, want, got)
					}
					ran(t, exitNo, "verify", "--expect", expect, name)
					value[0] ^= 1
					ran(t, exitNo, "verify", "--prefix", "--expect", fmt.Sprintf("pcr10:%s=%x", bank, value), name)
					value[0] ^= 1
				}
			}
		}
	}
}
