// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/devicetest"
	"mrlog.dev/internal/tsmfs"
)

var (
	rtmr1 = mrlog.Register{Space: mrlog.RTMR, Index: 1}
	rtmr2 = mrlog.Register{Space: mrlog.RTMR, Index: 2}
	rtmr3 = mrlog.Register{Space: mrlog.RTMR, Index: 3}
)

// childEnv makes the test binary a process that extends: "TREE COUNT".
const childEnv = "MRLOG_TEST_TSM_EXTEND"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(spec string) error {
	tree, count, _ := strings.Cut(spec, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	d, err := Open(Options{Tree: tree})
	if err != nil {
		return err
	}
	defer d.Close()
	for range n {
		if _, err := d.Extend(context.Background(), rtmr2, one("child")); err != nil {
			return err
		}
		fmt.Println("extended")
	}
	return nil
}

// one is a request of one record.
func one(text string) [][]mrlog.Digest {
	return [][]mrlog.Digest{{{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, []byte(text))}}}
}

func fold(value []byte, records [][]mrlog.Digest) []byte {
	value = bytes.Clone(value)
	for _, r := range records {
		value = mrlog.SHA384.AppendSum(nil, append(value, r[0].Sum...))
	}
	return value
}

func open(t *testing.T, o Options) *Device {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func control(t *testing.T, f *tsmfs.FS, lines ...string) {
	t.Helper()
	if err := f.Control(lines...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d *Device, reg mrlog.Register) ([]byte, bool) {
	t.Helper()
	r, err := d.Read(context.Background(), reg)
	if err != nil {
		t.Fatal(err)
	}
	return r.Values[0].Sum, r.Fresh
}

// ways are the two ways of reading.
func ways(t *testing.T, test func(t *testing.T, f *tsmfs.FS, d *Device)) {
	for _, name := range []string{"Reports", "Attributes"} {
		t.Run(name, func(t *testing.T) {
			f := tsmfs.Test(t, tsmfs.Options{})
			o := Options{Tree: f.Tree()}
			if name == "Reports" {
				o.Report = f.Report()
			}
			test(t, f, open(t, o))
		})
	}
}

func TestConformance(t *testing.T) {
	for _, reports := range []bool{true, false} {
		t.Run(fmt.Sprintf("reports=%t", reports), func(t *testing.T) {
			devicetest.Run(t, func(t *testing.T) device.Device {
				f := tsmfs.Test(t, tsmfs.Options{})
				o := Options{Tree: f.Tree()}
				if reports {
					o.Report = f.Report()
				}
				return open(t, o)
			})
		})
	}
	t.Run("busy and interrupted", func(t *testing.T) {
		devicetest.Run(t, func(t *testing.T) device.Device {
			f := tsmfs.Test(t, tsmfs.Options{})
			control(t, f, "fail every 3 EBUSY", "fail every 5 EINTR", "fail read every 2 EINTR", "fail report every 3 EBUSY", "fail report every 2 EINTR")
			return open(t, Options{Tree: f.Tree(), Report: f.Report()})
		})
	})
	t.Run("another platform", func(t *testing.T) {
		devicetest.Run(t, func(t *testing.T) device.Device {
			f := tsmfs.Test(t, tsmfs.Options{NoReport: true, Attributes: []tsmfs.Attribute{
				{Name: "rim:sha512", Value: make([]byte, 64), Mode: 0o444},
				{Name: "rem0:sha512", Value: make([]byte, 64), Mode: 0o644},
				{Name: "rem1:sha512", Value: make([]byte, 64), Mode: 0o444},
				{Name: "rem3:sha256", Value: make([]byte, 32), Mode: 0o644},
			}})
			return open(t, Options{Tree: f.Tree()})
		})
	})
}

func TestDescribes(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		if got, want := d.Info(), (device.Info{Kind: "tdx", Simulated: true, Where: f.Tree()}); got != want {
			t.Errorf("Info = %+v, want %+v", got, want)
		}
		var names []string
		for _, r := range d.Registers() {
			names = append(names, r.Name.String())
			if r.NotExtendable != "" || r.NotReadable != "" || len(r.Banks) != 1 || r.Banks[0].Alg != mrlog.SHA384 {
				t.Errorf("%+v", r)
			}
			value, fresh := read(t, d, r.Name)
			if !bytes.Equal(value, f.Live(r.Name.String())) || !fresh {
				t.Errorf("%s = %x, fresh: %t", r.Name, value, fresh)
			}
		}
		if got := strings.Join(names, " "); got != "rtmr0 rtmr1 rtmr2 rtmr3" {
			t.Errorf("registers: %s", got)
		}
	})
}

