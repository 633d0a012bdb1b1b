// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"mrlog.dev"
)

// fake gives batches of stated sizes, each record its number as content, and
// ends with an error.
type fake struct {
	sizes []int
	err   error         // after the last batch; io.EOF by default
	at    int           // batches given out
	next  uint64        // number of the next record
	stall chan struct{} // if not nil, Read waits for it once sizes are used up
}

func (f *fake) Header() mrlog.Header { return mrlog.Header{Format: "fake"} }

func (f *fake) scan(b *mrlog.Batch) error {
	b.Reset()
	if f.at == len(f.sizes) {
		if f.stall != nil {
			<-f.stall
		}
		if f.err != nil {
			return f.err
		}
		return io.EOF
	}
	for range f.sizes[f.at] {
		rec := b.Add()
		rec.Number = f.next
		rec.Content = binary.BigEndian.AppendUint64(b.Alloc(8)[:0], f.next)
		rec.Digests = b.NewDigests(1)
		rec.Digests[0] = mrlog.Digest{Alg: mrlog.SHA256, Sum: b.Alloc(32)}
		clear(rec.Digests[0].Sum)
		f.next++
	}
	f.at++
	return nil
}

func (f *fake) Read(b *mrlog.Batch) error {
	if err := f.scan(b); err != nil {
		return err
	}
	for i := range b.Records {
		sum(&b.Records[i])
	}
	return nil
}

func sum(r *mrlog.Record) { mrlog.SHA256.AppendSum(r.Digests[0].Sum[:0], r.Content) }

// fakeHasher is a fake that leaves the digests to others.
type fakeHasher struct {
	fake
	hashed atomic.Int64 // records
}

func (f *fakeHasher) Scan(b *mrlog.Batch) error { return f.scan(b) }

func (f *fakeHasher) Hash(records []mrlog.Record) {
	for i := range records {
		sum(&records[i])
	}
	f.hashed.Add(int64(len(records)))
}

// readers builds the same log with and without a Hasher.
func readers(sizes []int, err error) map[string]func() mrlog.Reader {
	return map[string]func() mrlog.Reader{
		"reader": func() mrlog.Reader { return &fake{sizes: sizes, err: err} },
		"hasher": func() mrlog.Reader { return &fakeHasher{fake: fake{sizes: sizes, err: err}} },
	}
}

func total(sizes []int) (n uint64) {
	for _, s := range sizes {
		n += uint64(s)
	}
	return n
}

// checkBatch fails unless records are numbered on from next and have the
// digests of their contents.
func checkBatch(records []mrlog.Record, next *uint64) error {
	if len(records) == 0 {
		return errors.New("a batch without records")
	}
	for i := range records {
		r := &records[i]
		if r.Number != *next {
			return fmt.Errorf("record %d where %d must be", r.Number, *next)
		}
		if want := binary.BigEndian.AppendUint64(nil, *next); !bytes.Equal(r.Content, want) {
			return fmt.Errorf("record %d has content %x", r.Number, r.Content)
		}
		if want := mrlog.SHA256.AppendSum(nil, r.Content); !bytes.Equal(r.Digests[0].Sum, want) {
			return fmt.Errorf("record %d has digest %x, want %x", r.Number, r.Digests[0].Sum, want)
		}
		*next++
	}
	return nil
}

// noLeak fails if there are more goroutines at the end of a test than at its
// begin. They may take a moment to go.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 64<<10)
		t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	})
}

var procs = []int{-1, 0, 1, 2, 3, 8}

// shapes of logs, as the sizes of their batches.
func shapes() map[string][]int {
	ones := make([]int, 300)
	for i := range ones {
		ones[i] = 1
	}
	mixed := make([]int, 200)
	for i := range mixed {
		// A batch of one run after one of many: what a helper knows of
		// the one must not be applied to the other.
		mixed[i] = []int{1, 512, 16, 17, 2}[i%5]
	}
	return map[string][]int{
		"empty": nil, "one": {1}, "runs": {runs}, "runs and one": {runs + 1}, "full": {512, 512, 512},
		"ones": ones, "mixed": mixed,
	}
}

