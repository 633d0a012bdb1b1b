// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/ima"
)

// firmwareLog is a log of one record for each of the first PCRs.
func firmwareLog(pcrs int, algs ...mrlog.Alg) string {
	var entries []string
	for i := range pcrs {
		var digests []string
		for _, a := range algs {
			digests = append(digests, fmt.Sprintf(`{"hashAlg":%q,"digest":"%x"}`, a, firmwareDigest(a, i)))
		}
		entries = append(entries, fmt.Sprintf(`{"recnum":0,"pcr":%d,"digests":[%s],"content_type":"pcclient_std","content":{"event_type":"EV_EFI_BOOT_SERVICES_DRIVER","event_data":""}}`, i, strings.Join(digests, ",")))
	}
	return "[" + strings.Join(entries, ",\n") + "]"
}

func firmwareDigest(a mrlog.Alg, pcr int) []byte { return a.AppendSum(nil, []byte{byte(pcr)}) }

// pcrAfter is a PCR's value after that record, or before any.
func pcrAfter(a mrlog.Alg, pcr, pcrs int) []byte {
	value := make([]byte, a.Size())
	if pcr < pcrs {
		value = a.AppendSum(nil, append(value, firmwareDigest(a, pcr)...))
	}
	return value
}

// aggregateList is a list of a boot_aggregate alone, and the value that it leads
// to in its bank.
func aggregateList(t *testing.T, reg mrlog.Register, bank, of mrlog.Alg, digest []byte) (list string, value []byte) {
	t.Helper()
	field := append([]byte(of.String()+":\x00"), digest...)
	data := append([]byte{byte(len(field)), 0, 0, 0}, field...)
	data = append(append(data, 15, 0, 0, 0), "boot_aggregate\x00"...)
	sum := bank.AppendSum(nil, data)
	var out bytes.Buffer
	w, err := ima.NewASCIIWriter(&out, ima.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write([]mrlog.Record{{
		Register: reg, Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng"), Content: data,
		Digests: []mrlog.Digest{{Alg: bank, Sum: sum}},
	}})
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String(), bank.AppendSum(nil, append(make([]byte, bank.Size()), sum...))
}

// TestBootAggregate: what is said of a list's first record, and that it never
// changes the answer.
func TestBootAggregate(t *testing.T) {
	pcr10, rtmr2 := mrlog.Register{Space: mrlog.PCR, Index: 10}, mrlog.Register{Space: mrlog.RTMR, Index: 2}
	all := []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384}
	of := func(a mrlog.Alg, n, pcrs int) []byte {
		var values []byte
		for i := range n {
			values = append(values, pcrAfter(a, i, pcrs)...)
		}
		return a.AppendSum(nil, values)
	}
	const other = "note: list: its boot_aggregate "
	for _, c := range []struct {
		what     string
		reg      mrlog.Register
		bank     mrlog.Alg // of the list
		alg      mrlog.Alg // of the digest
		digest   []byte
		firmware string // "" for none
		after    bool   // the list is given first
		expected int    // values that are expected of PCRs
		want     string
	}{
		{"SHA-256 of ten", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 10, 10), firmwareLog(10, all...), false, 0, "note: list: its boot_aggregate sums up PCR 0 to 9 as the logs before it give them"},
		{"the same in a list of SHA-384", pcr10, mrlog.SHA384, mrlog.SHA256, of(mrlog.SHA256, 10, 10), firmwareLog(10, all...), false, 0, "sums up PCR 0 to 9 as"},
		{"SHA-256 of eight", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 8, 10), firmwareLog(10, all...), false, 0, "note: list: its boot_aggregate sums up PCR 0 to 7 as the logs before it give them"},
		{"PCR 8 and 9 never extended", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 10, 8), firmwareLog(8, all...), false, 0, "sums up PCR 0 to 9 as"},
		{"SHA-1", pcr10, mrlog.SHA256, mrlog.SHA1, of(mrlog.SHA1, 8, 10), firmwareLog(10, all...), false, 0, "sums up PCR 0 to 7 as"},
		{"the firmware has another bank", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 10, 10), firmwareLog(10, mrlog.SHA1, mrlog.SHA384), false, 0, other + "is not compared with the logs before it: PCR 0 is not known in the sha256 bank"},
		{"no other log", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 10, 10), "", false, 0, other + "is not compared with the logs before it: PCR 0 is not known in the sha256 bank"},
		{"list first", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 10, 10), firmwareLog(10, all...), true, 0, other + "is not compared with the logs before it: PCR 0 is not known in the sha256 bank"},
		{"no TPM", pcr10, mrlog.SHA256, mrlog.SHA256, make([]byte, 32), "", false, 0, other + "is zero: the kernel found no TPM"},
		{"no TPM, and PCRs", pcr10, mrlog.SHA256, mrlog.SHA256, make([]byte, 32), firmwareLog(10, all...), false, 0, "warning: list: its boot_aggregate is zero, as a kernel logs it that found no TPM, and the logs before it are of PCRs: they may be another machine's"},
		{"another boot", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 9, 10), firmwareLog(10, all...), false, 0, "warning: list: its boot_aggregate is not that of PCR 0 to 9 as the logs before it give them: the list is of another boot, or these were extended since"},
		{"another boot, SHA-1", pcr10, mrlog.SHA256, mrlog.SHA1, of(mrlog.SHA1, 9, 10), firmwareLog(10, all...), false, 0, "warning: list: its boot_aggregate is not that of PCR 0 to 7 as"},
		{"another boot, nine PCRs verified", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 9, 10), firmwareLog(10, all...), false, 9, "is not that of PCR 0 to 9 as the logs"},
		{"another boot, PCRs verified", pcr10, mrlog.SHA256, mrlog.SHA256, of(mrlog.SHA256, 9, 10), firmwareLog(10, all...), false, 10, "warning: list: its boot_aggregate is not that of PCR 0 to 9, which are verified: one of them was extended after IMA began, or the values are not of one boot"},
		{"TDX", rtmr2, mrlog.SHA384, mrlog.SHA384, bytes.Repeat([]byte{7}, 48), "", false, 0, other + "is not compared: in a list of rtmr it sums up MRTD, too, which is in no log"},
		{"TDX, nothing to sum up", rtmr2, mrlog.SHA384, mrlog.SHA384, make([]byte, 48), "", false, 0, other + "is zero: the kernel found no TPM"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Chdir(t.TempDir())
			list, value := aggregateList(t, c.reg, c.bank, c.alg, c.digest)
			args := []string{"verify", "--expect", fmt.Sprintf("%s:%s=%x", c.reg, c.bank, value)}
			for i := range c.expected {
				args = append(args, "--expect", fmt.Sprintf("pcr%d:sha256=%x", i, pcrAfter(mrlog.SHA256, i, 10)))
			}
			files := map[string]string{"list": list, "firmware": c.firmware}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(".", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			switch {
			case c.firmware == "":
				args = append(args, "list")
			case c.after:
				args = append(args, "list", "firmware")
			default:
				args = append(args, "firmware", "list")
			}
			out, notes := ran(t, exitOK, args...)
			if !strings.Contains(notes, c.want) || strings.Count(notes, "boot_aggregate") != 1 {
				t.Errorf("said\n%swant\n%s\n%s", notes, c.want, out)
			}
		})
	}
}