// TestReadsAfresh: every read of a report sees what others did; an attribute
// does once a write has succeeded.
func TestReadsAfresh(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		before, _ := read(t, d, rtmr2)
		control(t, f, "extend rtmr2 "+hex.EncodeToString(one("x")[0][0].Sum))
		now, fresh := read(t, d, rtmr2)
		if d.report != nil && (!bytes.Equal(now, f.Live("rtmr2")) || !fresh) {
			t.Error("a report does not show what happened before it")
		}
		if d.report == nil && !bytes.Equal(now, before) {
			t.Error("the cache of the file system does not do what it is for")
		}
		if _, err := d.Extend(context.Background(), rtmr3, one("y")); err != nil {
			t.Fatal(err)
		}
		if now, _ := read(t, d, rtmr2); !bytes.Equal(now, f.Live("rtmr2")) {
			t.Error("after a write that succeeded the value is old")
		}
	})
}

func TestFailedReads(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{})
	attributes := open(t, Options{Tree: f.Tree()})
	reports := open(t, Options{Tree: f.Tree(), Report: f.Report()})
	control(t, f, "fail read times 1 EIO", "fail report times 1 EIO")
	for d, path := range map[*Device]string{attributes: filepath.Join(f.Tree(), "rtmr2:sha384"), reports: f.Report()} {
		_, err := d.Read(context.Background(), rtmr2)
		if !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "rtmr2: ") {
			t.Errorf("%v", err)
		}
		read(t, d, rtmr2)
	}
	control(t, f, "fail read short")
	if _, err := attributes.Read(context.Background(), rtmr2); err == nil || !strings.Contains(err.Error(), "47 bytes, want 48") {
		t.Errorf("short read: %v", err)
	}
}

// TestNotAReport: what is no report device, and what is no report.
func TestNotAReport(t *testing.T) {
	data := []byte(reportLabel + strings.Repeat("\x00", reportDataSize-len(reportLabel)))
	good := make([]byte, reportSize)
	good[0] = 0x81
	copy(good[128:], data)
	for i := range 4 * 48 {
		good[720+i] = byte(i)
	}
	value, err := valueIn(good, data, rtmr3)
	if err != nil || len(value) != 48 || value[0] != 3*48 {
		t.Errorf("a report: %x, %v", value, err)
	}
	if _, err := valueIn(good, data, mrlog.Register{Space: mrlog.RTMR, Index: 4}); err == nil {
		t.Error("rtmr4 in a report")
	}
	for name, alter := range map[string]func([]byte){
		"zeros":              func(b []byte) { clear(b) },
		"another type":       func(b []byte) { b[0] = 0 },
		"another's data":     func(b []byte) { b[128+reportDataSize-1] = 1 },
		"without our label":  func(b []byte) { b[128] ^= 1 },
		"all ones, of 0x81s": func(b []byte) { copy(b, bytes.Repeat([]byte{0x81}, len(b))) },
	} {
		bad := bytes.Clone(good)
		alter(bad)
		if _, err := valueIn(bad, data, rtmr3); err == nil || !strings.Contains(err.Error(), "not the TDREPORT that was asked for") {
			t.Errorf("%s: %v", name, err)
		}
	}

	f := tsmfs.Test(t, tsmfs.Options{})
	d := open(t, Options{Tree: f.Tree(), Report: filepath.Join(f.Tree(), "rtmr0:sha384")})
	if _, err := d.Read(context.Background(), rtmr2); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("a file as report device: %v", err)
	}
	if _, err := Open(Options{Tree: f.Tree(), Report: filepath.Join(f.Dir(), "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no report device at its path: %v", err)
	}
}

