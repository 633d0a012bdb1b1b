// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package convert opens a log of any format as a stream of canonical records,
// and writes such a stream in any format.
//
// There is no converter from one format to another. Each format package
// decodes to [mrlog.Record] and, where the format can carry a record, encodes
// from it; this package tells formats apart ([Detect]), takes a log out of what
// it is wrapped in ([Sniff]) or sent in ([OpenAll]), picks the codec ([Open],
// [NewWriter]) and moves the records ([Copy]).
//
// Logs of one machine number its registers in several spaces. [Look] tells what
// the beginning of a log shows, [PlatformOf] and [CommonSpace] conclude from
// that, [Place] names registers in another space, [Join] makes one log of
// several, and [Number] counts records per register.
//
// A conversion never re-derives a digest: what was logged is what is written.
// What the target cannot carry is an error that names it
// ([mrlog.CarryError]).
package convert
