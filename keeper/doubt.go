// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// A device may give values from a cache that shows each extend that succeeded,
// but not one that failed although it happened (device.Reading.Cached). The
// keeper whose extend failed knows, since its device says that the value is not
// fresh. For everybody else it leaves mode 01700: a value from a cache then says
// how far the register was extended at least, and the first record after that is
// undecided. No record after it was extended. What decides it:
//
//   - a value that does not come from a cache, or one that shows the record,
//   - a person: see Settle.

// ErrReadable: something was to be assumed about a register that tells by itself
// what it holds.
var ErrReadable = errors.New("register can be read: nothing needs to be assumed")

// errStale is why a value is not used.
var errStale = errors.New("the device gave a value that may be old, since an extend failed and nothing has refreshed its cache: that ends with the next extend of the device that succeeds, or with a device that reads the register itself")

func (b *book) stale() error {
	return fmt.Errorf("%s: reading the register: %w", b.desc.Name, errStale)
}

// doubt leaves word, durably, that an extend failed and that the register did
// not say whether it happened. Without it, another process may believe a value
// from before the extend, and extend the record again.
func (b *book) doubt() error {
	err := b.k.disk.doubt(b.log.fd)
	if err == nil {
		err = b.syncAll()
	}
	if err != nil {
		return fmt.Errorf("the log could not be marked, and another process may take an old value for the register's: %w", err)
	}
	return nil
}

// weighed reads the register, and finds out what its value is worth beside the
// log's mode.
func (b *book) weighed(ctx context.Context, st *unix.Stat_t) ([]mrlog.Digest, error) {
	r, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	if !r.Fresh && st.Mode&doubted == 0 {
		// It was our extend. If there is no record that it is about, or the mark
		// still cannot be written, nothing can be done with such a value.
		if st.Mode&inFlight == 0 || b.doubt() != nil {
			return nil, b.stale()
		}
		st.Mode |= doubted
	}
	b.unsure = st.Mode&doubted != 0 && unproven(r)
	return r.Values, nil
}

// unproven reports whether a value may be of before an extend that failed.
func unproven(r device.Reading) bool { return r.Cached || !r.Fresh }

// Settle decides a record of which nobody can tell whether it was extended
// (ErrUndecided): because its register cannot be read and the writer did not come
// to an end, or because the device failed and gives values from a cache. With
// extended, the record was: the log is as it must be. If not, the record is
// extended now. Nothing is done if nothing is undecided. A wrong answer is a log
// that does not give the register's value. Verification finds that; of a register
// that cannot be read, nobody here can.
//
// If nothing is undecided in a register that can be read, the error wraps
// ErrReadable.
//
// Steps, in order, under the lock:
//
//	device: Extend                if it was not: until the bit is cleared, the
//	                              record is undecided as before
//	fchmod(log, 0600), fsync(log)
//
// Where the device has a cache and the record was extended, the cache must be
// refreshed by an extend that succeeds. The records after it are extended for
// that; if there is none, the log is kept as log.N and a new one begun where it
// ends, see setAside, whose INIT is extended.
func (k *Keeper) Settle(ctx context.Context, reg mrlog.Register, extended bool) (Outcome, error) {
	b, err := k.book(reg)
	if err != nil {
		return Outcome{}, err
	}
	if err := b.enter(ctx); err != nil {
		return Outcome{}, err
	}
	defer b.leave()
	defer b.release()
	err = b.bring(ctx, time.Now().Add(k.timeout), false)
	u, doubt := errors.AsType[*UndecidedError](err)
	switch {
	case !doubt && !b.blind() && (err == nil || err == errNoLog):
		return Outcome{}, fmt.Errorf("%s: %w", reg, ErrReadable)
	case err == errNoLog:
		return Outcome{Absent: true}, nil
	case !doubt:
		b.outcome.Records = b.known.records
		return b.outcome, err
	}
	if err := b.settle(context.WithoutCancel(ctx), u, extended); err != nil {
		return b.outcome, err
	}
	b.outcome.Assumed = true
	b.outcome.Records = b.known.records
	return b.outcome, nil
}

// settle does what Settle says, under the lock.
func (b *book) settle(ctx context.Context, u *UndecidedError, extended bool) error {
	todo := u.tail
	if extended {
		todo = todo[1:]
	}
	if extended && u.Cached && len(todo) == 0 {
		if err := b.setAside(ctx, b.known.values); err != nil {
			return err
		}
		st, err := b.log.check()
		if err == nil {
			err = b.known.advance(b.log, st.Size, nil)
		}
		if err != nil {
			return err
		}
		init, _ := errors.AsType[*UndecidedError](b.undecided(0, nil))
		if init == nil {
			return fmt.Errorf("%s: the log just begun has no record", b.log.path)
		}
		todo = init.tail
		if err := b.syncFolders(); err != nil {
			return err
		}
	}
	if len(todo) > 0 {
		n, err := b.k.device.Extend(ctx, b.desc.Name, todo)
		if err == nil && n != len(todo) {
			err = fmt.Errorf("the device extended %d records of %d and gave no error", n, len(todo))
		}
		if err != nil {
			return fmt.Errorf("%w: extending it: %w", u, err)
		}
		b.outcome.Extended = len(todo)
	}
	if u.Cached {
		return b.reconcile(ctx) // the cache shows now whether it was so
	}
	b.sure = b.known.records
	if err := b.clear(); err != nil {
		return b.notMended("clearing the sticky bit", err)
	}
	b.agree()
	return nil
}
