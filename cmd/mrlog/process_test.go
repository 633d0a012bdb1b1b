// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallLog writes a native log and returns its path.
func smallLog(t *testing.T, records int) string {
	path := filepath.Join(t.TempDir(), "log")
	text := "INIT sha384/" + strings.Repeat("0", 96) + "\n" + strings.Repeat("example.org/app Event with some content\n", records)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A reader that goes away, as head does, ends the program without a word.
func TestStdoutGone(t *testing.T) {
	log := smallLog(t, 50_000)
	for _, args := range [][]string{
		{"show", log},
		{"show", "--tsv", log},
		{"show", "--json", log},
		{"convert", "--to", "cel-json", log},
		{"convert", "--to", "cel-cbor", log},
		{"convert", "--to", "nelr", log},
	} {
		cmd := exec.Command("mrlog", args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		out.Close()
		err = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGPIPE || errs.String() != "" {
			t.Errorf("%q: %v, standard error %q", args, err, errs.String())
		}
	}
}

// What is recorded is recorded: a receipt that cannot be printed is an error
// that says how far it went.
func TestReceiptRefused(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	state := t.TempDir()
	for _, events := range []string{"a b 1\n", "a b 2\na b 3\na b 4\n"} {
		cmd := exec.Command("mrlog", "extend", "--device", "soft", "--state", state, "-")
		var errs strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(events), full, &errs
		err := cmd.Run()
		fields := strings.Fields(events)
		if want := "recorded up to record " + fields[len(fields)-1] + ","; cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: %v, standard error %q", events, err, errs.String())
		}
	}
}

// A standard output that is closed, full or not to be written is an error.
func TestStdoutRefuses(t *testing.T) {
	log := smallLog(t, 1)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	state := t.TempDir()
	for _, args := range [][]string{
		{"show", log},
		{"show", "--json", log},
		{"show", "--tsv", log},
		{"replay", log},
		{"replay", "--json", log},
		{"convert", "--to", "cel-json", log},
		{"convert", "--to", "cel-json", "--envelope", log},
		{"convert", "--to", "cel-seq", log},
		{"convert", "--to", "cel-cbor", log},
		{"convert", "--to", "cel-tlv", log},
		{"convert", "--to", "nelr", log},
		{"convert", "--to", "nelr", "-o", "/dev/full", log},
		{"verify", "--expect", "rtmr2=" + strings.Repeat("0", 96), log},
		{"extend", "--device", "soft", "--state", state, "a", "b"},
		{"status", "--device", "soft", "--state", state},
		{"version"},
		{"version", "--json"},
		{"completion", "bash"},
	} {
		cmd := exec.Command("mrlog", args...)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		err := cmd.Run()
		if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%q: %v, standard error %q", args, err, errs.String())
		}
		cmd = exec.Command("sh", append([]string{"-c", `mrlog "$@" >&-`, "sh"}, args...)...)
		errs.Reset()
		cmd.Stderr = &errs
		if err := cmd.Run(); strings.Contains(errs.String(), "goroutine") {
			t.Errorf("%q >&-: %v, standard error %q", args, err, errs.String())
		}
	}
}

