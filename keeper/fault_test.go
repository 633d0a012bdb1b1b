// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// history is what callers were told about their events.
type history struct {
	acked   []string        // in order
	unknown map[string]bool // may be there
	out     map[string]bool // must not be there
}

func (h *history) init() {
	h.unknown, h.out = make(map[string]bool), make(map[string]bool)
}

// submit appends and writes down the answers.
func (h *history) submit(k *Keeper, r *rig, f *faults, events ...Event) error {
	got, err := k.Append(context.Background(), r.reg, events)
	for i, e := range events {
		switch l := line(e.Content); {
		case i < len(got):
			if !got[i].AlreadyThere {
				h.acked = append(h.acked, l)
			}
		case f.isDead() || errors.Is(err, ErrUnknown):
			h.unknown[l] = true
		case !h.unknown[l]: // from an earlier call, with Once
			h.out[l] = true
		}
	}
	return err
}

// check holds a log to the history: what was acknowledged is there once and in
// order, nothing else is but what may be.
func (h *history) check(events []string) error {
	seen := make(map[string]int)
	var acked []string
	for _, l := range events {
		seen[l]++
		switch {
		case seen[l] > 1:
			return fmt.Errorf("%q is there %d times", l, seen[l])
		case slices.Contains(h.acked, l):
			acked = append(acked, l)
		case h.out[l]:
			return fmt.Errorf("%q is there, though the caller was told that it is not", l)
		case !h.unknown[l]:
			return fmt.Errorf("%q is there, and nobody submitted it", l)
		}
	}
	if !slices.Equal(acked, h.acked) {
		return fmt.Errorf("acknowledged %q, in the log %q", h.acked, acked)
	}
	return nil
}

// part is what one process does in the life of a log: it ends when the process
// dies, and the next part is another process.
type part struct {
	name string
	prep func(r *rig)
	run  func(k *Keeper, r *rig, f *faults, h *history)
}

// scenario is a life of a log in which every step of the keeper occurs.
var scenario = []part{
	{"first log", nil, func(k *Keeper, r *rig, f *faults, h *history) {
		h.submit(k, r, f, ev("first"))
		h.submit(k, r, f, ev("second"))
	}},
	{"batch", nil, func(k *Keeper, r *rig, f *faults, h *history) {
		b := ev("b2")
		b.Comment = "before b2"
		h.submit(k, r, f, ev("b1"), b, ev("b3"), ev("b4"))
		k.Comment(context.Background(), r.reg, "a comment alone")
		once := ev("b1")
		once.Once = true
		h.submit(k, r, f, once, ev("b5"))
	}},
	{"kexec", func(r *rig) { r.boot = "boot-2" }, func(k *Keeper, r *rig, f *faults, h *history) {
		h.submit(k, r, f, ev("k1"))
	}},
	{"crashed writer", func(r *rig) {
		// One that died after its write: three records, one of them torn.
		leave(r, line("left1")+"\n"+line("left2")+"\n"+"test.example o")
	}, func(k *Keeper, r *rig, f *faults, h *history) {
		h.unknown[line("left1")], h.unknown[line("left2")] = true, true
		h.submit(k, r, f, ev("c1"))
	}},
	{"foreign writer", func(r *rig) {
		// One that extends first and died before the newline.
		leave(r, line("whole"))
		r.m.extend(r.reg, line("whole"))
	}, func(k *Keeper, r *rig, f *faults, h *history) {
		h.unknown[line("whole")] = true
		h.submit(k, r, f, ev("f1"))
	}},
	{"reset", func(r *rig) { r.boot = "boot-3"; r.m.reset() }, func(k *Keeper, r *rig, f *faults, h *history) {
		h.acked = nil // in the log before
		h.submit(k, r, f, ev("r1"))
	}},
}

