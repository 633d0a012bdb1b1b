// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/collect"
)

type snapshotOptions struct {
	output    string
	registers []string
}

func newSnapshot(e *env, g *globals) *cobra.Command {
	var o snapshotOptions
	cmd := &cobra.Command{
		Use:   "snapshot -o DIR|FILE.tar [flags]",
		Short: "copy register values and the logs that lead to them",
		Long: `snapshot reads the registers, then each register's log, and writes a copy of
both that agree: every log is cut after the record whose replay gives the
register's value. It waits for no writer and holds none up. What was recorded
before it began is in it.

It writes snapshot.json (docs/json.md) and, for each register that has a log,
REGISTER/log; logs that were set aside during this boot lead to it and come with
their numbers: REGISTER/log.1, REGISTER/log. DIR and FILE.tar must not be there
yet; - writes a tar file to standard output.

It exits with 3 when no part of a log gives its register's value. The snapshot
is written nonetheless, and says why.`,
		Example: `  mrlog snapshot -o evidence.tar
  mrlog snapshot -o /tmp/snapshot --register rtmr2 --json
  mrlog snapshot -o - | ssh host 'cat > evidence.tar'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSnapshot(cmd.Context(), e, g, &o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "`DIR`, or FILE.tar, to write; - is a tar file to standard output")
	f.StringArrayVar(&o.registers, "register", nil, "this `REGISTER` only; can be given more than once (default: all that can be read or have a log)")
	return cmd
}

func runSnapshot(ctx context.Context, e *env, g *globals, o *snapshotOptions) error {
	switch {
	case o.output == "":
		return usage("-o is missing: the folder or the tar file to write")
	case o.output == "-" && e.json:
		return usage("-o - and --json both write to standard output")
	case o.output == "-" && columns(e.stdout) > 0:
		return usage("-o - writes a tar file, and standard output is a terminal")
	}
	var asked []mrlog.Register
	for _, name := range o.registers {
		reg, err := mrlog.ParseRegister(name)
		if err != nil {
			return usage("--register: %w", err)
		}
		asked = append(asked, reg)
	}
	d, _, err := g.openDevice(ctx, e, false)
	if err != nil {
		return err
	}
	var which []mrlog.Register
	for _, reg := range asked {
		r, note, err := find(d, reg)
		if err != nil {
			return err
		}
		if note != "" {
			e.note("%s", note)
		}
		which = append(which, r.Name)
	}
	s, err := collect.Snapshot(ctx, collect.Options{State: g.stateFolder(e), Device: d, Registers: which})
	if err != nil {
		return err
	}
	defer s.Close()
	switch {
	case o.output == "-":
		err = s.WriteTar(ctx, e.stdout)
	case strings.HasSuffix(o.output, ".tar"):
		err = s.WriteTarFile(ctx, o.output)
	default:
		err = s.WriteDir(ctx, o.output)
	}
	if err != nil {
		return err
	}
	switch {
	case o.output == "-":
	case e.json:
		err = e.printJSON(s.Manifest())
	default:
		err = e.printSnapshot(s, o.output)
	}
	if err != nil {
		return err
	}
	return agreement(s)
}

// agreement is the answer as an error: nil if every register agrees with its
// logs.
func agreement(s *collect.Result) error {
	var bad, unreadable []string
	for _, r := range s.Registers {
		switch r.State {
		case collect.Inconsistent:
			bad = append(bad, fmt.Sprintf("%s (%s)", r.Name, r.Reason))
		case collect.Unreadable:
			unreadable = append(unreadable, fmt.Sprintf("%s (%s)", r.Name, r.Reason))
		}
	}
	switch {
	case bad != nil && unreadable != nil:
		return no("the snapshot is not consistent: %s; not readable: %s", strings.Join(bad, ", "), strings.Join(unreadable, ", "))
	case bad != nil:
		return no("the snapshot is not consistent: %s", strings.Join(bad, ", "))
	case unreadable != nil:
		return fmt.Errorf("register or log cannot be read: %s", strings.Join(unreadable, ", "))
	}
	return nil
}

// printSnapshot prints, for people, what was written; registers that nobody
// has written to take one line together.
func (e *env) printSnapshot(s *collect.Result, output string) error {
	var b strings.Builder
	simulated := ""
	if s.Device.Simulated {
		simulated = ", simulated: its values prove nothing to anybody"
	}
	fmt.Fprintf(&b, "device  %s at %s%s\nwrote   %s\n\n", s.Device.Kind, s.Device.Where, simulated, output)
	var idle []string
	for _, r := range s.Registers {
		if r.State == collect.NoLog && !r.Unexplained && r.Reason == "" {
			idle = append(idle, r.Name.String())
			continue
		}
		fmt.Fprintf(&b, "%-8s %s", r.Name, strings.ReplaceAll(string(r.State), "-", " "))
		if len(r.Logs) > 0 {
			var records, bytes int64
			for _, l := range r.Logs {
				records, bytes = records+l.Records, bytes+l.Bytes
			}
			fmt.Fprintf(&b, ": %s, %s in %s", count(records, "record"), count(bytes, "byte"), count(len(r.Logs), "log"))
		}
		b.WriteByte('\n')
		for _, v := range r.Values {
			fmt.Fprintf(&b, "         %s %x\n", v.Alg, v.Sum)
		}
		if r.Unexplained {
			b.WriteString("         note: it was extended before the first log; nothing here says with what\n")
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, "         why:  %s\n", r.Reason)
		}
	}
	if idle != nil {
		fmt.Fprintf(&b, "no log, at the reset value: %s\n", strings.Join(idle, " "))
	}
	_, err := e.stdout.Write([]byte(b.String()))
	return err
}
