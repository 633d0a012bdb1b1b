// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mrlog.dev"
	"mrlog.dev/device"
)

// writer is somebody else who extends a register, as far as can be seen from
// what they leave behind. A register that two programs extend holds what no
// one log gives.
type writer struct {
	register mrlog.Register
	text     string // "IMA extends it (12 measurements)"
}

// Where others say what they have extended.
var (
	// The first is a link to the second, made for older programs.
	imaCounts = []string{"sys/kernel/security/ima/runtime_measurements_count", "sys/kernel/security/integrity/ima/runtime_measurements_count"}
	// The second is a proposal: systemd pull request 43041.
	systemdLogs = []string{"run/log/systemd/tpm2-measure.log", "run/log/systemd/cc-measure.log"}
)

// maxSystemdLog is how much of systemd's logs is looked at: they have some
// dozen records.
const maxSystemdLog = 4 << 20

// writers returns the other writers that are known on a device's registers, in
// order of the registers. Only those of the machine's own device can be known:
// simulated registers, and a TPM behind a socket, have others or none.
func (e *env) writers(d device.Device) []writer {
	if !e.owns(d.Info().Where) {
		return nil
	}
	p := platformOf(d)
	var out []writer
	if n := e.imaMeasurements(); n > 0 {
		pcr := mrlog.Register{Space: mrlog.PCR, Index: 10}
		if p == mrlog.TPM {
			out = append(out, writer{pcr, fmt.Sprintf("IMA extends it (%s)", count(n, "measurement"))})
		} else if reg, err := p.To(mrlog.RTMR, pcr); err == nil {
			// Upstream kernels give IMA a TPM only.
			out = append(out, writer{reg, fmt.Sprintf("IMA is at work (%s): kernels that let it use RTMRs extend %s", count(n, "measurement"), reg)})
		}
	}
	for i, n := range e.systemdRecords() {
		isPCR := i.Space == mrlog.PCR
		if isPCR == (p == mrlog.TPM) {
			out = append(out, writer{i, fmt.Sprintf("systemd extends it (%s in its log)", count(n, "record"))})
		}
	}
	slices.SortStableFunc(out, func(a, b writer) int { return a.register.Compare(b.register) })
	return out
}

// owns reports whether a path is one of the kernel's devices or trees.
func (e *env) owns(path string) bool {
	for _, dir := range []string{"dev", "sys"} {
		if strings.HasPrefix(path, e.path(dir)+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// writersOf returns what is known of the other writers on one register, "" if
// there are none.
func writersOf(all []writer, reg mrlog.Register) string {
	var texts []string
	for _, w := range all {
		if w.register == reg {
			texts = append(texts, w.text)
		}
	}
	return strings.Join(texts, "; ")
}

// imaMeasurements returns how many measurements IMA has made; 0 if it is off or
// does not say.
func (e *env) imaMeasurements() int64 {
	for _, name := range imaCounts {
		if text, err := os.ReadFile(e.path(name)); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return max(0, n)
		}
	}
	return 0
}

// systemdRecords counts the records of systemd's logs, by register.
func (e *env) systemdRecords() map[mrlog.Register]int {
	counts := make(map[mrlog.Register]int)
	for _, name := range systemdLogs {
		f, err := os.Open(e.path(name))
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(f, maxSystemdLog))
		f.Close()
		for record := range bytes.SplitSeq(text, []byte{0x1E}) {
			var r struct {
				PCR  *uint32 `json:"pcr"`
				RTMR *uint32 `json:"rtmr"`
			}
			switch err := json.Unmarshal(record, &r); {
			case err != nil: // what it is, systemd knows
			case r.PCR != nil:
				counts[mrlog.Register{Space: mrlog.PCR, Index: *r.PCR}]++
			case r.RTMR != nil:
				counts[mrlog.Register{Space: mrlog.RTMR, Index: *r.RTMR}]++
			}
		}
	}
	return counts
}
