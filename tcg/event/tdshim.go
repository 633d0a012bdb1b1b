// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"iter"
)

// Config is the data of an EV_PLATFORM_CONFIG_FLAGS of td-shim
// (TD_SHIM_PLATFORM_CONFIG_INFO, TD Shim specification, table 3.5-4). The
// digest is of Info.
type Config struct {
	Name string // "td_hob" say
	Info []byte
	rest []byte
}

// What td-shim measures so (TD Shim specification, section "Guideline").
const (
	configHOB       = "td_hob"
	configPayload   = "td_payload_info" // parameters of the payload: a kernel's command line
	configSVN       = "td_payload_svn"
	configPolicy    = "secure_policy_db"
	configAuthority = "secure_authority"
)

var configs = [...]string{configHOB, configPayload, configSVN, configPolicy, configAuthority}

// descriptorSize is that of the label before the information.
const descriptorSize = 16

func cutConfig(data []byte) (c Config, ok bool) {
	r := reader{p: data}
	name := r.take(descriptorSize)
	c.Info = r.take(uint64(r.u32()))
	c.rest = r.p
	if r.short {
		return Config{}, false
	}
	name = bytes.TrimRight(name, "\x00")
	for _, known := range configs {
		if string(name) == known {
			c.Name = known
			return c, true
		}
	}
	return Config{}, false
}

func decodeConfig(data []byte) Event {
	c, ok := cutConfig(data)
	if !ok {
		return decodeText(data)
	}
	e := Event{Data: c, Trailing: len(c.rest)}
	switch c.Name {
	case configHOB:
		if why := c.checkHOBs(); why != "" {
			e.Reason = c.Name + ": " + why
		}
	case configSVN:
		if len(c.Info) != 8 {
			e.Reason = fmt.Sprintf("%s: %s, not eight", c.Name, plural(len(c.Info), "byte"))
		}
	}
	return e
}

// HOB is a hand-off block: what a virtual machine monitor tells the firmware of
// a TD (PI 1.7 A, volume 3, chapter 5).
type HOB struct {
	Type uint16
	Data []byte // behind the header
}

// Types of blocks.
const (
	hobHandoff   = 1
	hobResource  = 3
	hobExtension = 4
	hobEnd       = 0xFFFF
)

var hobNames = map[uint16]string{
	hobHandoff: "handoff", 2: "memory-allocation", hobResource: "resource", hobExtension: "extension",
	5: "firmware-volume", 6: "cpu", 7: "memory-pool", 9: "firmware-volume-2", 0xB: "capsule", 0xC: "firmware-volume-3",
	0xFFFE: "unused", hobEnd: "end",
}

// hobResources are the types of a resource, by their numbers; 7 is memory that
// the TD has not accepted yet.
var hobResources = [...]string{
	"memory", "mmio", "io", "firmware-device", "mmio-port", "reserved-memory", "reserved-io", "unaccepted-memory",
}

// hobExtensions are the GUIDs of td-shim's blocks.
var hobExtensions = map[string]string{
	"6a0c5870-d4ed-44f4-a135-dd238b6f0c8d": "ACPI table",
	"8f8072ea-3486-4b47-86a7-2353b88a8773": "E820 table",
	"b96fa412-461f-4be3-8c0d-ad805a497ac0": "payload info",
}

// hobHeader is the size of a block's type, length and reserved bytes.
const hobHeader = 8

func cutHOB(p []byte) (b HOB, rest []byte, ok bool) {
	r := reader{p: p}
	b.Type = r.u16()
	size := r.u16()
	r.u32()
	if r.short || size < hobHeader {
		return b, nil, false
	}
	b.Data = r.take(uint64(size) - hobHeader)
	return b, r.p, !r.short
}

// HOBs ranges over the blocks of "td_hob", as far as they are whole, without
// the one that ends the list.
func (c Config) HOBs() iter.Seq[HOB] {
	return func(yield func(HOB) bool) {
		if c.Name != configHOB {
			return
		}
		for p := c.Info; ; {
			b, rest, ok := cutHOB(p)
			if !ok || b.Type == hobEnd || !yield(b) {
				return
			}
			p = rest
		}
	}
}

