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
	"mrlog.dev/device"
)

// State says how a log and its register stand to one another.
type State string

// The states.
const (
	Absent     State = "absent"     // no log; the next event begins one
	Clean      State = "clean"      // the log gives the register's value; if that cannot be read, no writer has left doubt
	Behind     State = "behind"     // records stand in the log that were not extended; the next operation extends them
	Torn       State = "torn"       // the last line has no newline; the next operation mends that
	Earlier    State = "earlier"    // the log's boot hint is of another boot, and the register does not hold what all its records give; the next operation begins a new log
	Diverged   State = "diverged"   // they do not belong together; see Status.Err, a *Divergence
	Undecided  State = "undecided"  // nobody can tell whether a record was extended: the register cannot be read, or gives a value that may be old; see Status.Err, an *UndecidedError
	Unreadable State = "unreadable" // log or register cannot be read, or are not safe to use; see Status.Err
)

// Status is a register and its log, as they were at one time.
type Status struct {
	Register mrlog.Register
	Path     string // of the log
	State    State

	Device []mrlog.Digest // the register's value; nil if it cannot be read
	Start  []mrlog.Digest // INIT's value
	Log    []mrlog.Digest // what the log's complete records give

	// Of the log; with Absent, and with Unreadable if it was not come to,
	// they are not known and zero.
	Records  int64  // complete records, INIT included
	Size     int64  // in bytes
	Missing  int64  // complete records at the end that were not extended, if Behind or Torn
	TornLine int64  // bytes after the last newline
	InFlight bool   // the sticky bit is set: a writer is at work, or died
	BootHint string // last boot hint of the log: a claim
	// ReadOnly: the file system cannot be written to. Nothing can be recorded
	// or mended as long as that is so.
	ReadOnly bool
	// Free is how many bytes the file system has room for, -1 if it has no
	// limit. Events leave Options.MinFree of them.
	Free int64
	Boot string // this boot; "" if unknown

	// Agree is the last record after which the log gives the register's
	// value, nil if there is none.
	Agree  *Place
	Err    error  // with Diverged, Undecided and Unreadable
	Remedy string // what to do; "" if nothing is to be done
}

// earlierRemedy says what a hint says, and no more.
const earlierRemedy = "nothing: the log's boot hint is of another boot, so that the next event keeps it and begins a new one"

// A writer at work makes a log look as if it had died. Status looks again, now
// and then, for so long.
const (
	statusWait    = 5 * time.Millisecond
	statusTimeout = 250 * time.Millisecond
)

// Status looks at a register and its log, without a lock and without changing
// anything. It replays the whole log, whatever this keeper knows of it. The
// error is for a register that the device does not have, for a closed keeper and
// for ctx; all else is in the Status.
func (k *Keeper) Status(ctx context.Context, reg mrlog.Register) (Status, error) {
	desc, err := device.Find(k.device, reg)
	if err != nil {
		return Status{}, err
	}
	k.mu.Lock()
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return Status{}, ErrClosed
	}
	b := &book{k: k, desc: desc, dir: k.folder(reg)}
	began := time.Now()
	for {
		if err := ctx.Err(); err != nil {
			return Status{}, fmt.Errorf("%s: %w", reg, context.Cause(ctx))
		}
		s, settled := b.look(ctx)
		if settled || time.Since(began) > statusTimeout {
			b.lookAround(&s)
			return s, nil
		}
		select {
		case <-time.After(statusWait):
		case <-ctx.Done():
		}
	}
}

// lookAround says what the file system has to say.
func (b *book) lookAround(s *Status) {
	s.Free = -1
	var st unix.Statfs_t
	path := b.dir
	if unix.Lstat(path, new(unix.Stat_t)) == unix.ENOENT {
		path = b.k.state
	}
	if _, err := retry(func() (int, error) { return 0, unix.Statfs(path, &st) }); err != nil {
		return // there is none yet; or it has been reported
	}
	if free := room(&st); free != noLimit {
		s.Free = free
	}
	s.ReadOnly = st.Flags&unix.MS_RDONLY != 0 // as ST_RDONLY
	add := func(text string) {
		if s.Remedy != "" {
			s.Remedy += "; "
		}
		s.Remedy += text
	}
	switch {
	case s.ReadOnly:
		add("make the file system of " + path + " writable: nothing can be recorded or mended on it")
	case s.Free >= 0 && s.Free <= b.k.minFree:
		add(fmt.Sprintf("make room on the file system of %s: it has %d bytes free, and events are refused that do not leave %d", path, s.Free, b.k.minFree))
	}
}

