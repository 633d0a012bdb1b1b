// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/internal/flock"
)

// The ways through this file and the next, from the outside in:
//
//	acquire = bring or let go; bring: open or create, lock, still(), reconcile
//	reconcile: compare log and register; if they differ, mend, which does what decide says
//	cut: ftruncate and sync, of what a crash left; takeOff: the same after a step of ours failed, with its error
//	takeBack: takeOff before any extend; retract: takeOff where the register cannot be read, newline and bit first

// book is a register's log as this process knows it.
type book struct {
	k    *Keeper
	desc device.Register
	dir  string

	mu    sync.Mutex
	queue []*call // waiting to be taken into a batch

	// turn has room for one: who has put something in works on the log, and
	// owns everything below.
	turn   chan struct{}
	closed chan struct{} // closed with the keeper

	log      *logFile // nil until first used
	locked   bool
	volatile bool

	known  replay // of the log, up to known.offset
	size   int64  // of the log, when it was last unlocked
	mtime  unix.Timespec
	agreed *agreement // where log and register agreed then
	told   bool       // a divergence was reported since the two agreed
	unsure bool       // what the register gave may be of before the extend that the log is marked with; see doubt.go
	sure   int64      // so many records were extended, though the bit may be set; for registers that cannot be read
	index  index      // of known's records; nil until it is needed

	outcome  Outcome   // of the operation at hand
	deadline time.Time // for its locks
}

// errNoLog: there is no log, and none was to be made.
var errNoLog = errors.New("there is no log")

// errMoved: the log that is locked is no longer the one at its path.
var errMoved = errors.New("the log was deleted or replaced")

// maxReopen bounds how often one operation follows a log to another file. A
// new log begins by hand or with a boot; never so often.
const maxReopen = 16

// enter waits for the turn.
func (b *book) enter(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-b.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for its turn: %w", b.desc.Name, context.Cause(ctx))
	}
}

func (b *book) leave() { <-b.turn }

// drop closes the log and forgets what was known of it.
func (b *book) drop() {
	if b.log != nil {
		b.log.close()
	}
	b.log, b.locked = nil, false
	b.known, b.index = replay{}, nil
	b.size, b.mtime = 0, unix.Timespec{}
	b.told, b.sure = false, 0
}

// acquire locks the log and brings log and register together. Without an
// error, the lock is held and they agree. With one, the lock is not held, and
// nothing of what the caller is about to record has been written.
//
// System calls, in order, on a log that is known and clean:
//
//	fstat; pread of what is new     without the lock
//	flock(LOCK_EX)                  with a deadline
//	fstat, lstat                    still the log at its path?
//	fstat; pread of what is new
//	device: Read
func (b *book) acquire(ctx context.Context, deadline time.Time, create bool) error {
	err := b.bring(ctx, deadline, create)
	if err != nil {
		b.release()
	}
	return err
}

// bring is acquire, but with an error the lock may be held: after a
// divergence, it is the lock of the log that has diverged. Only that the log is
// gone can be said without one.
func (b *book) bring(ctx context.Context, deadline time.Time, create bool) (err error) {
	b.outcome, b.deadline = Outcome{}, deadline
	defer func() {
		if e, ok := errors.AsType[*LockError](err); ok {
			e.Waited = time.Since(deadline.Add(-b.k.timeout))
		}
		b.told = b.told || errors.Is(err, ErrDiverged)
	}()
	for range maxReopen {
		if b.log == nil {
			if err := b.open(ctx, deadline, create); err != nil {
				return err
			}
			if b.log == nil {
				continue // made by another process meanwhile
			}
		}
		if !b.locked {
			if err := b.catchUp(); err != nil {
				return err
			}
			if err := lock(ctx, b.log.fd, b.log.path, deadline); err != nil {
				return err
			}
			b.locked = true
		}
		switch id, err := b.log.still(); {
		case err != nil:
			return err
		case id == gone:
			return b.lost(ctx, "nothing is at its path")
		case id == replaced:
			if err := b.follow(ctx); err != nil {
				return err
			}
			continue
		}
		if err := b.reconcile(ctx); err != errMoved {
			return err
		}
	}
	return fmt.Errorf("%s: replaced again and again by other processes", b.dir)
}

