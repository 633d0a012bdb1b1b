// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/devicetest"
)

var (
	rtmr2 = mrlog.Register{Space: mrlog.RTMR, Index: 2}
	pcr14 = mrlog.Register{Space: mrlog.PCR, Index: 14}
	pcr17 = mrlog.Register{Space: mrlog.PCR, Index: 17}
)

func TestMain(m *testing.M) {
	unix.Umask(0o022) // temporary folders are not to be open to a group
	m.Run()
}

func open(t *testing.T, dir string, shape Shape) *Device {
	t.Helper()
	d, err := Open(dir, shape)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, shape := range []Shape{TDX, TPM} {
		t.Run(string(shape), func(t *testing.T) {
			devicetest.Run(t, func(t *testing.T) device.Device {
				return open(t, filepath.Join(t.TempDir(), "soft"), shape)
			})
		})
	}
	t.Run("tmpfs", func(t *testing.T) {
		dir := shm(t)
		devicetest.Run(t, func(t *testing.T) device.Device {
			sub, err := os.MkdirTemp(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			d := open(t, sub, TDX)
			if !d.volatile {
				t.Error("tmpfs is not seen as volatile")
			}
			return d
		})
	})
}

// shm returns a folder on tmpfs.
func shm(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mrlog-soft-")
	if err != nil {
		t.Skip("no tmpfs at /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func value(t *testing.T, d *Device, reg mrlog.Register) mrlog.Digest {
	t.Helper()
	r, err := d.Read(context.Background(), reg)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Fresh {
		t.Error("not fresh")
	}
	return r.Values[0]
}

func extend(t *testing.T, d *Device, reg mrlog.Register, content string) {
	t.Helper()
	r, err := device.Find(d, reg)
	if err != nil {
		t.Fatal(err)
	}
	var rec []mrlog.Digest
	for _, b := range r.Banks {
		rec = append(rec, mrlog.Digest{Alg: b.Alg, Sum: b.Alg.AppendSum(nil, []byte(content))})
	}
	if _, err := d.Extend(context.Background(), reg, [][]mrlog.Digest{rec}); err != nil {
		t.Fatal(err)
	}
}

func TestResetValues(t *testing.T) {
	d := open(t, t.TempDir(), TPM)
	if v := value(t, d, pcr17); !bytes.Equal(v.Sum, bytes.Repeat([]byte{0xFF}, 32)) {
		t.Errorf("pcr17 = %s", v)
	}
	extend(t, d, pcr14, "x")
	if v := value(t, d, pcr14); bytes.Equal(v.Sum, make([]byte, 32)) {
		t.Error("pcr14 was not extended")
	}
	if err := d.Reset(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v := value(t, d, pcr14); !bytes.Equal(v.Sum, make([]byte, 32)) {
		t.Errorf("pcr14 after a reset = %s", v)
	}
	if !d.Info().Simulated {
		t.Error("not marked simulated")
	}
}

func TestShapeIsFixed(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, TDX)
	_, err := Open(dir, TPM)
	var shape *ShapeError
	if !errors.As(err, &shape) || shape.Held != TDX {
		t.Fatalf("opening another shape: %v", err)
	}
	for _, s := range []string{"tdx", "tpm", dir} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, shapeFile), []byte("sgx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, TDX); err == nil || !strings.Contains(err.Error(), "sgx") {
		t.Errorf("unknown shape in the folder: %v", err)
	}
	if _, err := Open(t.TempDir(), "sgx"); err == nil {
		t.Error("unknown shape accepted")
	}
}

func TestValuesOutliveTheDevice(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, TDX)
	extend(t, d, rtmr2, "x")
	if a, b := value(t, d, rtmr2), value(t, open(t, dir, TDX), rtmr2); !bytes.Equal(a.Sum, b.Sum) {
		t.Errorf("%s, then %s", a, b)
	}
}

// TestTornWrite cuts the last write short at every byte: the register then
// has the value before it, and can be extended again.
func TestTornWrite(t *testing.T) {
	dir := shm(t) // thousands of writes
	d := open(t, dir, TDX)
	path := filepath.Join(dir, "rtmr2")
	for _, last := range []string{"a", "b"} { // once each slot
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		old := value(t, d, rtmr2)
		extend(t, d, rtmr2, last)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		now := value(t, d, rtmr2)
		for cut := range fileSize {
			torn := append(bytes.Clone(after[:cut]), before[cut:]...)
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			got := value(t, d, rtmr2)
			switch {
			case bytes.Equal(torn, after) && !bytes.Equal(got.Sum, now.Sum):
				t.Fatalf("cut at %d: %s, want the new value", cut, got)
			case !bytes.Equal(torn, after) && !bytes.Equal(got.Sum, old.Sum):
				t.Fatalf("cut at %d: %s, want the old value", cut, got)
			}
		}
		if err := os.WriteFile(path, after, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, TDX)
	extend(t, d, rtmr2, "a")
	path := filepath.Join(dir, "rtmr2")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	both := bytes.Clone(good)
	both[30]++
	both[slotGap+30]++
	for name, content := range map[string][]byte{
		"both slots": both, "empty": nil, "short": good[:slotSize], "zeros": make([]byte, fileSize),
		"another register's": bytes.ReplaceAll(good, []byte("rtmr2"), []byte("rtmr3")),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(context.Background(), rtmr2); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Read: %v", name, err)
		}
		rec := [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}}
		if n, err := d.Extend(context.Background(), rtmr2, rec); n != 0 || err == nil {
			t.Errorf("%s: Extend = %d, %v", name, n, err)
		}
		if now, _ := os.ReadFile(path); !bytes.Equal(now, content) {
			t.Errorf("%s: the damaged file was written to", name)
		}
	}
	os.Remove(path)
	if _, err := Open(dir, TDX); err != nil {
		t.Errorf("Open with a register's file missing: %v", err)
	}
	if _, err := d.Read(context.Background(), rtmr2); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of a missing file: %v", err)
	}
	os.Symlink("rtmr3", path)
	if _, err := d.Read(context.Background(), rtmr2); err == nil {
		t.Error("Read followed a symbolic link")
	}
}

