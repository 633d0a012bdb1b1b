// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package ima

const raceEnabled = true
