// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// TestLoggedOnes: digests of zeros and of 0xFF, over the content of a violation
// and over that of a file: what is read is written back to the same bytes, in the
// same form and the other, or was marked when it was read.
func TestLoggedOnes(t *testing.T) {
	file := " ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool\n"
	none := " ima-ng sha256:" + strings.Repeat("00", 32) + " /usr/bin/my_tool\n"
	short := " ima-ng sha256:" + strings.Repeat("00", 20) + " /usr/bin/my_tool\n"
	old := " ima 5891b5b522d5df086d0ff0b110fbd9d21bb4fc71 /usr/bin/my_tool\n"
	oldNone := " ima " + strings.Repeat("00", 20) + " /usr/bin/my_tool\n"
	text := " ima-next 00 x y\n"
	zeros, ones := strings.Repeat("00", 20), strings.Repeat("ff", 20)
	for _, c := range []struct {
		what, line      string
		violation, same bool // the record is one; it is written back as it was, without its notes, too
		marked          bool
	}{
		{"violation", zeros + none, true, true, false},
		{"violation of an older kernel", zeros + short, true, true, false},
		{"violation, oldest template", zeros + oldNone, true, true, false},
		{"violation of an unknown template", zeros + text, true, true, false},
		{"zeros over a file", zeros + file, true, false, true},
		{"zeros over a file, oldest template", zeros + old, true, false, true},
		{"ones over a file", ones + file, false, true, true},
		{"ones over a file, oldest template", ones + old, false, true, true},
		{"ones over a violation", ones + none, false, false, true},
		{"ones over a violation, oldest template", ones + oldNone, false, false, true},
		{"ones of an unknown template", ones + text, false, true, true},
	} {
		line := "10 " + c.line
		recs, err := logtest.ReadAll(NewASCIIReader(strings.NewReader(line), Options{}))
		if err != nil || len(recs) != 1 {
			t.Fatalf("%s: %d records, %v", c.what, len(recs), err)
		}
		r := &recs[0]
		if r.Notes&mrlog.NoteViolation != 0 != c.violation || r.Notes&mrlog.NoteNonCanonical != 0 != c.marked || !filled(r.Digests[0].Sum, 0xFF) {
			t.Errorf("%s: notes %b, %s", c.what, r.Notes, r.Digests[0])
		}
		if back, err := writeASCII(WriteOptions{}, recs); err != nil || back == line != (c.same || c.violation) {
			t.Errorf("%s: %q, %v", c.what, back, err)
		}
		if r.Form == mrlog.FormRaw {
			bin, err := writeBinary(WriteOptions{}, recs)
			if err != nil {
				t.Fatal(err)
			}
			again, err := logtest.ReadAll(NewBinaryReaderBytes(bin, Options{}))
			if err != nil || len(again) != 1 || c.same && again[0].Notes != r.Notes {
				t.Errorf("%s: binary: notes %b, were %b; %v", c.what, again[0].Notes, r.Notes, err)
			}
			if twice, err := writeBinary(WriteOptions{}, again); err != nil || !bytes.Equal(bin, twice) {
				t.Errorf("%s: binary: %x, was %x; %v", c.what, twice, bin, err)
			}
			if back, err := writeASCII(WriteOptions{}, again); err != nil || back == line != (c.same || c.violation) {
				t.Errorf("%s: through binary: %q, %v", c.what, back, err)
			}
			r.Notes = 0 // other formats carry none
			if back, err := writeASCII(WriteOptions{}, recs); err != nil || back == line != c.same {
				t.Errorf("%s: without notes: %q, %v", c.what, back, err)
			}
		}
	}
	// A digest beside it follows from the content, or from the violation.
	for _, line := range []string{"10 " + ones + file, "10 " + zeros + none, "10 " + zeros + file} {
		o := Options{Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA384}}
		recs, err := logtest.ReadAll(NewASCIIReader(strings.NewReader(line), o))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := writeASCII(WriteOptions{}, recs); err != nil || back != line {
			t.Errorf("with derived digests: %q, want %q; %v", back, line, err)
		}
	}
}
