// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/dstack"
	"mrlog.dev/tcg/event"
)

// Content says how a record's content stands to one of its digests.
type Content uint8

// The answers.
const (
	// Opaque: the content describes what was measured, or the rule is not
	// known; nothing can be computed from it.
	Opaque Content = iota
	// Matches: the content hashes to the digest, all of it.
	Matches
	// Differs: by the rule of its type the content hashes to another value, or
	// it is not what its type says at all.
	Differs
	// Part: a part of the content hashes to the digest: a UEFI variable's
	// contents without its name, a text without the prefix that says what it
	// is, systemd's "string", the members that are known where there are
	// others. What stands beside it only describes it, and could be anything.
	Part
	// Deviates: the content hashes to another value by a rule that is stated,
	// and that real producers are known not to keep to. It may have been
	// altered, or not; Strict does not ask.
	Deviates
)

// String names the answer as output does.
func (c Content) String() string {
	switch c {
	case Matches:
		return "matches"
	case Differs:
		return "differs"
	case Part:
		return "part"
	case Deviates:
		return "deviates"
	}
	return "opaque"
}

// Hasher compares contents with digests. The zero value is ready for use. It
// keeps a buffer between calls; use one per goroutine.
type Hasher struct {
	// Format of the log, [mrlog.Header.Format]. In those that verifiers derive
	// from logs, events have no data to compare.
	Format string

	// Contents is how much is made of a difference. With Strict, what Deviates
	// is Differs, too.
	Contents Strictness

	buf   []byte // contents' TLVs
	sum   []byte
	known *cel.Known

	derived []mrlog.Alg // banks whose digests the reader computes, [mrlog.Header.DerivedBanks]
}

// Contents are the answers for the digests of one record, in their order.
type Contents [mrlog.MaxDigests]Content

// Content compares the record's content with a digest of it, by the rule of
// the content's type (for TCG events see [event.Measured], for the others their
// producers' documents).
func (h *Hasher) Content(rec *mrlog.Record, d mrlog.Digest) Content {
	h.buf = appendTLV(h.buf[:0], rec)
	return h.compare(rec, d, h.buf)
}

// A processor waits when it hashes bytes that it has only just written, so
// TLVs are put together some at a time.
const (
	tlvRun  = 16
	tlvSize = 8 << 10 // longer contents are hashed for so long that it does not matter
)

// Each fills in the answers for all digests of the records; both have the same
// length. A record has at most [mrlog.MaxDigests] digests; further ones are not
// looked at.
func (h *Hasher) Each(records []mrlog.Record, answers []Contents) {
	var ends [tlvRun]int
	for len(records) > 0 {
		n := 0
		h.buf = h.buf[:0]
		for n < len(records) && n < tlvRun && len(h.buf) < tlvSize {
			h.buf = appendTLV(h.buf, &records[n])
			ends[n] = len(h.buf)
			n++
		}
		start := 0
		for i := range n {
			rec := &records[i]
			for j, d := range rec.Digests[:min(len(rec.Digests), mrlog.MaxDigests)] {
				answers[i][j] = h.compare(rec, d, h.buf[start:ends[i]])
			}
			start = ends[i]
		}
		records, answers = records[n:], answers[n:]
	}
}

// hashesTLV reports whether a digest is that of the content's whole TLV. Of
// IMA's nested TLVs it is, and producers of private types, Confidential Space
// (80) among them, do it so.
func hashesTLV(t mrlog.ContentType) bool {
	switch t {
	case mrlog.TypeCCCEL, mrlog.TypeSystemd, mrlog.TypePCClient, mrlog.TypeIMATemplate:
		return false
	}
	return t < 256
}

// appendTLV appends the TLV of a content whose digest is that of its TLV, and
// nothing of another one.
func appendTLV(dst []byte, rec *mrlog.Record) []byte {
	if !hashesTLV(rec.Type) {
		return dst
	}
	dst = append(dst, byte(rec.Type))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(rec.Content)))
	return append(dst, rec.Content...)
}

// sha1Size is how much of a padded digest is one.
const sha1Size = 20

// compare is Content with the content's TLV, see appendTLV.
func (h *Hasher) compare(rec *mrlog.Record, d mrlog.Digest, tlv []byte) Content {
	switch {
	case d.Alg.Size() == 0 || rec.Notes&mrlog.NoteViolation != 0,
		rec.Notes&mrlog.NotePadded != 0 && rec.Type != mrlog.TypeIMATemplate:
		return Opaque
	}
	switch rec.Form {
	case mrlog.FormRaw:
		return h.raw(rec, d, tlv)
	case mrlog.FormText:
		return Opaque
	}
	return h.whole(rec, d)
}

