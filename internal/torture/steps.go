// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"mrlog.dev/internal/torture/witness"
)

// story is a run of mrlog, with what the machine is like before it. Every
// system call of the run is made to fail, and is killed at, in turn.
type story struct {
	name    string
	prepare func(m *machine, l *ledger, bin string) error
	stdin   []event  // events on standard input, or
	event   event    // one in the arguments, or none
	flags   []string // of extend
	recover bool     // "mrlog recover" instead
}

var (
	theEvent = event{"step", "the one"}
	stories  = []story{
		{name: "first event", prepare: func(*machine, *ledger, string) error { return nil }, event: theEvent},
		{name: "next event", prepare: begun, event: theEvent},
		{name: "batch", prepare: begun, stdin: []event{{"step", "1"}, {"step", "2"}, {"step", "3"}}},
		{name: "once", prepare: begun, event: theEvent, flags: []string{"--once"}},
		{name: "log behind", prepare: func(m *machine, l *ledger, bin string) error {
			return crashed(m, l, bin, "\n")
		}, event: theEvent},
		{name: "log torn", prepare: func(m *machine, l *ledger, bin string) error {
			return crashed(m, l, bin, "\ntorture.example/left O")
		}, event: theEvent},
		{name: "torn, extended", prepare: func(m *machine, l *ledger, bin string) error {
			if err := crashed(m, l, bin, ""); err != nil {
				return err
			}
			return m.behind(leftEvent.line())
		}, event: theEvent},
		{name: "kexec", prepare: func(m *machine, l *ledger, bin string) error {
			if err := begun(m, l, bin); err != nil {
				return err
			}
			return m.forgeBoot()
		}, event: theEvent},
		{name: "reset", prepare: rebooted, event: theEvent},
		{name: "reset, died setting aside", prepare: func(m *machine, l *ledger, bin string) error {
			if err := rebooted(m, l, bin); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(m.folder(), "log.new"), []byte("#: regis"), 0o600); err != nil {
				return err
			}
			return os.Link(m.log(), m.log()+".1")
		}, event: theEvent},
		{name: "creator died", prepare: func(m *machine, l *ledger, bin string) error {
			temp := filepath.Join(m.state, "."+m.reg+".first")
			if err := os.MkdirAll(temp, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(temp, "log"), []byte("#: regis"), 0o600)
		}, event: theEvent},
		{name: "recover", prepare: func(m *machine, l *ledger, bin string) error {
			return crashed(m, l, bin, "\ntorture.example/left O")
		}, recover: true},
	}
	leftEvent = event{"left", "by one that died"}
)

// begun makes a log with two events.
func begun(m *machine, l *ledger, bin string) error {
	for _, content := range []string{"1", "2"} {
		if err := m.must(l, bin, event{"before", content}); err != nil {
			return err
		}
	}
	return nil
}

// crashed makes a log that a writer left when it died after its write.
func crashed(m *machine, l *ledger, bin, after string) error {
	if err := begun(m, l, bin); err != nil {
		return err
	}
	l.add(leftEvent.caller, witness.Event{Line: leftEvent.line()})
	return m.leave(leftEvent.line() + after)
}

// rebooted makes a log of an earlier boot.
func rebooted(m *machine, l *ledger, bin string) error {
	if err := begun(m, l, bin); err != nil {
		return err
	}
	v, err := m.values()
	if err != nil {
		return err
	}
	l.leave(v)
	if err := m.forgeBoot(); err != nil {
		return err
	}
	return m.reset()
}

// must records an event, which must succeed.
func (m *machine) must(l *ledger, bin string, e event) error {
	a, err := m.extend(bin, e)
	if err != nil {
		return err
	}
	if a.code != 0 {
		return fmt.Errorf("an extend with nothing in its way: %v", a)
	}
	_, err = l.settle(a, e)
	return err
}

func (s *story) args(m *machine) (stdin string, args []string) {
	switch {
	case s.recover:
		return "", m.args("recover", "--register", m.reg)
	case s.stdin != nil:
		var text strings.Builder
		for _, e := range s.stdin {
			text.WriteString(e.line() + "\n")
		}
		return text.String(), m.args("extend", "--register", m.reg, "-")
	}
	return "", m.extendArgs(s.event, s.flags...)
}

func (s *story) events() []event {
	switch {
	case s.recover:
		return nil
	case s.stdin != nil:
		return s.stdin
	}
	return []event{s.event}
}

// play prepares a machine and plays the story on it, with a fault or without.
func (s *story) play(m *machine, l *ledger, bin, fault string) (answer, []call, error) {
	if err := s.prepare(m, l, bin); err != nil {
		return answer{}, nil, fmt.Errorf("preparing: %w", err)
	}
	stdin, args := s.args(m)
	return strace(m.dir, fault, stdin, m.matters, bin, args...)
}

