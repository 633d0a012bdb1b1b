// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// targets are all formats and dialects that carry every record of a native
// log.
func targets() []convert.Target {
	var all []convert.Target
	for _, f := range convert.Formats() {
		if !f.Whole {
			continue
		}
		if f.Dialects == nil {
			all = append(all, convert.Target{Format: f.Name})
		}
		for _, d := range f.Dialects {
			all = append(all, convert.Target{Format: f.Name, Dialect: d})
		}
	}
	return all
}

func name(t convert.Target) string { return strings.TrimSuffix(t.Format+"/"+t.Dialect, "/") }

// open reads a log whose format is detected.
func open(log []byte) ([]mrlog.Record, error) {
	r, err := convert.Open(bytes.NewReader(log), convert.Source{})
	if err != nil {
		return nil, err
	}
	return logtest.ReadAll(r)
}

// copyTo converts a log whose format is detected.
func copyTo(log []byte, t convert.Target, s convert.Source, procs int) ([]byte, *mrlog.Replay, error) {
	ctx := context.Background()
	if t.NeedsCount() {
		r, err := convert.Open(bytes.NewReader(log), s)
		if err != nil {
			return nil, nil, err
		}
		if t.Records, err = convert.Count(ctx, r); err != nil {
			return nil, nil, err
		}
	}
	r, err := convert.Open(bytes.NewReader(log), s)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	replay, err := convert.Copy(ctx, &out, t, r, convert.Options{Procs: procs})
	return out.Bytes(), replay, err
}

// banks replays records; an INIT that is not used is an error.
func banks(records []mrlog.Record) ([]mrlog.Bank, error) {
	var r mrlog.Replay
	if err := r.Extend(records); err != nil {
		return nil, err
	}
	if errs, n := r.InitErrors(); n > 0 {
		return nil, errs[0]
	}
	return r.Banks(), nil
}

// diffRecords compares records but for their place and notes. Absent and empty
// bytes are the same.
func diffRecords(want, got []mrlog.Record) string {
	if slices.EqualFunc(want, got, equalRecord) {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(mrlog.Record{}, "Span", "Notes"))
}

func equalRecord(a, b mrlog.Record) bool {
	return a.Number == b.Number && a.HasNumber == b.HasNumber && a.Register == b.Register &&
		a.Type == b.Type && a.Form == b.Form && a.NotExtended == b.NotExtended && a.Event == b.Event &&
		bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Content, b.Content) &&
		slices.EqualFunc(a.Digests, b.Digests, func(d, e mrlog.Digest) bool {
			return d.Alg == e.Alg && bytes.Equal(d.Sum, e.Sum)
		})
}

// native is a native log with what is known of it by construction.
type native struct {
	text  []byte
	lines []string // measured
	at    []int    // number of each in the text, from 1
	start []mrlog.Digest
	reg   mrlog.Register
	bad   int // first measured line that is not UTF-8, or -1
}

// awkward are pieces of lines that some layer may want to treat specially.
var awkward = []string{
	"\t", "\r", " ", "  ", `"`, `\`, `\\`, `\n`, `\u0000`, `\"`, "'", "/", "#", "{", "}", "[", "]", ",", ":",
	"\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1e", "\x1f", "\x7f", "\u0080", "\u0085", "\u2028", "\u2029",
	"\ufeff", "\ufffd", "é", "e\u0301", "Ω", "語", "😀", "\U0010ffff", "\u202e", "<script>", "&amp;", "%00", "INIT", "INIT ", "sha384/00",
}

// drawLine draws a measured line that is not an INIT record.
func drawLine(t *rapid.T, valid bool) string {
	var s string
	switch rapid.IntRange(0, 5).Draw(t, "kind of line") {
	case 0:
		s = "github.com/example/project Load sha256/" + rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "content")
	case 1:
		s = rapid.String().Draw(t, "text")
	case 2: // longer than a read block now and then
		s = strings.Repeat(rapid.SampledFrom(awkward).Draw(t, "piece")+"x", rapid.IntRange(1, 40000).Draw(t, "times"))
	default:
		s = strings.Join(rapid.SliceOfN(rapid.SampledFrom(awkward), 1, 12).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " ", "a"}).Draw(t, "between"))
	}
	if !valid {
		i := rapid.IntRange(0, len(s)).Draw(t, "place")
		s = s[:i] + rapid.SampledFrom([]string{"\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80", "\x80"}).Draw(t, "bytes") + s[i:]
	}
	s = strings.ReplaceAll(s, "\n", "␊")
	if s == "" || s[0] == '#' || mrlog.IsInit([]byte(s)) {
		s = "x" + s
	}
	return s
}

