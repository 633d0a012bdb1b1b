// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package tcg reads and writes the event logs of TCG firmware (PC Client Platform
// Firmware Profile 1.06, section 10) and those of the same form: the log of a
// TPM's PCRs, the CC event log of TDX and CSV guests (CCEL), and the log of
// CoCo's attestation agent (AAEL).
//
// # Form
//
// All integers are little-endian. The first record has the shape of TCG 1.2:
//
//	index u32 | type u32 | SHA-1 digest, 20 bytes | size u32 | data
//
// If its data is a Spec ID event, the log is crypto-agile ([Agile]): the event
// lists the banks with the sizes of their digests ([SpecID]), and the other
// records are
//
//	index u32 | type u32 | count u32 | count × (algorithm u16 | digest) | size u32 | data
//
// with one digest per bank, each bank at most once, at least one. Algorithms
// that nobody knows are read by the stated size. Otherwise the log is one of
// TCG 1.2 ([SHA1]), and all records have the first shape. CoCo's agent writes a
// Spec ID event whose signature is zero ([CoCo]), and a file of its own without
// one ([AAEL]), which [Options.Bare] reads.
//
// Nothing but the structure is judged. An event of any type and with any data is
// a record.
//
// # Records
//
// A record is of content type pcclient_std: Record.Event is the type, Content
// the data, Digests stand in the order of the log. The format has no numbers.
// EV_NO_ACTION events are never extended, wherever they stand; their digests
// are kept. The header is record 0, an EV_NO_ACTION event like others, so that
// the log can be written back byte for byte, by way of any format that carries
// TCG events.
//
// StartupLocality and H-CRTM events start PCR 0, events of a dynamic launch PCR
// 17 to 22: [mrlog.Replay] sees to it.
//
// # The space of the indexes
//
// The format does not tell PCRs from CC-MRs. A log with one bank, SHA-384 or
// SM3, whose records have indexes up to 4 is taken for a CC log. The log is read
// up to [MaxLookAhead] for that before the first record is given out; if a
// larger index comes later still, it is an error that asks for [Options.Space].
// Any other log is of PCRs. That indexes were taken for CC-MRs is marked with
// [mrlog.NoteSpaceAssumed].
//
// # The end
//
// Firmware keeps its log in an area that is larger. The log ends at the end of
// the input, or where instead of an index and a type there are eight bytes of
// 0xFF, or eight of zero. But an EV_PREBOOT_CERT event in PCR 0 begins with
// eight zero bytes, too: except in a CC log, where nothing is extended into
// index 0, zeros end the log only if the count of digests (in the SHA-1 shape,
// the digest) is zero as well.
//
// What follows is padding if it is 0xFF, then zero, to the end of the input. It
// is counted ([mrlog.Header].Padding, [Reader.End]) and does not travel. Other
// bytes there are an error, because they may be records that someone appended
// without cutting off the padding. So is an input that ends within a record.
//
// # Limits
//
// [MaxEvent], [MaxLookAhead], [mrlog.MaxDigests], [mrlog.MaxIndex] and
// [mrlog.MaxUnknownDigestSize]; [mrlog.NoIndex] may stand in an EV_NO_ACTION
// event. Reading allocates nothing per record.
//
// # Example
//
// The header of a TDX guest's log and one EV_SEPARATOR in CC-MR 2:
//
//	00000000 03000000                 index 0, EV_NO_ACTION
//	0000000000000000000000000000000000000000
//	21000000                          33 bytes
//	  53706563204944204576656e74303300  "Spec ID Event03\0"
//	  00000000 00 02 00 02              platform class, version 2.0, errata, uintn
//	  01000000 0c00 3000                one algorithm: SHA-384 of 48 bytes
//	  00                                no vendor info
//	02000000 04000000                 index 2, EV_SEPARATOR
//	01000000 0c00                     one digest, SHA-384
//	394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae4101
//	9f5818b4b971c9effc60e1ad9f1289f0
//	04000000 00000000                 four bytes of data
//
// CC-MR 2, which is RTMR1, zero before, then holds
// 518923b0f955d08da077c96aaba522b9decede61c599cea6c41889cfbea4ae4d50529d96fe4d1afdafb65e7f95bf23c4.
package tcg
