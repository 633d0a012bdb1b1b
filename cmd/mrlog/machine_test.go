// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev/internal/reallogs"
)

// realLog is a row of the corpus's manifest.
type realLog struct {
	File      string
	Kind      string
	Registers map[string]map[string]string
	Quote     map[string]any
}

func readManifest(t *testing.T, dir string) map[string]realLog {
	t.Helper()
	var rows []realLog
	readJSON(t, filepath.Join(dir, "MANIFEST.json"), &rows)
	all := make(map[string]realLog)
	for _, r := range rows {
		all[r.File] = r
	}
	return all
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// ran runs the program and returns what it printed; another exit code fails.
func ran(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := runInProcess(nil, &out, &errs, args...); got != code {
		t.Fatalf("mrlog %.200s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// A TDX guest: the firmware's log, which counts CC-MRs, and the kernel's IMA list,
// which counts RTMRs, lead to the RTMRs of the guest's quote; side by side,
// as one log in every form, and in evidence.
func TestMachineTDX(t *testing.T) {
	dir := reallogs.Dir(t)
	quote := readManifest(t, dir)["tdx-intel/quote.bin"].Quote
	ccel, list := filepath.Join(dir, "tdx-intel", "ccel.bin"), filepath.Join(dir, "tdx-intel", "ima.txt")
	verify := []string{"verify"}
	for i := range 4 {
		verify = append(verify, "--expect", fmt.Sprintf("rtmr%d=%s", i, quote[fmt.Sprintf("rtmr%d", i)]))
	}
	out, notes := ran(t, exitOK, append(verify, ccel, list)...)
	if !strings.HasPrefix(out, "verified: 99 of 100 records\n") || !strings.Contains(notes, "on tdx (as the logs tell) ccmr1 is rtmr0, ccmr2 is rtmr1, ccmr3 is rtmr2") {
		t.Errorf("%s%s", out, notes)
	}
	// The list belongs behind the firmware's log.
	ran(t, exitNo, append(verify, list, ccel)...)
	ran(t, exitNo, append(verify, ccel)...)
	for _, to := range []string{"cel-json", "cel-seq", "cel-cbor", "cel-tlv"} {
		one := filepath.Join(t.TempDir(), to)
		_, notes := ran(t, exitOK, "convert", "--check", "--to", to, "-o", one, ccel, list)
		if !strings.Contains(notes, "rtmr2 is ccmr3") || !strings.Contains(notes, "bytes of padding after the log are left out") {
			t.Errorf("%s: %s", to, notes)
		}
		ran(t, exitOK, append(verify, one)...)
	}
	one := filepath.Join(t.TempDir(), "rtmr.json")
	ran(t, exitOK, "convert", "--check", "--to-space", "rtmr", "--to", "cel-json", "-o", one, ccel, list)
	ran(t, exitOK, append(verify, one)...)
}

// A QEMU guest: the firmware's log and the IMA list, in either form, lead to the
// values of its TPM in three banks, of which the list has digests of one.
func TestMachineTPM(t *testing.T) {
	dir := filepath.Join(reallogs.Dir(t), "qemu-ovmf")
	var pcrs map[string]map[string]string
	readJSON(t, filepath.Join(dir, "pcrs.json"), &pcrs)
	verify := []string{"verify"}
	for bank, values := range pcrs {
		for index, value := range values {
			verify = append(verify, "--expect", "pcr"+index+":"+bank+"="+value)
		}
	}
	for _, list := range []string{"ima.bin", "ima.txt"} {
		out, notes := ran(t, exitOK, append(verify, filepath.Join(dir, "firmware.bin"), filepath.Join(dir, list))...)
		if !strings.HasPrefix(out, "verified: 25 of 26 records\n") || !strings.Contains(notes, "its boot_aggregate sums up PCR 0 to 9 ") ||
			!strings.Contains(notes, "pcr10:sha256 are derived, of the template data") || !strings.Contains(notes, "pcr10:sha384 are derived, of SHA-1, with zeros") {
			t.Errorf("%s: %s%s", list, out, notes)
		}
	}
	// Of another boot.
	_, notes := ran(t, exitNo, append(verify, filepath.Join(dir, "..", "tcg", "tpm-cos101.bin"), filepath.Join(dir, "ima.txt"))...)
	if !strings.Contains(notes, "its boot_aggregate is not that of PCR 0 to 9") {
		t.Error(notes)
	}
}

// What is in the manifest is what replay prints, and every log is its own replay
// in another form.
func TestMachineValues(t *testing.T) {
	dir := reallogs.Dir(t)
	for name, f := range readManifest(t, dir) {
		if f.Registers == nil {
			continue
		}
		path := filepath.Join(dir, name)
		out, _ := ran(t, exitOK, "replay", "--json", path)
		var got replayOutput
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		values := make(map[string]string)
		for _, r := range got.Registers {
			index := strings.TrimLeft(r.Register, "pcrm")
			values[r.Bank+":"+index] = r.Value
		}
		for bank, want := range f.Registers {
			for index, value := range want {
				if values[bank+":"+index] != value {
					t.Errorf("%s: %s:%s is %s, want %s", name, index, bank, values[bank+":"+index], value)
				}
			}
		}
		ran(t, exitOK, "convert", "--check", "--to", "cel-cbor", "-o", filepath.Join(t.TempDir(), "log"), path)
		ran(t, exitOK, "convert", "--check", "--to", "tcg2", "-o", filepath.Join(t.TempDir(), "log"), path)
	}
}
