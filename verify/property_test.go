// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/verify"
)

// drawLog draws a native log, and says whether it begins at reset values, and
// whether it has a bank that binds.
func drawLog(t *rapid.T) (log string, reset, binds bool) {
	reg := mrlog.Register{Space: mrlog.RTMR, Index: 2}
	if rapid.Bool().Draw(t, "hint") {
		reg = rapid.SampledFrom([]mrlog.Register{
			{Space: mrlog.RTMR, Index: 3}, {Space: mrlog.PCR, Index: 14}, {Space: mrlog.PCR, Index: 17}, {Space: mrlog.PCR, Index: 22}, {Space: mrlog.CCMR, Index: 3},
		}).Draw(t, "register")
		log = "#: register " + reg.String() + "\n"
	}
	reset = true
	var start []mrlog.Digest
	for _, alg := range rapid.SliceOfNDistinct(rapid.SampledFrom(mrlog.Known()), 1, 3, rapid.ID[mrlog.Alg]).Draw(t, "banks") {
		value := make([]byte, alg.Size())
		switch rapid.IntRange(0, 4).Draw(t, "start") {
		case 0:
			value = bytes.Repeat([]byte{0xFF}, alg.Size())
		case 1:
			value = rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "value")
		}
		// The reset values, by the letter of the profile.
		dynamic := reg.Space == mrlog.PCR && reg.Index >= 17 && reg.Index <= 22
		switch {
		case len(bytes.Trim(value, "\x00")) == 0:
		case dynamic && len(bytes.Trim(value, "\xff")) == 0:
		default:
			reset = false
		}
		binds = binds || alg != mrlog.SHA1
		start = append(start, mrlog.Digest{Alg: alg, Sum: value})
	}
	log += string(mrlog.AppendInit(nil, start)) + "\n"
	for range rapid.IntRange(0, 6).Draw(t, "records") {
		l := rapid.StringMatching(`[ -~éΩ\t]{1,40}`).Draw(t, "line")
		if l[0] == '#' || mrlog.IsInit([]byte(l)) {
			l = "x" + l
		}
		log += l + "\n"
	}
	return log, reset, binds
}

// ok reports whether a log verifies; one that cannot be read does not. Its
// format is stated, so that what was changed gets as far as it can.
func ok(t tester, x []verify.Expectation, log string) bool {
	t.Helper()
	source := convert.Source{Format: convert.NELR}
	if log[0] == '[' {
		source.Format = convert.CELJSON
	}
	r, err := convert.Open(strings.NewReader(log), source)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Check(context.Background(), []verify.Log{{Reader: r}}, verify.Options{Expect: x})
	return err == nil && report.OK()
}

// TestOwnReplay: a log verifies against its own replay if and only if it begins
// where a reset leaves its register, and has a bank that proves something.
func TestOwnReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, reset, binds := drawLog(t)
		x := values(t, log)
		for _, format := range []string{"nelr", "cel-json", "cel-seq", "cel-cbor"} {
			if r := check(t, x, to(t, format, log)); r.OK() != (reset && binds) || r.Found > 0 {
				t.Fatalf("%s: OK is %v, %s; reset values: %v, binds: %v\n%s\n%s", format, r.OK(), states(r), reset, binds, log, findings(r))
			}
		}
	})
}

// TestFlippedBit: after a change of one bit in a measured byte no log verifies.
func TestFlippedBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, _, _ := drawLog(t)
		x := values(t, log)
		// Where the measured bytes are.
		var places []int
		at := 0
		for _, l := range strings.SplitAfter(log, "\n") {
			if l != "" && l[0] != '#' {
				for i := range len(l) - 1 {
					places = append(places, at+i)
				}
			}
			at += len(l)
		}
		for range 10 {
			i := rapid.SampledFrom(places).Draw(t, "place")
			bit := rapid.IntRange(0, 7).Draw(t, "bit")
			changed := []byte(log)
			changed[i] ^= 1 << bit
			if ok(t, x, string(changed)) {
				t.Fatalf("bit %d of byte %d is flipped, and the log verifies\n%q", bit, i, log)
			}
		}
	})
}

// TestFlippedDigit: after a change of one hexadecimal digit of a digest, or of
// one character of a content, no CEL-JSON verifies.
func TestFlippedDigit(t *testing.T) {
	type record = map[string]any
	rapid.Check(t, func(t *rapid.T) {
		log, _, _ := drawLog(t)
		x := values(t, log)
		var records []record
		if err := json.Unmarshal([]byte(to(t, "cel-json", log)), &records); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			r := rapid.SampledFrom(records).Draw(t, "record")
			holder, key := r, "content"
			if rapid.Bool().Draw(t, "digest") {
				digests := r["digests"].([]any)
				holder, key = digests[rapid.IntRange(0, len(digests)-1).Draw(t, "bank")].(record), "digest"
			}
			old := holder[key].(string)
			runes := []rune(old)
			i := rapid.IntRange(0, len(runes)-1).Draw(t, "place")
			to := rapid.SampledFrom([]rune("0123456789abcdef ")).Draw(t, "other")
			if key == "digest" && to == ' ' || runes[i] == to {
				to = '0'
				if runes[i] == '0' {
					to = '1'
				}
			}
			runes[i] = to
			holder[key] = string(runes)
			changed, err := json.Marshal(records)
			if err != nil {
				t.Fatal(err)
			}
			holder[key] = old
			if ok(t, x, string(changed)) {
				t.Fatalf("%s of a record was %q, is %q, and the log verifies", key, old, string(runes))
			}
		}
	})
}

// TestCutAndSwapped: a log that lacks a record, has one twice or two in another
// order does not verify.
func TestCutAndSwapped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "records")
		lines := []string{init384(make([]byte, 48))}
		for i := range n {
			lines = append(lines, fmt.Sprintf("example.org Event %d", i))
		}
		join := func(l []string) string { return strings.Join(l, "\n") + "\n" }
		x := values(t, join(lines))
		if !ok(t, x, join(lines)) {
			t.Fatal("the log itself does not verify")
		}
		i := rapid.IntRange(1, n-1).Draw(t, "place")
		without := append(append([]string{}, lines[:i]...), lines[i+1:]...)
		twice := append(append([]string{}, lines[:i+1]...), lines[i:]...)
		swapped := append([]string{}, lines...)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		for _, l := range [][]string{without, twice, swapped, lines[:n]} {
			if ok(t, x, join(l)) {
				t.Fatalf("verifies: %q", l)
			}
		}
	})
}
