// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"

	"mrlog.dev"
)

// kernel is the state that the kernel and the TDX module hold in truth.
type kernel struct {
	// gate is the lock over all that follows. Waiting for it can be given
	// up, so that it is a channel: who holds it has put a value into it.
	gate chan struct{}

	registers []*register
	inSync    bool // the cache holds what was live at the last refresh

	faults []*Fault
	slow   [operations]time.Duration
	calls  [operations]int
	failed [operations]int
}

// register is an attribute with its values.
type register struct {
	Attribute
	hash   mrlog.Alg
	live   []byte // in the hardware
	cached []byte // what a read gives
}

// extendable reports whether the attribute is a register that can change. The
// others keep for ever what they had when the driver was loaded.
func (r *register) extendable() bool { return r.hash != 0 && r.Mode&0o222 != 0 }

func newKernel(attributes []Attribute) (*kernel, error) {
	k := &kernel{gate: make(chan struct{}, 1)}
	for _, a := range attributes {
		alg, err := a.alg()
		if err != nil {
			return nil, err
		}
		k.registers = append(k.registers, &register{
			Attribute: a, hash: alg,
			live: bytes.Clone(a.Value), cached: bytes.Clone(a.Value),
		})
	}
	return k, nil
}

// lock takes the gate; false says that a signal came first.
func (k *kernel) lock(ctx context.Context) bool {
	select {
	case k.gate <- struct{}{}:
		return true
	default:
	}
	select {
	case k.gate <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *kernel) unlock() { <-k.gate }

// enter begins an operation: it takes the lock, lasts as long as it was told
// to, and finds the fault that is to strike.
func (k *kernel) enter(ctx context.Context, op Operation, r *register) (*Fault, syscall.Errno) {
	if !k.lock(ctx) {
		return nil, syscall.EINTR
	}
	k.calls[op]++
	if d := k.slow[op]; d > 0 {
		<-time.After(d) // nothing takes back what has begun
	}
	for _, f := range k.faults {
		if f.strikes(op, r) {
			k.failed[op]++
			return f, 0
		}
	}
	return nil, 0
}

// write is a write to an attribute. n is what write(2) answers.
func (k *kernel) write(ctx context.Context, r *register, data []byte, off int64) (n int, errno syscall.Errno) {
	size := int64(len(r.Value))
	if off >= size {
		return 0, syscall.EFBIG
	}
	data = data[:min(int64(len(data)), size-off)]
	switch {
	case len(data) == 0:
		return 0, 0
	case r.Mode&0o222 == 0:
		return 0, syscall.EIO // the attribute has no function for it
	case off != 0 || int64(len(data)) != size:
		return 0, syscall.EINVAL
	}
	f, errno := k.enter(ctx, Extend, r)
	if errno != 0 {
		return 0, errno
	}
	defer k.unlock()
	if f != nil && !f.After {
		return f.answer(len(data))
	}
	if err := r.hash.Extend(r.live, data); err != nil {
		return 0, syscall.EINVAL
	}
	if f != nil {
		return f.answer(len(data))
	}
	k.inSync = false
	return len(data), 0
}

// read is a read of an attribute.
func (k *kernel) read(ctx context.Context, r *register, dest []byte, off int64) ([]byte, syscall.Errno) {
	f, errno := k.enter(ctx, Read, r)
	if errno != 0 {
		return nil, errno
	}
	defer k.unlock()
	if f != nil && f.Errno != 0 {
		return nil, f.Errno
	}
	if r.extendable() && !k.inSync {
		k.refresh()
		k.inSync = true
	}
	n := 0
	if off < int64(len(r.cached)) {
		n = copy(dest, r.cached[off:])
	}
	if f != nil && n > 0 {
		n--
	}
	return dest[:n], 0
}

// get is the ioctl for a TDREPORT.
func (k *kernel) get(ctx context.Context, data []byte) ([]byte, syscall.Errno) {
	f, errno := k.enter(ctx, Report, nil)
	if errno != 0 {
		return nil, errno
	}
	defer k.unlock()
	if f != nil {
		_, errno := f.answer(reportSize)
		return nil, errno
	}
	// The driver has the report made in the memory that its attributes
	// show. That they are in step now, nobody notes.
	k.refresh()
	return k.report(data), 0
}

func (k *kernel) refresh() {
	for _, r := range k.registers {
		if r.extendable() {
			copy(r.cached, r.live)
		}
	}
}

// find returns the attribute of the name, with or without its hash.
func (k *kernel) find(name string) (*register, error) {
	for _, r := range k.registers {
		if r.Name == name || r.base() == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no register %.40q", name)
}

// behind extends a register as something does that does not go through the
// driver: the cache does not know.
func (k *kernel) behind(name string, digest []byte) error {
	r, err := k.find(name)
	if err != nil {
		return err
	}
	if err := r.hash.Extend(r.live, digest); err != nil {
		return fmt.Errorf("%s: %w: digest of %d bytes", r.Name, err, len(digest))
	}
	return nil
}

// reset is a reboot: the registers start again, and the driver is loaded anew.
func (k *kernel) reset() {
	for _, r := range k.registers {
		copy(r.live, r.Value)
		copy(r.cached, r.Value)
	}
	k.inSync = false
}
