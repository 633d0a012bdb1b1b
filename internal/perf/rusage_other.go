// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"os"
	"time"
)

// Elsewhere the units differ or there is no such count: 0 is "not measured".

func peak(*os.ProcessState) int64 { return 0 }

func ownCPU() time.Duration { return 0 }
