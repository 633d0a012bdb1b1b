// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

// finding is what log and register look like, as far as it matters for what to
// do. Positions are numbers of records, INIT included: a prefix of k records.
type finding struct {
	unreplayable bool    // the log cannot be replayed to its end
	opened       bool    // the first record is INIT
	second       bool    // and it is not the only INIT
	banks        bool    // INIT's banks are the active banks of the register
	records      int64   // complete records
	torn         bool    // bytes follow the last newline
	matches      []int64 // per bank the longest prefix that gives the live value; 0 for INIT's value, -1 for none
	completes    bool    // with a newline added, the log gives the live value
	reset        bool    // the live value is what a reset gives
	otherBoot    bool    // the log's boot hint is another boot's; false if one of the two is not known
	foreign      bool    // a record after the longest prefix is none that a keeper writes
}

// action is what to do about a finding.
type action int

const (
	nothing  action = iota // clean
	extend                 // the records after the prefix, in order
	complete               // the torn line was extended: add its newline
	setAside               // the log is of another boot: keep it, begin a new one
	diverged               // stop; see the reason
)

// verdict is decide's answer.
type verdict struct {
	action action
	cut    bool // cut off the torn line first
	reason Reason
}

// decide is the recovery table (docs/spec/keeper.md, section 5), a case a row.
func decide(f finding) verdict {
	stop := func(r Reason) verdict { return verdict{action: diverged, reason: r} }
	switch {
	case f.unreplayable:
		return stop(Unreplayable)
	case !f.opened: // emptied, or no log at all
		return stop(LogUnopened)
	case f.second:
		return stop(SecondInit)
	case f.otherBoot && !f.completes && !f.allGiven(): // nothing of another boot is extended in this one
		return verdict{action: setAside}
	case !f.banks:
		return stop(OtherBanks)
	case f.completes: // the crash was between the last byte but one and the newline, by a writer that extends first
		return verdict{action: complete}
	}
	k := f.matches[0]
	for _, m := range f.matches {
		if m != k {
			return stop(BanksApart)
		}
	}
	switch tail := f.records - k; {
	case k == f.records: // clean; a torn line is of a crash inside the append
		return verdict{action: nothing, cut: f.torn}
	case k == 0 && f.records == 1: // crash before INIT was extended
		return verdict{action: extend, cut: f.torn}
	case k == 0 || k < 0 && f.reset:
		return stop(WasReset)
	case k < 0: // extended past the log, or the log was changed
		return stop(NoPrefix)
	case tail > MaxBatch:
		return stop(LongTail)
	case f.foreign:
		return stop(ForeignTail)
	default: // crash between append and extend
		return verdict{action: extend, cut: f.torn}
	}
}

// allGiven reports whether all records give the live value, in every bank.
func (f finding) allGiven() bool {
	for _, m := range f.matches {
		if m != f.records {
			return false
		}
	}
	return f.banks
}

// survey is a log replayed from its beginning against a live value.
type survey struct {
	log     replay
	found   finding
	live    []mrlog.Digest
	size    int64
	longest []Place          // per bank, the last record of the longest prefix; Record -1 where there is none
	tail    [][]mrlog.Digest // digests of the records after the longest prefix, if they may be extended
	note    string           // about the tail
	noBoot  bool             // this boot's id is not known
	known   bool             // the agreement given still stands in the log as it was
}

