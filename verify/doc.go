// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package verify compares logs with register values, and says what that
// proves.
//
// A log is proven in a bank when its records replay to a value that the caller
// trusts, from a start that is the register's reset value or the end of an
// earlier log. PCR 17 to 22 have two reset values, and the trusted value tells
// which of them it was: zeros are left by a dynamic launch alone. A record is then
//
//   - bound, when its content also re-hashes to its digest,
//   - digest-bound, when its digest is proven and its content only describes
//     what was measured,
//   - unbound otherwise.
//
// A log with a finding does not verify: a content that contradicts its digest
// where the rule is known, or is not what its type says (members beside what
// the type has are let be, and not bound), an INIT record that cannot be used, a record without
// a digest in a compared bank, numbers or types that make no sense after those
// before (a type decides how a content is read, and nobody measures it), a
// stated final value that is not the replay's. SHA-1 alone proves nothing.
//
// A log that goes on past the register is a mismatch, unless the caller accepts
// the part that leads to the value ([Options.Prefix]): then that part is judged
// as if the log ended there, and nothing is said of the rest.
//
// The package takes values, not quotes: whether a value is to be trusted is
// the caller's to know.
package verify
