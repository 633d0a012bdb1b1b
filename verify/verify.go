// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"mrlog.dev"
)

// Expectation is a register value that the caller trusts.
type Expectation struct {
	Register mrlog.Register
	Alg      mrlog.Alg
	Value    []byte
}

// String gives "rtmr2:sha384=HEX".
func (e Expectation) String() string {
	return fmt.Sprintf("%s:%s=%x", e.Register, e.Alg, e.Value)
}

// Log is one log to verify. Logs of one register are given in the order in
// which they were kept.
type Log struct {
	Name   string // for findings and errors
	Reader mrlog.Reader
}

// State is what the comparison of a bank came to.
type State uint8

// The states. Only Verified and VerifiedPrefix are a yes.
const (
	Unchecked   State = iota // nobody expected a value
	Verified                 // the records replay to the expected value
	Mismatch                 // they do not
	Unexplained              // they do, but from a start that nothing explains
	Weak                     // they do, in SHA-1, which proves nothing
	Absent                   // the register's records have no digest of this bank

	// VerifiedPrefix: the first records replay to the expected value, and
	// others follow, of which nothing is proven. See Options.Prefix.
	VerifiedPrefix
)

// String names the state as output does.
func (s State) String() string {
	switch s {
	case Verified:
		return "verified"
	case Mismatch:
		return "mismatch"
	case Unexplained:
		return "unexplained-prefix"
	case Weak:
		return "weak"
	case Absent:
		return "bank-not-present"
	case VerifiedPrefix:
		return "verified-prefix"
	}
	return "unchecked"
}

// Register is the outcome for one bank of one register.
type Register struct {
	mrlog.Bank
	Expected []byte // nil where nobody expected a value
	State    State
	// Prefix: the value was expected after so many records of the bank,
	// before the log went on; -1 if at no point. It explains a mismatch, and
	// with Options.Prefix is what was accepted.
	Prefix int64
	// Follow is how many records of the register follow the accepted ones,
	// where these are not all. Nothing proves that they were extended.
	Follow int64

	// Of the bank's records, where only the first are accepted of these: those
	// whose content hashes to the digest, those of which that cannot be said,
	// or of a part only, and those that deviate, those whose content
	// contradicts it.
	Matches, Opaque, Differs uint64
}

// Bound is how many records of the bank are proven, digest and content.
func (r *Register) Bound() uint64 {
	if !r.proven() {
		return 0
	}
	return r.Matches
}

// DigestBound is how many records of the bank have a proven digest and a
// content that only describes what was measured, if that.
func (r *Register) DigestBound() uint64 {
	if !r.proven() {
		return 0
	}
	return r.Opaque
}

// proven reports whether the state is a yes.
func (r *Register) proven() bool { return r.State == Verified || r.State == VerifiedPrefix }

// accepted is how many of the bank's records lead to the expected value.
func (r *Register) accepted() uint64 {
	if r.State == VerifiedPrefix {
		return uint64(r.Prefix)
	}
	return r.Records
}

// Finding is one thing that is wrong with a log, apart from register values.
type Finding struct {
	// Whole: it is about the log, not one of its records.
	Whole    bool
	Log      string
	Register mrlog.Register
	Alg      mrlog.Alg // 0 where it concerns the whole record
	Number   uint64    // of the record, counted in its log from 0
	Span     mrlog.Span
	Text     string
}

// MaxFindings bounds the findings that a report keeps; it counts all of them.
const MaxFindings = 100

// Report is what verification came to.
type Report struct {
	Records     uint64 // read
	NotExtended uint64 // of these, informative ones: nothing proves them
	Covered     uint64 // of these, extended into a bank that was verified

	Registers []Register
	Findings  []Finding
	Found     int // findings in all

	// Later are findings about records that follow the accepted part of
	// their register's log, at most MaxFindings, and FoundLater counts them.
	// Nothing proves those records anyway: these are no refusal.
	Later      []Finding
	FoundLater int

	// PrefixHelps: the answer is no, and would be a yes with Options.Prefix.
	PrefixHelps bool

	// Remarks are what was noticed and has no bearing on the answer, see
	// Strictness. As many as of Findings are kept.
	Remarks  []Finding
	Remarked int // in all
	Contents Strictness

	// Skipped counts the digests of algorithms that mrlog cannot compute.
	Skipped map[mrlog.Alg]uint64
}

// OK reports whether every expected value was verified, nothing is wrong, and
// the logs have a record that this covers, if any was extended.
func (r *Report) OK() bool {
	some := false
	for i := range r.Registers {
		switch b := &r.Registers[i]; b.State {
		case Verified, VerifiedPrefix:
			some = true
		case Weak:
			// SHA-1 proves nothing, and takes nothing from another bank
			// of the register that does.
			if !r.verified(b.Register) {
				return false
			}
		case Unchecked:
		default:
			return false
		}
	}
	return some && r.Found == 0 && (r.Covered > 0 || r.Records == r.NotExtended)
}

// verified reports whether a bank of the register was.
func (r *Report) verified(reg mrlog.Register) bool {
	return slices.ContainsFunc(r.Registers, func(b Register) bool { return b.Register == reg && b.proven() })
}

// Options of a Checker.
type Options struct {
	Expect []Expectation
	// Prefix accepts a log that goes on past a register: up to the last
	// record after which every value that is expected of the register is
	// reached, in all banks at once. It is as if the log ended there. Logs are
	// read after the quote, so that they often have more. The register may have
	// none of the records, if it holds what they start from; but logs of which
	// no record is covered do not verify.
	Prefix bool
	Procs  int // processors to use; 0 or 1 for the calling goroutine alone

	Contents Strictness

	// Progress, if not nil, is called after each batch with the records read
	// of the log at hand and the offset in it.
	Progress func(records, offset int64)
}

// Check verifies logs that are open at once; see [Checker].
func Check(ctx context.Context, logs []Log, o Options) (*Report, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if err := c.Log(ctx, l); err != nil {
			return nil, err
		}
	}
	return c.Report(), nil
}

// checkExpectations refuses what would otherwise be left out without a word: a
// report has one expected value for a bank.
func checkExpectations(expect []Expectation) error {
	for i, e := range expect {
		switch size := e.Alg.Size(); {
		case size == 0:
			return fmt.Errorf("expected value of %s: algorithm %s is not known", e.Register, e.Alg)
		case len(e.Value) != size:
			return fmt.Errorf("expected value of %s: %s value of %d bytes: %w", e.Register, e.Alg, len(e.Value), mrlog.ErrSize)
		}
		for _, o := range expect[:i] {
			if o.Register == e.Register && o.Alg == e.Alg && !bytes.Equal(o.Value, e.Value) {
				return fmt.Errorf("two values are expected of %s:%s", e.Register, e.Alg)
			}
		}
	}
	return nil
}
