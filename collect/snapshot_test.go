// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/soft"
)

// wantLogs checks names and records of a register's logs.
func wantLogs(t *testing.T, reg *Register, want ...string) {
	t.Helper()
	var got []string
	for _, l := range reg.Logs {
		got = append(got, fmt.Sprintf("%s:%d", filepath.Base(l.Path), l.Records))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("logs %q, want %q (%s: %s)", got, want, reg.State, reg.Reason)
	}
}

func wantState(t *testing.T, reg *Register, state State, reason string) {
	t.Helper()
	if reg.State != state {
		t.Fatalf("%s is %s (%s), want %s", reg.Name, reg.State, reg.Reason, state)
	}
	if reason == "" && reg.Reason != "" || !strings.Contains(reg.Reason, reason) {
		t.Errorf("reason %q, want %q", reg.Reason, reason)
	}
}

// Whatever prefix of a log the value is of, the log is cut after it, and what
// follows does not matter.
func TestCut(t *testing.T) {
	for _, reg := range []mrlog.Register{rtmr2, pcr14} {
		b := newBook("boot-1", zero(reg), "a b", "c d", strings.Repeat("x", 200<<10), "e f\t ", "g h\r")
		tails := map[string]string{
			"nothing": "", "torn": "i j", "comment": "# c\n", "long": strings.Repeat("y", 2<<20) + "\n",
			"second": b.at[0].init() + "\n", "bytes": "\x00\xff\n\n\n#\n", "records": "k l\nm n\n",
		}
		for k := 1; k < len(b.at); k++ {
			for name, tail := range tails {
				t.Run(fmt.Sprintf("%s/%d/%s", reg, k, name), func(t *testing.T) {
					r := newRig(t)
					r.write(reg, "log", b.text+tail)
					r.d.set(reg, b.at[k])
					got := r.snapshot(reg)
					wantState(t, got, Consistent, "")
					wantLogs(t, got, fmt.Sprintf("log:%d", k))
					if l := got.Logs[0]; l.Bytes != int64(b.ends[k]) || l.Number != 0 {
						t.Errorf("%d bytes of log %d, want %d", l.Bytes, l.Number, b.ends[k])
					}
				})
			}
		}
	}
}

func TestNoLog(t *testing.T) {
	r := newRig(t)
	got := r.snapshot(rtmr2)
	wantState(t, got, NoLog, "")
	if got.Unexplained {
		t.Error("a reset value is unexplained")
	}
	// Nothing there at all.
	r.state = filepath.Join(r.state, "none")
	wantState(t, r.snapshot(rtmr2), NoLog, "")

	// Extended by others.
	r.d.set(rtmr2, zero(rtmr2).extend("firmware"))
	got = r.snapshot(rtmr2)
	wantState(t, got, NoLog, "")
	if !got.Unexplained {
		t.Error("a value that nothing leads to is explained")
	}
	if got.Values == nil || got.Given {
		t.Error("the value is not there")
	}
}

// INIT is written and not extended: the crash, or the moment, between the two.
func TestInitNotExtended(t *testing.T) {
	for _, start := range []values{zero(rtmr2), zero(rtmr2).extend("firmware")} {
		for _, tail := range []string{"", "torn"} {
			r := newRig(t)
			r.write(rtmr2, "log", newBook("boot-1", start).text+tail)
			r.d.set(rtmr2, start)
			got := r.snapshot(rtmr2)
			wantState(t, got, NoLog, "")
			wantLogs(t, got)
			if got.Unexplained == start.same(zero(rtmr2)) {
				t.Errorf("Unexplained is %t", got.Unexplained)
			}
		}
	}
}

// The log was begun, and written to, between the value and the look at it.
func TestBegunMeanwhile(t *testing.T) {
	for _, start := range []values{zero(rtmr2), zero(rtmr2).extend("firmware")} {
		b := newBook("boot-1", start, "a b", "c d")
		r := newRig(t)
		r.d.set(rtmr2, start)
		r.d.after = func(_ mrlog.Register, n int) {
			if n == 1 {
				r.d.set(rtmr2, b.end())
				r.write(rtmr2, "log", b.text)
			}
		}
		got := r.snapshot(rtmr2)
		wantState(t, got, NoLog, "")
		wantLogs(t, got)
	}
	// Likewise, but somebody else extended the register before.
	r := newRig(t)
	b := newBook("boot-1", zero(rtmr2).extend("other"), "a b")
	r.d.after = func(_ mrlog.Register, n int) {
		if n == 1 {
			r.d.set(rtmr2, b.end())
			r.write(rtmr2, "log", b.text)
		}
	}
	wantState(t, r.snapshot(rtmr2), NoLog, "")
}

