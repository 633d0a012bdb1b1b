// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/tcg"
)

// Events of the synthetic firmware logs. The largest log is of 100 MB.
const (
	fewEvents  = 1_000
	manyEvents = 100_000
	mostEvents = 540_000
)

// tpmBanks are those of most TPMs.
var tpmBanks = []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384}

// writeFirmware writes a log of so many EV_EFI_ACTION events with 64 bytes of
// data in eight PCRs, or in the four CC-MRs of a platform with one bank.
func writeFirmware(out io.Writer, events int, banks ...mrlog.Alg) error {
	o := tcg.WriterOptions{Dialect: tcg.Agile}
	digests := make([]mrlog.Digest, len(banks))
	for i, a := range banks {
		o.Algs = append(o.Algs, mrlog.AlgSize{Alg: a, Size: a.Size()})
		digests[i] = mrlog.Digest{Alg: a, Sum: make([]byte, a.Size())}
	}
	w := tcg.NewWriter(out, o)
	lines := newLineSource(65)
	rec := mrlog.Record{Type: mrlog.TypePCClient, Event: 0x80000007, Digests: digests}
	for i := range events {
		rec.Register = mrlog.Register{Space: mrlog.PCR, Index: uint32(i % 8)}
		if len(banks) == 1 {
			rec.Register = mrlog.Register{Space: mrlog.CCMR, Index: 1 + uint32(i%4)}
		}
		rec.Content = lines.next()
		for _, d := range digests {
			d.Alg.AppendSum(d.Sum[:0], rec.Content)
		}
		if err := w.Write([]mrlog.Record{rec}); err != nil {
			return err
		}
	}
	return w.Close()
}

// firmwareAgainstPeer is T8, in process: firmware logs against go-eventlog.
func (h *harness) firmwareAgainstPeer() error {
	all, err := h.peers("^BenchmarkFirmware$", "20ms")
	if err != nil {
		return err
	}
	const shown = "go test -run '^$' -bench '^BenchmarkFirmware$' -benchtime 20ms ./internal/perf"
	for _, m := range []struct {
		what, class, work, ours string
		limit                   float64
	}{
		{"parse, real logs without padding", "real", "parse", "mrlog", 15},
		{"parse, the same, memory of the first log included", "real", "parse", "mrlog-first", 0},
		{"parse, real CCEL with its padding", "padded", "parse", "mrlog", 15},
		{"parse and replay of one bank, real logs", "real/1", "replay", "mrlog", 2},
		{"parse and replay of one bank, real CCEL with its padding", "padded/1", "replay", "mrlog", 2},
		{"parse and replay of both banks / of one, real logs", "real/2", "replay", "mrlog", 2},
		{"parse and replay of all three banks / of one, real logs", "real/3", "replay", "mrlog", 2},
		{"parse, 100000 events, three banks", "synthetic/3/100000", "parse", "mrlog", 15},
		{"parse, 100000 events, SHA-384", "synthetic/1/100000", "parse", "mrlog", 15},
		{"parse and replay of all three banks / of one, 100000 events", "synthetic/3/100000", "replay", "mrlog", 2},
		{"parse and replay, 100000 events, SHA-384", "synthetic/1/100000", "replay", "mrlog", 2},
		{"parse and replay of all three banks / of one, 100 MB", "synthetic/3/540000", "replay", "mrlog", 2},
	} {
		r, err := all.least("Firmware/"+m.class, m.work+"/go-eventlog", m.work+"/"+m.ours, m.limit)
		if err != nil {
			return err
		}
		r.Target, r.What, r.Command, r.Limit, r.Unit = "T8", m.what+": go-eventlog / mrlog", shown, m.limit, "x"
		h.report.add(r)
	}
	return h.firmwareGrows(all, shown)
}

