// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// sampleLog has records of every content type that TLV and CBOR both carry,
// with numbers and indexes of several widths.
func sampleLog() []mrlog.Record {
	pcr := mrlog.Register{Space: mrlog.PCR, Index: 14}
	recs := []mrlog.Record{
		record(0, pcr, mrlog.TypeCEL, nil),
		record(1, pcr, mrlog.TypePCClient, []byte("event data")),
		record(2, pcr, mrlog.TypeIMATemplate, []byte("template data")),
		record(300, mrlog.Register{Space: mrlog.NV, Index: 0x01d10200}, mrlog.TypeSystemd, []byte("string")),
		record(301, mrlog.Register{Space: mrlog.RTMR, Index: 2}, mrlog.TypeCCCEL, []byte("example.org Op content")),
		record(302, mrlog.Register{Space: mrlog.PCR, Index: 300}, mrlog.TypeCCCEL, []byte("\xff no text")),
		record(1<<40, mrlog.Register{Space: mrlog.CCMR, Index: 4}, 80, []byte("launcher")),
		record(1<<63, pcr, mrlog.TypeIMATLV, []byte("fields")),
		record(7, pcr, 200, nil),
	}
	recs[0].Form, recs[0].Content, recs[0].NotExtended = mrlog.FormTLV, Management{Type: CELVersion, Major: 1, Minor: 300}.Append(nil), true
	recs[1].Event = 0x80000007
	recs[2].Name = []byte("ima-ng")
	recs[2].Digests = append(recs[2].Digests, mrlog.Digest{Alg: mrlog.SM3, Sum: make([]byte, 32)}, mrlog.Digest{Alg: 0x44, Sum: []byte{1}})
	return recs
}

// codec is an encoding under test.
type codec struct {
	name   string
	read   func(io.Reader) mrlog.Reader
	write  func([]mrlog.Record) ([]byte, error)
	prefix int // bytes before the first record
	suffix bool
}

func codecs() []codec {
	return []codec{
		{"tlv", func(r io.Reader) mrlog.Reader { return NewTLVReader(r, Options{}) }, func(recs []mrlog.Record) ([]byte, error) { return writeTLV(Minimal, recs) }, 0, false},
		{"cbor-sequence", func(r io.Reader) mrlog.Reader { return NewCBORReader(r, Options{}) }, func(recs []mrlog.Record) ([]byte, error) { return writeCBOR(-1, recs) }, 0, false},
		{"cbor-array", func(r io.Reader) mrlog.Reader { return NewCBORReader(r, Options{}) }, func(recs []mrlog.Record) ([]byte, error) { return writeCBOR(int64(len(recs)), recs) }, 1, true},
	}
}

