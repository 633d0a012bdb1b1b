// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mrlog.dev"
	"mrlog.dev/internal/flock"
)

// The kinds of errors. Each is wrapped by an error that states the facts.
var (
	// ErrEvent: the event cannot be recorded as it is. Nothing was written.
	ErrEvent = errors.New("event cannot be recorded")
	// ErrFull: the log has reached its limit (a *FullError), or there is too
	// little room on its file system (a *SpaceError). Nothing was written.
	ErrFull = errors.New("log is full")
	// ErrLocked: another process held the log until the deadline. Nothing
	// was written.
	ErrLocked = errors.New("log is locked")
	// ErrUnsafe: folder or log are not what they must be (owner, mode, links,
	// kind of file or file system). Nothing was written.
	ErrUnsafe = errors.New("not safe to use as a log")
	// ErrDiverged: log and register do not belong together. Nothing was
	// written. The facts are in a *Divergence.
	ErrDiverged = errors.New("log and register have diverged")
	// ErrRefused: disk or device refused. The event is neither in the log nor
	// in the register.
	ErrRefused = errors.New("refused")
	// ErrUnknown: the event may stand in the log, and may have been extended;
	// it could not be found out. The next operation on the register finds
	// out, and completes what stands in the log.
	ErrUnknown = errors.New("outcome unknown")
	// ErrClosed: the keeper was closed.
	ErrClosed = errors.New("keeper is closed")
)

// EventError says which event of a call cannot be recorded, and why. None of
// the call was.
type EventError struct {
	Index int // in the call, from 0
	Err   error
}

// Error gives the reason.
func (e *EventError) Error() string { return fmt.Sprintf("event %d: %v", e.Index, e.Err) }

// Unwrap returns ErrEvent and the reason.
func (e *EventError) Unwrap() []error { return []error{ErrEvent, e.Err} }

// FullError says how full a log is.
type FullError struct {
	Register          mrlog.Register
	Path              string
	Size, Need, Limit int64 // bytes: now, to be appended, allowed
}

// Error gives the sizes, and the way out.
func (e *FullError) Error() string {
	return fmt.Sprintf("%s: %v: %d bytes of at most %d, and %d more asked for; %s", e.Path, ErrFull, e.Size, e.Limit, e.Need, beginNew(e.Register))
}

// beginNew is how a person begins a new log.
func beginNew(reg mrlog.Register) string {
	shared := ""
	if reg.Space == mrlog.PCR {
		switch reg.Index {
		case 9, 10, 11, 15: // the command asks whether it is meant: others extend them
			shared = " --shared"
		}
	}
	return fmt.Sprintf("mrlog log new --register %s%s begins a new log at the register's present value, and keeps the old one if it is there", reg, shared)
}

// Unwrap returns ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }

// LockError says who holds a lock.
type LockError struct {
	Path    string
	PID     int           // 0 if the kernel does not say (another PID namespace)
	Command string        // "" likewise
	Waited  time.Duration // since the call
}

// Error names the holder.
func (e *LockError) Error() string {
	who := flock.Holder{PID: e.PID, Command: e.Command}
	return fmt.Sprintf("%s: %v by %s; waited %v", e.Path, ErrLocked, who, e.Waited.Round(time.Millisecond))
}

// Unwrap returns ErrLocked.
func (e *LockError) Unwrap() error { return ErrLocked }

// UnsafeError says why a path is not used.
type UnsafeError struct {
	Path string
	What string // what it is, and what it must be
}

// Error gives the reason.
func (e *UnsafeError) Error() string { return fmt.Sprintf("%s: %v: %s", e.Path, ErrUnsafe, e.What) }

// Unwrap returns ErrUnsafe.
func (e *UnsafeError) Unwrap() error { return ErrUnsafe }

// AppendError says how an append ended that disk or device did not let
// through.
type AppendError struct {
	Register mrlog.Register
	Outcome  error  // ErrRefused or ErrUnknown
	Step     string // that went wrong: "write", "sync", "extend", …
	Err      error  // its cause

	// Cut: with ErrUnknown, the event was not extended and was cut off the
	// log, but the cut could not be synced. Only a power failure can bring
	// the event back.
	Cut bool
	// Undecided: the event, or with Before the INIT of its log, stands in the log
	// of a register that cannot be read. No operation can find out whether it was extended:
	// see Keeper.Settle.
	Undecided bool
	// Before: it went wrong before the caller's events were looked at, while a
	// log was begun or recovered.
	Before bool
}

