// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"mrlog.dev"
)

// jsonBenchRecords returns n records as a converter of a native log makes
// them: a line of 120 bytes, one SHA-384 digest.
func jsonBenchRecords(n int) []mrlog.Record {
	records := make([]mrlog.Record, n)
	for i := range records {
		line := fmt.Appendf(nil, "github.com/confidential-containers ImageLoad sha256/%064x", i)
		line = append(line, "/measured"...)[:120]
		records[i] = mrlog.Record{
			Number: uint64(i), HasNumber: true,
			Register: mrlog.Register{Space: mrlog.RTMR, Index: 2},
			Digests:  []mrlog.Digest{{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, line)}},
			Type:     mrlog.TypeCCCEL,
			Content:  line,
		}
	}
	return records
}

const jsonBenchN = 1024

func benchmarkJSONEncode(b *testing.B, open func(io.Writer) mrlog.Writer) {
	records := jsonBenchRecords(jsonBenchN)
	var out bytes.Buffer
	w := open(&out)
	if err := errors.Join(w.Write(records), w.Close()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(out.Len()))
	b.ReportAllocs()
	w = open(io.Discard)
	for b.Loop() {
		if err := w.Write(records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jsonBenchN, "ns/record")
}

func BenchmarkJSONEncode(b *testing.B) {
	benchmarkJSONEncode(b, func(w io.Writer) mrlog.Writer { return NewJSONWriter(w) })
}

func BenchmarkSeqEncode(b *testing.B) {
	benchmarkJSONEncode(b, func(w io.Writer) mrlog.Writer { return NewSeqWriter(w) })
}

func benchmarkJSONDecode(b *testing.B, log []byte, open func(io.Reader) mrlog.Reader) {
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	var batch mrlog.Batch
	for b.Loop() {
		r, n := open(bytes.NewReader(log)), 0
		for {
			err := r.Read(&batch)
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n += len(batch.Records)
		}
		if n != jsonBenchN {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jsonBenchN, "ns/record")
}

func BenchmarkJSONDecode(b *testing.B) {
	var log bytes.Buffer
	w := NewJSONWriter(&log)
	if err := errors.Join(w.Write(jsonBenchRecords(jsonBenchN)), w.Close()); err != nil {
		b.Fatal(err)
	}
	benchmarkJSONDecode(b, log.Bytes(), func(r io.Reader) mrlog.Reader { return NewJSONReader(r, Options{}) })
}

func BenchmarkSeqDecode(b *testing.B) {
	var log bytes.Buffer
	w := NewSeqWriter(&log)
	if err := errors.Join(w.Write(jsonBenchRecords(jsonBenchN)), w.Close()); err != nil {
		b.Fatal(err)
	}
	benchmarkJSONDecode(b, log.Bytes(), func(r io.Reader) mrlog.Reader { return NewSeqReader(r, Options{}) })
}