func TestSampleLog(t *testing.T) {
	want := sampleLog()
	for _, c := range codecs() {
		in, err := c.write(want)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]io.Reader{
			"whole":   bytes.NewReader(in),
			"bytes":   iotest.OneByteReader(bytes.NewReader(in)),
			"halves":  iotest.HalfReader(bytes.NewReader(in)),
			"dataerr": iotest.DataErrReader(bytes.NewReader(in)),
		} {
			recs, err := logtest.ReadAll(c.read(r))
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, name, err)
			}
			if d := diffRecords(want, recs); d != "" || noted(recs) {
				t.Errorf("%s, %s: noted %v (-want +got):\n%s", c.name, name, noted(recs), d)
			}
			at := int64(c.prefix)
			for i, r := range recs {
				if r.Span.Offset != at {
					t.Errorf("%s, %s: record %d at %d, want %d", c.name, name, i, r.Span.Offset, at)
				}
				at += int64(r.Span.Length)
			}
			if at != int64(len(in)) {
				t.Errorf("%s, %s: records end at %d of %d", c.name, name, at, len(in))
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	for _, c := range codecs() {
		in, err := c.write(sampleLog())
		if err != nil {
			t.Fatal(err)
		}
		whole, err := logtest.ReadAll(c.read(bytes.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range in {
			for _, r := range []io.Reader{bytes.NewReader(in[:n]), iotest.OneByteReader(bytes.NewReader(in[:n]))} {
				recs, err := logtest.ReadAll(c.read(r))
				before := 0
				boundary := n == 0
				for _, r := range whole {
					if end := int(r.Span.Offset) + r.Span.Length; end <= n {
						before++
						boundary = boundary || end == n
					}
				}
				if len(recs) != before {
					t.Fatalf("%s cut at %d: %d records, want %d", c.name, n, len(recs), before)
				}
				if boundary && (!c.suffix || n == 0) {
					if err != nil {
						t.Fatalf("%s cut between records, at %d: %v", c.name, n, err)
					}
					continue
				}
				s := wantSyntax(t, err, int64(n))
				if !errors.Is(err, io.ErrUnexpectedEOF) || s.Record != int64(before) {
					t.Fatalf("%s cut at %d: %v", c.name, n, err)
				}
			}
		}
		for _, garbage := range []string{"\xff", "\x01", "garbage", "\n"} {
			recs, err := logtest.ReadAll(c.read(strings.NewReader(string(in) + garbage)))
			if len(recs) != len(whole) {
				t.Errorf("%s with %q: %d records", c.name, garbage, len(recs))
			}
			wantSyntax(t, err, int64(len(in)))
		}
	}
}

// TestReadError checks that records come before an error, and that the
// reader's own error comes as it is, also within a record.
func TestReadError(t *testing.T) {
	for _, c := range codecs() {
		in, err := c.write(sampleLog())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 100, len(in) - 1} {
			r := c.read(errReader(in[:n], errBroken))
			_, err := logtest.ReadAll(r)
			var s *mrlog.SyntaxError
			if !errors.Is(err, errBroken) || errors.As(err, &s) {
				t.Errorf("%s: error after %d bytes is %v", c.name, n, err)
			}
			var b mrlog.Batch
			if err := r.Read(&b); !errors.Is(err, errBroken) || len(b.Records) != 0 {
				t.Errorf("%s: next read after an error: %v, %d records", c.name, err, len(b.Records))
			}
		}
		r := c.read(bytes.NewReader(in))
		var b mrlog.Batch
		for range 3 {
			err = r.Read(&b)
		}
		if err != io.EOF || len(b.Records) != 0 {
			t.Errorf("%s: read after the end: %v, %d records", c.name, err, len(b.Records))
		}
		r = c.read(noProgress{})
		if err := r.Read(&b); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("%s: reader that gives nothing: %v", c.name, err)
		}
		r = c.read(boasting{})
		if err := r.Read(&b); err == nil || !strings.Contains(err.Error(), "impossible count") {
			t.Errorf("%s: reader that says it gave more than it could: %v", c.name, err)
		}
	}
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }

type boasting struct{}

func (boasting) Read(p []byte) (int, error) { return len(p) + 1, nil }

