// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// ccLog is a firmware log of one event.
func ccLog(t testing.TB) []byte {
	return []byte(unhex(t, "0000000003000000"+strings.Repeat("00", 20)+"2100000053706563204944204576656e74303300000000000002000201000000"+"0c00300000"+
		"0200000004000000010000000c00394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f00400000000000000"))
}

// late are objects in JSON whose first members do not tell what they are, and
// which are far longer than what is looked at first.
func late(t testing.TB) []struct{ what, text, format, err string } {
	long := `"` + strings.Repeat("A", 20_000) + `"`
	log := `"cc_eventlog":"` + base64.StdEncoding.EncodeToString(ccLog(t)) + `"`
	record := `"recnum":0,"pcr":4,"digests":[{"hashAlg":"sha256","digest":"` + strings.Repeat("ab", 32) + `"}],"content_type":"pcclient_std"`
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `"member%d":[{"log":[],"event":{"payload":[]}}],`, i)
	}
	return []struct{ what, text, format, err string }{
		{"evidence", `{"certificate":` + long + `,` + log + `}`, convert.TCG2, ""},
		{"evidence behind quotes and escapes", `{"x":"\"cc_eventlog\":\\","y":` + long + `,` + log + `}`, convert.TCG2, ""},
		{"evidence behind many members", `{` + many.String() + log + `}`, convert.TCG2, ""},
		{"evidence behind a text named log", `{"log":` + long + `,` + log + `}`, convert.TCG2, ""},
		{"evidence that is wrapped", `{"result":{"a":` + long + `,` + log + `}}`, convert.TCG2, ""},
		{"evidence behind blanks", `{` + strings.Repeat(" ", 5000) + log + `}`, convert.TCG2, ""},
		{"evidence of a TPM", `{"tpm_quote":` + long + `,"hcl_report":"AA"}`, "", "TPM evidence"},
		{"events of dstack", `{"payload":` + long + `,"event":"app-id"}` + "\n", convert.Dstack, ""},
		{"a record", `{` + record + `,"content":{"event_type":4,"event_data":"` + strings.Repeat("00", 10_000) + `"}}` + "\n", convert.CELJSON, ""},
		{"a record with a log in its content", `{` + record + `,"content":{"x":` + long + `,"cc_eventlog":""}}` + "\n", convert.CELJSON, ""},
		{"an array of records", `[{` + record + `,"content":{"event_type":4,"event_data":"` + strings.Repeat("00", 10_000) + `"}}]`, convert.CELJSON, ""},
		{"nothing that is known", `{"certificate":` + long + `,"more":[{` + log + `}],"inner":[{"log":[],"events":[]}]}`, "", "envelope has a member"},
		{"cut short", `{"certificate":` + long + `,` + log[:20], "", ""},
	}
}

// Members tell the format wherever they stand in the object, and only in it,
// in any wrapping and however the bytes come.
func TestLateMembers(t *testing.T) {
	for _, c := range late(t) {
		for _, w := range append(wrappings, struct {
			what string
			kind convert.Wrapping
			wrap func([]byte) []byte
		}{"no wrapping", convert.NoWrapping, func(p []byte) []byte { return p }}) {
			in := w.wrap([]byte(c.text))
			for _, src := range []io.Reader{struct{ io.Reader }{bytes.NewReader(in)}, iotest.OneByteReader(bytes.NewReader(in)), iotest.DataErrReader(bytes.NewReader(in))} {
				r, err := convert.Open(src, convert.Source{})
				if err == nil {
					if got := r.Header().Format; got != c.format && c.format != "" {
						t.Errorf("%s, %s: %s, want %s", c.what, w.what, got, c.format)
					}
					_, err = logtest.ReadAll(r)
				}
				if c.what == "cut short" {
					if err == nil {
						t.Errorf("%s, %s: no error", c.what, w.what)
					}
				} else if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s, %s: %v", c.what, w.what, err)
				}
			}
		}
	}
}

// endless is an object without an end, of which it counts what was read.
type endless struct {
	head string
	unit string
	read int64
	fail error // instead of the end
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read > 64<<20 {
		return 0, e.fail
	}
	n := 0
	for n < len(p) {
		var from string
		if at := e.read + int64(n); at < int64(len(e.head)) {
			from = e.head[at:]
		} else {
			from = e.unit[(at-int64(len(e.head)))%int64(len(e.unit)):]
		}
		n += copy(p[n:], from)
	}
	e.read += int64(n)
	return n, nil
}

// What is read to tell a format has a limit, and an envelope is not read ahead
// at all: it may be as long as any log.
func TestOpenReadsNoMore(t *testing.T) {
	for _, c := range []struct {
		head, unit string
		limit      int64
	}{
		{`{"x":"`, "A", 4 << 20},
		{`{"x":0`, `,"a":[{"cc_eventlog":0}]`, 4 << 20},
		{`{"x":`, `[`, 4 << 20},
		{`{`, ` `, 4 << 20},
		{`[`, ` `, 4 << 20},
		{`{"log":[`, `{"recnum":0},`, convert.DetectSize},
		{`{"mr":"00","log" : [`, `{"recnum":0},`, convert.DetectSize},
		{`[`, `{"recnum":0},`, convert.DetectSize},
		{``, `{"recnum":0}` + "\n", convert.DetectSize},
		{`{"x":"`, "\x00", 4 << 20},
	} {
		src := &endless{head: c.head, unit: c.unit, fail: io.EOF}
		r, err := convert.Open(src, convert.Source{})
		if err != nil || r.Header().Format != convert.CELJSON {
			t.Errorf("%s%s…: %v", c.head, c.unit, err)
		}
		if src.read > c.limit {
			t.Errorf("%s%s…: %d bytes were read, more than %d", c.head, c.unit, src.read, c.limit)
		}
	}
}

// An error of the source is not one of detection.
func TestOpenSourceFails(t *testing.T) {
	broken := errors.New("broken")
	src := io.MultiReader(strings.NewReader(`{"x":"`+strings.Repeat("A", 10_000)), iotest.ErrReader(broken))
	r, err := convert.Open(src, convert.Source{})
	if err == nil {
		_, err = logtest.ReadAll(r)
	}
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
