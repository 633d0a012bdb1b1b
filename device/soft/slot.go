// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"mrlog.dev"
	"mrlog.dev/device"
)

const (
	// slotSize is the size of a sector: a device writes it whole or not at
	// all. The longest slot, of two banks, has about 320 bytes.
	slotSize = 512
	// slotGap is where the second slot starts: on devices with sectors of
	// 4096 bytes, too, no write touches both.
	slotGap = 4096
	// fileSize is the size of a register's file.
	fileSize = slotGap + slotSize
)

// state is the content of a slot.
type state struct {
	sequence uint64 // extends since the register was made or reset, and how often it was written
	values   []mrlog.Digest
}

// appendSlot appends the slot's text, padded to slotSize.
func appendSlot(dst []byte, reg mrlog.Register, s state) []byte {
	start := len(dst)
	dst = append(dst, "mrlog soft register "...)
	dst = append(dst, reg.String()...)
	dst = append(dst, "\nsequence "...)
	dst = strconv.AppendUint(dst, s.sequence, 10)
	for _, v := range s.values {
		dst = append(dst, '\n')
		dst = append(dst, v.Alg.String()...)
		dst = append(dst, ' ')
		dst = hex.AppendEncode(dst, v.Sum)
	}
	dst = append(dst, '\n')
	sum := sha256.Sum256(dst[start:])
	dst = append(dst, "check "...)
	dst = hex.AppendEncode(dst, sum[:])
	return append(dst, bytes.Repeat([]byte{'\n'}, slotSize-(len(dst)-start))...)
}

// parseSlot reads a slot. There is one way to write a state: what parses is
// written again and must give the same bytes.
func parseSlot(slot []byte, reg device.Register) (state, bool) {
	var s state
	lines := bytes.SplitN(slot, []byte{'\n'}, len(reg.Banks)+3)
	if len(lines) < len(reg.Banks)+3 {
		return s, false
	}
	number, ok := bytes.CutPrefix(lines[1], []byte("sequence "))
	if !ok {
		return s, false
	}
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return s, false
	}
	s.sequence = n
	for i, b := range reg.Banks {
		_, value, _ := bytes.Cut(lines[2+i], []byte{' '})
		sum, err := hex.DecodeString(string(value))
		if err != nil || len(sum) != b.Alg.Size() {
			return s, false
		}
		s.values = append(s.values, mrlog.Digest{Alg: b.Alg, Sum: sum})
	}
	return s, bytes.Equal(appendSlot(nil, reg.Name, s), slot)
}

// pick returns the state of a register file's bytes, and in which slot it is.
// whole says that both slots are valid.
func pick(file []byte, reg device.Register) (s state, slot int, whole bool, err error) {
	if len(file) < fileSize {
		return s, 0, false, fmt.Errorf("register file has %d bytes, want %d", len(file), fileSize)
	}
	a, okA := parseSlot(file[:slotSize], reg)
	b, okB := parseSlot(file[slotGap:fileSize], reg)
	switch {
	case okA && (!okB || a.sequence > b.sequence):
		return a, 0, okB, nil
	case okB:
		return b, 1, okA, nil
	}
	return s, 0, false, fmt.Errorf("both slots of the register file are damaged; its value is lost")
}

// newFile returns the bytes of a file whose both slots hold the reset value.
func newFile(reg device.Register) []byte {
	reset := state{values: make([]mrlog.Digest, len(reg.Banks))}
	for i, b := range reg.Banks {
		reset.values[i] = mrlog.Digest{Alg: b.Alg, Sum: b.Reset}
	}
	file := appendSlot(nil, reg.Name, reset)
	file = append(file, bytes.Repeat([]byte{'\n'}, slotGap-slotSize)...)
	reset.sequence = 1
	return appendSlot(file, reg.Name, reset)
}
