// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package tcg_test

const raceEnabled = true
