// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/pipe"
	"mrlog.dev/internal/term"
	"mrlog.dev/tcg/claims"
	"mrlog.dev/verify"
)

func newShow(e *env) *cobra.Command {
	var s source
	var b banking
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [flags] FILE",
		Short: "show what a log says happened, with running values",
		Long: `show prints a log record by record: number, register, how the content stands to
the digest, digest, the register's value after the record, and the event, with
its data decoded. A log that may hold several kinds of records has TYPE, too.

CONTENT is "matches" when the content hashes to the digest, "DIFFERS" when by
the rule of its type it should and does not, "part" when only a part of it does:
of a boot variable the value, of a command line the text, and the name before it
is not bound. It "deviates" when it does not, and some producers are known to
measure something else there; it is "opaque" when it only describes what was
measured. All that alone proves nothing: mrlog verify does. (!) stands before the
event of a record that should not stand where it does; why is said at the end.

On a terminal lines are cut to its width and hexadecimal to its first digits;
below 100 columns there is no VALUE, and no EV_ or EV_EFI_ before the names of
events; below 60 no DIGEST. A digest and a value are those of the strongest bank. --long prints all
that is known of each record on lines of its own. For scripts, --tsv prints
every bank in full, one record per line; --json the same as JSON, with what was
decoded. An IMA list has the digests of one bank: --bank derives another.

--trustee-claims prints what the verifier of Confidential Containers derives
from a firmware log (uefi_event_logs), so that policies for it can be tried.`,
		Example: `  mrlog show --long --register pcr7 /sys/kernel/security/tpm0/binary_bios_measurements
  mrlog show --grep cmdline /sys/firmware/acpi/tables/data/CCEL
  mrlog show --last 20 /run/mrlog/rtmr2/log
  mrlog show --tsv log.json | cut -f1,5
  mrlog show --json - < log.cbor | jq -r '.records[].event.name'`,
		Args: files(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.json = e.json
			return runShow(cmd.Context(), e, &s, &o, &b, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.long, "long", false, "print each record on several lines, with all of its fields")
	f.BoolVar(&o.tsv, "tsv", false, "print tab-separated values: recnum, register, type, content, digests, values, event")
	f.BoolVar(&o.claims, "trustee-claims", false, "print the uefi_event_logs that CoCo's verifier derives from a firmware log")
	f.StringArrayVar(&o.registers, "register", nil, "only the records of `REGISTER`, as the log names it: pcr7, ccmr3 (repeatable)")
	f.StringVar(&o.grep, "grep", "", "only the records whose event has `TEXT` in it, in upper or lower case")
	f.IntVar(&o.last, "last", 0, "only the last `N` records, of those that the other flags leave")
	f.IntVar(&o.width, "width", 0, "`COLUMNS` of the table (default: those of the terminal, unlimited elsewhere)")
	s.flags(cmd)
	b.flags(cmd)
	return cmd
}

type showOptions struct {
	long, tsv, json, claims bool
	registers               []string
	grep                    string
	last, width             int
}

// maxLast bounds how many records are held back to know which are the last.
const maxLast = 10_000

// check says what is wrong with the flags, and reads them into a filter.
func (o *showOptions) check() (*filter, error) {
	switch {
	case o.tsv && o.json:
		return nil, usage("--tsv and --json exclude each other")
	case o.long && (o.tsv || o.json):
		return nil, usage("--long is for people: it excludes --tsv and --json, which have every field too")
	case o.width < 0 || o.width > 0 && o.width < minWidth:
		return nil, usage("--width %d: want at least %d", o.width, minWidth)
	case o.last < 0 || o.last > maxLast:
		return nil, usage("--last %d: want a number from 1 to %d", o.last, maxLast)
	}
	if o.claims && (o.tsv || o.long || o.last > 0 || o.grep != "" || o.registers != nil) {
		return nil, usage("--trustee-claims is of a whole log, and in a form of its own: it excludes --long, --tsv, --register, --grep and --last")
	}
	f := &filter{grep: strings.ToLower(o.grep), last: o.last}
	for _, name := range o.registers {
		reg, err := mrlog.ParseRegister(name)
		if err != nil {
			return nil, usage("--register: %w", err)
		}
		f.registers = append(f.registers, reg)
	}
	return f, nil
}

// filter is which records are shown.
type filter struct {
	registers []mrlog.Register // any if nil
	grep      string           // in lower case
	last      int              // all if 0

	ring []shown // the last so far, from next on
	next int
	seen []mrlog.Register // registers of the log, some of them
}

// maxSeen bounds the registers that are listed where the one asked for is not
// in the log.
const maxSeen = 32

// of reports whether a register's records are wanted.
func (f *filter) of(reg mrlog.Register) bool {
	return f.registers == nil || slices.Contains(f.registers, reg)
}

// wants reports whether a record is one of those to show.
func (f *filter) wants(rec *mrlog.Record) bool {
	if f.registers != nil && len(f.seen) < maxSeen && !slices.Contains(f.seen, rec.Register) {
		f.seen = append(f.seen, rec.Register)
	}
	return f.of(rec.Register) && (f.grep == "" || strings.Contains(strings.ToLower(eventText(rec, 0)), f.grep))
}

// absent lists the registers that were asked for and have no record.
func (f *filter) absent() []mrlog.Register {
	var none []mrlog.Register
	for _, r := range f.registers {
		if !slices.Contains(f.seen, r) && len(f.seen) < maxSeen {
			none = append(none, r)
		}
	}
	return none
}

// keep holds a record back, and lets go of the oldest that is one too many.
func (f *filter) keep(s *shown) {
	if len(f.ring) < f.last {
		f.ring = append(f.ring, s.clone())
		return
	}
	f.ring[f.next] = s.clone()
	f.next = (f.next + 1) % f.last
}

// shown is a record with what show adds to it.
type shown struct {
	*mrlog.Record
	number  uint64           // as logged, else counted
	content []verify.Content // by digest
	values  []mrlog.Digest   // of the register after the record, by digest; Sum nil where unknown
	odd     string           // why the record is suspicious, as far as could be told by then
}

// clone is a copy that shares no memory with the record's batch.
func (s *shown) clone() shown {
	rec := s.Record.Clone()
	c := shown{Record: &rec, number: s.number, content: slices.Clone(s.content), values: slices.Clone(s.values), odd: s.odd}
	for i := range c.values {
		c.values[i].Sum = slices.Clone(c.values[i].Sum)
	}
	return c
}

// worst is the least favourable of the record's content answers.
func (s *shown) worst() verify.Content {
	answer := verify.Opaque
	for _, c := range s.content {
		if c == verify.Differs {
			return c
		}
		if c == verify.Deviates || answer == verify.Deviates {
			answer = verify.Deviates
			continue
		}
		if c == verify.Part || c == verify.Matches && answer == verify.Opaque {
			answer = c
		}
	}
	return answer
}

// word is the answer as people are shown it.
func (s *shown) word() string {
	if s.worst() == verify.Differs {
		return "DIFFERS"
	}
	return s.worst().String()
}

// summary is what is said of a log after its records.
type summary struct {
	banks    []mrlog.Bank // of the registers that are shown
	records  uint64       // in the log
	shown    uint64
	differs  []uint64         // numbers of the first records that differ
	differ   uint64           // how many do
	odd      []verify.Finding // suspicious records, by their numbers as shown
	odds     int              // how many are
	locality int              // that the TPM was started from, as the log says; -1 if it says nothing
	launched bool             // PCR 17 to 22 start at zero, as the log says
	header   mrlog.Header
}

// maxDiffers is how many of the records that differ are listed.
const maxDiffers = 10

// view prints a log in one of the ways of show.
type view interface {
	begin(name string, h mrlog.Header) error
	record(s *shown) error
	end(s *summary) error
}

func runShow(ctx context.Context, e *env, s *source, o *showOptions, b *banking, arg string) error {
	from, err := s.options()
	if err == nil {
		from, err = b.source(from)
	}
	if err != nil {
		return err
	}
	f, err := o.check()
	if err != nil {
		return err
	}
	in, err := e.open(arg, from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := b.check(in.Reader.Header().Format); err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	if o.claims {
		err = e.claims(ctx, in, out)
	} else {
		err = e.show(ctx, in, o.view(e, out), f)
	}
	// What was shown is shown, whatever came then.
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}

func (o *showOptions) view(e *env, out *bufio.Writer) view {
	switch {
	case o.json:
		return &jsonView{out: out}
	case o.tsv:
		return &tsvView{out: out}
	case o.long:
		return &longView{out: out}
	}
	width := o.width
	if width == 0 {
		width = columns(e.stdout)
	}
	return &tableView{out: out, width: width}
}

// printable escapes what in JSON, written in whole values, a terminal would take
// for more than text.
type printable struct{ out *bufio.Writer }

// Write implements [io.Writer].
func (p printable) Write(json []byte) (int, error) {
	if _, err := p.out.Write(term.JSON(nil, json)); err != nil {
		return 0, err
	}
	return len(json), nil
}

// claims prints what CoCo's verifier derives from the log.
func (e *env) claims(ctx context.Context, in *input, out *bufio.Writer) error {
	w := claims.NewWriter(printable{out})
	err := pipe.Each(ctx, in.Reader, procs(in), w.Write)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		e.warnTorn(in)
	}
	return in.at(err)
}

// show replays the log and hands each record to the view.
func (e *env) show(ctx context.Context, in *input, v view, f *filter) error {
	var p *progress
	if columns(e.stdout) == 0 {
		p = e.newProgress("show")
	}
	defer p.done()
	var (
		replay mrlog.Replay
		hasher = verify.Hasher{Format: in.Reader.Header().Format}
		watch  verify.Watch
		row    shown
		sum    summary
		begun  bool
		starts starts
	)
	derived := in.Reader.Header().Derived
	show := func(s *shown) error {
		sum.shown++
		if s.worst() == verify.Differs {
			if sum.differ++; len(sum.differs) < maxDiffers {
				sum.differs = append(sum.differs, s.number)
			}
		}
		return v.record(s)
	}
	err := pipe.Each(ctx, in.Reader, procs(in), func(batch []mrlog.Record) error {
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
			starts.next(rec)
			row.Record, row.number = rec, sum.records
			sum.records++
			if rec.HasNumber {
				row.number = rec.Number
			}
			row.odd = watch.Next(row.number, rec)
			if !f.wants(rec) {
				continue
			}
			row.content, row.values = row.content[:0], row.values[:0]
			for _, d := range rec.Digests {
				c := verify.Matches
				// Of dstack's older events several have one digest.
				if !derived || in.Reader.Header().Format == convert.Dstack {
					c = hasher.Content(rec, d)
				}
				row.content = append(row.content, c)
				row.values = append(row.values, mrlog.Digest{Alg: d.Alg, Sum: replay.Value(rec.Register, d.Alg)})
			}
			if f.last > 0 {
				f.keep(&row)
			} else if err := show(&row); err != nil {
				return err
			}
		}
		last := batch[len(batch)-1].Span
		p.update(in, int64(sum.records), last.Offset+int64(last.Length))
		return nil
	})
	if err == nil && !begun {
		err = v.begin(in.name, in.Reader.Header())
	}
	// The last records before an error are those that a person wants to see.
	for i := range f.ring {
		if shown := show(&f.ring[(f.next+i)%len(f.ring)]); shown != nil {
			err = shown
			break
		}
	}
	if err != nil {
		return in.at(err)
	}
	sum.odd, sum.odds = watch.End()
	sum.header = in.Reader.Header()
	sum.banks = slices.DeleteFunc(replay.Banks(), func(b mrlog.Bank) bool { return !f.of(b.Register) })
	sum.locality, sum.launched = starts.of(sum.banks)
	if err := v.end(&sum); err != nil {
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
	e.noteAbsent(in, f)
	return nil
}

// starts are the events of a log by which a PCR starts at another value than
// its reset value.
type starts struct{ zero, other, launch bool }

func (s *starts) next(rec *mrlog.Record) {
	if l, ok := rec.StartupLocality(); ok {
		s.zero = s.zero || l == 0
		s.other = s.other || l != 0
	}
	s.other = s.other || rec.Event == mrlog.EventHCRTM
	s.launch = s.launch || rec.IsLaunch()
}

// of returns the locality that PCR 0 started from, -1 if it is not told, and
// whether a dynamic launch started others. Not every event is believed: the
// replay says with what it began.
func (s *starts) of(banks []mrlog.Bank) (locality int, launched bool) {
	locality = -1
	for _, b := range banks {
		last := int(b.Start[len(b.Start)-1])
		switch i := b.Register.Index; {
		case b.Register.Space != mrlog.PCR:
		case i == 0 && (s.other && last > 0 || s.zero && last == 0):
			locality = last
		case s.launch && i >= 17 && i <= 22 && last == 0:
			launched = true
		}
	}
	return locality, launched
}

// noteAbsent tells of registers that were asked for and that the log has no
// record of, and where they may be found under another name.
func (e *env) noteAbsent(in *input, f *filter) {
	for _, r := range f.absent() {
		names := "no register"
		for i, s := range f.seen {
			if i == 0 {
				names = s.String()
				continue
			}
			names += ", " + s.String()
		}
		also := ""
		if len(f.seen) > 0 {
			if other, err := mrlog.TDX.To(f.seen[0].Space, r); err == nil && slices.Contains(f.seen, other) {
				also = fmt.Sprintf("; on TDX it is %s", other)
			}
		}
		e.note("%s: no record is of %s: it has records of %s%s", in.name, r, names, also)
	}
}
