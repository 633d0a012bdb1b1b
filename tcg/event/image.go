// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"iter"
)

// Image is the data of an event that measured an executable image: an
// application or a driver (UEFI_IMAGE_LOAD_EVENT, PFP 1.06, section 10.2.3).
type Image struct {
	Address  uint64 // where it was loaded
	Size     uint64 // in memory
	LinkTime uint64 // address that it was linked for
	Path     DevicePath
	Narrow   bool // of a 32-bit firmware
}

func decodeImage(data []byte) Event {
	for _, narrow := range []bool{false, true} {
		r := reader{p: data}
		m := Image{Address: r.u64(), Narrow: narrow}
		var length uint64
		if narrow {
			m.Size, m.LinkTime, length = uint64(r.u32()), uint64(r.u32()), uint64(r.u32())
		} else {
			m.Size, m.LinkTime, length = r.u64(), r.u64(), r.u64()
		}
		m.Path = r.take(length)
		if r.short || narrow && m.Path.check() != "" {
			continue
		}
		e := Event{Data: m, Trailing: len(r.p)}
		if why := m.Path.check(); why != "" {
			e.Reason = "device path: " + why
		}
		return e
	}
	if s, ok := textOf(data); ok {
		return Event{Data: Text{Text: s}}
	}
	return undecoded(data, "too short for an image")
}

func (m Image) kind() string { return "image" }

func (m Image) line() string {
	where := fmt.Sprintf("image of %d bytes", m.Size)
	if m.Size == 0 {
		where = "image"
	}
	file, device := m.Path.split()
	switch {
	case file != "" && device != "":
		return file + " at " + device
	case file != "":
		return file
	case device != "":
		return where + " at " + device
	case m.Address != 0:
		return fmt.Sprintf("%s at 0x%x", where, m.Address)
	}
	return where
}

func (m Image) members(o *object) {
	o.address("address", m.Address)
	o.number("size", m.Size)
	o.address("link_time", m.LinkTime)
	o.object("path", m.Path.members)
}

// Blob is the data of an event that measured a part of the firmware
// (UEFI_PLATFORM_FIRMWARE_BLOB and _BLOB2, PFP 1.06, sections 10.2.5 and 6).
type Blob struct {
	Name string // "" in the first version
	Base uint64
	Size uint64
}

func decodeBlob(data []byte) Event {
	r := reader{p: data}
	b := Blob{Base: r.u64(), Size: r.u64()}
	if r.short {
		return decodeTextOr(data, "too short for a firmware blob")
	}
	return Event{Data: b, Trailing: len(r.p)}
}

func decodeBlob2(data []byte) Event {
	r := reader{p: data}
	b := Blob{Name: labelText(r.take(uint64(r.u8())))}
	b.Base, b.Size = r.u64(), r.u64()
	if r.short {
		return decodeTextOr(data, "too short for a firmware blob with a name")
	}
	return Event{Data: b, Trailing: len(r.p)}
}

// decodeCode reads what describes code that was measured: a text, or a blob.
func decodeCode(event uint32, data []byte) Event {
	if e := decodeText(data); e.Kind() == "text" {
		return e
	}
	switch e := decodeBlob2(data); {
	case event == evPostCode2 || e.Reason == "" && e.Trailing == 0 && len(data) != 16:
		return e
	case len(data) == 16:
		return decodeBlob(data)
	}
	return Event{Data: Bytes(data)}
}

func decodeTextOr(data []byte, reason string) Event {
	if s, ok := textOf(data); ok {
		return Event{Data: Text{Text: s}}
	}
	return undecoded(data, "%s", reason)
}

// labelText reads the description of a blob or a table: ASCII, or what a
// firmware takes for it.
func labelText(p []byte) string {
	if s, ok := textOf(p); ok {
		return s
	}
	if len(bytes.Trim(p, "\x00")) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", p)
}

func (b Blob) kind() string { return "blob" }

func (b Blob) line() string {
	s := fmt.Sprintf("%d bytes at 0x%x", b.Size, b.Base)
	if b.Name != "" {
		return plain(b.Name) + ": " + s
	}
	return "firmware: " + s
}

func (b Blob) members(o *object) {
	o.given("name", b.Name)
	o.address("base", b.Base)
	o.number("size", b.Size)
}

// Tables is the data of an event that measured tables which the firmware hands
// to the operating system (UEFI_HANDOFF_TABLE_POINTERS and _POINTERS2, PFP
// 1.06, sections 10.2.7 and 8).
type Tables struct {
	Name    string // "" in the first version
	entries []byte
	size    int // of an entry: a GUID and a pointer
}

// Table is one table of [Tables].
type Table struct {
	GUID    GUID
	Address uint64
}

// Len counts the tables.
func (t Tables) Len() int {
	if t.size == 0 {
		return 0
	}
	return len(t.entries) / t.size
}

// All ranges over the tables.
func (t Tables) All() iter.Seq[Table] {
	return func(yield func(Table) bool) {
		for i := range t.Len() {
			r := reader{p: t.entries[i*t.size:]}
			e := Table{GUID: r.guid()}
			if t.size == 24 {
				e.Address = r.u64()
			} else {
				e.Address = uint64(r.u32())
			}
			if !yield(e) {
				return
			}
		}
	}
}

func decodeTables(data []byte) Event {
	// UINTN first: 8 bytes, or 4 in 32-bit firmware. The other size tells.
	r := reader{p: data}
	if n := r.u64(); !r.short && n <= uint64(len(r.p))/24 {
		return Event{Data: Tables{entries: r.take(n * 24), size: 24}, Trailing: len(r.p)}
	}
	r = reader{p: data}
	if n := uint64(r.u32()); !r.short && n*20 == uint64(len(r.p)) {
		return Event{Data: Tables{entries: r.p, size: 20}}
	}
	return decodeTextOr(data, "more tables than data")
}

func decodeTables2(data []byte) Event {
	r := reader{p: data}
	t := Tables{Name: labelText(r.take(uint64(r.u8()))), size: 24}
	n := r.u64()
	if r.short {
		return decodeTextOr(data, "too short for handoff tables")
	}
	switch left := uint64(len(r.p)); {
	case n <= left/24:
	case n <= left/20:
		t.size = 20
	default:
		return Event{Data: t, Reason: fmt.Sprintf("%d tables in %d bytes", n, left), Trailing: len(r.p)}
	}
	t.entries = r.take(n * uint64(t.size))
	return Event{Data: t, Trailing: len(r.p)}
}

func (t Tables) kind() string { return "tables" }

func (t Tables) line() string {
	s := plain(t.Name)
	if t.Name == "" {
		s = "handoff tables"
	}
	shown := 0
	for e := range t.All() {
		if shown == 4 {
			return s + ", …"
		}
		name := e.GUID.Name()
		if name == "" {
			name = e.GUID.String()
		}
		sep := ", "
		if shown == 0 {
			sep = ": "
		}
		s += sep + name
		shown++
	}
	return s
}

func (t Tables) members(o *object) {
	o.given("name", t.Name)
	o.list("tables", func(add func(func([]byte) []byte)) {
		for e := range t.All() {
			add(func(dst []byte) []byte {
				return appendObject(dst, func(o *object) {
					o.text("guid", e.GUID.String())
					o.given("name", e.GUID.Name())
					o.address("address", e.Address)
				})
			})
		}
	})
}
