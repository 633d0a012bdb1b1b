// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

const helloLine = "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool"

// Lines that the kernel would not write like this, but that read the same.
func TestNonCanonicalLines(t *testing.T) {
	all := samples()
	sig := strings.TrimSuffix(all[0].ascii(mrlog.SHA1, false), "\n")
	canonical := map[string]string{"": helloLine + "\n"}
	for what, line := range map[string]string{
		"upper-case digest":  strings.Replace(helloLine, "2a72e57ea10acde", "2A72E57EA10ACDE", 1) + "\n",
		"upper-case field":   strings.Replace(helloLine, "5891b5b5", "5891B5B5", 1) + "\n",
		"last tail digit":    strings.Replace(helloLine, "46f6be03", "46F6BE03", 1) + "\n",
		"index with a zero":  "0" + helloLine + "\n",
		"index with a blank": " " + helloLine + "\n",
		"no newline":         helloLine,
	} {
		records, err := readASCII(line, Options{})
		if err != nil || len(records) != 1 || records[0].Notes != mrlog.NoteNonCanonical || records[0].Form != mrlog.FormRaw {
			t.Errorf("%s: %+v, %v", what, records, err)
			continue
		}
		if out, err := writeASCII(WriteOptions{}, records); err != nil || out != canonical[""] {
			t.Errorf("%s: written as %q, %v", what, out, err)
		}
	}
	records, err := readASCII(strings.TrimRight(sig, " ")+"\n", Options{})
	if err != nil || records[0].Notes != mrlog.NoteNonCanonical || records[0].Form != mrlog.FormRaw {
		t.Fatalf("stripped: %+v, %v", records, err)
	}
	if out, err := writeASCII(WriteOptions{}, records); err != nil || out != sig+"\n" {
		t.Errorf("stripped: written as %q, %v", out, err)
	}
}

// Lines whose fields cannot be understood are replayed and written as they are.
func TestOpaqueLines(t *testing.T) {
	const head = "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 "
	for what, rest := range map[string]string{
		"unknown template":            "ima-next sha256:00 /x y  ",
		"unknown field":               "d-ng|n-ng|color sha256:00 /x blue",
		"no field":                    "ima-ng ",
		"too few fields":              "ima-sig sha256:5891",
		"stripped, and another":       "ima-sig sha256:00 /other",
		"odd digits":                  "ima-ng sha256:589 /x",
		"no digits":                   "ima-ng sha256:58zz /x",
		"no digits in the fast path":  "ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6beXX /x",
		"a lone colon":                "ima-ng :5891 /x",
		"signature is not digits":     "ima-sig sha256:00 /x /y",
		"a blank in a name":           "ima-sig sha256:00 /x y 00",
		"a NUL in a name":             "ima-ng sha256:00 /x\x00y",
		"a NUL in an algorithm":       "ima-ng sha\x00256:00 /x",
		"old digest of another size":  "ima 00 /x",
		"old name too long":           "ima f572d396fae9206628714fb2ce00f72e94f2258f " + strings.Repeat("n", 256),
		"old digest is not digits":    "ima f572d396fae9206628714fb2ce00f72e94f225XX /x",
		"number too large":            "iuid 4294967296",
		"number with a sign":          "iuid +1",
		"number with a zero":          "igid 01",
		"mode too large":              "imode 65536",
		"too many fields in a format": strings.Repeat("d|", 15) + "n x",
	} {
		line := head + rest + "\n"
		// In the middle of a list too, after a record that set the pace.
		for _, list := range []string{line, helloLine + "\n" + line + helloLine + "\n"} {
			records, err := readASCII(list, Options{})
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			r := &records[len(records)/2]
			name, text, _ := strings.Cut(rest, " ")
			if r.Form != mrlog.FormText || string(r.Name) != name || string(r.Content) != text || r.Notes != 0 {
				t.Errorf("%s: %+v", what, r)
			}
			if out, err := writeASCII(WriteOptions{}, records); err != nil || out != list {
				t.Errorf("%s: written as %q, %v", what, out, err)
			}
			var carry *mrlog.CarryError
			if _, err := writeBinary(WriteOptions{}, records[len(records)/2:]); !errors.As(err, &carry) || !strings.Contains(carry.What, "known as text only") {
				t.Errorf("%s: binary: %v", what, err)
			}
			if _, err := readASCII(list, Options{Padded: []mrlog.Alg{mrlog.SHA256}}); err != nil {
				t.Errorf("%s: padded: %v", what, err)
			}
			if _, err := readASCII(list, Options{Banks: []mrlog.Alg{mrlog.SHA256}}); err == nil || !strings.Contains(err.Error(), "cannot be derived") {
				t.Errorf("%s: a further bank: %v", what, err)
			}
		}
	}
}

