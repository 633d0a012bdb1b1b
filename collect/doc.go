// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package collect takes snapshots: the values of registers, and of each
// register's log the part that replays to its value. It takes no lock, so that
// no reader can hold up a writer, and changes nothing.
//
// # Why that is possible
//
// A log is written before its register is extended, and what was extended is
// never cut off. So whatever a register shows is in the log that is read
// afterwards: a snapshot takes the values first, or is given those of a quote,
// then reads each log and cuts it after the record whose replay gives the
// value. What follows was written later, or is not extended yet; a torn last
// line is part of it.
//
// Between the two a writer may have begun a new log and kept the old one as
// log.N ("mrlog log new", or the first event after a boot). The value then
// lies in log.N, or at the end of it. And a value whose log begins with INIT
// at the end of an earlier log is explained by both: the earlier logs of this
// boot belong to the snapshot, each cut where the next one begins.
//
// No two prefixes give the same value, unless somebody finds a collision of the
// hash function: the cut is never a choice.
//
// # What a snapshot says
//
// A register is [Consistent], has [NoLog], is [Inconsistent], or is
// [Unreadable]. Inconsistent is said only when no prefix gives the value, or
// when the register was set back under its log, and with the reason.
//
// What is in a log is not believed: modes, owners and hints decide nothing
// about it. A prefix belongs to a value because it replays to it, and is
// replayed once more while it is copied out ([Log.WriteTo]).
//
// The files read are those of docs/spec/keeper.md. A snapshot written out, by
// [Result.WriteDir] or [Result.WriteTar], holds snapshot.json (a [Manifest],
// described in docs/json.md) and for each register that has a log
// rtmr2/log, which ends with the value, after rtmr2/log.1 and so on, which lead
// to it.
package collect
