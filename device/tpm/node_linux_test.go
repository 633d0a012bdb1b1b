// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev/device"
	"mrlog.dev/device/devicetest"
	"mrlog.dev/internal/swtpm"
)

// terminal makes a character device of which this process is the driver: a
// pseudo-terminal that alters nothing. It returns the driver's end and the
// device's path.
func terminal(t testing.TB) (*os.File, string) {
	t.Helper()
	driver, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { driver.Close() })
	// Not by Fd, which would let a Read outlive Close.
	control, err := driver.SyscallConn()
	must(t, err)
	var n int
	err = control.Control(func(fd uintptr) {
		raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD, Cc: [19]uint8{unix.VMIN: 1}}
		must(t, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0))
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		must(t, err)
		must(t, unix.IoctlSetTermios(int(fd), unix.TCSETS, &raw))
	})
	must(t, err)
	path := fmt.Sprint("/dev/pts/", n)
	// While nobody has the device open, its driver reads errors.
	keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { keep.Close() })
	return driver, path
}

// drive answers a device's commands by a TPM until the test ends, or answer
// says no more.
func drive(t testing.TB, driver *os.File, answer func(command []byte) ([]byte, bool)) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() {
		driver.Close()
		<-done
	})
	go func() {
		defer close(done)
		var buf []byte
		var piece [4096]byte
		for {
			n, err := driver.Read(piece[:])
			if err != nil {
				return
			}
			buf = append(buf, piece[:n]...)
			for len(buf) >= 10 && len(buf) >= int(binary.BigEndian.Uint32(buf[2:])) {
				n := int(binary.BigEndian.Uint32(buf[2:]))
				a, ok := answer(buf[:n])
				buf = buf[n:]
				if !ok {
					return
				}
				if _, err := driver.Write(a); err != nil {
					return
				}
			}
		}
	}()
}

// nodeFor gives a TPM a character device.
func nodeFor(t testing.TB, s *swtpm.TPM) string {
	t.Helper()
	driver, path := terminal(t)
	c, err := net.Dial("unix", s.Socket())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	l := &socketLink{c}
	drive(t, driver, func(command []byte) ([]byte, bool) {
		a, err := l.exchange(command, time.Now().Add(commandTimeout))
		return a, err == nil
	})
	return path
}

func TestNodeConformance(t *testing.T) {
	devicetest.Run(t, func(t *testing.T) device.Device {
		d := open(t, nodeFor(t, swtpm.New(t, sha256ID, sha384ID)))
		if d.Info().Simulated {
			t.Error("a character device is marked simulated")
		}
		return d
	})
}

// TestNodeSilent: a driver that never answers costs the timeout, and the
// descriptor.
func TestNodeSilent(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	d := open(t, nodeFor(t, s))
	d.commandTimeout = 50 * time.Millisecond
	hold := make(chan struct{})
	s.Inject(swtpm.PCRExtend, 1, swtpm.Hold(hold))
	n, err := extend1(t, d, pcr14, "a")
	close(hold)
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("Extend = %d, %v", n, err)
	}
	if d.link != nil {
		t.Error("the link is kept, and with it the late answer")
	}
}

// TestNodeGone: the device goes away.
func TestNodeGone(t *testing.T) {
	driver, path := terminal(t)
	drive(t, driver, func([]byte) ([]byte, bool) {
		driver.Close()
		return nil, false
	})
	if _, err := Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open: %v", err)
	}
}

func TestNodeErrors(t *testing.T) {
	if _, err := openNode("/dev/fd/0/none"); err == nil {
		t.Error("opened nothing")
	}
	// A character device that is none of a TPM: what is written is lost.
	if _, err := Open(context.Background(), "/dev/null"); err == nil || !strings.Contains(err.Error(), "/dev/null") || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("/dev/null: %v", err)
	}
	// Zeros for ever.
	if _, err := Open(context.Background(), "/dev/zero"); err == nil {
		t.Error("/dev/zero is a TPM")
	}
	// A file that took the place of the device after it was looked at.
	if _, err := openNode(t.TempDir() + "/../"); err == nil {
		t.Error("opened a folder")
	}
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := openNode(file); err == nil || !strings.Contains(err.Error(), "not a character device") {
		t.Errorf("a file: %v", err)
	}
}
