// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// application reads UEFI_IMAGE_LOAD_EVENT. The path's last four bytes are taken
// for its end, whatever they are.
func application(data []byte) (d details, why string) {
	const header = 32
	if len(data) < header {
		return d, "too short for an image"
	}
	size := binary.LittleEndian.Uint64(data[24:])
	if size == 0 {
		return d, ""
	}
	if size < 8 || size-4 > uint64(len(data)-header) {
		return d, "a device path that is longer than the data, or too short for one"
	}
	for path := data[header:][:size-4]; len(path) > 0; {
		if len(path) < 4 {
			return d, "a device path that does not end with a node"
		}
		n := int(binary.LittleEndian.Uint16(path[2:]))
		if n < 4 || n > len(path) {
			return d, "a node that is longer than its device path, or has no length"
		}
		text, ok := node(path[0], path[1], path[4:n])
		if !ok {
			return d, "a hard drive node that is one byte short"
		}
		d.DevicePaths = append(d.DevicePaths, text)
		path = path[n:]
	}
	return d, ""
}

// node writes a node as trustee does; ok is false for the one that it cannot.
func node(typ, subtype byte, p []byte) (text string, ok bool) {
	switch uint16(typ)<<8 | uint16(subtype) {
	case 0x0101:
		if len(p) >= 2 {
			text = fmt.Sprintf("Pci(%d,%d)", p[0], p[1])
		}
	case 0x0201:
		text = acpi(p)
	case 0x0305:
		if len(p) >= 2 {
			text = fmt.Sprintf("USB(%d,%d)", p[0], p[1])
		}
	case 0x030B:
		if len(p) == 33 {
			address := strings.TrimRight(hex.EncodeToString(p[:31]), "0")
			text = fmt.Sprintf("Mac(%s,0x%02x)", strings.ToUpper(address), p[32])
		}
	case 0x030C:
		text = ipv4(p)
	case 0x0315:
		if len(p) >= 16 {
			text = fmt.Sprintf("FibreEx(0x%x,0x%x)", p[:8], p[8:16])
		}
	case 0x0401:
		if len(p) == 37 {
			return "", false
		}
		text = hardDrive(p)
	case 0x0403:
		if len(p) >= 16 {
			text = fmt.Sprintf("VenMedia(%s,%x)", guid(p), p[16:])
		}
	case 0x0404:
		if len(p) > 0 && len(p)%2 == 0 {
			text = fmt.Sprintf("File(%s)", string(utf16.Decode(units(p[:len(p)-2]))))
		}
	case 0x0501:
		text = legacy(p)
	}
	if text == "" {
		text = fmt.Sprintf("Path(%d,%d,%x)", typ, subtype, p)
	}
	return text, true
}

// guid writes a GUID in upper case.
func guid(p []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(p), le.Uint16(p[4:]), le.Uint16(p[6:]), p[8:10], p[10:16])
}

func acpi(p []byte) string {
	if len(p) < 8 {
		return ""
	}
	hid, uid := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	letter := func(shift int) byte { return byte(hid>>shift&0x1F) + '@' }
	return fmt.Sprintf("ACPI(%c%c%c%04X,%d)", letter(10), letter(5), letter(0), hid>>16, uid)
}

func ipv4(p []byte) string {
	if len(p) < 23 {
		return ""
	}
	le := binary.LittleEndian
	address := func(p []byte) string { return fmt.Sprintf("%d.%d.%d.%d", p[3], p[2], p[1], p[0]) }
	protocol := map[uint16]string{6: "TCP", 17: "UDP"}[le.Uint16(p[12:])]
	origin := map[byte]string{0: "DHCP", 1: "Static"}[p[14]]
	s := fmt.Sprintf("IPv4(%s,%s,%s,%s", address(p[4:]), protocol, origin, address(p))
	if gateway, mask := le.Uint32(p[15:]), le.Uint32(p[19:]); gateway != 0 || mask != 0 {
		s += fmt.Sprintf(",%d,%d", gateway, mask)
	}
	return s + ")"
}

func hardDrive(p []byte) string {
	if len(p) < 38 {
		return ""
	}
	le := binary.LittleEndian
	var sig string
	switch p[36] {
	case 1:
		sig = fmt.Sprintf("MBR,0x%08x", le.Uint32(p[20:]))
	case 2:
		sig = "GPT," + guid(p[20:])
	default:
		return ""
	}
	part := le.Uint32(p)
	if part == 0 {
		return "HD(0," + sig + ")"
	}
	return fmt.Sprintf("HD(%d,%s,0x%x,0x%x)", part, sig, le.Uint64(p[4:]), le.Uint64(p[12:]))
}

// legacyTypes are the devices of BIOS boot nodes.
var legacyTypes = map[uint16]string{
	1: "FLOPPY", 2: "HARD_DRIVE", 3: "CDROM", 4: "PCMCIA", 5: "USB", 6: "EMBEDDED_NETWORK", 0x80: "DEV", 0xFF: "UNKNOWN",
}

func legacy(p []byte) string {
	if len(p) < 4 {
		return ""
	}
	typ := binary.LittleEndian.Uint16(p)
	name := legacyTypes[typ]
	if name == "" {
		name = fmt.Sprint(typ)
	}
	text, _, _ := bytes.Cut(p[4:], []byte{0})
	if !utf8.Valid(text) {
		return ""
	}
	return fmt.Sprintf("BBS(%s,%s,%d)", name, text, binary.LittleEndian.Uint16(p[2:]))
}
