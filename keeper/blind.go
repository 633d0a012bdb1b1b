// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

// This file holds log and register together where the register cannot be read
// (device.Register.NotReadable). There is no value to compare with, so that the
// log alone has to say how far the register was extended:
//
//	sticky bit clear       all complete records were extended
//	last line torn         it was not extended, whatever the bit says
//	set, last line whole   the last record is undecided
//
// A record's line is therefore written without its newline first, and gets it
// only when the bit is set. The bit would otherwise, after a crash between the
// two, cast doubt on the record before. Records go one at a time: doubt is about
// one record at most.
//
// What cannot be proven is what happened between the newline and the clearing
// of the bit, which is the time of the extend. Nobody but a person can decide
// it: see Settle.

// hintStart says where the value that INIT states comes from. Its only value is
// "assumed": nobody has read the register. It stands before INIT, and is a claim
// like every hint.
const (
	hintStart    = "start"
	startAssumed = "assumed"
)

// ErrUndecided: the register cannot be read, or what it gives may be old after a
// device that failed (doubt.go), and the log does not say whether a record was
// extended. Nothing was written. The facts are in an
// *UndecidedError.
var ErrUndecided = errors.New("last record is undecided")

// UndecidedError names the record of which it is not known whether it was
// extended. No record after it was.
type UndecidedError struct {
	Register mrlog.Register
	Path     string // of the log
	Place    Place
	Line     []byte // the record
	// Cached: the register can be read, but its value comes from a cache that
	// need not show an extend that failed.
	Cached bool

	tail [][]mrlog.Digest // its digests, and those of the records after it
}

// Error names the record and the way out.
func (e *UndecidedError) Error() string {
	why := "the register cannot be read, and a writer stopped while it extended"
	if e.Cached {
		why = "the register's value comes from a cache, and the device failed while it extended"
	}
	return fmt.Sprintf("%s: %v: %s record %d (line %d of %s: %.200q); %s",
		e.Register, ErrUndecided, why, e.Place.Record, e.Place.Line, e.Path, e.Line, e.remedy())
}

func (e *UndecidedError) remedy() string {
	alone := ""
	if e.Cached {
		alone = "with a device that reads the register itself (--device tdx with its reports), mrlog recover finds out alone; else "
	}
	return alone + fmt.Sprintf("find out whether the record was extended, from a quote for one; then mrlog recover --register %s --assume extended, or --assume not-extended, which extends it", e.Register)
}

// Unwrap returns ErrUndecided.
func (e *UndecidedError) Unwrap() error { return ErrUndecided }

// blind reports whether the register cannot be read.
func (b *book) blind() bool { return b.desc.NotReadable != "" }

// maxRecords is how many records are written before they are extended.
func (b *book) maxRecords() int {
	if b.blind() {
		return 1
	}
	return MaxBatch
}

// resetValue is what a register that cannot be read is assumed to hold.
func resetValue(desc device.Register) []mrlog.Digest {
	var out []mrlog.Digest
	for _, bank := range desc.Banks {
		out = append(out, mrlog.Digest{Alg: bank.Alg, Sum: append([]byte(nil), bank.Reset...)})
	}
	return out
}

// startValue is the value that the INIT of a new log states.
func (b *book) startValue(ctx context.Context) ([]mrlog.Digest, error) {
	if b.blind() {
		return resetValue(b.desc), nil
	}
	return b.live(ctx)
}

// blindFinding is what a log says that stands alone.
type blindFinding struct {
	reason   Reason // if it cannot be gone on with
	detail   string
	earlier  bool   // it is of another boot
	init     []byte // INIT without its newline: it was not extended
	torn     bool   // so it was not with the last line
	doubtful bool   // the last record may have been extended, or not
}

// weigh looks at a replayed log of the given size, whose mode says that a
// writer is at work or not.
func weigh(log io.ReaderAt, size int64, marked bool, r *replay, desc device.Register, boot string) (f blindFinding, err error) {
	f.torn = r.offset < size
	start := r.start
	if start == nil && r.stop == nil && f.torn && size-r.offset <= nelr.MaxLine {
		line := make([]byte, size-r.offset)
		if _, err := log.ReadAt(line, r.offset); err != nil && err != io.EOF {
			return f, err
		}
		if start, err = mrlog.ParseInit(line); err == nil {
			f.init = line
		}
	}
	f.earlier = boot != "" && r.boot != "" && r.boot != boot
	switch {
	case r.stop != nil:
		f.reason, f.detail = r.reason, r.stop.Error()
	case start == nil:
		f.reason, f.detail = LogUnopened, "it has no record"
	case r.second != nil:
		f.reason, f.detail = SecondInit, fmt.Sprintf("record %d, line %d", r.second.Record, r.second.Line)
	case !f.earlier && !sameBanks(desc.Banks, start):
		f.reason = OtherBanks
	}
	f.doubtful = marked && !f.torn
	return f, nil
}

