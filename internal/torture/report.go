// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// tally counts what happened, by kind.
type tally struct {
	mu         sync.Mutex
	counts     map[string]int
	violations []error
}

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	t.counts[what] += n
}

func (t *tally) get(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

// print writes the table.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Fprintf(w, "%9d  %s\n", t.counts[what], what)
	}
	fmt.Fprintf(w, "%9d  violations\n", len(t.violations))
}

// torture is a run of everything.
type torture struct {
	bins    builds
	script  string // of the specification; "" if it cannot be run
	seed    uint64
	workers int
	folders []string // where machines live; the first for what is long
	log     io.Writer
	show    bool // progress: log is a terminal

	tally tally

	mu    sync.Mutex
	turn  int
	shown time.Time
}

// scratch returns a folder for the next machine: on disk and on tmpfs in turn.
func (t *torture) scratch() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
	return t.folders[t.turn%len(t.folders)]
}

// violation writes down that a promise was broken.
func (t *torture) violation(err error) {
	t.tally.mu.Lock()
	t.tally.violations = append(t.tally.violations, err)
	t.tally.mu.Unlock()
	t.say("VIOLATION: %v", err)
}

// say prints a line.
func (t *torture) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.show {
		fmt.Fprint(t.log, "\r\x1b[K")
	}
	fmt.Fprintf(t.log, format+"\n", args...)
}

// progress shows on a terminal, now and then, what goes on.
func (t *torture) progress(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.show || time.Since(t.shown) < 200*time.Millisecond {
		return
	}
	t.shown = time.Now()
	fmt.Fprintf(t.log, "\r\x1b[K%s: %d kills, %d operations", fmt.Sprintf(format, args...),
		t.tally.get("crash: kills")+t.tally.get("steps: killed at a call"), t.tally.get("crash: operations"))
}
