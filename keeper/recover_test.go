// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// machine builds a log and a register value by hand.
type machine struct {
	*rig
	text   strings.Builder
	values map[string][]byte // of the log so far
}

func build(r *rig, boot string) *machine {
	m := &machine{rig: r, values: r.m.value(r.reg)}
	fmt.Fprintf(&m.text, "#: register %s\n", r.reg)
	if boot != "" {
		fmt.Fprintf(&m.text, "#: boot %s\n", boot)
	}
	init := "INIT"
	for _, b := range r.banks {
		init += " " + b.name + "/" + hex.EncodeToString(m.values[b.name])
	}
	m.record(init)
	return m
}

// record writes a record and replays it.
func (m *machine) record(l string) *machine {
	m.text.WriteString(l + "\n")
	for _, b := range m.banks {
		m.values[b.name] = b.hash(append(m.values[b.name], b.hash([]byte(l))...))
	}
	return m
}

// extended gives the register the value that the log has here.
func (m *machine) extended() *machine {
	for _, b := range m.banks {
		m.m.set(m.reg, b, m.values[b.name])
	}
	return m
}

// raw writes text that is not replayed.
func (m *machine) raw(text string) *machine {
	m.text.WriteString(text)
	return m
}

// save puts the log where the keeper looks.
func (m *machine) save() {
	m.t.Helper()
	if err := os.MkdirAll(m.dir(), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.log(), []byte(m.text.String()), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// TestRecoveryTable goes through the table of the specification row by row,
// with one bank and with two.
func TestRecoveryTable(t *testing.T) {
	long := func(m *machine, n int) *machine {
		for i := range n {
			m.record(line(fmt.Sprint("tail ", i)))
		}
		return m
	}
	for _, row := range []struct {
		name    string
		prep    func(m *machine)
		boot    string // of the log; "" for this one
		reason  Reason // if it diverged
		outcome Outcome
		state   State // before
		events  []string
		agree   int64 // with a divergence: last record known to agree, -1 for none
	}{
		{
			name:  "all records replay to v",
			prep:  func(m *machine) { m.record(line("a")).extended() },
			state: Clean, outcome: Outcome{Records: 2}, events: []string{"a"},
		},
		{
			name:  "comments and blank lines",
			prep:  func(m *machine) { m.raw("# c\n\n#\n").record(line("a")).raw("\n#:\n#: x\n").extended() },
			state: Clean, outcome: Outcome{Records: 2}, events: []string{"a"},
		},
		{
			name:  "a record of another keeper, already extended",
			prep:  func(m *machine) { m.record("bytes \xff\x00 \r").extended() },
			state: Clean, outcome: Outcome{Records: 2}, events: nil,
		},
		{
			name:  "a proper prefix gives v",
			prep:  func(m *machine) { m.record(line("a")).extended().record(line("b")).raw("# c\n").record(line("c")) },
			state: Behind, outcome: Outcome{Records: 4, Extended: 2}, events: []string{"a", "b", "c"},
		},
		{
			name:  "INIT is the prefix",
			prep:  func(m *machine) { m.extended().record(line("a")) },
			state: Behind, outcome: Outcome{Records: 2, Extended: 1}, events: []string{"a"},
		},
		{
			name:  "a tail of MaxBatch",
			prep:  func(m *machine) { long(m.extended(), MaxBatch) },
			state: Behind, outcome: Outcome{Records: MaxBatch + 1, Extended: MaxBatch}, events: nil,
		},
		{
			name:  "a tail above MaxBatch",
			prep:  func(m *machine) { long(m.record(line("a")).extended(), MaxBatch+1) },
			state: Diverged, reason: LongTail, agree: 1,
		},
		{
			name:  "only INIT, not extended",
			prep:  func(m *machine) {},
			state: Behind, outcome: Outcome{Records: 1, Extended: 1},
		},
		{
			name: "only INIT of an earlier boot",
			prep: func(m *machine) {}, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 1},
		},
		{
			name:  "torn line, not extended",
			prep:  func(m *machine) { m.record(line("a")).extended().raw("test.exam") },
			state: Torn, outcome: Outcome{Records: 2, Cut: 9}, events: []string{"a"},
		},
		{
			name:  "torn comment",
			prep:  func(m *machine) { m.record(line("a")).extended().raw("# comm") },
			state: Torn, outcome: Outcome{Records: 2, Cut: 6}, events: []string{"a"},
		},
		{
			name:  "torn line after records that were not extended",
			prep:  func(m *machine) { m.extended().record(line("a")).raw("test.exam") },
			state: Torn, outcome: Outcome{Records: 2, Extended: 1, Cut: 9}, events: []string{"a"},
		},
		{
			name: "torn line, extended",
			prep: func(m *machine) {
				m.record(line("a")).record(line("b")).extended()
				s := strings.TrimSuffix(m.text.String(), "\n")
				m.text.Reset()
				m.raw(s)
			},
			state: Torn, outcome: Outcome{Records: 3, Completed: true}, events: []string{"a", "b"},
		},
		{
			name: "torn INIT line after INIT, extended",
			prep: func(m *machine) {
				m.record(line("a")).record("INIT x").extended()
				whole := strings.TrimSuffix(m.text.String(), "\n")
				m.text.Reset()
				m.raw(whole)
			},
			state: Diverged, reason: SecondInit, agree: -1,
		},
		{
			name:  "torn INIT line after INIT",
			prep:  func(m *machine) { m.extended().raw("INIT sha384/00") },
			state: Torn, outcome: Outcome{Records: 1, Cut: 14},
		},
		{
			name: "reset with the machine",
			prep: func(m *machine) { m.record(line("a")) }, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 2},
		},
		{
			name:  "reset during this boot",
			prep:  func(m *machine) { m.record(line("a")) },
			state: Diverged, reason: WasReset, agree: -1,
		},
		{
			name: "reset, no boot hint",
			prep: func(m *machine) { m.record(line("a")) }, boot: "-",
			state: Diverged, reason: WasReset, agree: -1,
		},
		{
			name: "kexec",
			prep: func(m *machine) { m.record(line("a")).extended() }, boot: "boot-0",
			state: Clean, outcome: Outcome{Records: 2, BootHint: true}, events: []string{"a"},
		},
		{
			name: "kexec in the middle of an append",
			prep: func(m *machine) { m.record(line("a")).extended().record(line("b")) }, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 3},
		},
		{
			name: "kexec inside a write",
			prep: func(m *machine) { m.record(line("a")).extended().raw("test.exam") }, boot: "boot-0",
			state: Torn, outcome: Outcome{Records: 2, Cut: 9, BootHint: true}, events: []string{"a"},
		},
		{
			name: "kexec before the newline of a record that was extended",
			prep: func(m *machine) {
				m.record(line("a")).extended()
				s := strings.TrimSuffix(m.text.String(), "\n")
				m.text.Reset()
				m.raw(s)
			}, boot: "boot-0",
			state: Torn, outcome: Outcome{Records: 2, Completed: true, BootHint: true}, events: []string{"a"},
		},
		{
			name: "a tail of another boot that no keeper writes",
			prep: func(m *machine) { m.record(line("a")).extended().record("bell \a") }, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 3},
		},
		{
			name: "a long tail of another boot",
			prep: func(m *machine) { long(m.record(line("a")).extended(), MaxBatch+1) }, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: MaxBatch + 3},
		},
		{
			name: "second INIT, another boot",
			prep: func(m *machine) { m.record("INIT sha384/" + strings.Repeat("0", 96)).extended() }, boot: "boot-0",
			state: Diverged, reason: SecondInit, agree: 1,
		},
		{
			name: "other banks, another boot",
			prep: func(m *machine) {
				m.text.Reset()
				m.raw("#: boot boot-0\nINIT sha512/" + strings.Repeat("0", 128) + "\n")
			},
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 1},
		},
		{
			name: "the last boot hint counts",
			prep: func(m *machine) { m.record(line("a")).extended().raw("#: boot boot-1\n") }, boot: "boot-0",
			state: Clean, outcome: Outcome{Records: 2}, events: []string{"a"},
		},
		{
			name:  "a malformed line in the tail",
			prep:  func(m *machine) { m.record(line("a")).extended().record(line("b")).record("bell \a") },
			state: Diverged, reason: ForeignTail, agree: 1,
		},
		{
			name:  "a reserved domain in the tail",
			prep:  func(m *machine) { m.record(line("a")).extended().record("MRLOG x y") },
			state: Diverged, reason: ForeignTail, agree: 1,
		},
		{
			name:  "INIT in the tail",
			prep:  func(m *machine) { m.extended().record("INIT sha384/" + strings.Repeat("0", 96)) },
			state: Diverged, reason: SecondInit, agree: 0,
		},
		{
			name:  "INIT again, extended",
			prep:  func(m *machine) { m.record("INIT sha384/" + strings.Repeat("0", 96)).extended() },
			state: Diverged, reason: SecondInit, agree: 1,
		},
		{
			name:  "no prefix gives v",
			prep:  func(m *machine) { m.record(line("a")).extended().m.extend(m.reg, "stray") },
			state: Diverged, reason: NoPrefix, agree: -1,
		},
		{
			name: "no prefix gives v, another boot",
			prep: func(m *machine) { m.record(line("a")).extended().m.extend(m.reg, "stray") }, boot: "boot-0",
			state: Earlier, outcome: Outcome{Records: 1, Extended: 1, SetAside: "log.1", AsideRecords: 2},
		},
		{
			name:  "extended before the log began",
			prep:  func(m *machine) { m.m.extend(m.reg, "stray") },
			state: Diverged, reason: NoPrefix, agree: -1,
		},
		{
			name:  "an empty log",
			prep:  func(m *machine) { m.text.Reset() },
			state: Diverged, reason: LogUnopened, agree: -1,
		},
		{
			name:  "a log of comments",
			prep:  func(m *machine) { m.text.Reset(); m.raw("# INIT\n") },
			state: Diverged, reason: LogUnopened, agree: -1,
		},
		{
			name:  "a log without INIT",
			prep:  func(m *machine) { m.text.Reset(); m.raw(line("a") + "\n") },
			state: Diverged, reason: LogUnopened, agree: -1,
		},
		{
			name:  "a torn INIT",
			prep:  func(m *machine) { s := m.text.String(); m.text.Reset(); m.raw(s[:len(s)-10]) },
			state: Diverged, reason: LogUnopened, agree: -1,
		},
		{
			name: "INIT with other banks",
			prep: func(m *machine) {
				m.text.Reset()
				m.raw("INIT sha512/" + strings.Repeat("0", 128) + "\n")
			},
			state: Diverged, reason: OtherBanks, agree: -1,
		},
		{
			name:  "a line above the limit",
			prep:  func(m *machine) { m.raw(strings.Repeat("x", 3<<20) + "\n").record(line("a")).extended() },
			state: Diverged, reason: Unreplayable, agree: -1,
		},
	} {
		for _, make := range []func(testing.TB) *rig{newRig, newTPMRig} {
			r := make(t)
			t.Run(row.name+" "+r.reg.String(), func(t *testing.T) {
				r := make(t)
				boot := row.boot
				switch boot {
				case "":
					boot = r.boot
				case "-":
					boot = ""
				}
				m := build(r, boot)
				row.prep(m)
				m.save()
				before := m.text.String()

				k := r.open(nil)
				s, err := k.Status(context.Background(), r.reg)
				if err != nil || s.State != row.state {
					t.Fatalf("status is %q (%v), %v; want %q", s.State, s.Err, err, row.state)
				}
				if (s.State == Clean) != (s.Remedy == "") {
					t.Errorf("status %s with remedy %q", s.State, s.Remedy)
				}
				if now, _ := os.ReadFile(r.log()); string(now) != before {
					t.Fatal("Status changed the log")
				}
				o, err := k.Recover(context.Background(), r.reg)
				if row.reason != "" {
					d := wantDiverged(t, err, row.reason)
					if row.agree < 0 && d.Agree != nil || row.agree >= 0 && (d.Agree == nil || d.Agree.Record != row.agree) {
						t.Errorf("last record known to agree is %+v, want %d", d.Agree, row.agree)
					}
					for _, v := range r.m.value(r.reg) {
						if !strings.Contains(err.Error(), hex.EncodeToString(v)) {
							t.Errorf("the error does not state the register's value: %v", err)
						}
					}
					values := r.m.value(r.reg)
					if _, err := k.Append(context.Background(), r.reg, []Event{ev("x")}); !errors.Is(err, ErrDiverged) {
						t.Errorf("Append: %v", err)
					}
					if err := k.Comment(context.Background(), r.reg, "x"); !errors.Is(err, ErrDiverged) {
						t.Errorf("Comment: %v", err)
					}
					if now, _ := os.ReadFile(r.log()); string(now) != before {
						t.Error("a log that has diverged was changed")
					}
					for name, v := range r.m.value(r.reg) {
						if string(v) != string(values[name]) {
							t.Error("a register that has diverged was extended")
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := row.outcome
				if want.SetAside != "" {
					want.SetAside = r.dir() + "/" + want.SetAside
					if old, _ := os.ReadFile(want.SetAside); string(old) != before {
						t.Error("the log set aside is not what it was")
					}
				}
				if o != want {
					t.Errorf("outcome %+v, want %+v", o, want)
				}
				p := r.check()
				if row.events != nil {
					var lines []string
					for _, e := range row.events {
						lines = append(lines, line(e))
					}
					if !slices.Equal(p.events, lines) {
						t.Errorf("events %q, want %q", p.events, lines)
					}
				}
				if !slices.Contains(p.hints, "boot "+r.boot) {
					t.Errorf("hints are %q", p.hints)
				}
				r.append(k, "next")
				r.check()
				if s, _ := k.Status(context.Background(), r.reg); s.State != Clean {
					t.Errorf("status afterwards: %+v", s)
				}
			})
		}
	}
}

// TestBanksApart: one bank was extended alone.
func TestBanksApart(t *testing.T) {
	for _, b := range []bank{sha2, sha384} {
		r := newTPMRig(t)
		k := r.open(nil)
		r.append(k, "a")
		k.Close()
		other := r.m.value(r.reg)
		leave(r, line("b")+"\n")
		r.m.set(r.reg, b, b.hash(append(other[b.name], b.hash([]byte(line("b")))...)))
		_, err := r.open(nil).Recover(context.Background(), r.reg)
		d := wantDiverged(t, err, BanksApart)
		if d.Agree == nil || d.Agree.Record != 1 {
			t.Errorf("last record known to agree: %+v", d.Agree)
		}
		r.m.set(r.reg, b, make([]byte, b.size))
		r.m.set(r.reg, b, b.hash([]byte("x")))
		_, err = r.open(nil).Recover(context.Background(), r.reg)
		wantDiverged(t, err, BanksApart)
	}
}

// TestActiveBanksChanged: INIT lists a bank that the register no longer has.
func TestActiveBanksChanged(t *testing.T) {
	r := newTPMRig(t)
	r.append(r.open(nil), "a")
	r.m.desc[0].Banks = r.m.desc[0].Banks[:1]
	r.m.values[r.reg] = r.m.values[r.reg][:1]
	_, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("b")})
	wantDiverged(t, err, OtherBanks)
}

