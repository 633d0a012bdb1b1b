// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mrlog.dev"
	"mrlog.dev/device/soft"
)

// BenchmarkWriterBeside appends events one by one while snapshots are taken: by
// nobody; one after the other without a pause, by a collector and by ones that
// remember nothing; a hundred a second. A loop without a pause needs a
// processor, which the writer may lack: spin is one that looks at no file. The
// log begins with 10,000 records.
func BenchmarkWriterBeside(b *testing.B) {
	for _, where := range []string{"tmpfs", "disk"} {
		for _, x := range []struct {
			name  string
			c     func() *Collector
			every time.Duration
		}{
			{"nobody", nil, 0},
			{"spin", func() *Collector { return nil }, 0},
			{"collector", keepOne(), 0},
			{"afresh", func() *Collector { return &Collector{} }, 0},
			{"collector-100Hz", keepOne(), 10 * time.Millisecond},
		} {
			b.Run(where+"/"+x.name, func(b *testing.B) { benchmarkBeside(b, where == "tmpfs", x.c, x.every) })
		}
	}
}

func keepOne() func() *Collector {
	c := &Collector{}
	return func() *Collector { return c }
}

func benchmarkBeside(b *testing.B, volatile bool, collector func() *Collector, every time.Duration) {
	state := b.TempDir()
	if volatile {
		state = scratch(b)
	}
	state = filepath.Join(state, "state")
	must(b, os.Mkdir(state, 0o700))
	k, err := openKeeper(state, "boot-1")
	must(b, err)
	defer k.Close()
	ctx := context.Background()
	for range 10 {
		batch := make([]string, 1000)
		for i := range batch {
			batch[i] = strings.Repeat("x", 80)
		}
		_, err := k.Append(ctx, rtmr2, events(batch))
		must(b, err)
	}
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	must(b, err)
	var stop atomic.Bool
	done := make(chan int)
	spun := make([]byte, 4<<10)
	go func() {
		n := 0
		for collector != nil && !stop.Load() {
			c := collector()
			if c == nil {
				sha512.Sum384(spun)
				continue
			}
			s, err := c.Snapshot(ctx, Options{State: state, Device: d, Registers: []mrlog.Register{rtmr2}})
			if err != nil || !s.Consistent {
				b.Errorf("%v %+v", err, s)
				break
			}
			s.Close()
			n++
			if every > 0 {
				<-time.After(every)
			}
		}
		done <- n
	}()
	one := events([]string{strings.Repeat("x", 80)})
	b.ResetTimer()
	for b.Loop() {
		if _, err := k.Append(ctx, rtmr2, one); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	stop.Store(true)
	if n := <-done; n > 0 {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "snapshots/s")
	}
}

// BenchmarkMillion takes a snapshot of a log of a million records: the first
// one, one with a record more, and the copy; beside the hashing alone.
func BenchmarkMillion(b *testing.B) {
	const records = 1_000_000
	var text strings.Builder
	v := zero(rtmr2)
	add := func(line string) {
		text.WriteString(line + "\n")
		v = v.extend(line)
	}
	add(v.init())
	for i := range records - 1 {
		add(fmt.Sprintf("bench.example op %0103d", i))
	}
	r := newRig(b)
	r.write(rtmr2, "log", text.String())
	r.d.set(rtmr2, v)
	perRecord := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
	}
	b.Run("floor", func(b *testing.B) {
		all := []byte(text.String())
		for b.Loop() {
			var state [96]byte
			for at := 0; at < len(all); {
				end := at + 120
				if at == 0 {
					end = strings.IndexByte(text.String(), '\n')
				}
				sum := sha512.Sum384(all[at:end])
				copy(state[48:], sum[:])
				next := sha512.Sum384(state[:])
				copy(state[:], next[:])
				at = end + 1
			}
		}
		perRecord(b)
	})
	take := func(b *testing.B, c *Collector) *Result {
		s, err := c.Snapshot(context.Background(), r.options(rtmr2))
		if err != nil || s.Registers[0].State != Consistent {
			b.Fatalf("%v %+v", err, s)
		}
		return s
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			take(b, &Collector{}).Close()
		}
		perRecord(b)
	})
	b.Run("copy", func(b *testing.B) {
		s := take(b, &Collector{})
		defer s.Close()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			_, err := s.Registers[0].Logs[0].WriteTo(io.Discard)
			must(b, err)
		}
		perRecord(b)
	})
	b.Run("again", func(b *testing.B) {
		c := &Collector{}
		take(b, c).Close()
		f, err := os.OpenFile(r.path(rtmr2, "log"), os.O_WRONLY|os.O_APPEND, 0)
		must(b, err)
		defer f.Close()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			b.StopTimer()
			_, err := f.WriteString("one more\n")
			must(b, err)
			v = v.extend("one more")
			r.d.set(rtmr2, v)
			b.StartTimer()
			take(b, c).Close()
		}
	})
}
