// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUnderARunningWriter changes the log behind the back of a keeper that has
// it open, and of one that has not.
func TestUnderARunningWriter(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, r *rig)
		reason Reason // with a divergence seen by the running keeper
		fresh  Reason // by a fresh one; "" if it sees nothing wrong
		unsafe string // or: the reason why the log is not used
	}{
		{
			name: "deleted", reason: LogGone, fresh: LogGone,
			change: func(t *testing.T, r *rig) { must(t, os.Remove(r.log())) },
		},
		{
			name: "renamed", reason: LogGone, fresh: LogGone,
			change: func(t *testing.T, r *rig) { must(t, os.Rename(r.log(), r.log()+".bak")) },
		},
		{name: "folder deleted", reason: LogGone, // a fresh keeper begins a log: verification sees the start
			change: func(t *testing.T, r *rig) { must(t, os.RemoveAll(r.dir())) }},
		{
			name: "emptied", reason: LogUnopened, fresh: LogUnopened,
			change: func(t *testing.T, r *rig) { must(t, os.Truncate(r.log(), 0)) },
		},
		{
			name: "truncated", reason: LogAltered, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) {
				st, err := os.Stat(r.log())
				must(t, err)
				must(t, os.Truncate(r.log(), st.Size()-int64(len(line("b"))+1)))
			},
		},
		{
			name: "altered", reason: LogAltered, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) { overwrite(t, r, line("a"), line("A")) },
		},
		{
			name: "INIT altered", reason: LogAltered, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) { overwrite(t, r, "sha384/000", "sha384/001") },
		},
		{
			name: "line inserted", reason: LogAltered, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) {
				overwrite(t, r, line("a")+"\n"+line("b")+"\n", line("a")+"\n"+line("x")+"\n"+line("b")+"\n")
			},
		},
		{
			name: "replaced by a copy that was altered", reason: LogGone, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) {
				data, err := os.ReadFile(r.log())
				must(t, err)
				must(t, os.WriteFile(r.log()+".new", []byte(strings.ReplaceAll(string(data), line("a"), line("A"))), 0o600))
				must(t, os.Rename(r.log()+".new", r.log()))
			},
		},
		{
			name: "register extended", reason: PastLog, fresh: NoPrefix,
			change: func(t *testing.T, r *rig) { r.m.extend(r.reg, "stray") },
		},
		{
			name: "register reset", reason: WasReset, fresh: WasReset,
			change: func(t *testing.T, r *rig) { r.m.reset() },
		},
		{
			name: "planted tail", reason: LongTail, fresh: LongTail,
			change: func(t *testing.T, r *rig) { leave(r, strings.Repeat(line("planted")+"\n", MaxBatch+1)) },
		},
		{
			name: "symbolic link", unsafe: "symbolic link",
			change: func(t *testing.T, r *rig) {
				must(t, os.Rename(r.log(), r.log()+".real"))
				must(t, os.Symlink("log.real", r.log()))
			},
		},
		{
			name: "hard link", unsafe: "2 links",
			change: func(t *testing.T, r *rig) { must(t, os.Link(r.log(), filepath.Join(r.state, "other"))) },
		},
		{
			name: "wrong mode", unsafe: "0644",
			change: func(t *testing.T, r *rig) { must(t, os.Chmod(r.log(), 0o644)) },
		},
		{
			name: "setuid", unsafe: "4600",
			change: func(t *testing.T, r *rig) { must(t, unix.Chmod(r.log(), 0o4600)) },
		},
		{
			name: "FIFO", unsafe: "not a regular file",
			change: func(t *testing.T, r *rig) {
				must(t, os.Remove(r.log()))
				must(t, unix.Mkfifo(r.log(), 0o600))
			},
		},
		{
			name: "folder", unsafe: "not a regular file",
			change: func(t *testing.T, r *rig) {
				must(t, os.Remove(r.log()))
				must(t, os.Mkdir(r.log(), 0o700))
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			running := r.open(nil)
			r.append(running, "a")
			time.Sleep(15 * time.Millisecond) // for a file's time to move on, on kernels with coarse ones
			r.append(running, "b")
			time.Sleep(15 * time.Millisecond)
			c.change(t, r)
			value := string(r.m.value(r.reg)["sha384"])
			for _, k := range []*Keeper{running, r.open(nil)} {
				want := c.reason
				if k != running {
					want = c.fresh
				}
				_, err := k.Append(context.Background(), r.reg, []Event{ev("c")})
				switch {
				case c.unsafe != "":
					if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), c.unsafe) {
						t.Errorf("running %t: %v, want ErrUnsafe with %q", k == running, err, c.unsafe)
					}
					if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Unreadable || !errors.Is(s.Err, ErrUnsafe) {
						t.Errorf("running %t: status %+v, %v", k == running, s, err)
					}
				case want == "":
					if err != nil {
						t.Errorf("running %t: %v", k == running, err)
					}
					r.check()
					continue
				default:
					d := wantDiverged(t, err, want)
					if want == PastLog && (d.Agree == nil || *d.Agree != Place{Record: 2, Line: 5}) {
						t.Errorf("last record known to agree: %+v, want 2 in line 5", d.Agree)
					}
					if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Diverged || !errors.Is(s.Err, ErrDiverged) {
						if c.name != "folder deleted" {
							t.Errorf("running %t: status %+v, %v", k == running, s, err)
						}
					}
				}
				if now := string(r.m.value(r.reg)["sha384"]); now != value {
					t.Errorf("running %t: the register was extended", k == running)
				}
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite replaces text in the log in place.
func overwrite(t *testing.T, r *rig, from, to string) {
	t.Helper()
	data, err := os.ReadFile(r.log())
	must(t, err)
	if !strings.Contains(string(data), from) {
		t.Fatalf("log has no %q:\n%s", from, data)
	}
	f, err := os.OpenFile(r.log(), os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(strings.Replace(string(data), from, to, 1))
	must(t, err)
}

// TestSuccessor: a new log that follows the rules is taken up by a keeper that
// has the old one open.
func TestSuccessor(t *testing.T) {
	for _, kept := range []bool{true, false} {
		r := newRig(t)
		k := r.open(nil)
		r.append(k, "a")
		other := r.open(nil)
		r.append(other, "b") // the running keeper has not seen this
		m := build(r, r.boot)
		m.extended()
		if kept {
			must(t, os.Link(r.log(), r.log()+".1"))
		}
		must(t, os.Remove(r.log()))
		m.save()
		r.append(k, "c")
		r.wantEvents("c")
		r.append(other, "d")
		r.wantEvents("c", "d")
	}
}

func TestUnsafeFolders(t *testing.T) {
	for name, change := range map[string]func(r *rig) error{
		"folder open to others": func(r *rig) error { return os.Chmod(r.dir(), 0o755) },
		"folder a link": func(r *rig) error {
			return errors.Join(os.Rename(r.dir(), r.dir()+".real"), os.Symlink(r.dir()+".real", r.dir()))
		},
		"folder a file": func(r *rig) error {
			return errors.Join(os.RemoveAll(r.dir()), os.WriteFile(r.dir(), nil, 0o600))
		},
		"state open to others":            func(r *rig) error { return os.Chmod(r.state, 0o777) },
		"state open to others and sticky": func(r *rig) error { return unix.Chmod(r.state, 0o1777) },
		"state open to a group":           func(r *rig) error { return os.Chmod(r.state, 0o770) },
	} {
		r := newRig(t)
		r.append(r.open(nil), "a")
		must(t, change(r))
		k := r.open(nil)
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
		if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Unreadable || !errors.Is(s.Err, ErrUnsafe) {
			t.Errorf("%s: status %+v, %v", name, s, err)
		}
	}
	if os.Geteuid() == 0 {
		r := newRig(t)
		r.append(r.open(nil), "a")
		must(t, os.Chown(r.log(), 12345, -1))
		if _, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "12345") {
			t.Errorf("another owner: %v", err)
		}
	}
}

// TestLeftoverOfACreator: one that died before its folder was in place.
func TestLeftoverOfACreator(t *testing.T) {
	r := newRig(t)
	temp := filepath.Join(r.state, ".rtmr2.first")
	must(t, os.MkdirAll(temp, 0o700))
	must(t, os.WriteFile(filepath.Join(temp, "log"), []byte("#: regis"), 0o600))
	r.append(r.open(nil), "a")
	r.wantEvents("a")
	if _, err := os.Lstat(temp); err == nil {
		t.Error("what a creator left is still there")
	}
}

// TestPlantedLeftover: what stands in the place of a creator's folder is not
// followed to other files.
func TestPlantedLeftover(t *testing.T) {
	for name, plant := range map[string]func(temp, victim string) error{
		"link": func(temp, victim string) error { return os.Symlink(victim, temp) },
		"file": func(temp, _ string) error { return os.WriteFile(temp, nil, 0o600) },
	} {
		r := newRig(t)
		victim := filepath.Join(t.TempDir(), "victim")
		must(t, os.MkdirAll(victim, 0o700))
		must(t, os.WriteFile(filepath.Join(victim, "log"), []byte("precious"), 0o600))
		must(t, os.MkdirAll(r.state, 0o700))
		must(t, plant(filepath.Join(r.state, ".rtmr2.first"), victim))
		if _, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("a")}); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(victim, "log")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		r := newRig(t)
		temp := filepath.Join(r.state, ".rtmr2.first")
		must(t, os.MkdirAll(temp, 0o700))
		must(t, os.Chown(temp, 12345, -1))
		if _, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("a")}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "12345") {
			t.Errorf("another owner: %v", err)
		}
	}
}

