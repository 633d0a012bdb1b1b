// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev/internal/torture/witness"
)

// scenes are what machines and people do to a log and its register.
var scenes = []struct {
	name string
	soft bool // with software registers only: it is about the log
	play func(s *scene) error
}{
	{"extended behind the back", false, func(s *scene) error {
		if err := s.behind("by nobody"); err != nil {
			return err
		}
		return s.diverged("no prefix of the log gives the register's value")
	}},
	{"extended behind a running writer's back", false, func(s *scene) error {
		return s.under(func() error { return s.behind("by nobody") }, "the register was extended without the log",
			"no prefix of the log gives the register's value")
	}},
	{"reset during this boot", false, func(s *scene) error {
		if err := s.reset(); err != nil {
			return err
		}
		return s.diverged("the register was reset during this boot")
	}},
	{"reset under a running writer", false, func(s *scene) error {
		return s.under(s.reset, "the register was reset during this boot", "the register was reset during this boot")
	}},
	{"device that dies in the middle of an extend", false, func(s *scene) error {
		if s.die == nil {
			return nil
		}
		s.die()
		e := event{"cut", "short"}
		a, err := s.extend(s.bins[0], e)
		if err != nil {
			return err
		}
		if a.code != 1 || !strings.Contains(a.stderr, "outcome unknown") {
			return fmt.Errorf("want unknown: %v", a)
		}
		if st, err := run("", s.bins[0], s.args("status")...); err != nil || st.code != 1 {
			return fmt.Errorf("status without a device: %v, %w", st, err)
		}
		if err := s.revive(); err != nil {
			return err
		}
		return s.diverged("the register was reset during this boot")
	}},
	{"log truncated under a running writer", true, func(s *scene) error {
		return s.under(func() error {
			data, err := os.ReadFile(s.log())
			if err != nil {
				return err
			}
			return os.Truncate(s.log(), int64(len(data)-30))
		}, "the log was changed before the last record known to agree", "no prefix of the log gives the register's value")
	}},
	{"log emptied under a running writer", true, func(s *scene) error {
		return s.under(func() error { return os.Truncate(s.log(), 0) }, "the log does not begin with INIT", "the log does not begin with INIT")
	}},
	{"log altered under a running writer", true, func(s *scene) error {
		return s.under(func() error {
			data, err := os.ReadFile(s.log())
			if err != nil {
				return err
			}
			at := strings.Index(string(data), "Op 2")
			f, err := os.OpenFile(s.log(), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("Op 9"), int64(at))
			return err
		}, "the log was changed before the last record known to agree", "no prefix of the log gives the register's value")
	}},
	{"log deleted under a running writer", true, func(s *scene) error {
		return s.under(func() error { return os.Remove(s.log()) }, "the log is gone", "the log is gone")
	}},
	{"log renamed under a running writer", true, func(s *scene) error {
		return s.under(func() error { return os.Rename(s.log(), s.log()+".old") }, "the log is gone", "the log is gone")
	}},
	{"folder renamed under a running writer", true, func(s *scene) error {
		aside := s.folder() + ".old"
		t, err := s.talk()
		if err != nil {
			return err
		}
		if err := os.Rename(s.folder(), aside); err != nil {
			return err
		}
		if err := t.bad(3, "the log is gone"); err != nil {
			return err
		}
		if err := os.Rename(aside, s.folder()); err != nil {
			return err
		}
		return s.fine()
	}},
	{"log replaced by a copy under a running writer", true, func(s *scene) error {
		t, err := s.talk()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(s.log())
		if err == nil {
			err = os.WriteFile(s.log()+".copy", data, 0o600)
		}
		if err == nil {
			err = os.Rename(s.log()+".copy", s.log())
		}
		if err != nil {
			return err
		}
		if err := t.bad(3, "the log is gone"); err != nil {
			return err
		}
		return s.fine() // the copy is as good a log as any
	}},
	{"log that others may write to", true, func(s *scene) error {
		if err := os.Chmod(s.log(), 0o620); err != nil {
			return err
		}
		if err := s.refused("mode is 0620"); err != nil {
			return err
		}
		if st, err := s.status(s.bins[0]); err != nil || st.State != "unreadable" {
			return fmt.Errorf("status %+v, %w", st, err)
		}
		if err := os.Chmod(s.log(), 0o600); err != nil {
			return err
		}
		return s.fine()
	}},
	{"hints forged", true, forgedHints},
	{"tails planted", true, plantedTails},
	{"lock held", true, lockHeld},
	{"read-only midway", true, readOnly},
	{"disk full", true, diskFull},
	{"two builds at once", false, twoBuilds},
}

