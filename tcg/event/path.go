// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// DevicePath is a UEFI device path: nodes that lead from the root of the
// machine to a device or a file (UEFI 2.10, section 10.3). It is part of an
// event's data, and may be damaged: what is beyond the damage is not shown.
type DevicePath []byte

// Node is one step of a [DevicePath].
type Node struct {
	Type, Subtype uint8
	Data          []byte // behind the node's header
}

// Types of nodes, and the subtypes of the one that ends a path.
const (
	pathHardware  = 1
	pathACPI      = 2
	pathMessaging = 3
	pathMedia     = 4
	pathBBS       = 5
	pathEnd       = 0x7F

	pathEndInstance = 0x01
	pathEndEntire   = 0xFF
)

// cutNode takes the first node off p.
func cutNode(p []byte) (n Node, rest []byte, ok bool) {
	if len(p) < 4 {
		return n, nil, false
	}
	size := int(binary.LittleEndian.Uint16(p[2:]))
	if size < 4 || size > len(p) {
		return n, nil, false
	}
	return Node{p[0], p[1], p[4:size:size]}, p[size:], true
}

// check says what is wrong with the path, or "".
func (d DevicePath) check() string {
	for p := []byte(d); len(p) > 0; {
		_, rest, ok := cutNode(p)
		if !ok {
			return fmt.Sprintf("a node at offset %d that is longer than the path, or has no length", len(d)-len(p))
		}
		p = rest
	}
	return ""
}

// Nodes ranges over the nodes, with those that end a path or one of its
// instances. A list of paths is ranged over as a whole.
func (d DevicePath) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for p := []byte(d); ; {
			n, rest, ok := cutNode(p)
			if !ok || !yield(n) {
				return
			}
			p = rest
		}
	}
}

// Text writes the path as UEFI does (UEFI 2.10, section 10.6.1.2): nodes
// separated by slashes, instances and further paths by commas. A node that is
// not known is Path(type,subtype,data).
func (d DevicePath) Text() string {
	var b strings.Builder
	sep := ""
	for n := range d.Nodes() {
		if b.Len() > maxText {
			break
		}
		if n.Type == pathEnd {
			sep = ","
			continue
		}
		if b.Len() > 0 {
			b.WriteString(sep)
		}
		b.WriteString(n.String())
		sep = "/"
	}
	return clip(b.String())
}

