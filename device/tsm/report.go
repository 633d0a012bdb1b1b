// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"

	"mrlog.dev"
)

// The ioctl of /dev/tdx_guest (include/uapi/linux/tdx-guest.h): the caller's 64
// bytes go in, a TDREPORT comes out behind them.
const (
	tdxGetReport0  = 0xC4405401 // TDX_CMD_GET_REPORT0: _IOWR('T', 1, 1088 bytes)
	reportDataSize = 64
	reportSize     = 1024
)

// The TDREPORT (Intel TDX Module 1.5 ABI, TDREPORT_STRUCT).
const (
	reportType   = 0x81 // at 0: of a TDX guest
	atReportData = 128
	atRTMR0      = 720 // three others follow
	rtmrSize     = 48
	rtmrs        = 4
)

// reportLabel is the caller's part of our reports. They leave this process
// nowhere, and with it none could pass for the answer to a challenge.
const reportLabel = "mrlog reads registers"

// inReport gives the offset of a register's value in a TDREPORT.
func inReport(reg mrlog.Register) (offset int, ok bool) {
	if reg.Space != mrlog.RTMR || reg.Index >= rtmrs {
		return 0, false
	}
	return atRTMR0 + int(reg.Index)*rtmrSize, true
}

// reported asks for a TDREPORT and returns the register's value in it.
func (d *Device) reported(ctx context.Context, reg mrlog.Register) ([]byte, error) {
	path := d.report.Name()
	conn, err := d.report.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reg, err)
	}
	var request [reportDataSize + reportSize]byte
	err = d.again(ctx, path, func() error {
		clear(request[:])
		copy(request[:], reportLabel)
		var errno unix.Errno
		err := conn.Control(func(fd uintptr) {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, tdxGetReport0, uintptr(unsafe.Pointer(&request[0])))
		})
		if err == nil && errno != 0 {
			err = &fs.PathError{Op: "TDX_CMD_GET_REPORT0", Path: path, Err: errno}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reg, err)
	}
	value, err := valueIn(request[reportDataSize:], request[:reportDataSize], reg)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", reg, path, err)
	}
	return value, nil
}

// valueIn takes a register's value out of a TDREPORT, which must be the one
// that was asked for with data.
func valueIn(report, data []byte, reg mrlog.Register) ([]byte, error) {
	at, ok := inReport(reg)
	if !ok {
		return nil, errors.New("a TDREPORT does not hold the register")
	}
	if report[0] != reportType || !bytes.Equal(report[atReportData:atReportData+reportDataSize], data) {
		return nil, fmt.Errorf("what it gave is not the TDREPORT that was asked for (type 0x%02x)", report[0])
	}
	return bytes.Clone(report[at : at+rtmrSize]), nil
}
