// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"mrlog.dev"
	"mrlog.dev/internal/term"
)

// Columns of the table. A narrow one takes room from the others for the event.
const (
	registerWidth = 8
	contentWidth  = 7
	slim          = 60 // of which DIGEST would leave nothing for the event
	narrow        = 100
	wide          = 120
)

// oneKind are the formats whose records are all of one type, so that a column
// of it would say nothing.
var oneKind = map[string]bool{"tcg": true, "tcg2": true, "aael": true, "ima": true, "ima-binary": true, "ima-ascii": true, "nelr": true}

// layout is which columns a table has, and how wide they are; 0 leaves one out.
type layout struct {
	number, types, digest, value int
	short                        bool // names of events without EV_
}

// layoutOf is the layout of a table of some width, 0 for unlimited.
func layoutOf(table int, format string) layout {
	l := layout{number: 6, types: len("pcclient_std"), digest: 12, value: 12}
	switch {
	case table > 0 && table < slim:
		l = layout{number: 4, types: len("systemd"), short: true}
	case table > 0 && table < narrow:
		l = layout{number: 4, types: len("systemd"), digest: 6, short: true}
	case table > 0 && table < wide:
		l = layout{number: 6, types: len("systemd"), digest: 8, value: 8}
	}
	if oneKind[format] {
		l.types = 0
	}
	return l
}

// tableView is for people: a line per record, cut to the terminal.
type tableView struct {
	out    *bufio.Writer
	width  int // 0: unlimited
	layout layout
	buf    []byte
}

func (v *tableView) begin(name string, h mrlog.Header) error {
	v.layout = layoutOf(v.width, h.Format)
	fmt.Fprintf(v.out, "%s: %s\n\n", term.Printable(name), titleOf(h))
	return v.line("#", "REGISTER", "TYPE", "CONTENT", "DIGEST", "VALUE", "EVENT")
}

// titleOf says what a log is.
func titleOf(h mrlog.Header) string {
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
	return title
}

// line prints the columns that the table has, in its width.
func (v *tableView) line(number, register, kind, content, digest, value, event string) error {
	b := v.buf[:0]
	for range v.layout.number - len(number) {
		b = append(b, ' ')
	}
	b = append(append(b, number...), "  "...)
	column := func(text string, width int) {
		if width == 0 {
			return
		}
		b = append(b, text...)
		for range width - term.Width(text) {
			b = append(b, ' ')
		}
		b = append(b, "  "...)
	}
	column(register, registerWidth)
	column(term.Fit(kind, v.layout.types), v.layout.types)
	column(content, contentWidth)
	column(digest, v.layout.digest)
	column(value, v.layout.value)
	v.buf = append(b, event...)
	line := string(v.buf)
	if v.width > 0 {
		line = term.Fit(tame(line), v.width)
	}
	v.out.WriteString(strings.TrimRight(line, " "))
	return v.out.WriteByte('\n') // and any error of the write before
}

// maxMarks is how many marks a letter of any language may have. A heap of them
// would cover the lines above.
const maxMarks = 4

// tame takes marks away that are too many for one letter.
func tame(text string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if r < 0x300 || !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		} else if marks++; marks > maxMarks {
			return -1
		}
		return r
	}, text)
}

func (v *tableView) record(s *shown) error {
	digest, value := "-", "-"
	if i := strongest(s.Digests); i >= 0 {
		digest = short(s.Digests[i].Sum, v.layout.digest)
		if s.values[i].Sum != nil {
			value = short(s.values[i].Sum, v.layout.value)
		}
	}
	if s.NotExtended {
		if value = "not extended"; len(value) > v.layout.value {
			value = "-"
		}
	}
	event := eventText(s.Record, v.width)
	if v.layout.short && s.Record.Type == mrlog.TypePCClient {
		event = strings.TrimPrefix(strings.TrimPrefix(event, "EV_"), "EFI_")
	}
	if s.odd != "" {
		event = "(!) " + event
	}
	return v.line(strconv.FormatUint(s.number, 10), registerText(s.Register), typeName(s.Record), s.word(), digest, value, event)
}

func (v *tableView) end(sum *summary) error {
	fmt.Fprintln(v.out)
	return sum.print(v.out)
}

// maxOdd is how many of the records that are suspicious are listed.
const maxOdd = 10

// print tells people what is to be said of the log as a whole: values of the
// registers, and what a reader of the records could miss.
func (sum *summary) print(out io.Writer) error {
	for _, b := range sum.banks {
		from := ""
		if b.Unexplained {
			from = " from a start that nothing here explains"
		}
		fmt.Fprintf(out, "%s:%s after %s%s\n  %x\n", b.Register, b.Alg, count(b.Records, "record"), from, b.Value)
	}
	if len(sum.banks) == 0 && sum.shown == sum.records {
		fmt.Fprintf(out, "%s, none extended\n", count(sum.records, "record"))
	}
	if sum.shown < sum.records {
		fmt.Fprintf(out, "%d of %s shown\n", sum.shown, count(sum.records, "record"))
	}
	if sum.differ > 0 {
		list := make([]string, len(sum.differs))
		for i, n := range sum.differs {
			list[i] = strconv.FormatUint(n, 10)
		}
		if sum.differ > uint64(len(list)) {
			list = append(list, "…")
		}
		fmt.Fprintf(out, "content DIFFERS from the digest in %s: %s\n", count(sum.differ, "record"), strings.Join(list, ", "))
	}
	for i, f := range sum.odd {
		if i == maxOdd {
			fmt.Fprintf(out, "suspicious: %s more\n", count(uint64(sum.odds-i), "record"))
			break
		}
		fmt.Fprintf(out, "suspicious: record %d: %s\n", f.Number, f.Text)
	}
	if sum.locality >= 0 {
		fmt.Fprintf(out, "pcr0 starts at locality %d, as the log says\n", sum.locality)
	}
	if sum.launched {
		fmt.Fprintln(out, "pcr17 to pcr22 start at zero: the log tells of a dynamic launch")
	}
	if h := sum.header; h.SpaceAssumed {
		fmt.Fprintf(out, "registers are taken for %s, which the log does not say; --space names another\n", h.Space)
	}
	if n := sum.header.Padding; n > 0 {
		fmt.Fprintf(out, "%s of padding after the log\n", count(n, "byte"))
	}
	return nil // bufio keeps the error
}

// short is enough of a digest to tell it from its neighbours.
func short(sum []byte, width int) string {
	digits := hex.EncodeToString(sum[:min(len(sum), width)])
	if len(digits) <= width {
		return digits
	}
	return digits[:max(width-1, 0)] + "…"
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
