// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// checkPrefix verifies logs, each up to where it gives the values.
func checkPrefix(t tester, expect []verify.Expectation, logs ...string) *verify.Report {
	t.Helper()
	var in []verify.Log
	for i, l := range logs {
		in = append(in, verify.Log{Name: fmt.Sprintf("log%d", i), Reader: reader(t, l)})
	}
	r, err := verify.Check(context.Background(), in, verify.Options{Expect: expect, Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bank returns what is said of one.
func bank(t tester, r *verify.Report, reg mrlog.Register, alg mrlog.Alg) verify.Register {
	t.Helper()
	for _, b := range r.Registers {
		if b.Register == reg && b.Alg == alg {
			return b
		}
	}
	t.Fatalf("no %s:%s in %s", reg, alg, states(r))
	return verify.Register{}
}

// TestPrefixIsACut: a log of any registers, banks and files is accepted up to
// any place, and nothing else is said of it than of the log that ends there.
func TestPrefixIsACut(t *testing.T) {
	regs := []mrlog.Register{{Space: mrlog.PCR, Index: 4}, {Space: mrlog.PCR, Index: 10}, {Space: mrlog.PCR, Index: 14}}
	banks := []mrlog.Alg{mrlog.SHA256, mrlog.SHA384}
	rapid.Check(t, func(t *rapid.T) {
		type rec struct {
			reg     int
			altered bool // its content is not what was measured
		}
		var recs []rec
		total := make([]int, len(regs))
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			r := rec{rapid.IntRange(0, len(regs)-1).Draw(t, "register"), rapid.IntRange(0, 7).Draw(t, "altered") == 0}
			total[r.reg]++
			recs = append(recs, r)
		}
		cut := make([]int, len(regs))
		for i := range cut {
			cut[i] = rapid.IntRange(0, total[i]).Draw(t, "cut")
		}
		seam := rapid.IntRange(0, len(recs)).Draw(t, "seam")
		var whole, ended [2][]string
		var replay mrlog.Replay
		seen := make([]int, len(regs))
		covered, later, altered := 0, 0, 0
		for i, r := range recs {
			text := fmt.Sprintf("example.org Event %d", i)
			data := []byte(text)
			if r.altered {
				text += "!"
			}
			e := entry(i, fmt.Sprintf(`"pcr":%d`, regs[r.reg].Index), "CC-CEL", fmt.Sprintf("%q", text), data, banks...)
			file := 0
			if i >= seam {
				file = 1
			}
			whole[file] = append(whole[file], e)
			if seen[r.reg]++; seen[r.reg] > cut[r.reg] {
				if r.altered {
					later += len(banks)
				}
				continue
			}
			covered++
			ended[file] = append(ended[file], e)
			if r.altered {
				altered += len(banks)
			}
			one := mrlog.Record{Register: regs[r.reg]}
			for _, a := range banks {
				one.Digests = append(one.Digests, mrlog.Digest{Alg: a, Sum: a.AppendSum(nil, data)})
			}
			if err := replay.Extend([]mrlog.Record{one}); err != nil {
				t.Fatal(err)
			}
		}
		var x []verify.Expectation
		for _, reg := range regs {
			for _, a := range banks {
				v := replay.Value(reg, a)
				if v == nil {
					v = make([]byte, a.Size())
				}
				x = append(x, verify.Expectation{Register: reg, Alg: a, Value: bytes.Clone(v)})
			}
		}
		r := checkPrefix(t, x, array(whole[0]...), array(whole[1]...))
		short := check(t, x, array(ended[0]...), array(ended[1]...))
		if r.OK() != (covered > 0 && altered == 0) || covered > 0 && r.OK() != short.OK() {
			t.Fatalf("OK %v; %d records are covered, %d digests contradicted\n%s\n%s", r.OK(), covered, altered, states(r), findings(r))
		}
		if r.Covered != uint64(covered) || r.Records != uint64(len(recs)) || r.Found != short.Found || r.Found != altered || r.FoundLater != later || len(r.Later) != later {
			t.Fatalf("%d covered, %d found, %d later; want %d, %d, %d", r.Covered, r.Found, r.FoundLater, covered, altered, later)
		}
		for i, reg := range regs {
			for _, a := range banks {
				b := bank(t, r, reg, a)
				want, prefix := verify.VerifiedPrefix, int64(cut[i])
				if cut[i] == total[i] {
					want, prefix = verify.Verified, -1
				}
				if b.State != want || b.Prefix != prefix || b.Follow != int64(total[i]-cut[i]) || b.Bound()+b.Differs != uint64(cut[i]) || b.DigestBound() != 0 {
					t.Fatalf("%s:%s: %s, prefix %d, %d follow, %d bound; cut at %d of %d", reg, a, b.State, b.Prefix, b.Follow, b.Bound(), cut[i], total[i])
				}
			}
		}
		// Without the option it is a no, unless nothing was cut, and the caller
		// is told where the option would make it a yes.
		plain := check(t, x, array(whole[0]...), array(whole[1]...))
		all := covered == len(recs)
		if plain.OK() != (all && altered == 0) || plain.PrefixHelps != (!all && r.OK()) || plain.FoundLater != 0 || plain.Found != altered+later {
			t.Fatalf("without: OK %v, helps %v, %d found, %d later", plain.OK(), plain.PrefixHelps, plain.Found, plain.FoundLater)
		}
		// Banks that were left behind at different places are of no register.
		for i, reg := range regs {
			if cut[i] == total[i] {
				continue
			}
			kept := x[2*i].Value
			x[2*i].Value = valueAt(t, array(append(whole[0], whole[1]...)...), reg, banks[0], cut[i]+1)
			if r := checkPrefix(t, x, array(whole[0]...), array(whole[1]...)); r.OK() {
				t.Fatalf("banks at %d and %d records: %s", cut[i]+1, cut[i], states(r))
			}
			x[2*i].Value = kept
		}
	})
}

// valueAt is what a bank has after the first records of its register.
func valueAt(t tester, log string, reg mrlog.Register, alg mrlog.Alg, n int) []byte {
	t.Helper()
	var replay mrlog.Replay
	for rec, err := range mrlog.All(reader(t, log)) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Register != reg {
			continue
		}
		if n--; n < 0 {
			break
		}
		if err := replay.Extend([]mrlog.Record{*rec}); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Clone(replay.Value(reg, alg))
}

// TestPrefixStates: what is accepted, and what is not.
func TestPrefixStates(t *testing.T) {
	pcr4, rtmr2 := mrlog.Register{Space: mrlog.PCR, Index: 4}, mrlog.Register{Space: mrlog.RTMR, Index: 2}
	sep := func(n int, algs ...mrlog.Alg) string { return separator(n, 4, algs...) }
	at := func(alg mrlog.Alg, n int) verify.Expectation {
		v := make([]byte, alg.Size())
		for range n {
			v = alg.AppendSum(nil, append(v, alg.AppendSum(nil, make([]byte, 4))...))
		}
		return verify.Expectation{Register: pcr4, Alg: alg, Value: v}
	}
	two := array(sep(0, mrlog.SHA1, mrlog.SHA256), sep(1, mrlog.SHA1, mrlog.SHA256))
	line3 := log384("a b one", "a b two")
	foreign := init384(ones) + "\na b\nc d\n"
	zero := expect(t, "rtmr2", mrlog.SHA384, zeros)
	other := separator(0, 5, mrlog.SHA256)
	for _, c := range []struct {
		what   string
		expect []verify.Expectation
		logs   []string
		ok     bool
		states string
		follow int64 // of the first register
	}{
		{"SHA-1 alone proves nothing of a part, either", []verify.Expectation{at(mrlog.SHA1, 1)}, []string{two}, false, "pcr4:sha1=weak pcr4:sha256=unchecked", 1},
		{"SHA-1 beside", []verify.Expectation{at(mrlog.SHA1, 1), at(mrlog.SHA256, 1)}, []string{two}, true, "pcr4:sha1=weak pcr4:sha256=verified-prefix", 1},
		{"SHA-1 elsewhere", []verify.Expectation{at(mrlog.SHA1, 2), at(mrlog.SHA256, 1)}, []string{two}, false, "pcr4:sha1=weak pcr4:sha256=mismatch", 0},
		{"start that nothing explains", after(t, foreign, 2), []string{foreign}, false, "rtmr2:sha384=unexplained-prefix", 1},
		{"the unexplained start itself", []verify.Expectation{expect(t, "rtmr2", mrlog.SHA384, ones)}, []string{foreign}, false, "rtmr2:sha384=mismatch", 0},
		{"zeros, and the log starts elsewhere", []verify.Expectation{zero}, []string{foreign}, false, "rtmr2:sha384=mismatch", 0},
		{"none of the records", []verify.Expectation{zero}, []string{line3}, false, "rtmr2:sha384=verified-prefix", 3},
		{"none of the records, and some of another register", []verify.Expectation{{Register: mrlog.Register{Space: mrlog.PCR, Index: 5}, Alg: mrlog.SHA256, Value: at(mrlog.SHA256, 1).Value}, zero}, []string{line3, array(other)}, true, "pcr5:sha256=verified rtmr2:sha384=verified-prefix", 0},
		{"a value that was never reached", []verify.Expectation{expect(t, "rtmr2", mrlog.SHA384, ones)}, []string{line3}, false, "rtmr2:sha384=mismatch", 0},
		{"a bank that the records do not have", []verify.Expectation{at(mrlog.SHA256, 1), at(mrlog.SHA384, 0)}, []string{two}, false, "pcr4:sha1=unchecked pcr4:sha256=mismatch pcr4:sha384=bank-not-present", 0},
		{"records without the digest follow", []verify.Expectation{at(mrlog.SHA256, 1)}, []string{array(sep(0, mrlog.SHA256), sep(1, mrlog.SHA1))}, true, "pcr4:sha1=unchecked pcr4:sha256=verified-prefix", 0},
		{"one stands before", []verify.Expectation{at(mrlog.SHA256, 2)}, []string{array(sep(0, mrlog.SHA256), sep(1, mrlog.SHA1), sep(2, mrlog.SHA256), sep(3, mrlog.SHA256))}, false, "pcr4:sha1=unchecked pcr4:sha256=verified-prefix", 0},
		{"within the first of two logs", after(t, line3, 2), []string{line3, init384(values(t, line3)[0].Value) + "\nx y\n"}, true, "rtmr2:sha384=verified-prefix", 3},
		{"within the second", after(t, line3, 3), []string{log384("a b one")[:len(log384("a b one"))], line3}, false, "rtmr2:sha384=mismatch", 0},
		{"what follows joins nothing", after(t, line3, 3), []string{line3, foreign}, true, "rtmr2:sha384=verified-prefix", 3},
		{"all of it", values(t, line3), []string{line3}, true, "rtmr2:sha384=verified", 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := checkPrefix(t, c.expect, c.logs...)
			if r.OK() != c.ok || states(r) != c.states {
				t.Errorf("OK %v, %s\nwant %v, %s\n%s", r.OK(), states(r), c.ok, c.states, findings(r))
			}
			if b := r.Registers[0]; b.Follow != c.follow {
				t.Errorf("%d follow, want %d", b.Follow, c.follow)
			}
		})
	}
	// A record that was not extended stands behind the last one that was.
	info := strings.Replace(sep(0, mrlog.SHA256), "EV_SEPARATOR", "EV_NO_ACTION", 1)
	for n, later := range map[int]int{1: 1, 2: 0} {
		r := checkPrefix(t, []verify.Expectation{at(mrlog.SHA256, n)}, array(sep(0, mrlog.SHA256), info, sep(1, mrlog.SHA256), sep(2, mrlog.SHA256)))
		if r.FoundLater != later || len(r.Later) != later || r.Found != 1-later || len(r.Findings) != 1-later || r.OK() != (later == 1) {
			t.Errorf("cut after %d: OK %v, %d found, %d later\n%s", n, r.OK(), r.Found, r.FoundLater, findings(r))
		}
	}
	// The value of a log's whole replay stays what it is.
	b := bank(t, checkPrefix(t, after(t, line3, 1), line3), rtmr2, mrlog.SHA384)
	if b.Records != 3 || b.Prefix != 1 || !bytes.Equal(b.Value, values(t, line3)[0].Value) || b.Bound() != 1 {
		t.Errorf("%+v", b)
	}
}

// TestLaterFindings: however many there are behind the accepted part, they hide
// none of those before, and the other way round.
func TestLaterFindings(t *testing.T) {
	n := verify.MaxFindings + 10
	bad := func(i int) string {
		return entry(i, `"pcr":2`, "CC-CEL", `"a b d"`, []byte("a b c"), mrlog.SHA384)
	}
	entries := []string{line(0, "x y")}
	for i := range n {
		entries = append(entries, bad(1+i))
	}
	late := array(entry(0, `"pcr":14`, "CC-CEL", `"a b d"`, []byte("a b c"), mrlog.SHA384))
	x := append(after(t, array(entries...), 1), values(t, late)...)
	r := checkPrefix(t, x, array(entries...), late)
	if r.OK() || r.Found != 1 || len(r.Findings) != 1 || r.Findings[0].Log != "log1" || r.FoundLater != n || len(r.Later) != verify.MaxFindings || r.Later[0].Number != 1 {
		t.Errorf("OK %v, found %d (%d kept), later %d (%d kept)", r.OK(), r.Found, len(r.Findings), r.FoundLater, len(r.Later))
	}
	// Where the log is not accepted, all of them count, in their order.
	if r = check(t, x, array(entries...), late); r.Found != n+1 || r.FoundLater != 0 || len(r.Findings) != verify.MaxFindings || r.Findings[verify.MaxFindings-1].Number != uint64(verify.MaxFindings) {
		t.Errorf("without: found %d (%d kept), later %d", r.Found, len(r.Findings), r.FoundLater)
	}
}
