// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/dstack"
	"mrlog.dev/internal/logtest"
)

func read(text string, o dstack.Options) ([]mrlog.Record, *dstack.Reader, error) {
	d := dstack.NewReader(strings.NewReader(text), o)
	records, err := logtest.ReadAll(d)
	return records, d, err
}

func write(records []mrlog.Record, lines bool, o dstack.Options) (string, error) {
	var buf bytes.Buffer
	w := dstack.NewWriter(&buf, o)
	if lines {
		w = dstack.NewLinesWriter(&buf, o)
	}
	if err := w.Write(records); err != nil {
		return "", err
	}
	err := w.Close()
	return buf.String(), err
}

// The digests of FORMATS 8.1.
const (
	digestV1 = "e910bac274d132c3c6c23ac10103947a0a07783a277d9aab6bb12db5749cdb296275a888328c43479a8be40268a72a62"
	digestV2 = "9dde1673f544faa94b921825209593ddde08d0baf9cd6990175dffaf3081f1bb10311d56de189491feb33842a050ad7b"
	preV1    = "010000083a636f6d706f73652d686173683aabcd"
	preV2    = `{"name":"compose-hash","payload":"abcd","type":134217729}`

	apiV1  = `{"imr":3,"event_type":134217729,"digest":"` + digestV1 + `","event":"compose-hash","event_payload":"abcd"}`
	apiV2  = `{"imr":3,"event_type":134217729,"digest":"` + digestV2 + `","event":"compose-hash","event_payload":"abcd","version":2}`
	lineV1 = `{"event":"compose-hash","payload":"q80="}`
	lineV2 = `{"event":"compose-hash","payload":"q80=","version":2}`

	separator = "394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0"
	boot      = `{"imr":0,"event_type":4,"digest":"` + separator + `","event":"","event_payload":"00000000"}`
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPreimage(t *testing.T) {
	for version, want := range map[int]string{1: string(unhex(t, preV1)), 2: preV2} {
		e := dstack.Event{Name: "compose-hash", Payload: []byte{0xAB, 0xCD}, Version: version}
		got, ok := e.AppendPreimage(nil)
		if !ok || string(got) != want {
			t.Errorf("version %d: %q", version, got)
		}
		sum := map[int]string{1: digestV1, 2: digestV2}[version]
		if hex.EncodeToString(mrlog.SHA384.AppendSum(nil, got)) != sum {
			t.Errorf("version %d: another digest", version)
		}
		back, ok := dstack.ParsePreimage(got)
		if diff := cmp.Diff(e, back); diff != "" || !ok {
			t.Error(diff)
		}
		for n := range len(got) {
			if _, ok := dstack.ParsePreimage(got[:n]); ok && (version == 2 || n < 18) {
				t.Errorf("%q is a preimage", got[:n])
			}
		}
	}
	for _, p := range []string{
		"", ":", `{"name":"a","payload":"","type":134217729} `, `{"name":"a","payload":"AB","type":134217729}`,
		`{"payload":"","name":"a","type":134217729}`, `{"name":"a","payload":"","type":1}`, `{"name":"\u0041","payload":"","type":134217729}`,
		`{"name":"a","name":"b","payload":"","type":134217729}`, "\x01\x00\x00\x08:\xff:", "\x01\x00\x00\x08:a",
	} {
		if e, ok := dstack.ParsePreimage([]byte(p)); ok {
			t.Errorf("%q is %+v", p, e)
		}
	}
}

// TestAmbiguous: two events of version 1 with one preimage are told.
func TestAmbiguous(t *testing.T) {
	a := dstack.Event{Name: "a:b", Payload: []byte("c"), Version: 1}
	b := dstack.Event{Name: "a", Payload: []byte("b:c"), Version: 1}
	pa, _ := a.AppendPreimage(nil)
	pb, _ := b.AppendPreimage(nil)
	if !bytes.Equal(pa, pb) || !a.Ambiguous() || !b.Ambiguous() {
		t.Errorf("%q and %q", pa, pb)
	}
	a.Version, b.Version = 2, 2
	pa, _ = a.AppendPreimage(nil)
	pb, _ = b.AppendPreimage(nil)
	if bytes.Equal(pa, pb) || a.Ambiguous() || b.Ambiguous() {
		t.Errorf("%q and %q", pa, pb)
	}
}

func TestRead(t *testing.T) {
	rtmr := func(n uint32) mrlog.Register { return mrlog.Register{Space: mrlog.RTMR, Index: n} }
	sum := func(s string) []mrlog.Digest { return []mrlog.Digest{{Alg: mrlog.SHA384, Sum: unhex(t, s)}} }
	v1 := mrlog.Record{Register: rtmr(3), Digests: sum(digestV1), Type: mrlog.TypePCClient, Event: dstack.RuntimeEvent, Content: unhex(t, preV1)}
	v2 := mrlog.Record{Register: rtmr(3), Digests: sum(digestV2), Type: mrlog.TypePCClient, Event: dstack.RuntimeEvent, Content: []byte(preV2)}
	first := mrlog.Record{Register: rtmr(0), Digests: sum(separator), Type: mrlog.TypePCClient, Event: 4, Content: make([]byte, 4)}
	noted := func(r mrlog.Record, n mrlog.Note) mrlog.Record { r.Notes = n; return r }
	whole := func(r mrlog.Record, text string) mrlog.Record {
		r.Type, r.Event, r.Form, r.Name, r.Content = mrlog.TypeNamed, 0, mrlog.FormJSON, []byte("dstack"), []byte(text)
		return r
	}
	const loose, assumed = mrlog.NoteNonCanonical, mrlog.NoteSpaceAssumed
	const colon = `{"imr":3,"event_type":134217729,"digest":"` + digestV1 + `","event":"a:b","event_payload":""}`
	const stripped = `{"imr":1,"event_type":2147483651,"digest":"` + separator + `","event":"","event_payload":""}`
	const future = `{"imr":3,"event_type":134217729,"digest":"` + digestV1 + `","event":"a","event_payload":"","version":3,"x":[1]}`
	for _, test := range []struct {
		text string
		want []mrlog.Record
		head mrlog.Header
	}{
		{"[]", nil, mrlog.Header{Dialect: "api"}},
		{"[" + boot + "," + apiV1 + "," + apiV2 + "]\n", []mrlog.Record{first, v1, v2}, mrlog.Header{Dialect: "api"}},
		{"[ " + strings.Replace(boot, ",", " ,", 1) + "]", []mrlog.Record{noted(first, loose)}, mrlog.Header{Dialect: "api"}},
		{"[" + strings.Replace(apiV1, digestV1, "", 1) + "]", []mrlog.Record{noted(v1, loose)}, mrlog.Header{Dialect: "api"}},
		{"[" + strings.Replace(apiV1, `"digest":"`+digestV1+`",`, "", 1) + "]", []mrlog.Record{noted(v1, loose)}, mrlog.Header{Dialect: "api"}},
		{"[" + apiV2[:len(apiV2)-1] + `,"preimage":"` + hex.EncodeToString([]byte(preV2)) + `"}]`, []mrlog.Record{noted(v2, loose)}, mrlog.Header{Dialect: "api"}},
		{"[" + apiV1[:len(apiV1)-1] + `,"hash_input":"` + preV1 + `"}]`, []mrlog.Record{noted(v1, loose)}, mrlog.Header{Dialect: "api"}},
		{"[" + apiV1[:len(apiV1)-1] + `,"preimage":"00"}]`, []mrlog.Record{whole(v1, apiV1[:len(apiV1)-1]+`,"preimage":"00"}`)}, mrlog.Header{Dialect: "api"}},
		{"[" + colon + "]", []mrlog.Record{whole(v1, colon)}, mrlog.Header{Dialect: "api"}},
		{"[" + stripped + "]", []mrlog.Record{whole(mrlog.Record{Register: rtmr(1), Digests: sum(separator)}, stripped)}, mrlog.Header{Dialect: "api"}},
		{"[" + future + "]", []mrlog.Record{whole(v1, future)}, mrlog.Header{Dialect: "api"}},
		{"", nil, mrlog.Header{Dialect: "lines", Derived: true}},
		{lineV1 + "\n" + lineV2 + "\n", []mrlog.Record{noted(v1, assumed), noted(v2, assumed)}, mrlog.Header{Dialect: "lines", Derived: true}},
		{"\n\r\n " + lineV1 + "\r\n", []mrlog.Record{noted(v1, assumed|loose)}, mrlog.Header{Dialect: "lines", Derived: true}},
		{strings.Replace(lineV1, "}", `,"version":1}`, 1) + "\n", []mrlog.Record{noted(v1, assumed|loose)}, mrlog.Header{Dialect: "lines", Derived: true}},
	} {
		for _, in := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text)), iotest.DataErrReader(strings.NewReader(test.text))} {
			d := dstack.NewReader(in, dstack.Options{})
			got, err := logtest.ReadAll(d)
			if err != nil {
				t.Errorf("%s: %v", test.text, err)
				break
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(mrlog.Record{}, "Span"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", test.text, diff)
			}
			test.head.Format, test.head.Space = "dstack", mrlog.RTMR
			if test.head.Dialect == "lines" {
				test.head.SpaceAssumed, test.head.Algs = true, []mrlog.AlgSize{{Alg: mrlog.SHA384, Size: 48}}
			}
			if diff := cmp.Diff(test.head, d.Header()); diff != "" {
				t.Errorf("%s: %s", test.text, diff)
			}
			for i := range got {
				r := &got[i]
				if at := test.text[r.Span.Offset:][:r.Span.Length]; at[0] != '{' || at[len(at)-1] != '}' {
					t.Errorf("%s: record %d is %q", test.text, i, at)
				}
			}
			canonical := !cmp.Equal(got, nil) && len(got) > 0
			for i := range got {
				canonical = canonical && got[i].Notes&loose == 0
			}
			lines := test.head.Dialect == "lines"
			back, err := write(got, lines, dstack.Options{})
			if err != nil || canonical && strings.TrimRight(back, "\n") != strings.TrimRight(test.text, "\n") {
				t.Errorf("%s: written as %s, %v", test.text, back, err)
			}
			again, _, err := read(back, dstack.Options{})
			if diff := cmp.Diff(got, again, cmpopts.IgnoreFields(mrlog.Record{}, "Span", "Notes"), cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%s: read again: %v, %s", test.text, err, diff)
			}
			var buf bytes.Buffer
			logtest.Through(t, got, cel.NewJSONWriter(&buf), cel.NewJSONReader(&buf, cel.Options{}))
		}
	}
}

