// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

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
	"slices"
	"strings"
	"sync"
	"testing"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

var (
	rtmr2 = mrlog.Register{Space: mrlog.RTMR, Index: 2}
	rtmr3 = mrlog.Register{Space: mrlog.RTMR, Index: 3}
	pcr14 = mrlog.Register{Space: mrlog.PCR, Index: 14}
)

// bank is a bank as the check below knows it: by name, with its own hash
// function, sharing nothing with the writer.
type bank struct {
	name string
	size int
	hash func([]byte) []byte
}

var (
	sha384 = bank{"sha384", 48, func(p []byte) []byte { s := sha512.Sum384(p); return s[:] }}
	sha2   = bank{"sha256", 32, func(p []byte) []byte { s := sha256.Sum256(p); return s[:] }}
)

// registers are those of a simulated machine, in memory.
type registers struct {
	mu     sync.Mutex
	desc   []device.Register
	values map[mrlog.Register][]mrlog.Digest
}

func newRegisters(regs []mrlog.Register, algs ...mrlog.Alg) *registers {
	m := &registers{values: make(map[mrlog.Register][]mrlog.Digest)}
	for _, r := range regs {
		d := device.Register{Name: r}
		for _, a := range algs {
			d.Banks = append(d.Banks, device.Bank{Alg: a, Reset: r.ResetValue(a)})
		}
		m.desc = append(m.desc, d)
	}
	m.reset()
	return m
}

func (m *registers) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.desc {
		m.values[d.Name] = nil
		for _, b := range d.Banks {
			m.values[d.Name] = append(m.values[d.Name], mrlog.Digest{Alg: b.Alg, Sum: bytes.Clone(b.Reset)})
		}
	}
}

func (m *registers) value(reg mrlog.Register) map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]byte)
	for _, v := range m.values[reg] {
		out[v.Alg.String()] = bytes.Clone(v.Sum)
	}
	return out
}

// set gives a bank of a register a value.
func (m *registers) set(reg mrlog.Register, b bank, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, v := range m.values[reg] {
		if v.Alg.String() == b.name {
			m.values[reg][i].Sum = bytes.Clone(value)
		}
	}
}

// extend extends all banks of a register with a line, behind any keeper's
// back.
func (m *registers) extend(reg mrlog.Register, line string) {
	for _, b := range []bank{sha384, sha2} {
		if v := m.value(reg)[b.name]; v != nil {
			m.set(reg, b, b.hash(append(v, b.hash([]byte(line))...)))
		}
	}
}

// fate is what happens at a step.
type fate int

const (
	pass       fate = iota
	failBefore      // an error, and nothing happened
	failAfter       // it happened, and an error
	dieBefore       // the process is gone before the step
	dieAfter        // or after it
	half            // a write is short; a batch of extends stops in the middle, with an error
	stale           // a read is not fresh
	fates
)

func (f fate) String() string {
	return [...]string{"pass", "failBefore", "failAfter", "dieBefore", "dieAfter", "half", "stale"}[f]
}

var (
	errInjected = errors.New("injected")
	errDead     = errors.New("the process is dead")
)

// faults sees every step of one keeper, and decides its fate.
type faults struct {
	mu    sync.Mutex
	dead  bool
	steps []string
	at    func(n int, step string) fate // nil for pass
}

func (f *faults) step(step string) fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return dieBefore
	}
	n := len(f.steps)
	f.steps = append(f.steps, step)
	if f.at == nil {
		return pass
	}
	out := f.at(n, step)
	if out == dieBefore || out == dieAfter {
		f.dead = true
	}
	return out
}

func (f *faults) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// run does what the fate of a step says.
func (f *faults) run(step string, do func() error) error {
	switch f.step(step) {
	case dieBefore:
		return errDead
	case failBefore:
		return errInjected
	case failAfter, half:
		if err := do(); err != nil {
			return err
		}
		return errInjected
	case dieAfter:
		_ = do()
		return errDead
	}
	return do()
}

