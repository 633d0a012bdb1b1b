// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
)

// options are those that a fuzzer chooses by one byte.
func options(choice byte) tcg.Options {
	return tcg.Options{Bare: choice&1 != 0, IgnoreTrailing: choice&2 != 0, Space: mrlog.Space(choice >> 2 % 3)}
}

// FuzzReader compares the reader with a naive one: the same records, the same
// verdict, whichever way the bytes arrive.
func FuzzReader(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.log, byte(0))
		f.Add(v.log, byte(1))
	}
	f.Fuzz(func(t *testing.T, l []byte, choice byte) {
		compareNaive(t, l, options(choice))
	})
}

func compareNaive(t testing.TB, l []byte, o tcg.Options) {
	t.Helper()
	want := naive(l, o)
	for how, open := range readers {
		if how == "one byte" && (raceEnabled || len(l) > 1000) {
			continue
		}
		r := open(l, o)
		records, err := logtest.ReadAll(r)
		if err != nil {
			if at := syntax(t, err).Offset; at < 0 || at > int64(len(l)) {
				t.Errorf("%s: offset %d of %d: %v", how, at, len(l), err)
			}
			var again mrlog.Batch
			if r.Read(&again) != err || len(again.Records) != 0 {
				t.Errorf("%s: the error does not stay", how)
			}
		}
		if (err == nil) != want.ok {
			t.Fatalf("%s: %v, the naive reader says %v", how, err, want.ok)
		}
		if len(records) != len(want.records) {
			t.Fatalf("%s: %d records, want %d; %v", how, len(records), len(want.records), err)
		}
		for i, w := range want.records {
			rec := &records[i]
			if int(rec.Register.Index) != w.index || rec.Event != w.event || !bytes.Equal(rec.Content, w.data) || len(rec.Digests) != len(w.digests) ||
				rec.Span.Offset != int64(w.at) || rec.Register.Space != want.space || rec.NotExtended != (w.event == 3) {
				t.Fatalf("%s: record %d: %+v, want %+v", how, i, rec, w)
			}
			for j, d := range rec.Digests {
				if uint16(d.Alg) != w.digests[j].id || !bytes.Equal(d.Sum, w.digests[j].sum) {
					t.Fatalf("%s: record %d: digest %v, want %+v", how, i, d, w.digests[j])
				}
			}
		}
		if err == nil && r.Header().Padding != int64(len(l)-want.end) {
			t.Fatalf("%s: padding %d, want %d", how, r.Header().Padding, len(l)-want.end)
		}
	}
}

// FuzzRoundTrip: what is accepted is written back byte for byte.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range vectors(f) {
		if v.expect == "ok" {
			choice := byte(0)
			if v.options().Bare {
				choice = 1
			}
			f.Add(v.log, choice)
		}
	}
	f.Fuzz(func(t *testing.T, l []byte, choice byte) {
		roundTrip(t, l, options(choice))
	})
}

func roundTrip(t testing.TB, l []byte, o tcg.Options) {
	t.Helper()
	r := tcg.NewReader(iotest.HalfReader(bytes.NewReader(l)), o)
	records, err := logtest.ReadAll(r)
	if err != nil {
		// What comes before an error is written all the same.
		r, records = nil, records[:len(records):len(records)]
	}
	var wo tcg.WriterOptions
	if o.Bare {
		wo.Dialect = tcg.AAEL
	} else if len(records) > 0 && r != nil {
		wo.Dialect = tcg.Dialect(r.Header().Dialect)
	}
	out, werr := write(records, wo)
	if werr != nil {
		t.Fatalf("not written: %v", werr)
	}
	end := 0
	for _, rec := range records {
		end = int(rec.Span.Offset) + rec.Span.Length
	}
	if !bytes.Equal(out, l[:end]) {
		t.Fatalf("wrote %x\nread  %x", out, l[:end])
	}
	if r == nil || len(records) == 0 {
		return
	}
	again, err := read(out, tcg.Options{Bare: o.Bare, Space: r.Header().Space})
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		records[i].Notes, again[i].Notes = 0, 0
	}
	if diff := cmp.Diff(records, again); diff != "" {
		t.Error(diff)
	}
}

// FuzzTable: a table is refused, or is one.
func FuzzTable(f *testing.F) {
	f.Add([]byte("CCEL"))
	f.Add(make([]byte, 56))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := tcg.ParseTable(data); err == nil && (len(data) != 56 || string(data[:4]) != "CCEL") {
			t.Errorf("accepted %x", data)
		}
	})
}

// FuzzSpecID: what is accepted is appended as it was.
func FuzzSpecID(f *testing.F) {
	for _, v := range vectors(f) {
		if v.dialect != "sha1" && len(v.records) > 0 {
			r := v.records[0]
			f.Add(v.log[r.dataOffset : r.dataOffset+r.dataLength])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := tcg.ParseSpecID(data)
		if err != nil {
			syntax(t, err)
		} else if out := s.Append(nil); !bytes.Equal(out, data) {
			t.Errorf("%x became %x", data, out)
		}
	})
}

