// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/keeper"
	"mrlog.dev/nelr"
)

type extendOptions struct {
	choice
	record, comment string
	hasRecord       bool
	once            bool
}

func newExtend(e *env, g *globals) *cobra.Command {
	var o extendOptions
	cmd := &cobra.Command{
		Use:   "extend [flags] DOMAIN OPERATION [CONTENT]",
		Short: "measure an event: append it to the log, extend the register",
		Long: `extend appends an event to the register's log, as the line

  DOMAIN OPERATION [CONTENT]

and extends the register with the line's digest, in every active bank. Either
both happen or neither; if the process dies in between, the next extend sets it
right. DOMAIN and OPERATION are printable ASCII without blanks, CONTENT is UTF-8
text without newlines and control characters (tabs are allowed).

With - in place of the event, each line of standard input is one, recorded as it
arrives; empty lines are skipped, and a last line needs no newline. A line that
cannot be recorded ends the command; what came before it is recorded.

Without --register and --pcr the event goes to MRLOG_REGISTER, else to rtmr2 on
a TDX device and pcr14 on a TPM.`,
		Example: `  mrlog extend example.org/app Started version=1.2
  mrlog extend --register rtmr3 --once example.org/app Config "$(sha256sum < app.conf)"
  mrlog extend --comment "nightly run" example.org/cron Begin
  generate-events | mrlog extend -`,
		Args: func(_ *cobra.Command, args []string) error {
			return checkExtendArgs(&o, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return mayNot(runExtend(cmd.Context(), e, g, &o, args))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.register, "register", "", "`REGISTER` to extend: rtmr2, pcr14 …")
	f.Uint32Var(&o.pcr, "pcr", 0, "the same, as the `NUMBER` of a PCR (mapped to a register where there are none)")
	o.hasPCR = func() bool { return f.Changed("pcr") }
	f.StringVar(&o.record, "record", "", "free-form `LINE` to record in place of an event")
	f.StringVar(&o.comment, "comment", "", "`TEXT` for people, written before the event or alone; it is not measured")
	f.BoolVar(&o.once, "once", false, "do nothing if the same event is in this boot's log already")
	f.BoolVar(&o.shared, "shared", false, "extend a PCR that belongs to others (9, 10, 11, 15)")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { o.hasRecord = cmd.Flags().Changed("record") }
	return cmd
}

func checkExtendArgs(o *extendOptions, args []string) error {
	free := o.record != ""
	switch {
	case free && len(args) > 0:
		return errors.New("--record takes the place of DOMAIN, OPERATION and CONTENT")
	case free:
		return nil
	case len(args) == 1 && args[0] == "-":
		return nil
	case len(args) == 0 && o.comment != "":
		return nil
	case len(args) < 2:
		return errors.New("want DOMAIN OPERATION [CONTENT], or - for events on standard input")
	case len(args) > 3:
		return fmt.Errorf("%d arguments given, want DOMAIN OPERATION [CONTENT]: quote a content that holds blanks", len(args))
	}
	return nil
}

// recorder appends events to one register's log and prints receipts.
type recorder struct {
	e        *env
	keeper   *keeper.Keeper
	register mrlog.Register
	once     bool
	comment  string // to go before the next event
	recorded int
}

func runExtend(ctx context.Context, e *env, g *globals, o *extendOptions, args []string) error {
	stdin := len(args) == 1
	var event keeper.Event
	switch {
	case o.hasRecord:
		event.Line = []byte(o.record)
		if err := nelr.CheckFreeForm(event.Line); err != nil {
			return usage("--record: %w", err)
		}
	case len(args) > 1:
		event.Event = nelr.Event{Domain: args[0], Operation: args[1]}
		if len(args) == 3 {
			event.Content = args[2]
		}
		if _, err := event.AppendLine(nil); err != nil {
			return usage("%w", err)
		}
	}
	event.Once = o.once
	if o.comment != "" {
		if _, err := nelr.AppendComment(nil, o.comment); err != nil {
			return usage("--comment: %w", err)
		}
	}
	asked, err := o.choice.parse(e)
	if err != nil {
		return err // before any register is made
	}
	d, k, err := g.openKeeper(ctx, e, true)
	if err != nil {
		return err
	}
	defer k.Close()
	reg, note, warning, err := o.pick(asked, d)
	if err != nil {
		return err
	}
	if note != "" {
		e.note("%s", note)
	}
	if warning != "" {
		e.warn("%s", warning)
	}
	others := writersOf(e.writers(d), reg.Name)
	if others != "" && !g.begun(e, reg.Name) {
		e.warn("%s: %s, and this log will not have it; %s", reg.Name, others, free(platformOf(d)))
	}
	if weak(reg) && !g.begun(e, reg.Name) {
		e.warn("%s has no active bank but sha1, which proves nothing; mrlog status says what to do", reg.Name)
	}
	r := &recorder{e: e, keeper: k, register: reg.Name, once: o.once, comment: o.comment}
	if stdin {
		err = r.lines(ctx, e.stdin)
	} else {
		err = r.append(ctx, []keeper.Event{event})
	}
	if others != "" && errors.Is(err, keeper.ErrDiverged) {
		_, hint := classify(err)
		hint = strings.TrimPrefix(hint+"; "+others+", and that log cannot have it; "+free(platformOf(d)), "; ")
		err = &failure{code: exitNo, err: err, hint: hint}
	}
	return err
}

// weak reports whether a register's value proves nothing, because SHA-1 is all
// that it is extended with.
func weak(reg device.Register) bool {
	return !slices.ContainsFunc(reg.Banks, func(b device.Bank) bool { return b.Alg != mrlog.SHA1 })
}

// begun reports whether a register has a log in the state folder.
func (g *globals) begun(e *env, reg mrlog.Register) bool {
	return begunAt(filepath.Join(g.stateFolder(e), reg.String(), "log"))
}

type receiptOutput struct {
	Register     string        `json:"register"`
	Record       int64         `json:"record"`
	AlreadyThere bool          `json:"already_there,omitempty"`
	Banks        []receiptBank `json:"banks"`
}

type receiptBank struct {
	Bank   string `json:"bank"`
	Digest string `json:"digest,omitempty"`
	Value  string `json:"value"`
}

// append records events and prints a receipt for each. What is recorded is
// recorded: where the receipts cannot be printed, the error says how far it
// went.
func (r *recorder) append(ctx context.Context, events []keeper.Event) error {
	events[0].Comment, r.comment = r.comment, ""
	receipts, err := r.keeper.Append(ctx, r.register, events)
	var unprinted error
	for i := range receipts {
		if unprinted == nil {
			unprinted = r.print(&receipts[i])
		}
		r.recorded++
	}
	if unprinted != nil {
		last := receipts[len(receipts)-1].Record
		unprinted = fmt.Errorf("%s: recorded up to record %d, but the receipt could not be printed: %w", r.register, last, unprinted)
	}
	return errors.Join(err, unprinted)
}

func (r *recorder) print(rc *keeper.Receipt) error {
	if !r.e.json {
		what := "recorded"
		switch {
		case rc.AlreadyThere:
			what = "already there"
		case rc.Digests == nil:
			what = "commented after"
		}
		line := fmt.Sprintf("%s: %s: record %d", r.register, what, rc.Record)
		if rc.Record < 0 {
			line = fmt.Sprintf("%s: %s, in an earlier log of this boot", r.register, what)
		}
		for _, d := range rc.Digests {
			line += fmt.Sprintf(" %s:%x", d.Alg, d.Sum)
		}
		_, err := fmt.Fprintln(r.e.stdout, line)
		return err
	}
	out := receiptOutput{Register: r.register.String(), Record: rc.Record, AlreadyThere: rc.AlreadyThere, Banks: []receiptBank{}}
	for _, v := range rc.Values { // in INIT's order; the digests are in the device's
		b := receiptBank{Bank: v.Alg.String(), Value: fmt.Sprintf("%x", v.Sum)}
		for _, d := range rc.Digests {
			if d.Alg == v.Alg {
				b.Digest = fmt.Sprintf("%x", d.Sum)
			}
		}
		out.Banks = append(out.Banks, b)
	}
	return r.e.printJSON(out)
}

// lines records the events of standard input, as many at once as have arrived.
func (r *recorder) lines(ctx context.Context, src io.Reader) error {
	in := bufio.NewReaderSize(src, 64<<10)
	var batch []keeper.Event
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.append(ctx, batch)
		batch = batch[:0]
		return r.after(err)
	}
	for number, size := 1, 0; ; number++ {
		line, err := readLine(in)
		end := err == io.EOF
		var event nelr.Event
		var malformed error
		switch {
		case errors.Is(err, mrlog.ErrLimit):
			malformed = err
		case err != nil && !end:
			return cmp.Or(flush(), r.after(err))
		case len(line) > 0:
			event, malformed = nelr.ParseEvent(line)
		}
		if malformed != nil {
			return cmp.Or(flush(), r.fail(number, malformed))
		}
		if len(line) > 0 {
			batch = append(batch, keeper.Event{Event: event, Once: r.once})
			size += len(line)
		}
		if end || len(batch) == keeper.MaxBatch || size >= keeper.MaxBatchBytes/2 || !lineWaits(in) {
			if err := flush(); err != nil {
				return err
			}
			size = 0
		}
		if end && r.comment != "" {
			return r.append(ctx, []keeper.Event{{}}) // a comment, and no event for it
		}
		if end {
			return nil
		}
	}
}

// lineWaits reports whether a whole line has arrived. The beginning of one does
// not count: its rest may be long in coming.
func lineWaits(in *bufio.Reader) bool {
	arrived, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(arrived, '\n') >= 0
}

// after adds to an error what was recorded before it.
func (r *recorder) after(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	code, hint := classify(err)
	if hint == "" {
		hint = fmt.Sprintf("recorded before: %s", count(r.recorded, "event"))
	}
	return &failure{code: code, err: err, hint: hint}
}

// fail reports a line that is no event, and what is recorded all the same.
func (r *recorder) fail(number int, err error) error {
	return &failure{
		code: exitMalformed, err: fmt.Errorf("standard input: line %d: %w", number, err),
		hint: fmt.Sprintf("recorded: %s before this line, nothing of it and of what follows", count(r.recorded, "event")),
	}
}

// readLine returns the next line without its newline, and io.EOF with the last
// one if that has none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if line == nil && err == nil {
			return part[:len(part)-1], nil
		}
		line = append(line, part...)
		switch {
		case len(line) > nelr.MaxLine+1:
			return nil, fmt.Errorf("line is longer than %d bytes: %w", nelr.MaxLine, mrlog.ErrLimit)
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
