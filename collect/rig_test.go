// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mrlog.dev"
	"mrlog.dev/device"
)

var (
	rtmr1 = mrlog.Register{Space: mrlog.RTMR, Index: 1}
	rtmr2 = mrlog.Register{Space: mrlog.RTMR, Index: 2}
	pcr14 = mrlog.Register{Space: mrlog.PCR, Index: 14}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scratch returns a folder on tmpfs, if there is one.
func scratch(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "mrlog-collect-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// values are a register's, by bank, as the code below computes them: it shares
// nothing with the package.
type values map[string][]byte

var hashes = map[string]func([]byte) []byte{
	"sha384": func(p []byte) []byte { s := sha512.Sum384(p); return s[:] },
	"sha256": func(p []byte) []byte { s := sha256.Sum256(p); return s[:] },
}

func (v values) extend(line string) values {
	out := values{}
	for name, old := range v {
		h := hashes[name]
		out[name] = h(append(bytes.Clone(old), h([]byte(line))...))
	}
	return out
}

func (v values) clone() values {
	out := values{}
	for name, old := range v {
		out[name] = bytes.Clone(old)
	}
	return out
}

func (v values) same(o values) bool {
	if len(v) != len(o) {
		return false
	}
	for name := range v {
		if !bytes.Equal(v[name], o[name]) {
			return false
		}
	}
	return true
}

func (v values) init() string {
	s := "INIT"
	for _, name := range []string{"sha256", "sha384"} {
		if v[name] != nil {
			s += " " + name + "/" + hex.EncodeToString(v[name])
		}
	}
	return s
}

func (v values) digests() []mrlog.Digest {
	var out []mrlog.Digest
	for _, alg := range []mrlog.Alg{mrlog.SHA256, mrlog.SHA384} {
		if sum := v[alg.String()]; sum != nil {
			out = append(out, mrlog.Digest{Alg: alg, Sum: bytes.Clone(sum)})
		}
	}
	return out
}

func valuesOf(digests []mrlog.Digest) values {
	out := values{}
	for _, d := range digests {
		out[d.Alg.String()] = d.Sum
	}
	return out
}

// replayed is a log as a stranger reads it.
type replayed struct {
	start, end values
	events     []string
}

// replay reads a log, or the beginning of one, with code of its own.
func replay(data []byte) (replayed, error) {
	var r replayed
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return r, errors.New("it does not end with a newline")
	}
	for n, l := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if l == "" || l[0] == '#' {
			continue
		}
		isInit := strings.HasPrefix(l, "INIT ")
		if isInit == (r.start != nil) {
			return r, fmt.Errorf("line %d: INIT out of place", n+1)
		}
		if isInit {
			r.start = values{}
			for _, f := range strings.Fields(l)[1:] {
				name, value, _ := strings.Cut(f, "/")
				v, err := hex.DecodeString(value)
				if err != nil {
					return r, err
				}
				r.start[name] = v
			}
			r.end = r.start
		} else {
			r.events = append(r.events, l)
		}
		r.end = r.end.extend(l)
	}
	return r, nil
}

// fake is a device in memory with registers that tests set.
type fake struct {
	mu    sync.Mutex
	desc  []device.Register
	held  map[mrlog.Register]values
	stale bool
	err   error
	reads int
	after func(reg mrlog.Register, n int) // called after a read, with their number
}

func newFake() *fake {
	f := &fake{held: make(map[mrlog.Register]values)}
	for _, reg := range []mrlog.Register{pcr14, rtmr1, rtmr2} {
		d := device.Register{Name: reg}
		algs := []mrlog.Alg{mrlog.SHA384}
		if reg == pcr14 {
			algs = []mrlog.Alg{mrlog.SHA256, mrlog.SHA384}
		}
		f.held[reg] = values{}
		for _, a := range algs {
			d.Banks = append(d.Banks, device.Bank{Alg: a, Reset: reg.ResetValue(a)})
			f.held[reg][a.String()] = reg.ResetValue(a)
		}
		f.desc = append(f.desc, d)
	}
	return f
}

func (f *fake) Info() device.Info {
	return device.Info{Kind: "fake", Simulated: true, Where: "memory"}
}
func (f *fake) Registers() []device.Register { return f.desc }

func (f *fake) Read(_ context.Context, reg mrlog.Register) (device.Reading, error) {
	f.mu.Lock()
	out, err := device.Reading{Values: f.held[reg].digests(), Fresh: !f.stale}, f.err
	f.reads++
	n := f.reads
	f.mu.Unlock()
	if f.after != nil {
		f.after(reg, n)
	}
	return out, err
}

