// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// fake is a device of registers at values that a test chooses.
type fake struct {
	where     string
	registers []device.Register
	values    map[string]byte // "pcr7:sha256" → what all bytes are
}

func (f *fake) Info() device.Info            { return device.Info{Kind: "fake", Where: f.where} }
func (f *fake) Registers() []device.Register { return f.registers }

func (f *fake) Read(_ context.Context, reg mrlog.Register) (device.Reading, error) {
	r, err := device.Find(f, reg)
	if err != nil {
		return device.Reading{}, err
	}
	out := device.Reading{Fresh: true}
	for _, b := range r.Banks {
		fill := f.values[fmt.Sprintf("%s:%s", reg, b.Alg)]
		out.Values = append(out.Values, mrlog.Digest{Alg: b.Alg, Sum: bytes.Repeat([]byte{fill}, b.Alg.Size())})
	}
	return out, nil
}

func (f *fake) Extend(context.Context, mrlog.Register, [][]mrlog.Digest) (int, error) {
	return 0, device.ErrNotExtendable
}

func fakeTPM(algs ...mrlog.Alg) *fake {
	f := &fake{values: make(map[string]byte)}
	for i := range uint32(24) {
		r := device.Register{Name: mrlog.Register{Space: mrlog.PCR, Index: i}}
		for _, a := range algs {
			r.Banks = append(r.Banks, device.Bank{Alg: a, Reset: make([]byte, a.Size())})
		}
		f.registers = append(f.registers, r)
	}
	return f
}

