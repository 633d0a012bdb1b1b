// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"io"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
)

// benchRecords is enough for a log that does not fit the processor's caches
// nearest to it, and small enough for a test.
const benchRecords = 20_000

// benchLog returns a log of benchRecords records of size bytes each, newlines
// not counted, after INIT.
func benchLog(size int, algs ...mrlog.Alg) []byte {
	var init []mrlog.Digest
	for _, a := range algs {
		init = append(init, mrlog.Digest{Alg: a, Sum: make([]byte, a.Size())})
	}
	log := append(mrlog.AppendInit(nil, init), '\n')
	for i := range benchRecords {
		line := fmt.Appendf(nil, "github.com/confidential-containers ImageLoad %08d ", i)
		line = append(line, strings.Repeat("x", size-len(line))...)
		log = append(append(log, line...), '\n')
	}
	return log
}

func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

// BenchmarkReader is the cost of a record: Scan without its digests, Read with
// them.
func BenchmarkReader(b *testing.B) {
	for _, size := range []int{120, 1023} {
		log := benchLog(size, mrlog.SHA384)
		for _, mode := range []string{"Scan", "Read"} {
			b.Run(fmt.Sprintf("%s/%dB", mode, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(log)))
				var batch mrlog.Batch
				for b.Loop() {
					r := nelr.NewReader(bytes.NewReader(log), nelr.Options{})
					next := r.Scan
					if mode == "Read" {
						next = r.Read
					}
					var err error
					for err == nil {
						err = next(&batch)
					}
					if err != io.EOF {
						b.Fatal(err)
					}
				}
				perRecord(b, benchRecords+1)
			})
		}
	}
}

// BenchmarkReadReplay is all that it takes to know a register's value. Compare
// with BenchmarkHashFloor.
func BenchmarkReadReplay(b *testing.B) {
	for _, size := range []int{120, 1023} {
		log := benchLog(size, mrlog.SHA384)
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(log)))
			var batch mrlog.Batch
			for b.Loop() {
				r := nelr.NewReader(bytes.NewReader(log), nelr.Options{})
				var replay mrlog.Replay
				var err error
				for err == nil {
					if err = r.Read(&batch); err == nil {
						err = replay.Extend(batch.Records)
					}
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			perRecord(b, benchRecords+1)
		})
	}
}

// BenchmarkHashFloor is the hashing that a replay cannot do without: every
// line, and every extend.
func BenchmarkHashFloor(b *testing.B) {
	for _, size := range []int{120, 1023} {
		log := benchLog(size, mrlog.SHA384)
		lines := bytes.Split(bytes.TrimSuffix(log, []byte("\n")), []byte("\n"))
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			var state [96]byte
			for b.Loop() {
				for _, line := range lines {
					sum := sha512.Sum384(line)
					copy(state[48:], sum[:])
					value := sha512.Sum384(state[:])
					copy(state[:], value[:])
				}
			}
			perRecord(b, len(lines))
		})
	}
}

// BenchmarkWriter hashes every line again, because it writes no record that
// would read back with another digest.
func BenchmarkWriter(b *testing.B) {
	log := benchLog(120, mrlog.SHA384)
	records, err := logtest.ReadAll(nelr.NewReader(bytes.NewReader(log), nelr.Options{}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		w := nelr.NewWriter(io.Discard)
		if err := w.Write(records); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, len(records))
}