// look takes one look. It is settled unless a writer may have been at work.
//
// The register is read first: a log is written before its register, so that
// what the register shows is in the log that is read after it.
func (b *book) look(ctx context.Context) (s Status, settled bool) {
	s = Status{Register: b.desc.Name, Path: filepath.Join(b.dir, logName), Boot: b.k.boot}
	unreadable := func(err error) (Status, bool) {
		s.State, s.Err = Unreadable, err
		s.Remedy = "mend what the error names"
		if errors.Is(err, ErrUnsafe) {
			s.Remedy = "find out who changed it, and put it right"
		}
		return s, true
	}
	var live []mrlog.Digest
	var unproven, stale bool // see doubt.go
	var err error
	if !b.blind() {
		var r device.Reading
		if r, err = b.read(ctx); err != nil {
			return unreadable(err)
		}
		live, unproven, stale = r.Values, r.Cached || !r.Fresh, !r.Fresh
		s.Device = live
	}
	// As open and create have it; what is not there yet cannot be wrong.
	if err := checkState(b.k.state); err != nil && !notExist(err) {
		return unreadable(err)
	}
	if _, err := b.k.disk.volatile(b.k.state); err != nil && !notExist(err) {
		return unreadable(err)
	}
	log, err := openLog(b.dir, unix.O_RDONLY)
	if err == nil {
		if _, err = b.k.disk.volatile(b.dir); err != nil {
			log.close()
		}
	}
	switch {
	case notExist(err):
		s.State = Absent
		if !b.blind() && !isReset(b.desc, live) {
			s.Remedy = "the register was extended before; a log begun now starts from its present value"
		}
		return s, true
	case err == errLogGone:
		d := &Divergence{
			Register: s.Register, Path: s.Path, Reason: LogGone, Detail: err.Error(),
			Remedy: "put the log back; if it is lost, " + beginNew(b.desc.Name),
		}
		if b.blind() {
			_, d.Device = b.live(ctx)
		}
		for _, v := range live {
			d.Banks = append(d.Banks, BankDifference{Alg: v.Alg, Found: v.Sum})
		}
		s.State, s.Err, s.Remedy = Diverged, d, d.Remedy
		return s, true
	case err != nil:
		return unreadable(err)
	}
	defer log.close()
	st, err := log.check()
	if err != nil {
		return unreadable(err)
	}
	s.Size, s.InFlight = st.Size, st.Mode&inFlight != 0
	unsure := unproven && st.Mode&doubted != 0
	if stale && !unsure {
		return unreadable(b.stale())
	}
	if b.blind() {
		return b.lookBlind(log, st, s)
	}
	found, err := examine(log, st.Size, b.desc, live, b.k.boot, nil)
	if err != nil {
		return unreadable(err)
	}
	s.Start, s.Log = found.log.start, found.log.values
	s.Records, s.TornLine, s.BootHint = found.log.records, st.Size-found.log.offset, found.log.boot
	d := found.divergence(NoPrefix, b.desc, s.Path, nil) // for its Agree
	s.Agree = d.Agree
	repair := "mrlog recover, or the next event, mends it"
	switch v := decide(found.found); {
	case v.action == diverged:
		d := found.divergence(v.reason, b.desc, s.Path, nil)
		s.State, s.Err, s.Remedy = Diverged, d, d.Remedy
	case v.action == setAside:
		s.State, s.Remedy = Earlier, earlierRemedy
		if !isReset(b.desc, live) && !sameValues(found.log.start, live) && found.found.matches[0] < 0 {
			s.Remedy += "; no prefix of this one gives the register's value, and verification will say that nothing explains it"
		}
	case v.action == extend && unsure:
		err := undecidedAt(log, found.log.offset, found.found.matches[0], b.desc, found.tail)
		u, ok := errors.AsType[*UndecidedError](err)
		if !ok {
			return unreadable(err)
		}
		s.State, s.Err, s.Remedy = Undecided, u, u.remedy()
	case v.action == complete:
		s.State, s.Remedy = Torn, repair
		found.found.matches[0] = found.log.records // and one more: nothing is missing
	case v.cut:
		s.State, s.Remedy = Torn, repair
	case v.action == extend:
		s.State, s.Remedy = Behind, repair
	default:
		s.State = Clean
	}
	if s.State == Behind || s.State == Torn {
		s.Missing = max(0, found.log.records-found.found.matches[0])
	}
	if s.State == Clean {
		return s, true
	}
	// A writer at work? Then something moves, or the bit is set.
	now, err := log.check()
	if err != nil {
		return s, true
	}
	again, err := b.live(ctx)
	moved := now.Size != st.Size || now.Mtim != st.Mtim || err == nil && !sameValues(again, live)
	return s, !moved && now.Mode&inFlight == 0
}

// lookBlind is look for a register that cannot be read, from the open log on.
func (b *book) lookBlind(log *logFile, st unix.Stat_t, s Status) (_ Status, settled bool) {
	unreadable := func(err error) (Status, bool) {
		s.State, s.Err, s.Remedy = Unreadable, err, "mend what the error names"
		return s, true
	}
	var r replay
	if err := r.advance(log, st.Size, nil); err != nil {
		return unreadable(err)
	}
	f, err := weigh(log, st.Size, s.InFlight, &r, b.desc, b.k.boot)
	if err != nil {
		return unreadable(err)
	}
	s.Start, s.Log = r.start, r.values
	s.Records, s.TornLine, s.BootHint = r.records, st.Size-r.offset, r.boot
	switch {
	case f.reason != "":
		d := blindDivergence(f, &r, b.desc, s.Path)
		s.State, s.Err, s.Remedy = Diverged, d, d.Remedy
	case f.earlier:
		s.State, s.Remedy = Earlier, earlierRemedy
	case f.torn:
		s.State, s.Remedy = Torn, "mrlog recover, or the next event, mends it"
	case f.doubtful:
		err := undecidedAt(log, r.offset, r.records-1, b.desc, nil)
		u, ok := errors.AsType[*UndecidedError](err)
		if !ok {
			return unreadable(err)
		}
		s.State, s.Err, s.Remedy = Undecided, u, u.remedy()
	default:
		s.State = Clean
		return s, true
	}
	// A writer at work? Then something moves, or the bit is set.
	now, err := log.check()
	moved := err == nil && (now.Size != st.Size || now.Mtim != st.Mtim)
	return s, err != nil || !moved && now.Mode&inFlight == 0
}
