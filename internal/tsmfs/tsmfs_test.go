// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// open opens a file without the runtime's poller, as device/tsm does.
func open(t *testing.T, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func attribute(t *testing.T, f *FS, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.Tree(), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fold(value, digest []byte) []byte {
	s := sha512.Sum384(append(bytes.Clone(value), digest...))
	return s[:]
}

func control(t *testing.T, f *FS, lines ...string) {
	t.Helper()
	if err := f.Control(lines...); err != nil {
		t.Fatal(err)
	}
}

func reportOf(t *testing.T, f *FS, data []byte) ([]byte, error) {
	t.Helper()
	fd := open(t, f.Report(), unix.O_RDWR)
	buf := make([]byte, reportDataSize+reportSize)
	copy(buf, data)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlReport, uintptr(unsafe.Pointer(&buf[0])))
	if errno != 0 {
		return nil, errno
	}
	return buf[reportDataSize:], nil
}

func TestTree(t *testing.T) {
	f := Test(t, Options{})
	for _, a := range TDX() {
		info, err := os.Stat(filepath.Join(f.Tree(), a.Name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != 48 || uint32(info.Mode()) != a.Mode {
			t.Errorf("%s: %s, %d bytes", a.Name, info.Mode(), info.Size())
		}
		if got := attribute(t, f, a.Name); !bytes.Equal(got, a.Value) {
			t.Errorf("%s = %x", a.Name, got)
		}
	}
	entries, err := os.ReadDir(f.Tree())
	if err != nil || len(entries) != len(TDX()) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(f.Tree(), &st); err != nil || st.Type != unix.FUSE_SUPER_MAGIC {
		t.Errorf("statfs: type 0x%x, %v", st.Type, err)
	}
}

// TestWrites is the table of what sysfs and the driver make of a write.
func TestWrites(t *testing.T) {
	f := Test(t, Options{})
	long := bytes.Repeat([]byte{0xA5}, 4096)
	for _, c := range []struct {
		name string
		size int
		off  int64
		n    int
		err  error
	}{
		{"whole", 48, 0, 48, nil},
		{"longer: cut off", 49, 0, 48, nil},
		{"a page", 4096, 0, 48, nil},
		{"nothing", 0, 0, 0, nil},
		{"shorter", 47, 0, 0, unix.EINVAL},
		{"one byte", 1, 0, 0, unix.EINVAL},
		{"to the end, not from the start", 47, 1, 0, unix.EINVAL},
		{"cut off, not from the start", 48, 1, 0, unix.EINVAL},
		{"behind the end", 48, 48, 0, unix.EFBIG},
		{"far behind the end", 48, 4096, 0, unix.EFBIG},
	} {
		before := f.Live("rtmr2")
		n, err := unix.Pwrite(open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_WRONLY), long[:c.size], c.off)
		if err != nil {
			n = 0
		}
		if n != c.n || err != c.err { //nolint:errorlint // errno as it is
			t.Errorf("%s: %d, %v; want %d, %v", c.name, n, err, c.n, c.err)
		}
		want := before
		if c.n > 0 {
			want = fold(before, long[:48])
		}
		if got := f.Live("rtmr2"); !bytes.Equal(got, want) {
			t.Errorf("%s: live %x, want %x", c.name, got, want)
		}
	}
	for _, name := range []string{"mrtd:sha384", "mrowner"} {
		for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR} {
			if fd, err := unix.Open(filepath.Join(f.Tree(), name), flags, 0); err != unix.EACCES {
				unix.Close(fd)
				t.Errorf("%s opened for writing: %v", name, err)
			}
		}
	}
	// A second write of the same descriptor goes on where the first ended.
	fd := open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_WRONLY)
	if _, err := unix.Write(fd, long[:48]); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, long[:48]); err != unix.EFBIG {
		t.Errorf("second write: %v", err)
	}
	// What a shell does: truncate, then write.
	before := f.Live("rtmr3")
	if err := os.WriteFile(filepath.Join(f.Tree(), "rtmr3:sha384"), long[:48], 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Live("rtmr3"), fold(before, long[:48])) {
		t.Error("written by a shell: not extended")
	}
}

func TestPartialReads(t *testing.T) {
	f := Test(t, Options{})
	fd := open(t, filepath.Join(f.Tree(), "mrtd:sha384"), unix.O_RDONLY)
	whole := f.Live("mrtd")
	for _, c := range []struct{ size, off, n int }{{48, 0, 48}, {100, 0, 48}, {10, 0, 10}, {10, 40, 8}, {10, 48, 0}, {10, 100, 0}} {
		buf := make([]byte, c.size)
		n, err := unix.Pread(fd, buf, int64(c.off))
		if err != nil || n != c.n || !bytes.Equal(buf[:n], whole[min(c.off, 48):min(c.off, 48)+c.n]) {
			t.Errorf("%d bytes at %d: %d, %v, %x", c.size, c.off, n, err, buf[:n])
		}
	}
}

