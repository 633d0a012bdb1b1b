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
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
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
				if r.Notes != 0 {
					t.Errorf("record %d has notes %d", i, r.Notes)
				}
			}
		}
	}
}

// corpus returns the path of a file of the shared corpus, or skips the test.
func corpus(t *testing.T, name string) string {
	root := os.Getenv("MRLOG_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "corpus")
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		if strings.Contains(os.Getenv("MRLOG_REQUIRE"), "corpus") {
			t.Fatalf("corpus is required: %v", err)
		}
		t.Skipf("no corpus (set MRLOG_CORPUS): %v", err)
	}
	return path
}

func TestJSONCorpusSample(t *testing.T) {
	published, err := os.ReadFile(corpus(t, "nelr/sample.envelope.json"))
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
	got, err := readJSON(NewJSONReader(strings.NewReader(text), Options{}))
	if err != nil {
		t.Fatal(err)
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
		if got[0].Register != test.want || r.Header().SpaceAssumed != test.assumed || r.Header().Space != test.want.Space || got[0].Notes != 0 {
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

// Inputs that are refused, the place that is named, and what is said.
func TestJSONRefused(t *testing.T) {
	good := jsonRecordText("80", `{"a":[{"b":1}]}`)
	swap := func(from, to string) string {
		if !strings.Contains(good, from) {
			panic(from)
		}
		return "[" + strings.Replace(good, from, to, 1) + "]"
	}
	content := func(v string) string { return "[" + jsonRecordText("80", v) + "]" }
	many := make([]string, 0, mrlog.MaxDigests+1)
	for i := range mrlog.MaxDigests + 1 {
		many = append(many, fmt.Sprintf(`{"hashAlg":%d,"digest":"00"}`, i+100))
	}
	for _, test := range []struct {
		text string
		at   string // see checkFault
		say  string
	}{
		{"", "", "it is empty"},
		{" \n", "", "it is empty"},
		{"\uFEFF[]", "\uFEFF", "want an array or an object"},
		{"null", "null", "want an array or an object"},
		{"[", "", "] is missing"},
		{"[" + good, "", "] is missing"},
		{"[" + good + ",", "", "a record is missing"},
		{"[" + good + ",]", "$]", "record begins with ']'"},
		{"[," + good + "]", ",", "record begins with ','"},
		{"[" + good + good + "]", "{\"recnum\":0,\"pcr\":7,\"digests\":[{\"hashAlg\":\"sha1\",\"digest\":\"0102030405060708090a0b0c0d0e0f1011121314\"}],\"content_type\":80,\"content\":{\"a\":[{\"b\":1}]}}]", "want a comma or ]"},
		{"[1]", "1", "want an object"},
		{"[[]]", "[]", "want an object"},
		{"[" + good + "] x", "x", "after the end of the log"},
		{"[][]", "$[", "after the end"},
		{"{}", "}", `envelope has no "log"`},
		{`{"mr":"00"}`, "}", `envelope has no "log"`},
		{`{"log":[]`, "", "} is missing"},
		{`{"log":[]}{`, "${", "after the end"},
		{`{"log":[],"log":[]}`, `"log":[]}`, `two members "log"`},
		{`{"mr":"00","log":[],"mr":"00"}`, `"mr":"00"}`, `two members "mr"`},
		{`{"log":[],"mr":""}`, `""`, "want a register value"},
		{`{"log":[],"mr":"0"}`, `"0"`, "want a register value"},
		{`{"log":[],"mr":"0g"}`, `"0g"`, "want a register value"},
		{`{"log":[],"mr":1}`, `1}`, `want "mr"`},
		{`{"log":[],"x":1}`, `"x"`, `member "x"`},
		{`{"log":[],"recnum":1}`, `"recnum"`, `member "recnum"`},
		{`{"log":{}}`, `{}}`, "want an array"},
		{`{"log" []}`, `[]}`, "want a colon"},
		{`{"log":[] "mr":"00"}`, `"mr"`, "want a comma"},
		{`{"log":[],}`, `}`, "want a name"},
		{`{"mr":"\ud800","log":[]}`, "", ""},
		{`{"mr":"` + strings.Repeat("0", 10_000) + `","log":[]}`, "", "longer than 4096"},
		{good + good, "", "no newline"},
		{good + "\n[]", "$[", "want an object"},

		{swap(`"recnum":0`, `"recnum":-1`), "-1", "plain integer"},
		{swap(`"recnum":0`, `"recnum":1.0`), "1.0", "plain integer"},
		{swap(`"recnum":0`, `"recnum":1e3`), "1e3", "plain integer"},
		{swap(`"recnum":0`, `"recnum":"0"`), `"0"`, "not a number"},
		{swap(`"recnum":0`, `"recnum":00`), "", ""},
		{swap(`"recnum":0`, `"recnum":18446744073709551616`), "1844", "above"},
		{swap(`"pcr":7`, `"pcr":16777216`), "16777216", "above"},
		{swap(`"pcr":7`, `"nv_index":4294967296`), "4294967296", "above"},
		{swap(`"pcr":7`, `"nv_index":1,"pcr":7`), `"pcr"`, "both"},
		{swap(`"pcr":7`, `"nv_index":1,"space":"rtmr"`), `"space"`, "both"},
		{swap(`"pcr":7`, `"pcr":7,"space":"nv"`), `"nv"`, "not known"},
		{swap(`"pcr":7,`, ``), "$}]", "neither"},
		{swap(`"pcr":7`, `"pcr":7,"pcr":7`), `"pcr":7,"digests`, "duplicate"},
		{swap(`"pcr":7`, `"pcr":7,"\u0070cr":7`), `"\u0070cr":7`, "duplicate"},
		{swap(`"pcr":7`, `"pcr":7,"extra":7`), `"extra"`, `"extra"`},
		{swap(`"pcr":7`, `"pcr":7,"Content":7`), `"Content"`, `"Content"`},
		{swap(`"hashAlg":"sha1"`, `"hashAlg":"sha999"`), `"sha999"`, "unknown hash"},
		{swap(`"hashAlg":"sha1"`, `"hashAlg":0`), `0,"digest"`, "0 is none"},
		{swap(`"hashAlg":"sha1"`, `"hashAlg":null`), `null`, "not a number"},
		{swap(`"hashAlg":"sha1",`, ``), `{"digest"`, "no \"hashAlg\""},
		{swap(`,"digest":"0102030405060708090a0b0c0d0e0f1011121314"`, ``), `{"hashAlg"`, "no \"digest\""},
		{swap(`"hashAlg":"sha1"`, `"hashAlg":"sha1","x":1`), `"x"`, `"x"`},
		{swap(`"digest":"01`, `"digest":"`), `"0203`, "19 bytes"},
		{swap(`"digest":"01`, `"digest":"1`), `"1020`, "not a digest"},
		{swap(`"digest":"01`, `"digest":"0g`), `"0g`, "not a digest"},
		{swap(`"0102030405060708090a0b0c0d0e0f1011121314"`, `""`), `""`, "0 bytes"},
		{strings.Replace(swap(`"0102030405060708090a0b0c0d0e0f1011121314"`, `"`+strings.Repeat("00", 129)+`"`), `"sha1"`, `"0x44"`, 1), `"0000`, "129 bytes"},
		{swap(`"}]`, `"},{"hashAlg":"SHA-1","digest":"0102030405060708090a0b0c0d0e0f1011121314"}]`), `{"hashAlg":"SHA-1"`, "two sha1"},
		{swap(`{"hashAlg":"sha1","digest":"0102030405060708090a0b0c0d0e0f1011121314"}`, ``), `[],"content_type`, "no digest"},
		{swap(`{"hashAlg":"sha1","digest":"0102030405060708090a0b0c0d0e0f1011121314"}`, `1`), `1],`, "not an object"},
		{swap(`{"hashAlg":"sha1","digest":"0102030405060708090a0b0c0d0e0f1011121314"}`, strings.Join(many, ",")), many[16], "more than 16"},
		{swap(`"content_type":80`, `"content_type":4294967295`), `4294967295`, "above"},
		{swap(`"content_type":80`, `"content_type":""`), `""`, "empty"},
		{swap(`"content_type":80`, `"content_type":null`), `null`, "not a number"},
		{swap(`"content_type":80,`, ``), `$}]`, `no "content_type"`},
		{swap(`,"content":{"a":[{"b":1}]}`, ``), `$}]`, `no "content"`},
		{"[" + jsonRecordText(`"CC-CEL"`, `{"a":1}`) + "]", `{"a"`, "not a string"},
		{"[" + jsonRecordText(`"CC-CEL"`, `null`) + "]", `null`, "not a string"},

		// Duplicate names, at every depth.
		{content(`{"a":1,"a":1}`), `"a":1}`, `duplicate object member name "a"`},
		{content(`[[{"x":{"b":[{"a":1,"\u0061":1}]}}]]`), `"\u0061"`, "duplicate"},
		// Text that is not UTF-8, and surrogates without their other half.
		{content("\"\xFF\""), "\xFF", "UTF-8"},
		{content("[{\"a\":{\"\xC0\xAF\":1}}]"), "\xC0", "UTF-8"},
		{content("\"\xED\xA0\x80\""), "\xED", "UTF-8"},
		{content(`"\ud800"`), `\ud800`, "surrogate"},
		{content(`[{"\udc00":1}]`), `\udc00`, "surrogate"},
		{content(`"\ud800\ud800"`), `\ud800`, "surrogate"},
		// Grammar.
		{content(`"` + "\n" + `"`), "\n", "invalid character"},
		{content(`"` + "\x00" + `"`), "\x00", "invalid character"},
		{content(`{"a":tru}`), "", "invalid character"},
		{content(`{"a":1,}`), "}}]", ""},
		{content(`{"a"=1}`), "=", "invalid character"},
		{content(`[1}`), "}}]", ""},
		{content(`'a'`), "'a'", "invalid character"},
		{content(`"\x41"`), `\x41`, "escape"},
		{content(`NaN`), `NaN`, "invalid character"},
		{"[" + strings.Replace(good, `0a0b"`, `0a0b`, 1), "", ""},
		{"[" + strings.Replace(good, `"pcr`, `pcr`, 1) + "]", "pcr", "invalid character"},
		// A quotation mark that was forgotten is found where it was, not
		// where the input ends.
		{"[" + strings.Replace(good, `{"recnum":`, `{"recnum:`, 1) + ",\n" + good + "]", `pcr`, "invalid character"},

		// Limits.
		{content(strings.Repeat("[", 65) + strings.Repeat("]", 65)), "", "deeper than 64"},
		{content(strings.Repeat(`{"a":`, 64) + "[]" + strings.Repeat("}", 64)), "[]", "deeper than 64"},
		{"[" + jsonRecordText(`"CC-CEL"`, `"`+strings.Repeat("x", MaxContent+1)+`"`) + "]", `"xxx`, "limit"},
		{content(`["` + strings.Repeat("x", MaxContent) + `"]`), `["xxx`, "limit"},
		{content(`{"` + strings.Repeat(`":1,"`, MaxJSONNames) + `":1}`), "", ""},
	} {
		for _, one := range []bool{false, true} {
			if one && len(test.text) > 100_000 {
				continue
			}
			var in io.Reader = strings.NewReader(test.text)
			if one {
				in = iotest.OneByteReader(in)
			}
			_, err := readJSON(NewJSONReader(in, Options{}))
			checkFault(t, "cel-json", test.text, test.at, test.say, err)
		}
	}
}

// checkFault checks that err says say and names the place in text where at
// begins, the last such place if at is marked with $; any place if at is empty,
// but the end if err says that the input ends.
func checkFault(t *testing.T, format, text, at, say string, err error) {
	t.Helper()
	fault, ok := errors.AsType[*mrlog.SyntaxError](err)
	if !ok {
		t.Errorf("%.300q: %v, want a SyntaxError", text, err)
		return
	}
	if fault.Format != format || fault.Offset < 0 || fault.Offset > int64(len(text)) || fault.Record < -1 {
		t.Errorf("%.300q: %v", text, err)
	}
	want := strings.Index(text, at)
	if last, ok := strings.CutPrefix(at, "$"); ok {
		want = strings.LastIndex(text, last)
	}
	if at == "" && strings.HasPrefix(fault.Err.Error(), "input ends") {
		want = len(text)
	}
	if (at != "" || want > 0) && fault.Offset != int64(want) {
		t.Errorf("%.300q: %v: offset %d, want %d", text, err, fault.Offset, want)
	}
	if !strings.Contains(err.Error(), say) {
		t.Errorf("%.300q: %v does not say %q", text, err, say)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7F }) {
		t.Errorf("%.300q: control characters in the message %q", text, err)
	}
}

func TestSeqRefused(t *testing.T) {
	good := "\x1E" + systemdRecord + "\n"
	for _, test := range []struct {
		text, at, say string
		record        int64
		line          int
	}{
		{"\n" + good, "\n\x1E", "want the record separator", -1, 1},
		{systemdRecord, "{", "want the record separator", -1, 1},
		{"x" + good, "x", "want the record separator", -1, 1},
		{good + "x", "x", "after a record", -1, 2},
		{good + systemdRecord, "", "after a record", -1, 2},
		{"\x1E", "", "cut off", 0, 1},
		{good + "\x1E", "", "cut off", 1, 2},
		{good + "\x1E\n", "", "cut off", 1, 3},
		{"\x1E" + good, "\x1E{", "empty", 0, 1},
		{"\x1E" + systemdRecord, "", "may be cut off", 0, 1},
		{"\x1E" + systemdRecord + good, "$\x1E", "no newline", 0, 1},
		{"\x1E" + systemdRecord + "{}\n", "{}", "after the record's object", 0, 1},
		{"\x1E[]\n", "[]", "want an object", 0, 1},
		{good + "\x1E{\"pcr\":1\n" + good, "$\x1E", "is cut off", 1, 3},
		{good + "\x1E{\"pcr\":1,\"x\n" + good, "$\n\x1E", "invalid character", 1, 2},
		{good + "\x1E{\"pcr\":1,\"x" + good, "$\x1E", "is cut off", 1, 2},
		{good + "\x1E{\"pcr\":1,\"x", "", "input ends", 1, 2},
		{"\x1E{\x00}\n", "\x00", "NUL", 0, 1},
		{"\x1E{\"\x00\":1}\n", "\x00", "NUL", 0, 1},
		{good + "\x1E\n\n" + strings.Replace(systemdRecord, `"pcr"`, "\n\"p\"", 1) + "\n", `"p"`, `"p"`, 1, 5},
	} {
		for _, one := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.text)
			if one {
				in = iotest.OneByteReader(in)
			}
			records, err := readJSON(NewSeqReader(in, Options{}))
			checkFault(t, "cel-seq", test.text, test.at, test.say, err)
			if fault, ok := errors.AsType[*mrlog.SyntaxError](err); ok && (fault.Record != test.record || fault.Line != test.line) {
				t.Errorf("%q: %v: record %d, line %d, want %d, %d", test.text, err, fault.Record, fault.Line, test.record, test.line)
			}
			if strings.HasPrefix(test.text, good) && len(records) != 1 {
				t.Errorf("%q: %d records before the fault, want 1", test.text, len(records))
			}
		}
	}
}

