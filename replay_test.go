// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mrlog.dev"
)

var rtmr2 = mrlog.Register{Space: mrlog.RTMR, Index: 2}

// line is a native record with its digests as they should be.
func line(reg mrlog.Register, text string, algs ...mrlog.Alg) mrlog.Record {
	rec := mrlog.Record{Register: reg, Type: mrlog.TypeCCCEL, Content: []byte(text)}
	for _, a := range algs {
		rec.Digests = append(rec.Digests, mrlog.Digest{Alg: a, Sum: sum(a, []byte(text))})
	}
	return rec
}

func initLine(reg mrlog.Register, values ...mrlog.Digest) mrlog.Record {
	var algs []mrlog.Alg
	for _, v := range values {
		algs = append(algs, v.Alg)
	}
	return line(reg, string(mrlog.AppendInit(nil, values)), algs...)
}

func fill(alg mrlog.Alg, b byte) mrlog.Digest {
	return mrlog.Digest{Alg: alg, Sum: bytes.Repeat([]byte{b}, alg.Size())}
}

// chain extends the digests of texts into value, by other means than Replay.
func chain(alg mrlog.Alg, value []byte, texts ...string) []byte {
	for _, s := range texts {
		value = sum(alg, value, sum(alg, []byte(s)))
	}
	return value
}

// TestReplayModel replays random logs of several registers and banks, cut into
// random batches, against a map and a loop.
func TestReplayModel(t *testing.T) {
	registers := []mrlog.Register{{Space: mrlog.PCR, Index: 7}, {Space: mrlog.PCR, Index: 17}, {Space: mrlog.CCMR, Index: 7}, rtmr2, {Space: mrlog.NV, Index: 0x01d10200}}
	algs := append(mrlog.Known(), 0x44)
	rapid.Check(t, func(t *rapid.T) {
		type key struct {
			reg mrlog.Register
			alg mrlog.Alg
		}
		model := map[key][]byte{}
		count := map[key]uint64{}
		skipped := map[mrlog.Alg]uint64{}
		var records []mrlog.Record
		for range rapid.IntRange(0, 40).Draw(t, "records") {
			rec := mrlog.Record{
				Register:    rapid.SampledFrom(registers).Draw(t, "register"),
				NotExtended: rapid.IntRange(0, 5).Draw(t, "not extended") == 0,
			}
			for _, alg := range rapid.SliceOfNDistinct(rapid.SampledFrom(algs), 0, 4, rapid.ID[mrlog.Alg]).Draw(t, "banks") {
				digest := rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "digest")
				rec.Digests = append(rec.Digests, mrlog.Digest{Alg: alg, Sum: digest})
				k := key{rec.Register, alg}
				switch {
				case rec.NotExtended:
				case alg.Size() == 0:
					skipped[alg]++
				default:
					if model[k] == nil {
						model[k] = rec.Register.ResetValue(alg)
					}
					model[k] = sum(alg, model[k], digest)
					count[k]++
				}
			}
			records = append(records, rec)
		}
		var replay mrlog.Replay
		for rest := records; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			if err := replay.Extend(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		banks := replay.Banks()
		if len(banks) != len(model) {
			t.Errorf("%d banks, want %d", len(banks), len(model))
		}
		for _, b := range banks {
			k := key{b.Register, b.Alg}
			if !bytes.Equal(b.Value, model[k]) || b.Records != count[k] || b.Unexplained || !bytes.Equal(b.Start, b.Register.ResetValue(b.Alg)) {
				t.Errorf("%+v, want %x of %d records", b, model[k], count[k])
			}
			if !bytes.Equal(replay.Value(b.Register, b.Alg), b.Value) {
				t.Errorf("%v %v: Value and Banks disagree", b.Register, b.Alg)
			}
		}
		if !slices.IsSortedFunc(banks, func(a, b mrlog.Bank) int {
			if c := a.Register.Compare(b.Register); c != 0 {
				return c
			}
			return int(a.Alg) - int(b.Alg)
		}) {
			t.Error("banks are not in order")
		}
		if len(skipped) != len(replay.Skipped()) || len(skipped) > 0 && !cmp.Equal(skipped, replay.Skipped()) {
			t.Errorf("skipped %v, want %v", replay.Skipped(), skipped)
		}
	})
}

