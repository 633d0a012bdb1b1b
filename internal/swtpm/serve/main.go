// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Command serve runs an emulated TPM on a Unix socket, for trying mrlog by
// hand. It runs until it is interrupted, and leaves nothing behind.
//
//	go run ./internal/swtpm/serve [-banks sha256,sha384] SOCKET
//
// A SIGHUP resets the TPM, as a loss of power does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"mrlog.dev/internal/swtpm"
)

func main() {
	banks := flag.String("banks", "sha256,sha384", "active PCR banks: sha1, sha256, sha384, sha512")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: serve [-banks sha256,sha384] SOCKET")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(*banks, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(banks, socket string) (err error) {
	o := swtpm.Options{}
	if o.Socket, err = filepath.Abs(socket); err != nil {
		return err
	}
	ids := map[string]uint16{"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
	for name := range strings.SplitSeq(banks, ",") {
		id, ok := ids[name]
		if !ok {
			return fmt.Errorf("unknown bank %q (known: sha1, sha256, sha384, sha512)", name)
		}
		o.Banks = append(o.Banks, swtpm.Bank{Alg: id})
	}
	if err := swtpm.Available(); err != nil {
		return fmt.Errorf("swtpm cannot be run (install the package swtpm): %w", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	t, err := swtpm.Start(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	fmt.Printf("a TPM with the banks %s is at %s\n", banks, o.Socket)
	fmt.Printf("\nuse it:    mrlog --device tpm:%s status\n", o.Socket)
	fmt.Printf("reset it:  kill -HUP %d\n", os.Getpid())
	fmt.Printf("stop it:   Ctrl-C, or kill %d\n", os.Getpid())
	for s := range signals {
		if s != syscall.SIGHUP {
			return nil
		}
		if err := t.PowerCycle(); err != nil {
			return err
		}
		fmt.Println("the TPM was reset")
	}
	return nil
}
