// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package flock locks open files against other processes, with a deadline, and
// says who is in the way.
package flock

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Between two attempts to lock. A held lock is free again after a sync or two.
const (
	waitMin = 50 * time.Microsecond
	waitMax = time.Millisecond
)

// HeldError says who held a lock until the deadline.
type HeldError struct {
	Path string
	Holder
}

// Error names the holder.
func (e *HeldError) Error() string { return fmt.Sprintf("%s: locked by %s", e.Path, e.Holder) }

// Holder is the process that holds a lock, as far as the kernel tells.
type Holder struct {
	PID     int    // 0 if the kernel does not say (another PID namespace)
	Command string // "" likewise
}

// String names the process, for a sentence.
func (h Holder) String() string {
	switch {
	case h.PID == 0:
		return "a process that cannot be seen from here"
	case h.Command == "":
		return fmt.Sprintf("process %d", h.PID)
	}
	return fmt.Sprintf("process %d (%s)", h.PID, h.Command)
}

// Lock takes flock(LOCK_EX) on an open file, before the deadline and while ctx
// lasts. One attempt is made in any case. The lock ends with the file, or with
// Unlock. After the deadline the error is a *HeldError; path is for errors only.
//
// It asks again and again instead of sleeping in the kernel, because a thread
// that sleeps in flock cannot be called back.
func Lock(ctx context.Context, fd int, path string, deadline time.Time) error {
	wait := waitMin
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case err != unix.EWOULDBLOCK:
			return &fs.PathError{Op: "flock", Path: path, Err: err}
		case ctx.Err() != nil:
			return fmt.Errorf("%s: waiting for the lock: %w", path, context.Cause(ctx))
		case !time.Now().Before(deadline):
			return &HeldError{Path: path, Holder: holder(fd)}
		}
		// Waiters that keep step with the holder would never find it free.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, waitMax)
	}
}

// Unlock gives up the lock. There is nothing to do about an error: the lock
// ends with the file.
func Unlock(fd int) { _ = unix.Flock(fd, unix.LOCK_UN) }

// holder returns the process that /proc/locks names as the holder of the
// flock on an open file.
func holder(fd int) Holder {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return Holder{}
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return Holder{}
	}
	for _, pid := range find(string(table), st.Ino) {
		if !opens(pid, &st) {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return Holder{PID: pid, Command: string(bytes.TrimSpace(command))}
	}
	return Holder{}
}

// opens reports whether a process has the file open. One that has taken the lock
// may have passed it to a child, and have ended; its number may be another's by
// now.
func opens(pid int, file *unix.Stat_t) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		var st unix.Stat_t
		if unix.Stat(dir+"/"+e.Name(), &st) == nil && st.Dev == file.Dev && st.Ino == file.Ino {
			return true
		}
	}
	return false
}

// find looks up who may hold the flock of a file in the text of /proc/locks:
// "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1048602 0 EOF". Waiting locks have
// "->" after the number. The inode's number alone counts: the device there is
// that of the superblock, and of btrfs and overlayfs stat says another.
func find(table string, ino uint64) (pids []int) {
	suffix := fmt.Sprintf(":%d", ino)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], suffix) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
