// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// How the outcome of a verification is printed.

import (
	"fmt"
	"strings"

	"mrlog.dev"
	"mrlog.dev/internal/term"
	"mrlog.dev/verify"
)

type verifyOutput struct {
	Verified    bool             `json:"verified"`
	Records     uint64           `json:"records"`
	Covered     uint64           `json:"covered"`
	NotExtended uint64           `json:"not_extended"`
	Registers   []verifyRegister `json:"registers"`
	Findings    []verifyFinding  `json:"findings"`
	Found       int              `json:"found"`
	Later       []verifyFinding  `json:"later,omitempty"`
	FoundLater  int              `json:"found_later,omitempty"`
	Contents    string           `json:"contents,omitempty"`
	Remarks     []verifyFinding  `json:"remarks,omitempty"`
	Remarked    int              `json:"remarked,omitempty"`
}

type verifyRegister struct {
	Register    string `json:"register"`
	Bank        string `json:"bank"`
	State       string `json:"state"`
	Value       string `json:"value"`
	Expected    string `json:"expected,omitempty"`
	Start       string `json:"start"`
	Records     uint64 `json:"records"`
	Prefix      *int64 `json:"prefix,omitempty"`
	Follow      int64  `json:"follow,omitempty"`
	Bound       uint64 `json:"bound"`
	DigestBound uint64 `json:"digest_bound"`
	Matches     uint64 `json:"matches"`
	Opaque      uint64 `json:"opaque"`
	Differs     uint64 `json:"differs"`
}

type verifyFinding struct {
	Log      string  `json:"log"`
	Register string  `json:"register,omitempty"`
	Bank     string  `json:"bank,omitempty"`
	Record   *uint64 `json:"record,omitempty"`
	Line     int     `json:"line,omitempty"`
	Offset   *int64  `json:"offset,omitempty"`
	Text     string  `json:"text"`
}

func verifyOutputOf(r *verify.Report) verifyOutput {
	out := verifyOutput{
		Verified: r.OK(), Records: r.Records, Covered: r.Covered, NotExtended: r.NotExtended, Found: r.Found,
		Registers: []verifyRegister{}, Findings: verifyFindingsOf(r.Findings), Later: verifyFindingsOf(r.Later), FoundLater: r.FoundLater,
		Remarks: verifyFindingsOf(r.Remarks), Remarked: r.Remarked,
	}
	if r.Contents != verify.Normal {
		out.Contents = r.Contents.String()
	}
	for i := range r.Registers {
		b := &r.Registers[i]
		v := verifyRegister{
			Register: b.Register.String(), Bank: b.Alg.String(), State: b.State.String(),
			Value: fmt.Sprintf("%x", b.Value), Expected: fmt.Sprintf("%x", b.Expected), Start: fmt.Sprintf("%x", b.Start),
			Records: b.Records, Bound: b.Bound(), DigestBound: b.DigestBound(),
			Matches: b.Matches, Opaque: b.Opaque, Differs: b.Differs, Follow: b.Follow,
		}
		if b.Prefix >= 0 {
			v.Prefix = &b.Prefix
		}
		out.Registers = append(out.Registers, v)
	}
	return out
}

func verifyFindingsOf(findings []verify.Finding) []verifyFinding {
	out := []verifyFinding{}
	for i := range findings {
		f := &findings[i]
		v := verifyFinding{Log: f.Log, Text: f.Text}
		if !f.Whole {
			v.Register, v.Record, v.Line, v.Offset = f.Register.String(), &f.Number, f.Span.Line, &f.Span.Offset
		}
		if f.Alg != 0 {
			v.Bank = f.Alg.String()
		}
		out = append(out, v)
	}
	return out
}

