// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"mrlog.dev/internal/torture/witness"
)

// scene is a machine with a log of three events, to which something happens.
type scene struct {
	*machine
	book *ledger
	bins builds
	t    *torture
}

// abuse plays every scene.
func (t *torture) abuse(ctx context.Context, k kind) error {
	for _, s := range scenes {
		if ctx.Err() != nil {
			return nil
		}
		if s.soft && k != softTDX && k != softTPM {
			continue
		}
		if err := t.scene(k, s.play); err != nil {
			t.violation(fmt.Errorf("%s on %s: %w", s.name, k, err))
		}
		t.tally.add("abuse: scenes", 1)
		t.progress("abuse, %s: %s", k, s.name)
	}
	return nil
}

// scene plays one.
func (t *torture) scene(k kind, play func(s *scene) error) error {
	m, err := newMachine(k, t.scratch())
	if err != nil {
		return err
	}
	s := &scene{machine: m, book: newLedger(), bins: t.bins, t: t}
	for _, content := range []string{"1", "2", "3"} {
		if err = m.must(s.book, s.bins[0], event{"before", content}); err != nil {
			break
		}
	}
	if err == nil {
		err = play(s)
	}
	if err != nil {
		m.close()
		return fmt.Errorf("%w (left at %s)", err, m.dir)
	}
	m.remove()
	return nil
}

// fine records an event, and wants all to be well.
func (s *scene) fine() error {
	if err := s.must(s.book, s.bins[1], event{"after", "all is well"}); err != nil {
		return err
	}
	if st, err := s.truthful(s.bins[0]); err != nil || st.State != "clean" {
		return fmt.Errorf("status %+v, %w", st, err)
	}
	return s.book.check(s.machine)
}

// frozen says what must not change while log and register have diverged.
type frozen struct {
	log    []byte
	values witness.Values
}

func (s *scene) freeze() (frozen, error) {
	v, err := s.values()
	if err != nil {
		return frozen{}, err
	}
	data, err := os.ReadFile(s.log())
	if os.IsNotExist(err) {
		err = nil
	}
	return frozen{data, v}, err
}

// diverged wants extend, recover and status to say that log and register have
// diverged, and why; and that none of them changes anything. Then it begins a
// new log as the remedy says, and goes on with that.
func (s *scene) diverged(why string) error {
	before, err := s.freeze()
	if err != nil {
		return err
	}
	a, err := s.extend(s.bins[0], event{"refused", "in vain"})
	if err != nil {
		return err
	}
	if a.code != 3 || !strings.Contains(a.stderr, why) || !strings.Contains(a.stderr, "mrlog log new") {
		return fmt.Errorf("extend does not say %q, and what to do: %v", why, a)
	}
	for bank, v := range before.values {
		if !strings.Contains(a.stderr, bank) || !strings.Contains(a.stderr, fmt.Sprintf("%x", v)) {
			return fmt.Errorf("extend does not give the register's value, %x: %v", v, a)
		}
	}
	if a, err = run("", s.bins[1], s.args("recover", "--register", s.reg)...); err != nil {
		return err
	}
	if a.code != 3 {
		return fmt.Errorf("recover: %v", a)
	}
	st, err := s.status(s.bins[1])
	if err != nil {
		return err
	}
	if st.State != "diverged" || !strings.Contains(st.Reason, why) {
		return fmt.Errorf("status does not say %q: %+v", why, st)
	}
	after, err := s.freeze()
	if err != nil {
		return err
	}
	if !bytes.Equal(before.log, after.log) || !before.values.Equal(after.values) {
		return fmt.Errorf("log or register were changed although they had diverged")
	}
	return s.remedy(after.values)
}

