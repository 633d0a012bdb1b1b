// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// traced are the system calls by which a run can touch files and devices. What
// the runtime does for itself (threads, memory, clocks) is not among them.
const traced = "openat,newfstatat,fstat,statfs,fstatfs,getdents64,mkdirat,unlinkat,renameat,renameat2,linkat,symlinkat," +
	"fchmod,fchmodat,ftruncate,flock,read,pread64,write,pwrite64,fsync,fdatasync,close,ioctl,socket,connect,sendto,recvfrom,exit_group"

// call is a system call of a run. The tracer counts calls by name and thread,
// and so do we.
type call struct {
	name     string
	nth      int    // of its name on its thread, from 1
	text     string // as the tracer shows it, at entry
	injected bool
	stray    bool // it does not matter, and was injected all the same
}

// strace runs the program under the tracer, with a fault if there is one, and
// returns the calls that touch what matters returns true for.
func strace(dir string, fault string, stdin string, matters func(text string) bool, bin string, args ...string) (answer, []call, error) {
	out := dir + "/strace"
	defer os.Remove(out)
	opts := []string{"-f", "-y", "-qq", "-o", out, "-e", "trace=" + traced, "-e", "signal=none"}
	if fault != "" {
		opts = append(opts, "-e", "inject="+fault)
	}
	a, err := run(stdin, "strace", append(append(opts, bin), args...)...)
	if err != nil {
		return a, nil, err
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return a, nil, fmt.Errorf("%w: %v", err, a)
	}
	return a, parseCalls(string(data), matters), nil
}

var traceLine = regexp.MustCompile(`^([0-9]+) +(?:<\.\.\. )?([a-z0-9_]+)(\(| resumed>)(.*)$`)

// parseCalls reads the tracer's output.
func parseCalls(text string, matters func(string) bool) []call {
	var out []call
	counts := make(map[string]int) // by thread and name
	at := make(map[string]int)     // the last call of a thread, where it matters; else -1
	for line := range strings.Lines(text) {
		f := traceLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if f == nil {
			continue
		}
		thread, name, entry, rest := f[1], f[2], f[3] == "(", f[4]
		if entry {
			counts[thread+name]++
			at[thread] = -1
			if matters(name + "(" + rest) {
				at[thread] = len(out)
				out = append(out, call{name: name, nth: counts[thread+name], text: name + "(" + rest})
			}
		}
		if !strings.HasSuffix(rest, "(INJECTED)") {
			continue
		}
		if i, ok := at[thread]; ok && i >= 0 {
			out[i].injected = true
		} else { // the same number of the same name, on another thread
			out = append(out, call{name: name, text: rest, injected: true, stray: true})
		}
	}
	return out
}

// bootID is the kernel's file, which decides whether a register was reset with
// the machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// matters reports whether a call touches the machine: its folders, the
// device, the answer on standard output, or the end.
func (m *machine) matters(text string) bool {
	if m.kind == tpm && strings.Contains(text, "<socket:[") {
		return true
	}
	return strings.Contains(text, m.dir) || strings.Contains(text, bootID) || strings.HasPrefix(text, "write(1<") || strings.HasPrefix(text, "exit_group(")
}

// place describes a call for people: what it does to which file.
func (c call) place(m *machine) string {
	text := strings.ReplaceAll(c.text, m.dir, "")
	if i := strings.Index(text, " <unfinished"); i >= 0 {
		text = text[:i]
	}
	if len(text) > 90 {
		text = text[:90] + "…"
	}
	return text
}

// faults lists what can happen at a call. A kill is delivered at the call's
// entry, before it does anything; the end of what it did is the kill at the
// next call, exit_group at last.
func (c call) faults() []string {
	const kill = "signal=KILL"
	errno := func(names ...string) []string {
		out := []string{kill}
		for _, n := range names {
			out = append(out, "error="+n)
		}
		return out
	}
	switch c.name {
	case "exit_group":
		return []string{kill}
	case "openat":
		if strings.Contains(c.text, "O_CREAT") {
			return errno("EIO", "ENOSPC", "EROFS", "EMFILE", "EINTR")
		}
		return errno("EIO", "EACCES", "EMFILE", "EINTR")
	case "write", "pwrite64":
		if strings.Contains(c.text, "<socket:[") {
			return errno("EIO", "EPIPE", "EINTR")
		}
		// A write that is short, and did not even do that.
		return append(errno("EIO", "ENOSPC", "EDQUOT", "EINTR"), "retval=1", "retval=0")
	case "read", "pread64":
		return errno("EIO", "EINTR")
	case "fsync", "fdatasync":
		return errno("EIO", "ENOSPC", "EINTR")
	case "fchmod", "fchmodat":
		return errno("EIO", "EPERM", "EROFS")
	case "flock":
		return errno("ENOLCK", "EINTR")
	case "mkdirat", "linkat", "symlinkat", "renameat", "renameat2":
		return errno("EIO", "ENOSPC", "EROFS")
	case "unlinkat", "ftruncate":
		return errno("EIO", "EROFS", "EINTR")
	case "statfs", "fstatfs":
		return errno("EIO", "EINTR")
	case "ioctl", "socket", "connect", "sendto", "recvfrom":
		return errno("EIO", "EINTR", "EBUSY")
	}
	return errno("EIO")
}
