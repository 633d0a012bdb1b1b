// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

const (
	shapeFile = "shape"
	shapeTemp = ".shape.new"

	dirMode = 0o700

	// lockTimeout is how long an operation waits for other processes. They
	// hold a register for one write and one sync.
	lockTimeout = 10 * time.Second
)

// Device is a set of software registers in a folder. It holds nothing open
// between calls, and any number of processes may use one folder.
type Device struct {
	dir       string
	shape     Shape
	registers []device.Register
	volatile  bool // the folder does not outlive the machine: no syncs
}

var _ device.Device = (*Device)(nil)

// ShapeError says that a folder holds registers of another shape than the one
// asked for.
type ShapeError struct {
	Dir         string
	Asked, Held Shape
}

// Error names the folder and both shapes.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("%s holds software registers of shape %s, not %s: name another folder, or ask for %s", e.Dir, e.Held, e.Asked, e.Held)
}

// Open opens the software registers in dir. If there are none it makes the
// folder (0700, with the folders above it) and all registers, at their reset
// values. A folder of another shape gives a *ShapeError. A folder that group
// or others may write to, or of a user who is neither the effective one nor
// root, is refused.
//
// Opening a complete folder makes no change: stat it, open and read "shape".
// Making one is, in order:
//
//	mkdir(dir), open(dir, O_DIRECTORY|O_NOFOLLOW), fchmod(0700)
//	stat(dir), flock(dir, LOCK_EX)        with a deadline, as every flock here
//	per register: open(O_CREAT), fstat, ftruncate, pwrite, fdatasync, close
//	open(.shape.new, O_CREAT), fstat, ftruncate, pwrite, fdatasync, close
//	rename(.shape.new, shape)
//	fsync(dir), fsync(dir/..)
//
// On tmpfs and ramfs, which do not outlive the machine, the syncs are left
// out here as everywhere in this package.
func Open(dir string, shape Shape) (*Device, error) {
	if _, err := ParseShape(string(shape)); err != nil {
		return nil, err
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	d := &Device{dir: dir, shape: shape, registers: shape.registers()}
	if err := checkFolder(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	held, err := readShape(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.create(); err != nil {
			return nil, err
		}
		held, err = readShape(dir)
	}
	if err != nil {
		return nil, err
	}
	if held != shape {
		return nil, &ShapeError{Dir: dir, Asked: shape, Held: held}
	}
	d.volatile, err = volatileAt(dir)
	return d, err
}

// Info says that the device is simulated, and where it is.
func (d *Device) Info() device.Info {
	return device.Info{Kind: "soft-" + string(d.shape), Simulated: true, Where: d.dir}
}

// Registers describes the registers of the shape.
func (d *Device) Registers() []device.Register { return d.registers }

// Read returns a register's value, always fresh. System calls, in order: open,
// fstat, pread, close; one more pread at least while a slot is damaged or just being
// written.
func (d *Device) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	r, err := device.Find(d, reg)
	if err != nil {
		return device.Reading{}, err
	}
	if err := ctx.Err(); err != nil {
		return device.Reading{}, fmt.Errorf("%s: %w", reg, err)
	}
	f, err := d.open(r, unix.O_RDONLY)
	if err != nil {
		return device.Reading{}, err
	}
	defer f.close()
	s, err := f.settled(r)
	if err != nil {
		return device.Reading{}, err
	}
	return device.Reading{Values: s.values, Fresh: true}, nil
}

// Extend extends a register with all records in one write. System calls, in
// order: open, fstat, flock(LOCK_EX), fstat, pread, pwrite of one slot,
// fdatasync, close. Ctx counts until the lock is had.
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
	if len(records) == 0 {
		return 0, nil
	}
	err = d.change(ctx, r, func(s *state) error {
		for _, digests := range records {
			for _, digest := range digests {
				for i := range s.values {
					if s.values[i].Alg != digest.Alg {
						continue
					}
					if err := digest.Alg.Extend(s.values[i].Sum, digest.Sum); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(records), nil
}

// Reset gives all registers their reset values, one after the other, as a
// reset of the platform does. System calls per register are those of Extend.
func (d *Device) Reset(ctx context.Context) error {
	for _, r := range d.registers {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := d.change(ctx, r, func(s *state) error {
			for i, b := range r.Banks {
				s.values[i].Sum = bytes.Clone(b.Reset)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
