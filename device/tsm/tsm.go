// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// NoReport as Options.Report has the attributes read although there is a
// report device.
const NoReport = "none"

// Options say where the registers are.
type Options struct {
	// Tree is the measurements folder; "" is the one that Detect finds.
	Tree string
	// Report is the device that makes TDREPORTs; "" is /dev/tdx_guest if Tree
	// is the folder that the kernel has for it, else none.
	Report string
	// Root is where the machine's files are looked for; "" is "/". It is for
	// tests, and leaves Tree and Report alone.
	Root string
}

// Device is a measurement tree, with the report device if there is one.
type Device struct {
	info      device.Info
	registers []device.Register
	paths     map[mrlog.Register]string // of the attributes
	isTDX     bool                      // EBUSY means that nothing has happened
	report    *os.File                  // nil without a report device
	closed    atomic.Bool

	// order is held by each write, and shared by each read of an attribute:
	// a read that ran beside a write could not tell whether it saw what the
	// write then failed with.
	order sync.RWMutex
	doubt sync.Mutex                // about stale; order comes first
	stale map[mrlog.Register][]byte // a write to these has failed since the last to any that succeeded; what the first read gave since, nil before it
}

var _ device.Device = (*Device)(nil)

// Kinds of devices, as Info tells them.
const (
	kindTDX = "tdx"
	kindTSM = "tsm" // another platform's registers
)

// Open opens a measurement tree. Without one on this machine the error is an
// *AbsentError. System calls: statfs, the folder's listing, per register stat
// and faccessat, and the open of the report device.
func Open(o Options) (*Device, error) {
	if o.Tree == "" {
		tree, findings := Detect(o.Root)
		if tree == "" {
			return nil, &AbsentError{Findings: findings}
		}
		o.Tree = tree
	}
	tree, err := filepath.Abs(o.Tree)
	if err != nil {
		return nil, err
	}
	simulated, err := onFUSE(tree)
	if err != nil {
		return nil, err
	}
	s, err := scan(tree)
	if err != nil {
		return nil, err
	}
	if len(s.registers) == 0 {
		return nil, fmt.Errorf("%s: %w: among its %d attributes none is named rtmrN:HASH", tree, device.ErrNoRegister, s.attributes)
	}
	d := &Device{
		info:  device.Info{Kind: kindTSM, Simulated: simulated || isSample(tree), Where: tree},
		paths: make(map[mrlog.Register]string),
		stale: make(map[mrlog.Register][]byte),
		isTDX: s.isTDX(),
	}
	if d.isTDX {
		d.info.Kind = kindTDX
	}
	switch {
	case o.Report == NoReport:
		o.Report = ""
	case o.Report == "" && o.isKernels(tree):
		o.Report = filepath.Join(o.root(), reportDevice)
	}
	if o.Report != "" {
		if !d.isTDX {
			return nil, fmt.Errorf("%s: a report device is of no use here: this is not the tree of a TDX guest, whose reports hold rtmr0 to rtmr3 in sha384", tree)
		}
		if d.report, err = os.OpenFile(o.Report, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
			return nil, fmt.Errorf("report device: %w", err)
		}
	}
	for _, a := range s.registers {
		d.paths[a.register] = a.path
		d.registers = append(d.registers, a.describe(d.report != nil))
	}
	return d, nil
}

// Close closes the report device. Calls that come later fail.
func (d *Device) Close() error {
	if d.closed.Swap(true) || d.report == nil {
		return nil
	}
	return d.report.Close()
}

// Info says "tdx", or "tsm" for the tree of another platform, and where the
// tree is.
func (d *Device) Info() device.Info { return d.info }

// Registers describes the registers of the tree.
func (d *Device) Registers() []device.Register { return d.registers }

func (o Options) root() string {
	if o.Root == "" {
		return "/"
	}
	return o.Root
}

// isKernels reports whether the tree is the kernel's for /dev/tdx_guest, by
// whatever path it was named.
func (o Options) isKernels(tree string) bool {
	own, err := filepath.EvalSymlinks(filepath.Join(o.root(), miscFolder, tdxGuest, measurements))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(tree)
	return err == nil && real == own
}
