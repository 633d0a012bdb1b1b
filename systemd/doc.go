// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package systemd knows what systemd logs of a measurement, and what of that was
// measured. The log itself is a canonical event log: a JSON text sequence that
// cel.NewSeqReader reads and cel.NewSeqWriter writes byte for byte, or the array
// that systemd-pcrlock prints, which cel.NewJSONReader reads.
//
// # Content
//
// The content of a record is an object of which nothing was measured as it
// stands:
//
//	{"nvIndexName":TEXT,"string":TEXT,"bootId":ID,"timestamp":N,"eventType":TEXT}
//
// The boot id is 32 hexadecimal digits, the timestamp the time since boot in
// microseconds. All but these two may be absent. Of the proposed log of CC
// registers, "mapped_pcr" stands first, see package cel.
//
// # What is hashed
//
// The digest is the hash of the measured bytes. The string shows these, with
// escapes as in C for all but printable ASCII, and for a quotation mark, an
// apostrophe and a backslash. [Measured] takes them back. What cannot be known:
//
//   - events of the type volume-key: their digest is an HMAC whose key is the
//     volume key, over the string;
//   - strings of more than 1024 bytes, which systemd-pcrextend cuts there and
//     marks with "...";
//   - records without a string.
//
// So "enter-initrd" has the digest
// sha256:51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed.
package systemd