// catchUp hashes what is new, ahead of the lock. A log that has been kept as
// log.N meanwhile may be treated as its owner likes.
func (b *book) catchUp() error {
	if b.blind() {
		// What a writer takes back, only the register would tell us: a line is a
		// record when nobody holds the lock, and not before.
		return nil
	}
	st, err := b.log.check()
	if err == nil {
		return b.known.advance(b.log, st.Size, b.index.add(&b.known))
	}
	if id, serr := b.log.still(); serr == nil && id != same {
		return nil // what it is now comes out under the lock
	}
	return err
}

// open opens the log, or makes the first one, which then is locked.
func (b *book) open(ctx context.Context, deadline time.Time, create bool) error {
	log, err := openLog(b.dir, unix.O_RDWR)
	switch {
	case notExist(err) && !create:
		return errNoLog
	case notExist(err):
		return b.create(ctx, deadline)
	case err == errLogGone:
		return b.lost(ctx, err.Error())
	case errors.Is(err, unix.EROFS):
		return b.notMended("opening the log", err)
	case err != nil:
		return err
	}
	if b.volatile, err = b.k.disk.volatile(b.dir); err == nil {
		err = checkState(b.k.state)
	}
	if err != nil {
		log.close()
		return err
	}
	b.log = log
	if b.agreed != nil && b.agreed.ino != 0 {
		// A log that is opened anew, after a sync that failed, is the one that
		// we know only if it is the same file.
		var st unix.Stat_t
		if err := unix.Fstat(log.fd, &st); err != nil || uint64(st.Dev) != b.agreed.dev || st.Ino != b.agreed.ino {
			b.agreed = nil
		}
	}
	return nil
}

// lost reports a log that is gone from its path.
func (b *book) lost(ctx context.Context, detail string) error {
	d := &Divergence{
		Register: b.desc.Name,
		Path:     filepath.Join(b.dir, logName),
		Reason:   LogGone,
		Detail:   detail,
		Records:  b.known.records,
		Remedy:   "put the log back; if it is lost, " + beginNew(b.desc.Name),
	}
	var st unix.Stat_t
	if unix.Lstat(b.dir, &st) == unix.ENOENT {
		d.Remedy = fmt.Sprintf("put the folder %s back; if it was moved away on purpose, %s", b.dir, beginNew(b.desc.Name))
	}
	live, err := b.live(ctx)
	d.Device = err // the log is no less gone
	for _, bank := range b.desc.Banks {
		d.Banks = append(d.Banks, BankDifference{Alg: bank.Alg, Expected: valueOf(b.known.values, bank.Alg), Found: valueOf(live, bank.Alg)})
	}
	if b.agreed != nil {
		d.Agree = &b.agreed.place
	}
	return d
}

// follow goes over to the log that has taken the place of the open one. It is
// a successor if ours was kept as log.N, or if its INIT starts where ours
// ends; any other is a replacement by nobody who follows the rules. That is
// reported once: after a divergence, whatever it was, somebody was to look, and
// what is at the path then counts for us as for a keeper that has just started.
func (b *book) follow(ctx context.Context) error {
	var st unix.Stat_t
	if err := unix.Fstat(b.log.fd, &st); err != nil {
		return pathError("stat", b.log.path, err)
	}
	twin, err := b.log.aside(st)
	if err != nil {
		return err
	}
	if twin == "" && !b.told {
		if err := b.known.advance(b.log, st.Size, nil); err != nil {
			return err
		}
		next, err := openLog(b.dir, unix.O_RDONLY)
		switch {
		case err == errLogGone || notExist(err):
			return b.lost(ctx, "nothing is at its path")
		case err != nil:
			return err
		}
		defer next.close()
		var r replay
		st, err := next.check()
		if err != nil {
			return err
		}
		if err := r.advance(next, min(st.Size, chunk), nil); err != nil {
			return err
		}
		if !sameValues(r.start, b.known.values) {
			return b.lost(ctx, "another file is at its path, which does not start where it ends")
		}
	}
	b.drop()
	b.agreed = nil
	return nil
}

// live reads the register, and refuses a value that may be old.
func (b *book) live(ctx context.Context) ([]mrlog.Digest, error) {
	r, err := b.read(ctx)
	if err == nil && !r.Fresh {
		err = b.stale()
	}
	if err != nil {
		return nil, err
	}
	return r.Values, nil
}

