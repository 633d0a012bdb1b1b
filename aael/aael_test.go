// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package aael_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/aael"
	"mrlog.dev/cel"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/nelr"
	"mrlog.dev/tcg"
)

func read(text string, o aael.Options) ([]mrlog.Record, *aael.TextReader, error) {
	d := aael.NewTextReader(strings.NewReader(text), o)
	records, err := logtest.ReadAll(d)
	return records, d, err
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FORMATS 4.1, computed independently.
const (
	example = `04000000 06000000 01000000 0c00
		dad5f0e226318ffa9839b75a472c6aa7fdb5834949d0a0a22990cf04d5692440fb00f3aa0609db7e49cd8d793f670d02
		20000000 4c454141 18000000 646f6d61696e206f7065726174696f6e20636f6e74656e74`
	exampleValue = "82d3f7a4203f58dafe0519eb5e9f645339cda127418c62d4b0270d790ab6ff3c38783523613a7a9f610e7ba004788c26"

	// FORMATS 4.2, the newest generation, and 4.1, an EV_SEPARATOR.
	header    = "00000000 03000000 0000000000000000000000000000000000000000 29000000 00000000000000000000000000000000 00000000 00000000 03000000 0b002000 0c003000 12002000 00"
	ccHeader  = "00000000 03000000 0000000000000000000000000000000000000000 21000000 53706563204944204576656e74303300 00000000 00 02 00 02 01000000 0c00 3000 00"
	separator = "02000000 04000000 01000000 0c00 394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0 04000000 00000000"
)

func TestEvent(t *testing.T) {
	e := aael.Event{Domain: "domain", Operation: "operation", Content: "content"}
	r, err := e.Record(mrlog.Register{Space: mrlog.CCMR, Index: 4}, mrlog.SHA384)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tcg.NewWriter(&buf, tcg.WriterOptions{Dialect: tcg.AAEL})
	if err := errors.Join(w.Write([]mrlog.Record{r}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), unhex(t, example)) {
		t.Errorf("%x", buf.Bytes())
	}
	var replay mrlog.Replay
	if err := replay.Extend([]mrlog.Record{r}); err != nil || hex.EncodeToString(replay.Value(r.Register, mrlog.SHA384)) != exampleValue {
		t.Errorf("%x, %v", replay.Value(r.Register, mrlog.SHA384), err)
	}
	text, ok := aael.Text(&r)
	if back, ok2 := aael.ParseEvent(text); !ok || !ok2 || back != e {
		t.Errorf("%q, %+v", text, back)
	}
	r.Event = 5
	if _, ok := aael.Text(&r); ok {
		t.Error("an EV_ACTION is no event of the agent")
	}
}

func TestEventText(t *testing.T) {
	for text, want := range map[string]*aael.Event{
		"a b c": {"a", "b", "c"}, "a b ": {"a", "b", ""}, "a b c d  e\t": {"a", "b", "c d  e\t"}, "": nil, "a": nil, "a b": nil,
	} {
		got, ok := aael.ParseEvent([]byte(text))
		if ok != (want != nil) || ok && (got != *want || got.Check() != nil || string(got.AppendText(nil)) != text) {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for _, e := range []aael.Event{{"", "b", "c"}, {"a", "", "c"}, {"a b", "c", "d"}, {"a", "b\t", ""}, {"a\n", "b", ""}, {"a", "b", "c\nd"}} {
		if e.Check() == nil {
			t.Errorf("%+v is taken", e)
		}
		if _, err := e.Record(mrlog.Register{}, mrlog.SHA384); err == nil {
			t.Errorf("%+v is taken", e)
		}
	}
	if _, err := (&aael.Event{Domain: "a", Operation: "b"}).Record(mrlog.Register{}, 0x44); err == nil {
		t.Error("an unknown algorithm is taken")
	}
}

func TestTagged(t *testing.T) {
	p := aael.AppendTagged(nil, []byte("a b c"))
	for n := range p {
		if _, ok := aael.ParseTagged(p[:n]); ok {
			t.Errorf("%x is whole", p[:n])
		}
		q := bytes.Clone(p)
		q[n] ^= 0x80
		if _, ok := aael.ParseTagged(q); ok != (n >= 8) {
			t.Errorf("%x: %v", q, ok)
		}
	}
	if text, ok := aael.ParseTagged(p); !ok || string(text) != "a b c" {
		t.Errorf("%q", text)
	}
	if _, ok := aael.ParseTagged(append(p, 0)); ok {
		t.Error("more than the size")
	}
}

func TestCompose(t *testing.T) {
	log := unhex(t, example)
	twice := append(bytes.Clone(log), log...)
	ccel := unhex(t, ccHeader+separator)
	flag := bytes.Repeat([]byte{0xFF}, 8)
	join := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	for i, test := range []struct{ ccel, log, want, back []byte }{
		{nil, log, join(unhex(t, header), log, flag), nil},
		{nil, nil, join(unhex(t, header), flag), nil},
		{ccel, twice, join(ccel, twice, flag), ccel},
		{ccel, nil, join(ccel, flag), ccel},
		{join(ccel, bytes.Repeat([]byte{0xFF}, 1000)), log, join(ccel, log, flag), ccel},
		{join(ccel, make([]byte, 1000)), join(log, flag), join(ccel, log, flag), ccel},
		{bytes.Repeat([]byte{0xFF}, 1000), log, join(unhex(t, header), log, flag), nil},
	} {
		got, err := aael.Compose(test.ccel, test.log)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%d: %x, %v", i, got, err)
			continue
		}
		c, l, err := aael.Split(got)
		if err != nil || !bytes.Equal(c, test.back) || !bytes.Equal(l, bytes.TrimRight(test.log, "\xff")) {
			t.Errorf("%d: %x and %x, %v", i, c, l, err)
		}
		for n := range got {
			if c, l, err := aael.Split(got[:n]); err == nil && len(c)+len(l) > n {
				t.Errorf("%d, cut to %d: %d and %d", i, n, len(c), len(l))
			}
		}
	}
	for i, test := range []struct {
		ccel, log []byte
		say       string
	}{
		{ccel[:len(ccel)-1], log, "tcg"},
		{ccel, log[:len(log)-1], "tcg"},
		{ccel, ccel, ""},
		{ccel, unhex(t, separator), "not of an event"},
		{ccel, bytes.Repeat([]byte{0x80}, 64), "tcg"}, // no UTF-8, and no padding
	} {
		if _, err := aael.Compose(test.ccel, test.log); err == nil || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, _, err := aael.Split(join(ccel, log, unhex(t, separator), flag)); err == nil || !strings.Contains(err.Error(), "follows one") {
		t.Error(err)
	}
	if c, l, err := aael.Split(nil); len(c)+len(l) > 0 || err != nil {
		t.Errorf("%x, %x, %v", c, l, err)
	}
}

func TestIs(t *testing.T) {
	log := unhex(t, example)
	for n := range log {
		if got := aael.Is(log[:n]); got != (n >= 74) {
			t.Errorf("%d bytes: %v", n, got)
		}
	}
	for _, p := range [][]byte{nil, unhex(t, ccHeader), unhex(t, separator), bytes.Repeat([]byte{0xFF}, 100), make([]byte, 100)} {
		if aael.Is(p) {
			t.Errorf("%x", p)
		}
	}
	zeros := strings.Repeat("0", 96)
	for text, want := range map[string]bool{
		"INIT sha384/" + zeros[48:] + "\n": true, "INIT/sha384 " + zeros + "\n": true, "INIT sha384/" + strings.ToUpper("ab"+zeros[2:]) + "\n": true,
		"\nINIT SHA-384/0\na b c\n":   true,
		"INIT sha384/" + zeros + "\n": false, "INIT sha384/" + zeros[48:]: false, "INIT\n": false, "": false, "INIT sha384/x\n": false,
		"# x\nINIT sha384/0\n": false, "INIT sha384/0" + zeros + "\n": false, "INIT sha384/\n": false, "INIT 0x44/00\n": false,
	} {
		if aael.IsText([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// TestText: lines, and what INIT states, whatever its spelling.
func TestText(t *testing.T) {
	rtmr3 := mrlog.Register{Space: mrlog.RTMR, Index: 3}
	zeros, value := strings.Repeat("0", 96), strings.Repeat("0", 90)+"00abcd"
	for _, test := range []struct {
		init, dialect string
		alg           mrlog.Alg
		value         string
		action        bool
	}{
		{"INIT sha384/" + zeros, aael.AlgSlash, mrlog.SHA384, zeros, false},
		{"INIT sha384/" + zeros[48:], aael.AlgSlash, mrlog.SHA384, zeros, true},
		{"INIT sha384/0", aael.AlgSlash, mrlog.SHA384, zeros, true},
		{"INIT/sha384 " + zeros, aael.InitSlash, mrlog.SHA384, zeros, true},
		{"INIT sha384/abcd", aael.AlgSlash, mrlog.SHA384, value, false},
		{"INIT/SHA384 ABCD", aael.InitSlash, mrlog.SHA384, value, false},
		{"INIT sha256/" + zeros[:32], aael.AlgSlash, mrlog.SHA256, zeros[:64], true},
	} {
		text := test.init + "\n\ndomain operation content\n# no comment\n a\r\n"
		for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			d := aael.NewTextReader(in, aael.Options{})
			got, err := logtest.ReadAll(d)
			if err != nil {
				t.Fatal(err)
			}
			var want []mrlog.Record
			at := int64(0)
			for i, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
				if l != "" {
					r := mrlog.Record{Register: rtmr3, Type: mrlog.TypeCCCEL, Notes: mrlog.NoteSpaceAssumed, Content: []byte(l), Span: mrlog.Span{Offset: at, Length: len(l), Line: i + 1}}
					if i == 0 && test.action {
						r.Type, r.Event = mrlog.TypePCClient, mrlog.EventAction
					}
					r.Digests = []mrlog.Digest{{Alg: test.alg, Sum: test.alg.AppendSum(nil, []byte(l))}}
					want = append(want, r)
				}
				at += int64(len(l)) + 1
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", test.init, diff)
			}
			head := mrlog.Header{Format: "aael-text", Dialect: test.dialect, Space: mrlog.RTMR, SpaceAssumed: true, Derived: true, Algs: []mrlog.AlgSize{{Alg: test.alg, Size: test.alg.Size()}}}
			if diff := cmp.Diff(head, d.Header()); diff != "" {
				t.Errorf("%s: %s", test.init, diff)
			}
			if v := d.Init(); len(v) != 1 || v[0].Alg != test.alg || hex.EncodeToString(v[0].Sum) != test.value {
				t.Errorf("%s: states %v", test.init, v)
			}
			// A start that is the reset value needs no excuse in a replay.
			var replay mrlog.Replay
			if err := replay.Extend(got); err != nil {
				t.Fatal(err)
			}
			if _, n := replay.InitErrors(); n > 0 && strings.Trim(test.value, "0") == "" {
				t.Errorf("%s: the replay complains", test.init)
			}
			var buf bytes.Buffer
			logtest.Through(t, got, cel.NewJSONWriter(&buf), cel.NewJSONReader(&buf, cel.Options{}))
		}
	}
}

// TestNative: a log that a native log could be gives the same records.
func TestNative(t *testing.T) {
	text := "INIT sha256/" + strings.Repeat("0", 64) + " sha384/" + strings.Repeat("1", 96) + "\na b c\n"
	got, _, err := read(text, aael.Options{Register: mrlog.Register{Space: mrlog.RTMR, Index: 2}})
	want, err2 := logtest.ReadAll(nelr.NewReader(strings.NewReader(text), nelr.Options{Register: mrlog.Register{Space: mrlog.RTMR, Index: 2}}))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(mrlog.Record{}, "Number", "HasNumber")); diff != "" || err != nil || err2 != nil {
		t.Errorf("%v, %v, %s", err, err2, diff)
	}
}

func TestTextRefused(t *testing.T) {
	const good = "INIT sha384/00\n"
	for _, test := range []struct {
		text, say string
		at        int64
		line      int
		record    int64
	}{
		{"", "no INIT", 0, 1, -1},
		{"\n\n", "no INIT", 1, 2, -1},
		{"a b c\n", "first line", 0, 1, -1},
		{"INIT\n", "first line", 0, 1, -1},
		{"INIT sha384\n", "not of the form", 0, 1, -1},
		{"INIT/sha384/00\n", "not of the form", 0, 1, -1},
		{"INIT sha384/0x\n", "not hexadecimal", 0, 1, -1},
		{"INIT sha384/\n", "0 hexadecimal digits", 0, 1, -1},
		{"INIT sha384/" + strings.Repeat("0", 97) + "\n", "97 hexadecimal digits", 0, 1, -1},
		{"INIT md5/00\n", "unknown hash", 0, 1, -1},
		{"INIT 0x0044/00\n", "unknown algorithm", 0, 1, -1},
		{"INIT sha384/00\r\n", "not hexadecimal", 0, 1, -1},
		{"INIT sha384/00", "torn", 14, 1, -1},
		{good + "a b c", "torn", 20, 2, 1},
		{good + "a b c\n" + good, "second INIT", 21, 3, 2},
		{good + "INIT/sha384 00\n", "second INIT", 15, 2, 1},
		{good + "INIT\n", "second INIT", 15, 2, 1},
		{good + strings.Repeat("a", aael.MaxLine+1), "longer than", 15, 2, 1},
	} {
		got, _, err := read(test.text, aael.Options{})
		fault, ok := errors.AsType[*mrlog.SyntaxError](err)
		if !ok || !strings.Contains(err.Error(), test.say) || fault.Offset != test.at || fault.Line != test.line || fault.Record != test.record || len(got) != int(max(test.record, 0)) {
			t.Errorf("%.40q: %d records, %v", test.text, len(got), err)
		}
	}
	if got, _, err := read(good+"INIT/x y z\n", aael.Options{}); err != nil || len(got) != 2 {
		t.Errorf("a domain that begins with INIT/: %v", err)
	}
	got, d, err := read(good+"a b c", aael.Options{IgnoreTorn: true})
	if span, torn := d.Torn(); err != nil || len(got) != 1 || !torn || span != (mrlog.Span{Offset: 15, Length: 5, Line: 2}) {
		t.Errorf("%v, %+v, %v", got, span, err)
	}
	broken := errors.New("broken")
	if _, err := logtest.ReadAll(aael.NewTextReader(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)), aael.Options{})); err != broken {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	const good = "INIT sha256/00\n"
	reg := func(s mrlog.Space, n uint32) mrlog.Register { return mrlog.Register{Space: s, Index: n} }
	for _, test := range []struct {
		o    aael.Options
		want mrlog.Register
	}{
		{aael.Options{Space: mrlog.RTMR}, reg(mrlog.RTMR, 3)},
		{aael.Options{Space: mrlog.CCMR}, reg(mrlog.CCMR, 4)},
		{aael.Options{Space: mrlog.PCR}, reg(mrlog.PCR, 17)},
		{aael.Options{Register: reg(mrlog.PCR, 8)}, reg(mrlog.PCR, 8)},
		{aael.Options{Register: reg(mrlog.PCR, 8), Space: mrlog.PCR}, reg(mrlog.PCR, 8)},
	} {
		got, d, err := read(good, test.o)
		if err != nil || got[0].Register != test.want || got[0].Notes != 0 || d.Header().Space != test.want.Space || d.Header().SpaceAssumed {
			t.Errorf("%+v: %+v, %v", test.o, got, err)
		}
	}
	for _, o := range []aael.Options{{Space: mrlog.NV}, {Register: reg(mrlog.NoSpace, 8)}, {Register: reg(mrlog.PCR, 8), Space: mrlog.RTMR}} {
		if _, _, err := read(good, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestVectors(t *testing.T) {
	logtest.Vectors(t, "../testdata/vectors/aael", func(log []byte) mrlog.Reader {
		return aael.NewTextReader(bytes.NewReader(log), aael.Options{})
	}, nil)
}

// TestCorpus: the composed log of a real guest comes apart, and together again.
func TestCorpus(t *testing.T) {
	dir := reallogs.Dir(t)
	log, err := os.ReadFile(filepath.Join(dir, "tcg", "ccel-aael-alibaba.bin"))
	if err != nil {
		t.Fatal(err)
	}
	ccel, file, err := aael.Split(log)
	if err != nil || len(ccel) == 0 || !aael.Is(file) {
		t.Fatalf("%d and %d bytes, %v", len(ccel), len(file), err)
	}
	if back, err := aael.Compose(ccel, file); err != nil || !bytes.Equal(back, log) {
		t.Errorf("together: %d bytes of %d, %v", len(back), len(log), err)
	}
	records, err := logtest.ReadAll(tcg.NewReaderBytes(file, tcg.Options{Bare: true}))
	if err != nil {
		t.Fatal(err)
	}
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		r := &records[i]
		text, ok := aael.Text(r)
		e, ok2 := aael.ParseEvent(text)
		if !ok || !ok2 || e.Domain != "coco.com" || !bytes.Equal(mrlog.SHA384.AppendSum(nil, r.Content), r.Digests[0].Sum) {
			t.Errorf("record %d: %q", i, text)
			continue
		}
		if again, err := e.Record(r.Register, mrlog.SHA384); err != nil || !bytes.Equal(again.Content, r.Content) {
			t.Errorf("record %d: %x, %v", i, again.Content, err)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		File      string
		Registers map[string]map[string]string
	}
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.File == "tcg/ccel-aael-alibaba.bin" {
			if got := hex.EncodeToString(replay.Value(mrlog.Register{Space: mrlog.CCMR, Index: 4}, mrlog.SHA384)); got != m.Registers["sha384"]["4"] {
				t.Errorf("CC-MR 4 is %s", got)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"INIT sha384/00\na b c\n", "INIT/SHA-256 AB\n\n# x\r\n", "INIT sha384/" + strings.Repeat("0", 96) + "\nINIT/x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		got, d, err := read(string(p), aael.Options{})
		if err != nil {
			if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		var text []byte
		for i := range got {
			text = append(append(text, got[i].Content...), '\n')
			for _, s := range got[i].Digests {
				if !bytes.Equal(s.Alg.AppendSum(nil, got[i].Content), s.Sum) {
					t.Fatalf("record %d: %v", i, s)
				}
			}
		}
		again, d2, err := read(string(text), aael.Options{})
		if diff := cmp.Diff(got, again, cmpopts.IgnoreFields(mrlog.Record{}, "Span")); diff != "" || err != nil {
			t.Fatalf("%v, %s", err, diff)
		}
		if diff := cmp.Diff(d.Init(), d2.Init()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{header + example + "ffffffffffffffff", ccHeader + separator + example} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		ccel, file, err := aael.Split(p)
		if err != nil {
			return
		}
		log, err := aael.Compose(ccel, file)
		if err != nil {
			t.Fatalf("%x and %x: %v", ccel, file, err)
		}
		c, l, err := aael.Split(log)
		if err != nil || !bytes.Equal(c, ccel) || !bytes.Equal(l, file) {
			t.Fatalf("%x and %x, then %x and %x, %v", ccel, file, c, l, err)
		}
	})
}
