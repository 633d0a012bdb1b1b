// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"slices"

	"mrlog.dev"
)

// Findings are made as records come, and sorted at the end, when it is known up
// to where the log of each register is accepted.

// found is a finding with its place among the records of its register, and
// among all findings.
type found struct {
	Finding
	place int64
	made  int
}

func (c *Checker) finding(number int64, rec *mrlog.Record, alg mrlog.Alg, text string) Finding {
	return Finding{Log: c.log.Name, Register: rec.Register, Alg: alg, Number: uint64(number), Span: rec.Span, Text: text}
}

func (c *Checker) find(number int64, rec *mrlog.Record, alg mrlog.Alg, text string) {
	c.lane.found++
	c.add(c.finding(number, rec, alg, text), c.lane.place(rec))
}

func (c *Checker) add(f Finding, place int64) {
	list := &c.findings
	if !f.Whole && c.lane.reached > 0 {
		list = &c.after
	}
	if len(*list) < MaxFindings {
		*list = append(*list, found{f, place, c.found})
	}
	c.found++
}

func (c *Checker) remark(f Finding) {
	c.rep.Remarked++
	if len(c.rep.Remarks) < MaxFindings {
		c.rep.Remarks = append(c.rep.Remarks, f)
	}
}

// sort puts the findings in the order in which they were made, those that are
// about what follows the accepted part of a register's log apart.
func (c *Checker) sort(rep *Report, cut []*lane) {
	all := slices.Concat(c.findings, c.after)
	slices.SortFunc(all, func(a, b found) int { return a.made - b.made })
	for _, f := range all {
		list := &rep.Findings
		if follows(cut, &f) {
			list = &rep.Later
		}
		if len(*list) < MaxFindings {
			*list = append(*list, f.Finding)
		}
	}
	for _, l := range cut {
		rep.FoundLater += l.found - l.sound
	}
	rep.Found = c.found - rep.FoundLater
}

// odd adds what only the whole of the logs shows: of the accepted parts, and what
// is about a record that follows these.
func (c *Checker) odd(rep *Report, cut []*lane) {
	var ended []mrlog.Register
	for _, l := range cut {
		ended = append(ended, l.register)
	}
	findings, found, later := &rep.Findings, &rep.Found, c.watch.end(nil)
	if c.o.Contents != Strict {
		findings, found = &rep.Remarks, &rep.Remarked
		*findings = slices.Clip(*findings) // of all reports
	}
	add := func(list *[]Finding, all *int, f Finding) {
		if *all++; len(*list) < MaxFindings {
			*list = append(*list, f)
		}
	}
	for _, f := range c.watch.end(ended) {
		add(findings, found, f.Finding)
	}
	for _, f := range later {
		switch {
		case !follows(cut, &f):
		case c.o.Contents == Strict:
			add(&rep.Later, &rep.FoundLater, f.Finding)
		default:
			add(findings, found, f.Finding)
		}
	}
}

// follows reports whether a finding is about what follows the accepted part of
// its register's log.
func follows(cut []*lane, f *found) bool {
	return slices.ContainsFunc(cut, func(l *lane) bool { return !f.Whole && l.register == f.Register && f.place > l.reached })
}
