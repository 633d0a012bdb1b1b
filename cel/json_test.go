// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/internal/reallogs"
)

// readJSON returns clones of all records of r, and the error that ended the
// log if it was not io.EOF.
func readJSON(r mrlog.Reader) ([]mrlog.Record, error) {
	var records []mrlog.Record
	var b mrlog.Batch
	for {
		err := r.Read(&b)
		if err != nil {
			if len(b.Records) != 0 {
				return nil, fmt.Errorf("%d records together with error %w", len(b.Records), err)
			}
			if again := r.Read(&b); !errors.Is(again, err) {
				return nil, fmt.Errorf("error %w was followed by %w", err, again)
			}
			if err == io.EOF {
				err = nil
			}
			return records, err
		}
		for i := range b.Records {
			records = append(records, b.Records[i].Clone())
		}
	}
}

// writeJSON returns what open's writer makes of the records.
func writeJSON(open func(io.Writer) mrlog.Writer, records []mrlog.Record) ([]byte, error) {
	var out bytes.Buffer
	w := open(&out)
	err := w.Write(records)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return out.Bytes(), err
}

func arrayWriter(w io.Writer) mrlog.Writer { return NewJSONWriter(w) }
func seqWriter(w io.Writer) mrlog.Writer   { return NewSeqWriter(w) }
func envelopeWriter(w io.Writer) mrlog.Writer {
	return NewEnvelopeWriter(w, func() ([]byte, error) { return []byte{0xAB, 0xCD}, nil })
}

// jsonRecordText wraps a content type and content in a record that is otherwise
// canonical.
func jsonRecordText(contentType, content string) string {
	return `{"recnum":0,"pcr":7,"digests":[{"hashAlg":"sha1","digest":"0102030405060708090a0b0c0d0e0f1011121314"}],` +
		`"content_type":` + contentType + `,"content":` + content + `}`
}

func readOne(t *testing.T, text string) mrlog.Record {
	t.Helper()
	records, err := readJSON(NewJSONReader(strings.NewReader("["+text+"]"), Options{}))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if len(records) != 1 {
		t.Fatalf("%s: %d records", text, len(records))
	}
	return records[0]
}

var sampleLines = []string{
	"INIT sha384/" + strings.Repeat("0", 96),
	"github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef",
	`github.com/confidential-containers EventWithJSONParams { "key1":"value1\tmore values and 'quotes'\n", "key2": [ "value2", 2, true, null ] }`,
}

func sampleRecords() []mrlog.Record {
	var records []mrlog.Record
	for i, line := range sampleLines {
		records = append(records, mrlog.Record{
			Number: uint64(i), HasNumber: true,
			Register: mrlog.Register{Space: mrlog.RTMR, Index: 2},
			Digests:  []mrlog.Digest{{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, []byte(line))}},
			Type:     mrlog.TypeCCCEL,
			Content:  []byte(line),
		})
	}
	return records
}

const sampleMR = "4693cf54a9c8b386c67290abfa981696fe07d985d06e7f06c6929370db90bbb647faff2bc0375d270aa2f0dd42635568"

const sampleArray = `[{"recnum":0,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"5d97ae953f7b03a1e93f58f9d621f84d1bdf053d1ec5ad2461262a938ecd4ed4d42d3c5c42084828da1c8051a6c08e6a"}],"content_type":"CC-CEL","content":"INIT sha384/000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"},
{"recnum":1,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"98cfd27eaba5b57ee1b9bbb2da9886ec9ebc40ef428ffd5eda1a4024039beed7d0f4b46b2e63bb419780f619add308ef"}],"content_type":"CC-CEL","content":"github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef"},
{"recnum":2,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"dfcf2f7ac9a8e19cbe4233837a1cd34a4c6517a8d6852aa8a566e1f43b39dc1f32bcb51fa4e6c7a139c844ab5c766361"}],"content_type":"CC-CEL","content":"github.com/confidential-containers EventWithJSONParams { \"key1\":\"value1\\tmore values and 'quotes'\\n\", \"key2\": [ \"value2\", 2, true, null ] }"}]
`

