// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mrlog.dev"
)

// call is one submission that waits for its answer.
type call struct {
	items    []item
	deadline time.Time
	done     chan struct{} // closed when it is answered

	// Set before done is closed.
	receipts []Receipt
	err      error

	spots []spot // in the batch that took it
}

// spot is where an item of a call went.
type spot struct {
	record  int64 // number of the record; -1 in an earlier log
	end     int   // of its text in the batch
	there   bool  // nothing was added: the record was there, or stands earlier in the batch
	digests []mrlog.Digest
	values  []mrlog.Digest
}

func (c *call) answer(err error) {
	c.err = err
	close(c.done)
}

// submit records items, which must fit one batch, together with what others
// submit meanwhile. Whoever gets the turn writes for all that wait; with
// nobody else there, that is the caller itself, at once.
func (b *book) submit(ctx context.Context, items []item) ([]Receipt, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", b.desc.Name, context.Cause(ctx))
	}
	c := &call{items: items, deadline: time.Now().Add(b.k.timeout), done: make(chan struct{})}
	b.mu.Lock()
	b.queue = append(b.queue, c)
	b.mu.Unlock()
	for {
		select {
		case <-c.done:
			return c.receipts, c.err
		case b.turn <- struct{}{}:
			select {
			case <-c.done: // by the one before us
			default:
				b.lead(ctx, c)
			}
			b.leave()
		case <-b.closed:
			if b.withdraw(c) {
				return nil, ErrClosed
			}
			<-c.done
		case <-ctx.Done():
			if b.withdraw(c) {
				return nil, fmt.Errorf("%s: waiting for its turn: %w", b.desc.Name, context.Cause(ctx))
			}
			<-c.done
		}
	}
}

// withdraw takes a call out of the queue, if it has not been taken into a
// batch.
func (b *book) withdraw(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.queue, c)
	if i < 0 {
		return false
	}
	b.queue = slices.Delete(b.queue, i, i+1)
	return true
}

// lead writes one batch. The lock is taken first, so that the batch has all
// who came while it was waited for. c is the leader's own call, whose context
// and deadline count while it waits; it may be left for another batch.
func (b *book) lead(ctx context.Context, c *call) {
	if err := b.acquire(ctx, c.deadline, true); err != nil {
		var failed []*call
		if errors.Is(err, ErrLocked) || ctx.Err() != nil {
			// The others may have time left: the next of them tries.
			if b.withdraw(c) {
				failed = []*call{c}
			}
		} else {
			b.mu.Lock()
			failed, b.queue = b.queue, nil
			b.mu.Unlock()
		}
		for _, f := range failed {
			f.answer(err)
		}
		return
	}
	// One question for all of them, after which nothing is written that does
	// not fit.
	var kept int
	free, err := b.k.disk.free(b.log.fd)
	if err != nil {
		free, err = noLimit, b.failed(ErrRefused, "free space", err)
	}
	t := b.take(free)
	if err == nil && len(t.calls) > 0 && len(t.text) > 0 {
		kept, err = b.commit(t)
	}
	b.release()
	for _, m := range t.calls {
		m.settle(t, kept, err)
	}
}

// batch is what is written at once.
type batch struct {
	calls   []*call
	text    []byte
	first   int64            // number of the first record
	free    int64            // bytes on the file system, or noLimit
	starts  []int            // per record: where its item begins in text
	ends    []int            // and where it ends
	digests [][]mrlog.Digest // per record
	keys    []lineKey        // per record
	values  [][]mrlog.Digest // per record: the register's values after it
}

// take makes a batch of the calls that wait, as many as fit. Calls that do not
// fit the log or the file system, or cannot be looked up, are answered.
func (b *book) take(free int64) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &batch{first: b.known.records, free: free}
	pending := make(index) // records of this batch, for Once
	for len(b.queue) > 0 {
		c := b.queue[0]
		size, records := c.size()
		if len(t.calls) > 0 && (b.blind() || len(t.starts)+records > MaxBatch || len(t.text)+size > MaxBatchBytes) {
			break
		}
		b.queue = b.queue[1:]
		if err := b.place(t, c, pending); err != nil {
			c.answer(err)
			continue
		}
		t.calls = append(t.calls, c)
	}
	return t
}

// size returns what a call adds to a batch at most.
func (c *call) size() (bytes, records int) {
	for _, it := range c.items {
		bytes += len(it.text)
		if it.digests != nil {
			records++
		}
	}
	return bytes, records
}

// place adds a call to a batch, or returns why it cannot be; the batch is then
// as it was.
func (b *book) place(t *batch, c *call, pending index) (err error) {
	saved := *t
	var added []lineKey
	defer func() {
		if err == nil {
			return
		}
		*t, c.spots = saved, nil
		for _, k := range added {
			delete(pending, k)
		}
	}()
	values := b.known.values
	if n := len(t.values); n > 0 {
		values = t.values[n-1]
	}
	for _, it := range c.items {
		key := it.key
		if it.once && it.digests != nil {
			if err := b.makeIndex(); err != nil {
				return err
			}
			n, there := b.index[key]
			if !there {
				n, there = pending[key]
			}
			if there {
				c.spots = append(c.spots, spot{record: n, there: true, digests: it.digests, values: cloneDigests(b.known.values)})
				continue
			}
		}
		if size := b.known.offset + int64(len(t.text)+len(it.text)); size > b.limit() {
			need, _ := c.size()
			return &FullError{Register: b.desc.Name, Path: b.log.path, Size: b.known.offset, Need: int64(need), Limit: b.k.maxLog}
		}
		if free := t.free - int64(len(t.text)); t.free != noLimit && free-b.k.minFree < int64(len(it.text)) {
			return &SpaceError{Path: b.log.path, Free: free, Need: int64(len(it.text)), Reserve: b.k.minFree}
		}
		s := spot{digests: it.digests}
		start := len(t.text)
		t.text = append(t.text, it.text...)
		if it.digests != nil {
			values = cloneDigests(values)
			for _, v := range values {
				_ = v.Alg.Extend(v.Sum, valueOf(it.digests, v.Alg)) // the sizes are those of the banks
			}
			t.starts = append(t.starts, start)
			t.ends = append(t.ends, len(t.text))
			t.digests = append(t.digests, it.digests)
			t.keys = append(t.keys, it.key)
			t.values = append(t.values, values)
			if _, there := pending[key]; !there {
				pending[key] = t.first + int64(len(t.starts)) - 1
				added = append(added, key)
			}
		}
		s.values = values
		s.record, s.end = t.first+int64(len(t.starts))-1, len(t.text)
		c.spots = append(c.spots, s)
	}
	return nil
}

// limit is the largest size of the log, with room left for a boot hint that is
// due.
func (b *book) limit() int64 {
	if b.hintDue() {
		return b.k.maxLog - int64(len(b.k.boot)) - 16
	}
	return b.k.maxLog
}

// settle answers a call of a batch of which the first kept bytes were
// recorded; err is for the rest.
func (c *call) settle(t *batch, kept int, err error) {
	for _, s := range c.spots {
		end := s.end
		if s.there {
			end = 0
			if n := s.record - t.first; n >= 0 {
				end = t.ends[n] // there with another call of this batch
			}
		}
		if end > kept {
			c.answer(err)
			return
		}
		r := Receipt{Record: s.record, Digests: s.digests, Values: s.values, AlreadyThere: s.there}
		c.receipts = append(c.receipts, r)
	}
	c.answer(nil)
}
