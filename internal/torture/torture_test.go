// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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
