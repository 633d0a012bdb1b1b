// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/go-eventlog/register"
	peer "github.com/google/go-eventlog/tcg"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
)

// Each figure of ours stands beside the peer's, on the same log in the same
// run. The peer replays one bank against given registers, ours all banks.

// benchLog is a log that both are measured on.
type benchLog struct {
	name    string
	log     []byte
	records int
	bank    crypto.Hash
}

func benchLogs(b *testing.B) []benchLog {
	b.Helper()
	var all []benchLog
	for _, l := range realLogs(b) {
		bank := crypto.SHA256
		if l.Kind == "ccel" {
			bank = crypto.SHA384
		} else if l.Registers["sha256"] == nil {
			bank = crypto.SHA1
		}
		all = append(all, benchLog{filepath.Base(l.File), l.log, l.Events, bank})
		if l.Kind == "ccel" {
			end := tcg.NewReaderBytes(l.log, tcg.Options{})
			if _, err := logtest.ReadAll(end); err != nil {
				b.Fatal(err)
			}
			if cut := l.log[:end.End().Offset]; len(cut) < len(l.log)-8 {
				all = append(all, benchLog{filepath.Base(l.File) + "-cut", cut, l.Events, bank})
			}
		}
	}
	return append(all,
		benchLog{"synthetic-3-banks", synthetic(100_000, 64, mrlog.PCR, mrlog.SHA1, mrlog.SHA256, mrlog.SHA384), 100_001, crypto.SHA256},
		benchLog{"synthetic-sha384", synthetic(100_000, 64, mrlog.CCMR, mrlog.SHA384), 100_001, crypto.SHA384},
	)
}

// synthetic makes a log of EV_EFI_ACTION events in several registers.
func synthetic(records, size int, space mrlog.Space, algs ...mrlog.Alg) []byte {
	var out bytes.Buffer
	var table []mrlog.AlgSize
	for _, a := range algs {
		table = append(table, mrlog.AlgSize{Alg: a, Size: a.Size()})
	}
	w := tcg.NewWriter(&out, tcg.WriterOptions{Dialect: tcg.Agile, Algs: table})
	for i := range records {
		rec := mrlog.Record{
			Register: mrlog.Register{Space: space, Index: uint32(i % 8)},
			Type:     mrlog.TypePCClient,
			Event:    0x80000007,
			Content:  fmt.Appendf(nil, "%0*d", size, i),
		}
		if space == mrlog.CCMR {
			rec.Register.Index = 1 + uint32(i%4)
		}
		for _, a := range algs {
			rec.Digests = append(rec.Digests, mrlog.Digest{Alg: a, Sum: a.AppendSum(nil, rec.Content)})
		}
		if err := w.Write([]mrlog.Record{rec}); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// drain reads a log to its end and returns how many records it has.
func drain(b testing.TB, r *tcg.Reader, batch *mrlog.Batch, replay *mrlog.Replay) int {
	n := 0
	for {
		switch err := r.Read(batch); {
		case err == io.EOF:
			return n
		case err != nil:
			b.Fatal(err)
		}
		n += len(batch.Records)
		if replay != nil {
			if err := replay.Extend(batch.Records); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func per(b *testing.B, l benchLog) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.records), "ns/record")
	b.SetBytes(int64(len(l.log)))
}

func BenchmarkParse(b *testing.B) {
	for _, l := range benchLogs(b) {
		b.Run(l.name+"/ours", func(b *testing.B) {
			var batch mrlog.Batch // a verifier of many logs keeps it
			b.ReportAllocs()
			for b.Loop() {
				if n := drain(b, tcg.NewReaderBytes(l.log, tcg.Options{}), &batch, nil); n != l.records {
					b.Fatal(n)
				}
			}
			per(b, l)
		})
		b.Run(l.name+"/ours-first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var batch mrlog.Batch
				drain(b, tcg.NewReaderBytes(l.log, tcg.Options{}), &batch, nil)
			}
			per(b, l)
		})
		b.Run(l.name+"/go-eventlog", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := peer.ParseEventLog(l.log, peer.ParseOpts{AllowPadding: true}); err != nil {
					b.Fatal(err)
				}
			}
			per(b, l)
		})
	}
}

func BenchmarkParseReplay(b *testing.B) {
	for _, l := range benchLogs(b) {
		mrs := registers(b, l.log, l.bank)
		b.Run(l.name+"/ours", func(b *testing.B) {
			var batch mrlog.Batch
			b.ReportAllocs()
			for b.Loop() {
				var replay mrlog.Replay
				drain(b, tcg.NewReaderBytes(l.log, tcg.Options{}), &batch, &replay)
			}
			per(b, l)
		})
		b.Run(l.name+"/go-eventlog", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := peer.ParseAndReplay(l.log, mrs, peer.ParseOpts{AllowPadding: true}); err != nil {
					b.Fatal(err)
				}
			}
			per(b, l)
		})
	}
}

// registers are those of a log in a bank, as our replay gives them.
func registers(t testing.TB, log []byte, bank crypto.Hash) []register.MR {
	t.Helper()
	records, err := read(log, tcg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	var mrs []register.MR
	for _, b := range replay.Banks() {
		switch {
		case hashes[b.Alg] != bank:
		case b.Register.Space == mrlog.CCMR:
			mrs = append(mrs, register.RTMR{Index: int(b.Register.Index) - 1, Digest: b.Value})
		default:
			mrs = append(mrs, register.PCR{Index: int(b.Register.Index), Digest: b.Value, DigestAlg: bank})
		}
	}
	return mrs
}

var hashes = map[mrlog.Alg]crypto.Hash{mrlog.SHA1: crypto.SHA1, mrlog.SHA256: crypto.SHA256, mrlog.SHA384: crypto.SHA384}

// BenchmarkStream reads a large log from an io.Reader; its records per second
// do not depend on its length.
func BenchmarkStream(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		log := synthetic(n, 800, mrlog.PCR, mrlog.SHA1, mrlog.SHA256, mrlog.SHA384)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var batch mrlog.Batch
			b.ReportAllocs()
			for b.Loop() {
				drain(b, tcg.NewReader(bytes.NewReader(log), tcg.Options{}), &batch, nil)
			}
			per(b, benchLog{log: log, records: n + 1})
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	log := synthetic(10_000, 64, mrlog.PCR, mrlog.SHA1, mrlog.SHA256, mrlog.SHA384)
	records, err := read(log, tcg.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := tcg.NewWriter(io.Discard, tcg.WriterOptions{})
		if err := w.Write(records); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	per(b, benchLog{log: log, records: len(records)})
}
