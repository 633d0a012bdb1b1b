// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"context"
	"io"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// Collector takes snapshots, and remembers where it found values in each log,
// so that the next snapshot hashes only what is new. What it remembers is
// dropped when a log is another file, has shrunk, or was written over, and it
// is never more than a shortcut: a value that is not found from there on is
// looked for from the beginning. A [Result] rests on what is remembered, so that
// a log altered in place can pass in it; what proves is to copy a log out, which
// replays all of it ([Log.WriteTo]).
//
// The zero value is ready for use. Its method may be called from several
// goroutines at once; calls take turns at a register's logs.
type Collector struct {
	mu      sync.Mutex
	folders map[string]*memory // by path
}

// memory is what a collector knows of the logs of a folder.
type memory struct {
	turn chan struct{} // has room for one, who owns the rest
	logs map[identity]*track
}

// enter waits for the turn at a folder's logs.
func (c *Collector) enter(ctx context.Context, folder string) (*memory, error) {
	c.mu.Lock()
	if c.folders == nil {
		c.folders = make(map[string]*memory)
	}
	m := c.folders[folder]
	if m == nil {
		m = &memory{turn: make(chan struct{}, 1), logs: make(map[identity]*track)}
		c.folders[folder] = m
	}
	c.mu.Unlock()
	select {
	case m.turn <- struct{}{}:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// leave gives the turn on, and forgets the logs that were not looked at.
func (m *memory) leave() {
	for id, t := range m.logs {
		if !t.used {
			delete(m.logs, id)
		}
		t.used = false
	}
	<-m.turn
}

// track is what is known of one log.
type track struct {
	used  bool
	size  int64 // when it was looked at last
	mtime unix.Timespec
	at    []position       // where values were found, in order; none before INIT
	not   [][]mrlog.Digest // values that a log of this size and time does not give
}

// maxPositions bounds the positions kept of a log: enough for the calls that
// take their values one after the other and come to the log in another order.
const maxPositions = 16

// find returns the position at which a log gives one of the wanted values, or
// its end; of a log that is not the newest the end is not always known.
func (m *memory) find(ctx context.Context, l *logFile, newest bool, wants ...[]mrlog.Digest) (walked, error) {
	t := m.logs[l.id]
	if t == nil {
		t = &track{}
		m.logs[l.id] = t
	}
	t.used = true
	size := min(l.size, nelr.MaxLog)
	changed := l.size != t.size || l.mtime != t.mtime
	if n := len(t.at); n > 0 && (l.size < t.at[n-1].offset || l.size == t.size && changed) {
		t.at = nil
	}
	if changed {
		t.not = nil
	}
	t.size, t.mtime = l.size, l.mtime
	if !newest && t.lacks(wants) {
		return walked{hit: -1}, nil
	}
	// The latest position first: a value is seldom older. A log that leads to
	// two of the values does so to the first one first.
	var later *walked
	to := size
	for _, from := range slices.Backward(t.at) {
		w, err := walk(ctx, io.NewSectionReader(l, from.offset, to-from.offset), to-from.offset, from, wants...)
		switch {
		case err != nil:
			return w, err
		case w.hit == 0:
			t.keep(w.position)
			return w, nil
		case w.hit > 0:
			later, wants = &w, wants[:w.hit]
		}
		to = from.offset
	}
	if later != nil {
		w, err := walk(ctx, io.NewSectionReader(l, 0, to), to, position{}, wants...)
		if err != nil || w.hit >= 0 {
			return w, err
		}
		t.keep(later.position)
		return *later, nil
	}
	t.at = nil
	w, err := walk(ctx, io.NewSectionReader(l, 0, size), size, position{}, wants...)
	switch {
	case err != nil:
	case w.hit >= 0:
		t.keep(w.position)
	case !newest:
		t.not = t.not[:0]
		for _, want := range wants {
			t.not = append(t.not, cloneDigests(want))
		}
	}
	return w, err
}

// lacks reports whether it is known that the log gives none of the values.
func (t *track) lacks(wants [][]mrlog.Digest) bool {
	return !slices.ContainsFunc(wants, func(want []mrlog.Digest) bool {
		return !slices.ContainsFunc(t.not, func(not []mrlog.Digest) bool {
			return len(not) == len(want) && gives(not, want)
		})
	})
}

// keep remembers a position.
func (t *track) keep(p position) {
	if p.records == 0 {
		return
	}
	i, there := slices.BinarySearchFunc(t.at, p.offset, func(q position, offset int64) int {
		switch {
		case q.offset < offset:
			return -1
		case q.offset > offset:
			return 1
		}
		return 0
	})
	if there {
		return
	}
	t.at = slices.Insert(t.at, i, p)
	if len(t.at) > maxPositions {
		t.at = slices.Delete(t.at, 0, 1)
	}
}

// forget drops what is known of a log.
func (c *Collector) forget(folder string, id identity) {
	m, err := c.enter(context.Background(), folder)
	if err != nil {
		return
	}
	delete(m.logs, id)
	<-m.turn
}