func TestReset(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b", "c d")
	other := newBook("boot-1", zero(rtmr2).extend("firmware"), "a b")
	for _, b := range []*book{b, other} {
		r := newRig(t)
		r.write(rtmr2, "log", b.text)
		// The log of an earlier boot does not belong to the value.
		r.boot = "boot-2"
		wantState(t, r.snapshot(rtmr2), NoLog, "")
		// Within a boot a register is not set back; if the boot is not known,
		// that cannot be excused.
		for _, boot := range []string{"boot-1", ""} {
			r.boot = boot
			got := r.snapshot(rtmr2)
			wantState(t, got, Inconsistent, "was reset during this boot")
			wantLogs(t, got)
		}
		// With a value that was given, and older than the log.
		r.given = map[mrlog.Register][]mrlog.Digest{rtmr2: zero(rtmr2).digests()}
		r.d.set(rtmr2, b.end())
		wantState(t, r.snapshot(rtmr2), NoLog, "")
		// Nobody can say whether it is.
		r.d.err = errors.New("device is gone")
		want := NoLog
		if b == other {
			want = Inconsistent
		}
		if got := r.snapshot(rtmr2); got.State != want {
			t.Errorf("%s, want %s", got.State, want)
		}
	}
	// Set back to INIT's value, which a reset does not give.
	r := newRig(t)
	r.write(rtmr2, "log", other.text)
	r.d.set(rtmr2, other.at[0])
	wantState(t, r.snapshot(rtmr2), Inconsistent, "was reset during this boot")
	r.boot = "boot-2"
	got := r.snapshot(rtmr2)
	wantState(t, got, NoLog, "")
	if !got.Unexplained {
		t.Error("the value is explained")
	}
	// After a kexec the log is of this boot, too: its last hint counts.
	r = newRig(t)
	r.boot = "boot-2"
	r.write(rtmr2, "log", b.text+"#: boot boot-2\n")
	wantState(t, r.snapshot(rtmr2), Inconsistent, "was reset during this boot")
	// A log that is none, and a register that nobody extended.
	r.write(rtmr2, "log", "no log\n")
	wantState(t, r.snapshot(rtmr2), NoLog, "")
}

func TestNewLog(t *testing.T) {
	one := newBook("boot-1", zero(rtmr2), "a b", "c d")
	two := newBook("boot-1", one.end(), "e f")
	three := newBook("boot-1", two.end(), "g h", "i j")
	r := newRig(t)
	r.write(rtmr2, "log.1", one.text)
	r.write(rtmr2, "log.2", two.text+"# a last comment\n")
	r.write(rtmr2, "log", three.text)
	r.write(rtmr2, "log.new", "junk\n")
	r.write(rtmr2, "log.03", "junk\n")
	for _, x := range []struct {
		value values
		logs  []string
	}{
		{three.end(), []string{"log.1:3", "log.2:2", "log:3"}},
		{three.at[1], []string{"log.1:3", "log.2:2", "log:1"}},
		{two.end(), []string{"log.1:3", "log.2:2"}}, // log is cut to nothing
		{two.at[1], []string{"log.1:3", "log.2:1"}},
		{one.end(), []string{"log.1:3"}},
		{one.at[2], []string{"log.1:2"}},
	} {
		// A value of a while ago, whose log has been set aside since: the
		// register goes on.
		r.d.set(rtmr2, x.value)
		r.d.after = func(mrlog.Register, int) { r.d.set(rtmr2, three.end()) }
		got := r.snapshot(rtmr2)
		wantState(t, got, Consistent, "")
		wantLogs(t, got, x.logs...)
		// The last one is "log" when it is written out.
		if n := len(got.Logs); got.file(n-1) != "rtmr2/log" || n > 1 && got.file(0) != "rtmr2/log.1" {
			t.Errorf("it is written to %s", got.file(n-1))
		}
	}
	r.d.after = nil

	// An earlier log is cut where the next one begins: what followed was not
	// extended.
	r.write(rtmr2, "log.2", two.text+"planted 1\nplanted 2\ntorn")
	r.d.set(rtmr2, three.end())
	got := r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log.1:3", "log.2:2", "log:3")

	// A log begun and never written to stands between two.
	r.write(rtmr2, "log.3", newBook("boot-1", two.end()).text)
	got = r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log.1:3", "log.2:2", "log:3")
	must(t, os.Remove(r.path(rtmr2, "log.3")))

	// One that does not lead to the next ends the chain.
	r.write(rtmr2, "log.2", newBook("boot-1", one.end(), "e g").text)
	got = r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log:3")

	// It cannot be read: said, and the rest is no worse for it.
	must(t, os.Remove(r.path(rtmr2, "log.2")))
	must(t, os.Symlink("log.1", r.path(rtmr2, "log.2")))
	got = r.snapshot(rtmr2)
	wantState(t, got, Consistent, "what came before the first log could not be read")
	wantLogs(t, got, "log:3")
	// But if the value could be in it, nobody knows.
	r.d.set(rtmr2, two.at[1])
	wantState(t, r.snapshot(rtmr2), Unreadable, "log.2: it is a symbolic link")
}

