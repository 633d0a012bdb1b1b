// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
)

func zip(p []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(p)
	_ = z.Close()
	return b.Bytes()
}

// inLines breaks text into lines of so many bytes.
func inLines(text string, width int, end string) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + end)
		text = text[width:]
	}
	return b.String() + text + end
}

// wrappings are the ways in which people keep and send binary files.
var wrappings = []struct {
	what string
	kind convert.Wrapping
	wrap func([]byte) []byte
}{
	{"gzip", convert.Gzip, zip},
	{"gzip in two parts", convert.Gzip, func(p []byte) []byte { return append(zip(p[:len(p)/2]), zip(p[len(p)/2:])...) }},
	{"base64", convert.Base64, func(p []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(p)) }},
	{"base64 in lines", convert.Base64, func(p []byte) []byte { return []byte(inLines(base64.StdEncoding.EncodeToString(p), 76, "\n")) }},
	{"base64 in lines of Windows", convert.Base64, func(p []byte) []byte { return []byte(inLines(base64.StdEncoding.EncodeToString(p), 64, "\r\n")) }},
	{"base64 for file names, not padded", convert.Base64, func(p []byte) []byte { return []byte(base64.RawURLEncoding.EncodeToString(p)) }},
	{"base64 after blanks", convert.Base64, func(p []byte) []byte { return []byte(" \n" + base64.URLEncoding.EncodeToString(p)) }},
	{"hex", convert.Hex, func(p []byte) []byte { return []byte(hex.EncodeToString(p)) }},
	{"hex in upper case, in lines", convert.Hex, func(p []byte) []byte { return []byte(inLines(strings.ToUpper(hex.EncodeToString(p)), 60, "\n")) }},
}

// TestWrapped: a log in any wrapping has the records that it has without, and
// says what it was in; detection sees through it however the bytes come.
func TestWrapped(t *testing.T) {
	dir := reallogs.Dir(t)
	for _, name := range []string{"tcg/ccel-ovmf.bin", "tcg/tpm-debian10-sha1.bin", "qemu-ovmf/ima.bin", "tdx-intel/ima.txt", "nelr/sample.log", "nelr/sample.envelope.json"} {
		log, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := open(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wrappings {
			in := w.wrap(log)
			for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in)), iotest.DataErrReader(bytes.NewReader(in))} {
				r, err := convert.Open(src, convert.Source{})
				if err != nil {
					t.Errorf("%s, %s: %v", name, w.what, err)
					continue
				}
				got, err := logtest.ReadAll(r)
				if err != nil {
					t.Errorf("%s, %s: %v", name, w.what, err)
					continue
				}
				if diff := diffRecords(want, got); diff != "" {
					t.Errorf("%s, %s (-want +got):\n%s", name, w.what, diff)
				}
				if got[len(got)-1].Span != want[len(want)-1].Span {
					t.Errorf("%s, %s: last record at %+v, want %+v", name, w.what, got[len(got)-1].Span, want[len(want)-1].Span)
				}
				if k := convert.Wrapped(r); k.Wrapping != w.kind || k.Format != r.Header().Format {
					t.Errorf("%s, %s: says %+v", name, w.what, k)
				}
			}
		}
	}
}

// TestWrappedStated: a stated format is unwrapped, too, and what only looks
// like digits is left alone.
func TestWrappedStated(t *testing.T) {
	for _, w := range wrappings {
		r, err := convert.Open(bytes.NewReader(w.wrap([]byte(sample))), convert.Source{Format: convert.NELR})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := logtest.ReadAll(r); err != nil || len(got) != 3 {
			t.Errorf("%s: %d records, %v", w.what, len(got), err)
		}
	}
	for _, text := range []string{"deadbeef", "INIT", strings.Repeat("ab", 40), strings.Repeat("A", 64)} {
		if k, err := convert.Sniff([]byte(text + "\n")); k.Wrapping != convert.NoWrapping {
			t.Errorf("%q is taken for %+v (%v)", text, k, err)
		}
	}
}

