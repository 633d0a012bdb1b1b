// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"mrlog.dev/convert"
)

const (
	memoryLimit  = 16    // MiB
	allocsLimit  = 0.001 // per record
	onFileLimit  = 1.35
	fewerRecords = 10 // divides the log that shows whether memory grows with it
)

// memory is T5: what a conversion or a replay occupies, whatever the formats,
// and what writing to a file costs.
func (h *harness) memory(record int) error {
	native, err := h.log(record)
	if err != nil {
		return err
	}
	if err := h.onFile(record, native); err != nil {
		return err
	}
	inputs := map[string]string{convert.NELR: native}
	for _, f := range convert.Whole() {
		if f == convert.NELR {
			continue
		}
		inputs[f] = filepath.Join(h.dir, strconv.Itoa(record)+"."+f)
		if _, err := h.output(command{args: []string{h.bin, "convert", "--to", f, "-o", inputs[f], native}}); err != nil {
			return err
		}
	}
	// They are large; the native log is still needed.
	defer func() {
		for f, path := range inputs {
			if f != convert.NELR {
				os.Remove(path)
			}
		}
	}()
	for _, from := range convert.Whole() {
		if err := h.resident(record, from, inputs[from]); err != nil {
			return err
		}
	}
	if err := h.grows(record, native); err != nil {
		return err
	}
	for _, from := range convert.Whole() {
		if err := h.allocations(record, from, inputs[from]); err != nil {
			return err
		}
	}
	return nil
}

// onFile compares output to a file with output to nowhere.
func (h *harness) onFile(record int, native string) error {
	out := filepath.Join(h.dir, "out.json")
	nowhere := h.convert(native, 1)
	file := nowhere
	file.args = append(file.args[:len(file.args)-1:len(file.args)-1], "-o", out, native)
	runs, err := h.turns(
		func() (cost, error) {
			c, err := h.time(file)
			return c, errors.Join(err, os.Remove(out)) // so that each run makes it anew
		},
		h.whole(nowhere),
	)
	if err != nil {
		return err
	}
	h.report.add(row{
		Target: "T5", What: fmt.Sprintf("convert to a file / to /dev/null, 1 processor, %d B", record), Command: h.typed(file),
		Limit: onFileLimit, Most: true, Unit: "x",
	}.compare("file", runs[0], "/dev/null", runs[1], h.o.records))
	return nil
}

// resident runs every conversion and the replay of one input with one and two
// processors, and reports the largest.
func (h *harness) resident(record int, from, path string) error {
	type job struct {
		what string
		args []string
	}
	jobs := []job{{"replay", []string{h.bin, "replay", path}}}
	for _, to := range convert.Whole() {
		jobs = append(jobs, job{"convert to " + to, []string{h.bin, "convert", "--to", to, path}})
	}
	jobs = append(jobs, job{"convert to cel-json, envelope", h.convert(path, 0).args})
	var all []float64
	var worst command
	var most float64
	var what string
	for _, j := range jobs {
		for _, procs := range []int{1, 2} {
			c := command{j.args, procs}
			got, err := h.time(c)
			if err != nil {
				return err
			}
			mib := float64(got.RSS) / (1 << 20)
			all = append(all, mib)
			if mib > most {
				most, worst, what = mib, c, fmt.Sprintf("%s, %d procs", j.what, procs)
			}
		}
	}
	s := spreadOf(all)
	if s.Max == 0 {
		h.report.skip("T5", "peak memory is not measured on this system")
		return nil
	}
	s.Median = s.Max // what counts is the worst of them
	h.report.add(row{
		Target: "T5", What: fmt.Sprintf("peak memory, %s in, %d B: the most of %d runs", from, record, len(all)), Command: h.typed(worst),
		Limit: memoryLimit, Most: true, Unit: "MiB", Value: s, Detail: what,
	})
	return nil
}

// grows compares the peak of a whole log with that of a tenth of it.
func (h *harness) grows(record int, native string) error {
	small := filepath.Join(h.dir, "small.nelr")
	if err := writeLog(small, max(h.o.records/fewerRecords, 1), record); err != nil {
		return err
	}
	defer os.Remove(small)
	for _, c := range []struct {
		what     string
		big, few command
	}{
		{"convert", h.convert(native, 2), h.convert(small, 2)},
		{"replay", command{[]string{h.bin, "replay", native}, 2}, command{[]string{h.bin, "replay", small}, 2}},
	} {
		runs, err := h.turns(h.whole(c.big), h.whole(c.few))
		if err != nil {
			return err
		}
		rss := func(x cost) float64 { return float64(x.RSS) / (1 << 20) }
		if runs[0][0].RSS == 0 {
			return nil
		}
		big, few := spreadOf(each(runs[0], rss)), spreadOf(each(runs[1], rss))
		h.report.add(row{
			Target: "T5", What: fmt.Sprintf("peak memory of %s, %d records / %d, %d B", c.what, h.o.records, max(h.o.records/fewerRecords, 1), record),
			Command: h.typed(c.big), Unit: "x", Value: ratios(runs[0], runs[1], rss),
			Detail: fmt.Sprintf("%s MiB, %s MiB", figure(big.Median), figure(few.Median)),
		})
	}
	return nil
}

// allocations counts those of convert.Copy, from opening the log to closing
// the copy, into every format.
func (h *harness) allocations(record int, from, path string) error {
	var most float64
	var what string
	var all []float64
	targets := []convert.Target{{Format: convert.CELJSON, Dialect: "envelope"}}
	for _, to := range convert.Whole() {
		targets = append(targets, convert.Target{Format: to, Records: int64(h.o.records) + 1}) // INIT is a record
	}
	for _, to := range targets {
		for _, procs := range []int{1, 2} {
			n, err := allocs(h.ctx, path, to, procs)
			if err != nil {
				return fmt.Errorf("%s to %s: %w", path, to.Format, err)
			}
			per := float64(n) / float64(h.o.records)
			all = append(all, per)
			if per >= most {
				most, what = per, fmt.Sprintf("to %s, %d procs: %d in all", to.Format, procs, n)
			}
		}
	}
	s := spreadOf(all)
	s.Median = s.Max
	h.report.add(row{
		Target: "T5", What: fmt.Sprintf("allocations of convert.Copy, %s in, %d B: the most of %d runs", from, record, len(all)),
		Limit: allocsLimit, Most: true, Unit: "per record", Value: s, Detail: what,
	})
	return nil
}

func allocs(ctx context.Context, path string, to convert.Target, procs int) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := convert.Open(f, convert.Source{})
	if err != nil {
		return 0, err
	}
	if _, err := convert.Copy(ctx, io.Discard, to, r, convert.Options{Procs: procs}); err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, nil
}
