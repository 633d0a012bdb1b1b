// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"time"

	"mrlog.dev/internal/flock"
)

// DefaultLockTimeout is how long an operation waits for other processes. They
// hold a log for two syncs and the extends of one batch: milliseconds; with a
// hardware TPM and a full batch, some seconds.
const DefaultLockTimeout = 10 * time.Second

// lock takes flock(LOCK_EX) on an open file, before the deadline and while ctx
// lasts. How long was waited is for the caller to say.
func lock(ctx context.Context, fd int, path string, deadline time.Time) error {
	err := flock.Lock(ctx, fd, path, deadline)
	if held, ok := errors.AsType[*flock.HeldError](err); ok {
		return &LockError{Path: path, PID: held.PID, Command: held.Command}
	}
	return err
}
