// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import "os"

// maxRSS is not known here: systems count it in different units.
func maxRSS(*os.ProcessState) int64 { return 0 }
