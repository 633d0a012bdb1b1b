// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// ManagementType is the kind of a management event, an event of the log itself
// (CEL 1.1, content cel).
type ManagementType uint8

// The management events. Some producers number the last two in hexadecimal,
// 0x80 and 0x81; they are read as these.
const (
	CELVersion  ManagementType = 1  // version of the specification; not extended
	FirmwareEnd ManagementType = 2  // the firmware's records end here; not extended
	Timestamp   ManagementType = 80 // a time; the sources disagree on its unit
	StateTrans  ManagementType = 81 // the machine is about to change its state
)

// Values of a StateTrans event.
const (
	StateSuspend   = 0
	StateHibernate = 1
	StateKexec     = 2
)

// Extended reports whether such an event is extended into its register.
func (t ManagementType) Extended() bool { return t != CELVersion && t != FirmwareEnd }

// managementType maps a number as found to a known event; exact is false for
// the hexadecimal numbering.
func managementType(n uint64) (t ManagementType, exact, ok bool) {
	switch n {
	case 1, 2, 80, 81:
		return ManagementType(n), true, true
	case 0x80, 0x81:
		return ManagementType(n-0x80) + Timestamp, false, true
	}
	return 0, false, false
}

// Management is one management event. A record of [mrlog.TypeCEL] in FormTLV
// holds one or more of them as TLVs.
type Management struct {
	Type         ManagementType
	Major, Minor uint16 // of CELVersion
	Value        uint64 // of Timestamp and StateTrans
}

// Append appends the event as one TLV, integers in the fewest bytes.
func (m Management) Append(dst []byte) []byte {
	dst = append(dst, byte(m.Type))
	switch m.Type {
	case CELVersion:
		n := 10 + minimalLen(uint64(m.Major)) + minimalLen(uint64(m.Minor))
		dst = append(dst, 0, 0, 0, byte(n))
		dst = appendIntTLV(dst, 0, uint64(m.Major))
		return appendIntTLV(dst, 1, uint64(m.Minor))
	case FirmwareEnd:
		return append(dst, 0, 0, 0, 0)
	}
	n := minimalLen(m.Value)
	dst = append(dst, 0, 0, 0, byte(n))
	return appendInt(dst, m.Value, n)
}

var (
	errManagementType  = errors.New("management event of an unknown type")
	errManagementShape = errors.New("management event of an unexpected shape")
)

// ParseManagement reads the first management TLV of p and returns what follows
// it. Integers of one to eight bytes are read. Any error means that the event
// is not one of the four, or not of its form; such content is carried whole.
func ParseManagement(p []byte) (m Management, rest []byte, err error) {
	t, v, rest, ok := cutTLV(p)
	if !ok {
		return Management{}, nil, errManagementShape
	}
	m.Type, _, ok = managementType(uint64(t))
	if !ok {
		return Management{}, nil, fmt.Errorf("%w: %d", errManagementType, t)
	}
	switch m.Type {
	case CELVersion:
		var seen [2]bool
		for len(v) > 0 {
			var field []byte
			if t, field, v, ok = cutTLV(v); !ok || t > 1 || seen[t] {
				return Management{}, nil, errManagementShape
			}
			n, ok := parseInt(field)
			if !ok || n > math.MaxUint16 {
				return Management{}, nil, errManagementShape
			}
			if seen[t] = true; t == 0 {
				m.Major = uint16(n)
			} else {
				m.Minor = uint16(n)
			}
		}
		if !seen[0] || !seen[1] {
			return Management{}, nil, errManagementShape
		}
	case FirmwareEnd:
		if len(v) != 0 {
			return Management{}, nil, errManagementShape
		}
	default:
		if m.Value, ok = parseInt(v); !ok {
			return Management{}, nil, errManagementShape
		}
	}
	return m, rest, nil
}

// managementNotExtended reports whether content is made of management events
// that are never extended.
func managementNotExtended(content []byte) bool {
	if len(content) == 0 {
		return false
	}
	for len(content) > 0 {
		m, rest, err := ParseManagement(content)
		if err != nil || m.Type.Extended() {
			return false
		}
		content = rest
	}
	return true
}

// canonicalManagement reports whether content is what a reader makes of it:
// management TLVs in canonical form, or any if one of them is not understood.
func canonicalManagement(content []byte) bool {
	var buf [128]byte
	canonical, ok := appendManagement(buf[:0], content)
	return !ok || bytes.Equal(canonical, content)
}

// appendManagement appends content, a run of management TLVs, in canonical
// form. It returns false, and dst as it was, if any of them is not understood.
func appendManagement(dst, content []byte) ([]byte, bool) {
	start := len(dst)
	if len(content) == 0 {
		return dst, false
	}
	for len(content) > 0 {
		m, rest, err := ParseManagement(content)
		if err != nil {
			return dst[:start], false
		}
		dst = m.Append(dst)
		content = rest
	}
	return dst, true
}