// least compares two contestants on every log of a class, and gives the ratio of
// the log where it is the least, between the least and the largest of all.
func (r rounds) least(class, a, b string, limit float64) (row, error) {
	var out row
	var medians []float64
	for _, name := range slices.Sorted(maps.Keys(r)) {
		log, ok := strings.CutSuffix(name, "/"+a)
		if !ok || log != class && !strings.HasPrefix(log, class+"/") {
			continue
		}
		runsA, err := r.costs(name)
		if err != nil {
			return out, err
		}
		runsB, err := r.costs(log + "/" + b)
		if err != nil {
			return out, err
		}
		c := row{}.compare(a, runsA, b, runsB, 1)
		if medians = append(medians, c.Value.Median); len(medians) == 1 || c.Value.Median < out.Value.Median {
			out = c
			out.Detail = fmt.Sprintf("%s: go-eventlog %s µs, mrlog %s µs", filepath.Base(log),
				figure(1e6*spreadOf(each(runsA, wall)).Median), figure(1e6*spreadOf(each(runsB, wall)).Median))
		}
	}
	switch len(medians) {
	case 0:
		return out, fmt.Errorf("no benchmark %s/…/%s", class, a)
	case 1:
		return out, nil
	}
	s := spreadOf(medians)
	of := fmt.Sprintf("the least of %d logs, their median %sx", len(medians), figure(s.Median))
	if below := slices.DeleteFunc(medians, func(m float64) bool { return m >= limit }); len(below) > 0 {
		of += fmt.Sprintf(", %d below the target", len(below))
	}
	out.Detail = of + "; " + out.Detail
	out.Value = spread{s.Min, s.Min, s.Max}
	return out, nil
}

// firmwareGrows shows that the time of an event does not depend on how many there
// are, and that memory does not either.
func (h *harness) firmwareGrows(all rounds, shown string) error {
	stream := func(events int) ([]cost, error) {
		return all.costs(fmt.Sprintf("Firmware/synthetic/3/%d/stream/mrlog", events))
	}
	few, err := stream(fewEvents)
	if err != nil {
		return err
	}
	for _, n := range []int{manyEvents, mostEvents} {
		many, err := stream(n)
		if err != nil {
			return err
		}
		r := row{
			Target: "T8", What: fmt.Sprintf("parse and replay a stream, an event of %d / of %d", n, fewEvents), Command: shown,
			Limit: 1.25, Most: true, Unit: "x",
		}.compare("", many, "", few, 1)
		r.Value = r.Value.times(float64(fewEvents) / float64(n))
		if r.CPU != nil {
			*r.CPU = r.CPU.times(float64(fewEvents) / float64(n))
		}
		r.Detail = fmt.Sprintf("%s ns, %s ns", figure(1e9*spreadOf(each(many, wall)).Median/float64(n)), figure(1e9*spreadOf(each(few, wall)).Median/fewEvents))
		h.report.add(r)
	}
	var counts []float64
	for _, f := range all[fmt.Sprintf("Firmware/synthetic/3/%d/stream/mrlog", mostEvents)] {
		counts = append(counts, f["allocs/op"]/mostEvents)
	}
	h.report.add(row{
		Target: "T8", What: "parse and replay a stream of 100 MB: allocations", Command: shown,
		Limit: allocsLimit, Most: true, Unit: "per event", Value: spreadOf(counts),
	})
	path := filepath.Join(h.dir, "firmware.bin")
	if err := createFile(path, func(w io.Writer) error { return writeFirmware(w, mostEvents, tpmBanks...) }); err != nil {
		return err
	}
	defer os.Remove(path)
	c := command{[]string{h.bin, "replay", path}, 2}
	runs, err := h.turns(h.whole(c))
	if err != nil {
		return err
	}
	h.peak(row{Target: "T8", What: "peak memory of replay, a firmware log of 100 MB", Command: h.typed(c), Limit: memoryLimit}, runs[0])
	return nil
}

// peak reports the most memory that a command occupied in its runs.
func (h *harness) peak(r row, runs []cost) {
	r.Value = spreadOf(each(runs, func(c cost) float64 { return float64(c.RSS) / (1 << 20) }))
	if r.Value.Max == 0 {
		h.report.skip(r.Target, "peak memory is not measured on this system")
		return
	}
	r.Value.Median = r.Value.Max // what counts is the worst of them
	r.Most, r.Unit = true, "MiB"
	h.report.add(r)
}
