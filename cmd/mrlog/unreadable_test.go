// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"mrlog.dev/internal/tsmfs"
)

// TestUnreadableRegister: a register that can be extended and not read, as a
// person meets it: the log is kept, and a writer that died is asked about.
func TestUnreadableRegister(t *testing.T) {
	attributes := tsmfs.TDX()
	for i := range attributes {
		if attributes[i].Name == "rtmr2:sha384" {
			attributes[i].Mode = 0o200
		}
	}
	f := tsmfs.Test(t, tsmfs.Options{Attributes: attributes})
	b := tdxBench(t, f, "tdx:"+f.Tree()+",none") // the report would tell the value
	agree := func(records string) {              // by the program, from what the hardware holds
		t.Helper()
		out, _ := b.run(0, "verify", "--expect", "rtmr2="+b.held("rtmr2", "sha384"), b.log("rtmr2"))
		if !strings.Contains(out, records) {
			t.Errorf("verified: %s", out)
		}
	}
	if s, r := b.status(0, "rtmr2"); r.State != "absent" || r.NotReadable == "" || !s.Agree {
		t.Errorf("%+v", r)
	}
	b.run(0, "extend", "a", "b")
	b.run(0, "extend", "c", "d")
	agree("3 ")
	if data, err := os.ReadFile(b.log("rtmr2")); err != nil || !bytes.Contains(data, []byte("\n#: start assumed\nINIT sha384/000")) {
		t.Errorf("%s, %v", data, err)
	}
	if _, r := b.status(0, "rtmr2"); r.State != "clean" || r.Records != 3 {
		t.Errorf("%+v", r)
	}
	// A writer died around its extend.
	die := func(text string) {
		t.Helper()
		w, err := os.OpenFile(b.log("rtmr2"), os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = w.WriteString(text + "\n")
			w.Close()
		}
		if err == nil {
			err = os.Chmod(b.log("rtmr2"), 0o600|os.ModeSticky)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	die("e f")
	for _, args := range [][]string{{"extend", "x", "y"}, {"recover"}, {"log", "new"}, {"recover", "--register", "rtmr2"}} {
		if _, errs := b.run(3, args...); !strings.Contains(errs, `mrlog: error: rtmr2: last record is undecided: `) ||
			!strings.Contains(errs, `record 3 (line 7 of `) || !strings.Contains(errs, `"e f"`) || !strings.Contains(errs, "--register rtmr2 --assume extended") {
			t.Errorf("%v: %s", args, errs)
		}
	}
	if s, r := b.status(3, "rtmr2"); r.State != "undecided" || s.Agree || !strings.Contains(r.Remedy, "--assume") || !strings.Contains(r.Reason, `"e f"`) {
		t.Errorf("%+v", r)
	}
	if out, _ := b.run(0, "recover", "--register", "rtmr2", "--assume", "not-extended"); out != "rtmr2: 4 records: 1 record extended that had not been, last record settled as you say\n" {
		t.Errorf("%s", out)
	}
	agree("4 ")
	die(strings.Repeat("Z", 48))
	b.stray("rtmr3") // it has nothing to do with rtmr2
	if out, _ := b.run(0, "recover", "--json", "--register", "rtmr2", "--assume", "not-extended"); !strings.Contains(out, `"extended":1`) || !strings.Contains(out, `"assumed":true`) {
		t.Errorf("%s", out)
	}
	b.run(0, "extend", "g", "h")
	agree("6 ")
	// The old log's end is the new one's start.
	if out, errs := b.run(0, "log", "new", "--json"); !strings.Contains(out, `"joined":true,"start_explained":true`) || errs != "" {
		t.Errorf("%s%s", out, errs)
	}
	if _, errs := b.run(2, "recover", "--register", "rtmr3", "--assume", "extended"); !strings.Contains(errs, "rtmr3: register can be read: nothing needs to be assumed") {
		t.Errorf("%s", errs)
	}
}
