// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"

	"mrlog.dev"
)

// Types of TCG events (PC Client Platform Firmware Profile 1.06, section
// 10.4.1, tables of event types).
const (
	evPostCode             = 0x00000001
	evNoAction             = 0x00000003
	evSeparator            = 0x00000004
	evAction               = 0x00000005
	evEventTag             = 0x00000006
	evCRTMContents         = 0x00000007
	evCRTMVersion          = 0x00000008
	evMicrocode            = 0x00000009
	evPlatformConfig       = 0x0000000A
	evTableOfDevices       = 0x0000000B
	evCompactHash          = 0x0000000C
	evIPL                  = 0x0000000D
	evIPLPartition         = 0x0000000E
	evNonhostCode          = 0x0000000F
	evNonhostConfig        = 0x00000010
	evNonhostInfo          = 0x00000011
	evOmitBootDevice       = 0x00000012
	evPostCode2            = 0x00000013
	evVariableDriverConfig = 0x80000001
	evVariableBoot         = 0x80000002
	evApplication          = 0x80000003
	evBootDriver           = 0x80000004
	evRuntimeDriver        = 0x80000005
	evGPT                  = 0x80000006
	evEFIAction            = 0x80000007
	evBlob                 = 0x80000008
	evTables               = 0x80000009
	evBlob2                = 0x8000000A
	evTables2              = 0x8000000B
	evVariableBoot2        = 0x8000000C
	evGPT2                 = 0x8000000D
	evHCRTM                = 0x80000010
	evVariableAuthority    = 0x800000E0
	evSPDMBlob             = 0x800000E1
	evSPDMConfig           = 0x800000E2
	evSPDMPolicy           = 0x800000E3
	evSPDMAuthority        = 0x800000E4

	// evDstack is the type that dstack gives its runtime events; it is in no
	// log of a firmware.
	evDstack = 0x08000001
)

// Of says which part of an event's data a digest is of.
type Of uint8

// The parts. Of all but OfData, what is not in the part is not bound by the
// digest: with OfVariable the variable's name, with OfText what kind of text it
// is.
const (
	OfData     Of = iota // the whole data; see Measured for the one that lacks a byte
	OfVariable           // the contents of a UEFI variable, without its name
	OfText               // a text without its producer's prefix, or without its end
	OfName               // the name of a section of a kernel image, in ASCII
	OfInfo               // what td-shim measured, without its descriptor
)

// String names the part.
func (o Of) String() string {
	switch o {
	case OfVariable:
		return "variable"
	case OfText:
		return "text"
	case OfName:
		return "name"
	case OfInfo:
		return "info"
	}
	return "data"
}

// Part is a part of an event's data that a digest may be of.
type Part struct {
	Of   Of
	Data []byte // of the record's content mostly, borrowed; not to be changed
}

const maxParts = 4

// Rule says how the digests of an event stand to its data: what they may be of,
// and what it means if they are not.
type Rule struct {
	parts [maxParts]Part
	n     uint8
	// Certain: a digest that is of none of the parts is not the event's. If
	// it is false, the digest may be of something that is not in the log.
	Certain bool
	// Stated: a document, or the producer's source, says that a digest is of
	// one of the parts. If Certain is false all the same, real producers are
	// known to deviate.
	Stated bool
}

// Parts are what a digest of the event may be of, likeliest first. There are
// none where the data only describes what was measured: to hash it would prove
// nothing.
func (r *Rule) Parts() []Part { return r.parts[:r.n] }

func (r *Rule) add(of Of, data []byte) {
	for _, p := range r.parts[:r.n] {
		if len(p.Data) == len(data) && bytes.Equal(p.Data, data) {
			return
		}
	}
	if int(r.n) < maxParts {
		r.parts[r.n] = Part{Of: of, Data: data}
		r.n++
	}
}

