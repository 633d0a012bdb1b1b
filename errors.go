// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"errors"
	"fmt"
)

// ErrNotInit says that a line is no INIT record, which the first record of a
// native log is.
var ErrNotInit = errors.New("not an INIT record: want INIT ALG/HEX")

// ErrLimit says that an input is larger than mrlog accepts. The error that
// wraps it names the limit.
var ErrLimit = errors.New("limit exceeded")

// SyntaxError says that an input is malformed, and where. Every reader returns
// its findings about the input (not those of the underlying io.Reader) as
// one.
type SyntaxError struct {
	Format string // of the input: "nelr", "cel-json", …
	Line   int    // from 1; 0 where the format has no lines
	Offset int64  // of the byte at fault, from 0
	Record int64  // number of the record at fault in the log, from 0; -1 outside records
	Err    error  // what is wrong there
}

// Error gives the place, then the reason. The name of the file is the
// caller's to add.
func (e *SyntaxError) Error() string {
	place := fmt.Sprintf("offset %d", e.Offset)
	if e.Line > 0 {
		place = fmt.Sprintf("line %d (%s)", e.Line, place)
	}
	if e.Record >= 0 {
		place += fmt.Sprintf(", record %d", e.Record)
	}
	return fmt.Sprintf("%s: %s: %v", e.Format, place, e.Err)
}

// Unwrap returns the reason.
func (e *SyntaxError) Unwrap() error { return e.Err }

// CarryError says that a format cannot carry a record. Nothing of the record
// has been written.
type CarryError struct {
	Format string // that cannot carry it
	Record int64  // number of the record in the log, from 0
	Span   Span   // where it stands in its source
	What   string // what cannot be carried, and why
}

// Error names the record and what cannot be carried.
func (e *CarryError) Error() string {
	place := fmt.Sprintf("record %d", e.Record)
	if e.Span.Line > 0 {
		place = fmt.Sprintf("line %d, %s", e.Span.Line, place)
	}
	return fmt.Sprintf("%s: %s: %s", e.Format, place, e.What)
}
