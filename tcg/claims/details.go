// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// typeNames are the events that trustee knows.
var typeNames = map[uint32]string{
	0x00000000: "EV_PREBOOT_CERT",
	0x00000001: "EV_POST_CODE",
	0x00000002: "EV_UNUSED",
	0x00000003: "EV_NO_ACTION",
	0x00000004: "EV_SEPARATOR",
	0x00000005: "EV_ACTION",
	0x00000006: "EV_EVENT_TAG",
	0x00000007: "EV_S_CRTM_CONTENTS",
	0x00000008: "EV_S_CRTM_VERSION",
	0x00000009: "EV_CPU_MICROCODE",
	0x0000000A: "EV_PLATFORM_CONFIG_FLAGS",
	0x0000000B: "EV_TABLE_OF_DEVICES",
	0x0000000C: "EV_COMPACT_HASH",
	0x0000000D: "EV_IPL",
	0x0000000E: "EV_IPL_PARTITION_DATA",
	0x0000000F: "EV_NONHOST_CODE",
	0x00000010: "EV_NONHOST_CONFIG",
	0x00000011: "EV_NONHOST_INFO",
	0x00000012: "EV_OMIT_BOOT_DEVICE_EVENTS",
	0x80000000: "EV_EFI_EVENT_BASE",
	0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
	0x80000002: "EV_EFI_VARIABLE_BOOT",
	0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
	0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
	0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
	0x80000006: "EV_EFI_GPT_EVENT",
	0x80000007: "EV_EFI_ACTION",
	0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
	0x80000009: "EV_EFI_HANDOFF_TABLES",
	0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
	0x8000000B: "EV_EFI_HANDOFF_TABLES2",
	0x8000000C: "EV_EFI_VARIABLE_BOOT2",
	0x80000010: "EV_EFI_HCRTM_EVENT",
	0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
	0x800000E1: "EV_EFI_SPDM_FIRMWARE_BLOB",
	0x800000E2: "EV_EFI_SPDM_FIRMWARE_CONFIG",
}

// describe reads an event's data as trustee does, or says why it would refuse.
func describe(event uint32, data []byte) (d details, why string) {
	switch event {
	case 0x00000001, 0x00000005, 0x0000000C, 0x00000012, 0x80000007:
		if !utf8.Valid(data) {
			return d, "text that is not UTF-8"
		}
		d.String = ptr(string(data))
	case 0x00000006:
		return tagged(data)
	case 0x0000000A:
		d.String = ptr(config(data))
	case 0x0000000D:
		return bootLoader(data)
	case 0x80000001, 0x80000002, 0x8000000C, 0x800000E0:
		return variable(data)
	case 0x80000003:
		return application(data)
	case 0x8000000A, 0x8000000B:
		return described(data)
	}
	return d, ""
}

func ptr[T any](v T) *T { return &v }

// config is the text of EV_PLATFORM_CONFIG_FLAGS without its control
// characters; none if it is not UTF-8.
func config(data []byte) string {
	if !utf8.Valid(data) {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == 0x10: // meant to be a line feed
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, string(data))
}

// bootLoader reads EV_IPL: UTF-16 if it begins with a dot, which is left out
// with what stands for the NUL; else text up to the first NUL.
func bootLoader(data []byte) (d details, why string) {
	switch {
	case len(data) < 2:
		return d, "less than two bytes"
	case data[0] == '.' && data[1] == 0:
		if len(data) == 2 || len(data)%2 != 0 {
			return d, "UTF-16 text of an odd size"
		}
		d.String = ptr(string(utf16.Decode(units(data[2 : len(data)-2]))))
		return d, ""
	}
	text, _, _ := bytes.Cut(data, []byte{0})
	if utf8.Valid(text) {
		d.String = ptr(string(text))
	} else {
		d.String = ptr(hex.EncodeToString(data))
	}
	return d, ""
}

// units are the 16-bit units of UTF-16 text; an odd last byte is left out.
func units(p []byte) []uint16 {
	u := make([]uint16, len(p)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(p[2*i:])
	}
	return u
}

// variable reads UEFI_VARIABLE_DATA.
func variable(data []byte) (d details, why string) {
	const header = 32
	if len(data) < header {
		return d, "too short for a variable"
	}
	chars, size := binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[24:])
	left := uint64(len(data) - header)
	if chars > left/2 || size > left-2*chars {
		return d, "a variable that is longer than the data"
	}
	name := units(data[header:][:2*chars])
	for i := 0; i < len(name); i++ {
		if !utf16.IsSurrogate(rune(name[i])) {
			continue
		}
		if i+1 == len(name) || utf16.DecodeRune(rune(name[i]), rune(name[i+1])) == unicode.ReplacementChar {
			return d, "a name that is not UTF-16"
		}
		i++
	}
	g := data[:16]
	d.Name = ptr(string(utf16.Decode(name)))
	d.NameLength = &chars
	d.VariableName = ptr(fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:]))
	d.VariableData = ptr(base64.StdEncoding.EncodeToString(data[header+2*chars:][:size]))
	d.VariableLength = &size
	return d, ""
}

// described reads the description of EV_EFI_PLATFORM_FIRMWARE_BLOB2 and
// EV_EFI_HANDOFF_TABLES2, but for its last byte.
func described(data []byte) (d details, why string) {
	if len(data) == 0 || data[0] == 0 || len(data) < int(data[0]) {
		return d, "no description"
	}
	text := data[1:data[0]]
	if !utf8.Valid(text) {
		return d, "a description that is not UTF-8"
	}
	d.String = ptr(string(text))
	return d, ""
}

// tagAAEL marks the events of the attestation agent.
const tagAAEL = 0x4141454C

// agent is what the text of an AAEL event says.
type agent struct {
	Content   any    `json:"content"`
	Domain    string `json:"domain"`
	Operation string `json:"operation"`
}

// tagged reads EV_EVENT_TAG.
func tagged(data []byte) (d details, why string) {
	if len(data) < 8 {
		return d, "too short for a tag"
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	if size > uint64(len(data)-8) {
		return d, "a tag that is longer than the data"
	}
	text := data[8:][:size]
	d.String = ptr(strings.ReplaceAll(lossy(text), "\x00", ""))
	if binary.LittleEndian.Uint32(data) != tagAAEL {
		return d, ""
	}
	if !utf8.Valid(text) {
		return d, "an AAEL event that is not UTF-8"
	}
	domain, rest, ok := strings.Cut(string(text), " ")
	operation, content, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		return d, "an AAEL event of less than three words"
	}
	d.Name = ptr("AAEL")
	d.Data = agent{parse(content), domain, operation}
	return d, ""
}

// lossy reads UTF-8 with one U+FFFD for each sequence that is cut short or
// cannot be, as the Unicode Standard recommends (section 3.9, "U+FFFD
// Substitution of Maximal Subparts").
func lossy(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	var b strings.Builder
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			n = subpart(p)
		}
		b.WriteRune(r)
		p = p[n:]
	}
	return b.String()
}

// subpart is the length of the longest beginning of p that could begin a
// character; at least 1.
func subpart(p []byte) int {
	lo, hi, size := byte(0x80), byte(0xBF), 0
	switch c := p[0]; {
	case c >= 0xC2 && c <= 0xDF:
		size = 2
	case c >= 0xE0 && c <= 0xEF:
		size = 3
		if c == 0xE0 {
			lo = 0xA0
		} else if c == 0xED {
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		size = 4
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F
		}
	}
	n := 1
	for n < size && n < len(p) && p[n] >= lo && p[n] <= hi {
		n++
		lo, hi = 0x80, 0xBF
	}
	return n
}
