// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/soft"
	"mrlog.dev/internal/torture/witness"
)

// machine is a state folder with a device, the registers of which the harness
// can read by a road of its own, reset, and extend behind everybody's back.
type machine struct {
	dir    string // all that is its own
	state  string
	device string // what --device is given
	reg    string
	kind   kind
	file   string // of the register, where a write extends it; "" elsewhere

	// values reads the register, with code of the witness.
	values func() (witness.Values, error)
	// reset does what a reset of the machine does to the register.
	reset func() error
	// behind extends the register with a line that no log has.
	behind func(line string) error
	// disturb makes the device fail now and then, calm ends that; nil for one
	// that cannot.
	disturb func(rng *rand.Rand) error
	calm    func() error
	failing bool // it is disturbed
	// die ends the device in the middle of the next extend, revive starts it
	// again; nil likewise.
	die    func()
	revive func() error
	// close ends what the device needs.
	close func()
}

// kind is one of the devices.
type kind string

// The devices.
const (
	softTDX kind = "soft"
	softTPM kind = "soft-tpm"
	tree    kind = "tree"        // the kernel's measurement tree, by FUSE
	cached  kind = "tree-cached" // the same without its reports: values come from the kernel's cache
	tpm     kind = "tpm"         // swtpm
)

var kinds = []kind{softTDX, softTPM, tree, cached, tpm}

// newMachine makes a machine below a folder.
func newMachine(k kind, below string) (*machine, error) {
	dir, err := os.MkdirTemp(below, "m-")
	if err != nil {
		return nil, err
	}
	m := &machine{dir: dir, state: filepath.Join(dir, "state"), kind: k, close: func() {}}
	switch k {
	case softTDX:
		m.soft(soft.TDX, "rtmr2", witness.Values{"sha384": make([]byte, 48)})
	case softTPM:
		m.soft(soft.TPM, "pcr14", witness.Values{"sha256": make([]byte, 32), "sha384": make([]byte, 48)})
	case tree, cached:
		err = m.tree()
	case tpm:
		err = m.tpm()
	default:
		err = fmt.Errorf("unknown device %q", k)
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return m, nil
}

// remove ends the machine and all that it left.
func (m *machine) remove() {
	m.close()
	os.RemoveAll(m.dir)
}

// soft gives the machine software registers. They are made by the first
// extend, as a user's are.
func (m *machine) soft(shape soft.Shape, reg string, reset witness.Values) {
	folder := filepath.Join(m.dir, "registers")
	m.reg = reg
	m.device = "soft-" + string(shape) + ":" + folder
	open := func() (*soft.Device, error) { return soft.Open(folder, shape) }
	m.values = func() (witness.Values, error) {
		if _, err := os.Stat(filepath.Join(folder, "shape")); errors.Is(err, os.ErrNotExist) {
			return reset, nil // they are not there yet, or not all of them
		}
		return witness.Soft(filepath.Join(folder, reg))
	}
	m.reset = func() error {
		d, err := open()
		if err != nil {
			return err
		}
		return d.Reset(context.Background())
	}
	m.behind = func(line string) error {
		d, err := open()
		if err != nil {
			return err
		}
		return extendRegister(d, reg, line)
	}
}

// extendRegister extends a register in all its banks.
func extendRegister(d device.Device, reg, line string) error {
	r, err := mrlog.ParseRegister(reg)
	if err != nil {
		return err
	}
	desc, err := device.Find(d, r)
	if err != nil {
		return err
	}
	var digests []mrlog.Digest
	for _, b := range desc.Banks {
		sum, err := witness.Digest(b.Alg.String(), line)
		if err != nil {
			return err
		}
		digests = append(digests, mrlog.Digest{Alg: b.Alg, Sum: sum})
	}
	_, err = d.Extend(context.Background(), r, [][]mrlog.Digest{digests})
	return err
}

func (m *machine) folder() string { return filepath.Join(m.state, m.reg) }
func (m *machine) log() string    { return filepath.Join(m.folder(), "log") }

// leave appends text to the log and sets the mark of a writer at work: what one
// leaves that dies.
func (m *machine) leave(text string) error {
	f, err := os.OpenFile(m.log(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return unix.Fchmod(int(f.Fd()), 0o1600)
}

var (
	bootHint  = regexp.MustCompile(`(?m)^#: boot .*$`)
	otherBoot = []byte("#: boot 00000000-1111-2222-3333-444444444444")
)

// ended reports whether the log is one of another boot.
func (m *machine) ended() bool {
	data, err := os.ReadFile(m.log())
	hints := bootHint.FindAll(data, -1)
	return err == nil && len(hints) > 0 && bytes.Equal(hints[len(hints)-1], otherBoot)
}

// forgeBoot makes the log one of an earlier boot. Hints are not measured, so
// that nothing else changes.
func (m *machine) forgeBoot() error {
	data, err := os.ReadFile(m.log())
	if err != nil {
		return err
	}
	forged := bootHint.ReplaceAll(data, otherBoot)
	return overwrite(m.log(), forged)
}

// overwrite replaces what is in a file, and nothing else of it.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// view looks at log and register with the witness's eyes.
func (m *machine) view() (witness.View, error) {
	v, err := m.values()
	if err != nil {
		return witness.View{}, err
	}
	return witness.Look(m.log(), v)
}

// marked wants the mark of a writer at work on a log that is not in step with
// its register: by that alone, writers of other make know that they must not go
// on.
func (m *machine) marked(v witness.View) error {
	if v.State != "behind" && v.State != "torn" {
		return nil
	}
	st, err := os.Stat(m.log())
	if err == nil && st.Mode()&os.ModeSticky == 0 {
		err = fmt.Errorf("%v, and the log has mode %v: another writer would go on", v, st.Mode())
	}
	return err
}
