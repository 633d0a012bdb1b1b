// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/reallogs"
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

		{"text AAEL, half of the digits", "INIT sha384/" + strings.Repeat("0", 48) + "\na b c\n", convert.AAELText},
		{"text AAEL, published form", "INIT/sha384 " + strings.Repeat("0", 96) + "\na b c\n", convert.AAELText},
		{"native log whose INIT lacks digits", "INIT sha384/" + strings.Repeat("0", 94) + "\na b c\n", convert.NELR},
		{"native log whose INIT has upper-case digits", "INIT sha384/" + strings.Repeat("A", 96) + "\na b c\n", convert.NELR},

		{"dstack, lines", `{"event":"compose-hash","payload":"q80="}` + "\n", convert.Dstack},
		{"dstack, array", `[{"imr":3,"event_type":134217729,"digest":"","event":"x","event_payload":""}]`, convert.Dstack},

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
		{"TCG2 header, register 0", unhex(t, "00000000 03000000"+zeros+"21000000") + "Spec ID Event03\x00", convert.TCG2},
		{"TCG2 header, register 1", unhex(t, "01000000 03000000"+zeros+"25000000") + "Spec ID Event03\x00", convert.TCG2},
		{"CoCo header", unhex(t, "00000000 03000000"+zeros+"25000000"+strings.Repeat("00", 24)+"02000000 0c003000 12002000 00"), convert.TCG2},
		{"CoCo header whose sizes do not fit", unhex(t, "00000000 03000000"+zeros+"25000000"+strings.Repeat("00", 24)+"09000000 0c003000 12002000 00"), ""},
		{"EFI 1.2 header", unhex(t, "00000000 03000000"+zeros+"1c000000") + "Spec ID Event00\x00", convert.TCG2},
		{"TCG SHA-1 log, EV_S_CRTM_VERSION", unhex(t, "00000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000"), convert.TCG2},
		{"TCG SHA-1 log, EV_POST_CODE", unhex(t, "00000000 01000000"+strings.Repeat("01", 20)+"02000000 0000"), convert.TCG2},
		{"TCG SHA-1 log, flag at its end", unhex(t, "00000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000 ffffffffffffffff"), convert.TCG2},
		{"TCG SHA-1 log, a vendor's event second", unhex(t, "00000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000 2a000000 08000077"+strings.Repeat("ab", 20)+"00000000"), convert.TCG2},
		{"TCG SHA-1 log of PCR 77", unhex(t, "4d000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000"), ""},
		{"TCG SHA-1 log of an unknown event", unhex(t, "00000000 08000077"+strings.Repeat("ab", 20)+"02000000 0000"), ""},
		{"padding alone, FF", strings.Repeat("\xff", 64), convert.TCG2},
		{"padding alone, 00", strings.Repeat("\x00", 64), convert.TCG2},

		{"AAEL", unhex(t, "04000000 06000000 01000000 0c00"+strings.Repeat("ab", 48)+"20000000 4c454141 18000000") + "domain operation content", convert.AAEL},
		{"AAEL, sizes do not agree", unhex(t, "04000000 06000000 01000000 0c00"+strings.Repeat("ab", 48)+"20000000 4c454141 19000000"), ""},
		{"AAEL, another tag", unhex(t, "04000000 06000000 01000000 0c00"+strings.Repeat("ab", 48)+"20000000 4c454142 18000000"), ""},
		{"IMA, binary", unhex(t, "0a000000 "+strings.Repeat("ab", 20)+" 06000000") + "ima-ng", convert.IMA},
		{"IMA, binary, SHA-384", unhex(t, "02000000 "+strings.Repeat("ab", 48)+" 07000000") + "ima-sig", convert.IMA},
		{"IMA, binary, another template", unhex(t, "0a000000 "+strings.Repeat("ab", 20)+" 06000000") + "imaxyz", ""},
		{"IMA, ASCII", "10 " + strings.Repeat("ab", 20) + " ima-ng sha256:00 /a\n", convert.IMAASCII},
		{"IMA, ASCII, one digit", " 2 " + strings.Repeat("ab", 48) + " ima-ng sha256:00 /a\n", convert.IMAASCII},
		{"TDX quote 4", unhex(t, "0400 0200 81000000 00000000"), ""},
		{"TDX quote 5", unhex(t, "0500 0200 81000000 00000000"), ""},
		{"TPM quote", unhex(t, "ff544347 8018 0000 0004 01020304"), ""},
		{"SNP report", unhex(t, "02000000 00000000"), ""},
		{"ACPI table", "CCEL\x38\x00\x00\x00\x01", ""},
		{"HCL report", "HCLA\x02\x00\x00\x00", ""},
		{"gzip", "\x1f\x8b\x08\x00", ""},
		{"a few zeros", strings.Repeat("\x00", 7), ""},
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
			if got == convert.CELTLV && n <= 13 && n <= 5+int(c.start[min(4, n-1)]) {
				continue // so much of a TCG header is TLV as well
			}
			if c.want == convert.Dstack && got == convert.CELJSON || c.want == convert.AAELText && got == convert.NELR {
				continue // what makes the difference comes later
			}
			if (c.want == convert.CELJSON || c.want == convert.Dstack) && strings.TrimSpace(c.start[:n]) == "" {
				continue // white space could go on as anything
			}
			if got == convert.TCG2 && strings.Trim(c.start[:n], c.start[:1]) == "" && n >= 8 {
				continue // padding alone
			}
			if c.want == "" && (got == convert.TCG2 || got == convert.AAEL) && n < 70 {
				continue // what speaks against it comes later
			}
			if got == convert.NELR && (n < 8 || n <= 50 && c.want == "" || c.want == convert.IMAASCII) || c.want == "" && got == convert.CELCBOR && n <= 1 {
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

// TestDetectCorpus: every real file is told for what it is.
func TestDetectCorpus(t *testing.T) {
	dir := reallogs.Dir(t)
	kinds := map[string]string{
		"ccel": convert.TCG2, "tcg": convert.TCG2, "ima-binary": convert.IMA, "ima-ascii": convert.IMAASCII,
		"nelr": convert.NELR, "cel-json-envelope": convert.CELJSON,
		"acpi-table": "ACPI table", "tdx-quote": "TDX quote", "snp-report": "SNP attestation report",
		"hcl-report": "HCL report", "claims": convert.Evidence, "evidence": "evidence",
	}
	seen := make(map[string]int)
	for _, f := range manifest(t, dir) {
		p, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil {
			t.Fatal(err)
		}
		want := kinds[f.Kind]
		if want == "" {
			continue // collateral, values, certificates
		}
		seen[f.Kind]++
		got, err := convert.Detect(p[:min(len(p), convert.DetectSize)])
		var not *convert.NotLogError
		switch {
		case err == nil && got != want:
			t.Errorf("%s is taken for %s, want %s", f.File, got, want)
		case err != nil && (!errors.As(err, &not) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", f.File, err, want)
		}
		// Every cut of a binary file, as a pipe may give it.
		for n := 14; n <= min(len(p), 200); n++ {
			if format, _ := convert.Detect(p[:n]); strings.HasPrefix(format, "cel-") && !isJSON(p) {
				t.Errorf("%s, %d bytes, is taken for %s", f.File, n, format)
			}
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("kinds seen: %v", seen)
	}
}

// file is a row of the corpus's manifest.
type file struct {
	File      string
	Kind      string
	Registers map[string]map[string]string
	Events    int
	Quote     map[string]any
}

func manifest(t *testing.T, dir string) []file {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	if err := json.Unmarshal(text, &files); err != nil {
		t.Fatal(err)
	}
	return files
}

func isJSON(p []byte) bool {
	p = bytes.TrimSpace(p)
	return len(p) > 0 && (p[0] == '{' || p[0] == '[')
}
