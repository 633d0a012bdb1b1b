// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The two slots of a software register's file: docs of package device/soft.
const (
	slotSize = 512
	slotGap  = 4096
)

// Soft reads a software register from its file.
func Soft(path string) (Values, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) < slotGap+slotSize {
		return nil, fmt.Errorf("%s: %d bytes", path, len(data))
	}
	var newest Values
	number := uint64(0)
	for _, slot := range [][]byte{data[:slotSize], data[slotGap : slotGap+slotSize]} {
		v, n, ok := softSlot(slot)
		if ok && (newest == nil || n > number) {
			newest, number = v, n
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%s: no valid slot", path)
	}
	return newest, nil
}

func softSlot(slot []byte) (v Values, sequence uint64, ok bool) {
	at := bytes.Index(slot, []byte("\ncheck "))
	if at < 0 {
		return nil, 0, false
	}
	text, check := slot[:at+1], strings.TrimRight(string(slot[at+len("\ncheck "):]), "\n")
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != check {
		return nil, 0, false
	}
	v = make(Values)
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch i {
		case 0:
		case 1:
			sequence, err = strconv.ParseUint(value, 10, 64)
		default:
			v[key], err = hex.DecodeString(value)
		}
		if err != nil {
			return nil, 0, false
		}
	}
	return v, sequence, len(v) > 0
}

// File reads a register of the kernel's measurement tree: one read gives the
// value in the bank that the file's name ends in ("rtmr2:sha384").
func File(path string) (Values, error) {
	_, bank, ok := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], ":")
	if !ok {
		return nil, fmt.Errorf("%s: no bank in its name", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, 128)
	n, err := f.Read(buf)
	if err != nil {
		return nil, err
	}
	return Values{bank: buf[:n]}, nil
}
