// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/keeper"
)

// Options say what a snapshot is taken of.
type Options struct {
	// State is the folder with a folder per register, as keepers have it. If
	// it is not there, no register has a log.
	State string
	// Device holds the registers. It is read only.
	Device device.Device

	// Registers to look at; nil stands for those of Values or, without
	// Values, for all that can be read or have a log.
	Registers []mrlog.Register
	// Values that were taken before, from a quote say; these registers are
	// not read. A value may have some of its register's banks only: what is
	// not there is not compared.
	Values map[mrlog.Register][]mrlog.Digest

	// BootID returns the id of the kernel's present boot;
	// keeper.KernelBootID if nil. After an error the boot is unknown.
	BootID func() (string, error)
	// Now returns the time; time.Now if nil.
	Now func() time.Time
}

// State says how a register's value and its logs stand to one another.
type State string

// The states. The first two are what evidence can be made of.
const (
	// Consistent: the logs replay to the value.
	Consistent State = "consistent"
	// NoLog: no record leads to the value. There is no log, or what there is
	// was begun after the value was taken, or is of an earlier boot.
	NoLog State = "no-log"
	// Inconsistent: no prefix of a log gives the value.
	Inconsistent State = "inconsistent"
	// Unreadable: the value or a log could not be read.
	Unreadable State = "unreadable"
)

// Result is a snapshot. Its logs are open files: Close it.
type Result struct {
	// Taken is when the snapshot began. What was acknowledged before is in
	// it, unless values were given.
	Taken  time.Time
	Boot   string // id of the boot; "" if unknown
	Device device.Info
	// Consistent: every register is Consistent or has NoLog.
	Consistent bool
	Registers  []Register // in order of their names
}

// Register is one register of a snapshot.
type Register struct {
	Name  mrlog.Register
	State State
	// Values of the banks, read afresh, or as given; nil if they could not be
	// read.
	Values []mrlog.Digest
	Given  bool // the values are those of Options.Values

	// Logs that lead to the values, the oldest first; each begins with the
	// value that the one before ends with. If State is Inconsistent or
	// Unreadable, what could be read, so that somebody can look at it: the
	// last one with all of its complete lines.
	Logs []*Log
	// Unexplained: the first log does not begin with a reset value, or with
	// NoLog the value is none. Firmware, or another writer, extended the
	// register before, and nothing here says with what.
	Unexplained bool

	// Reason says in words why the register is Inconsistent or Unreadable;
	// otherwise it is a remark, or "".
	Reason string
	Err    error // with Unreadable, if there is one
}

// Close closes the logs. The result's other fields stay as they are.
func (r *Result) Close() error {
	var errs []error
	for i := range r.Registers {
		for _, l := range r.Registers[i].Logs {
			errs = append(errs, l.file.Close())
		}
	}
	return errors.Join(errs...)
}

// Snapshot takes a snapshot. It replays every log from its beginning: who
// takes snapshots again and again keeps a [Collector].
//
// What is wrong with one register is in the result. An error is for a request
// that cannot be answered (a register that the device does not have wraps
// device.ErrNoRegister) and for ctx.
func Snapshot(ctx context.Context, o Options) (*Result, error) {
	var c Collector
	return c.Snapshot(ctx, o)
}

// check completes the options, or says what is wrong with them.
func (o *Options) check() error {
	switch {
	case o.State == "":
		return errors.New("collect: no state folder given")
	case o.Device == nil:
		return errors.New("collect: no device given")
	}
	for reg, values := range o.Values {
		if len(values) == 0 {
			return fmt.Errorf("collect: %s: the value given has no bank", reg)
		}
		for i, v := range values {
			if v.Alg.Size() == 0 || len(v.Sum) != v.Alg.Size() {
				return fmt.Errorf("collect: %s: the %s value given has %d bytes: %w", reg, v.Alg, len(v.Sum), mrlog.ErrSize)
			}
			if slices.ContainsFunc(values[:i], func(d mrlog.Digest) bool { return d.Alg == v.Alg }) {
				return fmt.Errorf("collect: %s: the value given has %s twice", reg, v.Alg)
			}
		}
	}
	if o.BootID == nil {
		o.BootID = keeper.KernelBootID
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// registers returns the descriptions of the registers asked for, in order,
// each once.
func (o *Options) registers() ([]device.Register, error) {
	names := o.Registers
	if names == nil {
		for reg := range o.Values {
			names = append(names, reg)
		}
	}
	var out []device.Register
	if names == nil {
		for _, d := range o.Device.Registers() {
			if d.NotReadable == "" || hasFolder(o.State, d.Name) {
				out = append(out, d)
			}
		}
		return out, nil
	}
	for _, reg := range names {
		d, err := device.Find(o.Device, reg)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b device.Register) int { return a.Name.Compare(b.Name) })
	return slices.CompactFunc(out, func(a, b device.Register) bool { return a.Name == b.Name }), nil
}
