// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha512"
	"errors"
	"io"
	"slices"
	"testing"

	gocel "github.com/google/go-eventlog/cel"
	"github.com/google/go-eventlog/register"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/verify"
)

// The log that both read: one SHA-384 digest, content of type 80 with one
// nested TLV, 207 bytes a record, in go-eventlog's dialect.
const (
	peerRecords = tlvRecords
	peerRecord  = 207
	peerIndex   = 3
	cosType     = 80
)

// cos is content as Confidential Space records it, and go-eventlog's users
// implement it.
type cos struct{ inner gocel.TLV }

func (c cos) TLV() (gocel.TLV, error) {
	value, err := c.inner.MarshalBinary()
	return gocel.TLV{Type: cosType, Value: value}, err
}

func (c cos) GenerateDigest(hash crypto.Hash) ([]byte, error) {
	outer, err := c.TLV()
	if err != nil {
		return nil, err
	}
	b, err := outer.MarshalBinary()
	if err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(b)
	return h.Sum(nil), nil
}

// peerLog has go-eventlog write the log, and returns it with the value that it
// ends in.
func peerLog(b *testing.B) (log, value []byte) {
	b.Helper()
	const heads = 13 + 6 + 58 + 5 + 5 // number, index, digests, content, nested TLV
	source := newLineSource(peerRecord - heads + 1)
	w := gocel.NewConfComputeMR()
	value = make([]byte, sha512.Size384)
	for range peerRecords {
		line := append([]byte(nil), source.next()...)
		err := w.AppendEvent(cos{gocel.TLV{Type: 1, Value: line}}, []crypto.Hash{crypto.SHA384}, peerIndex, func(_ crypto.Hash, _ int, digest []byte) error {
			return mrlog.SHA384.Extend(value, digest)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := w.EncodeCEL(&out); err != nil {
		b.Fatal(err)
	}
	if out.Len() != peerRecords*peerRecord {
		b.Fatalf("log of %d bytes, want %d for each of %d records", out.Len(), peerRecord, peerRecords)
	}
	return out.Bytes(), value
}

// BenchmarkPeer decodes the log, replays it, and checks every content against
// its digest; "decode" stops after the first of these, "floor" is the hashing
// alone. An op is a whole log.
func BenchmarkPeer(b *testing.B) {
	log, value := peerLog(b)
	for _, c := range []struct {
		name string
		work func() error
	}{
		{"floor", func() error { return peerFloor(log) }},
		{"mrlog", func() error { return ours(log, value) }},
		{"go-eventlog", func() error { return theirs(log, value) }},
		{"mrlog-verify", func() error { return oursChecked(log, value, 1) }},
		{"mrlog-verify-two", func() error { return oursChecked(log, value, 2) }},
		{"mrlog-decode", func() error { return oursDecoded(log) }},
		{"go-eventlog-decode", func() error { _, err := gocel.DecodeToCEL(bytes.NewBuffer(log)); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			cpu := ownCPU()
			for b.Loop() {
				if err := c.work(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(ownCPU()-cpu)/float64(b.N), cpuUnit)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/peerRecords, "ns/record")
		})
	}
}

// BenchmarkHostile gives both a stated length that the input does not hold.
// go-eventlog is given a smaller one: it allocates what it is told.
func BenchmarkHostile(b *testing.B) {
	b.Run("mrlog", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var batch mrlog.Batch
			r := cel.NewTLVReader(bytes.NewReader([]byte{0, 0xFF, 0xFF, 0xFF, 0xFF, 1}), cel.Options{})
			if err := r.Read(&batch); err == nil || errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
	})
	b.Run("go-eventlog", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := gocel.DecodeToCEL(bytes.NewBuffer([]byte{0, 1, 0, 0, 0, 1})); err == nil {
				b.Fatal("no error")
			}
		}
	})
}

func theirs(log, value []byte) error {
	l, err := gocel.DecodeToCEL(bytes.NewBuffer(log))
	if err != nil {
		return err
	}
	bank := register.FakeMRBank{Hash: crypto.SHA384, FakeMRs: []register.FakeMR{{Index: peerIndex, Digest: value, DigestAlg: crypto.SHA384}}}
	if err := l.Replay(bank); err != nil {
		return err
	}
	for _, r := range l.Records() {
		var c cos
		if err := c.inner.UnmarshalBinary(r.Content.Value); err != nil {
			return err
		}
		if err := gocel.VerifyDigests(c, r.Digests); err != nil {
			return err
		}
	}
	return nil
}

func ours(log, value []byte) error {
	r := cel.NewTLVReaderBytes(log, cel.Options{})
	var batch mrlog.Batch
	var replay mrlog.Replay
	var hasher verify.Hasher
	var answers []verify.Contents
	for {
		err := r.Read(&batch)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := replay.Extend(batch.Records); err != nil {
			return err
		}
		answers = slices.Grow(answers[:0], len(batch.Records))[:len(batch.Records)]
		hasher.Each(batch.Records, answers)
		for i := range batch.Records {
			for j := range batch.Records[i].Digests {
				if answers[i][j] != verify.Matches {
					return errors.New("a content does not match its digest")
				}
			}
		}
	}
	if got := replay.Value(mrlog.Register{Space: mrlog.CCMR, Index: peerIndex}, mrlog.SHA384); !bytes.Equal(got, value) {
		return errors.New("the log replays to another value")
	}
	return nil
}

// oursChecked does it as mrlog verify does, on so many processors.
func oursChecked(log, value []byte, procs int) error {
	report, err := verify.Check(context.Background(), []verify.Log{{Reader: cel.NewTLVReader(bytes.NewReader(log), cel.Options{})}}, verify.Options{
		Procs:  procs,
		Expect: []verify.Expectation{{Register: mrlog.Register{Space: mrlog.CCMR, Index: peerIndex}, Alg: mrlog.SHA384, Value: value}},
	})
	if err == nil && (!report.OK() || report.Registers[0].Matches != peerRecords) {
		err = errors.New("the log does not verify")
	}
	return err
}

func oursDecoded(log []byte) error {
	r := cel.NewTLVReaderBytes(log, cel.Options{})
	var batch mrlog.Batch
	for n := 0; ; {
		switch err := r.Read(&batch); {
		case err == io.EOF && n == peerRecords:
			return nil
		case err != nil:
			return err
		}
		n += len(batch.Records)
	}
}

// peerFloor hashes every content TLV, and the chain.
func peerFloor(log []byte) error {
	var state [2 * sha512.Size384]byte
	for ; len(log) > 0; log = log[peerRecord:] {
		content := log[13+6+58 : peerRecord]
		digest := sha512.Sum384(content)
		copy(state[sha512.Size384:], digest[:])
		value := sha512.Sum384(state[:])
		copy(state[:], value[:])
	}
	return nil
}
