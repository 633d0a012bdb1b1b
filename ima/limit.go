// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

// Limits. A list can come from anyone, so that nothing in it may cost more than
// its own length.
const (
	// MaxName bounds the name of a template: a format string has at most 15
	// fields with ids of at most 16 bytes (Linux, IMA_TEMPLATE_NUM_FIELDS_MAX
	// and IMA_TEMPLATE_FIELD_ID_MAX_LEN), and 14 bars between.
	MaxName = 15*16 + 14

	// MaxData bounds the template data of one record. The largest in real
	// lists, appended signatures and buffers of device mapper, stay below
	// 64 KiB; a path can be as long as that.
	MaxData = 1 << 20

	// MaxLine bounds a line of an ASCII list, without its newline: the
	// largest template data in hexadecimal, and what stands before it.
	MaxLine = 2*MaxData + 4096

	// maxFields is IMA_TEMPLATE_NUM_FIELDS_MAX.
	maxFields = 15
)

const (
	imaDigest = 20  // bytes of the field d in template ima
	imaName   = 256 // bytes that the field n is hashed as there, zeros behind the name
	imaData   = imaDigest + imaName
)
