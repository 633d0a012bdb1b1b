// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
)

// TestSpace: one bank of a CC platform and indexes up to 4 are taken for
// CC-MRs, as far as the look ahead shows; the user's word counts more.
func TestSpace(t *testing.T) {
	// far has an index of a PCR at a distance from the beginning.
	far := func(at int) []byte {
		l := header(mrlog.SHA384)
		for len(l) < at {
			l = l.event(1, separator, strings.Repeat("x", min(at-len(l), 5000)), mrlog.SHA384)
		}
		return l.event(7, separator, "a", mrlog.SHA384)
	}
	cc := header(mrlog.SHA384).event(4, separator, "a", mrlog.SHA384)
	for _, test := range []struct {
		name    string
		log     []byte
		options tcg.Options
		space   mrlog.Space
		assumed bool
		err     string
	}{
		{"SHA-384 and index 4", cc, tcg.Options{}, mrlog.CCMR, true, ""},
		{"SM3", header(mrlog.SM3).event(4, separator, "a", mrlog.SM3), tcg.Options{}, mrlog.CCMR, true, ""},
		{"SHA-256", header(mrlog.SHA256).event(4, separator, "a", mrlog.SHA256), tcg.Options{}, mrlog.PCR, false, ""},
		{"two banks", header(mrlog.SHA384, mrlog.SM3).event(4, separator, "a", mrlog.SHA384), tcg.Options{}, mrlog.PCR, false, ""},
		{"index 5", header(mrlog.SHA384).event(5, separator, "a", mrlog.SHA384), tcg.Options{}, mrlog.PCR, false, ""},
		{"index 5 of EV_NO_ACTION", header(mrlog.SHA384).event(5, mrlog.EventNoAction, "a", mrlog.SHA384), tcg.Options{}, mrlog.CCMR, true, ""},
		{"a header alone", header(mrlog.SHA384), tcg.Options{}, mrlog.CCMR, true, ""},
		{"the user says PCR", cc, tcg.Options{Space: mrlog.PCR}, mrlog.PCR, false, ""},
		{"the user says CC-MR", header(mrlog.SHA256).event(9, separator, "a", mrlog.SHA256), tcg.Options{Space: mrlog.CCMR}, mrlog.CCMR, false, ""},
		{"index 7 after 300 KiB", far(300 << 10), tcg.Options{}, mrlog.PCR, false, ""},
		{"index 7 just inside the look ahead", far(tcg.MaxLookAhead - 6000), tcg.Options{}, mrlog.PCR, false, ""},
		{"index 7 beyond the look ahead", far(tcg.MaxLookAhead), tcg.Options{}, mrlog.CCMR, true, "state their space (--space pcr)"},
		{"index 7 beyond, and the user says PCR", far(tcg.MaxLookAhead), tcg.Options{Space: mrlog.PCR}, mrlog.PCR, false, ""},
		{"rtmr", cc, tcg.Options{Space: mrlog.RTMR}, mrlog.NoSpace, false, `cannot be in space "rtmr"`},
		{"nv", cc, tcg.Options{Space: mrlog.NV}, mrlog.NoSpace, false, `cannot be in space "nv"`},
		{"bare", cc[65:], tcg.Options{Bare: true}, mrlog.CCMR, true, ""},
		{"bare, SHA-256", log(nil).event(4, separator, "a", mrlog.SHA256), tcg.Options{Bare: true}, mrlog.PCR, false, ""},
		{"bare, two banks", log(nil).event(4, separator, "a", mrlog.SHA384, mrlog.SM3), tcg.Options{Bare: true}, mrlog.PCR, false, ""},
		{"bare, one bank and then another", log(nil).event(4, separator, "a", mrlog.SHA384).event(4, separator, "a", mrlog.SM3), tcg.Options{Bare: true}, mrlog.PCR, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, open := range readers {
				if how == "one byte" && len(test.log) > 100<<10 && raceEnabled {
					continue
				}
				r := open(test.log, test.options)
				records, err := logtest.ReadAll(r)
				switch {
				case test.err == "" && err != nil, test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
					t.Errorf("%s: %v, want %q", how, err, test.err)
				}
				if h := r.Header(); h.Space != test.space || h.SpaceAssumed != test.assumed {
					t.Errorf("%s: space %s, assumed %v", how, h.Space, h.SpaceAssumed)
				}
				for _, rec := range records {
					if rec.Register.Space != test.space || (rec.Notes&mrlog.NoteSpaceAssumed != 0) != test.assumed {
						t.Fatalf("%s: %+v", how, rec)
					}
				}
			}
		})
	}
}