// printReport leads with the verdict, then a line per register, then what is
// wrong, with its record, then what was noticed besides.
func (e *env) printReport(r *verify.Report) error {
	var b strings.Builder
	how := ""
	switch r.Contents {
	case verify.Strict:
		how = " (--contents strict)"
	case verify.ReportOnly:
		how = " (--contents report: what contradicts its digest does not count)"
	}
	if r.OK() {
		covered := count(r.Covered, "record")
		if r.Covered != r.Records {
			covered = fmt.Sprintf("%d of %s", r.Covered, count(r.Records, "record"))
		}
		fmt.Fprintf(&b, "verified%s: %s%s\n", inPart(r), covered, how)
	} else {
		fmt.Fprintf(&b, "NOT VERIFIED: %s%s\n", count(r.Records, "record"), how)
	}
	width, states := 0, 0
	for _, x := range r.Registers {
		width = max(width, len(bankName(x)))
		states = max(states, len(x.State.String()))
	}
	for _, x := range r.Registers {
		value, records := x.Value, count(x.Records, "record")
		if x.State == verify.VerifiedPrefix {
			value, records = x.Expected, fmt.Sprintf("%d of %s", x.Prefix, records)
		}
		fmt.Fprintf(&b, "  %-*s  %-*s  %x  %s%s\n", width, bankName(x), states, x.State, value, records, bound(x))
		if reason := stateReason(r, x); reason != "" {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, "", reason)
		}
	}
	if r.NotExtended > 0 {
		them := "them"
		if r.NotExtended == 1 {
			them = "it"
		}
		fmt.Fprintf(&b, "  %s not extended: nothing proves what is in %s\n", count(r.NotExtended, "record"), them)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s\n", findingText(f))
	}
	if n := r.Found - len(r.Findings); n > 0 {
		fmt.Fprintf(&b, "  and %d more findings\n", n)
	}
	for _, f := range r.Later {
		fmt.Fprintf(&b, "  in what follows: %s\n", findingText(f))
	}
	if n := r.FoundLater - len(r.Later); n > 0 {
		fmt.Fprintf(&b, "  and %d more findings in what follows\n", n)
	}
	if r.Remarked > 0 {
		b.WriteString("noticed, and no part of the answer:\n")
	}
	for _, f := range r.Remarks {
		fmt.Fprintf(&b, "  %s\n", findingText(f))
	}
	if n := r.Remarked - len(r.Remarks); n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}

// inPart says of a yes that logs go on past it.
func inPart(r *verify.Report) string {
	for _, x := range r.Registers {
		if x.State == verify.VerifiedPrefix {
			return " in part"
		}
	}
	return ""
}

func bankName(x verify.Register) string { return x.Register.String() + ":" + x.Alg.String() }

// bound says what is proven of a bank's records.
func bound(x verify.Register) string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{x.Bound(), "bound"},
		{x.DigestBound(), "digest-bound"},
		{x.Differs, "whose content CONTRADICTS the digest"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if parts == nil {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// stateReason explains a state that is not a yes, or not of all records.
func stateReason(r *verify.Report, x verify.Register) string {
	switch x.State {
	case verify.VerifiedPrefix:
		return fmt.Sprintf("unproven: the log goes on past the register, with %s", count(x.Follow, "record"))
	case verify.Mismatch:
		s := fmt.Sprintf("expected %x", x.Expected)
		switch {
		case x.Prefix == 0:
			s += ", which is the start: the register has none of the records"
		case x.Prefix > 0:
			s += fmt.Sprintf(", which is the value after %d of the %d records: the log goes on past the register", x.Prefix, x.Records)
			if r.PrefixHelps {
				s += "; --prefix accepts it up to there"
			}
		case x.Records == 0:
			s += ", but no log here has a record of this register"
		}
		return s
	case verify.Unexplained:
		return fmt.Sprintf("its INIT states the start %x: neither the reset value nor the end of a log given here", x.Start)
	case verify.Weak:
		return "as expected, but SHA-1 proves nothing"
	case verify.Absent:
		return fmt.Sprintf("expected %x, but the log has no %s digests of this register%s", x.Expected, x.Alg, others(r, x.Register))
	}
	return ""
}

// others says in which banks a register was extended, as far as they can be
// replayed.
func others(r *verify.Report, reg mrlog.Register) string {
	var banks []string
	binds := false
	for _, b := range r.Registers {
		if b.Register == reg && b.Records > 0 {
			banks = append(banks, b.Alg.String())
			binds = binds || b.Alg.Binds()
		}
	}
	switch {
	case banks == nil:
		return ""
	case !binds:
		return ", only of SHA-1, which proves nothing"
	}
	return ", only " + strings.Join(banks, ", ")
}

func findingText(f verify.Finding) string {
	if f.Whole {
		return term.Line(f.Log + ": " + f.Text)
	}
	place := fmt.Sprintf("offset %d", f.Span.Offset)
	if f.Span.Line > 0 {
		place = fmt.Sprintf("line %d", f.Span.Line)
	}
	return term.Line(fmt.Sprintf("%s: record %d (%s, %s): %s", f.Log, f.Number, f.Register, place, f.Text))
}

// firstReason is the verdict's "because", in short: the report says more.
func firstReason(r *verify.Report) string {
	for _, x := range r.Registers {
		switch x.State {
		case verify.Mismatch, verify.Unexplained, verify.Absent:
			return bankName(x) + ": " + x.State.String()
		}
	}
	if len(r.Findings) > 0 {
		return findingText(r.Findings[0])
	}
	for _, x := range r.Registers {
		if x.State == verify.Weak {
			return bankName(x) + ": " + stateReason(r, x)
		}
	}
	return "no record of the logs is in a register that was compared"
}
