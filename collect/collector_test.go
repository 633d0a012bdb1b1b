// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mrlog.dev"
)

// A collector gives what a snapshot without a past gives, whatever happens to
// the logs between.
func TestCollectorAgrees(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t)
		c := &Collector{}
		var books []*book
		b := newBook("boot-1", zero(rtmr2))
		r.write(rtmr2, "log", b.text)
		n := 0
		for range 30 {
			switch rng.IntN(8) {
			case 0:
				books = append(books, b)
				r.write(rtmr2, fmt.Sprintf("log.%d", len(books)), b.text)
				must(t, os.Remove(r.path(rtmr2, "log")))
				b = newBook("boot-1", b.end())
			case 1: // altered in place; perhaps put back later
				i := len("#: register x\n") + rng.IntN(len(b.text)-20)
				text := []byte(b.text)
				text[i] ^= 1
				r.write(rtmr2, "log", string(text))
			case 2:
				r.write(rtmr2, "log", b.text+"torn")
			case 3: // a tail that was cut off again
				r.write(rtmr2, "log", b.text+"refused\n")
			default:
				for range rng.IntN(20) {
					n++
					b.add(fmt.Sprintf("event %d", n))
				}
				r.write(rtmr2, "log", b.text)
			}
			if _, err := os.Stat(r.path(rtmr2, "log")); err != nil {
				r.write(rtmr2, "log", b.text)
			}
			at := b
			if len(books) > 0 && rng.IntN(4) == 0 {
				at = books[rng.IntN(len(books))]
			}
			v := at.at[rng.IntN(len(at.at))]
			r.given = map[mrlog.Register][]mrlog.Digest{rtmr2: v.digests()}
			r.d.set(rtmr2, b.end())
			r.c = &Collector{}
			want, closeWant := r.take(rtmr2)
			r.c = c
			got, closeGot := r.take(rtmr2)
			if describe(got) != describe(want) {
				// Alterations before a known position are not seen by the
				// collector, but when the log is copied.
				err := copyAll(got)
				if !errors.Is(err, ErrAltered) || want.State != Inconsistent {
					t.Fatalf("seed %d: the collector gives %s, a fresh one %s (%v)", seed, describe(got), describe(want), err)
				}
				got, closeGot := r.take(rtmr2)
				if describe(got) != describe(want) {
					t.Fatalf("seed %d: then %s, want %s", seed, describe(got), describe(want))
				}
				closeGot()
			} else if got.State == Consistent {
				checkChain(t, got)
			}
			closeWant()
			closeGot()
		}
	}
}

// take takes a snapshot of one register and checks nothing.
func (r *rig) take(reg mrlog.Register) (*Register, func()) {
	r.t.Helper()
	s, err := r.c.Snapshot(context.Background(), r.options(reg))
	must(r.t, err)
	return &s.Registers[0], func() { must(r.t, s.Close()) }
}

func describe(reg *Register) string {
	s := fmt.Sprint(reg.State, reg.Unexplained, reg.Reason)
	for _, l := range reg.Logs {
		s += fmt.Sprintf(" %s:%d/%d", filepath.Base(l.Path), l.Records, l.Bytes)
	}
	return s
}

func copyAll(reg *Register) error {
	for _, l := range reg.Logs {
		if _, err := l.WriteTo(&bytes.Buffer{}); err != nil {
			return err
		}
	}
	return nil
}

// What a collector remembers of a log does not outlive it.
func TestCollectorForgets(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b", "c d")
	for name, text := range map[string]string{
		"altered":   strings.Replace(b.text, "a b", "a c", 1),
		"shortened": b.text[:b.ends[2]],
		"replaced":  strings.Replace(b.text, "a b", "a c", 1) + "more\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.c = &Collector{}
			r.write(rtmr2, "log", b.text)
			r.d.set(rtmr2, b.end())
			wantState(t, r.snapshot(rtmr2), Consistent, "")
			if name == "replaced" {
				must(t, os.Rename(r.path(rtmr2, "log"), r.path(rtmr2, "moved")))
			}
			r.write(rtmr2, "log", text)
			later := time.Now().Add(time.Second) // the clock of files may not have moved on
			must(t, os.Chtimes(r.path(rtmr2, "log"), later, later))
			wantState(t, r.snapshot(rtmr2), Inconsistent, "no prefix gives")
			r.write(rtmr2, "log", b.text)
			wantState(t, r.snapshot(rtmr2), Consistent, "")
		})
	}
	// That a log does not lead to another, neither.
	r := newRig(t)
	r.c = &Collector{}
	two := newBook("boot-1", b.end(), "e f")
	r.write(rtmr2, "log.1", b.text[:b.ends[2]])
	r.write(rtmr2, "log", two.text)
	r.d.set(rtmr2, two.end())
	wantLogs(t, r.snapshot(rtmr2), "log:2")
	r.write(rtmr2, "log.1", b.text)
	wantLogs(t, r.snapshot(rtmr2), "log.1:3", "log:2")
}

// A collector reads what is new, and no more.
func TestCollectorReads(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2))
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "event %d %0100d\n", i, 0)
	}
	b.text += text.String()
	p, err := replay([]byte(b.text))
	must(t, err)
	r := newRig(t)
	r.c = &Collector{}
	r.write(rtmr2, "log", b.text)
	r.d.set(rtmr2, p.end)
	read := func() int64 {
		io, err := os.ReadFile("/proc/self/io")
		if err != nil {
			t.Skip(err)
		}
		var n int64
		_, err = fmt.Sscanf(string(io), "rchar: %d", &n)
		must(t, err)
		return n
	}
	cost := func() int64 {
		before := read()
		got, done := r.take(rtmr2)
		defer done()
		if got.State != Consistent {
			t.Fatal(got.Reason)
		}
		return read() - before
	}
	if n := cost(); n < int64(len(b.text)) {
		t.Fatalf("the first snapshot read %d bytes of %d", n, len(b.text))
	}
	for range 3 {
		if n := cost(); n > 16<<10 {
			t.Errorf("a snapshot with nothing new read %d bytes", n)
		}
		b.text += "new\n"
		r.write(rtmr2, "log", b.text)
		p.end = p.end.extend("new")
		r.d.set(rtmr2, p.end)
		if n := cost(); n > 16<<10 {
			t.Errorf("a snapshot with one more record read %d bytes", n)
		}
	}
	// Logs that do not join are not read each time either.
	r.write(rtmr2, "log.1", b.text)
	two := newBook("boot-1", zero(rtmr2).extend("other"), "a b")
	r.write(rtmr2, "log", two.text)
	r.d.set(rtmr2, two.end())
	cost()
	if n := cost(); n > 16<<10 {
		t.Errorf("a log that does not join was read again: %d bytes", n)
	}
}
