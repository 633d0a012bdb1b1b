// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
)

// through converts a log as the command does: records without numbers get them.
func through(t *testing.T, log []byte, s convert.Source, to convert.Target) ([]byte, error) {
	t.Helper()
	opened := func() mrlog.Reader {
		r, err := convert.Open(bytes.NewReader(log), s)
		if err != nil {
			t.Fatal(err)
		}
		return convert.Number(r, convert.FillIn)
	}
	if to.NeedsCount() {
		n, err := convert.Count(t.Context(), opened())
		if err != nil {
			t.Fatal(err)
		}
		to.Records = n
	}
	var out bytes.Buffer
	_, err := convert.Copy(t.Context(), &out, to, opened(), convert.Options{Procs: 2})
	return out.Bytes(), err
}

// TestCorpusThere: every real firmware log has the values that are known of it,
// and comes back byte for byte through every form of the canonical event log.
// Padding does not travel, and is counted.
func TestCorpusThere(t *testing.T) {
	dir := reallogs.Dir(t)
	logs := 0
	for _, f := range manifest(t, dir) {
		if f.Kind != "ccel" && f.Kind != "tcg" {
			continue
		}
		logs++
		log, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		r, err := convert.Open(bytes.NewReader(log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		records, err := logtest.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", f.File, err)
		}
		h := r.Header()
		if h.Format != convert.TCG2 || f.Events != 0 && len(records) != f.Events {
			t.Errorf("%s: %s, %d records, want %d", f.File, h.Format, len(records), f.Events)
		}
		checkRegisters(t, f, records)
		whole := log[:int64(len(log))-h.Padding]
		for _, to := range targets() {
			if to.Format == convert.NELR || to.NeedsReplay() {
				continue
			}
			cel, err := through(t, log, convert.Source{}, to)
			var c *mrlog.CarryError
			if errors.As(err, &c) && to.Dialect == "go-eventlog" {
				continue // one byte for the index of a register
			}
			if err != nil {
				t.Errorf("%s to %s: %v", f.File, name(to), err)
				continue
			}
			if k, err := convert.Sniff(cel[:min(len(cel), convert.DetectSize)]); k.Format != to.Format {
				t.Errorf("%s as %s is taken for %+v, %v", f.File, name(to), k, err)
			}
			back, err := through(t, cel, convert.Source{Format: to.Format}, convert.Target{Format: convert.TCG2})
			if err != nil || !bytes.Equal(back, whole) {
				t.Errorf("%s through %s: %v, %d bytes, want %d", f.File, name(to), err, len(back), len(whole))
			}
		}
	}
	if logs < 12 {
		t.Errorf("%d logs", logs)
	}
}

// checkRegisters compares a replay with the values in the manifest.
func checkRegisters(t *testing.T, f file, records []mrlog.Record) {
	t.Helper()
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatalf("%s: %v", f.File, err)
	}
	space := records[len(records)-1].Register.Space
	for alg, values := range f.Registers {
		a, err := mrlog.ParseAlg(alg)
		if err != nil {
			t.Fatal(err)
		}
		for index, want := range values {
			n, err := strconv.ParseUint(index, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(replay.Value(mrlog.Register{Space: space, Index: uint32(n)}, a)); got != want {
				t.Errorf("%s: %s%s:%s is %s, want %s", f.File, space, index, alg, got, want)
			}
		}
	}
}

// TestCorpusIMA: the lists go through every form, and into each other.
func TestCorpusIMA(t *testing.T) {
	dir := reallogs.Dir(t)
	read := func(name string) []byte {
		p, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ file, format string }{
		{"qemu-ovmf/ima.bin", convert.IMA},
		{"qemu-ovmf/ima.txt", convert.IMAASCII},
		{"tdx-intel/ima.txt", convert.IMAASCII},
	} {
		list := read(c.file)
		for _, to := range targets() {
			if to.Format == convert.NELR || to.NeedsReplay() {
				continue
			}
			cel, err := through(t, list, convert.Source{}, to)
			var carry *mrlog.CarryError
			if errors.As(err, &carry) && to.Format == convert.CELTLV && strings.Contains(carry.What, "map the log to ccmr") {
				continue
			}
			if err != nil {
				t.Errorf("%s to %s: %v", c.file, name(to), err)
				continue
			}
			back, err := through(t, cel, convert.Source{}, convert.Target{Format: c.format})
			if err != nil || !bytes.Equal(back, list) {
				t.Errorf("%s through %s: %v\n%q", c.file, name(to), err, back)
			}
		}
	}
	text, err := through(t, read("qemu-ovmf/ima.bin"), convert.Source{}, convert.Target{Format: convert.IMAASCII})
	if err != nil || !bytes.Equal(text, read("qemu-ovmf/ima.txt")) {
		t.Errorf("as text: %v\n%s", err, text)
	}
}

// TestCorpusJoined: the firmware log and the IMA list of one TDX guest are one
// log in CC-MRs or in RTMRs, and its registers are those of the guest's quote.
func TestCorpusJoined(t *testing.T) {
	dir := reallogs.Dir(t)
	var quote map[string]any
	for _, f := range manifest(t, dir) {
		if f.File == "tdx-intel/quote.bin" {
			quote = f.Quote
		}
	}
	for _, space := range []mrlog.Space{mrlog.NoSpace, mrlog.CCMR, mrlog.RTMR} {
		var sights []convert.Sight
		var readers []mrlog.Reader
		for _, name := range []string{"ccel.bin", "ima.txt"} {
			log, err := os.ReadFile(filepath.Join(dir, "tdx-intel", name))
			if err != nil {
				t.Fatal(err)
			}
			r, err := convert.Open(bytes.NewReader(log), convert.Source{})
			if err != nil {
				t.Fatal(err)
			}
			s, r := convert.Look(name, r)
			sights, readers = append(sights, s), append(readers, r)
		}
		on, err := convert.PlatformOf(sights)
		if err != nil || on != mrlog.TDX {
			t.Fatalf("platform %q, %v", on, err)
		}
		p := convert.Placement{Space: space, Platform: on}
		if space == mrlog.NoSpace {
			if p.Space, err = convert.CommonSpace(sights, on, false); err != nil || p.Space != mrlog.CCMR {
				t.Fatalf("common space %q, %v", p.Space, err)
			}
		}
		var inputs []convert.Input
		for i, r := range readers {
			inputs = append(inputs, convert.Input{Name: sights[i].Name, Reader: convert.Place(r, p)})
		}
		records, err := logtest.ReadAll(convert.Number(convert.Join(inputs), convert.NumberAnew))
		if err != nil {
			t.Fatal(err)
		}
		var replay mrlog.Replay
		if err := replay.Extend(records); err != nil {
			t.Fatal(err)
		}
		for i := range uint32(3) {
			reg, err := on.To(p.Space, mrlog.Register{Space: mrlog.RTMR, Index: i})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hex.EncodeToString(replay.Value(reg, mrlog.SHA384)), quote["rtmr"+strconv.Itoa(int(i))]; got != want {
				t.Errorf("in %s: %s is %s, the quote has %v", p.Space, reg, got, want)
			}
		}
		next := make(map[mrlog.Register]uint64)
		for _, r := range records {
			if !r.HasNumber || r.Number != next[r.Register] {
				t.Errorf("in %s: a record of %s has number %d, want %d", p.Space, r.Register, r.Number, next[r.Register])
			}
			next[r.Register]++
		}
	}
}

// TestCorpusMutated: real files with a few bytes altered, cut off or doubled are
// read to an end, or refused as malformed with a place.
func TestCorpusMutated(t *testing.T) {
	const each = 40 // 60,000 in all were tried once
	dir := reallogs.Dir(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, f := range manifest(t, dir) {
		whole, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		whole = whole[:min(len(whole), 40<<10)] // without most of the padding
		for range each {
			log := bytes.Clone(whole)
			for range 1 + rng.IntN(4) {
				at := rng.IntN(len(log))
				if rng.IntN(2) == 0 {
					at = rng.IntN(min(len(log), 200))
				}
				switch rng.IntN(4) {
				case 0:
					log = log[:at+1]
				case 1:
					log = slices.Insert(log, at, log[at:min(at+1+rng.IntN(100), len(log))]...)
				default:
					log[at] = byte(rng.Uint32())
				}
			}
			if rng.IntN(10) == 0 {
				log = zip(log)
			}
			_, err := open(log)
			var s *mrlog.SyntaxError
			if err != nil && (!errors.As(err, &s) || s.Err == nil || s.Offset < 0 || s.Offset > 1<<20) {
				t.Errorf("%s: %v", f.File, err)
			}
		}
	}
}
