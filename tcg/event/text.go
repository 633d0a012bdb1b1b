// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// maxLabel is the longest label that may stand before other data: td-shim's
// have 16 bytes, others are shorter than a file name may be.
const maxLabel = 255

// decodeText reads data that is a text, or a label before other data, or
// neither.
func decodeText(data []byte) Event {
	if len(data) == 0 {
		return Event{Data: Bytes(nil)}
	}
	if s, ok := textOf(data); ok {
		return Event{Data: Text{Text: s}}
	}
	n := bytes.IndexByte(data[:min(len(data), maxLabel+1)], 0)
	if n >= 4 && utf8.Valid(data[:n]) && readable(string(data[:n])) {
		return Event{Data: Text{Text: string(data[:n]), More: bytes.TrimLeft(data[n:], "\x00")}}
	}
	return Event{Data: Bytes(data)}
}

// Separator is the data of EV_SEPARATOR, which ends what the firmware measures
// into a register before it starts others' code (PFP 1.06, section 3.3.2.2).
type Separator struct {
	Value []byte // four bytes; a text of some length where an OS logs it
	// Failed: the value is neither 0 nor FFFFFFFF, and no text: something went
	// wrong in measuring.
	Failed bool
}

func decodeSeparator(data []byte) Event {
	s := Separator{Value: data}
	if len(data) == 4 {
		v := binary.LittleEndian.Uint32(data)
		_, text := textOf(data)
		s.Failed = v != 0 && v != 1<<32-1 && !text
	} else if _, ok := textOf(data); !ok {
		return undecoded(data, "a separator of %s", plural(len(data), "byte"))
	}
	return Event{Data: s}
}

func (s Separator) kind() string { return "separator" }

func (s Separator) line() string {
	text, ok := textOf(s.Value)
	switch {
	case s.Failed:
		return fmt.Sprintf("separator: error %08x", binary.LittleEndian.Uint32(s.Value))
	case ok:
		return "separator: " + plain(text)
	}
	return "separator"
}

func (s Separator) members(o *object) {
	if text, ok := textOf(s.Value); ok {
		o.text("text", text)
	}
	o.hex("value", s.Value)
	o.bool("error", s.Failed)
}

// Version is the data of EV_S_CRTM_VERSION: a text in most firmware, a GUID in
// some.
type Version struct {
	Text string
	GUID *GUID // nil where it is a text
}

func decodeVersion(data []byte) Event {
	if len(bytes.Trim(data, "\x00")) == 0 {
		return Event{Data: Version{}}
	}
	if s, ok := textOf(data); ok {
		return Event{Data: Version{Text: s}}
	}
	if len(data) == 16 {
		g := GUID(data)
		return Event{Data: Version{GUID: &g}}
	}
	// HP's firmware has its family's name, then binary fields.
	if n := bytes.IndexByte(data[:min(len(data), maxLabel+1)], 0); n >= 3 && utf8.Valid(data[:n]) && readable(string(data[:n])) {
		return Event{Data: Version{Text: string(data[:n])}, Trailing: len(bytes.TrimLeft(data[n:], "\x00"))}
	}
	return Event{Data: Bytes(data)}
}

func (v Version) kind() string { return "version" }

func (v Version) line() string {
	switch {
	case v.GUID != nil:
		return "firmware version " + v.GUID.String()
	case v.Text == "":
		return "firmware version not given"
	}
	return "firmware version " + plain(v.Text)
}

func (v Version) members(o *object) {
	if v.GUID != nil {
		o.text("guid", v.GUID.String())
		return
	}
	o.text("text", v.Text)
}

// NonhostInfo is what Google Compute Engine logs as EV_NONHOST_INFO: the kind
// of memory encryption of the virtual machine.
type NonhostInfo struct {
	Technology uint8 // 0 none, 1 SEV, 2 SEV-ES, 3 TDX, 4 SEV-SNP
}

// gceSignature opens that event.
const gceSignature = "GCE NonHostInfo\x00"

func decodeNonhostInfo(data []byte) Event {
	if rest, ok := bytes.CutPrefix(data, []byte(gceSignature)); ok && len(rest) > 0 {
		return Event{Data: NonhostInfo{Technology: rest[0]}}
	}
	return decodeText(data)
}

// technologies of memory encryption, as Google Compute Engine numbers them.
var technologies = [...]string{"none", "SEV", "SEV-ES", "TDX", "SEV-SNP"}

func (n NonhostInfo) name() string {
	if int(n.Technology) < len(technologies) {
		return technologies[n.Technology]
	}
	return fmt.Sprint(n.Technology)
}

func (n NonhostInfo) kind() string { return "nonhost-info" }

func (n NonhostInfo) line() string { return "memory encryption: " + n.name() }

func (n NonhostInfo) members(o *object) {
	o.number("technology", uint64(n.Technology))
	o.text("name", n.name())
}
