// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

func newVerify(e *env) *cobra.Command {
	var s source
	var expect []string
	cmd := &cobra.Command{
		Use:   "verify --expect REGISTER[:ALG]=HEX [flags] FILE...",
		Short: "compare logs with trusted register values",
		Long: `verify replays logs together, in the order given, and compares the registers
with the values that --expect states: values from a source that you trust, such
as signed evidence. It also re-hashes every content whose rule is known.

It says yes (exit 0) only when every expected value is reached from a start that
is explained (the reset value, or the end of an earlier log given here), in a
bank that binds (SHA-1 does not), and no content contradicts its digest.
Registers without an expected value are listed as unchecked.`,
		Example: `  mrlog verify --expect rtmr2=4693cf54...35568 /run/mrlog/rtmr2/log
  mrlog verify --expect pcr14:sha256=$(tpm2_pcrread -Q -o /dev/stdout sha256:14 | xxd -p -c 32) log.json`,
		Args: files(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), e, &s, expect, args)
		},
	}
	cmd.Flags().StringArrayVar(&expect, "expect", nil, "trusted value of a register, as `REGISTER[:ALG]=HEX`; repeatable")
	s.flags(cmd)
	return cmd
}

// parseExpect reads REGISTER[:ALG]=HEX; without ALG, the size of the value
// tells it where only one known algorithm has that size.
func parseExpect(arg string) (verify.Expectation, error) {
	name, value, ok := strings.Cut(arg, "=")
	if !ok {
		return verify.Expectation{}, usage("--expect %.80q: want REGISTER[:ALG]=HEX", arg)
	}
	reg, bank, hasBank := strings.Cut(name, ":")
	var x verify.Expectation
	var err error
	if x.Register, err = mrlog.ParseRegister(reg); err != nil {
		return x, usage("--expect: %w", err)
	}
	if hasBank {
		if x.Alg, err = mrlog.ParseAlg(bank); err != nil {
			return x, usage("--expect %s: %w", reg, err)
		}
		if x.Alg.Size() == 0 {
			return x, usage("--expect %s: algorithm %s is not known", reg, x.Alg)
		}
	} else {
		// SM3 and SHA-3 have sizes of SHA-2: they must be named.
		switch len(value) {
		case 2 * 20:
			x.Alg = mrlog.SHA1
		case 2 * 32:
			x.Alg = mrlog.SHA256
		case 2 * 48:
			x.Alg = mrlog.SHA384
		case 2 * 64:
			x.Alg = mrlog.SHA512
		default:
			return x, usage("--expect %s: a value of %d hexadecimal digits is of no known algorithm", reg, len(value))
		}
	}
	if x.Value, err = mrlog.ParseHex(value, x.Alg); err != nil {
		return x, usage("--expect %s: %w", reg, err)
	}
	return x, nil
}

