// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"context"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// maxLogs bounds the logs of one register that are joined. Each is held open.
// A new log within a boot is begun by hand, or when one is full.
const maxLogs = 256

// trace is what a register's logs say about a value.
type trace struct {
	found bool   // a prefix gives the value, that of no records too
	logs  []*Log // the chain that leads to it, the latest first; if it was not found, to the end of the newest log

	newest *logFile // the live log, or, where there is none, the last one set aside; nil without any
	end    walked   // of the newest log, if the value was not found in it
	err    error    // a log that could not be read, beyond which nothing is known

	opened []*logFile
}

// close closes the logs that were opened, but for those that are kept.
func (t *trace) close(kept []*Log) {
	for _, l := range t.opened {
		if !slices.ContainsFunc(kept, func(k *Log) bool { return k.file == l }) {
			l.Close()
		}
	}
}

// trace looks for a value from the newest log to the oldest. The first log that
// has no prefix giving the value is followed by the one set aside before it:
// the new one may have been begun since the value was taken. From the log with
// the value on, it goes back as long as a log's INIT states what a prefix of
// the one before gives. Until then a log that does not join only ends the chain:
// it may have been kept because it had diverged. The older ones of this boot,
// as their hints say, are looked through for the value alone.
func (c *Collector) trace(ctx context.Context, m *memory, f *folder, boot string, isReset func([]mrlog.Digest) bool, value []mrlog.Digest) (*trace, error) {
	t := &trace{}
	open := func(number int) (l *logFile) {
		if l, t.err = f.open(number); t.err == nil {
			t.opened = append(t.opened, l)
		}
		return l
	}
	l := open(0)
	if t.err != nil && !notExist(t.err) {
		return t, nil
	}
	var numbers []int // of the logs to try next
	if numbers, t.err = f.older(l); t.err != nil {
		return t, nil
	}
	if l == nil && len(numbers) > 0 {
		l, numbers = open(numbers[0]), numbers[1:]
	}
	if l == nil {
		return t, nil
	}
	t.newest = l
	var start []mrlog.Digest // what the log before must lead to
	broken := false          // the chain from the newest log has ended, without the value
	for n := 0; ; n++ {
		var wants [][]mrlog.Digest
		if !t.found {
			wants = append(wants, value)
		}
		if broken {
			size := min(l.size, nelr.MaxLog)
			s, err := skim(ctx, io.NewSectionReader(l, 0, size), size)
			if err != nil || boot == "" || s.boot != boot {
				return t, ctx.Err()
			}
		} else if start != nil {
			wants = append(wants, start)
		}
		w, err := m.find(ctx, l, n == 0, wants...)
		switch {
		case err != nil && ctx.Err() != nil:
			return t, err
		case err != nil:
			t.err = err
			return t, nil
		case w.hit < 0 && n > 0 && t.found:
			return t, nil // nothing leads on from here
		case w.hit < 0 && n > 0:
			broken = true
		case w.hit < 0:
			t.end = w // not in the newest: perhaps in the one before
		case !t.found && w.hit == 0:
			t.found, t.logs, broken = true, nil, false // and not what came later
		}
		start = w.start
		if w.records > 0 && !broken {
			t.logs = append(t.logs, c.log(f, l, w.position))
		}
		switch {
		case len(numbers) == 0, t.found && start != nil && isReset(start):
			return t, nil
		case n == maxLogs:
			t.err = fmt.Errorf("%s: more than %d logs lead to the value", f.path, maxLogs)
			return t, nil
		}
		broken = broken || !t.found && start != nil && isReset(start)
		if l, numbers = open(numbers[0]), numbers[1:]; l == nil {
			return t, nil
		}
	}
}

// log makes the part of a log up to a position.
func (c *Collector) log(f *folder, l *logFile, p position) *Log {
	return &Log{
		Path:    l.Name(),
		Number:  l.number,
		Bytes:   p.offset,
		Records: p.records,
		Start:   cloneDigests(p.start),
		End:     cloneDigests(p.values),
		file:    l,
		forget:  func() { c.forget(f.path, l.id) },
	}
}

// apart says which prefix each bank of a value matches, if some bank matches
// one: "" if none does.
func apart(ctx context.Context, l *logFile, value []mrlog.Digest) (string, error) {
	text, some := "", false
	for _, d := range value {
		w, err := walk(ctx, io.NewSectionReader(l, 0, l.size), l.size, position{}, []mrlog.Digest{d})
		if err != nil {
			return "", err
		}
		n := "none"
		if w.hit >= 0 {
			n, some = fmt.Sprintf("%d records", w.records), true
		}
		text += fmt.Sprintf(" %s: %s", d.Alg, n)
	}
	if !some {
		return "", nil
	}
	return text, nil
}
