// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"syscall"
	"time"
)

// peak returns the peak resident memory of an ended process in bytes.
//
// The kernel counts what the parent occupied at the fork as the child's,
// because both share it up to exec. That is why a small process of our own
// stands between the harness and what it measures.
func peak(p *os.ProcessState) int64 {
	if r, ok := p.SysUsage().(*syscall.Rusage); ok {
		return int64(r.Maxrss) << 10
	}
	return 0
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
