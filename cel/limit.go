// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import "mrlog.dev"

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