// Measured gives the rule for a TCG event ([mrlog.TypePCClient]), and one
// without parts for any other record. It looks at a few bytes of the content
// and copies none, but for a text that was logged without its last byte.
//
// The rules are those of PFP 1.06, table of event types, as firmware, boot
// loaders and kernels in the field follow them:
//
//   - The digest is of the data: EV_SEPARATOR, EV_ACTION,
//     EV_OMIT_BOOT_DEVICE_EVENTS, EV_EFI_VARIABLE_DRIVER_CONFIG,
//     EV_EFI_VARIABLE_BOOT2, EV_EFI_VARIABLE_AUTHORITY, EV_EFI_GPT_EVENT,
//     EV_EFI_ACTION, the AAEL tag of EV_EVENT_TAG, and the runtime events of
//     dstack. A separator of another value than 0 and FFFFFFFF tells of an
//     error, and its digest may be of an error value that is not logged.
//   - EV_S_CRTM_VERSION: of the data, too; but servers of Dell hash something
//     that is not in the log.
//   - EV_EFI_VARIABLE_DRIVER_CONFIG in a record of SHA-1 alone: also of the
//     variable's contents, as firmware for TPM 1.2 measured it.
//   - EV_EFI_VARIABLE_BOOT: of the variable's contents (EDK II), or of the data
//     (other firmware).
//   - EV_EFI_VARIABLE_AUTHORITY with bytes behind the variable, as shim logs
//     it up to version 15: also of the data without the last byte, or without
//     them.
//   - EV_IPL of GRUB: of the text that follows "grub_cmd: " and its like; in
//     older builds ("grub_cmd " and no colon) with its NUL. Of sd-stub: of the
//     text as logged, or of the name of a section in ASCII; the section's
//     contents come next under the same name. Of older sd-boot, which logs
//     half of the text's NUL: of the text with all of it. Files and what
//     shim logs are not in the log.
//   - EV_PLATFORM_CONFIG_FLAGS of td-shim: of the information behind the
//     descriptor and its length.
//   - EV_EVENT_TAG of Windows: of the data, container and all.
//   - EV_NONHOST_INFO is of the data on Google Compute Engine; the profile
//     leaves it open.
//   - The data describes something that is not in the log: EV_NO_ACTION, which
//     is not measured, EV_POST_CODE, EV_POST_CODE2, EV_S_CRTM_CONTENTS,
//     EV_CPU_MICROCODE, other EV_PLATFORM_CONFIG_FLAGS, EV_COMPACT_HASH,
//     EV_NONHOST_CODE, EV_NONHOST_CONFIG, images, firmware blobs, handoff
//     tables, and the tags of Linux and systemd.
//   - Anything else may be of the data; that it is not says nothing.
//
// Rules that are certain are Stated; so are those of EV_S_CRTM_VERSION,
// EV_EFI_VARIABLE_BOOT and of GRUB's texts.
func Measured(rec *mrlog.Record) Rule {
	var r Rule
	if rec.Type != mrlog.TypePCClient || rec.Form != mrlog.FormRaw || rec.NotExtended {
		return r
	}
	data := rec.Content
	switch rec.Event {
	case evNoAction, evPostCode, evPostCode2, evCRTMContents, evMicrocode, evCompactHash,
		evNonhostCode, evNonhostConfig, evApplication, evBootDriver, evRuntimeDriver, evBlob, evBlob2, evTables, evTables2:
	case evAction, evOmitBootDevice, evVariableDriverConfig, evGPT, evEFIAction, evVariableBoot2:
		r.Certain = true
		r.add(OfData, data)
		if rec.Event == evVariableDriverConfig && onlySHA1(rec) {
			if v, ok := cutVariable(data); ok {
				r.add(OfVariable, v.contents)
			}
		}
	case evSeparator:
		if len(data) == 4 {
			v := binary.LittleEndian.Uint32(data)
			r.Certain = v == 0 || v == 1<<32-1
		}
		r.add(OfData, data)
	case evCRTMVersion:
		r.Stated = true
		r.add(OfData, data)
	case evVariableBoot:
		if v, ok := cutVariable(data); ok {
			r.add(OfVariable, v.contents)
		}
		r.Stated = true
		r.add(OfData, data)
	case evVariableAuthority:
		r.Certain = true
		r.add(OfData, data)
		if v, ok := cutVariable(data); ok {
			if len(v.rest) > 0 {
				r.add(OfData, data[:len(data)-1])
				r.add(OfData, data[:len(data)-len(v.rest)])
			}
			r.add(OfVariable, v.contents)
		}
	case evDstack:
		r.Certain = true
		r.add(OfData, data)
	case evPlatformConfig:
		if c, ok := cutConfig(data); ok {
			r.add(OfInfo, c.Info)
		}
	case evIPL:
		r.bootLoader(data)
	case evEventTag:
		r.tag(data)
	default:
		r.add(OfData, data)
	}
	r.Stated = r.Stated || r.Certain
	return r
}

// onlySHA1 reports whether a record is as in a log of TCG 1.2.
func onlySHA1(rec *mrlog.Record) bool {
	return len(rec.Digests) == 1 && rec.Digests[0].Alg == mrlog.SHA1
}

// bootLoader is the rule of EV_IPL.
func (r *Rule) bootLoader(data []byte) {
	if isWide(data) {
		r.add(OfData, data)
		if name, ok := sectionName(data); ok {
			r.add(OfName, name)
		}
		return
	}
	if isHalved(data) {
		r.add(OfData, append(data[:len(data):len(data)], 0))
		return
	}
	if prefix, _ := grubPrefix(data); prefix > 0 {
		r.Stated = true
		text := data[prefix:]
		if n := bytes.IndexByte(text, 0); n >= 0 {
			r.add(OfText, text[:n])
			r.add(OfText, text[:n+1])
		}
		r.add(OfText, text)
		return
	}
	text, _, _ := bytes.Cut(data, []byte{0})
	switch {
	case len(text) > 0 && (text[0] == '/' || text[0] == '('): // a file
	case shimNames[string(text)] != "":
	default:
		r.add(OfData, data)
		r.add(OfText, text)
	}
}

// tag is the rule of EV_EVENT_TAG.
func (r *Rule) tag(data []byte) {
	t, ok := cutTag(data)
	switch {
	case t.ID == tagAAEL:
		r.Certain = true
		r.add(OfData, data)
	case !ok:
		r.add(OfData, data)
	case tagNames[t.ID] != "":
	case isWindows(t.ID):
		r.add(OfData, data)
	default:
		r.add(OfData, data)
		r.add(OfText, t.Data)
	}
}
