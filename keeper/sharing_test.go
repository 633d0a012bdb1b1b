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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
)

// chain reads all logs of a register, the oldest first, and checks that each
// begins where the one before ends. It returns the events of all.
func (r *rig) chain() []string {
	r.t.Helper()
	last := r.check()
	kept, err := filepath.Glob(r.log() + ".*")
	must(r.t, err)
	var events []string
	var end map[string][]byte
	for n := range len(kept) + 1 {
		path := fmt.Sprintf("%s.%d", r.log(), n+1)
		if n == len(kept) {
			path = r.log()
		}
		data, err := os.ReadFile(path)
		must(r.t, err)
		p, err := parse(data)
		if err != nil {
			r.t.Fatalf("%s: %v", path, err)
		}
		for _, b := range r.banks {
			if end != nil && !bytes.Contains(data, fmt.Appendf(nil, " %s/%x", b.name, end[b.name])) {
				r.t.Fatalf("%s does not begin where the log before ends", path)
			}
		}
		end = p.values
		events = append(events, p.events...)
	}
	if n := len(last.events); !slices.Equal(last.events, events[len(events)-n:]) {
		r.t.Fatal("the live log is not the last")
	}
	return events
}

// TestNewLogsUnderWriters: new logs begin while many callers of several keepers
// write. Every event is there once, in each caller's order, and the logs join.
func TestNewLogsUnderWriters(t *testing.T) {
	const callers, each = 12, 30
	r := newRig(t)
	keepers := []*Keeper{r.open(nil), r.open(nil), r.open(nil)}
	r.append(keepers[0], "first")
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if _, err := keepers[c%3].Append(context.Background(), r.reg, []Event{ev(fmt.Sprintf("%d.%d", c, i))}); err != nil {
					t.Error(err)
					return
				}
				if c < 2 && i%10 == 9 {
					if n, err := keepers[c].NewLog(context.Background(), r.reg); err != nil || !n.Joined {
						t.Errorf("new log: %+v, %v", n, err)
					}
				}
			}
		})
	}
	wg.Wait()
	events := r.chain()
	if len(events) != 1+callers*each {
		t.Fatalf("%d events, want %d", len(events), 1+callers*each)
	}
	for c := range callers {
		var want []string
		for i := range each {
			want = append(want, line(fmt.Sprintf("%d.%d", c, i)))
		}
		if !slices.Equal(keep(events, want), want) {
			t.Errorf("caller %d: events are missing, doubled, or out of order", c)
		}
	}
}

// stranger appends a record as section 7 of the specification says, with
// nothing of this package. It returns false if it found the bit set.
func stranger(r *rig, text string) (bool, error) {
	for {
		fd, err := unix.Open(r.log(), unix.O_RDWR|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, err
		}
		if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
			return false, errors.Join(err, unix.Close(fd))
		}
		var mine, there unix.Stat_t
		err = errors.Join(unix.Fstat(fd, &mine), unix.Stat(r.log(), &there))
		switch {
		case err != nil:
			return false, errors.Join(err, unix.Close(fd))
		case mine.Ino != there.Ino || mine.Dev != there.Dev:
			unix.Close(fd) // a new log has begun
			continue
		case mine.Mode&unix.S_ISVTX != 0:
			return false, unix.Close(fd)
		}
		err = unix.Fchmod(fd, 0o1600)
		if err == nil {
			_, err = unix.Write(fd, []byte(text+"\n"))
		}
		if err == nil {
			r.m.extend(r.reg, text)
			err = unix.Fchmod(fd, 0o600)
		}
		return true, errors.Join(err, unix.Close(fd))
	}
}

