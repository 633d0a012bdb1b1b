// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// blinded makes a rig's register one that cannot be read.
func blinded(r *rig) *rig {
	for i := range r.m.desc {
		r.m.desc[i].NotReadable = "it is write-only"
	}
	return r
}

// extendedSoFar says, from outside, whether the last record of the log was
// extended.
func (r *rig) extendedSoFar() bool {
	r.t.Helper()
	data, err := os.ReadFile(r.log())
	must(r.t, err)
	p, err := parse(data)
	must(r.t, err)
	for name, v := range r.m.value(r.reg) {
		if !bytes.Equal(p.values[name], v) {
			return false
		}
	}
	return true
}

// settle tells a keeper the truth about an undecided record.
func (r *rig) settle(k *Keeper) Outcome {
	r.t.Helper()
	o, err := k.Settle(context.Background(), r.reg, r.extendedSoFar())
	if err != nil {
		r.t.Fatalf("Settle: %v", err)
	}
	return o
}

var blindScenario = []part{
	{"first log", nil, func(k *Keeper, r *rig, f *faults, h *history) {
		h.submit(k, r, f, ev("first"))
		h.submit(k, r, f, ev("second"))
	}},
	{"comments", nil, func(k *Keeper, r *rig, f *faults, h *history) {
		b := ev("b2")
		b.Comment = "before b2"
		h.submit(k, r, f, ev("b1"), b)
		k.Comment(context.Background(), r.reg, "a comment alone")
		once := ev("b1")
		once.Once = true
		h.submit(k, r, f, once, ev("b3"))
	}},
	{"torn by a writer", func(r *rig) { leave(r, "test.example o") }, func(k *Keeper, r *rig, f *faults, h *history) {
		h.submit(k, r, f, ev("c1"))
	}},
	{"torn comment", func(r *rig) {
		leave(r, "# about")
		must(r.t, os.Chmod(r.log(), 0o600))
	}, func(k *Keeper, r *rig, f *faults, h *history) {
		h.submit(k, r, f, ev("d1"))
	}},
	{"reset", func(r *rig) { r.boot = "boot-2"; r.m.reset() }, func(k *Keeper, r *rig, f *faults, h *history) {
		h.acked = nil // in the log before
		h.submit(k, r, f, ev("r1"))
	}},
}

// doubtful says at which steps of a trace a fault may leave a record undecided:
// from the newline, which is the write after the bit is set, to the sync after
// it is cleared.
func doubtful(steps []string) []bool {
	out := make([]bool, len(steps))
	for i, s := range steps {
		if s != "mark true" {
			continue
		}
		end := i + slices.Index(steps[i:], "mark false") + 1 // and its sync
		for j := i + 2; j <= end; j++ {
			out[j] = true
		}
	}
	return out
}

// TestBlindAtEveryStep stops at every step, in every way, on a register that
// cannot be read. A record is left undecided by faults around the extend only,
// and there it has to be: some were extended and some were not. With the truth
// told, log and register agree, and nothing is lost.
func TestBlindAtEveryStep(t *testing.T) {
	for _, make := range []func(testing.TB) *rig{newRig, newTPMRig} {
		r := make(t)
		t.Run(r.reg.String(), func(t *testing.T) { blindEveryStep(t, make) })
	}
}

