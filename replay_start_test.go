// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"strings"
	"testing"

	"mrlog.dev"
)

var pcr0 = mrlog.Register{Space: mrlog.PCR}

// firmware is a TCG event of PCR 0 in SHA-1 and SHA-256.
func firmware(event uint32, data string) mrlog.Record {
	rec := line(pcr0, data, mrlog.SHA1, mrlog.SHA256)
	rec.Type, rec.Event, rec.NotExtended = mrlog.TypePCClient, event, event == mrlog.EventNoAction
	return rec
}

func startup(locality string) mrlog.Record {
	return firmware(mrlog.EventNoAction, "StartupLocality\x00"+locality)
}

// atLocality is the value that PCR 0 starts with.
func atLocality(alg mrlog.Alg, locality byte) []byte {
	v := make([]byte, alg.Size())
	v[len(v)-1] = locality
	return v
}

func TestReplayStartOfPCR0(t *testing.T) {
	action := firmware(mrlog.EventAction, "version")
	hcrtm := firmware(mrlog.EventHCRTM, "HCRTM")
	elsewhere := startup("\x03")
	elsewhere.Register.Index = 1
	ccmr := startup("\x03")
	ccmr.Register.Space = mrlog.CCMR
	pretended := startup("\x03")
	pretended.NotExtended = false
	text := startup("\x03")
	text.Type, text.Event = mrlog.TypeSystemd, 0

	for _, test := range []struct {
		name    string
		records []mrlog.Record
		start   byte
		refused []string
	}{
		{"no StartupLocality", []mrlog.Record{action}, 0, nil},
		{"locality 0", []mrlog.Record{startup("\x00"), action}, 0, nil},
		{"locality 3", []mrlog.Record{startup("\x03"), action}, 3, nil},
		{"locality 4", []mrlog.Record{startup("\x04"), action}, 4, nil},
		{"H-CRTM", []mrlog.Record{hcrtm, action}, 4, nil},
		{"locality 4 and H-CRTM", []mrlog.Record{startup("\x04"), hcrtm, action}, 4, nil},
		{"locality 0 and H-CRTM", []mrlog.Record{startup("\x00"), hcrtm, action}, 0, []string{"pcr0: start of the H-CRTM record is not used: the start is that of locality 0 already"}},
		{"H-CRTM and then its locality", []mrlog.Record{hcrtm, startup("\x04")}, 4, []string{"StartupLocality record is not used: the start is that of locality 4 already"}},
		{"late H-CRTM", []mrlog.Record{action, hcrtm}, 0, []string{"start of the H-CRTM record is not used: the register was extended before"}},
		{"late locality", []mrlog.Record{action, startup("\x03")}, 0, []string{"pcr0: StartupLocality record is not used: the register was extended before"}},
		{"twice", []mrlog.Record{startup("\x03"), startup("\x00"), action}, 3, []string{"the start is that of locality 3 already"}},
		{"locality 1", []mrlog.Record{startup("\x01"), action}, 0, []string{"not one byte of 0, 3 or 4"}},
		{"no locality", []mrlog.Record{startup(""), action}, 0, []string{"not one byte of 0, 3 or 4"}},
		{"two bytes", []mrlog.Record{startup("\x03\x00"), action}, 0, []string{"not one byte of 0, 3 or 4"}},
		{"another EV_NO_ACTION first", []mrlog.Record{firmware(mrlog.EventNoAction, "SP800-155 Event3"), startup("\x03"), action}, 3, nil},
		{"of another PCR", []mrlog.Record{elsewhere, action}, 0, nil},
		{"of a CC-MR", []mrlog.Record{ccmr, action}, 0, nil},
		{"in a text", []mrlog.Record{text, action}, 0, nil},
		{"of an event that was extended", []mrlog.Record{pretended}, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r mrlog.Replay
			if err := r.Extend(test.records); err != nil {
				t.Fatal(err)
			}
			for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256} {
				want := atLocality(alg, test.start)
				for _, rec := range test.records {
					if !rec.NotExtended && rec.Register == pcr0 {
						want = chain(alg, want, string(rec.Content))
					}
				}
				if got := r.Value(pcr0, alg); !bytes.Equal(got, want) {
					t.Errorf("%s: %x, want %x", alg, got, want)
				}
			}
			for _, b := range r.Banks() {
				if b.Unexplained || b.Register == pcr0 && !bytes.Equal(b.Start, atLocality(b.Alg, test.start)) {
					t.Errorf("bank %+v", b)
				}
			}
			errs, n := r.InitErrors()
			if n != len(test.refused) || len(errs) != n {
				t.Fatalf("%d refused: %v", n, errs)
			}
			for i, want := range test.refused {
				if !strings.Contains(errs[i].Error(), want) {
					t.Errorf("%v, want %q", errs[i], want)
				}
			}
		})
	}
}

