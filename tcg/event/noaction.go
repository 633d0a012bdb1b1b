// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"strings"

	"mrlog.dev"
)

// SpecID is the event that opens a log (TCG_EfiSpecIdEvent, PFP 1.06, section
// 10.4.5.1).
type SpecID struct {
	Signature     string // "Spec ID Event03"; empty in logs of the attestation agent
	PlatformClass uint32
	Major, Minor  uint8
	Errata        uint8
	UintnSize     uint8           // 1: 32 bits, 2: 64 bits
	Algs          []mrlog.AlgSize // banks; nil in logs of one bank
	Vendor        []byte
}

// maxAlgs bounds the banks that are listed.
const maxAlgs = 64

// Locality tells from where the TPM was started, which is in PCR 0 at the start.
type Locality uint8

// Reference tells where reference measurements of the firmware are found
// (SP800-155 Event, PFP 1.06, section 10.4.5.2).
type Reference struct {
	Version  int // of the structure: 1, 2 or 3
	VendorID uint32
	Manifest GUID
	// Of version 2 and 3.
	Manufacturer, Model, PlatformVersion  string
	FirmwareManufacturer, FirmwareVersion string
	FirmwareManufacturerID                uint32
	// Of version 3. The type is 0 for the manifest itself, 1 for a URI, 2 for
	// a device path, 3 for a UEFI variable.
	LocatorType, CertLocatorType uint32
	Locator, CertLocator         []byte
}

// NoAction is any other event that is logged for information.
type NoAction struct {
	Signature string
	Data      []byte // behind it
}

const (
	sigSpecID    = "Spec ID Event0"
	sigLocality  = "StartupLocality\x00"
	sigReference = "SP800-155 Event"
)

func decodeNoAction(data []byte) Event {
	switch {
	case bytes.HasPrefix(data, []byte(sigSpecID)), len(data) >= 28 && len(bytes.Trim(data[:16], "\x00")) == 0:
		return decodeSpecID(data)
	case bytes.HasPrefix(data, []byte(sigLocality)):
		if len(data) < len(sigLocality)+1 {
			return undecoded(data, "a startup locality without its value")
		}
		return Event{Data: Locality(data[len(sigLocality)]), Trailing: len(data) - len(sigLocality) - 1}
	case bytes.HasPrefix(data, []byte(sigReference)) && len(data) >= 16:
		return decodeReference(data)
	}
	n := NoAction{Data: data}
	if len(data) >= 16 {
		if s := bytes.TrimRight(data[:16], "\x00"); len(s) > 3 && readable(string(s)) {
			n = NoAction{Signature: string(s), Data: data[16:]}
		}
	}
	if n.Signature == "" {
		return decodeText(data)
	}
	return Event{Data: n}
}

func decodeSpecID(data []byte) Event {
	r := reader{p: data}
	s := SpecID{Signature: string(bytes.TrimRight(r.take(16), "\x00"))}
	s.PlatformClass = r.u32()
	s.Minor, s.Major, s.Errata, s.UintnSize = r.u8(), r.u8(), r.u8(), r.u8()
	e := Event{}
	if s.Signature != "Spec ID Event00" && s.Signature != "Spec ID Event02" {
		n := r.u32()
		switch {
		case n > maxAlgs || uint64(n) > uint64(len(r.p))/4:
			return Event{Data: s, Reason: fmt.Sprintf("%d banks", n), Trailing: len(r.p)}
		default:
			for range n {
				s.Algs = append(s.Algs, mrlog.AlgSize{Alg: mrlog.Alg(r.u16()), Size: int(r.u16())})
			}
		}
	}
	s.Vendor = r.take(uint64(r.u8()))
	if r.short {
		e.Reason = "too short"
	}
	e.Data, e.Trailing = s, len(r.p)
	return e
}

func (s SpecID) kind() string { return "spec-id" }