// read reads the register.
func (b *book) read(ctx context.Context) (device.Reading, error) {
	if b.blind() {
		return device.Reading{}, fmt.Errorf("%s: register cannot be read: %s", b.desc.Name, b.desc.NotReadable)
	}
	r, err := b.k.device.Read(ctx, b.desc.Name)
	if err != nil {
		return device.Reading{}, fmt.Errorf("%s: reading the register: %w", b.desc.Name, err)
	}
	return r, nil
}

// reconcile compares log and register under the lock, and mends.
func (b *book) reconcile(ctx context.Context) error {
	for turn := range 2 { // a second time for the log that setAside began
		if turn > 0 {
			// Before INIT is extended, it must be the log for everybody else.
			switch id, err := b.log.still(); {
			case err != nil:
				return err
			case id != same:
				return errMoved
			}
		}
		st, err := b.log.check()
		if err != nil {
			return err
		}
		if st.Nlink == 2 {
			if err := b.unlinkTwin(st); err != nil {
				return err
			}
		}
		switch {
		case st.Size < b.known.offset, // cut, by a keeper or not
			st.Size == b.size && st.Mtim != b.mtime, // written over
			b.known.stop != nil, b.known.second != nil:
			b.known, b.index = replay{}, nil
		}
		if turn == 0 { // later, the bit is ours
			b.outcome.InFlight = st.Mode&inFlight != 0
		}
		if b.blind() {
			switch again, err := b.mendBlind(ctx, st); {
			case err != nil:
				return err
			case again:
				continue
			}
			b.agree()
			return nil
		}
		if err := b.known.advance(b.log, st.Size, b.index.add(&b.known)); err != nil {
			return err
		}
		live, err := b.weighed(ctx, &st)
		if err != nil {
			return err
		}
		clean := b.known.offset == st.Size && b.known.stop == nil && b.known.second == nil && sameValues(b.known.values, live)
		if !clean {
			again, err := b.mend(ctx, st.Size, live)
			if err != nil {
				return err
			}
			if again {
				continue
			}
		}
		if !clean || st.Mode&inFlight != 0 {
			if err := b.k.disk.mark(b.log.fd, false); err != nil {
				return b.notMended("clearing the sticky bit", err)
			}
		}
		b.agree()
		return nil
	}
	return fmt.Errorf("%s: reset while its new log was begun", b.desc.Name)
}

// mend does what decide says about a log and a register that differ. It
// returns true when a new log was begun, which is to be looked at in turn.
//
// Steps, in order:
//
//	torn line:     ftruncate(log), fdatasync(log)
//	               or fchmod(01600), write(newline), fstat, fdatasync
//	INIT alone:    fsync(folder), fsync(STATE), then
//	records:       fchmod(01600), fdatasync(log), device: Extend
//	earlier boot:  see setAside
//
// The sync comes before the extend here, too: the records may be those of a
// writer that was killed before it synced them.
func (b *book) mend(ctx context.Context, size int64, live []mrlog.Digest) (again bool, err error) {
	s, err := examine(b.log, size, b.desc, live, b.k.boot, b.agreed)
	if err != nil {
		return false, err
	}
	v := decide(s.found)
	b.known, b.index = s.log, nil
	switch v.action {
	case extend:
		if b.unsure {
			return false, b.undecided(s.found.matches[0], s.tail)
		}
	case diverged:
		return false, s.divergence(v.reason, b.desc, b.log.path, b.agreed)
	case setAside:
		return true, b.setAside(ctx, live)
	}
	disk, fd := b.k.disk, b.log.fd
	if v.cut {
		if err := b.cut(s.log.offset); err != nil {
			return false, b.notMended("cutting off a torn line", err)
		}
		b.outcome.Cut = size - s.log.offset
	}
	switch v.action {
	case complete:
		if err := disk.mark(fd, true); err != nil {
			return false, b.notMended("setting the sticky bit", err)
		}
		if err := b.write([]byte{'\n'}, size); err != nil {
			return false, b.notMended("completing a torn line", err)
		}
		if err := b.sync(); err != nil {
			return false, b.notMended("completing a torn line", err)
		}
		b.outcome.Completed = true
		return false, b.known.advance(b.log, size+1, nil)
	case extend:
		if s.found.records == 1 { // INIT
			if err := b.syncFolders(); err != nil {
				return false, err
			}
		}
		if err := disk.mark(fd, true); err != nil {
			return false, b.notMended("setting the sticky bit", err)
		}
		if err := b.sync(); err != nil {
			return false, b.notMended("sync", err)
		}
		return false, b.extendTail(ctx, s.tail)
	}
	return false, nil
}

