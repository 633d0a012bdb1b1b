// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/device"
)

// attribute is a file of the tree that holds a register.
type attribute struct {
	path     string
	register mrlog.Register
	alg      mrlog.Alg
	mode     fs.FileMode
}

// scanned is what a tree holds.
type scanned struct {
	registers  []attribute // in order of their names
	attributes int         // of all kinds
	hasMRTD    bool        // "mrtd:sha384" is there: only TDX has it
}

// isTDX reports whether the registers are the RTMRs of a TDX guest.
func (s *scanned) isTDX() bool {
	return s.hasMRTD && !slices.ContainsFunc(s.registers, func(a attribute) bool {
		_, ok := inReport(a.register)
		return !ok || a.alg != mrlog.SHA384 || !strings.HasPrefix(filepath.Base(a.path), "rtmr")
	})
}

// scan looks for registers in a tree.
func scan(tree string) (*scanned, error) {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return nil, err
	}
	s := &scanned{attributes: len(entries)}
	for _, e := range entries {
		s.hasMRTD = s.hasMRTD || e.Name() == "mrtd:sha384"
		a, ok := parseName(e.Name())
		if !ok {
			continue
		}
		a.path = filepath.Join(tree, e.Name())
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: it is not a regular file", a.path)
		}
		if info.Size() != int64(a.alg.Size()) {
			return nil, fmt.Errorf("%s: it has %d bytes, want the %d of %s", a.path, info.Size(), a.alg.Size(), a.alg)
		}
		a.mode = info.Mode().Perm()
		s.registers = append(s.registers, a)
	}
	slices.SortFunc(s.registers, func(a, b attribute) int { return a.register.Compare(b.register) })
	for i := 1; i < len(s.registers); i++ {
		if a, b := s.registers[i-1], s.registers[i]; a.register == b.register {
			return nil, fmt.Errorf("%s: %s and %s both hold %s: a register of several attributes is not supported",
				tree, filepath.Base(a.path), filepath.Base(b.path), a.register)
		}
	}
	return s, nil
}

// parseName reads the name of an attribute; ok is false if it is no register,
// or one of a hash that mrlog does not know.
func parseName(name string) (a attribute, ok bool) {
	base, hash, ok := strings.Cut(name, ":")
	if !ok {
		return a, false
	}
	if index, ok := strings.CutPrefix(base, "rem"); ok {
		base = "rtmr" + index
	}
	reg, err := mrlog.ParseRegister(base)
	if err != nil || reg.Space != mrlog.RTMR || reg.String() != base {
		return a, false
	}
	alg, err := mrlog.ParseAlg(hash)
	if err != nil || alg.Size() == 0 {
		return a, false
	}
	return attribute{register: reg, alg: alg}, true
}

// describe says what user space can do with the register: what the mode says
// counts for root, too.
func (a attribute) describe(reports bool) device.Register {
	r := device.Register{
		Name:          a.register,
		Banks:         []device.Bank{{Alg: a.alg, Reset: a.register.ResetValue(a.alg)}},
		NotExtendable: a.denied(0o222, unix.W_OK, "write to"),
	}
	if !reports {
		r.NotReadable = a.denied(0o444, unix.R_OK, "read")
	}
	return r
}

// denied says why the attribute cannot be opened for what bits and access
// stand for; "" if it can.
func (a attribute) denied(bits fs.FileMode, access uint32, verb string) string {
	if a.mode&bits == 0 {
		return fmt.Sprintf("the kernel lets nobody %s %s (mode %04o)", verb, a.path, a.mode)
	}
	switch err := unix.Faccessat(unix.AT_FDCWD, a.path, access, unix.AT_EACCESS); err {
	case nil:
		return ""
	case unix.EACCES, unix.EPERM:
		return fmt.Sprintf("user %d may not %s %s (mode %04o): run mrlog as root", os.Geteuid(), verb, a.path, a.mode)
	case unix.EROFS:
		return fmt.Sprintf("%s is on a file system that is mounted read-only, as containers have it: mount it writable, or run mrlog outside the container", a.path)
	default:
		return fmt.Sprintf("%s: %v", a.path, err)
	}
}

// onFUSE reports whether the tree is on FUSE, and refuses one that is neither
// there nor on sysfs.
func onFUSE(tree string) (bool, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(tree, &st) }); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: tree, Err: err}
	}
	switch int64(st.Type) {
	case unix.SYSFS_MAGIC:
		return false, nil
	case unix.FUSE_SUPER_MAGIC:
		return true, nil
	}
	return false, fmt.Errorf("%s: it is not a measurement tree: it is on a file system of type 0x%x, neither sysfs nor FUSE, where a write would replace the value and not extend it", tree, st.Type)
}

// isSample reports whether the tree is that of the kernel's sample driver,
// whose registers are variables.
func isSample(tree string) bool {
	real, err := filepath.EvalSymlinks(tree)
	return err == nil && filepath.Base(filepath.Dir(real)) == sampleGuest
}

// retry calls again what a signal interrupted before it did anything.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
