// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// Recording needs Linux; a verifier's part of the program runs everywhere.

func newExtend(*env, *globals) *cobra.Command {
	return elsewhere("extend", "measure an event: append it to the log, extend the register")
}

func newStatus(*env, *globals) *cobra.Command {
	return elsewhere("status", "show device, registers and logs, and whether they agree")
}

func newSnapshot(*env, *globals) *cobra.Command {
	return elsewhere("snapshot", "copy register values and the logs that lead to them")
}

func newRecover(*env, *globals) *cobra.Command {
	return elsewhere("recover", "complete or take back what a crash has interrupted")
}

func newLog(*env, *globals) *cobra.Command {
	return elsewhere("log", "begin a new log, and keep the old one")
}

func elsewhere(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb, Short: short, Example: "  mrlog " + verb, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return &failure{code: exitFailed, err: errors.New(verb + " works on Linux only")}
		},
	}
}

// classifyRecording knows no errors here.
func classifyRecording(error) (code int, ok bool) { return 0, false }
