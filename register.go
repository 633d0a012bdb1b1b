// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Space is a way of numbering measurement registers. Three of them can name
// the same hardware (on TDX, RTMR3 is CC-MR 4 and stands for PCR 16 to 23), so
// a number without its space means nothing.
type Space uint8

// The spaces.
const (
	NoSpace Space = iota // not stated
	PCR                  // platform configuration registers of a TPM
	CCMR                 // confidential computing measurement registers (UEFI 2.10, section 38.4.1)
	RTMR                 // run-time measurement registers of the platform itself
	NV                   // TPM NV indexes of type extend
)

// MaxIndex is the largest index of a register that is not an NV index (CEL
// 1.1, information model).
const MaxIndex = 0x00FFFFFF

// NoIndex is the index of a record that is of no register. Firmware gives it to
// some EV_NO_ACTION events; no other record may have it.
const NoIndex = 0xFFFFFFFF

// String returns the lower-case name, "rtmr" say, or "" for NoSpace.
func (s Space) String() string {
	switch s {
	case PCR:
		return "pcr"
	case CCMR:
		return "ccmr"
	case RTMR:
		return "rtmr"
	case NV:
		return "nv"
	}
	return ""
}

// ParseSpace reads the name of a space.
func ParseSpace(s string) (Space, error) {
	switch strings.ToLower(s) {
	case "pcr":
		return PCR, nil
	case "ccmr":
		return CCMR, nil
	case "rtmr":
		return RTMR, nil
	case "nv":
		return NV, nil
	}
	return NoSpace, fmt.Errorf("unknown register space %.40q (known: pcr, ccmr, rtmr, nv)", s)
}

// Register names one measurement register. Values are comparable.
type Register struct {
	Space Space
	Index uint32
}

// String returns the name that people and tools use: pcr7, ccmr3, rtmr2,
// nv0x01d10200.
func (r Register) String() string {
	if r.Space == NV {
		return fmt.Sprintf("nv0x%08x", r.Index)
	}
	if r.Space == NoSpace {
		return "register" + strconv.FormatUint(uint64(r.Index), 10)
	}
	return r.Space.String() + strconv.FormatUint(uint64(r.Index), 10)
}

// Compare orders registers by space, then index.
func (r Register) Compare(o Register) int {
	return cmp.Or(cmp.Compare(r.Space, o.Space), cmp.Compare(r.Index, o.Index))
}

// ParseRegister reads the name that String gives, in any case; an NV index is
// decimal, or hexadecimal after 0x. "PCR[7]" and "pcr 7" are not names: one
// register has one spelling.
func ParseRegister(s string) (Register, error) {
	l := strings.ToLower(s)
	i := strings.IndexAny(l, "0123456789")
	if i <= 0 {
		return Register{}, fmt.Errorf("register %.40q is not a name such as rtmr2 or pcr14", s)
	}
	space, err := ParseSpace(l[:i])
	if err != nil {
		return Register{}, fmt.Errorf("register %.40q: unknown space (known: pcr, ccmr, rtmr, nv)", s)
	}
	digits, base := l[i:], 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok && space == NV {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return Register{}, fmt.Errorf("register %.40q: index is not a number of 32 bits", s)
	}
	if base == 10 && len(digits) > 1 && digits[0] == '0' {
		return Register{}, fmt.Errorf("register %.40q: index has a leading zero", s)
	}
	if space != NV && n > MaxIndex {
		return Register{}, fmt.Errorf("register %.40q: index is above %d", s, MaxIndex)
	}
	return Register{Space: space, Index: uint32(n)}, nil
}

// AppendResetValue appends the value that the register's bank has after the
// platform's reset: zeros, or 0xFF in PCR 17 to 22 (TCG PC Client Platform TPM
// Profile, table "PCR Initial and Reset Values"). It appends nothing for an
// unknown algorithm.
func (r Register) AppendResetValue(dst []byte, alg Alg) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, alg.Size())...)
	if r.dynamic() {
		for i := n; i < len(dst); i++ {
			dst[i] = 0xFF
		}
	}
	return dst
}

// ResetValue returns what AppendResetValue appends.
func (r Register) ResetValue(alg Alg) []byte { return r.AppendResetValue(nil, alg) }

// ResetsTo reports whether value is one that a reset gives the register's
// bank: the reset value, or zeros in PCR 17 to 22, which a dynamic launch
// (D-RTM) clears.
func (r Register) ResetsTo(alg Alg, value []byte) bool {
	var buf [MaxDigestSize]byte
	if bytes.Equal(value, r.AppendResetValue(buf[:0], alg)) {
		return true
	}
	return r.dynamic() && len(value) == alg.Size() && len(bytes.Trim(value, "\x00")) == 0
}

// PCRs of the dynamic root of trust.
const (
	firstDynamic = 17
	lastDynamic  = 22
)

// dynamic reports whether the register belongs to the dynamic root of trust.
func (r Register) dynamic() bool {
	return r.Space == PCR && r.Index >= firstDynamic && r.Index <= lastDynamic
}
