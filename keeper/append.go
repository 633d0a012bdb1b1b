// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mrlog.dev/nelr"
)

// commit appends a batch and extends its records. It is called under the lock,
// with log and register in agreement. It returns how many bytes of the batch's
// text are recorded: all of them without an error, else those of the records
// that were extended nonetheless; the error is for the rest.
//
// Steps, in order, after those of acquire:
//
//	fstatfs(log)              room for the batch and the reserve, see lead
//	fchmod(log, 01600)        a write is in flight
//	write(log)                all lines at once, O_APPEND
//	fstat(log)                the size is what it must be
//	fdatasync(log)            unless the file system is volatile
//	device: Extend            all records, in order
//	fchmod(log, 0600)
//
// and after them fstat and flock(LOCK_UN), see release. None of it can be
// cancelled. When a step fails:
//
//	fstatfs                   refused: nothing was written
//	fchmod 01600              likewise
//	write, fstat, fdatasync   ftruncate to the old size, fdatasync: refused;
//	                          if one of them fails: unknown
//	Extend                    the register is read; what it shows as extended
//	                          is done. The rest is cut off, fdatasync: refused;
//	                          if one of them fails, the rest is unknown. Not
//	                          readable, not fresh, or another value: fchmod
//	                          01700, fsync, unknown (doubt.go)
//	fchmod 0600               done: the next operation clears the bit
//
// After unknown, the bit stays set. The records stay in the log, unless they
// were cut off and only the fdatasync failed: then a power failure may bring
// them back. After a failed fdatasync, the log is opened again.
func (b *book) commit(t *batch) (kept int, err error) {
	if b.blind() {
		return b.commitBlind(t)
	}
	ctx := context.Background()
	text, due := t.text, b.hintDue()
	if due { // the first write of this boot into an older log
		hint, err := nelr.AppendHint(nil, nelr.HintBoot, b.k.boot)
		if err != nil {
			return 0, b.failed(ErrRefused, "boot hint", err)
		}
		text = append(hint, t.text...)
	}
	ahead := len(text) - len(t.text)
	size := b.known.offset

	if err := b.k.disk.mark(b.log.fd, true); err != nil {
		_ = b.k.disk.mark(b.log.fd, false) // it may have been set
		return 0, b.failed(ErrRefused, "setting the sticky bit", err)
	}
	if err := b.write(text, size); err != nil {
		return 0, b.takeBack("write", err, size)
	}
	if err := b.sync(); err != nil {
		err = b.takeBack("sync", err, size)
		// What the kernel still holds of the file may not be what is on the
		// disk: begin again from what can be read.
		b.drop()
		return 0, err
	}
	n := 0
	if len(t.digests) > 0 {
		var xerr error
		n, xerr = b.k.device.Extend(ctx, b.desc.Name, t.digests)
		if xerr == nil && n < len(t.digests) {
			xerr = fmt.Errorf("the device extended %d records of %d and gave no error", n, len(t.digests))
		}
		if xerr != nil {
			if n, err = b.readBack(ctx, t); err != nil {
				err = errors.Join(err, b.doubt())
				return 0, b.failed(ErrUnknown, "extend", errors.Join(xerr, err))
			}
			if n < len(t.digests) {
				kept = t.starts[n]
				cut, err := b.takeOff("extend", xerr, size+int64(ahead+kept))
				if !cut {
					return 0, err
				}
				b.adopt(t, n, kept, ahead, due)
				if errors.Is(err, ErrUnknown) {
					b.drop() // as after any failed sync
				}
				return kept, err
			}
		}
	}
	b.adopt(t, len(t.digests), len(t.text), ahead, due)
	_ = b.k.disk.mark(b.log.fd, false) // if not, the next operation does
	return len(t.text), nil
}

// failed is the error of a step.
func (b *book) failed(outcome error, step string, err error) error {
	return &AppendError{Register: b.desc.Name, Outcome: outcome, Step: step, Err: err}
}

// takeBack cuts off what a failed write or sync left, before any extend. A log
// that has become longer than we made it was written to without the lock: what
// is whose is not for us to guess.
func (b *book) takeBack(step string, err error, size int64) error {
	if longer, ok := errors.AsType[*sizeError](err); ok && longer.got > longer.want {
		return b.failed(ErrUnknown, step, err)
	}
	cut, err := b.takeOff(step, err, size)
	if cut && errors.Is(err, ErrUnknown) {
		b.drop() // as after any failed sync
	}
	return err
}

// takeOff cuts the log to size after a step failed with cause. It returns the
// error for what is cut off, and whether the log is shorter now. One that somebody
// has made shorter than that is left alone: cutting would fill it with NULs.
func (b *book) takeOff(step string, cause error, size int64) (cut bool, err error) {
	fail := &AppendError{Register: b.desc.Name, Outcome: ErrUnknown, Step: step, Err: cause}
	var st unix.Stat_t
	if unix.Fstat(b.log.fd, &st) == nil && st.Size < size {
		fail.Err = errors.Join(cause, &sizeError{got: st.Size, want: size})
		return false, fail
	}
	if err := b.k.disk.cut(b.log.fd, size); err != nil {
		fail.Err = errors.Join(cause, fmt.Errorf("cutting the record off: %w", err))
		return false, fail
	}
	if err := b.sync(); err != nil {
		fail.Cut, fail.Err = true, errors.Join(cause, fmt.Errorf("cutting the record off: sync: %w", err))
		return true, fail
	}
	_ = b.k.disk.mark(b.log.fd, false)
	fail.Outcome = ErrRefused
	return true, fail
}

// readBack finds out from the register how many records of a batch were
// extended, after the device reported an error.
func (b *book) readBack(ctx context.Context, t *batch) (int, error) {
	live, err := b.live(ctx)
	if err != nil {
		return 0, err
	}
	for n := len(t.values); n > 0; n-- {
		if sameValues(t.values[n-1], live) {
			return n, nil
		}
	}
	if sameValues(b.known.values, live) {
		return 0, nil
	}
	return 0, fmt.Errorf("%s holds a value that no record leads to: %v", b.desc.Name, live)
}

// adopt takes a batch into what is known of the log: its first records, its
// first bytes, and the hint ahead of them.
func (b *book) adopt(t *batch, records, kept, ahead int, hint bool) {
	k := &b.known
	if b.index != nil {
		for i, key := range t.keys[:records] {
			b.index.put(key, k.records+int64(i))
		}
	}
	if records > 0 {
		k.values = cloneDigests(t.values[records-1])
	}
	k.records += int64(records)
	k.offset += int64(ahead + kept)
	if hint {
		k.boot = b.k.boot
	}
	k.lines += bytes.Count(t.text[:kept], []byte{'\n'})
	if ahead > 0 {
		k.lines++
	}
	b.agree()
}
