// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"mrlog.dev"
	"mrlog.dev/internal/pipe"
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
	Name   string // for findings
	Reader mrlog.Reader

	derived bool // the reader computes its digests from the contents
}

// State is what the comparison of a bank came to.
type State uint8

// The states. Only Verified is a yes.
const (
	Unchecked   State = iota // nobody expected a value
	Verified                 // the records replay to the expected value
	Mismatch                 // they do not
	Unexplained              // they do, but from a start that nothing explains
	Weak                     // they do, in SHA-1, which proves nothing
	Absent                   // the register's records have no digest of this bank
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
	}
	return "unchecked"
}

// Register is the outcome for one bank of one register.
type Register struct {
	mrlog.Bank
	Expected []byte // nil where nobody expected a value
	State    State
	// Prefix: the value was expected after so many records of the bank,
	// before the log went on; -1 if at no point. It explains a mismatch.
	Prefix int64

	// Of the bank's records: those whose content hashes to the digest, those
	// of which that cannot be said, those whose content contradicts it.
	Matches, Opaque, Differs uint64
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
	Records   uint64 // read
	Registers []Register
	Findings  []Finding
	Found     int // findings in all

	// Skipped counts the digests of algorithms that mrlog cannot compute.
	Skipped map[mrlog.Alg]uint64
}

// OK reports whether every expected value was verified and nothing is wrong.
func (r *Report) OK() bool {
	some := false
	for _, b := range r.Registers {
		switch b.State {
		case Verified:
			some = true
		case Weak:
			// Proves nothing, and takes nothing from another bank of
			// the register that does.
		case Unchecked:
		default:
			return false
		}
	}
	return some && r.Found == 0 && !r.onlyWeak()
}

// onlyWeak reports whether a register was expected in SHA-1 and in no bank
// that binds.
func (r *Report) onlyWeak() bool {
	return slices.ContainsFunc(r.Registers, func(b Register) bool {
		return b.State == Weak && !slices.ContainsFunc(r.Registers, func(o Register) bool {
			return o.Register == b.Register && o.State == Verified
		})
	})
}

// Options of Check.
type Options struct {
	Expect []Expectation
	Procs  int // processors to use; 0 or 1 for the calling goroutine alone

	// Progress, if not nil, is called after each batch with the number of
	// records read so far in the log at that place of the list.
	Progress func(log int, records, offset int64)
}

