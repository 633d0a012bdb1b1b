// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"mrlog.dev"
)

// tableSize is the size of an ACPI CCEL table.
const tableSize = 56

// CCType is a kind of confidential machine as its ACPI table names it.
type CCType uint8

// The kinds (ACPI 6.5, section 5.2.34).
const (
	CCNone CCType = iota // reserved
	CCSEV                // AMD Secure Encrypted Virtualization
	CCTDX                // Intel Trust Domain Extensions
)

// String returns "sev" or "tdx", or the number of another kind.
func (t CCType) String() string {
	switch t {
	case CCSEV:
		return "sev"
	case CCTDX:
		return "tdx"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Table is the ACPI table CCEL, which says where the firmware keeps its log
// (ACPI 6.5, section 5.2.34). It is not the log.
type Table struct {
	Revision   uint8
	OEM        string // id, without trailing blanks
	OEMTable   string // id, without trailing blanks
	Type       CCType
	Subtype    uint8
	LogSize    uint64 // minimum length of the log's area (LAML)
	LogAddress uint64 // physical address of the log's area (LASA)
}

// ParseTable reads a CCEL table. Its errors are [*mrlog.SyntaxError]s.
func ParseTable(data []byte) (Table, error) {
	fault := func(at int64, err error) (Table, error) {
		return Table{}, &mrlog.SyntaxError{Format: "acpi-ccel", Offset: at, Record: -1, Err: err}
	}
	if !bytes.HasPrefix(data, []byte("CCEL")) {
		return fault(0, errors.New("the table's signature is not CCEL"))
	}
	if len(data) < tableSize {
		return fault(int64(len(data)), fmt.Errorf("the table ends after %d bytes, want %d", len(data), tableSize))
	}
	if n := binary.LittleEndian.Uint32(data[4:]); uint64(n) != uint64(len(data)) {
		return fault(4, fmt.Errorf("the table says that it has %d bytes, and has %d", n, len(data)))
	}
	if len(data) > tableSize {
		return fault(tableSize, fmt.Errorf("a table of %d bytes, want %d", len(data), tableSize))
	}
	var sum byte
	for _, c := range data {
		sum += c
	}
	if sum != 0 {
		return fault(9, fmt.Errorf("the table's checksum is wrong by %d", sum))
	}
	return Table{
		Revision:   data[8],
		OEM:        string(bytes.TrimRight(data[10:16], " \x00")),
		OEMTable:   string(bytes.TrimRight(data[16:24], " \x00")),
		Type:       CCType(data[36]),
		Subtype:    data[37],
		LogSize:    binary.LittleEndian.Uint64(data[40:]),
		LogAddress: binary.LittleEndian.Uint64(data[48:]),
	}, nil
}