func sampleEnvelope(w io.Writer) mrlog.Writer {
	return NewEnvelopeWriter(w, func() ([]byte, error) { return hex.DecodeString(sampleMR) })
}

func TestJSONSampleWritten(t *testing.T) {
	got, err := writeJSON(arrayWriter, sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleArray, string(got)); diff != "" {
		t.Error(diff)
	}
	got, err = writeJSON(sampleEnvelope, sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"log":` + strings.TrimSuffix(sampleArray, "\n") + `,"mr":"` + sampleMR + "\"}\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	got, err = writeJSON(seqWriter, sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	want = "\x1E" + strings.ReplaceAll(sampleArray[1:len(sampleArray)-2], "},\n{\"recnum", "}\n\x1E{\"recnum") + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestJSONSampleRead(t *testing.T) {
	want := sampleRecords()
	lines := strings.ReplaceAll(sampleArray[1:len(sampleArray)-2], "},\n{\"recnum", "}\n{\"recnum")
	log := strings.TrimSpace(sampleArray)
	for _, test := range []struct{ dialect, text, mr string }{
		{"array", sampleArray, ""},
		{"array", " \r\n\t" + sampleArray + "\n\n ", ""},
		{"envelope", `{"log":` + log + `}`, ""},
		{"envelope", `{"log":` + log + `,"mr":"` + sampleMR + `"}`, sampleMR},
		{"envelope", "\n{ \"mr\" : \"" + strings.ToUpper(sampleMR) + "\" , \"log\" : " + log + " } \n", strings.ToUpper(sampleMR)},
		{"envelope", `{"\u006dr":"\u0061b","lo\u0067":` + log + `}`, "ab"},
		{"envelope", strings.Repeat(" ", 100_000) + "{" + strings.Repeat("\n", 100_000) + `"log":` + log + "}", ""},
		{"lines", lines, ""},
		{"lines", "\n" + lines + "\n", ""},
		{"lines", lines[:strings.Index(lines, "\n")], ""},
	} {
		for _, one := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.text)
			if one {
				in = iotest.OneByteReader(in)
			}
			r := NewJSONReader(in, Options{})
			got, err := readJSON(r)
			if err != nil {
				t.Errorf("%.60q: %v", test.text, err)
				continue
			}
			want := want[:len(got)]
			if diff := diffRecords(want, got); diff != "" || len(got) == 0 {
				t.Errorf("%.60q: %s", test.text, diff)
			}
			head := mrlog.Header{Format: "cel-json", Dialect: test.dialect, Space: mrlog.RTMR, SpaceAssumed: true}
			if diff := cmp.Diff(head, r.Header()); diff != "" {
				t.Errorf("%.60q: %s", test.text, diff)
			}
			if mr, ok := r.MR(); mr != test.mr || ok != (mr != "") {
				t.Errorf("%.60q: mr %q %v", test.text, mr, ok)
			}
			for i, r := range got {
				if s := test.text[r.Span.Offset:][:r.Span.Length]; s[0] != '{' || !strings.HasSuffix(s, `"}`) {
					t.Errorf("span of %.80q", s)
				}
				line := 0
				if test.dialect == "lines" {
					line = 1 + strings.Count(test.text[:r.Span.Offset], "\n")
				}
				if r.Span.Line != line {
					t.Errorf("record %d is on line %d, want %d", i, r.Span.Line, line)
				}
				if r.Notes != mrlog.NoteSpaceAssumed {
					t.Errorf("record %d has notes %d", i, r.Notes)
				}
			}
		}
	}
}