// prepare plays the parts before the last one, without faults.
func prepare(r *rig, parts []part) *history {
	h := new(history)
	h.init()
	last := len(parts) - 1
	for _, p := range parts[:last] {
		if p.prep != nil {
			p.prep(r)
		}
		f := new(faults)
		k := r.open(f)
		p.run(k, r, f, h)
		k.Close()
	}
	if p := parts[last]; p.prep != nil {
		p.prep(r)
	}
	return h
}

// eachFault calls try with every fault at every step: once, or from there on
// where a fault can last.
func eachFault(steps []string, lasts func(fate) bool, try func(n int, name string, persistent bool, f *faults)) (tried int) {
	for n := range steps {
		for what := failBefore; what < fates; what++ {
			for _, persistent := range []bool{false, true} {
				if persistent && !lasts(what) {
					continue
				}
				tried++
				try(n, fmt.Sprintf("step %d (%s) %s, persistent %t", n, steps[n], what, persistent), persistent,
					&faults{at: func(i int, _ string) fate {
						if i == n || persistent && i > n {
							return what
						}
						return pass
					}})
			}
		}
	}
	return tried
}

// TestEveryStep stops at every step of every part of the scenario, in every
// way, and then goes on: with the same keeper, unless that is dead, and with
// another.
func TestEveryStep(t *testing.T) {
	for _, make := range []func(testing.TB) *rig{newRig, newTPMRig} {
		r := make(t)
		t.Run(r.reg.String(), func(t *testing.T) { everyStep(t, make) })
	}
}

func everyStep(t *testing.T, make func(testing.TB) *rig) {
	ran := 0
	lasts := func(what fate) bool { return what == failBefore || what == failAfter || what == stale }
	for i, p := range scenario {
		// Once without faults, to know the steps.
		r := make(t)
		h := prepare(r, scenario[:i+1])
		f := new(faults)
		k := r.open(f)
		p.run(k, r, f, h)
		if err := h.check(r.check().events); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		ran += eachFault(f.steps, lasts, func(_ int, name string, _ bool, f *faults) {
			name = p.name + ", " + name
			r := make(t)
			h := prepare(r, scenario[:i+1])
			k := r.open(f)
			p.run(k, r, f, h)
			if !f.isDead() {
				f.at = nil
				if err := h.submit(k, r, f, ev("same")); err != nil {
					t.Fatalf("%s: same keeper afterwards: %v", name, err)
				}
			}
			k.Close()
			f2 := new(faults)
			k2 := r.open(f2)
			// Writers of other make go by the bit alone.
			left, err := k2.Status(context.Background(), r.reg)
			if err != nil || (left.State == Behind || left.State == Torn) && !left.InFlight {
				t.Fatalf("%s: left %s without the sticky bit, %v", name, left.State, err)
			}
			if err := h.submit(k2, r, f2, ev("next")); err != nil {
				t.Fatalf("%s: next keeper: %v", name, err)
			}
			if err := h.check(r.check().events); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s, err := k2.Status(context.Background(), r.reg)
			if err != nil || s.State != Clean {
				t.Fatalf("%s: status %+v, %v", name, s, err)
			}
			k2.Close()
		})
	}
	t.Logf("%d faults", ran)
}