// TestLargeRecord reads records longer than the chunk, among small ones.
func TestLargeRecord(t *testing.T) {
	reg := mrlog.Register{Space: mrlog.PCR, Index: 14}
	var want []mrlog.Record
	for i, n := range []int{10, mrlog.BatchBytes - 50, 20, mrlog.BatchBytes + 1, MaxContent, 30, 700_000, 0} {
		want = append(want, record(uint64(i), reg, 200, bytes.Repeat([]byte{byte(i)}, n)))
	}
	for i := range 2000 {
		want = append(want, record(uint64(100+i), reg, 200, []byte{byte(i)}))
	}
	for _, c := range codecs() {
		in, err := c.write(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{bytes.NewReader(in), iotest.HalfReader(bytes.NewReader(in)), iotest.DataErrReader(bytes.NewReader(in))} {
			recs, err := logtest.ReadAll(c.read(r))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if diffRecords(want, recs) != "" {
				t.Errorf("%s: records differ", c.name)
			}
		}
		over := slices.Clone(want[:1])
		over[0].Content = make([]byte, MaxContent+1)
		var carry *mrlog.CarryError
		if _, err := c.write(over); !errors.As(err, &carry) || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: content above the limit: %v", c.name, err)
		}
	}
	// One byte above the limit, as raw bytes.
	in := unhex(t, head+"c8")
	in = binary.BigEndian.AppendUint32(in, MaxContent+1)
	in = append(in, make([]byte, MaxContent+1)...)
	_, _, err := readTLV(in)
	if wantSyntax(t, err, int64(len(unhex(t, head))+1)); !errors.Is(err, mrlog.ErrLimit) {
		t.Error(err)
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileLengths gives lengths that the input does not have. What is
// allocated must stay within 64 KiB of what an empty log takes.
func TestHostileLengths(t *testing.T) {
	digest := "0300000025" + "0b00000020" + strings.Repeat("00", 32)
	record := "a4 0104 0381a2000b015820" + strings.Repeat("00", 32) + "09 18c8 0a"
	for _, tt := range []struct {
		codec, in string
		offset    int64
		limit     bool
	}{
		{"tlv", "00ffffffff01", 1, false},
		{"tlv", "0000000009 000000000000000000", 1, false},
		{"tlv", "0000000000 0100000001 00", 1, false},
		{"tlv", "0000000001 00 01ffffffff", 7, false},
		{"tlv", "0000000001 00 0100000001 04 03ffffffff", 13, true},
		{"tlv", "0000000001 00 0100000001 04 0300000006 0bffffffff 00 5000000000", 18, false},
		{"tlv", "0000000001 00 0100000001 04" + digest + "50ffffffff", 55, true},
		{"tlv", "0000000001 00 0100000001 04" + digest + "5000100000", 59, false},
		{"tlv", "0000000001 00 0100000001 04" + digest + "0500000005 00ffffffff", 60, false},
		{"tlv", "0000000001 00 0100000001 04" + digest + "0400000005 01ffffffff", 60, false},
		{"cbor", "9bffffffffffffffff", 9, false},
		{"cbor", "bbffffffffffffffff", 0, true},
		{"cbor", "bb8000000000000000", 0, true},
		{"cbor", "a1005bffffffffffffffff", 2, true},
		{"cbor", "a1005b7fffffffffffffff", 2, true},
		{"cbor", record + "5a00100000", 52, false},
		{"cbor", record + "9a00100000", 52, false},
		{"cbor", record + "9b00100000ffffffff", 47, true},
		{"cbor", "81a100" + strings.Repeat("81", 2000), 18, true},
		{"cbor", "9fbf00" + strings.Repeat("9f", 2000), 18, true},
		{"cbor", record + strings.Repeat("c1", 2000), 62, true},
		{"cbor", record + strings.Repeat("5f", 2), 48, false},
	} {
		in := unhex(t, tt.in)
		read := func(p []byte) error {
			var b mrlog.Batch
			if tt.codec == "tlv" {
				return NewTLVReader(bytes.NewReader(p), Options{}).Read(&b)
			}
			return NewCBORReader(bytes.NewReader(p), Options{}).Read(&b)
		}
		var err error
		none := allocated(func() { read(nil) })
		some := allocated(func() { err = read(in) })
		if some > none+64<<10 {
			t.Errorf("%s %.40s: %d bytes allocated, an empty log takes %d", tt.codec, tt.in, some, none)
		}
		if wantSyntax(t, err, -1).Offset != tt.offset || errors.Is(err, mrlog.ErrLimit) != tt.limit {
			t.Errorf("%s %.40s: %v, want offset %d, limit %v", tt.codec, tt.in, err, tt.offset, tt.limit)
		}
	}
}

// TestSteadyState holds the readers and writers to no allocation per record.
func TestSteadyState(t *testing.T) {
	recs := make([]mrlog.Record, 10_000)
	for i := range recs {
		recs[i] = record(uint64(i), mrlog.Register{Space: mrlog.CCMR, Index: 4}, 80, make([]byte, 100))
	}
	for _, c := range codecs() {
		in, err := c.write(recs)
		if err != nil {
			t.Fatal(err)
		}
		var b mrlog.Batch
		read := func() {
			r := c.read(bytes.NewReader(in))
			for r.Read(&b) == nil {
			}
		}
		if n := testing.AllocsPerRun(5, read); n > 20 {
			t.Errorf("%s: %v allocations for %d records read", c.name, n, len(recs))
		}
		if raceEnabled {
			continue
		}
		w, err := NewTLVWriter(io.Discard, Minimal)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(5, func() { err = w.Write(recs) }); n > 1 || err != nil {
			t.Errorf("%v allocations for %d records written, %v", n, len(recs), err)
		}
		cw := NewCBORWriter(io.Discard, -1)
		if n := testing.AllocsPerRun(5, func() { err = cw.Write(recs) }); n > 1 || err != nil {
			t.Errorf("%v allocations for %d records written, %v", n, len(recs), err)
		}
	}
}

// TestMalformed lists refusals, each with its place and reason.
func TestMalformed(t *testing.T) {
	sum := strings.Repeat("00", 32)
	number, index := "0000000001 00", "0100000001 04"
	digests := "0300000025 0b00000020" + sum
	for _, tt := range []struct {
		in, want string
	}{
		{"05", "offset 0, record 0: field of type 5 where recnum (0) must stand"},
		{number + number, "offset 6, record 0: field of type 0 where a register index (1, 2 or 108) must stand"},
		{number + digests, "offset 6, record 0: field of type 3 where a register index (1, 2 or 108) must stand"},
		{number + index + index, "offset 12, record 0: field of type 1 where digests (3) must stand"},
		{number + index + "5000000000", "offset 12, record 0: field of type 80 where digests (3) must stand"},
		{number + index + digests + digests, "offset 54, record 0: field of type 3 where content must stand"},
		{number + index + digests + "5000000000" + number + index + digests + number, "offset 113, record 1: field of type 0 where content must stand"},
		{number + "0100000004 01000000" + digests + "5000000000", "offset 11, record 0: register index 16777216 is too large"},
		{number + "0200000005 0100000000" + digests + "5000000000", "offset 11, record 0: register index 4294967296 is too large"},
		{number + index + "0300000000 5000000000", "offset 17, record 0: no digest"},
		{number + index + "0300000003 0b0000 5000000000", "offset 17, record 0: digest is cut off by the end of the digests"},
		{number + index + "0300000006 0b00000001 00 5000000000", "offset 17, record 0: sha256 digest has 1 bytes, want 32"},
		{number + index + "0300000005 4400000000 5000000000", "offset 17, record 0: 0x0044 digest is empty"},
		{number + index + "0300000006 0000000001 00 5000000000", "offset 17, record 0: hash algorithm 0 is none"},
		{number + index + "030000000c 4400000001 00 4400000001 00 5000000000", "offset 23, record 0: two 0x0044 digests"},
		{number + index + digests + "0500000012 0000000001 04 0000000001 04 0100000001 00", "offset 65, record 0: content has two TLVs of type 0"},
		{number + index + digests + "0500000003 000000", "offset 59, record 0: TLV is cut off by the end of the content"},
	} {
		in := unhex(t, tt.in)
		if _, _, err := readTLV(in); err == nil || err.Error() != "cel-tlv: "+tt.want {
			t.Errorf("%s: %v\nwant %s", tt.in, err, tt.want)
		}
	}

	d := "0381a2000b015820" + sum
	for _, tt := range []struct {
		in, want string
	}{
		{"60", "offset 0, record 0: log begins with a text string, want an array or a map"},
		{"1c", "offset 0, record 0: item head is reserved by CBOR"},
		{"80 00", "offset 1, record 0: bytes follow the array"},
		{"9fff 00", "offset 2, record 0: bytes follow the array"},
		{"8100", "offset 1, record 0: no record, a map, where one must stand"},
		{"a1 0400", "offset 1, record 0: record has the unknown key 4"},
		{"a1 656f74686572 00", `offset 1, record 0: record has the unknown key "other"`},
		{"a1 2000", "offset 1, record 0: record has a negative number as a key"},
		{"a2 0000 0000", "offset 3, record 0: record has two recnum (0)"},
		{"a1 0060", "offset 2, record 0: recnum is a text string, want a number"},
		{"a1 011a01000000", "offset 2, record 0: register index 16777216 is too large"},
		{"a1 0380", "offset 2, record 0: no digest"},
		{"a1 038100", "offset 3, record 0: digest is the number 0, want a map"},
		{"a1 0381a1000b", "offset 3, record 0: digest must have the keys 0 and 1"},
		{"a1 0381a2000b000b", "offset 3, record 0: digest has the key 0 twice"},
		{"a1 0381a2000b01420000", "offset 3, record 0: sha256 digest has 2 bytes, want 32"},
		{"a1 0382a2184401000000", "offset 3, record 0: digest has the number 68 as a key, want 0 and 1"},
		{"a1 0382a200184401410000", "offset 10, record 0: digest is the number 0, want a map"},
		{"a1 0382a20018440141ff a20018440141ff", "offset 10, record 0: two 0x0044 digests"},
		{"a1 0963666f6f", `offset 2, record 0: content type "foo" is not known, and CBOR carries types by number`},
		{"a1 091affffffff", "offset 2, record 0: content type 4294967295 is above 4294967294"},
		{"a1 657370616365 6178", "offset 7, record 0: space \"x\" is not pcr, ccmr or rtmr"},
		{"a3" + d + "0918650a00", "offset 0, record 0: record must have one of pcr (1) and nv_index (2)"},
		{"a2 0100" + d, "offset 0, record 0: record has no content_type (9)"},
		{"a5 0200" + d + "0918650a00 657370616365 63706372", `offset 0, record 0: record has an nv_index and the key "space"`},
		{"a4 0100" + d + "0918cc0a00", "offset 47, record 0: content of a CC-CEL record is the number 0, want a string"},
		{"a4 0100" + d + "0918cc0a7fff", "offset 47, record 0: content of a CC-CEL record is a string of indefinite length"},
		{"a4 0100" + d + "09050aa2 0000 0000", "offset 49, record 0: content has the key 0 twice"},
		{"a4 0100" + d + "0918cc0a61ff", "offset 47, record 0: text string is not valid UTF-8"},
		{"a4 0100" + d + "0918650aff", "offset 47, record 0: break where an item must stand"},
		{"a4 0100" + d + "0918650a5f60ff", "offset 48, record 0: string of indefinite length has a chunk of another kind"},
		{"a4 0100" + d + "0918650af818", "offset 47, record 0: item head is reserved by CBOR"},
	} {
		if _, _, err := readCBOR(unhex(t, tt.in)); err == nil || err.Error() != "cel-cbor: "+tt.want {
			t.Errorf("%s: %v\nwant %s", tt.in, err, tt.want)
		}
	}

	for _, r := range []mrlog.Reader{
		NewTLVReader(strings.NewReader(""), Options{Space: mrlog.NV}),
		NewCBORReader(strings.NewReader(""), Options{Space: mrlog.NV}),
	} {
		if err := r.Read(new(mrlog.Batch)); err == nil || err == io.EOF {
			t.Errorf("space nv for plain indexes: %v", fmt.Sprint(err))
		}
	}
}
