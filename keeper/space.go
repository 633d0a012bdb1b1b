// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// DefaultMinFree is what an event leaves free on the file system of a log. What
// a crash has interrupted is mended from it, and a new log begun, when there is
// no room for events any more. It also stands in for what a file system takes
// besides the text, for its own blocks: some kilobytes, found missing only when
// the log is synced.
const DefaultMinFree = 64 << 10

// noLimit is the room on a file system that states none: a tmpfs that was
// mounted without a size, ramfs, some of FUSE.
const noLimit = math.MaxInt64

// SpaceError says that a file system is too full for an event.
type SpaceError struct {
	Path                string // of the log
	Free, Need, Reserve int64  // bytes: now, to be appended, to stay free
}

// Error gives the figures, and the way out.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %v: its file system has %d bytes free, %d are to be appended and %d must stay free; make room there", e.Path, ErrFull, e.Free, e.Need, e.Reserve)
}

// Unwrap returns ErrFull.
func (e *SpaceError) Unwrap() error { return ErrFull }

// room returns what a file system has free for whoever is not its
// administrator.
func room(st *unix.Statfs_t) int64 {
	size := st.Frsize
	if size <= 0 {
		size = st.Bsize
	}
	switch {
	case st.Blocks == 0 || size <= 0:
		return noLimit
	case st.Bavail > uint64(noLimit/size):
		return noLimit
	}
	return int64(st.Bavail) * size
}

// checkRoom looks whether need bytes can be written to an open log or folder,
// with the reserve left.
func (b *book) checkRoom(fd int, path string, need int) error {
	free, err := b.k.disk.free(fd)
	if err != nil {
		return err
	}
	if free != noLimit && free-b.k.minFree < int64(need) {
		return &SpaceError{Path: path, Free: free, Need: int64(need), Reserve: b.k.minFree}
	}
	return nil
}
