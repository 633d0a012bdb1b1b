// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"context"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// attributeNode is a file in the measurements folder.
type attributeNode struct {
	fs.Inode
	kernel *kernel
	r      *register
}

var (
	_ = fs.NodeGetattrer((*attributeNode)(nil))
	_ = fs.NodeSetattrer((*attributeNode)(nil))
	_ = fs.NodeOpener((*attributeNode)(nil))
	_ = fs.NodeReader((*attributeNode)(nil))
	_ = fs.NodeWriter((*attributeNode)(nil))
)

func (n *attributeNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = n.r.Mode
	out.Size = uint64(len(n.r.Value))
	return 0
}

// Setattr takes the size that O_TRUNC sets, and leaves everything as it is:
// so does sysfs.
func (n *attributeNode) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

// Open refuses what the mode does not allow. The mount option
// default_permissions does so for all but root; kernfs_fop_open does it for
// root, too.
func (n *attributeNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	access := flags & syscall.O_ACCMODE
	if access != syscall.O_RDONLY && n.r.Mode&0o222 == 0 || access != syscall.O_WRONLY && n.r.Mode&0o444 == 0 {
		return nil, 0, syscall.EACCES
	}
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *attributeNode) Read(ctx context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	b, errno := n.kernel.read(ctx, n.r, dest, off)
	return fuse.ReadResultData(b), errno
}

func (n *attributeNode) Write(ctx context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	done, errno := n.kernel.write(ctx, n.r, data, off)
	return uint32(done), errno
}

// reportNode is the device that makes reports.
type reportNode struct {
	fs.Inode
	kernel *kernel
}

var (
	_ = fs.NodeGetattrer((*reportNode)(nil))
	_ = fs.NodeOpener((*reportNode)(nil))
	_ = fs.NodeIoctler((*reportNode)(nil))
)

func (n *reportNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o600
	return 0
}

func (n *reportNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Ioctl answers TDX_CMD_GET_REPORT0. FUSE copies as many bytes in and out as
// the command's number says.
func (n *reportNode) Ioctl(ctx context.Context, _ fs.FileHandle, cmd uint32, _ uint64, in, out []byte) (int32, syscall.Errno) {
	if cmd != ioctlReport {
		return 0, syscall.ENOTTY
	}
	if len(in) != reportDataSize+reportSize || len(out) != len(in) {
		return 0, syscall.EFAULT
	}
	report, errno := n.kernel.get(ctx, in[:reportDataSize])
	if errno != 0 {
		return 0, errno
	}
	copy(out, in[:reportDataSize])
	copy(out[reportDataSize:], report)
	return 0, 0
}

// controlNode is the control file.
type controlNode struct {
	fs.Inode
	fs *FS
}

var (
	_ = fs.NodeGetattrer((*controlNode)(nil))
	_ = fs.NodeSetattrer((*controlNode)(nil))
	_ = fs.NodeOpener((*controlNode)(nil))
	_ = fs.NodeReader((*controlNode)(nil))
	_ = fs.NodeWriter((*controlNode)(nil))
)

// shown is the text of the control file when it was opened.
type shown string

func (n *controlNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o600
	return 0
}

// Setattr is what a shell's redirection needs: it truncates the file.
func (n *controlNode) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

func (n *controlNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return shown(n.fs.kernel.show()), fuse.FOPEN_DIRECT_IO, 0
}

func (n *controlNode) Read(_ context.Context, f fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	text, _ := f.(shown)
	done := copy(dest, text[min(off, int64(len(text))):])
	return fuse.ReadResultData(dest[:done]), 0
}

// Write takes whole lines. One that is wrong gives EINVAL; those before it
// have been done.
func (n *controlNode) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	if err := n.fs.Control(strings.Split(string(data), "\n")...); err != nil {
		return 0, syscall.EINVAL
	}
	return uint32(len(data)), 0
}
