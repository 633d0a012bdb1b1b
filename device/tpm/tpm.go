// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"fmt"
	"os"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
)

const (
	// commandTimeout is how long one command may take. What is sent here
	// takes a hardware TPM some milliseconds, but one that has just come on
	// may test itself first, and others may stand before us in the kernel.
	commandTimeout = 30 * time.Second

	// busyTimeout is how long a command is sent again that the TPM does not
	// take.
	busyTimeout = 10 * time.Second
)

// Device is a TPM's PCRs. It keeps one connection.
type Device struct {
	path      string
	simulated bool
	shape     *shape

	commandTimeout, busyTimeout time.Duration

	// turn is held by who uses what stands below. A channel, because
	// waiting for it must end with the caller's context.
	turn    chan struct{}
	link    link // nil if the next operation is to make one
	closed  bool
	clock   clock
	counter uint32            // latest PCR update counter that was seen
	epoch   uint64            // counts the resets that were noticed
	readIn  map[uint32]uint64 // PCR → epoch when it was last read
}

var _ device.Device = (*Device)(nil)

// Open opens the TPM at a path: a character device or a Unix socket. An empty
// path stands for /dev/tpmrm0, or /dev/tpm0 where that is missing. The TPM is
// asked for its banks and for what locality 0 may do, which is all that Open
// changes. Ctx counts until Open returns. The caller closes the device.
//
// Commands, in order: TPM2_GetCapability (PCRs, then PCR properties) and
// TPM2_ReadClock. The same are sent whenever a connection is made anew.
func Open(ctx context.Context, path string) (*Device, error) {
	if path == "" {
		path = DefaultPath("/")
		if path == "" {
			why := Detect("/")[0]
			return nil, fmt.Errorf("no TPM: %s: %s: %s", why.What, why.Why, why.Remedy)
		}
	}
	d := &Device{
		path:           path,
		commandTimeout: commandTimeout,
		busyTimeout:    busyTimeout,
		turn:           make(chan struct{}, 1),
		readIn:         make(map[uint32]uint64),
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("TPM at %s: %w", path, err)
	}
	if err := d.connect(ctx); err != nil {
		return nil, fmt.Errorf("TPM at %s: %w", path, err)
	}
	return d, nil
}

// Close closes the connection, after the operation that uses it. Later
// operations fail with an error that wraps os.ErrClosed.
func (d *Device) Close() error {
	d.turn <- struct{}{}
	defer d.release()
	d.closed = true
	if d.link == nil {
		return nil
	}
	l := d.link
	d.link = nil
	return l.close()
}

// Info says where the TPM is. Behind a socket it counts as simulated.
func (d *Device) Info() device.Info {
	return device.Info{Kind: "tpm", Simulated: d.simulated, Where: d.path}
}

// Registers describes the PCRs that are active in at least one bank that mrlog
// can compute.
func (d *Device) Registers() []device.Register { return d.shape.registers }

// Resettable reports whether any program can reset the register, so that its
// value says nothing of what was extended before: PCR 16 and 23 on a PC.
func (d *Device) Resettable(reg mrlog.Register) bool {
	return reg.Space == mrlog.PCR && d.shape.resettable.has(reg.Index)
}

// acquire waits for the connection to be free, or for ctx.
func (d *Device) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.closed {
		d.release()
		return os.ErrClosed
	}
	return nil
}

func (d *Device) release() { <-d.turn }
