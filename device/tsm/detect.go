// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mrlog.dev/device"
)

// Where things are below the root of the machine's files.
const (
	miscFolder   = "sys/devices/virtual/misc"
	measurements = "measurements"
	tdxGuest     = "tdx_guest"
	sampleGuest  = "tsm_mr_sample" // samples/tsm-mr in the kernel's sources
	reportDevice = "dev/tdx_guest"

	sysFolder   = "sys/devices"
	cpuInfo     = "proc/cpuinfo"
	osRelease   = "proc/sys/kernel/osrelease"
	cpuInfoSize = 64 << 10 // the first processor's flags are in the first 4 KiB
)

// Linux has measurement registers since this release.
const sinceMajor, sinceMinor = 6, 16

// AbsentError says that the machine has no measurement tree.
type AbsentError struct {
	Findings []device.Finding // never empty: what there is instead, as Detect says it
}

// Error gives the first finding.
func (e *AbsentError) Error() string {
	const text = "no measurement registers of the kernel"
	for _, f := range e.Findings {
		if f.Why != "" {
			return fmt.Sprintf("%s: %s: %s", text, f.What, f.Why)
		}
	}
	return text
}

// Detect looks for the measurement tree of the machine whose files are below
// root; "" is "/". It changes nothing. The tree is "" if there is none; the
// findings say why, and what to do. With a tree they say what it lacks: that
// this user may not write to its registers, say. A finding whose Why is ""
// names what is as it should be.
//
// The tree of a TDX guest comes before any other. That of the kernel's sample
// driver is never chosen: its registers are variables.
func Detect(root string) (tree string, findings []device.Finding) {
	root = Options{Root: root}.root()
	trees, _ := filepath.Glob(filepath.Join(escape(root), miscFolder, "*", measurements)) // the pattern is well-formed
	sample := filepath.Join(root, miscFolder, sampleGuest, measurements)
	if i := slices.Index(trees, sample); i >= 0 {
		trees = slices.Delete(trees, i, i+1)
		findings = append(findings, device.Finding{
			What: sample, Why: "it is the kernel's sample driver: its registers are simulated",
			Remedy: "name it with --device to use it all the same, for tests",
		})
	}
	tdx := filepath.Join(root, miscFolder, tdxGuest, measurements)
	switch {
	case slices.Contains(trees, tdx):
		tree = tdx
	case len(trees) > 0:
		tree = trees[0]
	default:
		return "", append([]device.Finding{whyNone(root)}, findings...)
	}
	found := lookAt(tree)
	if tree == tdx {
		found = append(found, lookAtReports(filepath.Join(root, reportDevice)))
	}
	for _, other := range trees {
		if other != tree {
			found = append(found, device.Finding{
				What: other, Why: "only one tree is used, and this is not it",
				Remedy: "name it with --device to use it",
			})
		}
	}
	return tree, append(found, findings...)
}

// lookAt says what can be done with the registers of a tree.
func lookAt(tree string) []device.Finding {
	s, err := scan(tree)
	switch {
	case err != nil:
		return []device.Finding{{What: tree, Why: err.Error(), Remedy: remedyFor(err)}}
	case len(s.registers) == 0:
		return []device.Finding{{What: tree, Why: "none of its attributes is a register that can be extended"}}
	}
	var out []device.Finding
	for _, a := range s.registers {
		err := error(unix.EPERM)
		if a.mode&0o222 != 0 {
			err = unix.Faccessat(unix.AT_FDCWD, a.path, unix.W_OK, unix.AT_EACCESS)
		}
		if err != nil {
			f := device.Finding{What: a.path, Why: a.denied(0o222, unix.W_OK, "write to")}
			if a.mode&0o222 != 0 {
				f.Remedy = remedyFor(err)
			}
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return []device.Finding{{What: tree}}
	}
	return out
}

// lookAtReports says whether the report device can be opened.
func lookAtReports(path string) device.Finding {
	err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS)
	switch {
	case err == nil:
		return device.Finding{What: path}
	case errors.Is(err, fs.ErrNotExist):
		return device.Finding{
			What: path, Why: "it is not there, although its driver is: registers could be read from the kernel's cache only",
			Remedy: "make it with udev or devtmpfs; in a container, pass the device in",
		}
	}
	return device.Finding{What: path, Why: fmt.Sprintf("it cannot be opened: %v", err), Remedy: remedyFor(err)}
}

// remedyFor is what to do about an error of access.
func remedyFor(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run mrlog as root"
	case errors.Is(err, unix.EROFS):
		return "mount sysfs writable, or run mrlog outside the container"
	}
	return ""
}

// whyNone says why a machine has no measurement tree, from the most to the
// least telling sign.
func whyNone(root string) device.Finding {
	misc := filepath.Join(root, miscFolder)
	dev := filepath.Join(root, reportDevice)
	release := readText(filepath.Join(root, osRelease))
	isGuest := hasFlag(filepath.Join(root, cpuInfo), tdxGuest)
	old := release != "" && !since(release)
	switch {
	case !exists(filepath.Join(root, sysFolder)):
		return device.Finding{
			What: filepath.Join(root, "sys"), Why: "sysfs is not mounted",
			Remedy: "mount it: mount -t sysfs sysfs /sys",
		}
	case exists(dev) && old:
		return device.Finding{
			What: dev, Why: fmt.Sprintf("this is a TDX guest, but Linux %s does not show its measurement registers: 6.16 is the first that does", release),
			Remedy: "boot Linux 6.16 or later",
		}
	case exists(dev):
		return device.Finding{
			What: dev, Why: "this is a TDX guest, but its driver shows no measurement registers: it is not the one that came with Linux 6.16 or later",
			Remedy: "load the kernel's own driver (modprobe tdx-guest), and not one from elsewhere",
		}
	case isGuest && old:
		return device.Finding{
			What: misc, Why: fmt.Sprintf("this is a TDX guest, but its driver is not loaded, and Linux %s is older than 6.16, the first that shows measurement registers", release),
			Remedy: "boot Linux 6.16 or later",
		}
	case isGuest:
		return device.Finding{
			What: misc, Why: "this is a TDX guest, but its driver is not loaded",
			Remedy: "load it: modprobe tdx-guest (CONFIG_TDX_GUEST_DRIVER)",
		}
	}
	return device.Finding{
		What: misc, Why: "no driver of a confidential guest shows measurement registers, and the processor does not say that this is a TDX guest",
	}
}

// since reports whether a kernel's release is one with measurement registers,
// or cannot be told.
func since(release string) bool {
	major, rest, _ := strings.Cut(release, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(rest)
	if err != nil || err2 != nil {
		return true
	}
	return a > sinceMajor || a == sinceMajor && b >= sinceMinor
}

// hasFlag reports whether the first processor has a flag.
func hasFlag(path, flag string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	buf := make([]byte, cpuInfoSize)
	n, _ := f.Read(buf) // what there is
	for line := range bytes.Lines(buf[:n]) {
		if name, flags, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "flags" {
			return slices.Contains(strings.Fields(string(flags)), flag)
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readText returns the one line of a file; "" if it cannot be read.
func readText(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// escape makes a path a pattern that matches it alone.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