// Error gives outcome, step and cause.
func (e *AppendError) Error() string {
	what := "the event is neither in the log nor in the register"
	switch {
	case e.Before && e.Undecided:
		what = "nothing was recorded; INIT may have been extended, and the register cannot be read, so that it takes mrlog recover --assume to settle it"
	case e.Undecided:
		what = "the event may stand in the log, and may have been extended; the register cannot be read, so that it takes mrlog recover --assume to settle it"
	case e.Before:
		what = "nothing was recorded"
	case e.Outcome == ErrUnknown && e.Cut:
		what = "the event was cut off the log, but the cut may not survive a power failure; if it does not, the next operation completes the event"
	case e.Outcome == ErrUnknown:
		what = "the event may stand in the log; the next operation finds out whether it was extended, and completes it"
	}
	return fmt.Sprintf("%s: %v: %s: %v (%s)", e.Register, e.Outcome, e.Step, e.Err, what)
}

// Unwrap returns the outcome and the cause.
func (e *AppendError) Unwrap() []error { return []error{e.Outcome, e.Err} }

// Reason is why log and register do not belong together.
type Reason string

// The reasons.
const (
	// LogGone: deleted, moved away, or replaced by another file.
	LogGone Reason = "the log is gone"
	// LogUnopened: emptied, or not a log at all.
	LogUnopened Reason = "the log does not begin with INIT"
	// Unreplayable: it has a line above the limit.
	Unreplayable Reason = "the log cannot be replayed"
	// SecondInit: no reader accepts such a log.
	SecondInit Reason = "the log has a second INIT"
	// OtherBanks: a bank was activated or deactivated.
	OtherBanks Reason = "the register's active banks are not those of INIT"
	// BanksApart: one bank was extended alone.
	BanksApart Reason = "the register's banks match different prefixes of the log"
	// WasReset: by whoever can reset the register, PCR 16 and 23 say.
	WasReset Reason = "the register was reset during this boot"
	// LongTail: planted, not left by a crash.
	LongTail Reason = "more records follow the register's value than a keeper writes at once"
	// ForeignTail: likewise.
	ForeignTail Reason = "a record that was not extended is none that a keeper writes"
	// NoPrefix: someone extended past the log, or changed it.
	NoPrefix Reason = "no prefix of the log gives the register's value"
	// LogAltered: seen by a keeper that knew the log before.
	LogAltered Reason = "the log was changed before the last record known to agree"
	// PastLog: likewise; the log is as it was.
	PastLog Reason = "the register was extended without the log"
)

// BankDifference is a bank with the value that the whole log gives and the one
// that the register holds. A value that is not known is nil; Found is nil, too,
// for a bank that the register does not have.
type BankDifference struct {
	Alg             mrlog.Alg
	Expected, Found []byte
}

// Place is a place in a log.
type Place struct {
	Record int64 // from 0, which is INIT
	Line   int   // from 1
}

// Divergence says that a log and its register do not belong together, as far
// as it can be known why. While it lasts, nothing is appended.
type Divergence struct {
	Register mrlog.Register
	Path     string // of the log
	Reason   Reason
	Detail   string // what was seen, "" if the reason says it all
	Records  int64  // in the log, 0 if that is not known
	Banks    []BankDifference
	Device   error // why the register could not be read; nil if it was
	// Agree is the last record after which the log is known to have given
	// the register's value, now or when this keeper last looked; nil if none
	// is known.
	Agree  *Place
	Remedy string
}

// Error gives all of it in one line, values in full.
func (d *Divergence) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %v: %s", d.Register, ErrDiverged, d.Reason)
	if d.Detail != "" {
		fmt.Fprintf(&s, " (%s)", d.Detail)
	}
	for _, b := range d.Banks {
		fmt.Fprintf(&s, "; %s: ", b.Alg)
		if b.Expected != nil {
			fmt.Fprintf(&s, "the log gives %x, ", b.Expected)
		}
		switch {
		case b.Found != nil:
			fmt.Fprintf(&s, "the register holds %x", b.Found)
		case d.Device != nil:
			s.WriteString("the register could not be read")
		default:
			s.WriteString("the register has no such bank")
		}
	}
	if d.Device != nil {
		fmt.Fprintf(&s, "; %v", d.Device)
	}
	if d.Agree != nil {
		fmt.Fprintf(&s, "; last record known to agree: %d (line %d)", d.Agree.Record, d.Agree.Line)
	} else {
		s.WriteString("; no record is known to agree")
	}
	fmt.Fprintf(&s, "; %s", d.Remedy)
	return s.String()
}

// Unwrap returns ErrDiverged, and why the register could not be read.
func (d *Divergence) Unwrap() []error {
	if d.Device != nil {
		return []error{ErrDiverged, d.Device}
	}
	return []error{ErrDiverged}
}