// TestInterruptedCreate leaves the folder as a crash during Open can.
func TestInterruptedCreate(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "rtmr0"), newFile(TDX.registers()[0]), 0o600)
	os.WriteFile(filepath.Join(dir, "rtmr1"), []byte("mrlog soft"), 0o600)
	os.WriteFile(filepath.Join(dir, shapeTemp), []byte("td"), 0o600)
	d := open(t, dir, TDX)
	value(t, d, rtmr2)
	extend(t, d, rtmr2, "x")
	os.Remove(filepath.Join(dir, shapeFile))
	if _, err := Open(dir, TDX); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("shape taken away from registers in use: %v", err)
	}
}

func TestConcurrentOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "soft")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d, err := Open(dir, TDX)
			if err != nil {
				t.Error(err)
				return
			}
			rec := [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}}
			if _, err := d.Extend(context.Background(), rtmr2, rec); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := make([]byte, 48)
	for range 8 {
		mrlog.SHA384.Extend(want, make([]byte, 48))
	}
	if got := value(t, open(t, dir, TDX), rtmr2); !bytes.Equal(got.Sum, want) {
		t.Errorf("after 8 opens and extends: %s", got)
	}
}

func TestUnsafeFolders(t *testing.T) {
	for _, mode := range []uint32{0o770, 0o777, 0o1777, 0o702} {
		for _, used := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "soft")
			must(t, os.Mkdir(dir, 0o700))
			if used {
				open(t, dir, TDX)
			}
			must(t, unix.Chmod(dir, mode))
			if _, err := Open(dir, TDX); err == nil || !strings.Contains(err.Error(), "lets others write") {
				t.Errorf("mode %04o, used %t: %v", mode, used, err)
			}
		}
	}
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		open(t, dir, TDX)
		must(t, os.Chown(dir, 12345, -1))
		if _, err := Open(dir, TDX); err == nil || !strings.Contains(err.Error(), "12345") {
			t.Errorf("another owner: %v", err)
		}
	}
}

// TestFolderMode: neither a setgid parent nor the umask has a say.
func TestFolderMode(t *testing.T) {
	parent := t.TempDir()
	must(t, unix.Chmod(parent, 0o2755))
	defer unix.Umask(unix.Umask(0o177))
	dir := filepath.Join(parent, "soft")
	open(t, dir, TDX)
	var st unix.Stat_t
	must(t, unix.Lstat(dir, &st))
	if st.Mode&0o7777 != dirMode {
		t.Errorf("mode %04o, want %04o", st.Mode&0o7777, dirMode)
	}
}

// TestPlantedFiles: nothing waits at a FIFO or follows a link, in a folder
// that is being made or in one that is in use.
func TestPlantedFiles(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("tdx\n"), 0o600))
	for kind, plant := range map[string]func(path string) error{
		"FIFO": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"link": func(path string) error { return os.Symlink(victim, path) },
	} {
		for _, name := range []string{"rtmr2", shapeFile, shapeTemp} {
			dir := t.TempDir()
			must(t, plant(filepath.Join(dir, name)))
			if _, err := Open(dir, TDX); err == nil {
				t.Errorf("%s %s: opened", kind, name)
			}
		}
		dir := t.TempDir()
		d := open(t, dir, TDX)
		must(t, os.Remove(filepath.Join(dir, "rtmr2")))
		must(t, plant(filepath.Join(dir, "rtmr2")))
		rec := [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}}
		if _, err := d.Read(context.Background(), rtmr2); err == nil {
			t.Errorf("%s: read", kind)
		}
		if _, err := d.Extend(context.Background(), rtmr2, rec); err == nil {
			t.Errorf("%s: extended", kind)
		}
	}
	if b, _ := os.ReadFile(victim); string(b) != "tdx\n" {
		t.Errorf("the victim holds %q", b)
	}
}

func TestLockHeld(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, TDX)
	f, err := os.Open(filepath.Join(dir, "rtmr2"))
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	before := value(t, d, rtmr2)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	rec := [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}}
	if n, err := d.Extend(ctx, rtmr2, rec); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context over while waiting for the lock: %d, %v", n, err)
	}
	// What is said after the deadline is tested with package flock.
	if now := value(t, d, rtmr2); !bytes.Equal(now.Sum, before.Sum) {
		t.Error("extended without the lock")
	}
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_UN))
	extend(t, d, rtmr2, "x")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkExtend(b *testing.B) {
	d, err := Open(filepath.Join(b.TempDir(), "soft"), TDX)
	if err != nil {
		b.Fatal(err)
	}
	rec := [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Extend(context.Background(), rtmr2, rec); err != nil {
			b.Fatal(err)
		}
	}
}