// TestOrder: all records come, in order, with their digests, each hashed once.
func TestOrder(t *testing.T) {
	for name, sizes := range shapes() {
		for kind, reader := range readers(sizes, nil) {
			for _, p := range procs {
				t.Run(fmt.Sprintf("%s/%s/%d", name, kind, p), func(t *testing.T) {
					noLeak(t)
					var next uint64
					r := reader()
					err := Each(t.Context(), r, p, func(records []mrlog.Record) error {
						return checkBatch(records, &next)
					})
					if err != nil || next != total(sizes) {
						t.Fatalf("%d of %d records: %v", next, total(sizes), err)
					}
					if h, ok := r.(*fakeHasher); ok && p > 1 && h.hashed.Load() != int64(next) {
						t.Fatalf("%d records hashed, want each of %d once", h.hashed.Load(), next)
					}
				})
			}
		}
	}
}

// TestAnswers: each record comes with the answer to the question about it, of
// complete records only, and asked once, whatever a slot held before.
func TestAnswers(t *testing.T) {
	for name, sizes := range shapes() {
		for kind, reader := range readers(sizes, nil) {
			for _, p := range procs {
				t.Run(fmt.Sprintf("%s/%s/%d", name, kind, p), func(t *testing.T) {
					noLeak(t)
					work := func(records []mrlog.Record, answers []uint64) {
						for i := range records {
							r := &records[i]
							if !bytes.Equal(mrlog.SHA256.AppendSum(nil, r.Content), r.Digests[0].Sum) {
								continue
							}
							if r.Number%3 != 0 { // the others keep their zero
								answers[i] += r.Number
							}
						}
					}
					var next uint64
					err := EachWith(t.Context(), reader(), p, work, func(records []mrlog.Record, answers []uint64) error {
						if len(answers) != len(records) {
							return fmt.Errorf("%d answers to %d records", len(answers), len(records))
						}
						for i, r := range records {
							want := r.Number
							if want%3 == 0 {
								want = 0
							}
							if answers[i] != want {
								return fmt.Errorf("record %d has answer %d, want %d", r.Number, answers[i], want)
							}
						}
						return checkBatch(records, &next)
					})
					if err != nil || next != total(sizes) {
						t.Fatalf("%d of %d records: %v", next, total(sizes), err)
					}
				})
			}
		}
	}
}

// TestReaderError: what was read before an error is given out, then the error
// as it is. An EOF that some layer has wrapped is such an error: taken for the
// end, it would cut the log without a word.
func TestReaderError(t *testing.T) {
	for _, fault := range []error{
		errors.New("device gone"),
		&mrlog.SyntaxError{Format: "fake", Record: 3, Err: errors.New("bad")},
		fmt.Errorf("connection: %w", io.EOF),
		io.ErrUnexpectedEOF,
	} {
		for _, sizes := range [][]int{nil, {1}, {3, 1, 40}, {512, 512, 512, 512, 512, 512, 7}} {
			for kind, reader := range readers(sizes, fault) {
				for _, p := range procs {
					t.Run(fmt.Sprintf("%v/%d/%s/%d", fault, len(sizes), kind, p), func(t *testing.T) {
						noLeak(t)
						var next uint64
						err := Each(t.Context(), reader(), p, func(records []mrlog.Record) error {
							return checkBatch(records, &next)
						})
						if err != fault {
							t.Fatalf("error is %v, want %v itself", err, fault)
						}
						if next != total(sizes) {
							t.Fatalf("%d records before the error, want %d", next, total(sizes))
						}
					})
				}
			}
		}
	}
}

// TestEachError: an error of the consumer ends it at once, at whatever batch.
func TestEachError(t *testing.T) {
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = 1 + i*13%100
	}
	stop := errors.New("enough")
	for kind, reader := range readers(sizes, nil) {
		for _, p := range procs {
			for at := range len(sizes) {
				noLeak(t)
				calls := 0
				err := Each(t.Context(), reader(), p, func([]mrlog.Record) error {
					if calls++; calls > at {
						return stop
					}
					return nil
				})
				if err != stop || calls != at+1 {
					t.Fatalf("%s, %d procs: error %v after %d calls, want the consumer's after %d", kind, p, err, calls, at+1)
				}
			}
		}
	}
}

// TestEachEOF: io.EOF of the consumer is an error like any other.
func TestEachEOF(t *testing.T) {
	for kind, reader := range readers([]int{5, 5, 5}, nil) {
		for _, p := range procs {
			noLeak(t)
			if err := Each(t.Context(), reader(), p, func([]mrlog.Record) error { return io.EOF }); err != io.EOF {
				t.Errorf("%s, %d procs: %v, want io.EOF of the consumer", kind, p, err)
			}
		}
	}
}

