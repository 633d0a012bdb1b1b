// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package keeper is the only code that appends to a native log and extends
// its register. It holds the two together: whatever instant a keeper, or the
// machine under it, stops at, the next operation finds out what happened from
// the log and the register alone, and mends it.
//
// # State
//
// The log of a register is STATE/REGISTER/log ("/run/mrlog/rtmr2/log"): native
// records (package nelr), opened by INIT. The folder has mode 0700, the log
// 0600, one link, and the owner is the effective user; anything else is
// refused. Write permission on a log is the right to measure anything. The
// full description, with the lock and the recovery, is docs/spec/keeper.md.
//
// # How log and register stay together
//
// The log is written before the register is extended, so that the log is the
// intent and the register the commit mark; there is no other file that could
// be torn. An operation holds flock(LOCK_EX) on the log, replays what is new,
// reads the register, and compares. If they differ, decide says what to do:
// it is the recovery table of the specification, one case a row.
//
// # Answers
//
// An event has three outcomes. Recorded: [Keeper.Append] returns its
// [Receipt]. Unknown ([ErrUnknown]): it may stand in the log and may be
// extended; the next operation finds out, and completes what is there. Any
// other error: it is not in the log and was not extended; with [ErrRefused]
// the disk or the device said no, with [ErrDiverged] log and register do not
// belong together and nothing is appended until somebody has looked, and has
// begun a new log ([Keeper.NewLog]).
//
// A register that cannot be read has no value to compare with. Its log says
// alone how far it was extended, but for one record at most, whose writer died
// while it extended it: then nothing is appended ([ErrUndecided]) until somebody
// has said what happened ([Keeper.Settle]). The same goes for a device that failed
// and gives values from a cache (doubt.go).
package keeper
