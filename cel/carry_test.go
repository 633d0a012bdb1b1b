// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// TestCannotCarry lists records that TLV or CBOR refuses, with the reason. A
// record is written before and after: the refused one leaves no trace.
func TestCannotCarry(t *testing.T) {
	base := func(change func(*mrlog.Record)) mrlog.Record {
		r := record(1, mrlog.Register{Space: mrlog.PCR, Index: 14}, 200, []byte("content"))
		change(&r)
		return r
	}
	two := append(Management{Type: FirmwareEnd}.Append(nil), Management{Type: Timestamp}.Append(nil)...)
	for _, tt := range []struct {
		name string
		r    mrlog.Record
		d    Dialect
		tlv  string // part of the reason, "" if it is carried
		cbor string
	}{
		{"no number", base(func(r *mrlog.Record) { r.Number, r.HasNumber = 0, false }), Minimal, "no number", ""},
		{"no space", base(func(r *mrlog.Record) { r.Register.Space = 0 }), Minimal, "no known space", "no known space"},
		{"rtmr", base(func(r *mrlog.Record) { r.Register = mrlog.Register{Space: mrlog.RTMR, Index: 2} }), Minimal, "map the log to ccmr", ""},
		{"line in rtmr4", base(func(r *mrlog.Record) {
			r.Type, r.Register = mrlog.TypeCCCEL, mrlog.Register{Space: mrlog.RTMR, Index: 4}
		}), Minimal, "map the log to ccmr", ""},
		{"line in pcr2", base(func(r *mrlog.Record) { r.Type, r.Register.Index = mrlog.TypeCCCEL, 2 }), Minimal, "read as one of rtmr2", ""},
		{"index", base(func(r *mrlog.Record) { r.Register.Index = mrlog.MaxIndex + 1 }), Minimal, "above 16777215", "above 16777215"},
		{"index in one byte", base(func(r *mrlog.Record) { r.Register.Index = 256 }), GoEventlog, "does not fit the one byte", ""},
		{"nv index", base(func(r *mrlog.Record) { r.Register.Space = mrlog.NV }), GoEventlog, "has no NV indexes", ""},
		{"mixed", base(func(r *mrlog.Record) { r.Register.Space = mrlog.CCMR }), GoEventlog, "both pcr and ccmr", ""},
		{"number in four bytes", base(func(r *mrlog.Record) { r.Number = 1 << 32 }), FourByte, "does not fit four bytes", ""},
		{"no digest", base(func(r *mrlog.Record) { r.Digests = nil }), Minimal, "no digest", "no digest"},
		{"two digests of one bank", base(func(r *mrlog.Record) { r.Digests = append(r.Digests, r.Digests[0]) }), Minimal, "two sha384", "two sha384"},
		{"digest size", base(func(r *mrlog.Record) { r.Digests[0].Sum = r.Digests[0].Sum[1:] }), Minimal, "47 bytes", "47 bytes"},
		{"17 digests", base(func(r *mrlog.Record) { r.Digests = make([]mrlog.Digest, 17) }), Minimal, "more than 16", "more than 16"},
		{"large algorithm", base(func(r *mrlog.Record) { r.Digests[0].Alg = 0x100 }), Minimal, "0x0100 does not fit", ""},
		{"large type", base(func(r *mrlog.Record) { r.Type = 256 }), Minimal, "content type 256", ""},
		{"field as type", base(func(r *mrlog.Record) { r.Type = 3 }), Minimal, "number of a field", ""},
		{"named type", base(func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeNamed, []byte("tss2") }), Minimal, `"tss2"`, `"tss2"`},
		{"JSON", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormJSON, []byte("1") }), Minimal, "JSON value", "JSON value"},
		{"systemd's JSON", base(func(r *mrlog.Record) { r.Type, r.Form, r.Content = mrlog.TypeSystemd, mrlog.FormJSON, []byte("{}") }), Minimal, "systemd (9) is a JSON value", "JSON value"},
		{"CBOR", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, []byte{1} }), Minimal, "CBOR item", ""},
		{"CBOR of a string", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, []byte{0x41, 1} }), Minimal, "CBOR item", "should be fields"},
		{"cut CBOR", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, []byte{0x41} }), Minimal, "CBOR item", "cut off"},
		{"two CBOR items", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, []byte{1, 1} }), Minimal, "CBOR item", "bytes follow"},
		{"no CBOR", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, nil }), Minimal, "CBOR item", "cut off"},
		{"deep CBOR", base(func(r *mrlog.Record) {
			r.Form, r.Content = mrlog.FormCBOR, append(bytes.Repeat([]byte{0x81}, MaxDepth), 1)
		}), Minimal, "CBOR item", "deeper than 16"},
		{"TLVs", base(func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormTLV, two }), Minimal, "is in TLVs", "is in TLVs"},
		{"unknown form", base(func(r *mrlog.Record) { r.Form = 9 }), Minimal, "no known form", "no known form"},
		{"raw management", base(func(r *mrlog.Record) { r.Type = mrlog.TypeCEL }), Minimal, "not in TLVs", "not in TLVs"},
		{"two management events", base(func(r *mrlog.Record) { r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, two }), Minimal, "", "several management"},
		{"unknown management event", base(func(r *mrlog.Record) { r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, []byte{9, 0, 0, 0, 0} }), Minimal, "", "unknown type: 9"},
		{"management event numbered otherwise", base(func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, []byte{0x81, 0, 0, 0, 1, 2}
		}), Minimal, "not in canonical TLVs", "not in canonical TLVs"},
		{"management event in wide integers", base(func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, []byte{byte(Timestamp), 0, 0, 0, 2, 0, 1}
		}), Minimal, "not in canonical TLVs", "not in canonical TLVs"},
		{"management events of which one is unknown", base(func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, []byte{0x81, 0, 0, 0, 1, 2, 9, 0, 0, 0, 0}
		}), Minimal, "", "several management"},
		{"no TLVs", base(func(r *mrlog.Record) { r.Type, r.Form = mrlog.TypeCEL, mrlog.FormTLV }), Minimal, "ends after", "unexpected shape"},
		{"whole event", base(func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypePCClient, mrlog.FormTLV, []byte{1, 0, 0, 0, 0}
		}), Minimal, "", "is in TLVs"},
		{"whole event that has its shape", base(func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypePCClient, mrlog.FormTLV, unhex(t, "0000000001030100000000")
		}), Minimal, "should be fields", "is in TLVs"},
		{"extended no action", base(func(r *mrlog.Record) { r.Type, r.Event = mrlog.TypePCClient, evNoAction }), Minimal, "was extended, and", "was extended, and"},
		{"not extended", base(func(r *mrlog.Record) { r.NotExtended = true }), Minimal, "was not extended", "was not extended"},
		{"stray event", base(func(r *mrlog.Record) { r.Event = 1 }), Minimal, "event type 1", "event type 1"},
		{"stray name", base(func(r *mrlog.Record) { r.Name = []byte("ima") }), Minimal, `name "ima"`, `name "ima"`},
		{"template name", base(func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeIMATemplate, []byte{0xff} }), Minimal, "", "not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok := record(0, mrlog.Register{Space: mrlog.PCR, Index: 14}, 200, []byte("fine"))
			check := func(format, reason string, w mrlog.Writer, buf *bytes.Buffer, read func([]byte) ([]mrlog.Record, mrlog.Header, error)) {
				want := []mrlog.Record{ok, tt.r, ok}
				err := w.Write([]mrlog.Record{ok, tt.r})
				if reason == "" && err != nil {
					t.Fatalf("%s: %v", format, err)
				}
				if reason != "" {
					var carry *mrlog.CarryError
					if !errors.As(err, &carry) || carry.Record != 1 || carry.Format != format || !strings.Contains(carry.What, reason) {
						t.Fatalf("%s: %v, want %q of record 1", format, err, reason)
					}
					want = []mrlog.Record{ok, ok}
				}
				if err := errors.Join(w.Write([]mrlog.Record{ok}), w.Close()); err != nil {
					t.Fatal(err)
				}
				got, _, err := read(buf.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if d := diffRecords(want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", format, d)
				}
			}
			var buf bytes.Buffer
			w, err := NewTLVWriter(&buf, tt.d)
			if err != nil {
				t.Fatal(err)
			}
			check("cel-tlv", tt.tlv, w, &buf, readTLV)
			buf.Reset()
			check("cel-cbor", tt.cbor, NewCBORWriter(&buf, -1), &buf, readCBOR)
		})
	}
}

