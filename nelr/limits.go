// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

const (
	// MaxLine is the longest measured line, comment or hint in bytes, without
	// its newline. A line is appended with one write and held whole by every
	// reader; 1 MiB is far above any event in use (the longest are container
	// policies of some hundred KiB) and far below what could hurt a verifier.
	MaxLine = 1 << 20

	// MaxLog is the largest log in bytes. An agent that starts replays its
	// log whole: 4 GiB are some twenty seconds of hashing. It also bounds the
	// records of a log to less than 2^31, a count that the narrowest record
	// number in use (4 bytes) can hold.
	MaxLog = 4 << 30
)