// under does something to the log or register of a running writer, which must
// notice with the next event.
func (s *scene) under(what func() error, running, next string) error {
	t, err := s.talk()
	if err != nil {
		return err
	}
	// A file's time of modification may be coarse: a tick of the kernel.
	<-time.After(20 * time.Millisecond)
	if err := what(); err != nil {
		return err
	}
	if err := t.bad(3, running); err != nil {
		return err
	}
	return s.diverged(next)
}

// forgedHints: what a hint says chooses at most between going on and stopping.
func forgedHints(s *scene) error {
	for i, hint := range []string{
		"#: boot 00000000-0000-0000-0000-000000000000", "#: boot " + strings.Repeat("x", 2000), "#: register pcr0", "#:", "#: boot", "",
	} {
		t, err := s.talkAs(fmt.Sprint("talk", i))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(s.log())
		if err != nil {
			return err
		}
		if err := overwrite(s.log(), bootHint.ReplaceAll(data, []byte(hint))); err != nil {
			return err
		}
		if err := t.good(event{fmt.Sprint("talk", i), "goes on"}); err != nil {
			return fmt.Errorf("%.30q: %w", hint, err)
		}
		if err := t.hangUp(); err != nil {
			return err
		}
		if err := s.must(s.book, s.bins[0], event{"next", fmt.Sprint(i)}); err != nil {
			return fmt.Errorf("%.30q: %w", hint, err)
		}
	}
	return s.fine()
}

// plantedTails: who may write to the log may have events measured, and nothing
// but events, no more than a keeper writes at once.
func plantedTails(s *scene) error {
	init := "INIT"
	v, err := s.values()
	if err != nil {
		return err
	}
	for bank, sum := range v {
		init += fmt.Sprintf(" %s/%x", bank, sum)
	}
	data, err := os.ReadFile(s.log())
	if err != nil {
		return err
	}
	var many strings.Builder
	for i := range 1025 {
		fmt.Fprintf(&many, "torture.example/planted Op %d\n", i)
	}
	for _, c := range []struct{ tail, why string }{
		{init + "\n", "a second INIT"},
		{"torture.example/planted Op good\n" + init + "\n", "a second INIT"},
		{"torture.example/planted Op \x07\n", "is none that a keeper writes"},
		{"torture.example/planted Op good\ntorture.example/planted Op \xff\n", "is none that a keeper writes"},
		{many.String(), "more records follow the register's value"},
		{strings.Repeat("x", 1<<20+1) + "\n", "cannot be replayed"},
	} {
		if err := s.leave(c.tail); err != nil {
			return err
		}
		if err := s.stopped(c.why); err != nil {
			return fmt.Errorf("%.40q: %w", c.tail, err)
		}
		if err := overwrite(s.log(), data); err != nil {
			return err
		}
		s.t.tally.add("abuse: tails planted", 1)
	}
	// A good one is measured: that is what write permission means.
	e := event{"planted", "good"}
	s.book.add(e.caller, witness.Event{Line: e.line()})
	if err := s.leave(e.line() + "\n"); err != nil {
		return err
	}
	return s.fine()
}

// stopped is diverged without the remedy.
func (s *scene) stopped(why string) error {
	before, err := s.freeze()
	if err != nil {
		return err
	}
	a, err := s.extend(s.bins[0], event{"refused", "in vain"})
	if err != nil {
		return err
	}
	if a.code != 3 || !strings.Contains(a.stderr, why) {
		return fmt.Errorf("extend does not say %q: %v", why, a)
	}
	if st, err := s.status(s.bins[0]); err != nil || st.State != "diverged" || !strings.Contains(st.Reason, why) {
		return fmt.Errorf("status does not say %q: %+v, %w", why, st, err)
	}
	after, err := s.freeze()
	if err == nil && (string(before.log) != string(after.log) || !before.values.Equal(after.values)) {
		err = fmt.Errorf("log or register were changed")
	}
	return err
}

