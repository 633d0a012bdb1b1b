// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
)

const (
	init1   = "INIT sha1/0000000000000000000000000000000000000000\n"
	init256 = "INIT sha256/0000000000000000000000000000000000000000000000000000000000000000\n"
)

// sources are the ways in which bytes arrive.
var sources = map[string]func(io.Reader) io.Reader{
	"whole":       func(r io.Reader) io.Reader { return r },
	"one byte":    iotest.OneByteReader,
	"half":        iotest.HalfReader,
	"data+EOF":    iotest.DataErrReader,
	"half+EOF":    func(r io.Reader) io.Reader { return iotest.HalfReader(iotest.DataErrReader(r)) },
	"with pauses": func(r io.Reader) io.Reader { return &pausing{r: r} },
}

// pausing returns nothing at every second call, as a Reader may.
type pausing struct {
	r io.Reader
	n int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.n++; p.n%2 == 0 {
		return 0, nil
	}
	return p.r.Read(b[:min(len(b), 1000)])
}

func TestReaderSources(t *testing.T) {
	logs := map[string]string{
		"many short": init1 + strings.Repeat("a\n", 5000),
		"many empty": init1 + strings.Repeat("\n", 5000) + "a\n" + strings.Repeat("\n", 5000),
		"mixed":      "# c\n\n#: register pcr9\n" + init256 + strings.Repeat("example.org/app Op content\n# c\n\n", 2000),
		"torn":       init1 + strings.Repeat("ab c\n", 700) + "ab",
		"long":       init1 + strings.Repeat(strings.Repeat("x", 30_000)+"\ny\n", 7),
	}
	for name, log := range logs {
		for how, wrap := range sources {
			limit := 30_000
			if raceEnabled {
				limit = 1500 // every batch is poisoned, however small
			}
			if how != "whole" && how != "data+EOF" && len(log) > limit {
				log = log[:limit]
			}
			if diff := differ(nelr.NewReader(wrap(strings.NewReader(log)), nelr.Options{}), []byte(log)); diff != "" {
				t.Errorf("%s, %s: %s", name, how, diff)
			}
		}
	}
}

// Lines of every length, those around the sizes of blocks above all.
func TestReaderLineLengths(t *testing.T) {
	var lengths []int
	for n := range 200 {
		lengths = append(lengths, n)
	}
	for _, border := range []int{4 << 10, 8 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, nelr.MaxLine} {
		for d := -3; d <= 3; d++ {
			// The line's start is behind INIT, its end at the border or
			// the border less INIT.
			lengths = append(lengths, border+d, border-len(init1)+d)
		}
	}
	x := strings.Repeat("x", nelr.MaxLine+10)
	for _, n := range lengths {
		if raceEnabled && n > 10_000 && n%3 != 0 {
			continue
		}
		for _, log := range []string{
			init1 + x[:n] + "\n",
			init1 + x[:n] + "\n" + x[:n/3] + "\nend\n",
			init1 + "#" + x[:n] + "\nend\n",
			init1 + x[:n], // torn
		} {
			if diff := differ(nelr.NewReader(strings.NewReader(log), nelr.Options{}), []byte(log)); diff != "" {
				t.Fatalf("line of %d bytes: %.500s", n, diff)
			}
			if n < 200 && (!raceEnabled || n%20 == 0) {
				log := strings.Repeat("\n", 65536-len(init1)-50) + log // the border wanders through the line
				if diff := differ(nelr.NewReader(strings.NewReader(log), nelr.Options{}), []byte(log)); diff != "" {
					t.Fatalf("line of %d bytes at the border of a block: %.500s", n, diff)
				}
			}
		}
	}
}

