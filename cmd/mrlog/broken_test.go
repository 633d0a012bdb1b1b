// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// runInProcess runs the program without a process of its own: for the tests
// that run it very often.
func runInProcess(stdin io.Reader, stdout, stderr io.Writer, args ...string) int {
	return run(context.Background(), &env{
		stdin: stdin, stdout: stdout, stderr: stderr,
		getenv: func(string) string { return "" },
	}, args)
}

// brokenSample is a native log of three records, with what the formats treat
// differently: an INIT, plain text, text with escapes.
var brokenSample = "INIT sha256/" + strings.Repeat("0", 64) + "\n" +
	"example.org/app Started version=1\n" +
	"example.org/app Said \"quoted \\ text\" \t ünïcödé\n"

// encodings returns the sample in every format and dialect.
func encodings(t *testing.T) map[string][]byte {
	all := map[string][]byte{"nelr": []byte(brokenSample)}
	for _, to := range []string{
		"cel-json array", "cel-json envelope", "cel-seq", "cel-cbor array", "cel-cbor sequence",
		"cel-tlv minimal", "cel-tlv go-eventlog", "cel-tlv 4-byte",
	} {
		format, dialect, _ := strings.Cut(to, " ")
		var out bytes.Buffer
		if code := runInProcess(strings.NewReader(brokenSample), &out, io.Discard, "convert", "--to", format, "--dialect", dialect, "-"); code != 0 {
			t.Fatalf("%s: exit %d", to, code)
		}
		all[to] = out.Bytes()
	}
	return all
}

// place is what an error about an input must have: the name of the input, the
// format, and a line or an offset.
var place = regexp.MustCompile(`^mrlog: error: standard input: ([a-z-]+: .*(line \d+|offset \d+)|format not recognised: )`)

// A log that is cut anywhere is refused with its place, or is a whole shorter
// log: then what is left gives the first records of the whole one.
func TestCutAtEveryByte(t *testing.T) {
	whole := strings.SplitAfter(brokenSample, "\n")
	for name, data := range encodings(t) {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			shorter := 0
			for n := range len(data) {
				var out, errs bytes.Buffer
				code := runInProcess(bytes.NewReader(data[:n]), &out, &errs, "convert", "--to", "nelr", "-")
				switch code {
				case exitMalformed:
					if !place.MatchString(errs.String()) && !strings.Contains(errs.String(), "there are no records") {
						t.Errorf("cut at %d: %s", n, errs.String())
					}
				case exitOK:
					shorter++
					if !strings.HasPrefix(brokenSample, out.String()) || len(out.String()) == len(brokenSample) && name != "cel-json envelope" && !bytes.Equal(bytes.TrimSpace(data), bytes.TrimSpace(data[:n])) {
						t.Errorf("cut at %d: read as %q", n, out.String())
					}
				default:
					t.Errorf("cut at %d: exit %d: %s", n, code, errs.String())
				}
			}
			// Sequences can end after any record, arrays only at their end.
			if most := len(whole); shorter > most {
				t.Errorf("%d cuts were read without an error, want at most %d", shorter, most)
			}
		})
	}
}

// A byte that is altered anywhere is refused with its place, or gives a log
// that some value of mrlog replay, show and convert stands for: no panic, no
// other exit code, no output that is not printable.
func TestAlterEveryByte(t *testing.T) {
	values := []byte{0xff, '"'}
	if testing.Short() || raceEnabled {
		values = values[:1]
	}
	for name, data := range encodings(t) {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for i := range data {
				for _, b := range values {
					if data[i] == b {
						continue
					}
					altered := bytes.Clone(data)
					altered[i] = b
					var out, errs bytes.Buffer
					code := runInProcess(bytes.NewReader(altered), &out, &errs, "show", "-")
					if code != exitOK && (code != exitMalformed || !place.MatchString(errs.String())) {
						t.Errorf("byte %d to %#02x: exit %d: %s", i, b, code, errs.String())
					}
					if bad := strings.IndexFunc(out.String()+errs.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == '\ufffd' }); bad >= 0 {
						t.Errorf("byte %d to %#02x: prints what is not printable", i, b)
					}
				}
			}
		})
	}
}

// No single byte can be altered in an event, its digest or its value without
// verification saying no, in any format, whatever the byte becomes.
func TestVerifyEveryByte(t *testing.T) {
	var out bytes.Buffer
	if code := runInProcess(strings.NewReader(brokenSample), &out, io.Discard, "replay", "-"); code != 0 {
		t.Fatalf("exit %d", code)
	}
	value := strings.Fields(out.String())[1]
	for name, data := range encodings(t) {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for i := range data {
				altered := bytes.Clone(data)
				altered[i] ^= 1
				var out, errs bytes.Buffer
				code := runInProcess(bytes.NewReader(altered), &out, &errs, "verify", "--expect", "rtmr2="+value, "-")
				switch code {
				case exitNo, exitMalformed:
				case exitOK:
					// Only what is neither measured nor a digest: the
					// spelling, comments, and the number of a record, which
					// is a claim.
					if got := unnumbered(altered); got != unnumbered(data) {
						t.Errorf("byte %d altered, verified all the same, but it is another log:\n%s", i, got)
					}
				default:
					t.Errorf("byte %d: exit %d: %s", i, code, errs.String())
				}
			}
		})
	}
}

// unnumbered returns all that mrlog show says of a log but the numbers.
func unnumbered(log []byte) string {
	var out bytes.Buffer
	runInProcess(bytes.NewReader(log), &out, io.Discard, "show", "--tsv", "-")
	var all strings.Builder
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, "\t")
		all.WriteString(rest)
	}
	return all.String()
}

// Exit codes 3 and 4 come with a reason on one line, and 0 without an error.
func TestExitCodesAgreeWithErrors(t *testing.T) {
	for _, args := range [][]string{
		{"show", "-"},
		{"replay", "-"},
		{"convert", "--to", "cel-json", "-"},
		{"convert", "--to", "cel-cbor", "-"},
		{"verify", "--expect", "rtmr2=" + strings.Repeat("0", 64), "-"},
	} {
		for _, log := range []string{brokenSample, "", "x", brokenSample + "torn", "[", "[]", "\x1e", "\x00\x00\x00\x00\x01\x00"} {
			for _, asJSON := range []bool{false, true} {
				var out, errs bytes.Buffer
				with := args
				if asJSON {
					with = append([]string{"--json"}, args...)
				}
				code := runInProcess(strings.NewReader(log), &out, &errs, with...)
				what := fmt.Sprintf("mrlog %s < %q: exit %d, standard error %q", strings.Join(with, " "), log, code, errs.String())
				failed := strings.Contains(errs.String(), "mrlog: error: ") || strings.HasPrefix(errs.String(), `{"error":`)
				if failed != (code != 0) {
					t.Error(what)
				}
				if asJSON && code != 0 && (!strings.HasSuffix(errs.String(), fmt.Sprintf(`"exit":%d}`+"\n", code)) || strings.Count(errs.String(), "\n") != 1) {
					t.Error(what)
				}
			}
		}
	}
}