// TestNoFolder: a register that was extended before its first log.
func TestNoFolder(t *testing.T) {
	r := newRig(t)
	r.m.extend(r.reg, "firmware")
	value := r.m.value(r.reg)["sha384"]
	k := r.open(nil)
	if o, err := k.Recover(context.Background(), r.reg); err != nil || !o.Absent {
		t.Fatalf("Recover without a log: %+v, %v", o, err)
	}
	if _, err := os.Stat(r.dir()); err == nil {
		t.Fatal("Recover made a log")
	}
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Absent || s.Remedy == "" {
		t.Fatalf("status %+v, %v", s, err)
	}
	r.append(k, "a")
	r.wantEvents("a")
	data, _ := os.ReadFile(r.log())
	if want := "INIT sha384/" + hex.EncodeToString(value) + "\n"; !strings.Contains(string(data), want) {
		t.Errorf("log does not begin with %s%s", want, data)
	}
}

// TestResetFromAnotherStart: the register had a value before its log began, and
// is at its reset value in the next boot.
func TestResetFromAnotherStart(t *testing.T) {
	r := newRig(t)
	r.m.extend(r.reg, "firmware")
	r.append(r.open(nil), "a")
	r.m.reset()
	_, err := r.open(nil).Append(context.Background(), r.reg, []Event{ev("b")})
	wantDiverged(t, err, WasReset)
	r.boot = "boot-2"
	r.append(r.open(nil), "b")
	r.wantEvents("b")
}