func TestReaderMaxLine(t *testing.T) {
	x := strings.Repeat("x", nelr.MaxLine+1)
	for _, tt := range []struct {
		name, log, want string
		records         int
	}{
		{"record, exactly", init1 + x[1:] + "\n", "", 2},
		{"record, one more", init1 + x + "\nend\n", "nelr: line 2 (offset 51), record 1: line is longer than 1048576 bytes: limit exceeded", 1},
		{"record, one more, torn", init1 + x, "nelr: line 2 (offset 51), record 1: line is longer than 1048576 bytes: limit exceeded", 1},
		{"torn, exactly", init1 + x[1:], "nelr: line 2 (offset 1048627), record 1: last line is torn: it does not end in a newline", 1},
		{"comment, exactly", "#" + x[2:] + "\n" + init1, "", 1},
		{"comment, one more", "#" + x[1:] + "\n" + init1, "nelr: line 1 (offset 0): line is longer than 1048576 bytes: limit exceeded", 0},
	} {
		for how, wrap := range sources {
			if how == "one byte" && (raceEnabled || testing.Short()) {
				continue
			}
			records, err := logtest.ReadAll(nelr.NewReader(wrap(strings.NewReader(tt.log)), nelr.Options{}))
			if len(records) != tt.records || err == nil != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("%s, %s: %d records, %v", tt.name, how, len(records), err)
			}
		}
	}
}

// endless repeats a text up to so many bytes, and counts what was read of it.
type endless struct {
	text string
	at   int
	left int64
	read int64
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), e.left)]
	n := 0
	for n < len(b) {
		m := copy(b[n:], e.text[e.at:])
		n += m
		e.at = (e.at + m) % len(e.text)
	}
	e.left -= int64(n)
	e.read += int64(n)
	return n, nil
}

// What a log holds never decides how much memory reading takes. The bound is
// on all that was ever allocated, so that no garbage collection can hide it.
func TestReaderMemory(t *testing.T) {
	const total = 100 << 20
	long := strings.Repeat("x", nelr.MaxLine-1)
	for _, tt := range []struct {
		name, text string
		limit      uint64 // allocated in all
		err        string
		read       int64 // of the source at most; 0 for all
	}{
		{"one line", "x", 8 << 20, "longer", 4 << 20},
		{"one comment", "#", 8 << 20, "longer", 4 << 20},
		{"empty lines", "\n", 1 << 20, "", 0},
		{"comments", "# a comment like any other, of some length\n", 1 << 20, "", 0},
		{"long comments", "#" + long + "\n", 24 << 20, "", 0},
		{"records", strings.Repeat("y", 120) + "\n", 1 << 20, "", 0},
		{"long records", long + "\n", 24 << 20, "", 0},
		{"short records", "z\n", 1 << 20, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			size := int64(total)
			if raceEnabled || testing.Short() {
				size /= 50
			}
			src := &endless{text: tt.text, left: size / int64(len(tt.text)) * int64(len(tt.text))}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := nelr.NewReader(io.MultiReader(strings.NewReader(init1), src), nelr.Options{})
			var b mrlog.Batch
			var err error
			for err == nil {
				err = r.Scan(&b)
			}
			runtime.ReadMemStats(&after)
			if tt.err == "" && err != io.EOF || tt.err != "" && !strings.Contains(err.Error(), tt.err) {
				t.Error(err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > tt.limit {
				t.Errorf("allocated %d bytes for %d", n, src.read)
			}
			if tt.read != 0 && src.read > tt.read {
				t.Errorf("read %d bytes to find a line too long", src.read)
			}
		})
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	for _, text := range []string{"example.org/app Start pid=1\n", strings.Repeat("x", 1000) + "\n", "# c\n\ny\n"} {
		r := nelr.NewReader(io.MultiReader(strings.NewReader(
			"INIT sha256/"+strings.Repeat("00", 32)+" sha384/"+strings.Repeat("00", 48)+"\n"), &endless{text: text, left: 1 << 40}), nelr.Options{})
		var b mrlog.Batch
		var replay mrlog.Replay
		step := func() {
			if err := r.Read(&b); err != nil {
				t.Fatal(err)
			}
			if err := replay.Extend(b.Records); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 { // the arenas find their size
			step()
		}
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("%.10q: %v allocations for a batch", text, n)
		}
	}
}

// failing gives its text, then an error, the last bytes together with it or
// not.
type failing struct {
	text     string
	err      error
	together bool
}

func (f *failing) Read(b []byte) (int, error) {
	n := copy(b, f.text)
	f.text = f.text[n:]
	if f.text == "" && (n == 0 || f.together) {
		return n, f.err
	}
	return n, nil
}

// A source that fails: the records that it gave are read, then its error, as
// it is. What it gave of a line is not a torn line, because the rest may be
// there.
func TestReaderSourceFails(t *testing.T) {
	broken := errors.New("broken")
	wrapped := fmt.Errorf("connection: %w", io.EOF)
	log := "# c\n" + init1 + "a\nbb\n\n# c\nccc\n"
	for _, cause := range []error{broken, wrapped, io.ErrUnexpectedEOF, io.ErrNoProgress} {
		for n := range len(log) + 1 {
			for _, together := range []bool{false, true} {
				for _, ignore := range []bool{false, true} {
					r := nelr.NewReader(&failing{log[:n], cause, together}, nelr.Options{IgnoreTorn: ignore})
					records, err := logtest.ReadAll(r)
					if err != cause {
						t.Fatalf("after %q: %v, want %v", log[:n], err, cause)
					}
					want, _, _, _ := naive([]byte(log[:strings.LastIndexByte(log[:n], '\n')+1]))
					if len(records) != len(want) {
						t.Fatalf("after %q: %d records, want %d", log[:n], len(records), len(want))
					}
					if _, torn := r.Torn(); torn {
						t.Fatalf("after %q: torn", log[:n])
					}
				}
			}
		}
	}
	idle := io.MultiReader(strings.NewReader(init1+"a"), iotest.ErrReader(nil))
	if records, err := logtest.ReadAll(nelr.NewReader(idle, nelr.Options{})); err != io.ErrNoProgress || len(records) != 1 {
		t.Errorf("a source that gives nothing: %d records, %v", len(records), err)
	}
	if _, err := logtest.ReadAll(nelr.NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(log))), nelr.Options{})); err != iotest.ErrTimeout {
		t.Error(err)
	}
}

