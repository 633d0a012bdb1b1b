// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tagAAEL is the id of the events of the Confidential Containers attestation
// agent.
const tagAAEL = 0x4141454C

// tagLoadOptions is the id of the command line that Linux was started with.
const tagLoadOptions = 0x8F3B22ED

// minTagText is the size from which a tag that does not fit its data may be a
// text: that of a tag's head.
const minTagText = 8

// tagNames are the ids that are known besides; the digest is of something that
// is not in the log.
var tagNames = map[uint32]string{
	0x8F3B22EC:     "Linux initrd",
	tagLoadOptions: "Linux load options",
	0xF5BC582A:     "loader.conf",
	0x6C46F751:     "devicetree",
	0x49DFFE0F:     "initrd addon",
	0xDAC08E1A:     "ucode addon",
	0xD5CB7CBC:     "SMBIOS type 1",
	0xE0D47BC8:     "SMBIOS type 2",
	0xC0B3BD23:     "SMBIOS type 11",
}

// Tag is the data of EV_EVENT_TAG (TCG_PCClientTaggedEvent, PFP 1.06, section
// 10.2.10).
type Tag struct {
	ID   uint32
	Data []byte
	rest []byte
}

func cutTag(data []byte) (t Tag, ok bool) {
	r := reader{p: data}
	t.ID = r.u32()
	t.Data = r.take(uint64(r.u32()))
	t.rest = r.p
	return t, !r.short
}

// Agent is an event of the Confidential Containers attestation agent.
type Agent struct {
	Domain, Operation, Content string
}

func decodeTag(data []byte) Event {
	t, ok := cutTag(data)
	if !ok {
		// In logs of some CC guests Linux's load options are named, and
		// nothing else stands there.
		if s, ok := textOf(data); ok && len(data) >= minTagText {
			return Event{Data: Text{Text: s}}
		}
		return undecoded(data, "a tag that is longer than the data")
	}
	if isWindows(t.ID) {
		return decodeWindows(t)
	}
	e := Event{Data: t, Trailing: len(t.rest)}
	if t.ID != tagAAEL {
		return e
	}
	if !utf8.Valid(t.Data) {
		e.Reason = "an event of the attestation agent that is not UTF-8"
		return e
	}
	domain, rest, ok := strings.Cut(string(t.Data), " ")
	operation, content, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		e.Reason = "an event of the attestation agent that is not domain, operation and content"
		return e
	}
	e.Data = Agent{domain, operation, content}
	return e
}

// Name is what the tag is known as, or "".
func (t Tag) Name() string {
	if t.ID == tagAAEL {
		return "AAEL"
	}
	return tagNames[t.ID]
}

func (t Tag) kind() string { return "tag" }

func (t Tag) line() string {
	name := t.Name()
	if name == "" {
		name = fmt.Sprintf("tag 0x%08x", t.ID)
	}
	switch text, ok := textOf(t.Data); {
	case !ok && len(t.Data) > 0:
		return name + ": " + hexText(t.Data)
	case ok && text != name && t.ID != tagLoadOptions:
		return name + ": " + plain(text)
	}
	return name
}

func (t Tag) members(o *object) {
	o.text("id", fmt.Sprintf("0x%08x", t.ID))
	o.given("name", t.Name())
	if text, ok := textOf(t.Data); ok {
		o.text("text", text)
		return
	}
	o.hex("data", t.Data)
}

func (a Agent) kind() string { return "aael" }

func (a Agent) line() string {
	return plain(a.Domain) + " " + plain(a.Operation) + " " + plain(a.Content)
}

func (a Agent) members(o *object) {
	o.text("domain", a.Domain)
	o.text("operation", a.Operation)
	o.text("content", a.Content)
}
