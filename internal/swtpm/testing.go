// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// New starts a TPM with these banks, each with all PCRs, and closes it after
// the test. Without swtpm the test is skipped, or fails if MRLOG_REQUIRE names
// it.
func New(tb testing.TB, algs ...uint16) *TPM {
	tb.Helper()
	var banks []Bank
	for _, a := range algs {
		banks = append(banks, Bank{Alg: a})
	}
	return NewBanks(tb, banks...)
}

// NewBanks is New for banks that may have only some of the PCRs.
func NewBanks(tb testing.TB, banks ...Bank) *TPM {
	tb.Helper()
	require(tb)
	t, err := Start(Options{Banks: banks})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := t.Close(); err != nil {
			tb.Error(err)
		}
	})
	return t
}

// require skips or fails the test where swtpm is missing.
func require(tb testing.TB) {
	tb.Helper()
	if err := Available(); err != nil {
		if slices.Contains(strings.Split(os.Getenv("MRLOG_REQUIRE"), ","), "swtpm") {
			tb.Fatalf("MRLOG_REQUIRE names swtpm, but it cannot be run: %v", err)
		}
		tb.Skip("swtpm is not installed (scripts/need swtpm): ", err)
	}
}
