// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Command perf measures mrlog against what else does the same work: the bare
// hashing, programs written without thought of speed, a shell script, another
// library. It prints ratios beside the project's targets, never a verdict on
// absolute times, and ends well whatever they are.
//
// Whole processes are compared in turns (A B A B …) after a warm-up, so that
// what else the machine does hits all of them alike. docs/performance.md says
// what the figures mean.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	bin      string
	records  int
	lines    []int // bytes of a record, its newline included
	rounds   int
	only     map[string]bool // empty for all
	dir      string
	json     bool
	markdown bool
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == childFlag {
		return child(ctx, args[1:])
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	h, err := newHarness(ctx, o)
	if err == nil {
		defer h.close()
		err = h.measure()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	switch {
	case o.json:
		return h.report.writeJSON(os.Stdout)
	case o.markdown:
		return h.report.writeMarkdown(os.Stdout)
	}
	return h.report.writeText(os.Stdout)
}

func parse(args []string) (options, error) {
	o := options{only: make(map[string]bool)}
	var lines, only string
	f := flag.NewFlagSet("perf", flag.ExitOnError)
	f.StringVar(&o.bin, "bin", "", "`PATH` of the mrlog to measure (default: built as make build does)")
	f.IntVar(&o.records, "records", 1_000_000, "records of a log")
	f.StringVar(&lines, "line", "120,1023", "`BYTES` of a record with its newline, one or several sizes")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each contestant, besides the warm-up")
	f.StringVar(&only, "only", "", "`TARGETS` to measure: T1,T2,T3,T4,T5,T7,T8,T9 (default: all)")
	f.StringVar(&o.dir, "dir", "", "`FOLDER` for scratch files, some gigabytes (default: a temporary one, removed)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.markdown, "markdown", false, "print the tables of docs/performance.md")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q: there are flags only", f.Arg(0))
	}
	if o.records < 1 || o.rounds < 1 {
		return o, fmt.Errorf("-records %d -rounds %d: want at least one of each", o.records, o.rounds)
	}
	for s := range strings.SplitSeq(lines, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < minLine || n > maxLine {
			return o, fmt.Errorf("-line %q: want numbers from %d to %d", s, minLine, maxLine)
		}
		o.lines = append(o.lines, n)
	}
	for s := range strings.FieldsFuncSeq(only, func(r rune) bool { return r == ',' || r == ' ' }) {
		s = strings.ToUpper(s)
		if !strings.Contains(" T1 T2 T3 T4 T5 T7 T8 T9 ", " "+s+" ") {
			return o, fmt.Errorf("-only %q: there are T1 to T5 and T7 to T9", s)
		}
		o.only[s] = true
	}
	return o, nil
}
