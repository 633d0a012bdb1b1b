// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import "bytes"

// flagSize is the size of the flag that ends a log before the end of its area:
// where the index and type of a record would stand, all bytes are 0xFF or all
// are zero.
const flagSize = 8

// End is what stands after the last record of a log.
type End struct {
	Offset int64 // of the first byte after the last record
	Ones   int64 // bytes of 0xFF from there on, with which EDK II fills its area
	Zeros  int64 // zero bytes after these, with which td-shim does
	Other  int64 // bytes from the first that is neither, see Options.IgnoreTrailing
}

// Padding returns how many bytes follow the last record.
func (e End) Padding() int64 { return e.Ones + e.Zeros + e.Other }

// take counts the next bytes after the end, and returns where the first is that
// is no padding, or -1.
func (e *End) take(p []byte) int {
	at := 0
	if e.Zeros == 0 && e.Other == 0 {
		at = run(p, 0xFF)
		e.Ones += int64(at)
	}
	if e.Other == 0 {
		n := run(p[at:], 0)
		e.Zeros += int64(n)
		at += n
	}
	if at == len(p) {
		return -1
	}
	e.Other += int64(len(p) - at)
	return at
}

// runStep is how many bytes are looked at together. That many stay in a
// processor's first-level cache until they are looked at one by one.
const runStep = 4 << 10

// run returns how many bytes at the beginning of p are c.
func run(p []byte, c byte) int {
	n := 0
	for len(p)-n > runStep {
		if bytes.Count(p[n:n+runStep], []byte{c}) != runStep {
			break
		}
		n += runStep
	}
	for n < len(p) && p[n] == c {
		n++
	}
	return n
}