// What is wrong with a list is said, with its place.
func TestSyntaxErrors(t *testing.T) {
	bin, _ := lists(samples()[:2], mrlog.SHA1, false)
	first := len(samples()[0].binary(mrlog.SHA1, false))
	with := func(at int, v ...byte) []byte {
		p := bytes.Clone(bin)
		copy(p[first+at:], v)
		return p
	}
	for _, tt := range []struct {
		what   string
		in     []byte
		offset int
		want   string
	}{
		{"index", with(0, 0, 0, 0, 1), first, "register index 16777216 is above"},
		{"name length 0", with(24, 0, 0), first + 24, "template name of 0 bytes"},
		{"name length", with(24, 0xFF, 0xFF), first + 24, "template name of 65535 bytes"},
		{"name", with(28, 'i', 0), first + 28, "not of printable characters"},
		{"data", with(34, 0xFF, 0xFF, 0xFF, 0xFF), first + 34, "template data of 4294967295 bytes, the limit is 1048576"},
		{"old name", append(append(bytes.Clone(bin), samples()[2].binary(mrlog.SHA1, false)[:51]...), 0, 1, 0, 0), len(bin) + 51, "file name of template ima of 256 bytes"},
	} {
		records, err := readBinary(tt.in, Options{})
		if e := syntax(t, err); e.Offset != int64(tt.offset) || e.Record != int64(len(records)) || len(records) < 1 || !strings.Contains(err.Error(), tt.want) || e.Format != FormatBinary {
			t.Errorf("%s: after %d records: %v", tt.what, len(records), err)
		}
	}
	for what, in := range map[string][]byte{
		"text":        []byte(strings.Repeat("not a list at all\n", 100)),
		"zeros":       make([]byte, 40<<10),
		"ones":        bytes.Repeat([]byte{0xFF}, 40<<10),
		"short zeros": make([]byte, 330),
	} {
		if _, err := readBinary(in, Options{}); !strings.Contains(syntax(t, err).Error(), "no measurement list") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := readBinary(in, Options{Alg: mrlog.SHA256, BigEndian: true}); err == nil {
			t.Errorf("%s is a list", what)
		}
	}

	for _, tt := range []struct {
		line   string
		offset int
		want   string
	}{
		{"", 0, "empty line"},
		{"x", 0, "does not begin with a register index"},
		{"10", 0, "does not begin with a register index"},
		{"  1 00", 0, "does not begin with a register index"},
		{"123456789 00", 0, "does not begin with a register index"},
		{"99999999 " + strings.Repeat("0", 40) + " ima-ng x", 0, "register index 99999999 is above"},
		{"10 2a72 ima-ng x", 3, "not 40 digits, as that of the first record"},
		{"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1eX ima-ng x", 3, "not hexadecimal"},
		{"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng", 50, "line ends where fields must follow"},
		{"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9  x", 44, "template has no name"},
		{"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 \x80 x", 44, "not of printable characters"},
		{"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 " + strings.Repeat("n", 255) + " x", 44, "too long"},
	} {
		records, err := readASCII(helloLine+"\n"+tt.line+"\n"+helloLine+"\n", Options{})
		if e := syntax(t, err); e.Offset != int64(len(helloLine)+1+tt.offset) || e.Line != 2 || e.Record != 1 || len(records) != 1 || !strings.Contains(err.Error(), tt.want) || e.Format != FormatASCII {
			t.Errorf("%q: after %d records: %v", tt.line, len(records), err)
		}
	}
	for line, want := range map[string]string{
		"10 2a72 ima-ng x\n": "not 40, 64, 96 or 128 digits",
		helloLine + "\n":     "template digest has 40 digits, one of sha256 has 64",
	} {
		if _, err := readASCII(line, Options{Alg: mrlog.SHA256}); !strings.Contains(syntax(t, err).Error(), want) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"cannot be in space":               {Space: mrlog.NV},
		"unknown algorithm 0x0044":         {Alg: 0x44},
		"bank of the unknown algorithm":    {Banks: []mrlog.Alg{7}},
		"bank sha256 is asked for twice":   {Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA256}},
		"bank of the unknown algorithm 0x": {Padded: []mrlog.Alg{0x99}},
	} {
		if _, err := readBinary([]byte("x"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("binary: %v, want %s", err, want)
		}
		if _, err := readASCII("x", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ASCII: %v, want %s", err, want)
		}
	}
	if _, err := NewBinaryWriter(io.Discard, WriteOptions{Space: mrlog.NV}); err == nil {
		t.Error("a writer in space nv")
	}

	// The space of an index.
	for _, tt := range []struct {
		index   uint32
		space   mrlog.Space
		want    mrlog.Space
		assumed bool
	}{
		{2, 0, mrlog.RTMR, true},
		{3, 0, mrlog.RTMR, true},
		{4, 0, mrlog.PCR, false},
		{10, 0, mrlog.PCR, false},
		{2, mrlog.PCR, mrlog.PCR, false},
		{3, mrlog.CCMR, mrlog.CCMR, false},
		{10, mrlog.RTMR, mrlog.RTMR, false},
	} {
		m := samples()[1]
		m.pcr = tt.index
		r := NewBinaryReaderBytes(m.binary(mrlog.SHA384, false), Options{Space: tt.space})
		records, err := logtest.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := records[0].Register; got != (mrlog.Register{Space: tt.want, Index: tt.index}) || (records[0].Notes == mrlog.NoteSpaceAssumed) != tt.assumed || r.Header().Space != tt.want || r.Header().SpaceAssumed != tt.assumed {
			t.Errorf("%+v: %s, notes %b, header %+v", tt, got, records[0].Notes, r.Header())
		}
		out, err := writeBinary(WriteOptions{Space: tt.space}, records)
		if err != nil || !bytes.Equal(out, m.binary(mrlog.SHA384, false)) {
			t.Errorf("%+v: written: %v", tt, err)
		}
	}
}

