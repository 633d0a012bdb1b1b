// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

// replay is what is known of a log up to an offset: its values there, and what
// is needed to go on. It knows complete lines only. The zero value is the
// beginning of any log.
type replay struct {
	start   []mrlog.Digest // INIT's values; nil before INIT
	values  []mrlog.Digest // after all records so far, in INIT's order
	records int64          // INIT included
	lines   int
	offset  int64  // after the last complete line
	boot    string // last boot hint

	second *Place // of the first INIT after the first
	// stop says why the log cannot be replayed beyond offset; reason is what
	// that means.
	stop   error
	reason Reason

	sum [mrlog.MaxDigestSize]byte
}

// chunk is how much of a log is read at once.
const chunk = 128 << 10

// eachLine calls line for every complete line of the log in [from, to),
// without its newline, until it returns false. It returns the offset after the
// last complete line that line accepted; a line longer than nelr.MaxLine ends
// it with an error that wraps mrlog.ErrLimit.
func eachLine(log io.ReaderAt, from, to int64, line func([]byte) bool) (int64, error) {
	buf := make([]byte, 0, max(0, min(chunk, to-from)))
	at := from // offset of buf's first byte
	for {
		n := int(min(int64(cap(buf)-len(buf)), to-at-int64(len(buf))))
		if n == 0 {
			return at, nil
		}
		got, err := log.ReadAt(buf[len(buf):len(buf)+n], at+int64(len(buf)))
		buf = buf[:len(buf)+got]
		if err != nil && err != io.EOF {
			return at, err
		}
		used := 0
		for {
			i := bytes.IndexByte(buf[used:], '\n')
			if i < 0 {
				break
			}
			if i > nelr.MaxLine {
				return at, errLongLine
			}
			if !line(buf[used : used+i]) {
				return at, nil
			}
			used += i + 1
			at += int64(i) + 1
		}
		rest := len(buf) - used
		if rest > nelr.MaxLine {
			return at, errLongLine
		}
		if rest == cap(buf) || (used == 0 && rest > cap(buf)/2) {
			grown := make([]byte, rest, min(2*cap(buf), nelr.MaxLine+chunk))
			copy(grown, buf[used:])
			buf = grown
		} else {
			copy(buf, buf[used:])
			buf = buf[:rest]
		}
		if got == 0 {
			return at, nil // shorter than it was a moment ago
		}
	}
}

var errLongLine = fmt.Errorf("a line is longer than %d bytes: %w", nelr.MaxLine, mrlog.ErrLimit)

// advance replays the complete lines up to size. It returns errors of reading
// only; what is wrong with the log is in stop and second. seen, if not nil, is
// called after every record.
func (r *replay) advance(log io.ReaderAt, size int64, seen func(line []byte)) error {
	if r.stop != nil || size <= r.offset {
		return nil
	}
	_, err := eachLine(log, r.offset, size, func(line []byte) bool {
		if !r.take(line) {
			return false
		}
		if seen != nil && nelr.Measured(line) {
			seen(line)
		}
		return true
	})
	if err == errLongLine {
		r.stop, r.reason = fmt.Errorf("line %d: %w", r.lines+1, err), Unreplayable
		return nil
	}
	return err
}

// take replays one line. It returns false if the log cannot be replayed from
// this line on.
func (r *replay) take(line []byte) bool {
	switch {
	case !nelr.Measured(line):
		if key, value, ok := nelr.ParseHint(line); ok && key == nelr.HintBoot {
			r.boot = value
		}
	case r.start == nil:
		start, err := mrlog.ParseInit(line)
		if err != nil {
			r.stop, r.reason = fmt.Errorf("line %d: %w", r.lines+1, err), LogUnopened
			return false
		}
		r.start, r.values = start, cloneDigests(start)
		r.extend(line)
	default:
		if isInit(line) && r.second == nil {
			r.second = &Place{Record: r.records, Line: r.lines + 1}
		}
		r.extend(line)
	}
	r.lines++
	r.offset += int64(len(line)) + 1
	return true
}

func (r *replay) extend(line []byte) {
	for _, v := range r.values {
		// Sizes are right by construction: ParseInit checked them.
		_ = v.Alg.Extend(v.Sum, v.Alg.AppendSum(r.sum[:0], line))
	}
	r.records++
}

// agreement is a record after which log and register were seen to agree.
type agreement struct {
	place    Place
	values   []mrlog.Digest
	dev, ino uint64 // of the log
}

func isInit(line []byte) bool {
	rec := mrlog.Record{Type: mrlog.TypeCCCEL, Content: line}
	return rec.IsInit()
}

func cloneDigests(in []mrlog.Digest) []mrlog.Digest {
	out := make([]mrlog.Digest, len(in))
	for i, d := range in {
		out[i] = mrlog.Digest{Alg: d.Alg, Sum: bytes.Clone(d.Sum)}
	}
	return out
}

// valueOf returns the value in a bank, or nil.
func valueOf(values []mrlog.Digest, alg mrlog.Alg) []byte {
	for _, v := range values {
		if v.Alg == alg {
			return v.Sum
		}
	}
	return nil
}

// sameValues reports whether both have the same banks with the same values, in
// whatever order.
func sameValues(a, b []mrlog.Digest) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for _, v := range a {
		if !bytes.Equal(v.Sum, valueOf(b, v.Alg)) {
			return false
		}
	}
	return true
}

// sameBanks reports whether a register's active banks are those of the values.
func sameBanks(banks []device.Bank, values []mrlog.Digest) bool {
	if len(banks) != len(values) {
		return false
	}
	for _, b := range banks {
		if valueOf(values, b.Alg) == nil {
			return false
		}
	}
	return true
}