// Records before a fault come first, by a call of their own.
func TestReaderRecordsBeforeFault(t *testing.T) {
	for _, tail := range []string{"INIT\n", "torn", strings.Repeat("x", nelr.MaxLine+1) + "\n"} {
		for _, n := range []int{1, 511, 512, 513, 1024, 3000} {
			log := init1 + strings.Repeat("a\n", n-1) + tail
			if diff := differ(nelr.NewReader(strings.NewReader(log), nelr.Options{}), []byte(log)); diff != "" {
				t.Errorf("%d records, %.10q: %s", n, tail, diff)
			}
		}
	}
}

func TestReaderRegister(t *testing.T) {
	pcr7 := mrlog.Register{Space: mrlog.PCR, Index: 7}
	for _, tt := range []struct {
		name    string
		head    string
		given   mrlog.Register
		want    string
		assumed bool
	}{
		{"default", "", mrlog.Register{}, "rtmr2", true},
		{"hint", "#: register rtmr3\n", mrlog.Register{}, "rtmr3", false},
		{"hint of the default", "#: register rtmr2\n", mrlog.Register{}, "rtmr2", false},
		{"last hint", "#: register rtmr3\n#: register pcr14\n", mrlog.Register{}, "pcr14", false},
		{"hint that names none", "#: register rtmr3\n#: register mr4\n", mrlog.Register{}, "rtmr3", false},
		{"hint with a CR", "#: register rtmr3\r\n", mrlog.Register{}, "rtmr2", true},
		{"no hint at all", "#:register rtmr3\n# : register rtmr3\n# register rtmr3\n#: Register rtmr3\n", mrlog.Register{}, "rtmr2", true},
		{"given", "", pcr7, "pcr7", false},
		{"given before the hint", "#: register rtmr3\n", pcr7, "pcr7", false},
		{"a name in another spelling", "#: register RTMR1\n#: register nv5\n#: register nv0X01d10200\n", mrlog.Register{}, "rtmr2", true},
	} {
		r := nelr.NewReader(strings.NewReader(tt.head+init256+"#: register pcr23\nx\n"), nelr.Options{Register: tt.given})
		records, err := logtest.ReadAll(r)
		if err != nil || len(records) != 2 {
			t.Errorf("%s: %d records, %v", tt.name, len(records), err)
			continue
		}
		for _, rec := range records {
			if rec.Register.String() != tt.want {
				t.Errorf("%s: record of %v, want %s", tt.name, rec.Register, tt.want)
			}
		}
		h := r.Header()
		if h.Space != records[0].Register.Space || h.SpaceAssumed != tt.assumed || len(h.Algs) != 1 || h.Algs[0] != (mrlog.AlgSize{Alg: mrlog.SHA256, Size: 32}) {
			t.Errorf("%s: %+v", tt.name, h)
		}
	}
}

