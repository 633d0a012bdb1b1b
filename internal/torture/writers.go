// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev/internal/torture/witness"
)

// worker is a process, or one after the other, that records events until it is
// killed or has none left.
type worker interface {
	// kill kills the process that is there now; stop stops it, as it is.
	kill()
	stop()
	// wait waits for the end and writes the answers down.
	wait(l *ledger) error
}

// process is a started program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }
func (p *process) stop() { _ = p.cmd.Process.Signal(unix.SIGSTOP) }

// end waits for the process, for as long as patience lasts.
func (p *process) end() (answer, error) {
	late := false
	timer := time.AfterFunc(patience, func() { late = true; p.kill() })
	err := p.cmd.Wait()
	timer.Stop()
	a := answer{stdout: p.stdout.String(), stderr: p.stderr.String()}
	if late {
		return a, fmt.Errorf("%v: no end after %v: %v", p.cmd.Args, patience, a)
	}
	code, err := exitCode(err)
	a.code = code
	return a, err
}

// excused reports whether a failing device is reason enough for an answer.
func (a answer) excused(failing bool) bool {
	return failing && a.code == 1 && !strings.Contains(a.stderr, "diverged")
}

// stream is "mrlog extend -" with events that come in bursts.
type stream struct {
	process
	failing bool // the device fails
	mu      sync.Mutex
	events  []event // written to it, or begun to be
	fed     chan struct{}
}

func (m *machine) startStream(bin, caller string, n int, rng *rand.Rand) (*stream, error) {
	args := []string{"extend", "--register", m.reg}
	if rng.IntN(2) == 0 {
		args = append(args, "--json")
	}
	s := &stream{failing: m.failing, fed: make(chan struct{})}
	s.cmd = exec.Command(bin, m.args(append(args, "-")...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	// A generator of its own: what follows is in step with nobody.
	go s.feed(in, caller, n, rand.New(rand.NewPCG(rng.Uint64(), 0)))
	return s, nil
}

func (s *stream) feed(in io.WriteCloser, caller string, n int, rng *rand.Rand) {
	defer close(s.fed)
	defer in.Close()
	for i := 0; i < n; {
		var text []byte
		s.mu.Lock()
		for range min(n-i, 1+rng.IntN(20)) {
			e := event{caller, fmt.Sprintf("%d %s", i, strings.Repeat("x", rng.IntN(100)))}
			s.events = append(s.events, e)
			text = append(append(text, e.line()...), '\n')
			i++
		}
		s.mu.Unlock()
		if _, err := in.Write(text); err != nil {
			return
		}
		if rng.IntN(4) == 0 {
			<-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond)
		}
	}
}

func (s *stream) wait(l *ledger) error {
	a, err := s.end()
	<-s.fed
	if err != nil {
		return err
	}
	_, err = l.settle(a, s.events...)
	if err == nil && a.code > 0 && !a.excused(s.failing) {
		err = fmt.Errorf("a stream that nothing happened to: %v", a)
	}
	return err
}

// shots is one run of "mrlog extend" after the other.
type shots struct {
	mu     sync.Mutex
	now    *process
	killed bool
	done   chan struct{}

	events []event
	ends   []answer
	err    error
}

func (m *machine) startShots(bin, caller string, n int) *shots {
	s := &shots{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for i := range n {
			e := event{caller, strconv.Itoa(i)}
			p := new(process)
			p.cmd = exec.Command(bin, m.extendArgs(e)...)
			p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
			s.mu.Lock()
			if s.killed {
				s.mu.Unlock()
				return
			}
			s.err = p.cmd.Start()
			s.now = p
			s.mu.Unlock()
			if s.err != nil {
				return
			}
			a, err := p.end()
			s.events, s.ends = append(s.events, e), append(s.ends, a)
			if s.err = err; err != nil {
				return
			}
			if a.code > 0 && !a.excused(m.failing) {
				s.err = fmt.Errorf("an extend that nothing happened to: %v", a)
				return
			}
		}
	}()
	return s
}

func (s *shots) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	if s.now != nil {
		s.now.kill()
	}
}

func (s *shots) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.stop()
	}
}

func (s *shots) wait(l *ledger) error {
	<-s.done
	for i, e := range s.events {
		if _, err := l.settle(s.ends[i], e); err != nil {
			return err
		}
	}
	return s.err
}

// library is a process of this program that uses package keeper, with several
// callers at once.
type library struct {
	process
	failing bool
}

func (m *machine) startLibrary(self, caller string, n int, rng *rand.Rand) (*library, error) {
	p := &library{failing: m.failing}
	p.cmd = exec.Command(self, writerArg, "-state", m.state, "-device", m.device, "-register", m.reg,
		"-name", caller, "-events", strconv.Itoa(n), "-callers", strconv.Itoa(1+rng.IntN(6)), "-batch", strconv.Itoa(1+rng.IntN(4)),
		"-failing="+strconv.FormatBool(m.failing), "-flaky", strconv.Itoa(rng.IntN(2)*(3+rng.IntN(20))), "-seed", strconv.FormatUint(rng.Uint64(), 10))
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p, p.cmd.Start()
}

func (p *library) wait(l *ledger) error {
	a, err := p.end()
	if err != nil {
		return err
	}
	if a.code > 0 && !a.excused(p.failing) {
		return fmt.Errorf("a library writer: %v", a)
	}
	return parseLibrary(l, a)
}

// parseLibrary reads what a library writer printed: before each call "try" with
// each event, after it the answer.
func parseLibrary(l *ledger, a answer) error {
	type open struct {
		caller string
		events []witness.Event
	}
	asked := make(map[string]*open)
	var order []string
	at := make(map[string]int) // event's line → its place with its caller
	for line := range strings.Lines(a.stdout) {
		text, whole := strings.CutSuffix(line, "\n")
		f := strings.Fields(text)
		if !whole || len(f) < 3 {
			break
		}
		caller := f[1]
		e := event{caller, f[2]}.line()
		o := asked[caller]
		if o == nil {
			o = &open{caller: caller}
			asked[caller] = o
			order = append(order, caller)
		}
		switch f[0] {
		case "try":
			at[e] = len(o.events)
			o.events = append(o.events, witness.Event{Line: e})
		case "maybe":
		case "no":
			o.events[at[e]].Outcome = witness.Refused
		case "yes":
			r := &witness.Receipt{Digests: make(witness.Values)}
			r.Record, _ = strconv.Atoi(f[3])
			for _, d := range f[4:] {
				bank, value, _ := strings.Cut(d, ":")
				r.Digests[bank], _ = hex.DecodeString(value)
			}
			o.events[at[e]].Outcome, o.events[at[e]].Receipt = witness.Recorded, r
		default:
			return fmt.Errorf("a library writer said %q", text)
		}
	}
	for _, caller := range order {
		l.add(caller, asked[caller].events...)
	}
	return nil
}

// names gives every caller of a run a name of its own.
type names struct{ n atomic.Int64 }

func (n *names) next(prefix string) string { return fmt.Sprintf("%s%d", prefix, n.n.Add(1)) }
