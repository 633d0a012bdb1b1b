// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mrlog.dev/convert"
)

type convertOptions struct {
	source
	placing
	to, dialect  string
	envelope     bool
	output       string
	check, lossy bool
}

func newConvert(e *env, g *globals) *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert --to FORMAT [flags] FILE...",
		Short: "write a log in another format, or several as one",
		Long: `convert reads logs of any format and writes their records in another. Digests
are carried as logged, never computed anew. What the target format cannot carry
is an error that names the record; with -o the file is then left as it was. With
--lossy it is left out and listed. --check replays the log before and what was
written after, prints both, and refuses if they differ.

Several logs become one: the records of each register stand in the order of the
files, and are numbered anew, per register. Between registers the order means
nothing. Registers are named in one space, by the table of the platform: on TDX
rtmr2 of an IMA list is ccmr3 of the firmware's log. What was mapped is said.

Input in gzip, base64 or hexadecimal is unwrapped, one layer of it.

Formats and, where there are several, their dialects (the default first) and
other names:
` + formatList(),
		Example: `  mrlog convert --to cel-json /run/mrlog/rtmr2/log
  mrlog convert --to cel-json --envelope -o log.json /run/mrlog/rtmr2/log
  mrlog convert --to nelr log.json
  mrlog convert --check --to cel-cbor -o all.cbor ccel.bin ima.bin /run/mrlog/rtmr2/log
  cat log.cbor | mrlog convert --from cel-cbor --to cel-tlv --dialect go-eventlog -`,
		Args: files(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConvert(cmd.Context(), e, g, &o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "`FORMAT` to write: "+strings.Join(convert.Written(), ", "))
	f.StringVar(&o.dialect, "dialect", "", "`DIALECT` of that format")
	f.BoolVar(&o.envelope, "envelope", false, `cel-json as an object with "log" and "mr", the final value`)
	f.StringVarP(&o.output, "output", "o", "-", "`FILE` to write; it is replaced when the conversion is complete")
	f.BoolVar(&o.check, "check", false, "replay before and after, print both, and refuse (exit 3) if they differ")
	f.BoolVar(&o.lossy, "lossy", false, "leave out records that the format cannot carry, and list them")
	o.source.flags(cmd)
	o.placing.flags(cmd)
	must(cmd.RegisterFlagCompletionFunc("to", complete(convert.Written()...)))
	must(cmd.RegisterFlagCompletionFunc("dialect", complete(dialects()...)))
	return cmd
}