func TestJSONCorpusSample(t *testing.T) {
	published, err := os.ReadFile(reallogs.Path(t, "nelr/sample.envelope.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewJSONReader(bytes.NewReader(published), Options{})
	records, err := readJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffRecords(sampleRecords(), records); diff != "" {
		t.Error(diff)
	}
	if mr, _ := r.MR(); mr != sampleMR {
		t.Errorf("mr %s", mr)
	}
	written, err := writeJSON(sampleEnvelope, records)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(published, &want), json.Unmarshal(written, &got)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s differs from the published object", written)
	}
}

func TestJSONEmpty(t *testing.T) {
	for _, text := range []string{"[]", " [ \n] ", `{"log":[]}`, `{"mr":"00","log":[]}`} {
		if got, err := readJSON(NewJSONReader(strings.NewReader(text), Options{})); err != nil || len(got) != 0 {
			t.Errorf("%s: %d records, %v", text, len(got), err)
		}
	}
	if got, err := readJSON(NewSeqReader(strings.NewReader(""), Options{})); err != nil || len(got) != 0 {
		t.Errorf("sequence: %d records, %v", len(got), err)
	}
	for want, open := range map[string]func(io.Writer) mrlog.Writer{
		"[]\n": arrayWriter, "{\"log\":[],\"mr\":\"abcd\"}\n": envelopeWriter, "": seqWriter,
	} {
		if got, err := writeJSON(open, nil); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// systemd's own example, FORMATS 2.3.
const systemdRecord = `{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed"}],"content_type":"systemd","content":{"string":"enter-initrd","bootId":"0123456789abcdef0123456789abcdef","timestamp":1234567,"eventType":"phase"}}`

func TestSeqSystemd(t *testing.T) {
	text := "\x1E" + systemdRecord + "\n\x1E" + strings.Replace(systemdRecord, `"pcr":11`, `"nv_index":30474752`, 1) + "\n"
	for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		r := NewSeqReader(in, Options{})
		got, err := readJSON(r)
		if err != nil {
			t.Fatal(err)
		}
		want := mrlog.Record{
			Register: mrlog.Register{Space: mrlog.PCR, Index: 11},
			Digests:  []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, []byte("enter-initrd"))}},
			Type:     mrlog.TypeSystemd,
			Form:     mrlog.FormJSON,
			Content:  []byte(`{"string":"enter-initrd","bootId":"0123456789abcdef0123456789abcdef","timestamp":1234567,"eventType":"phase"}`),
			Span:     mrlog.Span{Offset: 1, Length: len(systemdRecord), Line: 1},
		}
		nv := want.Clone()
		nv.Register = mrlog.Register{Space: mrlog.NV, Index: 30474752}
		nv.Span = mrlog.Span{Offset: int64(len(systemdRecord) + 3), Length: len(systemdRecord) + 11, Line: 2}
		if diff := cmp.Diff([]mrlog.Record{want, nv}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(mrlog.Header{Format: "cel-seq", Space: mrlog.PCR}, r.Header()); diff != "" {
			t.Error(diff)
		}
		if back, err := writeJSON(seqWriter, got); err != nil || string(back) != text {
			t.Errorf("written as %q, %v", back, err)
		}
	}
}