func (f *fake) Extend(context.Context, mrlog.Register, [][]mrlog.Digest) (int, error) {
	return 0, errors.New("a snapshot extends nothing")
}

func (f *fake) set(reg mrlog.Register, v values) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[reg] = v
}

// rig is a machine with a state folder, whose files the tests write.
type rig struct {
	t     testing.TB
	state string
	d     *fake
	c     *Collector // nil for one that remembers nothing
	boot  string
	given map[mrlog.Register][]mrlog.Digest
}

func newRig(t testing.TB) *rig {
	return &rig{t: t, state: scratch(t), d: newFake(), boot: "boot-1"}
}

func (r *rig) path(reg mrlog.Register, name string) string {
	return filepath.Join(r.state, reg.String(), name)
}

// write makes a file below a register's folder.
func (r *rig) write(reg mrlog.Register, name, text string) {
	r.t.Helper()
	must(r.t, os.MkdirAll(filepath.Join(r.state, reg.String()), 0o700))
	must(r.t, os.WriteFile(r.path(reg, name), []byte(text), 0o600))
}

// book is the text of a log, and the values after each of its records.
type book struct {
	text string
	at   []values // at[0]: INIT's value; at[k]: after k records
	ends []int    // bytes of the first k records; ends[0] is 0
}

func newBook(boot string, start values, events ...string) *book {
	b := &book{at: []values{start}, ends: []int{0}}
	b.text = "#: register x\n#: boot " + boot + "\n"
	b.add(start.init())
	for _, e := range events {
		b.add(e)
	}
	return b
}

func (b *book) add(line string) {
	b.text += line + "\n"
	b.at = append(b.at, b.at[len(b.at)-1].extend(line))
	b.ends = append(b.ends, len(b.text))
}

func (b *book) end() values { return b.at[len(b.at)-1] }

func zero(reg mrlog.Register) values {
	v := values{"sha384": make([]byte, 48)}
	if reg.Space == mrlog.PCR {
		v["sha256"] = make([]byte, 32)
	}
	return v
}

func (r *rig) options(regs ...mrlog.Register) Options {
	return Options{
		State: r.state, Device: r.d, Registers: regs, Values: r.given,
		BootID: func() (string, error) { return r.boot, nil },
	}
}

// snapshot takes a snapshot of one register.
func (r *rig) snapshot(reg mrlog.Register) *Register {
	r.t.Helper()
	c := r.c
	if c == nil {
		c = &Collector{}
	}
	s, err := c.Snapshot(context.Background(), r.options(reg))
	must(r.t, err)
	r.t.Cleanup(func() { s.Close() })
	if len(s.Registers) != 1 {
		r.t.Fatalf("%d registers, want 1", len(s.Registers))
	}
	got := &s.Registers[0]
	if want := got.State == Consistent || got.State == NoLog; s.Consistent != want {
		r.t.Errorf("Consistent is %t with a register that is %s", s.Consistent, got.State)
	}
	if got.State == Consistent {
		r.t.Helper()
		checkChain(r.t, got)
	}
	return got
}

// checkChain replays a consistent register's logs by other code.
func checkChain(t testing.TB, reg *Register) (events []string) {
	t.Helper()
	if len(reg.Logs) == 0 {
		t.Fatalf("%s is consistent without a log", reg.Name)
	}
	var last values
	for i, l := range reg.Logs {
		var out bytes.Buffer
		n, err := l.WriteTo(&out)
		must(t, err)
		if n != l.Bytes || int64(out.Len()) != n {
			t.Fatalf("%s: %d bytes, said %d, want %d", l.Path, out.Len(), n, l.Bytes)
		}
		p, err := replay(out.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", l.Path, err)
		}
		if int64(len(p.events)+1) != l.Records {
			t.Errorf("%s: %d records, want %d", l.Path, len(p.events)+1, l.Records)
		}
		if !p.start.same(valuesOf(l.Start)) || !p.end.same(valuesOf(l.End)) {
			t.Errorf("%s: start or end are not those of the replay", l.Path)
		}
		if i > 0 && !p.start.same(last) {
			t.Errorf("%s does not begin where the log before ends", l.Path)
		}
		last = p.end
		events = append(events, p.events...)
	}
	for _, v := range reg.Values {
		if !bytes.Equal(last[v.Alg.String()], v.Sum) {
			t.Fatalf("%s: the logs replay to %x, the value is %s", reg.Name, last[v.Alg.String()], v)
		}
	}
	if want := !reg.Name.ResetsTo(reg.Logs[0].Start[0].Alg, reg.Logs[0].Start[0].Sum); reg.Unexplained != want {
		t.Errorf("Unexplained is %t", reg.Unexplained)
	}
	return events
}
