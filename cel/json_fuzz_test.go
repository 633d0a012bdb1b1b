// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"mrlog.dev"
)

// drawJSONRecord draws a record that JSON can carry.
func drawJSONRecord(t *rapid.T) mrlog.Record {
	data := func(label string, n int) []byte { return rapid.SliceOfN(rapid.Byte(), 0, n).Draw(t, label) }
	text := func(label string) []byte {
		s := rapid.OneOf(
			rapid.String(),
			rapid.StringOf(rapid.SampledFrom([]rune("ab \t\n\r\x00\x1f\x7f\"\\/é€😀\ufffd\u2028"))),
			rapid.StringMatching(`[ -~]{0,60}`),
		).Draw(t, label)
		return []byte(strings.ToValidUTF8(s, "?"))
	}
	value := func(label string) []byte {
		v := drawJSONValue(t, 4)
		if !jsontext.Value(v).IsValid() {
			t.Fatalf("drawn value %s", v)
		}
		return v
	}
	r := mrlog.Record{HasNumber: rapid.Bool().Draw(t, "has number")}
	if r.HasNumber {
		r.Number = rapid.Uint64().Draw(t, "number")
	}
	r.Register.Space = rapid.SampledFrom([]mrlog.Space{mrlog.PCR, mrlog.CCMR, mrlog.RTMR, mrlog.NV}).Draw(t, "space")
	if r.Register.Space == mrlog.NV {
		r.Register.Index = rapid.Uint32().Draw(t, "index")
	} else {
		r.Register.Index = rapid.OneOf(rapid.Uint32Range(0, 5), rapid.Uint32Range(0, mrlog.MaxIndex)).Draw(t, "index")
	}
	algs := rapid.SliceOfNDistinct(rapid.OneOf(rapid.SampledFrom(mrlog.Known()), rapid.Custom(func(t *rapid.T) mrlog.Alg {
		return mrlog.Alg(rapid.Uint16Range(1, 0xFFFF).Draw(t, "id"))
	})), 1, mrlog.MaxDigests, rapid.ID).Draw(t, "algs")
	for _, a := range algs {
		n := a.Size()
		if n == 0 {
			n = rapid.IntRange(1, mrlog.MaxUnknownDigestSize).Draw(t, "size")
		}
		sum := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "sum")
		r.Digests = append(r.Digests, mrlog.Digest{Alg: a, Sum: sum})
	}
	switch rapid.IntRange(0, 9).Draw(t, "content") {
	case 0, 1:
		r.Type, r.Content = mrlog.TypeCCCEL, text("line")
	case 2:
		r.Type, r.Content = mrlog.TypePCClient, data("event", 40)
		r.Event = rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32Range(0x80000000, 0x800000F0), rapid.Uint32()).Draw(t, "type")
	case 3:
		r.Type, r.Name, r.Content = mrlog.TypeIMATemplate, text("template"), data("ima", 40)
	case 4:
		r.Type = rapid.SampledFrom([]mrlog.ContentType{mrlog.TypeIMATLV, mrlog.TypeSystemd, 80, 200, MaxType}).Draw(t, "type")
		r.Content = data("data", 40)
	case 5:
		r.Type, r.Form = mrlog.TypeCEL, mrlog.FormTLV
		for range rapid.IntRange(1, 3).Draw(t, "events") {
			m := Management{Type: rapid.SampledFrom([]ManagementType{CELVersion, FirmwareEnd, Timestamp, StateTrans}).Draw(t, "event")}
			switch m.Type {
			case CELVersion:
				m.Major, m.Minor = rapid.Uint16().Draw(t, "major"), rapid.Uint16().Draw(t, "minor")
			case Timestamp, StateTrans:
				m.Value = rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64()).Draw(t, "value")
			}
			r.Content = m.Append(r.Content)
		}
	case 6:
		r.Type, r.Form, r.Content = mrlog.TypeNamed, mrlog.FormJSON, value("value")
		r.Name = append([]byte("x"), text("name")...)
	default:
		r.Form = mrlog.FormJSON
		r.Type = rapid.SampledFrom([]mrlog.ContentType{mrlog.TypeSystemd, mrlog.TypePCClient, mrlog.TypeCEL, mrlog.TypeIMATLV, 80}).Draw(t, "type")
		r.Content = append(append([]byte(`{"mrlog":`), value("value")...), '}')
	}
	r.NotExtended = notExtended(&r)
	return r
}

