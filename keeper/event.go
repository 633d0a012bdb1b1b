// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"crypto/sha256"
	"errors"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

// Event is what a caller submits for measurement.
type Event struct {
	nelr.Event

	// Line is a free-form record instead of an event, which must then be
	// empty. See nelr.CheckFreeForm for what it may be.
	Line []byte

	// Comment is written before the record as comment lines; it is not
	// measured. An Event of a comment alone records nothing.
	Comment string

	// Once makes the event do nothing if the very same record stands in
	// this boot's logs of the register already: in the log, or in earlier
	// ones that join it. A log that had diverged when it was kept does not, and
	// no more does one of another boot; a log that went on through a kexec
	// counts as a whole. See docs/spec/keeper.md, section 6.
	Once bool
}

// Receipt says where an event was recorded.
type Receipt struct {
	// Record is the record's number in the log, from 0, which is INIT. For
	// a comment alone it is the number of the record before it.
	Record int64
	// Digests are what was extended, one for each bank; nil for a comment.
	Digests []mrlog.Digest
	// Values of the register after the record. With AlreadyThere, the values
	// of the time of the call.
	Values []mrlog.Digest
	// AlreadyThere: the event asked for Once, and the record was there. If
	// it stands in an earlier log of this boot, Record is -1.
	AlreadyThere bool
}

// item is an event as it will stand in the log. A native form is what this
// file makes of an event: the bytes in the log, and the digests extended.
type item struct {
	text    []byte         // comment lines, the measured line, each with its newline
	digests []mrlog.Digest // of the measured line; nil if there is none
	key     lineKey        // of the measured line
	once    bool
}

// render makes the item of an event for the banks of a register.
func (e Event) render(banks []device.Bank) (item, error) {
	it := item{once: e.Once}
	free := len(e.Line) > 0
	bare := e.Event == nelr.Event{}
	if free && !bare {
		return it, errors.New("both an event and a free-form line are given")
	}
	if !free && bare && e.Comment == "" {
		return it, errors.New("event is empty")
	}
	var err error
	if e.Comment != "" {
		if it.text, err = nelr.AppendComment(it.text, e.Comment); err != nil {
			return it, err
		}
	}
	start := len(it.text)
	switch {
	case free:
		if err := nelr.CheckFreeForm(e.Line); err != nil {
			return it, err
		}
		it.text = append(it.text, e.Line...)
	case !bare:
		if it.text, err = e.AppendLine(it.text); err != nil {
			return it, err
		}
	}
	if line := it.text[start:]; len(line) > 0 {
		it.digests = measure(line, banks)
		it.key = sha256.Sum256(line)
		it.text = append(it.text, '\n')
	}
	if len(it.text) > MaxBatchBytes {
		return it, errors.New("comment is longer than one append may be")
	}
	return it, nil
}

// measure returns the digests of a measured line, one for each bank.
func measure(line []byte, banks []device.Bank) []mrlog.Digest {
	out := make([]mrlog.Digest, len(banks))
	for i, b := range banks {
		out[i] = mrlog.Digest{Alg: b.Alg, Sum: b.Alg.AppendSum(make([]byte, 0, b.Alg.Size()), line)}
	}
	return out
}
