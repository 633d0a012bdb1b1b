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

	"golang.org/x/sys/unix"
)

// mountTmpfs mounts a tmpfs, if this process may.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skip("skipped: cannot mount a tmpfs here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func readOnly(t *testing.T, dir string) {
	t.Helper()
	must(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}

// TestFullDisk fills a small file system, with a reserve and without one. Every
// refusal comes before the write as long as the reserve is there.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		reserve  int64
		min, max int // events of 3 KiB on 64 KiB
	}{{16 << 10, 10, 16}, {-1, 14, 22}, {0, 0, 0}} {
		dir := mountTmpfs(t, "size=64k")
		r := newRig(t)
		r.state = filepath.Join(dir, "state")
		f := new(faults)
		k := r.open(f, func(o *Options) { o.MinFree = c.reserve })
		var acked []string
		for i := range 40 {
			content := fmt.Sprint(i, " ", strings.Repeat("x", 3000))
			f.steps = nil
			_, err := k.Append(context.Background(), r.reg, []Event{ev(content)})
			if err == nil {
				acked = append(acked, content)
				continue
			}
			full, ok := errors.AsType[*SpaceError](err)
			switch {
			case c.reserve >= 0 && (!ok || !errors.Is(err, ErrFull)):
				t.Fatalf("reserve %d: %v", c.reserve, err)
			case c.reserve >= 0:
				if full.Free-full.Need >= full.Reserve || !strings.Contains(err.Error(), r.log()) {
					t.Fatalf("reserve %d: %v", c.reserve, err)
				}
				for _, s := range f.steps {
					if s == "write" || s == "mark true" || strings.HasPrefix(s, "extend") || s == "mkdir .rtmr2.first" {
						t.Fatalf("reserve %d: step %q of an event that was refused", c.reserve, s)
					}
				}
			case !ok && (!errors.Is(err, ErrRefused) || !errors.Is(err, unix.ENOSPC)):
				t.Fatalf("without a reserve: %v", err)
			}
		}
		if len(acked) < c.min || len(acked) > c.max {
			t.Errorf("reserve %d: %d records on a disk of 64 KiB", c.reserve, len(acked))
		}
		if c.reserve == 0 {
			continue // the default reserve is as large as the disk: nothing was written
		}
		r.wantEvents(acked...)
		s, err := k.Status(context.Background(), r.reg)
		if err != nil || s.State != Clean || s.Free < 0 || s.Free > 24<<10 || !strings.Contains(s.Remedy, "make room") && c.reserve > 0 {
			t.Errorf("reserve %d: status %+v, %v", c.reserve, s, err)
		}
		if c.reserve > 0 {
			// What mending and a new log need, the reserve has: what a crash left
			// is extended, a log begun.
			leave(r, line("left")+"\ntorn")
			if _, err := k.Recover(context.Background(), r.reg); err != nil {
				t.Error(err)
			}
			r.wantEvents(append(acked, "left")...)
			n, err := k.NewLog(context.Background(), r.reg)
			if err != nil {
				t.Fatal(err)
			}
			// Room again.
			must(t, os.Remove(n.Kept))
			r.append(k, "again")
			r.wantEvents("again")
		}
	}
}

// TestNewLogOnAFullDisk: nothing is changed, nothing is left.
func TestNewLogOnAFullDisk(t *testing.T) {
	dir := mountTmpfs(t, "size=64k")
	r := newRig(t)
	r.state = filepath.Join(dir, "state")
	k := r.open(nil, func(o *Options) { o.MinFree = -1 })
	r.append(k, "a")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk does not get full")
	}
	_, err := k.NewLog(context.Background(), r.reg)
	if !errors.Is(err, ErrRefused) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "nothing was recorded") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(r.dir(), newName)); err == nil {
		t.Error("a log that was not begun is still there")
	}
	r.wantEvents("a")
	must(t, os.Remove(filler))
	r.append(k, "b")
	r.wantEvents("a", "b")
}

// TestNoLimit: a tmpfs without a size states none.
func TestNoLimit(t *testing.T) {
	dir := mountTmpfs(t, "size=0")
	r := newRig(t)
	r.state = filepath.Join(dir, "state")
	k := r.open(nil, func(o *Options) { o.MinFree = 1 << 60 })
	r.append(k, "a")
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Clean || s.Free != -1 || s.Remedy != "" {
		t.Errorf("status %+v, %v", s, err)
	}
}

// TestRoom: the units of statfs.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		st   unix.Statfs_t
		want int64
	}{
		{unix.Statfs_t{}, noLimit},
		{unix.Statfs_t{Blocks: 10, Bavail: 3, Bsize: 4096}, 3 * 4096},
		{unix.Statfs_t{Blocks: 10, Bavail: 3, Bfree: 9, Bsize: 1 << 20, Frsize: 512}, 3 * 512},
		{unix.Statfs_t{Blocks: 10, Bsize: 4096}, 0},
		{unix.Statfs_t{Blocks: 10, Bavail: 1 << 63, Bsize: 4096}, noLimit},
	} {
		if got := room(&c.st); got != c.want {
			t.Errorf("%+v: %d, want %d", c.st, got, c.want)
		}
	}
}

