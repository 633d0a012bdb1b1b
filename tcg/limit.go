// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"fmt"

	"mrlog.dev"
)

// Limits. A log can come from anyone, so that nothing in it may cost more than
// its own length.
const (
	// MaxEvent bounds the data of one event. The largest in real logs, UEFI
	// variables with lists of revoked hashes, stay below 64 KiB; this is what
	// the canonical event log carries.
	MaxEvent = 1 << 20

	// MaxLookAhead bounds how far a log is read to tell the space of its
	// indexes before its first record is given out. Most areas that firmware
	// keeps a log in are smaller.
	MaxLookAhead = 1 << 20
)

// limitErr says that a size is above its limit.
func limitErr(what string, n uint64, limit int) error {
	return fmt.Errorf("%s of %d bytes, the limit is %d: %w", what, n, limit, mrlog.ErrLimit)
}
