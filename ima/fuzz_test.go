// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// seeds are inputs of both forms.
func seeds(f *testing.F) {
	for _, big := range []bool{false, true} {
		all := allSamples(big)
		for i := range all {
			if len(all[i].data(big)) < 1000 {
				f.Add(all[i].binary(mrlog.SHA1, big))
				f.Add([]byte(all[i].ascii(mrlog.SHA256, big)))
			}
		}
	}
	bin, text := lists(samples()[:9], mrlog.SHA1, false)
	f.Add(bin)
	f.Add([]byte(text))
	f.Add([]byte(helloLine))
	f.Add([]byte("10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-next x y \n"))
}

// FuzzRoundTrip: what is read in either form is written back to the same bytes,
// or marked as not canonical; no error is without a place.
func FuzzRoundTrip(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) { roundTrip(t, "input", in) })
}

// FuzzDerive: further banks change nothing but the digests, and the digests are
// those that the content gives.
func FuzzDerive(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		o := Options{Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA384}}
		plain, err := logtest.ReadAll(NewBinaryReaderBytes(in, Options{}))
		derived, err2 := logtest.ReadAll(NewBinaryReaderBytes(in, o))
		if len(plain) != len(derived) || (err == nil) != (err2 == nil) {
			t.Fatalf("%d records, %v; with banks %d, %v", len(plain), err, len(derived), err2)
		}
		for i := range plain {
			for _, d := range derived[i].Digests[1:] {
				want := d.Alg.AppendSum(nil, plain[i].Content)
				if d.Alg == mrlog.SHA384 {
					want = append(mrlog.SHA1.AppendSum(nil, plain[i].Content), make([]byte, 28)...)
				}
				switch {
				case plain[i].Notes&mrlog.NoteViolation != 0:
					if !filled(d.Sum[:20], 0xFF) {
						t.Fatalf("record %d: violation has %s", i, d)
					}
				case d.Alg == mrlog.SHA384 && derived[i].Digests[0].Alg == mrlog.SHA1:
					if string(d.Sum[:20]) != string(plain[i].Digests[0].Sum) {
						t.Fatalf("record %d: %s", i, d)
					}
				case string(d.Sum) != string(want):
					t.Fatalf("record %d: %s, want %x", i, d, want)
				}
			}
		}
	})
}

// FuzzFields: any content is decoded or says why not, and what is shown in ASCII
// reads back.
func FuzzFields(f *testing.F) {
	for _, big := range []bool{false, true} {
		for _, m := range allSamples(big) {
			if data := m.data(big); len(data) < 1000 {
				f.Add([]byte(m.template), data, big)
			}
		}
	}
	f.Fuzz(func(t *testing.T, template, data []byte, big bool) {
		fields, err := Fields(template, data)
		if err == nil {
			_, _ = Xattrs(fields)
		}
		tm := parseTemplate(template)
		text, what := appendFields(nil, &tm, data, big)
		if what != "" {
			return
		}
		back, how := new(ASCIIReader).fields(nil, &tm, text, big)
		if how != isExact && len(data) <= MaxData || string(back) != string(data) {
			t.Fatalf("%s %x is shown as %q, which reads as %x (%d)", template, data, text, back, how)
		}
		if err != nil {
			t.Fatalf("%s %x is shown as %q, and decoded not: %v", template, data, text, err)
		}
	})
}

// FuzzAggregate: whatever the first record, it is compared with PCR values, and
// what matches is their digest.
func FuzzAggregate(f *testing.F) {
	seeds(f)
	value := func(bank mrlog.Alg, pcr uint32) []byte { return make([]byte, bank.Size()) }
	f.Fuzz(func(t *testing.T, in []byte) {
		records, _ := logtest.ReadAll(NewBinaryReaderBytes(in, Options{}))
		for i := range records {
			a := CheckBootAggregate(&records[i], value)
			if a.Result == AggregateMatches && !bytes.Equal(a.Digest.Sum, a.Digest.Alg.AppendSum(nil, make([]byte, a.PCRs*a.Digest.Alg.Size()))) {
				t.Fatalf("%+v", a)
			}
		}
	})
}
