// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-eventlog/register"
	peer "github.com/google/go-eventlog/tcg"

	"mrlog.dev"
	"mrlog.dev/tcg"
)

// firmware is a log that both are measured on.
type firmware struct {
	name   string
	log    []byte
	banks  []mrlog.Alg
	events int       // the header among them
	bank   mrlog.Alg // that the peer replays
	values []mrlog.Bank
	mrs    []register.MR // the same for the peer
	end    int64         // of the events
}

// newFirmware returns a log with what replay comes to.
func newFirmware(name string, log []byte) (firmware, error) {
	f := firmware{name: name, log: log, bank: mrlog.SHA256}
	var batch mrlog.Batch
	var replay mrlog.Replay
	r := tcg.NewReaderBytes(log, tcg.Options{})
	n, err := readFirmware(r, &batch, &replay)
	if err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	f.events, f.end = n, r.End().Offset
	for _, a := range r.Header().Algs {
		f.banks = append(f.banks, a.Alg)
	}
	if !slices.Contains(f.banks, f.bank) {
		f.bank = f.banks[0]
	}
	for _, b := range replay.Banks() {
		if b.Alg != f.bank {
			continue
		}
		f.values = append(f.values, b)
		switch b.Register.Space {
		case mrlog.CCMR:
			f.mrs = append(f.mrs, register.RTMR{Index: int(b.Register.Index) - 1, Digest: b.Value})
		default:
			f.mrs = append(f.mrs, register.PCR{Index: int(b.Register.Index), Digest: b.Value, DigestAlg: peerHash(b.Alg)})
		}
	}
	return f, nil
}

func peerHash(a mrlog.Alg) crypto.Hash {
	return map[mrlog.Alg]crypto.Hash{mrlog.SHA1: crypto.SHA1, mrlog.SHA256: crypto.SHA256, mrlog.SHA384: crypto.SHA384}[a]
}

// readFirmware reads a log to its end, and replays all its banks if it is asked
// to. It returns how many events it has.
func readFirmware(r *tcg.Reader, batch *mrlog.Batch, replay *mrlog.Replay) (int, error) {
	for n := 0; ; {
		if err := r.Read(batch); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n += len(batch.Records)
		if replay != nil {
			if err := replay.Extend(batch.Records); err != nil {
				return n, err
			}
		}
	}
}

// realFirmware returns the real logs that come with go-eventlog, and those with
// padding once more without it.
func realFirmware(t testing.TB) (plain, padded []firmware) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/go-eventlog").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "eventlogs", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs come with go-eventlog: %v", err)
	}
	for _, path := range files {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(log, []byte("CCEL")) {
			continue // an ACPI table
		}
		name := filepath.Base(filepath.Dir(path)) + "-" + strings.TrimSuffix(filepath.Base(path), ".bin")
		f, err := newFirmware(name, log)
		if err != nil {
			t.Fatal(err)
		}
		if f.end == int64(len(log)) {
			plain = append(plain, f)
			continue
		}
		padded = append(padded, f)
		f.name, f.log = name+"-cut", log[:f.end]
		plain = append(plain, f)
	}
	return plain, padded
}

