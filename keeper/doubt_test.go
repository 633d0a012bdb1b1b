// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/tsm"
	"mrlog.dev/internal/tsmfs"
)

// cache is the one copy of a register that all processes read. It is refreshed
// by the first read after an extend that succeeded.
type cache struct {
	mu     sync.Mutex
	values []mrlog.Digest
}

// cachedDevice is one process's way to a register with a cache.
type cachedDevice struct {
	faultDevice
	c      *cache
	failed *bool // an extend of this process, since the last that succeeded
}

func (d cachedDevice) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	r, err := d.faultDevice.Read(ctx, reg)
	if err != nil {
		return r, err
	}
	if d.c.values == nil {
		d.c.values = r.Values
	}
	return device.Reading{Values: cloneDigests(d.c.values), Fresh: r.Fresh && !*d.failed, Cached: true}, nil
}

// Extend does what the contract of a device says: no record after one that
// failed is extended, and how many were before is told.
func (d cachedDevice) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	one := func(i int) {
		quiet := faultDevice{d.m, new(faults)}
		if _, err := quiet.Extend(ctx, reg, records[i:i+1]); err != nil {
			panic(err)
		}
	}
	succeed := func(n int) {
		for i := range n {
			one(i)
			d.c.values = nil
		}
	}
	n := len(records)
	switch d.f.step(fmt.Sprintf("extend %d", n)) {
	case dieBefore:
		return 0, errDead
	case dieAfter:
		succeed(n)
		return 0, errDead
	case failBefore:
		*d.failed = true
		return 0, errInjected
	case failAfter:
		one(0)
		*d.failed = true
		return 0, errInjected
	case half:
		succeed(n / 2)
		if n/2 < n {
			one(n / 2)
		}
		*d.failed = true
		return n / 2, errInjected
	}
	succeed(n)
	*d.failed = false
	return n, nil
}

// cached gives a keeper the device with a cache.
func (r *rig) cached(c *cache, f *faults) *Keeper {
	return r.open(f, func(o *Options) { o.Device = cachedDevice{faultDevice{r.m, f}, c, new(bool)} })
}

// truth says, from outside, whether an undecided record was extended.
func (r *rig) truth(u *UndecidedError) bool {
	r.t.Helper()
	data, err := os.ReadFile(u.Path)
	must(r.t, err)
	lines := strings.SplitAfter(string(data), "\n")
	p, err := parse([]byte(strings.Join(lines[:u.Place.Line], "")))
	must(r.t, err)
	return bytes.Equal(p.values["sha384"], r.m.value(r.reg)["sha384"])
}

// goOn appends an event, and settles with the truth what is undecided first. It
// returns the events of the logs that were kept.
func (r *rig) goOn(k *Keeper, h *history, f *faults, e Event) (kept []string, settled bool, err error) {
	u, undecided := errors.AsType[*UndecidedError](h.submit(k, r, f, e))
	if !undecided {
		return nil, false, nil
	}
	o, err := k.Settle(context.Background(), r.reg, r.truth(u))
	if err != nil {
		return nil, false, fmt.Errorf("settle: %w", err)
	}
	if o.SetAside != "" {
		data, err := os.ReadFile(o.SetAside)
		if err != nil {
			return nil, false, err
		}
		p, err := parse(data)
		if err != nil {
			return nil, false, err
		}
		kept = p.events
	}
	e.Content += "-again"
	return kept, true, h.submit(k, r, f, e)
}

