// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// TestChains: a native log goes through any formats that can carry it, one
// after the other, with the same records and the same replay at each step, and
// comes back with its measured lines byte for byte. What cannot carry it says
// so.
func TestChains(t *testing.T) {
	all := targets()
	rapid.Check(t, func(t *rapid.T) {
		n := drawNative(t, mrlog.Known(), rapid.Bool().Draw(t, "UTF-8 only"))
		if !slices.Equal(measured(n.text), n.lines) {
			t.Fatalf("the test is wrong: %q", n.text)
		}
		want, err := open(n.text)
		if err != nil {
			t.Fatalf("%v\n%q", err, n.text)
		}
		for i, r := range want {
			if string(r.Content) != n.lines[i] || r.Register != n.reg || r.Number != uint64(i) || r.Span.Line != n.at[i] {
				t.Fatalf("record %d is %+v, want line %d %q of %s", i, r, n.at[i], n.lines[i], n.reg)
			}
		}
		wantBanks, err := banks(want)
		if err != nil {
			t.Fatal(err)
		}
		// Once straight from the text, where the line of what cannot be
		// carried is known; then from what came out.
		log, fromText := n.text, true
		hops := append(rapid.SliceOfN(rapid.SampledFrom(all), 1, 4).Draw(t, "hops"), convert.Target{Format: convert.NELR})
		for _, to := range hops {
			procs := rapid.IntRange(1, 3).Draw(t, "procs")
			out, _, err := copyTo(log, to, convert.Source{}, procs)
			if why := n.refusal(to); why != "" {
				if !fromText && strings.HasPrefix(why, "line ") {
					why = "record" // other forms have no lines
				}
				wantCarry(t, err, why)
				continue
			}
			if err != nil {
				t.Fatalf("to %s: %v", name(to), err)
			}
			log, fromText = out, false
			got, err := open(log)
			if err != nil {
				t.Fatalf("from %s: %v\n%q", name(to), err, log)
			}
			if diff := diffRecords(want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", name(to), diff)
			}
			gotBanks, err := banks(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantBanks, gotBanks); diff != "" {
				t.Fatalf("%s: replay (-want +got):\n%s", name(to), diff)
			}
		}
		if got := measured(log); !slices.Equal(got, n.lines) {
			t.Fatalf("measured lines came back as\n%q, want\n%q", got, n.lines)
		}
	})
}

// TestNotUTF8: what is not UTF-8 goes through CBOR and TLV, and is an error that
// names line and byte for each JSON form.
func TestNotUTF8(t *testing.T) {
	init := string(mrlog.AppendInit(nil, []mrlog.Digest{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}))
	log := []byte(init + "\n# comment\nvalid line\n\n\tab\xffc \xc3\n")
	for _, to := range targets() {
		out, _, err := copyTo(log, to, convert.Source{}, 1)
		switch to.Format {
		case convert.CELJSON, convert.CELSeq:
			c := wantCarry(t, err, "line 5")
			if c.Record != 2 || c.Span.Line != 5 || !strings.Contains(c.What, "byte 3") || !strings.Contains(c.What, "0xff") {
				t.Errorf("%s: %+v, want record 2, line 5, byte 3, 0xff", name(to), c)
			}
			if bytes.Contains(out, []byte("ab")) || bytes.Contains(out, []byte("\ufffd")) {
				t.Errorf("%s: part of the record was written: %q", name(to), out)
			}
		default:
			if err != nil {
				t.Fatalf("%s: %v", name(to), err)
			}
			back, _, err := copyTo(out, convert.Target{Format: convert.NELR}, convert.Source{}, 1)
			if err != nil || !slices.Equal(measured(back), measured(log)) {
				t.Errorf("%s: %v, %q", name(to), err, back)
			}
		}
	}
}

