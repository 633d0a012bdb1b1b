// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package nelr reads and writes native event logs: text files of what software
// measured into one measurement register, one line per record.
//
// [NewReader] reads a log as records with their digests, for [mrlog.Replay] and
// for every other format; [NewWriter] writes records back as lines.
// [Event.AppendLine] makes the line of an event, [CheckFreeForm] checks one that
// has another form, [AppendComment] and [AppendHint] make what is not measured.
// Appending to a log and extending its register belong together, and are the
// business of package keeper.
//
// What follows is the format in short. docs/spec/nelr.md is the specification,
// to whose sections the comments of this package refer.
//
// # Lines
//
// A log is lines, each ended by a newline. Empty lines and lines whose first
// byte is '#' are not measured. Any other line is a record, with all of its
// bytes but the newline: blanks at either end, tabs and a carriage return count,
// and nothing is an escape.
//
//	log      = *skipped init LF *( skipped / record LF ) [ comment ]
//	skipped  = [ comment ] LF
//	comment  = "#" *byte
//	init     = "INIT" 1*( SP alg "/" value )
//	record   = first *byte
//	first    = any byte but LF and "#"
//	byte     = any byte but LF
//
// # INIT
//
// The first record, and no other, is INIT: for each bank of the register the
// algorithm and the value that it had before the log began, in lower-case
// hexadecimal of exactly the algorithm's size. Algorithms are sha1, sha256,
// sha384, sha512, sm3_256, sha3_256, sha3_384 and sha3_512, none twice. Anything
// else is an error, so that a start value has one spelling.
//
// # Hashing
//
// The digest of a record is the hash of its bytes, in every bank that INIT
// lists. The register's value is INIT's value, extended by the digest of each
// record in order, INIT's own first:
//
//	value = H(value ‖ H(record))
//
// # Events
//
// The record of an event is its domain, operation and content, one blank
// between:
//
//	event     = domain SP operation [ SP content ]
//	domain    = 1*printable
//	operation = 1*printable
//	printable = %x21-7E
//
// The content is UTF-8 without control characters other than tab. Different
// events never give the same line. A domain with an upper-case letter and no
// lower-case one is reserved for keepers and verifiers, and none begins with
// '#'. Readers do not insist on any of this: whatever was measured is replayed.
//
// # Comments and hints
//
// A comment for people is "# " and text. A hint is a comment for tools:
//
//	#: KEY VALUE
//
// "#: register rtmr3" names the log's register; it counts only before INIT,
// because a reader streams. Without it, and without [Options.Register], the
// register is RTMR 2. Neither comments nor hints are measured or to be trusted.
//
// # Torn lines
//
// A last line without a newline that is no comment is torn: its writer died, or
// the file was cut. It is an error that wraps [ErrTorn], unless
// [Options.IgnoreTorn] leaves the line out; it is never left out silently.
//
// # Limits
//
// A line has at most [MaxLine] bytes, a log [MaxLog]. Reading takes memory for
// one line and a block, however long the log.
//
// # Example
//
// The sample of the original proposal, without its comments:
//
//	INIT sha384/000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
//	github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef
//	github.com/confidential-containers EventWithJSONParams { "key1":"value1\tmore values and 'quotes'\n", "key2": [ "value2", 2, true, null ] }
//
// Its digests, and the value of the register after each:
//
//	0 digest 5d97ae953f7b03a1e93f58f9d621f84d1bdf053d1ec5ad2461262a938ecd4ed4d42d3c5c42084828da1c8051a6c08e6a
//	  value  6c365f76661093e45396aa72e4b9da060ba558a71df61eda609c51ae4b47908d2d04abde885a1501689217d0a2419613
//	1 digest 98cfd27eaba5b57ee1b9bbb2da9886ec9ebc40ef428ffd5eda1a4024039beed7d0f4b46b2e63bb419780f619add308ef
//	  value  4341d9c05831365b03bef0808ab453043694f76506204b7e104504f471af92bd6c4194b96b890112dfa7e1eb5a9007f6
//	2 digest dfcf2f7ac9a8e19cbe4233837a1cd34a4c6517a8d6852aa8a566e1f43b39dc1f32bcb51fa4e6c7a139c844ab5c766361
//	  value  4693cf54a9c8b386c67290abfa981696fe07d985d06e7f06c6929370db90bbb647faff2bc0375d270aa2f0dd42635568
package nelr
