// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const peerPackage = "mrlog.dev/internal/perf"

// figures are what one run of a Go benchmark says, by unit.
type figures map[string]float64

// tlvAgainstPeer is T7: a log in TLV against go-eventlog. That is a test's
// dependency, so the work is in benchmarks of this package; here they are run
// in turns and read.
func (h *harness) tlvAgainstPeer() error {
	bench := filepath.Join(h.dir, "peer.test")
	if _, err := h.output(command{args: []string{"go", "test", "-c", "-o", bench, peerPackage}}); err != nil {
		return err
	}
	c := command{args: []string{bench, "-test.run", "^$", "-test.bench", "^Benchmark(Peer|Hostile)$", "-test.benchtime", "3x"}}
	rounds := make(map[string][]figures)
	for range h.o.rounds {
		out, err := h.output(c)
		if err != nil {
			return err
		}
		for name, f := range readBenchmarks(out) {
			rounds[name] = append(rounds[name], f)
		}
	}
	for name, runs := range rounds {
		if len(runs) != h.o.rounds {
			return fmt.Errorf("benchmark %s ran %d times, want %d", name, len(runs), h.o.rounds)
		}
	}
	costs := func(name string) []cost {
		var runs []cost
		for _, f := range rounds[name] {
			runs = append(runs, cost{Wall: time.Duration(f["ns/op"]), CPU: time.Duration(f[cpuUnit])})
		}
		return runs
	}
	const shown = `go test -run '^$' -bench '^Benchmark(Peer|Hostile)$' -benchtime 3x ./internal/perf`
	for _, m := range []struct {
		what, a, b string
		limit      float64
		most       bool
	}{
		{"CEL-TLV decode, replay, digests: go-eventlog / mrlog", "go-eventlog", "mrlog", 2.6, false},
		{"CEL-TLV decode alone: go-eventlog / mrlog", "go-eventlog-decode", "mrlog-decode", 40, false},
		{"CEL-TLV decode, replay, digests: verify.Check / hash floor", "mrlog-verify-two", "floor", 1.05, true},
		{"the same on 1 processor / hash floor", "mrlog-verify", "floor", 0, true},
		{"the same in a loop of one's own on 1 processor / hash floor", "mrlog", "floor", 0, true},
	} {
		a, b := costs("Peer/"+m.a), costs("Peer/"+m.b)
		if len(a) == 0 || len(b) == 0 {
			return fmt.Errorf("no benchmark Peer/%s or Peer/%s in the output of %s", m.a, m.b, c.shown())
		}
		h.report.add(row{
			Target: "T7", What: m.what, Command: shown, Limit: m.limit, Most: m.most, Unit: "x",
		}.compare(m.a, a, m.b, b, tlvRecords))
	}
	for _, m := range []struct {
		what, name, unit, shown string
		limit, scale            float64
	}{
		{"CEL-TLV decode, replay, digests: allocations", "Peer/mrlog", "allocs/op", "per record", allocsLimit, tlvRecords},
		{"6 bytes that state 4 GiB", "Hostile/mrlog", "B/op", "KiB", 64, 1 << 10},
		{"6 bytes that state 16 MiB, go-eventlog", "Hostile/go-eventlog", "B/op", "KiB", 0, 1 << 10},
	} {
		var v []float64
		for _, f := range rounds[m.name] {
			v = append(v, f[m.unit]/m.scale)
		}
		h.report.add(row{Target: "T7", What: m.what, Command: shown, Limit: m.limit, Most: true, Unit: m.shown, Value: spreadOf(v)})
	}
	return nil
}

const (
	tlvRecords = 100_000     // of the benchmarks' log
	cpuUnit    = "cpu-ns/op" // processor time, the garbage collector's included
)

// readBenchmarks reads lines of the form "BenchmarkNAME-PROCS N VALUE UNIT …".
func readBenchmarks(out []byte) map[string]figures {
	all := make(map[string]figures)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		f := make(figures)
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				f[fields[i+1]] = v
			}
		}
		all[name] = f
	}
	return all
}
