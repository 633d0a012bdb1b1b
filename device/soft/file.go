// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mrlog.dev/device"
)

// regFile is an open register file.
type regFile struct {
	fd   int
	path string
}

func (d *Device) open(r device.Register, flags int) (regFile, error) {
	path := filepath.Join(d.dir, r.Name.String())
	fd, err := retry(func() (int, error) {
		return unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err != nil {
		return regFile{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return regFile{fd: fd, path: path}, nil
}

func (f regFile) close() { unix.Close(f.fd) }

func (f regFile) read(buf []byte) error {
	n, err := retry(func() (int, error) { return unix.Pread(f.fd, buf, 0) })
	if err != nil {
		return &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	if n < len(buf) {
		return fmt.Errorf("%s: register file has %d bytes, want %d", f.path, n, len(buf))
	}
	return nil
}

// settled reads the value without a lock. A damaged slot may be one that is
// being written right now; by the time that it is read, the other may have
// been written over since, and be old. Two reads that are alike say that it
// was not.
func (f regFile) settled(r device.Register) (state, error) {
	buf, again := make([]byte, fileSize), make([]byte, fileSize)
	if err := f.read(buf); err != nil {
		return state{}, err
	}
	for {
		s, _, whole, err := pick(buf, r)
		if whole {
			return s, nil
		}
		if rerr := f.read(again); rerr != nil {
			return state{}, rerr
		}
		if bytes.Equal(buf, again) {
			if err != nil {
				return state{}, fmt.Errorf("%s: %w", f.path, err)
			}
			return s, nil
		}
		buf, again = again, buf
	}
}

// change replaces the register's state by what alter makes of it. Its system
// calls are those that Extend states. When it returns an error, the state is
// the old or the new one.
func (d *Device) change(r device.Register, alter func(*state) error) error {
	f, err := d.open(r, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.close() // gives up the lock, too
	if err := flock(f.fd); err != nil {
		return &fs.PathError{Op: "flock", Path: f.path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: f.path, Err: err}
	}
	if st.Nlink == 0 {
		return fmt.Errorf("%s: the register's file was deleted", f.path)
	}
	buf := make([]byte, fileSize)
	if err := f.read(buf); err != nil {
		return err
	}
	s, slot, _, err := pick(buf, r)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := alter(&s); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	s.sequence++
	text := appendSlot(buf[:0], r.Name, s)
	at := int64(slotGap)
	if slot == 1 {
		at = 0
	}
	n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, text, at) })
	if err == nil && n < len(text) {
		err = errors.New("short write")
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: f.path, Err: err}
	}
	return d.sync(f)
}

func (d *Device) sync(f regFile) error {
	if d.volatile {
		return nil
	}
	if _, err := retry(func() (int, error) { return 0, unix.Fdatasync(f.fd) }); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.path, Err: err}
	}
	return nil
}

// create makes the folder and its registers; Open states the system calls.
func (d *Device) create() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := flock(int(dir.Fd())); err != nil {
		return &fs.PathError{Op: "flock", Path: d.dir, Err: err}
	}
	if _, err := readShape(d.dir); !errors.Is(err, fs.ErrNotExist) {
		return err // made by another process meanwhile
	}
	if d.volatile, err = volatileAt(d.dir); err != nil {
		return err
	}
	for _, r := range d.registers {
		if err := d.createRegister(r); err != nil {
			return err
		}
	}
	temp := filepath.Join(d.dir, shapeTemp)
	if err := d.writeFile(temp, []byte(string(d.shape)+"\n")); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(d.dir, shapeFile)); err != nil {
		return err
	}
	if d.volatile {
		return nil
	}
	if err := dir.Sync(); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(d.dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

// createRegister makes a register's file. One that is already there is from a
// crash during create, and holds the reset value; else somebody took the
// shape away from registers that are in use.
func (d *Device) createRegister(r device.Register) error {
	path := filepath.Join(d.dir, r.Name.String())
	fresh := newFile(r)
	if old, err := os.ReadFile(path); err == nil {
		if s, _, _, err := pick(old, r); err == nil && s.sequence > 1 {
			return fmt.Errorf("%s holds registers in use but no file %q: it says whether they are of shape tdx or tpm", d.dir, shapeFile)
		}
	}
	return d.writeFile(path, fresh)
}

func (d *Device) writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = d.sync(regFile{fd: int(f.Fd()), path: path})
	}
	return errors.Join(err, f.Close())
}

// readShape reads the shape of the folder. Its error wraps fs.ErrNotExist when
// the folder or the file is missing.
func readShape(dir string) (Shape, error) {
	path := filepath.Join(dir, shapeFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s, err := ParseShape(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// volatileAt reports whether what is written at path is gone with the machine.
func volatileAt(path string) (bool, error) {
	var st unix.Statfs_t
	if _, err := retry(func() (int, error) { return 0, unix.Statfs(path, &st) }); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(st.Type) == unix.TMPFS_MAGIC || int64(st.Type) == unix.RAMFS_MAGIC, nil
}

func flock(fd int) error {
	_, err := retry(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX) })
	return err
}

// retry calls again what a signal interrupted before it did anything.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