func blindEveryStep(t *testing.T, newOne func(testing.TB) *rig) {
	ran, was, wasNot := 0, 0, 0
	lasts := func(what fate) bool { return what == failBefore || what == failAfter }
	for i, p := range blindScenario {
		r := blinded(newOne(t))
		h := prepare(r, blindScenario[:i+1])
		f := new(faults)
		p.run(r.open(f), r, f, h)
		if err := h.check(r.check().events); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		may := doubtful(f.steps)
		ran += eachFault(f.steps, lasts, func(n int, name string, persistent bool, f *faults) {
			name = p.name + ", " + name
			r := blinded(newOne(t))
			h := prepare(r, blindScenario[:i+1])
			k := r.open(f)
			p.run(k, r, f, h)
			next := func(k *Keeper, f *faults, content string) {
				err := h.submit(k, r, f, ev(content))
				if errors.Is(err, ErrUndecided) {
					// A persistent failure takes the way back, too.
					if !may[n] && !persistent {
						t.Fatalf("%s: undecided: %v", name, err)
					}
					if r.extendedSoFar() {
						was++
					} else {
						wasNot++
					}
					if o := r.settle(k); !o.Assumed || !o.InFlight {
						t.Fatalf("%s: settled: %+v", name, o)
					}
					err = h.submit(k, r, f, ev(content+" again"))
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if !f.isDead() {
				f.at = nil
				next(k, f, "same")
			}
			k.Close()
			f2 := new(faults)
			k2 := r.open(f2)
			next(k2, f2, "next")
			if err := h.check(r.check().events); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s, err := k2.Status(context.Background(), r.reg); err != nil || s.State != Clean {
				t.Fatalf("%s: status %+v, %v", name, s, err)
			}
			k2.Close()
			os.RemoveAll(r.state)
		})
	}
	t.Logf("%d faults; undecided: %d extended, %d not", ran, was, wasNot)
	if was == 0 || wasNot == 0 {
		t.Error("an undecided record was always extended, or never: then it need not be undecided")
	}
}

// TestTraceBlind pins the steps and their order.
func TestTraceBlind(t *testing.T) {
	r := blinded(newRig(t))
	f := new(faults)
	k := r.open(f)
	want := func(steps ...string) {
		t.Helper()
		if got := strings.Join(f.steps, "\n"); got != strings.Join(steps, "\n") {
			t.Errorf("steps are\n%s\nwant\n%s", got, strings.Join(steps, "\n"))
		}
		f.steps = nil
	}
	record := []string{"write", "size", "sync all", "mark true", "sync all", "write", "size", "sync all", "extend 1", "mark false", "sync all"}
	init := record[3:]
	r.append(k, "a")
	want(slices.Concat([]string{
		"mkdir state", "chmod state", "sync " + base(r.state), "free", "mkdir .rtmr2.first", "chmod .rtmr2.first", "create log", "write", "size", "sync",
		"sync .rtmr2.first", "place rtmr2", "sync rtmr2", "sync state",
	}, init, []string{"free"}, record)...)
	r.append(k, "b", "c")
	want(slices.Concat([]string{"free"}, record, []string{"free"}, record)...)
	must(t, k.Comment(context.Background(), r.reg, "x"))
	want("free", "write", "size", "sync all")
	leave(r, "torn")
	r.append(k, "d")
	want(slices.Concat([]string{"mark false", "sync all", "cut", "sync all", "free"}, record)...)
	_, err := k.NewLog(context.Background(), r.reg)
	must(t, err)
	want(slices.Concat([]string{"unlink log.new", "create log.new", "write", "size", "sync", "link log.1", "replace log", "sync rtmr2", "sync state"}, init)...)
	leave(r, line("e")+"\n")
	f.steps = nil
	_, err = k.Settle(context.Background(), r.reg, false)
	must(t, err)
	want("extend 1", "mark false", "sync all")
	r.wantEvents("e")
}

// TestBlindStart: INIT states the reset value, and a hint says that nobody has
// read it.
func TestBlindStart(t *testing.T) {
	r := blinded(newTPMRig(t))
	k := r.open(nil)
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Absent || s.Device != nil {
		t.Errorf("status %+v, %v", s, err)
	}
	r.append(k, "a")
	p := r.check()
	if !slices.Contains(p.hints, "start assumed") {
		t.Errorf("hints are %q", p.hints)
	}
	data, _ := os.ReadFile(r.log())
	if want := "#: start assumed\nINIT sha256/" + strings.Repeat("0", 64) + " sha384/" + strings.Repeat("0", 96) + "\n"; !strings.Contains(string(data), want) {
		t.Errorf("the log does not begin with %s\n%s", want, data)
	}
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Clean || s.Records != 2 || s.Device != nil || s.Remedy != "" {
		t.Errorf("status %+v, %v", s, err)
	}
	if o, err := k.Recover(context.Background(), r.reg); err != nil || o != (Outcome{Records: 2}) {
		t.Errorf("recover: %+v, %v", o, err)
	}
}

// TestUndecided: a writer died around its extend. Nobody goes on before
// somebody has said what happened.
func TestUndecided(t *testing.T) {
	for _, extended := range []bool{true, false} {
		r := blinded(newRig(t))
		running := r.open(nil)
		r.append(running, "a")
		f := &faults{at: func(_ int, step string) fate {
			switch {
			case step != "extend 1":
				return pass
			case extended:
				return dieAfter
			}
			return dieBefore
		}}
		_, err := r.open(f).Append(context.Background(), r.reg, []Event{ev("b"), ev("never")})
		if e, ok := errors.AsType[*AppendError](err); !ok || !errors.Is(err, ErrUnknown) || !e.Undecided || !strings.Contains(err.Error(), "mrlog recover --assume") {
			t.Fatalf("the writer: %v", err)
		}
		before, _ := os.ReadFile(r.log())
		value := r.m.value(r.reg)["sha384"]
		for _, k := range []*Keeper{running, r.open(nil)} {
			for name, err := range map[string]error{
				"Append":  second(k.Append(context.Background(), r.reg, []Event{ev("x")})),
				"Comment": k.Comment(context.Background(), r.reg, "x"),
				"Recover": second(k.Recover(context.Background(), r.reg)),
				"NewLog":  second(k.NewLog(context.Background(), r.reg)),
			} {
				u, ok := errors.AsType[*UndecidedError](err)
				if !ok || !errors.Is(err, ErrUndecided) || u.Place != (Place{Record: 2, Line: 6}) || string(u.Line) != line("b") {
					t.Errorf("%s: %v", name, err)
				} else if !strings.Contains(err.Error(), line("b")) || !strings.Contains(err.Error(), "--register rtmr2 --assume extended") {
					t.Errorf("%s: the error does not name record and way out: %v", name, err)
				}
			}
			s, err := k.Status(context.Background(), r.reg)
			if err != nil || s.State != Undecided || !errors.Is(s.Err, ErrUndecided) || !s.InFlight || !strings.Contains(s.Remedy, "--assume") || s.Records != 3 {
				t.Errorf("status %+v, %v", s, err)
			}
		}
		if now, _ := os.ReadFile(r.log()); !bytes.Equal(now, before) || !bytes.Equal(r.m.value(r.reg)["sha384"], value) {
			t.Error("log or register changed while nobody has decided")
		}
		o, err := r.open(nil).Settle(context.Background(), r.reg, extended)
		want := Outcome{Records: 3, InFlight: true, Assumed: true}
		if !extended {
			want.Extended = 1
		}
		if err != nil || o != want {
			t.Errorf("settled: %+v, %v", o, err)
		}
		r.append(running, "c")
		r.wantEvents("a", "b", "c")
		// Nothing is left to decide.
		for _, again := range []bool{true, false} {
			if o, err := running.Settle(context.Background(), r.reg, again); err != nil || o != (Outcome{Records: 4}) {
				t.Errorf("settled again: %+v, %v", o, err)
			}
		}
		r.wantEvents("a", "b", "c")
	}
}

// TestSettleFails: until the bit is cleared, the record stays undecided.
func TestSettleFails(t *testing.T) {
	for _, step := range []string{"extend 1", "mark false", "sync all"} {
		for _, what := range []fate{failBefore, failAfter, dieBefore, dieAfter} {
			for _, extended := range []bool{true, false} {
				r := blinded(newRig(t))
				r.append(r.open(nil), "a")
				leave(r, line("b")+"\n")
				if extended {
					r.m.extend(r.reg, line("b"))
				}
				f := &faults{at: func(_ int, s string) fate {
					if s == step {
						return what
					}
					return pass
				}}
				k := r.open(f)
				_, err := k.Settle(context.Background(), r.reg, extended)
				if (err == nil) != (extended && step == "extend 1") {
					t.Fatalf("%s %s: %v", step, what, err)
				}
				k.Close()
				k = r.open(nil)
				if _, err := k.Recover(context.Background(), r.reg); errors.Is(err, ErrUndecided) {
					r.settle(k)
				} else if err != nil {
					t.Fatalf("%s %s: %v", step, what, err)
				}
				r.append(k, "c")
				r.wantEvents("a", "b", "c")
			}
		}
	}
}

// TestSettleRefused: where there is something to compare with, nothing is
// assumed.
func TestSettleRefused(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "a")
	leave(r, line("b")+"\n")
	if _, err := k.Settle(context.Background(), r.reg, true); !errors.Is(err, ErrReadable) {
		t.Errorf("%v", err)
	}
	r.append(k, "c")
	r.wantEvents("a", "b", "c")
	b := blinded(newRig(t))
	if o, err := b.open(nil).Settle(context.Background(), b.reg, true); err != nil || !o.Absent {
		t.Errorf("no log: %+v, %v", o, err)
	}
}

// TestBlindOtherWriters: what a writer may leave that follows the steps.
func TestBlindOtherWriters(t *testing.T) {
	r := blinded(newRig(t))
	k := r.open(nil)
	r.append(k, "a")
	// It died before the newline.
	leave(r, line("b"))
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Torn || s.TornLine != int64(len(line("b"))) {
		t.Errorf("status %+v, %v", s, err)
	}
	r.append(k, "c")
	// It came to its end.
	leave(r, line("d")+"\n")
	r.m.extend(r.reg, line("d"))
	must(t, os.Chmod(r.log(), 0o600))
	r.append(k, "e")
	r.wantEvents("a", "c", "d", "e")
	// It died around its extend.
	leave(r, line("f")+"\n")
	_, err := k.Append(context.Background(), r.reg, []Event{ev("x")})
	if !errors.Is(err, ErrUndecided) {
		t.Errorf("%v", err)
	}
	r.settle(k)
	r.append(k, "g")
	r.wantEvents("a", "c", "d", "e", "f", "g")
}

// TestBlindBoots: a boot resets the register, as far as anybody can know. A
// kexec, which does not, is the documented exception: the new log's start is
// wrong then, and verification says so.
func TestBlindBoots(t *testing.T) {
	for _, undecided := range []bool{false, true} {
		r := blinded(newRig(t))
		r.append(r.open(nil), "a")
		if undecided {
			leave(r, line("b")+"\n")
		}
		r.boot = "boot-2"
		r.m.reset()
		k := r.open(nil)
		if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Earlier {
			t.Errorf("status %+v, %v", s, err)
		}
		o, err := k.Recover(context.Background(), r.reg)
		if err != nil || o.SetAside != r.log()+".1" {
			t.Errorf("recover: %+v, %v", o, err)
		}
		r.append(k, "c")
		r.wantEvents("c")

		r.boot = "kexec"
		k = r.open(nil)
		r.m.extend(r.reg, "the register was kept")
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("d")}); err != nil {
			t.Error(err)
		}
		if r.extendedSoFar() {
			t.Error("a kexec went unnoticed, and yet the log gives the register's value")
		}
	}
}