// A list with templates that the kernel does not know is told by how its records
// hold together.
func TestUnknownTemplates(t *testing.T) {
	var all []measure
	for i := range 5 {
		all = append(all, measure{10, "ima-next", [][]byte{[]byte("field"), {byte(i)}, {}}, nil, false})
	}
	for _, big := range []bool{false, true} {
		for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384, mrlog.SHA512} {
			bin, _ := lists(all, alg, big)
			for _, n := range []int{len(bin), len(bin) / 5} {
				records, err := readBinary(bin[:n], Options{})
				if err != nil || len(records) != n*5/len(bin) || records[0].Digests[0].Alg != alg || string(records[0].Name) != "ima-next" {
					t.Errorf("%s, big=%t: %d records, %v", alg, big, len(records), err)
				}
			}
		}
	}
	if DetectBinary(all[0].binary(mrlog.SHA1, false)) || !DetectBinary(samples()[0].binary(mrlog.SHA384, true)) || DetectBinary(nil) {
		t.Error("DetectBinary")
	}
	if !DetectASCII([]byte(helloLine)) || DetectASCII([]byte("10 00 ima-ng x")) || DetectASCII([]byte("INIT sha384/00")) || DetectASCII(nil) ||
		DetectASCII([]byte(strings.Replace(helloLine, "2a72", "xxxx", 1))) || DetectASCII([]byte(strings.Replace(helloLine, "ima-ng", "ima-xx", 1))) {
		t.Error("DetectASCII")
	}
}

// A record that the kernel logs like this is none; it reads, is marked, and is
// written as what it would have been.
func TestOddDigests(t *testing.T) {
	m := samples()[1]
	bin := m.binary(mrlog.SHA1, false)
	copy(bin[4:], bytes.Repeat([]byte{0xFF}, 20))
	records, err := readBinary(bin, Options{})
	if err != nil || records[0].Notes != mrlog.NoteNonCanonical {
		t.Fatalf("%+v, %v", records, err)
	}
	records, err = readASCII("10 "+strings.Repeat("f", 40)+" ima-ng sha256:00 x\n", Options{})
	if err != nil || records[0].Notes != mrlog.NoteNonCanonical {
		t.Fatalf("%+v, %v", records, err)
	}
	old := samples()[2]
	old.fields[1] = []byte("/bin/x\x00\x00")
	if records, err = readBinary(old.binary(mrlog.SHA1, false), Options{}); err != nil || records[0].Notes != mrlog.NoteNonCanonical {
		t.Fatalf("%+v, %v", records, err)
	}
}

// Stated lengths cost nothing.
func TestMemory(t *testing.T) {
	head, _ := lists(samples()[:1], mrlog.SHA1, false)
	claim := append(append(bytes.Clone(head), head[:35]...), 0xFF, 0xFF, 0x0F, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		_, _ = readBinary(claim, Options{})
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 100<<10 {
		t.Errorf("a stated length of 1 MiB cost %d bytes", n)
	}

	// Too long a line is not read to its end.
	r := NewASCIIReader(io.MultiReader(strings.NewReader(helloLine+"\n"), endless{}), Options{})
	records, err := logtest.ReadAll(r)
	if len(records) != 1 || !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("%d records, %v", len(records), err)
	}
	long := helloLine + strings.Repeat("x", MaxLine) + "\n"
	if _, err := readASCII(long, Options{}); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("long line: %v", err)
	}
	// More data than fits, in a line that does.
	if records, err := readASCII(helloLine+strings.Repeat("x", MaxData)+"\n", Options{}); err != nil || records[0].Form != mrlog.FormText {
		t.Errorf("long name: %v", err)
	}
}

