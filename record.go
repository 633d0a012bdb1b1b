// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"bytes"
	"iter"
)

// ContentType says what a record's content is: the number that the canonical
// event log gives it (CEL 1.1, content types).
type ContentType uint32

// The content types that mrlog interprets. Any other is carried whole.
const (
	TypeCEL         ContentType = 4   // management event of the log itself
	TypePCClient    ContentType = 5   // TCG PC Client event
	TypeIMATemplate ContentType = 7   // native IMA template
	TypeIMATLV      ContentType = 8   // IMA fields as nested TLVs
	TypeSystemd     ContentType = 9   // text measured by systemd
	TypeCCCEL       ContentType = 204 // line of a native event log (NELR); not a registered number

	// TypeNamed is a type that has a name, Record.Name, and no number.
	TypeNamed ContentType = 1<<32 - 1
)

// Form says how the bytes of a content are to be read. It makes decidable
// what a format cannot carry.
type Form uint8

// The forms.
const (
	FormRaw  Form = iota // the content itself: text or bytes, as its type says
	FormTLV              // one or more canonical event log TLVs
	FormJSON             // one JSON value, as it stood
	FormCBOR             // one CBOR item, as it stood
	FormText             // text for people, as it stood, of bytes that it does not give back
)

// Note marks what a reader saw in a record beyond its values.
type Note uint8

const (
	// NoteNonCanonical: the writer of this dialect would have written the
	// record with other bytes (widths of integers, order of keys, case of
	// hexadecimal, white space).
	NoteNonCanonical Note = 1 << iota

	// NoteViolation: an IMA violation. The logged digest is zero, the one
	// that was extended, which the record has, is 0xFF.
	NoteViolation

	// NotePadded: a digest is that of another algorithm, padded to the
	// bank's size.
	NotePadded

	// NoteSpaceAssumed: the log gives the register by its number only; the
	// space is the reader's default, and the user may state another.
	NoteSpaceAssumed
)

// Span is where a record stands in its source.
type Span struct {
	Offset int64 // of its first byte
	Length int   // in bytes, without a line's end or a separator
	Line   int   // from 1; 0 in formats without lines
}

// Record is one measurement: an event with its place, register and digests, in
// the information model of the canonical event log.
//
// A record of a [Batch] borrows its slices from that batch: they hold until
// the batch is read into again. Clone makes a record that owns its bytes.
type Record struct {
	Number    uint64 // as logged, see HasNumber
	HasNumber bool   // systemd writes none
	Register  Register
	Digests   []Digest // as extended, in the logged order
	Type      ContentType
	Form      Form
	// NotExtended: logged for information; no register was extended
	// (EV_NO_ACTION, cel_version, firmware_end).
	NotExtended bool
	Notes       Note
	Event       uint32 // TCG event type, with TypePCClient
	Name        []byte // of a TypeNamed content, or of an IMA template
	Content     []byte
	Span        Span
}

// IsInit reports whether the record is an INIT record of a native log, well
// formed or not: its domain is INIT, which no event may use.
func (r *Record) IsInit() bool {
	return r.Type == TypeCCCEL && r.Form == FormRaw && IsInit(r.Content)
}

// Clone returns a copy that shares no memory with r.
func (r *Record) Clone() Record {
	c := *r
	c.Name = bytes.Clone(r.Name)
	c.Content = bytes.Clone(r.Content)
	c.Digests = make([]Digest, len(r.Digests))
	for i, d := range r.Digests {
		c.Digests[i] = Digest{Alg: d.Alg, Sum: bytes.Clone(d.Sum)}
	}
	return c
}

// AlgSize is an algorithm with the size that a log states for it.
type AlgSize struct {
	Alg  Alg
	Size int
}

// Header is what a log says of itself before or besides its records. It is
// complete once the first Read has returned.
type Header struct {
	Format  string // "nelr", "cel-json", "cel-seq", "cel-cbor", "cel-tlv", "tcg", "ima-binary", "ima-ascii"
	Dialect string // which of the format's spellings was seen; "" where there is one

	// Space that the records' registers are numbered in.
	Space Space
	// SpaceAssumed: the first record has NoteSpaceAssumed.
	SpaceAssumed bool

	// Derived: the log holds no digests; the reader computes them from the
	// contents. That they match says nothing then.
	Derived bool

	// DerivedBanks are banks that the log holds no digests of; the reader
	// computes them beside the logged ones, because it was asked to. In a
	// record they follow what was logged.
	DerivedBanks []Alg

	Algs []AlgSize // banks that the log declares; nil where it declares none

	// Padding counts the bytes after the end of the log, in formats that have
	// one before the end of the file. It does not travel to another log, and
	// is complete once Read has returned io.EOF.
	Padding int64
}

// Reader decodes a log. Read fills b with the next records, at least one, or
// returns an error; at the end of the log it is io.EOF, and b is then empty.
// Records that precede an error in the input are returned first, by a call of
// their own. A malformed input gives a *SyntaxError. After any error but EOF
// the reader is spent.
type Reader interface {
	Header() Header
	Read(b *Batch) error
}

// Hasher is a Reader that computes the digests of its records itself, and can
// do so apart from reading, so that other processors help. Scan is Read but
// for the sums: Record.Digests is in place, the bytes of each Sum are not
// computed. Hash computes them; calls on different records may run at once,
// and at the same time as a Scan into another batch.
type Hasher interface {
	Reader
	Scan(b *Batch) error
	Hash(records []Record)
}

// Writer encodes a log. Write takes records in order and keeps none of their
// memory. A record that the format cannot carry gives a *CarryError. Close
// completes the log; it does not close what is written to.
type Writer interface {
	Write(records []Record) error
	Close() error
}

// All ranges over the records of r. The records are borrowed: each holds until
// the next batch is read, so keep a Clone. An error ends the range as its last
// pair, with a nil record.
func All(r Reader) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		var b Batch
		for {
			switch err := r.Read(&b); {
			case isEOF(err):
				return
			case err != nil:
				yield(nil, err)
				return
			}
			for i := range b.Records {
				if !yield(&b.Records[i], nil) {
					return
				}
			}
		}
	}
}
