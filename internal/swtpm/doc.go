// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package swtpm runs the TPM emulator swtpm for tests, behind a socket that
// serves any number of clients and can fail in every way that a TPM can.
//
// swtpm itself serves one connection at a time. Between it and its clients
// stands what the kernel's resource manager is for a real TPM: each client's
// commands go to the one kept connection, whole and one at a time. On the way
// a [Fault] may act: lose a command before the TPM has it, lose the answer
// after the TPM has done it, answer in the TPM's stead, wait, or kill the TPM.
//
// The emulator is a child that reads from two sockets which only this process
// holds: it ends when this process does, however that ends.
//
// By hand: go run ./internal/swtpm/serve SOCKET.
package swtpm