// A boot begins a new log, too, which does not join.
func TestNewBoot(t *testing.T) {
	old := newBook("boot-0", zero(rtmr2), "a b", "c d")
	b := newBook("boot-1", zero(rtmr2), "e f")
	r := newRig(t)
	r.write(rtmr2, "log.1", old.text)
	r.write(rtmr2, "log", b.text)
	r.d.set(rtmr2, b.end())
	got := r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log:2")
	// Firmware extends before the log begins.
	b = newBook("boot-1", zero(rtmr2).extend("firmware"), "e f")
	r.write(rtmr2, "log", b.text)
	r.d.set(rtmr2, b.end())
	got = r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log:2")
}

// The log that is open is set aside while it is looked at.
func TestSetAsideUnderneath(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b")
	before := newBook("boot-1", zero(rtmr2).extend("x"), "y z")
	r := newRig(t)
	r.write(rtmr2, "log.1", before.text)
	r.write(rtmr2, "log", b.text)
	must(t, os.Link(r.path(rtmr2, "log"), r.path(rtmr2, "log.2")))
	f, err := openFolder(filepath.Join(r.state, "rtmr2"))
	must(t, err)
	defer f.close()
	l, err := f.open(0)
	must(t, err)
	defer l.Close()
	// With two names; then with the other one only, and then there is a later
	// one, too.
	for n := range 3 {
		numbers, err := f.older(l)
		must(t, err)
		if len(numbers) != 1 || numbers[0] != 1 {
			t.Fatalf("%d: older logs %v, want 1 alone", n, numbers)
		}
		r.write(rtmr2, "log.new", newBook("boot-1", b.end()).text)
		if n == 1 {
			must(t, os.Link(r.path(rtmr2, "log"), r.path(rtmr2, "log.3")))
		}
		must(t, os.Rename(r.path(rtmr2, "log.new"), r.path(rtmr2, "log")))
	}
}

func TestInconsistent(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b", "c d")
	for name, x := range map[string]struct {
		text   string
		value  values
		reason string
		logs   []string
	}{
		"extended":  {b.text, b.end().extend("behind"), "no prefix gives the register's value", []string{"log:3"}},
		"altered":   {strings.Replace(b.text, "a b", "a c", 1), b.end(), "no prefix gives", []string{"log:3"}},
		"shortened": {b.text[:b.ends[2]], b.end(), "no prefix gives", []string{"log:2"}},
		"torn":      {b.text + "e f", b.end().extend("x"), "no prefix gives", []string{"log:3"}},
		"second":    {b.text + b.at[0].init() + "\ne f\n", b.end().extend(b.at[0].init()).extend("e f"), "line 6: a second INIT", []string{"log:3"}},
		"long":      {b.text + strings.Repeat("x", 1<<20+1) + "\n", b.end().extend("x"), "line 6: it is longer than 1048576 bytes", []string{"log:3"}},
		"empty":     {"", b.end(), "does not begin with INIT", nil},
		"hints":     {"#: boot boot-1\n", b.end(), "does not begin with INIT", nil},
		"none":      {"root:x:0:0\n", b.end(), "line 1: the log does not begin with INIT", nil},
		"completed": {b.text + "e f", b.end().extend("e f"), "was extended and has no newline: mrlog recover", []string{"log:3"}},
		"bank":      {newBook("boot-1", values{"sha256": make([]byte, 32)}, "a b").text, b.end(), "INIT has no value of bank sha384", []string{"log:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write(rtmr2, "log", x.text)
			r.d.set(rtmr2, x.value)
			for range 2 { // a collector that knows it, too
				got := r.snapshot(rtmr2)
				wantState(t, got, Inconsistent, x.reason)
				wantLogs(t, got, x.logs...)
				for _, l := range got.Logs { // which can be looked at
					var out bytes.Buffer
					if _, err := l.WriteTo(&out); err != nil || !strings.HasPrefix(x.text, out.String()) {
						t.Errorf("%v: %q", err, &out)
					}
				}
				r.c = &Collector{}
			}
		})
	}
	r := newRig(t)
	must(t, os.Mkdir(filepath.Join(r.state, "rtmr2"), 0o700))
	wantState(t, r.snapshot(rtmr2), NoLog, "")
	r.d.set(rtmr2, b.end())
	wantState(t, r.snapshot(rtmr2), Inconsistent, "the log is gone")
	// Only one set aside is left: it decides.
	r.write(rtmr2, "log.4", b.text)
	got := r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log.4:3")
	r.d.set(rtmr2, b.end().extend("x"))
	got = r.snapshot(rtmr2)
	wantState(t, got, Inconsistent, "no prefix gives")
	wantLogs(t, got, "log.4:3")
}