// TestMeasured: an event comes back from any record that holds one, and its
// preimage hashes to the digest where the log is honest.
func TestMeasured(t *testing.T) {
	const colon = `{"event":"a:b","payload":"Yw=="}`
	for _, text := range []string{lineV1 + "\n", lineV2 + "\n", colon + "\n", "[" + apiV1 + "," + apiV2 + "]"} {
		records, _, err := read(text, dstack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			e, preimage, ok := dstack.Measured(&records[i])
			if !ok || !bytes.Equal(mrlog.SHA384.AppendSum(nil, preimage), records[i].Digests[0].Sum) {
				t.Errorf("%s: %+v, %q", text, e, preimage)
			}
			if e.Ambiguous() != (text == colon+"\n") {
				t.Errorf("%s: ambiguous %v", text, e.Ambiguous())
			}
		}
	}
	for _, r := range []mrlog.Record{
		{},
		{Type: mrlog.TypePCClient, Event: 4, Content: unhex(t, preV1)},
		{Type: mrlog.TypePCClient, Event: dstack.RuntimeEvent, Content: []byte("x")},
		{Type: mrlog.TypeNamed, Name: []byte("dstack"), Form: mrlog.FormJSON, Content: []byte(`{"a":1`)},
		{Type: mrlog.TypeNamed, Name: []byte("dstack"), Form: mrlog.FormJSON, Content: []byte(boot)},
		{Type: mrlog.TypeNamed, Name: []byte("other"), Form: mrlog.FormJSON, Content: []byte(apiV1)},
	} {
		if e, _, ok := dstack.Measured(&r); ok {
			t.Errorf("%+v is %+v", r, e)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		text, say string
		record    int64
		line      int
	}{
		{"[" + boot, "ends too soon", 1, 0},
		{"[" + boot + "," + boot[:20], "ends too soon", 1, 0},
		{"[" + boot + "] x", "invalid character", -1, 0},
		{"[" + boot + "][]", "after the end", -1, 0},
		{"[1]", "not an object", 0, 0},
		{"[" + boot + "," + lineV1 + "]", "not of the form", 1, 0},
		{lineV1 + "\n" + boot + "\n", "not of the form", 1, 2},
		{lineV1, "torn", 0, 1},
		{lineV1 + "\n" + lineV2[:9], "torn", 1, 2},
		{lineV1 + lineV1 + "\n", "after", 0, 1},
		{"x\n", "invalid", 0, 1},
		{`{"event":"a","event":"b","payload":""}` + "\n", "duplicate", 0, 1},
		{`{"event":"` + "\xff" + `","payload":""}` + "\n", "UTF-8", 0, 1},
		{`{"event":"` + "\x00" + `","payload":""}` + "\n", "invalid", 0, 1},
		{`{"event":"a","payload":"q80"}` + "\n", "base64", 0, 1},
		{`{"event":"a","payload":"q81="}` + "\n", "base64", 0, 1},
		{`{"event":"a","payload":"q8\n0="}` + "\n", "base64", 0, 1},
		{`{"event":"a","payload":""}{}` + "\n", "after", 0, 1},
		{`{"payload":""}` + "\n", `no "event"`, 0, 1},
		{`{"event":1,"payload":""}` + "\n", "not a string", 0, 1},
		{`{"event":"a","payload":"","version":-1}` + "\n", "version", 0, 1},
		{`{"event":"a","payload":"","version":3}` + "\n", "no digest", 0, 1},
		{`{"event":"a","payload":"","imr":3}` + "\n", "other form", 0, 1},
		{`[{"event_type":4,"digest":"","event":"","event_payload":""}]`, `no "imr"`, 0, 0},
		{`[{"imr":1,"digest":"","event":"","event_payload":""}]`, `no "event_type"`, 0, 0},
		{`[{"imr":1,"event_type":4,"digest":"","event":""}]`, `no "event_payload"`, 0, 0},
		{`[{"imr":1,"event_type":4,"digest":"","event":"","event_payload":""}]`, "no digest", 0, 0},
		{`[{"imr":1,"event_type":4,"digest":"00","event":"","event_payload":""}]`, "1 bytes", 0, 0},
		{`[{"imr":1,"event_type":4,"digest":"0","event":"","event_payload":""}]`, "hexadecimal", 0, 0},
		{`[{"imr":16777216,"event_type":4,"digest":"","event":"","event_payload":""}]`, "above", 0, 0},
		{`[{"imr":1e1,"event_type":4,"digest":"","event":"","event_payload":""}]`, "plain integer", 0, 0},
		{"[" + strings.Repeat("[", 100), "deeper", 0, 0},
		{`[{"a":` + strings.Repeat(`{"a":`, 100), "deeper", 0, 0},
		{"[\"" + strings.Repeat("a", dstack.MaxEvent+1<<18), "longer than", 0, 0},
		{strings.Repeat("a", dstack.MaxEvent+2), "longer than", 0, 1},
	} {
		for _, one := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.text)
			if one {
				if len(test.text) > 1<<16 {
					continue
				}
				in = iotest.OneByteReader(in)
			}
			_, err := logtest.ReadAll(dstack.NewReader(in, dstack.Options{}))
			fault, ok := errors.AsType[*mrlog.SyntaxError](err)
			if !ok || !strings.Contains(err.Error(), test.say) || fault.Record != test.record || fault.Line != test.line {
				t.Errorf("%.200q: %v does not say %q at record %d, line %d", test.text, err, test.say, test.record, test.line)
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	for _, text := range []string{"[" + boot + "," + apiV1 + "," + apiV2 + "]", lineV1 + "\n" + lineV2 + "\n"} {
		for n := range len(text) {
			got, d, err := read(text[:n], dstack.Options{})
			if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok && (n > 0 && text[n-1] != '\n' || err != nil) {
				t.Errorf("%s: %v", text[:n], err)
			}
			if text[0] != '{' {
				continue
			}
			kept, d2, err := read(text[:n], dstack.Options{IgnoreTorn: true})
			if span, torn := d2.Torn(); err != nil || len(kept) != len(got) || torn != (n > 0 && text[n-1] != '\n') || torn && int(span.Offset)+span.Length != n {
				t.Errorf("%s: %v, torn %v %+v", text[:n], err, torn, span)
			}
			if _, torn := d.Torn(); torn {
				t.Errorf("%s: torn line left out unasked", text[:n])
			}
		}
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"", " ", "[", "[" + boot[:30], "[" + boot, "[" + boot + ",", lineV1, lineV1 + "\n"} {
		_, err := logtest.ReadAll(dstack.NewReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), dstack.Options{}))
		if err != broken {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOptions(t *testing.T) {
	pcr14 := mrlog.Register{Space: mrlog.PCR, Index: 14}
	for _, o := range []dstack.Options{{Register: pcr14}, {Space: mrlog.PCR}} {
		got, d, err := read(lineV1+"\n", o)
		if err != nil || got[0].Register != pcr14 || got[0].Notes != 0 || d.Header().Space != mrlog.PCR || d.Header().SpaceAssumed {
			t.Errorf("%+v: %+v, %v", o, got, err)
		}
	}
	got, _, err := read("["+boot+"]", dstack.Options{Space: mrlog.PCR})
	if err != nil || got[0].Register != (mrlog.Register{Space: mrlog.PCR}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, _, err = read(lineV1+"\n", dstack.Options{Alg: mrlog.SHA256})
	if err != nil || len(got[0].Digests[0].Sum) != 32 || got[0].Digests[0].Alg != mrlog.SHA256 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, o := range []dstack.Options{{Space: mrlog.NV}, {Register: mrlog.Register{Index: 1}}, {Alg: 0x44}} {
		if _, _, err := read("[]", o); err == nil {
			t.Errorf("%+v is taken", o)
		}
		if _, err := write(nil, false, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestCannotCarry(t *testing.T) {
	records, _, err := read("["+apiV1+","+boot+"]", dstack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		lines  bool
		change func(*mrlog.Record)
		say    string
	}{
		{false, func(r *mrlog.Record) { r.Digests = nil }, "0 digests"},
		{false, func(r *mrlog.Record) { r.Digests = append(r.Digests, r.Digests[0]) }, "2 digests"},
		{false, func(r *mrlog.Record) { r.Digests[0] = mrlog.Digest{Alg: mrlog.SM3, Sum: make([]byte, 32)} }, "sm3_256"},
		{false, func(r *mrlog.Record) { r.Register.Space = mrlog.CCMR }, "ccmr3"},
		{false, func(r *mrlog.Record) { r.Type = mrlog.TypeCCCEL }, "neither"},
		{false, func(r *mrlog.Record) { r.Content = []byte("x") }, "not what dstack hashes"},
		{false, func(r *mrlog.Record) { r.Event, r.Content = 4, nil }, "left out"},
		{false, func(r *mrlog.Record) { r.NotExtended = true }, "extended"},
		{true, func(r *mrlog.Record) { r.Register.Index = 2 }, "rtmr2"},
		{true, func(r *mrlog.Record) { r.Digests[0].Sum[0]++ }, "not that of the event"},
		{true, func(r *mrlog.Record) { *r = records[1].Clone() }, "rtmr0"},
	} {
		r := records[0].Clone()
		test.change(&r)
		_, err := write([]mrlog.Record{r}, test.lines, dstack.Options{})
		if _, ok := errors.AsType[*mrlog.CarryError](err); !ok || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%v does not say %q", err, test.say)
		}
	}
	// What is refused leaves no trace.
	var buf bytes.Buffer
	w := dstack.NewWriter(&buf, dstack.Options{})
	bad := records[0].Clone()
	bad.Digests = nil
	if err := w.Write([]mrlog.Record{bad}); err == nil {
		t.Error("written")
	}
	if err := errors.Join(w.Write(records), w.Close(), w.Close()); err != nil || buf.String() != "["+apiV1+","+boot+"]\n" {
		t.Errorf("%s, %v", buf.String(), err)
	}
	if err := w.Write(records); err == nil {
		t.Error("written after Close")
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		"[" + boot + "]": true, " [ " + apiV2: true, lineV1 + "\n": true, lineV2[:40]: true, apiV1: false,
		"": false, "[": false, "{": false, "[]": false, "{}": false, `["imr","event_type"]`: false,
		`[{"recnum":0,"pcr":4,"digests":[],"content_type":"x","content":{"imr":0,"event_type":"EV"}}]`: false,
		`{"a":"\"event\":1,\"payload\":2"}`:                                     false,
		`[{"details":{},"digests":[],"event":"","index":1,"type_name":"EV_X"}]`: false,
	} {
		if dstack.Is([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestVectors(t *testing.T) {
	logtest.Vectors(t, "../testdata/vectors/dstack", func(log []byte) mrlog.Reader {
		return dstack.NewReader(bytes.NewReader(log), dstack.Options{})
	}, nil)
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"[" + boot + "," + apiV1 + "," + apiV2 + "]", lineV1 + "\n" + lineV2 + "\n", `[{"imr":1,"event_type":3,"event":"a:b","event_payload":"","digest":"","x":1}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		got, d, err := read(string(p), dstack.Options{})
		if err != nil {
			if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok {
				t.Fatal(err)
			}
		}
		lines := d.Header().Dialect == "lines"
		back, err := write(got, lines, dstack.Options{})
		if err != nil {
			t.Fatalf("%q is not written back: %v", p, err)
		}
		again, _, err := read(back, dstack.Options{})
		if diff := cmp.Diff(got, again, cmpopts.IgnoreFields(mrlog.Record{}, "Span", "Notes"), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%q, read again: %v, %s", back, err, diff)
		}
		for i := range again {
			if again[i].Notes&mrlog.NoteNonCanonical != 0 {
				t.Fatalf("%q is not canonical", back)
			}
			if s := string(p[got[i].Span.Offset:][:got[i].Span.Length]); (got[i].Notes&mrlog.NoteNonCanonical == 0) && !strings.Contains(back, s) {
				t.Fatalf("%q is not written back, and not noted", s)
			}
		}
	})
}
