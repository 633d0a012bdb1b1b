// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"mrlog.dev"
)

// Windows is the data of an EV_EVENT_TAG that the boot manager, the loader or
// the kernel of Windows logged: one event of the Windows Boot Configuration Log,
// or a container of them (wbcl.h of the Windows SDK, SIPAEVENT_…). The digest
// is of the whole data of the EV_EVENT_TAG.
type Windows struct {
	ID   uint32
	Data []byte
}

// Bits of an ID: what is not measured, what holds other events, and the class.
const (
	sipaNonmeasured = 0x80000000
	sipaAggregation = 0x40000000
	sipaContainer   = 0x00010000
	sipaClass       = 0x3FFF0000
)

// maxNesting bounds containers within containers. Windows logs modules within
// a trust boundary.
const maxNesting = 4

// isWindows reports whether a tag is of Windows: a container, or an event that
// is known.
func isWindows(id uint32) bool {
	return id&(sipaAggregation|sipaClass) == sipaAggregation|sipaContainer || sipaEvents[id].name != ""
}

func decodeWindows(t Tag) Event {
	w := Windows{t.ID, t.Data}
	return Event{Data: w, Reason: w.check(1), Trailing: len(t.rest)}
}

// Name is what wbcl.h calls the event behind SIPAEVENT_ or SIPAERROR_, or "".
func (w Windows) Name() string { return sipaEvents[w.ID].name }

// Container reports whether the event holds others.
func (w Windows) Container() bool { return w.ID&sipaAggregation != 0 }

// All ranges over the events in a container, as far as they are whole.
func (w Windows) All() iter.Seq[Windows] {
	return func(yield func(Windows) bool) {
		if !w.Container() {
			return
		}
		for p := w.Data; ; {
			t, ok := cutTag(p)
			if !ok || !yield(Windows{t.ID, t.Data}) {
				return
			}
			p = t.rest
		}
	}
}

// check says why not all of an event can be decoded, or "". The event is in
// level-1 containers.
func (w Windows) check(level int) string {
	if !w.Container() {
		if !w.form().fits(w.Data) {
			return fmt.Sprintf("%s: %s", w.title(), plural(len(w.Data), "byte"))
		}
		return ""
	}
	if level > maxNesting {
		return fmt.Sprintf("containers more than %d deep", maxNesting)
	}
	read := 0
	for e := range w.All() {
		if why := e.check(level + 1); why != "" {
			return why
		}
		read += 8 + len(e.Data)
	}
	if read < len(w.Data) {
		return fmt.Sprintf("%s: an event at offset %d that is longer than its container", w.title(), read)
	}
	return ""
}

func (w Windows) form() sipaForm { return sipaEvents[w.ID].form }

func (w Windows) title() string {
	if name := w.Name(); name != "" {
		return name
	}
	return fmt.Sprintf("0x%08x", w.ID)
}

// label is what an event in a container is told by: a value, or of a container
// the first text in it, which is the file of a module.
func (w Windows) label() string {
	if !w.Container() {
		return w.title() + " " + w.form().text(w.Data)
	}
	for e := range w.All() {
		if e.form() == sipaText && e.form().fits(e.Data) {
			return w.title() + " " + sipaText.text(e.Data)
		}
	}
	return w.title()
}

func (w Windows) kind() string { return "windows" }

// maxShown bounds the events of a container that a line shows.
const maxShown = 6

func (w Windows) line() string {
	if !w.Container() {
		return "Windows " + w.label()
	}
	s := "Windows " + w.title()
	n := 0
	for e := range w.All() {
		switch {
		case n == 0:
			s += ": " + e.label()
		case n < maxShown:
			s += ", " + e.label()
		}
		n++
	}
	if n > maxShown {
		s += fmt.Sprintf(", … (%d events)", n)
	}
	return s
}

func (w Windows) members(o *object) { w.nested(o, 1) }

func (w Windows) nested(o *object, level int) {
	o.text("id", fmt.Sprintf("0x%08x", w.ID))
	o.given("name", w.Name())
	switch {
	case !w.Container():
		w.form().members(o, w.Data)
	case level > maxNesting:
		o.hex("data", w.Data)
	default:
		o.list("events", func(add func(func([]byte) []byte)) {
			for e := range w.All() {
				add(func(dst []byte) []byte {
					return appendObject(dst, func(o *object) { e.nested(o, level+1) })
				})
			}
		})
	}
}

// sipaForm is how the value of an event is to be read. Where the header gives
// no structure, it is by what the value looks like in logs.
type sipaForm uint8

