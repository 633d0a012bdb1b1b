// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// opening returns the text of a new log: hints, then INIT with the register's
// value. Where that cannot be read, a hint says that it is assumed, and INIT has
// no newline yet: see blind.go.
func (b *book) opening(live []mrlog.Digest) ([]byte, error) {
	text, err := nelr.AppendHint(nil, nelr.HintRegister, b.desc.Name.String())
	if err == nil && b.k.boot != "" {
		text, err = nelr.AppendHint(text, nelr.HintBoot, b.k.boot)
	}
	if err == nil && b.blind() {
		text, err = nelr.AppendHint(text, hintStart, startAssumed)
	}
	if err != nil {
		return nil, err
	}
	text = mrlog.AppendInit(text, live)
	if b.blind() {
		return text, nil
	}
	return append(text, '\n'), nil
}

// create makes the first log of a register, with INIT alone in it, and leaves
// it open and locked. INIT is not extended yet: reconcile finds that.
//
// Steps, in order:
//
//	mkdir(STATE), open(STATE, O_DIRECTORY|O_NOFOLLOW), fchmod(0700),
//	fsync(STATE/..)                       if it is not there
//	open(STATE/.lock, O_RDWR|O_CREAT|O_NOFOLLOW), flock(.lock, LOCK_EX)
//	                                      one creator at a time
//	open(STATE/.REGISTER.first, O_DIRECTORY|O_NOFOLLOW), unlinkat(log),
//	rmdir(STATE/.REGISTER.first)            of a creator that died
//	device: Read
//	fstatfs(STATE)                        room for INIT and the reserve
//	mkdir(STATE/.REGISTER.first)
//	open(STATE/.REGISTER.first, O_DIRECTORY|O_NOFOLLOW), fchmod(0700)
//	open(STATE/.REGISTER.first/log, O_CREAT|O_EXCL), fchmod(01600)
//	flock(log, LOCK_EX)                   held until INIT is extended
//	write, fstat, fdatasync(log), fsync(STATE/.REGISTER.first)
//	renameat2(STATE/.REGISTER.first, STATE/REGISTER, RENAME_NOREPLACE)
//
// STATE is synced by whoever extends INIT: syncFolders.
func (b *book) create(ctx context.Context, deadline time.Time) error {
	fail := b.notBegun
	disk, state := b.k.disk, b.k.state
	if err := b.createState(); err != nil {
		return fail("state folder", err)
	}
	if err := checkState(state); err != nil {
		return err
	}
	var err error
	if b.volatile, err = b.k.disk.volatile(state); err != nil {
		return err
	}
	held, err := lockState(ctx, state, deadline)
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fail("lock", err)
	}
	if err != nil {
		return err
	}
	defer unix.Close(held) // and gives up its lock
	var st unix.Stat_t
	if unix.Lstat(b.dir, &st) == nil {
		return nil // another process made it
	}
	temp := filepath.Join(state, "."+b.desc.Name.String()+".first")
	clear := func() error {
		if err := disk.clear(temp); err != nil && !notExist(err) {
			return err
		}
		if err := disk.remove(temp); err != nil && !notExist(err) {
			return err
		}
		return nil
	}
	if unix.Lstat(temp, &st) == nil {
		if err := clear(); err != nil {
			return fail("removing what a crash left", err)
		}
	}
	live, err := b.startValue(ctx)
	if err != nil {
		return err
	}
	text, err := b.opening(live)
	if err != nil {
		return fail("opening", err)
	}
	path := filepath.Join(b.dir, logName)
	switch err := b.checkRoom(held, path, len(text)); {
	case errors.Is(err, ErrFull):
		return err
	case err != nil:
		return fail("free space", err)
	}
	if err := disk.mkdir(temp); err != nil {
		return fail("mkdir", err)
	}
	if err := disk.chmodDir(temp); err != nil {
		return fail("chmod", err)
	}
	b.known, b.index, b.agreed = replay{}, nil, nil
	b.size, b.mtime = 0, unix.Timespec{}
	step, err := b.begin(ctx, filepath.Join(temp, logName), text)
	if err == nil && !b.volatile {
		step, err = "sync", disk.syncDir(temp)
	}
	if err == nil {
		step, err = "rename", disk.place(temp, b.dir)
	}
	if err != nil {
		b.drop()
		_ = clear() // if not, the next creator does
		if step == "rename" && errors.Is(err, unix.EEXIST) {
			return nil // another program made it, which does not know our lock
		}
		return fail(step, err)
	}
	b.log.path = path
	return nil
}

// syncFolders makes it durable that the log is at its path. It is done before
// INIT is extended, and not where the log is put there: a crash in between would
// skip it.
func (b *book) syncFolders() error {
	if b.volatile {
		return nil
	}
	err := b.k.disk.syncDir(b.dir)
	if err == nil {
		err = b.k.disk.syncDir(b.k.state)
	}
	if err != nil {
		return b.notMended("sync of the folder", err)
	}
	return nil
}

// notBegun is the error of a step on the way to a new log.
func (b *book) notBegun(step string, err error) error {
	return &AppendError{Register: b.desc.Name, Outcome: ErrRefused, Step: "beginning a log: " + step, Err: err, Before: true}
}

