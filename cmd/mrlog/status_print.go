// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"mrlog.dev/internal/term"
	"mrlog.dev/keeper"
)

// printStatus prints, for people, what matters first; registers that have no
// log take one line together, and what is wrong stands at the end, where it is
// seen.
func (e *env) printStatus(s *statusOutput) error {
	var b strings.Builder
	switch {
	case s.Device.Kind == noKind:
		b.WriteString("device  none\n")
	case s.Device.Simulated:
		fmt.Fprintf(&b, "device  %s at %s, simulated: its values prove nothing to anybody\n", s.Device.Kind, s.Device.Where)
	default:
		fmt.Fprintf(&b, "device  %s at %s\n", s.Device.Kind, s.Device.Where)
	}
	fmt.Fprintf(&b, "kernel  %s\n", s.kernelLine())
	fmt.Fprintf(&b, "state   %s%s\n", term.Line(s.State), s.stateLine())
	if s.DefaultRegister != "" {
		fmt.Fprintf(&b, "events  go to %s\n", s.DefaultRegister)
	}
	for i := range s.Registers {
		if r := &s.Registers[i]; r.group() == "" {
			r.print(&b)
		}
	}
	s.printGroups(&b)
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "\nlooked at %s: %s\n", f.Device, term.Line(f.What))
		fmt.Fprintf(&b, "         why:  %s\n", f.Why)
		printRemedy(&b, f.Remedy)
	}
	for _, w := range s.Warnings {
		about := ""
		if w.Register != "" {
			about = w.Register + ": "
		}
		fmt.Fprintf(&b, "\nwarning: %s%s\n", about, term.Line(w.Text))
		printRemedy(&b, w.Remedy)
	}
	_, err := io.WriteString(e.stdout, fold(b.String(), columns(e.stdout)))
	return err
}

