// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"errors"
)

func start(context.Context, []string) error {
	return errors.New("recording works on Linux only, and so does this")
}
