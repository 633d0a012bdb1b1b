// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package strict reads JSON that came from anyone: UTF-8 only, no name twice in
// an object, nothing after the end, and limits on length, depth and number of
// names that hold before memory is spent. [Decoder] goes through a stream,
// [Object] through one object of it.
package strict

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

const (
	// MaxDepth bounds how deep arrays and objects nest. The deepest known
	// input, an attestation token with claims, has ten levels.
	MaxDepth = 64

	// MaxNames bounds the names of one object, because finding one that
	// occurs twice takes memory for each.
	MaxNames = 1 << 14

	// chunk is how much is read at once, so that at most this much is read
	// beyond what a value needs.
	chunk = 64 << 10

	// maxEmptyReads bounds how often in a row an io.Reader may return
	// nothing.
	maxEmptyReads = 100
)

var (
	errDepth = fmt.Errorf("arrays and objects nest deeper than %d levels: %w", MaxDepth, mrlog.ErrLimit)
	errShort = errors.New("input ends too soon")
	errNames = fmt.Errorf("object has more than %d names: %w", MaxNames, mrlog.ErrLimit)
)

// guard sees the input before the decoder does, and ends it where a limit is
// passed. It knows just enough of the grammar for that; what is not JSON leads
// it astray, and is refused by the decoder.
type guard struct {
	r     io.Reader
	limit int64 // of one value
	mark  int64 // where the value at hand begins
	read  int64 // bytes so far
	err   error // of r, or the limit that is passed; sticky

	limited bool // err is the limit

	quoted, escaped bool
	depth           int
	names           [MaxDepth + 1]int // of the objects that are open
}

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	if g.read-g.mark > g.limit+chunk {
		g.err, g.limited = fmt.Errorf("value is longer than %d bytes: %w", g.limit, mrlog.ErrLimit), true
		return 0, g.err
	}
	p = p[:min(len(p), chunk)]
	for range maxEmptyReads {
		n, err := g.r.Read(p)
		switch {
		case n < 0 || n > len(p):
			g.err = errors.New("reader returned an impossible count")
			return 0, g.err
		case n > 0:
			seen, limit := g.scan(p[:n])
			if limit != nil {
				err = limit
			}
			n, g.err, g.limited = seen, err, limit != nil
			g.read += int64(n)
			if n > 0 {
				return n, nil // the error, if any, is the next call's
			}
			return 0, g.err
		case err != nil:
			g.err = err
			return 0, err
		}
	}
	g.err = io.ErrNoProgress
	return 0, g.err
}

// scan follows p, and returns how much of it may be seen, and why not more.
func (g *guard) scan(p []byte) (int, error) {
	for i, c := range p {
		if g.quoted {
			switch {
			case g.escaped:
				g.escaped = false
			case c == '\\':
				g.escaped = true
			case c == '"':
				g.quoted = false
			}
			continue
		}
		switch c {
		case '"':
			g.quoted = true
		case '{', '[':
			if g.depth++; g.depth > MaxDepth {
				return i, errDepth
			}
			g.names[g.depth] = 0
		case '}', ']':
			g.depth = max(g.depth-1, 0)
		case ':':
			if g.names[g.depth]++; g.names[g.depth] > MaxNames {
				return i, errNames
			}
		}
	}
	return len(p), nil
}

// Decoder reads a stream of JSON. Its errors are those of the underlying reader
// as they are, and *mrlog.SyntaxError with the place; after one it is spent.
type Decoder struct {
	// Record is the number of the record at hand, for errors; -1 outside.
	Record int64

	format string
	in     guard
	dec    *jsontext.Decoder
}

// NewDecoder returns a Decoder of r. The limit bounds one value, or name, that
// is read at once.
func NewDecoder(r io.Reader, format string, limit int) *Decoder {
	d := &Decoder{Record: -1, format: format, in: guard{r: r, limit: int64(limit)}}
	d.dec = jsontext.NewDecoder(&d.in)
	return d
}

// Offset returns the place after what was read last.
func (d *Decoder) Offset() int64 { return d.dec.InputOffset() }

// Fault is an error of the input at an offset.
func (d *Decoder) Fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: d.format, Offset: offset, Record: d.Record, Err: err}
}

// fail turns an error of the decoder into one of ours.
func (d *Decoder) fail(err error) error {
	if d.in.err != nil && d.in.err != io.EOF && errors.Is(err, d.in.err) {
		if d.in.limited {
			return d.Fault(d.in.read, d.in.err)
		}
		return d.in.err
	}
	if err == io.EOF {
		return d.Fault(d.in.read, errShort)
	}
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return d.Fault(d.Offset(), err)
	}
	return d.Fault(syntactic.ByteOffset, reason(syntactic))
}

