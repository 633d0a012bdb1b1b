// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
)

// Wrapping is a form that a log is in to be kept or sent: it is taken off, one
// layer of it, before the log is read.
type Wrapping string

// The wrappings.
const (
	NoWrapping Wrapping = ""
	Gzip       Wrapping = "gzip"
	Base64     Wrapping = "base64" // of either alphabet, padded or not, in lines or not
	Hex        Wrapping = "hexadecimal"
)

// Kind is what [Sniff] tells of an input.
type Kind struct {
	Format   string // of the log
	Wrapping Wrapping
	BOM      bool // a byte order mark stands before text; it is no part of the log

	// Open: it looks like a canonical log in JSON, and members that follow
	// what was seen may yet tell another format. [OpenAll] reads on then.
	Open bool

	// Of a log out of evidence: the member that it stood in, and the number
	// of its first record in the whole list, where that is told.
	Member string
	First  uint64
}

// bom is the byte order mark that some editors put before UTF-8.
const bom = "\xef\xbb\xbf"

// Sniff is [Detect] for what may be wrapped. A wrapping inside another one is
// an error.
func Sniff(start []byte) (Kind, error) {
	var k Kind
	if isGzip(start) {
		k.Wrapping = Gzip
		inner := gunzipStart(start)
		if w, _ := unwrapText(inner, len(start) >= DetectSize || len(inner) >= DetectSize); w != NoWrapping || isGzip(inner) {
			if w == NoWrapping {
				w = Gzip
			}
			return k, &LayersError{Gzip, w}
		}
		return k.inside(inner)
	}
	cut := len(start) >= DetectSize
	w, inner := unwrapText(start, cut)
	if w == NoWrapping {
		if err := twice(start, cut); err != nil {
			return k, err
		}
		return k.inside(start)
	}
	k.Wrapping = w
	if isGzip(inner) {
		return k, &LayersError{w, Gzip}
	}
	return k.inside(inner)
}

// LayersError says that an input is wrapped more than once. It wraps
// [ErrFormat].
type LayersError struct {
	Outer, Inner Wrapping
}

// Error names the layers.
func (e *LayersError) Error() string {
	return fmt.Sprintf("%v: it is %s in %s, and one layer is unwrapped: take one off", ErrFormat, e.Inner, e.Outer)
}

// Unwrap returns ErrFormat.
func (e *LayersError) Unwrap() error { return ErrFormat }

// twice tells of text that stands for text, and this for bytes that are
// recognised.
func twice(start []byte, cut bool) error {
	for _, outer := range []Wrapping{Hex, Base64} {
		text, err := unwrapped(start, outer, cut)
		if err != nil {
			continue
		}
		if inner, _ := unwrapText(text, cut); inner != NoWrapping {
			return &LayersError{outer, inner}
		}
	}
	return nil
}

// inside detects what is wrapped.
func (k Kind) inside(start []byte) (Kind, error) {
	if rest, ok := bytes.CutPrefix(start, []byte(bom)); ok && len(rest) > 0 {
		k.BOM, start = true, rest
	}
	var err error
	if k.Format, err = Detect(start); err != nil && k.Wrapping != NoWrapping {
		var not *NotLogError
		if errors.As(err, &not) {
			return k, &NotLogError{not.What + " in " + string(k.Wrapping), not.Why}
		}
		return k, fmt.Errorf("unwrapped from %s: %w", k.Wrapping, err)
	}
	k.Open = k.Format == CELJSON && isOpen(start)
	return k, err
}

// settle reads on in an object of which too little was seen, until its members
// tell the format, or it is clear that they do not. It returns what stands for
// r then. What is wrong with r is an error as long as nothing is told.
func (k Kind) settle(r io.Reader) (Kind, io.Reader, error) {
	var seen bytes.Buffer
	for size := int64(4 * DetectSize); k.Open && size <= maxOpen; size *= 4 {
		_, err := io.CopyN(&seen, r, size-int64(seen.Len()))
		if err != nil && err != io.EOF {
			return k, nil, err
		}
		var told error
		if k, told = k.inside(seen.Bytes()); told != nil {
			return k, nil, undetected(told)
		}
		if err == io.EOF {
			break
		}
	}
	return k, &prefixed{start: seen.Bytes(), rest: r}, nil
}

func isGzip(p []byte) bool { return bytes.HasPrefix(p, []byte{0x1F, 0x8B, 8}) }

// gunzipStart unwraps what there is of a start, up to what detection looks at.
func gunzipStart(start []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(start))
	if err != nil {
		return nil
	}
	inner := make([]byte, DetectSize)
	n, _ := io.ReadFull(z, inner) // cut, most often
	return inner[:n]
}

// minWrapped is the fewest bytes of a log that are looked for in text. Shorter
// words are words.
const minWrapped = 8

// unwrapText tells whether a start is text that stands for bytes, and for
// bytes that are recognised: hexadecimal or base64. It returns these. A start
// that is cut may end anywhere.
func unwrapText(start []byte, cut bool) (Wrapping, []byte) {
	for _, w := range []Wrapping{Hex, Base64} {
		inner, err := unwrapped(start, w, cut)
		if err != nil || len(inner) < minWrapped {
			continue
		}
		if isGzip(inner) {
			return w, inner
		}
		format, err := Detect(inner)
		var not *NotLogError
		if err == nil && convincing(format, inner) || errors.As(err, &not) {
			return w, inner
		}
	}
	return NoWrapping, nil
}

