// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// RuntimeEvent is the TCG event type of runtime events. It is dstack's own.
const RuntimeEvent uint32 = 0x08000001

// Event is what a guest measured at run time.
type Event struct {
	Name    string
	Payload []byte
	Version int // of the preimage: 1 or 2
}

// v1Head opens a preimage of version 1: RuntimeEvent in little-endian, and a
// colon.
const v1Head = "\x01\x00\x00\x08:"

const (
	v2Head = `{"name":`
	v2Mid  = `,"payload":"`
	v2Tail = `","type":134217729}`
)

// AppendPreimage appends the bytes whose hash is the event's digest. It returns
// false if there are none: the version is not known, or the name is not UTF-8.
func (e *Event) AppendPreimage(dst []byte) ([]byte, bool) {
	if !utf8.ValidString(e.Name) {
		return dst, false
	}
	switch e.Version {
	case 1:
		dst = append(dst, v1Head...)
		dst = append(dst, e.Name...)
		dst = append(dst, ':')
		return append(dst, e.Payload...), true
	case 2:
		dst = append(dst, v2Head...)
		dst, _ = strict.AppendString(dst, []byte(e.Name))
		dst = append(dst, v2Mid...)
		dst = hex.AppendEncode(dst, e.Payload)
		return append(dst, v2Tail...), true
	}
	return dst, false
}

// ParsePreimage gives the event back. Of version 1 the name ends at the first
// colon, see [Event.Ambiguous]. The payload borrows p in version 1.
func ParsePreimage(p []byte) (Event, bool) {
	if rest, ok := bytes.CutPrefix(p, []byte(v1Head)); ok {
		name, payload, ok := bytes.Cut(rest, []byte{':'})
		return Event{Name: string(name), Payload: payload, Version: 1}, ok && utf8.Valid(name)
	}
	var (
		o strict.Object
		e = Event{Version: 2}
	)
	if !bytes.HasPrefix(p, []byte(v2Head)) {
		return Event{}, false
	}
	if _, err := strict.Check(p); err != nil || !o.Reset(p) {
		return Event{}, false
	}
	for {
		name, value, _, ok := o.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "name":
			text, _ := strict.AppendText(nil, value)
			e.Name = string(text)
		case "payload":
			e.Payload, _, _ = strict.AppendHex(nil, value)
		}
	}
	// One spelling only: another has another digest.
	again, ok := e.AppendPreimage(nil)
	return e, ok && bytes.Equal(again, p)
}

// Ambiguous reports whether another event has the same preimage, one with
// another name.
func (e *Event) Ambiguous() bool {
	return e.Version == 1 && (strings.Contains(e.Name, ":") || bytes.IndexByte(e.Payload, ':') >= 0)
}

// Measured returns the runtime event of a record, and the bytes whose hash its
// digest should be. It returns false for a record that is none, or whose version
// is not known.
func Measured(r *mrlog.Record) (e Event, preimage []byte, ok bool) {
	switch {
	case r.Type == mrlog.TypePCClient && r.Form == mrlog.FormRaw && r.Event == RuntimeEvent:
		e, ok = ParsePreimage(r.Content)
		return e, r.Content, ok
	case r.Type == mrlog.TypeNamed && r.Form == mrlog.FormJSON && string(r.Name) == TypeName:
		el, err := elementOf(r.Content)
		if err != nil || !el.runtime() {
			return Event{}, nil, false
		}
		e = el.event
		preimage, ok = e.AppendPreimage(nil)
		return e, preimage, ok
	}
	return Event{}, nil, false
}

// Check reports what keeps a content of the type [TypeName] from being an event
// of dstack, nil if it is one.
func Check(content []byte) error {
	_, err := elementOf(content)
	return err
}

// elementOf parses an event that nobody has looked at.
func elementOf(content []byte) (element, error) {
	if _, err := strict.Check(content); err != nil {
		return element{}, err
	}
	var p parser
	e, _, err := p.parse(content)
	return e, err
}
