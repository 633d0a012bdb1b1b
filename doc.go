// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package mrlog is the vocabulary of measurement logs: algorithms, digests,
// registers and their banks, the canonical record, and the replay that turns
// records into register values.
//
// A confidential machine has measurement registers (PCRs of a TPM, RTMRs of
// a TDX guest). Software can only extend one:
//
//	value = H(value ‖ digest)
//
// A remote verifier sees the final value in signed evidence and nothing else,
// so that the value means what the log of its digests says, and no more.
//
// # The hub
//
// [Record] is the information model of the TCG Canonical Event Log. Every
// format package (nelr, cel, …) decodes into it and, where the format can
// carry the record, encodes from it. A [Reader] yields records in batches, a
// [Writer] takes them; memory is one [Batch], never the log.
//
// # Replay
//
// [Replay] extends the digests of a stream of records into any number of
// registers and banks. Its zero value starts every register at the value that
// it has after a reset ([Register.ResetValue]). An INIT record (see package
// nelr) may state another start; [Replay] says what became of it.
//
// A register value that a replay computes is a claim of the log. It becomes
// proof only by comparison with a value from signed evidence: package verify.
//
// # What this package does not do
//
// It performs no I/O, keeps no global state, and trusts nothing that it reads.
package mrlog
