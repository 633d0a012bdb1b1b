// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device/soft"
)

// BenchmarkAppend measures durable appends on the disk of TMPDIR, with the
// soft device there, too, and beside them what they are made of: one append
// with fdatasync, and one extend of the device. Every figure comes with the
// ratios that the targets state:
//
//	x-sync      calls per second over appends with fdatasync per second
//	p99-syncs   p99 of a call in durations of an append with fdatasync
//	p50-ratio   p50 of a call over p50 of fdatasync and p50 of a device extend
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 4, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			dir := b.TempDir()
			d, err := soft.Open(filepath.Join(dir, "soft"), soft.TDX)
			must(b, err)
			k, err := Open(Options{State: filepath.Join(dir, "state"), Device: d})
			must(b, err)
			defer k.Close()
			content := strings.Repeat("x", 100)
			_, err = k.Append(context.Background(), rtmr2, []Event{ev(content)})
			must(b, err)

			var next atomic.Int64
			took := make([]time.Duration, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for {
						i := next.Add(1) - 1
						if i >= int64(b.N) {
							return
						}
						began := time.Now()
						if _, err := k.Append(context.Background(), rtmr2, []Event{ev(content)}); err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(began)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			if b.N < 100 {
				return
			}
			rate := float64(b.N) / b.Elapsed().Seconds()

			f, err := os.OpenFile(filepath.Join(dir, "bare"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			must(b, err)
			defer f.Close()
			text := []byte(line(content) + "\n")
			bare := sample(b, func() error {
				if _, err := f.Write(text); err != nil {
					return err
				}
				return unix.Fdatasync(int(f.Fd()))
			})
			banks := d.Registers()[2].Banks
			extend := sample(b, func() error {
				_, err := d.Extend(context.Background(), rtmr2, [][]mrlog.Digest{measure(text, banks)})
				return err
			})
			slices.Sort(took)
			p50, p99 := took[len(took)/2], took[len(took)*99/100]
			b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
			b.ReportMetric(rate*bare.Seconds(), "x-sync")
			b.ReportMetric(float64(p99)/float64(bare), "p99-syncs")
			b.ReportMetric(float64(p50)/float64(bare+extend), "p50-ratio")
			b.ReportMetric(float64(bare.Microseconds()), "bare-µs")
			b.ReportMetric(float64(extend.Microseconds()), "extend-µs")
		})
	}
}

// sample returns the median duration of an operation.
func sample(b *testing.B, do func() error) time.Duration {
	took := make([]time.Duration, 500)
	for i := range took {
		began := time.Now()
		must(b, do())
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// BenchmarkStart opens a log of 100,000 records.
func BenchmarkStart(b *testing.B) {
	const records = 100_000
	r := newRig(b)
	m := build(r, r.boot)
	for i := range records {
		m.record(line(fmt.Sprint(i, strings.Repeat("x", 90))))
	}
	m.extended().save()
	b.SetBytes(int64(m.text.Len()))
	for b.Loop() {
		k := r.open(nil)
		if _, err := k.Recover(context.Background(), r.reg); err != nil {
			b.Fatal(err)
		}
		k.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
}