// TestFolderModes: neither a setgid parent nor the umask has a say in the modes
// of what a keeper makes.
func TestFolderModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0o277))
	if os.Geteuid() != 0 { // may not open what it cannot read
		unix.Umask(0o177)
	}
	r := newRig(t)
	parent := filepath.Dir(r.state)
	must(t, unix.Chmod(parent, 0o2755))
	r.append(r.open(nil), "a")
	must(t, unix.Chmod(r.state, 0o2755))
	r.reg = rtmr3
	r.append(r.open(nil), "b")
	for path, want := range map[string]uint32{
		filepath.Join(r.state, "rtmr2"): dirMode, r.dir(): dirMode,
		filepath.Join(r.state, "rtmr2", "log"): logMode, r.log(): logMode,
	} {
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		if st.Mode&0o7777 != want {
			t.Errorf("%s has mode %04o, want %04o", path, st.Mode&0o7777, want)
		}
	}
}

// TestEmptyFolder is not taken for no folder.
func TestEmptyFolder(t *testing.T) {
	r := newRig(t)
	must(t, os.MkdirAll(r.dir(), 0o700))
	_, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("a")})
	wantDiverged(t, err, LogGone)
}

func TestLockHeld(t *testing.T) {
	r := newRig(t)
	k := r.open(nil, func(o *Options) { o.LockTimeout = 30 * time.Millisecond })
	r.append(k, "a")
	f, err := os.Open(r.log())
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = k.Append(context.Background(), r.reg, []Event{ev("b")})
	if e, ok := errors.AsType[*LockError](err); !ok || !errors.Is(err, ErrLocked) || e.PID != os.Getpid() || e.Command == "" {
		t.Errorf("lock held by this process: %v", err)
	} else if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%q does not name the holder", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	long := r.open(nil)
	if _, err := long.Append(ctx, r.reg, []Event{ev("b")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context over while waiting for the lock: %v", err)
	}
	// Nothing of this harms a status, which takes no lock.
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Clean {
		t.Errorf("status %+v, %v", s, err)
	}
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_UN))
	r.append(k, "c")
	r.append(long, "d")
	r.wantEvents("a", "c", "d")
}

