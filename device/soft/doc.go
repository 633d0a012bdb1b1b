// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package soft is a device of software registers in a folder, for development
// and tests. Whoever can write the folder can set any value, so that all of
// it is marked simulated and proves nothing to anybody else.
//
// # Files
//
// The file "shape" holds the shape's name and a newline. It is made last, so
// that a folder with it is complete. Beside it stands one file per register,
// named as the register is ("rtmr2", "pcr14").
//
// A register file has two slots of 512 bytes, at offsets 0 and 4096. A slot is
// text, padded with newlines:
//
//	mrlog soft register rtmr2
//	sequence 7
//	sha384 4693cf54…
//	check 93c1…
//
// with one line for each bank, and as "check" the SHA-256 of all bytes before
// that line. The valid slot with the higher sequence number is the register's
// value. An extend writes the other slot, which lies in a sector of its own:
// whatever instant it is cut short at, the value is the old or the new one.
// Both slots bad is an error, never a value.
//
// Who extends holds flock(LOCK_EX) on the register's file. Reading takes no
// lock.
package soft
