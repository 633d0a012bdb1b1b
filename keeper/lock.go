// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultLockTimeout is how long an operation waits for other processes. They
// hold a log for two syncs and the extends of one batch: milliseconds; with a
// hardware TPM and a full batch, some seconds.
const DefaultLockTimeout = 10 * time.Second

// Between two attempts to lock. A held lock is free again after a sync or two.
const (
	lockWaitMin = 50 * time.Microsecond
	lockWaitMax = time.Millisecond
)

// lock takes flock(LOCK_EX) on an open file, before the deadline and while ctx
// lasts. The lock ends with the file, or with unlock. How long was waited is for
// the caller to say.
//
// It asks again and again instead of sleeping in the kernel, because a thread
// that sleeps in flock cannot be called back.
func lock(ctx context.Context, fd int, path string, deadline time.Time) error {
	wait := lockWaitMin
	for {
		_, err := retry(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK {
			return pathError("flock", path, err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: waiting for the lock: %w", path, context.Cause(ctx))
		}
		if !time.Now().Before(deadline) {
			e := &LockError{Path: path}
			e.PID, e.Command = holder(fd)
			return e
		}
		// Waiters that keep step with the holder would never find it free.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, lockWaitMax)
	}
}

func unlock(fd int) { unix.Flock(fd, unix.LOCK_UN) }

// holder returns the process that /proc/locks names as the holder of the
// flock on an open file, or 0.
func holder(fd int) (pid int, command string) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0, ""
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, ""
	}
	// "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1048602 0 EOF"; waiting locks
	// have "->" after the number.
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		if err != nil || pid <= 0 {
			return 0, ""
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return pid, string(bytes.TrimSpace(comm))
	}
	return 0, ""
}