func (s SpecID) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "log of version %d.%d", s.Major, s.Minor)
	if s.Errata > 0 {
		fmt.Fprintf(&b, " errata %d", s.Errata)
	}
	for i, a := range s.Algs {
		if i == 0 {
			b.WriteString(", banks ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(a.Alg.String())
	}
	if text, ok := textOf(s.Vendor); ok {
		b.WriteString(", vendor " + plain(text))
	} else if len(s.Vendor) > 0 {
		b.WriteString(", vendor " + hexText(s.Vendor))
	}
	return b.String()
}

func (s SpecID) members(o *object) {
	o.text("signature", s.Signature)
	o.text("version", fmt.Sprintf("%d.%d", s.Major, s.Minor))
	o.number("errata", uint64(s.Errata))
	o.number("platform_class", uint64(s.PlatformClass))
	o.number("uintn_size", uint64(s.UintnSize))
	o.list("banks", func(add func(func([]byte) []byte)) {
		for _, a := range s.Algs {
			add(func(dst []byte) []byte {
				return appendObject(dst, func(o *object) {
					o.text("bank", a.Alg.String())
					o.number("size", uint64(a.Size))
				})
			})
		}
	})
	o.hex("vendor", s.Vendor)
}

func (l Locality) kind() string { return "startup-locality" }

func (l Locality) line() string { return fmt.Sprintf("TPM started from locality %d", uint8(l)) }

func (l Locality) members(o *object) { o.number("locality", uint64(l)) }

func decodeReference(data []byte) Event {
	r := reader{p: data[16:]}
	f := Reference{Version: 1, VendorID: r.u32(), Manifest: r.guid()}
	if c := data[15]; c == '2' || c == '3' {
		f.Version = int(c - '0')
		label := func() string { return labelText(r.take(uint64(r.u8()))) }
		f.Manufacturer, f.Model, f.PlatformVersion = label(), label(), label()
		f.FirmwareManufacturer = label()
		f.FirmwareManufacturerID = r.u32()
		f.FirmwareVersion = label()
	}
	if f.Version == 3 {
		f.LocatorType = r.u32()
		f.Locator = r.take(uint64(r.u32()))
		if len(r.p) > 0 {
			f.CertLocatorType = r.u32()
			f.CertLocator = r.take(uint64(r.u32()))
		}
	}
	// Firmware rounds the size up.
	e := Event{Data: f, Trailing: len(bytes.TrimRight(r.p, "\x00"))}
	if r.short {
		e.Reason = "too short"
	}
	return e
}

func (f Reference) kind() string { return "reference" }

func (f Reference) line() string {
	s := "reference manifest " + f.Manifest.String()
	if f.FirmwareManufacturer != "" || f.FirmwareVersion != "" {
		s += " of firmware " + plain(strings.TrimSpace(f.FirmwareManufacturer+" "+f.FirmwareVersion))
	}
	if where := locator(f.LocatorType, f.Locator); where != "" {
		s += " at " + where
	}
	return s
}

// locator shows where something is found.
func locator(typ uint32, p []byte) string {
	if len(p) == 0 {
		return ""
	}
	switch typ {
	case 2:
		return DevicePath(p).Text()
	case 3:
		if len(p) > 16 {
			if s, ok := textOf(p[16:]); ok {
				return "UEFI variable " + plain(s)
			}
		}
	}
	if s, ok := textOf(p); ok {
		return plain(s)
	}
	return hexText(p)
}

func (f Reference) members(o *object) {
	o.number("version", uint64(f.Version))
	o.number("vendor_id", uint64(f.VendorID))
	o.text("manifest", f.Manifest.String())
	if f.Version < 2 {
		return
	}
	o.text("manufacturer", f.Manufacturer)
	o.text("model", f.Model)
	o.text("platform_version", f.PlatformVersion)
	o.text("firmware_manufacturer", f.FirmwareManufacturer)
	o.number("firmware_manufacturer_id", uint64(f.FirmwareManufacturerID))
	o.text("firmware_version", f.FirmwareVersion)
	if f.Version < 3 {
		return
	}
	o.number("locator_type", uint64(f.LocatorType))
	o.text("locator", locator(f.LocatorType, f.Locator))
	o.hex("locator_data", f.Locator)
	o.number("certificate_locator_type", uint64(f.CertLocatorType))
	o.hex("certificate_locator_data", f.CertLocator)
}

func (n NoAction) kind() string { return "no-action" }

func (n NoAction) line() string {
	if len(n.Data) == 0 {
		return plain(n.Signature)
	}
	return plain(n.Signature) + " " + hexText(n.Data)
}

func (n NoAction) members(o *object) {
	o.text("signature", n.Signature)
	o.hex("data", n.Data)
}
