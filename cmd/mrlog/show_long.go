// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"mrlog.dev"
	"mrlog.dev/internal/term"
)

// longView is for people who want all of a record: its line as in the table,
// and below it each digest, each value and each decoded field. What comes from
// the log stands behind a name of ours on the same line, however long it is.
type longView struct {
	out *bufio.Writer
}

// Columns of the long view.
const (
	labelWidth = 14
	// maxLongData is how much of data that is not understood is printed.
	maxLongData = 512
)

func (v *longView) begin(name string, h mrlog.Header) error {
	_, err := fmt.Fprintf(v.out, "%s: %s\n\n", term.Printable(name), titleOf(h))
	return err
}

func (v *longView) field(name, text string) {
	fmt.Fprintf(v.out, "    %-*s %s\n", labelWidth, name, text)
}

func (v *longView) record(s *shown) error {
	where := fmt.Sprintf("at offset %d", s.Span.Offset)
	if s.Span.Line > 0 {
		where = fmt.Sprintf("at line %d, offset %d", s.Span.Line, s.Span.Offset)
	}
	extended := ""
	if s.NotExtended {
		extended = ", not extended"
	}
	fmt.Fprintf(v.out, "%d  %s  %s  %s\n", s.number, registerText(s.Register), s.word(), eventText(s.Record, maxLongData/4))
	v.field("record", fmt.Sprintf("%s%s, %s of content, %s", typeName(s.Record), extended, count(len(s.Record.Content), "byte"), where))
	if s.odd != "" {
		v.field("suspicious", s.odd)
	}
	for i, d := range s.Digests {
		name := d.Alg.String()
		note := ""
		if len(s.Digests) > 1 {
			note = "  " + s.content[i].String()
		}
		v.field(name, fmt.Sprintf("%x%s", d.Sum, note))
		if sum := s.values[i].Sum; sum != nil && !s.NotExtended {
			v.field("  register", fmt.Sprintf("%x", sum))
		}
	}
	if object := appendEvent(nil, s.Record); len(object) > 0 {
		v.members(object)
	} else {
		v.raw(s.Record)
	}
	return v.out.WriteByte('\n')
}

// raw prints a content that is not understood.
func (v *longView) raw(rec *mrlog.Record) {
	content := rec.Content
	more := ""
	if len(content) > maxLongData {
		content, more = content[:maxLongData], fmt.Sprintf("… (%s)", count(len(rec.Content), "byte"))
	}
	if len(content) == 0 {
		return
	}
	if rec.Form == mrlog.FormJSON || rec.Form == mrlog.FormText {
		v.field("content", term.Printable(content)+more)
		return
	}
	v.field("content", textOrHex(content)+more)
}

// members prints the members of an object, in their order: an array with an
// element a line, the arrays in an element below it, and what else is nested as
// NAME=VALUE.
func (v *longView) members(object []byte) {
	each(object, func(name string, value json.RawMessage) {
		switch {
		case name == "kind":
			// The line above has said it.
		case isList(value):
			v.list("", name, value)
		default:
			v.field(name, flat(value))
		}
	})
}

// isList reports whether a value is an array of objects.
func isList(value json.RawMessage) bool { return bytes.HasPrefix(value, []byte("[{")) }

// list prints an array of objects. They nest no deeper than package event lets
// them.
func (v *longView) list(indent, name string, value json.RawMessage) {
	elements(value, func(element json.RawMessage) {
		v.field(indent+name, flat(element))
		each(element, func(name string, inner json.RawMessage) {
			if isList(inner) {
				v.list(indent+"  ", name, inner)
			}
		})
	})
}

// flat is a JSON value on one line.
func flat(value json.RawMessage) string {
	switch value[0] {
	case '"':
		return printed(value)
	case '{':
		var parts []string
		path := ""
		each(value, func(name string, inner json.RawMessage) {
			switch {
			case name == "nodes":
				// The text of a device path has them.
			case isList(inner):
				// On lines of its own.
			case name == "text" && bytes.Contains(value, []byte(`"nodes":[`)):
				path = printed(inner)
			case inner[0] == '"':
				var s string
				_ = json.Unmarshal(inner, &s)
				parts = append(parts, name+"="+word(s))
			default:
				parts = append(parts, name+"="+flat(inner))
			}
		})
		if path != "" {
			return path
		}
		return strings.Join(parts, " ")
	case '[':
		var parts []string
		elements(value, func(e json.RawMessage) { parts = append(parts, flat(e)) })
		return strings.Join(parts, ", ")
	}
	return term.Line([]byte(value)) // a number, true or false
}

// printed is a JSON string as a printable line.
func printed(value json.RawMessage) string {
	var s string
	_ = json.Unmarshal(value, &s)
	if len(s) > 2*maxLongData && strings.Trim(s, "0123456789abcdef") == "" {
		return fmt.Sprintf("%s… (%s)", s[:2*maxLongData], count(len(s)/2, "byte"))
	}
	if s == "" {
		return `""`
	}
	return term.Printable(s)
}

// each calls f with the members of an object that this program has written.
func each(object []byte, f func(name string, value json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(object))
	_, err := d.Token()
	for err == nil && d.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = d.Token(); err == nil {
			if err = d.Decode(&value); err == nil {
				f(name.(string), value)
			}
		}
	}
}

// elements calls f with the elements of an array.
func elements(array []byte, f func(json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(array))
	_, err := d.Token()
	for err == nil && d.More() {
		var value json.RawMessage
		if err = d.Decode(&value); err == nil {
			f(value)
		}
	}
}

func (v *longView) end(sum *summary) error { return sum.print(v.out) }
