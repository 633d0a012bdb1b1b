// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
)

// ErrAltered: a log is not what it was when the snapshot was taken. Logs are
// only ever appended to; somebody did not keep to that.
var ErrAltered = errors.New("log was altered since the snapshot was taken")

// Log is the part of a log that belongs to a snapshot: its first bytes.
type Log struct {
	Path    string // at which it was opened
	Number  int    // of log.N, a log that was set aside; 0 for the live log
	Bytes   int64  // that belong to the snapshot
	Records int64  // in them, INIT included
	Start   []mrlog.Digest
	End     []mrlog.Digest // what the records replay to, in INIT's banks

	file   *logFile
	forget func()
}

// WriteTo copies the bytes of the log that belong to the snapshot, and replays
// them once more. An error that wraps ErrAltered says that they no longer lead
// from Start to End; what was written by then is to be thrown away.
func (l *Log) WriteTo(w io.Writer) (int64, error) {
	return l.copy(context.Background(), w)
}

func (l *Log) copy(ctx context.Context, w io.Writer) (int64, error) {
	out := &counter{w: w}
	got, err := walk(ctx, io.TeeReader(io.NewSectionReader(l.file, 0, l.Bytes), out), l.Bytes, position{})
	if err != nil {
		return out.n, err
	}
	if got.offset != l.Bytes || out.n != l.Bytes || !gives(got.start, l.Start) || !gives(got.values, l.End) {
		l.forget()
		return out.n, fmt.Errorf("%s: %w", l.Path, ErrAltered)
	}
	return out.n, nil
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
