// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	logName  = "log"      // the live log in a register's folder; nothing else has the name
	newName  = "log.new"  // a log that is about to take its place
	lostName = "log.lost" // one about to take the place of a log that is gone
	lockName = ".lock"    // in STATE, to be locked where there is no log yet
)

// logFlags are the flags with which a log is opened. O_NONBLOCK keeps a FIFO
// planted in its place from stopping us before we see what it is.
const logFlags = unix.O_APPEND | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK

// logFile is an open log.
type logFile struct {
	fd   int
	path string
}

// ReadAt reads from the log; at its end it returns io.EOF.
func (l *logFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pread(l.fd, p[done:], off+int64(done)) })
		if err != nil {
			return done, pathError("read", l.path, err)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// close closes the log, which gives up its lock, too.
func (l *logFile) close() { unix.Close(l.fd) }

// openLog opens the log in a register's folder, after a look at both: the
// folder must be one, of mode 0700, and the log as checkLog says. Without a
// folder the error wraps fs.ErrNotExist; with one, but no log in it,
// errLogGone.
func openLog(dir string, access int) (*logFile, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return nil, pathError("stat", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, &UnsafeError{Path: dir, What: "it is not a folder"}
	case st.Mode&0o7777 != dirMode:
		return nil, &UnsafeError{Path: dir, What: fmt.Sprintf("its mode is %04o, want %04o", st.Mode&0o7777, dirMode)}
	case int(st.Uid) != os.Geteuid():
		return nil, &UnsafeError{Path: dir, What: fmt.Sprintf("it belongs to user %d, want %d", st.Uid, os.Geteuid())}
	}
	path := filepath.Join(dir, logName)
	fd, err := retry(func() (int, error) { return unix.Open(path, logFlags|access, 0) })
	switch {
	case err == unix.ENOENT:
		return nil, errLogGone
	case err == unix.ELOOP:
		return nil, &UnsafeError{Path: path, What: "it is a symbolic link"}
	case err == unix.ENXIO || err == unix.EISDIR:
		return nil, &UnsafeError{Path: path, What: "it is not a regular file"}
	case err != nil:
		return nil, pathError("open", path, err)
	}
	l := &logFile{fd: fd, path: path}
	if _, err := l.check(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

var errLogGone = errors.New("the folder is there, and no log in it")

// check looks at the open log: a regular file of the effective user, of mode
// 0600 and perhaps the sticky bit, or 01700 (doubt.go), with one link. A second link is all right
// while it is log.N beside it: such a one is there for an instant when a new
// log begins, see setAside. A file without any link passes: see still.
func (l *logFile) check() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return st, pathError("stat", l.path, err)
	}
	unsafe := func(format string, args ...any) (unix.Stat_t, error) {
		return st, &UnsafeError{Path: l.path, What: fmt.Sprintf(format, args...)}
	}
	switch mode := st.Mode & 0o7777; {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return unsafe("it is not a regular file")
	case mode&^inFlight != logMode && mode != logMode|inFlight|doubted:
		return unsafe("its mode is %04o, want %04o", mode, logMode)
	case int(st.Uid) != os.Geteuid():
		return unsafe("it belongs to user %d, want %d", st.Uid, os.Geteuid())
	case st.Nlink > 2:
		return unsafe("it has %d links, want one", st.Nlink)
	case st.Nlink == 2:
		twin, err := l.aside(st)
		if err != nil {
			return st, err
		}
		if twin != "" {
			break
		}
		// The one that was there may be gone: look again.
		if err := unix.Fstat(l.fd, &st); err != nil {
			return st, pathError("stat", l.path, err)
		}
		if st.Nlink >= 2 {
			return unsafe("it has %d links, want one", st.Nlink)
		}
	}
	return st, nil
}

// aside returns the log.N that is the same file as the open log, or "".
func (l *logFile) aside(st unix.Stat_t) (string, error) {
	dir := filepath.Dir(l.path)
	numbers, err := numbered(dir)
	if err != nil {
		return "", err
	}
	for _, n := range numbers {
		path := filepath.Join(dir, logName+"."+strconv.Itoa(n))
		var other unix.Stat_t
		switch err := unix.Lstat(path, &other); {
		case err == unix.ENOENT: // removed since the folder was listed
		case err != nil:
			return "", pathError("stat", path, err)
		case other.Dev == st.Dev && other.Ino == st.Ino:
			return path, nil
		}
	}
	return "", nil
}

// numbered lists the N of the logs log.N in a folder, the highest first.
func numbered(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), logName+".")
		if n, err := strconv.Atoi(digits); ok && err == nil && n > 0 && strconv.Itoa(n) == digits {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return b - a })
	return out, nil
}

// identity says where the open log stands now.
type identity int

const (
	same     identity = iota // it is the log at its path
	replaced                 // another file is there
	gone                     // nothing is there
)

// still compares the open log with what is at its path, by device and inode.
func (l *logFile) still() (identity, error) {
	var mine, there unix.Stat_t
	if err := unix.Fstat(l.fd, &mine); err != nil {
		return gone, pathError("stat", l.path, err)
	}
	switch err := unix.Lstat(l.path, &there); {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return gone, nil
	case err != nil:
		return gone, pathError("stat", l.path, err)
	case mine.Dev == there.Dev && mine.Ino == there.Ino:
		return same, nil
	}
	return replaced, nil
}

// Kinds of file systems, by the magic number of statfs(2).
const (
	magicNFS  = 0x6969
	magicSMB  = 0x517B
	magicSMB2 = 0xFE534D42
	magicCIFS = 0xFF534D42
	magic9P   = 0x01021997
	magicAFS  = 0x5346414F
	magicCeph = 0x00C36400
)

// fileSystem reports whether what is written at path is gone with the machine,
// so that there is nothing to sync. A file system of another machine is
// refused: its locks and its order of writes are not ours.
func fileSystem(path string) (volatile bool, err error) {
	var st unix.Statfs_t
	if _, err := retry(func() (int, error) { return 0, unix.Statfs(path, &st) }); err != nil {
		return false, pathError("statfs", path, err)
	}
	switch uint32(st.Type) {
	case magicNFS, magicSMB, magicSMB2, magicCIFS, magic9P, magicAFS, magicCeph:
		return false, &UnsafeError{Path: path, What: "it is on a network file system; logs must be local"}
	}
	return int64(st.Type) == unix.TMPFS_MAGIC || int64(st.Type) == unix.RAMFS_MAGIC, nil
}

// checkState looks at the state folder: nobody else may be able to put another
// folder in the place of a register's. A sticky bit does not help: it keeps
// names from being taken away, not from being put where there is none yet.
func checkState(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return pathError("stat", path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return &UnsafeError{Path: path, What: "it is not a folder"}
	case st.Mode&0o022 != 0:
		return &UnsafeError{Path: path, What: fmt.Sprintf("its mode %04o lets others write to it", st.Mode&0o7777)}
	case int(st.Uid) != os.Geteuid() && st.Uid != 0:
		return &UnsafeError{Path: path, What: fmt.Sprintf("it belongs to user %d, want %d", st.Uid, os.Geteuid())}
	}
	return nil
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
