// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// reader takes little-endian values off the front of event data. It has no
// errors: after the first value that is not there, short is set and all that
// follows is zero.
type reader struct {
	p     []byte
	short bool
}

// take returns the next n bytes; they are part of the data.
func (r *reader) take(n uint64) []byte {
	if r.short || n > uint64(len(r.p)) {
		r.short = true
		return nil
	}
	v := r.p[:n:n]
	r.p = r.p[n:]
	return v
}

func (r *reader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) guid() (g GUID) {
	copy(g[:], r.take(16))
	return g
}

// GUID is a UEFI GUID as it stands in memory: the first three fields are
// little-endian (UEFI 2.10, appendix A).
type GUID [16]byte

// String writes the GUID in lower case, 8be4df61-93ca-11d2-aa0d-00e098032b8c
// say.
func (g GUID) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(g[:]), binary.LittleEndian.Uint16(g[4:]),
		binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:])
}

// upper writes the GUID as texts of device paths do.
func (g GUID) upper() string { return strings.ToUpper(g.String()) }

// guidNames are those that logs show most. What they are used for tells them
// apart, so that one table serves all.
var guidNames = map[string]string{
	"8be4df61-93ca-11d2-aa0d-00e098032b8c": "EFI global variable",
	"d719b2cb-3d3a-4596-a3bc-dad00e67656f": "image security database",
	"605dab50-e046-4300-abb6-3dd810dd8b23": "shim",
	"4a67b082-0a4c-41cf-b6c7-440b29bb8c4f": "boot loader interface",
	"77fa9abd-0359-4d32-bd60-28f4e78f784b": "Microsoft",
	"8868e871-e4f1-11d3-bc22-0080c73c8881": "ACPI 2.0",
	"eb9d2d30-2d88-11d3-9a16-0090273fc14d": "ACPI 1.0",
	"eb9d2d31-2d88-11d3-9a16-0090273fc14d": "SMBIOS",
	"f2fd1544-9794-4a2c-992e-e5bbcf20e394": "SMBIOS 3",
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system partition",
	"0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux file system",
	"bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot",
	"4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
	"21686148-6449-6e6f-744e-656564454649": "BIOS boot",
	"7c5222bd-8f5d-4087-9c00-bf9843c7b58c": "UEFI shell",
	"462caa21-7614-4503-836e-8ab6f4662331": "boot maintenance",
}

// Name returns what the GUID is commonly known as, or "".
func (g GUID) Name() string { return guidNames[g.String()] }

// fromUTF16 decodes little-endian UTF-16; an odd last byte is left out, and a
// lone surrogate becomes U+FFFD.
func fromUTF16(p []byte) string {
	var b strings.Builder
	b.Grow(len(p) / 2)
	for i := 0; i+1 < len(p); i += 2 {
		r := rune(binary.LittleEndian.Uint16(p[i:]))
		if utf16.IsSurrogate(r) {
			next := rune(0)
			if i+3 < len(p) {
				next = rune(binary.LittleEndian.Uint16(p[i+2:]))
			}
			if r = utf16.DecodeRune(r, next); r != utf8.RuneError {
				i += 2
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cutUTF16 splits UTF-16 text at its first NUL; ok is false where there is
// none.
func cutUTF16(p []byte) (text string, rest []byte, ok bool) {
	for i := 0; i+1 < len(p); i += 2 {
		if p[i] == 0 && p[i+1] == 0 {
			return fromUTF16(p[:i]), p[i+2:], true
		}
	}
	return "", p, false
}

// textOf reads data as what producers write where they may write anything:
// ASCII or UTF-8, or UTF-16, with any number of NULs behind. It is false for
// everything else, and for no text at all.
func textOf(p []byte) (string, bool) {
	narrow := p
	for len(narrow) > 0 && narrow[len(narrow)-1] == 0 {
		narrow = narrow[:len(narrow)-1]
	}
	if len(narrow) == 0 {
		return "", false
	}
	if utf8.Valid(narrow) && readable(string(narrow)) {
		return string(narrow), true
	}
	return wideText(p)
}

// wideText reads data as UTF-16 text with any number of NULs behind.
func wideText(p []byte) (string, bool) {
	if len(p)%2 != 0 {
		return "", false
	}
	for len(p) > 0 && p[len(p)-1] == 0 && p[len(p)-2] == 0 {
		p = p[:len(p)-2]
	}
	if len(p) == 0 || p[0] == 0 && p[1] == 0 {
		return "", false
	}
	s := fromUTF16(p)
	// Any bytes are UTF-16 of something. Text from a producer of events has
	// ASCII in it.
	return s, readable(s) && strings.IndexFunc(s, func(r rune) bool { return r < 0x80 }) >= 0
}

// readable reports whether text has no controls but those that text has.
func readable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7F || r >= 0x80 && !unicode.IsGraphic(r) {
			return false
		}
	}
	return true
}

// maxText bounds a line for people. It is more than any terminal shows, and
// less than a hostile log could want to be made.
const maxText = 16 << 10

// clip cuts what is too long for a line.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// plain returns text fit for a line: as it is, or in quotes with escapes if
// there is anything in it that does not show as itself.
func plain(s string) string {
	s = clip(s)
	if s == "" {
		return `""`
	}
	if s[0] != '"' {
		shows := true
		for _, r := range s {
			if !graphic(r) {
				shows = false
				break
			}
		}
		if shows {
			return s
		}
	}
	b := []byte{'"'}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\x%02x`, s[0])
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case graphic(r):
			b = append(b, s[:n]...)
		case r < 0x80:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r > 0xFFFF:
			b = fmt.Appendf(b, `\U%08x`, r)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return string(append(b, '"'))
}

// graphic reports whether a character shows as something and moves nothing.
func graphic(r rune) bool {
	switch {
	case r < 0x7F:
		return r >= ' '
	case r == utf8.RuneError || r == '\u2800': // braille without a dot
		return false
	}
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Zs, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// maxHex is how many bytes a line for people shows of data that is no text.
const maxHex = 32

// hexText shows the beginning of data that is no text.
func hexText(p []byte) string {
	if len(p) > maxHex {
		return fmt.Sprintf("%x… (%d bytes)", p[:maxHex], len(p))
	}
	return fmt.Sprintf("%x", p)
}

// plural counts things.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
