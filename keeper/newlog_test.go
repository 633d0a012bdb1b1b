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
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
)

// plight is a situation in which somebody asks for a new log. Before it, the
// log had the events "a" and "b".
type plight struct {
	name     string
	prep     func(t *testing.T, r *rig)
	reason   Reason   // that a keeper which has just started sees; "" if none
	joined   bool     // the logs join
	reset    bool     // the new one starts from the reset value
	none     bool     // nothing is kept
	kept     []string // events in the log that is kept
	boot     string   // afterwards; "" for the same
	lost     bool     // the old log is gone, and its events with it
	creating bool     // a first log is begun
}

var plights = []plight{
	{name: "clean", prep: func(*testing.T, *rig) {}, joined: true, kept: []string{"a", "b"}},
	{name: "behind", joined: true, kept: []string{"a", "b", "c"}, prep: func(t *testing.T, r *rig) {
		leave(r, line("c")+"\n")
	}},
	{name: "torn", joined: true, kept: []string{"a", "b", "c"}, prep: func(t *testing.T, r *rig) {
		leave(r, line("c")+"\n"+line("d"))
	}},
	{name: "torn, extended", joined: true, kept: []string{"a", "b", "c"}, prep: func(t *testing.T, r *rig) {
		leave(r, line("c"))
		r.m.extend(r.reg, line("c"))
	}},
	{name: "kexec", joined: true, kept: []string{"a", "b"}, boot: "boot-2", prep: func(*testing.T, *rig) {}},
	{name: "earlier boot", reset: true, kept: []string{"a", "b"}, boot: "boot-2", prep: func(t *testing.T, r *rig) {
		r.m.reset()
	}},
	{name: "past the log", reason: NoPrefix, kept: []string{"a", "b"}, prep: func(t *testing.T, r *rig) {
		r.m.extend(r.reg, "stray")
	}},
	{name: "past the log, with a tail", reason: NoPrefix, kept: []string{"a", "b", "c"}, prep: func(t *testing.T, r *rig) {
		leave(r, line("c")+"\n")
		r.m.extend(r.reg, "stray")
	}},
	{name: "reset in this boot", reason: WasReset, reset: true, kept: []string{"a", "b"}, prep: func(t *testing.T, r *rig) {
		r.m.reset()
	}},
	{name: "altered", reason: NoPrefix, kept: []string{"A", "b"}, prep: func(t *testing.T, r *rig) {
		overwrite(t, r, line("a"), line("A"))
	}},
	{name: "planted tail", reason: LongTail, prep: func(t *testing.T, r *rig) {
		leave(r, strings.Repeat(line("planted")+"\n", MaxBatch+1))
	}},
	{name: "foreign tail", reason: ForeignTail, prep: func(t *testing.T, r *rig) { leave(r, "bell \a\n") }},
	{name: "second INIT", reason: SecondInit, prep: func(t *testing.T, r *rig) {
		leave(r, "INIT x\n")
		r.m.extend(r.reg, "INIT x")
	}},
	{name: "emptied", reason: LogUnopened, lost: true, prep: func(t *testing.T, r *rig) {
		must(t, os.Truncate(r.log(), 0))
	}},
	{name: "unreplayable", reason: Unreplayable, lost: true, prep: func(t *testing.T, r *rig) {
		must(t, os.WriteFile(r.log(), []byte(strings.Repeat("x", 3<<20)+"\n"), 0o600))
	}},
	{name: "deleted", reason: LogGone, none: true, lost: true, prep: func(t *testing.T, r *rig) {
		must(t, os.Remove(r.log()))
	}},
	{name: "deleted, and extended since", reason: LogGone, none: true, lost: true, prep: func(t *testing.T, r *rig) {
		must(t, os.Remove(r.log()))
		r.m.extend(r.reg, "stray")
	}},
	{name: "folder deleted", none: true, lost: true, creating: true, prep: func(t *testing.T, r *rig) {
		must(t, os.RemoveAll(r.dir()))
	}},
	{name: "replaced by a copy", joined: true, kept: []string{"a", "b"}, prep: func(t *testing.T, r *rig) {
		data, err := os.ReadFile(r.log())
		must(t, err)
		must(t, os.Remove(r.log()))
		must(t, os.WriteFile(r.log(), data, 0o600))
	}},
}

// TestNewLog asks for a new log in every situation: of a keeper that has just
// started, and of one that has known the log before. Others that have it open
// go on with the new one.
func TestNewLog(t *testing.T) {
	for _, p := range plights {
		for _, make := range []func(testing.TB) *rig{newRig, newTPMRig} {
			for _, which := range []string{"fresh", "running", "running, told"} {
				r := make(t)
				t.Run(p.name+" "+r.reg.String()+" "+which, func(t *testing.T) { newLog(t, r, p, which) })
			}
		}
	}
}

