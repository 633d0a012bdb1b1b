// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// Every sample, in lists of every bank and byte order: what both readers give is
// what the oracle says, each writes both forms back, and replays are right.
func TestSamples(t *testing.T) {
	for _, big := range []bool{false, true} {
		for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384, mrlog.SHA512, mrlog.SM3, mrlog.SHA3_256} {
			t.Run(fmt.Sprintf("%s/big=%t", alg, big), func(t *testing.T) {
				all := allSamples(big)
				bin, text := lists(all, alg, big)
				readers := map[string]mrlog.Reader{
					"binary":       NewBinaryReader(bytes.NewReader(bin), Options{}),
					"binary bytes": NewBinaryReaderBytes(bin, Options{}),
					"ASCII":        NewASCIIReader(strings.NewReader(text), Options{}),
				}
				if alg == mrlog.SHA1 {
					readers["binary slow"] = NewBinaryReader(onebyte{bytes.NewReader(bin)}, Options{})
					readers["ASCII slow"] = NewASCIIReader(onebyte{strings.NewReader(text)}, Options{})
				}
				for form, r := range readers {
					records, err := logtest.ReadAll(r)
					if err != nil {
						t.Fatalf("%s: %v", form, err)
					}
					if h := r.Header(); (h.Dialect == BigEndian) != big || len(h.Algs) != 1 || h.Algs[0] != (mrlog.AlgSize{Alg: alg, Size: alg.Size()}) || h.Derived || h.Space != mrlog.PCR {
						t.Errorf("%s: header %+v", form, h)
					}
					check(t, form, all, records, alg, big)
					if out, err := writeBinary(WriteOptions{BigEndian: big}, records); err != nil || !bytes.Equal(out, bin) {
						t.Errorf("%s: written binary differs, %v", form, err)
					}
					if out, err := writeASCII(WriteOptions{}, records); err != nil || out != text {
						t.Errorf("%s: written ASCII differs, %v", form, err)
					}
					v := replay(t, records)
					for _, pcr := range []uint32{5, 10, 11, 123} {
						if got, want := v.Value(mrlog.Register{Space: mrlog.PCR, Index: pcr}, alg), value(all, pcr, alg, false, big); !bytes.Equal(got, want) {
							t.Errorf("%s: PCR %d is %x, want %x", form, pcr, got, want)
						}
					}
				}
			})
		}
	}
}

func check(t *testing.T, form string, all []measure, records []mrlog.Record, alg mrlog.Alg, big bool) {
	t.Helper()
	if len(records) != len(all) {
		t.Fatalf("%s: %d records, want %d", form, len(records), len(all))
	}
	for i := range all {
		m := &all[i]
		want := mrlog.Record{
			Register: mrlog.Register{Space: mrlog.PCR, Index: m.pcr},
			Digests:  []mrlog.Digest{{Alg: alg, Sum: m.extended(alg, false, big)}},
			Type:     mrlog.TypeIMATemplate, Name: []byte(m.template), Content: m.data(big),
		}
		if m.violated {
			want.Notes = mrlog.NoteViolation
		}
		want.Span = records[i].Span
		if !reflect.DeepEqual(want, records[i]) {
			d := cmp.Diff(want, records[i])
			t.Errorf("%s: record %d (-want +got):\n%s", form, i, d)
		}
	}
}

// Records stand where their spans say.
func TestSpans(t *testing.T) {
	all := samples()
	bin, text := lists(all, mrlog.SHA1, false)
	records, err := readBinary(bin, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if got := bin[r.Span.Offset:][:r.Span.Length]; !bytes.Equal(got, all[i].binary(mrlog.SHA1, false)) || r.Span.Line != 0 {
			t.Errorf("binary: record %d at %+v is %x", i, r.Span, got)
		}
	}
	if records, err = readASCII(text, Options{}); err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if got := text[r.Span.Offset:][:r.Span.Length+1]; got != all[i].ascii(mrlog.SHA1, false) || r.Span.Line != i+1 {
			t.Errorf("ASCII: record %d at %+v is %q", i, r.Span, got)
		}
	}
}

