// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package device

// Finding is one thing that a search for a device came upon, for people who
// ask why there is none, or why it does less than they want.
type Finding struct {
	// What was looked at: the path of a file or folder, or a register.
	What string
	// Why it cannot be used, or not wholly; "" says that nothing is wrong
	// with it.
	Why string
	// Remedy is what to do about it, as an order ("run mrlog as root"); "" if
	// nothing is wrong, or nothing can be done on this machine.
	Remedy string
}
