// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Control does what the lines say, in order, until one is wrong. The package
// comment lists them. Empty lines and lines that begin with # do nothing.
func (f *FS) Control(lines ...string) error {
	for _, line := range lines {
		if err := f.kernel.control(line); err != nil {
			return fmt.Errorf("control: %.80q: %w", line, err)
		}
	}
	return nil
}

func (k *kernel) control(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0][0] == '#' {
		return nil
	}
	k.lock(context.Background())
	defer k.unlock()
	switch verb, rest := words[0], words[1:]; {
	case verb == "fail":
		f, err := parseFault(rest)
		if err != nil {
			return err
		}
		if f.Register != "" {
			if _, err := k.find(f.Register); err != nil {
				return err
			}
		}
		k.faults = append(k.faults, f)
	case verb == "slow" && (len(rest) == 1 || len(rest) == 2):
		op := Extend
		if len(rest) == 2 {
			var ok bool
			if op, ok = parseOperation(rest[0]); !ok {
				return fmt.Errorf("unknown operation %.20q", rest[0])
			}
		}
		d, err := time.ParseDuration(rest[len(rest)-1])
		if err != nil || d < 0 {
			return fmt.Errorf("%.20q is not a duration such as 50ms", rest[len(rest)-1])
		}
		k.slow[op] = d
	case verb == "extend" && len(rest) == 2:
		digest, err := hex.DecodeString(rest[1])
		if err != nil {
			return err
		}
		return k.behind(rest[0], digest)
	case verb == "reset" && len(rest) == 0:
		k.reset()
	case verb == "clear" && len(rest) == 0:
		k.faults = nil
		clear(k.slow[:])
		clear(k.calls[:])
		clear(k.failed[:])
	default:
		return fmt.Errorf("not understood: want fail, slow, extend, reset or clear, with their words")
	}
	return nil
}

// show returns the text of the control file: lines that set what is set now,
// then counters and registers as comments.
func (k *kernel) show() string {
	k.lock(context.Background())
	defer k.unlock()
	var b strings.Builder
	for _, f := range k.faults {
		fmt.Fprintf(&b, "%s\n# struck %d of %d calls\n", f, f.struck, f.seen)
	}
	for op, d := range k.slow {
		if d > 0 {
			fmt.Fprintf(&b, "slow %s %s\n", Operation(op), d)
		}
	}
	for op := range operations {
		fmt.Fprintf(&b, "# %s: %d calls, %d failed on demand\n", op, k.calls[op], k.failed[op])
	}
	fmt.Fprintf(&b, "# cache in step: %t\n", k.inSync)
	for _, r := range k.registers {
		if r.extendable() {
			fmt.Fprintf(&b, "# live %s %x\n", r.Name, r.live)
		}
	}
	return b.String()
}
