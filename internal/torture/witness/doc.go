// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package witness holds logs to what callers were told, with code of its own:
// it imports nothing of this module, so that a bug of the writer cannot hide
// in the check. It knows as much of a native log as the first page of the
// specification says: lines, INIT, and that a register is extended with each
// measured line's digest.
//
// Check wants log and register in step, as after a successful operation. Look
// says how they stand at any moment, as "mrlog status" must say, too.
package witness
