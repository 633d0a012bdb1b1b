// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// Read returns a register's value: out of a new TDREPORT if there is a report
// device (one ioctl), else from the attribute (open, pread, close). The package
// comment says when the latter is fresh.
func (d *Device) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	r, err := device.Find(d, reg)
	if err != nil {
		return device.Reading{}, err
	}
	if err := ctx.Err(); err != nil {
		return device.Reading{}, fmt.Errorf("%s: %w", reg, err)
	}
	if d.closed.Load() {
		return device.Reading{}, fmt.Errorf("%s: %w", reg, os.ErrClosed)
	}
	if r.NotReadable != "" {
		return device.Reading{}, fmt.Errorf("%s: %s", reg, r.NotReadable)
	}
	bank := r.Banks[0]
	reading := device.Reading{Fresh: true, Cached: d.report == nil}
	var value []byte
	if d.report != nil {
		value, err = d.reported(ctx, reg)
	} else {
		value, reading.Fresh, err = d.attribute(ctx, reg, bank.Alg.Size())
	}
	if err != nil {
		return device.Reading{}, err
	}
	reading.Values = []mrlog.Digest{{Alg: bank.Alg, Sum: value}}
	return reading, nil
}

// attribute reads a register's attribute, in one read: only that is of one
// instant.
func (d *Device) attribute(ctx context.Context, reg mrlog.Register, size int) (value []byte, fresh bool, err error) {
	f, err := d.open(reg, unix.O_RDONLY)
	if err != nil {
		return nil, false, err
	}
	defer f.close()
	buf := make([]byte, size+1)
	err = d.again(ctx, f.path, func() error {
		d.order.RLock()
		defer d.order.RUnlock()
		n, err := unix.Pread(f.fd, buf, 0)
		if err != nil {
			return &fs.PathError{Op: "read", Path: f.path, Err: err}
		}
		if n != size {
			return fmt.Errorf("%s: a value of %d bytes, want %d", f.path, n, size)
		}
		fresh = d.fresh(reg, buf[:n])
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", reg, err)
	}
	return buf[:size:size], fresh, nil
}

// fresh reports whether what an attribute gave may be older than a write of
// ours that failed. If it is not what the first read after that write gave, the
// kernel has refreshed it in between.
func (d *Device) fresh(reg mrlog.Register, value []byte) bool {
	d.doubt.Lock()
	defer d.doubt.Unlock()
	first, failed := d.stale[reg]
	switch {
	case !failed:
		return true
	case first == nil:
		d.stale[reg] = bytes.Clone(value)
		return false
	case bytes.Equal(first, value):
		return false
	}
	delete(d.stale, reg)
	return true
}
