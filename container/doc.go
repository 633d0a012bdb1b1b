// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package container takes event logs out of what they are sent in: the evidence
// of a confidential guest, an agent's response, a verifier's claims. [Open] gives
// the logs, each with the name of its format.
//
// # Containers
//
// All are JSON objects. A log is known by the name of its member, at whatever
// depth it stands:
//
//	cc_eventlog           base64 of a TCG log                CoCo, TDX and CSV
//	aa_eventlog           the agent's older log, as text     CoCo, TDX, until 2025
//	mb_measurement_list   base64 of a TCG log                Keylime
//	ima_measurement_list  an IMA list in ASCII               Keylime
//	uefi_event_logs       an array, below                    claims of CoCo's trustee
//	event_log             an array, or the text of one, or   dstack, Intel Trust
//	                      base64 of that or of a TCG log     Authority
//
// A member that is null or empty holds no log. "ima_measurement_list_entry" beside
// Keylime's list is the number of its first record: an agent sends what is new.
// Quotes and certificates are not looked at. Nothing that a container says beside
// its logs is proven.
//
// # Claims
//
// The claims of trustee, which [NewClaimsReader] reads, are TCG events in the
// order of the log, without its header:
//
//	{"details":{…},"digest_matches_event":BOOL,"digests":[{"alg":"SHA-384","digest":HEX}],
//	 "event":BASE64,"index":N,"type_name":"EV_SEPARATOR"}
//
// The index is that of the log, a CC-MR or a PCR. Details and digest_matches_event
// are what trustee concludes from the rest; they and members that mrlog does not
// know are left out. An event of an unknown type_name is kept whole, as JSON.
//
// # Trust Authority
//
// The clients of Intel Trust Authority group events by register and bank, and
// leave out their data. [NewIntelReader] reads it:
//
//	[{"rtmr":{"index":N,"bank":"SHA384"},
//	  "rtmr_events":[{"type_id":"0x80000001","type_name":"EV_…","tags":[TEXT],"measurement":HEX}]}]
//
// The index is that of the firmware's log, a CC-MR, whatever the name says. The
// order of events holds within a group. With several banks each event stands once
// in each, and gives as many records. A record's content is the event as it stood,
// because the tags are text for people, not what was measured.
//
// # Limits
//
// [MaxLogs] and [Options].MaxSize bound what Open keeps, [MaxEvent] what the
// readers hold of an event, package strict depth and names.
package container