// TestStrangers: programs of another make share a log with keepers, also while
// new logs begin.
func TestStrangers(t *testing.T) {
	for _, make := range []func(testing.TB) *rig{newRig, newTPMRig} {
		r := make(t)
		k := r.open(nil)
		r.append(k, "first")
		const each = 100
		var wg sync.WaitGroup
		for s := range 2 {
			wg.Go(func() {
				for i := range each {
					if ok, err := stranger(r, line(fmt.Sprintf("stranger %d.%d", s, i))); !ok || err != nil {
						t.Errorf("stranger: %t, %v", ok, err)
					}
				}
			})
			wg.Go(func() {
				k := r.open(nil)
				for i := range each {
					if _, err := k.Append(context.Background(), r.reg, []Event{ev(fmt.Sprintf("keeper %d.%d", s, i))}); err != nil {
						t.Error(err)
					}
					if i%25 == 24 {
						if _, err := k.NewLog(context.Background(), r.reg); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		events := r.chain()
		if len(events) != 1+4*each {
			t.Errorf("%d events, want %d", len(events), 1+4*each)
		}
		slices.Sort(events)
		if n := len(slices.Compact(events)); n != 1+4*each {
			t.Error("an event is there twice")
		}
	}
}

// TestForgedHints: what stands in a hint changes no record, and hides nothing.
func TestForgedHints(t *testing.T) {
	for _, c := range []struct {
		name   string
		hints  string
		change func(r *rig)
		reason Reason // "" if the log is gone on with
		aside  bool
	}{
		{name: "another boot", hints: "#: boot forged\n"},
		{name: "this boot", hints: "#: boot boot-1\n"},
		{name: "another register", hints: "#: register rtmr3\n"},
		{name: "an assumed start", hints: "#: start assumed\n"},
		{name: "a checkpoint, an audit", hints: "#: checkpoint sha384/00\n#: audit root\n"},
		{name: "no hints at all", hints: "#:\n#: boot\n#:boot x\n"},
		{name: "another boot, and a stray extend", hints: "#: boot forged\n", change: func(r *rig) { r.m.extend(r.reg, "stray") }, aside: true},
		{name: "this boot, after a reset", hints: "", change: func(r *rig) { r.m.reset() }, reason: WasReset},
		// Who can write the log can make a reset look like one of the machine.
		// The log is kept, and the new one starts from the value that is there.
		{name: "another boot, and a reset", hints: "#: boot forged\n", change: func(r *rig) { r.m.reset() }, aside: true},
	} {
		r := newRig(t)
		r.append(r.open(nil), "a")
		f, err := os.OpenFile(r.log(), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.WriteString(c.hints)
		must(t, errors.Join(err, f.Close()))
		if c.change != nil {
			c.change(r)
		}
		k := r.open(nil)
		_, err = k.Append(context.Background(), r.reg, []Event{ev("b")})
		switch {
		case c.reason != "":
			wantDiverged(t, err, c.reason)
			continue
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
			continue
		case c.aside:
			r.wantEvents("b")
			if _, err := os.Stat(r.log() + ".1"); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		r.wantEvents("a", "b")
		if p := r.check(); p.hints[len(p.hints)-1] != "boot boot-1" && strings.Contains(c.hints, "forged") {
			t.Errorf("%s: hints are %q", c.name, p.hints)
		}
	}
}

// TestPersistedState: logs on a disk outlive boots: resets of the machine, and
// kexecs, which keep the registers, in any order, also with writers that died.
func TestPersistedState(t *testing.T) {
	r := newTPMRig(t)
	r.state = filepath.Join(t.TempDir(), "state")
	aside := 0
	var want []string
	for boot, what := range strings.Fields("reset kexec kexec reset reset kexec reset") {
		r.boot = fmt.Sprint("boot of ", boot)
		if what == "reset" {
			r.m.reset()
		}
		// After a kexec the log goes on, unless a tail was left in it: nothing of
		// another boot is extended.
		if boot > 0 && (what == "reset" || boot%2 == 1) {
			aside++
		}
		if what == "reset" || boot%2 == 1 {
			want = nil
		}
		for i := range 2 {
			k := r.open(nil)
			content := fmt.Sprintf("%d.%d", boot, i)
			r.append(k, content)
			want = append(want, content)
			k.Close()
			// The last one of each boot dies, and is found in the next boot.
			left := content + " left"
			leave(r, line(left)+"\n"+"torn")
			want = append(want, left)
		}
		o, err := r.open(nil).Recover(context.Background(), r.reg)
		if err != nil || o.Extended != 1 || o.Cut != 4 {
			t.Fatalf("boot %d: %+v, %v", boot, o, err)
		}
		r.wantEvents(want...)
		if boot%2 == 0 {
			leave(r, line("last")+"\n") // for the next boot
		}
	}
	kept, err := filepath.Glob(r.log() + ".*")
	must(t, err)
	if len(kept) != aside {
		t.Errorf("%d logs kept, want %d", len(kept), aside)
	}
	r.append(r.open(nil), "end")
	r.wantEvents(append(want, "last", "end")...)
}

// TestStateFolderLocked: a first log waits for whoever locks STATE/.lock, and
// names it.
func TestStateFolderLocked(t *testing.T) {
	r := newRig(t)
	r.append(r.open(nil), "a")
	r.reg = rtmr3
	path := filepath.Join(r.state, ".lock")
	held := holdLock(t, path)
	k := r.open(nil, func(o *Options) { o.LockTimeout = 50 * time.Millisecond })
	_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
	if e, ok := errors.AsType[*LockError](err); !ok || e.PID != held || e.Path != path {
		t.Errorf("%v, want process %d", err, held)
	}
	// A register that has its log does not need it.
	r.reg = rtmr2
	r.append(r.open(nil), "c")
	r.wantEvents("a", "c")
}

// TestLockedForever: another process holds the log, and is named; readers are
// not kept waiting; other registers go on.
func TestLockedForever(t *testing.T) {
	r := newRig(t)
	k := r.open(nil, func(o *Options) { o.LockTimeout = 50 * time.Millisecond })
	r.append(k, "a")
	held := holdLock(t, r.log())
	for name, err := range map[string]error{
		"Append":  second(k.Append(context.Background(), r.reg, []Event{ev("b")})),
		"Comment": k.Comment(context.Background(), r.reg, "b"),
		"Recover": second(k.Recover(context.Background(), r.reg)),
		"NewLog":  second(k.NewLog(context.Background(), r.reg)),
	} {
		e, ok := errors.AsType[*LockError](err)
		if !ok || e.PID != held || e.Waited < 50*time.Millisecond || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", held)) {
			t.Errorf("%s: %v, want process %d", name, err, held)
		}
	}
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Clean {
		t.Errorf("status %+v, %v", s, err)
	}
	r.reg = rtmr3
	r.append(k, "other")
	r.wantEvents("other")
	r.reg = rtmr2
	r.wantEvents("a")
}

// TestRegistersOfManyProcesses: several processes, each writing to several
// registers of one state folder, from the first log on.
func TestRegistersOfManyProcesses(t *testing.T) {
	const writers, each = 4, 100
	r := newSoftRig(t, filepath.Join(shm(t), "state"))
	var all []*process
	for i := range writers {
		all = append(all, start(t, r.state, fmt.Sprintf("w%d", i), each, rtmr2, rtmr3))
	}
	for _, p := range all {
		if err := p.read(); err != nil {
			t.Fatalf("%v: %s", err, &p.stderr)
		}
	}
	for _, reg := range []mrlog.Register{rtmr2, rtmr3} {
		p := r.checkRegister(reg)
		if len(p.events) != writers*each {
			t.Errorf("%s: %d events, want %d", reg, len(p.events), writers*each)
		}
		for _, w := range all {
			if !slices.Equal(keep(p.events, w.acked), w.acked) {
				t.Errorf("%s: a writer's events are not in the log in its order", reg)
			}
		}
	}
	entries, err := os.ReadDir(r.state)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && e.Name() != ".lock" {
			t.Errorf("%s is left", e.Name())
		}
	}
}
