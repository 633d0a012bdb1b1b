// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"crypto/sha256"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"mrlog.dev/nelr"
)

// index finds a record of this boot by the SHA-256 of its line, whatever the
// banks of the register are: the first may be SHA-1, for which another line can
// be made. It gives the record's number in the log, or -1 if it stands in an
// earlier log. It takes
// about a hundred bytes a record, and is made only where Once is asked for.
type index map[lineKey]int64

type lineKey [sha256.Size]byte

// add returns what keeps the index in step with a replay, nil if there is no
// index.
func (x index) add(r *replay) func(line []byte) {
	if x == nil {
		return nil
	}
	return func(line []byte) { x.put(sha256.Sum256(line), r.records-1) }
}

func (x index) put(key lineKey, record int64) {
	if _, there := x[key]; !there {
		x[key] = record
	}
}

// makeIndex reads the log, and the earlier logs of this boot: those set aside
// whose last boot hint is this boot's, and that end where the next one starts.
// What does not join has diverged: its records may never have been extended,
// or no longer be in the register.
func (b *book) makeIndex() error {
	if b.index != nil {
		return nil
	}
	x := make(index, b.known.records)
	var r replay
	_, err := eachLine(b.log, 0, b.known.offset, func(line []byte) bool {
		if nelr.Measured(line) {
			x.put(sha256.Sum256(line), r.records)
			r.records++
		}
		return true
	})
	if err != nil {
		return err
	}
	if b.k.boot != "" {
		if err := b.indexEarlier(x); err != nil {
			return err
		}
	}
	b.index = x
	return nil
}

func (b *book) indexEarlier(x index) error {
	next := b.known.start
	numbers, err := numbered(b.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		path := filepath.Join(b.dir, logName+"."+strconv.Itoa(n))
		fd, err := retry(func() (int, error) { return unix.Open(path, logFlags|unix.O_RDONLY, 0) })
		if err != nil {
			return pathError("open", path, err)
		}
		log := &logFile{fd: fd, path: path}
		found := make(index)
		var r replay
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil {
			err = r.advance(log, st.Size, func(line []byte) { found.put(sha256.Sum256(line), -1) })
		}
		log.close()
		if err != nil {
			return err
		}
		if r.boot != b.k.boot || r.stop != nil || r.second != nil || !sameValues(r.values, next) {
			return nil // and no more do the ones before it count
		}
		next = r.start
		for key := range found {
			x.put(key, -1)
		}
	}
	return nil
}