// TestFull: a log at its limit refuses whole calls and stays in step.
func TestFull(t *testing.T) {
	r := newRig(t)
	k := r.open(nil, func(o *Options) { o.MaxLog = 400 })
	r.append(k, "a")
	st, err := os.Stat(r.log())
	must(t, err)
	room := int(400 - st.Size())
	exact := strings.Repeat("x", room-len(line(""))-1)
	_, err = k.Append(context.Background(), r.reg, []Event{ev(exact + "x")})
	if e, ok := errors.AsType[*FullError](err); !ok || !errors.Is(err, ErrFull) || e.Size != st.Size() || e.Limit != 400 {
		t.Fatalf("one byte too many: %v", err)
	}
	r.append(k, exact)
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrFull) {
		t.Fatalf("full: %v", err)
	}
	once := ev("a")
	once.Once = true
	if got, err := k.Append(context.Background(), r.reg, []Event{once}); err != nil || !got[0].AlreadyThere {
		t.Errorf("a record that is there, on a full log: %+v, %v", got, err)
	}
	r.wantEvents("a", exact)
}

// TestCreatorHoldsTheLock: nobody else may extend INIT.
func TestCreatorHoldsTheLock(t *testing.T) {
	r := newRig(t)
	other := r.open(nil, func(o *Options) { o.LockTimeout = 10 * time.Millisecond })
	asked := false
	f := &faults{at: func(_ int, s string) fate {
		if s == "sync state" { // the folder is in place
			asked = true
			if _, err := other.Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrLocked) {
				t.Errorf("another writer got in before INIT was extended: %v", err)
			}
		}
		return pass
	}}
	r.append(r.open(f), "a")
	if !asked {
		t.Error("the step did not occur")
	}
	r.append(other, "b")
	r.wantEvents("a", "b")
}

