// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mrlog.dev"
)

// Slices that a batch gave out hold, whatever it must grow by, and never
// overlap.
func TestBatchSlicesSurviveGrowth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b mrlog.Batch
		for range rapid.IntRange(1, 3).Draw(t, "reads") {
			b.Reset()
			if b.Full() || len(b.Records) != 0 {
				t.Fatal("a batch is not empty after Reset")
			}
			var slices [][]byte
			var digests [][]mrlog.Digest
			size := 0
			for i, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 1<<17)), 1, 30).Draw(t, "sizes") {
				s := b.Alloc(n)
				if len(s) != n || cap(s) != n {
					t.Fatalf("%d bytes of %d, want %d", len(s), cap(s), n)
				}
				for j := range s {
					s[j] = byte(i)
				}
				slices = append(slices, s, b.Copy(s))
				size += 2 * n
				d := b.NewDigests(n % 700)
				for j := range d {
					if d[j].Alg != 0 || d[j].Sum != nil {
						t.Fatal("a new digest is not empty")
					}
					d[j] = mrlog.Digest{Alg: mrlog.Alg(i), Sum: s}
				}
				digests = append(digests, d)
				if rec := b.Add(); rec.Digests != nil || rec.Number != 0 {
					t.Fatal("a new record is not empty")
				} else {
					rec.Number, rec.Content, rec.Digests = uint64(i), s, d
				}
			}
			for i, s := range slices {
				if !bytes.Equal(s, bytes.Repeat([]byte{byte(i / 2)}, len(s))) {
					t.Fatalf("slice %d was overwritten", i)
				}
			}
			for i, ds := range digests {
				for _, d := range ds {
					if d.Alg != mrlog.Alg(i) {
						t.Fatalf("digests %d were overwritten", i)
					}
				}
			}
			for i, rec := range b.Records {
				if rec.Number != uint64(i) || len(rec.Content) != len(slices[2*i]) {
					t.Fatalf("record %d was overwritten", i)
				}
			}
		}
	})
}

func TestBatchFull(t *testing.T) {
	var b mrlog.Batch
	for i := range mrlog.BatchRecords {
		if b.Full() {
			t.Fatalf("full at %d records", i)
		}
		b.Add()
	}
	if !b.Full() {
		t.Error("not full by records")
	}
	b.Reset()
	b.Alloc(mrlog.BatchBytes - 1)
	if b.Full() {
		t.Error("full too early")
	}
	b.Alloc(1)
	if !b.Full() {
		t.Error("not full by bytes")
	}
}

// Under the race detector a spent slice shows at once.
func TestBatchPoison(t *testing.T) {
	var b mrlog.Batch
	s := b.Copy([]byte("measured"))
	b.Reset()
	if want := bytes.Repeat([]byte{0xDB}, 8); raceEnabled && !bytes.Equal(s, want) {
		t.Errorf("%q after Reset", s)
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	var b mrlog.Batch
	var replay mrlog.Replay
	content := bytes.Repeat([]byte("x"), 120)
	fillAndReplay := func() {
		b.Reset()
		for range mrlog.BatchRecords {
			rec := b.Add()
			rec.Register = rtmr2
			rec.Content = b.Copy(content)
			rec.Digests = b.NewDigests(2)
			rec.Digests[0] = mrlog.Digest{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(b.Alloc(48)[:0], content)}
			rec.Digests[1] = mrlog.Digest{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(b.Alloc(32)[:0], content)}
		}
		if err := replay.Extend(b.Records); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the arenas find their size
		fillAndReplay()
	}
	if n := testing.AllocsPerRun(10, fillAndReplay); n != 0 {
		t.Errorf("%v allocations for %d records", n, mrlog.BatchRecords)
	}
}

func TestClone(t *testing.T) {
	rec := mrlog.Record{
		Number: 1, HasNumber: true, Register: rtmr2, Type: mrlog.TypeNamed, Form: mrlog.FormJSON, NotExtended: true,
		Notes: mrlog.NotePadded, Event: 7, Name: []byte("name"), Content: []byte("content"), Span: mrlog.Span{Offset: 1, Length: 2, Line: 3},
		Digests: []mrlog.Digest{fill(mrlog.SHA1, 1), fill(mrlog.SHA256, 2)},
	}
	c := rec.Clone()
	if diff := cmp.Diff(rec, c); diff != "" {
		t.Error(diff)
	}
	clear(rec.Name)
	clear(rec.Content)
	clear(rec.Digests[0].Sum)
	rec.Digests[1].Alg = 0
	if string(c.Name) != "name" || string(c.Content) != "content" || c.Digests[0].Sum[0] != 1 || c.Digests[1].Alg != mrlog.SHA256 {
		t.Errorf("the clone shares memory: %+v", c)
	}
}

// counter is a Reader of batches of so many records, then an error.
type counter struct {
	batches []int
	err     error
	n       uint64
	spent   bool
}

func (c *counter) Header() mrlog.Header { return mrlog.Header{Format: "counter"} }

func (c *counter) Read(b *mrlog.Batch) error {
	b.Reset()
	if c.spent {
		panic("read after an error")
	}
	if len(c.batches) == 0 {
		c.spent = true
		return c.err
	}
	for range c.batches[0] {
		b.Add().Number = c.n
		c.n++
	}
	c.batches = c.batches[1:]
	return nil
}

func TestAll(t *testing.T) {
	broken := errors.New("broken")
	wrapped := fmt.Errorf("some layer: %w", io.EOF)
	for _, end := range []error{io.EOF, broken, wrapped} {
		var got []uint64
		var last error
		for rec, err := range mrlog.All(&counter{batches: []int{3, 1, 700}, err: end}) {
			if last != nil {
				t.Error("a pair after the error")
			}
			if err != nil {
				if rec != nil {
					t.Error("a record with the error")
				}
				last = err
				continue
			}
			if rec.Number != uint64(len(got)) {
				t.Fatalf("record %d is number %d", len(got), rec.Number)
			}
			got = append(got, rec.Number)
		}
		if len(got) != 704 {
			t.Errorf("%d records", len(got))
		}
		// Only io.EOF itself is the end; what wraps it is a failure.
		if want := end; end == io.EOF && last != nil || end != io.EOF && last != want {
			t.Errorf("ended with %v for %v", last, end)
		}
	}
	c := &counter{batches: []int{5, 5}, err: io.EOF}
	for rec := range mrlog.All(c) {
		if rec.Number == 2 {
			break
		}
	}
	if len(c.batches) != 1 {
		t.Error("read on after the range was left")
	}
}
