// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mrlog.dev/device"
)

// Where Linux shows a TPM, below the root of the file system.
const (
	managedNode = "dev/tpmrm0" // the kernel shares the TPM between programs
	rawNode     = "dev/tpm0"   // one program at a time
	classDir    = "sys/class/tpm/tpm0"
	acpiTable   = "sys/firmware/acpi/tables/TPM2"
)

// DefaultPath returns the character device that an empty path stands for, below
// a root ("/"), or "" if there is none.
func DefaultPath(root string) string {
	for _, name := range []string{managedNode, rawNode} {
		p := filepath.Join(root, name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// Detect says what there is of a TPM below a root ("/"), and why it cannot be
// used or not wholly. The first finding is about the device itself, the node
// that an empty path stands for if there is one. It opens the node and closes
// it, and sends no command.
func Detect(root string) []device.Finding { return detect(root, openNode) }

func detect(root string, open func(path string) (link, error)) []device.Finding {
	class := filepath.Join(root, classDir)
	if v, err := os.ReadFile(filepath.Join(class, "tpm_version_major")); err == nil && strings.TrimSpace(string(v)) == "1" {
		return []device.Finding{{
			What:   class,
			Why:    "the machine has a TPM 1.2, which speaks another language and knows only SHA-1",
			Remedy: "choose TPM 2.0 in the firmware's setup, or give the virtual machine a TPM 2.0",
		}}
	}
	return append([]device.Finding{detectNode(root, open)}, detectBanks(class)...)
}

// detectNode is about the character device.
func detectNode(root string, open func(path string) (link, error)) device.Finding {
	node := DefaultPath(root)
	if node == "" {
		return missingNode(root)
	}
	found := device.Finding{What: node}
	info, err := os.Stat(node)
	if err == nil && info.Mode()&fs.ModeCharDevice == 0 {
		found.Why = "it is not a character device"
		found.Remedy = "remove it, and let the kernel make the node again"
		return found
	}
	l, err := open(node)
	if err == nil {
		err = l.close()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		found.Why = err.Error()
		found.Remedy = "run mrlog as root, or add its user to the group of the node (often tss)"
		if info != nil {
			found.Why = fmt.Sprintf("%v (mode %v)", err, info.Mode().Perm())
		}
	case err != nil:
		found.Why = err.Error()
		found.Remedy = "see what the kernel says of it: dmesg | grep -i tpm"
	case node == filepath.Join(root, rawNode):
		found.Why = "it serves one program at a time, because the kernel has no resource manager (/dev/tpmrm0) before it"
		found.Remedy = "use Linux 4.12 or later, with udev or devtmpfs"
	}
	return found
}

// missingNode says why there may be no character device.
func missingNode(root string) device.Finding {
	found := device.Finding{What: filepath.Join(root, managedNode)}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	switch {
	case exists(classDir):
		found.Why = "the kernel has a TPM, but its device node is not here"
		found.Remedy = "in a container, hand the node in (--device /dev/tpmrm0); elsewhere, let udev or devtmpfs make it"
	case exists(acpiTable):
		found.Why = "the firmware describes a TPM 2.0, but no driver has taken it"
		found.Remedy = "load its driver: modprobe tpm_crb, or tpm_tis"
	default:
		found.Why = "there is no TPM device, and the firmware describes none"
		found.Remedy = "give the virtual machine a vTPM; for tests, start swtpm and name its socket"
	}
	return found
}

// detectBanks looks at the banks that the kernel shows, since Linux 5.12.
func detectBanks(class string) []device.Finding {
	const prefix = "pcr-"
	dirs, err := filepath.Glob(filepath.Join(class, prefix+"*"))
	if err != nil || len(dirs) != 1 || filepath.Base(dirs[0]) != prefix+"sha1" {
		return nil
	}
	return []device.Finding{{
		What:   dirs[0],
		Why:    "SHA-1 is the only active bank, and proves nothing: two contents with one digest can be made",
		Remedy: "activate SHA-256: in the firmware's setup, or tpm2_pcrallocate sha256:all and a restart",
	}}
}
