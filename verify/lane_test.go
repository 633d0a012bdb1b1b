// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

// edit changes the records of a CEL-JSON log as generic JSON.
func edit(t *testing.T, log string, change func(records []map[string]any) []map[string]any) string {
	t.Helper()
	var records []map[string]any
	if err := json.Unmarshal([]byte(log), &records); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(change(records))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestUncovered: what the verified bank does not have is not part of a verified
// log, however well its content hashes to another digest.
func TestUncovered(t *testing.T) {
	log := to(t, "cel-json", log384("a b one", "a b two"))
	forged := "a b FORGED"
	for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA512, 0x0044} {
		sum := alg.AppendSum(nil, []byte(forged))
		if alg.Size() == 0 {
			sum = []byte{1, 2, 3}
		}
		name := alg.String()
		bad := edit(t, log, func(records []map[string]any) []map[string]any {
			records = append(records, map[string]any{
				"recnum": 3, "pcr": 2, "content_type": "CC-CEL", "content": forged,
				"digests": []any{map[string]any{"hashAlg": name, "digest": fmt.Sprintf("%x", sum)}},
			})
			return records
		})
		r := check(t, values(t, log), bad)
		if r.OK() || !strings.Contains(findings(r), "has no sha384 digest") {
			t.Errorf("%s: OK %v\n%s", name, r.OK(), findings(r))
		}
	}
}

// TestLane: numbers and types that make no sense after those before.
func TestLane(t *testing.T) {
	// In PCR 14, where the space of the register does not depend on the type.
	log := to(t, "cel-json", "#: register pcr14\n"+log384("a b one", "a b two"))
	number := func(numbers ...any) func([]map[string]any) []map[string]any {
		return func(records []map[string]any) []map[string]any {
			for i, n := range numbers {
				if n == nil {
					delete(records[i], "recnum")
				} else {
					records[i]["recnum"] = n
				}
			}
			return records
		}
	}
	retype := func(typ, content any) func([]map[string]any) []map[string]any {
		return func(records []map[string]any) []map[string]any {
			records[2]["content_type"], records[2]["content"] = typ, content
			return records
		}
	}
	for _, c := range []struct {
		what   string
		change func([]map[string]any) []map[string]any
		find   string
	}{
		{"none", number(), ""},
		{"no numbers", number(nil, nil, nil), ""},
		{"a number missing", number(0, nil, 1), ""},
		{"from 5", number(5, 6, 7), ""},
		{"twice", number(0, 1, 1), "number 1 does not follow 1"},
		{"falling", number(1, 0, 1), "number 0 does not follow 1"},
		{"a gap", number(0, 1, 3), "number 3 does not follow 1"},
		{"a gap after INIT", number(0, 2, 3), "number 2 does not follow 0"},
		{"another name", retype("example.org/app Started", map[string]any{"version": "good"}), "no line of a native log"},
		{"a name that looks alike", retype("CC-CEL ", "a b other"), "no line of a native log"},
		{"systemd", retype("systemd", map[string]any{"string": "FORGED"}), "no line of a native log"},
		{"a number", retype(205, "00"), "no line of a native log"},
		{"an action", retype("pcclient_std", map[string]any{"event_type": "EV_IPL", "event_data": "00"}), "no line of a native log"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := check(t, values(t, log), edit(t, log, c.change))
			if text := findings(r); r.OK() != (c.find == "") || !strings.Contains(text, c.find) {
				t.Errorf("OK %v, want a finding %q:\n%s", r.OK(), c.find, text)
			}
		})
	}
}

// TestLaneRestarts: a native log that continues another one of the register
// counts from 0 again, or goes on; foreign records only rise.
func TestLaneRestarts(t *testing.T) {
	sep := func(n int) string { return separator(n, 4, mrlog.SHA256) }
	for _, c := range []struct {
		log string
		ok  bool
	}{
		{array(sep(0), sep(1)), true},
		{array(sep(1), sep(7)), true},
		{array(sep(7), sep(7)), false},
		{array(sep(7), sep(6)), false},
	} {
		if r := check(t, values(t, c.log), c.log); r.OK() != c.ok {
			t.Errorf("%s: OK %v, want %v\n%s", c.log, r.OK(), c.ok, findings(r))
		}
	}
}