// raw is compare for a content that is as its type has it.
func (h *Hasher) raw(rec *mrlog.Record, d mrlog.Digest, tlv []byte) Content {
	data, certain, stated := rec.Content, false, false
	switch rec.Type {
	case mrlog.TypeCCCEL:
		certain = true
	case mrlog.TypeSystemd:
		// The digest of a volume key event is keyed; it cannot be told for
		// sure from the text whether this is one.
		stated = !bytes.HasPrefix(data, []byte("cryptsetup:"))
	case mrlog.TypePCClient:
		return h.event(rec, d)
	case mrlog.TypeIMATemplate:
		return h.template(rec, d)
	default:
		if !hashesTLV(rec.Type) {
			return Opaque
		}
		data, certain = tlv, rec.Type == mrlog.TypeIMATLV || rec.Type == event.TypeCOS
	}
	h.sum = d.Alg.AppendSum(h.sum[:0], data)
	switch {
	case bytes.Equal(h.sum, d.Sum):
		return Matches
	case certain:
		return Differs
	case stated:
		return h.deviates()
	}
	// Where there is no such rule, a difference says nothing.
	return Opaque
}

// deviates is the answer for a content of which it is stated, and not certain,
// what its digest is of.
func (h *Hasher) deviates() Content {
	if h.Contents == Strict {
		return Differs
	}
	return Deviates
}

// oldTemplate is the size of the data that is hashed of IMA's oldest template,
// "ima": a SHA-1 digest, and the file's name padded with zeros.
const oldTemplate = sha1Size + 256

// template compares the data of an IMA template: its hash is extended, but for
// violations, of which 0xFF is, and by kernels before 5.8, which pad SHA-1 to
// the bank's size: that binds nothing, but it tells of what was altered.
func (h *Hasher) template(rec *mrlog.Record, d mrlog.Digest) Content {
	if filled(d.Sum, 0xFF) {
		return Opaque
	}
	if len(d.Sum) > sha1Size && filled(d.Sum[sha1Size:], 0) {
		padded := d.Sum[:sha1Size]
		if h.sum = mrlog.SHA1.AppendSum(h.sum[:0], rec.Content); bytes.Equal(h.sum, padded) || filled(padded, 0xFF) {
			return Opaque
		}
		return Differs
	}
	if slices.Contains(h.derived, d.Alg) {
		return Matches // it was computed from the content
	}
	h.sum = d.Alg.AppendSum(h.sum[:0], rec.Content)
	switch {
	case bytes.Equal(h.sum, d.Sum):
		return Matches
	case string(rec.Name) == "ima" && len(rec.Content) != oldTemplate:
		return h.deviates() // as some producers carry it: not as it was hashed
	}
	return Differs
}

// filled reports whether all bytes of p are v. It is not [bytes.Trim]'s question:
// to that every byte that is no UTF-8 is 0xFF.
func filled(p []byte, v byte) bool {
	for _, c := range p {
		if c != v {
			return false
		}
	}
	return true
}

// event compares the data of a TCG event, of which the digest may be of one
// part or another.
func (h *Hasher) event(rec *mrlog.Record, d mrlog.Digest) Content {
	if rec.Event == dstack.RuntimeEvent {
		if e, _, ok := dstack.Measured(rec); ok && e.Ambiguous() {
			return Opaque // an event of another name has the same digest
		}
	}
	rule := event.Measured(rec)
	for _, part := range rule.Parts() {
		if h.sum = d.Alg.AppendSum(h.sum[:0], part.Data); !bytes.Equal(h.sum, d.Sum) {
			continue
		}
		if len(part.Data) < len(rec.Content) {
			return Part
		}
		return Matches
	}
	switch {
	case rule.Certain, rec.Event == evSeparator && h.normal(d):
		return Differs
	case rule.Stated:
		return h.deviates()
	}
	return Opaque
}

const evSeparator = 0x00000004

// normalSeparators are the data of an EV_SEPARATOR that tells of no error (PFP
// 1.06, section 10.4.1).
var normalSeparators = [2][4]byte{{}, {0xFF, 0xFF, 0xFF, 0xFF}}

// normal reports whether a digest is that of a separator which tells of no
// error: the data of one with another value was altered then.
func (h *Hasher) normal(d mrlog.Digest) bool {
	for _, data := range normalSeparators {
		if h.sum = d.Alg.AppendSum(h.sum[:0], data[:]); bytes.Equal(h.sum, d.Sum) {
			return true
		}
	}
	return false
}

// contradiction says how a content that differs contradicts a digest.
func contradiction(rec *mrlog.Record, alg mrlog.Alg) string {
	if rec.Form != mrlog.FormRaw {
		var h Hasher
		if _, _, err := h.measured(rec); err != nil {
			return fmt.Sprintf("content is not what its type says, and its %s digest cannot be of it: %v", alg, err)
		}
	}
	return fmt.Sprintf("content does not hash to its %s digest: it is not what was measured", alg)
}