// Check replays the logs together, in order, and compares. It returns a report
// unless a log cannot be read: the error then names the log and wraps the
// reader's, a *mrlog.SyntaxError for malformed input. Expectations that cannot
// be judged, or contradict each other, are an error before anything is read.
func Check(ctx context.Context, logs []Log, o Options) (*Report, error) {
	if err := checkExpectations(o.Expect); err != nil {
		return nil, err
	}
	c := checker{expect: o.Expect}
	for i, l := range logs {
		_, l.derived = l.Reader.(mrlog.Hasher)
		if err := c.log(ctx, i, l, o); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return c.report(), nil
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

// checker gathers a report while the logs go by.
type checker struct {
	expect []Expectation
	replay mrlog.Replay
	hasher Hasher
	rep    Report
	banks  []*tally
	inits  int // refused INIT records taken into the report

	// Registers of which a value is expected and that were extended in a
	// bank that cannot be replayed.
	foreigns map[mrlog.Register]bool
}

func (c *checker) foreign(reg mrlog.Register) {
	if !c.foreigns[reg] && slices.ContainsFunc(c.expect, func(e Expectation) bool { return e.Register == reg }) {
		if c.foreigns == nil {
			c.foreigns = make(map[mrlog.Register]bool)
		}
		c.foreigns[reg] = true
	}
}

// tally is what is known of a bank besides its replay.
type tally struct {
	register mrlog.Register
	alg      mrlog.Alg
	expected []byte
	prefix   int64 // records after which the expected value was reached; -1
	records  int64

	matches, opaque, differs uint64
}

func (c *checker) tally(reg mrlog.Register, alg mrlog.Alg) *tally {
	for _, t := range c.banks {
		if t.alg == alg && t.register == reg {
			return t
		}
	}
	t := &tally{register: reg, alg: alg, prefix: -1}
	for _, e := range c.expect {
		if e.Register == reg && e.Alg == alg {
			t.expected = e.Value
		}
	}
	c.banks = append(c.banks, t)
	return t
}

func (c *checker) log(ctx context.Context, i int, l Log, o Options) error {
	var number int64
	var settled, renamed bool
	var from, to mrlog.Register
	return pipe.Each(ctx, l.Reader, o.Procs, func(records []mrlog.Record) error {
		if !settled {
			from = records[0].Register
			to, renamed = c.settle(l.Reader.Header(), from)
			settled = true
		}
		for j := range records {
			rec := &records[j]
			if renamed && rec.Register == from {
				rec.Register = to
			}
			if err := c.record(l, number, records[j:j+1]); err != nil {
				return err
			}
			number++
		}
		c.rep.Records += uint64(len(records))
		if o.Progress != nil {
			last := records[len(records)-1].Span
			o.Progress(i, number, last.Offset+int64(last.Length))
		}
		return nil
	})
}

// settle lets the caller name the space of a log that does not say its own: an
// expected register of the same number stands for the log's.
func (c *checker) settle(h mrlog.Header, assumed mrlog.Register) (mrlog.Register, bool) {
	if !h.SpaceAssumed {
		return assumed, false
	}
	found := assumed
	for _, e := range c.expect {
		switch {
		case e.Register == assumed:
			return assumed, false
		case e.Register.Index == assumed.Index && e.Register.Space != mrlog.NV:
			if found != assumed && found != e.Register {
				return assumed, false // two of them: the caller must say
			}
			found = e.Register
		}
	}
	return found, found != assumed
}

// record replays one record and looks at what it says of itself.
func (c *checker) record(l Log, number int64, one []mrlog.Record) error {
	rec := &one[0]
	if err := c.replay.Extend(one); err != nil {
		return err
	}
	if errs, n := c.replay.InitErrors(); n > c.inits {
		for ; c.inits < n; c.inits++ {
			if c.inits < len(errs) {
				e := errs[c.inits]
				c.find(l, number, rec, e.Alg, e.Error())
			} else {
				c.rep.Found++
			}
		}
	}
	if rec.NotExtended {
		return nil
	}
	for _, d := range rec.Digests {
		if d.Alg.Size() == 0 {
			c.foreign(rec.Register)
			continue
		}
		t := c.tally(rec.Register, d.Alg)
		t.records++
		if t.expected != nil && bytes.Equal(c.replay.Value(rec.Register, d.Alg), t.expected) {
			t.prefix = t.records
		}
		// A native log has no digests but those of its lines: its reader
		// has just computed them.
		content := Matches
		if !l.derived {
			content = c.hasher.Content(rec, d)
		}
		switch content {
		case Matches:
			t.matches++
		case Opaque:
			t.opaque++
		case Differs:
			t.differs++
			c.find(l, number, rec, d.Alg, fmt.Sprintf("content does not hash to its %s digest: it is not what was measured", d.Alg))
		}
	}
	return nil
}

func (c *checker) find(l Log, number int64, rec *mrlog.Record, alg mrlog.Alg, text string) {
	c.rep.Found++
	if len(c.rep.Findings) < MaxFindings {
		c.rep.Findings = append(c.rep.Findings, Finding{
			Log: l.Name, Register: rec.Register, Alg: alg, Number: uint64(number), Span: rec.Span, Text: text,
		})
	}
}

// report compares the replay with what was expected.
func (c *checker) report() *Report {
	c.rep.Skipped = c.replay.Skipped()
	for _, b := range c.replay.Banks() {
		t := c.tally(b.Register, b.Alg)
		c.rep.Registers = append(c.rep.Registers, Register{
			Bank: b, Expected: t.expected, State: judge(b, t.expected), Prefix: t.before(b),
			Matches: t.matches, Opaque: t.opaque, Differs: t.differs,
		})
	}
	// A value may be expected of a register that no log names: then it was
	// never extended, and must hold its reset value.
	for _, e := range c.expect {
		if slices.ContainsFunc(c.rep.Registers, func(r Register) bool { return r.Register == e.Register && r.Alg == e.Alg }) {
			continue
		}
		reset := e.Register.ResetValue(e.Alg)
		state := Absent
		b := mrlog.Bank{Register: e.Register, Alg: e.Alg, Value: reset, Start: reset}
		if e.Register.ResetsTo(e.Alg, e.Value) {
			b.Value, b.Start = e.Value, e.Value
		}
		if !c.foreigns[e.Register] && !slices.ContainsFunc(c.rep.Registers, func(r Register) bool { return r.Register == e.Register && r.Records > 0 }) {
			state = judge(b, e.Value)
		}
		c.rep.Registers = append(c.rep.Registers, Register{Bank: b, Expected: e.Value, State: state, Prefix: -1})
	}
	slices.SortStableFunc(c.rep.Registers, func(a, b Register) int {
		if n := a.Register.Compare(b.Register); n != 0 {
			return n
		}
		return int(a.Alg) - int(b.Alg)
	})
	return &c.rep
}

func judge(b mrlog.Bank, expected []byte) State {
	switch {
	case expected == nil:
		return Unchecked
	case !bytes.Equal(b.Value, expected):
		return Mismatch
	case b.Unexplained:
		return Unexplained
	case !b.Alg.Binds():
		return Weak
	}
	return Verified
}

// before returns after how many records the bank had the expected value, if it
// has another one now.
func (t *tally) before(b mrlog.Bank) int64 {
	switch {
	case t.expected == nil || bytes.Equal(b.Value, t.expected):
		return -1
	case t.prefix < 0 && bytes.Equal(b.Start, t.expected):
		return 0
	}
	return t.prefix
}
