// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

// ASCIIReader reads an ASCII list. See [NewASCIIReader].
type ASCIIReader struct {
	list
	scanned int    // bytes of the record at hand that hold no newline
	out     []byte // memory of the batch for digests and data
	ng      ngHead // of the last record
}

// NewASCIIReader returns a reader of the records of an ASCII list, as the kernel
// gives it in ascii_runtime_measurements. It implements [mrlog.Hasher].
//
// The template data is rebuilt from the line. Where that is impossible (a
// template that is not known, a field that is not what it must be) the record
// has the text of its fields as content, in [mrlog.FormText]: it can be replayed
// and written as it stood. A line that has another form than the kernel's but
// reads the same is marked [mrlog.NoteNonCanonical]. Of a line whose empty last
// fields were stripped, and of a last line without a newline, the digest must
// prove that nothing is missing.
//
// An empty input is a list without records. [MaxLine], [MaxName] and [MaxData]
// bound a line. Errors of r are returned as they are.
func NewASCIIReader(r io.Reader, o Options) *ASCIIReader {
	return &ASCIIReader{list: newList(FormatASCII, source.New(r, minBlock, maxBlock), o)}
}

// Read implements [mrlog.Reader].
func (t *ASCIIReader) Read(b *mrlog.Batch) error {
	if err := t.Scan(b); err != nil {
		return err
	}
	t.Hash(b.Records)
	return nil
}

// Scan implements [mrlog.Hasher].
func (t *ASCIIReader) Scan(b *mrlog.Batch) error {
	b.Reset()
	if t.err != nil {
		return t.err
	}
	t.sums, t.out = nil, nil
	buf := t.src.Begin(b)
	t.scanned = min(t.scanned, len(buf))
	n := 0
	for len(b.Records) < mrlog.BatchRecords {
		rest := buf[n:]
		end := bytes.IndexByte(rest[t.scanned:], '\n')
		if end >= 0 {
			end += t.scanned
			t.scanned = 0
			if t.err = t.line(b, rest[:end:end], t.src.Base+int64(n), true); t.err != nil {
				break
			}
			n += end + 1
			t.records++
			continue
		}
		t.scanned = len(rest)
		if len(b.Records) > 0 {
			break
		}
		if len(rest) > MaxLine {
			t.err = t.fault(t.src.Base, limitErr("line", uint64(len(rest)), MaxLine))
			break
		}
		// Not one whole line yet, so that n is 0.
		var err error
		if buf, err = t.src.More(b, buf); err == nil {
			continue
		}
		if t.err = err; err == io.EOF && len(buf) > 0 {
			if err := t.line(b, buf, t.src.Base, false); err != nil {
				t.err = err
			} else {
				n = len(buf)
				t.records++
			}
		}
		break
	}
	if t.src.End(buf, n); len(b.Records) == 0 {
		return t.err
	}
	return nil
}

// fault is that of the list with the number of the line, which is that of the
// record.
func (t *ASCIIReader) fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: t.format, Line: int(t.records) + 1, Offset: offset, Record: t.records, Err: err}
}

