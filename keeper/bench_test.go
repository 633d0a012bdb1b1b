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
	"mrlog.dev/device"
	"mrlog.dev/device/soft"
	"mrlog.dev/device/tpm"
	"mrlog.dev/device/tsm"
	"mrlog.dev/internal/swtpm"
	"mrlog.dev/internal/tsmfs"
)

// BenchmarkAppend measures durable appends on the disk of TMPDIR, with every
// device that is here, and beside them what they are made of: one append with
// fdatasync, and one extend of the device. Every figure comes with the ratios
// that the targets state:
//
//	x-sync      calls per second over appends with fdatasync per second
//	p99-syncs   p99 of a call in durations of an append with fdatasync
//	p50-ratio   p50 of a call over p50 of an append with fdatasync and an extend
//	x-extend    the whole run over as many extends of the device alone
//
// and with what a call's share of the steps is, in nanoseconds: mark (the two
// fchmod), write, sync, read and extend (of the device); the rest is the lock,
// hashing, and waiting.
func BenchmarkAppend(b *testing.B) {
	for _, dev := range benchDevices {
		b.Run(dev.name, func(b *testing.B) {
			for _, callers := range []int{1, 4, 64} {
				b.Run(fmt.Sprint(callers), func(b *testing.B) { benchAppend(b, dev.open(b), dev.reg, callers) })
			}
		})
	}
}

// benchDevices are opened for one benchmark each.
var benchDevices = []struct {
	name string
	reg  mrlog.Register
	open func(b *testing.B) device.Device
}{
	{"soft", rtmr2, func(b *testing.B) device.Device {
		d, err := soft.Open(filepath.Join(b.TempDir(), "soft"), soft.TDX)
		must(b, err)
		return d
	}},
	{"fuse", rtmr2, func(b *testing.B) device.Device {
		f := tsmfs.Test(b, tsmfs.Options{})
		d, err := tsm.Open(tsm.Options{Tree: f.Tree(), Report: f.Report()})
		must(b, err)
		b.Cleanup(func() { d.Close() })
		return d
	}},
	{"swtpm", pcr14, func(b *testing.B) device.Device {
		// As a user starts it: the proxy of the tests would be measured, too.
		d, err := tpm.Open(context.Background(), swtpm.NewPlain(b))
		must(b, err)
		b.Cleanup(func() { d.Close() })
		return d
	}},
}

func benchAppend(b *testing.B, d device.Device, reg mrlog.Register, callers int) {
	dir := b.TempDir()
	timed := &timedDevice{Device: d}
	k, err := Open(Options{State: filepath.Join(dir, "state"), Device: timed})
	must(b, err)
	defer k.Close()
	disk := &timedDisk{disk: k.disk}
	k.disk = disk
	content := strings.Repeat("x", 100)
	_, err = k.Append(context.Background(), reg, []Event{ev(content)})
	must(b, err)

	var next atomic.Int64
	took := make([]time.Duration, b.N)
	disk.reset()
	timed.reset()
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
				if _, err := k.Append(context.Background(), reg, []Event{ev(content)}); err != nil {
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
	share := func(unit string, t *atomic.Int64) { b.ReportMetric(float64(t.Load())/float64(b.N), unit) }
	share("mark-ns", &disk.marks)
	share("write-ns", &disk.writes)
	share("sync-ns", &disk.syncs)
	share("read-ns", &timed.reads)
	share("extend-ns", &timed.extends)

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
	desc, err := device.Find(d, reg)
	must(b, err)
	extended := time.Now()
	extend := sample(b, func() error {
		_, err := d.Extend(context.Background(), reg, [][]mrlog.Digest{measure(text, desc.Banks)})
		return err
	})
	mean := time.Since(extended) / samples // a run is a sum, to be compared with one
	// Both in turn: each finds the processor as the other left it.
	both := sample(b, func() error {
		if _, err := f.Write(text); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		_, err := d.Extend(context.Background(), reg, [][]mrlog.Digest{measure(text, desc.Banks)})
		return err
	})
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
	b.ReportMetric(rate*bare.Seconds(), "x-sync")
	b.ReportMetric(float64(p99)/float64(bare), "p99-syncs")
	b.ReportMetric(float64(p50)/float64(both), "p50-ratio")
	b.ReportMetric(1/(rate*mean.Seconds()), "x-extend")
	b.ReportMetric(float64(bare.Microseconds()), "bare-µs")
	b.ReportMetric(float64(extend.Microseconds()), "one-extend-µs")
}

// timedDisk adds up what the steps of an append take.
type timedDisk struct {
	disk
	marks, writes, syncs atomic.Int64 // nanoseconds
}

func (t *timedDisk) reset() { t.marks.Store(0); t.writes.Store(0); t.syncs.Store(0) }

func (t *timedDisk) mark(fd int, on bool) error {
	defer since(&t.marks, time.Now())
	return t.disk.mark(fd, on)
}

func (t *timedDisk) write(fd int, p []byte) (int, error) {
	defer since(&t.writes, time.Now())
	return t.disk.write(fd, p)
}

func (t *timedDisk) sync(fd int) error {
	defer since(&t.syncs, time.Now())
	return t.disk.sync(fd)
}

// timedDevice adds up what the device takes.
type timedDevice struct {
	device.Device
	reads, extends atomic.Int64 // nanoseconds
}

func (t *timedDevice) reset() { t.reads.Store(0); t.extends.Store(0) }

func (t *timedDevice) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	defer since(&t.reads, time.Now())
	return t.Device.Read(ctx, reg)
}

func (t *timedDevice) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	defer since(&t.extends, time.Now())
	return t.Device.Extend(ctx, reg, records)
}

func since(sum *atomic.Int64, began time.Time) { sum.Add(int64(time.Since(began))) }

const samples = 2000

// sample returns the median duration of an operation.
func sample(b *testing.B, do func() error) time.Duration {
	took := make([]time.Duration, samples)
	for i := range took {
		began := time.Now()
		must(b, do())
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// BenchmarkStart opens a log of a million records: the first operation of a
// keeper replays it once, later ones of the same keeper do not.
func BenchmarkStart(b *testing.B) {
	const records = 1_000_000
	r := newRig(b)
	m := build(r, r.boot)
	for i := range records {
		m.record(line(fmt.Sprint(i, strings.Repeat("x", 90))))
	}
	m.extended().save()
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			k := r.open(nil)
			if _, err := k.Recover(context.Background(), r.reg); err != nil {
				b.Fatal(err)
			}
			k.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
	})
	b.Run("later", func(b *testing.B) {
		k := r.open(nil)
		defer k.Close()
		for b.Loop() {
			if _, err := k.Recover(context.Background(), r.reg); err != nil {
				b.Fatal(err)
			}
		}
	})
}
