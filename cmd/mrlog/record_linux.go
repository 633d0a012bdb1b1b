// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"mrlog.dev/device"
	"mrlog.dev/keeper"
)

// classifyRecording gives the errors of keeper and device their exit codes.
func classifyRecording(err error) (code int, ok bool) {
	switch {
	case errors.Is(err, keeper.ErrDiverged), errors.Is(err, keeper.ErrUndecided):
		return exitNo, true
	case errors.Is(err, keeper.ErrEvent), errors.Is(err, keeper.ErrReadable), errors.Is(err, device.ErrNoRegister), errors.Is(err, device.ErrNotExtendable):
		return exitUsage, true
	}
	return 0, false
}
