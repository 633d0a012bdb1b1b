// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"mrlog.dev"
)

// benchRecords is the number of records in the synthetic log; each takes 207
// bytes in the go-eventlog dialect, as in the published measurement.
const benchRecords = 100_000

// benchLog makes records with one SHA-384 digest over COS-like content.
func benchLog() []mrlog.Record {
	recs := make([]mrlog.Record, benchRecords)
	for i := range recs {
		// 13 + 6 + 5 + 5 + 48 + 5 bytes come before the value.
		value := appendHead(nil, 5, 207-82-tlvHead)
		value = append(value, bytes.Repeat([]byte("NAME=value "), 11)[:207-82-tlvHead]...)
		binary.BigEndian.PutUint32(value[tlvHead:], uint32(i))
		recs[i] = mrlog.Record{
			Number: uint64(i), HasNumber: true,
			Register: mrlog.Register{Space: mrlog.CCMR, Index: 4},
			Type:     80, Content: value,
			Digests: []mrlog.Digest{{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, append(appendHead(nil, 80, len(value)), value...))}},
		}
	}
	return recs
}

func benchTLV(b *testing.B) []byte {
	p, err := writeTLV(GoEventlog, benchLog())
	if err != nil {
		b.Fatal(err)
	}
	if len(p) != 207*benchRecords {
		b.Fatalf("%d bytes a record", len(p)/benchRecords)
	}
	return p
}

// perRecord reports what a loop over the log took.
func perRecord(b *testing.B, size int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
	b.SetBytes(int64(size))
}

// decode drains a reader and returns the number of records.
func decode(b *testing.B, r mrlog.Reader, batch *mrlog.Batch, each func([]mrlog.Record) error) {
	n := 0
	for {
		err := r.Read(batch)
		if err == io.EOF {
			break
		}
		if err == nil && each != nil {
			err = each(batch.Records)
		}
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Records)
	}
	if n != benchRecords {
		b.Fatalf("%d records", n)
	}
}

func BenchmarkTLVDecode(b *testing.B) {
	in := benchTLV(b)
	b.ReportAllocs()
	var batch mrlog.Batch
	for b.Loop() {
		decode(b, NewTLVReaderBytes(in, Options{}), &batch, nil)
	}
	perRecord(b, len(in))
}

// BenchmarkTLVDecodeReplayCheck also extends the digests and compares each
// with the hash of its content.
func BenchmarkTLVDecodeReplayCheck(b *testing.B) {
	in := benchTLV(b)
	b.ReportAllocs()
	var batch mrlog.Batch
	var field, sum []byte
	for b.Loop() {
		var replay mrlog.Replay
		decode(b, NewTLVReaderBytes(in, Options{}), &batch, func(recs []mrlog.Record) error {
			for i := range recs {
				r := &recs[i]
				field = append(appendHead(field[:0], byte(r.Type), len(r.Content)), r.Content...)
				if sum = mrlog.SHA384.AppendSum(sum[:0], field); !bytes.Equal(sum, r.Digests[0].Sum) {
					b.Fatal("digest differs")
				}
			}
			return replay.Extend(recs)
		})
	}
	perRecord(b, len(in))
}

// BenchmarkHashFloor is the hashing that the check above cannot do without.
func BenchmarkHashFloor(b *testing.B) {
	recs := benchLog()
	var field, sum []byte
	var state [96]byte
	for b.Loop() {
		for i := range recs {
			r := &recs[i]
			field = append(appendHead(field[:0], byte(r.Type), len(r.Content)), r.Content...)
			sum = mrlog.SHA384.AppendSum(sum[:0], field)
			copy(state[48:], sum)
			mrlog.SHA384.AppendSum(state[:0], state[:])
		}
	}
	perRecord(b, 207*benchRecords)
}

func BenchmarkTLVEncode(b *testing.B) {
	recs := benchLog()
	b.ReportAllocs()
	w, err := NewTLVWriter(io.Discard, GoEventlog)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.Write(recs); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, 207*benchRecords)
}

func BenchmarkCBORDecode(b *testing.B) {
	in, err := writeCBOR(-1, benchLog())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var batch mrlog.Batch
	for b.Loop() {
		decode(b, NewCBORReader(bytes.NewReader(in), Options{}), &batch, nil)
	}
	perRecord(b, len(in))
}

func BenchmarkCBOREncode(b *testing.B) {
	recs := benchLog()
	b.ReportAllocs()
	w := NewCBORWriter(io.Discard, -1)
	for b.Loop() {
		if err := w.Write(recs); err != nil {
			b.Fatal(err)
		}
	}
	in, err := writeCBOR(-1, recs)
	if err != nil {
		b.Fatal(err)
	}
	perRecord(b, len(in))
}