// TestManyResets keeps every log.
func TestManyResets(t *testing.T) {
	r := newRig(t)
	for i := range 12 {
		r.boot = fmt.Sprint("boot-", i)
		r.m.reset()
		r.append(r.open(nil), "same")
		r.wantEvents("same")
		if i > 0 {
			if _, err := os.Stat(r.log() + fmt.Sprint(".", i)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestInterruptedSetAside: a keeper died between link and rename.
func TestInterruptedSetAside(t *testing.T) {
	r := newRig(t)
	r.append(r.open(nil), "a")
	if err := os.Link(r.log(), r.log()+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.dir()+"/log.new", []byte("INIT sha3"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := r.open(nil)
	if s, err := k.Status(context.Background(), r.reg); err != nil || s.State != Clean {
		t.Fatalf("status %+v, %v", s, err)
	}
	r.append(k, "b")
	r.wantEvents("a", "b")
	if _, err := os.Lstat(r.log() + ".1"); err == nil {
		t.Error("the second name is still there")
	}
	r.m.reset()
	r.boot = "boot-2"
	r.append(r.open(nil), "c")
	r.wantEvents("c")
}

// TestDecide: what the rows above cannot reach because an earlier row catches
// it.
func TestDecide(t *testing.T) {
	f := finding{opened: true, banks: true, records: 3, matches: []int64{3}}
	if v := decide(f); v.action != nothing || v.cut {
		t.Errorf("clean: %+v", v)
	}
	f.torn = true
	if v := decide(f); v.action != nothing || !v.cut {
		t.Errorf("clean but torn: %+v", v)
	}
	f.matches, f.foreign = []int64{2}, true
	if v := decide(f); v.reason != ForeignTail {
		t.Errorf("foreign: %+v", v)
	}
	f.matches = []int64{2, -1}
	if v := decide(f); v.reason != BanksApart {
		t.Errorf("apart: %+v", v)
	}
}

func TestReplayAtEveryChunk(t *testing.T) {
	// Lines around the size of a read, so that they straddle its end.
	r := newRig(t)
	m := build(r, r.boot)
	for n := chunk - 3; n <= chunk+3; n++ {
		m.record(strings.Repeat("a", n))
		m.record("x")
	}
	m.record(strings.Repeat("b", 1<<20))
	m.record(strings.Repeat("c", 1<<20))
	m.record("y")
	m.extended().save()
	s, err := r.open(nil).Status(context.Background(), r.reg)
	if err != nil || s.State != Clean || s.Records != 18 {
		t.Errorf("%s, %d records, %v %v", s.State, s.Records, s.Err, err)
	}
}

// Whoever extends INIT makes durable first that the log is at its path: the one
// who put it there may have died before that.
func TestInitSyncsFolders(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *rig{
		"readable": newRig,
		"blind":    func(t testing.TB) *rig { return blinded(newRig(t)) },
	} {
		r := make(t)
		f := &faults{at: func(n int, step string) fate {
			if step == "place rtmr2" {
				return dieAfter
			}
			return pass
		}}
		if _, err := r.open(f).Append(context.Background(), r.reg, []Event{ev("a")}); err == nil {
			t.Fatal("it lives")
		}
		f = new(faults)
		r.append(r.open(f), "b")
		extend := slices.Index(f.steps, "extend 1")
		for _, s := range []string{"sync rtmr2", "sync state"} {
			if at := slices.Index(f.steps, s); at < 0 || at > extend {
				t.Errorf("%s: no %s before INIT is extended: %q", name, s, f.steps)
			}
		}
		r.wantEvents("b")
	}
}