const (
	sipaData       sipaForm = iota
	sipaFlag                // a number that is 0 or 1
	sipaNumber              // of 1, 2, 4 or 8 bytes
	sipaAddress             // likewise
	sipaVersion             // four numbers of 16 bits, the last first
	sipaText                // UTF-16
	sipaAlgorithm           // ALG_ID of CryptoAPI
	sipaPolicy              // SIPAEVENT_SI_POLICY_PAYLOAD
	sipaRevocation          // SIPAEVENT_REVOCATION_LIST_PAYLOAD
)

// fits reports whether a value can be read so.
func (f sipaForm) fits(p []byte) bool {
	switch f {
	case sipaFlag, sipaNumber, sipaAddress:
		return len(p) == 1 || len(p) == 2 || len(p) == 4 || len(p) == 8
	case sipaVersion:
		return len(p) == 8
	case sipaText:
		return len(p)%2 == 0
	case sipaAlgorithm:
		return len(p) == 4
	case sipaPolicy, sipaRevocation:
		_, ok := cutPolicy(f, p)
		return ok
	}
	return true
}

// number is the value of 1 to 8 bytes.
func number(p []byte) uint64 {
	var v [8]byte
	copy(v[:], p)
	return binary.LittleEndian.Uint64(v[:])
}

// dotted is a version of Windows.
func dotted(v uint64) string {
	return fmt.Sprintf("%d.%d.%d.%d", v>>48, v>>32&0xFFFF, v>>16&0xFFFF, v&0xFFFF)
}

// cryptoAlgs are the hashes among the ALG_IDs of CryptoAPI (wincrypt.h).
var cryptoAlgs = map[uint64]mrlog.Alg{0x8004: mrlog.SHA1, 0x800C: mrlog.SHA256, 0x800D: mrlog.SHA384, 0x800E: mrlog.SHA512}

func cryptoAlg(p []byte) string {
	if a, ok := cryptoAlgs[number(p)]; ok {
		return a.String()
	}
	return fmt.Sprintf("0x%04x", number(p))
}

func sipaString(p []byte) string { return strings.TrimRight(fromUTF16(p), "\x00") }

// policy is a code integrity policy, or a list of what is revoked.
type policy struct {
	value  uint64 // version of a policy, time of a list
	name   string // of a policy
	alg    mrlog.Alg
	digest []byte
}

func cutPolicy(f sipaForm, data []byte) (p policy, ok bool) {
	r := reader{p: data}
	p.value = r.u64()
	if f == sipaPolicy {
		named := uint64(r.u16())
		p.alg = mrlog.Alg(r.u16())
		size := uint64(r.u32())
		p.name = sipaString(r.take(named))
		p.digest = r.take(size)
		return p, !r.short && len(r.p) == 0
	}
	size := uint64(r.u32())
	p.alg = mrlog.Alg(r.u16())
	p.digest = r.take(size)
	return p, !r.short && len(r.p) == 0
}

// text is a value for people.
func (f sipaForm) text(p []byte) string {
	if !f.fits(p) {
		return hexText(p)
	}
	switch f {
	case sipaFlag:
		switch number(p) {
		case 0:
			return "off"
		case 1:
			return "on"
		}
		return fmt.Sprint(number(p))
	case sipaNumber:
		return fmt.Sprint(number(p))
	case sipaAddress:
		return fmt.Sprintf("0x%x", number(p))
	case sipaVersion:
		return dotted(number(p))
	case sipaText:
		return plain(sipaString(p))
	case sipaAlgorithm:
		return cryptoAlg(p)
	case sipaPolicy:
		c, _ := cutPolicy(f, p)
		return plain(c.name) + " " + dotted(c.value)
	case sipaRevocation:
		c, _ := cutPolicy(f, p)
		return c.alg.String() + ":" + hexText(c.digest)
	}
	return hexText(p)
}

// members adds a value.
func (f sipaForm) members(o *object, p []byte) {
	if !f.fits(p) {
		f = sipaData
	}
	switch f {
	case sipaFlag, sipaNumber:
		o.number("value", number(p))
	case sipaAddress:
		o.address("address", number(p))
	case sipaVersion:
		o.text("version", dotted(number(p)))
	case sipaText:
		o.text("text", sipaString(p))
	case sipaAlgorithm:
		o.text("algorithm", cryptoAlg(p))
	case sipaPolicy, sipaRevocation:
		c, _ := cutPolicy(f, p)
		if f == sipaPolicy {
			o.text("version", dotted(c.value))
			o.text("text", c.name)
		} else {
			o.number("value", c.value)
		}
		o.text("algorithm", c.alg.String())
		o.hex("digest", c.digest)
	default:
		o.hex("data", p)
	}
}
