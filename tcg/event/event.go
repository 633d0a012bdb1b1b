// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"

	"mrlog.dev"
)

// TypeCOS is the content type of Google's Container-Optimized OS and
// Confidential Space in canonical event logs; it is not a registered number.
const TypeCOS mrlog.ContentType = 80

// Event is what the data of one event says. The zero value is an event without
// data.
type Event struct {
	// Data is one of this package's types, by the event's type and its bytes;
	// a [Bytes] where they are not understood.
	Data Data

	// Reason says why data whose structure is known could not be decoded; ""
	// if it was, and where nothing is known about it.
	Reason string

	// Trailing counts the bytes behind the structure. Some producers log more
	// than they fill.
	Trailing int
}

// Data is the decoded data of an event. Its slices are parts of the record's
// content and hold as long as that does.
type Data interface {
	// kind is the stable name in JSON output.
	kind() string
	// line is a summary for people, printable and short.
	line() string
	// members adds the structured fields.
	members(o *object)
}

// Decode says what the data of an event is, by the event's type and by what the
// data looks like where a type is used for many things. It never fails: what
// cannot be decoded is a [Bytes], and the Event's Reason says why. Time and
// memory follow the size of the content.
//
// It decodes TCG events and those of Confidential Space. The content of any
// other record is a Bytes.
func Decode(rec *mrlog.Record) Event {
	switch {
	case rec.Form != mrlog.FormRaw && (rec.Form != mrlog.FormTLV || rec.Type != TypeCOS):
		return Event{Data: Bytes(rec.Content)}
	case rec.Type == TypeCOS:
		return DecodeCOS(rec.Content)
	case rec.Type != mrlog.TypePCClient:
		return Event{Data: Bytes(rec.Content)}
	}
	return decode(rec.Event, rec.Content)
}

func decode(event uint32, data []byte) Event {
	var e Event
	switch event {
	case evNoAction:
		e = decodeNoAction(data)
	case evSeparator:
		e = decodeSeparator(data)
	case evCRTMVersion:
		e = decodeVersion(data)
	case evVariableDriverConfig, evVariableBoot, evVariableBoot2, evSPDMPolicy:
		e = decodeVariable(data, false)
	case evVariableAuthority, evSPDMAuthority:
		e = decodeVariable(data, true)
	case evApplication, evBootDriver, evRuntimeDriver:
		e = decodeImage(data)
	case evGPT, evGPT2:
		e = decodeGPT(data)
	case evBlob:
		e = decodeBlob(data)
	case evBlob2:
		e = decodeBlob2(data)
	case evPlatformConfig:
		e = decodeConfig(data)
	case evPostCode, evPostCode2, evCRTMContents, evMicrocode, evNonhostCode, evNonhostConfig:
		e = decodeCode(event, data)
	case evTables:
		e = decodeTables(data)
	case evTables2:
		e = decodeTables2(data)
	case evIPL:
		e = decodeBootLoader(data)
	case evEventTag:
		e = decodeTag(data)
	case evNonhostInfo:
		e = decodeNonhostInfo(data)
	case evSPDMBlob, evSPDMConfig:
		e = decodeSPDM(data)
	case evDstack:
		e = decodeDstack(data)
	default:
		// EV_ACTION, EV_EFI_ACTION and EV_OMIT_BOOT_DEVICE_EVENTS are text;
		// nothing is said of the others' data.
		e = decodeText(data)
	}
	return e
}

// undecoded is an event whose data is not what its type says.
func undecoded(data []byte, format string, args ...any) Event {
	return Event{Data: Bytes(data), Reason: fmt.Sprintf(format, args...)}
}

// Kind names what the data is, "variable" say: the name that JSON output gives.
func (e Event) Kind() string {
	if e.Data == nil {
		return Bytes(nil).kind()
	}
	return e.Data.kind()
}

// Text says in one line for people what the event tells. Everything in it that
// came from the log is printable or escaped.
func (e Event) Text() string {
	if e.Data == nil {
		return ""
	}
	s := e.Data.line()
	switch {
	case e.Reason != "":
		s = "undecodable (" + e.Reason + "): " + s
	case e.Trailing > 0:
		s += fmt.Sprintf(" (+%s)", plural(e.Trailing, "byte"))
	}
	return clip(s)
}

// AppendJSON appends the event as a JSON object, see the package comment.
// Strings are as in the log: who shows them makes them safe for a terminal.
func (e Event) AppendJSON(dst []byte) []byte {
	return appendObject(dst, func(o *object) {
		o.text("kind", e.Kind())
		o.given("undecodable", e.Reason)
		if e.Data != nil {
			e.Data.members(o)
		}
		if e.Trailing > 0 {
			o.number("trailing", uint64(e.Trailing))
		}
	})
}

// Bytes is data that is not understood.
type Bytes []byte

func (b Bytes) kind() string { return "data" }

func (b Bytes) line() string { return hexText(b) }

func (b Bytes) members(o *object) { o.hex("data", b) }

// Text is data that is a text: actions, names of what was measured.
type Text struct {
	Text string
	// More is what follows the text and its NUL, where that is not just more
	// of them.
	More []byte
}

func (t Text) kind() string { return "text" }

func (t Text) line() string {
	if len(t.More) > 0 {
		return plain(t.Text) + " " + hexText(t.More)
	}
	return plain(t.Text)
}

func (t Text) members(o *object) {
	o.text("text", t.Text)
	if len(t.More) > 0 {
		o.hex("data", t.More)
	}
}
