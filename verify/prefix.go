// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"slices"

	"mrlog.dev"
)

// counts are the records of a bank.
type counts struct {
	records                  int64
	matches, opaque, differs uint64
	missing                  uint64 // records of the register without a digest of this bank
}

// progress is how far the records of a register have come, and the last place
// where all of its expected values were reached together. That none of them
// comes back is what an extended register is for; if one did, the longest part
// of the log would count.
type progress struct {
	banks    []*tally // with an expected value
	extended int64    // records, in all logs
	found    int      // findings about them
	moved    bool     // a bank was extended since the last mark

	// Of the place where the values were reached: 0 if there is none.
	reached int64
	sound   int // findings up to there
}

// mark is called after each record, and reports whether the values are reached.
func (p *progress) mark() bool {
	if !p.moved {
		return false
	}
	p.moved = false
	if slices.ContainsFunc(p.banks, func(t *tally) bool { return !t.holds }) {
		return false
	}
	p.reached, p.sound = p.extended, p.found
	for _, t := range p.banks {
		t.at = t.counts
	}
	return true
}

// place is that of a record among those of its register: of one that was not
// extended, it is behind the last that was.
func (p *progress) place(rec *mrlog.Record) int64 {
	if rec.NotExtended {
		return p.extended + 1
	}
	return p.extended
}

// ends reports whether the log of a register is accepted up to a place before
// its end: where its expected values were reached together, or before its first
// record, where it holds what a reset gave it. A start that nothing explains is
// none.
func (l *lane) ends(banks []mrlog.Bank) bool {
	if l.reached > 0 || len(l.banks) == 0 {
		return 0 < l.reached && l.reached < l.extended
	}
	return l.extended > 0 && !slices.ContainsFunc(l.banks, func(t *tally) bool {
		return !slices.ContainsFunc(banks, func(b mrlog.Bank) bool {
			return b.Register == t.register && b.Alg == t.alg && !b.Unexplained && bytes.Equal(b.Start, t.expected)
		})
	})
}