// split returns the file that the first path leads to, with slashes, and the
// device that the file is on.
func (d DevicePath) split() (file, device string) {
	var files, devices []string
	size := 0
	for n := range d.Nodes() {
		if n.Type == pathEnd || size > maxText {
			break
		}
		s := n.String()
		size += len(s)
		if n.Type == pathMedia && n.Subtype == 4 {
			files = append(files, plain(strings.ReplaceAll(n.file(), `\`, "/")))
			continue
		}
		devices = append(append(devices, files...), s)
		files = nil
	}
	file = strings.Join(files, "/")
	if len(files) > 1 {
		file = strings.ReplaceAll(file, "//", "/")
	}
	return file, strings.Join(devices, "/")
}

func (d DevicePath) members(o *object) {
	o.text("text", d.Text())
	o.list("nodes", func(add func(func([]byte) []byte)) {
		for n := range d.Nodes() {
			if n.Type == pathEnd && n.Subtype == pathEndEntire {
				continue
			}
			add(func(dst []byte) []byte { return appendString(dst, n.String()) })
		}
	})
}

// file is the name in a file path node.
func (n Node) file() string {
	if text, _, ok := cutUTF16(n.Data); ok {
		return text
	}
	return fromUTF16(n.Data)
}

// String writes the node as UEFI does.
func (n Node) String() string {
	r := reader{p: n.Data}
	var s string
	switch n.Type {
	case pathHardware:
		s = hardwareNode(n, &r)
	case pathACPI:
		s = acpiNode(n, &r)
	case pathMessaging:
		s = messagingNode(n, &r)
	case pathMedia:
		s = mediaNode(n, &r)
	case pathBBS:
		if n.Subtype == 1 {
			s = bbsNode(&r)
		}
	case pathEnd:
		if n.Subtype == pathEndInstance || n.Subtype == pathEndEntire {
			return "End"
		}
	}
	if s == "" || r.short {
		return fmt.Sprintf("Path(%d,%d,%x)", n.Type, n.Subtype, n.Data)
	}
	return s
}

// vendorNode writes the three kinds of vendor nodes.
func vendorNode(name string, r *reader) string {
	g := r.guid()
	if len(r.p) > 0 {
		return fmt.Sprintf("%s(%s,%x)", name, g.upper(), r.p)
	}
	return name + "(" + g.upper() + ")"
}

func hardwareNode(n Node, r *reader) string {
	switch n.Subtype {
	case 1:
		function := r.u8()
		return fmt.Sprintf("Pci(0x%x,0x%x)", r.u8(), function)
	case 2:
		return fmt.Sprintf("PcCard(0x%x)", r.u8())
	case 3:
		return fmt.Sprintf("MemoryMapped(0x%x,0x%x,0x%x)", r.u32(), r.u64(), r.u64())
	case 4:
		return vendorNode("VenHw", r)
	case 5:
		return fmt.Sprintf("Ctrl(0x%x)", r.u32())
	case 6:
		return fmt.Sprintf("BMC(0x%x,0x%x)", r.u8(), r.u64())
	}
	return ""
}

// acpiDevices have names of their own.
var acpiDevices = map[uint32]string{
	0x0A03: "PciRoot", 0x0A08: "PcieRoot", 0x0604: "Floppy", 0x0301: "Keyboard", 0x0501: "Serial", 0x0401: "ParallelPort",
}

// eisaID writes a compressed EISA id, PNP0A03 say (ACPI 6.5, section 19.3.4).
func eisaID(id uint32) string {
	const pnp = 0x41D0
	if id&0xFFFF == pnp {
		return fmt.Sprintf("PNP%04X", id>>16)
	}
	return fmt.Sprintf("0x%08x", id)
}

func acpiNode(n Node, r *reader) string {
	switch n.Subtype {
	case 1:
		hid, uid := r.u32(), r.u32()
		if name := acpiDevices[hid>>16]; name != "" && strings.HasPrefix(eisaID(hid), "PNP") {
			return fmt.Sprintf("%s(0x%x)", name, uid)
		}
		return fmt.Sprintf("Acpi(%s,0x%x)", eisaID(hid), uid)
	case 2:
		hid, uid, cid := r.u32(), r.u32(), r.u32()
		text := func() string {
			s, rest, _ := strings.Cut(string(r.p), "\x00")
			r.p = []byte(rest)
			if s == "" {
				return s
			}
			return plain(s)
		}
		hidText, uidText, cidText := text(), text(), text()
		return fmt.Sprintf("AcpiEx(%s,%s,0x%x,%s,%s,%s)", eisaID(hid), eisaID(cid), uid, hidText, cidText, uidText)
	case 3:
		var b strings.Builder
		b.WriteString("AcpiAdr(")
		for i := 0; i == 0 || len(r.p) >= 4; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "0x%x", r.u32())
		}
		return b.String() + ")"
	case 4:
		return fmt.Sprintf("NvdimmAcpiAdr(0x%x)", r.u32())
	}
	return ""
}

func mediaNode(n Node, r *reader) string {
	switch n.Subtype {
	case 1:
		part, start, size, id := r.u32(), r.u64(), r.u64(), r.guid()
		format, kind := r.u8(), r.u8()
		sig := "0"
		name := fmt.Sprint(format)
		switch {
		case kind == 1:
			sig = fmt.Sprintf("0x%08x", binary.LittleEndian.Uint32(id[:]))
		case kind == 2:
			sig = id.upper()
		}
		switch format {
		case 1:
			name = "MBR"
		case 2:
			name = "GPT"
		}
		return fmt.Sprintf("HD(%d,%s,%s,0x%x,0x%x)", part, name, sig, start, size)
	case 2:
		return fmt.Sprintf("CDROM(0x%x,0x%x,0x%x)", r.u32(), r.u64(), r.u64())
	case 3:
		return vendorNode("VenMedia", r)
	case 4:
		if len(n.Data) == 0 {
			return ""
		}
		return plain(n.file())
	case 5:
		return "Media(" + r.guid().upper() + ")"
	case 6:
		return "FvFile(" + r.guid().upper() + ")"
	case 7:
		return "Fv(" + r.guid().upper() + ")"
	case 8:
		r.u32()
		return fmt.Sprintf("Offset(0x%x,0x%x)", r.u64(), r.u64())
	case 9:
		start, end := r.u64(), r.u64()
		typ, instance := r.guid(), r.u16()
		return fmt.Sprintf("RamDisk(0x%x,0x%x,%d,%s)", start, end, instance, typ.upper())
	}
	return ""
}

// bbsTypes are the kinds of legacy boot devices.
var bbsTypes = map[uint16]string{1: "Floppy", 2: "HD", 3: "CDROM", 4: "PCMCIA", 5: "USB", 6: "Network"}

func bbsNode(r *reader) string {
	typ, status := r.u16(), r.u16()
	name := bbsTypes[typ]
	if name == "" {
		name = fmt.Sprintf("0x%x", typ)
	}
	text, _, _ := strings.Cut(string(r.p), "\x00")
	if text != "" {
		text = plain(text)
	}
	return fmt.Sprintf("BBS(%s,%s,0x%x)", name, text, status)
}
