// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package device says what a thing that holds measurement registers offers:
// its registers, their present values, and the one operation on them, extend.
//
// The devices themselves are sub-packages: tsm (the registers of a TDX guest,
// through the kernel), tpm (the PCRs of a TPM 2.0), soft (simulated, in a
// folder). One conformance suite, package devicetest, holds all of them to the contract of
// [Device].
package device

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mrlog.dev"
)

// Device holds measurement registers.
//
// The contract for implementers:
//
//   - All methods may be called from several goroutines at once, and other
//     processes may use the same registers. One record's extend is atomic
//     over all banks as far as the hardware allows.
//   - Info and Registers are cheap and never change while the device is open.
//   - A context that is done before a call starts stops it with the context's
//     error and no effect. Once the first record of an Extend is on its way,
//     the context counts no more: whoever calls cannot take back an extend.
//   - Errors wrap their cause, and say which register they are about.
//
// A device that holds something open has a Close method of its own; whoever
// opened the device calls it.
type Device interface {
	// Info says what the device is.
	Info() Info

	// Registers describes the registers in order of their names
	// ([mrlog.Register.Compare]). The caller must not alter the result.
	Registers() []Register

	// Read returns the values of all banks of a register, as they were at
	// one instant between the call and its return. The caller owns them.
	// An unknown register gives an error that wraps ErrNoRegister.
	Read(ctx context.Context, reg mrlog.Register) (Reading, error)

	// Extend extends a register with each record's digests, in order. A
	// record has one digest for each of the register's banks, in any order.
	// What is wrong with the request (CheckExtend) is found before anything
	// is extended.
	//
	// It returns how many records were extended in all banks. Without an
	// error that is len(records). With an error, the record of that index
	// may or may not have been extended, or in some banks only: read the
	// register to know. No record after it has been.
	Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error)
}

// Info says what a device is, for people and for evidence.
type Info struct {
	Kind      string // "soft-tdx", "tdx", "tpm"
	Simulated bool   // holds nothing that a remote verifier could trust
	Where     string // path of the folder, file system tree or device node
}

// Register describes one register of a device.
type Register struct {
	Name  mrlog.Register
	Banks []Bank // active banks, in the order in which Read gives their values

	// NotExtendable says why user space cannot extend the register; "" if
	// it can.
	NotExtendable string
	// NotReadable says why the register cannot be read; "" if it can.
	NotReadable string
}

// Bank describes one active bank of a register.
type Bank struct {
	Alg   mrlog.Alg
	Reset []byte // value after a reset of the platform
}

// Reading is the value of a register.
type Reading struct {
	// Values of all active banks at one instant, in the order of
	// Register.Banks.
	Values []mrlog.Digest
	// Fresh: the value comes from the register itself and not from a copy
	// that may be older than the call.
	Fresh bool
	// Cached: it comes from a copy all the same. The copy shows each extend
	// that succeeded, of whatever process, but need not show one that was
	// reported as failed to another process. Fresh says of it that no extend by
	// this Device has failed since.
	Cached bool
}

// What a device refuses. The errors that wrap these name the register and the
// reason.
var (
	// ErrNoRegister: the device has no such register.
	ErrNoRegister = errors.New("no such register")
	// ErrNotExtendable: user space cannot extend the register.
	ErrNotExtendable = errors.New("register cannot be extended from user space")
	// ErrDigests: a record's digests are not one for each active bank.
	ErrDigests = errors.New("digests do not fit the register's banks")
)

// Find returns the device's description of a register, or an error that wraps
// ErrNoRegister and says which registers there are.
func Find(d Device, reg mrlog.Register) (Register, error) {
	all := d.Registers()
	for _, r := range all {
		if r.Name == reg {
			return r, nil
		}
	}
	info := d.Info()
	if len(all) == 0 {
		return Register{}, fmt.Errorf("%s: %w: device %s (%s) has none", reg, ErrNoRegister, info.Kind, info.Where)
	}
	return Register{}, fmt.Errorf("%s: %w: device %s (%s) has %s to %s", reg, ErrNoRegister, info.Kind, info.Where, all[0].Name, all[len(all)-1].Name)
}

// CheckExtend reports what is wrong with a request to extend the register,
// wrapping ErrNotExtendable or ErrDigests. Implementations of Extend call it
// first.
func (r Register) CheckExtend(records [][]mrlog.Digest) error {
	if r.NotExtendable != "" {
		return fmt.Errorf("%s: %w: %s", r.Name, ErrNotExtendable, r.NotExtendable)
	}
	for i, digests := range records {
		if len(digests) != len(r.Banks) {
			return fmt.Errorf("%s: record %d of the request: %w: %d digests for %d banks", r.Name, i, ErrDigests, len(digests), len(r.Banks))
		}
		for _, b := range r.Banks {
			at := slices.IndexFunc(digests, func(d mrlog.Digest) bool { return d.Alg == b.Alg })
			if at < 0 {
				return fmt.Errorf("%s: record %d of the request: %w: none for %s", r.Name, i, ErrDigests, b.Alg)
			}
			if n := len(digests[at].Sum); n != b.Alg.Size() {
				return fmt.Errorf("%s: record %d of the request: %w: %s digest of %d bytes", r.Name, i, ErrDigests, b.Alg, n)
			}
		}
	}
	return nil
}
