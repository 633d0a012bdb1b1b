// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package cel

// raceEnabled: the race detector changes what is allocated.
const raceEnabled = true