// TestMutations changes, cuts and splices logs in every way that comes to mind;
// each gives an error with an offset or a complete answer, the same as the
// naive reader's. MRLOG_MUTATIONS says how many are tried.
func TestMutations(t *testing.T) {
	n := 4000
	if s := os.Getenv("MRLOG_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if raceEnabled || testing.Short() {
		n = 400
	}
	var seeds [][]byte
	for _, v := range vectors(t) {
		seeds = append(seeds, v.log)
	}
	if reallogs.Available() {
		for _, l := range realLogs(t) {
			seeds = append(seeds, l.log[:min(len(l.log), 24<<10)])
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range n {
		l := mutate(rng, seeds)
		o := options(byte(rng.IntN(12)))
		if rng.IntN(4) != 0 {
			o = tcg.Options{}
		}
		if _, err := read(l, o); err == nil {
			accepted++
		}
		compareNaive(t, l, o)
		roundTrip(t, l, o)
		if t.Failed() {
			h := fnv.New64()
			h.Write(l)
			t.Fatalf("log %x of %d bytes, options %+v", h.Sum64(), len(l), o)
		}
	}
	if accepted < n/20 || accepted > n*19/20 {
		t.Errorf("%d of %d mutations accepted: these say little", accepted, n)
	}
}

// mutate returns a changed copy of a seed.
func mutate(rng *rand.Rand, seeds [][]byte) []byte {
	l := bytes.Clone(seeds[rng.IntN(len(seeds))])
	for range 1 + rng.IntN(4) {
		if len(l) < 8 {
			l = append(l, make([]byte, 8)...)
		}
		at := rng.IntN(len(l))
		switch rng.IntN(8) {
		case 0:
			l[at] = byte(rng.Uint32())
		case 1:
			l[at] ^= 1 << rng.IntN(8)
		case 2:
			l = l[:at]
		case 3: // an integer on some boundary
			at = min(at, len(l)-4)
			binary.LittleEndian.PutUint32(l[at:], [...]uint32{0, 1, 3, 16, 17, 0xFFFF, 1 << 20, 1<<20 + 1, 1 << 24, 1<<31 - 1, 1<<32 - 1}[rng.IntN(11)])
		case 4: // a piece of another log
			other := seeds[rng.IntN(len(seeds))]
			if len(other) > 0 {
				from := rng.IntN(len(other))
				l = append(l[:at:at], append(bytes.Clone(other[from:min(len(other), from+rng.IntN(300))]), l[at:]...)...)
			}
		case 5: // a piece less
			l = append(l[:at:at], l[min(len(l), at+rng.IntN(200)):]...)
		case 6:
			l = append(l, bytes.Repeat([]byte{[...]byte{0, 0xFF, 1}[rng.IntN(3)]}, rng.IntN(40))...)
		case 7: // a piece from elsewhere in the log
			from := rng.IntN(len(l))
			copy(l[at:], bytes.Clone(l[from:min(len(l), from+rng.IntN(64))]))
		}
	}
	return l
}

// naiveLog is what the naive reader makes of a log.
type naiveLog struct {
	ok      bool
	space   mrlog.Space
	records []naiveRecord
	end     int
}

type naiveRecord struct {
	at, index int
	event     uint32
	digests   []naiveDigest
	data      []byte
}

type naiveDigest struct {
	id  uint16
	sum []byte
}

var errNaive = errors.New("malformed")

// naive reads a log in the dumbest way: whole, field by field, twice if the
// space is not clear the first time.
func naive(l []byte, o tcg.Options) naiveLog {
	space := o.Space
	if space == mrlog.NoSpace {
		// As PCRs first, to see the indexes; an end that only a CC log has
		// ends that, too.
		got, banks := naiveRead(l, o, mrlog.CCMR)
		space = mrlog.CCMR
		for i, r := range got.records {
			if i == 0 && len(banks) > 0 && !o.Bare {
				continue // the header
			}
			if r.index > 4 && r.event != 3 {
				space = mrlog.PCR
			}
		}
		if !naiveCC(got, banks, o) {
			space = mrlog.PCR
		}
		// A record that is cut, or whose size is wrong, has an index all the
		// same.
		if space == mrlog.CCMR && naiveNext(l, got, banks, o) {
			space = mrlog.PCR
		}
	}
	got, _ := naiveRead(l, o, space)
	got.space = space
	return got
}

// naiveCC reports whether the banks are those of a CC log.
func naiveCC(got naiveLog, banks map[uint16]int, o tcg.Options) bool {
	if !o.Bare {
		_, s384 := banks[12]
		_, sm3 := banks[18]
		return len(banks) == 1 && (s384 || sm3)
	}
	for _, r := range got.records {
		if len(r.digests) != 1 || r.digests[0].id != got.records[0].digests[0].id || r.digests[0].id != 12 && r.digests[0].id != 18 {
			return false
		}
	}
	return true
}

// naiveNext reports whether what follows the last record, so far as it is
// there, is of a PCR log.
func naiveNext(l []byte, got naiveLog, banks map[uint16]int, o tcg.Options) bool {
	p := l[got.end:]
	if len(p) < 12 || got.ok {
		return false
	}
	index, event, count := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:]), binary.LittleEndian.Uint32(p[8:])
	if index == event && (index == 0 || index == 1<<32-1) {
		return false
	}
	if index > 4 && event != 3 {
		return true
	}
	if !o.Bare || count == 0 {
		return false
	}
	if count != 1 {
		return count <= 8
	}
	if len(p) < 14 {
		return false
	}
	id := binary.LittleEndian.Uint16(p[12:])
	return id != 12 && id != 18 || len(got.records) > 0 && got.records[0].digests[0].id != id
}

