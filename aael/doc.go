// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package aael knows the event log of the Confidential Containers attestation
// agent (AAEL), in both of its forms.
//
// # Events
//
// An event is a domain, an operation and a content, in one line of text:
//
//	domain SP operation SP content
//
// Domain and operation hold no blank, the content may; none holds a newline.
//
// # Today: TCG records
//
// The agent's file (/run/attestation-agent/eventlog) holds TCG records without a
// header, which package tcg reads and writes. Each has one digest, the type
// EV_EVENT_TAG, and as data a tagged event, little-endian:
//
//	id 0x4141454c, 32 bits | size, 32 bits | text
//
// The digest is the hash of all of that, not of the text. [AppendTagged] and
// [ParseTagged] make and read it, [Event.Record] makes the record of an event.
//
// A verifier is handed the firmware's log and the agent's in one ([Compose]):
// the CC event log up to its end, or in its absence a header without a
// signature, then the agent's file, then eight bytes of 0xFF. [Split] takes them
// apart.
//
// # Before: lines
//
// Until July 2025 (guest-components v0.14) the file was text:
//
//	INIT sha384/000000000000000000000000000000000000000000000000
//	domain operation content
//
// Every line was hashed, without its newline, and extended, INIT too, as in
// native event logs. But the value that INIT states, the register's before, was
// padded to half of its width only, and the published form was another
// ("INIT/sha384 000…"). [NewTextReader] reads either, upper-case digits too, and
// takes missing digits on the left for zeros.
//
// The log has no digests; the reader computes them. Its lines are records of
// type CC-CEL. An INIT line that native logs could not have, and that states the
// register's reset value, is a TCG event of type EV_ACTION with the line as its
// data: it states nothing that a replay does not know. [TextReader.Init] returns
// the value that was stated.
//
// # Example
//
// The event "domain operation content" in CC-MR 4, which is RTMR3:
//
//	04000000 06000000 01000000 0c00   index 4, EV_EVENT_TAG, one digest, SHA-384
//	dad5f0e226318ffa9839b75a472c6aa7fdb5834949d0a0a22990cf04d5692440
//	fb00f3aa0609db7e49cd8d793f670d02
//	20000000                          32 bytes
//	  4c454141 18000000                 id, 24 bytes
//	  646f6d61696e206f7065726174696f6e20636f6e74656e74
//
// RTMR3, zero before, then holds
// 82d3f7a4203f58dafe0519eb5e9f645339cda127418c62d4b0270d790ab6ff3c38783523613a7a9f610e7ba004788c26.
//
// # Limits
//
// [MaxLine], and those of package tcg.
package aael
