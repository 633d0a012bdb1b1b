// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
)

// sample is the sample log of the proposal that the format comes from.
var sample = "INIT sha384/" + strings.Repeat("0", 96) + "\n" +
	"github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef\n" +
	`github.com/confidential-containers EventWithJSONParams { "key1":"value1\tmore values and 'quotes'\n", "key2": [ "value2", 2, true, null ] }` + "\n"

// sampleMR is its final value, as published.
const sampleMR = "4693cf54a9c8b386c67290abfa981696fe07d985d06e7f06c6929370db90bbb647faff2bc0375d270aa2f0dd42635568"

// samplePublished is what the original conversion script makes of it, but for
// white space.
var samplePublished = `{
  "mr": "` + sampleMR + `",
  "log": [
    {"recnum": 0, "pcr": 2, "digests": [{"hashAlg": "sha384", "digest": "5d97ae953f7b03a1e93f58f9d621f84d1bdf053d1ec5ad2461262a938ecd4ed4d42d3c5c42084828da1c8051a6c08e6a"}],
     "content_type": "CC-CEL", "content": "INIT sha384/` + strings.Repeat("0", 96) + `"},
    {"recnum": 1, "pcr": 2, "digests": [{"hashAlg": "sha384", "digest": "98cfd27eaba5b57ee1b9bbb2da9886ec9ebc40ef428ffd5eda1a4024039beed7d0f4b46b2e63bb419780f619add308ef"}],
     "content_type": "CC-CEL", "content": "github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef"},
    {"recnum": 2, "pcr": 2, "digests": [{"hashAlg": "sha384", "digest": "dfcf2f7ac9a8e19cbe4233837a1cd34a4c6517a8d6852aa8a566e1f43b39dc1f32bcb51fa4e6c7a139c844ab5c766361"}],
     "content_type": "CC-CEL", "content": "github.com/confidential-containers EventWithJSONParams { \"key1\":\"value1\\tmore values and 'quotes'\\n\", \"key2\": [ \"value2\", 2, true, null ] }"}
  ]
}`

