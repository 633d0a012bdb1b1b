// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import "mrlog.dev"

// A list logs zeros for a violation, and 0xFF is extended. Where a record comes
// from elsewhere, 0xFF alone does not say which of both its list has: the content
// does, because the kernel has no digest of a file that it cannot measure, and
// logs zeros for that, too.

// measures reports whether a record's content is that of a file that was
// measured: it has a digest, and not one of zeros. Of a content that is not
// understood that is not known.
func measures(r *mrlog.Record) bool {
	if r.Form != mrlog.FormRaw {
		return false
	}
	fields, err := Fields(r.Name, r.Content)
	if err != nil {
		return false
	}
	for _, f := range fields {
		if f.Kind == KindDigest && f.ID != "d-modsig" {
			return len(f.Digest.Sum) > 0 && !filled(f.Digest.Sum, 0)
		}
	}
	return false
}

// violates reports whether a record whose digest is sum is to be logged as a
// violation. The fields of one in [mrlog.FormText] come from an ASCII list, whose
// reader has marked it if it is one.
func violates(r *mrlog.Record, sum []byte) bool {
	if !filled(sum, 0xFF) {
		return false
	}
	return r.Notes&mrlog.NoteViolation != 0 || r.Form == mrlog.FormRaw && !measures(r)
}