// faultDisk is a disk with faults.
type faultDisk struct {
	disk
	f *faults
}

// volatile says no even on tmpfs, where tests run for speed: every sync takes
// place.
func (d faultDisk) volatile(p string) (bool, error) {
	_, err := d.disk.volatile(p)
	return false, err
}

func (d faultDisk) free(fd int) (n int64, err error) {
	err = d.f.run("free", func() error { n, err = d.disk.free(fd); return err })
	return n, err
}

func (d faultDisk) mkdir(p string) error {
	return d.f.run("mkdir "+filepath.Base(p), func() error { return d.disk.mkdir(p) })
}

func (d faultDisk) chmodDir(p string) error {
	return d.f.run("chmod "+filepath.Base(p), func() error { return d.disk.chmodDir(p) })
}

func (d faultDisk) clear(p string) error {
	return d.f.run("clear "+filepath.Base(p), func() error { return d.disk.clear(p) })
}

func (d faultDisk) create(p string) (fd int, err error) {
	err = d.f.run("create "+filepath.Base(p), func() error { fd, err = d.disk.create(p); return err })
	if err != nil && fd > 0 {
		system{}.close(fd)
	}
	return fd, err
}

// close is what the end of a process does.
func (system) close(fd int) { (&logFile{fd: fd}).close() }

func (d faultDisk) write(fd int, p []byte) (n int, err error) {
	switch d.f.step("write") {
	case dieBefore:
		return 0, errDead
	case failBefore:
		return 0, errInjected
	case failAfter:
		_, _ = d.disk.write(fd, p)
		return 0, errInjected
	case dieAfter:
		_, _ = d.disk.write(fd, p)
		return 0, errDead
	case half:
		return d.disk.write(fd, p[:len(p)/2])
	}
	return d.disk.write(fd, p)
}

func (d faultDisk) size(fd int) (n int64, err error) {
	err = d.f.run("size", func() error { n, err = d.disk.size(fd); return err })
	return n, err
}

func (d faultDisk) cut(fd int, n int64) error {
	return d.f.run("cut", func() error { return d.disk.cut(fd, n) })
}

func (d faultDisk) sync(fd int) error {
	return d.f.run("sync", func() error { return d.disk.sync(fd) })
}

func (d faultDisk) syncAll(fd int) error {
	return d.f.run("sync all", func() error { return d.disk.syncAll(fd) })
}

func (d faultDisk) syncDir(p string) error {
	return d.f.run("sync "+filepath.Base(p), func() error { return d.disk.syncDir(p) })
}

func (d faultDisk) mark(fd int, on bool) error {
	return d.f.run(fmt.Sprintf("mark %t", on), func() error { return d.disk.mark(fd, on) })
}

func (d faultDisk) doubt(fd int) error {
	return d.f.run("doubt", func() error { return d.disk.doubt(fd) })
}

func (d faultDisk) place(a, b string) error {
	return d.f.run("place "+filepath.Base(b), func() error { return d.disk.place(a, b) })
}

func (d faultDisk) link(a, b string) error {
	return d.f.run("link "+filepath.Base(b), func() error { return d.disk.link(a, b) })
}

func (d faultDisk) replace(a, b string) error {
	return d.f.run("replace "+filepath.Base(b), func() error { return d.disk.replace(a, b) })
}

func (d faultDisk) unlink(p string) error {
	return d.f.run("unlink "+filepath.Base(p), func() error { return d.disk.unlink(p) })
}

func (d faultDisk) remove(p string) error {
	return d.f.run("remove "+filepath.Base(p), func() error { return d.disk.remove(p) })
}

// faultDevice is one process's way to the registers, with faults.
type faultDevice struct {
	m *registers
	f *faults
}

