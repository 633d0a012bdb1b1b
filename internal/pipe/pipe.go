// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package pipe runs a Reader ahead of the code that consumes its records, and
// lets every processor hash.
//
// Replay is a chain: one processor's work. Reading and the digests of records
// are not. So one goroutine reads batches ahead, the digests of a batch are
// computed in small runs by whoever is free (the reader, the consumer while it
// would wait, further processors), and the consumer sees complete batches in
// order.
package pipe

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"mrlog.dev"
)

const (
	spins = 300_000 // looks at a batch before sleeping until it is hashed: a fraction of a millisecond
	ahead = 4       // batches in flight; more only cost cache
	runs  = 16      // that a batch is hashed in: enough that nobody waits long for the last
)

// Each reads all of r and gives its records, complete and in order, to each;
// a record holds until each returns. It uses up to procs processors; with one
// it stays in the calling goroutine. An error of the reader, of each, or of
// the context ends it; records read before the error are given to each first.
//
// When Each returns early, because of the context or an error of each, the
// reader may still be blocked in its source: do not use it again.
func Each(ctx context.Context, r mrlog.Reader, procs int, each func([]mrlog.Record) error) error {
	if procs <= 1 {
		return inline(ctx, r, each)
	}
	return parallel(ctx, r, procs, each)
}

func inline(ctx context.Context, r mrlog.Reader, each func([]mrlog.Record) error) error {
	var b mrlog.Batch
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Read(&b); err != nil {
			return end(err)
		}
		if err := each(b.Records); err != nil {
			return err
		}
	}
}

// end turns the error of a Read into that of the log. Only io.EOF itself is its
// end: a wrapped one is some layer's failure, and taken for the end it would cut
// the log without a word.
func end(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// slot is a batch on its way from the reader to the consumer.
type slot struct {
	batch mrlog.Batch
	err   error // of the read; the batch is then empty

	// Runs of records that nobody has taken yet. One number says both which
	// run is next and whether there is one, so that a helper who comes late,
	// even to a slot that has been filled anew, takes what is there now or
	// nothing.
	left    atomic.Int64
	hashing sync.WaitGroup
	pending atomic.Int64 // runs not yet hashed
	run     int          // records of a run
}

// publish opens the batch's runs to everybody.
func (s *slot) publish() {
	s.run = max(1, (len(s.batch.Records)+runs-1)/runs)
	n := (len(s.batch.Records) + s.run - 1) / s.run
	s.hashing.Add(n)
	s.pending.Store(int64(n))
	s.left.Store(int64(n))
}

// claim takes a run to hash, and is negative if none is left.
func (s *slot) claim() int { return int(s.left.Add(-1)) }

// help hashes runs of the batch until none is left to take.
func (s *slot) help(h mrlog.Hasher) {
	for {
		i := s.claim()
		if i < 0 {
			return
		}
		records := s.batch.Records
		h.Hash(records[i*s.run : min((i+1)*s.run, len(records))])
		s.pending.Add(-1)
		s.hashing.Done()
	}
}

// wait returns when all runs are hashed. The last one takes others some
// microseconds, in which it is not worth going to sleep.
func (s *slot) wait() {
	for range spins {
		if s.pending.Load() == 0 {
			break
		}
	}
	s.hashing.Wait()
}

func parallel(ctx context.Context, r mrlog.Reader, procs int, each func([]mrlog.Record) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hasher, _ := r.(mrlog.Hasher)
	free := make(chan *slot, ahead)
	ready := make(chan *slot, ahead)
	work := make(chan *slot, ahead)
	for range ahead {
		free <- new(slot)
	}
	if hasher != nil {
		for range procs - 2 {
			go func() {
				for s := range work {
					s.help(hasher)
				}
			}()
		}
	}
	go func() {
		defer close(work)
		read(ctx, r, hasher, procs-2, free, ready, work)
	}()
	for {
		var s *slot
		select {
		case s = <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.err != nil {
			return end(s.err)
		}
		if hasher != nil {
			s.help(hasher)
			s.wait()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(s.batch.Records); err != nil {
			return err
		}
		free <- s
	}
}

// read fills free slots until the log ends or the consumer has gone.
func read(ctx context.Context, r mrlog.Reader, hasher mrlog.Hasher, helpers int, free <-chan *slot, ready, work chan<- *slot) {
	for {
		var s *slot
		select {
		case s = <-free:
		case <-ctx.Done():
			return
		}
		if hasher != nil {
			s.err = hasher.Scan(&s.batch)
		} else {
			s.err = r.Read(&s.batch)
		}
		ok := s.err == nil
		if ok && hasher != nil {
			s.publish()
		}
		ready <- s
		if !ok {
			return
		}
		if hasher != nil {
			for range helpers {
				select {
				case work <- s:
				default: // all of them are busy
				}
			}
			s.help(hasher)
		}
	}
}