// A verb that waits for standard input ends with the first signal: exit 1, one
// line, the older file of -o as it was, and no temporary file.
func TestInterrupted(t *testing.T) {
	whole := "INIT sha384/" + strings.Repeat("0", 96) + "\na b\n"
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			t.Logf("%v is ignored", sig) // by nohup
			continue
		}
		for _, input := range []string{"", whole, whole + "torn"} {
			for _, args := range [][]string{
				{"show", "-"},
				{"replay", "-"},
				{"replay", "--from", "nelr", "-"},
				{"verify", "--expect", "rtmr2=" + strings.Repeat("0", 96), "-"},
				{"convert", "--to", "cel-json", "-o", "out", "-"},
				{"convert", "--to", "cel-json", "--envelope", "-o", "out", "-"},
				{"convert", "--from", "nelr", "--to", "cel-tlv", "-o", "out", "-"},
				{"convert", "--to", "cel-cbor", "-o", "out", "-"},
				{"--json", "show", "-"},
			} {
				dir := t.TempDir()
				for _, sub := range []string{"tmp", "work"} {
					if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				old := filepath.Join(dir, "work", "out")
				if err := os.WriteFile(old, []byte("older"), 0o644); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command("mrlog", args...)
				cmd.Dir = filepath.Join(dir, "work")
				cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"))
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				var errs strings.Builder
				cmd.Stderr = &errs
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(in, input); err != nil {
					t.Fatal(err)
				}
				waitForRead(t, cmd.Process.Pid)
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				err = cmd.Wait()
				want := "mrlog: error: interrupted\n"
				if args[0] == "--json" {
					want = `{"error":"interrupted","exit":1}` + "\n"
				}
				if cmd.ProcessState.ExitCode() != exitFailed || errs.String() != want {
					t.Errorf("%q with %q: %v, standard error %q", args, input, err, errs.String())
				}
				if data, err := os.ReadFile(old); err != nil || string(data) != "older" {
					t.Errorf("%q: the older file has %q, %v", args, data, err)
				}
				for sub, want := range map[string]int{"tmp": 0, "work": 1} {
					if left, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(left) != want {
						t.Errorf("%q: %s has %v, %v", args, sub, left, err)
					}
				}
			}
		}
	}
}

// The second of two signals ends the process at once, and still no temporary
// file is left.
func TestInterruptedTwice(t *testing.T) {
	log, work := smallLog(t, 300_000), t.TempDir()
	for range 20 {
		cmd := exec.Command("mrlog", "convert", "--to", "cel-json", "-o", filepath.Join(work, "out"), log)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 5000 {
			if files, err := os.ReadDir(work); err != nil || len(files) > 0 {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		_ = cmd.Process.Signal(os.Interrupt)
		time.Sleep(500 * time.Microsecond)
		_ = cmd.Process.Signal(os.Interrupt)
		err := cmd.Wait()
		if left, _ := filepath.Glob(filepath.Join(work, ".*")); len(left) > 0 {
			t.Fatalf("%v, left: %q", err, left)
		}
	}
}

// waitForRead waits until a process reads its standard input, by when it has
// its handler of signals.
func waitForRead(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		calls, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "syscall"))
		for _, path := range calls {
			// "0 0x0 …": the number of the call, then its arguments.
			data, err := os.ReadFile(path)
			if errors.Is(err, os.ErrPermission) {
				time.Sleep(200 * time.Millisecond)
				return
			}
			if strings.HasPrefix(string(data), fmt.Sprintf("%d 0x0 ", unix.SYS_READ)) {
				return
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("process %d does not read standard input", pid)
}

// A process that waits for another one's lock can be interrupted, too, and has
// recorded nothing.
func TestInterruptedWaitingForLock(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		m.run("extend", "a", "b")
		f, err := os.OpenFile(m.log(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		cmd := m.command("extend", "c", "d")
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if cmd.ProcessState.ExitCode() != exitFailed || errs.String() != "mrlog: error: interrupted\n" {
			t.Errorf("%v, standard error %q", err, errs.String())
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
			t.Fatal(err)
		}
		if records := m.records(); len(records) != 2 {
			t.Errorf("records %q", records)
		}
		m.agree()
	})
}

// A named pipe is a file like any other.
func TestNamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("mrlog", "replay", pipe)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(pipe, []byte("INIT sha384/"+strings.Repeat("0", 96)+"\n"), 0)
	if err := errors.Join(err, cmd.Wait()); err != nil || !strings.HasPrefix(out.String(), "rtmr2:sha384  6c365f76") {
		t.Errorf("%v: %s", err, out.String())
	}
}