func (d faultDevice) Info() device.Info {
	return device.Info{Kind: "fake", Simulated: true, Where: "memory"}
}
func (d faultDevice) Registers() []device.Register { return d.m.desc }

func (d faultDevice) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	out := device.Reading{Fresh: true}
	switch d.f.step("read") {
	case dieBefore, dieAfter:
		return out, errDead
	case failBefore, failAfter, half:
		return out, errInjected
	case stale:
		out.Fresh = false
	}
	for _, desc := range d.m.desc {
		if desc.Name == reg && desc.NotReadable != "" {
			return device.Reading{}, errors.New(desc.NotReadable)
		}
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	out.Values = cloneDigests(d.m.values[reg])
	return out, ctx.Err()
}

func (d faultDevice) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, desc := range d.m.desc {
		if desc.Name == reg {
			if err := desc.CheckExtend(records); err != nil {
				return 0, err
			}
		}
	}
	do := func(n int) {
		d.m.mu.Lock()
		defer d.m.mu.Unlock()
		for _, digests := range records[:n] {
			for i, v := range d.m.values[reg] {
				for _, x := range digests {
					if x.Alg == v.Alg {
						b := map[string]bank{"sha384": sha384, "sha256": sha2}[v.Alg.String()]
						d.m.values[reg][i].Sum = b.hash(append(bytes.Clone(d.m.values[reg][i].Sum), x.Sum...))
					}
				}
			}
		}
	}
	n := len(records)
	switch d.f.step(fmt.Sprintf("extend %d", n)) {
	case dieBefore:
		return 0, errDead
	case failBefore:
		return 0, errInjected
	case failAfter:
		do(n)
		return 0, errInjected
	case dieAfter:
		do(n)
		return 0, errDead
	case half:
		do(n / 2)
		return 0, errInjected // it does not even say how many
	}
	do(n)
	return n, nil
}

// rig is a machine with a state folder.
type rig struct {
	t     testing.TB
	state string
	reg   mrlog.Register
	banks []bank
	m     *registers
	boot  string
}

func newRig(t testing.TB) *rig {
	return &rig{
		t: t, state: filepath.Join(scratch(t), "state"), reg: rtmr2, banks: []bank{sha384},
		m: newRegisters([]mrlog.Register{rtmr2, rtmr3}, mrlog.SHA384), boot: "boot-1",
	}
}

// newTPMRig is a machine with two banks.
func newTPMRig(t testing.TB) *rig {
	return &rig{
		t: t, state: filepath.Join(scratch(t), "state"), reg: pcr14, banks: []bank{sha2, sha384},
		m: newRegisters([]mrlog.Register{pcr14}, mrlog.SHA256, mrlog.SHA384), boot: "boot-1",
	}
}

// open starts a keeper, a process of its own as far as the disk can tell.
func (r *rig) open(f *faults, change ...func(*Options)) *Keeper {
	r.t.Helper()
	if f == nil {
		f = &faults{}
	}
	boot := r.boot
	o := Options{State: r.state, Device: faultDevice{r.m, f}, BootID: func() (string, error) { return boot, nil }}
	for _, c := range change {
		c(&o)
	}
	k, err := Open(o)
	if err != nil {
		r.t.Fatal(err)
	}
	k.disk = faultDisk{system{}, f}
	r.t.Cleanup(func() { k.Close() })
	return k
}

func (r *rig) dir() string { return filepath.Join(r.state, r.reg.String()) }
func (r *rig) log() string { return filepath.Join(r.dir(), "log") }

func ev(content string) Event {
	return Event{Event: nelr.Event{Domain: "test.example", Operation: "op", Content: content}}
}

func line(content string) string { return "test.example op " + content }

func (r *rig) append(k *Keeper, contents ...string) []Receipt {
	r.t.Helper()
	var events []Event
	for _, c := range contents {
		events = append(events, ev(c))
	}
	got, err := k.Append(context.Background(), r.reg, events)
	if err != nil {
		r.t.Fatalf("Append: %v", err)
	}
	return got
}