// Digests of further banks follow the logged one, native and padded, of
// violations too; both by Read and by Scan and Hash.
func TestDerived(t *testing.T) {
	for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256} {
		all := allSamples(false)
		bin, text := lists(all, alg, false)
		o := Options{Banks: []mrlog.Alg{mrlog.SHA256, mrlog.SHA512, mrlog.SM3}, Padded: []mrlog.Alg{mrlog.SHA384}}
		for form, r := range map[string]mrlog.Hasher{
			"binary": NewBinaryReader(bytes.NewReader(bin), o),
			"ASCII":  NewASCIIReader(strings.NewReader(text), o),
		} {
			var records []mrlog.Record
			var b mrlog.Batch
			var err error
			for err = r.Scan(&b); err == nil; err = r.Scan(&b) {
				half := len(b.Records) / 2
				r.Hash(b.Records[half:])
				r.Hash(b.Records[:half])
				for i := range b.Records {
					records = append(records, b.Records[i].Clone())
				}
			}
			if err != io.EOF {
				t.Fatalf("%s: %v", form, err)
			}
			want := []mrlog.Alg{mrlog.SHA256, mrlog.SHA512, mrlog.SM3, mrlog.SHA384}
			if alg == mrlog.SHA256 {
				want = want[1:]
			}
			if d := cmp.Diff(want, r.Header().DerivedBanks); d != "" {
				t.Errorf("%s of %s: derived banks (-want +got):\n%s", form, alg, d)
			}
			for i, rec := range records {
				if len(rec.Digests) != 1+len(want) || rec.Digests[0].Alg != alg || rec.Notes&mrlog.NotePadded == 0 {
					t.Fatalf("%s of %s: record %d has %v, notes %b", form, alg, i, rec.Digests, rec.Notes)
				}
				for _, d := range rec.Digests {
					if e := all[i].extended(d.Alg, d.Alg == mrlog.SHA384, false); !bytes.Equal(e, d.Sum) {
						t.Errorf("%s of %s: record %d: %s, want %x", form, alg, i, d, e)
					}
				}
			}
			again, err := logtest.ReadAll(r)
			if len(again) != 0 || err != nil {
				t.Errorf("%s: after its end: %d records, %v", form, len(again), err)
			}
			// What was derived need not be carried.
			if out, err := writeBinary(WriteOptions{Alg: alg}, records); err != nil || !bytes.Equal(out, bin) {
				t.Errorf("%s of %s: written back: %v", form, alg, err)
			}
			v := replay(t, records)
			for _, a := range append([]mrlog.Alg{alg}, want...) {
				if got, want := v.Value(pcr10, a), value(all, 10, a, a == mrlog.SHA384, false); !bytes.Equal(got, want) {
					t.Errorf("%s of %s: PCR 10 in %s is %x, want %x", form, alg, a, got, want)
				}
			}
		}
	}
}

// The example of the package comment, and others; their values come from another
// program.
func TestExamples(t *testing.T) {
	bin := unhex(t, "0a000000"+"2a72e57ea10acde04ca804a9d4dd8959ee14c1e9"+"06000000"+"696d612d6e67"+"41000000"+
		"28000000"+"7368613235363a00"+"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"+
		"11000000"+"2f7573722f62696e2f6d795f746f6f6c00")
	text := "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool\n"
	for _, tt := range []struct {
		o    Options
		alg  mrlog.Alg
		want string
	}{
		{Options{}, mrlog.SHA1, "9f2df494d0a8af2b7af5fbaffbf96728176a2ce4"},
		{Options{Banks: []mrlog.Alg{mrlog.SHA256}}, mrlog.SHA256, "8e0af349d71518cd4e28fd0d27da3878500b55f30add40cda170e989e0ed2f5f"},
		{Options{Padded: []mrlog.Alg{mrlog.SHA256}}, mrlog.SHA256, "5667ffa4c303ad4a4c29f8e2662fd19e69fd91e2ccca064186bd530035ad207a"},
	} {
		records, err := readBinary(bin, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", replay(t, records).Value(pcr10, tt.alg)); got != tt.want {
			t.Errorf("binary, %s: %s, want %s", tt.alg, got, tt.want)
		}
		if records, err = readASCII(text, tt.o); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", replay(t, records).Value(pcr10, tt.alg)); got != tt.want {
			t.Errorf("ASCII, %s: %s, want %s", tt.alg, got, tt.want)
		}
		if out, err := writeBinary(WriteOptions{}, records); err != nil || !bytes.Equal(out, bin) {
			t.Errorf("binary from ASCII: %x, %v", out, err)
		}
	}

	// A violation alone, in a SHA-256 bank.
	line := "10 " + strings.Repeat("0", 40) + " ima-ng sha256:" + strings.Repeat("0", 64) + " /x\n"
	records, err := readASCII(line, Options{Banks: []mrlog.Alg{mrlog.SHA256}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", replay(t, records).Value(pcr10, mrlog.SHA256)); got != "bba91ca85dc914b2ec3efb9e16e7267bf9193b14350d20fba8a8b406730ae30a" {
		t.Errorf("violation: %s", got)
	}

	old := unhex(t, "0a000000 66cbbfe33756b320323df26965a47e15604256ea 03000000 696d61 f572d396fae9206628714fb2ce00f72e94f2258f 06000000 2f62696e2f78")
	if records, err = readBinary(old, Options{}); err != nil || len(records) != 1 || len(old) != 61 {
		t.Fatalf("template ima: %d records, %v", len(records), err)
	}
	if got := sum(mrlog.SHA1, records[0].Content); !bytes.Equal(got, records[0].Digests[0].Sum) {
		t.Errorf("template ima: content hashes to %x", got)
	}
	if out, err := writeASCII(WriteOptions{}, records); err != nil || out != "10 66cbbfe33756b320323df26965a47e15604256ea ima f572d396fae9206628714fb2ce00f72e94f2258f /bin/x\n" {
		t.Errorf("template ima in ASCII: %q, %v", out, err)
	}
}