func newLog(t *testing.T, r *rig, p plight, which string) {
	ctx := context.Background()
	asked, told, unaware := r.open(nil), r.open(nil), r.open(nil)
	r.append(asked, "a", "b")
	for _, k := range []*Keeper{told, unaware} {
		_, err := k.Recover(ctx, r.reg)
		must(t, err)
	}
	time.Sleep(15 * time.Millisecond) // for a file's time to move on, on kernels with coarse ones
	p.prep(t, r)
	if p.boot != "" { // all the processes are new ones, too
		r.boot = p.boot
		asked, told, unaware = r.open(nil), r.open(nil), r.open(nil)
	}
	if which == "fresh" {
		asked = r.open(nil)
	}
	if p.reason != "" {
		_, err := told.Append(ctx, r.reg, []Event{ev("x")})
		if !errors.Is(err, ErrDiverged) {
			t.Fatalf("before: %v", err)
		}
		if which == "running, told" {
			_, err := asked.Recover(ctx, r.reg)
			if d, ok := errors.AsType[*Divergence](err); !ok || !strings.Contains(d.Remedy, "mrlog log new --register "+r.reg.String()) {
				t.Errorf("the remedy is not named: %v", err)
			}
		}
	}
	before := r.m.value(r.reg)
	old, _ := os.ReadFile(r.log())
	got, err := asked.NewLog(ctx, r.reg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != r.log() || got.Joined != p.joined || got.FromReset != p.reset && !p.lost {
		t.Errorf("%+v", got)
	}
	if (p.reason != "") != (got.Diverged != nil) && which == "fresh" {
		t.Errorf("diverged: %v, want %q", got.Diverged, p.reason)
	}
	if got.Diverged != nil && which == "fresh" && got.Diverged.Reason != p.reason {
		t.Errorf("diverged: %v, want %q", got.Diverged, p.reason)
	}
	if p.none {
		if got.Kept != "" || got.Records != 0 {
			t.Errorf("kept %s, %d records", got.Kept, got.Records)
		}
	} else {
		data, err := os.ReadFile(got.Kept)
		must(t, err)
		if got.Kept != r.log()+".1" || p.kept == nil && string(data) != string(old) {
			t.Errorf("kept %s:\n%s", got.Kept, data)
		}
		if p.kept != nil {
			kept, err := parse(data)
			must(t, err)
			var want []string
			for _, c := range p.kept {
				want = append(want, line(c))
			}
			if !slices.Equal(kept.events, want) || got.Records != int64(len(want))+1 {
				t.Errorf("the log kept has %q, %d records; want %q", kept.events, got.Records, want)
			}
			ends := kept.values
			if got.Joined {
				before = ends
			}
		}
	}
	r.wantEvents()
	data, _ := os.ReadFile(r.log())
	init := "INIT"
	for _, b := range r.banks {
		init += " " + b.name + "/" + hex.EncodeToString(before[b.name])
	}
	if !strings.Contains(string(data), "\n"+init+"\n") {
		t.Errorf("the new log does not start from the register's value:\n%s%s", data, init)
	}
	// All go on.
	r.append(told, "told")
	if _, err := unaware.Append(ctx, r.reg, []Event{ev("unaware")}); err != nil {
		// It has not said yet that its log is gone: once, and no more.
		if wantDiverged(t, err, LogGone); !p.none && p.name != "replaced by a copy" {
			t.Errorf("a keeper did not follow: %v", err)
		}
		r.append(unaware, "unaware")
	}
	r.append(asked, "asked")
	r.append(r.open(nil), "fresh")
	r.wantEvents("told", "unaware", "asked", "fresh")
	for _, k := range []*Keeper{asked, told, unaware} {
		if s, err := k.Status(ctx, r.reg); err != nil || s.State != Clean {
			t.Errorf("status %+v, %v", s, err)
		}
	}
	again, err := told.NewLog(ctx, r.reg)
	if err != nil || !again.Joined || again.Kept == got.Kept || again.Records != 5 || again.Diverged != nil {
		t.Errorf("and another: %+v, %v", again, err)
	}
	r.append(unaware, "x")
	r.wantEvents("x")
}

// TestNewLogAtEveryStep stops at every step of a new log, in every way, in
// every situation. Whatever is left, asking again gives a new log, log and
// register agree, and nothing that was in a log is lost.
func TestNewLogAtEveryStep(t *testing.T) {
	ran := 0
	for _, p := range plights {
		if p.name == "planted tail" || p.name == "unreplayable" {
			continue // as others, and slow
		}
		setup := func() (*rig, *Keeper) {
			r := newRig(t)
			running := r.open(nil)
			r.append(running, "a", "b")
			p.prep(t, r)
			if p.boot != "" {
				r.boot = p.boot
				running.Close()
				running = r.open(nil)
			} else {
				_, _ = running.Recover(context.Background(), r.reg) // to be told
			}
			return r, running
		}
		r, _ := setup()
		f := new(faults)
		_, err := r.open(f).NewLog(context.Background(), r.reg)
		must(t, err)
		steps := f.steps
		for n := range steps {
			for what := failBefore; what < fates; what++ {
				ran++
				name := fmt.Sprintf("%s, step %d (%s) %s", p.name, n, steps[n], what)
				r, running := setup()
				old, _ := os.ReadFile(r.log())
				f := &faults{at: func(i int, _ string) fate {
					if i == n {
						return what
					}
					return pass
				}}
				k := r.open(f)
				_, err := k.NewLog(context.Background(), r.reg)
				if !f.isDead() {
					if e, ok := errors.AsType[*AppendError](err); ok && !strings.Contains(err.Error(), "nothing was recorded") {
						t.Fatalf("%s: %v", name, e)
					}
					f.at = nil
					if _, err := k.NewLog(context.Background(), r.reg); err != nil {
						t.Fatalf("%s: same keeper again: %v", name, err)
					}
				}
				k.Close()
				k2 := r.open(nil)
				if _, err := k2.Append(context.Background(), r.reg, []Event{ev("next")}); errors.Is(err, ErrDiverged) {
					if _, err := k2.NewLog(context.Background(), r.reg); err != nil {
						t.Fatalf("%s: next keeper: %v", name, err)
					}
					r.append(k2, "next")
				} else if err != nil {
					t.Fatalf("%s: next keeper: %v", name, err)
				}
				r.append(running, "last")
				events := r.check().events
				if len(events) < 2 || !slices.Equal(events[len(events)-2:], []string{line("next"), line("last")}) {
					t.Fatalf("%s: log has %q", name, events)
				}
				// What was there still is, whole, in some log.
				found := p.lost && p.none
				logs, err := filepath.Glob(r.log() + "*")
				must(t, err)
				for _, path := range logs {
					data, err := os.ReadFile(path)
					must(t, err)
					whole := strings.TrimSuffix(string(old), line("d"))
					found = found || strings.HasPrefix(string(data), whole)
					var st unix.Stat_t
					must(t, unix.Lstat(path, &st))
					if st.Nlink != 1 {
						t.Fatalf("%s: %s has %d links", name, path, st.Nlink)
					}
				}
				if !found {
					t.Fatalf("%s: the old log is lost: %q", name, logs)
				}
				running.Close()
				k2.Close()
				os.RemoveAll(filepath.Dir(r.state))
			}
		}
	}
	t.Logf("%d faults", ran)
}

// TestTraceNewLog pins the steps and their order.
func TestTraceNewLog(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "a")
	want := func(what string, steps ...string) {
		t.Helper()
		f.steps = nil
		_, err := k.NewLog(context.Background(), r.reg)
		must(t, err)
		if !slices.Equal(f.steps, steps) {
			t.Errorf("%s: steps are\n%s\nwant\n%s", what, strings.Join(f.steps, "\n"), strings.Join(steps, "\n"))
		}
	}
	fresh := []string{"unlink log.new", "create log.new", "write", "size", "sync"}
	lost := []string{"unlink log.lost", "create log.lost", "write", "size", "sync"}
	extend := []string{"read", "sync rtmr2", "sync state", "mark true", "sync", "extend 1", "mark false"}
	want("clean", slices.Concat([]string{"read", "read"}, fresh, []string{"link log.1", "replace log"}, extend)...)
	r.m.extend(r.reg, "stray")
	want("diverged", slices.Concat([]string{"read", "read"}, fresh, []string{"link log.2", "replace log"}, extend)...)
	must(t, os.Remove(r.log()))
	// Once for the log that was known, once for the path.
	want("gone", slices.Concat([]string{"read", "read", "read"}, lost, []string{"place log"}, extend)...)
}