// blindDivergence states what is wrong with a log that stands alone.
func blindDivergence(f blindFinding, r *replay, desc device.Register, path string) *Divergence {
	d := &Divergence{
		Register: desc.Name, Path: path, Reason: f.reason, Detail: f.detail, Records: r.records,
		Device: fmt.Errorf("%s: register cannot be read: %s", desc.Name, desc.NotReadable),
		Remedy: "find out what changed the log; then " + beginNew(desc.Name),
	}
	for _, bank := range desc.Banks {
		d.Banks = append(d.Banks, BankDifference{Alg: bank.Alg, Expected: valueOf(r.values, bank.Alg)})
	}
	return d
}

// mendBlind does under the lock what the log alone says. It returns true when a
// new log was begun.
//
// Steps, in order:
//
//	torn line:     fchmod(0600), fsync, if the bit is set; then ftruncate, fsync
//	torn INIT:     fsync(folder), fsync(STATE), then as appendMarked
//	earlier boot:  see setAside
//
// A torn line loses the bit before it is cut off: without it, the bit would be
// about the record before.
func (b *book) mendBlind(ctx context.Context, st unix.Stat_t) (again bool, err error) {
	marked := st.Mode&inFlight != 0
	// There is no register to say so if records that were extended are gone.
	stands := b.agreed == nil || b.known.records > b.agreed.place.Record
	seen := b.index.add(&b.known)
	if !stands {
		seen = func([]byte) { // there is no index of a log that is replayed anew
			if b.known.records-1 == b.agreed.place.Record {
				stands = sameValues(b.known.values, b.agreed.values)
			}
		}
	}
	if err := b.known.advance(b.log, st.Size, seen); err != nil {
		return false, err
	}
	f, err := weigh(b.log, st.Size, marked, &b.known, b.desc, b.k.boot)
	if err != nil {
		return false, err
	}
	if !stands && f.reason == "" && !f.earlier {
		f.reason, f.detail = LogAltered, fmt.Sprintf("record %d gave another value when this keeper looked last, or is no longer there", b.agreed.place.Record)
	}
	switch {
	case f.reason != "":
		d := blindDivergence(f, &b.known, b.desc, b.log.path)
		if b.agreed != nil {
			place := b.agreed.place
			d.Agree = &place
		}
		b.known, b.index = replay{}, nil // to be looked at again as a whole
		return false, d
	case f.earlier:
		return true, b.setAside(ctx, resetValue(b.desc))
	case f.init != nil:
		if err := b.syncFolders(); err != nil {
			return false, err
		}
		digests := measure(f.init, b.desc.Banks)
		if err := b.appendMarked(digests, st.Size, st.Size); err != nil {
			// It is about INIT: of what the caller wants to record, nothing was
			// written.
			if e, ok := errors.AsType[*AppendError](err); ok {
				e.Step, e.Before, e.Outcome = "INIT: "+e.Step, true, ErrRefused
			}
			return false, err
		}
		b.outcome.Extended = 1
		return false, b.known.advance(b.log, st.Size+1, b.index.add(&b.known))
	case f.doubtful && b.sure == b.known.records:
		if err := b.clear(); err != nil {
			return false, b.notMended("clearing the sticky bit", err)
		}
	case f.doubtful:
		return false, b.undecided(b.known.records-1, nil)
	case f.torn:
		if marked {
			if err := b.clear(); err != nil {
				return false, b.notMended("clearing the sticky bit", err)
			}
		}
		if err := b.k.disk.cut(b.log.fd, b.known.offset); err != nil {
			return false, b.notMended("cutting off a torn line", err)
		}
		if err := b.syncAll(); err != nil {
			return false, b.notMended("cutting off a torn line: sync", err)
		}
		b.outcome.Cut = st.Size - b.known.offset
	}
	return false, nil
}

// undecidedAt is the error about record n of a log, the first of the tail.
func undecidedAt(log *logFile, size, n int64, desc device.Register, tail [][]mrlog.Digest) error {
	u := &UndecidedError{Register: desc.Name, Path: log.path, Place: Place{Record: -1}, Cached: desc.NotReadable == "", tail: tail}
	line := 0
	_, err := eachLine(log, 0, size, func(l []byte) bool {
		line++
		if nelr.Measured(l) {
			u.Place.Record++
			u.Place.Line, u.Line = line, append(u.Line[:0], l...)
		}
		return u.Place.Record < n
	})
	if err != nil {
		return err
	}
	if u.tail == nil {
		u.tail = [][]mrlog.Digest{measure(u.Line, desc.Banks)}
	}
	return u
}

func (b *book) undecided(n int64, tail [][]mrlog.Digest) error {
	return undecidedAt(b.log, b.known.offset, n, b.desc, tail)
}

// syncAll makes content and mode of the log durable: the bit is what the next
// boot of the kernel, after a crash that kept the registers, has to go by.
func (b *book) syncAll() error {
	if b.volatile {
		return nil
	}
	return b.k.disk.syncAll(b.log.fd)
}