// A device with a cache fails at every step, in every way. Whoever goes on, the
// same process or another, with the truth told where it has to be, log and
// register agree, and nothing is lost or there twice.
func TestDoubtAtEveryStep(t *testing.T) {
	ran, undecided := 0, 0
	for part, p := range scenario {
		play := func(f *faults) (*rig, *history, *cache, *Keeper) {
			r := newRig(t)
			h := prepare(r, scenario[:part+1])
			c := new(cache)
			k := r.cached(c, f)
			p.run(k, r, f, h)
			return r, h, c, k
		}
		f := new(faults)
		play(f)
		steps := f.steps
		for n := range steps {
			for what := failBefore; what < fates; what++ {
				for _, other := range []bool{false, true} {
					name := fmt.Sprintf("%s, step %d (%s) %s, other process %t", p.name, n, steps[n], what, other)
					ran++
					f := &faults{at: func(i int, step string) fate {
						if i == n {
							return what
						}
						return pass
					}}
					r, h, c, k := play(f)
					f.at = nil
					if other || f.isDead() {
						f = new(faults)
						k = r.cached(c, f)
					}
					events, settled, err := r.goOn(k, h, f, ev("next"))
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if settled {
						undecided++
					}
					if err := h.check(append(events, r.check().events...)); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
		}
	}
	t.Logf("%d faults, %d times a record was undecided", ran, undecided)
	if undecided == 0 {
		t.Error("nothing was undecided")
	}
}

// The tree without reports: another process takes the cache's old value for what
// it is, and one that reads the register itself needs nobody's word.
func TestDoubtOfTree(t *testing.T) {
	ctx := context.Background()
	for _, way := range []string{"extended", "not-extended", "report"} {
		t.Run(way, func(t *testing.T) {
			f := tsmfs.Test(t, tsmfs.Options{})
			r := newRig(t)
			keeperOf := func(report string) *Keeper {
				d, err := tsm.Open(tsm.Options{Tree: f.Tree(), Report: report})
				must(t, err)
				k := r.open(nil, func(o *Options) { o.Device = d })
				t.Cleanup(func() { d.Close() })
				return k
			}
			check := func(events ...string) {
				t.Helper()
				data, err := os.ReadFile(r.log())
				must(t, err)
				p, err := parse(data)
				if err != nil || !bytes.Equal(p.values["sha384"], f.Live("rtmr2")) || strings.Join(p.events, ",") != strings.Join(events, ",") {
					t.Errorf("%v; live %x, log\n%s", err, f.Live("rtmr2"), data)
				}
			}
			one := keeperOf(tsm.NoReport)
			r.append(one, "a")
			must(t, f.Control("fail extend times 1 EIO "+map[bool]string{true: "before", false: "after"}[way == "not-extended"]))
			if _, err := one.Append(ctx, r.reg, []Event{ev("b")}); !errors.Is(err, ErrUnknown) {
				t.Fatalf("got %v", err)
			}
			for _, k := range []*Keeper{keeperOf(tsm.NoReport), one} {
				_, err := k.Append(ctx, r.reg, []Event{ev("c")})
				if u, ok := errors.AsType[*UndecidedError](err); !ok || u.Place != (Place{Record: 2, Line: 5}) || string(u.Line) != line("b") || !u.Cached ||
					!strings.Contains(err.Error(), "from a cache") || !strings.Contains(err.Error(), "--assume extended") {
					t.Fatalf("got %v", err)
				}
				if s, err := k.Status(ctx, r.reg); err != nil || s.State != Undecided {
					t.Errorf("status %+v, %v", s, err)
				}
				if _, err := k.NewLog(ctx, r.reg); !errors.Is(err, ErrUndecided) {
					t.Errorf("new log: %v", err)
				}
			}
			k := keeperOf(tsm.NoReport)
			if way == "report" {
				k = keeperOf(f.Report())
				o, err := k.Recover(ctx, r.reg)
				if err != nil || o.Assumed {
					t.Fatalf("%+v, %v", o, err)
				}
				check(line("a"), line("b"))
			} else {
				o, err := k.Settle(ctx, r.reg, way == "extended")
				if err != nil || !o.Assumed || o.Extended != 1 || (o.SetAside != "") != (way == "extended") {
					t.Fatalf("%+v, %v", o, err)
				}
				if _, err := k.Settle(ctx, r.reg, true); !errors.Is(err, ErrReadable) {
					t.Errorf("settled again: %v", err)
				}
			}
			for _, k := range []*Keeper{keeperOf(tsm.NoReport), one} { // both go on
				r.append(k, "d")
			}
			if way == "extended" {
				check(line("d"), line("d"))
			} else {
				check(line("a"), line("b"), line("d"), line("d"))
			}
		})
	}
}

// A wrong word is found out by the extend that refreshes the cache.
func TestDoubtSettledWrongly(t *testing.T) {
	for _, what := range []fate{failBefore, failAfter} {
		r, c, f := newRig(t), new(cache), new(faults)
		k := r.cached(c, f)
		r.append(k, "a")
		f.at = func(n int, step string) fate {
			if step == "extend 1" {
				return what
			}
			return pass
		}
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrUnknown) {
			t.Fatalf("got %v", err)
		}
		f.at = nil
		_, err := k.Settle(context.Background(), r.reg, what == failBefore)
		if !errors.Is(err, ErrDiverged) {
			t.Errorf("got %v", err)
		}
	}
}

// If the mark cannot be written, the caller is told, and the keeper itself tries
// again before it does anything else.
func TestDoubtUnmarked(t *testing.T) {
	r, c, f := newRig(t), new(cache), new(faults)
	k := r.cached(c, f)
	r.append(k, "a")
	f.at = func(n int, step string) fate {
		if step == "extend 1" || step == "doubt" {
			return failBefore
		}
		return pass
	}
	_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "could not be marked") {
		t.Fatalf("got %v", err)
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("c")}); !errors.Is(err, errStale) || !strings.Contains(err.Error(), "ends with the next extend") {
		t.Fatalf("got %v", err)
	}
	f.at = nil
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("c")}); !errors.Is(err, ErrUndecided) {
		t.Fatalf("got %v", err)
	}
	if _, err := r.cached(c, new(faults)).Recover(context.Background(), r.reg); !errors.Is(err, ErrUndecided) {
		t.Fatalf("another keeper: %v", err)
	}
}
