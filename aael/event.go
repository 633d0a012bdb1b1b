// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package aael

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"mrlog.dev"
)

// Tag is the id of the agent's tagged events, "LEAA" in the file.
const Tag uint32 = 0x4141454C

// tagHead is what stands before the text of a tagged event.
const tagHead = 8

// Event is what a caller of the agent submits.
type Event struct {
	Domain, Operation, Content string
}

// ParseEvent reads the text of an event: domain and operation end at the first
// two blanks.
func ParseEvent(text []byte) (Event, bool) {
	domain, rest, ok := strings.Cut(string(text), " ")
	if !ok {
		return Event{}, false
	}
	operation, content, ok := strings.Cut(rest, " ")
	if !ok {
		return Event{}, false
	}
	return Event{domain, operation, content}, true
}

// Check says why the event has no text of its own: two different events would
// give the same, or the text would be more than a line.
func (e *Event) Check() error {
	for _, f := range []struct{ what, text string }{{"domain", e.Domain}, {"operation", e.Operation}} {
		switch {
		case f.text == "":
			return fmt.Errorf("%s is empty", f.what)
		case strings.ContainsAny(f.text, " \t\r\n"):
			return fmt.Errorf("%s %.40q has a blank", f.what, f.text)
		}
	}
	if strings.Contains(e.Content, "\n") {
		return errors.New("content has a newline")
	}
	return nil
}

// AppendText appends the text of the event. It is for events that Check has
// nothing against.
func (e *Event) AppendText(dst []byte) []byte {
	dst = append(dst, e.Domain...)
	dst = append(dst, ' ')
	dst = append(dst, e.Operation...)
	dst = append(dst, ' ')
	return append(dst, e.Content...)
}

// AppendTagged appends the tagged event with the text, whose hash is the digest.
func AppendTagged(dst, text []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, Tag)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

// ParseTagged returns the text of a tagged event. It returns false for one of
// another tag, and for one whose size is not that of the text. The text borrows
// data.
func ParseTagged(data []byte) (text []byte, ok bool) {
	if len(data) < tagHead || binary.LittleEndian.Uint32(data) != Tag ||
		uint64(binary.LittleEndian.Uint32(data[4:])) != uint64(len(data)-tagHead) {
		return nil, false
	}
	return data[tagHead:], true
}

// Text returns the text of the record of an event of the agent, and false if it
// is none.
func Text(r *mrlog.Record) (text []byte, ok bool) {
	if r.Type != mrlog.TypePCClient || r.Form != mrlog.FormRaw || r.Event != mrlog.EventTag || r.NotExtended {
		return nil, false
	}
	return ParseTagged(r.Content)
}

// Record returns the record of the event, as the agent would log it: with one
// digest, of the algorithm of the register's bank. It is another measurement
// than that of the same event in a native log.
func (e *Event) Record(reg mrlog.Register, alg mrlog.Alg) (mrlog.Record, error) {
	if err := e.Check(); err != nil {
		return mrlog.Record{}, err
	}
	size := len(e.Domain) + 1 + len(e.Operation) + 1 + len(e.Content)
	switch {
	case alg.Size() == 0:
		return mrlog.Record{}, fmt.Errorf("digests of %s cannot be computed", alg)
	case uint64(size) > math.MaxUint32:
		return mrlog.Record{}, fmt.Errorf("event of %d bytes: %w", size, mrlog.ErrLimit)
	}
	r := mrlog.Record{Register: reg, Type: mrlog.TypePCClient, Event: mrlog.EventTag}
	r.Content = AppendTagged(make([]byte, 0, tagHead+size), e.AppendText(make([]byte, 0, size)))
	r.Digests = []mrlog.Digest{{Alg: alg, Sum: alg.AppendSum(nil, r.Content)}}
	return r, nil
}

// Is reports whether a log that begins so is a file of the agent: a TCG record
// of an event with its tag, and sizes that agree as far as can be seen.
func Is(start []byte) bool {
	const head = 14 // index, type, count of digests, algorithm
	if len(start) < head {
		return false
	}
	size := mrlog.Alg(binary.LittleEndian.Uint16(start[12:])).Size()
	if binary.LittleEndian.Uint32(start) > 23 || binary.LittleEndian.Uint32(start[4:]) != mrlog.EventTag ||
		binary.LittleEndian.Uint32(start[8:]) != 1 || size == 0 || len(start) < head+size+4+tagHead {
		return false
	}
	rest := start[head+size:]
	data := rest[4:]
	return binary.LittleEndian.Uint32(data) == Tag &&
		uint64(binary.LittleEndian.Uint32(rest)) == uint64(binary.LittleEndian.Uint32(data[4:]))+tagHead
}

// IsText reports whether a log that begins so is one of lines, with an INIT that
// no native log has. The others are alike.
func IsText(start []byte) bool {
	line, _, whole := bytes.Cut(bytes.TrimLeft(start, "\n"), []byte{'\n'})
	if !whole || len(line) > maxInit {
		return false
	}
	if _, err := mrlog.ParseInit(line); err == nil {
		return false
	}
	_, err := parseInit(line)
	return err == nil
}
