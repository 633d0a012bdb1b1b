// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"mrlog.dev/convert"
)

// benchRecords is how many records a benchmark's log has.
const benchRecords = 100_000

// benchLog is a native log of lines of 120 bytes.
func benchLog() []byte {
	var b bytes.Buffer
	b.WriteString("INIT sha384/" + strings.Repeat("0", 96) + "\n")
	for i := range benchRecords - 1 {
		fmt.Fprintf(&b, "github.com/confidential-containers PullImage sha256/%064x%04d\n", i, i%10000)
	}
	return b.Bytes()
}

// BenchmarkCopy converts a native log in memory to each form, in the calling
// goroutine. Digests are computed, as for any native log.
func BenchmarkCopy(b *testing.B) {
	log := benchLog()
	for _, to := range targets() {
		to.Records = benchRecords
		b.Run(name(to), func(b *testing.B) { benchCopy(b, log, to, 1) })
	}
	b.Run("cel-json/array, 2 procs", func(b *testing.B) {
		benchCopy(b, log, convert.Target{Format: convert.CELJSON}, 2)
	})
}

// BenchmarkCopyTo converts each form to a native log, which computes the
// digests to see whether they are those of the lines.
func BenchmarkCopyTo(b *testing.B) {
	log := benchLog()
	for _, from := range targets() {
		in, _, err := copyTo(log, from, convert.Source{}, 1)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name(from), func(b *testing.B) { benchCopy(b, in, convert.Target{Format: convert.NELR}, 1) })
	}
}

// BenchmarkCount reads a log without computing its digests.
func BenchmarkCount(b *testing.B) {
	log := benchLog()
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := convert.Open(bytes.NewReader(log), convert.Source{})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := convert.Count(context.Background(), r); n != benchRecords || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}

func benchCopy(b *testing.B, log []byte, to convert.Target, procs int) {
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := convert.Open(bytes.NewReader(log), convert.Source{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := convert.Copy(context.Background(), io.Discard, to, r, convert.Options{Procs: procs}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}
