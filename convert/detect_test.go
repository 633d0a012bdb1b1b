// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
)

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// starts are beginnings of logs with their format; "" is none, or not to be
// told.
func starts(t testing.TB) []struct{ what, start, want string } {
	zeros := strings.Repeat("00", 20)
	return []struct{ what, start, want string }{
		{"nothing", "", ""},

		{"native log", sample, convert.NELR},
		{"native log after a comment", "# text\n" + sample, convert.NELR},
		{"native log after a hint", "#: register rtmr3\n" + sample, convert.NELR},
		{"native log after empty lines", "\n\n" + sample, convert.NELR},
		{"comment that looks like JSON", "#[{\n" + sample, convert.NELR},
		{"comment of any bytes", "#\x00\xff\x1e\n" + sample, convert.NELR},
		{"only newlines", "\n\n", convert.NELR},
		{"native log without INIT", "domain operation\n", convert.NELR}, // whose reader says so
		{"text that begins with blanks", "  domain operation\n", convert.NELR},
		{"INIT of a later version, perhaps", "INIT\n", convert.NELR},
		{"INIT cut short", "INI", convert.NELR},
		{"text that is not UTF-8", "caf\xe9 open\n", convert.NELR},

		{"empty JSON array", "[]", convert.CELJSON},
		{"empty JSON array, spaced", " \r\n\t[ ]\n", convert.CELJSON},
		{"JSON array", `[{"recnum":0,`, convert.CELJSON},
		{"envelope", `{"mr":"00"`, convert.CELJSON},
		{"JSON lines", "{\"recnum\":0}\n{\"recnum\":1}\n", convert.CELJSON},
		{"bracket", "[", convert.CELJSON},
		{"brace", "{", convert.CELJSON},

		{"sequence", "\x1e{\"pcr\":11", convert.CELSeq},
		{"record separator", "\x1e", convert.CELSeq},

		{"TLV, minimal", unhex(t, "00 00000001 00 01 00000001 04 03 00000025"), convert.CELTLV},
		{"TLV, NV index", unhex(t, "00 00000001 00 02 00000004 01d10200 03 00000025"), convert.CELTLV},
		{"TLV, go-eventlog", unhex(t, "00 00000008 0000000000000000 01 00000001 04"), convert.CELTLV},
		{"TLV, go-eventlog, CC-MR", unhex(t, "00 00000008 0000000000000000 6c 00000001 04"), convert.CELTLV},
		{"TLV, 4-byte", unhex(t, "00 00000004 00000000 01 00000004 00000004"), convert.CELTLV},
		{"TLV, record number of three bytes", unhex(t, "00 00000003 000000 01 00000001 04"), convert.CELTLV},

		{"CBOR, empty array", "\x80", convert.CELCBOR},
		{"CBOR, empty array of indefinite length", "\x9f\xff", convert.CELCBOR},
		{"CBOR array", unhex(t, "81 a5 00 00 01 04 03 81"), convert.CELCBOR},
		{"CBOR array without numbers", unhex(t, "81 a4 01 04 03 81"), convert.CELCBOR},
		{"CBOR array with the key space", unhex(t, "81 a6 00 00 01 04 03 81"), convert.CELCBOR},
		{"CBOR array, 24 records", unhex(t, "98 18 a5 00 00"), convert.CELCBOR},
		{"CBOR array, 256 records", unhex(t, "99 0100 a5 00 00"), convert.CELCBOR},
		{"CBOR array, 65536 records", unhex(t, "9a 00010000 a5 00 00"), convert.CELCBOR},
		{"CBOR array, wide head", unhex(t, "9b 0000000000000001 a5 00 00"), convert.CELCBOR},
		{"CBOR array, indefinite", unhex(t, "9f a5 00 00"), convert.CELCBOR},
		{"CBOR sequence", unhex(t, "a5 00 00 01 04 03 81"), convert.CELCBOR},

		// The header of a TCG2 log is in
		// little endian, and event type 3 stands where TLV has a length.
		{"TCG2 header, register 0", unhex(t, "00000000 03000000"+zeros+"25000000") + "Spec ID Event03\x00", ""},
		{"TCG2 header, register 1", unhex(t, "01000000 03000000"+zeros+"25000000") + "Spec ID Event03\x00", ""},
		{"CoCo header", unhex(t, "00000000 03000000"+zeros+"25000000 00000000000000000000000000000000"), ""},
		{"TCG SHA-1 log, EV_S_CRTM_VERSION", unhex(t, "00000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000"), ""},
		{"TCG SHA-1 log, EV_POST_CODE", unhex(t, "00000000 01000000"+strings.Repeat("01", 20)+"02000000 0000"), ""},

		{"AAEL", unhex(t, "04000000 06000000 01000000 0c00"), ""},
		{"IMA, binary", unhex(t, "0a000000 "+strings.Repeat("ab", 20)+" 06000000") + "ima-ng", ""},
		{"TDX quote 4", unhex(t, "0400 0200 81000000 00000000"), ""},
		{"TDX quote 5", unhex(t, "0500 0200 81000000 00000000"), ""},
		{"TPM quote", unhex(t, "ff544347 8018 0000 0004 01020304"), ""},
		{"SNP report", unhex(t, "02000000 00000000"), ""},
		{"ACPI table", "CCEL\x38\x00\x00\x00\x01", ""},
		{"HCL report", "HCLA\x02\x00\x00\x00", ""},
		{"gzip", "\x1f\x8b\x08\x00", ""},
		{"zeros", strings.Repeat("\x00", 64), ""},
		{"erased flash", strings.Repeat("\xff", 4) + "\x00", ""},
		{"UTF-16", "\xff\xfeI\x00N\x00", ""},
		{"CBOR of something else", unhex(t, "a1 61 61 01"), ""},
		{"CBOR array of numbers", unhex(t, "83 01 02 03"), ""},
		{"escape sequence", "\x1b[31m", ""},
	}
}