// TestBlindDiverged: what can be seen without the register, is.
func TestBlindDiverged(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(t *testing.T, r *rig)
		running Reason
		fresh   Reason // "" if nothing can be seen
	}{
		{"emptied", func(t *testing.T, r *rig) { must(t, os.Truncate(r.log(), 0)) }, LogUnopened, LogUnopened},
		{"a record cut off", func(t *testing.T, r *rig) {
			st, err := os.Stat(r.log())
			must(t, err)
			must(t, os.Truncate(r.log(), st.Size()-int64(len(line("b"))+1)))
		}, LogAltered, ""},
		{"altered", func(t *testing.T, r *rig) { overwrite(t, r, line("a"), line("A")) }, LogAltered, ""},
		{"second INIT", func(t *testing.T, r *rig) {
			leave(r, "INIT sha384/"+strings.Repeat("0", 96)+"\n")
			must(t, os.Chmod(r.log(), 0o600))
		}, SecondInit, SecondInit},
		{"deleted", func(t *testing.T, r *rig) { must(t, os.Remove(r.log())) }, LogGone, LogGone},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := blinded(newRig(t))
			running := r.open(nil)
			r.append(running, "a", "b")
			value := r.m.value(r.reg)["sha384"]
			time.Sleep(15 * time.Millisecond) // for a file's time to move on, on kernels with coarse ones
			c.change(t, r)
			_, err := running.Append(context.Background(), r.reg, []Event{ev("x")})
			if d := wantDiverged(t, err, c.running); !strings.Contains(err.Error(), "write-only") || strings.Contains(err.Error(), "no such bank") || d.Agree == nil {
				t.Errorf("%v", err)
			}
			_, err = running.Append(context.Background(), r.reg, []Event{ev("x")})
			wantDiverged(t, err, c.running)
			if c.fresh != "" {
				_, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("x")})
				wantDiverged(t, err, c.fresh)
				if s, err := r.open(nil).Status(context.Background(), r.reg); err != nil || s.State != Diverged {
					t.Errorf("status %+v, %v", s, err)
				}
			}
			if !bytes.Equal(value, r.m.value(r.reg)["sha384"]) {
				t.Error("extended after a divergence")
			}
			// The keeper that knew the log knows where the new one starts.
			n, err := running.NewLog(context.Background(), r.reg)
			if err != nil || n.Joined || n.FromReset || n.Diverged == nil || hex.EncodeToString(n.Start[0].Sum) != hex.EncodeToString(value) {
				t.Errorf("new log: %+v, %v", n, err)
			}
			r.append(running, "c")
			r.wantEvents("c")
		})
	}
	// One that did not can only assume; it says that it does not know.
	r := blinded(newRig(t))
	r.append(r.open(nil), "a")
	must(t, os.Remove(r.log()))
	n, err := r.open(nil).NewLog(context.Background(), r.reg)
	if err != nil || n.Joined || n.FromReset {
		t.Errorf("new log of a keeper that knew nothing: %+v, %v", n, err)
	}
}

