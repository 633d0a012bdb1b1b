// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

// tester is what helpers want of a *testing.T or *rapid.T.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func unhex(t tester, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reader opens a log of any format.
func reader(t tester, log string) mrlog.Reader {
	t.Helper()
	r, err := convert.Open(strings.NewReader(log), convert.Source{})
	if err != nil {
		t.Fatalf("%v\n%q", err, log)
	}
	return r
}

// check verifies logs of any format, with several numbers of processors, which
// must make no difference.
func check(t tester, expect []verify.Expectation, logs ...string) *verify.Report {
	t.Helper()
	var first *verify.Report
	for _, procs := range []int{1, 2, 3} {
		r, err := tryCheck(t, expect, procs, logs...)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r
			continue
		}
		if r.OK() != first.OK() || r.Found != first.Found || r.Records != first.Records || len(r.Registers) != len(first.Registers) {
			t.Fatalf("%d processors: %+v, one: %+v", procs, r, first)
		}
		for i := range r.Registers {
			if r.Registers[i].State != first.Registers[i].State {
				t.Fatalf("%d processors: %+v, one: %+v", procs, r, first)
			}
		}
	}
	return first
}

func tryCheck(t tester, expect []verify.Expectation, procs int, logs ...string) (*verify.Report, error) {
	t.Helper()
	var in []verify.Log
	for i, l := range logs {
		in = append(in, verify.Log{Name: "log" + string(rune('0'+i)), Reader: reader(t, l)})
	}
	return verify.Check(context.Background(), in, verify.Options{Expect: expect, Procs: procs})
}

// to converts a log.
func to(t tester, format, log string) string {
	t.Helper()
	target := convert.Target{Format: format}
	if target.NeedsCount() {
		target.Dialect = "sequence"
	}
	var out bytes.Buffer
	if _, err := convert.Copy(context.Background(), &out, target, reader(t, log), convert.Options{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// values replays a log and expects what it replays to.
func values(t tester, log string) []verify.Expectation {
	t.Helper()
	var replay mrlog.Replay
	for rec, err := range mrlog.All(reader(t, log)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := replay.Extend([]mrlog.Record{*rec}); err != nil {
			t.Fatal(err)
		}
	}
	var out []verify.Expectation
	for _, b := range replay.Banks() {
		out = append(out, verify.Expectation{Register: b.Register, Alg: b.Alg, Value: b.Value})
	}
	return out
}

// after replays the first records of a log, and expects the value of its only
// bank then.
func after(t tester, log string, n int) []verify.Expectation {
	t.Helper()
	var replay mrlog.Replay
	for rec, err := range mrlog.All(reader(t, log)) {
		if err != nil {
			t.Fatal(err)
		}
		if n--; n < 0 {
			break
		}
		if err := replay.Extend([]mrlog.Record{*rec}); err != nil {
			t.Fatal(err)
		}
	}
	b := replay.Banks()[0]
	return []verify.Expectation{{Register: b.Register, Alg: b.Alg, Value: b.Value}}
}

func expect(t tester, reg string, alg mrlog.Alg, value []byte) verify.Expectation {
	t.Helper()
	r, err := mrlog.ParseRegister(reg)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Expectation{Register: r, Alg: alg, Value: value}
}

// init384 is an INIT record of a bank in SHA-384.
func init384(value []byte) string {
	return string(mrlog.AppendInit(nil, []mrlog.Digest{{Alg: mrlog.SHA384, Sum: value}}))
}

// log384 is a native log from zeros.
func log384(lines ...string) string {
	return init384(make([]byte, 48)) + "\n" + strings.Join(append(lines, ""), "\n")
}

// states gives "register:alg=state" of each bank.
func states(r *verify.Report) string {
	var out []string
	for _, b := range r.Registers {
		out = append(out, b.Register.String()+":"+b.Alg.String()+"="+b.State.String())
	}
	return strings.Join(out, " ")
}

// findings gives the texts.
func findings(r *verify.Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Text)
	}
	return strings.Join(out, "\n")
}