// statusOn is what mrlog status finds out on a device.
func statusOn(t *testing.T, d device.Device, files map[string]string) *statusOutput {
	t.Helper()
	e := &env{root: t.TempDir(), getenv: func(string) string { return "" }}
	for name, text := range files {
		path := e.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if f, ok := d.(*fake); ok && f.where == "" {
		f.where = e.path("dev/tpmrm0")
	}
	s := &statusOutput{State: t.TempDir()}
	wrong, err := s.compare(context.Background(), e, d)
	if err != nil || wrong != nil {
		t.Fatal(wrong, err)
	}
	return s
}

func warnings(s *statusOutput) string {
	var all []string
	for _, w := range s.Warnings {
		all = append(all, strings.TrimPrefix(w.Register+": ", ": ")+w.Text)
	}
	return strings.Join(all, "\n")
}

// A bank that proves nothing is named, and one that does is not.
func TestStatusBanks(t *testing.T) {
	t.Run("sha1 alone", func(t *testing.T) {
		if got := warnings(statusOn(t, fakeTPM(mrlog.SHA1), nil)); got != "the only active bank is sha1: what it holds proves nothing" {
			t.Error(got)
		}
	})
	t.Run("sha1 and another", func(t *testing.T) {
		if got := warnings(statusOn(t, fakeTPM(mrlog.SHA1, mrlog.SHA256), nil)); got != "" {
			t.Error(got)
		}
	})
	t.Run("firmware knows sha1 only", func(t *testing.T) {
		d := fakeTPM(mrlog.SHA1, mrlog.SHA256, mrlog.SHA384)
		d.values["pcr0:sha1"], d.values["pcr7:sha384"], d.values["pcr10:sha256"] = 1, 2, 3
		got := warnings(statusOn(t, d, nil))
		if !strings.HasPrefix(got, "the bank sha256 is active, but the firmware extended nothing into it") || strings.Contains(got, "\n") {
			t.Error(got)
		}
	})
}

// Others who extend a register are seen by what they leave behind.
func TestStatusWriters(t *testing.T) {
	files := map[string]string{
		imaCounts[1]: "12\n",
		systemdLogs[0]: "\x1e" + `{"pcr":11,"digests":[]}` + "\n\x1e" + `{"pcr":11,"digests":[]}` + "\n\x1e" + `{"pcr":15}` + "\n" +
			"\x1enot json\n\x1e" + `{"nv_index":30474752}` + "\n\x1e" + `{"pcr":14}` + "\n\x1e" + `{"pcr":5`,
		systemdLogs[1]: "\x1e" + `{"rtmr":2,"mapped_pcr":11}` + "\n",
	}
	got := make(map[string]string)
	s := statusOn(t, fakeTPM(mrlog.SHA256), files)
	for _, r := range s.Registers {
		if r.Writers != "" {
			got[r.Register] = r.Writers
		}
	}
	want := map[string]string{
		"pcr10": "IMA extends it (12 measurements)",
		"pcr11": "systemd extends it (2 records in its log)",
		"pcr14": "systemd extends it (1 record in its log)",
		"pcr15": "systemd extends it (1 record in its log)",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	// Only the default is warned of: nobody has begun a log of the others.
	if got := warnings(s); got != "pcr14: systemd extends it (1 record in its log): a log of it does not stay in step" {
		t.Error(got)
	}

	tdx := &fake{where: "", registers: []device.Register{}}
	for i := range uint32(4) {
		tdx.registers = append(tdx.registers, device.Register{
			Name:  mrlog.Register{Space: mrlog.RTMR, Index: i},
			Banks: []device.Bank{{Alg: mrlog.SHA384, Reset: make([]byte, 48)}},
		})
	}
	s = statusOn(t, tdx, files)
	if w := s.Registers[2].Writers; w != "IMA is at work (12 measurements): kernels that let it use RTMRs extend rtmr2; systemd extends it (1 record in its log)" {
		t.Error(w)
	}
	if len(s.Warnings) != 1 || s.Warnings[0].Remedy != "rtmr3 has no other known writer" {
		t.Errorf("%+v", s.Warnings)
	}

	// A TPM behind a socket is nobody's but ours.
	d := fakeTPM(mrlog.SHA256)
	d.where = "/run/swtpm.sock"
	if s := statusOn(t, d, files); warnings(s) != "" || s.Registers[10].Writers != "" {
		t.Errorf("%v", s.Registers[10])
	}
}

// A register that cannot be read is said so, and is no failure by itself.
func TestStatusNotReadable(t *testing.T) {
	d := fakeTPM(mrlog.SHA256)
	for i := range d.registers {
		d.registers[i].NotReadable = "the paravisor keeps it to itself"
	}
	s := statusOn(t, d, nil)
	if !s.Agree || s.Registers[14].NotReadable == "" || s.Registers[14].AtReset || warnings(s) != "" {
		t.Errorf("%+v", s.Registers[14])
	}
	var out strings.Builder
	if err := (&env{stdout: &out}).printStatus(s); err != nil || !strings.Contains(out.String(), "\ncannot be read: pcr0 to pcr23 (the paravisor keeps it to itself)\n") {
		t.Error(err, out.String())
	}
	r := statusRegister{
		Register: "pcr14", State: "undecided", Log: "/run/mrlog/pcr14/log", Records: 2, NotReadable: "the paravisor keeps it to itself",
		Banks: []statusBank{{Bank: "sha256", Log: "00ff"}}, Reason: "who knows", Remedy: "decide",
	}
	var b strings.Builder
	r.print(&b)
	if want := `
pcr14    undecided: 2 records, 0 bytes in /run/mrlog/pcr14/log
         sha256 by the log 00ff
         cannot be read: the paravisor keeps it to itself
         why:  who knows
         what to do: decide
`; b.String() != want {
		t.Error(b.String())
	}
}

func TestSpan(t *testing.T) {
	for want, names := range map[string][]string{
		"":                            nil,
		"pcr3":                        {"pcr3"},
		"pcr3, pcr4":                  {"pcr3", "pcr4"},
		"pcr0 to pcr2, pcr9":          {"pcr0", "pcr1", "pcr2", "pcr9"},
		"ccmr4, pcr16 to pcr18":       {"ccmr4", "pcr16", "pcr17", "pcr18"},
		"ccmr2, pcr3, pcr8, pcr10":    {"ccmr2", "pcr3", "pcr8", "pcr10"},
		"rtmr0, rtmr1, rtmr9, rtmr10": {"rtmr0", "rtmr1", "rtmr9", "rtmr10"},
	} {
		if got := span(names); got != want {
			t.Errorf("%v: %q, want %q", names, got, want)
		}
	}
}

func TestExtendsRTMR(t *testing.T) {
	for release, want := range map[string]bool{
		"6.16.0": true, "6.16.0-rc1": true, "6.18.44-fc": true, "7.0": true, "10.2.1": true,
		"6.15.9": false, "5.16.0": false, "6.2.0-1018-gcp": false, "": false, "six": false,
	} {
		if got := extendsRTMR(release); got != want {
			t.Errorf("%q: %t", release, got)
		}
	}
}

func TestFileSystemOf(t *testing.T) {
	f, err := fileSystemOf("/proc/self/not/there")
	if err != nil || f.name != "file system 0x9fa0" || f.volatile {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = fileSystemOf(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil || f.name == "" || f.limited && f.free == 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := fileSystemOf("/proc/self/exe/below"); err == nil {
		t.Error("below a file")
	}
}

func TestFold(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, c := range []struct{ text, want string }{
		{"short\n\nlines\n", "short\n\nlines\n"},
		{"         why:  one two three four five six\n", "         why:  one two three four five\n           six\n"},
		{"         sha384 " + long + "\n", "         sha384\n           " + long + "\n"},
		{"         " + long + "\n", "         " + long + "\n"},
		{long + " a b\n", long + "\n           a b\n"},
		{"         by the log     " + long + "\n", "         by the log\n           " + long + "\n"},
	} {
		if got := fold(c.text, 40); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
		if got := fold(c.text, 0); got != c.text {
			t.Errorf("%q, without a width: %q", c.text, got)
		}
	}
}

// A file system that is full, or cannot be written to, is named before the next
// event is refused.
func TestStatusFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("skipped: no tmpfs can be mounted here: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	look := func() string {
		s := &statusOutput{State: filepath.Join(dir, "state")}
		s.lookAtState()
		if s.FileSystem != "tmpfs" || !s.Volatile {
			t.Errorf("%+v", s)
		}
		return warnings(s)
	}
	if got, want := look(), filepath.Join(dir, "state")+" is on a file system with 64 KiB left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=10m"); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "" {
		t.Error(got)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got, want := look(), filepath.Join(dir, "state")+" is on a file system that is mounted read-only: nothing can be recorded"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