// drawRecord draws a record as some reader gives it: any content type, any form
// that its content can have.
func drawRecord(t *rapid.T) mrlog.Record {
	r := mrlog.Record{HasNumber: rapid.IntRange(0, 3).Draw(t, "has number") > 0}
	if r.HasNumber {
		r.Number = rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64()).Draw(t, "number")
	}
	r.Register = rapid.SampledFrom(registers).Draw(t, "register")
	alg := rapid.OneOf(
		rapid.SampledFrom(mrlog.Known()),
		rapid.Map(rapid.Uint16Range(1, 0xFFFF), func(n uint16) mrlog.Alg { return mrlog.Alg(n) }),
	)
	for _, a := range rapid.SliceOfNDistinct(alg, 1, 4, rapid.ID[mrlog.Alg]).Draw(t, "algs") {
		size := a.Size()
		if size == 0 {
			size = rapid.IntRange(1, mrlog.MaxUnknownDigestSize).Draw(t, "size")
		}
		r.Digests = append(r.Digests, mrlog.Digest{Alg: a, Sum: rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "sum")})
	}
	r.Content = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "content")
	text := func() []byte { return []byte(rapid.StringN(1, 20, 60).Draw(t, "text")) }
	tlvs := func(types ...byte) (p []byte) {
		for range rapid.IntRange(0, 3).Draw(t, "TLVs") {
			v := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "value")
			p = append(p, rapid.SampledFrom(types).Draw(t, "type"), 0, 0, 0, byte(len(v)))
			p = append(p, v...)
		}
		return p
	}
	json := func() []byte {
		return []byte(rapid.SampledFrom([]string{
			`null`, `1`, `"text"`, `"abcd"`, `""`, `[]`, `{}`, `{"a":1, "b":[true,null,-1.5e3]}`, `{"event_type":"EV_IPL","event_data":"zz"}`,
			`{"string":"enter-initrd","bootId":"00","timestamp":1,"eventType":"phase"}`, `{"template_data":1}`, `"é\u0000\ud83d\ude00"`,
			`{"type":"other","data":1}`, `[{"type":"cel_version"}]`, `{"event_type":"0x3","event_data":""}`, `18446744073709551616`,
		}).Draw(t, "JSON"))
	}
	cborItem := func() []byte {
		return []byte(rapid.SampledFrom([]string{
			"\x00", "\x20", "\x61a", "\x41a", "\xf6", "\x80", "\xa0", "\xa1\x00\x01", "\xa2\x00\x04\x01\x61a", "\xa1\x01\x41a",
			"\xc1\x00", "\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", "\x5f\x41a\xff", "\xa3\x00\x04\x01\x41a\x02\x00", "\x9f\x01\xff",
		}).Draw(t, "CBOR"))
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		r.Type, r.Content = mrlog.TypeCCCEL, []byte(drawLine(t, rapid.Bool().Draw(t, "valid")))
	case 1:
		r.Type = mrlog.TypeCCCEL // any bytes, newlines among them
	case 2:
		r.Type = mrlog.TypePCClient
		r.Event = rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32Range(0x80000000, 0x800000e4), rapid.Uint32()).Draw(t, "event")
		r.NotExtended = r.Event == 3
	case 3:
		r.Type = mrlog.TypeIMATemplate
		if rapid.Bool().Draw(t, "named") {
			r.Name = text()
		}
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			r.Name = []byte("a\xff")
		}
	case 4:
		r.Type = mrlog.TypeIMATLV
	case 5:
		r.Type = mrlog.TypeSystemd
	case 6:
		r.Type, r.Form, r.Content, r.NotExtended = mrlog.TypeCEL, mrlog.FormTLV, nil, true
		for range rapid.IntRange(1, 3).Draw(t, "events") {
			m := cel.Management{Type: rapid.SampledFrom([]cel.ManagementType{cel.CELVersion, cel.FirmwareEnd, cel.Timestamp, cel.StateTrans}).Draw(t, "event")}
			switch m.Type {
			case cel.CELVersion:
				m.Major, m.Minor = rapid.Uint16().Draw(t, "major"), rapid.Uint16().Draw(t, "minor")
			case cel.Timestamp, cel.StateTrans:
				m.Value = rapid.OneOf(rapid.Uint64Range(0, 4), rapid.Uint64()).Draw(t, "value")
				r.NotExtended = false
			}
			r.Content = m.Append(r.Content)
		}
	case 7: // private types
		r.Type = mrlog.ContentType(rapid.OneOf(rapid.SampledFrom([]uint32{80, 200, 6, 10, 11, 108, 0, 3}), rapid.Uint32Range(0, uint32(cel.MaxType))).Draw(t, "type"))
	case 8:
		r.Type, r.Form, r.Content = mrlog.TypeNamed, mrlog.FormJSON, json()
		r.Name = text()
	case 9:
		r.Type = rapid.SampledFrom([]mrlog.ContentType{4, 5, 7, 8, 9, 80, 204}).Draw(t, "type")
		r.Form, r.Content = mrlog.FormJSON, json()
	case 10:
		r.Type = rapid.SampledFrom([]mrlog.ContentType{4, 5, 7, 8, 9, 80, 204}).Draw(t, "type")
		r.Form, r.Content = mrlog.FormCBOR, cborItem()
	case 11:
		r.Type = rapid.SampledFrom([]mrlog.ContentType{4, 5, 7, 8, 9, 80, 204}).Draw(t, "type")
		r.Form = mrlog.FormTLV
		if r.Content = tlvs(0, 1, 2, 80, 200); r.Type == mrlog.TypeCEL {
			// Events that are understood are of kind 6: readers give
			// them in one form only.
			r.Content = tlvs(0, 3, 200)
		}
	}
	return r
}

