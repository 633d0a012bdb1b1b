// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// seed adds logs of every form, and starts of what is none.
func seed(f *testing.F) {
	for _, to := range targets() {
		for _, log := range []string{sample, "[]"} {
			if out, _, err := copyTo([]byte(log), to, convert.Source{}, 1); err == nil {
				f.Add(out)
			}
		}
	}
	for _, s := range starts(f) {
		f.Add([]byte(s.start))
	}
	for _, w := range wrappings {
		f.Add(w.wrap([]byte(sample)))
	}
	// A header and a separator in CC-MR 2, an IMA list, CoCo's event.
	header := unhex(f, "0000000003000000"+strings.Repeat("00", 20)+"2100000053706563204944204576656e74303300000000000002000201000000"+"0c00300000")
	separator := unhex(f, "0200000004000000010000000c00394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f00400000000000000")
	f.Add([]byte(header + separator))
	f.Add([]byte(header + separator + strings.Repeat("\xff", 20)))
	f.Add([]byte(unhex(f, "00000000 08000000"+strings.Repeat("ab", 20)+"02000000 0000 01000000 04000000"+strings.Repeat("cd", 20)+"04000000 00000000")))
	f.Add([]byte(unhex(f, "0400000006000000010000000c00dad5f0e226318ffa9839b75a472c6aa7fdb5834949d0a0a22990cf04d5692440fb00f3aa0609db7e49cd8d793f670d02200000004c45414118000000646f6d61696e206f7065726174696f6e20636f6e74656e74")))
	f.Add([]byte(unhex(f, "0a0000002a72e57ea10acde04ca804a9d4dd8959ee14c1e906000000696d612d6e6741000000280000007368613235363a005891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03110000002f7573722f62696e2f6d795f746f6f6c00")))
	f.Add([]byte("10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool\n"))
	f.Add([]byte(`{"event":"compose-hash","payload":"q80=","version":2}` + "\n"))
	f.Add([]byte(`{"cc_eventlog":"` + base64.StdEncoding.EncodeToString([]byte(header+separator)) + `","quote":"AAAA"}`))
	for _, l := range late(f) {
		f.Add([]byte(l.text))
	}
	f.Add([]byte("\x1e" + `{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed"}],"content_type":"systemd","content":{"string":"enter-initrd","bootId":"0123456789abcdef0123456789abcdef","timestamp":1234567,"eventType":"phase"}}` + "\n"))
	f.Add([]byte(`{"pcr":4,"recnum":1,"digests":[{"hashAlg":"SHA1","digest":"DF3F619804A92FDB4057192DC43DD748EA778ADC"}],"content_type":5,"content":{"event_type":"ev_no_action","event_data":"00"}}` + "\n"))
	f.Add([]byte(unhex(f, `0000000001000100000001040300000025 0b00000020df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119 050000000f000000000104010000000400000000`)))
	f.Add([]byte(unhex(f, `81a5000001040381a2000b015820df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b8111909050aa20004014400000000`)))
}

// FuzzDetectOpen: whatever the bytes, opening and reading them ends, without a
// panic, in an error that is a *mrlog.SyntaxError; and takes memory for what is
// there, not for what is stated.
func FuzzDetectOpen(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, log []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := convert.Open(bytes.NewReader(log), convert.Source{})
		var b mrlog.Batch
		for err == nil {
			if err = r.Read(&b); err == nil && len(b.Records) == 0 {
				t.Fatal("a batch without records")
			}
		}
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+200*len(log)); got > limit {
			t.Errorf("%d bytes took %d bytes of memory, more than %d", len(log), got, limit)
		}
		checkEnd(t, r, err)
		for _, name := range convert.Names() {
			// What is stated is read without detection.
			r, err := convert.Open(bytes.NewReader(log), convert.Source{Format: name})
			if err == nil {
				_, err = logtest.ReadAll(r)
			}
			if err != nil {
				checkEnd(t, r, err)
			}
		}
	})
}

// checkEnd fails unless err is one that a log in memory can end in.
func checkEnd(t *testing.T, r mrlog.Reader, err error) {
	t.Helper()
	var s *mrlog.SyntaxError
	switch {
	case errors.As(err, &s):
		if s.Offset < 0 || s.Err == nil || s.Format == "" {
			t.Errorf("an error without its place or reason: %+v", s)
		}
		if r != nil {
			var b mrlog.Batch
			if again := r.Read(&b); again == nil {
				t.Errorf("read on after %v", err)
			}
		}
	case err.Error() != "EOF":
		t.Errorf("ends in %v, no *mrlog.SyntaxError", err)
	}
}

// FuzzConvert: what a reader takes, every writer carries exactly, or refuses.
func FuzzConvert(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, log []byte) {
		records, _ := open(log)
		if len(records) == 0 {
			return
		}
		for _, to := range targets() {
			if to.Format == convert.NELR {
				// It gives records the numbers and the order of digests
				// that a native log has.
				checkNative(t, records)
				continue
			}
			checkCarried(t, to, records)
		}
		for _, f := range convert.Formats() {
			if !f.Whole && !f.ReadOnly {
				checkKind(t, f.Name, records)
			}
		}
	})
}

// checkKind writes those of the records that a format of another kind carries,
// and demands that they replay as before.
func checkKind(t *testing.T, format string, records []mrlog.Record) {
	out, carried, err := carry(convert.Target{Format: format}, records)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	if len(carried) == 0 {
		return
	}
	s := convert.Source{Format: format, Space: carried[0].Register.Space}
	for _, d := range carried[0].Digests {
		if d.Alg.Size() > 0 {
			s.Banks = append(s.Banks, d.Alg)
		}
	}
	r, err := convert.Open(bytes.NewReader(out), s)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	got, err := logtest.ReadAll(r)
	if err != nil {
		t.Fatalf("%s does not read what it wrote: %v\n%q", format, err, out)
	}
	var before, after mrlog.Replay
	for i := range carried {
		if err := before.Extend(carried[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := after.Extend(got); err != nil {
		t.Fatal(err)
	}
	for _, b := range before.Banks() {
		if b.Records == 0 {
			continue
		}
		if v := after.Value(b.Register, b.Alg); v != nil && !bytes.Equal(v, b.Value) {
			t.Fatalf("%s: %s:%s was %x, is %x\n%+v\n%q", format, b.Register, b.Alg, b.Value, v, carried, out)
		}
	}
}

// checkNative writes records as a native log, as far as they can be one, and
// demands the same replay.
func checkNative(t *testing.T, records []mrlog.Record) {
	out, carried, err := carry(convert.Target{Format: convert.NELR}, records)
	if err != nil {
		t.Fatal(err)
	}
	if len(carried) == 0 {
		return
	}
	got, err := open(out)
	if err != nil || len(got) != len(carried) {
		t.Fatalf("%d records came back as %d: %v\n%q", len(carried), len(got), err, out)
	}
	want, err := banks(carried)
	if err != nil {
		t.Fatal(err)
	}
	have, err := banks(got)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if i >= len(have) || !bytes.Equal(want[i].Value, have[i].Value) || want[i].Register != have[i].Register {
			t.Fatalf("replay was %+v, is %+v", want, have)
		}
	}
}
