// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/term"
)

// source holds the flags that say how a log is to be read.
type source struct {
	from, space, torn string
	pcr               uint32
	hasPCR            func() bool
}

func (s *source) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.from, "from", "", "`FORMAT` of the input: "+strings.Join(convert.Names(), ", ")+" (default: detected)")
	f.Uint32Var(&s.pcr, "pcr", 0, "`NUMBER` of a native log's register (default: its hint, else 2)")
	s.hasPCR = func() bool { return f.Changed("pcr") }
	f.StringVar(&s.space, "space", "", "`SPACE` of registers that the log gives by number only: pcr, ccmr, rtmr")
	f.StringVar(&s.torn, "torn", "error", "`HOW` to take a torn last line, or bytes behind the end of a TCG log: error, or ignore and go on without")
	must(cmd.RegisterFlagCompletionFunc("from", complete(convert.Names()...)))
	must(cmd.RegisterFlagCompletionFunc("space", complete("pcr", "ccmr", "rtmr")))
	must(cmd.RegisterFlagCompletionFunc("torn", complete("error", "ignore")))
}

func complete(words ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// options checks the flags.
func (s *source) options() (convert.Source, error) {
	o := convert.Source{Format: s.from}
	if s.from != "" {
		if _, err := convert.Canonical(s.from); err != nil {
			return o, usage("--from: %w", err)
		}
	}
	switch s.torn {
	case "error":
	case "ignore":
		o.IgnoreTorn = true
	default:
		return o, usage("--torn %q: want error or ignore", s.torn)
	}
	if s.pcr > mrlog.MaxIndex {
		return o, usage("--pcr %d: want a number from 0 to %d", s.pcr, mrlog.MaxIndex)
	}
	o.Index, o.HasIndex = s.pcr, s.hasPCR()
	if s.space != "" {
		space, err := mrlog.ParseSpace(s.space)
		if err == nil && space == mrlog.NV {
			err = errors.New("NV indexes are always stated as such")
		}
		if err != nil {
			return o, usage("--space: %w", err)
		}
		o.Space = space
	}
	return o, nil
}

// input is one open log.
type input struct {
	name string
	file io.ReadCloser
	size int64 // 0 if it cannot be told, or the log is unwrapped from the file

	Reader mrlog.Reader
	sight  convert.Sight // what its beginning shows, after look
	arg    string        // that named it
	part   int           // of evidence that holds several logs
}

func (i *input) Close() error { return i.file.Close() }

// at puts the name of the input before an error that is about it.
func (i *input) at(err error) error {
	var one *convert.InputError
	if errors.As(err, &one) {
		return (&input{name: one.Name}).at(one.Err)
	}
	var syntax *mrlog.SyntaxError
	var carry *mrlog.CarryError
	if errors.As(err, &syntax) || errors.As(err, &carry) {
		return named(i.name, err)
	}
	return err
}

func named(name string, err error) error {
	code, hint := classify(err)
	var syntax *mrlog.SyntaxError
	if hint == "" && errors.As(err, &syntax) && errors.Is(err, convert.ErrFormat) {
		err = syntax.Err
		var not *convert.NotLogError
		var several *convert.AmbiguousError
		var layers *convert.LayersError
		switch {
		case errors.As(err, &not), errors.As(err, &layers):
		case errors.As(err, &several):
			hint = "--from FORMAT says which it is: " + strings.Join(several.Formats, ", ")
		default:
			hint = "--from FORMAT says what it is: " + strings.Join(convert.Names(), ", ")
		}
	}
	if hint == "" && errors.As(err, &syntax) && errors.Is(err, mrlog.ErrNotInit) {
		hint = "text that is of no other format is read as a native log; --from FORMAT says what it is"
	}
	return &failure{code: code, err: fmt.Errorf("%s: %w", name, err), hint: hint}
}

// open opens a log by its FILE argument, and tells what it was unwrapped from.
func (e *env) open(arg string, o convert.Source) (*input, error) {
	in, err := open(arg, e.stdin, o)
	if err == nil {
		e.noteWrapped(in)
	}
	return in, err
}

// noteWrapped tells what a log was unwrapped from.
func (e *env) noteWrapped(in *input) {
	k := convert.Wrapped(in.Reader)
	if k.Wrapping != convert.NoWrapping {
		e.note("%s: the log is in %s; places are those in the unwrapped log", in.name, k.Wrapping)
	}
	if k.Member != "" {
		e.note("%s: the log is in %s; places are those in the log", in.name, k.Member)
	}
	if k.First > 0 {
		e.warn("%s: the list begins with record %d: those before are not in it, and a replay of it begins too late", in.name, k.First)
	}
	if k.BOM {
		e.note("%s: a byte order mark stands before the text; it is no part of the log", in.name)
	}
}

// look reads the beginning of the log.
func (i *input) look() { i.sight, i.Reader = convert.Look(i.name, i.Reader) }

// open opens a log by its FILE argument, "-" being what stdin has. Several logs
// in evidence are one.
func open(arg string, stdin io.Reader, o convert.Source) (*input, error) {
	return openFile(arg, stdin, func(in *input) error {
		r, err := convert.Open(in.file, o)
		in.Reader = r
		return err
	})
}

// openParts opens the logs that a FILE argument holds: one, or those in
// evidence.
func openParts(arg string, stdin io.Reader, o convert.Source) ([]*input, error) {
	var parts []convert.Input
	in, err := openFile(arg, stdin, func(in *input) (err error) {
		if parts, err = convert.OpenAll(in.file, o); err == nil {
			in.Reader = parts[0].Reader
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ins := []*input{in}
	for i, p := range parts[1:] {
		// They are in memory.
		ins = append(ins, &input{name: in.name, file: io.NopCloser(nil), Reader: p.Reader, part: 1 + i})
	}
	for i, p := range parts {
		if len(parts) > 1 {
			ins[i].name += ":" + p.Name
		}
	}
	return ins, nil
}

func openFile(arg string, stdin io.Reader, decode func(*input) error) (*input, error) {
	in := &input{name: arg}
	if arg == "-" {
		in.name, in.file = "standard input", io.NopCloser(stdin)
	} else {
		f, err := os.Open(arg)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.IsDir():
			err = &fs.PathError{Op: "read", Path: arg, Err: errors.New("is a folder, want a log")}
		case info.Mode().IsRegular():
			in.size = info.Size()
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		in.file = f
	}
	if err := decode(in); err != nil {
		_ = in.file.Close()
		switch {
		case errors.Is(err, convert.ErrIndex):
			return nil, usage("--pcr: %s: %w", in.name, err)
		case errors.Is(err, convert.ErrSpace):
			return nil, usage("--space: %s: %w", in.name, err)
		}
		return nil, in.at(err)
	}
	if k := convert.Wrapped(in.Reader); k.Wrapping != convert.NoWrapping || k.Member != "" {
		in.size = 0
	}
	return in, nil
}

// warnTorn tells of what was left out at the end of a log, as asked.
func (e *env) warnTorn(in *input) {
	if end, n := convert.Trailing(in.Reader); n > 0 {
		e.warn("%s: the log ends at offset %d, and what follows was left out: %s that are no padding", in.name, end, count(n, "byte"))
	}
	if span, ok := convert.Torn(in.Reader); ok {
		e.warn("%s: line %d (offset %d) is torn and was left out: %d bytes without a newline", in.name, span.Line, span.Offset, span.Length)
	}
}

// progress shows on a terminal how far a long piece of work has come.
type progress struct {
	e     *env
	verb  string
	next  time.Time
	shown bool
}

const (
	progressAfter = time.Second // nothing is shown of shorter work
	progressEvery = 200 * time.Millisecond
)

// newProgress returns nil where there is nobody to show it to, or no way to
// take it away again.
func (e *env) newProgress(verb string) *progress {
	if columns(e.stderr) == 0 || e.json || e.getenv("TERM") == "dumb" {
		return nil
	}
	return &progress{e: e, verb: verb, next: time.Now().Add(progressAfter)}
}

func (p *progress) update(in *input, records, offset int64) {
	if p == nil {
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(progressEvery), true
	percent := ""
	if in.size > 0 {
		percent = fmt.Sprintf(" %d%%,", offset*100/in.size)
	}
	fmt.Fprintf(p.e.stderr, "\rmrlog: %s %s:%s %d records\x1b[K", p.verb, term.Line(in.name), percent, records)
}

// done takes the line away.
func (p *progress) done() {
	if p != nil && p.shown {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
		p.shown = false
	}
}

// oneSuffices is the size below which one processor has read a log before another
// has begun.
const oneSuffices = 64 << 10

// procs is how many processors a verb uses on these logs.
func procs(ins ...*input) int {
	var size int64
	for _, in := range ins {
		if size += in.size; in.size == 0 {
			size += oneSuffices
		}
	}
	if size > 0 && size < oneSuffices {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// must is for errors that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
