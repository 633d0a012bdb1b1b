// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"

	"mrlog.dev"
)

// Limits of every encoding. A log can come from anyone, so that nothing in it
// may cost more than its own length.
const (
	// MaxContent bounds Name and Content of one record together. The
	// largest contents in real logs, signed IMA entries and UEFI variables
	// (dbx), stay below 64 KiB.
	MaxContent = 1 << 20

	// MaxRecord bounds one record as TLV or CBOR: the content, sixteen
	// digests of the largest size (2.2 KiB), and the heads between them.
	MaxRecord = MaxContent + 4096

	// MaxType is the largest content type that is a number;
	// [mrlog.TypeNamed] stands for a type without one.
	MaxType mrlog.ContentType = mrlog.TypeNamed - 1

	// MaxDepth bounds how deep CBOR items nest, the record being the first
	// level. Deterministic records need four.
	MaxDepth = 16
)

// Numbers of the record's fields: TLV types and CBOR map keys (CEL 1.1, table
// of TLV types).
const (
	fieldNumber      = 0
	fieldPCR         = 1
	fieldNV          = 2
	fieldDigests     = 3
	fieldContentType = 9   // CBOR map key only
	fieldContent     = 10  // CBOR map key only
	fieldCCMR        = 108 // TLV only; go-eventlog's, not registered
)

// spaceField is our extension key of the JSON and CBOR record. Its value is
// the name of the register's space where the plain index would be read in
// another one; see spaceKey.
const spaceField = "space"

// evNoAction is the TCG event type that is logged and never extended (PFP
// 1.06, section 10.4.1).
const evNoAction = 3

// maxRTMR is the last index at which a plain pcr of a CC-CEL record means a
// run-time measurement register.
const maxRTMR = 3

// Options says how a log is to be read. The zero value reads what the log
// says.
type Options struct {
	// Space that plain indexes are numbered in: PCR, CCMR or RTMR. It
	// overrides what a record's plain pcr would be taken for, and never
	// what a record states (index type 108, nv_index, the key "space").
	Space mrlog.Space
}

// check refuses options that mean nothing.
func (o Options) check() error {
	switch o.Space {
	case mrlog.NoSpace, mrlog.PCR, mrlog.CCMR, mrlog.RTMR:
		return nil
	}
	return fmt.Errorf("plain indexes cannot be in space %q (want pcr, ccmr or rtmr)", o.Space)
}

// plain sets the register of a record, whose type is known, from a plain index
// ("pcr" without more). That of a CC-CEL record is noted as an assumption: a
// native log is converted with the plain index of its register, an RTMR on TDX,
// while PCR 0 to 3 belong to the firmware and never have a native log.
func (o Options) plain(r *mrlog.Record, index uint32) {
	r.Register = mrlog.Register{Space: mrlog.PCR, Index: index}
	switch {
	case o.Space != mrlog.NoSpace:
		r.Register.Space = o.Space
	case r.Type == mrlog.TypeCCCEL && index <= maxRTMR:
		r.Register.Space = mrlog.RTMR
		r.Notes |= mrlog.NoteSpaceAssumed
	}
}

// assumed reports whether a record's space is an assumption of ours.
func assumed(r *mrlog.Record) bool { return r.Notes&mrlog.NoteSpaceAssumed != 0 }

// plainIndex reports whether the plain index of a record, read with the zero
// Options, gives its register back.
func plainIndex(r *mrlog.Record) bool {
	firmware := r.Type == mrlog.TypeCCCEL && r.Register.Index <= maxRTMR
	switch r.Register.Space {
	case mrlog.PCR:
		return !firmware
	case mrlog.RTMR:
		return firmware
	}
	return false
}

// spaceKey returns the value of the extension key "space" that JSON and CBOR
// write for a record: empty for an NV index and where the plain index says it
// all, else "ccmr", "rtmr" or, for a CC-CEL record in PCR 0 to 3, "pcr".
func spaceKey(r *mrlog.Record) string {
	if r.Register.Space == mrlog.NV || plainIndex(r) {
		return ""
	}
	return r.Register.Space.String()
}

// notExtended reports what the content says of Record.NotExtended: EV_NO_ACTION,
// or management events that are all cel_version or firmware_end (CEL 1.1,
// content cel). A content that is kept whole because it is not understood
// counts as extended.
func notExtended(r *mrlog.Record) bool {
	switch {
	case r.Type == mrlog.TypePCClient && r.Form == mrlog.FormRaw:
		return r.Event == evNoAction
	case r.Type == mrlog.TypeCEL && r.Form == mrlog.FormTLV:
		return managementNotExtended(r.Content)
	}
	return false
}

// cannotCarry returns what of a record no encoding of the canonical event log
// can carry, or "". Each encoding adds what it alone cannot. The checks mirror
// those of the readers, so that what is written can be read again as it was.
func cannotCarry(r *mrlog.Record) string {
	switch {
	case r.Register.Space == mrlog.NoSpace || r.Register.Space > mrlog.NV:
		return fmt.Sprintf("register %d is in no known space", r.Register.Index)
	case r.Register.Space != mrlog.NV && r.Register.Index > mrlog.MaxIndex:
		return fmt.Sprintf("register index %d is above %d", r.Register.Index, mrlog.MaxIndex)
	case len(r.Digests) == 0:
		return "the record has no digest"
	case len(r.Digests) > mrlog.MaxDigests:
		return fmt.Sprintf("%d digests are more than %d", len(r.Digests), mrlog.MaxDigests)
	case len(r.Name)+len(r.Content) > MaxContent:
		return fmt.Sprintf("content of %d bytes is above the limit of %d", len(r.Name)+len(r.Content), MaxContent)
	case r.Event != 0 && r.Type != mrlog.TypePCClient:
		return fmt.Sprintf("event type %d of a record whose content type (%d) has none", r.Event, r.Type)
	case len(r.Name) != 0 && r.Type != mrlog.TypeIMATemplate && r.Type != mrlog.TypeNamed:
		return fmt.Sprintf("name %.40q of a record whose content type (%d) has none", r.Name, r.Type)
	case r.Type == mrlog.TypeCEL && r.Form == mrlog.FormTLV && !canonicalManagement(r.Content):
		return "management event is not in canonical TLVs, as every reader gives it"
	case r.NotExtended != notExtended(r):
		if r.NotExtended {
			return "the record was not extended, which its content does not say"
		}
		return "the record was extended, and its content says that it was not"
	}
	for i, d := range r.Digests {
		if err := checkDigest(d.Alg, len(d.Sum)); err != nil {
			return err.Error()
		}
		for _, e := range r.Digests[:i] {
			if d.Alg == e.Alg {
				return fmt.Sprintf("two %s digests", d.Alg)
			}
		}
	}
	return ""
}

// checkDigest refuses a digest size that the algorithm cannot have.
func checkDigest(a mrlog.Alg, n int) error {
	want := a.Size()
	switch {
	case a == 0:
		return fmt.Errorf("hash algorithm 0 is none")
	case want != 0 && n != want:
		return fmt.Errorf("%s digest has %d bytes, want %d", a, n, want)
	case n == 0:
		return fmt.Errorf("%s digest is empty", a)
	case n > mrlog.MaxUnknownDigestSize:
		return fmt.Errorf("%s digest has %d bytes, the limit is %d", a, n, mrlog.MaxUnknownDigestSize)
	}
	return nil
}