func TestClosed(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := d.Read(context.Background(), rtmr2); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, err := d.Extend(context.Background(), rtmr2, one("a")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Extend: %v", err)
		}
		if begun, _ := f.Calls(tsmfs.Extend); begun != 0 {
			t.Error("extended")
		}
	})
}

// TestReset: a reboot under an open device, which the tree cannot have, but
// whoever tests with it can.
func TestReset(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		if _, err := d.Extend(context.Background(), rtmr2, one("a")); err != nil {
			t.Fatal(err)
		}
		control(t, f, "reset")
		if value, _ := read(t, d, rtmr2); !bytes.Equal(value, make([]byte, 48)) {
			t.Errorf("after a reset: %x", value)
		}
	})
}

// TestUnusable are trees with less than there should be.
func TestUnusable(t *testing.T) {
	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "rtmr2:sha384"), make([]byte, 48), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Tree: plain}); err == nil || !strings.Contains(err.Error(), "neither sysfs nor FUSE") {
		t.Errorf("a folder of plain files: %v", err)
	}
	if _, err := Open(Options{Tree: filepath.Join(plain, "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for _, c := range []struct {
		name       string
		attributes []tsmfs.Attribute
		want       string
	}{
		{"no register", []tsmfs.Attribute{
			{Name: "mrtd:sha384", Value: make([]byte, 48), Mode: 0o444},
			{Name: "rtmr0", Value: make([]byte, 48), Mode: 0o644},
			{Name: "rtmr:sha384", Value: make([]byte, 48), Mode: 0o644},
			{Name: "rtmr00:sha384", Value: make([]byte, 48), Mode: 0o644},
			{Name: "RTMR1:sha384", Value: make([]byte, 48), Mode: 0o644},
			{Name: "pcr1:sha384", Value: make([]byte, 48), Mode: 0o644},
		}, "no such register: among its 6 attributes"},
		{"two banks", []tsmfs.Attribute{
			{Name: "rtmr0:sha256", Value: make([]byte, 32), Mode: 0o644},
			{Name: "rtmr0:sha384", Value: make([]byte, 48), Mode: 0o644},
		}, "both hold rtmr0"},
		{"two names", []tsmfs.Attribute{
			{Name: "rem0:sha384", Value: make([]byte, 48), Mode: 0o644},
			{Name: "rtmr0:sha384", Value: make([]byte, 48), Mode: 0o644},
		}, "both hold rtmr0"},
	} {
		f := tsmfs.Test(t, tsmfs.Options{Attributes: c.attributes})
		if _, err := Open(Options{Tree: f.Tree()}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), f.Tree()) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	cca := tsmfs.Test(t, tsmfs.Options{Attributes: []tsmfs.Attribute{{Name: "rem1:sha256", Value: make([]byte, 32), Mode: 0o644}}})
	if _, err := Open(Options{Tree: cca.Tree(), Report: cca.Report()}); err == nil || !strings.Contains(err.Error(), "not the tree of a TDX guest") {
		t.Errorf("reports of another platform: %v", err)
	}
	for _, size := range []int{0, 32, 47, 49, 4096} {
		dir := t.TempDir()
		path := filepath.Join(dir, "rtmr2:sha384")
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := scan(dir); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), fmt.Sprintf("%d bytes, want the 48", size)) {
			t.Errorf("an attribute of %d bytes: %v", size, err)
		}
	}
	linked := t.TempDir()
	if err := os.Symlink(filepath.Join(plain, "rtmr2:sha384"), filepath.Join(linked, "rtmr2:sha384")); err != nil {
		t.Fatal(err)
	}
	if _, err := scan(linked); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a symbolic link: %v", err)
	}
	// A register that is not there.
	some := tsmfs.Test(t, tsmfs.Options{Attributes: tsmfs.TDX()[:6]})
	d := open(t, Options{Tree: some.Tree(), Report: some.Report()})
	if _, err := d.Extend(context.Background(), rtmr2, one("a")); !errors.Is(err, device.ErrNoRegister) || !strings.Contains(err.Error(), "rtmr0 to rtmr1") {
		t.Errorf("a missing register: %v", err)
	}
}

