// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"mrlog.dev"
)

// evSeparator ends what the firmware measured on its own (PC Client Platform
// Firmware Profile 1.06, section 10.4.5).
const evSeparator = 4

// firmwarePCRs are those that have a separator, each one.
const firmwarePCRs = 8

// separators is a reader that notes the first PCR with a second separator. In a
// CC log the separators of several PCRs are in one register, so that there it
// means nothing.
type separators struct {
	mrlog.Reader
	seen   [firmwarePCRs]bool
	read   int64
	second struct {
		register mrlog.Register
		number   int64
		found    bool
	}
}

// Read implements [mrlog.Reader].
func (s *separators) Read(b *mrlog.Batch) error {
	err := s.Reader.Read(b)
	for i := range b.Records {
		rec := &b.Records[i]
		if rec.Event == evSeparator && rec.Type == mrlog.TypePCClient && rec.Register.Space == mrlog.PCR && rec.Register.Index < firmwarePCRs {
			if s.seen[rec.Register.Index] && !s.second.found {
				s.second.register, s.second.number, s.second.found = rec.Register, s.read+int64(i), true
			}
			s.seen[rec.Register.Index] = true
		}
	}
	s.read += int64(len(b.Records))
	return err
}

// Unwrap returns the reader behind it.
func (s *separators) Unwrap() mrlog.Reader { return s.Reader }

// watch begins to look at the log's separators. What computes its digests itself
// is no log of firmware.
func (i *input) watch() {
	if _, ok := i.Reader.(mrlog.Hasher); !ok {
		i.separators = &separators{Reader: i.Reader}
		i.Reader = i.separators
	}
}

// warnSeparators tells of a second separator: what is written to look like the
// firmware's may be another's.
func (e *env) warnSeparators(in *input) {
	if s := in.separators; s != nil && s.second.found {
		e.warn("%s: record %d is a second EV_SEPARATOR of %s: what follows the first is not the firmware's", in.name, s.second.number, s.second.register)
	}
}