func parseExpects(args []string) ([]verify.Expectation, error) {
	if len(args) == 0 {
		return nil, &failure{
			code: exitUsage, err: errors.New("nothing to verify against"),
			hint: "--expect REGISTER[:ALG]=HEX states a trusted value; mrlog replay prints what a log claims",
		}
	}
	var out []verify.Expectation
	for _, a := range args {
		x, err := parseExpect(a)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.Register == x.Register && o.Alg == x.Alg {
				return nil, usage("--expect states %s:%s twice", x.Register, x.Alg)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

func runVerify(ctx context.Context, e *env, s *source, expect, args []string) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	x, err := parseExpects(expect)
	if err != nil {
		return err
	}
	p := e.newProgress("verify")
	defer p.done()
	inputs := make([]*input, 0, len(args))
	logs := make([]verify.Log, 0, len(args))
	for _, arg := range args {
		in, err := e.open(arg, o)
		if err != nil {
			return err
		}
		defer in.Close()
		inputs = append(inputs, in)
		logs = append(logs, verify.Log{Name: in.name, Reader: in.Reader})
	}
	report, err := verify.Check(ctx, logs, verify.Options{
		Expect: x, Procs: procs(),
		Progress: func(log int, records, offset int64) { p.update(inputs[log], records, offset) },
	})
	if err != nil {
		return err
	}
	p.done()
	for _, in := range inputs {
		e.warnTorn(in)
	}
	if len(inputs) == 1 {
		checkStatedMR(inputs[0], report)
	}
	if e.json {
		err = e.printJSON(verifyOutputOf(report))
	} else {
		err = e.printReport(report)
	}
	if err != nil {
		return err
	}
	e.warnSkipped(report.Skipped)
	if !report.OK() {
		return no("not verified: %s", firstReason(report))
	}
	return nil
}

// checkStatedMR adds a finding when an envelope contradicts its own records.
func checkStatedMR(in *input, report *verify.Report) {
	stated, ok := convert.StatedMR(in.Reader)
	if !ok {
		return
	}
	for _, r := range report.Registers {
		if strings.EqualFold(stated, fmt.Sprintf("%x", r.Value)) {
			return
		}
	}
	report.Found++
	report.Findings = append(report.Findings, verify.Finding{
		Log: in.name, Whole: true, Text: fmt.Sprintf("envelope states mr %.160q, its records replay to another value", stated),
	})
}

type verifyOutput struct {
	Verified  bool             `json:"verified"`
	Records   uint64           `json:"records"`
	Registers []verifyRegister `json:"registers"`
	Findings  []verifyFinding  `json:"findings"`
	Found     int              `json:"found"`
}

type verifyRegister struct {
	Register string `json:"register"`
	Bank     string `json:"bank"`
	State    string `json:"state"`
	Value    string `json:"value"`
	Expected string `json:"expected,omitempty"`
	Start    string `json:"start"`
	Records  uint64 `json:"records"`
	Prefix   *int64 `json:"prefix,omitempty"`
	Matches  uint64 `json:"matches"`
	Opaque   uint64 `json:"opaque"`
	Differs  uint64 `json:"differs"`
}

type verifyFinding struct {
	Log      string `json:"log"`
	Register string `json:"register,omitempty"`
	Bank     string `json:"bank,omitempty"`
	Record   uint64 `json:"record"`
	Line     int    `json:"line,omitempty"`
	Offset   int64  `json:"offset"`
	Text     string `json:"text"`
}

func verifyOutputOf(r *verify.Report) verifyOutput {
	out := verifyOutput{Verified: r.OK(), Records: r.Records, Found: r.Found, Registers: []verifyRegister{}, Findings: []verifyFinding{}}
	for _, b := range r.Registers {
		v := verifyRegister{
			Register: b.Register.String(), Bank: b.Alg.String(), State: b.State.String(),
			Value: fmt.Sprintf("%x", b.Value), Expected: fmt.Sprintf("%x", b.Expected), Start: fmt.Sprintf("%x", b.Start),
			Records: b.Records, Matches: b.Matches, Opaque: b.Opaque, Differs: b.Differs,
		}
		if b.Prefix >= 0 {
			v.Prefix = &b.Prefix
		}
		out.Registers = append(out.Registers, v)
	}
	for _, f := range r.Findings {
		v := verifyFinding{Log: f.Log, Record: f.Number, Line: f.Span.Line, Offset: f.Span.Offset, Text: f.Text}
		if !f.Whole {
			v.Register = f.Register.String()
		}
		if f.Alg != 0 {
			v.Bank = f.Alg.String()
		}
		out.Findings = append(out.Findings, v)
	}
	return out
}

// printReport leads with the verdict, then a line per register, then what is
// wrong, with its record.
func (e *env) printReport(r *verify.Report) error {
	var b strings.Builder
	if r.OK() {
		fmt.Fprintf(&b, "verified: %s\n", count(r.Records, "record"))
	} else {
		fmt.Fprintf(&b, "NOT VERIFIED: %s\n", count(r.Records, "record"))
	}
	width, states := 0, 0
	for _, x := range r.Registers {
		width = max(width, len(bankName(x)))
		states = max(states, len(x.State.String()))
	}
	for _, x := range r.Registers {
		fmt.Fprintf(&b, "  %-*s  %-*s  %x  %s%s\n", width, bankName(x), states, x.State, x.Value, count(x.Records, "record"), contents(x))
		if x.State != verify.Unchecked && x.State != verify.Verified {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, "", stateReason(x))
		}
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s\n", findingText(f))
	}
	if n := r.Found - len(r.Findings); n > 0 {
		fmt.Fprintf(&b, "  and %d more findings\n", n)
	}
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}

func bankName(x verify.Register) string { return x.Register.String() + ":" + x.Alg.String() }

// contents says how the contents stand to the digests of a bank.
func contents(x verify.Register) string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{x.Matches, "match their digest"},
		{x.Opaque, "only describe what was measured"},
		{x.Differs, "CONTRADICT their digest"},
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

// stateReason explains a state that is not a yes.
func stateReason(x verify.Register) string {
	switch x.State {
	case verify.Mismatch:
		s := fmt.Sprintf("expected %x", x.Expected)
		switch {
		case x.Prefix == 0:
			s += ", which is the start: the register has none of the records"
		case x.Prefix > 0:
			s += fmt.Sprintf(", which is the value after %d of the %d records: the log goes on past the register", x.Prefix, x.Records)
		case x.Records == 0:
			s += ", but no log here has a record of this register"
		}
		return s
	case verify.Unexplained:
		return fmt.Sprintf("its INIT states the start %x: neither the reset value nor the end of a log given here", x.Start)
	case verify.Weak:
		return "as expected, but SHA-1 proves nothing"
	case verify.Absent:
		return fmt.Sprintf("expected %x, but the log has no %s digests of this register", x.Expected, x.Alg)
	}
	return ""
}

func findingText(f verify.Finding) string {
	if f.Whole {
		return oneLine(f.Log + ": " + f.Text)
	}
	place := fmt.Sprintf("offset %d", f.Span.Offset)
	if f.Span.Line > 0 {
		place = fmt.Sprintf("line %d", f.Span.Line)
	}
	return oneLine(fmt.Sprintf("%s: record %d (%s, %s): %s", f.Log, f.Number, f.Register, place, f.Text))
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
			return bankName(x) + ": " + stateReason(x)
		}
	}
	return "no register was compared"
}
