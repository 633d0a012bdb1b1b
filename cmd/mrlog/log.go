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
)

func newLog(e *env, g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "begin a new log, and keep the old one",
		Long: `log has the verbs that are about a register's log as a whole.

What stands in a log is shown by mrlog show, and added to by mrlog extend.`,
		Example: `  mrlog log new --register rtmr2`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown verb %.40q (known: new)", args[0])
			}
			return errors.New("no verb given (known: new)")
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args does not let it come to that
	}
	cmd.AddCommand(newLogNew(e, g))
	return cmd
}

func newLogNew(e *env, g *globals) *cobra.Command {
	var c choice
	cmd := &cobra.Command{
		Use:   "new",
		Short: "begin a new log at the register's present value, keep the old one as log.N",
		Long: `new keeps a register's log as it is, beside it as log.1, log.2 and so on, and
begins a new one, whose INIT states the register's present value. Programs that
have the old log open go on with the new one.

It is the remedy where log and register have diverged, where the log is gone,
and where it is full. Where both agree it works, too: what a crash has
interrupted is completed in the old log first, and the two logs join.

Where they had diverged, what the register held before the new log has no log
that explains it. Verification will say so, and answer "unexplained prefix",
until the register is reset: mrlog log new says what was wrong, as mrlog status
does; it does not make it right. Only where the register is at its reset value
the new log is verified by itself.`,
		Example: `  mrlog log new
  mrlog log new --register rtmr3 --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return mayNot(runLogNew(cmd.Context(), e, g, &c))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.register, "register", "", "`REGISTER` of the log (default MRLOG_REGISTER, else rtmr2 or pcr14)")
	f.Uint32Var(&c.pcr, "pcr", 0, "the same, as the `NUMBER` of a PCR (mapped to a register where there are none)")
	f.BoolVar(&c.shared, "shared", false, "also for a PCR that belongs to others (9, 10, 11, 15): INIT is extended")
	c.hasPCR = func() bool { return f.Changed("pcr") }
	return cmd
}

type begunOutput struct {
	Register  string        `json:"register"`
	Log       string        `json:"log"`
	Kept      string        `json:"kept,omitempty"`
	Records   int64         `json:"records"`
	Joined    bool          `json:"joined"`
	Explained bool          `json:"start_explained"`
	Diverged  string        `json:"diverged,omitempty"`
	Banks     []receiptBank `json:"banks"`
}

func runLogNew(ctx context.Context, e *env, g *globals, c *choice) error {
	asked, err := c.parse(e)
	if err != nil {
		return err // before any register is looked at
	}
	d, k, err := g.openKeeper(ctx, e, false)
	if err != nil {
		return err
	}
	defer k.Close()
	reg, note, warning, err := c.pick(asked, d)
	if err != nil {
		return err
	}
	if note != "" {
		e.note("%s", note)
	}
	if warning != "" {
		e.warn("%s", warning)
	}
	n, err := k.NewLog(ctx, reg.Name)
	if n.Diverged != nil {
		// Whatever has come of it: this was the last look at the old log.
		e.warn("%s", strings.TrimSuffix(n.Diverged.Error(), "; "+n.Diverged.Remedy))
	}
	if err != nil {
		return err
	}
	explained := n.Joined || n.FromReset
	if !explained {
		e.warn("what %s held before the new log has no log that explains it: verification will answer \"unexplained prefix\"", reg.Name)
	}
	if !e.json {
		text := fmt.Sprintf("%s: new log %s", reg.Name, n.Path)
		if n.Kept != "" {
			text += fmt.Sprintf("; the old one, of %s, is kept as %s", count(n.Records, "record"), n.Kept)
		}
		_, err := fmt.Fprintln(e.stdout, text)
		return err
	}
	out := begunOutput{
		Register: reg.Name.String(), Log: n.Path, Kept: n.Kept, Records: n.Records,
		Joined: n.Joined, Explained: explained, Banks: []receiptBank{},
	}
	if n.Diverged != nil {
		out.Diverged = string(n.Diverged.Reason)
		if n.Diverged.Detail != "" {
			out.Diverged += " (" + n.Diverged.Detail + ")"
		}
	}
	for _, v := range n.Start {
		out.Banks = append(out.Banks, receiptBank{Bank: v.Alg.String(), Value: fmt.Sprintf("%x", v.Sum)})
	}
	return e.printJSON(out)
}