// aftermath looks at what a story left: the answer is true, status tells the
// truth, the next event is recorded, and the witness agrees.
func (s *story) aftermath(m *machine, l *ledger, bin string, a answer, noBoot bool) error {
	events, err := l.settle(a, s.events()...)
	if err != nil {
		return err
	}
	for _, e := range events {
		there, err := m.inLog(e.Line)
		if err != nil {
			return err
		}
		if there && e.Outcome == witness.Refused || !there && e.Outcome == witness.Recorded {
			return fmt.Errorf("%q was answered as %v, and is in the log: %t; %v", e.Line, e.Outcome, there, a)
		}
	}
	view, err := m.view()
	if err != nil {
		return err
	}
	if err := m.marked(view); err != nil {
		return fmt.Errorf("%w; after %v", err, a)
	}
	if a.code == 0 && view.State != "clean" {
		return fmt.Errorf("after exit 0: %v; %v", view, a)
	}
	// Without the boot id, no reset is one with the machine.
	unsure := a.code == 3 && noBoot && strings.Contains(a.stderr, "reset during this boot")
	if a.code > 1 && !unsure {
		return fmt.Errorf("neither done nor an I/O error: %v", a)
	}
	if _, err := m.truthfulOrNoDevice(bin); err != nil {
		return fmt.Errorf("%w; after %v", err, a)
	}
	if err := m.must(l, bin, event{"after", "the next"}); err != nil {
		return fmt.Errorf("%w; after %v", err, a)
	}
	if st, err := m.truthful(bin); err != nil || st.State != "clean" {
		return fmt.Errorf("status after the next event: %+v, %w; after %v", st, err, a)
	}
	if err := l.check(m); err != nil {
		return fmt.Errorf("%w; after %v", err, a)
	}
	return nil
}

// truthfulOrNoDevice is truthful, but for a run that ended before it made the
// software registers.
func (m *machine) truthfulOrNoDevice(bin string) (status, error) {
	if _, err := os.Stat(m.log()); err == nil {
		return m.truthful(bin)
	}
	a, err := run("", bin, m.args("status")...)
	if err == nil && a.code != 0 && !strings.Contains(a.stderr, "no software registers") {
		err = fmt.Errorf("status: %v", a)
	}
	return status{}, err
}

// fault is one at a call.
type fault struct {
	call call
	what string
}

func (f fault) String() string { return fmt.Sprintf("%s:%s:when=%d", f.call.name, f.what, f.call.nth) }

// inject runs a story with one fault. It returns false if the fault did not
// hit a call that matters: the program's threads are not the same every time.
func (t *torture) inject(s *story, k kind, f fault) (hit bool, err error) {
	m, err := newMachine(k, t.scratch())
	if err != nil {
		return false, err
	}
	l := newLedger()
	a, calls, err := s.play(m, l, t.bins[0], f.String())
	if err == nil {
		noBoot, stray := false, false
		hit = f.what == "signal=KILL" && a.killed()
		for _, c := range calls {
			hit = hit || c.injected
			stray = stray || c.stray
			noBoot = noBoot || c.injected && strings.Contains(c.text, bootID)
		}
		if stray { // on the message to people, say: nothing to judge
			m.remove()
			return false, nil
		}
		err = s.aftermath(m, l, t.bins[0], a, noBoot)
	}
	if err != nil {
		return hit, fmt.Errorf("%s on %s, %v at %s: %w (left at %s)", s.name, k, f, f.call.place(m), err, m.dir)
	}
	m.remove()
	return hit, nil
}

// steps plays every story with every fault, or with every nth.
func (t *torture) steps(ctx context.Context, k kind, every int) error {
	type job struct {
		s *story
		f fault
	}
	var jobs []job
	for i := range stories {
		s := &stories[i]
		if ctx.Err() != nil {
			return nil
		}
		m, err := newMachine(k, t.scratch())
		if err != nil {
			return err
		}
		l := newLedger()
		a, calls, err := s.play(m, l, t.bins[0], "")
		if err == nil && a.code != 0 {
			err = fmt.Errorf("%v", a)
		}
		if err == nil {
			err = s.aftermath(m, l, t.bins[0], a, false)
		}
		if err != nil {
			return fmt.Errorf("%s on %s, without a fault: %w", s.name, k, err)
		}
		m.remove()
		if len(calls) < 10 {
			return fmt.Errorf("%s on %s: the tracer shows %d calls", s.name, k, len(calls))
		}
		t.tally.add("steps: system calls", len(calls))
		for _, c := range calls {
			for _, what := range c.faults() {
				jobs = append(jobs, job{s, fault{c, what}})
			}
		}
	}
	if every > 1 {
		// Each run of the test sees others, and the seed says which.
		var some []job
		for i, j := range jobs {
			if (i+int(t.seed))%every == 0 {
				some = append(some, j)
			}
		}
		jobs = some
	}
	todo := make(chan job)
	var wg sync.WaitGroup
	for range t.workers {
		wg.Go(func() {
			for j := range todo {
				hit := false
				for range 5 {
					var err error
					if hit, err = t.inject(j.s, k, j.f); err != nil {
						t.violation(err)
						break
					}
					if hit {
						break
					}
				}
				t.tally.add("steps: runs with a fault", 1)
				switch what, _, _ := strings.Cut(j.f.what, "="); {
				case !hit:
					t.tally.add("steps: fault did not hit", 1)
				case what == "signal":
					t.tally.add("steps: killed at a call", 1)
				default:
					t.tally.add("steps: call failed", 1)
				}
				t.progress("steps, %s: %s", k, j.s.name)
			}
		})
	}
	for _, j := range jobs {
		select {
		case todo <- j:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(todo)
	wg.Wait()
	return nil
}

var errNoTracer = errors.New("strace is not installed, or may not trace")

// tracer reports whether strace works here.
func tracer(dir string) error {
	a, _, err := strace(dir, "", "", func(string) bool { return true }, "true")
	if err != nil || a.code != 0 {
		return fmt.Errorf("%w: %v %v", errNoTracer, err, a)
	}
	return nil
}
