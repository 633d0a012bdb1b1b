// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
)

// Begun says what NewLog has begun, and what became of the log before.
type Begun struct {
	Path  string         // of the new log
	Start []mrlog.Digest // the register's value that its INIT states

	Kept    string // path under which the old log is kept; "" if there was none
	Records int64  // complete records in it, INIT included
	// Joined: the old log ends where the new one starts, so that verification
	// can go from one to the other.
	Joined bool
	// FromReset: the new log starts from the register's reset value, and needs
	// nothing before it to be verified. If neither this nor Joined holds, what
	// the register held before the new log remains unexplained.
	FromReset bool

	// Diverged is what log and register looked like before; nil if they
	// belonged together.
	Diverged *Divergence
}

// NewLog keeps a register's log as it is, as log.N, and begins a new one at the
// register's present value. It is the remedy for a log that has diverged, is
// full or is gone, and it works at any other time (but not while a record is
// undecided: ErrUndecided): what a crash has interrupted is completed in the old log first, and the two logs join. A log of an earlier
// boot, and a register without a log, get the new one that the next event would
// have begun.
//
// Other keepers, of this process and of others, go on with the new log.
//
// An error that wraps ErrDiverged says that the register was extended while
// the new log began: by a program that does not follow the rules, or one that
// was still at work on a log that was deleted under it. Call again.
func (k *Keeper) NewLog(ctx context.Context, reg mrlog.Register) (Begun, error) {
	b, err := k.book(reg)
	if err != nil {
		return Begun{}, err
	}
	if err := b.enter(ctx); err != nil {
		return Begun{}, err
	}
	defer b.leave()
	defer b.release()
	began := time.Now()
	n, err := b.newLog(ctx, began.Add(k.timeout))
	if e, ok := errors.AsType[*LockError](err); ok {
		e.Waited = time.Since(began)
	}
	return n, err
}

// newLog brings log and register together, or finds out why that cannot be
// done; then it goes the way that the finding leaves:
//
//	there is none                     create
//	begun just now, after a reset     nothing more
//	there, and its lock is held       setAside
//	gone                              beginLost
//
// and extends INIT.
func (b *book) newLog(ctx context.Context, deadline time.Time) (n Begun, err error) {
	create := false
	var last []mrlog.Digest // of a register that cannot be read, as this keeper knew it
	if b.blind() && b.agreed != nil {
		last = cloneDigests(b.agreed.values)
	}
	for range maxReopen {
		err := b.bring(ctx, deadline, create)
		d, _ := errors.AsType[*Divergence](err)
		if d != nil && n.Diverged == nil {
			n.Diverged = d // of several, the first knows most: see below
		}
		switch {
		case err == errNoLog:
			create = true
			continue
		case err != nil && d == nil:
			return n, err
		case create && err == nil:
			return b.begun(n), nil
		case b.outcome.SetAside != "":
			if err != nil {
				return n, err
			}
			n.Kept, n.Records = b.outcome.SetAside, b.outcome.AsideRecords
			return b.begun(n), nil
		case d != nil && d.Reason == LogGone && b.log != nil:
			// The log that we know is gone. What is at its path now, if
			// anything, is the log for everybody else.
			b.release()
			b.drop()
			b.agreed = nil
			continue
		case d != nil && d.Reason == LogGone:
			switch made, err := b.beginLost(ctx, deadline, last); {
			case err != nil:
				return n, err
			case !made:
				continue // it is back
			}
		default: // the log is there, and locked
			live, err := b.presentValue(ctx, d, last)
			if err != nil {
				return n, err
			}
			n.Records = b.known.records
			if d != nil {
				n.Records = d.Records
			}
			n.Joined = (d == nil || !b.blind()) && b.known.stop == nil && b.known.second == nil && sameValues(b.known.values, live)
			switch err := b.setAside(ctx, live); {
			case err == errMoved:
				continue
			case err != nil:
				return n, err
			}
			n.Kept = b.outcome.SetAside
		}
		if err := b.bring(ctx, deadline, false); err != nil { // extends INIT
			return n, err
		}
		return b.begun(n), nil
	}
	return n, fmt.Errorf("%s: replaced again and again by other processes", b.dir)
}

// presentValue is what the register holds. One that cannot be read holds what
// its log gives; if that is not to be trusted, what this keeper knew last, and
// if it knew nothing, nobody can say: then it is the reset value that is assumed.
func (b *book) presentValue(ctx context.Context, d *Divergence, last []mrlog.Digest) ([]mrlog.Digest, error) {
	switch {
	case !b.blind():
		return b.live(ctx)
	case d == nil:
		return cloneDigests(b.known.values), nil
	case b.agreed != nil && sameBanks(b.desc.Banks, b.agreed.values):
		return cloneDigests(b.agreed.values), nil
	case last != nil:
		return last, nil
	case b.known.stop == nil && sameBanks(b.desc.Banks, b.known.values):
		return cloneDigests(b.known.values), nil
	}
	return resetValue(b.desc), nil
}

// begun completes what is said about the log that is open now.
func (b *book) begun(n Begun) Begun {
	n.Path, n.Start = b.log.path, cloneDigests(b.known.start)
	n.FromReset = isReset(b.desc, n.Start) && (n.Diverged == nil || !b.blind())
	return n
}

// beginLost makes a new log in a folder that has lost its own. It returns false
// if there is one again. live is the register's value, nil if it must be asked
// for. The new log is open and locked afterwards, its INIT not
// extended yet.
//
// There is no log to lock: the folder is locked instead, as by setAside, so that
// neither puts its log in the place of the other's. A keeper
// that still has the deleted log open and is in the middle of an append is not
// kept out by that. It extends the register behind INIT, which is noticed when
// INIT is to be extended.
//
// Steps, in order:
//
//	flock(folder, LOCK_EX)                one at a time
//	lstat(log)                            still none?
//	device: Read
//	unlink(log.lost) of a keeper that died
//	open(log.lost, O_CREAT|O_EXCL), fchmod(01600), flock(log.lost, LOCK_EX)
//	write, fstat, fdatasync(log.lost)
//	renameat2(log.lost, log, RENAME_NOREPLACE)   a log put back is not lost again
func (b *book) beginLost(ctx context.Context, deadline time.Time, live []mrlog.Digest) (made bool, err error) {
	disk := b.k.disk
	if err := checkState(b.k.state); err != nil {
		return false, err
	}
	if b.volatile, err = disk.volatile(b.dir); err != nil {
		return false, err
	}
	folder, err := lockFolder(ctx, b.dir, deadline)
	if err != nil {
		return false, err
	}
	defer unix.Close(folder) // and gives up its lock
	path, fresh := filepath.Join(b.dir, logName), filepath.Join(b.dir, lostName)
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case err == nil:
		return false, nil
	case err != unix.ENOENT:
		return false, pathError("stat", path, err)
	}
	if live == nil {
		if live, err = b.startValue(ctx); err != nil {
			return false, err
		}
	}
	if err := disk.unlink(fresh); err != nil && !notExist(err) {
		return false, b.notBegun("unlink", err)
	}
	text, err := b.opening(live)
	if err != nil {
		return false, b.notBegun("opening", err)
	}
	step, err := b.begin(ctx, fresh, text)
	if err == nil {
		step, err = "rename", disk.place(fresh, path)
	}
	if err != nil {
		b.drop()
		_ = disk.unlink(fresh) // if not, the next one does
		if errors.Is(err, unix.EEXIST) {
			return false, nil
		}
		return false, b.notBegun(step, err)
	}
	b.log.path, b.agreed = path, nil
	return true, nil
}
