// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package tpm is a device of the platform configuration registers (PCRs) of a
// TPM 2.0.
//
// # Where
//
// A path names a character device of the kernel, /dev/tpmrm0 (which any number
// of programs may use at once) or /dev/tpm0 (which serves one at a time), or a
// Unix socket on which somebody speaks the TPM's own protocol: swtpm with
// "--server type=unixio", or what stands before it. A character device counts
// as a TPM. Whatever is behind a socket counts as simulated: it may be a proxy
// before the real one, but nothing on this side of it could tell.
//
// # Registers
//
// Banks and their PCRs are what the TPM says is active, and only what mrlog can
// compute is among a register's banks. A PCR that is also active in a bank of
// an unknown algorithm is not extendable: whoever extends the other banks and
// leaves one out lets the next program put into it what it likes. Which
// PCRs locality 0 may extend, and programs have no other, the TPM says as well
// (TPM_PT_PCR_EXTEND_L0); for one that does not, PCRs 17 to 22 are left to the
// dynamic root of trust. PCRs 16 and 23 can be reset by any program
// ([Device.Resettable]), so that they prove nothing about what was before.
//
// # Connection
//
// One connection is kept open, and used for one command at a time. A command
// without an answer ends it: a late answer must never be taken for that of the
// next command. The next operation makes a new one. An extend is never sent a
// second time, because the TPM may have executed the first: the error says so,
// and the register's value tells. TPM_RC_RETRY, TPM_RC_TESTING and
// TPM_RC_YIELDED say that the command was not executed; it is sent again, for
// some seconds.
//
// # Resets
//
// A TPM that is reset while the machine runs on (an emulator that was started
// anew, say) has lost what was extended. It shows in TPM_RC_INITIALIZE, in the
// reset counts after a new connection, and in an update counter that goes
// back. A register is then not extended until it has been read again
// ([ErrReset]), so that the caller can see what has become of it. A reset that
// nothing shows before an extend is sent shows in the next read's value.
package tpm
