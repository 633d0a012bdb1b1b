// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

func newVerify(e *env) *cobra.Command {
	var s source
	var p placing
	var expect []string
	var prefix bool
	var contents string
	cmd := &cobra.Command{
		Use:   "verify --expect REGISTER[:ALG]=HEX [flags] FILE...",
		Short: "compare logs with trusted register values",
		Long: `verify replays logs together, in the order given, and compares the registers
with the values that --expect states: values from a source that you trust, such
as signed evidence. It also re-hashes every content whose rule is known.

It says yes (exit 0) only when every expected value is reached from a start that
is explained (the reset value, or the end of an earlier log given here), in a
bank that binds (SHA-1 does not), and no content contradicts its digest.
Registers without an expected value are listed as unchecked.

A log is read after the quote, and may have gone on by then: IMA's does at any
time. That is a no, and the answer says after how many records the value was
reached. With --prefix it is a yes, as if the log of the register ended there
(verified-prefix): what follows is counted, and unproven. All banks of a register
must have their values after the same record, and some record must be covered.

Of some contents a document says what the digest is of, but real firmware is
known to deviate: versions, UEFI's boot variables, the commands of GRUB. If they
differ, that is said; --contents strict refuses them, and a log with anything
suspicious in it.
--contents report lists contents that contradict their digests, and lets the
registers decide. The answer says so.

Logs may name registers in other spaces than --expect does: they are mapped by
the table of the platform, and that is said. An IMA list has digests of one bank;
those of other banks that are expected are derived, as the kernel extended them.`,
		Example: `  mrlog verify --expect rtmr2=4693cf54...35568 /run/mrlog/rtmr2/log
  mrlog verify --expect rtmr2=247eed9f...047cf2 ccel.bin ima.txt
  mrlog verify --prefix --expect pcr10:sha256=8e0af349...ed2f5f ima.bin
  mrlog verify --expect pcr14:sha256=$(tpm2_pcrread -Q -o /dev/stdout sha256:14 | xxd -p -c 32) log.json`,
		Args: files(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), e, &s, &p, expect, contents, prefix, args)
		},
	}
	cmd.Flags().StringArrayVar(&expect, "expect", nil, "trusted value of a register, as `REGISTER[:ALG]=HEX`; repeatable")
	cmd.Flags().BoolVar(&prefix, "prefix", false, "accept logs that go on past a register, up to where its values were reached")
	cmd.Flags().StringVar(&contents, "contents", "normal", "`HOW` much contents that do not fit their digests mean: strict, normal, report")
	must(cmd.RegisterFlagCompletionFunc("contents", complete("strict", "normal", "report")))
	s.flags(cmd)
	p.platformFlag(cmd)
	return cmd
}

// parseStrictness reads the value of --contents.
func parseStrictness(name string) (verify.Strictness, error) {
	for _, s := range []verify.Strictness{verify.Normal, verify.Strict, verify.ReportOnly} {
		if name == s.String() {
			return s, nil
		}
	}
	return 0, usage("--contents %.40q: want strict, normal or report", name)
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

func runVerify(ctx context.Context, e *env, s *source, p *placing, expect []string, contents string, prefix bool, args []string) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	strictness, err := parseStrictness(contents)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	x, err := parseExpects(expect)
	if err != nil {
		return err
	}
	stdin, err := e.rereadable(args, o)
	if err != nil {
		return err
	}
	ins, err := openAll(args, stdin, o)
	defer closeAll(ins)
	if err != nil {
		return err
	}
	on, err := p.decide(sights(ins))
	if err != nil && slices.ContainsFunc(ins, func(in *input) bool { return !expects(x, in.sight.Spaces) }) {
		return err // where nothing is mapped, it does not matter
	}
	progress := e.newProgress("verify")
	defer progress.done()
	var in *input
	c, err := verify.New(verify.Options{
		Expect: x, Prefix: prefix, Contents: strictness, Procs: procs(ins...),
		Progress: func(records, offset int64) { progress.update(in, records, offset) },
	})
	if err != nil {
		return usage("%w", err)
	}
	var aggregates []aggregate
	for i := range ins {
		place := p.expected(&ins[i].sight, on, x)
		if ins[i], err = e.derive(ins[i], stdin, o, place, x, c); err != nil {
			return err
		}
		in = ins[i]
		in.Reader = convert.Place(in.Reader, place)
		aggregates = append(aggregates, aggregateOf(in, c))
		if err := c.Log(ctx, verify.Log{Name: in.name, Reader: in.Reader}); err != nil {
			return err
		}
		progress.done()
		e.noteWrapped(in)
		e.warnEmpty(in)
		e.notePlaced(in, on, p.on != "")
		e.warnTorn(in)
	}
	report := c.Report()
	if e.json {
		err = e.printJSON(verifyOutputOf(report))
	} else {
		err = e.printReport(report)
	}
	if err != nil {
		return err
	}
	for i := range aggregates {
		e.noteAggregate(&aggregates[i], report)
	}
	e.warnSkipped(report.Skipped)
	if !report.OK() {
		err := &failure{code: exitNo, err: fmt.Errorf("not verified: %s", firstReason(report))}
		if report.PrefixHelps {
			err.hint = "--prefix accepts logs that go on past a register, up to where its values were reached"
		}
		return err
	}
	return nil
}