// checkHOBs says why not all blocks can be read, or "".
func (c Config) checkHOBs() string {
	at := 0
	for b := range c.HOBs() {
		at += hobHeader + len(b.Data)
	}
	if b, rest, ok := cutHOB(c.Info[at:]); !ok {
		return fmt.Sprintf("no whole block at offset %d", at)
	} else if n := len(bytes.Trim(rest, "\x00")); b.Type == hobEnd && n > 0 {
		return fmt.Sprintf("%s behind the last block", plural(n, "byte"))
	}
	return ""
}

func (c Config) kind() string { return "td-shim" }

func (c Config) line() string {
	switch {
	case c.Name == configHOB:
		return c.Name + ": " + c.summary()
	case c.Name == configSVN && len(c.Info) == 8:
		return fmt.Sprintf("%s: %d", c.Name, number(c.Info))
	}
	if text, ok := textOf(c.Info); ok {
		return c.Name + ": " + plain(text)
	}
	return c.Name + ": " + hexText(c.Info)
}

// summary counts the blocks.
func (c Config) summary() string {
	var memory, resources, extensions, others int
	var bytes uint64
	for b := range c.HOBs() {
		switch b.Type {
		case hobHandoff:
		case hobResource:
			if r, ok := b.Resource(); ok && (r.Type == 0 || r.Type == 7) {
				memory++
				bytes += r.Size
			} else {
				resources++
			}
		case hobExtension:
			extensions++
		default:
			others++
		}
	}
	s := fmt.Sprintf("%d bytes of memory in %s", bytes, plural(memory, "range"))
	for _, n := range []struct {
		n    int
		what string
	}{{resources, "other resource"}, {extensions, "extension"}, {others, "other block"}} {
		if n.n > 0 {
			s += ", " + plural(n.n, n.what)
		}
	}
	return s
}

func (c Config) members(o *object) {
	o.text("name", c.Name)
	switch {
	case c.Name == configHOB:
		o.list("blocks", func(add func(func([]byte) []byte)) {
			for b := range c.HOBs() {
				add(func(dst []byte) []byte { return appendObject(dst, b.members) })
			}
		})
		return
	case c.Name == configSVN && len(c.Info) == 8:
		o.number("svn", number(c.Info))
		return
	}
	if text, ok := textOf(c.Info); ok {
		o.text("text", text)
		return
	}
	o.hex("data", c.Info)
}

// Resource is what a block says of memory, or of a range of addresses
// (EFI_HOB_RESOURCE_DESCRIPTOR).
type Resource struct {
	Owner      GUID
	Type       uint32
	Attributes uint32
	Base, Size uint64
}

// Resource reads a block as one of a resource; false if it is none.
func (b HOB) Resource() (Resource, bool) {
	r := reader{p: b.Data}
	d := Resource{Owner: r.guid(), Type: r.u32(), Attributes: r.u32(), Base: r.u64(), Size: r.u64()}
	return d, b.Type == hobResource && !r.short
}

func (b HOB) members(o *object) {
	name := hobNames[b.Type]
	if name == "" {
		name = fmt.Sprintf("0x%04x", b.Type)
	}
	o.text("type", name)
	if d, ok := b.Resource(); ok {
		what := fmt.Sprint(d.Type)
		if int64(d.Type) < int64(len(hobResources)) {
			what = hobResources[d.Type]
		}
		o.text("resource", what)
		o.address("attributes", uint64(d.Attributes))
		o.address("base", d.Base)
		o.number("size", d.Size)
		return
	}
	r := reader{p: b.Data}
	if b.Type == hobExtension {
		if id := r.guid(); !r.short {
			o.text("guid", id.String())
			o.given("name", hobExtensions[id.String()])
			o.hex("data", r.p)
			return
		}
	}
	o.hex("data", b.Data)
}