// TestLaneAcrossLogs: a register's log in several files is held to what it is
// held to in one. Only INIT begins a native log anew.
func TestLaneAcrossLogs(t *testing.T) {
	// In PCR 14, where the space of the register does not depend on the type.
	one := "#: register pcr14\n" + log384("a b one", "a b two", "a b three")
	whole := to(t, "cel-json", one)
	part := func(from, to int, change func(i int, r map[string]any)) string {
		return edit(t, whole, func(records []map[string]any) []map[string]any {
			for i, r := range records[from:to] {
				change(i, r)
			}
			return records[from:to]
		})
	}
	same := func(int, map[string]any) {}
	number := func(from int) func(int, map[string]any) {
		return func(i int, r map[string]any) { r["recnum"] = from + i }
	}
	first := part(0, 2, same)
	next := "#: register pcr14\n" + init384(values(t, one)[0].Value) + "\nx y\n"
	header := edit(t, to(t, "cel-json", next), func(records []map[string]any) []map[string]any {
		for i, r := range records {
			r["recnum"] = 1 + i
		}
		return append([]map[string]any{{
			"recnum": 0, "pcr": 14, "content_type": "cel", "content": map[string]any{"type": "cel_version", "data": map[string]any{"major": 1, "minor": 1}},
			"digests": []any{map[string]any{"hashAlg": "sha384", "digest": strings.Repeat("00", 48)}},
		}}, records...)
	})
	x, joined := values(t, one), values(t, next)
	for _, c := range []struct {
		what   string
		expect []verify.Expectation
		logs   []string
		find   string
	}{
		{"goes on", x, []string{first, part(2, 4, same)}, ""},
		{"goes on without numbers", x, []string{first, part(2, 4, func(_ int, r map[string]any) { delete(r, "recnum") })}, ""},
		{"counts anew without INIT", x, []string{first, part(2, 4, number(0))}, "number 0 does not follow 1 in the log before"},
		{"skips", x, []string{first, part(2, 4, number(3))}, "number 3 does not follow 1 in the log before"},
		{"counts back", x, []string{first, part(2, 4, func(i int, r map[string]any) { r["recnum"] = 2 - i })}, "number 1 does not follow 2"},
		{"another name", x, []string{first, part(2, 4, func(_ int, r map[string]any) {
			r["content_type"], r["content"] = "example.org/app Started", map[string]any{"version": "good"}
		})}, "no line of a native log"},
		{"a number", x, []string{first, part(2, 4, func(_ int, r map[string]any) { r["content_type"], r["content"] = 205, "00" })}, "no line of a native log"},
		{"INIT joins", joined, []string{one, next}, ""},
		{"INIT joins, as CEL", joined, []string{whole, to(t, "cel-json", next)}, ""},
		{"INIT joins behind a header", joined, []string{whole, header}, ""},
		{"INIT joins in three", joined, []string{first, part(2, 4, same), next}, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := check(t, c.expect, c.logs...)
			if text := findings(r); r.OK() != (c.find == "") || !strings.Contains(text, c.find) {
				t.Errorf("OK %v, want a finding %q:\n%s", r.OK(), c.find, text)
			}
			if c.find != "" && r.Found > 0 && r.Findings[0].Log != "log1" {
				t.Errorf("found in %s", r.Findings[0].Log)
			}
		})
	}
	// Logs of others each have numbers of their own, and a native one may follow.
	sep := func(n int) string { return separator(n, 14, mrlog.SHA384) }
	foreign := array(sep(3), sep(7))
	end := values(t, array(sep(0), sep(1), sep(2), sep(3)))[0].Value
	last := "#: register pcr14\n" + init384(end) + "\nx y\n"
	if r := check(t, values(t, last), foreign, array(sep(0), sep(1)), last); !r.OK() {
		t.Errorf("%s\n%s", states(r), findings(r))
	}
	if r := check(t, nil, foreign, array(sep(1), sep(0))); r.Found != 1 {
		t.Errorf("%d findings", r.Found)
	}
}

// TestCounted: what is covered, and what proves nothing.
func TestCounted(t *testing.T) {
	noAction := `{"recnum":0,"pcr":0,"digests":[{"hashAlg":"sha256","digest":"` + strings.Repeat("00", 32) + `"}],"content_type":"pcclient_std","content":{"event_type":"EV_NO_ACTION","event_data":"00"}}`
	log := array(noAction, separator(0, 4, mrlog.SHA256), separator(1, 4, mrlog.SHA256), separator(0, 5, mrlog.SHA256))
	var x []verify.Expectation
	for _, e := range values(t, log) {
		if e.Register.Index == 4 {
			x = append(x, e)
		}
	}
	r := check(t, x, log)
	if !r.OK() || r.Records != 4 || r.NotExtended != 1 || r.Covered != 2 {
		t.Errorf("OK %v, %d records, %d not extended, %d covered", r.OK(), r.Records, r.NotExtended, r.Covered)
	}
	for _, b := range r.Registers {
		bound := uint64(0)
		if b.State == verify.Verified {
			bound = 2
		}
		if b.Bound() != bound || b.DigestBound() != 0 {
			t.Errorf("%s: %d bound, %d digest-bound", b.Register, b.Bound(), b.DigestBound())
		}
	}
}

// TestEveryByte: no change of a byte of a log, in any form, is verified, unless
// it reads as the very same records.
func TestEveryByte(t *testing.T) {
	native := "#: register rtmr2\n" + log384("example.org/app Started", "example.org/app Ready now")
	expect := values(t, native)
	for _, format := range convert.Whole() {
		log := native
		if format != convert.NELR {
			log = to(t, format, native)
		}
		want := recordsOf(t, log, format)
		for i := range len(log) {
			for _, flip := range []byte{0x01, 0x02, 0x20, 0x80, 0xFF} {
				bad := []byte(log)
				bad[i] ^= flip
				r, err := convert.Open(strings.NewReader(string(bad)), convert.Source{Format: format})
				if err != nil {
					t.Fatal(err)
				}
				rep, err := verify.Check(t.Context(), []verify.Log{{Reader: r}}, verify.Options{Expect: expect})
				if err != nil || !rep.OK() {
					continue
				}
				if got := recordsOf(t, string(bad), format); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: byte %d (%q) ^ %02x is verified, and reads as\n%+v", format, i, log[i], flip, got)
				}
			}
		}
	}
}

// recordsOf reads a log, without what is no part of its records.
func recordsOf(t *testing.T, log, format string) []mrlog.Record {
	t.Helper()
	r, err := convert.Open(strings.NewReader(log), convert.Source{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	var out []mrlog.Record
	var b mrlog.Batch
	for {
		if err := r.Read(&b); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range b.Records {
			c := b.Records[i].Clone()
			c.Span, c.Notes = mrlog.Span{}, 0
			out = append(out, c)
		}
	}
}
