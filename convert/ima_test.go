// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"strings"
	"testing"

	"mrlog.dev/convert"
)

// TestLoggedOnes: a digest of 0xFF that an IMA list logs, which is what a
// violation extends and no list has, comes back through every canonical form as
// it was, and so does a violation.
func TestLoggedOnes(t *testing.T) {
	file := " ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool\n"
	none := " ima-ng sha256:" + strings.Repeat("00", 32) + " /usr/bin/my_tool\n"
	good := "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9" + file
	list := []byte(good + "10 " + strings.Repeat("ff", 20) + file + "10 " + strings.Repeat("00", 20) + none)
	copyTo := func(format, dialect string, log []byte) []byte {
		t.Helper()
		r, err := convert.Open(bytes.NewReader(log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := convert.Copy(t.Context(), &out, convert.Target{Format: format, Dialect: dialect}, convert.Number(r, convert.FillIn), convert.Options{}); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		return out.Bytes()
	}
	binary := copyTo(convert.IMA, "", list)
	for _, format := range []string{convert.CELJSON, convert.CELSeq, convert.CELCBOR, convert.CELTLV} {
		dialect := ""
		if format == convert.CELCBOR {
			dialect = "sequence"
		}
		for _, log := range [][]byte{list, binary} {
			there := copyTo(format, dialect, log)
			if back := copyTo(convert.IMAASCII, "", there); !bytes.Equal(back, list) {
				t.Errorf("%s:\n%s\nwas\n%s", format, back, list)
			}
			if back := copyTo(convert.IMA, "", there); !bytes.Equal(back, binary) {
				t.Errorf("%s: binary: %x, was %x", format, back, binary)
			}
		}
	}
}
