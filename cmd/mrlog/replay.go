// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/pipe"
)

func newReplay(e *env) *cobra.Command {
	var s source
	var p placing
	var b banking
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE...",
		Short: "compute register values from logs",
		Long: `replay extends the digests of all records and prints the value that each
register then has. Several logs are replayed together, in the order given, so
that a later log of a register goes on where an earlier one ended.

Registers have the names that the logs give them. If some logs are of CC-MRs and
others of RTMRs, which are the same registers, they are all named as CC-MRs by
the table of the platform; --to-space names them in another space.

An IMA list has the digests of one bank, and the kernel extended all of them:
--bank derives another, as Linux does since 5.8, or with :padded as it did before.

The values are what the logs claim. Whether a machine's registers hold them is
for mrlog verify.`,
		Example: `  mrlog replay /run/mrlog/rtmr2/log
  mrlog replay --bank sha256 ima.txt
  mrlog replay --json log.cel | jq -r .registers[0].value`,
		Args: files(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplay(cmd.Context(), e, &s, &p, &b, args)
		},
	}
	s.flags(cmd)
	p.flags(cmd)
	b.flags(cmd)
	return cmd
}

type replayOutput struct {
	Registers []registerOutput `json:"registers"`
}

type registerOutput struct {
	Register string `json:"register"`
	Bank     string `json:"bank"`
	Value    string `json:"value"`
	Records  uint64 `json:"records"`
	Start    string `json:"unexplained_start,omitempty"`
}

func runReplay(ctx context.Context, e *env, s *source, p *placing, b *banking, args []string) error {
	o, err := s.options()
	if err == nil {
		o, err = b.source(o)
	}
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	ins, err := openAll(args, e.stdin, o)
	defer closeAll(ins)
	if err != nil {
		return err
	}
	var formats []string
	for _, in := range ins {
		formats = append(formats, in.sight.Format)
	}
	if err := b.check(formats...); err != nil {
		return err
	}
	place, err := p.together(sights(ins))
	if err != nil {
		return err
	}
	e.warnFirmwares(ins)
	var replay mrlog.Replay
	var refusal error
	for _, in := range ins {
		in.Reader = convert.Place(in.Reader, place)
		err := replayLog(ctx, e, in, &replay)
		if code, _ := classify(err); code != exitNo && err != nil {
			return err
		}
		refusal = cmp.Or(refusal, err)
		e.noteWrapped(in)
		e.warnEmpty(in)
		e.notePlaced(in, place.Platform, p.on != "")
		e.noteBank(in)
	}
	if e.json {
		err = e.printJSON(replayOutput{registerOutputs(replay.Banks())})
	} else {
		err = e.printBanks(replay.Banks())
	}
	if err != nil {
		return err
	}
	if replay.Len() == 0 {
		e.warn("no record extends a register")
	}
	e.warnSkipped(replay.Skipped())
	if errs, n := replay.InitErrors(); n > 0 {
		return no("%w%s", errs[0], more(n-1))
	}
	return refusal
}

// replayLog replays one log.
func replayLog(ctx context.Context, e *env, in *input, replay *mrlog.Replay) error {
	p := e.newProgress("replay")
	defer p.done()
	var records int64
	err := pipe.Each(ctx, in.Reader, procs(in), func(batch []mrlog.Record) error {
		records += int64(len(batch))
		last := batch[len(batch)-1].Span
		p.update(in, records, last.Offset+int64(last.Length))
		return replay.Extend(batch)
	})
	if err != nil {
		return in.at(err)
	}
	p.done()
	e.warnTorn(in)
	if err := convert.CheckMR(in.Reader, replay); err != nil {
		return no("%s: %w", in.name, err)
	}
	return nil
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

func registerOutputs(banks []mrlog.Bank) []registerOutput {
	out := make([]registerOutput, 0, len(banks))
	for _, b := range banks {
		r := registerOutput{Register: b.Register.String(), Bank: b.Alg.String(), Value: fmt.Sprintf("%x", b.Value), Records: b.Records}
		if b.Unexplained {
			r.Start = fmt.Sprintf("%x", b.Start)
		}
		out = append(out, r)
	}
	return out
}

// printBanks prints register values for people, one per line.
func (e *env) printBanks(banks []mrlog.Bank) error {
	width := 0
	for _, b := range banks {
		width = max(width, len(b.Register.String())+1+len(b.Alg.String()))
	}
	for _, b := range banks {
		note := ""
		if b.Unexplained {
			note = fmt.Sprintf("  from %x, which its INIT states and nothing here explains", b.Start)
		}
		name := b.Register.String() + ":" + b.Alg.String()
		if _, err := fmt.Fprintf(e.stdout, "%-*s  %x  %s%s\n", width, name, b.Value, count(b.Records, "record"), note); err != nil {
			return err
		}
	}
	return nil
}

// maxSkippedWarnings bounds what a log of made-up algorithms can make us say.
const maxSkippedWarnings = 8

// warnSkipped tells of banks that could not be computed.
func (e *env) warnSkipped(skipped map[mrlog.Alg]uint64) {
	algs := make([]mrlog.Alg, 0, len(skipped))
	for a := range skipped {
		algs = append(algs, a)
	}
	slices.Sort(algs)
	for i, a := range algs {
		if i == maxSkippedWarnings {
			e.warn("and %d more algorithms", len(algs)-i)
			break
		}
		e.warn("algorithm %s is not known; left out of the replay: %s", a, count(skipped[a], "digest"))
	}
}
