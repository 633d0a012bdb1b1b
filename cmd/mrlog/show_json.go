// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/internal/term"
)

// jsonView prints one object, as it goes.
type jsonView struct {
	out   *bufio.Writer
	comma bool
	event []byte
}

// showRecord is a record but for what its content says, and the content, which
// may be long and is written without a copy.
type showRecord struct {
	Number      uint64       `json:"recnum"`
	Register    string       `json:"register"`
	Type        string       `json:"type"`
	TypeNumber  *uint32      `json:"type_number,omitempty"`
	Content     string       `json:"content"`
	Digests     []showDigest `json:"digests"`
	NotExtended bool         `json:"not_extended,omitempty"`
	Suspicious  string       `json:"suspicious,omitempty"`
	Event       string       `json:"event_type,omitempty"`
	Name        string       `json:"name,omitempty"`
	NameData    string       `json:"name_data,omitempty"`
	Line        int          `json:"line,omitempty"`
	Offset      int64        `json:"offset"`
}

type showDigest struct {
	Bank    string `json:"bank"`
	Digest  string `json:"digest"`
	Content string `json:"content"`
	Value   string `json:"value,omitempty"`
}

// showSuspicion is a record that should not stand where it does.
type showSuspicion struct {
	Number   uint64 `json:"recnum"`
	Register string `json:"register"`
	Line     int    `json:"line,omitempty"`
	Offset   int64  `json:"offset"`
	Text     string `json:"text"`
}

func (v *jsonView) begin(_ string, h mrlog.Header) error {
	head, err := appendJSON(nil, struct {
		Format  string `json:"format"`
		Dialect string `json:"dialect,omitempty"`
		Assumed bool   `json:"register_assumed,omitempty"`
		Space   string `json:"assumed_space,omitempty"`
	}{h.Format, h.Dialect, h.SpaceAssumed, assumedSpace(h)})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "%s,\"records\":[", head[:len(head)-1])
	return err
}

// assumedSpace is the space that a log's registers are taken to be of, "" where
// the log says it.
func assumedSpace(h mrlog.Header) string {
	if !h.SpaceAssumed {
		return ""
	}
	return h.Space.String()
}

func (v *jsonView) record(s *shown) error {
	r := showRecord{
		Number: s.number, Register: s.Register.String(), Type: typeName(s.Record), Content: s.worst().String(),
		NotExtended: s.NotExtended, Suspicious: s.odd, Line: s.Span.Line, Offset: s.Span.Offset,
	}
	switch {
	case s.Record.Type == mrlog.TypeNamed:
		r.Type = string(s.Name)
	default:
		n := uint32(s.Record.Type)
		r.TypeNumber = &n
		if utf8.Valid(s.Name) {
			r.Name = string(s.Name)
		} else {
			r.NameData = hex.EncodeToString(s.Name)
		}
	}
	if s.Record.Type == mrlog.TypePCClient {
		r.Event = eventName(s.Event)
	}
	for i, d := range s.Digests {
		r.Digests = append(r.Digests, showDigest{
			Bank: d.Alg.String(), Digest: hex.EncodeToString(d.Sum), Content: s.content[i].String(), Value: hex.EncodeToString(s.values[i].Sum),
		})
	}
	head, err := appendJSON(nil, r)
	if err != nil {
		return err
	}
	if v.comma {
		v.out.WriteByte(',')
	}
	v.comma = true
	v.out.WriteByte('\n')
	v.out.Write(head[:len(head)-1])
	if v.event = appendEvent(v.event[:0], s.Record); len(v.event) > 0 {
		v.out.WriteString(`,"event":`)
		v.verbatim(v.event)
	}
	content := s.Record.Content
	switch {
	case s.Form == mrlog.FormJSON:
		v.out.WriteString(`,"json":`)
		v.verbatim(content)
	case isText(s.Record) && utf8.Valid(content):
		v.out.WriteString(`,"text":"`)
		v.text(content)
		v.out.WriteByte('"')
	default:
		v.out.WriteString(`,"data":"`)
		hex.NewEncoder(v.out).Write(content)
		v.out.WriteByte('"')
	}
	return v.out.WriteByte('}') // and any error of the writes before
}

// isText reports whether a content is text by its type.
func isText(rec *mrlog.Record) bool {
	return rec.Form == mrlog.FormText || rec.Form == mrlog.FormRaw && (rec.Type == mrlog.TypeCCCEL || rec.Type == mrlog.TypeSystemd)
}

// pieces is how much of a content is made safe to print at a time.
const pieces = 4 << 10

// verbatim writes JSON as it stood in the log, but safe to print.
func (v *jsonView) verbatim(text []byte) {
	var buf []byte
	for len(text) > 0 {
		n := min(len(text), pieces)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		buf = term.JSON(buf[:0], text[:n])
		v.out.Write(buf)
		text = text[n:]
	}
}

// text writes the inside of a JSON string.
func (v *jsonView) text(text []byte) {
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		v.verbatim(text[from:i])
		from = i + 1
		switch c {
		case '"', '\\':
			v.out.Write([]byte{'\\', c})
		case '\t':
			v.out.WriteString(`\t`)
		default:
			fmt.Fprintf(v.out, `\u%04x`, c)
		}
	}
	v.verbatim(text[from:])
}

func (v *jsonView) end(sum *summary) error {
	var locality *int
	if sum.locality >= 0 {
		locality = &sum.locality
	}
	var odd []showSuspicion
	for _, f := range sum.odd {
		odd = append(odd, showSuspicion{f.Number, f.Register.String(), f.Span.Line, f.Span.Offset, f.Text})
	}
	tail, err := appendJSON(nil, struct {
		Registers []registerOutput `json:"registers"`
		Locality  *int             `json:"startup_locality,omitempty"`
		Padding   int64            `json:"padding,omitempty"`
		Odd       []showSuspicion  `json:"suspicious,omitempty"`
		Odds      int              `json:"suspected,omitempty"`
	}{registerOutputs(sum.banks), locality, sum.header.Padding, odd, sum.odds})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "],\n%s\n", tail[1:])
	return err
}