// TestWrappedErrors: what is wrong with the wrapping is said with its place in
// the file, what is wrong with the log with that in the log.
func TestWrappedErrors(t *testing.T) {
	bad := sample + "torn"
	many := sample + strings.Repeat("one more line\n", 600)
	z := zip([]byte(many))
	flipped := bytes.Clone(z)
	flipped[len(flipped)-6] ^= 1
	long := base64.StdEncoding.EncodeToString([]byte(many))
	for _, c := range []struct {
		what, in, want string
		offset         int64
	}{
		{"torn log in gzip", string(zip([]byte(bad))), "nelr unwrapped from gzip: line 4 ", int64(len(bad))},
		{"torn log in base64", base64.StdEncoding.EncodeToString([]byte(bad)), "nelr unwrapped from base64: line 4 ", int64(len(bad))},
		{"gzip cut short", string(z[:len(z)-9]), "gzip: offset ", -1},
		{"gzip with a wrong checksum", string(flipped), "gzip: offset ", -1},
		{"base64 with another byte", long[:6000] + "*" + long[6001:], "base64: offset 6000: byte 0x2a is no digit of base64", 6000},
		{"base64 that ends within a byte", long[:8001], "base64: offset 8001: base64 text ends within a byte", 8001},
		{"base64 that goes on after padding", long[:6002] + "==" + long[6004:], "base64: offset 6004: ", 6004},
		{"hex with an odd digit", hex.EncodeToString([]byte(many)) + "0", "hexadecimal: offset ", -1},
	} {
		_, err := open([]byte(c.in))
		var s *mrlog.SyntaxError
		if !errors.As(err, &s) || !strings.Contains(fmt.Sprint(err), c.want) || c.offset >= 0 && s.Offset != c.offset {
			t.Errorf("%s: %v, want %q at %d", c.what, err, c.want, c.offset)
		}
	}
	// An error of the source is no error of the log.
	fault := errors.New("cable pulled")
	for _, w := range wrappings {
		in := w.wrap([]byte(many))
		r, err := convert.Open(io.MultiReader(bytes.NewReader(in[:len(in)-3]), iotest.ErrReader(fault)), convert.Source{Format: convert.NELR})
		if err == nil {
			_, err = logtest.ReadAll(r)
		}
		if !errors.Is(err, fault) {
			t.Errorf("%s: %v", w.what, err)
		}
	}
}

// TestWrappedTwice: one layer is unwrapped.
func TestWrappedTwice(t *testing.T) {
	b64 := func(p []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(p)) }
	long := []byte(sample + strings.Repeat("one more line\n", 600))
	for what, in := range map[string][]byte{
		"gzip in gzip":          zip(zip([]byte(sample))),
		"base64 in gzip":        zip(b64([]byte(sample))),
		"gzip in base64":        b64(zip([]byte(sample))),
		"hexadecimal in base64": b64([]byte(hex.EncodeToString(long) + "\n")),
		"base64 in base64":      b64(b64(long)),
		"base64 in hexadecimal": []byte(hex.EncodeToString(b64([]byte(sample)))),
	} {
		_, err := convert.Open(bytes.NewReader(in), convert.Source{})
		if !errors.Is(err, convert.ErrFormat) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "one layer") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBOM: a byte order mark before text is no part of it, and said.
