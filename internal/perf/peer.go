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

// rounds are what the runs of benchmarks say, by their names.
type rounds map[string][]figures

// peers runs benchmarks of this package in turns. What mrlog is compared with
// there is a test's dependency, so that the work is in tests.
func (h *harness) peers(bench, benchtime string) (rounds, error) {
	if h.bench == "" {
		path := filepath.Join(h.dir, "peer.test")
		if _, err := h.output(command{args: []string{"go", "test", "-c", "-o", path, peerPackage}}); err != nil {
			return nil, err
		}
		h.bench = path
	}
	all := make(rounds)
	for range h.o.rounds {
		out, err := h.output(command{args: []string{h.bench, "-test.run", "^$", "-test.bench", bench, "-test.benchtime", benchtime}})
		if err != nil {
			return nil, err
		}
		for name, f := range readBenchmarks(out) {
			all[name] = append(all[name], f)
		}
	}
	for name, runs := range all {
		if len(runs) != h.o.rounds {
			return nil, fmt.Errorf("benchmark %s ran %d times, want %d", name, len(runs), h.o.rounds)
		}
	}
	return all, nil
}

// costs are those of an operation of a benchmark.
func (r rounds) costs(name string) ([]cost, error) {
	var runs []cost
	for _, f := range r[name] {
		runs = append(runs, cost{Wall: time.Duration(f["ns/op"]), CPU: time.Duration(f[cpuUnit])})
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("no benchmark %s", name)
	}
	return runs, nil
}

// tlvAgainstPeer is T7: a log in TLV against go-eventlog.
func (h *harness) tlvAgainstPeer() error {
	all, err := h.peers("^Benchmark(Peer|Hostile)$", "3x")
	if err != nil {
		return err
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
		a, err := all.costs("Peer/" + m.a)
		if err != nil {
			return err
		}
		b, err := all.costs("Peer/" + m.b)
		if err != nil {
			return err
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
		for _, f := range all[m.name] {
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
