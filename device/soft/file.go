// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev/device"
	"mrlog.dev/internal/flock"
)

// regFile is an open register file.
type regFile struct {
	fd   int
	path string
}

func (d *Device) open(r device.Register, flags int) (regFile, error) {
	return openFile(filepath.Join(d.dir, r.Name.String()), flags)
}

// openFile opens a regular file, and nothing else: it follows no symbolic
// link and does not wait at a FIFO. A new one has mode 0600.
func openFile(path string, flags int) (regFile, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	})
	if err != nil {
		return regFile{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		err = &fs.PathError{Op: "stat", Path: path, Err: err}
	} else if st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fmt.Errorf("%s: it is not a regular file", path)
	}
	if err != nil {
		unix.Close(fd)
		return regFile{}, err
	}
	return regFile{fd: fd, path: path}, nil
}

// readFile returns the first bytes of a regular file, max at most.
func readFile(path string, max int) ([]byte, error) {
	f, err := openFile(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.close()
	buf := make([]byte, max)
	n, err := retry(func() (int, error) { return unix.Pread(f.fd, buf, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
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
func (d *Device) change(ctx context.Context, r device.Register, alter func(*state) error) error {
	f, err := d.open(r, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.close() // gives up the lock, too
	if err := flock.Lock(ctx, f.fd, f.path, time.Now().Add(lockTimeout)); err != nil {
		return err
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
	if err := os.MkdirAll(filepath.Dir(d.dir), dirMode); err != nil {
		return err
	}
	flags := unix.O_RDONLY | unix.O_DIRECTORY
	err := unix.Mkdir(d.dir, dirMode)
	made := err == nil
	switch {
	case made:
		flags |= unix.O_NOFOLLOW
	case err != unix.EEXIST:
		return &fs.PathError{Op: "mkdir", Path: d.dir, Err: err}
	}
	dir, err := os.OpenFile(d.dir, flags, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if made { // umask and a setgid parent had a say
		if err := unix.Fchmod(int(dir.Fd()), dirMode); err != nil {
			return &fs.PathError{Op: "chmod", Path: d.dir, Err: err}
		}
	}
	if err := checkFolder(d.dir); err != nil {
		return err
	}
	if err := flock.Lock(context.Background(), int(dir.Fd()), d.dir, time.Now().Add(lockTimeout)); err != nil {
		return err
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

// checkFolder looks at the folder: nobody else may be able to put files into
// it. It may be a symbolic link to such a folder.
func checkFolder(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s: it is not a folder", path)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s: not safe for registers: its mode %04o lets others write to it", path, st.Mode&0o7777)
	case int(st.Uid) != os.Geteuid() && st.Uid != 0:
		return fmt.Errorf("%s: not safe for registers: it belongs to user %d, want %d", path, st.Uid, os.Geteuid())
	}
	return nil
}

// createRegister makes a register's file. One that is already there is from a
// crash during create, and holds the reset value; else somebody took the
// shape away from registers that are in use.
func (d *Device) createRegister(r device.Register) error {
	path := filepath.Join(d.dir, r.Name.String())
	fresh := newFile(r)
	switch old, err := readFile(path, fileSize); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if s, _, _, err := pick(old, r); err == nil && s.sequence > 1 {
			return fmt.Errorf("%s holds registers in use but no file %q: it says whether they are of shape tdx or tpm", d.dir, shapeFile)
		}
	}
	return d.writeFile(path, fresh)
}

func (d *Device) writeFile(path string, data []byte) error {
	f, err := openFile(path, unix.O_WRONLY|unix.O_CREAT)
	if err != nil {
		return err
	}
	defer f.close()
	// Not by the open: that is before we see what it is.
	if err := unix.Ftruncate(f.fd, 0); err != nil {
		return &fs.PathError{Op: "truncate", Path: path, Err: err}
	}
	n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, data, 0) })
	if err == nil && n < len(data) {
		err = errors.New("short write")
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return d.sync(f)
}

// readShape reads the shape of the folder. Its error wraps fs.ErrNotExist when
// the folder or the file is missing.
func readShape(dir string) (Shape, error) {
	path := filepath.Join(dir, shapeFile)
	b, err := readFile(path, 64) // any shape is shorter
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

// retry calls again what a signal interrupted before it did anything.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