func TestBOM(t *testing.T) {
	for _, log := range []string{sample, samplePublished} {
		r, err := convert.Open(strings.NewReader("\ufeff"+log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := logtest.ReadAll(r)
		if err != nil || len(got) != 3 || !convert.Wrapped(r).BOM {
			t.Errorf("%d records, %v, %+v", len(got), err, convert.Wrapped(r))
		}
	}
}

// TestNotLog: what is no log is named, wrapped or not.
func TestNotLog(t *testing.T) {
	report := make([]byte, 1184)
	report[0], report[0x34] = 2, 1
	tdReport := make([]byte, 1024)
	tdReport[0] = 0x81
	for _, c := range []struct{ what, in, want string }{
		{"quote", unhex(t, "0400 0200 81000000 00000000"), "this is a TDX quote (version 4), not a log"},
		{"quote 5", unhex(t, "0500 0200 81000000 00000000"), "this is a TDX quote (version 5), not a log"},
		{"TDREPORT", string(tdReport), "this is a TDREPORT, not a log"},
		{"TPM quote", unhex(t, "ff544347 8018 0000 0004 01020304"), "this is a TPM quote"},
		{"HCL report", "HCLA\x02\x00\x00\x00\xa0\x04\x00\x00\x02\x00\x00\x00", "this is an Azure HCL report"},
		{"SNP report", string(report), "this is an SNP attestation report"},
		{"ACPI table", "CCEL\x38\x00\x00\x00\x01", "this is the ACPI table CCEL, not a log: it says where"},
		{"YAML", "---\nversion: 1\nevents:\n- EventNum: 0\n", "this is what tpm2_eventlog prints"},
		{"xxd", "00000000: 0000 0000 0300 0000  ........\n", "this is a dump of a file"},
		{"hexdump -C", "00000000  00 00 00 00 03 00 00 00  |........|\n", "this is a dump of a file"},
		{"od -x", "0000000 0000 0000 0003 0000\n", "this is a dump of a file"},
		{"certificate", "-----BEGIN CERTIFICATE-----\nMII\n", "this is a PEM file"},
		{"Keylime's quote", "r/1RDR4AY" + strings.Repeat("A", 80) + ":" + strings.Repeat("A", 80) + ":AAAA", "this is a quote as Keylime sends it"},
		{"TPM evidence", `{"tpm_quote":{"a":1},"hcl_report":""}`, "this is TPM evidence"},
	} {
		for _, w := range append(wrappings, wrappings[0]) {
			in := w.wrap([]byte(c.in))
			_, err := convert.Open(bytes.NewReader(in), convert.Source{})
			var not *convert.NotLogError
			if !errors.As(err, &not) || !strings.Contains(err.Error(), "in "+string(w.kind)) {
				t.Errorf("%s in %s: %v", c.what, w.what, err)
			}
		}
		_, err := convert.Open(strings.NewReader(c.in), convert.Source{})
		if !errors.Is(err, convert.ErrFormat) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// TestEvidence: logs are taken out of what they are sent in, in any wrapping,
// and are the same as by themselves.
func TestEvidence(t *testing.T) {
	dir := reallogs.Dir(t)
	read := func(name string) []byte {
		p, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ccel, firmware, list := read("tdx-intel/ccel.bin"), read("qemu-ovmf/firmware.bin"), read("qemu-ovmf/ima.txt")
	b64 := base64.StdEncoding.EncodeToString
	quote := b64(read("quotes/tdx-v4.bin"))
	for what, c := range map[string]struct {
		in   string
		logs [][]byte
		from []string
	}{
		"CoCo":                  {`{"cc_eventlog":"` + b64(ccel) + `","quote":"` + quote + `"}`, [][]byte{ccel}, []string{"cc_eventlog"}},
		"CoCo, the quote first": {`{"quote":"` + quote + `","cc_eventlog":"` + b64(ccel) + `"}`, [][]byte{ccel}, []string{"cc_eventlog"}},
		"Keylime": {
			`{"code":200,"status":"Success","results":{"quote":"r","ima_measurement_list":` + strconv.Quote(string(list)) + `,"mb_measurement_list":"` + b64(firmware) + `"}}`,
			[][]byte{list, firmware},
			[]string{"results.ima_measurement_list", "results.mb_measurement_list"},
		},
	} {
		for _, in := range [][]byte{[]byte(c.in), zip([]byte(c.in)), []byte(b64([]byte(c.in)))} {
			logs, err := convert.OpenAll(bytes.NewReader(in), convert.Source{})
			if err != nil || len(logs) != len(c.logs) {
				t.Errorf("%s: %d logs, %v", what, len(logs), err)
				continue
			}
			var all []mrlog.Record
			for i, l := range logs {
				want, err := open(c.logs[i])
				if err != nil {
					t.Fatal(err)
				}
				got, err := logtest.ReadAll(l.Reader)
				if err != nil || l.Name != c.from[i] || convert.Wrapped(l.Reader).Member != l.Name {
					t.Errorf("%s: log %q, %v", what, l.Name, err)
				}
				if diff := diffRecords(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
				all = append(all, want...)
			}
			got, err := open(in)
			if diff := diffRecords(all, got); err != nil || diff != "" {
				t.Errorf("%s as one log: %v (-want +got):\n%s", what, err, diff)
			}
		}
	}
	// The claims of a verifier are events, too.
	r, err := convert.Open(bytes.NewReader(read("tcg/ccel-ovmf.trustee-claims.json")), convert.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := logtest.ReadAll(r); err != nil || len(got) < 20 || r.Header().Format != convert.Claims {
		t.Errorf("claims: %d records of %s, %v", len(got), r.Header().Format, err)
	}
	for what, in := range map[string]string{
		"evidence without a log": `{"cc_eventlog":null,"quote":"AAAA"}`,
		"a broken log":           `{"cc_eventlog":"` + b64([]byte("\x00\x01")) + `","quote":"AAAA"}`,
		"no JSON behind":         `{"cc_eventlog":"","quote":"AAAA"}x`,
	} {
		_, err := open([]byte(in))
		var s *mrlog.SyntaxError
		if !errors.As(err, &s) || !strings.Contains(s.Format, "evidence") && !strings.Contains(s.Format, "cc_eventlog") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAmbiguous: what could be of two formats is an error that names them, and
// a stated format settles it.
func TestAmbiguous(t *testing.T) {
	// A header of a TCG log, cut where a canonical log in TLV could go on.
	in := unhex(t, "00000000 03000000")
	_, err := convert.Open(strings.NewReader(in), convert.Source{})
	var a *convert.AmbiguousError
	if !errors.As(err, &a) || strings.Join(a.Formats, " ") != "tcg2 cel-tlv" || !errors.Is(err, convert.ErrFormat) {
		t.Errorf("%v", err)
	}
	for _, f := range a.Formats {
		if _, err := convert.Open(strings.NewReader(in), convert.Source{Format: f}); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestGzipBomb: a log that unpacks to a thousand times its size costs no memory
// for what it says.
func TestGzipBomb(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 256 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := convert.Open(bytes.NewReader(b.Bytes()), convert.Source{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := logtest.ReadAll(r)
	runtime.ReadMemStats(&after)
	if err != nil || len(records) != 0 || r.Header().Padding != 256<<20 {
		t.Errorf("%d records, %v, %d bytes of padding", len(records), err, r.Header().Padding)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("256 MiB of padding took %d bytes", got)
	}
}
