// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev/convert"
)

// TestGrownBetween: a log that grows, or shrinks, after its records were counted
// is an error that says so (tpm2-tools#1975), and nothing is written that passes
// for the log.
func TestGrownBetween(t *testing.T) {
	for lines, then := range map[int]string{1: "1", 2: "2", 4: "more", 5: "more"} {
		path := filepath.Join(t.TempDir(), "log")
		write := func(lines int) {
			log := "INIT sha256/" + strings.Repeat("0", 64) + "\n" + strings.Repeat("example.org/app Started x\n", lines-1)
			if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(3)
		var out, errs bytes.Buffer
		e := &env{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }}
		c := &conversion{e: e, o: &convertOptions{output: "-"}, target: convert.Target{Format: convert.CELCBOR}, args: []string{path}}
		if err := c.count(t.Context()); err != nil || c.target.Records != 3 {
			t.Fatal(c.target.Records, err)
		}
		write(lines)
		if err := c.open(); err != nil {
			t.Fatal(err)
		}
		err := c.write(t.Context(), &out)
		c.end()
		if want := path + ": it was changed while it was read: 3 records, then " + then; err == nil || err.Error() != want {
			t.Errorf("%d records: %v, want %s", lines, err, want)
		}
		if _, _, _, err := readLog(&out, convert.Source{}); err == nil {
			t.Errorf("%d records: what was written is a log", lines)
		}
	}
}
