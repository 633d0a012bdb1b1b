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
}

// showRecord is a record but for its content, which may be long, and is written
// after it without a copy.
type showRecord struct {
	Number      uint64       `json:"recnum"`
	Register    string       `json:"register"`
	Type        string       `json:"type"`
	TypeNumber  *uint32      `json:"type_number,omitempty"`
	Content     string       `json:"content"`
	Digests     []showDigest `json:"digests"`
	NotExtended bool         `json:"not_extended,omitempty"`
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

func (v *jsonView) begin(_ string, h mrlog.Header) error {
	head, err := appendJSON(nil, struct {
		Format  string `json:"format"`
		Dialect string `json:"dialect,omitempty"`
		Assumed bool   `json:"register_assumed,omitempty"`
	}{h.Format, h.Dialect, h.SpaceAssumed})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "%s,\"records\":[", head[:len(head)-1])
	return err
}

func (v *jsonView) record(s *shown) error {
	r := showRecord{
		Number: s.number, Register: s.Register.String(), Type: typeName(s.Record), Content: s.worst().String(),
		NotExtended: s.NotExtended, Line: s.Span.Line, Offset: s.Span.Offset,
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
	content := s.Record.Content
	switch {
	case s.Form == mrlog.FormJSON:
		v.out.WriteString(`,"json":`)
		v.verbatim(content)
	case (s.Record.Type == mrlog.TypeCCCEL || s.Record.Type == mrlog.TypeSystemd) && s.Form == mrlog.FormRaw && utf8.Valid(content):
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

func (v *jsonView) end(banks []mrlog.Bank, _ uint64) error {
	list, err := appendJSON(nil, registerOutputs(banks))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "],\n\"registers\":%s}\n", list)
	return err
}
