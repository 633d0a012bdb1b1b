// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
)

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", `1`: "", `"a"`: "", `null`: "", `{"a":[{"b":"\u00e9"},-1.5e3,true]}`: "",
		"": "ends", "{": "ends", `{"a"`: "ends", `"a`: "ends", `{"a":1,"a":2}`: "duplicate", `{"a":{"b":1,"\u0062":2}}`: "duplicate",
		"\"\xff\"": "UTF-8", `"\ud800"`: "surrogate", "\"\x00\"": "invalid", "{}x": "after", "{} ": "after", " {}": "before", "{}{}": "after",
		`{'a':1}`: "invalid", `{"a":01}`: "invalid", `[1,]`: "invalid", "\xef\xbb\xbf{}": "invalid", `NaN`: "invalid",
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth): "", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1): "deeper",
		names(MaxNames): "", names(MaxNames + 1): "more than",
	} {
		_, err := Check([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v does not say %q", text, err, want)
		}
	}
}

func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// walk reads all of a text, every value by its own road.
func walk(d *Decoder) error {
	k, err := d.Peek()
	switch {
	case err != nil:
		return err
	case k == '{':
		if err := d.Token('{'); err != nil {
			return err
		}
		for {
			more, err := d.More()
			if err != nil || !more {
				return err
			}
			if _, err := d.Name(); err != nil {
				return err
			}
			if err := walk(d); err != nil {
				return err
			}
		}
	case k == '[':
		return d.Skip()
	}
	_, _, err = d.Value()
	return err
}

func read(in io.Reader, limit int) error {
	d := NewDecoder(in, "x", limit)
	if err := walk(d); err != nil {
		return err
	}
	return d.End()
}

// TestTruncated: no prefix of a text is taken for the whole, and the error is at
// its end.
func TestTruncated(t *testing.T) {
	const text = `{"a":[1,{"b":"c\"\\","d":{}}],"e":{"f":null,"g":[[]]},"h":"\u00e9é"}`
	for n := range len(text) + 1 {
		for _, in := range []io.Reader{strings.NewReader(text[:n]), iotest.OneByteReader(strings.NewReader(text[:n]))} {
			err := read(in, 100)
			if n == len(text) {
				if err != nil {
					t.Error(err)
				}
				continue
			}
			if fault, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || fault.Offset > int64(n) || fault.Record != -1 {
				t.Errorf("%q: %v", text[:n], err)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	const text = `{"a":[1,{"b":"c"}],"e":true}`
	broken := errors.New("broken")
	for n := range len(text) {
		for _, err := range []error{broken, fmt.Errorf("wrapped: %w", io.EOF), fmt.Errorf("theirs: %w", mrlog.ErrLimit)} {
			in := func() io.Reader { return io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(err)) }
			if got := read(in(), 100); got != err {
				t.Errorf("%q: %v", text[:n], got)
			}
			if got := NewDecoder(in(), "x", 100).valueErr(); got != err {
				t.Errorf("%q, whole: %v", text[:n], got)
			}
		}
	}
	if err := read(idle{}, 100); err != io.ErrNoProgress {
		t.Error(err)
	}
	if err := read(liar{}, 100); err == nil {
		t.Error("an impossible count is taken")
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

// counted counts what is read of an input without end.
type counted struct {
	text []byte
	n    int
}

func (c *counted) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.text[(c.n+i)%len(c.text)]
	}
	c.n += len(p)
	return len(p), nil
}

// TestLimits: an input without end is given up soon after the limit, whatever
// it is made of.
func TestLimits(t *testing.T) {
	const limit = 1 << 20
	for _, text := range []string{`"` + strings.Repeat("a", 5<<20), " ", "[", `[1,[2,`, `{"a":`, "1", `["",`} {
		in := &counted{text: []byte(text)}
		if text[0] == '"' {
			in.text = []byte(strings.Repeat("a", 1000))
		}
		var err error
		if text[0] == '"' {
			err = read(io.MultiReader(strings.NewReader(`"`), in), limit)
		} else {
			err = NewDecoder(in, "x", limit).valueErr()
		}
		if !errors.Is(err, mrlog.ErrLimit) && !strings.Contains(fmt.Sprint(err), "invalid") || in.n > limit+4*chunk {
			t.Errorf("%.10q: %v after %d bytes", text, err, in.n)
		}
	}
	// The limit is told with its place, in whatever it is passed.
	for _, text := range []string{strings.Repeat("[", 100), `{"a":` + strings.Repeat(`{"a":`, 100), names(MaxNames + 1), `[` + names(MaxNames+1)} {
		for _, err := range []error{NewDecoder(strings.NewReader(text), "x", limit).valueErr(), read(strings.NewReader(text), limit)} {
			if fault, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || fault.Err != errDepth && fault.Err != errNames || fault.Offset <= MaxDepth-1 {
				t.Errorf("%.20q: %v", text, err)
			}
		}
	}
	// At the limit, and one above.
	for n, ok := range map[int]bool{limit: true, limit + 1: false} {
		text := `"` + strings.Repeat("a", n-2) + `"`
		for _, in := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text + " "))} {
			if err := read(in, limit); (err == nil) != ok || err != nil && !errors.Is(err, mrlog.ErrLimit) {
				t.Errorf("%d: %v", n, err)
			}
		}
	}
}