// TestTrace pins the steps and their order, syncs above all.
func TestTrace(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	want := func(steps ...string) {
		t.Helper()
		if got := strings.Join(f.steps, "\n"); got != strings.Join(steps, "\n") {
			t.Errorf("steps are\n%s\nwant\n%s", got, strings.Join(steps, "\n"))
		}
		f.steps = nil
	}
	r.append(k, "a")
	want("mkdir state", "chmod state", "sync "+base(r.state), "read", "free", "mkdir .rtmr2.first", "chmod .rtmr2.first", "create log", "write", "size", "sync", "sync .rtmr2.first",
		"place rtmr2",                                                                     // the log is there, with INIT
		"read", "sync rtmr2", "sync state", "mark true", "sync", "extend 1", "mark false", // INIT is extended
		"free", "mark true", "write", "size", "sync", "extend 1", "mark false")
	r.append(k, "b", "c", "d")
	want("read", "free", "mark true", "write", "size", "sync", "extend 3", "mark false")
	k.Comment(context.Background(), r.reg, "x")
	want("read", "free", "mark true", "write", "size", "sync", "mark false")
	once := ev("a")
	once.Once = true
	if _, err := k.Append(context.Background(), r.reg, []Event{once}); err != nil {
		t.Error(err)
	}
	want("read", "free")
	leave(r, line("left")+"\ntorn")
	r.append(k, "e")
	want("read", "cut", "sync", "mark true", "sync", "extend 1", "mark false",
		"free", "mark true", "write", "size", "sync", "extend 1", "mark false")
	f.at = func(n int, step string) fate {
		if step == "extend 1" {
			return failBefore
		}
		return pass
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("f")}); !errors.Is(err, ErrRefused) {
		t.Errorf("a refused extend: %v", err)
	}
	want("read", "free", "mark true", "write", "size", "sync", "extend 1", "read", "cut", "sync", "mark false")
	f.at = func(n int, step string) fate {
		if step == "sync" && n == 5 {
			return failBefore
		}
		return pass
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("g")}); !errors.Is(err, ErrRefused) {
		t.Errorf("a failed sync: %v", err)
	}
	want("read", "free", "mark true", "write", "size", "sync", "cut", "sync", "mark false")
	if k.books[r.reg].log != nil {
		t.Error("the log is not opened again after a failed sync")
	}
	f.at = nil
	r.append(k, "h")
	f.steps = nil
	for _, c := range []struct {
		failed string // beside every sync after it
		steps  []string
	}{
		{"write", []string{"read", "free", "mark true", "write", "cut", "sync"}},
		{"sync", []string{"read", "free", "mark true", "write", "size", "sync", "cut", "sync"}},
		{"extend 1", []string{"read", "free", "mark true", "write", "size", "sync", "extend 1", "read", "cut", "sync"}},
	} {
		failed := false
		f.at = func(n int, step string) fate {
			if step == c.failed || failed && step == "sync" {
				failed = true
				return failBefore
			}
			return pass
		}
		_, err := k.Append(context.Background(), r.reg, []Event{ev("i")})
		if e, ok := errors.AsType[*AppendError](err); !ok || !errors.Is(err, ErrUnknown) || !e.Cut || !strings.Contains(err.Error(), "was cut off") {
			t.Errorf("a failed %s, and its cut not synced: %v", c.failed, err)
		}
		want(c.steps...)
		if k.books[r.reg].log != nil {
			t.Errorf("a failed %s, and its cut not synced: the log is not opened again", c.failed)
		}
		f.at = nil
		r.append(k, "after "+c.failed)
		f.steps = nil
	}
	k.Close()
	r.m.reset()
	r.boot = "boot-2"
	f = new(faults)
	k = r.open(f)
	if _, err := k.Recover(context.Background(), r.reg); err != nil {
		t.Fatal(err)
	}
	want("read", "unlink log.new", "create log.new", "write", "size", "sync", "link log.1", "replace log",
		"read", "sync rtmr2", "sync state", "mark true", "sync", "extend 1", "mark false")
}

type volatileDisk struct{ disk }

func (volatileDisk) volatile(p string) (bool, error) { return system{}.volatile(p) }

// TestTraceVolatile: nothing is synced where it would not outlive the machine.
func TestTraceVolatile(t *testing.T) {
	r := newRig(t)
	r.state = filepath.Join(shm(t), "state")
	f := new(faults)
	k := r.open(f)
	k.disk = volatileDisk{k.disk}
	r.append(k, "a")
	r.append(k, "b")
	for _, s := range f.steps {
		if strings.HasPrefix(s, "sync") {
			t.Errorf("step %q on tmpfs", s)
		}
	}
	r.wantEvents("a", "b")
}