// TestCancelled: a context that has ended lets nothing begin.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, reader := range readers([]int{5, 5, 5}, nil) {
		for _, p := range procs {
			noLeak(t)
			err := Each(ctx, reader(), p, func([]mrlog.Record) error {
				t.Errorf("%s, %d procs: records after the end of the context", kind, p)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s, %d procs: %v, want context.Canceled", kind, p, err)
			}
		}
	}
}

// TestCancelBetween: a context that ends during a batch lets no further one
// begin.
func TestCancelBetween(t *testing.T) {
	for kind, reader := range readers([]int{5, 5, 5, 5, 5, 5, 5, 5}, nil) {
		for _, p := range procs {
			noLeak(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			calls := 0
			err := Each(ctx, reader(), p, func([]mrlog.Record) error {
				if calls++; calls == 2 {
					cancel(errors.New("user went away"))
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) || calls != 2 {
				t.Errorf("%s, %d procs: %v after %d calls, want context.Canceled after 2", kind, p, err, calls)
			}
		}
	}
}

// TestCancelBlocked: with more than one processor, Each does not wait for a
// reader that is blocked in its source; and once that lets go, nothing is left
// behind.
func TestCancelBlocked(t *testing.T) {
	for _, hasher := range []bool{false, true} {
		for _, p := range []int{2, 3, 8} {
			noLeak(t)
			stall := make(chan struct{})
			f := fake{sizes: []int{5, 20, 1}, stall: stall}
			var r mrlog.Reader = &f
			if hasher {
				r = &fakeHasher{fake: f}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var next uint64
			done := make(chan error)
			go func() {
				done <- Each(ctx, r, p, func(records []mrlog.Record) error {
					err := checkBatch(records, &next)
					if next == 26 {
						cancel() // the reader is, or will be, stalled
					}
					return err
				})
			}()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) || next != 26 {
					t.Errorf("%d procs: %v after %d records, want context.Canceled after 26", p, err, next)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%d procs: Each waits for a blocked reader", p)
			}
			close(stall)
		}
	}
}

// TestSlowConsumer: no more batches are read ahead than there is room for.
func TestSlowConsumer(t *testing.T) {
	noLeak(t)
	sizes := make([]int, 50)
	for i := range sizes {
		sizes[i] = 1
	}
	f := &counting{fake: fake{sizes: sizes}}
	given := int64(0)
	err := Each(t.Context(), f, 2, func([]mrlog.Record) error {
		given++
		runtime.Gosched()
		if r := f.reads.Load(); r > given+ahead {
			return fmt.Errorf("%d batches read, %d given out", r, given)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type counting struct {
	fake
	reads atomic.Int64
}

func (c *counting) Read(b *mrlog.Batch) error {
	c.reads.Add(1)
	return c.fake.Read(b)
}

// TestStress looks for interleavings: more goroutines than processors, batches
// of few and of many runs by turns. A record that is hashed twice, or not at
// all, or given out before it is, fails.
func TestStress(t *testing.T) {
	rounds, batches := 60, 400
	if testing.Short() {
		rounds = 10
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	rng := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		sizes := make([]int, batches)
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(3)
			if rng.IntN(4) == 0 {
				sizes[i] = 1 + rng.IntN(20*runs)
			}
		}
		noLeak(t)
		r := &fakeHasher{fake: fake{sizes: sizes}}
		var next uint64
		err := Each(t.Context(), r, 3+rng.IntN(6), func(records []mrlog.Record) error {
			return checkBatch(records, &next)
		})
		if err != nil || next != total(sizes) || r.hashed.Load() != int64(next) {
			t.Fatalf("%d of %d records, %d hashed: %v", next, total(sizes), r.hashed.Load(), err)
		}
	}
}

// TestStaleClaim plays the one interleaving that chance hardly finds: a helper
// claims a run of a batch that has none left, and looks whether it may take it
// only after the slot holds a larger batch.
func TestStaleClaim(t *testing.T) {
	f := &fakeHasher{fake: fake{sizes: []int{1, 20 * runs}}}
	p := pipe[struct{}]{hasher: f}
	s := new(slot[struct{}])
	fill := func() {
		if err := f.Scan(&s.batch); err != nil {
			t.Fatal(err)
		}
		s.publish()
	}
	fill()
	p.help(s) // the consumer
	s.working.Wait()
	late := s.claim() // a helper that comes too late, and is put to sleep
	fill()
	if late >= 0 {
		t.Fatalf("claim of run %d in a batch whose one run is taken", late)
	}
	p.help(s)
	s.working.Wait()
	if want := int64(1 + 20*runs); f.hashed.Load() != want {
		t.Fatalf("%d records hashed, want %d", f.hashed.Load(), want)
	}
}