func (d *Decoder) valueErr() error {
	_, _, err := d.Value()
	return err
}

// TestScalars against the standard library.
func TestScalars(t *testing.T) {
	for _, s := range []string{"", "a", "\x00\x1f\b\f\n\r\t\"\\/", "é€😀\u2028", strings.Repeat("x", 100)} {
		raw, ok := AppendString(nil, []byte(s))
		var back string
		if err := json.Unmarshal(raw, &back); err != nil || !ok || back != s {
			t.Errorf("%q is written as %s, %v", s, raw, err)
		}
		if got, ok := AppendText([]byte("x"), raw); !ok || string(got) != "x"+s {
			t.Errorf("%s is read as %q", raw, got)
		}
	}
	if _, ok := AppendString(nil, []byte("\xff")); ok {
		t.Error("not UTF-8, and written")
	}
	if _, ok := AppendText(nil, []byte("1")); ok {
		t.Error("a number is a string")
	}
	for raw, want := range map[string]bool{`""`: true, `"q80="`: true, `"q81="`: false, `"q80"`: false, `"\/\/8="`: true, "\"q80=\n\"": false, `"q8-_"`: false, "1": false, `"q80=q80="`: false} {
		if got, err := AppendBase64([]byte{1}, []byte(raw)); (err == nil) != want || got[0] != 1 {
			t.Errorf("%s: %x, %v", raw, got, err)
		}
	}
	for raw, want := range map[string]string{`""`: "", `"00ff"`: "00ff", `"00fF"`: "00ff upper", `"0"`: "!", `"0g"`: "!", "1": "!", `"\u0030a"`: "!"} {
		out, upper, err := AppendHex(nil, []byte(raw))
		got := fmt.Sprintf("%x", out)
		if upper {
			got += " upper"
		}
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	for raw, want := range map[string]uint64{"0": 0, "7": 7, "18446744073709551615": 1<<64 - 1} {
		if n, err := Uint([]byte(raw), 1<<64-1); err != nil || n != want {
			t.Errorf("%s: %d, %v", raw, n, err)
		}
	}
	for _, raw := range []string{"", "-1", "1.0", "1e1", "18446744073709551616", `"1"`, "null"} {
		if n, err := Uint([]byte(raw), 1<<64-1); err == nil {
			t.Errorf("%s: %d", raw, n)
		}
	}
	if _, err := Uint([]byte("8"), 7); err == nil {
		t.Error("above the limit")
	}
}

// TestObject: the members with their places; one object after the other.
func TestObject(t *testing.T) {
	var o Object
	for range 2 {
		raw := []byte(`{ "a" : 1 , "b\n":{"c":"}"}, "":[] }`)
		if !o.Reset(raw) {
			t.Fatal("no object")
		}
		var got []string
		for {
			name, value, at, ok := o.Next()
			if !ok {
				break
			}
			if !bytes.HasPrefix(raw[at:], value) {
				t.Errorf("%q is not at %d", value, at)
			}
			got = append(got, string(name)+"="+string(value))
		}
		if fmt.Sprint(got) != fmt.Sprint([]string{"a=1", "b\n={\"c\":\"}\"}", "=[]"}) {
			t.Errorf("%q", got)
		}
	}
	if o.Reset([]byte("[]")) || o.Reset([]byte("1")) || o.Reset(nil) {
		t.Error("that is no object")
	}
}

// FuzzCheck: what is taken is what encoding/json takes, and nothing that it
// would read otherwise.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c\"\\","d":{}}]}`, `"\ud800\udc00"`, "[[[", `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		_, err := Check(p)
		if err == nil && !json.Valid(p) {
			t.Fatalf("%q is not JSON", p)
		}
		// Read in pieces, it is the same.
		whole := read(bytes.NewReader(p), 1<<20)
		pieces := read(iotest.OneByteReader(bytes.NewReader(p)), 1<<20)
		if (whole == nil) != (pieces == nil) || err == nil && whole != nil {
			t.Fatalf("%q: %v, whole %v, in pieces %v", p, err, whole, pieces)
		}
	})
}

func TestElements(t *testing.T) {
	for raw, want := range map[string]string{"[]": "", `[ 1 , {"a":[2]} ]`: `1 true {"a":[2]} true `, "{}": " false ", "1": " false "} {
		var got strings.Builder
		for v, ok := range Elements([]byte(raw)) {
			fmt.Fprintf(&got, "%s %v ", v, ok)
		}
		if got.String() != want {
			t.Errorf("%s: %q", raw, got.String())
		}
	}
	for range Elements([]byte("[1,2]")) {
		break
	}
}
