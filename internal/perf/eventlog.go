// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	listedTimes = 10 // runs of a command in a turn that takes milliseconds

	// realModule has a real log of 34 kB with three banks.
	realModule = "github.com/google/go-eventlog"
	realLog    = "testdata/eventlogs/tpm/ubuntu-2104-no-dbx.bin"
)

// listAgainstEventlog is T8, whole processes: a log of firmware is read,
// replayed and listed, event by event with what its data says.
func (h *harness) listAgainstEventlog() error {
	if _, err := exec.LookPath("tpm2_eventlog"); err != nil {
		h.report.skip("T8", "there is no tpm2_eventlog")
		return nil
	}
	folder, err := h.output(command{args: []string{"go", "list", "-m", "-f", "{{.Dir}}", realModule}})
	if err != nil {
		return err
	}
	small, large := filepath.Join(h.dir, "real.bin"), filepath.Join(h.dir, "many.bin")
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), realLog))
	if err == nil {
		err = os.WriteFile(small, data, 0o600)
	}
	if err == nil {
		err = createFile(large, func(w io.Writer) error { return writeFirmware(w, manyEvents, tpmBanks...) })
	}
	if err != nil {
		return err
	}
	defer os.Remove(large)
	for _, path := range []string{small, large} {
		if err := h.sameEvents(path); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		what, path    string
		events, times int
		ours          string
		limit         float64
	}{
		{"a real log of 34 kB", small, 111, listedTimes, "--json", 0.45},
		{"100000 events, three banks", large, manyEvents, 1, "--json", 0.45},
		{"the same as text", large, manyEvents, 1, "--long", 0},
	} {
		ours := command{args: []string{h.bin, "show", m.ours, m.path}}
		runs, err := h.turns(
			func() (cost, error) { return h.times(m.times, ours) },
			func() (cost, error) { return h.times(m.times, eventlog(m.path)) },
		)
		if err != nil {
			return err
		}
		h.report.add(row{
			Target: "T8", What: m.what + ": show " + m.ours + " / tpm2_eventlog", Command: h.typed(ours), Limit: m.limit, Most: true, Unit: "x",
		}.compare("mrlog", runs[0], "tpm2_eventlog", runs[1], m.events))
	}
	return nil
}

// eventlog is the other program, with all that it decodes.
func eventlog(path string) command {
	return command{args: []string{"tpm2_eventlog", "--eventlog-version=2", path}}
}

// sameEvents checks that both list all events of a log.
func (h *harness) sameEvents(path string) error {
	ours, err := h.output(command{args: []string{h.bin, "show", "--json", path}})
	if err != nil {
		return err
	}
	theirs, err := h.output(eventlog(path))
	if err != nil {
		return err
	}
	if a, b := bytes.Count(ours, []byte(`"recnum":`)), bytes.Count(theirs, []byte("\n- EventNum: ")); a != b || a == 0 {
		return fmt.Errorf("%s: %d events, tpm2_eventlog lists %d", path, a, b)
	}
	return nil
}
