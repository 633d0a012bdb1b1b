// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package convert opens a log of any format as a stream of canonical records,
// and writes such a stream in any format.
//
// There is no converter from one format to another. Each format package
// decodes to [mrlog.Record] and, where the format can carry a record, encodes
// from it; this package tells formats apart ([Detect]), picks the codec
// ([Open], [NewWriter]) and moves the records ([Copy]).
//
// A conversion never re-derives a digest: what was logged is what is written.
// What the target cannot carry is an error that names it
// ([mrlog.CarryError]).
package convert