func naiveRead(l []byte, o tcg.Options, space mrlog.Space) (naiveLog, map[uint16]int) {
	var out naiveLog
	r := bytes.NewReader(l)
	u32 := func() uint32 {
		var v uint32
		if binary.Read(r, binary.LittleEndian, &v) != nil {
			panic(errNaive)
		}
		return v
	}
	u16 := func() uint16 {
		var v uint16
		if binary.Read(r, binary.LittleEndian, &v) != nil {
			panic(errNaive)
		}
		return v
	}
	take := func(n uint32, limit int) []byte {
		if n > uint32(limit) {
			panic(errNaive)
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			panic(errNaive)
		}
		return p
	}
	var banks map[uint16]int
	if o.Bare {
		banks = map[uint16]int{4: 20, 11: 32, 12: 48, 13: 64, 18: 32, 39: 32, 40: 48, 41: 64}
	}
	func() {
		defer func() {
			if err := recover(); err != nil && err != errNaive {
				panic(err)
			}
		}()
		for {
			out.end = len(l) - r.Len()
			rest := l[out.end:]
			if len(rest) == 0 {
				out.ok = true
				return
			}
			isZero := func(n int) bool { return bytes.Count(rest[:n], []byte{0}) == n }
			first := len(out.records) == 0 && !o.Bare
			old := banks == nil
			flag := 12
			if old {
				flag = 28
			}
			ended := false
			switch {
			case len(rest) < 8:
			case bytes.Count(rest[:8], []byte{0xFF}) == 8:
				ended = true
			case isZero(min(len(rest), flag)):
				ended = true
			case isZero(8) && !old && space == mrlog.CCMR && len(rest) >= 12:
				ended = true
			}
			if ended {
				for _, c := range []byte{0xFF, 0} {
					for len(rest) > 0 && rest[0] == c {
						rest = rest[1:]
					}
				}
				out.ok = len(rest) == 0 || o.IgnoreTrailing
				return
			}
			rec := naiveRecord{at: out.end, index: int(u32()), event: u32()}
			checkIndex := func() {
				if rec.index > 0xFFFFFF && (rec.event != 3 || rec.index != 0xFFFFFFFF) {
					panic(errNaive)
				}
				if space == mrlog.CCMR && o.Space == mrlog.NoSpace && rec.index > 4 && rec.event != 3 && !first && !old {
					panic(errNaive)
				}
			}
			if old {
				rec.digests = []naiveDigest{{4, take(20, 20)}}
			} else {
				checkIndex()
				count := u32()
				if count == 0 || count > uint32(len(banks)) {
					panic(errNaive)
				}
				for range count {
					id := u16()
					size, ok := banks[id]
					for _, d := range rec.digests {
						ok = ok && d.id != id
					}
					if !ok {
						panic(errNaive)
					}
					rec.digests = append(rec.digests, naiveDigest{id, take(uint32(size), size)})
				}
			}
			size := u32()
			if old {
				checkIndex()
			}
			rec.data = take(size, 1<<20)
			if first && rec.event == 3 && len(rec.data) >= 16 {
				signed := string(rec.data[:16]) == "Spec ID Event03\x00"
				unsigned := string(rec.data[:16]) == string(make([]byte, 16)) && string(rec.digests[0].sum) == string(make([]byte, 20))
				if signed || unsigned {
					table, ok := naiveSpec(rec.data)
					switch {
					case ok:
						banks = table
					case signed:
						panic(errNaive)
					}
				}
			}
			out.records = append(out.records, rec)
		}
	}()
	return out, banks
}

// naiveSpec reads the table of a Spec ID event.
func naiveSpec(p []byte) (map[uint16]int, bool) {
	if len(p) < 29 {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(p[24:])
	if n == 0 || n > 16 || len(p) < 29+4*int(n) || len(p) != 29+4*int(n)+int(p[28+4*n]) {
		return nil, false
	}
	known := map[uint16]int{4: 20, 11: 32, 12: 48, 13: 64, 18: 32, 39: 32, 40: 48, 41: 64}
	table := map[uint16]int{}
	for i := range int(n) {
		id, size := binary.LittleEndian.Uint16(p[28+4*i:]), int(binary.LittleEndian.Uint16(p[30+4*i:]))
		if _, twice := table[id]; twice || id == 0 || size == 0 || size > 128 || known[id] != 0 && known[id] != size {
			return nil, false
		}
		table[id] = size
	}
	return table, true
}