// Cut anywhere, a list gives the records before the cut, and an error unless it
// is between two.
func TestTruncated(t *testing.T) {
	all := allSamples(false)
	all = append(all[:18:18], all[19:]...) // without the long name
	for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA384} {
		bin, text := lists(all, alg, false)
		ends, at := map[int]int{0: 0}, 0
		for i := range all {
			at += len(all[i].binary(alg, false))
			ends[at] = i + 1
		}
		whole := 0
		for cut := range bin {
			records, err := readBinary(bin[:cut], Options{})
			if n, ok := ends[cut]; ok {
				if whole = n; err != nil {
					t.Fatalf("cut at %d, after record %d: %v", cut, n, err)
				}
			} else {
				if e := syntax(t, err); !errors.Is(err, io.ErrUnexpectedEOF) || e.Offset != int64(cut) || e.Record != int64(whole) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
			}
			if len(records) != whole {
				t.Fatalf("cut at %d: %d records, want %d", cut, len(records), whole)
			}
		}

		ends, at, whole = map[int]int{0: 0}, 0, 0
		for i := range all {
			at += len(all[i].ascii(alg, false))
			ends[at] = i + 1
			if !all[i].violated {
				ends[at-1] = i + 1 // the digest proves that the line is whole
			}
			for n := 2; text[at-n] == ' ' && !strings.HasSuffix(all[i].text[1], "end "); n++ {
				ends[at-n] = i + 1 // and that the fields behind are empty
			}
		}
		for cut := range text {
			records, err := readASCII(text[:cut], Options{})
			n, ok := ends[cut]
			if ok {
				whole = n
				if err != nil {
					t.Fatalf("cut at %d, after record %d: %v", cut, n, err)
				}
			} else if err == nil {
				t.Fatalf("cut at %d: no error after %q", cut, text[max(0, cut-90):cut])
			} else if e := syntax(t, err); e.Offset > int64(cut) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if len(records) != strings.Count(text[:cut], "\n") && len(records) != whole {
				t.Fatalf("cut at %d: %d records, want %d", cut, len(records), whole)
			}
		}
	}
}

// What a reader of bytes says goes through, and what came before it is given.
func TestReaderErrors(t *testing.T) {
	bin, text := lists(samples()[:3], mrlog.SHA1, false)
	broken := errors.New("broken")
	for form, r := range map[string]mrlog.Reader{
		"binary": NewBinaryReader(io.MultiReader(bytes.NewReader(bin), iotest.ErrReader(broken)), Options{}),
		"ASCII":  NewASCIIReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), Options{}),
	} {
		records, err := logtest.ReadAll(r)
		if len(records) != 3 || err != broken {
			t.Errorf("%s: %d records, %v", form, len(records), err)
		}
		if _, err := logtest.ReadAll(r); err != broken {
			t.Errorf("%s: then %v", form, err)
		}
	}
	for form, r := range map[string]mrlog.Reader{
		"binary": NewBinaryReader(strings.NewReader(""), Options{}),
		"ASCII":  NewASCIIReader(strings.NewReader(""), Options{}),
	} {
		if records, err := logtest.ReadAll(r); len(records) != 0 || err != nil {
			t.Errorf("%s, empty: %d records, %v", form, len(records), err)
		}
	}
}
