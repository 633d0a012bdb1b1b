// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Kinds of [Boot] events.
const (
	BootCommand = "command"        // a command of GRUB
	BootKernel  = "kernel-cmdline" // what GRUB starts the kernel with
	BootModule  = "module-cmdline" // what GRUB loads a module with
	BootFile    = "file"           // a file that GRUB read; the digest is of the file
	BootShim    = "shim"           // a variable of shim's; the digest is of its contents
	BootSection = "section"        // a section of a unified kernel image: first its name, then its contents
	BootText    = "text"           // text measured by systemd's loader or stub, the kernel command line most often
	BootOther   = "other"
)

// Boot is the data of EV_IPL, which boot loaders use as they please.
type Boot struct {
	What string // one of the constants
	Text string // without the producer's prefix
	Wide bool   // it stands as UTF-16
}

// grubPrefixes are what GRUB's builds write before texts; the digest is of the
// text alone.
var grubPrefixes = []struct {
	prefix []byte
	what   string
}{
	{[]byte("grub_cmd: "), BootCommand},
	{[]byte("kernel_cmdline: "), BootKernel},
	{[]byte("module_cmdline: "), BootModule},
	{[]byte("grub_cmd "), BootCommand},
	{[]byte("grub_kernel_cmdline "), BootKernel},
	{[]byte("grub_module_cmdline "), BootModule},
}

// grubPrefix returns the length of such a prefix, 0 without one, and what it
// says.
func grubPrefix(data []byte) (int, string) {
	if len(data) == 0 || data[0] != 'g' && data[0] != 'k' && data[0] != 'm' {
		return 0, ""
	}
	for i := range grubPrefixes {
		if p := &grubPrefixes[i]; bytes.HasPrefix(data, p.prefix) {
			return len(p.prefix), p.what
		}
	}
	return 0, ""
}

// shimNames are what shim and GRUB write for things that are not in the log.
var shimNames = map[string]string{
	"MokList": BootShim, "MokListX": BootShim, "MokListTrusted": BootShim, "MokSBState": BootShim,
	"MokDBState": BootShim, "MokPolicy": BootShim, "SbatLevel": BootShim,
	"grub_linuxefi Kernel": BootFile, "grub_linuxefi Initrd": BootFile,
}

// sections of a unified kernel image (UAPI.5), each with the bytes that are
// measured for its name.
var sections = map[string][]byte{
	".linux": []byte(".linux\x00"), ".osrel": []byte(".osrel\x00"), ".cmdline": []byte(".cmdline\x00"),
	".initrd": []byte(".initrd\x00"), ".ucode": []byte(".ucode\x00"), ".splash": []byte(".splash\x00"),
	".dtb": []byte(".dtb\x00"), ".dtbauto": []byte(".dtbauto\x00"), ".hwids": []byte(".hwids\x00"),
	".uname": []byte(".uname\x00"), ".sbat": []byte(".sbat\x00"), ".pcrpkey": []byte(".pcrpkey\x00"),
	".profile": []byte(".profile\x00"), ".efifw": []byte(".efifw\x00"), ".pcrsig": []byte(".pcrsig\x00"),
}

// maxSection bounds the data that can be a section's name.
const maxSection = 24

// isWide reports whether data looks like UTF-16 of ASCII text.
func isWide(data []byte) bool {
	return len(data) >= 2 && len(data)%2 == 0 && data[0] != 0 && data[1] == 0
}

// isHalved reports whether data looks like UTF-16 of ASCII text with half of its
// NUL, as older sd-boot logs what it measures with the whole of it.
func isHalved(data []byte) bool {
	n := len(data) - 1
	return n >= 2 && data[n] == 0 && isWide(data[:n])
}

// sectionName returns the bytes that are measured for the section whose name
// stands in data as UTF-16.
func sectionName(data []byte) ([]byte, bool) {
	if len(data) > maxSection || data[0] != '.' {
		return nil, false
	}
	var name [maxSection / 2]byte
	n := 0
	for i := 0; i+1 < len(data) && data[i] != 0; i += 2 {
		if data[i+1] != 0 {
			return nil, false
		}
		name[n] = data[i]
		n++
	}
	measured, ok := sections[string(name[:n])]
	return measured, ok
}

func decodeBootLoader(data []byte) Event {
	if isWide(data) || isHalved(data) {
		s := strings.TrimRight(fromUTF16(data), "\x00")
		b := Boot{What: BootText, Text: s, Wide: true}
		if sections[s] != nil {
			b.What = BootSection
		}
		return Event{Data: b}
	}
	if n, what := grubPrefix(data); n > 0 {
		text, rest, _ := bytes.Cut(data[n:], []byte{0})
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
		}
		return Event{Data: Boot{What: what, Text: string(text)}, Trailing: len(bytes.TrimLeft(rest, "\x00"))}
	}
	text, rest, _ := bytes.Cut(data, []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	if len(text) == 0 || !utf8.Valid(text) || !readable(string(text)) || len(rest) > 1 {
		return Event{Data: Bytes(data)}
	}
	b := Boot{What: BootOther, Text: string(text)}
	switch {
	case shimNames[b.Text] != "":
		b.What = shimNames[b.Text]
	case text[0] == '/' || text[0] == '(':
		b.What = BootFile
	}
	return Event{Data: b, Trailing: len(rest)}
}

func (b Boot) kind() string { return "boot" }

func (b Boot) line() string {
	s := plain(b.Text)
	switch b.What {
	case BootCommand:
		return "grub: " + s
	case BootKernel:
		return "cmdline: " + s
	case BootModule:
		return "module: " + s
	case BootFile:
		return "file " + s
	case BootShim:
		return "shim: " + s
	case BootSection:
		return "section " + s
	}
	return s
}

func (b Boot) members(o *object) {
	o.text("what", b.What)
	o.text("text", b.Text)
	if b.Wide {
		o.bool("utf16", true)
	}
}