// unwrapped returns the bytes that a start stands for as text of a wrapping.
func unwrapped(start []byte, w Wrapping, cut bool) ([]byte, error) {
	return io.ReadAll(&decoder{src: bytes.NewReader(start), wrapping: w, cut: cut})
}

// convincing reports whether a format that was detected in decoded text is more
// than chance: any text decodes to some bytes.
func convincing(format string, inner []byte) bool {
	switch format {
	case NELR:
		line, _, _ := bytes.Cut(bytes.TrimLeft(inner, "\n"), []byte{'\n'})
		return mrlog.IsInit(line) || bytes.HasPrefix(line, []byte("#")) && isText(line)
	case CELJSON, CELSeq, Dstack, Evidence, Claims, Intel:
		head := bytes.TrimLeft(inner, "\x1e \t\r\n")
		return len(head) > 1 && (head[0] == '[' || head[0] == '{') && bytes.IndexByte([]byte("\"{[ \t\r\n]}"), head[1]) >= 0
	case CELCBOR:
		return len(inner) > 4
	case TCG2:
		return !uniform(inner)
	}
	return true
}

// decoder reads the bytes that text stands for. Blanks and line breaks are
// skipped. It takes memory for one block.
type decoder struct {
	src      io.Reader
	wrapping Wrapping
	cut      bool // the text ends anywhere, because only its start is there

	offset int64 // of the text
	buf    [4096]byte
	out    []byte // decoded, not handed out yet
	mem    [4096]byte
	bits   uint32
	n      int  // bits in it
	digits int  // since the last whole group
	url    bool // of base64: the alphabet for file names was seen
	std    bool // the other one
	padded bool // nothing but padding may follow
	err    error
}

// Read implements [io.Reader].
func (d *decoder) Read(p []byte) (int, error) {
	for idle := 0; len(d.out) == 0; {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.src.Read(d.buf[:])
		d.out = d.mem[:0]
		d.decode(d.buf[:n])
		if d.err == nil && err != nil {
			if d.err = err; err == io.EOF && !d.cut {
				d.end()
			}
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle == 100 {
			return 0, io.ErrNoProgress
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

func (d *decoder) decode(text []byte) {
	width := 6
	if d.wrapping == Hex {
		width = 4
	}
	for i, c := range text {
		if c == '\n' || c == '\r' || c == ' ' || c == '\t' {
			continue
		}
		if c == '=' && d.wrapping == Base64 && (d.digits > 1 || d.padded) {
			d.padded, d.digits, d.n = true, 0, 0
			continue
		}
		v, ok := d.value(c)
		if !ok || d.padded {
			d.fail(int64(i), fmt.Errorf("byte %#02x is no digit of %s", c, d.wrapping))
			return
		}
		d.bits = d.bits<<width | v
		d.n += width
		if d.digits++; d.digits == 24/width {
			d.digits = 0
		}
		if d.n >= 8 {
			d.n -= 8
			d.out = append(d.out, byte(d.bits>>d.n))
		}
	}
	d.offset += int64(len(text))
}

// value returns the value of a digit.
func (d *decoder) value(c byte) (uint32, bool) {
	if d.wrapping == Hex {
		switch {
		case c >= '0' && c <= '9':
			return uint32(c - '0'), true
		case c >= 'a' && c <= 'f':
			return uint32(c-'a') + 10, true
		case c >= 'A' && c <= 'F':
			return uint32(c-'A') + 10, true
		}
		return 0, false
	}
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case (c == '+' || c == '/') && !d.url:
		d.std = true
		if c == '+' {
			return 62, true
		}
		return 63, true
	case (c == '-' || c == '_') && !d.std:
		d.url = true
		if c == '-' {
			return 62, true
		}
		return 63, true
	}
	return 0, false
}

// end checks that the text is whole.
func (d *decoder) end() {
	switch {
	case d.wrapping == Hex && d.n != 0:
		d.fail(0, errors.New("hexadecimal text has an odd number of digits"))
	case d.wrapping == Base64 && d.digits == 1:
		d.fail(0, errors.New("base64 text ends within a byte"))
	}
}

func (d *decoder) fail(into int64, err error) {
	d.err = &mrlog.SyntaxError{Format: string(d.wrapping), Offset: d.offset + into, Record: -1, Err: err}
}

// unzipper reads what gzip holds. What is wrong with the compressed data is a
// syntax error; what is wrong with its source passes as it is.
type unzipper struct {
	src counted
	z   *gzip.Reader
	err error
}

// counted counts what is read, and keeps the error of its source.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// Read implements [io.Reader].
func (u *unzipper) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.z == nil {
		if u.z, u.err = gzip.NewReader(&u.src); u.err != nil {
			u.err = u.fault(u.err)
			return 0, u.err
		}
	}
	n, err := u.z.Read(p)
	if err != nil {
		u.err = u.fault(err)
	}
	return n, u.err
}

func (u *unzipper) fault(err error) error {
	switch {
	case u.src.err != nil:
		return u.src.err
	case err == io.EOF && u.z != nil:
		return err
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the compressed data is cut short, or something else stands behind it")
	}
	return &mrlog.SyntaxError{Format: string(Gzip), Offset: u.src.n, Record: -1, Err: err}
}
