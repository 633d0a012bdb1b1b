// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"mrlog.dev"
)

// The TDREPORT (Intel TDX Module 1.5 ABI, TDREPORT_STRUCT), and its ioctl
// (include/uapi/linux/tdx-guest.h).
const (
	ioctlReport    = 0xC4405401 // TDX_CMD_GET_REPORT0: _IOWR('T', 1, 1088 bytes)
	reportDataSize = 64
	reportSize     = 1024

	atType       = 0
	atTCBInfo    = 256 // 239 bytes
	atTCBHash    = 32
	atInfoHash   = 80
	atReportData = 128
	atInfo       = 512 // to the end
)

// atRegister gives the offset of an attribute's value in a TDREPORT; ok is
// false for an attribute that it does not hold.
func atRegister(name string) (offset int, ok bool) {
	switch name {
	case "mrtd":
		return 528, true
	case "mrconfigid":
		return 576, true
	case "mrowner":
		return 624, true
	case "mrownerconfig":
		return 672, true
	case "rtmr0":
		return 720, true
	case "rtmr1":
		return 768, true
	case "rtmr2":
		return 816, true
	case "rtmr3":
		return 864, true
	}
	return 0, false
}

// report makes the TDREPORT of the registers as they are now, with data in its
// place for the caller's. There is no key for a MAC here: its bytes stay zero.
func (k *kernel) report(data []byte) []byte {
	b := make([]byte, reportSize)
	b[atType] = 0x81 // TDX
	copy(b[atReportData:atReportData+reportDataSize], data)
	for _, r := range k.registers {
		if at, ok := atRegister(r.base()); ok && len(r.live) == 48 {
			copy(b[at:], r.live)
		}
	}
	copy(b[atTCBHash:], mrlog.SHA384.AppendSum(nil, b[atTCBInfo:atTCBInfo+239]))
	copy(b[atInfoHash:], mrlog.SHA384.AppendSum(nil, b[atInfo:]))
	return b
}