// endless is an input without newlines that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Whatever happens to a list, reading it ends in an answer or an error with a
// place, and what was read can be written unless it says why not.
func TestMutations(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := allSamples(false)
	all = append(all[:18:18], all[19:]...)
	bin, text := lists(all, mrlog.SHA1, false)
	n := 1000
	if testing.Short() || raceEnabled {
		n = 100
	}
	for i := range n {
		for _, in := range [][]byte{bytes.Clone(bin), []byte(text)} {
			for range 1 + rnd.IntN(4) {
				at := rnd.IntN(len(in))
				switch rnd.IntN(4) {
				case 0:
					in[at] = byte(rnd.Uint32())
				case 1:
					in[at] ^= 1 << rnd.IntN(8)
				case 2:
					in = append(in[:at], in[at+rnd.IntN(len(in)-at):]...)
				case 3:
					in = append(in[:at], append(bytes.Clone(in[at:min(len(in), at+rnd.IntN(40))]), in[at:]...)...)
				}
				if len(in) == 0 {
					break
				}
			}
			roundTrip(t, fmt.Sprintf("mutation %d", i), in)
		}
	}
}

// roundTrip reads an input in both forms and writes back what it gives.
func roundTrip(t *testing.T, what string, in []byte) {
	t.Helper()
	for form, r := range map[string]mrlog.Reader{
		FormatBinary: NewBinaryReaderBytes(in, Options{}),
		FormatASCII:  NewASCIIReader(bytes.NewReader(in), Options{}),
	} {
		records, err := logtest.ReadAll(r)
		if err != nil {
			var e *mrlog.SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(in)) || e.Record != int64(len(records)) {
				t.Fatalf("%s, %s: after %d records: %v", what, form, len(records), err)
			}
		}
		if len(records) == 0 {
			continue
		}
		read := records[len(records)-1].Span
		end := read.Offset + int64(read.Length)
		if form == FormatASCII && end < int64(len(in)) {
			end++
		}
		whole, odd := in[:end], false
		for i := range records {
			odd = odd || records[i].Notes&mrlog.NoteNonCanonical != 0
			if records[i].Form == mrlog.FormRaw {
				_, _ = Fields(records[i].Name, records[i].Content)
			}
		}
		big := r.Header().Dialect == BigEndian
		var out []byte
		if form == FormatBinary {
			out, err = writeBinary(WriteOptions{Alg: r.Header().Algs[0].Alg, BigEndian: big}, records)
		} else {
			var text string
			text, err = writeASCII(WriteOptions{Alg: r.Header().Algs[0].Alg, BigEndian: big}, records)
			out = []byte(text)
		}
		if err != nil {
			t.Fatalf("%s, %s: written back: %v", what, form, err)
		}
		if !odd && !bytes.Equal(out, whole) {
			t.Fatalf("%s, %s: written back otherwise\n%q\n%q", what, form, whole, out)
		}
		// To the other form and back: the same records, or a refusal.
		if form == FormatASCII {
			convertBack(t, what, records, big, r.Header().Algs[0].Alg)
		}
	}
}

// convertBack writes records in the other form, one by one, and reads them again.
func convertBack(t *testing.T, what string, records []mrlog.Record, big bool, alg mrlog.Alg) {
	t.Helper()
	for i := range records {
		out, err := writeBinary(WriteOptions{BigEndian: big}, records[i:i+1])
		if err != nil {
			continue
		}
		back, err := readBinary(out, Options{Alg: alg, BigEndian: big})
		if err != nil || len(back) != 1 || !bytes.Equal(back[0].Content, records[i].Content) {
			t.Fatalf("%s: record %d in binary and back: %v", what, i, err)
		}
	}
}

// Every byte at every place of a digit.
func TestUnhex(t *testing.T) {
	for _, n := range []int{2, 8, 16, 24, 26, 64, 66} {
		for at := range n {
			for c := range 256 {
				in := bytes.Repeat([]byte{'7'}, n)
				in[at] = byte(c)
				want, err := hex.DecodeString(string(in))
				got, ok, upper := appendUnhex([]byte("x"), in)
				if ok != (err == nil) || ok && (!bytes.Equal(got[1:], want) || upper != (c >= 'A' && c <= 'F')) || got[0] != 'x' {
					t.Fatalf("%q: %x, %t, %t", in, got, ok, upper)
				}
			}
		}
	}
	if _, ok, _ := appendUnhex(nil, []byte("123")); ok {
		t.Error("three digits")
	}
}
