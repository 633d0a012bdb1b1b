// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Options say what is mounted.
type Options struct {
	Attributes []Attribute // of the measurements folder; nil is TDX()
	NoReport   bool        // leave out the device tdx_guest
}

// FS is a mounted file system. All methods may be called from several
// goroutines at once.
type FS struct {
	dir    string
	kernel *kernel
	server *fuse.Server
	close  func() error
}

// Mount mounts the file system on a folder and serves it until Close. It calls
// mount(2), which root may, or else fusermount3.
func Mount(dir string, o Options) (*FS, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.ReadDir(dir); err != nil { // fusermount3 would only print it
		return nil, err
	}
	if o.Attributes == nil {
		o.Attributes = TDX()
	}
	f := &FS{dir: dir}
	if f.kernel, err = newKernel(o.Attributes); err != nil {
		return nil, err
	}
	root := &fs.Inode{}
	f.server, err = fs.Mount(dir, root, &fs.Options{
		OnAdd: func(ctx context.Context) { f.populate(ctx, root, o) },
		UID:   uint32(os.Geteuid()),
		GID:   uint32(os.Getegid()),
		MountOptions: fuse.MountOptions{
			FsName: fsName,
			Name:   fsName,
			// All users see it, as they see sysfs, and the modes say
			// what they may. Only root can mount so.
			AllowOther:    os.Geteuid() == 0,
			Options:       []string{"default_permissions"},
			DirectMount:   true,
			DisableXAttrs: true,
		},
	})
	if err != nil {
		// go-fuse ends its own with a newline.
		return nil, fmt.Errorf("mounting %s at %s: %s", fsName, dir, strings.TrimSpace(err.Error()))
	}
	f.close = sync.OnceValue(f.unmount)
	return f, nil
}

// fsName is what /proc/mounts shows, as "fuse.tsmfs".
const fsName = "tsmfs"

func (f *FS) populate(ctx context.Context, root *fs.Inode, o Options) {
	file := fs.StableAttr{Mode: syscall.S_IFREG}
	tree := root.NewPersistentInode(ctx, &fs.Inode{}, fs.StableAttr{Mode: syscall.S_IFDIR})
	root.AddChild("measurements", tree, false)
	for _, r := range f.kernel.registers {
		tree.AddChild(r.Name, root.NewPersistentInode(ctx, &attributeNode{kernel: f.kernel, r: r}, file), false)
	}
	if !o.NoReport {
		root.AddChild("tdx_guest", root.NewPersistentInode(ctx, &reportNode{kernel: f.kernel}, file), false)
	}
	root.AddChild("control", root.NewPersistentInode(ctx, &controlNode{fs: f}, file), false)
}

// Close unmounts. A mount that is still in use is taken out of the tree of
// files at once, and its last user ends it. Calls after the first do nothing.
func (f *FS) Close() error { return f.close() }

func (f *FS) unmount() error {
	err := f.server.Unmount()
	if err == nil {
		return nil
	}
	if lazy := detach(f.dir); lazy != nil {
		return errors.Join(err, lazy)
	}
	return nil
}

// Wait returns when the file system is no longer mounted, by whomever.
func (f *FS) Wait() { f.server.Wait() }

// Dir is where the file system is mounted.
func (f *FS) Dir() string { return f.dir }

// Tree is the path of the measurements folder.
func (f *FS) Tree() string { return filepath.Join(f.dir, "measurements") }

// Report is the path of the device that makes reports.
func (f *FS) Report() string { return filepath.Join(f.dir, "tdx_guest") }

// Live returns the value of a register in the hardware ("rtmr2"), nil if there
// is no such register.
func (f *FS) Live(name string) []byte {
	f.kernel.lock(context.Background())
	defer f.kernel.unlock()
	r, err := f.kernel.find(name)
	if err != nil {
		return nil
	}
	return bytes.Clone(r.live)
}

// Calls returns how often an operation has begun, and how often of these it
// has failed on demand. What the file system refuses before it takes the
// lock, a write of the wrong size say, has not begun.
func (f *FS) Calls(op Operation) (begun, failed int) {
	f.kernel.lock(context.Background())
	defer f.kernel.unlock()
	return f.kernel.calls[op], f.kernel.failed[op]
}

// detach takes a mount out of the tree of files, in use or not.
func detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || err == unix.EINVAL { // EINVAL: nothing is mounted there any more
		return nil
	}
	if err != unix.EPERM {
		return &os.PathError{Op: "umount", Path: dir, Err: err}
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3 -u -z %s: %w: %s", dir, err, bytes.TrimSpace(out))
	}
	return nil
}