func TestJSONTruncated(t *testing.T) {
	env, err := writeJSON(envelopeWriter, sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{sampleArray, string(env)} {
		for n := range len(text) - 1 { // but for the last newline
			_, err := readJSON(NewJSONReader(strings.NewReader(text[:n]), Options{}))
			fault, ok := errors.AsType[*mrlog.SyntaxError](err)
			if !ok || fault.Offset != int64(n) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
	seq, err := writeJSON(seqWriter, sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(seq) {
		_, err := readJSON(NewSeqReader(bytes.NewReader(seq[:n]), Options{}))
		if n == 0 || seq[n-1] == '\n' {
			if err != nil { // a whole number of records
				t.Fatal(err)
			}
			continue
		}
		fault, ok := errors.AsType[*mrlog.SyntaxError](err)
		if !ok || fault.Offset != int64(n) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestJSONReaderError(t *testing.T) {
	broken := errors.New("disk on fire")
	seq, _ := writeJSON(seqWriter, sampleRecords())
	env, _ := writeJSON(envelopeWriter, sampleRecords())
	for _, text := range []string{sampleArray, string(env), strings.Trim(sampleArray, "[]\n")[:300], string(seq)} {
		for n := 0; n < len(text); n += 3 {
			in := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
			var r mrlog.Reader = NewJSONReader(in, Options{})
			if text[0] == recordSeparator {
				r = NewSeqReader(in, Options{})
			}
			records, err := readJSON(r)
			if _, syntax := errors.AsType[*mrlog.SyntaxError](err); syntax || !errors.Is(err, broken) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if want := strings.Count(text[:n], `"},`) + strings.Count(text[:n], "\"}\n\x1E"); len(records) < want {
				t.Fatalf("%d bytes: %d records before the error, want %d", n, len(records), want)
			}
		}
	}
	if _, err := readJSON(NewJSONReader(emptyReader{}, Options{})); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader without progress: %v", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// endless gives head, then tail again and again, left bytes in all.
type endless struct {
	head, tail string
	left       int
}

func newEndless(head, tail string, n int) *endless {
	return &endless{head, strings.Repeat(tail, 1+4096/len(tail)), n}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if e.head == "" {
		e.head = e.tail
	}
	n := copy(p[:min(len(p), e.left)], e.head)
	e.head = e.head[n:]
	e.left -= n
	return n, nil
}

func TestJSONHostileMemory(t *testing.T) {
	head := strings.TrimSuffix(jsonRecordText("80", ""), "}")
	for _, test := range []struct{ head, tail, say string }{
		{"[" + head + `"`, "A", "longer than"},
		{"[" + head + `"`, `\"`, "longer than"},
		{"[" + head, "[", "deeper than"},
		{"[" + head, `{"a":`, "deeper than"},
		{"[" + head + `{"a":0`, `,"b":0`, "duplicate"},
		{"[" + head + `[0`, `,{"b":0}`, "names"},
		{"[" + head + `[0`, `,0`, "longer than"},
		{"[" + head + `0`, `0`, "invalid"},
		{"[" + head + `1`, `0`, "longer than"},
		{"[{", " ", "longer than"},
		{`{"`, "A", "longer than"},
		{`{"mr":"`, "0", "longer than"},
		{"[", "[", "want an object"},
		{"[", " ", "is missing"},
		{"\x1E" + head + `"`, "A", "longer than"},
		{"\x1E{", "\n", "longer than"},
	} {
		const size = 40 << 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		in := newEndless(test.head, test.tail, size)
		var r mrlog.Reader = NewJSONReader(in, Options{})
		if test.head[0] == recordSeparator {
			r = NewSeqReader(in, Options{})
		}
		_, err := readJSON(r)
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%.20q %q: %v", test.head, test.tail, err)
		}
		if strings.Contains(test.say, "than") && !errors.Is(err, mrlog.ErrLimit) {
			t.Errorf("%.20q %q: %v is not ErrLimit", test.head, test.tail, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%.20q %q: message of %d bytes", test.head, test.tail, len(err.Error()))
		}
		// All that was ever allocated, not what was held at once.
		if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
			t.Errorf("%.20q %q: allocated %d bytes", test.head, test.tail, n)
		}
	}
}

// A record larger than every buffer, between small ones.
func TestJSONLargeRecords(t *testing.T) {
	for _, unit := range []string{"x", "\"", "\x01", "€", "\\"} {
		records := sampleRecords()
		records[1].Content = bytes.Repeat([]byte(unit), MaxContent/len(unit))
		for _, open := range []func(io.Writer) mrlog.Writer{arrayWriter, envelopeWriter, seqWriter} {
			text, err := writeJSON(open, records)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readJSON(jsonReaderOf(text))
			if err != nil {
				t.Fatal(err)
			}
			for i := range records { // cmp takes a second for a megabyte
				if !bytes.Equal(records[i].Content, got[i].Content) {
					t.Errorf("%q: record %d differs", unit, i)
				}
			}
		}
		records[1].Content = append(records[1].Content, "xyz"...)
		if _, err := writeJSON(arrayWriter, records); !isCarryError(err) {
			t.Errorf("%q: %v", unit, err)
		}
	}
}

// jsonReaderOf returns a reader of what one of the writers wrote.
func jsonReaderOf(text []byte) mrlog.Reader {
	if len(text) == 0 || text[0] == recordSeparator {
		return NewSeqReader(bytes.NewReader(text), Options{})
	}
	return NewJSONReader(bytes.NewReader(text), Options{})
}

func isCarryError(err error) bool {
	_, ok := errors.AsType[*mrlog.CarryError](err)
	return ok
}

// Two independent parsers must read the strings that we wrote.
func TestJSONStrings(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", " ", "\t", "\n", "\r", "\b", "\f", "\x00", "\x1F", "\x7F", "\"", "\\", "/", "<", "&", "é", "€", "\u2028", "😀", "\uFFFD", "plain text of some length "}
	for i := range 20_000 {
		var s []byte
		for range rnd.IntN(20) {
			s = append(s, alphabet[rnd.IntN(len(alphabet))]...)
		}
		got, bad := appendJSONString(nil, s)
		if bad >= 0 {
			t.Fatalf("%q: byte %d", s, bad)
		}
		var v1 string
		if err := json.Unmarshal(got, &v1); err != nil || v1 != string(s) {
			t.Fatalf("%q: encoding/json reads %q as %q, %v", s, got, v1, err)
		}
		if v2, err := jsontext.AppendUnquote(nil, got); err != nil || !bytes.Equal(v2, s) {
			t.Fatalf("%q: jsontext reads %q as %q, %v", s, got, v2, err)
		}
		if !canonicalEscapes(got[1 : len(got)-1]) {
			t.Fatalf("%q: escapes in %s are called not canonical", s, got)
		}
		if shortest, _ := jsontext.AppendQuote(nil, s); !bytes.Equal(shortest, got) {
			t.Fatalf("%q: written as %s, shortest is %s", s, got, shortest)
		}
		// The same with one byte that cannot be there.
		at := rnd.IntN(len(s) + 1)
		for at < len(s) && s[at]&0xC0 == 0x80 {
			at++ // not within a rune, where the fault would be before
		}
		wrong := append(append(bytes.Clone(s[:at]), byte(0x80+i%128)), s[at:]...)
		if i%128 >= 0x42 { // a head without its tail, but for what follows
			wrong = append(append(bytes.Clone(s[:at]), 0xF5+byte(i%11)), s[at:]...)
		}
		if _, bad := appendJSONString(nil, wrong); bad != at {
			t.Fatalf("%q: byte at fault is %d, want %d", wrong, bad, at)
		}
	}
}

func TestJSONHex(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	digits := hex.EncodeToString(all)
	if got := appendJSONHex([]byte("x"), all); string(got) != "x"+digits {
		t.Errorf("%s", got)
	}
	for _, d := range []string{digits, strings.ToUpper(digits)} {
		got := make([]byte, 256)
		upper, ok := decodeJSONHex(got, []byte(d))
		if !ok || upper != (d != digits) || !bytes.Equal(got, all) {
			t.Errorf("%s: %x %v %v", d, got, upper, ok)
		}
	}
	for c := range 256 {
		_, err := hex.DecodeString(string([]byte{'0', byte(c)}))
		for _, pair := range [][]byte{{'0', byte(c)}, {byte(c), '0'}} {
			if _, ok := decodeJSONHex(make([]byte, 1), pair); ok != (err == nil) {
				t.Errorf("digit %q: %v", byte(c), ok)
			}
		}
	}
}

// Records that JSON cannot carry: nothing of them is written, what was written
// before stays, and the writer goes on.
func TestJSONCannotCarry(t *testing.T) {
	line := func(f func(*mrlog.Record)) mrlog.Record {
		r := sampleRecords()[1]
		r.Span.Line = 17
		f(&r)
		return r
	}
	other := func(typ mrlog.ContentType, form mrlog.Form, content string) mrlog.Record {
		return line(func(r *mrlog.Record) { r.Type, r.Form, r.Content = typ, form, []byte(content) })
	}
	names := `{"":0` + func() (s string) {
		var b strings.Builder
		for i := range MaxJSONNames {
			fmt.Fprintf(&b, `,"%d":0`, i)
		}
		return b.String()
	}() + "}"
	for _, test := range []struct {
		r   mrlog.Record
		say string
	}{
		{line(func(r *mrlog.Record) { r.Content = []byte("d op \xFF") }), "line 17, record 3: byte 5 of the line (0xff)"},
		{line(func(r *mrlog.Record) { r.Content = []byte("d op €\xE2\x82") }), "byte 8"},
		{line(func(r *mrlog.Record) { r.Register.Space = 0 }), "space"},
		{line(func(r *mrlog.Record) { r.Register.Index = 1 << 24 }), "index"},
		{line(func(r *mrlog.Record) { r.Digests = nil }), "no digest"},
		{line(func(r *mrlog.Record) { r.Digests = append(r.Digests, r.Digests[0]) }), "two sha384"},
		{line(func(r *mrlog.Record) { r.Digests = []mrlog.Digest{{Alg: mrlog.SHA1, Sum: make([]byte, 32)}} }), "32 bytes"},
		{line(func(r *mrlog.Record) { r.NotExtended = true }), "not extended"},
		{line(func(r *mrlog.Record) { r.Form = mrlog.FormJSON; r.Content = []byte(`"x"`) }), "raw form"},
		{line(func(r *mrlog.Record) { r.Form = mrlog.FormCBOR }), "no JSON form"},
		{line(func(r *mrlog.Record) { r.Form = 99 }), "unknown form"},
		{other(mrlog.TypeCEL, mrlog.FormRaw, "x"), "no JSON form"},
		{other(mrlog.TypeCEL, mrlog.FormTLV, ""), "management event"},
		{other(mrlog.TypeCEL, mrlog.FormTLV, "\x63\x00\x00\x00\x00"), "management event"},
		{other(mrlog.TypeCEL, mrlog.FormTLV, "\x50\x00\x00\x00\x02\x00\x01"), "management event"}, // 0001 is not minimal
		{other(80, mrlog.FormTLV, "x"), "80 in TLV form"},
		{other(mrlog.TypeSystemd, mrlog.FormTLV, "x"), "systemd in TLV form"},
		{other(mrlog.TypeNamed, mrlog.FormJSON, "{}"), "neither a number nor a name"},
		{line(func(r *mrlog.Record) {
			r.Type, r.Form, r.Name, r.Content = mrlog.TypeNamed, mrlog.FormJSON, []byte("cel"), []byte("{}")
		}), "stands for one"},
		{line(func(r *mrlog.Record) {
			r.Type, r.Form, r.Name, r.Content = mrlog.TypeNamed, mrlog.FormJSON, []byte("a\xFF"), []byte("{}")
		}), "byte 1 of the content type's name"},
		{line(func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeNamed, []byte("x") }), "no JSON form"},
		{line(func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeIMATemplate, []byte("ima\xFF") }), "byte 3 of the template's name"},
		{line(func(r *mrlog.Record) {
			r.Type, r.Form, r.Name, r.Content = mrlog.TypeIMATemplate, mrlog.FormJSON, []byte("ima"), []byte("{}")
		}), "name beside"},
		{other(80, mrlog.FormJSON, ""), "empty"},
		{other(80, mrlog.FormJSON, " 1"), "white space"},
		{other(80, mrlog.FormJSON, "1 "), "text after"},
		{other(80, mrlog.FormJSON, "{} "), "brackets"},
		{other(80, mrlog.FormJSON, "{}{}"), "brackets"},
		{other(80, mrlog.FormJSON, "1,2"), "text after"},
		{other(80, mrlog.FormJSON, `{"a":1,"a":2}`), "duplicate"},
		{other(80, mrlog.FormJSON, "\"\xFF\""), "UTF-8"},
		{other(80, mrlog.FormJSON, "{\"a\":\x1E}"), "control"},
		{other(80, mrlog.FormJSON, strings.Repeat("[", 65)+strings.Repeat("]", 65)), "deeper"},
		{other(80, mrlog.FormJSON, names), "names"},
		{other(80, mrlog.FormJSON, `"00"`), "read as something else"},
		{other(mrlog.TypePCClient, mrlog.FormJSON, `{"event_type":3,"event_data":""}`), "read as something else"},
		{other(80, mrlog.FormRaw, strings.Repeat("x", MaxContent+1)), "limit"},
	} {
		for _, open := range []func(io.Writer) mrlog.Writer{arrayWriter, seqWriter} {
			good := sampleRecords()
			want, err := writeJSON(open, append(sampleRecords(), good[0]))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			w := open(&out)
			err = w.Write(append(good[:3:3], test.r, good[0]))
			if !isCarryError(err) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("%+.200v: %v, want %q", test.r, err, test.say)
			}
			if err := errors.Join(w.Write(good[:1]), w.Close()); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(want, out.Bytes()) {
				t.Errorf("%s: written %s", test.say, out.Bytes())
			}
		}
	}
	// As the first record, too, and just below the limits.
	var out bytes.Buffer
	w := NewJSONWriter(&out)
	if err := w.Write([]mrlog.Record{other(80, mrlog.FormJSON, "")}); !isCarryError(err) {
		t.Error(err)
	}
	if err := errors.Join(w.Write([]mrlog.Record{other(80, mrlog.FormJSON, strings.Repeat("[", 64)+strings.Repeat("]", 64))}), w.Close()); err != nil {
		t.Error(err)
	}
	if got, err := readJSON(jsonReaderOf(out.Bytes())); err != nil || len(got) != 1 {
		t.Errorf("%s: %v", out.Bytes(), err)
	}
}

type failingWriter struct{ err error }

func (f *failingWriter) Write(p []byte) (int, error) { return len(p) / 2, f.err }

func TestJSONWriterError(t *testing.T) {
	full := errors.New("disk full")
	for _, open := range []func(io.Writer) mrlog.Writer{arrayWriter, envelopeWriter, seqWriter} {
		w := open(&failingWriter{full})
		records := jsonBenchRecords(500)
		for range 3 {
			if err := w.Write(records); !errors.Is(err, full) {
				t.Errorf("write: %v", err)
			}
		}
		if err := w.Close(); !errors.Is(err, full) {
			t.Errorf("close: %v", err)
		}
		w = open(&failingWriter{})
		if err := w.Write(records); err != io.ErrShortWrite {
			t.Errorf("short write: %v", err)
		}
		w = open(io.Discard)
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := w.Write(records); !errors.Is(err, errClosed) {
			t.Errorf("write after close: %v", err)
		}
	}
	w := NewEnvelopeWriter(io.Discard, func() ([]byte, error) { return nil, full })
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
}

// A batch holds its records while the next one is read.
func TestJSONBatches(t *testing.T) {
	want := jsonBenchRecords(1000)
	text, err := writeJSON(arrayWriter, want)
	if err != nil {
		t.Fatal(err)
	}
	r := NewJSONReader(bytes.NewReader(text), Options{})
	var batches [2]mrlog.Batch
	var got []mrlog.Record
	for i := 0; ; i++ {
		err := r.Read(&batches[i%2])
		if i > 0 {
			for _, r := range batches[(i+1)%2].Records {
				got = append(got, r.Clone())
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := diffRecords(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONAllocations(t *testing.T) {
	records := jsonBenchRecords(512)
	w := NewJSONWriter(io.Discard)
	if n := testing.AllocsPerRun(10, func() {
		if err := w.Write(records); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations to write %d records", n, len(records))
	}
}