// TestLiberalCBOR reads records that the writer would write otherwise.
func TestLiberalCBOR(t *testing.T) {
	sum := strings.Repeat("00", 32)
	digests := "0381a2000b015820" + sum
	for _, tt := range []struct {
		name, in string
		want     func(*mrlog.Record)
		exact    bool
	}{
		{"no recnum", "a4 0104" + digests + "0918c8 0a4101", func(r *mrlog.Record) { r.HasNumber = false }, true},
		{"wide integers", "a5 00190000 011b0000000000000004" + digests + "091a000000c8 0a4101", nil, false},
		{"other order", "a5 0a4101 0918c8" + digests + "0104 0000", nil, false},
		{"names", "a5 0000 0104 0381a20067 534841 2d323536 015820" + sum + "0967 73797374656d64 0a4101", func(r *mrlog.Record) { r.Type = mrlog.TypeSystemd }, false},
		{"digest turned", "a5 0000 0104 0381a2015820" + sum + "000b 0918c8 0a4101", nil, false},
		{"indefinite", "bf 0000 0104 039fbf000b015820" + sum + "ffff 0918c8 0a4101 ff", nil, false},
		{"ccmr", "a6 0000 0104" + digests + "0918c8 0a4101 657370616365 6463636d72", func(r *mrlog.Record) { r.Register.Space = mrlog.CCMR }, true},
		{"rtmr", "a6 0000 0104" + digests + "0918c8 0a4101 657370616365 6472746d72", func(r *mrlog.Record) { r.Register.Space = mrlog.RTMR }, true},
		{"pcr said", "a6 0000 0104" + digests + "0918c8 0a4101 657370616365 63706372", nil, false},
		{"line in pcr2", "a6 0000 0102" + digests + "0918cc 0a6161 657370616365 63706372", func(r *mrlog.Record) {
			r.Type, r.Register.Index, r.Content = mrlog.TypeCCCEL, 2, []byte("a")
		}, true},
		{"line as bytes", "a5 0000 0104" + digests + "0918cc 0a4161", func(r *mrlog.Record) { r.Type, r.Content = mrlog.TypeCCCEL, []byte("a") }, false},
		{"line that is no text", "a5 0000 0104" + digests + "0918cc 0a41ff", func(r *mrlog.Record) { r.Type, r.Content = mrlog.TypeCCCEL, []byte{0xff} }, true},
		{"event by name", "a5 0000 0104" + digests + "0905 0aa2 006c 65765f736570617261746f72 014101", func(r *mrlog.Record) { r.Type, r.Event = mrlog.TypePCClient, 4 }, false},
		{"event by digits", "a5 0000 0104" + digests + "0905 0aa2 006131 014101", func(r *mrlog.Record) { r.Type, r.Event = mrlog.TypePCClient, 1 }, false},
		{"event of no name", "a5 0000 0104" + digests + "0905 0aa2 006178 014101", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypePCClient, mrlog.FormCBOR, unhex(t, "a2006178014101")
		}, true},
		{"event with more", "a5 0000 0104" + digests + "0905 0aa3 0004 014101 0200", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypePCClient, mrlog.FormCBOR, unhex(t, "a300040141010200")
		}, true},
		{"template without a name", "a5 0000 0104" + digests + "0907 0aa1 014101", func(r *mrlog.Record) { r.Type = mrlog.TypeIMATemplate }, true},
		{"string in pieces", "a5 0000 0104" + digests + "0918c8 0a5f4101ff", func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormCBOR, unhex(t, "5f4101ff") }, true},
		{"any item", "a5 0000 0104" + digests + "0918c8 0a82f6c1fb3ff0000000000000", func(r *mrlog.Record) {
			r.Form, r.Content = mrlog.FormCBOR, unhex(t, "82f6c1fb3ff0000000000000")
		}, true},
		{"version", "a5 0000 0104" + digests + "0904 0aa2 0001 01a2 0001 0101", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content, r.NotExtended = mrlog.TypeCEL, mrlog.FormTLV, Management{Type: CELVersion, Major: 1, Minor: 1}.Append(nil), true
		}, true},
		{"end of the firmware", "a5 0000 0104" + digests + "0904 0aa1 0002", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content, r.NotExtended = mrlog.TypeCEL, mrlog.FormTLV, Management{Type: FirmwareEnd}.Append(nil), true
		}, true},
		{"kexec", "a5 0000 0104" + digests + "0904 0aa2 001881 01656b65786563", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, Management{Type: StateTrans, Value: StateKexec}.Append(nil)
		}, false},
		{"time", "a5 0000 0104" + digests + "0904 0aa2 001850 011a00010000", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormTLV, Management{Type: Timestamp, Value: 65536}.Append(nil)
		}, true},
		{"unknown management event", "a5 0000 0104" + digests + "0904 0aa1 0003", func(r *mrlog.Record) {
			r.Type, r.Form, r.Content = mrlog.TypeCEL, mrlog.FormCBOR, unhex(t, "a10003")
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := mrlog.Record{
				HasNumber: true, Register: mrlog.Register{Space: mrlog.PCR, Index: 4}, Type: 200, Content: []byte{1},
				Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: make([]byte, 32)}},
			}
			if tt.want != nil {
				tt.want(&want)
			}
			in := unhex(t, tt.in)
			recs, _, err := readCBOR(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRecords([]mrlog.Record{want}, recs); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			out, err := writeCBOR(-1, recs)
			if err != nil {
				t.Fatal(err)
			}
			if exact := bytes.Equal(in, out); exact != tt.exact || noted(recs) == tt.exact {
				t.Errorf("exact %v, noted %v\nread    %x\nwritten %x", exact, noted(recs), in, out)
			}
		})
	}
}

