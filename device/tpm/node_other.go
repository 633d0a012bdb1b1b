// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package tpm

import "errors"

// openNode refuses: this system has no character devices.
func openNode(string) (link, error) {
	return nil, errors.New("TPM devices are not supported on this system; name a Unix socket")
}
