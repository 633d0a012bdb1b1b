// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/internal/term"
)

// jsonView prints one object, as it goes.
type jsonView struct {
	out   *bufio.Writer
	comma bool
	// Memory that is used again for each record: of what its content does not
	// say, of what it says, and of a piece of the content itself.
	head, event, piece []byte
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
	if v.comma {
		v.out.WriteByte(',')
	}
	v.comma = true
	v.head = appendRecord(append(v.head[:0], '\n'), s)
	v.out.Write(v.head)
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
		for piece := range slices.Chunk(content, pieces) {
			v.piece = hex.AppendEncode(v.piece[:0], piece)
			v.out.Write(v.piece)
		}
		v.out.WriteByte('"')
	}
	return v.out.WriteByte('}') // and any error of the writes before
}

// appendRecord appends a record but for its content and what that says, and
// leaves the object open. What a log may choose goes through the encoder; the
// other texts are ours, and need no escapes.
func appendRecord(dst []byte, s *shown) []byte {
	dst = strconv.AppendUint(append(dst, `{"recnum":`...), s.number, 10)
	dst = append(append(append(dst, `,"register":"`...), s.Register.String()...), `","type":`...)
	named := s.Record.Type == mrlog.TypeNamed
	if named {
		dst = appendValue(dst, string(s.Name))
	} else {
		dst = append(append(append(dst, '"'), typeName(s.Record)...), `","type_number":`...)
		dst = strconv.AppendUint(dst, uint64(s.Record.Type), 10)
	}
	dst = append(append(append(dst, `,"content":"`...), s.worst().String()...), `","digests":`...)
	dst = appendDigests(dst, s)
	if s.NotExtended {
		dst = append(dst, `,"not_extended":true`...)
	}
	if s.odd != "" {
		dst = appendValue(append(dst, `,"suspicious":`...), s.odd)
	}
	if s.Record.Type == mrlog.TypePCClient {
		dst = append(append(append(dst, `,"event_type":"`...), eventName(s.Event)...), '"')
	}
	switch {
	case named || len(s.Name) == 0:
	case utf8.Valid(s.Name):
		dst = appendValue(append(dst, `,"name":`...), string(s.Name))
	default:
		dst = append(hex.AppendEncode(append(dst, `,"name_data":"`...), s.Name), '"')
	}
	if s.Span.Line != 0 {
		dst = strconv.AppendInt(append(dst, `,"line":`...), int64(s.Span.Line), 10)
	}
	return strconv.AppendInt(append(dst, `,"offset":`...), s.Span.Offset, 10)
}

func appendDigests(dst []byte, s *shown) []byte {
	if len(s.Digests) == 0 {
		return append(dst, "null"...)
	}
	for i, d := range s.Digests {
		open := byte(',')
		if i == 0 {
			open = '['
		}
		dst = append(append(append(dst, open), `{"bank":"`...), d.Alg.String()...)
		dst = hex.AppendEncode(append(dst, `","digest":"`...), d.Sum)
		dst = append(append(dst, `","content":"`...), s.content[i].String()...)
		if sum := s.values[i].Sum; len(sum) > 0 {
			dst = hex.AppendEncode(append(dst, `","value":"`...), sum)
		}
		dst = append(dst, `"}`...)
	}
	return append(dst, ']')
}

// isText reports whether a content is text by its type.
func isText(rec *mrlog.Record) bool {
	return rec.Form == mrlog.FormText || rec.Form == mrlog.FormRaw && (rec.Type == mrlog.TypeCCCEL || rec.Type == mrlog.TypeSystemd)
}

// pieces is how much of a content is made safe to print at a time.
const pieces = 4 << 10

// verbatim writes JSON as it stood in the log, but safe to print.
func (v *jsonView) verbatim(text []byte) {
	for len(text) > 0 {
		n := min(len(text), pieces)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		v.piece = term.JSON(v.piece[:0], text[:n])
		v.out.Write(v.piece)
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
		Launched  bool             `json:"dynamic_launch,omitempty"`
		Padding   int64            `json:"padding,omitempty"`
		Odd       []showSuspicion  `json:"suspicious,omitempty"`
		Odds      int              `json:"suspected,omitempty"`
	}{registerOutputs(sum.banks), locality, sum.launched, sum.header.Padding, odd, sum.odds})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "],\n%s\n", tail[1:])
	return err
}
