// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"fmt"

	"mrlog.dev"
	"mrlog.dev/device"
)

// Shape is the kind of machine whose registers are simulated.
type Shape string

// The shapes.
const (
	TDX Shape = "tdx" // rtmr0 to rtmr3 in SHA-384; 0 and 1 are the firmware's
	TPM Shape = "tpm" // pcr0 to pcr23 in SHA-256 and SHA-384; 17 to 22 need a locality
)

// ParseShape reads the name of a shape.
func ParseShape(s string) (Shape, error) {
	switch Shape(s) {
	case TDX, TPM:
		return Shape(s), nil
	}
	return "", fmt.Errorf("unknown shape %.40q of a software device (known: tdx, tpm)", s)
}

// registers describes the shape's registers, in order.
func (s Shape) registers() []device.Register {
	switch s {
	case TDX:
		return shaped(mrlog.RTMR, 4, []mrlog.Alg{mrlog.SHA384}, func(i uint32) string {
			if i < 2 {
				return "rtmr0 and rtmr1 belong to the firmware; rtmr2 and rtmr3 are the guest's"
			}
			return ""
		})
	case TPM:
		return shaped(mrlog.PCR, 24, []mrlog.Alg{mrlog.SHA256, mrlog.SHA384}, func(i uint32) string {
			if i >= 17 && i <= 22 {
				return "pcr17 to pcr22 belong to the dynamic root of trust and need a locality that user space does not have"
			}
			return ""
		})
	}
	return nil
}

func shaped(space mrlog.Space, n uint32, algs []mrlog.Alg, why func(uint32) string) []device.Register {
	out := make([]device.Register, n)
	for i := range n {
		name := mrlog.Register{Space: space, Index: i}
		out[i] = device.Register{Name: name, NotExtendable: why(i)}
		for _, a := range algs {
			out[i].Banks = append(out[i].Banks, device.Bank{Alg: a, Reset: name.ResetValue(a)})
		}
	}
	return out
}
