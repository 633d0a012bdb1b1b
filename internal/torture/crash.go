// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"mrlog.dev/internal/torture/witness"
)

// roundsOfALife is how often writers are killed on one machine. What the
// witness reads grows with each.
const roundsOfALife = 25

// crash lives one machine's life after the other, for so long, with writers
// that are killed at random.
func (t *torture) crash(ctx context.Context, k kind, length time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var wg sync.WaitGroup
	for w := range t.workers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l := &life{t: t, k: k, self: self, id: uint64(n*t.workers + w)}
				if err := l.live(ctx); err != nil {
					t.violation(fmt.Errorf("crash loop on %s, seed %d, life %d: %w (left at %s)", k, t.seed, l.id, err, l.m.dir))
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// life is that of one machine.
type life struct {
	t    *torture
	k    kind
	self string
	id   uint64

	m     *machine
	rng   *rand.Rand
	book  *ledger
	names names
}

func (l *life) live(ctx context.Context) (err error) {
	l.rng = rand.New(rand.NewPCG(l.t.seed, l.id))
	l.book = newLedger()
	if l.m, err = newMachine(l.k, l.t.scratch()); err != nil {
		return err
	}
	for round := range roundsOfALife {
		if ctx.Err() != nil {
			break
		}
		if err := l.round(); err != nil {
			l.m.close()
			return fmt.Errorf("round %d: %w", round, err)
		}
		l.t.progress("crash, %s, life %d", l.k, l.id)
	}
	l.t.tally.add("crash: lives", 1)
	l.t.tally.add("crash: events recorded", l.book.count(witness.Recorded))
	l.t.tally.add("crash: events refused", l.book.count(witness.Refused))
	l.t.tally.add("crash: events with an unknown end", l.book.count(witness.Unknown))
	l.m.remove()
	return nil
}

// bin returns one of the builds.
func (l *life) bin() string { return l.t.bins[l.rng.IntN(len(l.t.bins))] }

// round lets some writers work, kills some, and looks at what they left.
func (l *life) round() error {
	if l.m.disturb != nil && l.rng.IntN(3) == 0 {
		if err := l.m.disturb(l.rng); err != nil {
			return err
		}
		l.m.failing = true
		l.t.tally.add("crash: rounds with a failing device", 1)
	}
	var all []worker
	for range 1 + l.rng.IntN(3) {
		w, err := l.start()
		if err != nil {
			return err
		}
		all = append(all, w)
	}
	<-time.After(time.Duration(l.rng.IntN(30000)) * time.Microsecond)
	for i, w := range all {
		if i > 0 && l.rng.IntN(4) == 0 {
			continue // it survives
		}
		if l.rng.IntN(10) == 0 { // the others wait for the lock meanwhile
			w.stop()
			l.t.tally.add("crash: stopped for a while first", 1)
			<-time.After(time.Duration(l.rng.IntN(20)) * time.Millisecond)
		}
		w.kill()
		l.t.tally.add("crash: kills", 1)
	}
	for _, w := range all {
		if err := w.wait(l.book); err != nil {
			for _, o := range all {
				o.kill()
			}
			return err
		}
	}
	if l.m.failing {
		l.m.failing = false
		if err := l.m.calm(); err != nil {
			return err
		}
	}
	view, err := l.m.view()
	if err != nil {
		return err
	}
	l.t.tally.add("crash: left "+view.State, 1)
	if err := l.m.marked(view); err != nil {
		return err
	}
	if err := l.between(view); err != nil {
		return err
	}
	if _, err := l.m.truthfulOrNoDevice(l.bin()); err != nil {
		return err
	}
	if view.State != "absent" && l.rng.IntN(4) == 0 {
		if err := l.mend(); err != nil {
			return err
		}
	}
	if err := l.m.must(l.book, l.bin(), event{"after", l.names.next("")}); err != nil {
		return err
	}
	s, err := l.m.truthful(l.bin())
	if err != nil {
		return err
	}
	if s.State != "clean" {
		return fmt.Errorf("status after an event: %+v", s)
	}
	l.t.tally.add("crash: operations", 3)
	return l.book.check(l.m)
}

// start starts a writer of some kind.
func (l *life) start() (worker, error) {
	kinds := 3
	if _, err := os.Stat(l.m.log()); err == nil && l.m.file != "" && l.t.script != "" {
		kinds = 4 // mrlog alone begins logs
	}
	switch l.rng.IntN(kinds) {
	case 3:
		l.t.tally.add("crash: writers of other make", 1)
		return l.m.startShells(l.t.script, l.bin(), l.names.next("shell"), 1+l.rng.IntN(5), l.rng.IntN(2) == 0, false), nil
	case 0:
		return l.m.startStream(l.bin(), l.names.next("stream"), 1+l.rng.IntN(200), l.rng)
	case 1:
		return l.m.startShots(l.bin(), l.names.next("shots"), 1+l.rng.IntN(8)), nil
	default:
		return l.m.startLibrary(l.self, l.names.next("library"), 1+l.rng.IntN(20), l.rng)
	}
}

// mend runs "mrlog recover".
func (l *life) mend() error {
	a, err := run("", l.bin(), l.m.args("recover")...)
	if err == nil && a.code != 0 {
		err = fmt.Errorf("recover: %v", a)
	}
	l.t.tally.add("crash: operations", 1)
	return err
}

// between does to a log what happens while no writer is there.
func (l *life) between(view witness.View) error {
	if view.State == "absent" || view.Records < 2 {
		return nil
	}
	switch l.rng.IntN(12) {
	case 0: // the machine reboots
		v, err := l.m.values()
		if err != nil {
			return err
		}
		l.book.leave(v)
		if err := l.m.forgeBoot(); err != nil {
			return err
		}
		l.t.tally.add("crash: reboots", 1)
		return l.m.reset()
	case 1: // another kernel by kexec
		l.t.tally.add("crash: kexecs", 1)
		if view.Missing > 0 || view.State == "reset" { // the log is set aside
			v, err := l.m.values()
			if err != nil {
				return err
			}
			l.book.leave(v)
			l.t.tally.add("crash: kexecs that end a log", 1)
		}
		return l.m.forgeBoot()
	case 2, 3: // a writer of somebody else's dies at some byte
		if err := l.mend(); err != nil {
			return err
		}
		e := event{l.names.next("other"), "left behind"}
		l.book.add(e.caller, witness.Event{Line: e.line()})
		text := e.line() + "\n"
		text = text[:1+l.rng.IntN(len(text))]
		if err := l.m.leave(text); err != nil {
			return err
		}
		l.t.tally.add("crash: torn by another writer", 1)
		if len(text) >= len(e.line()) && l.rng.IntN(2) == 0 {
			return l.m.behind(e.line())
		}
	case 4: // an event that is there already
		return l.again()
	}
	return nil
}

// again asks once more, with --once, for an event that was recorded last.
func (l *life) again() error {
	if err := l.mend(); err != nil {
		return err
	}
	e := event{"again", l.names.next("")}
	if err := l.m.must(l.book, l.bin(), e); err != nil {
		return err
	}
	a, err := l.m.extend(l.bin(), e, "--once")
	if err != nil {
		return err
	}
	if got, err := parseReceipts(a.stdout); err != nil || len(got) != 1 || a.code != 0 {
		return fmt.Errorf("--once: %w: %v", err, a)
	}
	l.t.tally.add("crash: asked once more", 1)
	return nil
}
