// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/term"
	"mrlog.dev/verify"
)

// Columns of the table. minWidth leaves the event enough to be recognised.
const (
	numberWidth   = 6
	registerWidth = 8
	contentWidth  = 7
	digestWidth   = 12
	minWidth      = 72
)

// tableView is for people: a line per record, cut to the terminal.
type tableView struct {
	out   *bufio.Writer
	width int // 0: unlimited
}

func (v *tableView) begin(name string, h mrlog.Header) error {
	title := h.Format
	if h.Dialect != "" {
		title += " (" + h.Dialect + ")"
	}
	for _, a := range h.Algs {
		title += ", " + a.Alg.String()
	}
	if h.SpaceAssumed {
		title += ", register assumed"
	}
	fmt.Fprintf(v.out, "%s: %s\n\n", term.Printable(name), title)
	_, err := fmt.Fprintf(v.out, "%*s  %-*s  %-*s  %-*s  %-*s  %s\n", numberWidth, "#",
		registerWidth, "REGISTER", contentWidth, "CONTENT", digestWidth, "DIGEST", digestWidth, "VALUE", "EVENT")
	return err
}

func (v *tableView) record(s *shown) error {
	content := s.worst().String()
	if s.worst() == verify.Differs {
		content = "DIFFERS"
	}
	digest, value := "-", "-"
	if i := strongest(s.Digests); i >= 0 {
		digest = short(s.Digests[i].Sum)
		if s.values[i].Sum != nil {
			value = short(s.values[i].Sum)
		}
	}
	if s.NotExtended {
		value = "not extended"
	}
	line := fmt.Sprintf("%*d  %-*s  %-*s  %-*s  %-*s  %s", numberWidth, s.number,
		registerWidth, s.Register, contentWidth, content, digestWidth, digest, digestWidth, value, eventText(s.Record, v.width))
	if v.width > 0 {
		line = term.Fit(line, v.width)
	}
	_, err := v.out.WriteString(strings.TrimRight(line, " ") + "\n")
	return err
}

func (v *tableView) end(banks []mrlog.Bank, records uint64) error {
	fmt.Fprintln(v.out)
	for _, b := range banks {
		from := ""
		if b.Unexplained {
			from = " from a start that nothing here explains"
		}
		fmt.Fprintf(v.out, "%s:%s after %s%s\n  %x\n", b.Register, b.Alg, count(b.Records, "record"), from, b.Value)
	}
	if len(banks) == 0 {
		fmt.Fprintf(v.out, "%s, none extended\n", count(records, "record"))
	}
	return nil
}

// short is enough of a digest to tell it from its neighbours.
func short(sum []byte) string {
	if len(sum) <= digestWidth/2 {
		return hex.EncodeToString(sum)
	}
	return hex.EncodeToString(sum[:digestWidth/2])[:digestWidth-1] + "…"
}

// strongest is the index of the digest that binds and is longest; any where
// none binds; -1 where there is none.
func strongest(digests []mrlog.Digest) int {
	best := -1
	for i, d := range digests {
		switch {
		case best < 0,
			d.Alg.Binds() && !digests[best].Alg.Binds(),
			d.Alg.Binds() && len(d.Sum) > len(digests[best].Sum):
			best = i
		}
	}
	return best
}

// preview bounds what is made printable for a table of some width.
func preview(content []byte, width int) []byte {
	if width > 0 && len(content) > 4*width {
		return content[:4*width]
	}
	return content
}

// eventText says in one printable line what a record measured.
func eventText(rec *mrlog.Record, width int) string {
	content := preview(rec.Content, width)
	kind := typeName(rec)
	switch {
	case rec.Form == mrlog.FormJSON:
		return kind + " " + term.Printable(content)
	case rec.Form == mrlog.FormCBOR:
		return kind + " cbor:" + hex.EncodeToString(content)
	}
	switch rec.Type {
	case mrlog.TypeCCCEL:
		return term.Printable(content)
	case mrlog.TypeSystemd:
		return "systemd " + term.Printable(content)
	case mrlog.TypePCClient:
		return eventName(rec.Event) + " " + textOrHex(content)
	case mrlog.TypeIMATemplate:
		return strings.TrimSpace("ima " + term.Printable(rec.Name) + " " + textOrHex(content))
	case mrlog.TypeCEL:
		return "cel " + managementText(rec.Content)
	}
	return kind + " " + textOrHex(content)
}

// typeName is the content type's name, else its number.
func typeName(rec *mrlog.Record) string {
	if rec.Type == mrlog.TypeNamed {
		return term.Printable(rec.Name)
	}
	if name, ok := cel.TypeName(rec.Type); ok {
		return name
	}
	return "type " + strconv.FormatUint(uint64(rec.Type), 10)
}