// TestNewLogWhenFull: the way on for a log at its limit.
func TestNewLogWhenFull(t *testing.T) {
	r := newRig(t)
	k := r.open(nil, func(o *Options) { o.MaxLog = 400 })
	other := r.open(nil, func(o *Options) { o.MaxLog = 400 })
	r.append(k, "a")
	r.append(other, strings.Repeat("x", 100))
	_, err := k.Append(context.Background(), r.reg, []Event{ev(strings.Repeat("y", 200))})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "mrlog log new --register rtmr2") {
		t.Fatal(err)
	}
	got, err := k.NewLog(context.Background(), r.reg)
	if err != nil || !got.Joined || got.Records != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	r.append(other, strings.Repeat("z", 100))
	r.append(k, "b")
	r.wantEvents(strings.Repeat("z", 100), "b")
}

// TestNewLogAfterCleaning: a log that was kept may be moved away, or made
// read-only, before other keepers have seen that it is no longer the log.
func TestNewLogAfterCleaning(t *testing.T) {
	for name, clean := range map[string]func(kept string) error{
		"moved":     func(kept string) error { return os.Rename(kept, kept+".old") },
		"deleted":   os.Remove,
		"read-only": func(kept string) error { return os.Chmod(kept, 0o400) },
	} {
		for _, stray := range []bool{false, true} {
			r := newRig(t)
			k := r.open(nil)
			r.append(k, "a")
			if stray {
				r.m.extend(r.reg, "stray")
				_, err := k.Append(context.Background(), r.reg, []Event{ev("x")})
				wantDiverged(t, err, PastLog)
			}
			got, err := r.open(nil).NewLog(context.Background(), r.reg)
			must(t, err)
			must(t, clean(got.Kept))
			if _, err := k.Append(context.Background(), r.reg, []Event{ev("b")}); err != nil {
				t.Errorf("%s, diverged %t: %v", name, stray, err)
				continue
			}
			r.wantEvents("b")
		}
	}
}

