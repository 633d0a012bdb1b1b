// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"time"
)

//go:embed script.sh
var script []byte

const (
	scriptRecords = 200  // run by the script: seconds of work
	scriptScaled  = 1000 // that the target is about; a script's time is linear
	scriptTimes   = 10   // runs of mrlog in a turn, each of which is milliseconds
)

// convertAgainstScript is T4: a shell script that starts programs for every
// record.
func (h *harness) convertAgainstScript() error {
	for _, tool := range []string{"bash", "xxd", "sha384sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			h.report.skip("T4", "there is no "+tool)
			return nil
		}
	}
	file := filepath.Join(h.dir, "script.sh")
	odd, short, long := filepath.Join(h.dir, "plain.nelr"), filepath.Join(h.dir, "200.nelr"), filepath.Join(h.dir, "1000.nelr")
	err := errors.Join(
		os.WriteFile(file, script, 0o600),
		writeOddLog(odd, true), writeLog(short, scriptRecords, 120), writeLog(long, scriptScaled, 120),
	)
	if err != nil {
		return err
	}
	want, err := h.value(h.convert(odd, 1))
	if err != nil {
		return err
	}
	got, err := h.value(command{args: []string{"bash", file, odd}})
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the script and %s differ on %s", h.bin, odd)
	}

	runs, err := h.turns(
		func() (cost, error) {
			c, err := h.time(command{args: []string{"bash", file, short}})
			c.Wall *= scriptScaled / scriptRecords
			c.CPU *= scriptScaled / scriptRecords
			return c, err
		},
		func() (cost, error) { return h.times(scriptTimes, h.convert(long, 1)) },
	)
	if err != nil {
		return err
	}
	h.report.add(row{
		Target: "T4", What: fmt.Sprintf("shell script / convert, %d records of 120 B", scriptScaled), Command: h.typed(h.convert(long, 1)),
		Limit: 1000, Unit: "x",
	}.compare("script", runs[0], "mrlog", runs[1], scriptScaled))
	return nil
}

// times runs a short command several times in a row and returns the mean.
func (h *harness) times(n int, c command) (cost, error) {
	var sum cost
	for range n {
		one, err := h.time(c)
		if err != nil {
			return sum, err
		}
		sum.Wall += one.Wall
		sum.CPU += one.CPU
		sum.RSS = max(sum.RSS, one.RSS)
	}
	sum.Wall /= time.Duration(n)
	sum.CPU /= time.Duration(n)
	return sum, nil
}
