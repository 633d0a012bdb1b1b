// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"

	"mrlog.dev"
)

// bytesOf puts event data together: numbers little-endian in the size of their
// type, strings and bytes as they are, wide strings as UTF-16.
func bytesOf(parts ...any) []byte {
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
		case wide:
			for _, c := range utf16.Encode([]rune(string(v))) {
				p = le.AppendUint16(p, c)
			}
		default:
			panic("bytesOf: a type that it does not know")
		}
	}
	return p
}

type wide string

// guid is the bytes of a GUID in memory.
func guid(text string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(p) != 16 {
		panic("guid: " + text)
	}
	return []byte{p[3], p[2], p[1], p[0], p[5], p[4], p[7], p[6], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]}
}

const (
	global   = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	security = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	shim     = "605dab50-e046-4300-abb6-3dd810dd8b23"
	x509     = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	sha256ID = "c1c41626-504c-4092-aca9-41f936934328"
	owner    = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
)

func variable(space, name string, contents []byte) []byte {
	return bytesOf(guid(space), uint64(len(utf16.Encode([]rune(name)))), uint64(len(contents)), wide(name), contents)
}

// list is an EFI_SIGNATURE_LIST.
func list(typ string, each int, entries ...[]byte) []byte {
	var body []byte
	for _, e := range entries {
		body = append(append(body, guid(owner)...), e...)
	}
	return bytesOf(guid(typ), uint32(28+len(body)), uint32(0), uint32(16+each), body)
}

func der(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	n := len(body)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	}
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
}

func rdn(oid, text string, tag byte) []byte {
	id, _ := hex.DecodeString(oid)
	return der(0x31, der(0x30, der(0x06, id), der(tag, []byte(text))))
}

// certificate is an X.509 certificate as far as its names.
func certificate(cn string) []byte {
	issuer := der(0x30, rdn("550406", "DE", 0x13), rdn("55040a", "Root, Inc.", 0x0C))
	subject := der(0x30, rdn("550406", "DE", 0x13), rdn("55040a", "Test Ltd", 0x0C), rdn("550403", cn, 0x0C))
	tbs := der(0x30, der(0xA0, der(0x02, []byte{2})), der(0x02, []byte{0x12, 0x34}), der(0x30), issuer, der(0x30), subject, der(0x30))
	return der(0x30, tbs, der(0x30), der(0x03, []byte{0}))
}

func node(typ, subtype byte, parts ...any) []byte {
	data := bytesOf(parts...)
	return bytesOf(typ, subtype, uint16(4+len(data)), data)
}

func path(nodes ...[]byte) []byte {
	var p []byte
	for _, n := range nodes {
		p = append(p, n...)
	}
	return append(p, 0x7F, 0xFF, 4, 0)
}

func image(path []byte) []byte {
	return bytesOf(uint64(0x1000), uint64(4096), uint64(0), uint64(len(path)), path)
}

func option(active uint32, description string, path, data []byte) []byte {
	return bytesOf(active, uint16(len(path)), wide(description), uint16(0), path, data)
}

// sipa is an event of the Windows Boot Configuration Log, or a container of
// them.
func sipa(id uint32, parts ...any) []byte {
	data := bytesOf(parts...)
	return bytesOf(id, uint32(len(data)), data)
}

// config is what td-shim logs of information under a label.
func config(label string, parts ...any) []byte {
	data := bytesOf(parts...)
	return bytesOf(label, make([]byte, 16-len(label)), uint32(len(data)), data)
}

// hob is a hand-off block.
func hob(typ uint16, parts ...any) []byte {
	data := bytesOf(parts...)
	return bytesOf(typ, uint16(8+len(data)), uint32(0), data)
}

var (
	pciRoot = node(2, 1, uint32(0x0A0341D0), uint32(0))
	pci     = node(1, 1, byte(0), byte(3))
	file    = node(4, 4, wide(`\EFI\BOOT\BOOTX64.EFI`), uint16(0))
	disk    = node(4, 1, uint32(1), uint64(0x800), uint64(0x1000), guid("507a4a79-eca4-4fd0-8bbc-d5f4fac3e723"), byte(2), byte(2))
)

func record(event uint32, data []byte) *mrlog.Record {
	return &mrlog.Record{Type: mrlog.TypePCClient, Event: event, Content: data, NotExtended: event == mrlog.EventNoAction}
}