// TestNewLogsAtOnce: of several that find no log, one begins it.
func TestNewLogsAtOnce(t *testing.T) {
	for _, prep := range []func(r *rig) error{
		func(r *rig) error { return os.Remove(r.log()) },
		func(r *rig) error { return os.RemoveAll(r.dir()) },
		func(r *rig) error { return nil },
	} {
		r := newRig(t)
		r.append(r.open(nil), "a")
		must(t, prep(r))
		errs := make(chan error)
		const n = 8
		for range n {
			k := r.open(nil)
			go func() { _, err := k.NewLog(context.Background(), r.reg); errs <- err }()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		r.wantEvents()
		// Every log joins the one before it.
		logs, err := filepath.Glob(r.log() + ".*")
		must(t, err)
		var end map[string][]byte
		for i := range logs {
			data, err := os.ReadFile(fmt.Sprintf("%s.%d", r.log(), i+1))
			must(t, err)
			p, err := parse(data)
			must(t, err)
			if end != nil && !strings.Contains(string(data), "INIT sha384/"+hex.EncodeToString(end["sha384"])+"\n") {
				t.Errorf("log.%d does not join the one before it", i+1)
			}
			end = p.values
		}
	}
}

// TestNewLogRefused: what a new log cannot help.
func TestNewLogRefused(t *testing.T) {
	r := newRig(t)
	k := r.open(nil, func(o *Options) { o.LockTimeout = 20 * time.Millisecond })
	r.append(k, "a")
	f, err := os.Open(r.log())
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	if e, ok := errors.AsType[*LockError](second(k.NewLog(context.Background(), r.reg))); !ok || e.PID != os.Getpid() {
		t.Errorf("locked: %v", e)
	}
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_UN))

	must(t, os.Remove(r.log()))
	folder, err := os.Open(r.dir())
	must(t, err)
	defer folder.Close()
	must(t, unix.Flock(int(folder.Fd()), unix.LOCK_EX))
	if e, ok := errors.AsType[*LockError](second(k.NewLog(context.Background(), r.reg))); !ok || e.Path != r.dir() || e.Waited < 20*time.Millisecond {
		t.Errorf("gone, and the folder locked: %v", e)
	}
	must(t, unix.Flock(int(folder.Fd()), unix.LOCK_UN))

	must(t, os.Symlink("elsewhere", r.log()))
	if _, err := k.NewLog(context.Background(), r.reg); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a symbolic link: %v", err)
	}
	must(t, os.Remove(r.log()))
	must(t, os.Chmod(r.dir(), 0o755))
	if _, err := k.NewLog(context.Background(), r.reg); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a folder open to others: %v", err)
	}
	k.Close()
	if _, err := k.NewLog(context.Background(), r.reg); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestNewLogOverAWriter: a program extends the register while the new log