// TestReplayInit goes through the rules of an INIT record, one by one.
func TestReplayInit(t *testing.T) {
	const (
		a, b = mrlog.SHA256, mrlog.SHA384
		ev   = "example.org/app Start"
	)
	zeroA, onesA := fill(a, 0), fill(a, 0xFF)
	oddA, oddB := fill(a, 0x11), fill(b, 0x22)
	pcr17 := mrlog.Register{Space: mrlog.PCR, Index: 17}
	text := func(values ...mrlog.Digest) string { return string(mrlog.AppendInit(nil, values)) }
	joined := mrlog.Digest{Alg: a, Sum: chain(a, zeroA.Sum, ev)}

	// An INIT whose text was altered under its old digest.
	forged := initLine(rtmr2, zeroA)
	forged.Content = mrlog.AppendInit(nil, []mrlog.Digest{oddA})

	type bank struct {
		alg         mrlog.Alg
		start       []byte
		texts       []string // extended from start on
		unexplained bool
	}
	for _, tt := range []struct {
		name    string
		start   []mrlog.Digest // given by the caller, for rtmr2
		records []mrlog.Record
		want    []bank
		errors  []string // reasons of the refused INITs, in order
	}{
		{
			"reset value", nil,
			[]mrlog.Record{initLine(rtmr2, zeroA), line(rtmr2, ev, a)},
			[]bank{{a, zeroA.Sum, []string{text(zeroA), ev}, false}},
			nil,
		},
		{
			"another value: unexplained", nil,
			[]mrlog.Record{initLine(rtmr2, oddA), line(rtmr2, ev, a)},
			[]bank{{a, oddA.Sum, []string{text(oddA), ev}, true}},
			nil,
		},
		{
			"0xFF is no reset value of an RTMR", nil,
			[]mrlog.Record{initLine(rtmr2, onesA)},
			[]bank{{a, onesA.Sum, []string{text(onesA)}, true}},
			nil,
		},
		{
			"0xFF is one of PCR 17", nil,
			[]mrlog.Record{initLine(pcr17, onesA)},
			[]bank{{a, onesA.Sum, []string{text(onesA)}, false}},
			nil,
		},
		{
			"zeros are one of PCR 17 after a dynamic launch", nil,
			[]mrlog.Record{initLine(pcr17, zeroA)},
			[]bank{{a, zeroA.Sum, []string{text(zeroA)}, false}},
			nil,
		},
		{
			"forged text", nil,
			[]mrlog.Record{forged, line(rtmr2, ev, a)},
			[]bank{{a, zeroA.Sum, []string{text(zeroA), ev}, false}},
			[]string{"does not hash"},
		},
		{
			"forged text that states the present value",
			[]mrlog.Digest{oddA},
			[]mrlog.Record{forged},
			[]bank{{a, oddA.Sum, []string{text(zeroA)}, false}},
			[]string{"does not hash"},
		},
		{
			"after other records, another value", nil,
			[]mrlog.Record{line(rtmr2, ev, a), initLine(rtmr2, oddA)},
			[]bank{{a, zeroA.Sum, []string{ev, text(oddA)}, false}},
			[]string{"not the register's"},
		},
		{
			"after other records, the reset value", nil,
			[]mrlog.Record{line(rtmr2, ev, a), initLine(rtmr2, zeroA)},
			[]bank{{a, zeroA.Sum, []string{ev, text(zeroA)}, false}},
			[]string{"not the register's"},
		},
		{
			"after other records, their value: joined", nil,
			[]mrlog.Record{line(rtmr2, ev, a), initLine(rtmr2, joined)},
			[]bank{{a, zeroA.Sum, []string{ev, text(joined)}, false}},
			nil,
		},
		{
			"a second INIT", nil,
			[]mrlog.Record{initLine(rtmr2, oddA), initLine(rtmr2, zeroA)},
			[]bank{{a, oddA.Sum, []string{text(oddA), text(zeroA)}, true}},
			[]string{"not the register's"},
		},
		{
			"the same INIT again", nil,
			[]mrlog.Record{initLine(rtmr2, oddA), initLine(rtmr2, oddA)},
			[]bank{{a, oddA.Sum, []string{text(oddA), text(oddA)}, true}},
			[]string{"not the register's"},
		},
		{
			"several banks", nil,
			[]mrlog.Record{initLine(rtmr2, zeroA, oddB), line(rtmr2, ev, a, b)},
			[]bank{{a, zeroA.Sum, []string{text(zeroA, oddB), ev}, false}, {b, oddB.Sum, []string{text(zeroA, oddB), ev}, true}},
			nil,
		},
		{"one bank forged, the other not", nil, []mrlog.Record{func() mrlog.Record {
			rec := initLine(rtmr2, oddA, oddB)
			rec.Digests[0] = fill(a, 0x33)
			return rec
		}()}, []bank{{a, zeroA.Sum, []string{"\x00"}, false}, {b, oddB.Sum, []string{text(oddA, oddB)}, true}}, []string{"does not hash"}},
		{
			"bank that the record has no digest for", nil,
			[]mrlog.Record{line(rtmr2, text(oddA, oddB), a)},
			[]bank{{a, oddA.Sum, []string{text(oddA, oddB)}, true}},
			[]string{"no digest for this bank"},
		},
		{
			"bank that INIT states nothing for", nil,
			[]mrlog.Record{line(rtmr2, text(oddA), a, b)},
			[]bank{{a, oddA.Sum, []string{text(oddA)}, true}, {b, fill(b, 0).Sum, []string{text(oddA)}, false}},
			[]string{"no value for this bank"},
		},
		{
			"given start, the same",
			[]mrlog.Digest{oddA},
			[]mrlog.Record{initLine(rtmr2, oddA)},
			[]bank{{a, oddA.Sum, []string{text(oddA)}, false}},
			nil,
		},
		{
			"given start, another",
			[]mrlog.Digest{oddA},
			[]mrlog.Record{initLine(rtmr2, zeroA)},
			[]bank{{a, oddA.Sum, []string{text(zeroA)}, false}},
			[]string{"not the register's"},
		},
		{
			"unreadable INIT", nil,
			[]mrlog.Record{line(rtmr2, "INIT SHA256/00", a), line(rtmr2, "INIT", a)},
			[]bank{{a, zeroA.Sum, []string{"INIT SHA256/00", "INIT"}, false}},
			[]string{"unknown algorithm", "not an INIT record"},
		},
		{"not of type CC-CEL", nil, []mrlog.Record{func() mrlog.Record {
			rec := initLine(rtmr2, oddA)
			rec.Type = mrlog.TypePCClient
			return rec
		}()}, []bank{{a, zeroA.Sum, []string{text(oddA)}, false}}, nil},
		{"not extended", nil, []mrlog.Record{func() mrlog.Record {
			rec := initLine(rtmr2, oddA)
			rec.NotExtended = true
			return rec
		}(), line(rtmr2, ev, a)}, []bank{{a, zeroA.Sum, []string{ev}, false}}, nil},
		{
			"no digests", nil,
			[]mrlog.Record{line(rtmr2, text(oddA)), line(rtmr2, ev, a)},
			[]bank{{a, zeroA.Sum, []string{ev}, false}},
			[]string{"no digest for this bank"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var replay mrlog.Replay
			for _, s := range tt.start {
				if err := replay.Start(rtmr2, s.Alg, s.Sum); err != nil {
					t.Fatal(err)
				}
			}
			if err := replay.Extend(tt.records); err != nil {
				t.Fatal(err)
			}
			banks := replay.Banks()
			if len(banks) != len(tt.want) {
				t.Fatalf("%d banks, want %d", len(banks), len(tt.want))
			}
			for i, w := range tt.want {
				got := banks[i]
				value := chain(w.alg, w.start, w.texts...)
				if w.texts[0] == "\x00" { // a digest that is of no text
					value = sum(w.alg, w.start, fill(a, 0x33).Sum)
				}
				if got.Alg != w.alg || !bytes.Equal(got.Start, w.start) || got.Unexplained != w.unexplained || !bytes.Equal(got.Value, value) {
					t.Errorf("%s from %x, unexplained %v, is %x\nwant %s from %x, unexplained %v, %x",
						got.Alg, got.Start, got.Unexplained, got.Value, w.alg, w.start, w.unexplained, value)
				}
			}
			refused, n := replay.InitErrors()
			if n != len(tt.errors) || len(refused) != n {
				t.Fatalf("refused %v (%d), want %q", refused, n, tt.errors)
			}
			for i, e := range refused {
				if !strings.Contains(e.Error(), tt.errors[i]) || !strings.HasPrefix(e.Error(), "rtmr2: INIT record") {
					t.Errorf("refused: %v, want %q", e, tt.errors[i])
				}
			}
		})
	}
}

