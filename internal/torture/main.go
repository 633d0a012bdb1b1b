// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Command torture breaks the built mrlog in every way that it can think of,
// and holds what is left to what callers were told, with the witness's eyes.
//
//   - steps: every system call of a run on files and devices fails, and is
//     killed at, one at a time (strace);
//   - crash: writers are killed at random, again and again;
//   - abuse: what else machines and people do to a log and its register.
//
// docs/reliability.md says what that proves. Everything follows from the seed,
// but for what the kernel's scheduler adds.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}
