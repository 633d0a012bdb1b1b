// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

// A writer that extends before it has written the whole line, which the rules
// allow, can be met between the two. Where no prefix gives the value and
// something moves, the collector looks again, now and then, for so long.
const (
	againWait    = 5 * time.Millisecond
	againTimeout = 250 * time.Millisecond
)

// Snapshot takes a snapshot as the function of that name does.
func (c *Collector) Snapshot(ctx context.Context, o Options) (_ *Result, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	descs, err := o.registers()
	if err != nil {
		return nil, err
	}
	state, err := filepath.Abs(o.State)
	if err != nil {
		return nil, err
	}
	r := &Result{Taken: o.Now(), Device: o.Device.Info(), Consistent: true}
	if id, err := o.BootID(); err == nil {
		r.Boot = id
	}
	defer func() {
		if err != nil {
			_ = r.Close()
		}
	}()
	// All values before any log: then the values of different registers are
	// as close together in time as they can be.
	for _, d := range descs {
		reg := Register{Name: d.Name}
		if given, ok := o.Values[d.Name]; ok {
			reg.Values, reg.Given = cloneDigests(given), true
		} else {
			reg.Values, reg.Err = read(ctx, o.Device, d)
		}
		r.Registers = append(r.Registers, reg)
	}
	for i, d := range descs {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		s := sight{c: c, desc: d, device: o.Device, boot: r.Boot, folder: filepath.Join(state, d.Name.String()), reg: &r.Registers[i]}
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		if s := r.Registers[i].State; s == Inconsistent || s == Unreadable {
			r.Consistent = false
		}
	}
	return r, nil
}

// read returns a register's values.
func read(ctx context.Context, d device.Device, desc device.Register) ([]mrlog.Digest, error) {
	if desc.NotReadable != "" {
		return nil, fmt.Errorf("%s: the register cannot be read: %s", desc.Name, desc.NotReadable)
	}
	got, err := d.Read(ctx, desc.Name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: reading the register: %w", desc.Name, err)
	case !got.Fresh:
		return nil, fmt.Errorf("%s: reading the register: the device gave a value that may be old", desc.Name)
	}
	return got.Values, nil
}

// sight is the look at one register.
type sight struct {
	c      *Collector
	desc   device.Register
	device device.Device
	boot   string
	folder string
	reg    *Register
}

