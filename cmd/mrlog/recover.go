// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/keeper"
)

func newRecover(e *env, g *globals) *cobra.Command {
	var register, assume string
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "complete or take back what a crash has interrupted",
		Long: `recover brings each log and its register together after a crash: records that
stand in the log and were not extended are extended, a torn last line is
completed or cut off. Every extend does the same first; recover is for when no
event is due, and for programs that append to a log themselves.

Where log and register agree it changes no record: it clears the mark of an
interrupted writer, and notes a new boot that kept the registers. Where they
have diverged it changes nothing (exit 3).

Where a register cannot be read, a writer that died while it extended the
register leaves a record of which nobody can tell whether it was extended: it is
undecided (exit 3). So does a device that fails and gives values from a cache (a
TDX guest without its reports). Find out, from a quote for one, and say so with --assume:
"extended" leaves the record as it is, "not-extended" extends it now. A wrong
answer gives a log that does not lead to the register's value.`,
		Example: `  mrlog recover
  mrlog recover --register rtmr3 --json
  mrlog recover --register rtmr3 --assume extended`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return mayNot(runRecover(cmd.Context(), e, g, register, assume))
		},
	}
	cmd.Flags().StringVar(&register, "register", "", "this `REGISTER` only (default: every one that has a log)")
	cmd.Flags().StringVar(&assume, "assume", "", "`WHAT` became of an undecided record: extended or not-extended")
	return cmd
}

type recoverOutput struct {
	Registers []recoverRegister `json:"registers"`
}

type recoverRegister struct {
	Register  string `json:"register"`
	Records   int64  `json:"records"`
	Extended  int    `json:"extended"`
	Cut       int64  `json:"cut"`
	Completed bool   `json:"completed"`
	SetAside  string `json:"set_aside,omitempty"`
	InFlight  bool   `json:"in_flight"`
	BootHint  bool   `json:"boot_hint"`
	Assumed   bool   `json:"assumed,omitempty"`
	Error     string `json:"error,omitempty"`
}

func runRecover(ctx context.Context, e *env, g *globals, register, assume string) error {
	switch {
	case assume != "" && assume != "extended" && assume != "not-extended":
		return usage("--assume %.40q: want extended or not-extended", assume)
	case assume != "" && register == "":
		return usage("--assume needs --register: it is about one record")
	}
	var asked mrlog.Register
	if register != "" {
		var err error
		if asked, err = mrlog.ParseRegister(register); err != nil {
			return usage("--register: %w", err)
		}
	}
	d, k, err := g.openKeeper(ctx, e, false)
	if err != nil {
		return err
	}
	defer k.Close()
	var which []mrlog.Register
	if register != "" {
		reg, note, err := find(d, asked)
		if err != nil {
			return err
		}
		if note != "" {
			e.note("%s", note)
		}
		which = []mrlog.Register{reg.Name}
	} else {
		for _, r := range d.Registers() {
			if r.NotExtendable == "" {
				which = append(which, r.Name)
			}
		}
	}
	out := recoverOutput{Registers: []recoverRegister{}}
	var failed error
	for _, reg := range which {
		var o keeper.Outcome
		if assume != "" {
			o, err = k.Settle(ctx, reg, assume == "extended")
		} else {
			o, err = k.Recover(ctx, reg)
		}
		if err == nil && o.Absent {
			continue
		}
		r := recoverRegister{
			Register: reg.String(), Records: o.Records, Extended: o.Extended, Cut: o.Cut, Completed: o.Completed, SetAside: o.SetAside,
			InFlight: o.InFlight, BootHint: o.BootHint, Assumed: o.Assumed,
		}
		if err != nil {
			r.Error = err.Error()
			failed = errors.Join(failed, err)
		}
		out.Registers = append(out.Registers, r)
	}
	if e.json {
		err = e.printJSON(out)
	} else {
		err = e.printRecovered(&out)
	}
	if err != nil {
		return err
	}
	return failed
}

func (e *env) printRecovered(out *recoverOutput) error {
	for _, r := range out.Registers {
		var did []string
		if r.Extended > 0 {
			did = append(did, count(r.Extended, "record")+" extended that had not been")
		}
		if r.Cut > 0 {
			did = append(did, count(r.Cut, "byte")+" of a torn line cut off")
		}
		if r.Completed {
			did = append(did, "a torn line completed that had been extended")
		}
		if r.SetAside != "" {
			did = append(did, "log of another boot kept as "+r.SetAside)
		}
		if r.Assumed {
			did = append(did, "last record settled as you say")
		}
		if r.BootHint {
			did = append(did, "marked as of this boot, too")
		}
		if r.InFlight && did == nil {
			did = append(did, "mark of an interrupted writer cleared")
		}
		switch {
		case r.Error != "":
			did = []string{"could not be recovered"}
		case did == nil:
			did = []string{"nothing to do"}
		}
		if _, err := fmt.Fprintf(e.stdout, "%s: %s: %s\n", r.Register, count(r.Records, "record"), strings.Join(did, ", ")); err != nil {
			return err
		}
	}
	if len(out.Registers) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no log here")
		return err
	}
	return nil
}