// lockState takes the lock under which first logs begin. It is on a file of its
// own, which nobody else can open, and not on STATE, which others may read and so
// lock. The file is never removed. The lock ends with it.
func lockState(ctx context.Context, state string, deadline time.Time) (fd int, err error) {
	path := filepath.Join(state, lockName)
	fd, err = retry(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, logMode)
	})
	switch {
	case err == unix.ELOOP || err == unix.EISDIR || err == unix.ENXIO:
		return -1, &UnsafeError{Path: path, What: "it is not a regular file"}
	case err != nil:
		return -1, pathError("open", path, err)
	}
	if err := checkLock(fd, path); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if err := lock(ctx, fd, path, deadline); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkLock looks at the open lock file of STATE.
func checkLock(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return pathError("stat", path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &UnsafeError{Path: path, What: "it is not a regular file"}
	case int(st.Uid) != os.Geteuid():
		return &UnsafeError{Path: path, What: fmt.Sprintf("it belongs to user %d, want %d", st.Uid, os.Geteuid())}
	case st.Mode&0o077 != 0:
		return &UnsafeError{Path: path, What: fmt.Sprintf("its mode %04o lets others open it, and hold its lock", st.Mode&0o7777)}
	}
	return nil
}

// lockFolder takes the lock under which a log takes the place of another, or of
// one that is gone. Nobody else can open the folder. It is taken after that of
// the log, if there is one, and nobody waits for a log under it.
func lockFolder(ctx context.Context, dir string, deadline time.Time) (folder int, err error) {
	if folder, err = ownFolder(dir); err != nil {
		return -1, err
	}
	if err := lock(ctx, folder, dir, deadline); err != nil {
		unix.Close(folder)
		return -1, err
	}
	return folder, nil
}

// createState makes the state folder.
func (b *book) createState() error {
	var st unix.Stat_t
	if unix.Stat(b.k.state, &st) == nil {
		return nil
	}
	parent := filepath.Dir(b.k.state)
	switch err := b.k.disk.mkdir(b.k.state); {
	case errors.Is(err, unix.EEXIST): // made by another process meanwhile
	case err != nil:
		return err
	default:
		if err := b.k.disk.chmodDir(b.k.state); err != nil {
			return err
		}
	}
	volatile, err := b.k.disk.volatile(parent)
	if err != nil || volatile {
		return err
	}
	return b.k.disk.syncDir(parent)
}

// begin makes a log at path, locks it and writes its opening. It becomes the
// book's log, whatever the error.
func (b *book) begin(ctx context.Context, path string, text []byte) (step string, err error) {
	fd, err := b.k.disk.create(path)
	if err != nil {
		return "create", err
	}
	b.log = &logFile{fd: fd, path: path}
	if err := lock(ctx, fd, path, time.Now()); err != nil { // nobody else can know it yet
		return "lock", err
	}
	b.locked = true
	if err := b.write(text, 0); err != nil {
		return "write", err
	}
	return "sync", b.sync()
}

// setAside keeps the log as log.N and begins a new one: after another boot, or
// because NewLog was called. The new log is open and locked afterwards, its INIT
// not extended yet. With an error the old one is open and locked.
//
// Steps, in order, under the lock of the old log:
//
//	flock(folder, LOCK_EX), fstat, lstat  still the log at its path?
//	unlink(log.new) of a keeper that died
//	open(log.new, O_CREAT|O_EXCL), fchmod(01600), flock(log.new, LOCK_EX)
//	write, fstat, fdatasync(log.new)
//	link(log, log.N)
//	rename(log.new, log)
//	close(old log)                        its waiters go over to the new one
//
// A crash between link and rename leaves a log with two names: unlinkTwin. The
// error is errMoved if the log is no longer the one at its path.
func (b *book) setAside(ctx context.Context, live []mrlog.Digest) error {
	folder, err := lockFolder(ctx, b.dir, b.deadline)
	if err != nil {
		return err
	}
	defer unix.Close(folder) // and gives up its lock
	switch id, err := b.log.still(); {
	case err != nil:
		return err
	case id != same:
		return errMoved
	}
	disk, old, fail := b.k.disk, b.log, b.notBegun
	path, fresh := old.path, filepath.Join(b.dir, newName)
	text, err := b.opening(live)
	if err != nil {
		return fail("opening", err)
	}
	if err := disk.unlink(fresh); err != nil && !notExist(err) {
		return fail("unlink", err)
	}
	numbers, err := numbered(b.dir)
	if err != nil {
		return fail("list", err)
	}
	n := 1
	if len(numbers) > 0 {
		n = numbers[0] + 1
	}
	aside := path + "." + strconv.Itoa(n)
	step, err := b.begin(context.Background(), fresh, text)
	if err == nil {
		step, err = "link", disk.link(path, aside)
	}
	if err == nil {
		step, err = "rename", disk.replace(fresh, path)
	}
	if err != nil {
		if b.log != old {
			b.log.close()
		}
		b.log, b.locked = old, true
		_ = disk.unlink(fresh) // if not, the next one does
		return fail(step, err)
	}
	// From here on, the new log is the log.
	b.log.path = path
	old.close()
	b.outcome.SetAside, b.outcome.AsideRecords = aside, b.known.records
	b.known, b.index, b.agreed = replay{}, nil, nil
	b.size, b.mtime, b.told, b.sure = 0, unix.Timespec{}, false, 0
	return nil
}

// unlinkTwin removes the second name of a log that a keeper did not come to
// set aside: one that died between link and rename. It is called under the
// lock, so that no other keeper is there now.
func (b *book) unlinkTwin(st unix.Stat_t) error {
	twin, err := b.log.aside(st)
	if err != nil || twin == "" {
		return err
	}
	return b.k.disk.unlink(twin)
}
