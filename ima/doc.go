// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package ima reads and writes the measurement lists of Linux IMA, in both
// forms in which the kernel gives them.
//
// # Lists
//
// A list is records one after the other, without a head or an end. Integers are
// in the byte order of the host, little-endian unless [Options.BigEndian] or the
// list itself says otherwise.
//
//	binary  = *record
//	record  = index digest size name ( data / old )
//	index   = u32                       register
//	digest  = 20 / 32 / 48 / 64 bytes   of the list's bank
//	size    = u32                       of the name
//	data    = u32 *( u32 field )        size of all that follows, fields with their sizes
//	old     = 20 bytes u32 file         template "ima": digest, size and name of the file
//
//	ascii   = *line
//	line    = index SP digest SP name 1*( SP field ) LF
//	index   = decimal, padded to two places with a blank
//	digest  = lower-case hexadecimal
//	field   = text, decimal or hexadecimal; nothing for an empty one
//
// The name is that of a template built into the kernel (ima, ima-ng, ima-sig,
// ima-ngv2, ima-sigv2, ima-buf, ima-modsig, evm-sig) or the template's format
// string itself: d-ng|n-ng|sig. [Fields] decodes the fields.
//
// # Hashing
//
// The digest of a record is the hash of its template data, and so is the digest
// that each bank of the register is extended with: the fields, each with its
// size before it, as they stand in a binary list. Template ima alone has other
// template data: the digest of the file, and its name with zeros up to 256
// bytes.
//
// A violation (a file was open for writing while it was measured) is logged with
// a digest of zeros, and extended as 0xFF in every byte.
//
// Before Linux 5.8 all banks were extended with the SHA-1 digest and zeros up to
// the bank's size; later kernels do so in banks that they have no hash function
// for. Of a violation that is 20 bytes of 0xFF, then zeros. A list does not say
// which it was: [FindBanks] finds out by replay.
//
// # Records
//
// A record is a [mrlog.Record] of [mrlog.TypeIMATemplate]: Name is the template's
// name and Content the template data, of every template the bytes that were
// hashed. So the content of template ima has 276 bytes, although its list has
// them otherwise. Records have no number.
//
// Digests are as extended, the logged one first: that of a violation is 0xFF, with
// [mrlog.NoteViolation], and written back as zeros. No kernel logs 0xFF, or zeros
// beside the digest of a file: such records are marked as not canonical. A record
// of 0xFF without the note, because it is one of these or came through another
// format, is written as 0xFF if its content has the digest of a file, else as a
// violation. A list has the digests of one bank, mostly SHA-1. [Options.Banks] and [Options.Padded]
// let the reader add those of others; Header.DerivedBanks lists them.
//
// IMA extends PCR 10 unless its policy names another register, and RTMR 2 on TDX
// with some kernels. An index up to 3 is taken for that of an RTMR, which
// [mrlog.NoteSpaceAssumed] marks and [Options.Space] overrides.
//
// The size of the digests in a binary list follows from where the first
// template's name stands. Of the algorithms with one size, the one is taken that
// the first record's content hashes with; an ASCII list of a big-endian host is
// told by the same means.
//
// # ASCII and binary
//
// Template data is rebuilt from a line exactly, because every field has one text,
// and evm-sig is no exception: what is not text is there in hexadecimal. Where a
// line cannot be understood, or a template is not known, the record has the text
// of its fields in [mrlog.FormText]; such a record can be replayed and written as
// the line that it was, and becomes nothing else.
//
// The other way, what a line would not give back is a [*mrlog.CarryError]: a NUL
// within a name, a newline in one, a blank in any but the last field, a name
// without its NUL, a template that the kernel does not know. The kernel itself
// writes a newline in a file's name as it is, so that one line becomes two, of
// which the second one can pose as a record: the replay tells. The reader then
// goes on if it can, and else names the line.
//
// # Limits
//
// [MaxName], [MaxData] and [MaxLine], each with its reason. Lists are read in a
// stream; memory is one batch and the record at hand, whatever sizes are stated.
// Nothing is allocated per record.
//
// # Example
//
// A file with the content "hello\n", whose path was "/usr/bin/my tool". The
// kernel writes an underscore for each blank in a name. In binary,
//
//	0a000000                                  index 10
//	2a72e57ea10acde04ca804a9d4dd8959ee14c1e9  SHA-1 of the template data
//	06000000 696d612d6e67                     ima-ng
//	41000000                                  65 bytes of template data
//	28000000 7368613235363a00                 d-ng, 40 bytes: "sha256:", NUL
//	  5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
//	11000000                                  n-ng, 17 bytes
//	  2f7573722f62696e2f6d795f746f6f6c00      "/usr/bin/my_tool", NUL
//
// and in ASCII, on one line,
//
//	10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng
//	sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
//	/usr/bin/my_tool
//
// PCR 10, zero before, then holds 9f2df494d0a8af2b7af5fbaffbf96728176a2ce4 in the
// SHA-1 bank. In the SHA-256 bank it holds
// 8e0af349d71518cd4e28fd0d27da3878500b55f30add40cda170e989e0ed2f5f, and if the
// kernel is older than 5.8,
// 5667ffa4c303ad4a4c29f8e2662fd19e69fd91e2ccca064186bd530035ad207a.
package ima
