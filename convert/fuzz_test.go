// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
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
				_, err = readAll(r)
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
	})
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