// notMended is the error of a step of recovery. What the caller wants to record
// is not touched by then.
func (b *book) notMended(step string, err error) error {
	return &AppendError{Register: b.desc.Name, Outcome: ErrRefused, Step: step, Err: err, Before: true}
}

// extendTail extends the records that a writer left behind. What is not
// extended in the end stays in the log for the next operation.
func (b *book) extendTail(ctx context.Context, tail [][]mrlog.Digest) error {
	n, err := b.k.device.Extend(context.WithoutCancel(ctx), b.desc.Name, tail)
	if err == nil && n == len(tail) {
		b.outcome.Extended = n
		return nil
	}
	if err == nil {
		err = fmt.Errorf("the device extended %d records of %d and gave no error", n, len(tail))
	}
	now, rerr := b.live(context.WithoutCancel(ctx))
	switch {
	case rerr != nil:
		err = errors.Join(err, b.doubt())
	case sameValues(b.known.values, now):
		b.outcome.Extended = len(tail) // whatever the error was, it happened
		return nil
	}
	return b.notMended(fmt.Sprintf("extending %d records that a writer left behind", len(tail)), err)
}

// release gives up the lock, if it is held, and keeps what is known.
func (b *book) release() {
	if !b.locked {
		return
	}
	var st unix.Stat_t
	if unix.Fstat(b.log.fd, &st) == nil {
		b.size, b.mtime = st.Size, st.Mtim
	}
	flock.Unlock(b.log.fd)
	b.locked = false
}

// hintDue reports whether the log must be marked as one of this boot: it was
// begun before a kexec, which keeps registers.
//
// One that cannot be read may have been reset by it, for all we know: its log
// is never taken over into another boot.
func (b *book) hintDue() bool { return !b.blind() && b.k.boot != "" && b.known.boot != b.k.boot }

func (b *book) sync() error {
	if b.volatile {
		return nil
	}
	return b.k.disk.sync(b.log.fd)
}

// cut makes the log shorter, durably.
func (b *book) cut(size int64) error {
	if err := b.k.disk.cut(b.log.fd, size); err != nil {
		return err
	}
	return b.sync()
}

// write appends text to a log of the given size, and checks that it is there
// whole.
func (b *book) write(text []byte, size int64) error {
	n, err := b.k.disk.write(b.log.fd, text)
	if err != nil {
		return err
	}
	if n < len(text) {
		return fmt.Errorf("short write, %d bytes of %d: %w", n, len(text), unix.ENOSPC)
	}
	got, err := b.k.disk.size(b.log.fd)
	if err != nil {
		return err
	}
	if want := size + int64(len(text)); got != want {
		return &sizeError{got: got, want: want}
	}
	return nil
}

// sizeError says that a log does not have the size that it must have.
type sizeError struct{ got, want int64 }

func (e *sizeError) Error() string {
	return fmt.Sprintf("the log has %d bytes after the write, want %d", e.got, e.want)
}

// agree remembers that log and register agree at what is known.
func (b *book) agree() {
	b.told = false
	if b.agreed == nil {
		b.agreed = &agreement{}
	}
	var st unix.Stat_t
	if unix.Fstat(b.log.fd, &st) == nil {
		b.agreed.dev, b.agreed.ino = uint64(st.Dev), st.Ino
	}
	b.agreed.place = Place{Record: b.known.records - 1, Line: b.known.lines}
	if len(b.agreed.values) != len(b.known.values) {
		b.agreed.values = cloneDigests(b.known.values)
		return
	}
	for i, v := range b.known.values {
		b.agreed.values[i].Alg = v.Alg
		b.agreed.values[i].Sum = append(b.agreed.values[i].Sum[:0], v.Sum...)
	}
}