// line adds the record of a line to b.
func (t *ASCIIReader) line(b *mrlog.Batch, line []byte, base int64, whole bool) error {
	if len(line) > MaxLine {
		return t.fault(base, limitErr("line", uint64(len(line)), MaxLine))
	}
	h, at, err := t.head(line)
	if err != nil {
		return t.fault(base+int64(at), err)
	}

	// Digest and data stand in memory of the batch, taken for many records.
	tm := t.template(h.name)
	room := h.digits/2 + bound(tm, len(h.text))
	if cap(t.out)-len(t.out) < room {
		t.out = b.Alloc(max(room, len(line), maxBlock/2))[:0]
	}
	out, ok, upper := appendUnhex(t.out, line[h.sum:h.sum+h.digits])
	if !ok {
		return t.fault(base+int64(h.sum), errors.New("template digest is not hexadecimal"))
	}
	start, sum := len(t.out), out[len(t.out):]
	sum = sum[:len(sum):len(sum)]

	r := b.Add()
	r.Type = mrlog.TypeIMATemplate
	r.Name = h.name
	r.Span = mrlog.Span{Offset: base, Length: len(line), Line: int(t.records) + 1}
	t.opts.place(r, h.index)
	if h.odd || upper || !whole || filled(sum, 0xFF) {
		r.Notes |= mrlog.NoteNonCanonical
	}
	first := t.records == 0
	if first {
		t.big = t.opts.BigEndian
	}

	start += len(sum)
	data, res := t.fields(out, tm, h.text, t.big)
	switch {
	case res == isOpaque:
		data = data[:start]
	case first && !t.opts.BigEndian && !tm.old:
		// The other byte order, so that the digest can tell.
		other, _ := t.fields(make([]byte, 0, room), tm, h.text, true)
		if t.settle(r, sum, data[start:], other) == 1 {
			t.big, t.header.Dialect = true, BigEndian
			data = append(data[:start], other...)
		}
	case first:
		t.settle(r, sum, data[start:])
	}
	if first && t.size == 0 {
		t.settle(r, sum)
	}
	if first && t.big {
		t.header.Dialect = BigEndian
	}
	if res == isShort || !whole {
		if res == isOpaque || !t.matches(sum, data[start:]) {
			if !whole {
				b.Records = b.Records[:len(b.Records)-1]
				return t.fault(base+int64(len(line)), errCut)
			}
			res, data = isOpaque, data[:start]
		}
	}
	switch res {
	case isOpaque:
		r.Form, r.Content = mrlog.FormText, h.text
	case isOdd, isShort:
		r.Notes |= mrlog.NoteNonCanonical
		fallthrough
	default:
		r.Content = data[start:len(data):len(data)]
	}
	t.out = data
	if err := t.digests(b, r, sum); err != nil {
		b.Records = b.Records[:len(b.Records)-1]
		return t.fault(base+int64(len(line)-len(h.text)), fmt.Errorf("template %.80q: %w", h.name, err))
	}
	return nil
}

// lineHead is what stands before the fields.
type lineHead struct {
	index       uint32
	sum, digits int // where the digest stands
	name, text  []byte
	odd         bool // not as the kernel writes it
}

// head reads what stands before the fields. With an error it returns where in
// the line the fault is.
func (t *ASCIIReader) head(line []byte) (h lineHead, at int, err error) {
	if len(line) > 0 && line[0] == ' ' {
		at = 1
	}
	begin := at
	for at < len(line) && line[at]-'0' <= 9 && at-begin < 8 {
		h.index = h.index*10 + uint32(line[at]-'0')
		at++
	}
	switch {
	case at == begin || at == len(line) || line[at] != ' ':
		if at = 0; len(line) == 0 {
			return h, at, errors.New("empty line")
		}
		return h, at, fmt.Errorf("line does not begin with a register index: %.40q", line)
	case h.index > mrlog.MaxIndex:
		return h, begin, fmt.Errorf("register index %d is above %d", h.index, mrlog.MaxIndex)
	}
	// The kernel pads the index to two places.
	h.odd = (begin == 1) != (h.index < 10) || at-begin > 1 && line[begin] == '0'
	at++

	h.sum, h.digits = at, 2*t.size
	if t.size == 0 {
		h.digits = bytes.IndexByte(line[at:], ' ')
		switch h.digits {
		case 40, 64, 96, 128:
		default:
			return h, at, errors.New("template digest has not 40, 64, 96 or 128 digits")
		}
		if a := t.opts.Alg; a != 0 && h.digits != 2*a.Size() {
			return h, at, fmt.Errorf("template digest has %d digits, one of %s has %d", h.digits, a, 2*a.Size())
		}
	}
	if at += h.digits; at >= len(line) || line[at] != ' ' {
		return h, h.sum, fmt.Errorf("template digest has not %d digits, as that of the first record", h.digits)
	}
	at++

	n := len(t.name.name)
	if rest := line[at:]; n == 0 || len(rest) <= n || rest[n] != ' ' || string(rest[:n]) != t.name.name {
		if n = bytes.IndexByte(rest, ' '); n < 0 {
			return h, len(line), errors.New("line ends where fields must follow")
		}
		if what := checkName(rest[:n]); what != "" {
			return h, at, fmt.Errorf("%s: %.80q", what, rest[:n])
		}
	}
	h.name = line[at : at+n : at+n]
	h.text = line[at+n+1:]
	return h, 0, nil
}

// DetectASCII reports whether an ASCII list can begin with head, of which 512
// bytes are enough: a line with an index, a digest and the name of a template
// that the kernel knows.
func DetectASCII(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	h, _, err := new(ASCIIReader).head(line)
	if err != nil {
		return false
	}
	_, ok, _ := appendUnhex(nil, line[h.sum:h.sum+h.digits])
	return ok && parseTemplate(h.name).fields != nil
}
