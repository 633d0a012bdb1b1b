// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device/soft"
)

// TestMain makes the test binary a writer, or one that holds a lock, when a test
// starts it as one.
func TestMain(m *testing.M) {
	if path := os.Getenv("MRLOG_TEST_HOLD"); path != "" {
		if err := hold(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if state := os.Getenv("MRLOG_TEST_STATE"); state != "" {
		if err := writer(state, os.Getenv("MRLOG_TEST_NAME"), os.Getenv("MRLOG_TEST_EVENTS"), os.Getenv("MRLOG_TEST_REGISTERS")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hold locks a file until standard input ends.
func hold(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holdLock starts a process that holds the lock of a file for as long as the
// test lasts, and returns its id.
func holdLock(t *testing.T, path string) (pid int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MRLOG_TEST_HOLD="+path, "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	if s := bufio.NewScanner(out); !s.Scan() || s.Text() != "ready" {
		t.Fatal("the lock was not had")
	}
	return cmd.Process.Pid
}

// writer appends events, one after the other, each to every register, and
// prints each when it is acknowledged.
func writer(state, name, events, registers string) error {
	var regs []mrlog.Register
	for _, name := range strings.Fields(registers) {
		reg, err := mrlog.ParseRegister(name)
		if err != nil {
			return err
		}
		regs = append(regs, reg)
	}
	n, err := strconv.Atoi(events)
	if err != nil {
		return err
	}
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	if err != nil {
		return err
	}
	k, err := Open(Options{State: state, Device: d})
	if err != nil {
		return err
	}
	defer k.Close()
	fmt.Println("ready")
	for i := range n {
		content := fmt.Sprintf("%s.%d", name, i)
		for _, reg := range regs {
			if _, err := k.Append(context.Background(), reg, []Event{ev(content)}); err != nil {
				return err
			}
		}
		fmt.Println(content)
	}
	return nil
}

// process is a writer of its own.
type process struct {
	cmd    *exec.Cmd
	out    *bufio.Scanner
	stderr bytes.Buffer
	acked  []string
}

func start(t *testing.T, state, name string, events int, registers ...mrlog.Register) *process {
	t.Helper()
	if registers == nil {
		registers = []mrlog.Register{rtmr2}
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "MRLOG_TEST_STATE="+state, "MRLOG_TEST_NAME="+name, "MRLOG_TEST_EVENTS="+strconv.Itoa(events),
		"MRLOG_TEST_REGISTERS="+strings.Trim(fmt.Sprint(registers), "[]"),
		"GORACE=atexit_sleep_ms=0") // else the race detector lets every writer sleep for a second
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewScanner(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	if !p.out.Scan() || p.out.Text() != "ready" {
		t.Fatalf("writer %s did not start: %s", name, &p.stderr)
	}
	return p
}

// read reads acknowledgements to the end.
func (p *process) read() error {
	for p.out.Scan() {
		p.acked = append(p.acked, line(p.out.Text()))
	}
	return p.cmd.Wait()
}

// softRig is a rig on a software device of its own.
type softRig struct {
	t     *testing.T
	state string
	d     *soft.Device
}

func newSoftRig(t *testing.T, state string) *softRig {
	t.Helper()
	must(t, os.MkdirAll(state, 0o700))
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	must(t, err)
	return &softRig{t, state, d}
}

func (r *softRig) check() parsed { r.t.Helper(); return r.checkRegister(rtmr2) }

func (r *softRig) checkRegister(reg mrlog.Register) parsed {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.state, reg.String(), "log"))
	must(r.t, err)
	p, err := parse(data)
	must(r.t, err)
	v, err := r.d.Read(context.Background(), reg)
	must(r.t, err)
	if !bytes.Equal(p.values["sha384"], v.Values[0].Sum) {
		r.t.Fatalf("the log gives %x, the register holds %s", p.values["sha384"], v.Values[0])
	}
	return p
}

// keep returns those of events that are among wanted, in order.
func keep(events, wanted []string) []string {
	set := make(map[string]bool)
	for _, w := range wanted {
		set[w] = true
	}
	var out []string
	for _, e := range events {
		if set[e] {
			out = append(out, e)
		}
	}
	return out
}

func TestTwoProcesses(t *testing.T) {
	const each = 1000
	for _, where := range []string{"tmpfs", "disk"} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			if where == "tmpfs" {
				dir = shm(t)
			} else if testing.Short() {
				t.Skip("short")
			}
			r := newSoftRig(t, filepath.Join(dir, "state"))
			a, b := start(t, r.state, "a", each), start(t, r.state, "b", each)
			done := make(chan error)
			go func() { done <- a.read() }()
			must(t, b.read())
			must(t, <-done)
			p := r.check()
			if n := len(p.events) + 1; n != 2*each+1 {
				t.Fatalf("%d records, want %d", n, 2*each+1)
			}
			for _, w := range []*process{a, b} {
				if len(w.acked) != each || !slices.Equal(keep(p.events, w.acked), w.acked) {
					t.Error("a writer's events are not in the log in its order")
				}
			}
		})
	}
}

// TestKilled kills writers at random and looks at what they leave.
func TestKilled(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	if s := os.Getenv("MRLOG_TEST_ROUNDS"); s != "" {
		rounds, _ = strconv.Atoi(s)
	}
	for _, where := range []string{"tmpfs", "disk"} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			if where == "tmpfs" {
				dir = shm(t)
			}
			r := newSoftRig(t, filepath.Join(dir, "state"))
			k, err := Open(Options{State: r.state, Device: r.d})
			must(t, err)
			defer k.Close()
			var acked []string
			behind := 0
			for round := range rounds {
				a := start(t, r.state, fmt.Sprintf("a%d", round), 1<<20)
				var b *process
				if round%2 == 1 { // a survivor beside the one that is killed
					b = start(t, r.state, fmt.Sprintf("b%d", round), 10)
				}
				time.AfterFunc(time.Duration(rand.N(int64(5*time.Millisecond))), func() { a.cmd.Process.Kill() })
				a.read()
				if b != nil {
					if err := b.read(); err != nil {
						t.Fatalf("round %d: the survivor: %v: %s", round, err, &b.stderr)
					}
				}
				if s, err := k.Status(context.Background(), rtmr2); err == nil && (s.State == Behind || s.State == Torn) {
					behind++
				} else if err != nil || s.State != Clean && s.State != Absent {
					t.Fatalf("round %d: status %+v, %v", round, s, err)
				}
				content := fmt.Sprint("after ", round)
				_, err := k.Append(context.Background(), rtmr2, []Event{ev(content)})
				must(t, err)
				p := r.check()
				for _, part := range [][]string{a.acked, {line(content)}} {
					if !slices.Equal(keep(p.events, part), part) {
						t.Fatalf("round %d: acknowledged events are not in the log, once and in order", round)
					}
				}
				if b != nil && !slices.Equal(keep(p.events, b.acked), b.acked) {
					t.Fatalf("round %d: the survivor's events are not in the log", round)
				}
				acked = append(acked, a.acked...)
				seen := make(map[string]bool)
				for _, e := range p.events {
					if seen[e] {
						t.Fatalf("round %d: %q is there twice", round, e)
					}
					seen[e] = true
				}
			}
			p := r.check()
			if !slices.Equal(keep(p.events, acked), acked) {
				t.Error("an acknowledged event was lost later")
			}
			t.Logf("%d rounds, %d acknowledged, %d times a tail was left", rounds, len(acked), behind)
		})
	}
}