func TestBanks(t *testing.T) {
	b := newBook("boot-1", zero(pcr14), "a b", "c d", "e f")
	r := newRig(t)
	r.write(pcr14, "log", b.text)
	apart := b.at[3].clone()
	apart["sha256"] = b.at[2]["sha256"]
	r.d.set(pcr14, apart)
	wantState(t, r.snapshot(pcr14), Inconsistent, "match different prefixes: sha256: 2 records sha384: 3 records")
	apart["sha256"] = zero(pcr14).extend("x")["sha256"]
	r.d.set(pcr14, apart)
	wantState(t, r.snapshot(pcr14), Inconsistent, "match different prefixes: sha256: none sha384: 3 records")
	// A quote may be of some banks only.
	r.given = map[mrlog.Register][]mrlog.Digest{pcr14: {{Alg: mrlog.SHA256, Sum: b.at[3]["sha256"]}}}
	got := r.snapshot(pcr14)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log:3")
	// But of none that the log does not have.
	r.given[pcr14] = append(r.given[pcr14], mrlog.Digest{Alg: mrlog.SHA1, Sum: make([]byte, 20)})
	wantState(t, r.snapshot(pcr14), Inconsistent, "INIT has no value of bank sha1")
}

// Values that were taken before: the device is not asked.
func TestGiven(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b", "c d", "e f")
	r := newRig(t)
	r.write(rtmr2, "log", b.text)
	r.d.set(rtmr2, b.end())
	r.c = &Collector{}
	for _, k := range []int{4, 2, 3, 1, 4} {
		r.given = map[mrlog.Register][]mrlog.Digest{rtmr2: b.at[k].digests()}
		s, err := r.c.Snapshot(context.Background(), Options{State: r.state, Device: r.d, Values: r.given})
		must(t, err)
		defer s.Close()
		if len(s.Registers) != 1 || s.Registers[0].Name != rtmr2 {
			t.Fatal("not the register of the values")
		}
		got := &s.Registers[0]
		wantState(t, got, Consistent, "")
		wantLogs(t, got, fmt.Sprintf("log:%d", k))
		if !got.Given || !s.Consistent {
			t.Error("Given or Consistent is false")
		}
	}
	if r.d.reads != 0 {
		t.Error("the device was read")
	}
	for name, bad := range map[string][]mrlog.Digest{
		"none":  {},
		"short": {{Alg: mrlog.SHA384, Sum: make([]byte, 47)}},
		"what":  {{Alg: 0x99, Sum: make([]byte, 47)}},
		"twice": {{Alg: mrlog.SHA384, Sum: make([]byte, 48)}, {Alg: mrlog.SHA384, Sum: make([]byte, 48)}},
	} {
		o := r.options()
		o.Values = map[mrlog.Register][]mrlog.Digest{rtmr2: bad}
		if _, err := Snapshot(context.Background(), o); err == nil {
			t.Errorf("%s: a value was taken that is none", name)
		}
	}
}

