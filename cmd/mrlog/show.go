// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/pipe"
	"mrlog.dev/verify"
)

func newShow(e *env) *cobra.Command {
	var s source
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [flags] FILE",
		Short: "show a log as a table, with running values",
		Long: `show prints a log record by record: number, register, how the content stands to
the digest, digest, the register's value after the record, and the event.

CONTENT is "matches" when the content hashes to the digest, "DIFFERS" when by
the rule of its type it should and does not, "opaque" when it only describes
what was measured. That alone proves nothing: mrlog verify does.

On a terminal lines are cut to its width and hexadecimal to its first digits. A
digest and a value are those of the strongest bank. --tsv prints every bank in
full, one record per line, for scripts; --json the same as JSON.`,
		Example: `  mrlog show /run/mrlog/rtmr2/log
  mrlog show --tsv log.json | cut -f1,5
  mrlog show --json - < log.cbor | jq -r '.records[].text'`,
		Args: files(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.json = e.json
			return runShow(cmd.Context(), e, &s, &o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.tsv, "tsv", false, "print tab-separated values: recnum, register, type, content, digests, values, event")
	f.IntVar(&o.width, "width", 0, "`COLUMNS` of the table (default: those of the terminal, unlimited elsewhere)")
	s.flags(cmd)
	return cmd
}

type showOptions struct {
	tsv, json bool
	width     int
}

// shown is a record with what show adds to it.
type shown struct {
	*mrlog.Record
	number  uint64           // as logged, else counted
	content []verify.Content // by digest
	values  []mrlog.Digest   // of the register after the record, by digest; Sum nil where unknown
}

// worst is the least favourable of the record's content answers.
func (s *shown) worst() verify.Content {
	answer := verify.Opaque
	for _, c := range s.content {
		if c == verify.Differs {
			return c
		}
		if c == verify.Matches {
			answer = c
		}
	}
	return answer
}

// view prints a log in one of the ways of show.
type view interface {
	begin(name string, h mrlog.Header) error
	record(s *shown) error
	end(banks []mrlog.Bank, records uint64) error
}

func runShow(ctx context.Context, e *env, s *source, o *showOptions, arg string) error {
	from, err := s.options()
	if err != nil {
		return err
	}
	if o.tsv && o.json {
		return usage("--tsv and --json exclude each other")
	}
	if o.width < 0 || o.width > 0 && o.width < minWidth {
		return usage("--width %d: want at least %d", o.width, minWidth)
	}
	in, err := e.open(arg, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	var v view
	switch {
	case o.json:
		v = &jsonView{out: out}
	case o.tsv:
		v = &tsvView{out: out}
	default:
		width := o.width
		if width == 0 {
			width = columns(e.stdout)
		}
		v = &tableView{out: out, width: width}
	}
	err = e.show(ctx, in, v)
	// What was shown is shown, whatever came then.
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}

// show replays the log and hands each record to the view.
func (e *env) show(ctx context.Context, in *input, v view) error {
	var p *progress
	if columns(e.stdout) == 0 {
		p = e.newProgress("show")
	}
	defer p.done()
	var (
		replay  mrlog.Replay
		hasher  verify.Hasher
		row     shown
		records uint64
		begun   bool
	)
	derived := in.Reader.Header().Derived
	err := pipe.Each(ctx, in.Reader, procs(), func(batch []mrlog.Record) error {
		if !begun {
			begun = true
			if err := v.begin(in.name, in.Reader.Header()); err != nil {
				return err
			}
		}
		for i := range batch {
			rec := &batch[i]
			if err := replay.Extend(batch[i : i+1]); err != nil {
				return err
			}
			row.Record, row.number = rec, records
			if rec.HasNumber {
				row.number = rec.Number
			}
			row.content, row.values = row.content[:0], row.values[:0]
			for _, d := range rec.Digests {
				c := verify.Matches
				if !derived {
					c = hasher.Content(rec, d)
				}
				row.content = append(row.content, c)
				row.values = append(row.values, mrlog.Digest{Alg: d.Alg, Sum: replay.Value(rec.Register, d.Alg)})
			}
			if err := v.record(&row); err != nil {
				return err
			}
			records++
		}
		last := batch[len(batch)-1].Span
		p.update(in, int64(records), last.Offset+int64(last.Length))
		return nil
	})
	if err != nil {
		return in.at(err)
	}
	if !begun {
		if err := v.begin(in.name, in.Reader.Header()); err != nil {
			return err
		}
	}
	if err := v.end(replay.Banks(), records); err != nil {
		return err
	}
	e.warnTorn(in)
	e.warnSkipped(replay.Skipped())
	if errs, n := replay.InitErrors(); n > 0 {
		e.warn("%s: %v%s", in.name, errs[0], more(n-1))
	}
	if err := convert.CheckMR(in.Reader, &replay); err != nil {
		e.warn("%s: %v", in.name, err)
	}
	return nil
}
