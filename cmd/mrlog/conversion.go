// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/convert"
	"mrlog.dev/internal/pipe"
)

// conversion is one run of mrlog convert.
type conversion struct {
	e      *env
	o      *convertOptions
	from   convert.Source
	target convert.Target
	args   []string
	stdin  io.Reader
	spool  *os.File // what standard input had, if it is read twice

	ins       []*input
	joined    *convert.Joined // of several logs
	placement convert.Placement
	reader    mrlog.Reader // the records to write

	replay *mrlog.Replay
	after  *mrlog.Replay
	out    convertOutput
	misfit uint64 // records of registers that the space does not have, left out

	// Of what is left out: a record may have no place while it is read, and
	// another cannot be carried while it is written, at the same time.
	leaving sync.Mutex
}

type convertOutput struct {
	Format   string          `json:"format"`
	Records  int64           `json:"records"`
	Written  int64           `json:"written"`
	Space    string          `json:"space,omitempty"`
	Platform string          `json:"platform,omitempty"`
	Mapped   []mappedOutput  `json:"mapped"`
	LeftOut  uint64          `json:"left_out"`
	Lost     []lostOutput    `json:"lost"`
	Check    []checkedOutput `json:"check,omitempty"`
}

// mappedOutput is a register under the name that its log gives it, and the one
// that it has in what was written.
type mappedOutput struct {
	Log      string `json:"log"`
	Register string `json:"register"`
	Name     string `json:"name"`
}