// TestSample: the envelope of the sample log is the published object, and gives
// the lines back.
func TestSample(t *testing.T) {
	var want, got any
	if err := json.Unmarshal([]byte(samplePublished), &want); err != nil {
		t.Fatal(err)
	}
	out, replay, err := copyTo([]byte(sample), convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, convert.Source{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	if v := fmt.Sprintf("%x", replay.Banks()[0].Value); v != sampleMR {
		t.Errorf("replay gives %s", v)
	}
	for _, in := range []string{string(out), samplePublished} {
		back, _, err := copyTo([]byte(in), convert.Target{Format: convert.NELR}, convert.Source{}, 1)
		if err != nil || string(back) != sample {
			t.Errorf("back to a native log: %v\n%s", err, back)
		}
	}
}

// TestSampleCorpus: the same with the files of the corpus.
func TestSampleCorpus(t *testing.T) {
	dir := filepath.Join(reallogs.Dir(t), "nelr")
	log, err := os.ReadFile(filepath.Join(dir, "sample.log"))
	if err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile(filepath.Join(dir, "sample.envelope.json"))
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := copyTo(log, convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, convert.Source{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(published, &want), json.Unmarshal(out, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-published +ours):\n%s", diff)
	}
}

func TestTargetCheck(t *testing.T) {
	for _, c := range []struct{ format, dialect, want string }{
		{"nelr", "", ""},
		{"cel-json", "", ""},
		{"cel-json", "array", ""},
		{"cel-json", "envelope", ""},
		{"cel-seq", "", ""},
		{"cel-cbor", "", ""},
		{"cel-cbor", "sequence", ""},
		{"cel-tlv", "go-eventlog", ""},
		{"", "", `unknown format ""`},
		{"tcg2", "", ""},
		{"tcg2", "agile", ""},
		{"tcg", "", ""},
		{"ima", "", ""},
		{"ima-binary", "", ""},
		{"aael", "", ""},
		{"tcg3", "", `unknown format "tcg3" (written: nelr, cel-json, cel-seq, cel-cbor, cel-tlv, tcg2, ima, ima-ascii, aael, dstack)`},
		{"NELR", "", `unknown format "NELR"`},
		{strings.Repeat("x", 1000), "", `unknown format "` + strings.Repeat("x", 40) + `"`},
		{"nelr", "array", "nelr has no dialects"},
		{"cel-seq", "array", "cel-seq has no dialects"},
		{"cel-json", "lines", `cel-json has no dialect "lines" (known: array, envelope)`},
		{"cel-cbor", "array-indefinite", `cel-cbor has no dialect "array-indefinite" (known: array, sequence)`},
		{"cel-tlv", "mixed", `cel-tlv has no dialect "mixed" (known: minimal, go-eventlog, 4-byte)`},
	} {
		target := convert.Target{Format: c.format, Dialect: c.dialect}
		err := target.Check()
		_, werr := convert.NewWriter(io.Discard, target, nil)
		for _, err := range []error{err, werr} {
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s/%s: %v, want %q", c.format, c.dialect, err, c.want)
			}
		}
	}
	for _, target := range targets() {
		if err := target.Check(); err != nil {
			t.Errorf("a listed format: %v", err)
		}
		if got, want := target.NeedsReplay(), target.Dialect == "envelope"; got != want {
			t.Errorf("%s needs replay: %v", name(target), got)
		}
		if got, want := target.NeedsCount(), name(target) == "cel-cbor/array"; got != want {
			t.Errorf("%s needs count: %v", name(target), got)
		}
	}
	if !(convert.Target{Format: convert.CELCBOR}).NeedsCount() {
		t.Error("the default dialect of cel-cbor needs no count")
	}
}

// TestDefaultDialect: the first dialect that is listed is the default.
func TestDefaultDialect(t *testing.T) {
	for _, f := range convert.Formats() {
		if f.Dialects == nil || !f.Whole {
			continue
		}
		a, _, err := copyTo([]byte(sample), convert.Target{Format: f.Name}, convert.Source{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := copyTo([]byte(sample), convert.Target{Format: f.Name, Dialect: f.Dialects[0]}, convert.Source{}, 1)
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: default and %s differ (%v)", f.Name, f.Dialects[0], err)
		}
	}
}

// TestCount: the number of records, of every form; and what an array of a wrong
// number comes to.
func TestCount(t *testing.T) {
	long := sample + strings.Repeat("one more line\n", 2000)
	for _, to := range targets() {
		log, _, err := copyTo([]byte(long), to, convert.Source{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []io.Reader{bytes.NewReader(log), iotest.OneByteReader(bytes.NewReader(log)), iotest.DataErrReader(bytes.NewReader(log))} {
			r, err := convert.Open(in, convert.Source{})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := convert.Count(t.Context(), r); n != 2003 || err != nil {
				t.Errorf("%s: %d records, %v, want 2003", name(to), n, err)
			}
		}
		// An error ends the count; what was read before is counted.
		fault := fmt.Errorf("disk: %w", io.EOF)
		r, err := convert.Open(io.MultiReader(bytes.NewReader(log), iotest.ErrReader(fault)), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := convert.Count(t.Context(), r); !errors.Is(err, fault) {
			t.Errorf("%s: the failure of a layer came out as %v", name(to), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := convert.Open(strings.NewReader(sample), convert.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := convert.Count(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("count in an ended context: %v", err)
	}
	for _, n := range []int64{-1, 0, 2, 4, 1 << 40} {
		r, err := convert.Open(strings.NewReader(sample), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := convert.Copy(t.Context(), io.Discard, convert.Target{Format: convert.CELCBOR, Records: n}, r, convert.Options{}); err == nil {
			t.Errorf("3 records in a CBOR array of %d is no error", n)
		}
	}
}

// TestEnvelopeOfMany: an envelope has room for one value.
func TestEnvelopeOfMany(t *testing.T) {
	two := "INIT sha256/" + strings.Repeat("0", 64) + " sha384/" + strings.Repeat("0", 96) + "\nd o\n"
	_, _, err := copyTo([]byte(two), convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, convert.Source{}, 1)
	wantCarry(t, err, "the log has 2 (rtmr2:sha256, rtmr2:sha384)")

	registers := `[{"recnum":0,"pcr":4,"digests":[{"hashAlg":"sha256","digest":"` + strings.Repeat("0", 64) + `"}],"content_type":"pcclient_std","content":{"event_type":"EV_SEPARATOR","event_data":"00000000"}},
{"recnum":1,"pcr":5,"digests":[{"hashAlg":"sha256","digest":"` + strings.Repeat("0", 64) + `"}],"content_type":"pcclient_std","content":{"event_type":"EV_SEPARATOR","event_data":"00000000"}}]`
	_, _, err = copyTo([]byte(registers), convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, convert.Source{}, 1)
	wantCarry(t, err, "the log has 2 (pcr4:sha256, pcr5:sha256)")

	_, _, err = copyTo([]byte("[]"), convert.Target{Format: convert.CELJSON, Dialect: "envelope"}, convert.Source{}, 1)
	wantCarry(t, err, "no record extends one")
}

// TestMR: what an envelope states is known after its last record, and compared
// with the replay.
func TestMR(t *testing.T) {
	for _, c := range []struct{ log, stated, want string }{
		{samplePublished, sampleMR, ""},
		{strings.Replace(samplePublished, `"mr": "4`, `"mr": "5`, 1), "5" + sampleMR[1:], "envelope states mr"},
		{strings.Replace(samplePublished, sampleMR, strings.ToUpper(sampleMR), 1), strings.ToUpper(sampleMR), ""},
		{strings.Replace(samplePublished, sampleMR, "00", 1), "00", "envelope states mr"},
		{strings.Replace(samplePublished, "[{\"hashAlg\": \"sha384\", \"digest\": \"98", "[{\"hashAlg\": \"sha384\", \"digest\": \"99", 1), sampleMR, "envelope states mr"},
		{sample, "", ""},
	} {
		r, err := convert.Open(strings.NewReader(c.log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		records, err := logtest.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		var replay mrlog.Replay
		if err := replay.Extend(records); err != nil {
			t.Fatal(err)
		}
		if mr, ok := convert.StatedMR(r); mr != c.stated || ok != (c.stated != "") {
			t.Errorf("states %q, %v, want %q", mr, ok, c.stated)
		}
		err = convert.CheckMR(r, &replay)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestProgress: after each batch, rising, and to the end of the last record.
func TestProgress(t *testing.T) {
	log := sample + strings.Repeat("one more line\n", 3000)
	for _, procs := range []int{1, 2, 3} {
		r, err := convert.Open(strings.NewReader(log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		var records, offset int64
		_, err = convert.Copy(t.Context(), io.Discard, convert.Target{Format: convert.CELSeq}, r, convert.Options{Procs: procs, Progress: func(n, at int64) {
			if n <= records || at <= offset {
				t.Errorf("%d records at %d after %d at %d", n, at, records, offset)
			}
			records, offset = n, at
		}})
		if err != nil || records != 3003 || offset != int64(len(log))-1 {
			t.Errorf("%d procs: %v after %d records at %d of %d", procs, err, records, offset, len(log))
		}
	}
}

// failAfter takes so many bytes.
type failAfter int

var errFull = errors.New("disk full")

func (f *failAfter) Write(p []byte) (int, error) {
	if len(p) > int(*f) {
		n := int(*f)
		*f = 0
		return n, errFull
	}
	*f -= failAfter(len(p))
	return len(p), nil
}

// TestWriteErrors: an error of the destination comes out as it is, wherever it
// happens.
func TestWriteErrors(t *testing.T) {
	log := sample + strings.Repeat("one more line\n", 3000)
	for _, to := range targets() {
		to.Records = 3003
		for _, room := range []failAfter{0, 1, 100, 40000, 100000} {
			for _, procs := range []int{1, 2, 3} {
				full := room
				r, err := convert.Open(strings.NewReader(log), convert.Source{})
				if err != nil {
					t.Fatal(err)
				}
				_, err = convert.Copy(t.Context(), &full, to, r, convert.Options{Procs: procs})
				if !errors.Is(err, errFull) && !(to.Format == convert.NELR && room > 50000) {
					t.Errorf("%s with room for %d: %v", name(to), room, err)
				}
			}
		}
	}
}

// TestReadErrors: an error of the source comes out as it is, after the records
// before it have been written.
func TestReadErrors(t *testing.T) {
	fault := errors.New("cable pulled")
	log := sample + strings.Repeat("one more line\n", 3000)
	for _, procs := range []int{1, 2, 3} {
		r, err := convert.Open(io.MultiReader(strings.NewReader(log), iotest.ErrReader(fault)), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		_, err = convert.Copy(t.Context(), io.Discard, convert.Target{Format: convert.CELTLV}, r, convert.Options{
			Procs: procs, Progress: func(records, _ int64) { n = records },
		})
		if !errors.Is(err, fault) || n != 3003 {
			t.Errorf("%v after %d records, want the source's after 3003", err, n)
		}
	}
	// Within what detection reads.
	if _, err := convert.Open(io.MultiReader(strings.NewReader(sample), iotest.ErrReader(fault)), convert.Source{}); err != nil && !errors.Is(err, fault) {
		t.Errorf("open: %v", err)
	}
	_, err := convert.Open(iotest.ErrReader(fmt.Errorf("layer: %w", io.EOF)), convert.Source{})
	if err == nil || errors.Is(err, convert.ErrFormat) {
		t.Errorf("open took the failure of a layer for an empty log: %v", err)
	}
}

// TestSource: what the caller says of a log's register goes before what the log
// says, and that before what is assumed.
func TestSource(t *testing.T) {
	hinted := "#: register pcr14\n" + sample
	plain := func(pcr string) string { return strings.ReplaceAll(samplePublished, `"pcr": 2`, `"pcr": `+pcr) }
	for _, c := range []struct {
		log     string
		source  convert.Source
		want    string
		assumed bool
	}{
		{sample, convert.Source{}, "rtmr2", true},
		{sample, convert.Source{Space: mrlog.CCMR}, "ccmr2", false},
		{sample, convert.Source{Index: 3, HasIndex: true}, "rtmr3", true},
		{sample, convert.Source{Index: 0, HasIndex: true}, "rtmr0", true},
		{sample, convert.Source{Index: 4, HasIndex: true}, "pcr4", false},
		{sample, convert.Source{Index: 3, HasIndex: true, Space: mrlog.PCR}, "pcr3", false},
		{sample, convert.Source{Index: 0, HasIndex: true, Space: mrlog.RTMR}, "rtmr0", false},
		{hinted, convert.Source{}, "pcr14", false},
		{hinted, convert.Source{Index: 3, HasIndex: true}, "rtmr3", true},
		{hinted, convert.Source{Space: mrlog.CCMR}, "pcr14", false}, // the log names its space,
		{plain("2"), convert.Source{}, "rtmr2", true},
		{plain("4"), convert.Source{}, "pcr4", false},
		{plain("4"), convert.Source{Space: mrlog.CCMR}, "ccmr4", false},
		{plain("2"), convert.Source{Space: mrlog.PCR}, "pcr2", false},
	} {
		for _, scan := range []bool{false, true} {
			r, err := convert.Open(strings.NewReader(c.log), c.source)
			if err != nil {
				t.Fatal(err)
			}
			var b mrlog.Batch
			read := r.Read
			if h, ok := r.(mrlog.Hasher); ok && scan {
				read = h.Scan
			}
			if err := read(&b); err != nil {
				t.Fatal(err)
			}
			h := r.Header()
			for i := range b.Records {
				if got := b.Records[i].Register; got.String() != c.want || got.Space != h.Space || h.SpaceAssumed != c.assumed {
					t.Errorf("%+v: %s in a log of %s (assumed: %v), want %s (%v)", c.source, got, h.Space, h.SpaceAssumed, c.want, c.assumed)
				}
			}
		}
	}
	// Its records name their registers.
	if _, err := convert.Open(strings.NewReader(plain("2")), convert.Source{Index: 3, HasIndex: true}); !errors.Is(err, convert.ErrIndex) {
		t.Errorf("the number of a register for a CEL log: %v", err)
	}
	if _, err := convert.Open(strings.NewReader(sample), convert.Source{Format: "tcg3"}); err == nil {
		t.Error("an unknown format was opened")
	}
	// Stated formats are not detected: what does not fit is the reader's to say.
	for _, f := range convert.Names() {
		r, err := convert.Open(strings.NewReader("garbage"), convert.Source{Format: f})
		if err == nil {
			_, err = logtest.ReadAll(r)
		}
		var s *mrlog.SyntaxError
		if !errors.As(err, &s) || s.Format != f {
			t.Errorf("garbage as %s: %v", f, err)
		}
	}
}

// TestTorn: a torn last line is an error, or left out and told.
func TestTorn(t *testing.T) {
	torn := sample + "half a li"
	if _, err := open([]byte(torn)); err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("torn log: %v", err)
	}
	for _, s := range []convert.Source{{IgnoreTorn: true}, {IgnoreTorn: true, HasIndex: true, Index: 2}, {IgnoreTorn: true, Space: mrlog.RTMR}} {
		r, err := convert.Open(strings.NewReader(torn), s)
		if err != nil {
			t.Fatal(err)
		}
		records, err := logtest.ReadAll(r)
		if err != nil || len(records) != 3 {
			t.Errorf("%d records, %v", len(records), err)
		}
		if span, ok := convert.Torn(r); !ok || span != (mrlog.Span{Offset: int64(len(sample)), Length: 9, Line: 4}) {
			t.Errorf("torn: %+v, %v", span, ok)
		}
	}
	r, err := convert.Open(strings.NewReader("[]"), convert.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := convert.Torn(r); ok {
		t.Error("an array has a torn line")
	}
}

// TestCarryContents: the contents in use go through the forms that have a place
// for them.
func TestCarryContents(t *testing.T) {
	version := cel.Management{Type: cel.CELVersion, Major: 1, Minor: 1}.Append(nil)
	kexec := cel.Management{Type: cel.StateTrans, Value: cel.StateKexec}.Append(nil)
	for _, c := range []struct {
		record mrlog.Record
		not    string // forms that have no place for it
	}{
		{mrlog.Record{Type: mrlog.TypeCCCEL, Content: []byte("d o c")}, ""},
		{mrlog.Record{Type: mrlog.TypePCClient, Event: 4, Content: []byte{0, 0, 0, 0}}, ""},
		{mrlog.Record{Type: mrlog.TypePCClient, Event: 3, NotExtended: true, Content: []byte("StartupLocality\x00\x03")}, ""},
		{mrlog.Record{Type: mrlog.TypePCClient, Event: 0x12345678}, ""},
		{mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng"), Content: []byte{1, 2}}, ""},
		{mrlog.Record{Type: mrlog.TypeIMATemplate, Content: []byte{1, 2}}, ""},
		{mrlog.Record{Type: mrlog.TypeIMATLV, Content: []byte{0, 0, 0, 0, 1, 'a'}}, ""},
		{mrlog.Record{Type: mrlog.TypeSystemd, Content: []byte("enter-initrd")}, ""},
		{mrlog.Record{Type: mrlog.TypeSystemd, Form: mrlog.FormJSON, Content: []byte(`{"string":"enter-initrd","timestamp":1}`)}, "tlv cbor"},
		{mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: version, NotExtended: true}, ""},
		{mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: kexec}, ""},
		{mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: append(bytes.Clone(kexec), kexec...)}, "cbor"},
		{mrlog.Record{Type: 80, Content: []byte{1, 0, 0, 0, 1, 'a'}}, ""},
		{mrlog.Record{Type: 1000, Content: []byte{1}}, "tlv"},
		{mrlog.Record{Type: mrlog.TypeNamed, Name: []byte("tss2"), Form: mrlog.FormJSON, Content: []byte(`{"data":"00"}`)}, "tlv cbor"},
	} {
		r := c.record
		r.HasNumber = true
		r.Register = mrlog.Register{Space: mrlog.PCR, Index: 11}
		r.Digests = []mrlog.Digest{{Alg: mrlog.SHA256, Sum: make([]byte, 32)}}
		for _, to := range targets() {
			n := checkCarried(t, to, []mrlog.Record{r})
			want := 1
			_, form, _ := strings.Cut(to.Format, "-")
			if to.Format == convert.NELR || c.not != "" && strings.Contains(c.not, form) || to.NeedsReplay() && r.NotExtended {
				want = 0
			}
			if n != want {
				t.Errorf("%s carried %d of %+v, want %d", name(to), n, r, want)
			}
		}
	}
}

// TestReadErrorAnywhere: an error of the source comes out as it is, even one
// that wraps io.EOF, at whatever byte of whatever form; it never makes a
// malformed log, or a shorter one.
func TestReadErrorAnywhere(t *testing.T) {
	fault := fmt.Errorf("disk: %w", io.EOF)
	for _, to := range targets() {
		log, _, err := copyTo([]byte(sample), to, convert.Source{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(log) + 1 {
			r, err := convert.Open(io.MultiReader(bytes.NewReader(log[:n]), iotest.ErrReader(fault)), convert.Source{Format: to.Format})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = logtest.ReadAll(r); !errors.Is(err, fault) {
				t.Fatalf("%s, source fails after %d bytes: %v", name(to), n, err)
			}
		}
	}
}

// TestEmpty: an empty log goes through the forms that have a mark of their own
// for it.
func TestEmpty(t *testing.T) {
	for _, in := range []string{"[]", "\x80", "\x9f\xff", ` {"log":[]}`} {
		for _, to := range targets() {
			out, _, err := copyTo([]byte(in), to, convert.Source{}, 2)
			switch {
			case to.Format == convert.NELR || to.NeedsReplay():
				wantCarry(t, err, "") // without INIT, or without a value
			case err != nil:
				t.Errorf("%q to %s: %v", in, name(to), err)
			case len(out) == 0: // an empty file, of no form
			default:
				if records, err := open(out); err != nil || len(records) != 0 {
					t.Errorf("%q as %s, %q: %d records, %v", in, name(to), out, len(records), err)
				}
			}
		}
	}
}
