// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"fmt"
	"slices"
	"strings"
)

// Platform is a kind of machine by the measurement registers that it has.
type Platform string

// The platforms whose registers mrlog maps.
const (
	TDX Platform = "tdx" // Intel Trust Domain Extensions
	CSV Platform = "csv" // Hygon China Secure Virtualization
	CCA Platform = "cca" // Arm Confidential Compute Architecture (proposal)
	TPM Platform = "tpm" // a TPM, physical or virtual
)

// Mapping is one row of a platform's map: one hardware register under the
// names that the spaces give it.
type Mapping struct {
	Name       string   // as the platform's own documents call it
	CCMR       int      // index in the CC event log; -1 where it has none
	RTMR       int      // index among the run-time registers; -1 where it is none
	PCRs       []uint32 // PCRs that it stands for
	Extendable bool     // by software in the guest
	Source     string   // of the row
}

const (
	uefiTDX  = "UEFI 2.10, section 38.4.1, table of TDX measurement registers"
	cocoTDX  = "CoCo guest-components, attester/tdx: PCRs from 16 map to CC-MR 4"
	cocoCSV  = "CoCo trustee, verifier/csv (identity of CC-MR and rtmr); PCRs as CoCo guest-components maps TDX"
	ccaLinux = "Arm CCA measurement registers, Linux arm-cca-guest series (proposal)"
	tcgPCR   = "TCG PC Client Platform TPM Profile, PCR usage"
)

// span lists the indexes from lo to hi.
func span(lo, hi uint32) []uint32 {
	var s []uint32
	for i := lo; i <= hi; i++ {
		s = append(s, i)
	}
	return s
}

// Map returns the platform's rows in order of their CC-MR. It is empty for an
// unknown platform. A TPM has PCRs only: nothing maps.
func (p Platform) Map() []Mapping {
	switch p {
	case TDX:
		// PCR 0 is MRTD, which nobody extends after the build of the
		// guest. It must never end up at a register that can be.
		return []Mapping{
			{"MRTD", 0, -1, []uint32{0}, false, uefiTDX},
			{"RTMR0", 1, 0, []uint32{1, 7}, true, uefiTDX},
			{"RTMR1", 2, 1, span(2, 6), true, uefiTDX},
			{"RTMR2", 3, 2, span(8, 15), true, uefiTDX},
			{"RTMR3", 4, 3, span(16, 23), true, cocoTDX},
		}
	case CSV:
		return []Mapping{
			{"RTMR0", 0, 0, []uint32{0}, false, cocoCSV},
			{"RTMR1", 1, 1, []uint32{1, 7}, true, cocoCSV},
			{"RTMR2", 2, 2, span(2, 6), true, cocoCSV},
			{"RTMR3", 3, 3, span(8, 15), true, cocoCSV},
			{"RTMR4", 4, 4, span(16, 23), true, cocoCSV},
		}
	case CCA:
		return []Mapping{
			{"RIM", 0, -1, []uint32{0}, false, ccaLinux},
			{"REM0", 1, 0, []uint32{1, 7}, true, ccaLinux},
			{"REM1", 2, 1, span(2, 6), true, ccaLinux},
			{"REM2", 3, 2, span(8, 15), true, ccaLinux},
			{"REM3", 4, 3, span(16, 23), true, ccaLinux},
		}
	case TPM:
		rows := make([]Mapping, 24)
		for i := range rows {
			rows[i] = Mapping{fmt.Sprintf("PCR%d", i), -1, -1, []uint32{uint32(i)}, i < 17 || i > 22, tcgPCR}
		}
		return rows
	}
	return nil
}

// To returns the name that space gives to the register r. Many PCRs share a
// register, so that mapping back to a PCR is an error unless there is one.
func (p Platform) To(space Space, r Register) (Register, error) {
	if r.Space == space {
		return r, nil
	}
	for _, row := range p.Map() {
		if !row.has(r) {
			continue
		}
		switch {
		case space == CCMR && row.CCMR >= 0:
			return Register{CCMR, uint32(row.CCMR)}, nil
		case space == RTMR && row.RTMR >= 0:
			return Register{RTMR, uint32(row.RTMR)}, nil
		case space == PCR && len(row.PCRs) == 1:
			return Register{PCR, row.PCRs[0]}, nil
		case space == PCR:
			names := make([]string, len(row.PCRs))
			for i, n := range row.PCRs {
				names[i] = fmt.Sprint(n)
			}
			return Register{}, fmt.Errorf("%s stands for PCRs %s on %s: it has no one PCR", r, strings.Join(names, ", "), p)
		}
		return Register{}, fmt.Errorf("%s (%s) has no %s on %s", r, row.Name, space, p)
	}
	return Register{}, fmt.Errorf("%s has no %s on %s", r, space, p)
}

// Row returns the row of the register r.
func (p Platform) Row(r Register) (Mapping, bool) {
	for _, row := range p.Map() {
		if row.has(r) {
			return row, true
		}
	}
	return Mapping{}, false
}

func (m *Mapping) has(r Register) bool {
	switch r.Space {
	case CCMR:
		return m.CCMR == int(r.Index)
	case RTMR:
		return m.RTMR == int(r.Index)
	case PCR:
		return slices.Contains(m.PCRs, r.Index)
	}
	return false
}