// systemd-pcrlock's form, FORMATS 2.4: recnum after pcr, counted over the log.
func TestJSONPCRLock(t *testing.T) {
	text := `[{"pcr":4,"recnum":1,"digests":[{"hashAlg":"sha256","digest":"df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"}],"content_type":"pcclient_std","content":{"event_type":"EV_SEPARATOR","event_data":"00000000"}},` +
		`{"pcr":5,"recnum":2,"digests":[{"hashAlg":"sha256","digest":"df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"}],"content_type":"pcclient_std","content":{"event_type":"2147483871","event_data":""}},` +
		strings.Replace(systemdRecord, `"pcr":11,`, `"pcr":11,"recnum":3,`, 1) + `]`
	d := NewJSONReader(strings.NewReader(text), Options{})
	got, err := readJSON(d)
	if err != nil {
		t.Fatal(err)
	}
	if h := d.Header(); h.Dialect != "pcrlock" {
		t.Errorf("dialect %q", h.Dialect)
	}
	for i, r := range got {
		if r.Number != uint64(i+1) || !r.HasNumber || r.Register.Space != mrlog.PCR || r.Notes != mrlog.NoteNonCanonical {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if got[0].Event != 4 || !bytes.Equal(got[0].Content, make([]byte, 4)) || got[1].Event != 0x800000DF {
		t.Errorf("%+v", got)
	}
	back, err := writeJSON(arrayWriter, got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(back, []byte(`[{"recnum":1,"pcr":4,`)) || !bytes.Contains(back, []byte(`{"event_type":2147483871,"event_data":""}`)) {
		t.Errorf("%s", back)
	}
}

// Every shape of the table of contents: what it is read as, and how it is
// written then.
func TestJSONContents(t *testing.T) {
	tlv := func(events ...Management) string {
		var b []byte
		for _, m := range events {
			b = m.Append(b)
		}
		return string(b)
	}
	type shape struct {
		contentType, content string
		want                 mrlog.Record // Type, Form, Name, Event, NotExtended
		bytes                string
		written              string // content; "" if as it stood
		notes                mrlog.Note
	}
	const loose = mrlog.NoteNonCanonical
	pc := mrlog.Record{Type: mrlog.TypePCClient}
	pcEvent := func(n uint32) mrlog.Record { r := pc; r.Event, r.NotExtended = n, n == 3; return r }
	verbatim := func(typ mrlog.ContentType) mrlog.Record { return mrlog.Record{Type: typ, Form: mrlog.FormJSON} }
	raw := func(typ mrlog.ContentType) mrlog.Record { return mrlog.Record{Type: typ} }
	cel := mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV}
	celInfo := cel
	celInfo.NotExtended = true
	named := func(name string) mrlog.Record {
		return mrlog.Record{Type: mrlog.TypeNamed, Form: mrlog.FormJSON, Name: []byte(name)}
	}
	version := Management{Type: CELVersion, Major: 1, Minor: 1}
	for _, s := range []shape{
		{`"CC-CEL"`, `"a b"`, raw(mrlog.TypeCCCEL), "a b", "", 0},
		{`204`, `"a b"`, raw(mrlog.TypeCCCEL), "a b", "", loose},
		{`"CC\u002dCEL"`, `"\u00e9\u20ac\ud83d\ude00\/\u000A"`, raw(mrlog.TypeCCCEL), "é€😀/\n", `"é€😀/\n"`, loose},
		{`"CC-CEL"`, `"\u0000\u001f\b\t\n\f\r\"\\"`, raw(mrlog.TypeCCCEL), "\x00\x1F\b\t\n\f\r\"\\", "", 0},

		{`"pcclient_std"`, `{"event_type":"EV_SEPARATOR","event_data":"00ff"}`, pcEvent(4), "\x00\xFF", "", 0},
		{`5`, `{"event_type":"EV_SEPARATOR","event_data":"00ff"}`, pcEvent(4), "\x00\xFF", "", loose},
		{`"pcclient_std"`, `{"event_type":"ev_separator","event_data":""}`, pcEvent(4), "", `{"event_type":"EV_SEPARATOR","event_data":""}`, loose},
		{`"pcclient_std"`, `{"event_type":4,"event_data":"FF"}`, pcEvent(4), "\xFF", `{"event_type":"EV_SEPARATOR","event_data":"ff"}`, loose},
		{`"pcclient_std"`, `{"event_data":"","event_type":"2147483871"}`, pcEvent(0x800000DF), "", `{"event_type":2147483871,"event_data":""}`, loose},
		{`"pcclient_std"`, `{"event_type":2147483871,"event_data":""}`, pcEvent(0x800000DF), "", "", 0},
		{`"pcclient_std"`, `{"event_type":"EV_NO_ACTION","event_data":""}`, pcEvent(3), "", "", 0},
		{`"pcclient_std"`, `{ "event_type":"EV_NO_ACTION","event_data":"0","x":[ 1 ]}`, verbatim(mrlog.TypePCClient), `{ "event_type":"EV_NO_ACTION","event_data":"0","x":[ 1 ]}`, "", 0},
		{`"pcclient_std"`, `{"event_type":"EV_NEW","event_data":""}`, verbatim(mrlog.TypePCClient), `{"event_type":"EV_NEW","event_data":""}`, "", 0},
		{`"pcclient_std"`, `{"event_type":4294967296,"event_data":""}`, verbatim(mrlog.TypePCClient), `{"event_type":4294967296,"event_data":""}`, "", 0},
		{`"pcclient_std"`, `{"event_type":4}`, verbatim(mrlog.TypePCClient), `{"event_type":4}`, "", 0},
		{`"pcclient_std"`, `null`, verbatim(mrlog.TypePCClient), `null`, "", 0},

		{`"ima_template"`, `{"template_name":"ima-ng","template_data":"0102"}`, mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng")}, "\x01\x02", "", 0},
		{`"ima_template"`, `{"template_data":"0102"}`, raw(mrlog.TypeIMATemplate), "\x01\x02", "", 0},
		{`"ima_template"`, `{"template_data":"AB","template_name":"ima"}`, mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima")}, "\xAB", `{"template_name":"ima","template_data":"ab"}`, loose},
		{`"ima_template"`, `{"template_name":"","template_data":"01"}`, verbatim(mrlog.TypeIMATemplate), `{"template_name":"","template_data":"01"}`, "", 0},
		{`"ima_tlv"`, `"0001"`, raw(mrlog.TypeIMATLV), "\x00\x01", "", 0},
		{`"ima_tlv"`, `"00zz"`, verbatim(mrlog.TypeIMATLV), `"00zz"`, "", 0},

		{`"systemd"`, `"68690a"`, raw(mrlog.TypeSystemd), "hi\n", "", 0},
		{`"systemd"`, `""`, raw(mrlog.TypeSystemd), "", "", 0},
		{`"systemd"`, `"6\u0038"`, raw(mrlog.TypeSystemd), "h", `"68"`, loose},
		{`"systemd"`, `"phase"`, verbatim(mrlog.TypeSystemd), `"phase"`, "", 0},
		{`"systemd"`, `{"string": "x\/"}`, verbatim(mrlog.TypeSystemd), `{"string": "x\/"}`, "", 0},

		{`"cel"`, `{"type":"cel_version","data":{"major":1,"minor":1}}`, celInfo, tlv(version), "", 0},
		{`"cel"`, `{"type":"firmware_end"}`, celInfo, tlv(Management{Type: FirmwareEnd}), "", 0},
		{`"cel"`, `{"type":"cel_timestamp","data":18446744073709551615}`, cel, tlv(Management{Type: Timestamp, Value: 1<<64 - 1}), "", 0},
		{`"cel"`, `{"type":"state_trans","data":"kexec"}`, cel, tlv(Management{Type: StateTrans, Value: StateKexec}), "", 0},
		{`"cel"`, `{"data":2,"type":"state_trans"}`, cel, tlv(Management{Type: StateTrans, Value: StateKexec}), `{"type":"state_trans","data":"kexec"}`, loose},
		{`"cel"`, `{"type":"state_trans","data":9}`, cel, tlv(Management{Type: StateTrans, Value: 9}), "", 0},
		{`"cel"`, `[{"type":"cel_version","data":{"major":1,"minor":1}},{"type":"firmware_end"}]`, celInfo, tlv(version, Management{Type: FirmwareEnd}), "", 0},
		{`"cel"`, `[{"type":"cel_version","data":{"minor":1,"major":1}},{"cel_timestamp":3}]`, cel, tlv(version, Management{Type: Timestamp, Value: 3}), `[{"type":"cel_version","data":{"major":1,"minor":1}},{"type":"cel_timestamp","data":3}]`, loose},
		{`"cel"`, `[{"type":"firmware_end"}]`, celInfo, tlv(Management{Type: FirmwareEnd}), `{"type":"firmware_end"}`, loose},
		{`"cel"`, `{"cel_timestamp":5}`, cel, tlv(Management{Type: Timestamp, Value: 5}), `{"type":"cel_timestamp","data":5}`, loose},
		{`4`, `{"cel_version":{"major":1,"minor":1}}`, celInfo, tlv(version), `{"type":"cel_version","data":{"major":1,"minor":1}}`, loose},
		{`"cel"`, `[]`, verbatim(mrlog.TypeCEL), `[]`, "", 0},
		{`"cel"`, `{}`, verbatim(mrlog.TypeCEL), `{}`, "", 0},
		{`"cel"`, `{"type":"firmware_end","data":0}`, verbatim(mrlog.TypeCEL), `{"type":"firmware_end","data":0}`, "", 0},
		{`"cel"`, `{"type":"cel_timestamp","data":1,"more":2}`, verbatim(mrlog.TypeCEL), `{"type":"cel_timestamp","data":1,"more":2}`, "", 0},
		{`"cel"`, `{"type":"cel_timestamp","cel_timestamp":1}`, verbatim(mrlog.TypeCEL), `{"type":"cel_timestamp","cel_timestamp":1}`, "", 0},
		{`"cel"`, `{"type":"cel_version","data":{"major":1}}`, verbatim(mrlog.TypeCEL), `{"type":"cel_version","data":{"major":1}}`, "", 0},
		{`"cel"`, `{"type":"cel_version","data":{"major":1,"minor":65536}}`, verbatim(mrlog.TypeCEL), `{"type":"cel_version","data":{"major":1,"minor":65536}}`, "", 0},
		{`"cel"`, `{"type":"unknown"}`, verbatim(mrlog.TypeCEL), `{"type":"unknown"}`, "", 0},

		{`80`, `"00ff"`, raw(80), "\x00\xFF", "", 0},
		{`80`, `""`, raw(80), "", "", 0},
		{`80`, `"00FF"`, verbatim(80), `"00FF"`, "", 0},
		{`80`, `"00f"`, verbatim(80), `"00f"`, "", 0},
		{`4294967294`, `{"a":[1.5e3,true]}`, verbatim(4294967294), `{"a":[1.5e3,true]}`, "", 0},
		{`"tss2"`, `{"data":"00","event":{"a": null}}`, named("tss2"), `{"data":"00","event":{"a": null}}`, "", 0},
		{`"t\"é"`, `"00"`, named(`t"é`), `"00"`, "", 0},
		{`"5"`, `-0.0`, named(`5`), `-0.0`, "", 0},
	} {
		text := jsonRecordText(s.contentType, s.content)
		got := readOne(t, text)
		if got.Type != s.want.Type || got.Form != s.want.Form || !bytes.Equal(got.Name, s.want.Name) || got.Event != s.want.Event ||
			got.NotExtended != s.want.NotExtended || string(got.Content) != s.bytes || got.Notes != s.notes {
			t.Errorf("%s %s: read as %+v", s.contentType, s.content, got)
		}
		back, err := writeJSON(arrayWriter, []mrlog.Record{got})
		if err != nil {
			t.Errorf("%s %s: %v", s.contentType, s.content, err)
			continue
		}
		written := s.written
		if written == "" {
			written = s.content
		}
		if !bytes.HasSuffix(back, []byte(`,"content":`+written+"}]\n")) {
			t.Errorf("%s %s: written as %s", s.contentType, s.content, back)
		}
		if canonical := s.notes == 0; canonical != (string(back) == "["+text+"]\n") {
			t.Errorf("%s %s: notes are %d, written as %s", s.contentType, s.content, s.notes, back)
		}
	}
}

func TestJSONRegisters(t *testing.T) {
	line := `"CC-CEL"`
	for _, test := range []struct {
		index, contentType string
		space              mrlog.Space // of the options
		want               mrlog.Register
		assumed            bool
	}{
		{`"pcr":2`, `80`, 0, mrlog.Register{Space: mrlog.PCR, Index: 2}, false},
		{`"pcr":16777215`, `80`, 0, mrlog.Register{Space: mrlog.PCR, Index: mrlog.MaxIndex}, false},
		{`"pcr":3`, line, 0, mrlog.Register{Space: mrlog.RTMR, Index: 3}, true},
		{`"pcr":4`, line, 0, mrlog.Register{Space: mrlog.PCR, Index: 4}, false},
		{`"pcr":3`, line, mrlog.PCR, mrlog.Register{Space: mrlog.PCR, Index: 3}, false},
		{`"pcr":3`, line, mrlog.CCMR, mrlog.Register{Space: mrlog.CCMR, Index: 3}, false},
		{`"pcr":3,"space":"pcr"`, line, mrlog.CCMR, mrlog.Register{Space: mrlog.PCR, Index: 3}, false},
		{`"pcr":3,"space":"ccmr"`, `80`, 0, mrlog.Register{Space: mrlog.CCMR, Index: 3}, false},
		{`"pcr":4,"space":"rtmr"`, line, 0, mrlog.Register{Space: mrlog.RTMR, Index: 4}, false},
		{`"nv_index":4294967295`, `80`, mrlog.CCMR, mrlog.Register{Space: mrlog.NV, Index: 4294967295}, false},
	} {
		text := strings.Replace("["+jsonRecordText(test.contentType, `""`)+"]", `"pcr":7`, test.index, 1)
		r := NewJSONReader(strings.NewReader(text), Options{Space: test.space})
		got, err := readJSON(r)
		if err != nil {
			t.Errorf("%s: %v", test.index, err)
			continue
		}
		if got[0].Register != test.want || r.Header().SpaceAssumed != test.assumed || r.Header().Space != test.want.Space || assumed(&got[0]) != test.assumed || noted(got) {
			t.Errorf("%s %s: %+v, header %+v", test.index, test.contentType, got[0], r.Header())
		}
		back, err := writeJSON(arrayWriter, got)
		if err != nil {
			t.Errorf("%s: %v", test.index, err)
			continue
		}
		if test.space == 0 && string(back) != text+"\n" {
			t.Errorf("%s: written as %s", test.index, back)
		}
		again, err := readJSON(NewJSONReader(bytes.NewReader(back), Options{}))
		if err != nil {
			t.Errorf("%s: %v", test.index, err)
			continue
		}
		if diff := diffRecords(got, again); diff != "" {
			t.Errorf("%s: %s", test.index, diff)
		}
	}
	if _, err := readJSON(NewJSONReader(strings.NewReader("[]"), Options{Space: mrlog.NV})); err == nil {
		t.Error("plain indexes were read as NV indexes")
	}
	plain := strings.Replace(jsonRecordText(line, `""`), `"pcr":7`, `"pcr":2,"space":"rtmr"`, 1)
	if r := readOne(t, plain); r.Notes != mrlog.NoteNonCanonical {
		t.Error("a key that is not needed is not noted")
	}
}

func TestJSONAlgorithms(t *testing.T) {
	for _, test := range []struct {
		alg   string
		want  mrlog.Alg
		notes mrlog.Note
	}{
		{`"sha1"`, mrlog.SHA1, 0},
		{`"SHA1"`, mrlog.SHA1, mrlog.NoteNonCanonical},
		{`"sh\u0061"`, mrlog.SHA1, mrlog.NoteNonCanonical},
		{`4`, mrlog.SHA1, mrlog.NoteNonCanonical},
		{`"0x0004"`, mrlog.SHA1, mrlog.NoteNonCanonical},
		{`"0x0044"`, 0x44, 0},
		{`"0x44"`, 0x44, mrlog.NoteNonCanonical},
		{`65535`, 0xFFFF, mrlog.NoteNonCanonical},
	} {
		got := readOne(t, strings.Replace(jsonRecordText("80", `""`), `"sha1"`, test.alg, 1))
		if got.Digests[0].Alg != test.want || got.Notes != test.notes {
			t.Errorf("%s: %+v", test.alg, got)
		}
	}
	upper := readOne(t, strings.Replace(jsonRecordText("80", `""`), "0a0b", "0A0b", 1))
	if upper.Notes != mrlog.NoteNonCanonical || upper.Digests[0].Sum[9] != 0x0A {
		t.Errorf("upper case: %+v", upper)
	}
}