// examine replays a log once, and its tail once more if it may be a keeper's
// to extend. It keeps the running values and the last positions at which they
// are the live ones, whatever the log's length. known may be nil.
func examine(log io.ReaderAt, size int64, desc device.Register, live []mrlog.Digest, bootID string, known *agreement) (*survey, error) {
	s := &survey{live: live, size: size}
	f, r := &s.found, &s.log
	var end int64 // offset after the longest prefix
	err := r.advance(log, size, func(line []byte) {
		if r.records == 1 {
			f.matches, s.longest = make([]int64, len(r.start)), make([]Place, len(r.start))
			end = r.offset - 1 - int64(len(line)) // the empty prefix: INIT comes next
			for i, v := range r.start {
				s.longest[i].Record = -1
				if !bytes.Equal(v.Sum, valueOf(live, v.Alg)) {
					f.matches[i] = -1
				}
			}
		}
		for i, v := range r.values {
			if bytes.Equal(v.Sum, valueOf(live, v.Alg)) {
				f.matches[i], end = r.records, r.offset
				s.longest[i] = Place{Record: r.records - 1, Line: r.lines}
			}
		}
		if known != nil && r.records-1 == known.place.Record {
			s.known = sameValues(r.values, known.values)
		}
	})
	if err != nil {
		return nil, err
	}
	f.unreplayable = r.stop != nil && r.reason == Unreplayable
	f.opened = r.start != nil
	f.second = r.second != nil
	f.banks = sameBanks(desc.Banks, r.start)
	f.records = r.records
	f.torn = r.offset < size
	f.otherBoot = bootID != "" && r.boot != "" && r.boot != bootID
	s.noBoot = bootID == ""
	f.reset = isReset(desc, live)
	if f.opened && f.torn && size-r.offset <= nelr.MaxLine {
		line := make([]byte, size-r.offset)
		if _, err := log.ReadAt(line, r.offset); err != nil && err != io.EOF {
			return nil, err
		}
		if nelr.Measured(line) {
			whole := replay{values: cloneDigests(r.values)}
			whole.extend(line)
			f.completes = sameValues(whole.values, live)
			if f.completes && isInit(line) && r.second == nil { // whole, it would be one
				f.second, r.second = true, &Place{Record: r.records, Line: r.lines + 1}
			}
		}
	}
	if f.opened && f.matches[0] >= 0 && f.records-f.matches[0] <= MaxBatch {
		if err := s.readTail(log, end, desc); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// isReset reports whether the live value is the register's reset value.
func isReset(desc device.Register, live []mrlog.Digest) bool {
	for _, b := range desc.Banks {
		if !bytes.Equal(b.Reset, valueOf(live, b.Alg)) {
			return false
		}
	}
	return true
}

// readTail measures the records from offset on. Each must be one that a keeper
// writes; INIT is such if it is the first record.
func (s *survey) readTail(log io.ReaderAt, offset int64, desc device.Register) error {
	number := s.found.matches[0]
	_, err := eachLine(log, offset, s.log.offset, func(line []byte) bool {
		if !nelr.Measured(line) {
			return true
		}
		if err := nelr.CheckFreeForm(line); err != nil && number > 0 {
			s.found.foreign, s.note = true, fmt.Sprintf("record %d: %v", number, err)
			return false
		}
		number++
		s.tail = append(s.tail, measure(line, desc.Banks))
		return true
	})
	return err
}

// divergence states the facts of a survey that ends in the given reason.
func (s *survey) divergence(reason Reason, desc device.Register, path string, known *agreement) *Divergence {
	d := &Divergence{Register: desc.Name, Path: path, Reason: reason, Records: s.found.records}
	for _, v := range s.log.values {
		d.Banks = append(d.Banks, BankDifference{Alg: v.Alg, Expected: v.Sum, Found: valueOf(s.live, v.Alg)})
	}
	for _, v := range s.live {
		if valueOf(s.log.values, v.Alg) == nil {
			d.Banks = append(d.Banks, BankDifference{Alg: v.Alg, Found: v.Sum})
		}
	}
	for _, p := range s.longest { // that of the bank that agrees least far
		if d.Agree == nil || p.Record < d.Agree.Record {
			d.Agree = &p
		}
	}
	if d.Agree != nil && d.Agree.Record < 0 {
		d.Agree = nil
	}
	newLog := beginNew(desc.Name)
	d.Remedy = "find out what extended the register or changed the log; then " + newLog
	switch reason {
	case Unreplayable, LogUnopened:
		switch {
		case s.log.stop != nil:
			d.Detail = s.log.stop.Error()
		case s.size == 0:
			d.Detail = "it is empty"
		default:
			d.Detail = "it has no record"
		}
	case SecondInit:
		d.Detail = fmt.Sprintf("record %d, line %d", s.log.second.Record, s.log.second.Line)
	case WasReset:
		d.Remedy = "if the reset was meant, " + newLog
		switch {
		case s.noBoot:
			d.Detail = "or it was reset with the machine: this boot's id could not be read, so that nobody can tell"
		case s.log.boot == "":
			d.Detail = "or it was reset with the machine: the log has no boot hint, so that nobody can tell"
		}
	case BanksApart:
		d.Detail = "the longest prefixes are"
		for i, v := range s.log.start {
			if m := s.found.matches[i]; m >= 0 {
				d.Detail += fmt.Sprintf(" %s: %d records", v.Alg, m)
			} else {
				d.Detail += fmt.Sprintf(" %s: none", v.Alg)
			}
		}
	case LongTail:
		d.Detail = fmt.Sprintf("%d records, a keeper writes at most %d at once", s.found.records-s.found.matches[0], MaxBatch)
	case ForeignTail:
		d.Detail = s.note
	case NoPrefix:
		switch {
		case known == nil:
		case s.known:
			d.Reason = PastLog
			place := known.place
			d.Agree = &place
		default:
			d.Reason = LogAltered
			d.Detail = fmt.Sprintf("record %d gave another value when this keeper looked last", known.place.Record)
		}
	}
	if s.found.otherBoot {
		d.Remedy += " (the log's boot hint is of another boot)"
	}
	return d
}
