// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// How long a call is made again. The TDX module is busy while another
// processor is in the same call, for microseconds.
const (
	busyTries   = 32
	busyWaitMin = 50 * time.Microsecond
	busyWaitMax = 50 * time.Millisecond // reached after 10 tries: a second in all
	// A signal for each try means that something is wrong.
	interruptTries = 1000
)

// Extend extends a register with one write for each record. System calls, in
// order: open(O_WRONLY), then per record pwrite at offset 0, close.
func (d *Device) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	r, err := device.Find(d, reg)
	if err != nil {
		return 0, err
	}
	if err := r.CheckExtend(records); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", reg, err)
	}
	if d.closed.Load() {
		return 0, fmt.Errorf("%s: %w", reg, os.ErrClosed)
	}
	if len(records) == 0 {
		return 0, nil
	}
	f, err := d.open(reg, unix.O_WRONLY)
	if err != nil {
		return 0, err
	}
	defer f.close()
	for i, digests := range records {
		if err := d.write(ctx, reg, f, digests[0].Sum); err != nil {
			return i, fmt.Errorf("%s: record %d of the request: %w", reg, i, err)
		}
		ctx = context.WithoutCancel(ctx) // an extend cannot be taken back
	}
	return len(records), nil
}

// write extends once. While it waits for a busy module, nothing has happened,
// and ctx can end it.
func (d *Device) write(ctx context.Context, reg mrlog.Register, f file, digest []byte) error {
	return d.again(ctx, f.path, func() error {
		d.order.Lock()
		defer d.order.Unlock()
		n, err := unix.Pwrite(f.fd, digest, 0)
		switch {
		case err == nil && n == len(digest):
			d.doubt.Lock()
			clear(d.stale)
			d.doubt.Unlock()
			return nil
		case err == nil:
			err = fmt.Errorf("short write: %d of %d bytes", n, len(digest))
		case d.nothingHappened(err):
			return &fs.PathError{Op: "write", Path: f.path, Err: err}
		}
		d.doubt.Lock()
		d.stale[reg] = nil
		d.doubt.Unlock()
		return &fs.PathError{Op: "write", Path: f.path, Err: err}
	})
}

// nothingHappened reports whether the kernel promises that a call which failed
// so had no effect. See the package comment.
func (d *Device) nothingHappened(err error) bool {
	return err == unix.EINTR || err == unix.EBUSY && d.isTDX
}

// again makes a call again while it fails without an effect. The call gives a
// *fs.PathError for an error of the kernel.
func (d *Device) again(ctx context.Context, path string, call func() error) error {
	wait, busy, interrupted := busyWaitMin, 0, 0
	for {
		err := call()
		failed, _ := err.(*fs.PathError) //nolint:errorlint // made by the call itself
		if failed == nil || !d.nothingHappened(failed.Err) {
			return err
		}
		if failed.Err == unix.EINTR {
			if interrupted++; interrupted >= interruptTries {
				return fmt.Errorf("%w, %d times in a row", err, interrupted)
			}
			continue
		}
		if busy++; busy >= busyTries {
			return fmt.Errorf("%w, %d times in a row", err, busy)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w while waiting: %w", context.Cause(ctx), err)
		}
		wait = min(2*wait, busyWaitMax)
	}
}

// file is an open attribute.
type file struct {
	fd   int
	path string
}

// open opens a register's attribute.
func (d *Device) open(reg mrlog.Register, flags int) (file, error) {
	f := file{path: d.paths[reg]}
	err := retry(func() (err error) {
		f.fd, err = unix.Open(f.path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return file{}, fmt.Errorf("%s: %w", reg, &fs.PathError{Op: "open", Path: f.path, Err: err})
	}
	return f, nil
}

func (f file) close() { unix.Close(f.fd) }