// clear says that all records were extended.
func (b *book) clear() error {
	if err := b.k.disk.mark(b.log.fd, false); err != nil {
		return err
	}
	return b.syncAll()
}

// commitBlind appends one record, or comments alone, and extends it. It is
// called as commit is.
//
// Steps, in order, after those of acquire:
//
//	fstatfs(log)              room for the record and the reserve, see lead
//	write(log)                all but the last newline, O_APPEND
//	fstat(log)                the size is what it must be
//	fsync(log)                unless the file system is volatile, as below
//	fchmod(log, 01600)        the last line is in flight
//	fsync(log)
//	write(log)                the newline
//	fstat(log), fsync(log)
//	device: Extend            from here …
//	fchmod(log, 0600)
//	fsync(log)                … to here, nobody can tell what happened
//
// Comments alone are written whole and end with the first fsync. When a step
// fails:
//
//	write, fstat, fsync       as in commit: taken back
//	fchmod 01600 to the       retract: refused, because a torn line was not
//	fsync of the newline      extended; unknown if the newline stays
//	Extend                    unknown: the record is undecided
//	fchmod 0600, fsync        unknown to the caller. This keeper knows, and
//	                          clears the bit with its next operation; for
//	                          anybody else the record is undecided
func (b *book) commitBlind(t *batch) (kept int, err error) {
	size := b.known.offset
	if len(t.digests) == 0 {
		if err := b.write(t.text, size); err != nil {
			return 0, b.takeBack("write", err, size)
		}
		if err := b.syncAll(); err != nil {
			err = b.takeBack("sync", err, size)
			b.drop()
			return 0, err
		}
		b.adopt(t, 0, len(t.text), 0, false)
		return len(t.text), nil
	}
	line := t.text[:len(t.text)-1]
	if err := b.write(line, size); err != nil {
		return 0, b.takeBack("write", err, size)
	}
	if err := b.syncAll(); err != nil {
		err = b.takeBack("sync", err, size)
		b.drop()
		return 0, err
	}
	if err := b.appendMarked(t.digests[0], size+int64(len(line)), size); err != nil {
		return 0, err
	}
	b.adopt(t, 1, len(t.text), 0, false)
	return len(t.text), nil
}

// appendMarked completes and extends a log's last line, which stands there
// without its newline: from fchmod on, the steps of commitBlind. size is the
// log's, and back the one that it gets back if the device was not reached. If
// the record was extended, but the bit not cleared, sure is set.
func (b *book) appendMarked(digests []mrlog.Digest, size, back int64) error {
	disk, fd := b.k.disk, b.log.fd
	b.sure = 0
	if err := disk.mark(fd, true); err != nil {
		return b.retract("setting the sticky bit", err, size, back)
	}
	if err := b.syncAll(); err != nil {
		return b.retract("sync", err, size, back)
	}
	if err := b.write([]byte{'\n'}, size); err != nil {
		return b.retract("write", err, size, back)
	}
	if err := b.syncAll(); err != nil {
		return b.retract("sync", err, size, back)
	}
	n, err := b.k.device.Extend(context.Background(), b.desc.Name, [][]mrlog.Digest{digests})
	if err == nil && n != 1 {
		err = fmt.Errorf("the device extended %d records of 1 and gave no error", n)
	}
	if err != nil {
		return &AppendError{Register: b.desc.Name, Outcome: ErrUnknown, Step: "extend", Err: err, Undecided: true}
	}
	if err := b.clear(); err != nil {
		b.sure = b.known.records + 1
		return &AppendError{Register: b.desc.Name, Outcome: ErrUnknown, Step: "clearing the sticky bit", Err: err, Undecided: true}
	}
	return nil
}

// retract takes the newline back from a line that was not extended, then the
// bit, then the line. A line without newline was not extended, even with the
// bit; and without the line, the bit would be about the record before. So the
// outcome is ErrRefused once the newline is gone: what is left then, the next
// operation takes away.
func (b *book) retract(step string, cause error, torn, back int64) error {
	fail := &AppendError{Register: b.desc.Name, Outcome: ErrUnknown, Step: step, Err: cause, Undecided: true}
	if longer, ok := errors.AsType[*sizeError](cause); ok && longer.got > longer.want {
		return fail // written to without the lock
	}
	if err := b.k.disk.cut(b.log.fd, torn); err != nil {
		fail.Err = errors.Join(cause, fmt.Errorf("taking the record back: %w", err))
		return fail
	}
	if err := b.syncAll(); err != nil {
		fail.Err = errors.Join(cause, fmt.Errorf("taking the record back: sync: %w", err))
		b.drop() // as after any failed sync
		return fail
	}
	fail.Outcome, fail.Undecided = ErrRefused, false
	err := b.clear()
	if err == nil && back < torn {
		if err = b.k.disk.cut(b.log.fd, back); err == nil {
			err = b.syncAll()
		}
	}
	if err != nil {
		fail.Err = errors.Join(cause, err)
	}
	b.drop() // as after any failed sync
	return fail
}