// TestBatchThatDoesNotFit: of calls that wait together, those are recorded for
// which there is room.
func TestBatchThatDoesNotFit(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "first")
	b := k.books[r.reg]
	b.queue = nil
	for _, content := range []string{"a", strings.Repeat("x", 1000), "b"} {
		it, err := ev(content).render(b.desc.Banks)
		must(t, err)
		b.queue = append(b.queue, &call{items: []item{it}, done: make(chan struct{})})
	}
	calls := b.queue
	batch := b.take(k.minFree + 100)
	if len(batch.calls) != 2 || !errors.Is(calls[1].err, ErrFull) || calls[0].err != nil || calls[2].err != nil {
		t.Errorf("%d calls in the batch, %v", len(batch.calls), calls[1].err)
	}
	if batch := b.take(noLimit); len(batch.calls) != 0 {
		t.Error("calls are left")
	}
}

// TestReadOnly: a file system that turns read-only under a writer, and one that
// is so from the beginning.
func TestReadOnly(t *testing.T) {
	dir := mountTmpfs(t, "size=4m")
	r := newRig(t)
	r.state = filepath.Join(dir, "state")
	k := r.open(nil)
	r.append(k, "a")
	k.Close() // the kernel does not make it read-only with the log open
	leave(r, line("left")+"\n")
	readOnly(t, dir)
	value := string(r.m.value(r.reg)["sha384"])
	before, err := os.ReadFile(r.log())
	must(t, err)
	for _, reg := range []string{"the log", "no log"} {
		k := r.open(nil)
		for name, err := range map[string]error{
			"Append":  second(k.Append(context.Background(), r.reg, []Event{ev("x")})),
			"Comment": k.Comment(context.Background(), r.reg, "x"),
			"Recover": second(k.Recover(context.Background(), r.reg)),
			"NewLog":  second(k.NewLog(context.Background(), r.reg)),
		} {
			if name == "Recover" && reg == "no log" {
				continue // nothing to do
			}
			if !errors.Is(err, ErrRefused) || !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "read-only file system") || !strings.Contains(err.Error(), "nothing was recorded") {
				t.Errorf("%s, %s: %v", reg, name, err)
			}
		}
		s, err := k.Status(context.Background(), r.reg)
		want := Behind
		if reg == "no log" {
			want = Absent
		}
		if err != nil || s.State != want || !s.ReadOnly || !strings.Contains(s.Remedy, "writable") {
			t.Errorf("%s: status %+v, %v", reg, s, err)
		}
		r.reg = rtmr3
	}
	r.reg = rtmr2
	if now, _ := os.ReadFile(r.log()); string(now) != string(before) || string(r.m.value(r.reg)["sha384"]) != value {
		t.Error("log or register changed")
	}
	must(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, ""))
	r.append(r.open(nil), "b")
	r.wantEvents("a", "left", "b")
}

// errorDisk gives an error of the kernel at one kind of step, as if nothing had
// happened there.
type errorDisk struct {
	disk
	step string
	err  error
}

func (d errorDisk) mark(fd int, on bool) error {
	if d.step == "mark" {
		return d.err
	}
	return d.disk.mark(fd, on)
}

func (d errorDisk) write(fd int, p []byte) (int, error) {
	if d.step == "write" {
		return 0, d.err
	}
	return d.disk.write(fd, p)
}

func (d errorDisk) free(fd int) (int64, error) {
	if d.step == "free" {
		return 0, d.err
	}
	return d.disk.free(fd)
}

// TestRefusedByTheKernel: what the kernel says reaches the caller, and log and
// register are untouched: a file system that turns read-only after an error
// with the log open, a quota, a full disk behind a statfs that did not know.
func TestRefusedByTheKernel(t *testing.T) {
	for _, d := range []errorDisk{
		{step: "mark", err: unix.EROFS},
		{step: "write", err: unix.EDQUOT},
		{step: "write", err: unix.ENOSPC},
		{step: "write", err: unix.EIO},
		{step: "free", err: unix.EIO},
	} {
		r := newRig(t)
		k := r.open(nil)
		r.append(k, "a")
		value := string(r.m.value(r.reg)["sha384"])
		d.disk = k.disk
		k.disk = d
		_, err := k.Append(context.Background(), r.reg, []Event{ev("b")})
		if !errors.Is(err, ErrRefused) || !errors.Is(err, d.err) || !strings.Contains(err.Error(), d.err.Error()) {
			t.Errorf("%s: %v: %v", d.step, d.err, err)
		}
		r.wantEvents("a")
		if string(r.m.value(r.reg)["sha384"]) != value {
			t.Errorf("%s: the register was extended", d.step)
		}
		k.disk = d.disk
		r.append(k, "c")
		r.wantEvents("a", "c")
	}
}
