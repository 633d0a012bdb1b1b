// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
)

// Device is the data of an event that measured what a device told of itself by
// SPDM (DEVICE_SECURITY_EVENT_DATA and _DATA2, PFP 1.06, section 10.2.7).
type Device struct {
	Version int    // of the structure: 1 or 2
	HashAlg uint32 // of SPDM, in version 1
	State   uint8  // of authentication, in version 2: 0 good, 1 no authority, 2 no binding, 3 no support, 0xFF failed
	Path    DevicePath
	Kind    uint32 // 1: PCI, 2: USB
	Block   []byte // the measurement, or the certificate chain
	Vendor  uint16 // of a PCI device
	Device  uint16
	HasPCI  bool
}

const (
	sigDevice  = "SPDM Device Sec\x00"
	sigDevice2 = "SPDM Device Sec2"
)

func decodeSPDM(data []byte) Event {
	r := reader{p: data}
	d := Device{Version: 1}
	var why string
	switch sig := string(r.take(16)); sig {
	case sigDevice:
		r.u16() // version
		r.u16() // length
		d.HashAlg, d.Kind = r.u32(), r.u32()
		// SPDM measurement block: index, specification, size, measurement.
		block := reader{p: r.p}
		block.u16()
		d.Block = r.take(4 + uint64(block.u16()))
	case sigDevice2:
		r.u16()
		d.Version, d.State = 2, r.u8()
		r.u8()
		r.u32() // length of all
		d.Kind = r.u32()
		r.u32() // kind of the sub-header
		size := uint64(r.u32())
		r.u64() // id of the sub-header
		d.Path = r.take(r.u64())
		d.Block = r.take(size)
		if why = d.Path.check(); why != "" {
			why = "device path: " + why
		}
	default:
		if r.short || !bytes.HasPrefix(data, []byte("SPDM")) {
			return decodeTextOr(data, "no measurement of a device")
		}
		return undecoded(data, "signature %q", sig)
	}
	if context := (reader{p: r.p}); d.Kind == 1 && !r.short {
		context.u16() // version
		context.u16() // length
		if d.Vendor, d.Device = context.u16(), context.u16(); !context.short {
			d.HasPCI = true
			context.take(8)
			r.p = context.p
		}
	}
	if r.short {
		why = "too short"
	}
	return Event{Data: d, Reason: why, Trailing: len(r.p)}
}

func (d Device) kind() string { return "device" }

func (d Device) line() string {
	s := "device"
	if d.HasPCI {
		s = fmt.Sprintf("PCI device %04x:%04x", d.Vendor, d.Device)
	}
	if path := d.Path.Text(); path != "" {
		s += " at " + path
	}
	return s + ": " + hexText(d.Block)
}

func (d Device) members(o *object) {
	o.number("version", uint64(d.Version))
	if d.Version == 1 {
		o.number("spdm_hash", uint64(d.HashAlg))
	} else {
		o.number("state", uint64(d.State))
		o.object("path", d.Path.members)
	}
	o.number("device_kind", uint64(d.Kind))
	if d.HasPCI {
		o.text("pci_vendor", fmt.Sprintf("%04x", d.Vendor))
		o.text("pci_device", fmt.Sprintf("%04x", d.Device))
	}
	o.hex("data", d.Block)
}
