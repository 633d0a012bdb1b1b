// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// TestModel lets several writers, crashes, failing disks and devices, foreign
// writers, kexecs and resets happen in any order, and holds the log to what
// the callers were told.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var r *rig
		if rapid.Bool().Draw(rt, "two banks") {
			r = newTPMRig(t)
		} else {
			r = newRig(t)
		}
		defer os.RemoveAll(r.state)
		type process struct {
			k *Keeper
			f *faults
		}
		var writers []*process
		begin := func() *process {
			p := &process{f: new(faults)}
			p.k = r.open(p.f)
			return p
		}
		for range 2 {
			writers = append(writers, begin())
		}
		defer func() {
			for _, p := range writers {
				p.k.Close()
			}
		}()
		restart := func() {
			for i, p := range writers {
				p.k.Close()
				writers[i] = begin()
			}
		}
		h := new(history)
		h.init()
		var n, boots int
		content := func() string { n++; return fmt.Sprint("e", n) }
		logged := func() bool { _, err := os.Stat(r.log()); return err == nil }
		// mended brings log and register together by a keeper that nothing
		// happens to, and checks.
		mended := func() {
			k := r.open(nil)
			defer k.Close()
			o, err := k.Recover(context.Background(), r.reg)
			if err != nil {
				rt.Fatalf("Recover: %v", err)
			}
			if o.Absent {
				if len(h.acked) > 0 {
					rt.Fatalf("no log, and %d events acknowledged", len(h.acked))
				}
				return
			}
			if err := h.check(r.check().events); err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				p := writers[rapid.IntRange(0, 1).Draw(rt, "writer")]
				var events []Event
				for range rapid.IntRange(1, 4).Draw(rt, "events") {
					e := ev(content())
					if rapid.Bool().Draw(rt, "comment") {
						e.Comment = "about it"
					}
					events = append(events, e)
				}
				if err := h.submit(p.k, r, p.f, events...); err != nil {
					rt.Fatalf("Append: %v", err)
				}
			},
			"append with faults": func(rt *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(rt, "writer")
				p := writers[i]
				plan := rapid.SliceOfN(rapid.SampledFrom([]fate{pass, pass, pass, failBefore, failAfter, dieBefore, dieAfter, half, stale}), 1, 16).Draw(rt, "fates")
				steps := 0
				p.f.at = func(int, string) fate {
					steps++
					if steps > len(plan) {
						return pass
					}
					return plan[steps-1]
				}
				var events []Event
				for range rapid.IntRange(1, 4).Draw(rt, "events") {
					events = append(events, ev(content()))
				}
				err := h.submit(p.k, r, p.f, events...)
				p.f.at = nil
				if errors.Is(err, ErrDiverged) {
					rt.Fatalf("Append: %v", err)
				}
				if p.f.isDead() {
					p.k.Close()
					writers[i] = begin()
				}
			},
			"foreign writer, crashed": func(rt *rapid.T) {
				mended()
				if !logged() {
					return
				}
				l := line(content())
				h.unknown[l] = true
				whole := l + "\n"
				cut := rapid.IntRange(1, len(whole)).Draw(rt, "bytes")
				leave(r, whole[:cut])
				if cut >= len(l) && rapid.Bool().Draw(rt, "extended") {
					r.m.extend(r.reg, l)
				}
			},
			"kexec": func(rt *rapid.T) {
				mended() // or the log is set aside with what was left in it
				boots++
				r.boot = fmt.Sprint("kexec-", boots)
				restart()
			},
			"reset": func(rt *rapid.T) {
				mended()
				boots++
				r.boot = fmt.Sprint("reset-", boots)
				r.m.reset()
				restart()
				if logged() && r.m != nil {
					h.acked, h.unknown = nil, make(map[string]bool)
				}
			},
			"":     func(rt *rapid.T) {},
			"look": func(rt *rapid.T) { mended() },
		})
		mended()
	})
}
