// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// NewPlain starts swtpm as a user would, "--server type=unixio", with nothing
// before it, and returns the path of its socket. It serves one connection at a
// time. It is there until the test ends.
func NewPlain(tb testing.TB) string {
	tb.Helper()
	require(tb)
	dir, err := os.MkdirTemp("", "mrlog-swtpm-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	cmd := exec.Command("swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+path,
		"--flags", "not-need-init,startup-clear",
		"--log", "file="+filepath.Join(dir, "log"))
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// It says nowhere that it listens.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(answerTimeout); ; <-tick.C {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
			return path
		}
		if time.Now().After(end) {
			tb.Fatal(err)
		}
	}
}