// TestBlindConcurrently: many callers, several keepers, one record at a time.
func TestBlindConcurrently(t *testing.T) {
	r := blinded(newRig(t))
	keepers := []*Keeper{r.open(nil), r.open(nil)}
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 10 {
				e := ev(fmt.Sprint(c, ".", i))
				e.Comment = "of " + e.Content
				if _, err := keepers[c%2].Append(context.Background(), r.reg, []Event{e, ev(e.Content + "'")}); err != nil {
					t.Error(err)
				}
				if _, err := keepers[c%2].Status(context.Background(), r.reg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.check().events); n != 160 {
		t.Errorf("%d records", n)
	}
}

// TestBlindTakenBack: a record is taken back, and the keeper dies in the middle
// of that. Doubt, if any is left, is about that record: never about the one
// before, which was acknowledged.
func TestBlindTakenBack(t *testing.T) {
	ran, doubts := 0, 0
	for first := range 9 { // free, write, size, sync all, mark true, sync all, write, size, sync all
		for later := first + 1; later < first+9; later++ {
			for _, what := range []fate{dieBefore, dieAfter, failBefore, failAfter} {
				ran++
				r := blinded(newRig(t))
				r.append(r.open(nil), "a")
				f := &faults{at: func(n int, _ string) fate {
					switch {
					case n == first:
						return failBefore
					case n == later:
						return what
					}
					return pass
				}}
				k := r.open(f)
				_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
				if err == nil {
					t.Fatalf("fault at %d: no error", first)
				}
				k.Close()
				k = r.open(nil)
				_, rerr := k.Recover(context.Background(), r.reg)
				if u, ok := errors.AsType[*UndecidedError](rerr); ok {
					doubts++
					if string(u.Line) != line("b") {
						t.Fatalf("faults at %d and %d (%s) of %q: doubt about %q, which was acknowledged", first, later, what, f.steps, u.Line)
					}
					r.settle(k)
				} else if rerr != nil {
					t.Fatal(rerr)
				}
				r.append(k, "c")
				events := r.check().events
				there := slices.Contains(events, line("b"))
				if there && errors.Is(err, ErrRefused) && !f.isDead() || events[0] != line("a") {
					t.Fatalf("faults at %d and %d (%s) of %q: %v, and the log has %q", first, later, what, f.steps, err, events)
				}
			}
		}
	}
	t.Logf("%d pairs of faults, %d left doubt", ran, doubts)
}

// A line that its writer takes back is never a record to those who wait for the
// lock meanwhile.
func TestBlindLearnsUnderTheLock(t *testing.T) {
	r := blinded(newRig(t))
	f := new(faults)
	writer, waiter := r.open(f), r.open(nil)
	r.append(writer, "a")
	r.append(waiter, "b")
	newline := false
	f.at = func(n int, step string) fate {
		if step == "mark true" {
			newline = true
		}
		if newline && step == "size" { // the line is whole, and the lock is held
			newline = false
			must(t, waiter.books[r.reg].catchUp())
			return failBefore
		}
		return pass
	}
	if _, err := writer.Append(context.Background(), r.reg, []Event{ev("c")}); !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v", err)
	}
	f.at = nil
	r.append(writer, "a longer one than was taken back")
	e := ev("c")
	e.Once = true
	got, err := waiter.Append(context.Background(), r.reg, []Event{e})
	if err != nil || got[0].AlreadyThere || got[0].Record != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	r.wantEvents("a", "b", "a longer one than was taken back", "c")
}