// lockHeld: another process holds the lock and does not let go.
func lockHeld(s *scene) error {
	f, err := os.Open(s.log())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if err := s.refused("process "+strconv.Itoa(os.Getpid()), "locked"); err != nil {
		return err
	}
	began := time.Now()
	if st, err := s.truthful(s.bins[0]); err != nil || st.State != "clean" {
		return fmt.Errorf("status under a held lock: %+v, %w", st, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		return fmt.Errorf("status waited for the lock: %v", took)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return err
	}
	return s.fine()
}

// tmpfs moves the state folder to a file system of its own, of a size.
func (s *scene) tmpfs(size string) (remount func(flags uintptr) error, err error) {
	if err := os.Rename(s.state, s.state+".old"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.state, 0o700); err != nil {
		return nil, err
	}
	options := "mode=700,size=" + size
	if err := unix.Mount("tmpfs", s.state, "tmpfs", 0, options); err != nil {
		return nil, fmt.Errorf("mounting tmpfs: %w", err)
	}
	state, end := s.state, s.close
	s.close = func() {
		_ = unix.Unmount(state, unix.MNT_DETACH)
		end()
	}
	if out, err := exec.Command("cp", "-a", s.state+".old/.", s.state).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	return func(flags uintptr) error { return unix.Mount("", state, "", unix.MS_REMOUNT|flags, options) }, nil
}

// readOnly: the state folder's file system becomes read-only under a writer.
func readOnly(s *scene) error {
	remount, err := s.tmpfs("1m")
	if err != nil {
		return err
	}
	// A file that is open for writing keeps a file system from becoming
	// read-only, so that the writer is one that starts afterwards.
	if err := remount(unix.MS_RDONLY); err != nil {
		return err
	}
	if err := s.refused("read-only file system"); err != nil {
		return err
	}
	if st, err := s.truthful(s.bins[0]); err != nil || st.State != "clean" {
		return fmt.Errorf("status on a read-only file system: %+v, %w", st, err)
	}
	if err := remount(0); err != nil {
		return err
	}
	return s.fine()
}

// diskFull: the disk fills up under a writer, which has to take back what went
// in halfway.
func diskFull(s *scene) error {
	if _, err := s.tmpfs("256k"); err != nil {
		return err
	}
	filler := filepath.Join(s.state, "filler")
	for round := range 5 {
		t, err := s.silent()
		if err != nil {
			return err
		}
		name := fmt.Sprint("full", round)
		n := 0
		for ; n < 1000; n++ {
			ok, err := t.say(event{name, fmt.Sprint(n, strings.Repeat("x", 500*(round+1)))})
			if err != nil {
				return err
			}
			if !ok {
				break
			}
		}
		if n == 1000 || t.answer.code != 1 {
			return fmt.Errorf("a full disk after %d events: %v", n, t.answer)
		}
		if st, err := s.truthful(s.bins[0]); err != nil || st.State != "clean" {
			return fmt.Errorf("status on a full disk: %+v, %w", st, err)
		}
		if err := s.book.check(s.machine); err != nil {
			return err
		}
		// More room for the next round.
		if err := unix.Mount("", s.state, "", unix.MS_REMOUNT, fmt.Sprintf("mode=700,size=%dk", 256*(round+2))); err != nil {
			return err
		}
	}
	// And full from the start, to the last byte.
	f, err := os.Create(filler)
	if err != nil {
		return err
	}
	_, _ = io.Copy(f, io.LimitReader(rand.NewChaCha8([32]byte{}), 1<<30))
	f.Close()
	data, err := os.ReadFile(s.log())
	if err != nil {
		return err
	}
	room := 4096 - len(data)%4096 // of the log's last page
	if err := s.refusedBy(event{"refused", strings.Repeat("x", room+4096)}); err != nil {
		return err
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	return s.fine()
}

// refusedBy wants an event to be refused for lack of space.
func (s *scene) refusedBy(e event) error {
	a, err := s.extend(s.bins[0], e)
	if err != nil {
		return err
	}
	if _, err := s.book.settle(a, e); err != nil {
		return err
	}
	if a.code != 1 || strings.Contains(a.stderr, "unknown") {
		return fmt.Errorf("want no space, and refused: %v", a)
	}
	return nil
}

// twoBuilds: programs of different builds write at once.
func twoBuilds(s *scene) error {
	rng := rand.New(rand.NewPCG(s.t.seed, 0))
	var all []worker
	for i, bin := range s.bins {
		w, err := s.startStream(bin, fmt.Sprint("stream", i), 300, rng)
		if err != nil {
			return err
		}
		all = append(all, w, s.startShots(bin, fmt.Sprint("shots", i), 30))
	}
	for _, w := range all {
		if err := w.wait(s.book); err != nil {
			return err
		}
	}
	if n := s.book.count(witness.Recorded); n != 3+2*330 {
		return fmt.Errorf("%d events recorded, want %d", n, 3+2*330)
	}
	return s.fine()
}
