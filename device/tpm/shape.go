// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"mrlog.dev"
	"mrlog.dev/device"
)

// selection is a set of PCRs as the TPM writes it: bit i%8 of byte i/8.
type selection []byte

func (s selection) has(pcr uint32) bool {
	return int(pcr/8) < len(s) && s[pcr/8]>>(pcr%8)&1 != 0
}

// shape is what a TPM says about its PCRs.
type shape struct {
	banks      []bank // active ones, in the TPM's order, unknown ones too
	properties map[tpm2.TPMPTPCR]selection

	registers  []device.Register // as the two above have it
	resettable selection         // by locality 0
	uncounted  selection         // do not count in the update counter
}

// bank is a hash algorithm and the PCRs that are allocated in it.
type bank struct {
	alg  mrlog.Alg
	pcrs selection
}

// equal reports whether the TPM said the same.
func (s *shape) equal(o *shape) bool {
	same := func(a, b selection) bool { return bytes.Equal(a, b) }
	return slices.EqualFunc(s.banks, o.banks, func(a, b bank) bool { return a.alg == b.alg && same(a.pcrs, b.pcrs) }) &&
		maps.EqualFunc(s.properties, o.properties, same)
}

// readShape asks the TPM. One that does not know PCR properties is taken for
// one after the PC Client profile.
func readShape(w wire) (*shape, error) {
	s := &shape{properties: make(map[tpm2.TPMPTPCR]selection)}
	answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapPCRs, PropertyCount: 1}.Execute(w)
	if err != nil {
		return nil, fmt.Errorf("TPM2_GetCapability of its banks: %w", err)
	}
	pcrs, err := answer.CapabilityData.Data.AssignedPCR()
	if err != nil {
		return nil, fmt.Errorf("TPM2_GetCapability of its banks: %w", err)
	}
	for _, p := range pcrs.PCRSelections {
		if len(bytes.Trim(p.PCRSelect, "\x00")) > 0 {
			s.banks = append(s.banks, bank{mrlog.Alg(p.Hash), p.PCRSelect})
		}
	}
	answer, err = tpm2.GetCapability{Capability: tpm2.TPMCapPCRProperties, PropertyCount: 64}.Execute(w)
	var rc tpm2.TPMRC
	switch {
	case err == nil:
		properties, err := answer.CapabilityData.Data.PCRProperties()
		if err != nil {
			return nil, fmt.Errorf("TPM2_GetCapability of its PCRs' properties: %w", err)
		}
		for _, p := range properties.PCRProperty {
			s.properties[p.Tag] = p.PCRSelect
		}
	case errors.As(err, &rc) && errors.Is(rc, tpm2.TPMRCValue):
	default:
		return nil, fmt.Errorf("TPM2_GetCapability of its PCRs' properties: %w", err)
	}
	if err := s.describe(); err != nil {
		return nil, err
	}
	return s, nil
}

// pcClient is what the TCG PC Client Platform TPM Profile, table "PCR
// Attributes", says of localities and resets: the word of a TPM that says
// nothing itself.
var pcClient = map[tpm2.TPMPTPCR]selection{
	tpm2.TPMPTPCRExtendL0:    {0xFF, 0xFF, 0x81}, // 0 to 16, 23
	tpm2.TPMPTPCRResetL0:     {0x00, 0x00, 0x81}, // 16, 23
	tpm2.TPMPTPCRExtendL1:    {0xFF, 0xFF, 0x91}, // and 20
	tpm2.TPMPTPCRExtendL2:    {0xFF, 0xFF, 0xFF}, // and 17 to 22
	tpm2.TPMPTPCRExtendL3:    {0xFF, 0xFF, 0x9F}, // and 17 to 20
	tpm2.TPMPTPCRExtendL4:    {0xFF, 0xFF, 0x87}, // and 17, 18
	tpm2.TPMPTPCRNoIncrement: {0x00, 0x00, 0xE1}, // 16, 21 to 23
}

// property returns a set of PCRs, from the TPM if it tells.
func (s *shape) property(p tpm2.TPMPTPCR) selection {
	if _, tells := s.properties[tpm2.TPMPTPCRExtendL0]; tells {
		return s.properties[p]
	}
	return pcClient[p]
}

// describe makes the registers.
func (s *shape) describe() error {
	s.resettable = s.property(tpm2.TPMPTPCRResetL0)
	s.uncounted = s.property(tpm2.TPMPTPCRNoIncrement)
	var end uint32
	for _, b := range s.banks {
		end = max(end, uint32(8*len(b.pcrs)))
	}
	for i := range end {
		r := device.Register{Name: mrlog.Register{Space: mrlog.PCR, Index: i}}
		var why []string
		for _, b := range s.banks {
			switch {
			case !b.pcrs.has(i):
			case b.alg.Size() == 0:
				why = append(why, fmt.Sprintf("its bank of hash algorithm %s is active, which mrlog does not know; left out, that bank would take whatever the next program extends (remove it with the firmware's setup or tpm2_pcrallocate)", b.alg))
			default:
				r.Banks = append(r.Banks, device.Bank{Alg: b.alg, Reset: r.Name.ResetValue(b.alg)})
			}
		}
		if len(r.Banks) == 0 {
			continue
		}
		if !s.property(tpm2.TPMPTPCRExtendL0).has(i) {
			why = append(why, s.locality(i))
		}
		r.NotExtendable = strings.Join(why, "; ")
		s.registers = append(s.registers, r)
	}
	if len(s.registers) == 0 {
		return errors.New("no PCR is active in a bank of a known hash algorithm (activate SHA-256 with the firmware's setup or tpm2_pcrallocate)")
	}
	return nil
}

// locality says why locality 0 cannot extend a PCR.
func (s *shape) locality(pcr uint32) string {
	var who []string
	for l, p := range []tpm2.TPMPTPCR{tpm2.TPMPTPCRExtendL1, tpm2.TPMPTPCRExtendL2, tpm2.TPMPTPCRExtendL3, tpm2.TPMPTPCRExtendL4} {
		if s.property(p).has(pcr) {
			who = append(who, fmt.Sprint(l+1))
		}
	}
	owner := "the TPM lets no program extend it"
	if pcr >= 17 && pcr <= 22 {
		owner = fmt.Sprintf("PCR %d belongs to the dynamic root of trust (D-RTM)", pcr)
	}
	switch len(who) {
	case 0:
		return owner
	case 1:
		return fmt.Sprintf("%s: only locality %s may extend it, and programs have locality 0", owner, who[0])
	}
	return fmt.Sprintf("%s: only localities %s and %s may extend it, and programs have locality 0", owner, strings.Join(who[:len(who)-1], ", "), who[len(who)-1])
}
