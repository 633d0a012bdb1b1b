// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mrlog.dev"
)

// logName is the live log in a register's folder; log.1, log.2 and so on are
// those that were set aside (docs/spec/keeper.md, section 1).
const logName = "log"

// inFlight is the mode bit of a log while a writer is at work.
const inFlight = unix.S_ISVTX

// hasFolder reports whether a register has a folder in the state folder.
func hasFolder(state string, reg mrlog.Register) bool {
	var st unix.Stat_t
	return unix.Lstat(filepath.Join(state, reg.String()), &st) == nil
}

// folder is the open folder of a register. What is opened below it stays in
// it, whatever happens to its path meanwhile.
type folder struct {
	fd   int
	path string
}

// openFolder opens a register's folder. The error wraps fs.ErrNotExist if there
// is none.
func openFolder(path string) (*folder, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	switch {
	case err == unix.ENOTDIR || err == unix.ELOOP:
		return nil, fmt.Errorf("%s: it is not a folder", path)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &folder{fd: fd, path: path}, nil
}

func (f *folder) close() { unix.Close(f.fd) }

// identity tells files apart.
type identity struct{ dev, ino uint64 }

// logFile is a log opened for reading.
type logFile struct {
	*os.File
	number int // of log.N; 0 for the live log
	id     identity
	size   int64
	mtime  unix.Timespec
	links  uint64
	busy   bool // a writer was at work, or died
}

// open opens a log of the folder: a regular file, and nothing else. No symbolic
// link is followed, and nothing waits at a FIFO.
func (f *folder) open(number int) (*logFile, error) {
	name := nameOf(number)
	path := filepath.Join(f.path, name)
	fd, err := retry(func() (int, error) {
		return unix.Openat(f.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	switch {
	case err == unix.ELOOP:
		return nil, fmt.Errorf("%s: it is a symbolic link", path)
	case err == unix.ENXIO:
		return nil, fmt.Errorf("%s: it is not a regular file", path)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	l := &logFile{number: number}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: it is not a regular file", path)
	}
	l.File = os.NewFile(uintptr(fd), path)
	l.take(&st)
	return l, nil
}

func (l *logFile) take(st *unix.Stat_t) {
	l.id = identityOf(st)
	l.size, l.mtime, l.links = st.Size, st.Mtim, uint64(st.Nlink)
	l.busy = st.Mode&inFlight != 0
}

// again looks at the open log once more, and reports whether it has changed or
// a writer is at work.
func (l *logFile) again() (moved bool) {
	var st unix.Stat_t
	if unix.Fstat(int(l.Fd()), &st) != nil {
		return false
	}
	old := *l
	l.take(&st)
	return l.busy || l.size != old.size || l.mtime != old.mtime
}

func identityOf(st *unix.Stat_t) identity { return identity{st.Dev, st.Ino} }

func nameOf(number int) string {
	if number == 0 {
		return logName
	}
	return logName + "." + strconv.Itoa(number)
}

// stat looks at a log by its name, as far as it can be seen.
func (f *folder) stat(number int) (unix.Stat_t, bool) {
	var st unix.Stat_t
	err := unix.Fstatat(f.fd, nameOf(number), &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err == nil
}

// older lists the logs set aside before one that is open, the latest first.
// That one may have been set aside itself since it was opened, and during that
// it has two names.
func (f *folder) older(l *logFile) ([]int, error) {
	numbers, err := f.numbers()
	if err != nil || l == nil {
		return numbers, err
	}
	if st, ok := f.stat(0); ok && identityOf(&st) == l.id && st.Nlink == 1 {
		return numbers, nil
	}
	for i, n := range numbers {
		if st, ok := f.stat(n); ok && identityOf(&st) == l.id {
			return numbers[i+1:], nil
		}
	}
	return numbers, nil
}

// numbers lists the N of the logs log.N, the highest first.
func (f *folder) numbers() ([]int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	dir := os.NewFile(uintptr(fd), f.path)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, logName+".")
		if n, err := strconv.Atoi(digits); ok && err == nil && n > 0 && strconv.Itoa(n) == digits {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return b - a })
	return out, nil
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// retry calls again what a signal interrupted before it did anything.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
