// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/dstack"
	"mrlog.dev/internal/pipe"
)

// Checker replays logs together, one after another, and compares the registers
// with what is expected.
type Checker struct {
	o      Options
	replay mrlog.Replay
	// What PCR 17 to 22 hold if a dynamic launch has cleared them before, which
	// a log need not tell: those of which a value is expected.
	cleared mrlog.Replay
	rep     Report // but for findings and registers
	banks   []*tally
	inits   int // refused INIT records taken into the findings
	watch   Watch

	log   Log // the one at hand
	logs  int // so far
	lanes map[mrlog.Register]*lane
	lane  *lane // of the last record

	// The first findings, and the first that are made where a register's
	// expected values had been reached: the log may be accepted up to there.
	findings, after []found
	found           int // in all

	// Registers of which a value is expected and that were extended in a
	// bank that cannot be replayed.
	foreigns map[mrlog.Register]bool
}

// tally is what is known of a bank besides its replay.
type tally struct {
	register mrlog.Register
	alg      mrlog.Alg
	expected []byte
	prefix   int64 // records after which the expected value was reached; -1
	holds    bool  // it is the value now

	counts
	at    counts  // where all expected values of the register were reached
	first Finding // what is to be said of the first missing record
}

// New returns a Checker. Expectations that cannot be judged, or contradict each
// other, are an error.
func New(o Options) (*Checker, error) {
	if err := checkExpectations(o.Expect); err != nil {
		return nil, err
	}
	c := &Checker{o: o, lanes: make(map[mrlog.Register]*lane)}
	c.rep.Contents = o.Contents
	for _, e := range o.Expect {
		if e.Register.Space == mrlog.RTMR {
			c.watch.trusted = append(c.watch.trusted, e.Alg)
		}
		c.tally(e.Register, e.Alg) // so that a record without the digest is noticed
		zeros := make([]byte, e.Alg.Size())
		if e.Register.ResetsTo(e.Alg, zeros) && !bytes.Equal(e.Register.ResetValue(e.Alg), zeros) {
			if err := c.cleared.Start(e.Register, e.Alg, zeros); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// Log replays a log to its end. The error is that of the reader, a
// *mrlog.SyntaxError for malformed input, with the log's name before it; the
// Checker is then spent.
func (c *Checker) Log(ctx context.Context, l Log) error {
	c.log, c.lane, c.watch.Log = l, nil, l.Name
	c.logs++
	// Of a log whose digests are all derived it is known that the contents
	// match. A reader that derives some beside the logged ones is a Hasher, too.
	var hashers sync.Pool
	contents := func(records []mrlog.Record, answers []Contents) {
		h, _ := hashers.Get().(*Hasher)
		if h == nil {
			head := l.Reader.Header()
			h = &Hasher{Format: head.Format, Contents: c.o.Contents, derived: head.DerivedBanks}
		}
		h.Each(records, answers)
		hashers.Put(h)
	}
	// dstack's older digests are the same for several events: there it is asked
	// all the same.
	_, derived := l.Reader.(mrlog.Hasher)
	asked := l.Reader.Header().Format == dstack.Format
	if derived = derived && l.Reader.Header().Derived && !asked; derived {
		contents = nil
	}
	var number int64
	err := pipe.EachWith(ctx, l.Reader, c.o.Procs, contents, func(records []mrlog.Record, answers []Contents) error {
		if number == 0 && l.Reader.Header().Derived && !asked {
			derived = true
		}
		for i := range records {
			found := &answers[i]
			if derived {
				found = nil
			}
			if err := c.record(number, records[i:i+1], found); err != nil {
				return err
			}
			number++
		}
		c.rep.Records += uint64(len(records))
		if c.o.Progress != nil {
			last := records[len(records)-1].Span
			c.o.Progress(number, last.Offset+int64(last.Length))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	if err := convert.CheckMR(l.Reader, &c.replay); err != nil {
		c.add(Finding{Whole: true, Log: l.Name, Text: err.Error()}, 0)
	}
	return nil
}

// Value returns the value that a bank has after the logs so far, or nil if none
// of them names it. It is borrowed until the next log.
func (c *Checker) Value(reg mrlog.Register, alg mrlog.Alg) []byte { return c.replay.Value(reg, alg) }

// place lets the caller name the space of a register that the log gives by its
// number only: an expected register of the same number stands for it, if there
// is one. The index of a CC-MR in a firmware log, or of an RTMR in an IMA list,
// is never taken for that of the other, of which the same number names another
// register.
func (c *Checker) place(rec *mrlog.Record) {
	found := rec.Register
	for _, e := range c.o.Expect {
		switch {
		case e.Register == rec.Register:
			return
		case rec.Type != mrlog.TypeCCCEL && e.Register.Space != mrlog.PCR:
			continue
		case e.Register.Index == rec.Register.Index && e.Register.Space != mrlog.NV:
			if found != rec.Register && found != e.Register {
				return // two of them: the caller must say
			}
			found = e.Register
		}
	}
	rec.Register = found
}

// record replays one record and looks at what it says of itself. How its content
// stands to its digests is nil if they were derived from it.
func (c *Checker) record(number int64, one []mrlog.Record, contents *Contents) error {
	rec := &one[0]
	if rec.Notes&mrlog.NoteSpaceAssumed != 0 {
		c.place(rec)
	}
	if err := c.enter(number, rec); err != nil {
		return err
	}
	if err := c.replay.Extend(one); err != nil {
		return err
	}
	if c.clears(rec) {
		if err := c.cleared.Extend(one); err != nil {
			return err
		}
	}
	if errs, n := c.replay.InitErrors(); n > c.inits {
		for ; c.inits < n; c.inits++ {
			switch {
			case c.inits < len(errs) && errs[c.inits].Record.IsLaunch():
				// Either start is tried, and the register decides.
			case c.inits < len(errs):
				c.find(number, rec, errs[c.inits].Alg, errs[c.inits].Error())
			default:
				c.found++
				c.lane.found++
			}
		}
	}
	if text := c.lane.next(rec, c.logs); text != "" {
		c.find(number, rec, 0, text)
	}
	if text, later := c.watch.next(uint64(number), rec, c.lane.place(rec)); text != "" && !later {
		if c.o.Contents == Strict {
			c.find(number, rec, 0, text)
		} else {
			c.remark(c.finding(number, rec, 0, text))
		}
	}
	if rec.NotExtended {
		c.rep.NotExtended++
		return nil
	}
	for i, d := range rec.Digests {
		content := Opaque
		switch {
		case d.Alg.Size() == 0:
			c.foreign(rec.Register)
			continue
		case contents == nil:
			content = Matches
		case i < len(contents):
			content = contents[i]
		}
		c.digest(number, rec, d, content)
	}
	c.covered(number, rec)
	if c.lane.mark() {
		c.watch.mark(rec.Register)
	}
	return nil
}

// enter turns to the lane of a record's register.
func (c *Checker) enter(number int64, rec *mrlog.Record) error {
	if c.lane == nil || c.lane.register != rec.Register {
		if c.lane = c.lanes[rec.Register]; c.lane == nil {
			if len(c.lanes) == mrlog.MaxReplayBanks {
				return &mrlog.SyntaxError{
					Format: "registers", Line: rec.Span.Line, Offset: rec.Span.Offset, Record: number,
					Err: fmt.Errorf("more than %d of them: %w", mrlog.MaxReplayBanks, mrlog.ErrLimit),
				}
			}
			c.lane = &lane{register: rec.Register}
			for _, t := range c.banks {
				if t.expected != nil && t.register == rec.Register {
					c.lane.banks = append(c.lane.banks, t)
				}
			}
			c.lanes[rec.Register] = c.lane
		}
	}
	if !rec.NotExtended {
		c.lane.extended++
	}
	return nil
}

// digest counts a record into a bank.
func (c *Checker) digest(number int64, rec *mrlog.Record, d mrlog.Digest, content Content) {
	t := c.tally(rec.Register, d.Alg)
	t.records++
	if t.expected != nil {
		c.lane.moved = true
		t.holds = bytes.Equal(c.replay.Value(rec.Register, d.Alg), t.expected) ||
			bytes.Equal(c.launched(rec.Register, d.Alg), t.expected)
		if t.holds {
			t.prefix = t.records
		}
	}
	switch content {
	case Matches:
		t.matches++
	case Opaque, Part:
		t.opaque++
	case Deviates:
		t.opaque++
		c.remark(c.finding(number, rec, d.Alg, fmt.Sprintf(
			"content does not hash to its %s digest: it was altered, or its producer measures something else, as some do", d.Alg)))
	case Differs:
		t.differs++
		if text := contradiction(rec, d.Alg); c.o.Contents != ReportOnly {
			c.find(number, rec, d.Alg, text)
		} else {
			c.remark(c.finding(number, rec, d.Alg, text))
		}
	}
}

// covered notes a record that a bank with an expected value does not have. A
// register is extended in all its banks at once: nothing proves that such a
// record was.
func (c *Checker) covered(number int64, rec *mrlog.Record) {
	for _, t := range c.lane.banks {
		if !t.alg.Binds() || slices.ContainsFunc(rec.Digests, func(d mrlog.Digest) bool { return d.Alg == t.alg }) {
			continue
		}
		if t.missing == 0 {
			t.first = c.finding(number, rec, t.alg, fmt.Sprintf("record has no %s digest: nothing proves that it was extended", t.alg))
		}
		t.missing++
	}
}

func (c *Checker) foreign(reg mrlog.Register) {
	if !c.foreigns[reg] && slices.ContainsFunc(c.o.Expect, func(e Expectation) bool { return e.Register == reg }) {
		if c.foreigns == nil {
			c.foreigns = make(map[mrlog.Register]bool)
		}
		c.foreigns[reg] = true
	}
}

func (c *Checker) tally(reg mrlog.Register, alg mrlog.Alg) *tally {
	for _, t := range c.banks {
		if t.alg == alg && t.register == reg {
			return t
		}
	}
	t := &tally{register: reg, alg: alg, prefix: -1}
	for _, e := range c.o.Expect {
		if e.Register == reg && e.Alg == alg {
			t.expected = e.Value
		}
	}
	c.banks = append(c.banks, t)
	return t
}

// Report compares the replay of all logs with what was expected. It ends the
// verification: call it once.
func (c *Checker) Report() *Report {
	rep := c.report(c.o.Prefix)
	if !c.o.Prefix && !rep.OK() {
		rep.PrefixHelps = c.report(true).OK()
	}
	return rep
}

// report compares; with prefix, the log of a register may go on past it.
func (c *Checker) report(prefix bool) *Report {
	rep := c.rep
	rep.Skipped = c.replay.Skipped()
	banks := c.replay.Banks()
	for i := range banks {
		b := &banks[i]
		if v := c.launched(b.Register, b.Alg); v != nil && bytes.Equal(v, c.tally(b.Register, b.Alg).expected) {
			b.Value, b.Start, b.Unexplained = v, make([]byte, len(v)), false
		}
	}
	var cut []*lane
	for _, l := range c.lanes {
		if prefix && l.ends(banks) {
			cut = append(cut, l)
		}
	}
	c.sort(&rep, cut)
	for _, b := range banks {
		t := c.tally(b.Register, b.Alg)
		r := Register{Bank: b, Expected: t.expected, State: judge(b, t.expected), Prefix: t.before(b)}
		n := t.counts
		if i := slices.IndexFunc(cut, func(l *lane) bool { return l.register == b.Register }); i >= 0 && t.expected != nil {
			n = t.at
			r.State, r.Prefix, r.Follow = judgePrefix(b), n.records, cut[i].extended-cut[i].reached
		}
		r.Matches, r.Opaque, r.Differs = n.matches, n.opaque, n.differs
		rep.Registers = append(rep.Registers, r)
		if n.missing > 0 {
			first := t.first
			if n.missing > 1 {
				first.Text += fmt.Sprintf(" (and %d more)", n.missing-1)
			}
			rep.Found++
			if len(rep.Findings) < MaxFindings {
				rep.Findings = append(rep.Findings, first)
			}
		}
	}
	c.odd(&rep, cut)
	rep.Registers = append(rep.Registers, c.unnamed(rep.Registers)...)
	slices.SortStableFunc(rep.Registers, func(a, b Register) int {
		if n := a.Register.Compare(b.Register); n != 0 {
			return n
		}
		return int(a.Alg) - int(b.Alg)
	})
	// The verified banks of a register cover the same records.
	for i := range rep.Registers {
		b := &rep.Registers[i]
		if b.proven() && !slices.ContainsFunc(rep.Registers[:i], func(o Register) bool { return o.Register == b.Register && o.proven() }) {
			rep.Covered += b.accepted()
		}
	}
	return &rep
}

// clears reports whether a dynamic launch may have cleared a bank before.
func (c *Checker) clears(rec *mrlog.Record) bool {
	return c.cleared.Len() > 0 && slices.ContainsFunc(rec.Digests, func(d mrlog.Digest) bool {
		return c.cleared.Value(rec.Register, d.Alg) != nil
	})
}

// launched returns the value of a bank that a dynamic launch has cleared before,
// nil if there can be none: an INIT record that states another start rules it out.
func (c *Checker) launched(reg mrlog.Register, alg mrlog.Alg) []byte {
	if _, n := c.cleared.InitErrors(); n > 0 {
		return nil
	}
	return c.cleared.Value(reg, alg)
}

// unnamed judges the expected values of banks that no record names. If the
// register has no record at all it was never extended, and must hold its reset
// value.
func (c *Checker) unnamed(named []Register) []Register {
	var out []Register
	for _, e := range c.o.Expect {
		if slices.ContainsFunc(named, func(r Register) bool { return r.Register == e.Register && r.Alg == e.Alg }) ||
			slices.ContainsFunc(out, func(r Register) bool { return r.Register == e.Register && r.Alg == e.Alg }) {
			continue
		}
		reset := e.Register.ResetValue(e.Alg)
		b := mrlog.Bank{Register: e.Register, Alg: e.Alg, Value: reset, Start: reset}
		if e.Register.ResetsTo(e.Alg, e.Value) {
			b.Value, b.Start = e.Value, e.Value
		}
		state := judge(b, e.Value)
		if c.foreigns[e.Register] || slices.ContainsFunc(named, func(r Register) bool { return r.Register == e.Register && r.Records > 0 }) {
			state = Absent
		}
		out = append(out, Register{Bank: b, Expected: e.Value, State: state, Prefix: -1})
	}
	return out
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

// judgePrefix is judge where the expected value was reached before the end.
func judgePrefix(b mrlog.Bank) State {
	switch {
	case b.Unexplained:
		return Unexplained
	case !b.Alg.Binds():
		return Weak
	}
	return VerifiedPrefix
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
