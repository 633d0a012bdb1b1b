// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/binary"

	"mrlog.dev"
)

// Content says how a record's content stands to one of its digests.
type Content uint8

// The answers.
const (
	// Opaque: the content describes what was measured, or the rule is not
	// known; nothing can be computed from it.
	Opaque Content = iota
	// Matches: the content hashes to the digest.
	Matches
	// Differs: by the rule of its type the content hashes to another value.
	Differs
)

// String names the answer as output does.
func (c Content) String() string {
	switch c {
	case Matches:
		return "matches"
	case Differs:
		return "differs"
	}
	return "opaque"
}

// Hasher compares contents with digests. It keeps a buffer between calls; use
// one per goroutine.
type Hasher struct {
	buf []byte // a content's TLV
	sum []byte
}

// Content compares the record's content with a digest of it, by the rule of
// the content's type (TCG PC Client Platform Firmware Profile 1.06, table of
// event types; for the others their producers' documents).
func (h *Hasher) Content(rec *mrlog.Record, d mrlog.Digest) Content {
	if d.Alg.Size() == 0 || rec.Notes&(mrlog.NoteViolation|mrlog.NotePadded) != 0 {
		return Opaque
	}
	if rec.Form != mrlog.FormRaw {
		return Opaque
	}
	switch rec.Type {
	case mrlog.TypeCCCEL:
		return h.compare(rec.Content, d, true)
	case mrlog.TypeSystemd:
		// The digest of a volume key event is keyed; it cannot be told
		// from the text whether this is one.
		return h.compare(rec.Content, d, false)
	case mrlog.TypePCClient:
		return h.compare(rec.Content, d, hashesData(rec.Event))
	case mrlog.TypeIMATemplate:
		return h.imaTemplate(rec, d)
	case mrlog.TypeIMATLV:
		return h.compare(h.tlv(byte(rec.Type), rec.Content), d, true)
	}
	if rec.Type < 256 {
		// Producers of private types, Confidential Space (80) among them,
		// hash the whole content TLV.
		return h.compare(h.tlv(byte(rec.Type), rec.Content), d, false)
	}
	return Opaque
}

// compare hashes data. Where the rule is not certain, a difference says
// nothing.
func (h *Hasher) compare(data []byte, d mrlog.Digest, certain bool) Content {
	h.sum = d.Alg.AppendSum(h.sum[:0], data)
	switch {
	case bytes.Equal(h.sum, d.Sum):
		return Matches
	case certain:
		return Differs
	}
	return Opaque
}

// tlv builds the TLV of a content.
func (h *Hasher) tlv(t byte, value []byte) []byte {
	h.buf = append(h.buf[:0], t)
	h.buf = binary.BigEndian.AppendUint32(h.buf, uint32(len(value)))
	h.buf = append(h.buf, value...)
	return h.buf
}

// imaTemplate: H(template data). The oldest template, "ima", hashes its file
// name padded to 256 bytes and without lengths; the digest may be SHA-1 padded
// to the bank (kernels before 5.8), so that a difference there is no proof of
// one.
func (h *Hasher) imaTemplate(rec *mrlog.Record, d mrlog.Digest) Content {
	if string(rec.Name) == "ima" {
		return Opaque
	}
	return h.compare(rec.Content, d, d.Alg == mrlog.SHA1)
}

// hashesData reports whether the digest of a TCG event is that of its data, for
// certain: the events of which every firmware in the field does so.
func hashesData(event uint32) bool {
	switch event {
	case 0x00000004, // EV_SEPARATOR
		0x00000005, // EV_ACTION
		0x00000008, // EV_S_CRTM_VERSION
		0x00000012, // EV_OMIT_BOOT_DEVICE_EVENTS
		0x80000001, // EV_EFI_VARIABLE_DRIVER_CONFIG
		0x80000006, // EV_EFI_GPT_EVENT
		0x80000007, // EV_EFI_ACTION
		0x8000000C, // EV_EFI_VARIABLE_BOOT2
		0x800000E0: // EV_EFI_VARIABLE_AUTHORITY
		return true
	}
	return false
}