// TestTrailing: what follows the end and is no padding is an error, or counted
// on request.
func TestTrailing(t *testing.T) {
	l := header(mrlog.SHA384).event(1, separator, "a", mrlog.SHA384)
	end := int64(len(l))
	l = append(l, bytes.Repeat([]byte{0xFF}, 100)...)
	l = append(l, make([]byte, 50)...)
	l = l.event(1, separator, "b", mrlog.SHA384)
	for how, open := range readers {
		records, err := logtest.ReadAll(open(l, tcg.Options{}))
		s := syntax(t, err)
		if len(records) != 2 || s.Offset != end+150 || !strings.Contains(s.Error(), "no padding") {
			t.Errorf("%s: %d records, %v", how, len(records), err)
		}
		r := open(l, tcg.Options{IgnoreTrailing: true})
		records, err = logtest.ReadAll(r)
		want := tcg.End{Offset: end, Ones: 100, Zeros: 50, Other: int64(len(l)) - end - 150}
		if err != nil || len(records) != 2 || r.End() != want || r.Header().Padding != int64(len(l))-end {
			t.Errorf("%s: %d records, %v, %+v", how, len(records), err, r.End())
		}
	}
}

// TestPaddingCounts compares the count with a loop over the bytes.
func TestPaddingCounts(t *testing.T) {
	base := header(mrlog.SHA384).event(1, separator, "a", mrlog.SHA384)
	for _, ones := range []int{8, 9, 4095, 4096, 4097, 70_000} {
		for _, zeros := range []int{0, 1, 4096, 9000} {
			for _, other := range []int{0, 1} {
				l := slices.Concat(base, bytes.Repeat([]byte{0xFF}, ones), make([]byte, zeros), bytes.Repeat([]byte{0x80}, other))
				r := tcg.NewReader(bytes.NewReader(l), tcg.Options{IgnoreTrailing: true})
				if _, err := logtest.ReadAll(r); err != nil {
					t.Fatal(err)
				}
				if want := (tcg.End{Offset: int64(len(base)), Ones: int64(ones), Zeros: int64(zeros), Other: int64(other)}); r.End() != want {
					t.Errorf("%+v, want %+v", r.End(), want)
				}
			}
		}
	}
}

// TestLimits: each limit, at it and above.
func TestLimits(t *testing.T) {
	big := header(mrlog.SHA256).event(4, ipl, strings.Repeat("x", tcg.MaxEvent), mrlog.SHA256)
	for how, open := range readers {
		if how == "one byte" && raceEnabled {
			continue
		}
		if records, err := logtest.ReadAll(open(big, tcg.Options{})); err != nil || len(records) != 2 || len(records[1].Content) != tcg.MaxEvent {
			t.Errorf("%s: an event of %d bytes: %v", how, tcg.MaxEvent, err)
		}
	}
	spec := tcg.SpecID{Algs: make([]mrlog.AlgSize, mrlog.MaxDigests)}
	for i := range spec.Algs {
		spec.Algs[i] = mrlog.AlgSize{Alg: mrlog.Alg(0x100 + i), Size: mrlog.MaxUnknownDigestSize}
	}
	most := log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), spec.Append(nil))
	most = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(most, 7), 4), mrlog.MaxDigests)
	for i := range spec.Algs {
		most = append(binary.LittleEndian.AppendUint16(most, uint16(0x100+i)), make([]byte, mrlog.MaxUnknownDigestSize)...)
	}
	most = append(most, 0, 0, 0, 0)
	if records, err := read(most, tcg.Options{}); err != nil || len(records[1].Digests) != mrlog.MaxDigests {
		t.Errorf("%d banks: %v", mrlog.MaxDigests, err)
	}

	for name, l := range map[string]log{
		"event":         header(mrlog.SHA256).event(4, ipl, strings.Repeat("x", tcg.MaxEvent+1), mrlog.SHA256),
		"event, SHA-1":  log(nil).old(0, crtm, make([]byte, 20), make([]byte, tcg.MaxEvent+1)),
		"header":        log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), append([]byte("Spec ID Event03\x00"), make([]byte, 1000)...)),
		"banks":         log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), (&tcg.SpecID{Algs: append(spec.Algs, mrlog.AlgSize{Alg: 1, Size: 1})}).Append(nil)),
		"size of banks": log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), (&tcg.SpecID{Algs: []mrlog.AlgSize{{Alg: 1, Size: mrlog.MaxUnknownDigestSize + 1}}}).Append(nil)),
	} {
		_, err := read(l, tcg.Options{})
		if !errors.Is(err, mrlog.ErrLimit) || syntax(t, err).Offset < 24 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMemory: what is allocated follows the bytes that arrived, not those that
// are stated.
func TestMemory(t *testing.T) {
	stated := header(mrlog.SHA384)
	stated = append(stated, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0x0c, 0)
	stated = append(stated, make([]byte, 48)...)
	stated = append(stated, 0xFF, 0xFF, 0x0F, 0) // just below the limit
	table := log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), []byte("Spec ID Event03\x00........\xff\xff\xff\xff"))
	for name, l := range map[string][]byte{"event": stated, "table": table, "prefix": stated[:33]} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := logtest.ReadAll(tcg.NewReader(iotest.HalfReader(bytes.NewReader(l)), tcg.Options{})); err == nil {
			t.Errorf("%s: accepted", name)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<10 {
			t.Errorf("%s: %d bytes allocated for a log of %d", name, n, len(l))
		}
	}
}

