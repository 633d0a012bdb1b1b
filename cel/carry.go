// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"

	"mrlog.dev"
)

// evNoAction is the TCG event type that is logged and never extended (PFP
// 1.06, section 10.4.1).
const evNoAction = 3

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
	case r.Register.Space != mrlog.NV && tooLarge(uint64(r.Register.Index)):
		return fmt.Sprintf("register index %d is above %d", r.Register.Index, mrlog.MaxIndex)
	case checkIndex(r) != nil:
		return checkIndex(r).Error()
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
