// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
what to do about it: which device there is or why none can be used, whether the
kernel can extend it, where the logs are, who else extends its registers, which
banks prove anything. Values are given in full; with --json, those of registers
without a log, too.

It exits with 3 when a log and its register have diverged or a record is
undecided, with 1 when one of them cannot be read or there is no device.`,
		Example: `  mrlog status
  mrlog status --json | jq '.registers[] | select(.state != "absent")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), e, g)
		},
	}
}

type statusOutput struct {
	Device          statusDevice     `json:"device"`
	Findings        []findingOutput  `json:"findings,omitempty"`
	Kernel          string           `json:"kernel"`
	ExtendsRTMR     bool             `json:"extends_rtmr"`
	State           string           `json:"state"`
	FileSystem      string           `json:"file_system,omitempty"`
	Volatile        bool             `json:"volatile"`
	Agree           bool             `json:"agree"`
	DefaultRegister string           `json:"default_register,omitempty"`
	Registers       []statusRegister `json:"registers"`
	Warnings        []statusWarning  `json:"warnings"`
}

type statusDevice struct {
	Kind      string `json:"kind"`
	Simulated bool   `json:"simulated"`
	Where     string `json:"where"`
	Detected  bool   `json:"detected"`
}

type statusRegister struct {
	Register      string       `json:"register"`
	Aliases       []string     `json:"aliases,omitempty"`
	State         string       `json:"state"`
	Log           string       `json:"log,omitempty"`
	Records       int64        `json:"records"`
	Bytes         int64        `json:"bytes"`
	Missing       int64        `json:"missing,omitempty"`
	NotExtendable string       `json:"not_extendable,omitempty"`
	NotReadable   string       `json:"not_readable,omitempty"`
	Resettable    bool         `json:"resettable,omitempty"`
	AtReset       bool         `json:"at_reset"`
	Writers       string       `json:"writers,omitempty"`
	Banks         []statusBank `json:"banks"`
	Reason        string       `json:"reason,omitempty"`
	Remedy        string       `json:"remedy,omitempty"`
}

type statusBank struct {
	Bank     string `json:"bank"`
	Register string `json:"register,omitempty"`
	Log      string `json:"log,omitempty"`
}

type statusWarning struct {
	Register string `json:"register,omitempty"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy,omitempty"`
}

// noKind is the kind of a device that is not there.
const noKind = "none"

func runStatus(ctx context.Context, e *env, g *globals) error {
	spec, err := g.deviceSpec(e)
	if err != nil {
		return err
	}
	asked, err := environmentRegister(e)
	if err != nil {
		return err
	}
	d, findings, failed := g.openDevice(ctx, e, false)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	state, err := filepath.Abs(g.stateFolder(e))
	if err != nil {
		return err
	}
	out := statusOutput{
		Device: statusDevice{Kind: noKind}, Findings: findings, State: state,
		Kernel: e.kernelRelease(), Registers: []statusRegister{}, Warnings: []statusWarning{},
	}
	out.ExtendsRTMR = extendsRTMR(out.Kernel)
	if failed == nil {
		info := d.Info()
		out.Device = statusDevice{info.Kind, info.Simulated, info.Where, spec.kind == ""}
		failed, err = out.compare(ctx, e, d)
		if err != nil {
			return err
		}
		out.setDefault(d, asked)
	}
	out.lookAtState()
	out.lookForStrays(d)
	if e.json {
		err = e.printJSON(out)
	} else {
		err = e.printStatus(&out)
	}
	if err != nil {
		return err
	}
	if f, ok := errors.AsType[*failure](failed); ok && findings != nil {
		f.findings = nil // said above
	}
	return mayNot(failed)
}

// compare looks at every register and its log. What is wrong with them is the
// first error.
func (s *statusOutput) compare(ctx context.Context, e *env, d device.Device) (wrong, err error) {
	k, err := keeper.Open(keeper.Options{State: s.State, Device: d})
	if err != nil {
		return nil, err
	}
	defer k.Close()
	s.Agree = true
	p := platformOf(d)
	writers := e.writers(d)
	var diverged, undecided, unreadable []string
	for _, r := range d.Registers() {
		st, err := k.Status(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		out := statusOf(r, &st)
		out.Aliases, out.Resettable = aliases(p, r.Name), resettable(d, r.Name)
		out.Writers = writersOf(writers, r.Name)
		s.Registers = append(s.Registers, out)
		switch {
		case st.State == keeper.Diverged:
			s.Agree = false
			diverged = append(diverged, r.Name.String())
		case st.State == keeper.Undecided:
			s.Agree = false
			undecided = append(undecided, r.Name.String())
		case st.State == keeper.Unreadable:
			s.Agree = false
			unreadable = append(unreadable, r.Name.String())
		}
		s.warnOfWriters(p, r, &st, out.Writers)
		if out.Resettable && out.Log != "" {
			s.warn(r.Name, "it can be reset by any program: what it holds proves nothing across a reset", "record what matters into "+defaultRegister(p).String())
		}
	}
	s.lookAtBanks(d)
	switch {
	case diverged != nil:
		wrong = no("log and register have diverged: %s", strings.Join(diverged, ", "))
	case undecided != nil:
		wrong = no("the last record may have been extended or not: %s", strings.Join(undecided, ", "))
	case unreadable != nil:
		wrong = fmt.Errorf("log or register cannot be read: %s", strings.Join(unreadable, ", "))
	}
	return wrong, nil
}

// warnOfWriters warns of other writers where it matters: where there is a log,
// and where there would be one without anybody choosing it.
func (s *statusOutput) warnOfWriters(p mrlog.Platform, r device.Register, st *keeper.Status, others string) {
	if others != "" && r.NotExtendable == "" && (st.State != keeper.Absent || r.Name == defaultRegister(p)) {
		s.warn(r.Name, others+": a log of it does not stay in step", free(p))
	}
}

func (s *statusOutput) warn(reg mrlog.Register, text, remedy string) {
	w := statusWarning{Text: text, Remedy: remedy}
	if reg != (mrlog.Register{}) {
		w.Register = reg.String()
	}
	s.Warnings = append(s.Warnings, w)
}

// setDefault says where events go without --register and --pcr.
func (s *statusOutput) setDefault(d device.Device, asked mrlog.Register) {
	var c choice
	reg, _, _, err := c.pick(asked, d)
	if err != nil {
		if !canExtend(d) {
			s.warn(mrlog.Register{}, "nothing can be recorded: "+err.Error(), "")
			return
		}
		s.warn(mrlog.Register{}, "events cannot be recorded without --register: "+err.Error(), "set MRLOG_REGISTER to a register that can be extended")
		return
	}
	s.DefaultRegister = reg.Name.String()
}

func statusOf(r device.Register, s *keeper.Status) statusRegister {
	out := statusRegister{
		Register: r.Name.String(), State: string(s.State), Records: s.Records, Bytes: s.Size, Missing: s.Missing,
		NotExtendable: r.NotExtendable, NotReadable: r.NotReadable,
		AtReset: s.Device != nil, Remedy: s.Remedy, Banks: []statusBank{},
	}
	if may := mayNotHint(s.Err); may != "" {
		out.Remedy = may
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
		is := statusBank{b.Alg.String(), value(s.Device, b.Alg), value(s.Log, b.Alg)}
		out.AtReset = out.AtReset && is.Register == fmt.Sprintf("%x", b.Reset)
		out.Banks = append(out.Banks, is)
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
