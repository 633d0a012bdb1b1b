// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package eventdata builds the data of TCG events, for the tests of the
// packages that read and show them. It shares nothing with what reads them.
package eventdata

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// Wide is text that Bytes writes as UTF-16, little-endian, without a NUL.
type Wide string

// Bytes puts event data together: numbers little-endian in the size of their
// type, strings and bytes as they are, wide strings as UTF-16. It panics at a
// type that it does not know.
func Bytes(parts ...any) []byte {
	le := binary.LittleEndian
	var p []byte
	for _, part := range parts {
		switch v := part.(type) {
		case uint8:
			p = append(p, v)
		case uint16:
			p = le.AppendUint16(p, v)
		case uint32:
			p = le.AppendUint32(p, v)
		case uint64:
			p = le.AppendUint64(p, v)
		case string:
			p = append(p, v...)
		case []byte:
			p = append(p, v...)
		case Wide:
			for _, c := range utf16.Encode([]rune(string(v))) {
				p = le.AppendUint16(p, c)
			}
		default:
			panic("eventdata: a type that Bytes does not know")
		}
	}
	return p
}

// GUIDs of variables, signatures and who owns them.
const (
	Global   = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	Security = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	Shim     = "605dab50-e046-4300-abb6-3dd810dd8b23"
	X509     = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	SHA256   = "c1c41626-504c-4092-aca9-41f936934328"
	Owner    = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
)

// GUID is a GUID as it stands in memory. It panics at a text that is none.
func GUID(text string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(p) != 16 {
		panic("eventdata: not a GUID: " + text)
	}
	return []byte{p[3], p[2], p[1], p[0], p[5], p[4], p[7], p[6], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]}
}

// Variable is a UEFI_VARIABLE_DATA.
func Variable(space, name string, contents []byte) []byte {
	return Bytes(GUID(space), uint64(len(utf16.Encode([]rune(name)))), uint64(len(contents)), Wide(name), contents)
}

// List is an EFI_SIGNATURE_LIST of Owner's entries, which are of one size.
func List(typ string, entries ...[]byte) []byte {
	var size int
	var body []byte
	for _, e := range entries {
		size = len(e)
		body = append(append(body, GUID(Owner)...), e...)
	}
	return Bytes(GUID(typ), uint32(28+len(body)), uint32(0), uint32(16+size), body)
}

// DER is a value of less than 64 KiB in DER.
func DER(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	n := len(body)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	}
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
}

// RDN is a relative distinguished name: the OID in hex, as in DER, and text as a
// string of that tag.
func RDN(oid, text string, tag byte) []byte {
	id, _ := hex.DecodeString(oid)
	return DER(0x31, DER(0x30, DER(0x06, id), DER(tag, []byte(text))))
}

// Certificate is an X.509 certificate as far as its names, which are sequences
// of RDNs. Its serial number is 0x1234.
func Certificate(issuer, subject []byte) []byte {
	tbs := DER(0x30, DER(0xA0, DER(0x02, []byte{2})), DER(0x02, []byte{0x12, 0x34}), DER(0x30), issuer, DER(0x30), subject, DER(0x30))
	return DER(0x30, tbs, DER(0x30), DER(0x03, []byte{0}))
}

// Node is a node of a device path.
func Node(typ, subtype byte, parts ...any) []byte {
	data := Bytes(parts...)
	return Bytes(typ, subtype, uint16(4+len(data)), data)
}

// PCIRoot is the node of the first root bridge.
func PCIRoot() []byte { return Node(2, 1, uint32(0x0A0341D0), uint32(0)) }

// PCI is the node of device 3, function 0.
func PCI() []byte { return Node(1, 1, byte(0), byte(3)) }

// Disk is the node of a partition.
func Disk() []byte {
	return Node(4, 1, uint32(1), uint64(0x800), uint64(0x1000), GUID("507a4a79-eca4-4fd0-8bbc-d5f4fac3e723"), byte(2), byte(2))
}

// File is the node of a file.
func File(name string) []byte { return Node(4, 4, Wide(name), uint16(0)) }

// Path is a device path: nodes and what ends them.
func Path(nodes ...[]byte) []byte {
	return append(bytes.Join(nodes, nil), 0x7F, 0xFF, 4, 0)
}

// Image is a UEFI_IMAGE_LOAD_EVENT of 4096 bytes at 0x1000.
func Image(path []byte) []byte {
	return Bytes(uint64(0x1000), uint64(4096), uint64(0), uint64(len(path)), path)
}

// Option is an EFI_LOAD_OPTION.
func Option(attributes uint32, description string, path, data []byte) []byte {
	return Bytes(attributes, uint16(len(path)), Wide(description), uint16(0), path, data)
}

// Windows is an event of the Windows Boot Configuration Log, or a container of
// them.
func Windows(id uint32, parts ...any) []byte {
	data := Bytes(parts...)
	return Bytes(id, uint32(len(data)), data)
}

// Config is what td-shim logs of information under a label of at most 16 bytes.
func Config(label string, parts ...any) []byte {
	data := Bytes(parts...)
	return Bytes(label, make([]byte, 16-len(label)), uint32(len(data)), data)
}

// HOB is a hand-off block.
func HOB(typ uint16, parts ...any) []byte {
	data := Bytes(parts...)
	return Bytes(typ, uint16(8+len(data)), uint32(0), data)
}