// registers that a native log may be of, one of each kind that some format
// treats differently.
var registers = []mrlog.Register{
	{Space: mrlog.RTMR, Index: 2},
	{Space: mrlog.RTMR, Index: 0},
	{Space: mrlog.RTMR, Index: 3},
	{Space: mrlog.RTMR, Index: 4},
	{Space: mrlog.PCR, Index: 0},
	{Space: mrlog.PCR, Index: 3},
	{Space: mrlog.PCR, Index: 4},
	{Space: mrlog.PCR, Index: 14},
	{Space: mrlog.PCR, Index: 17},
	{Space: mrlog.PCR, Index: 256},
	{Space: mrlog.PCR, Index: mrlog.MaxIndex},
	{Space: mrlog.CCMR, Index: 2},
	{Space: mrlog.CCMR, Index: 4},
	{Space: mrlog.CCMR, Index: 1000},
	{Space: mrlog.NV, Index: 0x01d10200},
	{Space: mrlog.NV, Index: 3},
}

// drawNative draws any native log that a reader takes.
func drawNative(t *rapid.T, algs []mrlog.Alg, valid bool) native {
	n := native{bad: -1, reg: registers[0]}
	line := 0
	write := func(s string) {
		n.text = append(append(n.text, s...), '\n')
		line++
	}
	noise := func() {
		for range rapid.IntRange(0, 2).Draw(t, "unmeasured lines") {
			write(rapid.SampledFrom([]string{"", "#", "# text", "#: boot 1", "#: register", "#\xff\x00", "#INIT sha384/00"}).Draw(t, "unmeasured"))
		}
	}
	noise()
	if rapid.Bool().Draw(t, "names its register") {
		n.reg = rapid.SampledFrom(registers).Draw(t, "register")
		write("#: register " + n.reg.String())
	}
	noise()
	for _, alg := range rapid.SliceOfNDistinct(rapid.SampledFrom(algs), 1, 3, rapid.ID[mrlog.Alg]).Draw(t, "banks") {
		value := n.reg.ResetValue(alg)
		switch rapid.IntRange(0, 3).Draw(t, "start") {
		case 0:
			value = bytes.Repeat([]byte{0xFF}, alg.Size())
		case 1:
			value = rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "value")
		}
		n.start = append(n.start, mrlog.Digest{Alg: alg, Sum: value})
	}
	add := func(s string) {
		noise()
		write(s)
		if !utf8.ValidString(s) && n.bad < 0 {
			n.bad = len(n.lines)
		}
		n.lines = append(n.lines, s)
		n.at = append(n.at, line)
	}
	add(string(mrlog.AppendInit(nil, n.start)))
	for range rapid.IntRange(0, 8).Draw(t, "lines") {
		ok := valid || rapid.Bool().Draw(t, "valid")
		add(drawLine(t, ok))
	}
	noise()
	return n
}

// refusal says why a target cannot carry the log: the specification of the
// formats, written down once more. "" means that it can.
func (n native) refusal(t convert.Target) string {
	firmware := n.reg.Index <= 3
	switch t.Format {
	case convert.CELJSON, convert.CELSeq:
		switch {
		case n.bad >= 0 && t.Dialect == "envelope" && len(n.start) > 1:
			return ": " // either may be said
		case n.bad >= 0:
			return fmt.Sprintf("line %d", n.at[n.bad])
		case t.Dialect == "envelope" && len(n.start) > 1:
			return "one register in one bank"
		}
	case convert.CELTLV:
		switch {
		case n.reg.Space == mrlog.RTMR && !firmware, n.reg.Space == mrlog.PCR && firmware:
			return "register " + n.reg.String()
		case t.Dialect == "go-eventlog" && n.reg.Space == mrlog.NV:
			return "NV"
		case t.Dialect == "go-eventlog" && n.reg.Index > 255:
			return "does not fit"
		}
	}
	return ""
}

// measured takes the measured lines of a native log by nothing but splitting.
func measured(text []byte) []string {
	var lines []string
	for _, l := range strings.Split(string(text), "\n") {
		if l != "" && l[0] != '#' {
			lines = append(lines, l)
		}
	}
	return lines
}

// wantCarry fails unless err is a *mrlog.CarryError that says what.
func wantCarry(t interface {
	Helper()
	Fatalf(string, ...any)
}, err error, what string,
) *mrlog.CarryError {
	t.Helper()
	var c *mrlog.CarryError
	if !errors.As(err, &c) || !strings.Contains(err.Error(), what) {
		t.Fatalf("error is %v, want a *mrlog.CarryError that says %q", err, what)
	}
	return c
}