func TestDetect(t *testing.T) {
	for _, c := range starts(t) {
		got, err := convert.Detect([]byte(c.start))
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, convert.ErrFormat) {
			t.Errorf("%s: %q, %v, want %q", c.what, got, err, c.want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: long message %q", c.what, err)
		}
	}
}

// TestDetectCut: a start that is cut short is of its format, or not to be told;
// it is never of another one of which more could have been seen.
func TestDetectCut(t *testing.T) {
	for _, c := range starts(t) {
		for n := range min(len(c.start), 64) + 1 {
			got, err := convert.Detect([]byte(c.start[:n]))
			if got == c.want || errors.Is(err, convert.ErrFormat) {
				continue
			}
			if c.want == "" && got == convert.CELTLV && n <= 5+int(c.start[4]) {
				continue // so much of a TCG header is TLV as well
			}
			if c.want == convert.CELJSON && strings.TrimSpace(c.start[:n]) == "" {
				continue // white space could go on as anything
			}
			if c.want == "" && (got == convert.NELR && n <= 5 || got == convert.CELCBOR && n <= 1) {
				continue // letters may begin a line, and a head a log
			}
			t.Errorf("%s, %d bytes: %q, %v, want %q", c.what, n, got, err, c.want)
		}
	}
}

// TestDetectWritten: what each target writes is told from its first bytes, as
// few as there are.
func TestDetectWritten(t *testing.T) {
	for _, to := range targets() {
		log, _, err := copyTo([]byte(sample), to, convert.Source{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= len(log); n++ {
			got, err := convert.Detect(log[:n])
			if got != to.Format && (!errors.Is(err, convert.ErrFormat) || n > 5) {
				t.Errorf("%s, %d bytes: %q, %v", name(to), n, got, err)
			}
		}
	}
}

// TestDetectOdd: bytes that open a form are not taken for text in some old
// encoding, a native log whose INIT is missing; what is nothing is a
// *mrlog.SyntaxError when it is opened.
func TestDetectOdd(t *testing.T) {
	for start, want := range map[string]string{
		"\x85":                  convert.CELCBOR,
		"\x81\xa4\x0a\x61x\x00": convert.CELCBOR, // first key 10, a newline
		"\xe9t\xe9\n":           convert.NELR,
	} {
		if got, err := convert.Detect([]byte(start)); got != want {
			t.Errorf("%q: %q, %v, want %s", start, got, err, want)
		}
	}
	for _, start := range []string{"", "\x00", "\x02\x00"} {
		_, err := convert.Open(strings.NewReader(start), convert.Source{})
		var s *mrlog.SyntaxError
		if !errors.As(err, &s) || !errors.Is(err, convert.ErrFormat) || s.Record != -1 {
			t.Errorf("%q: %v is no *mrlog.SyntaxError that wraps ErrFormat", start, err)
		}
	}
}

// TestDetectCorpus: no real file of another kind is taken for a canonical event
// log. JSON is JSON; there the reader refuses before it gives out a record.
func TestDetectCorpus(t *testing.T) {
	dir := corpus(t)
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Base(filepath.Dir(path)) == "nelr" {
			return err
		}
		p, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		format, err := convert.Detect(p[:min(len(p), convert.DetectSize)])
		switch {
		case err != nil && !errors.Is(err, convert.ErrFormat):
			t.Errorf("%s: %v", path, err)
		case err == nil && strings.HasPrefix(format, "cel-") && !isJSON(p):
			t.Errorf("%s is taken for %s", path, format)
		case err == nil:
			records, err := open(p)
			var s *mrlog.SyntaxError
			if !errors.As(err, &s) || len(records) > 0 {
				t.Errorf("%s as %s: %d records, %v", path, format, len(records), err)
			}
		}
		// Every cut of a binary file, as a pipe may give it.
		for n := 14; n <= min(len(p), 64); n++ {
			if format, _ := convert.Detect(p[:n]); strings.HasPrefix(format, "cel-") && !isJSON(p) {
				t.Errorf("%s, %d bytes, is taken for %s", path, n, format)
			}
		}
		return nil
	})
	if err != nil || files < 30 {
		t.Errorf("%d files: %v", files, err)
	}
}

func isJSON(p []byte) bool {
	p = bytes.TrimSpace(p)
	return len(p) > 0 && (p[0] == '{' || p[0] == '[')
}