// TestWaited: what a LockError says counts from the call, also of one that had
// no time left when it got its turn.
func TestWaited(t *testing.T) {
	r := newRig(t)
	const timeout = 100 * time.Millisecond
	k := r.open(nil, func(o *Options) { o.LockTimeout = timeout })
	r.append(k, "a")
	f, err := os.Open(r.log())
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	answers := make(chan error)
	for range 2 {
		go func() {
			_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
			answers <- err
		}()
	}
	for range 2 {
		err := <-answers
		if e, ok := errors.AsType[*LockError](err); !ok || e.Waited < timeout {
			t.Errorf("after %v: %v", timeout, err)
		}
	}
}

// TestSecondNameGoes: a second name that goes away while it is looked for is
// nothing to complain about.
func TestSecondNameGoes(t *testing.T) {
	r := newRig(t)
	r.append(r.open(nil), "a")
	l, err := openLog(r.dir(), unix.O_RDONLY)
	must(t, err)
	defer l.close()
	for range 2000 {
		must(t, os.Link(r.log(), r.log()+".1"))
		removed := make(chan error)
		go func() { removed <- os.Remove(r.log() + ".1") }()
		if _, err := l.check(); err != nil {
			t.Error(err)
		}
		must(t, <-removed)
	}
}

// TestGoneAndNotReadable: a log that is gone from under a keeper, with a
// register that cannot be read, is reported with both.
func TestGoneAndNotReadable(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "a")
	away := r.dir() + ".away"
	must(t, os.Rename(r.dir(), away))
	_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
	if d := wantDiverged(t, err, LogGone); !strings.Contains(d.Remedy, "mrlog log new --register rtmr2") || d.Device != nil {
		t.Errorf("folder moved away: %v", err)
	}
	f.at = func(_ int, step string) fate {
		if step == "read" {
			return failBefore
		}
		return pass
	}
	_, err = k.Append(context.Background(), r.reg, []Event{ev("b")})
	wantDiverged(t, err, LogGone)
	if !errors.Is(err, errInjected) || strings.Contains(err.Error(), "no such bank") || !strings.Contains(err.Error(), "could not be read") {
		t.Errorf("gone, and not readable: %v", err)
	}
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Unreadable || !errors.Is(s.Err, errInjected) {
		t.Errorf("status %+v, %v", s, err)
	}
	f.at = nil
	// The remedy, and without a restart.
	if _, err := r.open(nil).NewLog(context.Background(), r.reg); err != nil {
		t.Error(err)
	}
	r.append(k, "with the new log")
	k.Close()
	if _, err := k.Status(context.Background(), r.reg); !errors.Is(err, ErrClosed) {
		t.Errorf("status of a closed keeper: %v", err)
	}
	r.append(r.open(nil), "c")
	r.wantEvents("with the new log", "c")
}