// TestAllocs: records cost none.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, l := range map[string][]byte{
		"three banks": synthetic(20_000, 40, mrlog.PCR, mrlog.SHA1, mrlog.SHA256, mrlog.SHA384),
		"one bank":    synthetic(20_000, 40, mrlog.CCMR, mrlog.SHA384),
	} {
		var b mrlog.Batch
		stream := func() { drain(t, tcg.NewReader(bytes.NewReader(l), tcg.Options{}), &b, nil) }
		memory := func() { drain(t, tcg.NewReaderBytes(l, tcg.Options{}), &b, nil) }
		stream()
		if n := testing.AllocsPerRun(3, stream); n > 32 {
			t.Errorf("%s from a stream: %v allocations", name, n)
		}
		if n := testing.AllocsPerRun(3, memory); n > 2 {
			t.Errorf("%s from memory: %v allocations", name, n)
		}
		records, err := read(l, tcg.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(3, func() {
			w := tcg.NewWriter(io.Discard, tcg.WriterOptions{})
			if w.Write(records) != nil || w.Close() != nil {
				t.Error("not written")
			}
		}); n > 8 {
			t.Errorf("%s written: %v allocations", name, n)
		}
	}
}

// TestBatches: records hold until their own batch is read again, and what a
// batch held before is not seen in them.
func TestBatches(t *testing.T) {
	for _, l := range []log{header(mrlog.SHA1, mrlog.SHA256), header(mrlog.SHA384), nil} {
		for i := range uint32(700) {
			switch data := strings.Repeat("x", int(i%50)); {
			case l == nil, binary.LittleEndian.Uint32(l[28:]) == 0:
				l = l.old(i%5, ipl, bytes.Repeat([]byte{byte(i)}, 20), nil)
			case l[28] == 0x21:
				l = l.event(i%5, ipl, data, mrlog.SHA384)
			default:
				l = l.event(i%5, ipl, data, mrlog.SHA1, mrlog.SHA256)
			}
		}
		want, err := read(l, tcg.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for how, open := range readers {
			var batches [3]mrlog.Batch
			for i := range batches {
				for range 200 {
					spoil(batches[i].Add())
				}
			}
			var got, held []mrlog.Record
			r := open(l, tcg.Options{})
			for i := 0; ; i++ {
				b := &batches[i%3]
				if err := r.Read(b); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				for j := range held {
					got = append(got, held[j].Clone()) // after the next batch was read
				}
				held = b.Records
			}
			for j := range held {
				got = append(got, held[j].Clone())
			}
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("%s: %s", how, cmp.Diff(want, got))
			}
		}
	}
}

// spoil sets every field of a record.
func spoil(rec *mrlog.Record) {
	v := reflect.ValueOf(rec).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint8, reflect.Uint32, reflect.Uint64:
			f.SetUint(math.MaxUint8)
		}
	}
	rec.Name, rec.Content = []byte("name"), []byte("content")
	rec.Digests = []mrlog.Digest{{Alg: 1}}
	rec.Register = mrlog.Register{Space: mrlog.NV, Index: 9}
	rec.Span = mrlog.Span{Offset: 1, Length: 2, Line: 3}
}

// TestHeaderMeanwhile asks for the header while another batch is read, as a
// pipeline does.
func TestHeaderMeanwhile(t *testing.T) {
	l := append(synthetic(3000, 40, mrlog.PCR, mrlog.SHA256), bytes.Repeat([]byte{0xFF}, 300_000)...)
	r := tcg.NewReader(bytes.NewReader(l), tcg.Options{})
	var b mrlog.Batch
	if err := r.Read(&b); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for {
			if err := r.Read(&b); err != nil {
				done <- err
				return
			}
		}
	}()
	for {
		h := r.Header()
		h.Algs[0].Size = 1 // ours
		select {
		case err := <-done:
			if h := r.Header(); err != io.EOF || h.Padding != 300_000 || h.Algs[0].Size != 32 {
				t.Errorf("%v, %+v", err, h)
			}
			return
		default:
			runtime.Gosched()
		}
	}
}

// A source that never gives anything, or says that it gave more than there was
// room for, is not waited upon.
func TestBadSource(t *testing.T) {
	for name, src := range map[string]io.Reader{
		"idle":       readerFunc(func([]byte) (int, error) { return 0, nil }),
		"impossible": readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }),
		"negative":   readerFunc(func([]byte) (int, error) { return -1, nil }),
	} {
		for _, o := range []tcg.Options{{}, {Bare: true}} {
			if err := tcg.NewReader(src, o).Read(new(mrlog.Batch)); err == nil || err == io.EOF {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
