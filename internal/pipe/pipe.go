// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package pipe runs a Reader ahead of the code that consumes its records, and
// lets every processor hash.
//
// Replay is a chain: one processor's work. Reading, the digests of records and
// what is asked of each record by itself are not. So one goroutine reads
// batches ahead, a batch's records are worked on in small runs by whoever is
// free (the reader, the consumer while it would wait, further processors), and
// the consumer sees complete batches in order.
package pipe

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"mrlog.dev"
)

const (
	spins = 300_000 // looks at a batch before sleeping until it is done: a fraction of a millisecond
	ahead = 4       // batches in flight; more only cost cache
	runs  = 16      // that a batch is worked on in: enough that nobody waits long for the last
)

// Each reads all of r and gives its records, complete and in order, to each;
// a record holds until each returns. It uses up to procs processors; with one
// it stays in the calling goroutine. An error of the reader, of each, or of
// the context ends it; records read before the error are given to each first.
//
// When Each returns early, because of the context or an error of each, the
// reader may still be blocked in its source: do not use it again.
func Each(ctx context.Context, r mrlog.Reader, procs int, each func([]mrlog.Record) error) error {
	return EachWith(ctx, r, procs, nil, func(records []mrlog.Record, _ []struct{}) error { return each(records) })
}

// EachWith is Each with a question about every record by itself: work fills in
// the answers to some records, one each, all zero before, and each is given the
// records with their answers. Calls of work run at once, in any order; work may
// be nil.
func EachWith[T any](ctx context.Context, r mrlog.Reader, procs int, work func([]mrlog.Record, []T), each func([]mrlog.Record, []T) error) error {
	hasher, _ := r.(mrlog.Hasher)
	p := pipe[T]{reader: r, hasher: hasher, work: work, each: each}
	if procs <= 1 {
		return p.inline(ctx)
	}
	return p.parallel(ctx, procs)
}

// pipe is one log on its way.
type pipe[T any] struct {
	reader mrlog.Reader
	hasher mrlog.Hasher // the reader, if it is one
	work   func([]mrlog.Record, []T)
	each   func([]mrlog.Record, []T) error
}

// shared reports whether there is anything to do that others can help with.
func (p *pipe[T]) shared() bool { return p.hasher != nil || p.work != nil }

func (p *pipe[T]) inline(ctx context.Context) error {
	var s slot[T]
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.reader.Read(&s.batch); err != nil {
			return end(err)
		}
		s.clear()
		if p.work != nil {
			p.work(s.batch.Records, s.answers)
		}
		if err := p.each(s.batch.Records, s.answers); err != nil {
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
type slot[T any] struct {
	batch   mrlog.Batch
	answers []T   // one for each record
	err     error // of the read; the batch is then empty

	// Runs of records that nobody has taken yet. One number says both which
	// run is next and whether there is one, so that a helper who comes late,
	// even to a slot that has been filled anew, takes what is there now or
	// nothing.
	left    atomic.Int64
	working sync.WaitGroup
	pending atomic.Int64 // runs not yet done
	run     int          // records of a run
}

// clear makes room for the answers to the batch.
func (s *slot[T]) clear() {
	n := len(s.batch.Records)
	s.answers = slices.Grow(s.answers[:0], n)[:n]
	clear(s.answers)
}

// publish opens the batch's runs to everybody.
func (s *slot[T]) publish() {
	s.run = max(1, (len(s.batch.Records)+runs-1)/runs)
	n := (len(s.batch.Records) + s.run - 1) / s.run
	s.working.Add(n)
	s.pending.Store(int64(n))
	s.left.Store(int64(n))
}

// claim takes a run to work on, and is negative if none is left.
func (s *slot[T]) claim() int { return int(s.left.Add(-1)) }

// help works on runs of the batch until none is left to take.
func (p *pipe[T]) help(s *slot[T]) {
	for {
		i := s.claim()
		if i < 0 {
			return
		}
		first, last := i*s.run, min((i+1)*s.run, len(s.batch.Records))
		if p.hasher != nil {
			p.hasher.Hash(s.batch.Records[first:last])
		}
		if p.work != nil {
			p.work(s.batch.Records[first:last], s.answers[first:last])
		}
		s.pending.Add(-1)
		s.working.Done()
	}
}

// wait returns when all runs are done. The last one takes others some
// microseconds, in which it is not worth going to sleep.
func (s *slot[T]) wait() {
	for range spins {
		if s.pending.Load() == 0 {
			break
		}
	}
	s.working.Wait()
}

func (p *pipe[T]) parallel(ctx context.Context, procs int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	free := make(chan *slot[T], ahead)
	ready := make(chan *slot[T], ahead)
	work := make(chan *slot[T], ahead)
	for range ahead {
		free <- new(slot[T])
	}
	if p.shared() {
		for range procs - 2 {
			go func() {
				for s := range work {
					p.help(s)
				}
			}()
		}
	}
	go func() {
		defer close(work)
		p.read(ctx, procs-2, free, ready, work)
	}()
	for {
		var s *slot[T]
		select {
		case s = <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.err != nil {
			return end(s.err)
		}
		if p.shared() {
			p.help(s)
			s.wait()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.each(s.batch.Records, s.answers); err != nil {
			return err
		}
		free <- s
	}
}

// read fills free slots until the log ends or the consumer has gone.
func (p *pipe[T]) read(ctx context.Context, helpers int, free <-chan *slot[T], ready, work chan<- *slot[T]) {
	for {
		var s *slot[T]
		select {
		case s = <-free:
		case <-ctx.Done():
			return
		}
		if p.hasher != nil {
			s.err = p.hasher.Scan(&s.batch)
		} else {
			s.err = p.reader.Read(&s.batch)
		}
		ok := s.err == nil
		if ok {
			s.clear()
			if p.shared() {
				s.publish()
			}
		}
		ready <- s
		if !ok {
			return
		}
		if p.shared() {
			for range helpers {
				select {
				case work <- s:
				default: // all of them are busy
				}
			}
			p.help(s)
		}
	}
}
