// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/pipe"
)

// benchRecords is the number of records of the published measurement. The list
// is made as it is read: 179 MB in ASCII, 142 MB in binary.
const benchRecords = 1_000_000

// bench is a list without an end in memory: records that differ in some digits,
// so that their digests are those of the first one only. Nothing here looks at
// them.
type bench struct {
	block []byte // of whole records
	n     int    // blocks left
	at    int
}

func (s *bench) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.block[s.at:])
	if s.at += n; s.at == len(s.block) {
		s.at = 0
		s.n--
	}
	return n, nil
}

// benchList makes a list of so many records.
func benchList(ascii bool, records int) *bench {
	const perBlock = 1000
	var all []measure
	for i := range perBlock {
		d, dt := ng("sha256", sum(mrlog.SHA256, []byte{byte(i), byte(i >> 8)}))
		path := fmt.Sprintf("/usr/lib/x86_64-linux-gnu/libexample-%06d.so.%d", i, i%10)
		all = append(all, measure{10, "ima-ng", [][]byte{d, name(path)}, []string{dt, path}, false})
	}
	bin, text := lists(all, mrlog.SHA1, false)
	if ascii {
		return &bench{block: []byte(text), n: records / perBlock}
	}
	return &bench{block: bin, n: records / perBlock}
}

func (s *bench) again(records int) *bench { return &bench{block: s.block, n: records / 1000} }

// sink counts records and replays them if it is asked to.
func sink(b *testing.B, r mrlog.Reader, procs int, replay *mrlog.Replay) {
	n := 0
	err := pipe.Each(context.Background(), r, procs, func(records []mrlog.Record) error {
		n += len(records)
		if replay != nil {
			return replay.Extend(records)
		}
		return nil
	})
	if err != nil || n != benchRecords {
		b.Fatalf("%d records, %v", n, err)
	}
}

func BenchmarkList(b *testing.B) {
	two := Options{Banks: []mrlog.Alg{mrlog.SHA256, mrlog.SHA384}}
	one := Options{Banks: []mrlog.Alg{mrlog.SHA256}}
	for _, ascii := range []bool{true, false} {
		form := map[bool]string{true: "ascii", false: "binary"}[ascii]
		list := benchList(ascii, 0)
		open := func(o Options) mrlog.Reader {
			if ascii {
				return NewASCIIReader(list.again(benchRecords), o)
			}
			return NewBinaryReader(list.again(benchRecords), o)
		}
		for _, bb := range []struct {
			name   string
			o      Options
			procs  int
			replay bool
		}{
			{"parse", Options{}, 1, false},
			{"replay", Options{}, 1, true},
			{"replay-2", Options{}, 2, true},
			{"derive-sha256", one, 1, true},
			{"derive-sha256-2", one, 2, true},
			{"derive-two", two, 1, true},
			{"derive-two-2", two, 2, true},
		} {
			b.Run(form+"/"+bb.name, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					var replay *mrlog.Replay
					if bb.replay {
						replay = new(mrlog.Replay)
					}
					sink(b, open(bb.o), bb.procs, replay)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
			})
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	records, err := logtest.ReadAll(NewBinaryReader(benchList(false, 1000), Options{}))
	if err != nil {
		b.Fatal(err)
	}
	for _, ascii := range []bool{true, false} {
		form := map[bool]string{true: "ascii", false: "binary"}[ascii]
		b.Run(form, func(b *testing.B) {
			b.ReportAllocs()
			var w mrlog.Writer
			if ascii {
				w, err = NewASCIIWriter(io.Discard, WriteOptions{})
			} else {
				w, err = NewBinaryWriter(io.Discard, WriteOptions{})
			}
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				if err := w.Write(records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}

// Nothing is allocated per record, in reading and writing; a little is for each
// batch.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what is allocated")
	}
	for _, ascii := range []bool{true, false} {
		for _, o := range []Options{{}, {Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA384}}} {
			list := benchList(ascii, 0)
			cost := func(records int) float64 {
				return testing.AllocsPerRun(3, func() {
					var r mrlog.Reader = NewBinaryReader(list.again(records), o)
					var w mrlog.Writer
					w, _ = NewBinaryWriter(io.Discard, WriteOptions{})
					if ascii {
						r = NewASCIIReader(list.again(records), o)
						w, _ = NewASCIIWriter(io.Discard, WriteOptions{})
					}
					var b mrlog.Batch
					for r.Read(&b) == nil {
						if err := w.Write(b.Records); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
			if few, many := cost(2000), cost(20_000); many > few+18_000/100 {
				t.Errorf("ascii=%t, %+v: %g allocations for 2,000 records, %g for 20,000", ascii, o, few, many)
			}
		}
	}
}

// A list of any length takes the memory of some batches.
func TestStreamed(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes a second")
	}
	for _, ascii := range []bool{true, false} {
		list := benchList(ascii, 200_000)
		var r mrlog.Reader = NewBinaryReader(list, Options{Banks: []mrlog.Alg{mrlog.SHA256}})
		if ascii {
			r = NewASCIIReader(list, Options{Banks: []mrlog.Alg{mrlog.SHA256}})
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var replay mrlog.Replay
		var b mrlog.Batch
		for r.Read(&b) == nil {
			if err := replay.Extend(b.Records); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
			t.Errorf("ascii=%t: %d bytes for 200,000 records", ascii, n)
		}
	}
}

// TestResident shows, by hand and on Linux, what a process needs for a million
// records: IMA_RESIDENT=1 go test -run Resident -v ./ima
func TestResident(t *testing.T) {
	if os.Getenv("IMA_RESIDENT") == "" {
		t.Skip("by hand: IMA_RESIDENT=1")
	}
	r := NewASCIIReader(benchList(true, benchRecords), Options{Banks: []mrlog.Alg{mrlog.SHA256}})
	var replay mrlog.Replay
	if err := pipe.Each(context.Background(), r, 2, replay.Extend); err != nil {
		t.Fatal(err)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if bytes.HasPrefix(line, []byte("VmHWM")) {
			t.Logf("%s", line)
		}
	}
}
