// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Command mrlog records events into measurement registers and their logs,
// converts such logs between formats, replays and verifies them.
//
// Each verb stands in a file of its own. What all of them share is in ui.go
// (what goes where, and with which exit code) and input.go (files, standard
// input, progress).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(program("/")) }

// program runs the command on the machine whose files are below root.
func program(root string) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	// The first signal asks the verb to end; a second one ends the process.
	context.AfterFunc(ctx, stop)
	return run(ctx, &env{
		stdin:  &interruptible{ctx: ctx, src: os.Stdin},
		stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, root: root,
	}, os.Args[1:])
}