// TestCache: reads follow writes that succeed, and nothing else.
func TestCache(t *testing.T) {
	f := Test(t, Options{})
	digest := bytes.Repeat([]byte{1}, 48)
	path := filepath.Join(f.Tree(), "rtmr2:sha384")
	write := func() error {
		_, err := unix.Pwrite(open(t, path, unix.O_WRONLY), digest, 0)
		return err
	}
	v0 := attribute(t, f, "rtmr2:sha384")
	if err := write(); err != nil {
		t.Fatal(err)
	}
	v1 := fold(v0, digest)
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, v1) {
		t.Fatalf("after an extend: %x, want %x", got, v1)
	}

	control(t, f, "fail extend on rtmr2 times 1 EIO after")
	if err := write(); err != unix.EIO {
		t.Fatalf("EIO after: %v", err)
	}
	v2 := fold(v1, digest)
	if !bytes.Equal(f.Live("rtmr2"), v2) {
		t.Error("EIO after: the extend did not happen")
	}
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, v1) {
		t.Errorf("EIO after: read %x, want the old %x", got, v1)
	}
	control(t, f, "extend rtmr2 "+hex.EncodeToString(digest))
	v3 := fold(v2, digest)
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, v1) {
		t.Errorf("extended from behind: read %x, want the old %x", got, v1)
	}
	// The report is of now, and what it shows is in the cache afterwards.
	report, err := reportOf(t, f, []byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(report[816:864], v3) || report[0] != 0x81 || !bytes.HasPrefix(report[128:192], []byte("nonce\x00")) {
		t.Errorf("report: rtmr2 %x, want %x", report[816:864], v3)
	}
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, v3) {
		t.Errorf("after a report: read %x, want %x", got, v3)
	}
	// A write to another register refreshes this one, too.
	control(t, f, "extend rtmr2 "+hex.EncodeToString(digest))
	if _, err := unix.Pwrite(open(t, filepath.Join(f.Tree(), "rtmr3:sha384"), unix.O_WRONLY), digest, 0); err != nil {
		t.Fatal(err)
	}
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, fold(v3, digest)) {
		t.Errorf("after an extend of another: read %x", got)
	}
	control(t, f, "reset")
	if got := attribute(t, f, "rtmr2:sha384"); !bytes.Equal(got, v0) {
		t.Errorf("after a reset: %x", got)
	}
}

func TestReportDigests(t *testing.T) {
	f := Test(t, Options{})
	report, err := reportOf(t, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{"mrtd": 528, "rtmr0": 720, "rtmr1": 768, "rtmr2": 816, "rtmr3": 864} {
		if !bytes.Equal(report[at:at+48], f.Live(name)) {
			t.Errorf("%s is not at %d", name, at)
		}
	}
	info := sha512.Sum384(report[512:])
	if !bytes.Equal(report[80:128], info[:]) {
		t.Error("tee_info_hash is wrong")
	}
	fd := open(t, f.Report(), unix.O_RDONLY)
	var b [8]byte
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), 0x80085402, uintptr(unsafe.Pointer(&b[0]))); errno != unix.ENOTTY {
		t.Errorf("another ioctl: %v", errno)
	}
	if _, err := os.Stat(Test(t, Options{NoReport: true}).Report()); !os.IsNotExist(err) {
		t.Errorf("without reports: %v", err)
	}
}

