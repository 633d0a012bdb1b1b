// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Outcome is what a caller was told about an event.
type Outcome int

// The outcomes.
const (
	Unknown  Outcome = iota // nothing, or that it is not known: it may be there, once
	Recorded                // it must be there, once
	Refused                 // it must not be there
)

// String names the outcome.
func (o Outcome) String() string { return [...]string{"unknown", "recorded", "refused"}[o] }

// Event is one that was submitted.
type Event struct {
	Line    string // as it is measured; no other event may have the same
	Outcome Outcome
	Receipt *Receipt // of a recorded event, if one was printed
}

// Receipt is what a caller was given for a recorded event.
type Receipt struct {
	Record  int    // number in its log
	Digests Values // what was extended
}

// Caller is one that waits for the answer to an event before it submits the
// next, or gets its answers in the order of its events.
type Caller struct {
	Name   string
	Events []Event // in the order in which they were submitted
}

// Log is a log with what is known of its register.
type Log struct {
	Path string
	// Start is the register's value when the log was begun; nil if unknown.
	Start Values
	// End is the register's value now, or when it was left for the next log.
	End Values
	// Left says that the machine went down with the log as it was: records
	// that were not extended may follow the one that gives End.
	Left bool
}

// Check holds the logs of one register, oldest first, to their register's
// values and to what callers were told: each log replays to its register;
// every recorded event is there exactly once, in the order of its caller, where
// its receipt says, and extended; every other at most once; none that was
// refused; nothing that nobody submitted.
func Check(logs []Log, callers []Caller) error {
	type place struct {
		caller, event int
	}
	places := make(map[string]place)
	for c := range callers {
		for e := range callers[c].Events {
			line := callers[c].Events[e].Line
			if _, there := places[line]; there {
				return fmt.Errorf("the test is wrong: %q was submitted twice", line)
			}
			places[line] = place{c, e}
		}
	}
	seen := make(map[string]bool)
	last := make([]int, len(callers)) // of each caller, one more than the event seen last
	for _, log := range logs {
		p, extended, err := log.replay()
		if err != nil {
			return fmt.Errorf("%s: %w", log.Path, err)
		}
		for n, line := range p.records {
			if n == 0 {
				continue // INIT
			}
			at, ok := places[line]
			if !ok {
				return fmt.Errorf("%s: record %d, %q, was submitted by nobody", log.Path, n, line)
			}
			caller := &callers[at.caller]
			e := &caller.Events[at.event]
			switch {
			case seen[line]:
				return fmt.Errorf("%s: record %d, %q, is there twice", log.Path, n, line)
			case e.Outcome == Refused:
				return fmt.Errorf("%s: record %d, %q, is there, though its caller was told that it is not", log.Path, n, line)
			case at.event < last[at.caller]:
				return fmt.Errorf("%s: record %d, %q, stands after %q, which %s submitted later", log.Path, n, line, caller.Events[last[at.caller]-1].Line, caller.Name)
			case e.Outcome == Recorded && n >= extended:
				return fmt.Errorf("%s: record %d, %q, was answered as recorded, and was not extended", log.Path, n, line)
			}
			if err := e.Receipt.check(n, line); err != nil {
				return fmt.Errorf("%s: record %d, %q: %w", log.Path, n, line, err)
			}
			seen[line] = true
			last[at.caller] = at.event + 1
		}
	}
	for _, c := range callers {
		for _, e := range c.Events {
			if e.Outcome == Recorded && !seen[e.Line] {
				return fmt.Errorf("%q of %s was answered as recorded, and is lost", e.Line, c.Name)
			}
		}
	}
	return nil
}

// replay returns a log and how many of its records were extended.
func (l Log) replay() (p *parsed, extended int, err error) {
	data, err := os.ReadFile(l.Path)
	if err != nil {
		return nil, 0, err
	}
	if p, err = parse(data); err != nil {
		return nil, 0, err
	}
	if l.Start != nil && !p.start.Equal(l.Start) {
		return nil, 0, fmt.Errorf("INIT has%s, the register had%s", p.start, l.Start)
	}
	whole := p.values[len(p.values)-1]
	extended = p.end(l.End)
	switch {
	case extended == len(p.records) && p.torn == "":
	case !l.Left && p.torn != "":
		return nil, 0, fmt.Errorf("the last line is torn: %.80q", p.torn)
	case !l.Left, extended < 0:
		return nil, 0, fmt.Errorf("the log gives%s, the register holds%s", whole, l.End)
	}
	return p, extended, nil
}

// check compares a receipt with the place in the log.
func (r *Receipt) check(n int, line string) error {
	if r == nil {
		return nil
	}
	if r.Record != n {
		return fmt.Errorf("its receipt says record %d", r.Record)
	}
	if len(r.Digests) == 0 {
		return errors.New("its receipt has no digest")
	}
	for bank, want := range r.Digests {
		got, err := Digest(bank, line)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("its receipt says %s:%x, it has %x", bank, want, got)
		}
	}
	return nil
}
