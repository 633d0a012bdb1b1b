// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// Several logs of one machine, whose registers are numbered in several spaces.

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

// placing holds the flags that say how registers are to be named.
type placing struct {
	toSpace, platform string

	in mrlog.Space    // toSpace, once checked
	on mrlog.Platform // platform, once checked
}

func (p *placing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.toSpace, "to-space", "", "`SPACE` to name all registers in, by the platform's table: pcr, ccmr, rtmr")
	p.platformFlag(cmd)
	must(cmd.RegisterFlagCompletionFunc("to-space", complete("pcr", "ccmr", "rtmr")))
}

func (p *placing) platformFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.platform, "platform", "", "`PLATFORM` whose registers the logs are of: tdx, csv, cca, tpm (default: as the logs tell)")
	must(cmd.RegisterFlagCompletionFunc("platform", complete("tdx", "csv", "cca", "tpm")))
}

// check checks the flags.
func (p *placing) check() error {
	if p.toSpace != "" {
		space, err := mrlog.ParseSpace(p.toSpace)
		if err == nil && space == mrlog.NV {
			err = errors.New("no register becomes an NV index")
		}
		if err != nil {
			return usage("--to-space: %w", err)
		}
		p.in = space
	}
	switch on := mrlog.Platform(strings.ToLower(p.platform)); on {
	case "", mrlog.TDX, mrlog.CSV, mrlog.CCA, mrlog.TPM:
		p.on = on
	default:
		return usage("--platform %.40q: want tdx, csv, cca or tpm", p.platform)
	}
	return nil
}

const platformHint = "--platform PLATFORM says whose registers they are: tdx, csv, cca, tpm"

// decide returns the platform of the logs, as stated or as they tell.
func (p *placing) decide(sights []convert.Sight) (mrlog.Platform, error) {
	if p.on != "" {
		return p.on, nil
	}
	on, err := convert.PlatformOf(sights)
	if err != nil {
		return "", &failure{code: exitUsage, err: err, hint: platformHint}
	}
	return on, nil
}

// common returns how the registers of logs are named that become one log: in
// the space that was stated, or in one that they have in common.
func (p *placing) common(sights []convert.Sight) (convert.Placement, error) {
	on, err := p.decide(sights)
	if err != nil {
		return convert.Placement{}, err
	}
	space := p.in
	if space == mrlog.NoSpace && len(sights) > 1 {
		if space, err = convert.CommonSpace(sights, on, p.on != ""); err != nil {
			return convert.Placement{}, &failure{code: exitUsage, err: err, hint: platformHint}
		}
	}
	return p.to(space, on, sights)
}

// together returns how the registers of logs are named that are replayed
// together: CC-MRs and RTMRs are the same registers, and PCRs may be another
// device's.
func (p *placing) together(sights []convert.Sight) (convert.Placement, error) {
	if p.in != mrlog.NoSpace {
		return p.common(sights)
	}
	has := func(space mrlog.Space) bool {
		return slices.ContainsFunc(sights, func(s convert.Sight) bool { return slices.Contains(s.Spaces, space) })
	}
	if !has(mrlog.CCMR) || !has(mrlog.RTMR) {
		return convert.Placement{}, nil
	}
	on, err := p.decide(sights)
	if err != nil {
		return convert.Placement{}, err
	}
	if on == "" {
		return convert.Placement{}, &failure{
			code: exitUsage, hint: platformHint,
			err: fmt.Errorf("some logs are of ccmr, others of rtmr, and %w", convert.ErrPlatform),
		}
	}
	of := convert.Placement{Space: mrlog.CCMR, Platform: on, Keep: true}
	if slices.ContainsFunc(sights, func(s convert.Sight) bool { return slices.Contains(s.Spaces, mrlog.PCR) && !s.OfPlatform(on) }) && p.on == "" {
		of.Except = mrlog.PCR
	}
	return of, nil
}

// expects reports whether in each of the spaces a register's value is expected.
func expects(expect []verify.Expectation, spaces []mrlog.Space) bool {
	return !slices.ContainsFunc(spaces, func(space mrlog.Space) bool {
		return !slices.ContainsFunc(expect, func(x verify.Expectation) bool { return x.Register.Space == space })
	})
}

