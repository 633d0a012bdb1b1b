// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Require is the name by which MRLOG_REQUIRE demands these mounts.
const Require = "fuse"

// Test mounts the file system for one test. Where that cannot be done, the
// test is skipped, or fails if MRLOG_REQUIRE lists fuse.
func Test(t testing.TB, o Options) *FS {
	t.Helper()
	return TestAt(t, t.TempDir(), o)
}

// TestAt is Test with a folder of the caller's.
func TestAt(t testing.TB, dir string, o Options) *FS {
	t.Helper()
	sweep()
	f, err := Mount(dir, o)
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("MRLOG_REQUIRE"), ","), Require) {
			t.Fatalf("%v, but MRLOG_REQUIRE names %s", err, Require)
		}
		t.Skipf("skipped: %s: %v", Require, err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return f
}

// sweep takes away mounts that tests left which were killed: nobody serves
// them any more, and their folders cannot even be listed.
func sweep() {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "fuse."+fsName {
			continue
		}
		dir := unescape(fields[1])
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); errors.Is(err, unix.ENOTCONN) {
			_ = detach(dir) // another user's: not ours to take away
		}
	}
}

// unescape reads a path as /proc/mounts writes it: with \040 for a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
