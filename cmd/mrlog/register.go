// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/soft"
	"mrlog.dev/keeper"
)

// stateFolder is the folder of the logs: the flag, the environment, the
// default.
func (g *globals) stateFolder(e *env) string {
	if g.state != "" {
		return g.state
	}
	if s := e.getenv("MRLOG_STATE"); s != "" {
		return s
	}
	return defaultState
}

// openDevice opens the device that the flag or the environment names. A
// simulated one is never a default: its values prove nothing. Software
// registers that are not there are made only by a verb that writes.
func (g *globals) openDevice(e *env, create bool) (device.Device, error) {
	spec := g.device
	if spec == "" {
		spec = e.getenv("MRLOG_DEVICE")
	}
	if spec == "" {
		return nil, &failure{
			code: exitFailed, err: errors.New("no device is named, and none was found"),
			hint: "--device soft keeps simulated registers in the state folder, for development and tests",
		}
	}
	kind, path, _ := strings.Cut(spec, ":")
	if path == "" {
		path = filepath.Join(g.stateFolder(e), "soft")
	}
	shape := soft.TDX
	switch kind {
	case "soft", "soft-tdx":
	case "soft-tpm":
		shape = soft.TPM
	default:
		return nil, usage("unknown device %.40q (known: soft[:FOLDER], soft-tdx[:FOLDER], soft-tpm[:FOLDER])", kind)
	}
	if !create {
		if !soft.Exists(path) {
			return nil, &failure{
				code: exitFailed, err: fmt.Errorf("there are no software registers at %s", path),
				hint: "the first mrlog extend makes them; --state and --device say where",
			}
		}
	}
	d, err := soft.Open(path, shape)
	var other *soft.ShapeError
	if kind == "soft" && errors.As(err, &other) {
		return soft.Open(path, other.Held) // "soft" is whichever is there
	}
	return d, err
}

// openKeeper opens the device, and a keeper of its logs in the state folder.
func (g *globals) openKeeper(e *env, create bool) (device.Device, *keeper.Keeper, error) {
	d, err := g.openDevice(e, create)
	if err != nil {
		return nil, nil, err
	}
	k, err := keeper.Open(keeper.Options{State: g.stateFolder(e), Device: d})
	return d, k, err
}

// platformOf is whose register map a device has.
func platformOf(d device.Device) mrlog.Platform {
	for _, r := range d.Registers() {
		if r.Name.Space == mrlog.PCR {
			return mrlog.TPM
		}
	}
	return mrlog.TDX
}

// defaultRegister is where events go when nobody says otherwise: registers
// that no firmware, kernel or init system writes to.
func defaultRegister(p mrlog.Platform) mrlog.Register {
	if p == mrlog.TPM {
		return mrlog.Register{Space: mrlog.PCR, Index: 14}
	}
	return mrlog.Register{Space: mrlog.RTMR, Index: 2}
}

// choice holds the flags that choose a register to extend.
type choice struct {
	register string
	pcr      uint32
	hasPCR   func() bool
	shared   bool
}

// parse returns the register that the flags or the environment name; the zero
// value stands for the device's default.
func (c *choice) parse(e *env) (reg mrlog.Register, err error) {
	switch {
	case c.register != "" && c.hasPCR():
		return reg, usage("--register and --pcr exclude each other")
	case c.register != "":
		if reg, err = mrlog.ParseRegister(c.register); err != nil {
			return reg, usage("--register: %w", err)
		}
	case c.hasPCR():
		if c.pcr > 23 {
			return reg, usage("--pcr %d: PCRs go from 0 to 23", c.pcr)
		}
		reg = mrlog.Register{Space: mrlog.PCR, Index: c.pcr}
	case e.getenv("MRLOG_REGISTER") != "":
		if reg, err = mrlog.ParseRegister(e.getenv("MRLOG_REGISTER")); err != nil {
			return reg, usage("MRLOG_REGISTER: %w", err)
		}
	}
	return reg, nil
}

// pick returns the register of a device that was asked for, and a warning about
// it.
func (c *choice) pick(reg mrlog.Register, d device.Device) (_ mrlog.Register, warning string, err error) {
	platform := platformOf(d)
	if reg == (mrlog.Register{}) {
		return defaultRegister(platform), "", nil
	}
	if platform != mrlog.TPM {
		asked := reg
		if reg, err = platform.To(mrlog.RTMR, reg); err != nil {
			return reg, "", usage("%s cannot be extended: %w", asked, err)
		}
		return reg, "", nil
	}
	warning, err = c.owner(reg)
	return reg, warning, err
}

// owner refuses PCRs that others write to, unless --shared says that this is
// meant (UAPI Linux TPM PCR registry).
func (c *choice) owner(reg mrlog.Register) (warning string, err error) {
	if reg.Space != mrlog.PCR {
		return "", nil
	}
	owners := map[uint32]string{9: "the initrd loader", 10: "IMA", 11: "systemd-stub and systemd-pcrphase", 15: "systemd-pcrfs and systemd-cryptsetup"}
	if owner, ok := owners[reg.Index]; ok && !c.shared {
		return "", &failure{
			code: exitUsage, err: fmt.Errorf("%s belongs to %s, whose extensions this log would not have", reg, owner),
			hint: "--shared extends it all the same; pcr14 has no other owner",
		}
	}
	if reg.Index == 16 || reg.Index == 23 {
		return fmt.Sprintf("%s can be reset by any program: what it holds proves nothing across a reset", reg), nil
	}
	return "", nil
}
