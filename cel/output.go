// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"errors"
	"io"

	"mrlog.dev"
)

const (
	// flushSize is how much a writer gathers before it writes. Most records
	// fit in the rest of outputSize.
	flushSize  = 64 << 10
	outputSize = flushSize + 8<<10

	// outputKeep is the largest buffer that a writer keeps for the next
	// records, so that one large record is not paid for to the end.
	outputKeep = 1 << 20
)

// errClosed says that a writer is used after Close.
var errClosed = errors.New("the log is closed")

// output is what the writers share: it gathers encoded records and writes
// many at once. A record that cannot be carried leaves no trace in it.
type output struct {
	w       io.Writer
	format  string
	buf     []byte
	records int64 // handed over
	carried int64 // of these
	err     error // of w, or errClosed; the writer is spent
	closed  bool
}

// newOutput returns an output to w that begins with head.
func newOutput(w io.Writer, format, head string) output {
	return output{w: w, format: format, buf: append(make([]byte, 0, outputSize), head...)}
}

// write encodes the records. The function encode appends a record, or returns
// what of it cannot be carried.
func (o *output) write(records []mrlog.Record, encode func([]byte, *mrlog.Record) ([]byte, string)) error {
	if o.err != nil {
		return o.err
	}
	for i := range records {
		start := len(o.buf)
		buf, what := encode(o.buf, &records[i])
		o.buf = buf
		o.records++
		if what != "" {
			o.buf = o.buf[:start]
			return &mrlog.CarryError{Format: o.format, Record: o.records - 1, Span: records[i].Span, What: what}
		}
		o.carried++
		if len(o.buf) >= flushSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what is gathered.
func (o *output) flush() error {
	if len(o.buf) > 0 {
		n, err := o.w.Write(o.buf)
		if err == nil && n < len(o.buf) {
			err = io.ErrShortWrite
		}
		o.err = err
	}
	if o.buf = o.buf[:0]; cap(o.buf) > outputKeep {
		o.buf = make([]byte, 0, outputSize)
	}
	return o.err
}

// close writes what is gathered, after the end of the log. The function end, if
// there is one, appends that, or returns why the log cannot be completed. A
// second close does nothing.
func (o *output) close(end func([]byte) ([]byte, error)) error {
	if o.closed {
		return nil
	}
	o.closed = true
	if o.err != nil {
		return o.err
	}
	var incomplete error
	if end != nil {
		o.buf, incomplete = end(o.buf)
	}
	if err := o.flush(); err != nil {
		return err
	}
	o.err = errClosed
	return incomplete
}
