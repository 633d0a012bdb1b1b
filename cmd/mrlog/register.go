// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/device"
)

// platformOf is whose register map a device has.
func platformOf(d device.Device) mrlog.Platform {
	for _, r := range d.Registers() {
		if r.Name.Space == mrlog.PCR {
			return mrlog.TPM
		}
	}
	if d.Info().Kind == "tsm" { // a tree that is not of TDX: see package tsm
		return mrlog.CCA
	}
	return mrlog.TDX
}

// platformName is the platform as its own documents call it.
func platformName(p mrlog.Platform) string {
	switch p {
	case mrlog.TPM:
		return "a TPM"
	case mrlog.CCA:
		return "Arm CCA"
	}
	return strings.ToUpper(string(p))
}

// defaultRegister is where events go when nobody says otherwise: registers
// that no firmware, kernel or init system writes to once the machine is up.
func defaultRegister(p mrlog.Platform) mrlog.Register {
	if p == mrlog.TPM {
		return mrlog.Register{Space: mrlog.PCR, Index: 14}
	}
	return mrlog.Register{Space: mrlog.RTMR, Index: 2}
}

// free is what a hint names in place of a register that others write to.
func free(p mrlog.Platform) string {
	if p == mrlog.TPM {
		return "pcr14 has no other owner once the machine is up"
	}
	return "rtmr3 has no other known writer"
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
	default:
		return environmentRegister(e)
	}
	return reg, nil
}

// environmentRegister returns the register that MRLOG_REGISTER names; the zero
// value if it is not set.
func environmentRegister(e *env) (reg mrlog.Register, err error) {
	if s := e.getenv("MRLOG_REGISTER"); s != "" {
		if reg, err = mrlog.ParseRegister(s); err != nil {
			return reg, usage("MRLOG_REGISTER: %w", err)
		}
	}
	return reg, nil
}

// find returns the device's register that has a name, in whatever space, and a
// note where it has another one there: the same number means another register
// in each space, so that a change of space is never silent. The zero value
// asks for the default.
func find(d device.Device, asked mrlog.Register) (reg device.Register, note string, err error) {
	p := platformOf(d)
	if asked == (mrlog.Register{}) {
		asked = defaultRegister(p)
	}
	name := asked
	if p != mrlog.TPM && asked.Space != mrlog.RTMR {
		row, ok := p.Row(asked)
		switch {
		case !ok:
			return reg, "", usage("%s cannot be extended: %s has no such register", asked, platformName(p))
		case row.RTMR < 0:
			return reg, "", &failure{
				code: exitUsage, err: fmt.Errorf("%s cannot be extended: it is %s on %s, which holds what the guest was built with", asked, row.Name, platformName(p)),
				hint: "rtmr2 (pcr8 to pcr15) and rtmr3 (pcr16 to pcr23) are there for the guest",
			}
		}
		name = mrlog.Register{Space: mrlog.RTMR, Index: uint32(row.RTMR)}
		note = fmt.Sprintf("%s is %s on %s: %s is meant", asked, row.Name, platformName(p), name)
	}
	if reg, err = device.Find(d, name); err != nil {
		return reg, "", &failure{code: exitUsage, err: err, hint: elsewhereHint(p, name)}
	}
	return reg, note, nil
}

// elsewhereHint says what may be meant by a register that the platform does
// not have, most likely one that was counted in another space.
func elsewhereHint(p mrlog.Platform, asked mrlog.Register) string {
	if p == mrlog.TPM {
		if asked.Space == mrlog.PCR {
			return ""
		}
		return "a TPM has pcr0 to pcr23; without --register it is pcr14"
	}
	row, ok := p.Row(mrlog.Register{Space: mrlog.CCMR, Index: asked.Index})
	if !ok || row.RTMR < 0 {
		return ""
	}
	return fmt.Sprintf("ccmr%d is %s on %s: rtmr%d", row.CCMR, row.Name, platformName(p), row.RTMR)
}

// aliases are the other names of a register on a platform.
func aliases(p mrlog.Platform, reg mrlog.Register) []string {
	row, ok := p.Row(reg)
	if p == mrlog.TPM || !ok {
		return nil
	}
	out := []string{mrlog.Register{Space: mrlog.CCMR, Index: uint32(row.CCMR)}.String()}
	for _, n := range row.PCRs {
		out = append(out, mrlog.Register{Space: mrlog.PCR, Index: n}.String())
	}
	return out
}

// pick returns the device's register to extend, a note and a warning about it.
// What cannot or should not be extended is refused before anything is made.
func (c *choice) pick(asked mrlog.Register, d device.Device) (reg device.Register, note, warning string, err error) {
	if reg, note, err = find(d, asked); err != nil {
		return reg, "", "", err
	}
	if reg.NotExtendable != "" {
		f := &failure{code: exitUsage, err: reg.CheckExtend(nil)}
		if !canExtend(d) { // not the register is wrong, but the machine, or who asks
			f.code = exitFailed
		} else if other := defaultRegister(platformOf(d)); other != reg.Name {
			f.hint = fmt.Sprintf("without --register and --pcr it is %s", other)
		}
		return reg, "", "", f
	}
	warning, err = c.owner(d, reg.Name)
	return reg, note, warning, err
}

// canExtend reports whether any register of a device can be extended.
func canExtend(d device.Device) bool {
	return slices.ContainsFunc(d.Registers(), func(r device.Register) bool { return r.NotExtendable == "" })
}

// owner refuses PCRs that others write to while the machine runs, unless
// --shared says that this is meant, and warns of those that others write to
// while it starts (UAPI Linux TPM PCR registry).
func (c *choice) owner(d device.Device, reg mrlog.Register) (warning string, err error) {
	if reg.Space != mrlog.PCR {
		if reg.Index < 2 {
			return fmt.Sprintf("%s belongs to the firmware and the boot loader: their log (CCEL) will not have this, so that it does not give the register's value any more", reg), nil
		}
		return "", nil
	}
	owners := map[uint32]string{9: "the initrd loader", 10: "IMA", 11: "systemd-stub and systemd-pcrphase", 15: "systemd-pcrfs and systemd-cryptsetup"}
	if owner, ok := owners[reg.Index]; ok && !c.shared {
		return "", &failure{
			code: exitUsage, err: fmt.Errorf("%s belongs to %s, whose extensions this log would not have", reg, owner),
			hint: "--shared extends it all the same; " + free(mrlog.TPM),
		}
	}
	switch {
	case resettable(d, reg):
		return fmt.Sprintf("%s can be reset by any program: what it holds proves nothing across a reset", reg), nil
	case reg.Index < 8:
		return fmt.Sprintf("%s belongs to the firmware: what is sealed to it, disk keys for one, cannot be unsealed again before the next boot", reg), nil
	case reg.Index == 8 || reg.Index == 12 || reg.Index == 13:
		return fmt.Sprintf("%s belongs to the boot loader: what is sealed to it cannot be unsealed again before the next boot", reg), nil
	}
	return "", nil
}

// resettable reports whether any program can reset a register: what the device
// says, else PCR 16 and 23, which are so at locality 0 (TCG PC Client Platform
// TPM Profile, table of PCR attributes).
func resettable(d device.Device, reg mrlog.Register) bool {
	if says, ok := d.(interface{ Resettable(mrlog.Register) bool }); ok {
		return says.Resettable(reg)
	}
	return reg.Space == mrlog.PCR && (reg.Index == 16 || reg.Index == 23)
}

// errNoDevice: none was named, and none was found.
var errNoDevice = errors.New("no device was found, and none is named")