// What a replay keeps must outlive the batch that it came from.
func TestReplayKeepsNothingBorrowed(t *testing.T) {
	odd := initLine(rtmr2, fill(mrlog.SHA256, 0x11))
	odd.Number, odd.HasNumber = 7, true
	forged := odd.Clone()
	forged.Content[len(forged.Content)-1] ^= 1
	records := []mrlog.Record{odd, forged}
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	banks, want := replay.Banks(), forged.Clone()
	for _, r := range records {
		clear(r.Content)
		for _, d := range r.Digests {
			clear(d.Sum)
		}
	}
	if diff := cmp.Diff(banks, replay.Banks()); diff != "" {
		t.Error(diff)
	}
	clear(replay.Banks()[0].Value)
	clear(replay.Banks()[0].Start)
	if diff := cmp.Diff(banks, replay.Banks()); diff != "" {
		t.Error(diff)
	}
	refused, _ := replay.InitErrors()
	if len(refused) != 1 || !cmp.Equal(refused[0].Record, want) || !strings.Contains(refused[0].Error(), "INIT record 7 (sha256)") {
		t.Errorf("refused %v", refused)
	}
}

func TestReplayKeepsFewInitErrors(t *testing.T) {
	var replay mrlog.Replay
	rec := line(rtmr2, "INIT nonsense", mrlog.SHA256)
	for range 1000 {
		if err := replay.Extend([]mrlog.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
	if kept, n := replay.InitErrors(); len(kept) != mrlog.MaxInitErrors || n != 1000 {
		t.Errorf("kept %d of %d", len(kept), n)
	}
}

func TestReplayStart(t *testing.T) {
	var replay mrlog.Replay
	locality := append(make([]byte, 31), 3)
	pcr0 := mrlog.Register{Space: mrlog.PCR, Index: 0}
	for alg, size := range map[mrlog.Alg]int{mrlog.SHA256: 31, mrlog.SHA384: 32, 0x44: 32, 0x45: 0} {
		if err := replay.Start(pcr0, alg, make([]byte, size)); !errors.Is(err, mrlog.ErrSize) {
			t.Errorf("%v of %d bytes: %v", alg, size, err)
		}
	}
	given := bytes.Clone(locality)
	if err := errors.Join(replay.Start(pcr0, mrlog.SHA256, fill(mrlog.SHA256, 9).Sum), replay.Start(pcr0, mrlog.SHA256, given)); err != nil {
		t.Fatal(err)
	}
	clear(given)
	if got := replay.Value(pcr0, mrlog.SHA256); !bytes.Equal(got, locality) {
		t.Errorf("%x before the first record", got)
	}
	if err := replay.Extend([]mrlog.Record{line(pcr0, "x", mrlog.SHA256)}); err != nil {
		t.Fatal(err)
	}
	if got := replay.Value(pcr0, mrlog.SHA256); !bytes.Equal(got, chain(mrlog.SHA256, locality, "x")) {
		t.Errorf("%x", got)
	}
	if b := replay.Banks(); len(b) != 1 || b[0].Unexplained || !bytes.Equal(b[0].Start, locality) {
		t.Errorf("%+v", b)
	}
	if err := replay.Start(pcr0, mrlog.SHA256, locality); err == nil {
		t.Error("a start value after a record is accepted")
	}
	if got := replay.Value(rtmr2, mrlog.SHA256); got != nil {
		t.Errorf("a bank that nothing named: %x", got)
	}
}

func TestReplayWrongSize(t *testing.T) {
	for _, size := range []int{0, 20, 31, 33, 48, 64, 129} {
		good := line(rtmr2, "x", mrlog.SHA256)
		bad := mrlog.Record{
			Number: 5, HasNumber: true, Register: rtmr2, Span: mrlog.Span{Offset: 77, Line: 9},
			Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: make([]byte, size)}},
		}
		var replay mrlog.Replay
		err := replay.Extend([]mrlog.Record{good, bad, good})
		var fault *mrlog.SyntaxError
		if !errors.As(err, &fault) || !errors.Is(err, mrlog.ErrSize) || fault.Line != 9 || fault.Offset != 77 || fault.Record != 5 {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got := replay.Value(rtmr2, mrlog.SHA256); !bytes.Equal(got, chain(mrlog.SHA256, make([]byte, 32), "x")) {
			t.Errorf("%d bytes: the records before are not replayed: %x", size, got)
		}
		bad.NotExtended = true
		if err := new(mrlog.Replay).Extend([]mrlog.Record{bad}); err != nil {
			t.Errorf("%d bytes, not extended: %v", size, err)
		}
	}
}

// A log that names a new register in every record.
func TestReplayBankLimit(t *testing.T) {
	var replay mrlog.Replay
	at := func(i int) []mrlog.Record {
		return []mrlog.Record{line(mrlog.Register{Space: mrlog.PCR, Index: uint32(i)}, "x", mrlog.SHA256)}
	}
	for i := range mrlog.MaxReplayBanks {
		if err := replay.Extend(at(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := replay.Extend(at(mrlog.MaxReplayBanks)); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("one bank more: %v", err)
	}
	if err := replay.Start(rtmr2, mrlog.SHA256, make([]byte, 32)); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("one start more: %v", err)
	}
	init := initLine(rtmr2, fill(mrlog.SHA256, 1))
	if err := replay.Extend([]mrlog.Record{init}); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("one INIT more: %v", err)
	}
	if err := replay.Extend(at(0)); err != nil {
		t.Errorf("a bank that is there: %v", err)
	}
	if n := len(replay.Banks()); n != mrlog.MaxReplayBanks {
		t.Errorf("%d banks", n)
	}
}

func ExampleReplay() {
	reg := mrlog.Register{Space: mrlog.RTMR, Index: 2}
	digest := mrlog.Digest{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, []byte("hello"))}

	var replay mrlog.Replay
	err := replay.Extend([]mrlog.Record{{Register: reg, Digests: []mrlog.Digest{digest}}})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s %.8x…\n", reg, replay.Value(reg, mrlog.SHA384))
	// Output: rtmr2 1d9b87caf048435f…
}
