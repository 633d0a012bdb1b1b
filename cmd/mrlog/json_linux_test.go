// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "mrlog.dev/collect"

// recordingOutputs are what the verbs print that work on Linux only.
func recordingOutputs() []any {
	return []any{
		receiptOutput{},
		receiptBank{},
		recoverOutput{},
		recoverRegister{},
		begunOutput{},
		statusOutput{},
		statusDevice{},
		statusRegister{},
		statusBank{},
		collect.Manifest{},
		collect.ManifestDevice{},
		collect.ManifestRegister{},
		collect.ManifestLog{},
		collect.ManifestBank{},
		statusWarning{},
	}
}