// parsed is a log as a stranger reads it.
type parsed struct {
	events []string // measured lines without INIT
	hints  []string
	values map[string][]byte
}

// parse reads a log with code of its own.
func parse(data []byte) (parsed, error) {
	p := parsed{values: make(map[string][]byte)}
	hashes := map[string]func([]byte) []byte{"sha384": sha384.hash, "sha256": sha2.hash}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return p, errors.New("torn last line")
	}
	opened := false
	for n, l := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if l == "" || l[0] == '#' {
			if strings.HasPrefix(l, "#: ") {
				p.hints = append(p.hints, l[3:])
			}
			continue
		}
		isInit := strings.HasPrefix(l, "INIT ")
		if isInit == opened {
			return p, fmt.Errorf("line %d: INIT out of place", n+1)
		}
		if isInit {
			opened = true
			for _, f := range strings.Fields(l)[1:] {
				name, value, _ := strings.Cut(f, "/")
				v, err := hex.DecodeString(value)
				if err != nil {
					return p, err
				}
				p.values[name] = v
			}
		} else {
			p.events = append(p.events, l)
		}
		for name, v := range p.values {
			h := hashes[name]
			p.values[name] = h(append(v, h([]byte(l))...))
		}
	}
	if !opened {
		return p, errors.New("no INIT")
	}
	return p, nil
}

// check holds log and register together, and returns the log.
func (r *rig) check() parsed {
	r.t.Helper()
	data, err := os.ReadFile(r.log())
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := parse(data)
	if err != nil {
		r.t.Fatalf("log: %v\n%s", err, data)
	}
	want := r.m.value(r.reg)
	if len(p.values) != len(want) {
		r.t.Fatalf("INIT has %d banks, the register %d", len(p.values), len(want))
	}
	for name, v := range want {
		if !bytes.Equal(p.values[name], v) {
			r.t.Fatalf("%s: the log gives %x, the register holds %x\n%s", name, p.values[name], v, data)
		}
	}
	st, err := os.Stat(r.log())
	if err != nil {
		r.t.Fatal(err)
	}
	if st.Mode() != 0o600 {
		r.t.Fatalf("log has mode %v after an operation", st.Mode())
	}
	return p
}

// wantEvents checks the log's events, given by their contents.
func (r *rig) wantEvents(contents ...string) {
	r.t.Helper()
	p := r.check()
	var want []string
	for _, c := range contents {
		want = append(want, line(c))
	}
	if !slices.Equal(p.events, want) {
		r.t.Fatalf("log has %q, want %q", p.events, want)
	}
}

// wantDiverged checks that an error is a divergence for the given reason.
func wantDiverged(t testing.TB, err error, reason Reason) *Divergence {
	t.Helper()
	d, ok := errors.AsType[*Divergence](err)
	if !ok || !errors.Is(err, ErrDiverged) {
		t.Fatalf("got %v, want a divergence: %s", err, reason)
	}
	if d.Reason != reason {
		t.Fatalf("diverged because %q, want %q: %v", d.Reason, reason, err)
	}
	if d.Remedy == "" {
		t.Error("a divergence without remedy")
	}
	return d
}

// leave appends text to the log as a writer that died would have left it.
func leave(r *rig, text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.log(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
	if err := (system{}).mark(int(f.Fd()), true); err != nil {
		r.t.Fatal(err)
	}
}

// scratch returns a folder on tmpfs, if there is one.
func scratch(t testing.TB) string {
	if _, err := os.Stat("/dev/shm"); err != nil {
		return t.TempDir()
	}
	return shm(t)
}

// shm returns a folder on tmpfs.
func shm(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "mrlog-keeper-")
	if err != nil {
		t.Skip("no tmpfs at /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func base(state string) string { return filepath.Base(filepath.Dir(state)) }