func formatList() string {
	var b strings.Builder
	width := 0
	for _, f := range convert.Formats() {
		width = max(width, len(f.Name))
	}
	for _, f := range convert.Formats() {
		fmt.Fprintf(&b, "  %-*s  %s", width, f.Name, f.Title)
		if f.ReadOnly {
			b.WriteString(" (read only)")
		}
		if f.Dialects != nil {
			fmt.Fprintf(&b, " [%s]", strings.Join(f.Dialects, ", "))
		}
		if f.Also != nil {
			fmt.Fprintf(&b, "; also %s", strings.Join(f.Also, ", "))
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func dialects() []string {
	var all []string
	for _, f := range convert.Formats() {
		all = append(all, f.Dialects...)
	}
	return all
}

// target checks the flags that say what to write.
func (o *convertOptions) target() (convert.Target, error) {
	t := convert.Target{Format: o.to, Dialect: o.dialect}
	if name, err := convert.Canonical(o.to); err == nil {
		t.Format = name
	}
	if o.to == "" {
		return t, usage("--to is missing: the format to write (%s)", strings.Join(convert.Written(), ", "))
	}
	if o.envelope {
		if t.Format != convert.CELJSON {
			return t, usage("--envelope goes with --to cel-json, not %s", o.to)
		}
		if o.dialect != "" && o.dialect != "envelope" {
			return t, usage("--envelope and --dialect %s exclude each other", o.dialect)
		}
		t.Dialect = "envelope"
	}
	if _, err := convert.Canonical(o.to); err != nil {
		return t, usage("--to: %w", t.Check())
	}
	if err := t.Check(); err != nil {
		return t, usage("%w", err)
	}
	return t, nil
}

func runConvert(ctx context.Context, e *env, g *globals, o *convertOptions, args []string) error {
	from, err := o.options()
	if err != nil {
		return err
	}
	if err := o.placing.check(); err != nil {
		return err
	}
	t, err := o.target()
	if err != nil {
		return err
	}
	if o.onTerminal(e, t) {
		return usage("a log in %s is bytes, and standard output is a terminal: name a file with -o", t.Format)
	}
	c := &conversion{e: e, o: o, from: from, target: t, args: args, stdin: e.stdin}
	defer c.end()
	if t.NeedsCount() {
		if err := c.count(ctx); err != nil {
			return err
		}
	}
	if err := c.open(); err != nil {
		return err
	}
	out, err := e.create(ctx, o.output, g.stateFolder(e), o.check)
	if err != nil {
		return err
	}
	err = c.write(ctx, out)
	if err == nil && o.check {
		err = c.check(ctx, out)
	}
	if err = out.finish(err); err != nil {
		return err
	}
	return c.answer()
}

// onTerminal reports whether bytes would go to a terminal, which acts on some
// of them.
func (o *convertOptions) onTerminal(e *env, t convert.Target) bool {
	return o.output == "-" && columns(e.stdout) > 0 &&
		slices.Contains([]string{convert.CELCBOR, convert.CELTLV, convert.TCG2, convert.IMA, convert.AAEL}, t.Format)
}

// output is where a conversion goes: standard output, or a file that takes the
// place of an older one only when it is complete.
type output struct {
	io.Writer
	file  *os.File
	path  string
	spool *os.File  // that stands before what follows
	to    io.Writer // what the spool goes to when it is complete

	keep func() bool // ends that a signal removes the file; false if one has
	// pipe takes SIGPIPE until the file is in place: that nobody reads the
	// warnings any more must not end the process before.
	pipe chan os.Signal
}

// create opens the output. If it is to be read again before it is complete,
// what goes elsewhere than to a file is kept in one that has no name.
func (e *env) create(ctx context.Context, path, state string, again bool) (*output, error) {
	if path == "-" {
		return spooled(&output{Writer: e.stdout}, again)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what a link points to is replaced, not the link
	}
	if live(path, state) {
		return nil, usage("%s is the live log of a register: only what extends the register may write to it", path)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		// A device or a pipe: there is nothing to replace.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return spooled(&output{Writer: f, file: f}, again)
	}
	// The umask counts for a new file, the mode of an older one is kept.
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x", filepath.Base(path), rand.Uint32()))
	f, ferr := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if ferr != nil {
		var p *fs.PathError
		if errors.As(ferr, &p) && !errors.Is(ferr, fs.ErrExist) {
			p.Path = path // not the temporary name, which nobody asked for
		}
		return nil, ferr
	}
	if err == nil {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(temp))
		}
	}
	o := &output{Writer: f, file: f, path: path, pipe: make(chan os.Signal, 1)}
	// At the first signal, whatever the verb is doing: a second one may end the
	// process before finish.
	o.keep = context.AfterFunc(ctx, func() { _ = os.Remove(temp) })
	signal.Notify(o.pipe, syscall.SIGPIPE)
	return o, nil
}

// live reports whether a file stands where a keeper with that folder has the log
// of a register: replaced, it would not lead to the register's value any more.
func live(path, state string) bool {
	folder, err := os.Stat(state)
	if err != nil || filepath.Base(path) != "log" {
		return false
	}
	register, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return false
	}
	above, err := os.Stat(filepath.Dir(register))
	return err == nil && os.SameFile(folder, above)
}

// spooled puts a nameless file before an output that cannot be read again.
func spooled(o *output, again bool) (*output, error) {
	if !again {
		return o, nil
	}
	f, err := unnamed()
	if err != nil {
		return nil, errors.Join(err, o.finish(nil))
	}
	o.to, o.Writer, o.spool = o.Writer, f, f
	return o, nil
}

// unnamed returns a temporary file that has been unlinked already.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "mrlog-spool-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// again returns what was written, from its beginning.
func (o *output) again() (io.Reader, error) {
	f := o.spool
	if f == nil {
		f = o.file
	}
	_, err := f.Seek(0, io.SeekStart)
	return f, err
}

// finish puts a complete file in place, or takes an incomplete one away.
func (o *output) finish(err error) error {
	if o.spool != nil {
		if err == nil {
			if _, err = o.spool.Seek(0, io.SeekStart); err == nil {
				_, err = io.Copy(o.to, o.spool)
			}
		}
		_ = o.spool.Close()
	}
	if o.file == nil {
		return err
	}
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	if o.path == "" {
		return err
	}
	if !o.keep() && err == nil {
		err = context.Canceled
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		_ = os.Remove(o.file.Name())
	}
	signal.Stop(o.pipe)
	return err
}
