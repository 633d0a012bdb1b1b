// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/keeper"
)

// lookAtState says where the logs are, and what stands in the way of more.
func (s *statusOutput) lookAtState() {
	none := mrlog.Register{}
	f, err := fileSystemOf(s.State)
	if err != nil {
		s.warn(none, "the state folder cannot be looked at: "+err.Error(), "")
		return
	}
	s.FileSystem, s.Volatile = f.name, f.volatile
	switch {
	case f.readOnly:
		s.warn(none, fmt.Sprintf("%s is on a file system that is mounted read-only: nothing can be recorded", s.State), "mount it for writing, or name another folder with --state")
	case f.limited && f.free <= keeper.DefaultMinFree:
		s.warn(none, fmt.Sprintf("%s is on a file system with %s left", s.State, size(f.free)), fmt.Sprintf("make room: events are refused that do not leave %s", size(keeper.DefaultMinFree)))
	}
}

// lookForStrays warns of logs whose register the device does not have: those of
// another device, most likely the one that was meant.
func (s *statusOutput) lookForStrays(d device.Device) {
	has := make(map[string]bool)
	if d != nil {
		for _, r := range d.Registers() {
			has[r.Name.String()] = true
		}
	}
	var strays []string
	entries, _ := os.ReadDir(s.State)
	for _, entry := range entries {
		reg, err := mrlog.ParseRegister(entry.Name())
		if err == nil && reg.String() == entry.Name() && !has[entry.Name()] && begunAt(filepath.Join(s.State, entry.Name(), "log")) {
			strays = append(strays, entry.Name())
		}
	}
	switch {
	case strays == nil:
	case d == nil:
		s.warn(mrlog.Register{}, fmt.Sprintf("there are logs of %s, and no register to compare them with", strings.Join(strays, ", ")), "")
	default:
		s.warn(mrlog.Register{}, fmt.Sprintf("there are logs of %s, which this device does not have", strings.Join(strays, ", ")), "name the device that they belong to with --device")
	}
}

// begunAt reports whether there is a log.
func begunAt(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lookAtBanks warns of a TPM whose banks prove less than they seem to.
//
// Firmware writes to PCR 0 to 7 of every bank that it knows. A bank in which
// it has not, while it has in another one, is one that whoever can extend may
// fill with a boot that never was.
func (s *statusOutput) lookAtBanks(d device.Device) {
	none := mrlog.Register{}
	if platformOf(d) != mrlog.TPM {
		return
	}
	var strong []string
	weak, extended := false, make(map[string]bool)
	for i, r := range d.Registers() {
		for j, b := range r.Banks {
			name := b.Alg.String()
			switch {
			case b.Alg == mrlog.SHA1:
				weak = true
			case !slices.Contains(strong, name):
				strong = append(strong, name)
			}
			value := s.Registers[i].Banks[j].Register
			if r.Name.Index < 8 && value != "" && value != fmt.Sprintf("%x", b.Reset) {
				extended[name] = true
			}
		}
	}
	if weak && strong == nil {
		s.warn(none, "the only active bank is sha1: what it holds proves nothing",
			"switch on another bank in the firmware's setup, or with tpm2_pcrallocate sha256:all and a reboot")
	}
	for _, name := range strong {
		if len(extended) > 0 && !extended[name] {
			s.warn(none, fmt.Sprintf("the bank %s is active, but the firmware extended nothing into it: its pcr0 to pcr7 prove nothing about the boot", name),
				"update the firmware, or switch the bank off and verify another one")
		}
	}
}