func TestReaderMaxLog(t *testing.T) {
	log := init1 + "a\n# c\nbb\n"
	for limit := range int64(len(log) + 2) {
		if limit == 0 {
			continue // stands for the constant
		}
		records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(log), nelr.Options{MaxLog: limit}))
		if limit >= int64(len(log)) {
			if err != nil || len(records) != 3 {
				t.Errorf("%d: %v", limit, err)
			}
			continue
		}
		want, _, _, _ := naive([]byte(log[:strings.LastIndexByte(log[:limit], '\n')+1]))
		if !errors.Is(err, mrlog.ErrLimit) || !strings.Contains(err.Error(), fmt.Sprintf("larger than %d bytes", limit)) || len(records) != len(want) {
			t.Errorf("%d: %d records, %v", limit, len(records), err)
		}
	}
}

func TestReaderIgnoreTorn(t *testing.T) {
	for _, tt := range []struct {
		log     string
		records int
		torn    mrlog.Span
	}{
		{init1 + "a\nbb", 2, mrlog.Span{Offset: 53, Length: 2, Line: 3}},
		{init1 + "a\n\n# c\nINIT", 2, mrlog.Span{Offset: 58, Length: 4, Line: 5}},
		{init1 + "a\n ", 2, mrlog.Span{Offset: 53, Length: 1, Line: 3}},
		{init1 + "a\n", 2, mrlog.Span{}},
		{init1 + "a\n#", 2, mrlog.Span{}},
		{init1 + strings.Repeat("a\n", 511) + "a", 512, mrlog.Span{Offset: 1073, Length: 1, Line: 513}},
	} {
		for how, wrap := range sources {
			r := nelr.NewReader(wrap(strings.NewReader(tt.log)), nelr.Options{IgnoreTorn: true})
			records, err := logtest.ReadAll(r)
			got, torn := r.Torn()
			if err != nil || len(records) != tt.records || got != tt.torn || torn != (tt.torn != mrlog.Span{}) {
				t.Errorf("%.70q, %s: %d records, torn %v %v, %v", tt.log, how, len(records), got, torn, err)
			}
		}
	}
	r := nelr.NewReader(strings.NewReader("# c\nINIT sha1/00"), nelr.Options{IgnoreTorn: true})
	if _, err := logtest.ReadAll(r); err == nil || !strings.Contains(err.Error(), "no INIT record") {
		t.Errorf("INIT itself is torn: %v", err)
	}
}

// Two processors on one batch, while a third reads the next: the race detector
// and the comparison say whether they are apart.
func TestHashInParallel(t *testing.T) {
	log := benchLog(120, mrlog.SHA256, mrlog.SHA384)[:1<<20]
	log = log[:bytes.LastIndexByte(log, '\n')+1]
	want, _, _, _ := naive(log)
	r := nelr.NewReader(bytes.NewReader(log), nelr.Options{})
	var batches [2]mrlog.Batch
	if err := r.Scan(&batches[0]); err != nil {
		t.Fatal(err)
	}
	n := 0
	for at := 0; ; at = 1 - at {
		var wg sync.WaitGroup
		records, next := batches[at].Records, &batches[1-at]
		half := len(records) / 2
		wg.Go(func() { r.Hash(records[:half]) })
		wg.Go(func() { r.Hash(records[half:]) })
		err := r.Scan(next)
		wg.Wait()
		for i := range records {
			w := &want[n]
			n++
			for j, d := range records[i].Digests {
				if !bytes.Equal(d.Sum, w.Digests[j].Sum) || !bytes.Equal(records[i].Content, w.Content) {
					t.Fatalf("record %d: %v, want %v", n-1, d, w.Digests[j])
				}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != len(want) {
		t.Errorf("%d records, want %d", n, len(want))
	}
}