// readOnly has a register whose mode says that nobody extends it.
func readOnly() []tsmfs.Attribute {
	all := tsmfs.TDX()
	all[len(all)-1].Mode = 0o444
	return all
}

func TestReadOnly(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{Attributes: readOnly()})
	d := open(t, Options{Tree: f.Tree()})
	if n, err := d.Extend(context.Background(), rtmr3, one("a")); n != 0 || !errors.Is(err, device.ErrNotExtendable) || !strings.Contains(err.Error(), "mode 0444") {
		t.Errorf("read-only by its mode: %d, %v", n, err)
	}
	if _, err := d.Extend(context.Background(), rtmr2, one("a")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	// Made read-only where it is mounted, as /sys is in a container.
	if err := unix.Mount("", f.Dir(), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("mounting read-only: %v", err)
	}
	d = open(t, Options{Tree: f.Tree()})
	for _, r := range d.Registers()[:3] {
		if !strings.Contains(r.NotExtendable, "mounted read-only") || r.NotReadable != "" {
			t.Errorf("%s: %q, %q", r.Name, r.NotExtendable, r.NotReadable)
		}
	}
	read(t, d, rtmr2)
}

// publicDir is a temporary folder that all users can look into; t.TempDir is
// its owner's alone.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tsm")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// asNobody runs the test in a thread of a user without rights. Only the
// effective user counts, as it does when a file is opened.
func asNobody(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can become another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		test(t)
	}()
	<-done
}

func TestNotRoot(t *testing.T) {
	f := tsmfs.TestAt(t, publicDir(t), tsmfs.Options{})
	asNobody(t, func(t *testing.T) {
		d, err := Open(Options{Tree: f.Tree()})
		if err != nil {
			t.Error(err)
			return
		}
		r := d.Registers()[2]
		if !strings.Contains(r.NotExtendable, "run mrlog as root") || r.NotReadable != "" {
			t.Errorf("%q, %q", r.NotExtendable, r.NotReadable)
		}
		if _, err := d.Extend(context.Background(), rtmr2, one("a")); !errors.Is(err, device.ErrNotExtendable) {
			t.Errorf("Extend: %v", err)
		}
		if _, err := d.Read(context.Background(), rtmr2); err != nil {
			t.Errorf("Read: %v", err)
		}
		if _, err := Open(Options{Tree: f.Tree(), Report: f.Report()}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("the report device: %v", err)
		}
	})
}

// TestProcesses: several processes extend one register, while the tree fails
// now and then; one is killed again and again. What each did is in the value.
func TestProcesses(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{})
	control(t, f, "fail every 7 EBUSY", "fail every 11 EINTR")
	start := f.Live("rtmr2")
	const processes, each = 4, 25
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), childEnv+"="+f.Tree()+" "+strconv.Itoa(each))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	want := start
	for range processes * each {
		want = fold(want, one("child"))
	}
	if !bytes.Equal(f.Live("rtmr2"), want) {
		t.Fatal("extends were lost or doubled")
	}

	control(t, f, "clear", "slow extend 2ms")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+f.Tree()+" 100000")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, len("extended\n")*5)
	if _, err := out.Read(seen); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed
	// The registers are as good as before, and a new process goes on.
	d := open(t, Options{Tree: f.Tree(), Report: f.Report()})
	before, _ := read(t, d, rtmr2)
	if _, err := d.Extend(context.Background(), rtmr2, one("a")); err != nil {
		t.Fatal(err)
	}
	if now, _ := read(t, d, rtmr2); !bytes.Equal(now, fold(before, one("a"))) {
		t.Error("after a killed process an extend does not give what it should")
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"Reports", "Attributes"} {
		b.Run(name, func(b *testing.B) {
			f := tsmfs.Test(b, tsmfs.Options{})
			o := Options{Tree: f.Tree()}
			if name == "Reports" {
				o.Report = f.Report()
			}
			d, err := Open(o)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Read(context.Background(), rtmr2); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
