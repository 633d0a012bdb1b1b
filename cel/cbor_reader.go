// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/internal/source"
)

// formatCBOR names the encoding in headers and errors.
const formatCBOR = "cel-cbor"

// Dialects of CBOR: how the records are joined.
const (
	dialectArray      = "array"            // one array of definite length
	dialectIndefinite = "array-indefinite" // one array that ends with a break
	dialectSequence   = "sequence"         // RFC 8742: records one after the other
)

// CBORReader reads a log in CBOR. See [NewCBORReader].
type CBORReader struct {
	src    source.Source
	opts   Options
	header mrlog.Header
	err    error // that the next Read returns

	records int64
	left    uint64 // records to come in an array of definite length
	ended   bool   // the array is over
	loose   bool   // the array's head is not minimal
	scan    itemScanner
	rec     cborRecord // that is being read, kept for its room
	scratch []byte
}

// NewCBORReader returns a reader of the records of a log in CBOR: an array, of
// definite or indefinite length, or an RFC 8742 sequence. Header.Dialect says
// which ("array", "array-indefinite", "sequence").
//
// It takes integers of any width, keys in any order, maps and arrays of
// indefinite length, algorithms, content types and event types by number or by
// name; a record that [CBORWriter] would not write with the same bytes is
// marked [mrlog.NoteNonCanonical], and so is the first record of an array whose
// head is not minimal. A key that the record does not have is an error, because
// its value would be lost. Content of an unexpected shape stays whole, as
// FormCBOR. The key "space" is our extension, see the package documentation.
//
// An empty input is a sequence without records. Memory grows with the bytes
// that arrive, whatever lengths they state, up to [MaxRecord]; what is larger,
// or nests deeper than [MaxDepth], is an error that wraps [mrlog.ErrLimit].
// Errors of r are returned as they are.
func NewCBORReader(r io.Reader, o Options) *CBORReader {
	return &CBORReader{
		src:    source.New(r, minBlock, mrlog.BatchBytes),
		opts:   o,
		header: mrlog.Header{Format: formatCBOR},
		err:    o.check(),
	}
}

// Header describes the log as far as it has been read.
func (c *CBORReader) Header() mrlog.Header { return c.header }

// Read implements [mrlog.Reader].
func (c *CBORReader) Read(b *mrlog.Batch) error {
	b.Reset()
	if c.err != nil {
		return c.err
	}
	buf := c.src.Begin(b)
	n := 0
	for len(b.Records) < mrlog.BatchRecords {
		size, need, err := c.step(b, buf[n:], c.src.Base+int64(n))
		if n += size; err != nil {
			c.err = err
			break
		}
		if need == 0 {
			continue
		}
		if len(b.Records) > 0 {
			break
		}
		for err == nil && len(buf)-n < need {
			buf, err = c.src.More(b, buf)
		}
		switch {
		case err == io.EOF && len(buf) > n:
			c.err = c.fault(c.src.Base+int64(len(buf)), errCut)
			return c.err
		case err == io.EOF && !c.mayEnd():
			c.err = c.fault(c.src.Base+int64(len(buf)), errCutArray)
			return c.err
		case err == io.EOF && c.header.Dialect == "":
			c.header.Dialect = dialectSequence
			fallthrough
		case err != nil:
			c.err = err
			return err
		}
	}
	if c.src.End(buf, n); len(b.Records) == 0 {
		return c.err
	}
	return nil
}

var errCutArray = fmt.Errorf("the log ends before its array does: %w", io.ErrUnexpectedEOF)

// mayEnd reports whether the log may end where a record or a break begins.
func (c *CBORReader) mayEnd() bool {
	switch c.header.Dialect {
	case dialectArray, dialectIndefinite:
		return c.ended
	}
	return true
}

func (c *CBORReader) fault(offset int64, err error) error {
	return &mrlog.SyntaxError{Format: formatCBOR, Offset: offset, Record: c.records, Err: err}
}

// step takes the next thing off p: the head of the array, a record, which it
// adds to b, or the end of the array. It returns the size of that, or how many
// bytes p must have for it to go on.
func (c *CBORReader) step(b *mrlog.Batch, p []byte, base int64) (size, need int, err error) {
	if len(p) == 0 {
		return 0, 1, nil
	}
	switch {
	case c.header.Dialect == "":
		return c.begin(p, base)
	case c.ended:
		return 0, 0, c.fault(base, errors.New("bytes follow the array"))
	case c.header.Dialect == dialectIndefinite && p[0] == cborBreak:
		c.ended = true
		return 1, 0, nil
	}
	if p[0]>>5 != cborMap {
		return 0, 0, c.fault(base, errors.New("no record, a map, where one must stand"))
	}
	switch need, err := c.scan.scan(p, MaxRecord); {
	case err != nil:
		return 0, 0, c.fault(base+int64(c.scan.off), err)
	case need != 0:
		return 0, need, nil
	}
	size = c.scan.off
	c.scan.off, c.scan.depth = 0, 0
	if at, err := c.record(b, p[:size:size], base); err != nil {
		return 0, 0, c.fault(base+int64(at), err)
	}
	c.records++
	if c.header.Dialect == dialectArray {
		c.left--
		c.ended = c.left == 0
	}
	return size, 0, nil
}

// begin tells the three dialects apart and takes the head of an array.
func (c *CBORReader) begin(p []byte, base int64) (size, need int, err error) {
	if n := headSize(p[0]); len(p) < n {
		return 0, n, nil
	}
	h, err := parseHead(p)
	if err != nil {
		return 0, 0, c.fault(base, err)
	}
	switch {
	case h.major == cborMap:
		c.header.Dialect = dialectSequence
		return 0, 0, nil
	case h.major != cborArray:
		return 0, 0, c.fault(base, fmt.Errorf("log begins with %s, want an array or a map", describeItem(h)))
	case h.indefinite:
		c.header.Dialect = dialectIndefinite
	default:
		c.header.Dialect = dialectArray
		c.left, c.ended, c.loose = h.arg, h.arg == 0, !h.minimal
	}
	return h.size, 0, nil
}

// add adds a record to the batch and settles what the log as a whole says.
func (c *CBORReader) add(b *mrlog.Batch, v *cborRecord, base int64, size int) {
	r := b.Add()
	*r = v.Record
	r.Digests = b.NewDigests(v.count)
	copy(r.Digests, v.digests[:v.count])
	r.Span = mrlog.Span{Offset: base, Length: size}
	if c.records == 0 {
		c.header.Space, c.header.SpaceAssumed = r.Register.Space, assumed(r)
		v.loose = v.loose || c.loose
	}
	if v.loose {
		r.Notes |= mrlog.NoteNonCanonical
	}
}
