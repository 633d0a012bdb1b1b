// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
)

// harness is what the measures share.
type harness struct {
	ctx      context.Context
	o        options
	self     string // this program
	bin      string // mrlog
	bench    string // the tests of this package, made when first needed
	dir      string // for scratch files
	progress io.Writer
	report   report

	logs map[int]string // native logs by size of a record
	drop func()         // removes what the harness made
}

func newHarness(ctx context.Context, o options) (h *harness, err error) {
	h = &harness{ctx: ctx, o: o, bin: o.bin, dir: o.dir, progress: os.Stderr, logs: make(map[int]string), drop: func() {}}
	if h.self, err = os.Executable(); err != nil {
		return nil, err
	}
	// Even in the user's folder everything goes into one of our own, so that
	// nothing of the user's is overwritten or removed.
	if h.dir, err = os.MkdirTemp(o.dir, "mrlog-perf-"); err != nil {
		return nil, err
	}
	h.drop = func() { os.RemoveAll(h.dir) }
	if h.bin == "" {
		h.say("building mrlog")
		h.bin = filepath.Join(h.dir, "mrlog")
		err = h.build()
	} else if h.bin, err = filepath.Abs(o.bin); err == nil {
		_, err = os.Stat(h.bin)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	h.report.describe(o)
	return h, nil
}

// close removes the scratch files.
func (h *harness) close() { h.drop() }

// build makes mrlog with the flags of make build.
func (h *harness) build() error {
	_, err := h.output(command{args: []string{
		"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", h.bin, "mrlog.dev/cmd/mrlog",
	}})
	return err
}

func (h *harness) wants(target string) bool { return len(h.o.only) == 0 || h.o.only[target] }

// measure runs what the user asked for.
func (h *harness) measure() error {
	if err := h.agree(); err != nil {
		return err
	}
	for _, m := range []struct {
		target string
		sized  func(record int) error
		once   func() error
	}{
		{"T1", h.convertAgainstFloor, nil},
		{"T2", h.convertAgainstReference, nil},
		{"T3", h.convertOnTwo, nil},
		{"T4", nil, h.convertAgainstScript},
		{"T5", h.memory, nil},
		{"T7", nil, h.tlvAgainstPeer},
		{"T8", nil, h.firmwareAgainstPeer},
		{"T8", nil, h.listAgainstEventlog},
		{"T9", nil, h.listAgainstPeer},
	} {
		if !h.wants(m.target) {
			continue
		}
		if m.once != nil {
			h.say("%s", m.target)
			if err := m.once(); err != nil {
				return err
			}
			continue
		}
		for _, record := range h.o.lines {
			h.say("%s, %d records of %d bytes", m.target, h.o.records, record)
			if err := m.sized(record); err != nil {
				return err
			}
		}
	}
	return nil
}

// log returns a native log with records of that size, made when first needed.
func (h *harness) log(record int) (string, error) {
	if path, ok := h.logs[record]; ok {
		return path, nil
	}
	path := filepath.Join(h.dir, strconv.Itoa(record)+".nelr")
	if err := writeLog(path, h.o.records, record); err != nil {
		return "", err
	}
	h.logs[record] = path
	return path, nil
}

// convert is the command that most of this is about.
func (h *harness) convert(path string, procs int) command {
	return command{[]string{h.bin, "convert", "--to", "cel-json", "--envelope", path}, procs}
}

// agree checks that all contestants do the same work: on a small log their
// output is the same JSON value.
func (h *harness) agree() error {
	path := filepath.Join(h.dir, "odd.nelr")
	if err := writeOddLog(path, false); err != nil {
		return err
	}
	want, err := h.value(h.convert(path, 1))
	if err != nil {
		return err
	}
	for _, c := range []command{
		h.convert(path, 2),
		{[]string{h.self, childFlag, "streaming", path}, 1},
		{[]string{h.self, childFlag, "collect", path}, 1},
	} {
		got, err := h.value(c)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%s and %s differ on %s", c.shown(), h.bin, path)
		}
	}
	return nil
}

// value is what a command prints, as a JSON value.
func (h *harness) value(c command) (any, error) {
	text, err := h.output(c)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", c.shown(), err)
	}
	return v, nil
}

// typed is a command as a user types it: the program by its name, and files
// by theirs.
func (h *harness) typed(c command) string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		switch {
		case a == h.bin:
			a = "mrlog"
		case a == h.self:
			a = "perf"
		case filepath.Dir(a) == h.dir:
			a = filepath.Base(a)
		}
		args[i] = a
	}
	return command{args, c.procs}.shown() + " >/dev/null"
}