// Whoever can read STATE can lock it, and must not keep first logs from being
// begun. The lock is on a file that nobody else can open.
func TestStateLock(t *testing.T) {
	r := newRig(t)
	must(t, os.Mkdir(r.state, 0o755))
	must(t, os.Chmod(r.state, 0o755))
	f, err := os.Open(r.state)
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	short := func(o *Options) { o.LockTimeout = 20 * time.Millisecond }
	r.append(r.open(nil, short), "a")
	path := filepath.Join(r.state, ".lock")
	st, err := os.Lstat(path)
	if err != nil || st.Mode() != 0o600 {
		t.Fatalf("%v, %v", st.Mode(), err)
	}
	first := func() error {
		t.Helper()
		must(t, os.RemoveAll(r.dir()))
		r.m.reset()
		_, err := r.open(nil, short).Append(context.Background(), r.reg, []Event{ev("b")})
		return err
	}
	held, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer held.Close()
	must(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))
	if e, ok := errors.AsType[*LockError](first()); !ok || e.Path != path {
		t.Errorf("locked: %v", e)
	}
	must(t, os.Chmod(path, 0o644))
	if err := first(); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "lets others open it") {
		t.Errorf("open to others: %v", err)
	}
	must(t, os.Remove(path))
	must(t, os.Symlink("elsewhere", path))
	if err := first(); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a symbolic link: %v", err)
	}
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700))
	if err := first(); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a folder: %v", err)
	}
	must(t, os.Remove(path))
	must(t, first())
}

// Another program that knows nothing of our lock may make the first log at the
// same time: it is joined.
func TestFirstLogMadeByAnother(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	other := r.open(nil)
	other.disk = unlockedDisk{other.disk}
	f.at = func(n int, step string) fate {
		if step == "place rtmr2" {
			must(t, os.Rename(filepath.Join(r.state, ".lock"), filepath.Join(r.state, ".held")))
			r.append(other, "b")
		}
		return pass
	}
	r.append(r.open(f), "a")
	r.wantEvents("b", "a")
	if _, err := os.Lstat(filepath.Join(r.state, ".rtmr2.first")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// unlockedDisk is that of a program with another name for the folder that it
// makes.
type unlockedDisk struct{ disk }

func elsewhere(p string) string { return strings.Replace(p, ".first", ".other", 1) }

func (d unlockedDisk) mkdir(p string) error              { return d.disk.mkdir(elsewhere(p)) }
func (d unlockedDisk) chmodDir(p string) error           { return d.disk.chmodDir(elsewhere(p)) }
func (d unlockedDisk) clear(string) error                { return nil }
func (d unlockedDisk) remove(string) error               { return nil }
func (d unlockedDisk) create(p string) (fd int, e error) { return d.disk.create(elsewhere(p)) }
func (d unlockedDisk) syncDir(p string) error            { return d.disk.syncDir(elsewhere(p)) }
func (d unlockedDisk) place(a, b string) error           { return d.disk.place(elsewhere(a), b) }

// A file system that cannot do what a new log needs is named as such.
func TestPlaceError(t *testing.T) {
	err := placeError("/state/rtmr2", unix.EINVAL)
	if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "RENAME_NOREPLACE") || !strings.Contains(err.Error(), "/state/rtmr2") {
		t.Errorf("got %v", err)
	}
	if err := placeError("x", unix.EEXIST); !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v", err)
	}
	if err := placeError("x", nil); err != nil {
		t.Errorf("got %v", err)
	}
}