func TestOptions(t *testing.T) {
	r := newRig(t)
	if _, err := Snapshot(context.Background(), Options{Device: r.d}); err == nil {
		t.Error("no state folder: no error")
	}
	if _, err := Snapshot(context.Background(), Options{State: r.state}); err == nil {
		t.Error("no device: no error")
	}
	if _, err := Snapshot(context.Background(), r.options(mrlog.Register{Space: mrlog.RTMR, Index: 7})); !errors.Is(err, device.ErrNoRegister) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Snapshot(ctx, r.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// All registers that can be read or have a log, in order, each once.
	s, err := Snapshot(context.Background(), r.options())
	must(t, err)
	names := func() (out []mrlog.Register) {
		for _, x := range s.Registers {
			out = append(out, x.Name)
		}
		return out
	}
	if got := names(); len(got) != 3 || got[0] != pcr14 || got[2] != rtmr2 {
		t.Errorf("registers %v", got)
	}
	r.d.desc[0].NotReadable = "for a test"
	r.d.desc[1].NotReadable = "for a test"
	r.write(rtmr1, "log", newBook("boot-1", zero(rtmr1), "a b").text)
	s, err = Snapshot(context.Background(), r.options())
	must(t, err)
	defer s.Close()
	if got := names(); len(got) != 2 || got[0] != rtmr1 || s.Consistent {
		t.Errorf("registers %v", got)
	}
	wantState(t, &s.Registers[0], Unreadable, "rtmr1: the register cannot be read: for a test")
	wantLogs(t, &s.Registers[0], "log:2")
	now := time.Unix(1, 2)
	o := r.options(rtmr2, rtmr1, rtmr2)
	o.Now = func() time.Time { return now }
	s, err = Snapshot(context.Background(), o)
	must(t, err)
	defer s.Close()
	if len(names()) != 2 || s.Taken != now || s.Boot != "boot-1" || s.Device != r.d.Info() {
		t.Errorf("%+v", s)
	}
}

// Nobody's lock is waited for, not that of the state folder either.
func TestNoLock(t *testing.T) {
	state := filepath.Join(scratch(t), "state")
	must(t, os.Mkdir(state, 0o700))
	k, err := openKeeper(state, "boot-1")
	must(t, err)
	defer k.Close()
	_, err = k.Append(context.Background(), rtmr2, events([]string{"a"}))
	must(t, err)
	for _, path := range []string{state, filepath.Join(state, "rtmr2", "log"), filepath.Join(state, "soft", "rtmr2")} {
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	}
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := Snapshot(ctx, Options{State: state, Device: d})
	must(t, err)
	defer s.Close()
	if got := &s.Registers[2]; !s.Consistent || got.Name != rtmr2 || got.Logs[0].Records != 2 {
		t.Errorf("%+v", s)
	}
}

// countdown is a context that is cancelled after it was asked so often.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// Wherever a snapshot is interrupted, it says so, and not that a log is wrong.
func TestInterrupted(t *testing.T) {
	r := newRig(t)
	one := newBook("boot-1", zero(rtmr2), "a b", "c d")
	r.write(rtmr2, "log.1", one.text)
	r.write(rtmr2, "log", newBook("boot-1", one.end(), "e f").text)
	other := newBook("boot-1", zero(rtmr1), "e f")
	r.write(rtmr1, "log", other.text)
	r.d.set(rtmr1, other.end())
	r.d.set(rtmr2, one.end())
	for n := 0; ; n++ {
		s, err := Snapshot(&countdown{context.Background(), n}, r.options())
		if err == nil {
			must(t, s.Close())
			if !s.Consistent || n < 5 {
				t.Errorf("not asked for the last time, after %d: %+v", n, s)
			}
			break
		}
		if err != context.Canceled {
			t.Fatalf("after %d times: %v", n, err)
		}
	}
}

func TestUnreadable(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b")
	dir := func(r *rig) string { return filepath.Join(r.state, "rtmr2") }
	for name, x := range map[string]struct {
		change func(r *rig)
		reason string
	}{
		"device": {func(r *rig) { r.d.err = errors.New("gone") }, "reading the register: gone"},
		"stale":  {func(r *rig) { r.d.stale = true }, "may be old"},
		"link": {func(r *rig) {
			must(t, os.Rename(r.path(rtmr2, "log"), r.path(rtmr2, "real")))
			must(t, os.Symlink("real", r.path(rtmr2, "log")))
		}, "rtmr2/log: it is a symbolic link"},
		"fifo": {func(r *rig) {
			must(t, os.Remove(r.path(rtmr2, "log")))
			must(t, unix.Mkfifo(r.path(rtmr2, "log"), 0o600))
		}, "rtmr2/log: it is not a regular file"},
		"folder": {func(r *rig) {
			must(t, os.Remove(r.path(rtmr2, "log")))
			must(t, os.Mkdir(r.path(rtmr2, "log"), 0o700))
		}, "rtmr2/log: it is not a regular file"},
		"linked folder": {func(r *rig) {
			must(t, os.Rename(dir(r), dir(r)+".real"))
			must(t, os.Symlink("rtmr2.real", dir(r)))
		}, "rtmr2: it is not a folder"},
		"file": {func(r *rig) {
			must(t, os.RemoveAll(dir(r)))
			must(t, os.WriteFile(dir(r), nil, 0o600))
		}, "rtmr2: it is not a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write(rtmr2, "log", b.text)
			r.d.set(rtmr2, b.end())
			x.change(r)
			wantState(t, r.snapshot(rtmr2), Unreadable, x.reason)
		})
	}
	// Likewise while the register holds its reset value.
	r := newRig(t)
	r.write(rtmr2, "log", "")
	must(t, os.Remove(r.path(rtmr2, "log")))
	must(t, os.Symlink("x", r.path(rtmr2, "log")))
	wantState(t, r.snapshot(rtmr2), Unreadable, "it is a symbolic link")
	// No folder, and no value.
	r = newRig(t)
	r.d.err = errors.New("gone")
	wantState(t, r.snapshot(rtmr2), Unreadable, "gone")
}

