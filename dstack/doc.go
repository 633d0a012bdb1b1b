// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package dstack reads and writes the event logs of dstack guests, in both of
// their forms.
//
// # Forms
//
// The guest's own file is JSON lines ("lines"), one runtime event on each:
//
//	{"event":NAME,"payload":BASE64,"version":2}
//
// What the guest's agent and the quotes give is an array ("api") of what was
// measured by firmware and at run time:
//
//	{"imr":N,"event_type":N,"digest":HEX,"event":NAME,"event_payload":HEX,
//	 "version":2,"preimage":HEX}
//
// "version" is absent from events of version 1, "preimage" (older: "hash_input")
// unless it was asked for. The number imr is that of an RTMR: the index of a CC
// log less one. Runtime events are of RTMR 3 and type 0x08000001 and have a name;
// events of the firmware have none. To save room, agents leave out the digest of
// a runtime event and the payload of one of the firmware: the string is empty.
//
// # What is hashed
//
// The digest of a runtime event is the hash of its preimage. In version 1 that
// is
//
//	type, 32 bits, little-endian ‖ ":" ‖ name ‖ ":" ‖ payload
//
// in version 2 the JSON text (RFC 8785)
//
//	{"name":NAME,"payload":HEX,"type":134217729}
//
// A preimage of version 1 does not tell where the name ends if there is a colon
// in the name or in the payload: the events ("a:b", "c") and ("a", "b:c") have
// one digest. [Event.Ambiguous] reports it. Nobody should decide by the name of
// such an event.
//
// # Records
//
// A runtime event is a record of type pcclient_std with the event type of dstack
// whose Content is the preimage, as dstack itself puts it into a TCG log: the
// digest is that of the Content, whichever version. [Measured] gives the event
// back. An event of the firmware is a record as in the TCG log.
//
// What has no room there is kept whole, as JSON, in a record of the named type
// "dstack": a name with a colon in version 1, an event whose payload was left
// out, a preimage that is not the event's, members that mrlog does not know.
//
// Where the log holds a digest, it is the record's. Where it holds none, it is
// computed: in the whole of a file, and for the runtime events of a log from
// which they were left out. [mrlog.Header].Derived tells of files; an array may
// have both, and says nothing.
//
// # Example
//
// The event "compose-hash" with the payload abcd:
//
//	version 1  01000008 3a 636f6d706f73652d68617368 3a abcd
//	           e910bac274d132c3c6c23ac10103947a0a07783a277d9aab6bb12db5749cdb29
//	           6275a888328c43479a8be40268a72a62
//	version 2  {"name":"compose-hash","payload":"abcd","type":134217729}
//	           9dde1673f544faa94b921825209593ddde08d0baf9cd6990175dffaf3081f1bb
//	           10311d56de189491feb33842a050ad7b
//
// # Limits
//
// [MaxEvent] bounds an event as text. Reading takes memory for one event and a
// batch, however long the log.
package dstack