func TestFaults(t *testing.T) {
	f := Test(t, Options{})
	digest := make([]byte, 48)
	write := func(name string) error {
		_, err := unix.Pwrite(open(t, filepath.Join(f.Tree(), name+":sha384"), unix.O_WRONLY), digest, 0)
		return err
	}
	control(t, f, "fail every 3 EBUSY before")
	for i := 1; i <= 9; i++ {
		before := f.Live("rtmr2")
		err := write("rtmr2")
		if (i%3 == 0) != (err == unix.EBUSY) {
			t.Errorf("write %d: %v", i, err)
		}
		if err != nil != bytes.Equal(before, f.Live("rtmr2")) {
			t.Errorf("write %d: %v, and the register says otherwise", i, err)
		}
	}
	if begun, failed := f.Calls(Extend); begun != 9 || failed != 3 {
		t.Errorf("%d calls, %d failed", begun, failed)
	}
	control(t, f, "clear", "fail on rtmr3 ENXIO", "fail read times 1 EIO", "fail report times 1 ENOMEM")
	if err := write("rtmr2"); err != nil {
		t.Errorf("another register: %v", err)
	}
	if err := write("rtmr3"); err != unix.ENXIO {
		t.Errorf("rtmr3: %v", err)
	}
	if _, err := unix.Pread(open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_RDONLY), digest, 0); err != unix.EIO {
		t.Errorf("read: %v", err)
	}
	attribute(t, f, "rtmr2:sha384")
	if _, err := reportOf(t, f, nil); err != unix.ENOMEM {
		t.Errorf("report: %v", err)
	}
	if _, err := reportOf(t, f, nil); err != nil {
		t.Errorf("second report: %v", err)
	}
	control(t, f, "clear", "fail short after", "fail read short")
	before := f.Live("rtmr2")
	n, err := unix.Pwrite(open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_WRONLY), digest, 0)
	if n != 47 || err != nil || bytes.Equal(before, f.Live("rtmr2")) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if n, err := unix.Pread(open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_RDONLY), digest, 0); n != 47 || err != nil {
		t.Errorf("short read: %d, %v", n, err)
	}
}

// TestControlFile: the file does what the method does, and what it shows can be
// written back.
func TestControlFile(t *testing.T) {
	f := Test(t, Options{})
	path := filepath.Join(f.Dir(), "control")
	lines := "fail extend on rtmr2 every 7 times 2 EIO after\nfail read EIO before\nslow extend 50ms\n"
	if err := os.WriteFile(path, []byte(lines+"# a comment\n\n"), 0); err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var set strings.Builder
	for line := range strings.Lines(string(shown)) {
		if line[0] != '#' {
			set.WriteString(line)
		}
	}
	if set.String() != lines {
		t.Errorf("control shows\n%s", shown)
	}
	for _, want := range []string{"# extend: 0 calls", "# cache in step: false", "# live rtmr3:sha384 0000"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("control does not show %q:\n%s", want, shown)
		}
	}
	for _, bad := range []string{
		"fail", "fail EPERM", "fail extend", "fail every EIO", "fail every 0 EIO", "fail times x EIO", "fail on rtmr9 EIO", "fail on", "fail EIO EIO",
		"fail EBUSY after", "fail EINTR after", "fail EINVAL after", "fail read EIO after", "fail report short",
		"slow", "slow x", "slow never 5ms", "slow extend -1s", "extend rtmr2", "extend rtmr2 zz", "extend rtmr2 00", "extend mrowner 00", "extend x 00", "reset now", "boo",
	} {
		if err := f.Control(bad); err == nil {
			t.Errorf("accepted: %s", bad)
		}
		if err := os.WriteFile(path, []byte(bad+"\n"), 0); err == nil {
			t.Errorf("accepted by the file: %s", bad)
		}
	}
	if again, _ := os.ReadFile(path); string(again) != string(shown) {
		t.Errorf("refused lines changed something:\n%s", again)
	}
}

func TestConcurrent(t *testing.T) {
	f := Test(t, Options{})
	want := f.Live("rtmr2")
	digest := bytes.Repeat([]byte{7}, 48)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			fd := open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_WRONLY)
			for range 20 {
				for {
					_, err := unix.Pwrite(fd, digest, 0)
					if err == nil {
						break
					}
					if err != unix.EINTR {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for range 160 {
		want = fold(want, digest)
	}
	if !bytes.Equal(f.Live("rtmr2"), want) {
		t.Error("extends were lost or doubled")
	}
}

func TestBadAttributes(t *testing.T) {
	for _, a := range []Attribute{{"rtmr0:sha384", make([]byte, 47), 0o644}, {"rtmr0:nothing", make([]byte, 48), 0o644}} {
		if f, err := Mount(t.TempDir(), Options{Attributes: []Attribute{a}}); err == nil {
			f.Close()
			t.Errorf("mounted with %s of %d bytes", a.Name, len(a.Value))
		}
	}
}

// TestClose: a mount that is in use goes away all the same.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	f := TestAt(t, dir, Options{})
	fd := open(t, filepath.Join(f.Tree(), "rtmr2:sha384"), unix.O_RDONLY)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("after Close: %d entries, %v", len(entries), err)
	}
	unix.Close(fd)
	if _, err := Mount(filepath.Join(dir, "missing"), Options{}); err == nil {
		t.Error("mounted on a folder that is not there")
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{"/a": "/a", `/a\040b\134`: `/a b\`, `/a\04`: `/a\04`, `/a\x40b`: `/a\x40b`} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}
