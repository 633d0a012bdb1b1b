// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is every step that changes the state, one system call each. It is an
// interface so that tests can stop at each of them, before and after.
type disk interface {
	// volatile reports whether what is written at path is gone with the
	// machine, so that there is nothing to sync; see fileSystem.
	volatile(path string) (bool, error)
	// free returns how many bytes the file system of an open file or folder
	// has room for, or noLimit.
	free(fd int) (int64, error)
	// mkdir makes a folder of mode 0700, or what umask and a setgid parent
	// make of that.
	mkdir(path string) error
	// chmodDir gives a folder just made mode 0700 exactly.
	chmodDir(path string) error
	// create makes an empty file that was not there, and opens it as openLog
	// does. Its mode is 01600, a write is in flight, until INIT is extended:
	// writers of other make go by that alone.
	create(path string) (fd int, err error)
	// write appends to an open log. Less than all of p gives no error.
	write(fd int, p []byte) (int, error)
	// size returns the size of an open log.
	size(fd int) (int64, error)
	// cut makes an open log shorter.
	cut(fd int, size int64) error
	// sync makes an open log's content durable (fdatasync).
	sync(fd int) error
	// syncAll makes its content and its mode durable (fsync).
	syncAll(fd int) error
	// syncDir makes the entries of a folder durable.
	syncDir(path string) error
	// mark sets or clears the sticky bit: a write is in flight.
	mark(fd int, inFlight bool) error
	// doubt sets it, and says besides that nobody knows how much of what is in
	// flight was extended.
	doubt(fd int) error
	// place renames to a name that must not be there.
	place(from, to string) error
	// link gives a file a second name that must not be there.
	link(from, to string) error
	// replace renames over a file.
	replace(from, to string) error
	// clear removes a log from a folder, which must be ours.
	clear(dir string) error
	// unlink removes a file, remove an empty folder.
	unlink(path string) error
	remove(path string) error
}

const (
	dirMode  = 0o700
	logMode  = 0o600
	inFlight = unix.S_ISVTX
	doubted  = unix.S_IXUSR // only with inFlight
)

// system is the disk of the operating system.
type system struct{}

var _ disk = system{}

func (system) volatile(path string) (bool, error) { return fileSystem(path) }

func (system) free(fd int) (int64, error) {
	var st unix.Statfs_t
	_, err := retry(func() (int, error) { return 0, unix.Fstatfs(fd, &st) })
	return room(&st), err
}

func (system) mkdir(path string) error {
	return pathError("mkdir", path, unix.Mkdir(path, dirMode))
}

func (system) chmodDir(path string) error {
	fd, err := ownFolder(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return pathError("chmod", path, unix.Fchmod(fd, dirMode))
}

// ownFolder opens a folder that must be ours, and no symbolic link to one.
func ownFolder(path string) (fd int, err error) {
	fd, err = retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	switch {
	case err == unix.ENOTDIR || err == unix.ELOOP:
		return -1, &UnsafeError{Path: path, What: "it is not a folder"}
	case err != nil:
		return -1, pathError("open", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		err = pathError("stat", path, err)
	} else if int(st.Uid) != os.Geteuid() {
		err = &UnsafeError{Path: path, What: fmt.Sprintf("it belongs to user %d, want %d", st.Uid, os.Geteuid())}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (system) create(path string) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, logFlags|unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, logMode)
	})
	if err != nil {
		return -1, pathError("create", path, err)
	}
	// The umask may have taken away what open was given.
	if err := unix.Fchmod(fd, logMode|inFlight); err != nil {
		unix.Close(fd)
		return -1, pathError("chmod", path, err)
	}
	return fd, nil
}

func (system) write(fd int, p []byte) (int, error) {
	return retry(func() (int, error) { return unix.Write(fd, p) })
}

func (system) size(fd int) (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Size, err
}

func (system) cut(fd int, size int64) error {
	_, err := retry(func() (int, error) { return 0, unix.Ftruncate(fd, size) })
	return err
}

func (system) sync(fd int) error {
	_, err := retry(func() (int, error) { return 0, unix.Fdatasync(fd) })
	return err
}

func (system) syncAll(fd int) error {
	_, err := retry(func() (int, error) { return 0, unix.Fsync(fd) })
	return err
}

func (system) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (system) mark(fd int, on bool) error {
	mode := uint32(logMode)
	if on {
		mode |= inFlight
	}
	return unix.Fchmod(fd, mode)
}

func (system) doubt(fd int) error { return unix.Fchmod(fd, logMode|inFlight|doubted) }

func (system) place(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	return placeError(to, err)
}

// placeError says what EINVAL means: the names are right, and so are the flags
// of every kernel that we run on.
func placeError(to string, err error) error {
	if err == unix.EINVAL || err == unix.ENOSYS {
		return &UnsafeError{Path: to, What: "its file system cannot rename without replacing (renameat2 with RENAME_NOREPLACE); keep logs on another, as ext4, xfs, btrfs or tmpfs"}
	}
	return pathError("rename", to, err)
}

func (system) clear(dir string) error {
	fd, err := ownFolder(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return pathError("unlink", filepath.Join(dir, logName), unix.Unlinkat(fd, logName, 0))
}

func (system) link(from, to string) error    { return pathError("link", to, unix.Link(from, to)) }
func (system) replace(from, to string) error { return pathError("rename", to, unix.Rename(from, to)) }
func (system) unlink(path string) error      { return pathError("unlink", path, unix.Unlink(path)) }
func (system) remove(path string) error      { return pathError("rmdir", path, unix.Rmdir(path)) }

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
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