// lostOutput is a record that was left out.
type lostOutput struct {
	Log    string `json:"log"`
	Record int64  `json:"record"`
	Line   int    `json:"line,omitempty"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// checkedOutput compares a bank before and after.
type checkedOutput struct {
	Register      string `json:"register"`
	Bank          string `json:"bank"`
	Before        string `json:"before,omitempty"`
	After         string `json:"after,omitempty"`
	RecordsBefore uint64 `json:"records_before"`
	RecordsAfter  uint64 `json:"records_after"`
	Same          bool   `json:"same"`
}

const (
	maxLost      = 1000 // records left out that --json lists
	maxLostShown = 10   // of these, that are shown to people
)

// end closes what is open.
func (c *conversion) end() {
	closeAll(c.ins)
	if c.spool != nil {
		_ = c.spool.Close()
	}
}

// open opens the logs and puts them together.
func (c *conversion) open() error {
	var err error
	if c.ins, err = openAll(c.args, c.stdin, c.from); err != nil {
		return err
	}
	all := sights(c.ins)
	if len(all) > 1 || c.o.in != mrlog.NoSpace {
		c.placement, err = c.o.common(all)
	} else {
		c.placement, err = c.forTarget(all)
	}
	if err != nil {
		return err
	}
	if c.o.lossy {
		c.placement.Drop = func(*mrlog.CarryError) {}
	}
	var parts []convert.Input
	for _, in := range c.ins {
		p := c.placement
		if p.Drop != nil {
			name := in.name
			p.Drop = func(err *mrlog.CarryError) {
				c.lose(name, err.Record, err, 1)
			}
		}
		in.Reader = convert.Place(in.Reader, p)
		parts = append(parts, convert.Input{Name: in.name, Reader: in.Reader})
	}
	if c.reader = parts[0].Reader; len(parts) > 1 {
		c.joined = convert.Join(parts)
		c.reader = c.joined
	}
	c.reader = convert.Number(c.reader, c.numbering())
	c.target.Space = c.from.Space
	if c.placement.Space != mrlog.NoSpace {
		c.target.Space = c.placement.Space
	}
	for _, s := range all {
		for _, a := range s.Algs {
			if !c.o.lossy && c.joined == nil {
				break // the first records tell
			}
			if a.Size() > 0 && !slices.ContainsFunc(c.target.Algs, func(x mrlog.AlgSize) bool { return x.Alg == a }) {
				c.target.Algs = append(c.target.Algs, mrlog.AlgSize{Alg: a, Size: a.Size()})
			}
		}
	}
	return nil
}

// forTarget maps the registers of a log that the target has no numbers for: a
// TCG log and TLV have run-time registers as CC-MRs, dstack the other way round.
func (c *conversion) forTarget(all []convert.Sight) (convert.Placement, error) {
	var from, to mrlog.Space
	switch c.target.Format {
	case convert.TCG2, convert.AAEL:
		from, to = mrlog.RTMR, mrlog.CCMR
	case convert.CELTLV:
		// An index alone is an RTMR's in native logs only.
		if slices.Contains([]string{convert.IMA, convert.IMAASCII, convert.Dstack, convert.AAELText}, all[0].Format) {
			from, to = mrlog.RTMR, mrlog.CCMR
		}
	case convert.Dstack:
		from, to = mrlog.CCMR, mrlog.RTMR
	}
	if from == mrlog.NoSpace || !slices.Contains(all[0].Spaces, from) {
		return convert.Placement{}, nil
	}
	on, err := c.o.decide(all)
	if err != nil || on == "" {
		return convert.Placement{}, err // the writer says what it cannot carry
	}
	return convert.Placement{Space: to, Platform: on}, nil
}

// numbering returns which numbers the records get. Those of one log keep what
// they have.
func (c *conversion) numbering() convert.Numbering {
	if c.joined != nil {
		return convert.NumberAnew
	}
	switch c.ins[0].sight.Format {
	case convert.NELR, convert.CELTLV:
		return convert.AsLogged
	case convert.CELJSON, convert.CELSeq, convert.CELCBOR:
		if c.target.Format != convert.CELTLV {
			return convert.AsLogged
		}
	}
	return convert.FillIn
}

// lose notes a record that is left out, a misfit or not.
func (c *conversion) lose(name string, record int64, err *mrlog.CarryError, misfit uint64) {
	c.leaving.Lock()
	defer c.leaving.Unlock()
	c.misfit += misfit
	c.out.LeftOut++
	if len(c.out.Lost) < maxLost {
		c.out.Lost = append(c.out.Lost, lostOutput{name, record, err.Span.Line, err.Span.Offset, err.Format + ": " + err.What})
	}
}

// drop is lose for a record that the target cannot carry.
func (c *conversion) drop(err *mrlog.CarryError) {
	name, record := c.ins[0].name, err.Record
	if c.joined != nil {
		name, record = c.joined.Where(record)
	}
	c.lose(name, record, err, 0)
}

// write copies the records and tells what there is to tell of the logs.
func (c *conversion) write(ctx context.Context, out io.Writer) error {
	p := c.e.newProgress("convert")
	defer p.done()
	options := convert.Options{
		Procs: procs(c.ins...), Replay: c.o.check || c.joined != nil,
		Progress: func(records, offset int64) {
			c.out.Records = records
			p.update(c.ins[0], records, offset)
		},
	}
	if c.o.lossy {
		options.Drop = c.drop
	}
	var err error
	c.replay, err = convert.Copy(ctx, out, c.target, c.reader, options)
	p.done()
	if err != nil {
		return c.changed(c.at(err))
	}
	c.e.warnFirmwares(c.ins)
	for _, in := range c.ins {
		c.e.noteWrapped(in)
		c.e.warnEmpty(in)
		c.e.noteAssumed(in)
		c.e.notePlaced(in, c.placement.Platform, c.o.on != "")
		c.e.warnTorn(in)
		if n := in.Reader.Header().Padding; n > 0 {
			c.e.note("%s: %s of padding after the log are left out", in.name, count(n, "byte"))
		}
	}
	if n := c.out.LeftOut; n > 0 {
		c.e.warn("left out: %s", count(n, "record"))
		for i, l := range c.out.Lost {
			if i == maxLostShown {
				c.e.warn("and %d more", n-uint64(i))
				break
			}
			c.e.warn("%s: record %d, %s: %s", l.Log, l.Record, placeOf(l.Line, l.Offset), l.Reason)
		}
	}
	if c.replay == nil {
		return nil
	}
	if c.joined != nil {
		for _, claim := range c.joined.Claims() {
			c.e.warn("%v", &claim)
		}
	} else if err := convert.CheckMR(c.ins[0].Reader, c.replay); err != nil {
		c.e.warn("%s: %v", c.ins[0].name, err)
	}
	c.e.warnSkipped(c.replay.Skipped())
	if errs, n := c.replay.InitErrors(); n > 0 {
		name := c.ins[0].name
		if c.joined != nil {
			name = "together"
		}
		c.e.warn("%s: %v%s", name, errs[0], more(n-1))
	}
	return nil
}

// changed explains that a log had another number of records when it was read the
// first time, as those of sysfs may.
func (c *conversion) changed(err error) error {
	var other *cel.CountError
	if !errors.As(err, &other) {
		return err
	}
	got := "more"
	if other.Got < other.Want {
		got = strconv.FormatInt(other.Got, 10)
	}
	return &failure{
		code: exitFailed, hint: "read it from standard input (-), or write --dialect sequence",
		err: fmt.Errorf("%s: it was changed while it was read: %s, then %s", c.ins[0].name, count(other.Want, "record"), got),
	}
}

func placeOf(line int, offset int64) string {
	if line > 0 {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("offset %d", offset)
}

// at puts the name of the log before an error that is about one of its records.
func (c *conversion) at(err error) error {
	var carry *mrlog.CarryError
	var one *convert.InputError
	if c.joined != nil && errors.As(err, &carry) && !errors.As(err, &one) {
		located := *carry
		var name string
		name, located.Record = c.joined.Where(carry.Record)
		return named(name, &located)
	}
	return c.ins[0].at(err)
}

// count reads the logs once to learn how many records will be written, which
// the target states first. Standard input is kept in a temporary file
// meanwhile.
func (c *conversion) count(ctx context.Context) error {
	for _, arg := range c.args {
		if arg == "-" {
			var err error
			if c.spool, err = unnamed(); err != nil {
				return err
			}
			c.stdin = io.TeeReader(c.e.stdin, c.spool)
		} else if info, err := os.Stat(arg); err == nil && !info.Mode().IsRegular() {
			return usage("%s is not a regular file, and %s states the number of records first: use - or --dialect sequence", arg, c.target.Format)
		}
	}
	if err := c.open(); err != nil {
		return err
	}
	n, err := c.total(ctx)
	if err != nil {
		return c.at(err)
	}
	closeAll(c.ins)
	c.ins, c.joined, c.placement, c.out, c.misfit = nil, nil, convert.Placement{}, convertOutput{}, 0
	c.target.Records, c.target.Algs = n, nil
	if c.spool != nil {
		c.stdin = c.spool
		_, err = c.spool.Seek(0, io.SeekStart)
	}
	return err
}

// total returns how many records will be written.
func (c *conversion) total(ctx context.Context) (int64, error) {
	if !c.o.lossy {
		return convert.Count(ctx, c.reader)
	}
	var n, lost int64
	t := c.target
	t.Dialect = "sequence"
	_, err := convert.Copy(ctx, io.Discard, t, c.reader, convert.Options{
		Procs:    procs(),
		Progress: func(records, _ int64) { n = records },
		Drop:     func(*mrlog.CarryError) { lost++ },
	})
	return n - lost, err
}

// check reads what was written, and compares its replay with that of the
// records before.
func (c *conversion) check(ctx context.Context, out *output) error {
	src, err := out.again()
	if err != nil {
		return err
	}
	before := c.replay.Banks()
	from, mixed := convert.Source{Format: c.target.Format}, false
	switch c.target.Format {
	case convert.TCG2, convert.AAEL, convert.IMA, convert.IMAASCII, convert.Dstack:
		// Their numbers are in a space that they do not state, and a list
		// has one of its banks.
		for _, b := range before {
			if b.Register.Space != mrlog.NV {
				from.Space, mixed = b.Register.Space, mixed || from.Space != mrlog.NoSpace && from.Space != b.Register.Space
			}
			if !slices.Contains(from.Banks, b.Alg) {
				from.Banks = append(from.Banks, b.Alg)
			}
		}
		if mixed {
			from.Space = mrlog.NoSpace // then each is the one that its number stands for
		}
	}
	c.after = new(mrlog.Replay)
	var records uint64
	r, err := convert.Open(src, from)
	if err == nil {
		err = pipe.Each(ctx, r, procs(), func(batch []mrlog.Record) error {
			records += uint64(len(batch))
			return c.after.Extend(batch)
		})
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		return no("what was written cannot be read again: %w", err)
	}
	differs := c.compare(before, c.after.Banks())
	for _, b := range c.out.Check {
		switch name := b.Register + ":" + b.Bank; {
		case c.e.json && c.o.output != "-":
		case b.Same:
			c.e.note("check: %s is %s before and after, %s", name, b.Before, count(b.RecordsBefore, "record"))
		default:
			c.e.note("check: %s is %s before, %s", name, orNone(b.Before), count(b.RecordsBefore, "record"))
			c.e.note("check: %s is %s after, %s", name, orNone(b.After), count(b.RecordsAfter, "record"))
		}
	}
	switch {
	case differs != "":
		return no("the log replays to other values than before: %s", differs)
	case c.misfit > 0:
		return no("the log replays to other values than before: %s had no place in it", count(c.misfit, "record"))
	}
	return nil
}

func orNone(value string) string {
	if value == "" {
		return "absent"
	}
	return value
}

// compare fills in the answer's comparison, and returns the first bank that
// differs, or "".
func (c *conversion) compare(before, after []mrlog.Bank) (differs string) {
	same := func(a, b *mrlog.Bank) bool { return a.Register == b.Register && a.Alg == b.Alg }
	add := func(b, a *mrlog.Bank) {
		one := b
		if one == nil {
			one = a
		}
		v := checkedOutput{Register: one.Register.String(), Bank: one.Alg.String()}
		if b != nil {
			v.Before, v.RecordsBefore = fmt.Sprintf("%x", b.Value), b.Records
		}
		if a != nil {
			v.After, v.RecordsAfter = fmt.Sprintf("%x", a.Value), a.Records
		}
		v.Same = a != nil && b != nil && bytes.Equal(a.Value, b.Value) && a.Records == b.Records
		if !v.Same && differs == "" {
			differs = v.Register + ":" + v.Bank
		}
		c.out.Check = append(c.out.Check, v)
	}
	for i := range before {
		j := slices.IndexFunc(after, func(a mrlog.Bank) bool { return same(&a, &before[i]) })
		if j < 0 {
			add(&before[i], nil)
			continue
		}
		add(&before[i], &after[j])
	}
	for i := range after {
		if !slices.ContainsFunc(before, func(b mrlog.Bank) bool { return same(&b, &after[i]) }) {
			add(nil, &after[i])
		}
	}
	return differs
}

// answer prints what was done as JSON, if that was asked for and standard output
// does not have the log.
func (c *conversion) answer() error {
	if !c.e.json || c.o.output == "-" {
		return nil
	}
	o := &c.out
	o.Format = c.target.Format
	o.Written = o.Records - int64(o.LeftOut-c.misfit)
	o.Records += int64(c.misfit)
	o.Space, o.Platform = c.placement.Space.String(), string(c.placement.Platform)
	o.Mapped = []mappedOutput{}
	for _, in := range c.ins {
		pairs, _ := convert.Pairs(in.Reader)
		for _, p := range pairs {
			o.Mapped = append(o.Mapped, mappedOutput{in.name, p.From.String(), p.To.String()})
		}
	}
	if o.Lost == nil {
		o.Lost = []lostOutput{}
	}
	return c.e.printJSON(o)
}
