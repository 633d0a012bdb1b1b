// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package claims writes the claims that trustee, the verifier of Confidential
// Containers, derives from a firmware log: the array uefi_event_logs, so that
// policies written for it can be used and tried without it.
//
// The claims are trustee's, with its quirks: they are equal, as JSON values, to
// what it prints for the same log. Where mrlog knows better, see package event,
// it does not show here. Worth knowing before relying on them:
//
//   - digest_matches_event compares the digests with the whole data of the
//     event. Of EV_EFI_VARIABLE_BOOT and of GRUB's texts it is false although
//     the digest is of a part of the data.
//   - It is true only if it holds in every bank.
//   - The first record, the header, is left out. Later EV_NO_ACTION events,
//     which were never measured, are claims like others.
//   - The content of an AAEL event is JSON if it parses as JSON, and a string
//     if not; of repeated members the last counts.
//   - The GUID of a variable is written in the order of its bytes.
//   - The description of a firmware blob or a handoff table loses its last
//     character, which is a NUL in most firmware.
//   - The end of a device path is cut off by its length, and nodes that trustee
//     does not know are Path(type,subtype,data). An IPv4 address is written
//     backwards.
//
// A log that trustee refuses as a whole is refused here, too, with the record
// that it stops at: an event type that it does not know, a digest that is
// SHA-1, text that is not UTF-8.
package claims