// A writer that extends before it has written the newline is met in between.
func TestExtendedFirst(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b")
	r := newRig(t)
	r.write(rtmr2, "log", b.text+"c d")
	must(t, os.Chmod(r.path(rtmr2, "log"), 0o600|os.ModeSticky))
	r.d.set(rtmr2, b.end().extend("c d"))
	r.d.after = func(_ mrlog.Register, n int) {
		if n == 3 {
			r.write(rtmr2, "log", b.text+"c d\n")
		}
	}
	got := r.snapshot(rtmr2)
	wantState(t, got, Consistent, "")
	wantLogs(t, got, "log:3")
}

func TestAltered(t *testing.T) {
	b := newBook("boot-1", zero(rtmr2), "a b", "c d")
	for name, text := range map[string]string{
		"byte":    strings.Replace(b.text, "a b", "a c", 1),
		"cut":     b.text[:b.ends[1]],
		"torn":    b.text[:len(b.text)-1],
		"second":  strings.Replace(b.text, "a b", "INIT", 1),
		"newline": strings.Replace(b.text, "a b", "a\nb", 1),
		"comment": strings.Replace(b.text, "a b", "# b", 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.c = &Collector{}
			r.write(rtmr2, "log", b.text)
			r.d.set(rtmr2, b.end())
			got := r.snapshot(rtmr2)
			r.write(rtmr2, "log", text)
			_, err := got.Logs[0].WriteTo(&bytes.Buffer{})
			if !errors.Is(err, ErrAltered) {
				t.Fatalf("got %v", err)
			}
			// The collector does not trust it any longer either.
			if got := r.snapshot(rtmr2); got.State != Inconsistent {
				t.Errorf("then %s", got.State)
			}
		})
	}
}

// A value of an older log of this boot is found, though a log in between does
// not join it: it had diverged, or the register was reset.
func TestBehindABreak(t *testing.T) {
	one := newBook("boot-1", zero(rtmr2), "a b", "c d")
	for name, start := range map[string]values{"diverged": one.end().extend("stray"), "reset": zero(rtmr2)} {
		for _, boot := range []string{"boot-1", "boot-0"} {
			one := newBook(boot, zero(rtmr2), "a b", "c d")
			two := newBook("boot-1", start, "e f")
			three := newBook("boot-1", two.end().extend("another"), "g h")
			r := newRig(t)
			r.write(rtmr2, "log.1", one.text)
			r.write(rtmr2, "log.2", two.text)
			r.write(rtmr2, "log", three.text)
			r.d.set(rtmr2, three.end())
			r.given = map[mrlog.Register][]mrlog.Digest{rtmr2: one.at[2].digests()}
			got := r.snapshot(rtmr2)
			if boot == "boot-0" { // not of this boot
				wantState(t, got, Inconsistent, "no prefix")
				continue
			}
			wantState(t, got, Consistent, "")
			if len(got.Logs) != 1 || got.Logs[0].Number != 1 || got.Logs[0].Records != 2 {
				t.Errorf("%s: %+v", name, got.Logs)
			}
			r.given = nil
			if got := r.snapshot(rtmr2); got.State != Consistent || !got.Unexplained || len(got.Logs) != 1 {
				t.Errorf("%s, the value of now: %s, unexplained %t", name, got.State, got.Unexplained)
			}
		}
	}
}