// A keeper that opens its log anew, after a sync that failed, takes another file
// there for what it is: a log that it does not know, and not its own altered.
func TestBlindKnowsItsLog(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r *rig){
		"log new": func(t *testing.T, r *rig) {
			_, err := r.open(nil).NewLog(context.Background(), r.reg)
			must(t, err)
			r.append(r.open(nil), "x", "y", "z")
		},
		"folder moved away": func(t *testing.T, r *rig) {
			must(t, os.Rename(r.dir(), r.dir()+".away"))
			r.m.reset()
			r.append(r.open(nil), "x", "y", "z")
		},
	} {
		r := blinded(newRig(t))
		f := new(faults)
		k := r.open(f)
		r.append(k, "a", "b")
		f.at = func(n int, step string) fate {
			if step == "sync all" {
				f.at = nil
				return failBefore
			}
			return pass
		}
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("c")}); !errors.Is(err, ErrRefused) {
			t.Fatalf("got %v", err)
		}
		if k.books[r.reg].log != nil {
			t.Fatal("the log is not opened again")
		}
		change(t, r)
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("d")}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.wantEvents("x", "y", "z", "d")
	}
}

// If INIT of a first log cannot be extended, the event was not written, and the
// error is about INIT.
func TestBlindInitFails(t *testing.T) {
	r := blinded(newRig(t))
	f := new(faults)
	f.at = func(n int, step string) fate {
		if step == "extend 1" {
			return failBefore
		}
		return pass
	}
	_, err := r.open(f).Append(context.Background(), r.reg, []Event{ev("a")})
	if e, ok := errors.AsType[*AppendError](err); !ok || !errors.Is(err, ErrRefused) || errors.Is(err, ErrUnknown) || !e.Before || !e.Undecided || !strings.Contains(err.Error(), "INIT may have been extended") {
		t.Errorf("got %v", err)
	}
	k := r.open(nil)
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("a")}); !errors.Is(err, ErrUndecided) {
		t.Fatalf("got %v", err)
	}
	r.settle(k)
	r.append(k, "a")
	r.wantEvents("a")
}