// fold breaks lines at blanks to a width, what follows set in more than the
// sentences of a register are. Words stay whole: values and paths are there to
// be copied.
func fold(text string, width int) string {
	if width == 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for len(line) > width { // bytes: at worst it breaks early
			lead := len(line) - len(strings.TrimLeft(line, " "))
			at := strings.LastIndexByte(line[:width+1], ' ')
			if at < lead {
				next := strings.IndexByte(line[lead:], ' ')
				if next < 0 {
					break
				}
				at = lead + next
			}
			b.WriteString(strings.TrimRight(line[:at], " ") + "\n")
			line = "           " + strings.TrimLeft(line[at:], " ")
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func (s *statusOutput) kernelLine() string {
	switch {
	case s.Kernel == "":
		return "not known"
	case s.ExtendsRTMR:
		return fmt.Sprintf("Linux %s, new enough to extend RTMRs", s.Kernel)
	}
	return fmt.Sprintf("Linux %s, cannot extend RTMRs: that needs %d.%d", s.Kernel, rtmrMajor, rtmrMinor)
}

func (s *statusOutput) stateLine() string {
	switch {
	case s.FileSystem == "":
		return ""
	case s.Volatile:
		return fmt.Sprintf(" on %s, gone with a reboot as registers are", s.FileSystem)
	}
	return fmt.Sprintf(" on %s, kept over a reboot", s.FileSystem)
}

// print prints a register with its log.
func (r *statusRegister) print(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-8s %s", r.Register, r.State)
	switch {
	case r.Log != "" && r.Records == 0: // not known, or none
		fmt.Fprintf(b, ": %s", term.Line(r.Log))
	case r.Log != "":
		fmt.Fprintf(b, ": %s, %s in %s", count(r.Records, "record"), count(r.Bytes, "byte"), term.Line(r.Log))
	}
	b.WriteByte('\n')
	if len(r.Aliases) > 0 {
		fmt.Fprintf(b, "         is %s\n", span(r.Aliases))
	}
	for _, x := range r.Banks {
		switch {
		case x.Register == "" && x.Log == "":
		case x.Log == "" || x.Log == x.Register:
			fmt.Fprintf(b, "         %s %s\n", x.Bank, x.Register)
		case x.Register == "":
			fmt.Fprintf(b, "         %s by the log %s\n", x.Bank, x.Log)
		default:
			fmt.Fprintf(b, "         %s in the register %s\n         %*s by the log      %s\n", x.Bank, x.Register, len(x.Bank), "", x.Log)
		}
	}
	if r.NotReadable != "" {
		fmt.Fprintf(b, "         cannot be read: %s\n", term.Line(r.NotReadable))
	}
	if r.NotExtendable != "" {
		fmt.Fprintf(b, "         cannot be extended: %s\n", term.Line(r.NotExtendable))
	}
	if r.Reason != "" {
		fmt.Fprintf(b, "         why:  %s\n", term.Line(r.Reason))
	}
	printRemedy(b, r.Remedy)
}

func printRemedy(b *strings.Builder, remedy string) {
	if remedy != "" {
		fmt.Fprintf(b, "         what to do: %s\n", term.Line(remedy))
	}
}

// group is where a register without a log is listed; "" if it is shown by
// itself.
func (r *statusRegister) group() string {
	switch {
	case r.Log != "":
		return ""
	case r.NotReadable != "":
		return "cannot be read"
	case r.State == string(keeper.Absent) && r.AtReset:
		return "no log, at the reset value"
	case r.State == string(keeper.Absent):
		return "no log, extended by others"
	}
	return ""
}

// printGroups lists the registers without a log, and what they have in common.
func (s *statusOutput) printGroups(b *strings.Builder) {
	var groups []group
	add := func(title, name, reason string) {
		i := slices.IndexFunc(groups, func(g group) bool { return g.title == title })
		if i < 0 {
			i, groups = len(groups), append(groups, group{title: title})
		}
		g := &groups[i]
		g.names = append(g.names, name)
		if reason != "" && !slices.Contains(g.reasons, reason) {
			g.reasons = append(g.reasons, reason)
		}
	}
	for i := range s.Registers {
		if r := &s.Registers[i]; r.group() != "" {
			add(r.group(), r.Register, r.NotReadable)
		}
	}
	for i := range s.Registers {
		r := &s.Registers[i]
		if r.group() == "" {
			continue
		}
		if r.NotExtendable != "" {
			add("cannot be extended", r.Register, r.NotExtendable)
		}
		if r.Resettable {
			add("can be reset by any program", r.Register, "")
		}
		if r.Writers != "" {
			add("has another writer", r.Register, r.Writers)
		}
	}
	if groups != nil {
		b.WriteByte('\n')
	}
	for _, g := range groups {
		fmt.Fprintf(b, "%s: %s", g.title, span(g.names))
		switch len(g.reasons) {
		case 0:
		case 1:
			fmt.Fprintf(b, " (%s)", term.Line(g.reasons[0]))
		default:
			b.WriteString(" (--json says why of each)")
		}
		b.WriteByte('\n')
	}
}

// group is registers that have something in common, each for a reason.
type group struct {
	title          string
	names, reasons []string
}

// span lists names in few words: "pcr0 to pcr7, pcr14".
func span(names []string) string {
	index := func(s string) (string, int) {
		i := strings.IndexAny(s, "0123456789")
		n := 0
		fmt.Sscan(s[i:], &n)
		return s[:i], n
	}
	var parts []string
	for i := 0; i < len(names); {
		space, first := index(names[i])
		last := i
		for last+1 < len(names) {
			next, n := index(names[last+1])
			if next != space || n != first+last+1-i {
				break
			}
			last++
		}
		switch last - i {
		case 0:
			parts = append(parts, names[i])
		case 1:
			parts = append(parts, names[i], names[last])
		default:
			parts = append(parts, names[i]+" to "+names[last])
		}
		i = last + 1
	}
	return strings.Join(parts, ", ")
}