// syntheticFirmware returns a log of writeFirmware.
func syntheticFirmware(t testing.TB, events int, banks ...mrlog.Alg) firmware {
	t.Helper()
	var log bytes.Buffer
	if err := writeFirmware(&log, events, banks...); err != nil {
		t.Fatal(err)
	}
	f, err := newFirmware(fmt.Sprint(events), log.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ours parses and, with replay, replays all banks, and looks at the values of the
// one that the peer replays.
func (f *firmware) ours(r *tcg.Reader, batch *mrlog.Batch, replay bool) error {
	var p *mrlog.Replay
	if replay {
		p = new(mrlog.Replay)
	}
	if n, err := readFirmware(r, batch, p); err != nil || n != f.events {
		return fmt.Errorf("%s: %d of %d events: %w", f.name, n, f.events, err)
	}
	if !replay {
		return nil
	}
	for _, b := range f.values {
		if !bytes.Equal(p.Value(b.Register, f.bank), b.Value) {
			return errors.New(f.name + ": the log replays to another value")
		}
	}
	return nil
}

// theirs parses and, with replay, replays one bank and compares it with its
// registers.
func (f *firmware) theirs(replay bool) error {
	o := peer.ParseOpts{AllowPadding: true}
	if replay {
		_, err := peer.ParseAndReplay(f.log, f.mrs, o)
		return err
	}
	_, err := peer.ParseEventLog(f.log, o)
	return err
}

// BenchmarkFirmware parses logs, and parses and replays them. An op is a whole
// log. The peer replays one bank, mrlog all of them. "mrlog" keeps the batch from
// log to log, "mrlog-first" does not.
//
// The large logs are in memory all the time. With little there the garbage
// collector would run after every hundredth small log of the peer's, which a
// program that reads one log would not see.
func BenchmarkFirmware(b *testing.B) {
	synthetic := []firmware{
		syntheticFirmware(b, fewEvents, tpmBanks...), syntheticFirmware(b, manyEvents, tpmBanks...),
		syntheticFirmware(b, mostEvents, tpmBanks...), syntheticFirmware(b, manyEvents, mrlog.SHA384),
	}
	plain, padded := realFirmware(b)
	for _, f := range plain {
		f.compare(b, fmt.Sprintf("real/%d/%s", len(f.banks), f.name))
	}
	for _, f := range padded {
		f.compare(b, fmt.Sprintf("padded/%d/%s", len(f.banks), f.name))
	}
	for _, f := range synthetic {
		name := fmt.Sprintf("synthetic/%d/%s", len(f.banks), f.name)
		f.compare(b, name)
		var batch mrlog.Batch
		measure(b, name+"/stream/mrlog", func() error {
			return f.ours(tcg.NewReader(bytes.NewReader(f.log), tcg.Options{}), &batch, true)
		})
	}
}

// compare measures the contestants on a log, one after the other.
func (f *firmware) compare(b *testing.B, name string) {
	var kept mrlog.Batch
	for _, work := range []string{"parse", "replay"} {
		replay := work == "replay"
		measure(b, name+"/"+work+"/mrlog", func() error {
			return f.ours(tcg.NewReaderBytes(f.log, tcg.Options{}), &kept, replay)
		})
		if !replay {
			measure(b, name+"/"+work+"/mrlog-first", func() error {
				return f.ours(tcg.NewReaderBytes(f.log, tcg.Options{}), new(mrlog.Batch), replay)
			})
		}
		measure(b, name+"/"+work+"/go-eventlog", func() error { return f.theirs(replay) })
	}
}

// measure is a benchmark of work, with the processor time that it takes.
func measure(b *testing.B, name string, work func() error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		cpu := ownCPU()
		for b.Loop() {
			if err := work(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(ownCPU()-cpu)/float64(b.N), cpuUnit)
	})
}

// TestFirmwareAnswers: both contestants read the same events, and come to the same
// values, on every log that they are measured on.
func TestFirmwareAnswers(t *testing.T) {
	plain, padded := realFirmware(t)
	if len(plain) < 20 || len(padded) < 4 {
		t.Errorf("%d logs without padding, %d with it", len(plain), len(padded))
	}
	all := append(plain, padded...)
	all = append(all, syntheticFirmware(t, fewEvents, tpmBanks...), syntheticFirmware(t, fewEvents, mrlog.SHA384))
	for _, f := range all {
		el, err := peer.ParseEventLog(f.log, peer.ParseOpts{AllowPadding: true})
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		header := 1
		if f.banks[0] == mrlog.SHA1 && len(f.banks) == 1 {
			header = 0 // of the SHA-1 shape
		}
		if n := len(el.Events(el.Algs[0])); n != f.events-header {
			t.Errorf("%s: %d events, the peer has %d", f.name, f.events-header, n)
		}
		if err := f.theirs(true); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if err := f.ours(tcg.NewReaderBytes(f.log, tcg.Options{}), new(mrlog.Batch), true); err != nil {
			t.Error(err)
		}
		// Of an altered event neither says that it leads to the registers.
		f.log = bytes.Clone(f.log)
		f.alter(t)
		if f.theirs(true) == nil || f.ours(tcg.NewReaderBytes(f.log, tcg.Options{}), new(mrlog.Batch), true) == nil {
			t.Errorf("%s: an altered digest is not seen", f.name)
		}
	}
}

// alter changes the digest that was extended last into the first register.
func (f *firmware) alter(t *testing.T) {
	t.Helper()
	var last []byte
	for rec, err := range mrlog.All(tcg.NewReaderBytes(f.log, tcg.Options{})) {
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range rec.Digests {
			if d.Alg == f.bank && !rec.NotExtended && rec.Register == f.values[0].Register {
				last = d.Sum // in the log itself
			}
		}
	}
	last[0] ^= 1
}
