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
	"mrlog.dev/device"
	"mrlog.dev/keeper"
)

func newStatus(e *env, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show device, registers and logs, and whether they agree",
		Long: `status reads every register of the device and replays every log of the state
folder, without locks and without changing anything, and says what is wrong and
what to do about it. Values are given in full.

It exits with 3 when a log and its register have diverged.`,
		Example: `  mrlog status
  mrlog status --json | jq '.registers[] | select(.state != "absent")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), e, g)
		},
	}
}

type statusOutput struct {
	Device    statusDevice     `json:"device"`
	State     string           `json:"state"`
	Agree     bool             `json:"agree"`
	Registers []statusRegister `json:"registers"`
}

type statusDevice struct {
	Kind      string `json:"kind"`
	Simulated bool   `json:"simulated"`
	Where     string `json:"where"`
}

type statusRegister struct {
	Register      string       `json:"register"`
	State         string       `json:"state"`
	Log           string       `json:"log,omitempty"`
	Records       int64        `json:"records"`
	Bytes         int64        `json:"bytes"`
	Missing       int64        `json:"missing,omitempty"`
	NotExtendable string       `json:"not_extendable,omitempty"`
	Banks         []statusBank `json:"banks"`
	Reason        string       `json:"reason,omitempty"`
	Remedy        string       `json:"remedy,omitempty"`
}

type statusBank struct {
	Bank     string `json:"bank"`
	Register string `json:"register,omitempty"`
	Log      string `json:"log,omitempty"`
}

func runStatus(ctx context.Context, e *env, g *globals) error {
	d, k, err := g.openKeeper(e, false)
	if err != nil {
		return err
	}
	defer k.Close()
	info := d.Info()
	out := statusOutput{
		Device: statusDevice{info.Kind, info.Simulated, info.Where},
		State:  g.stateFolder(e), Agree: true, Registers: []statusRegister{},
	}
	var diverged, unreadable []string
	for _, r := range d.Registers() {
		s, err := k.Status(ctx, r.Name)
		if err != nil {
			return err
		}
		switch s.State {
		case keeper.Diverged:
			out.Agree = false
			diverged = append(diverged, r.Name.String())
		case keeper.Unreadable:
			out.Agree = false
			unreadable = append(unreadable, r.Name.String())
		}
		out.Registers = append(out.Registers, statusOf(r, &s))
	}
	if e.json {
		err = e.printJSON(out)
	} else {
		err = e.printStatus(&out)
	}
	switch {
	case err != nil:
		return err
	case diverged != nil:
		return no("log and register have diverged: %s", strings.Join(diverged, ", "))
	case unreadable != nil:
		return fmt.Errorf("log or register cannot be read: %s", strings.Join(unreadable, ", "))
	}
	return nil
}

func statusOf(r device.Register, s *keeper.Status) statusRegister {
	out := statusRegister{
		Register: r.Name.String(), State: string(s.State), Records: s.Records, Bytes: s.Size, Missing: s.Missing,
		NotExtendable: r.NotExtendable, Remedy: s.Remedy, Banks: []statusBank{},
	}
	if s.State != keeper.Absent {
		out.Log = s.Path
	}
	value := func(list []mrlog.Digest, alg mrlog.Alg) string {
		for _, v := range list {
			if v.Alg == alg {
				return fmt.Sprintf("%x", v.Sum)
			}
		}
		return ""
	}
	for _, b := range r.Banks {
		out.Banks = append(out.Banks, statusBank{b.Alg.String(), value(s.Device, b.Alg), value(s.Log, b.Alg)})
	}
	var div *keeper.Divergence
	switch {
	case errors.As(s.Err, &div):
		out.Reason = string(div.Reason)
		if div.Detail != "" {
			out.Reason += " (" + div.Detail + ")"
		}
		if div.Agree != nil {
			out.Reason += fmt.Sprintf("; last record known to agree: %d (line %d)", div.Agree.Record, div.Agree.Line)
		}
	case s.Err != nil:
		out.Reason = s.Err.Error()
	case s.Missing > 0:
		out.Reason = missing(s.Missing)
	case s.TornLine > 0:
		out.Reason = fmt.Sprintf("the last line is torn: %d bytes without a newline", s.TornLine)
	}
	return out
}

func missing(n int64) string {
	if n == 1 {
		return "the last record was not extended"
	}
	return fmt.Sprintf("the last %d records were not extended", n)
}

// printStatus prints, for people, what matters first; registers that nobody
// has written to take one line together.
func (e *env) printStatus(s *statusOutput) error {
	var b strings.Builder
	simulated := ""
	if s.Device.Simulated {
		simulated = ", simulated: its values prove nothing to anybody"
	}
	fmt.Fprintf(&b, "device  %s at %s%s\nstate   %s\n", s.Device.Kind, s.Device.Where, simulated, s.State)
	var idle []string
	for _, r := range s.Registers {
		if r.State == string(keeper.Absent) && r.Remedy == "" {
			idle = append(idle, r.Register)
			continue
		}
		fmt.Fprintf(&b, "\n%-8s %s", r.Register, r.State)
		switch {
		case r.Log != "" && r.Records == 0: // not known, or none
			fmt.Fprintf(&b, ": %s", r.Log)
		case r.Log != "":
			fmt.Fprintf(&b, ": %s, %s in %s", count(r.Records, "record"), count(r.Bytes, "byte"), r.Log)
		}
		b.WriteByte('\n')
		for _, x := range r.Banks {
			switch {
			case x.Log == "" || x.Log == x.Register:
				fmt.Fprintf(&b, "         %s %s\n", x.Bank, x.Register)
			default:
				fmt.Fprintf(&b, "         %s in the register %s\n         %*s by the log      %s\n", x.Bank, x.Register, len(x.Bank), "", x.Log)
			}
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, "         why:  %s\n", r.Reason)
		}
		if r.Remedy != "" {
			fmt.Fprintf(&b, "         what to do: %s\n", r.Remedy)
		}
	}
	if idle != nil {
		fmt.Fprintf(&b, "\nno log, at the reset value: %s\n", strings.Join(idle, " "))
	}
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}