// drawJSONValue draws a JSON value with white space and escapes of all kinds.
func drawJSONValue(t *rapid.T, depth int) []byte {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 3)
	}
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n", "\t\r"}).Draw(t, "space") }
	switch kind {
	case 0:
		return []byte(rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal"))
	case 1:
		return []byte(rapid.StringMatching(`-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number"))
	case 2, 3:
		return []byte(rapid.StringMatching(`"([a-zé€ ]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\ud83d\\ude0[0-9]){0,9}"`).Draw(t, "string"))
	}
	open, shut := "[", "]"
	if kind == 4 {
		open, shut = "{", "}"
	}
	out := []byte(open + space())
	for i := range rapid.IntRange(0, 3).Draw(t, "length") {
		if i > 0 {
			out = append(out, space()+","+space()...)
		}
		if kind == 4 {
			out = fmt.Appendf(out, `"%c"%s:%s`, 'a'+i, space(), space())
		}
		out = append(out, drawJSONValue(t, depth-1)...)
	}
	return append(out, space()+shut...)
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(drawJSONRecord), 0, 4).Draw(t, "records")
		for i, open := range []func(io.Writer) mrlog.Writer{arrayWriter, envelopeWriter, seqWriter} {
			text, err := writeJSON(open, records)
			if err != nil {
				t.Fatalf("writer %d: %v", i, err)
			}
			got, err := readJSON(jsonReaderOf(text))
			if err != nil {
				t.Fatalf("writer %d: %v in %s", i, err, text)
			}
			if diff := diffRecords(records, got); diff != "" {
				t.Fatalf("writer %d: %s", i, diff)
			}
			for j, r := range got {
				if r.Notes != plainNotes(r) {
					t.Fatalf("writer %d: record %d has notes %d in %s", i, j, r.Notes, text)
				}
			}
			if i < 2 && !jsontext.Value(text).IsValid() {
				t.Fatalf("writer %d: another parser refuses %s", i, text)
			}
		}
	})
}

// checkJSONFuzz checks what must hold for any input: a fault has a place in
// it; what is accepted is valid JSON to another parser; what is written of it
// reads as the same records; and those are then written as the same bytes.
func checkJSONFuzz(t *testing.T, in []byte, records []mrlog.Record, err error, open func(io.Writer) mrlog.Writer) {
	if err != nil {
		fault, ok := errors.AsType[*mrlog.SyntaxError](err)
		if !ok || fault.Offset < 0 || fault.Offset > int64(len(in)) || fault.Record < -1 || fault.Record > int64(len(records)) {
			t.Fatalf("%v after %d records", err, len(records))
		}
	}
	for i, r := range records {
		span := in[r.Span.Offset:][:r.Span.Length]
		if !jsontext.Value(span).IsValid() {
			t.Fatalf("record %d is accepted, and another parser refuses it: %q", i, span)
		}
	}
	text, err := writeJSON(open, records)
	if err != nil {
		t.Fatalf("%v in what was read", err)
	}
	again, err := readJSON(jsonReaderOf(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if diff := diffRecords(records, again); diff != "" {
		t.Fatal(diff)
	}
	for i, r := range again {
		if r.Notes != plainNotes(r) {
			t.Fatalf("record %d was written by us and is not canonical in %q", i, text)
		}
		span := in[records[i].Span.Offset:][:records[i].Span.Length]
		written := text[r.Span.Offset:][:r.Span.Length]
		if same := bytes.Equal(span, written); same != (records[i].Notes&mrlog.NoteNonCanonical == 0) {
			t.Fatalf("record %d has notes %d: read %q, written %q", i, records[i].Notes, span, written)
		}
	}
	twice, err := writeJSON(open, again)
	if err != nil || !bytes.Equal(text, twice) {
		t.Fatalf("%q is written as %q, %v", text, twice, err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(sampleArray))
	f.Add([]byte(`{"mr":"00","log":[` + systemdRecord + "]}"))
	f.Add([]byte(systemdRecord + "\n" + systemdRecord))
	for _, content := range []string{
		`"pcclient_std","content":{"event_type":"EV_SEPARATOR","event_data":"00"}`,
		`"ima_template","content":{"template_name":"ima-ng","template_data":"00"}`,
		`"cel","content":[{"type":"cel_version","data":{"major":1,"minor":1}},{"cel_timestamp":1},{"type":"state_trans","data":"kexec"}]`,
		`200,"content":"00"`,
		`"tss2","content":{"data":"00","event":{"a":[null,1.5e3,"\u00e9"]}}`,
	} {
		f.Add([]byte(`[{"pcr":0,"space":"ccmr","digests":[{"hashAlg":"0x44","digest":"00"}],"content_type":` + content + `}]`))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewJSONReader(bytes.NewReader(in), Options{})
		records, err := readJSON(r)
		checkJSONFuzz(t, in, records, err, arrayWriter)
		if err == nil && r.Header().Dialect != "lines" && !jsontext.Value(in).IsValid() {
			t.Fatalf("%q is accepted, and another parser refuses it", in)
		}
	})
}

func FuzzSeq(f *testing.F) {
	f.Add([]byte("\x1E" + systemdRecord + "\n"))
	f.Add([]byte("\x1E" + systemdRecord + "\n\x1E{\"pcr\":1"))
	f.Add([]byte("\x1E" + strings.NewReplacer("[", "", "]\n", "\n", "},\n", "}\n\x1E").Replace(sampleArray)))
	f.Fuzz(func(t *testing.T, in []byte) {
		records, err := readJSON(NewSeqReader(bytes.NewReader(in), Options{}))
		checkJSONFuzz(t, in, records, err, seqWriter)
	})
}

// Whole tokens are exchanged, so that many mutants are accepted, and the rest
// is refused for something deeper than its grammar.
func TestJSONMutants(t *testing.T) {
	tokens := strings.Fields(`"recnum" "pcr" "nv_index" "space" "digests" "content_type" "content" "hashAlg" "digest"
		"sha1" "SHA1" "sha384" "0x44" "0x0044" "0X0044" 68 4 0 -0 1e1 7 16777216 18446744073709551615 18446744073709551616
		"0102030405060708090a0b0c0d0e0f1011121314" "0102030405060708090A0b0c0d0e0f1011121314" "" "00" "0" "aB" "\u0030\u0030"
		"CC-CEL" "cel" "pcclient_std" "ima_template" "ima_tlv" "systemd" "tss2" 204 5 7 8 9 80 4294967294 4294967295
		"event_type" "event_data" "EV_SEPARATOR" "ev_separator" "4" "EV_NO_ACTION" 3 "3" "03"
		"template_name" "template_data" "ima-ng" "type" "data" "cel_version" "firmware_end" "cel_timestamp" "state_trans"
		"major" "minor" 1 "kexec" 2 128 "pcr" "ccmr" "rtmr" "nv"
		"\u000a" "\u001F" "\n" "\/" "\\\"" "é" "\u00e9" "\ud83d\ude00" "\ud800" null true [] {} [1] {"a":1}
		{ } [ ] , : ,, "log" "mr"`)
	seeds := []string{
		sampleArray,
		`{"log":[` + systemdRecord + `],"mr":"00"}`,
		systemdRecord + "\n" + systemdRecord,
		"[" + jsonRecordText(`"pcclient_std"`, `{"event_type":"EV_SEPARATOR","event_data":"00"}`) + "]",
		"[" + jsonRecordText(`"ima_template"`, `{"template_name":"ima-ng","template_data":"00"}`) + "]",
		"[" + jsonRecordText(`"cel"`, `{"type":"cel_version","data":{"major":1,"minor":1}}`) + "]",
		"[" + jsonRecordText(`"cel"`, `[{"type":"state_trans","data":"kexec"},{"cel_timestamp":4}]`) + "]",
		"[" + jsonRecordText(`"systemd"`, `"00"`) + "]",
		"[" + jsonRecordText(`80`, `"00"`) + "]",
		"[" + jsonRecordText(`"tss2"`, `{"data":"00","event":null}`) + "]",
		"[" + strings.Replace(jsonRecordText(`80`, `"00"`), `"pcr":7`, `"pcr":2,"space":"rtmr"`, 1) + "]",
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	const runs = 4000
	for range runs {
		parts := splitJSON(seeds[rnd.IntN(len(seeds))])
		for range 1 + rnd.IntN(3) {
			i, j := rnd.IntN(len(parts)), rnd.IntN(len(parts))
			switch rnd.IntN(5) {
			case 0:
				parts[i], parts[j] = parts[j], parts[i]
			case 1:
				parts[i] = parts[j]
			case 2:
				parts[i] = " " + parts[i]
			default:
				parts[i] = tokens[rnd.IntN(len(tokens))]
			}
		}
		in := strings.Join(parts, "")
		records, err := readJSON(NewJSONReader(strings.NewReader(in), Options{}))
		if err == nil {
			accepted++
		}
		checkJSONFuzz(t, []byte(in), records, err, arrayWriter)
		if t.Failed() {
			t.Fatal(in)
		}
	}
	if accepted < runs/20 || accepted > runs-runs/20 {
		t.Errorf("%d of %d mutants are accepted: the test tests little", accepted, runs)
	}
}

// splitJSON splits a valid text into tokens.
func splitJSON(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		w := jsonWalk{p: []byte(text), i: i}
		switch text[i] {
		case '{', '}', '[', ']', ',', ':', '\n':
			w.i++
		default:
			for w.value(); w.i < len(text) && text[w.i] != ',' && text[w.i] != ':' && text[w.i] != '}' && text[w.i] != ']'; {
				w.i++
			}
		}
		out = append(out, text[i:w.i])
		i = w.i
	}
	return out
}
