// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command mount shows the measurement registers of a TDX guest that does not
// exist, in a folder, until it is interrupted: for trying out mrlog, and for
// breaking it by hand. See package tsmfs for what can be made to fail.
//
//	go run ./internal/tsmfs/mount DIR
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mrlog.dev/internal/tsmfs"
)

const usage = `usage: go run ./internal/tsmfs/mount DIR

Mounts simulated measurement registers on the folder DIR, which is made if it
is not there. Ends, and unmounts, on Ctrl-C or SIGTERM.
`

func main() {
	if len(os.Args) != 2 || os.Args[1] == "" || os.Args[1][0] == '-' {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	// From here on, so that a signal during the mount is not lost.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := tsmfs.Mount(dir, tsmfs.Options{})
	if err != nil {
		return err
	}
	fmt.Printf(`Mounted at %[1]s. In another terminal:

  mrlog --device tdx:%[2]s,%[3]s --state DIR extend app.example start
  mrlog --device tdx:%[2]s …                     without reports, as on a tree of unknown make
  cat %[1]s/control                              what is set, counters, values
  echo fail extend EIO after > %[1]s/control     the extend happens, and fails
  echo fail every 7 EBUSY > %[1]s/control        each 7th is refused
  echo slow extend 50ms > %[1]s/control
  echo clear > %[1]s/control
  echo reset > %[1]s/control                     as a reboot does

Ctrl-C unmounts.
`, f.Dir(), f.Tree(), f.Report())
	gone := make(chan struct{})
	go func() { f.Wait(); close(gone) }()
	select {
	case <-ctx.Done():
		return f.Close()
	case <-gone: // unmounted by somebody else
		return nil
	}
}