// carry writes records as t says, those that it can, and returns which.
func carry(t convert.Target, records []mrlog.Record) (out []byte, carried []mrlog.Record, err error) {
	var buf bytes.Buffer
	var replay mrlog.Replay
	w, err := convert.NewWriter(&buf, t, &replay)
	if err != nil {
		return nil, nil, err
	}
	for i := range records {
		switch err := w.Write(records[i : i+1]); {
		case err == nil:
			carried = append(carried, records[i])
			if err := replay.Extend(records[i : i+1]); err != nil {
				return nil, nil, err
			}
		default:
			var c *mrlog.CarryError
			if !errors.As(err, &c) {
				return nil, nil, err
			}
		}
	}
	if len(replay.Banks()) != 1 && t.NeedsReplay() {
		return nil, nil, nil
	}
	if err = w.Close(); t.Format == convert.NELR && len(carried) == 0 {
		err = nil // without INIT there is no native log
	}
	return buf.Bytes(), carried, err
}

// carryAll is carry for a target that may need to know the number of records
// beforehand.
func carryAll(t convert.Target, records []mrlog.Record) (out []byte, carried []mrlog.Record, err error) {
	if t.NeedsCount() {
		_, carried, err = carry(convert.Target{Format: t.Format, Dialect: "sequence"}, records)
		if err != nil {
			return nil, nil, err
		}
		t.Records = int64(len(carried))
		records = carried
	}
	return carry(t, records)
}

// checkCarried writes records in a format and demands that what it takes comes
// back exactly, in canonical form, and that what it does not take leaves no
// trace.
func checkCarried(t interface{ Fatalf(string, ...any) }, to convert.Target, records []mrlog.Record) int {
	out, carried, err := carryAll(to, records)
	if err != nil {
		t.Fatalf("%s: %v", name(to), err)
	}
	if out == nil && to.NeedsReplay() || len(carried) == 0 {
		return 0
	}
	r, err := convert.Open(bytes.NewReader(out), convert.Source{Format: to.Format})
	if err != nil {
		t.Fatalf("%s: %v", name(to), err)
	}
	got, err := logtest.ReadAll(r)
	if err != nil {
		t.Fatalf("%s does not read what it wrote: %v\n%q", name(to), err, out)
	}
	if diff := diffRecords(carried, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", name(to), diff)
	}
	for _, g := range got {
		if g.Notes&mrlog.NoteNonCanonical != 0 {
			t.Fatalf("%s calls its own record not canonical: %+v", name(to), g)
		}
	}
	if f, err := convert.Detect(out[:min(len(out), convert.DetectSize)]); f != to.Format {
		t.Fatalf("%s is detected as %q: %v\n%q", name(to), f, err, out)
	}
	again, _, err := carryAll(to, got)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("%s: written again gives other bytes: %v\n%q\n%q", name(to), err, out, again)
	}
	return len(carried)
}

// TestCarry: every format carries a record exactly, or says what it cannot
// carry and writes nothing of it.
func TestCarry(t *testing.T) {
	took := make(map[string]int)
	tried := 0
	rapid.Check(t, func(t *rapid.T) {
		// Between two others, so that a trace would be seen.
		one := drawRecord(t)
		before, after := one.Clone(), one.Clone()
		for _, r := range []*mrlog.Record{&before, &after} {
			r.Type, r.Form, r.Event, r.Name, r.Content = mrlog.TypePCClient, mrlog.FormRaw, 4, nil, make([]byte, 4)
			r.NotExtended = false
		}
		if one.IsInit() {
			return // as such it is TestChains' subject
		}
		for _, to := range targets() {
			took[name(to)] += checkCarried(t, to, []mrlog.Record{before, one, after})
		}
		tried += 3
	})
	for _, to := range targets() {
		// A format that takes nothing would pass the above.
		if to.Format != convert.NELR && took[name(to)] == 0 {
			t.Errorf("%s carried none of %d records", name(to), tried)
		}
	}
}