// reason says what is wrong, without the place.
func reason(syntactic *jsontext.SyntacticError) error {
	cause := syntactic.Err
	switch {
	case errors.Is(cause, io.ErrUnexpectedEOF):
		cause = errShort
	case errors.Is(cause, jsontext.ErrDuplicateName):
		cause = fmt.Errorf("%w %.40q", jsontext.ErrDuplicateName, syntactic.JSONPointer.LastToken())
	}
	if p := string(syntactic.JSONPointer); p != "" {
		cause = fmt.Errorf("%w (in %.80q)", cause, p)
	}
	return cause
}

// Peek returns the first byte of the next value or end, with '0' for numbers,
// and where it stands. At the end of the input it returns 0.
func (d *Decoder) Peek() (kind byte, err error) {
	d.in.mark = d.dec.InputOffset()
	k := d.dec.PeekKind()
	if k != jsontext.KindInvalid {
		return byte(k), nil
	}
	// The error is the next read's.
	_, err = d.dec.ReadToken()
	if err == io.EOF && d.in.err == io.EOF && d.dec.StackDepth() == 0 {
		return 0, nil
	}
	return 0, d.fail(err)
}

// Token reads one token, which must be a bracket or brace of this kind.
func (d *Decoder) Token(kind byte) error {
	k, err := d.Peek()
	switch {
	case err != nil:
		return err
	case k == 0:
		return d.fail(io.EOF)
	case k != kind:
		return d.Fault(d.next(), fmt.Errorf("%s where %q is wanted", describe(k), kind))
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.fail(err)
	}
	return nil
}

// More reports whether the array or object that is open has more elements. If
// not, its end is read.
func (d *Decoder) More() (bool, error) {
	k, err := d.Peek()
	switch {
	case err != nil:
		return false, err
	case k == ']' || k == '}':
		if _, err := d.dec.ReadToken(); err != nil {
			return false, d.fail(err)
		}
		return false, nil
	case k == 0:
		return false, d.fail(io.EOF)
	}
	return true, nil
}

// Name reads the name of the next member.
func (d *Decoder) Name() (string, error) {
	d.in.mark = d.dec.InputOffset()
	t, err := d.dec.ReadToken()
	if err != nil {
		return "", d.fail(err)
	}
	return t.String(), nil
}

// Value reads the next value whole. It is borrowed until the next call, and
// stands at the offset.
func (d *Decoder) Value() (raw []byte, offset int64, err error) {
	d.in.mark = d.dec.InputOffset()
	v, err := d.dec.ReadValue()
	if err != nil {
		return nil, 0, d.fail(err)
	}
	offset = d.dec.InputOffset() - int64(len(v))
	if int64(len(v)) > d.in.limit {
		return nil, 0, d.Fault(offset, fmt.Errorf("value is longer than %d bytes: %w", d.in.limit, mrlog.ErrLimit))
	}
	return v, offset, nil
}

// Skip reads over the next value, however long.
func (d *Decoder) Skip() error {
	k, err := d.Peek()
	if err != nil {
		return err
	}
	if k != '{' && k != '[' {
		_, _, err := d.Value()
		return err
	}
	if err := d.Token(k); err != nil {
		return err
	}
	for {
		more, err := d.More()
		if err != nil || !more {
			return err
		}
		if k == '{' {
			if _, err := d.Name(); err != nil {
				return err
			}
		}
		if err := d.Skip(); err != nil {
			return err
		}
	}
}

// End reads the end of the input: white space.
func (d *Decoder) End() error {
	k, err := d.Peek()
	if err != nil {
		return err
	}
	if k != 0 {
		return d.Fault(d.next(), fmt.Errorf("%s after the end", describe(k)))
	}
	return nil
}

// next returns the place of the token that Peek has seen.
func (d *Decoder) next() int64 {
	rest := d.dec.UnreadBuffer()
	return d.dec.InputOffset() + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n,:")))
}

func describe(kind byte) string {
	switch kind {
	case 'n', 't', 'f':
		return "a literal"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return fmt.Sprintf("%q", kind)
}

// Checker checks values that are in memory, without allocating for a valid one.
// The zero value is ready for use, again and again.
type Checker struct {
	guard guard
	dec   jsontext.Decoder
	in    bytes.Buffer
}

// Check reports what is wrong with p, which should be one JSON value without
// white space around it, and where.
func (c *Checker) Check(p []byte) (at int, err error) {
	c.guard = guard{}
	n, limit := c.guard.scan(p)
	c.in = *bytes.NewBuffer(p[:n])
	c.dec.Reset(&c.in)
	v, err := c.dec.ReadValue()
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case ok && (limit == nil || !errors.Is(err, io.ErrUnexpectedEOF)):
		return int(min(syntactic.ByteOffset, int64(n))), reason(syntactic)
	case limit != nil:
		return n, limit
	case err == io.EOF:
		return n, errShort
	case err != nil:
		return n, err
	}
	switch start := int(c.dec.InputOffset()) - len(v); {
	case start != 0:
		return 0, errors.New("white space before the value")
	case len(v) != len(p):
		return len(v), errors.New("text after the value")
	}
	return 0, nil
}

