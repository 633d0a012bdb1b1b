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
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev/convert"
)

type convertOptions struct {
	source
	to, dialect string
	envelope    bool
	output      string
}

func newConvert(e *env) *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert --to FORMAT [flags] FILE",
		Short: "write a log in another format",
		Long: `convert reads a log of any format and writes its records in another. Digests
are carried as logged, never computed anew. What the target format cannot carry
is an error that names the record; with -o the file is then left as it was.

Formats and, where there are several, their dialects (the default first):
` + formatList(),
		Example: `  mrlog convert --to cel-json /run/mrlog/rtmr2/log
  mrlog convert --to cel-json --envelope -o log.json /run/mrlog/rtmr2/log
  mrlog convert --to nelr log.json
  cat log.cbor | mrlog convert --from cel-cbor --to cel-tlv --dialect go-eventlog -`,
		Args: files(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runConvert(cmd.Context(), e, &o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "`FORMAT` to write: "+strings.Join(convert.Names(), ", "))
	f.StringVar(&o.dialect, "dialect", "", "`DIALECT` of that format")
	f.BoolVar(&o.envelope, "envelope", false, `cel-json as an object with "log" and "mr", the final value`)
	f.StringVarP(&o.output, "output", "o", "-", "`FILE` to write; it is replaced when the conversion is complete")
	o.source.flags(cmd)
	must(cmd.RegisterFlagCompletionFunc("to", complete(convert.Names()...)))
	must(cmd.RegisterFlagCompletionFunc("dialect", complete(dialects()...)))
	return cmd
}

func formatList() string {
	var b strings.Builder
	for _, f := range convert.Formats() {
		fmt.Fprintf(&b, "  %-9s %s", f.Name, f.Title)
		if f.Dialects != nil {
			fmt.Fprintf(&b, " [%s]", strings.Join(f.Dialects, ", "))
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
	if o.to == "" {
		return t, usage("--to is missing: the format to write (%s)", strings.Join(convert.Names(), ", "))
	}
	if o.envelope {
		if o.to != convert.CELJSON {
			return t, usage("--envelope goes with --to cel-json, not %s", o.to)
		}
		if o.dialect != "" && o.dialect != "envelope" {
			return t, usage("--envelope and --dialect %s exclude each other", o.dialect)
		}
		t.Dialect = "envelope"
	}
	if err := t.Check(); err != nil {
		return t, usage("%w", err)
	}
	return t, nil
}

func runConvert(ctx context.Context, e *env, o *convertOptions, arg string) error {
	from, err := o.options()
	if err != nil {
		return err
	}
	t, err := o.target()
	if err != nil {
		return err
	}
	stdin := e.stdin
	if t.NeedsCount() {
		spool, err := e.count(ctx, arg, from, &t)
		if err != nil {
			return err
		}
		if spool != nil {
			defer spool.Close()
			stdin = spool
		}
	}
	in, err := open(arg, stdin, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := e.create(o.output)
	if err != nil {
		return err
	}
	return out.finish(e.convert(ctx, in, out, t))
}

// convert copies a log and warns of what it says wrong of itself.
func (e *env) convert(ctx context.Context, in *input, out io.Writer, t convert.Target) error {
	p := e.newProgress("convert")
	defer p.done()
	replay, err := convert.Copy(ctx, out, t, in.Reader, convert.Options{
		Procs:    procs(),
		Progress: func(records, offset int64) { p.update(in, records, offset) },
	})
	if err != nil {
		return in.at(err)
	}
	p.done()
	e.warnTorn(in)
	if replay == nil {
		return nil
	}
	if err := convert.CheckMR(in.Reader, replay); err != nil {
		e.warn("%s: %v", in.name, err)
	}
	e.warnSkipped(replay.Skipped())
	if errs, n := replay.InitErrors(); n > 0 {
		e.warn("%s: %v%s", in.name, errs[0], more(n-1))
	}
	return nil
}

// count reads the log once to learn how many records it has, which the target
// states first. Standard input is kept in a temporary file meanwhile, already
// unlinked, which is returned to be read again.
func (e *env) count(ctx context.Context, arg string, from convert.Source, t *convert.Target) (spool *os.File, err error) {
	stdin := e.stdin
	if arg == "-" {
		if spool, err = os.CreateTemp("", "mrlog-spool-"); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = spool.Close()
			}
		}()
		if err := os.Remove(spool.Name()); err != nil {
			return nil, err
		}
		stdin = io.TeeReader(e.stdin, spool)
	} else if info, err := os.Stat(arg); err == nil && !info.Mode().IsRegular() {
		return nil, usage("%s is not a regular file, and %s states the number of records first: use - or --dialect sequence", arg, t.Format)
	}
	in, err := open(arg, stdin, from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if t.Records, err = convert.Count(ctx, in.Reader); err != nil {
		return nil, in.at(err)
	}
	if spool != nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	return spool, err
}

// output is where a conversion goes: standard output, or a file that takes the
// place of an older one only when it is complete.
type output struct {
	io.Writer
	file *os.File
	path string
}

func (e *env) create(path string) (*output, error) {
	if path == "-" {
		return &output{Writer: e.stdout}, nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what a link points to is replaced, not the link
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		// A device or a pipe: there is nothing to replace.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &output{Writer: f, file: f}, nil
	}
	// The umask counts for a new file, the mode of an older one is kept.
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x", filepath.Base(path), rand.Uint32()))
	f, ferr := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
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
	return &output{Writer: f, file: f, path: path}, nil
}

// finish puts a complete file in place, or takes an incomplete one away.
func (o *output) finish(err error) error {
	if o.file == nil {
		return err
	}
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	if o.path == "" {
		return err
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		_ = os.Remove(o.file.Name())
	}
	return err
}