// remedy begins a new log.
func (s *scene) remedy(start witness.Values) error {
	a, err := run("", s.bins[0], s.args("log", "new", "--register", s.reg)...)
	if err != nil {
		return err
	}
	if a.code != 0 {
		return fmt.Errorf("the remedy: %v", a)
	}
	fresh := newLedger()
	e := event{"after", "the remedy"}
	if err := s.must(fresh, s.bins[1], e); err != nil {
		return err
	}
	st, err := s.truthful(s.bins[0])
	if err != nil || st.State != "clean" {
		return fmt.Errorf("status after the remedy: %+v, %w", st, err)
	}
	end, err := s.values()
	if err != nil {
		return err
	}
	return witness.Check([]witness.Log{{Path: s.log(), Start: start, End: end}}, fresh.callers)
}

// refused wants an extend to fail, with these words, and to change nothing.
func (s *scene) refused(words ...string) error {
	before, err := s.freeze()
	if err != nil {
		return err
	}
	e := event{"refused", "in vain"}
	a, err := s.extend(s.bins[0], e)
	if err != nil {
		return err
	}
	for _, w := range words {
		if a.code != 1 || !strings.Contains(a.stderr, w) {
			return fmt.Errorf("extend does not say %q: %v", w, a)
		}
	}
	after, err := s.freeze()
	if err != nil {
		return err
	}
	if !bytes.Equal(before.log, after.log) || !before.values.Equal(after.values) {
		return fmt.Errorf("something was changed by %v", a)
	}
	return nil
}

// talk is an "mrlog extend -" that waits for events, with its log open.
type talk struct {
	process
	s      *scene
	in     *os.File
	lines  chan string
	said   []event
	answer *answer
}

func (s *scene) talk() (*talk, error) { return s.talkAs("talk") }

// talkAs is talk with another name of the caller.
func (s *scene) talkAs(name string) (*talk, error) {
	t, err := s.silent()
	if err != nil {
		return nil, err
	}
	return t, t.good(event{name, "begins"})
}

// silent starts a talk in which nothing is said yet.
func (s *scene) silent() (*talk, error) {
	t := &talk{s: s, lines: make(chan string, 100)}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t.in = w
	or, ow, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ow.Close()
	t.cmd = exec.Command(s.bins[1], s.args("extend", "--register", s.reg, "-")...)
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = r, ow, &t.stderr
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	go readLines(or, t.lines)
	return t, nil
}

// say submits an event and waits for its receipt, or for the end.
func (t *talk) say(e event) (recorded bool, err error) {
	t.said = append(t.said, e)
	_, _ = t.in.WriteString(e.line() + "\n")
	select {
	case line, ok := <-t.lines:
		if ok {
			t.stdout.WriteString(line)
			return true, nil
		}
	case <-time.After(patience):
		t.kill()
		return false, fmt.Errorf("no answer to %q", e.line())
	}
	return false, t.hangUp()
}

// good says an event that must be recorded.
func (t *talk) good(e event) error {
	ok, err := t.say(e)
	if err == nil && !ok {
		err = fmt.Errorf("%q was not recorded: %v", e.line(), t.answer)
	}
	return err
}

// bad says one that must end the program, with this exit code and these words.
func (t *talk) bad(code int, why string) error {
	ok, err := t.say(event{"talk", "in vain"})
	switch {
	case err != nil:
		return err
	case ok:
		t.kill()
		_ = t.hangUp()
		return fmt.Errorf("nothing was noticed: %v", t.answer)
	case t.answer.code != code || !strings.Contains(t.answer.stderr, why):
		return fmt.Errorf("want exit %d and %q: %v", code, why, t.answer)
	}
	return nil
}

// hangUp ends the input, waits for the end and writes the answers down.
func (t *talk) hangUp() error {
	if t.answer != nil {
		return nil
	}
	t.in.Close()
	a, err := t.end()
	for line := range t.lines {
		a.stdout += line
	}
	t.answer = &a
	if err != nil {
		return err
	}
	_, err = t.s.book.settle(a, t.said...)
	return err
}

// readLines sends the lines of a pipe, with their newlines, and closes it.
func readLines(r *os.File, to chan<- string) {
	defer r.Close()
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			close(to)
			return
		}
		to <- line
	}
}
