// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mrlog.dev/internal/torture/witness"
	"mrlog.dev/internal/tsmfs"
)

// TestMain makes the test binary a library writer when the crash loop starts it
// as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == writerArg {
		if err := writer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Some of everything. "make torture" is all of it, and for as long as one
// likes.

func TestSteps(t *testing.T) {
	t.Parallel()
	r := newTorture(t)
	if err := tracer(t.TempDir()); err != nil {
		lacks(t, "strace", err)
	}
	for k, every := range map[kind]int{softTDX: 14, softTPM: 60} {
		if err := r.steps(t.Context(), k, every); err != nil {
			t.Error(err)
		}
	}
	r.verdict(t)
	if n := r.tally.get("steps: runs with a fault"); n < 50 || r.tally.get("steps: fault did not hit") > n/2 {
		t.Error("too few faults")
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	r := newTorture(t)
	for _, k := range []kind{softTDX, softTPM} {
		if err := r.crash(t.Context(), k, 4*time.Second); err != nil {
			t.Error(err)
		}
	}
	r.verdict(t)
	if r.tally.get("crash: kills") < 10 || r.tally.get("crash: events recorded") == 0 {
		t.Error("too little happened")
	}
}

func TestAbuse(t *testing.T) {
	t.Parallel()
	r := newTorture(t)
	if err := r.abuse(t.Context(), softTDX); err != nil {
		t.Error(err)
	}
	r.verdict(t)
}

// TestOtherWriters runs the example of the specification, to the letter, beside
// mrlog on one log, hundreds of events each, and kills of both what it can.
func TestOtherWriters(t *testing.T) {
	t.Parallel()
	r := newTorture(t)
	for _, tool := range []string{"bash", "flock", "stat", "sync", "sha384sum", "xxd", "dd"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacks(t, "xxd", err)
		}
	}
	m, err := newMachine(tree, r.scratch())
	if errors.Is(err, errNoDevice) {
		lacks(t, tsmfs.Require, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.remove()
	l := newLedger()
	if err := m.must(l, r.bins[0], event{"first", "event"}); err != nil {
		t.Fatal(err)
	}
	const each = 120
	rng := rand.New(rand.NewPCG(r.seed, 0))
	a := m.startShells(r.script, r.bins[0], "a", each, false, true)
	b := m.startShells(r.script, r.bins[0], "b", each, true, true)
	ends := make(chan struct{})
	go func() {
		defer close(ends)
		for n := 0; ; n++ {
			s, err := m.startStream(r.bins[1], fmt.Sprint("stream", n), 2*each, rng)
			if err != nil {
				t.Error(err)
				return
			}
			// The streams are killed at random, and so are the shells.
			select {
			case <-time.After(time.Duration(rng.IntN(100)) * time.Millisecond):
			case <-a.done:
			}
			if n == 0 { // hundreds of its events, too
				<-s.fed
			}
			for i, w := range []worker{s, a, b} {
				if i == 0 || rng.IntN(6) == 0 {
					w.kill()
				}
			}
			if err := s.wait(l); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-a.done:
				return
			default:
			}
		}
	}()
	<-ends
	for _, w := range []worker{a, b} {
		if err := w.wait(l); err != nil {
			t.Error(err)
		}
	}
	if err := m.must(l, r.bins[0], event{"last", "event"}); err != nil {
		t.Fatal(err)
	}
	if err := l.check(m); err != nil {
		t.Error(err)
	}
	t.Logf("%d and %d runs of the example, %d events recorded in all", len(a.events), len(b.events), l.count(witness.Recorded))
}

// tested is what the tests of this package share: it takes seconds to build.
var tested = sync.OnceValues(func() (builds, error) {
	dir, err := os.MkdirTemp("", "torture-build-")
	if err != nil {
		return builds{}, err
	}
	return build(context.Background(), dir)
})

func newTorture(t *testing.T) *torture {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	bins, err := tested()
	if err != nil {
		t.Fatal(err)
	}
	r := &torture{bins: bins, seed: rand.Uint64() >> 32, workers: 2, folders: []string{t.TempDir()}, log: t.Output()}
	if dir, err := os.MkdirTemp("/dev/shm", "torture-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		r.folders = append(r.folders, dir)
	}
	if r.script, err = measureScript("../.."); err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d", r.seed)
	return r
}

func (r *torture) verdict(t *testing.T) {
	t.Helper()
	var table strings.Builder
	r.tally.print(&table)
	t.Logf("\n%s", &table)
	if len(r.tally.violations) > 0 {
		t.Errorf("%d violations", len(r.tally.violations))
	}
}

// lacks skips a test for lack of something, unless that is required.
func lacks(t *testing.T, what string, err error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("MRLOG_REQUIRE"), ","), what) {
		t.Fatalf("%v, but MRLOG_REQUIRE names %s", err, what)
	}
	t.Skipf("skipped: %s: %v", what, err)
}