func eventName(event uint32) string {
	if name, ok := cel.EventName(event); ok {
		return name
	}
	return fmt.Sprintf("event 0x%08x", event)
}

// managementText names the events of the log itself.
func managementText(content []byte) string {
	var names []string
	for rest := content; len(rest) > 0; {
		m, tail, err := cel.ParseManagement(rest)
		if err != nil {
			return hex.EncodeToString(content)
		}
		names = append(names, m.Type.String())
		rest = tail
	}
	return strings.Join(names, ", ")
}

// textOrHex shows text as such and anything else in hexadecimal.
func textOrHex(content []byte) string {
	text := bytes.TrimSuffix(content, []byte{0})
	if len(text) > 0 && utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7F }) < 0 {
		return term.Printable(content)
	}
	return hex.EncodeToString(content)
}

// tsvView is for scripts: one record per line, nothing cut.
type tsvView struct{ out *bufio.Writer }

func (v *tsvView) begin(string, mrlog.Header) error {
	_, err := v.out.WriteString("recnum\tregister\ttype\tcontent\tdigests\tvalues\tevent\n")
	return err
}

func (v *tsvView) record(s *shown) error {
	_, err := fmt.Fprintf(v.out, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", s.number, s.Register, typeName(s.Record), s.worst(),
		digestList(s.Digests), digestList(s.values), eventText(s.Record, 0))
	return err
}

func (v *tsvView) end([]mrlog.Bank, uint64) error { return nil }

func digestList(digests []mrlog.Digest) string {
	var b []byte
	for _, d := range digests {
		if d.Sum == nil {
			continue
		}
		if b != nil {
			b = append(b, ',')
		}
		b = d.Append(b)
	}
	if b == nil {
		return "-"
	}
	return string(b)
}

// jsonView prints one object, as it goes.
type jsonView struct {
	out   *bufio.Writer
	comma bool
}

type showRecord struct {
	Number      uint64          `json:"recnum"`
	Register    string          `json:"register"`
	Type        string          `json:"type"`
	Content     string          `json:"content"`
	Digests     []showDigest    `json:"digests"`
	NotExtended bool            `json:"not_extended,omitempty"`
	Event       string          `json:"event_type,omitempty"`
	Name        string          `json:"name,omitempty"`
	Text        *string         `json:"text,omitempty"`
	Data        *string         `json:"data,omitempty"`
	JSON        json.RawMessage `json:"json,omitempty"`
	Line        int             `json:"line,omitempty"`
	Offset      int64           `json:"offset"`
}

type showDigest struct {
	Bank    string `json:"bank"`
	Digest  string `json:"digest"`
	Content string `json:"content"`
	Value   string `json:"value,omitempty"`
}

func (v *jsonView) begin(_ string, h mrlog.Header) error {
	head, err := json.Marshal(struct {
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
		NotExtended: s.NotExtended, Name: string(s.Name), Line: s.Span.Line, Offset: s.Span.Offset,
	}
	if s.Record.Type == mrlog.TypeNamed {
		r.Name = ""
	}
	if s.Record.Type == mrlog.TypePCClient {
		r.Event = eventName(s.Event)
	}
	for i, d := range s.Digests {
		r.Digests = append(r.Digests, showDigest{
			Bank: d.Alg.String(), Digest: hex.EncodeToString(d.Sum), Content: s.content[i].String(), Value: hex.EncodeToString(s.values[i].Sum),
		})
	}
	switch {
	case s.Form == mrlog.FormJSON:
		r.JSON = s.Record.Content
	case (s.Record.Type == mrlog.TypeCCCEL || s.Record.Type == mrlog.TypeSystemd) && s.Form == mrlog.FormRaw && utf8.Valid(s.Record.Content):
		text := string(s.Record.Content)
		r.Text = &text
	default:
		data := hex.EncodeToString(s.Record.Content)
		r.Data = &data
	}
	if v.comma {
		v.out.WriteByte(',')
	}
	v.comma = true
	v.out.WriteByte('\n')
	enc := json.NewEncoder(&trimNewline{v.out})
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

func (v *jsonView) end(banks []mrlog.Bank, _ uint64) error {
	list, err := json.Marshal(registerOutputs(banks))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "],\n\"registers\":%s}\n", list)
	return err
}

// trimNewline writes without the newline that a JSON encoder adds.
type trimNewline struct{ out *bufio.Writer }

func (t *trimNewline) Write(p []byte) (int, error) {
	if _, err := t.out.Write(bytes.TrimSuffix(p, []byte{'\n'})); err != nil {
		return 0, err
	}
	return len(p), nil
}
