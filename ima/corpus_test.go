// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
)

// The QEMU set: both forms of one list, and the values of PCR 10 in three banks.
func TestCorpusQEMU(t *testing.T) {
	bin, text := reallogs.Read(t, "qemu-ovmf/ima.bin"), string(reallogs.Read(t, "qemu-ovmf/ima.txt"))
	want := corpusPCRs(t)
	// This kernel has no SHA-384, so that it pads in that bank.
	o := Options{Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA384}}
	fromBinary, err := readBinary(bin, o)
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := readASCII(text, o)
	if err != nil {
		t.Fatal(err)
	}
	for form, records := range map[string][]mrlog.Record{"binary": fromBinary, "ASCII": fromText} {
		r := replay(t, records)
		for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384} {
			if got := hex.EncodeToString(r.Value(pcr10, alg)); got != want[alg.String()]["10"] {
				t.Errorf("%s: PCR 10 in %s is %s, want %s", form, alg, got, want[alg.String()]["10"])
			}
		}
		if out, err := writeBinary(WriteOptions{}, records); err != nil || !bytes.Equal(out, bin) {
			t.Errorf("%s to binary: %x, %v", form, out, err)
		}
		if out, err := writeASCII(WriteOptions{}, records); err != nil || out != text {
			t.Errorf("%s to ASCII: %q, %v", form, out, err)
		}
	}
	var wants []Want
	for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384} {
		wants = append(wants, Want{Register: pcr10, Alg: alg, Value: unhex(t, want[alg.String()]["10"])})
	}
	for form, r := range map[string]mrlog.Reader{
		"binary": NewBinaryReader(bytes.NewReader(bin), Options{}),
		"ASCII":  NewASCIIReader(strings.NewReader(text), Options{}),
	} {
		matches, n, err := FindBanks(r, wants)
		if err != nil || n != 1 {
			t.Fatalf("%s: %d records, %v", form, n, err)
		}
		for i, mode := range []Mode{ModeLogged, ModeNative, ModePadded} {
			if matches[i].Mode != mode || matches[i].Records != 1 {
				t.Errorf("%s: %s: %s after %d records, want %s after 1", form, wants[i].Alg, matches[i].Mode, matches[i].Records, mode)
			}
		}
	}
	found := CheckBootAggregate(&fromBinary[0], func(bank mrlog.Alg, pcr uint32) []byte {
		v, _ := hex.DecodeString(want[bank.String()][strconv.Itoa(int(pcr))])
		return v
	})
	if found.Result != AggregateMatches || found.PCRs != 10 {
		t.Errorf("boot_aggregate: %+v", found)
	}
}

// The TDX set: the list begins where the firmware log ends, and leads to RTMR 2
// of the quote.
func TestCorpusTDX(t *testing.T) {
	text := string(reallogs.Read(t, "tdx-intel/ima.txt"))
	start, end := tdxRTMR2(t)
	rtmr2 := mrlog.Register{Space: mrlog.RTMR, Index: 2}
	r := NewASCIIReader(bytes.NewReader([]byte(text)), Options{})
	records, err := logtest.ReadAll(r)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if h := r.Header(); h.Space != mrlog.RTMR || !h.SpaceAssumed || h.Algs[0].Alg != mrlog.SHA384 {
		t.Errorf("header is %+v", h)
	}
	if records[0].Register != rtmr2 || records[0].Notes != mrlog.NoteSpaceAssumed {
		t.Errorf("record is of %s, notes %b", records[0].Register, records[0].Notes)
	}
	// What its boot_aggregate sums up: MRTD, at offset 184 of the quote, and RTMR
	// 0 to 2 before the list.
	quote := reallogs.Read(t, "tdx-intel/quote.bin")
	fields, err := Fields(records[0].Name, records[0].Content)
	if err != nil || !bytes.Equal(fields[0].Digest.Sum, sum(mrlog.SHA384, quote[184:232], quote[376:472], start)) {
		t.Errorf("boot_aggregate %x, %v", fields[0].Digest.Sum, err)
	}
	var replay mrlog.Replay
	if err := replay.Start(rtmr2, mrlog.SHA384, start); err != nil {
		t.Fatal(err)
	}
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	if got := replay.Value(rtmr2, mrlog.SHA384); !bytes.Equal(got, end) {
		t.Errorf("RTMR 2 is %x, want %x", got, end)
	}
	if out, err := writeASCII(WriteOptions{}, records); err != nil || out != text {
		t.Errorf("written: %q, %v", out, err)
	}
	found, n, err := FindBanks(NewASCIIReader(bytes.NewReader([]byte(text)), Options{}), []Want{{Register: rtmr2, Alg: mrlog.SHA384, Start: start, Value: end}})
	if err != nil || n != 1 || found[0].Mode != ModeLogged || found[0].Records != 1 {
		t.Errorf("found %+v, %d records, %v", found, n, err)
	}
}

// tdxRTMR2 returns RTMR 2 after the firmware log, which is CC-MR 3 there, and in
// the quote.
func tdxRTMR2(t *testing.T) (start, end []byte) {
	t.Helper()
	var manifest []struct {
		File      string
		Registers map[string]map[string]string
	}
	if err := json.Unmarshal(reallogs.Read(t, "MANIFEST.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest {
		if m.File == "tdx-intel/ccel.bin" {
			start = unhex(t, m.Registers["sha384"]["3"])
		}
	}
	// A quote of version 4 has RTMR 2 at offset 472.
	return start, reallogs.Read(t, "tdx-intel/quote.bin")[472:520]
}
