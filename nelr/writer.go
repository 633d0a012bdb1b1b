// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"mrlog.dev"
)

// Writer writes records back as the lines of a native log. Only what was such
// a log can become one: the records of one register, in order and numbered
// from 0, the first of them INIT, each with exactly the digests that its line
// gives. Anything else is a [*mrlog.CarryError], because a native log has no
// place for it. After a CarryError the writer may go on with other records.
//
// A register other than [DefaultRegister] is written as a hint before INIT.
type Writer struct {
	dst      io.Writer
	buf      []byte
	register mrlog.Register
	algs     []mrlog.Alg
	number   uint64
	size     int64 // of the lines so far
	limit    int64
	err      error
}

const flushSize = 64 << 10

// NewWriter returns a Writer to w. It writes in blocks.
func NewWriter(w io.Writer) *Writer { return &Writer{dst: w, limit: MaxLog} }

// Write appends the lines of records.
func (w *Writer) Write(records []mrlog.Record) error {
	for i := range records {
		if w.err != nil {
			return w.err
		}
		if what := w.refuse(&records[i]); what != "" {
			return &mrlog.CarryError{Format: Format, Record: int64(w.number), Span: records[i].Span, What: what}
		}
		w.buf = append(w.buf, records[i].Content...)
		w.buf = append(w.buf, '\n')
		w.size += int64(len(records[i].Content)) + 1
		w.number++
		if len(w.buf) >= flushSize {
			w.flush()
		}
	}
	return w.err
}

// Close writes what is buffered. A log without INIT is none.
func (w *Writer) Close() error {
	if w.err == nil && w.algs == nil {
		w.err = &mrlog.CarryError{Format: Format, Record: 0, What: "there are no records: a native log begins with INIT"}
	}
	w.flush()
	return w.err
}

func (w *Writer) flush() {
	if len(w.buf) > 0 && w.err == nil {
		_, w.err = w.dst.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// refuse says why the record cannot be a line here, or "" if it can.
func (w *Writer) refuse(rec *mrlog.Record) string {
	line := rec.Content
	switch {
	case rec.Type == mrlog.TypeNamed:
		return fmt.Sprintf("content type is %.60q: only the lines of native logs (CC-CEL) can become lines", rec.Name)
	case rec.Type != mrlog.TypeCCCEL:
		return fmt.Sprintf("content type is %s: only the lines of native logs (CC-CEL) can become lines", rec.Type)
	case rec.Form != mrlog.FormRaw:
		return "content is in another form than text: it is no line of a native log"
	case len(line) == 0:
		return "content is empty: an empty line is not a record"
	case line[0] == '#':
		return "content begins with '#': it would become a comment"
	case bytes.IndexByte(line, '\n') >= 0:
		return fmt.Sprintf("content holds a newline at byte %d: a record is one line", bytes.IndexByte(line, '\n'))
	case len(line) > MaxLine:
		return fmt.Sprintf("content has %d bytes, a line at most %d", len(line), MaxLine)
	case w.size+int64(len(line)) >= w.limit:
		return fmt.Sprintf("log would be larger than %d bytes", w.limit)
	case rec.NotExtended:
		return "record was not extended: every line of a native log is"
	case rec.HasNumber && rec.Number != w.number:
		return fmt.Sprintf("record has number %d: a native log numbers its records from 0, without gaps", rec.Number)
	}
	if w.algs == nil {
		values, err := mrlog.ParseInit(line)
		if err != nil {
			return "first record of a native log must be INIT: " + err.Error()
		}
		w.register = rec.Register
		for _, v := range values {
			w.algs = append(w.algs, v.Alg)
		}
		what := w.refuseDigests(rec)
		if what == "" && rec.Register != DefaultRegister() {
			what = w.nameRegister(int64(len(line)))
		}
		if what != "" {
			w.algs = nil
		}
		return what
	}
	if mrlog.IsInit(line) {
		return "second INIT record: a native log has one, its first record"
	}
	if rec.Register != w.register {
		return fmt.Sprintf("record is of %s, the log of %s: a native log is of one register", rec.Register, w.register)
	}
	return w.refuseDigests(rec)
}

// nameRegister writes the hint that names the log's register, if a reader will
// find the register by it and the record still fits.
func (w *Writer) nameRegister(line int64) string {
	name := w.register.String()
	if back, err := mrlog.ParseRegister(name); err != nil || back != w.register {
		return fmt.Sprintf("record is of %s, which no hint can name", name)
	}
	hint, err := AppendHint(nil, HintRegister, name)
	if err != nil {
		return err.Error()
	}
	if int64(len(hint))+line >= w.limit {
		return fmt.Sprintf("log would be larger than %d bytes", w.limit)
	}
	w.buf = append(w.buf, hint...)
	w.size += int64(len(hint))
	return ""
}

// refuseDigests says which digest the line would not give back.
func (w *Writer) refuseDigests(rec *mrlog.Record) string {
	for _, alg := range w.algs {
		if !slices.ContainsFunc(rec.Digests, func(d mrlog.Digest) bool { return d.Alg == alg }) {
			return fmt.Sprintf("record has no %s digest, INIT lists that bank", alg)
		}
	}
	if len(rec.Digests) != len(w.algs) {
		return fmt.Sprintf("record has %d digests, INIT lists %d banks", len(rec.Digests), len(w.algs))
	}
	var sum [mrlog.MaxDigestSize]byte
	for _, d := range rec.Digests {
		if !bytes.Equal(d.Alg.AppendSum(sum[:0], rec.Content), d.Sum) {
			return fmt.Sprintf("%s digest is not that of the content: a native log has no other", d.Alg)
		}
	}
	return ""
}
