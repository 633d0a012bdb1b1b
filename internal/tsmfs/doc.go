// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package tsmfs is a FUSE file system that behaves as the measurement
// registers of a TDX guest do under Linux, for tests and for trying things
// out. Package device/tsm cannot be tested against a folder of plain files:
// there a write replaces the value, any size is taken, and nothing is cached.
//
// # Files
//
//	measurements/mrconfigid, mrowner, mrownerconfig    0444, 48 bytes
//	measurements/mrtd:sha384                           0444, 48 bytes
//	measurements/rtmr0:sha384 … rtmr3:sha384           0644, 48 bytes
//	tdx_guest     0600: answers the ioctl TDX_CMD_GET_REPORT0
//	control       0600: what is to fail, and how often what was called
//
// Tests can have other attributes in the folder ([Options]).
//
// # What is as in the kernel
//
// The sources are drivers/virt/coco/guest/tsm-mr.c, the TDX guest driver and
// fs/sysfs/file.c, Linux 6.16.
//
//   - A write of a register's size at offset 0 extends it. sysfs cuts off what
//     goes beyond the end of the file before the driver sees it: 49 bytes at
//     offset 0 extend with the first 48, and write(2) answers 48. What starts
//     at the end or behind it gives EFBIG, any other write EINVAL.
//   - All attributes of a tree share one cache and one mark that it is in
//     step. A read of a register refreshes the cache if the mark is not set,
//     and sets it. Only a write that succeeds clears it: what an extend did
//     that then failed, reads do not show until a later one succeeds.
//   - The report is made by the hardware. It is always of now, and it lands
//     in the very memory that the cache is, so that reads show it from then
//     on, mark or no mark.
//   - One lock serves all of them. Waiting for it ends with EINTR when a
//     signal arrives, before anything has happened; what has begun is not
//     interrupted.
//   - Who opens an attribute for more than its mode says gets EACCES, root
//     too.
//
// The registers live in the process that serves the mount: processes that use
// them may be killed at any instant.
//
// # What differs
//
// The report device is a regular file and not a character device, because FUSE
// cannot answer for one. Its reports have correct digests but no MAC. Any
// signal counts where the kernel's first lock heeds fatal ones only. A write
// that fails with the extend done is something that no TDX module does; it
// stands for whatever may go wrong behind our back. A name that go-fuse uses
// for itself, .go-fuse-epoll-hack, can be looked up in the root but is not
// listed.
//
// # Control
//
// The file takes lines, as [FS.Control] does; reading it shows what is set,
// the counters and the registers.
//
//	fail [OP] [on REGISTER] [every N] [times N] ERROR [before|after]
//	slow [OP] DURATION       each operation takes so long; 0 ends it
//	extend REGISTER HEX      behind the back of everybody, the cache too
//	reset                    registers as after a reboot
//	clear                    nothing fails, nothing is slow; counters at 0
//
// OP is extend (the default), read or report. ERROR is EIO, EBUSY, EINTR,
// ENXIO, EINVAL, ENOMEM, or short, which answers with one byte less than all.
// "before" (the default) fails with nothing done, "after" fails what was done.
// The kernel gives EBUSY, EINTR and EINVAL only before it does anything, so
// that these cannot be had after. REGISTER is the name before the colon.
package tsmfs
