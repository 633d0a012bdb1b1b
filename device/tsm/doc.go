// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package tsm is the device of the measurement registers that Linux shows of
// a confidential guest (tsm-mr, Linux 6.16 and later): the RTMRs of Intel TDX.
//
// # The tree
//
// A guest driver has a folder of attributes,
//
//	/sys/devices/virtual/misc/tdx_guest/measurements/rtmr2:sha384
//
// each named NAME or NAME:HASH, its value as raw bytes. A register is an
// attribute "rtmrN:HASH", which is rtmrN here, or "remN:HASH" of the proposed
// series for Arm CCA, which is rtmrN as well: that is REM N's name in the
// space of run-time registers, as mrlog.CCA maps it. All others (mrtd,
// mrowner, rim) are no registers: nothing extends them after the guest was
// built. One register under two hashes is refused, because nothing extends or
// reads both at one instant; no platform has one.
//
// A folder that is on neither sysfs nor FUSE is refused: on any other file
// system a write would replace the value, not extend it. On FUSE the device
// is marked simulated, and so is the kernel's sample driver.
//
// # Extending
//
// One write(2) of exactly the digest's size at offset 0 extends a register.
// The kernel does (tm_digest_write in drivers/virt/coco/guest/tsm-mr.c, then
// tdx_mr_extend in drivers/virt/coco/tdx-guest/tdx-guest.c):
//
//	wait for the tree's lock         EINTR: killed while waiting
//	wait for the driver's lock       EINTR: a signal while waiting
//	TDG.MR.RTMR.EXTEND               EBUSY, ENXIO, EIO: what the TDX module said
//
// EINTR therefore means that nothing has happened, and the write is made
// again. So does EBUSY on TDX: the module could not take its own lock on the
// operand, and took no step; it is tried again for about a second, and until
// the first record is extended the context can end that. Of another
// platform's driver nobody has promised this, so EBUSY is an error there. Any
// other error says nothing about the register: the caller reads it.
//
// The kernel records nothing about an extend, in no log.
//
// # Reading, and what Fresh says
//
// With a report device (/dev/tdx_guest) a read asks the TDX module for a
// TDREPORT and takes the value from it. That is always fresh.
//
// Without one it reads the attribute. The kernel answers from a cache, for all
// registers of the tree at once, and refreshes it at the first read after a
// write that succeeded. A write that failed leaves the cache as it is, although
// the register may have been extended. So from a failed write on, a [Device]
// gives Fresh as false for that register, until one of its writes succeeds, or
// the attribute gives another value than at the first read after the failure,
// which says that the cache was refreshed since; EINTR, and EBUSY on TDX, do
// not count as failed. What one Device cannot know is what others did: after
// the failed write of another process, or an extend that did not go through
// this driver, a reading says Fresh and may be old. It therefore says Cached,
// too. Whoever wants to be sure has a report device.
package tsm
