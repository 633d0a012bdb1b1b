// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/term"
	"mrlog.dev/verify"
)

// Columns of the table. A narrow one takes room from the type and the digests
// for the event; minWidth leaves that enough to be recognised.
const (
	numberWidth   = 6
	registerWidth = 8
	contentWidth  = 7
	minWidth      = 72
	wide          = 120
)

// typeWidth and digestWidth are for a table of some width, 0 for unlimited.
func typeWidth(table int) int {
	if table == 0 || table >= wide {
		return len("pcclient_std")
	}
	return len("CC-CEL")
}

func digestWidth(table int) int {
	if table == 0 || table >= wide {
		return 12
	}
	return 8
}

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
	_, err := fmt.Fprintf(v.out, "%*s  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", numberWidth, "#",
		registerWidth, "REGISTER", typeWidth(v.width), "TYPE", contentWidth, "CONTENT", digestWidth(v.width), "DIGEST", digestWidth(v.width), "VALUE", "EVENT")
	return err
}

func (v *tableView) record(s *shown) error {
	content := s.worst().String()
	if s.worst() == verify.Differs {
		content = "DIFFERS"
	}
	types, digests := typeWidth(v.width), digestWidth(v.width)
	digest, value := "-", "-"
	if i := strongest(s.Digests); i >= 0 {
		digest = short(s.Digests[i].Sum, digests)
		if s.values[i].Sum != nil {
			value = short(s.values[i].Sum, digests)
		}
	}
	if s.NotExtended {
		value = "not extended"
	}
	kind := term.Fit(typeName(s.Record), types)
	line := fmt.Sprintf("%*d  %-*s  %-*s  %-*s  %-*s  %-*s  %s", numberWidth, s.number,
		registerWidth, s.Register, types, kind, contentWidth, content, digests, digest, digests, value, eventText(s.Record, v.width))
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
func short(sum []byte, width int) string {
	digits := hex.EncodeToString(sum[:min(len(sum), width)])
	if len(digits) <= width {
		return digits
	}
	return digits[:width-1] + "…"
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

// eventText says in one printable line what a record measured. What it is, the
// type says in a column of its own, which no content can pose as.
func eventText(rec *mrlog.Record, width int) string {
	content := preview(rec.Content, width)
	switch rec.Form {
	case mrlog.FormJSON:
		return term.Printable(content)
	case mrlog.FormCBOR:
		return hex.EncodeToString(content)
	}
	switch rec.Type {
	case mrlog.TypeCCCEL, mrlog.TypeSystemd:
		return term.Printable(content)
	case mrlog.TypePCClient:
		return eventName(rec.Event) + " " + textOrHex(content)
	case mrlog.TypeIMATemplate:
		return strings.TrimSpace(term.Printable(rec.Name) + " " + textOrHex(content))
	case mrlog.TypeCEL:
		return managementText(rec.Content)
	}
	return textOrHex(content)
}

// typeName is the content type's name, its number if it has none, or in quotes
// a name that has no number: any writer may have made it up.
func typeName(rec *mrlog.Record) string {
	if rec.Type == mrlog.TypeNamed {
		return strconv.QuoteToASCII(string(rec.Name))
	}
	if name, ok := mrlog.TypeName(rec.Type); ok {
		return name
	}
	return "type " + strconv.FormatUint(uint64(rec.Type), 10)
}

func eventName(event uint32) string {
	if name, ok := mrlog.EventName(event); ok {
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
