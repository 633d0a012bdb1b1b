// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
)

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
		{"\n", "\n", "no record separator", -1, 1},
		{systemdRecord, "{", "no record separator", -1, 1},
		{"x" + systemdRecord + "\n", "x", "no record separator", -1, 1},
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
		{"[" + head + `[0`, `,0`, "outside of string"},
		{"[" + head + `0`, `0`, "invalid"},
		{"[" + head + `[""`, `,"twelve bytes"`, "longer than"},
		{"[" + head + `1`, `0`, "outside of string"},
		{"[{", " ", "outside of string"},
		{`{"`, "A", "longer than"},
		{`{"mr":"`, "0", "longer than"},
		{"[", "[", "want an object"},
		{"[", " ", "is missing"},
		{"\x1E" + head + `"`, "A", "longer than"},
		{"\x1E{", "\n", "outside of string"},
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

// Names that differ are all kept while an object is validated: a content of long
// ones must not cost what a long string may.
func TestJSONHostileNames(t *testing.T) {
	var names strings.Builder
	for i := range MaxJSONNames - 100 {
		fmt.Fprintf(&names, `"%0380d":0,`, i)
	}
	for _, text := range []string{
		"[" + jsonRecordText("80", "{"+names.String()+`"":0}`) + "]",
		"[{" + names.String() + jsonRecordText("80", "0")[1:] + "]",
	} {
		if len(text) > MaxJSONRecord {
			t.Fatalf("record of %d bytes", len(text))
		}
		for _, one := range []bool{false, true} {
			in := io.Reader(strings.NewReader(text))
			if one {
				in = iotest.HalfReader(iotest.DataErrReader(in))
			}
			var err error
			n := allocated(func() { _, err = readJSON(NewJSONReader(in, Options{})) })
			if at := wantSyntax(t, err, -1).Offset; !errors.Is(err, mrlog.ErrLimit) || at < MaxJSONBare || at > MaxJSONBare+400 {
				t.Errorf("%v", err)
			}
			if n > 12<<20 { // 58 MB without the limit
				t.Errorf("allocated %d bytes", n)
			}
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
