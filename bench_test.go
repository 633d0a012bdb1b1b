// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"testing"

	"mrlog.dev"
)

// BenchmarkReplay is one extend, per algorithm, through a replay; the digests
// are given.
func BenchmarkReplay(b *testing.B) {
	const n = 512
	for _, alg := range mrlog.Known() {
		b.Run(alg.String(), func(b *testing.B) {
			var batch mrlog.Batch
			for i := range n {
				rec := batch.Add()
				rec.Register = mrlog.Register{Space: mrlog.RTMR, Index: 2}
				rec.Digests = batch.NewDigests(1)
				rec.Digests[0] = mrlog.Digest{Alg: alg, Sum: alg.AppendSum(nil, []byte{byte(i)})}
			}
			b.ReportAllocs()
			b.SetBytes(int64(n * 2 * alg.Size()))
			var replay mrlog.Replay
			for b.Loop() {
				if err := replay.Extend(batch.Records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
		})
	}
}