func TestReplayStartAfterLaunch(t *testing.T) {
	at := func(index uint32, event uint32, data string) mrlog.Record {
		rec := firmware(event, data)
		rec.Register.Index = index
		return rec
	}
	text := at(17, 0x402, "HASH_START")
	text.Type = mrlog.TypeSystemd
	logged := at(17, 0x402, "HASH_START")
	logged.NotExtended = true
	elsewhere := at(17, 0x402, "HASH_START")
	elsewhere.Register.Space = mrlog.CCMR

	for _, test := range []struct {
		name    string
		records []mrlog.Record
		start   byte // of PCR 18
		refused []string
	}{
		{"no launch", []mrlog.Record{at(17, 4, "x"), at(18, 4, "y")}, 0xFF, nil},
		{"TXT", []mrlog.Record{at(17, 0x402, "HASH_START"), at(18, 0x410, "y")}, 0, nil},
		{"TXT, the first type", []mrlog.Record{at(18, 0x400, "y")}, 0, nil},
		{"below it", []mrlog.Record{at(18, 0x3FF, "y")}, 0xFF, nil},
		{"secure launch, the last type", []mrlog.Record{at(18, 0x5FF, "y")}, 0, nil},
		{"above it", []mrlog.Record{at(18, 0x600, "y")}, 0xFF, nil},
		{"Google's machines", []mrlog.Record{at(17, 0x10000000, "DRTM"), at(18, 4, "y")}, 0, nil},
		{"in PCR 16", []mrlog.Record{at(16, 0x402, "x"), at(18, 4, "y")}, 0xFF, nil},
		{"in a CC-MR", []mrlog.Record{elsewhere, at(18, 4, "y")}, 0xFF, nil},
		{"in a text", []mrlog.Record{text, at(18, 4, "y")}, 0xFF, nil},
		{"not extended", []mrlog.Record{logged, at(18, 4, "y")}, 0xFF, nil},
		{
			"late",
			[]mrlog.Record{at(18, 4, "y"), at(17, 0x402, "HASH_START"), at(18, 0x410, "z")},
			0xFF,
			[]string{"pcr18: start of the record of a dynamic launch is not used: the register was extended before"},
		},
		{"twice", []mrlog.Record{at(17, 0x402, "x"), at(18, 4, "y"), at(17, 0x402, "x"), at(18, 4, "z")}, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r mrlog.Replay
			if err := r.Extend(test.records); err != nil {
				t.Fatal(err)
			}
			pcr18 := mrlog.Register{Space: mrlog.PCR, Index: 18}
			for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256} {
				start := bytes.Repeat([]byte{test.start}, alg.Size())
				want := bytes.Clone(start)
				for _, rec := range test.records {
					if rec.Register == pcr18 {
						want = chain(alg, want, string(rec.Content))
					}
				}
				if got := r.Value(pcr18, alg); !bytes.Equal(got, want) {
					t.Errorf("%s: %x, want %x", alg, got, want)
				}
				for _, b := range r.Banks() {
					if b.Unexplained || b.Register == pcr18 && b.Alg == alg && !bytes.Equal(b.Start, start) {
						t.Errorf("bank %+v", b)
					}
				}
			}
			errs, n := r.InitErrors()
			if n != len(test.refused) || len(errs) != n {
				t.Fatalf("%d refused: %v", n, errs)
			}
			for i, want := range test.refused {
				if !strings.Contains(errs[i].Error(), want) {
					t.Errorf("%v, want %q", errs[i], want)
				}
			}
		})
	}

	var r mrlog.Replay
	pcr17, pcr18 := mrlog.Register{Space: mrlog.PCR, Index: 17}, mrlog.Register{Space: mrlog.PCR, Index: 18}
	for _, reg := range []mrlog.Register{pcr17, pcr18} {
		if err := r.Start(reg, mrlog.SHA256, fill(mrlog.SHA256, 7).Sum); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Extend([]mrlog.Record{at(17, 0x402, "x"), at(18, 4, "y")}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Value(pcr17, mrlog.SHA256), chain(mrlog.SHA256, fill(mrlog.SHA256, 7).Sum, "x")) ||
		!bytes.Equal(r.Value(pcr18, mrlog.SHA256), chain(mrlog.SHA256, fill(mrlog.SHA256, 7).Sum, "y")) {
		t.Error("the given value is not used")
	}
}

// A start value that the caller knows from elsewhere counts more than what the
// log says, in its bank.
func TestReplayStartOfPCR0Given(t *testing.T) {
	var r mrlog.Replay
	if err := r.Start(pcr0, mrlog.SHA256, fill(mrlog.SHA256, 7).Sum); err != nil {
		t.Fatal(err)
	}
	if err := r.Extend([]mrlog.Record{startup("\x03"), firmware(mrlog.EventAction, "x")}); err != nil {
		t.Fatal(err)
	}
	if want := chain(mrlog.SHA256, fill(mrlog.SHA256, 7).Sum, "x"); !bytes.Equal(r.Value(pcr0, mrlog.SHA256), want) {
		t.Error("the given value is not used")
	}
	if want := chain(mrlog.SHA1, atLocality(mrlog.SHA1, 3), "x"); !bytes.Equal(r.Value(pcr0, mrlog.SHA1), want) {
		t.Error("the locality is not used where no value is given")
	}
}

// The StartupLocality of a log explains the value that an INIT record joined to
// it states; alone, the same INIT is unexplained (vector start-locality).
func TestReplayStartOfPCR0Explains(t *testing.T) {
	begin := initLine(pcr0, mrlog.Digest{Alg: mrlog.SHA256, Sum: atLocality(mrlog.SHA256, 3)})
	for _, explained := range []bool{false, true} {
		var r mrlog.Replay
		var records []mrlog.Record
		if explained {
			records = append(records, startup("\x03"))
		}
		if err := r.Extend(append(records, begin)); err != nil {
			t.Fatal(err)
		}
		if b := r.Banks()[0]; b.Unexplained == explained || !bytes.Equal(b.Start, atLocality(mrlog.SHA256, 3)) {
			t.Errorf("after a StartupLocality record: %v; bank %+v", explained, b)
		}
	}
}