// Check is that of a Checker for a single value.
func Check(p []byte) (at int, err error) {
	var c Checker
	return c.Check(p)
}

// Object goes through an object that has been read as a value. The zero value
// is ready for use, again and again.
type Object struct {
	dec jsontext.Decoder
	in  bytes.Buffer
}

// Reset begins with the object raw; it returns false if that is none.
func (o *Object) Reset(raw []byte) bool {
	o.in = *bytes.NewBuffer(raw)
	o.dec.Reset(&o.in)
	t, err := o.dec.ReadToken()
	return err == nil && t.Kind() == jsontext.KindBeginObject
}

// Next returns the next member: its name, its value as it stands, and where in
// the object. Both are borrowed from the object.
func (o *Object) Next() (name, value []byte, at int, ok bool) {
	if o.dec.PeekKind() != jsontext.KindString {
		return nil, nil, 0, false
	}
	n, err := o.dec.ReadValue()
	if err != nil {
		return nil, nil, 0, false
	}
	v, err := o.dec.ReadValue()
	if err != nil {
		return nil, nil, 0, false
	}
	if name = n[1 : len(n)-1]; bytes.IndexByte(name, '\\') >= 0 {
		if name, err = jsontext.AppendUnquote(nil, n); err != nil {
			return nil, nil, 0, false
		}
	}
	return name, v, int(o.dec.InputOffset()) - len(v), true
}

// Elements ranges over the elements of an array that has been read as a value.
// What is no array gives one element that is not ok.
func Elements(raw []byte) iter.Seq2[[]byte, bool] {
	return func(yield func([]byte, bool) bool) {
		dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
		if t, err := dec.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginArray {
			yield(nil, false)
			return
		}
		for dec.PeekKind() != jsontext.KindEndArray {
			v, err := dec.ReadValue()
			if err != nil || !yield(v, err == nil) {
				return
			}
		}
	}
}

// AppendText appends what the string raw stands for. It returns false if raw is
// no string.
func AppendText(dst, raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return dst, false
	}
	out, err := jsontext.AppendUnquote(dst, raw)
	return out, err == nil
}

// AppendString appends s as a JSON string, with the escapes that JSON requires
// and no others (RFC 8785, section 3.2.2.2). It returns false if s is not UTF-8.
func AppendString(dst, s []byte) ([]byte, bool) {
	out, err := jsontext.AppendQuote(dst, s)
	return out, err == nil
}

// Uint reads a number that is a plain integer from 0 to limit.
func Uint(raw []byte, limit uint64) (uint64, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, fmt.Errorf("%.40q is not a number", raw)
	}
	var n uint64
	for _, c := range raw {
		d := uint64(c - '0')
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("number %.40q is not a plain integer from 0 to %d", raw, limit)
		}
		if n > (math.MaxUint64-d)/10 {
			return 0, fmt.Errorf("number %.40q is above %d", raw, limit)
		}
		n = 10*n + d
	}
	if n > limit {
		return 0, fmt.Errorf("number %.40q is above %d", raw, limit)
	}
	return n, nil
}

// AppendHex appends the bytes that the string raw gives in hexadecimal, and
// tells whether it has upper-case digits.
func AppendHex(dst, raw []byte) (out []byte, upper bool, err error) {
	if len(raw) < 2 || raw[0] != '"' {
		return dst, false, fmt.Errorf("%.40q is not a string", raw)
	}
	digits := raw[1 : len(raw)-1]
	out, err = hex.AppendDecode(dst, digits)
	if err != nil {
		return dst, false, fmt.Errorf("%.40q is not hexadecimal", raw)
	}
	return out, bytes.ContainsAny(digits, "ABCDEF"), nil
}

// AppendBase64 appends the bytes that the string raw gives in base64, the
// standard alphabet with padding and without newlines, in the one spelling that
// the bytes have.
func AppendBase64(dst, raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return dst, fmt.Errorf("%.40q is not a string", raw)
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // "\/" stands for a slash
		var err error
		if text, err = jsontext.AppendUnquote(nil, raw); err != nil {
			return dst, err
		}
	}
	if bytes.ContainsAny(text, "\r\n") {
		return dst, fmt.Errorf("%.40q has newlines within base64", raw)
	}
	out, err := base64.StdEncoding.Strict().AppendDecode(dst, text)
	if err != nil {
		return dst, fmt.Errorf("%.40q is not base64: %w", raw, err)
	}
	return out, nil
}
