// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// GPT is the data of an event that measured the partition table of the boot
// disk (UEFI_GPT_DATA, PFP 1.06, section 10.2.4; UEFI 2.10, section 5.3).
type GPT struct {
	Disk    GUID // zero in EV_EFI_GPT_EVENT2
	entries []byte
	size    int // of an entry
}

// Partition is one entry of a [GPT].
type Partition struct {
	Type, GUID  GUID
	First, Last uint64 // blocks, both included
	Attributes  uint64
	Name        string
}

const (
	gptHeader    = 92  // bytes of the header that are defined
	gptPartition = 128 // bytes of an entry that are defined
)

func decodeGPT(data []byte) Event {
	r := reader{p: data}
	header := reader{p: r.take(gptHeader)}
	n := r.u64()
	if r.short {
		return undecoded(data, "too short for a partition table")
	}
	if !bytes.Equal(header.take(8), []byte("EFI PART")) {
		return undecoded(data, "no partition table")
	}
	header.take(48) // revision, sizes, sums, own and backup block, usable blocks
	g := GPT{Disk: header.guid()}
	header.take(8 + 4) // where the entries begin, how many there is room for
	g.size = int(header.u32())
	if g.size < gptPartition || n > 0 && g.size > len(r.p) {
		g.size = gptPartition
	}
	e := Event{}
	if n > uint64(len(r.p)/g.size) {
		e.Reason = fmt.Sprintf("%d partitions in %d bytes", n, len(r.p))
		n = 0
	}
	g.entries = r.take(n * uint64(g.size))
	e.Data, e.Trailing = g, len(r.p)
	return e
}

// Len counts the partitions.
func (g GPT) Len() int {
	if g.size == 0 {
		return 0
	}
	return len(g.entries) / g.size
}

// All ranges over the partitions.
func (g GPT) All() iter.Seq[Partition] {
	return func(yield func(Partition) bool) {
		for i := range g.Len() {
			r := reader{p: g.entries[i*g.size:]}
			p := Partition{Type: r.guid(), GUID: r.guid(), First: r.u64(), Last: r.u64(), Attributes: r.u64()}
			name := r.take(72)
			if text, _, ok := cutUTF16(name); ok {
				p.Name = text
			} else {
				p.Name = fromUTF16(name)
			}
			if !yield(p) {
				return
			}
		}
	}
}

func (g GPT) kind() string { return "gpt" }

func (g GPT) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "GPT of disk %s: %s", g.Disk, plural(g.Len(), "partition"))
	shown := 0
	for p := range g.All() {
		if shown++; shown > 16 {
			b.WriteString(", …")
			break
		}
		name := p.Name
		if name == "" {
			name = p.Type.Name()
		}
		if name == "" {
			name = p.Type.String()
		}
		if shown == 1 {
			b.WriteString(" (")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(plain(name))
	}
	if shown > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

func (g GPT) members(o *object) {
	o.text("disk", g.Disk.String())
	o.list("partitions", func(add func(func([]byte) []byte)) {
		for p := range g.All() {
			add(func(dst []byte) []byte {
				return appendObject(dst, func(o *object) {
					o.text("name", p.Name)
					o.text("type", p.Type.String())
					o.given("type_name", p.Type.Name())
					o.text("guid", p.GUID.String())
					o.number("first_block", p.First)
					o.number("last_block", p.Last)
					o.address("attributes", p.Attributes)
				})
			})
		}
	})
}