// begins.
func TestNewLogOverAWriter(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "a")
	must(t, os.Remove(r.log()))
	f.at = func(_ int, step string) fate {
		if step == "place log" {
			r.m.extend(r.reg, "stray")
		}
		return pass
	}
	_, err := k.NewLog(context.Background(), r.reg)
	wantDiverged(t, err, NoPrefix)
	f.at = nil
	got, err := k.NewLog(context.Background(), r.reg)
	if err != nil || got.Kept == "" || got.Diverged == nil {
		t.Errorf("again: %+v, %v", got, err)
	}
	r.append(k, "b")
	r.wantEvents("b")
}

// TestOnceAcrossNewLogs: an earlier log counts if it joins; in one that
// diverged, a record may stand that was never extended.
func TestOnceAcrossNewLogs(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	once := func(c string) bool {
		t.Helper()
		e := ev(c)
		e.Once = true
		got, err := k.Append(context.Background(), r.reg, []Event{e})
		must(t, err)
		return got[0].AlreadyThere
	}
	next := func() {
		t.Helper()
		_, err := k.NewLog(context.Background(), r.reg)
		must(t, err)
	}
	once("a")
	next()
	once("b")
	next()
	if !once("a") || !once("b") || once("c") {
		t.Error("logs that join do not count")
	}
	leave(r, strings.Repeat(line("planted")+"\n", MaxBatch+1))
	next()
	if once("planted") || once("c") || !once("planted") {
		t.Error("a log that diverged counts")
	}
}

// A log is deleted while a new one is about to take its place, and somebody asks
// for another: what is acknowledged stays, and no log takes the place of one that
// is not kept.
func TestNewLogRace(t *testing.T) {
	for _, step := range []string{"unlink log.new", "create log.new", "link log.1", "replace log"} {
		r := newRig(t)
		r.append(r.open(nil), "a")
		r.m.reset()
		r.boot = "boot-2"
		f := new(faults)
		k := r.open(f, func(o *Options) { o.LockTimeout = 100 * time.Millisecond })
		var acked []string
		reached := false
		f.at = func(n int, s string) fate {
			if s != step || reached {
				return pass
			}
			reached = true
			must(t, os.Remove(r.log()))
			other := r.open(nil, func(o *Options) { o.LockTimeout = 20 * time.Millisecond })
			if _, err := other.NewLog(context.Background(), r.reg); err == nil {
				r.append(other, "b")
				acked = append(acked, line("b"))
			} else if !errors.Is(err, ErrLocked) {
				t.Errorf("%s: log new: %v", step, err)
			}
			return pass
		}
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("c")}); err == nil {
			acked = append(acked, line("c"))
		} else if !errors.Is(err, ErrDiverged) && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", step, err)
		}
		if !reached {
			t.Fatalf("%s: no such step", step)
		}
		if _, err := k.NewLog(context.Background(), r.reg); err != nil {
			t.Errorf("%s: log new: %v", step, err)
		}
		r.append(k, "d")
		r.check()
		logs, err := filepath.Glob(r.log() + "*")
		must(t, err)
		var all []byte
		for _, l := range logs {
			data, err := os.ReadFile(l)
			must(t, err)
			all = append(all, data...)
		}
		for _, l := range acked {
			if !bytes.Contains(all, []byte(l+"\n")) {
				t.Errorf("%s: %q was acknowledged, and is in none of %q", step, l, logs)
			}
		}
	}
}

// deletingDisk is one beside somebody who deletes what takes the place of a log.
type deletingDisk struct{ disk }

func (d deletingDisk) replace(from, to string) error {
	if err := d.disk.replace(from, to); err != nil {
		return err
	}
	return os.Remove(to)
}

// A new log that is deleted before its INIT was extended is gone: nothing is
// extended that stands nowhere.
func TestNewLogDeletedAtOnce(t *testing.T) {
	r := newRig(t)
	r.append(r.open(nil), "a")
	r.m.reset()
	r.boot = "boot-2"
	k := r.open(nil)
	k.disk = deletingDisk{k.disk}
	before := r.m.value(r.reg)
	_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
	wantDiverged(t, err, LogGone)
	if now := r.m.value(r.reg); !bytes.Equal(now["sha384"], before["sha384"]) {
		t.Error("INIT of a log that is gone was extended")
	}
}

// The remedy is one that the command accepts.
func TestRemedyShared(t *testing.T) {
	for reg, want := range map[mrlog.Register]bool{
		{Space: mrlog.PCR, Index: 9}: true, {Space: mrlog.PCR, Index: 15}: true, {Space: mrlog.PCR, Index: 14}: false, {Space: mrlog.RTMR, Index: 2}: false,
	} {
		if got := beginNew(reg); strings.Contains(got, "--shared") != want {
			t.Errorf("%s: %s", reg, got)
		}
	}
}