// settle looks until the register is not Inconsistent, or nothing moves.
func (s *sight) settle(ctx context.Context) error {
	began := time.Now()
	for {
		moved, err := s.look(ctx)
		if err != nil || s.reg.State != Inconsistent || !moved || time.Since(began) > againTimeout {
			return err
		}
		for _, l := range s.reg.Logs {
			l.file.Close()
		}
		s.reg.Logs, s.reg.Reason, s.reg.Unexplained = nil, "", false
		select {
		case <-time.After(againWait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !s.reg.Given {
			if now, err := read(ctx, s.device, s.desc); err == nil {
				s.reg.Values = now
			}
		}
	}
}

// look takes one look. If the register is Inconsistent, moved reports whether a
// writer may have been at work.
func (s *sight) look(ctx context.Context) (moved bool, err error) {
	reg := s.reg
	f, err := openFolder(s.folder)
	switch {
	case notExist(err):
		s.noLog(nil)
		return false, nil
	case err != nil:
		s.unreadable(err)
		return false, nil
	}
	defer f.close()
	m, err := s.c.enter(ctx, f.path)
	if err != nil {
		return false, err
	}
	defer m.leave()
	if s.isReset(reg.Values) { // no record leads to it: nothing need be hashed
		return s.lookReset(ctx, f)
	}
	t, err := s.c.trace(ctx, m, f, s.boot, s.isReset, reg.Values)
	defer func() { t.close(reg.Logs) }()
	if err != nil {
		return false, err
	}
	slices.Reverse(t.logs)
	switch {
	case t.found && t.logs == nil:
		return s.lookBegun(ctx, t.newest, t.err)
	case t.found:
		reg.State, reg.Logs = Consistent, t.logs
		reg.Unexplained = !s.isReset(t.logs[0].Start)
		if t.err != nil {
			reg.Reason = fmt.Sprintf("what came before the first log could not be read: %v", t.err)
		}
		return false, nil
	}
	reg.Logs = t.logs
	switch {
	case t.err != nil:
		s.unreadable(t.err)
		return false, nil
	case reg.Values == nil:
		s.unreadable(reg.Err)
		return false, nil
	}
	reg.State = Inconsistent
	if reg.Reason, err = s.why(ctx, t); err != nil {
		return false, err
	}
	return s.moved(ctx, t.newest), nil
}

// lookReset is for a register that holds its reset value.
func (s *sight) lookReset(ctx context.Context, f *folder) (bool, error) {
	l, err := f.open(0)
	switch {
	case notExist(err):
		s.noLog(nil)
		return false, nil
	case err != nil:
		s.unreadable(err)
		return false, nil
	}
	defer l.Close()
	return s.lookBegun(ctx, l, nil)
}

// lookBegun is for a value that no record of the newest log leads to: the log
// was begun after the value was taken, or INIT is not extended yet, or the log
// is of an earlier boot. Or the register was set back under its log, which it
// must not be within a boot.
func (s *sight) lookBegun(ctx context.Context, l *logFile, remark error) (bool, error) {
	size := min(l.size, nelr.MaxLog)
	log, err := skim(ctx, io.NewSectionReader(l, 0, size), size)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, err
	case err != nil:
		s.unreadable(err)
		return false, nil
	}
	sameBoot := log.boot == "" || s.boot == "" || log.boot == s.boot
	begun := gives(log.start, s.reg.Values)
	if !sameBoot || log.start == nil || begun && log.records == 1 {
		s.noLog(remark)
		return false, nil
	}
	// INIT is extended before any other record is written. If the register
	// still holds the value after that, it was set back; if not, the log was
	// begun after the value was taken.
	now, err := read(ctx, s.device, s.desc)
	switch {
	case err == nil && !gives(now, s.reg.Values), err != nil && begun:
		s.noLog(remark)
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	}
	s.reg.State = Inconsistent
	s.reg.Reason = fmt.Sprintf("%s: the register holds a value from before the log, though records of it were extended: it was reset during this boot", l.Name())
	return s.moved(ctx, l), nil
}

// noLog says that no record leads to the value.
func (s *sight) noLog(remark error) {
	if s.reg.Values == nil {
		s.unreadable(s.reg.Err)
		return
	}
	s.reg.State = NoLog
	s.reg.Unexplained = !s.isReset(s.reg.Values)
	if remark != nil {
		s.reg.Reason = remark.Error()
	}
}

func (s *sight) unreadable(err error) {
	s.reg.State, s.reg.Err, s.reg.Reason = Unreadable, err, err.Error()
}

// isReset reports whether values are what a reset gives.
func (s *sight) isReset(values []mrlog.Digest) bool {
	for _, v := range values {
		i := slices.IndexFunc(s.desc.Banks, func(b device.Bank) bool { return b.Alg == v.Alg })
		if !s.desc.Name.ResetsTo(v.Alg, v.Sum) && (i < 0 || !bytes.Equal(s.desc.Banks[i].Reset, v.Sum)) {
			return false
		}
	}
	return len(values) > 0
}

// moved reports whether log or register changed since they were looked at.
func (s *sight) moved(ctx context.Context, l *logFile) bool {
	if l != nil && l.again() {
		return true
	}
	if s.reg.Given {
		return false
	}
	now, err := read(ctx, s.device, s.desc)
	return err == nil && !gives(now, s.reg.Values)
}

// why says in words why no prefix gives the value.
func (s *sight) why(ctx context.Context, t *trace) (string, error) {
	values := s.reg.Values
	if t.newest == nil {
		return "the log is gone: its folder is there, and no log in it", nil
	}
	name := t.newest.Name()
	if t.end.completed {
		return fmt.Sprintf("%s: the last line was extended and has no newline: mrlog recover adds it", name), nil
	}
	if t.end.start == nil {
		if t.end.stop != nil {
			return fmt.Sprintf("%s: %v", name, t.end.stop), nil
		}
		return fmt.Sprintf("%s: the log does not begin with INIT", name), nil
	}
	for _, v := range values {
		if valueOf(t.end.start, v.Alg) == nil {
			return fmt.Sprintf("%s: INIT has no value of bank %s", name, v.Alg), nil
		}
	}
	if len(values) > 1 {
		switch text, err := apart(ctx, t.newest, values); {
		case err != nil:
			return "", err
		case text != "":
			return fmt.Sprintf("%s: the register's banks match different prefixes:%s", name, text), nil
		}
	}
	if t.end.stop != nil {
		return fmt.Sprintf("%s: no prefix gives the register's value, and the log cannot be replayed further: %v", name, t.end.stop), nil
	}
	return fmt.Sprintf("%s: no prefix gives the register's value: the register was extended without the log, or the log was changed", name), nil
}
