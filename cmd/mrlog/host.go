// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// path returns where a file of the machine is, given below its root.
func (e *env) path(name string) string { return filepath.Join(e.root, name) }

// stateFolder is the folder of the logs: the flag, the environment, the
// default.
func (g *globals) stateFolder(e *env) string {
	if g.state != "" {
		return g.state
	}
	if s := e.getenv("MRLOG_STATE"); s != "" {
		return s
	}
	return defaultState
}

// mayNot adds to an error what to do where this user may not do what root may.
func mayNot(err error) error {
	hint := mayNotHint(err)
	if hint == "" {
		return err
	}
	code, other := classify(err)
	if other != "" {
		return err
	}
	return &failure{code: code, err: err, hint: hint}
}

func mayNotHint(err error) string {
	if !errors.Is(err, fs.ErrPermission) || os.Geteuid() == 0 {
		return ""
	}
	return "run mrlog as root; only for software registers is a state folder of your own (--state) enough"
}

// kernelRelease returns what uname -r gives; "" if it cannot be read.
func (e *env) kernelRelease() string {
	text, _ := os.ReadFile(e.path("proc/sys/kernel/osrelease"))
	return strings.TrimSpace(string(text))
}

// Linux can extend RTMRs since this release (drivers/virt/coco/guest/tsm-mr.c).
const rtmrMajor, rtmrMinor = 6, 16

// extendsRTMR reports whether a kernel of that release can extend RTMRs, as far
// as its number says.
func extendsRTMR(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major > rtmrMajor || major == rtmrMajor && minor >= rtmrMinor
}

// fileSystem describes where the state folder is, or is going to be.
type fileSystem struct {
	name     string // "tmpfs"
	volatile bool   // gone with the machine, as registers are
	readOnly bool
	limited  bool   // its size is known
	free     uint64 // bytes that this user may still write, if limited
}

// fileSystemOf describes the file system of a path, or of the nearest folder
// above it that is there.
func fileSystemOf(path string) (fileSystem, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return fileSystem{}, err
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == unix.EINTR {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
			path = filepath.Dir(path)
			continue
		}
		if err != nil {
			return fileSystem{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
		}
		f := fileSystem{name: fileSystemName(uint32(st.Type)), readOnly: st.Flags&unix.ST_RDONLY != 0}
		f.volatile = f.name == "tmpfs" || f.name == "ramfs"
		if st.Blocks > 0 { // ramfs does not count
			f.limited, f.free = true, st.Bavail*uint64(st.Frsize)
		}
		return f, nil
	}
}

// fileSystemName names a file system by its number (linux/magic.h).
func fileSystemName(magic uint32) string {
	names := map[uint32]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
		unix.FUSE_SUPER_MAGIC: "fuse", unix.NFS_SUPER_MAGIC: "nfs", unix.SMB2_SUPER_MAGIC: "smb", unix.V9FS_MAGIC: "9p",
		unix.SQUASHFS_MAGIC: "squashfs", unix.EROFS_SUPER_MAGIC_V1: "erofs", unix.MSDOS_SUPER_MAGIC: "vfat",
	}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("file system 0x%x", magic)
}

// size gives bytes as a person reads them.
func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return count(n, "byte")
}