// expected returns how the registers of a log are named so that those with an
// expected value are found. What is not of the platform keeps its name.
func (p *placing) expected(s *convert.Sight, on mrlog.Platform, expect []verify.Expectation) convert.Placement {
	wants := func(space mrlog.Space) bool { return expects(expect, []mrlog.Space{space}) }
	if on == "" || expects(expect, s.Spaces) {
		return convert.Placement{}
	}
	of := convert.Placement{Platform: on, Keep: true}
	switch {
	case wants(mrlog.RTMR):
		of.Space = mrlog.RTMR
	case wants(mrlog.CCMR):
		of.Space = mrlog.CCMR
	}
	if wants(mrlog.PCR) || p.on == "" && !s.OfPlatform(on) {
		of.Except = mrlog.PCR
	}
	return of
}

// to is a placement in a space, checked.
func (p *placing) to(space mrlog.Space, on mrlog.Platform, sights []convert.Sight) (convert.Placement, error) {
	if space == mrlog.NoSpace {
		return convert.Placement{}, nil
	}
	for _, s := range sights {
		i := slices.IndexFunc(s.Spaces, func(x mrlog.Space) bool { return x != space })
		if i >= 0 && on == "" {
			return convert.Placement{}, &failure{
				code: exitUsage, hint: platformHint,
				err: fmt.Errorf("--to-space %s: %s is of %s, and %w", space, s.Name, s.Spaces[i], convert.ErrPlatform),
			}
		}
	}
	return convert.Placement{Space: space, Platform: on}, nil
}

// openAll opens logs and reads the beginning of each. They are closed by the
// caller, also after an error.
func openAll(args []string, stdin io.Reader, o convert.Source) ([]*input, error) {
	var ins []*input
	o.IndexIfNative = len(args) > 1
	for _, arg := range args {
		parts, err := openParts(arg, stdin, o)
		if err != nil {
			return ins, err
		}
		for _, in := range parts {
			in.arg = arg
			in.look()
		}
		ins = append(ins, parts...)
	}
	return ins, nil
}

func closeAll(ins []*input) {
	for _, in := range ins {
		_ = in.Close()
	}
}

func sights(ins []*input) []convert.Sight {
	out := make([]convert.Sight, len(ins))
	for i, in := range ins {
		out[i] = in.sight
	}
	return out
}

// warnEmpty tells of a log that is nothing but padding: a firmware that has
// logged nothing leaves its area so, and a file system that has lost a file.
func (e *env) warnEmpty(in *input) {
	if n := in.Reader.Header().Padding; n > 0 && in.Reader.Header().Dialect == "" {
		e.warn("%s: nothing but %s of padding: a log without records", in.name, count(n, "byte"))
	}
}

// warnFirmwares tells of two logs that are a firmware's: a machine has one, and
// what is taken from two leads to no register's value.
func (e *env) warnFirmwares(ins []*input) {
	firmware := func(r mrlog.Register) bool {
		return r.Space == mrlog.PCR && r.Index < 8 || r.Space == mrlog.CCMR && (r.Index == 1 || r.Index == 2)
	}
	for i, in := range ins {
		for _, before := range ins[:i] {
			if in.sight.Format != convert.TCG2 || before.sight.Format != convert.TCG2 {
				continue
			}
			for _, r := range in.sight.Registers {
				if firmware(r) && slices.Contains(before.sight.Registers, r) {
					e.warn("%s and %s are both a firmware's log of %s: a machine has one, and here the second goes on where the first ends", before.name, in.name, r)
					return
				}
			}
		}
	}
}

// maxPairs bounds the registers that a note names.
const maxPairs = 8

// notePlaced tells which registers of a log were given other names.
func (e *env) notePlaced(in *input, on mrlog.Platform, stated bool) {
	pairs, none := convert.Pairs(in.Reader)
	if len(pairs) > 0 {
		var names []string
		for i, p := range pairs {
			if i == maxPairs {
				names = append(names, fmt.Sprintf("and %d more", len(pairs)-i))
				break
			}
			names = append(names, p.From.String()+" is "+p.To.String())
		}
		by := "as the logs tell"
		if stated {
			by = "as stated"
		}
		e.note("%s: on %s (%s) %s", in.name, on, by, strings.Join(names, ", "))
	}
	if none > 0 {
		e.note("%s: %s that extended nothing %s of a register without a name in %s, and now of none", in.name, count(none, "record"), are(none), in.Reader.Header().Space)
	}
}

func are(n uint64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// noteAssumed tells of a space that the structure of a log suggests, and the log
// does not state.
func (e *env) noteAssumed(in *input) {
	if h := in.Reader.Header(); in.sight.Assumed && !h.Derived && !strings.HasPrefix(h.Format, "cel-") && len(in.sight.Spaces) > 0 {
		e.note("%s: %s: its registers are taken for %s (--space SPACE says otherwise)", in.name, h.Format, in.sight.Spaces[0])
	}
}