// TestSpaces checks what a plain index is taken for.
func TestSpaces(t *testing.T) {
	line := record(0, mrlog.Register{Space: mrlog.RTMR, Index: 2}, mrlog.TypeCCCEL, []byte("line"))
	event := record(1, mrlog.Register{Space: mrlog.PCR, Index: 2}, 200, []byte("event"))
	nv := record(2, mrlog.Register{Space: mrlog.NV, Index: 2}, 200, []byte("event"))
	ccmr := record(3, mrlog.Register{Space: mrlog.CCMR, Index: 2}, 200, []byte("event"))
	for _, c := range codecs() {
		for _, tt := range []struct {
			first   mrlog.Record
			assumed bool
		}{{line, true}, {event, false}, {nv, false}, {ccmr, false}} {
			in, err := c.write([]mrlog.Record{tt.first})
			if err != nil {
				t.Fatal(err)
			}
			r := c.read(bytes.NewReader(in))
			if recs, err := logtest.ReadAll(r); err != nil || diffRecords([]mrlog.Record{tt.first}, recs) != "" {
				t.Errorf("%s: %v, %v", c.name, recs, err)
			}
			if h := r.Header(); h.Space != tt.first.Register.Space || h.SpaceAssumed != tt.assumed {
				t.Errorf("%s: header %+v of %s", c.name, h, tt.first.Register)
			}
		}
		log := []mrlog.Record{line, event, line, line, line, nv, ccmr, line}
		in, err := c.write(log)
		if err != nil {
			t.Fatal(err)
		}
		recs, err := logtest.ReadAll(c.read(bytes.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range recs {
			if r.Notes != plainNotes(log[i]) {
				t.Errorf("%s: record %d has notes %d, want %d", c.name, i, r.Notes, plainNotes(log[i]))
			}
		}
		for _, space := range []mrlog.Space{mrlog.PCR, mrlog.CCMR, mrlog.RTMR} {
			var r mrlog.Reader = NewCBORReader(bytes.NewReader(in), Options{Space: space})
			if c.name == "tlv" {
				r = NewTLVReader(bytes.NewReader(in), Options{Space: space})
			}
			recs, err := logtest.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []mrlog.Space{space, space, space, space, space, mrlog.NV, mrlog.CCMR, space} {
				if recs[i].Register.Space != want || assumed(&recs[i]) {
					t.Errorf("%s, space %s: record %d is in %s, notes %d", c.name, space, i, recs[i].Register.Space, recs[i].Notes)
				}
			}
			if h := r.Header(); h.Space != space || h.SpaceAssumed {
				t.Errorf("%s, space %s: header %+v", c.name, space, h)
			}
		}
	}
}

func wantCarryAt(t *testing.T, err error, record int64) {
	t.Helper()
	var c *mrlog.CarryError
	if !errors.As(err, &c) || c.Record != record {
		t.Errorf("%v, want a CarryError of record %d", err, record)
	}
}

// TestWriterEnds checks counts, Close and errors of the underlying writer.
func TestWriterEnds(t *testing.T) {
	recs := sampleLog()[:2]
	if _, err := writeCBOR(3, recs); err == nil || !strings.Contains(err.Error(), "2 records in an array that was begun for 3") {
		t.Error(err)
	}
	if _, err := writeCBOR(1, recs); err == nil || !strings.Contains(err.Error(), "more records than the 1") {
		t.Error(err)
	}
	// A record that cannot be carried takes no place in a full array.
	for _, carried := range []int{0, 1} {
		w := NewCBORWriter(io.Discard, int64(carried))
		odd := record(1, mrlog.Register{Space: mrlog.PCR}, mrlog.TypeSystemd, []byte("{}"))
		odd.Form = mrlog.FormJSON
		wantCarryAt(t, w.Write(append(recs[:carried:carried], odd)), int64(carried))
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if out, err := writeCBOR(0, nil); err != nil || !bytes.Equal(out, []byte{0x80}) {
		t.Errorf("%x, %v", out, err)
	}
	if _, h, err := readCBOR(nil); err != nil || h.Dialect != "sequence" {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := NewTLVWriter(io.Discard, "mixed"); err == nil {
		t.Error("dialect mixed is written")
	}
	for _, n := range []int{0, flushSize + 10_000} {
		tlv, err := NewTLVWriter(&brokenWriter{n}, Minimal)
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range map[string]mrlog.Writer{"tlv": tlv, "cbor": NewCBORWriter(&brokenWriter{n}, -1)} {
			large := record(0, mrlog.Register{Space: mrlog.PCR}, 200, make([]byte, flushSize))
			err := w.Write([]mrlog.Record{large, large})
			if err == nil {
				err = w.Write(recs)
			}
			if !errors.Is(err, errBroken) || !errors.Is(w.Write(recs), errBroken) || !errors.Is(w.Close(), errBroken) {
				t.Errorf("%s after %d bytes: %v", name, n, err)
			}
		}
	}
	tlv, err := NewTLVWriter(io.Discard, Minimal)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []mrlog.Writer{tlv, NewCBORWriter(io.Discard, -1)} {
		if err := errors.Join(w.Write(recs), w.Close(), w.Close()); err != nil {
			t.Error(err)
		}
		if err := w.Write(recs); err == nil {
			t.Error("a closed log takes records")
		}
	}
}

// TestNames checks that the tables of names are each other's inverse.
func TestNames(t *testing.T) {
	for _, ty := range []mrlog.ContentType{4, 5, 7, 8, 9, 204} {
		name, ok := mrlog.TypeName(ty)
		if back, ok2 := mrlog.TypeByName(name); !ok || !ok2 || back != ty {
			t.Errorf("content type %d is %q is %d", ty, name, back)
		}
	}
	named := 0
	for high := range uint32(2) {
		for low := range uint32(0x100) {
			event := high<<31 | low
			name, ok := mrlog.EventName(event)
			if !ok {
				continue
			}
			named++
			for _, s := range []string{name, strings.ToLower(name)} {
				if back, ok := mrlog.EventByName(s); !ok || back != event {
					t.Errorf("event %#x is %q is %#x", event, s, back)
				}
			}
		}
	}
	if named != 40 {
		t.Errorf("%d events have names", named)
	}
	if n, ok := mrlog.EventByName("4294967295"); !ok || n != 1<<32-1 {
		t.Error("a number by digits is not read")
	}
	for _, s := range []string{"", "EV_", "Ev_action", "01", "+1", "-1", "4294967296", "0x1", "1 ", "separator"} {
		if n, ok := mrlog.EventByName(s); ok {
			t.Errorf("event %q is %d", s, n)
		}
	}
	for _, m := range []ManagementType{CELVersion, FirmwareEnd, Timestamp, StateTrans} {
		if back, ok := ManagementTypeByName(m.String()); !ok || back != m {
			t.Errorf("management event %d is %q", m, m)
		}
	}
	for v := range uint64(3) {
		name, _ := StateName(v)
		if back, ok := StateByName(name); !ok || back != v {
			t.Errorf("state %d is %q", v, name)
		}
	}
}
