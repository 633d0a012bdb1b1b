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
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

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
		{other(mrlog.TypeCEL, mrlog.FormTLV, "\x50\x00\x00\x00\x02\x00\x01"), "canonical TLVs"}, // 0001 is not minimal
		{other(mrlog.TypeCEL, mrlog.FormTLV, "\x81\x00\x00\x00\x01\x02"), "canonical TLVs"},
		{other(80, mrlog.FormTLV, "x"), "type 80 in TLV form"},
		{other(mrlog.TypeSystemd, mrlog.FormTLV, "x"), "type systemd (9) in TLV form"},
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
	var out bytes.Buffer
	w = NewEnvelopeWriter(&out, nil)
	if err := w.Close(); err == nil || out.String() != `{"log":[` {
		t.Errorf("envelope that no register value can be had for: %q, %v", &out, err)
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
