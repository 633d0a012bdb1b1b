// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mrlog.dev"
	"mrlog.dev/ima"
)

// listRecords is how many records the list of the benchmarks has.
const listRecords = 1_000_000

// listRegister is the one that IMA extends.
var listRegister = mrlog.Register{Space: mrlog.PCR, Index: 10}

// writeList writes an ASCII list of so many ima-ng records, each of 172 bytes,
// as a kernel does whose list has SHA-1 digests, and returns the values that it
// leads to in the SHA-1 and the SHA-256 bank.
func writeList(out io.Writer, records int) (sha1, sha256 []byte, err error) {
	w, err := ima.NewASCIIWriter(out, ima.WriteOptions{})
	if err != nil {
		return nil, nil, err
	}
	sha1, sha256 = listRegister.ResetValue(mrlog.SHA1), listRegister.ResetValue(mrlog.SHA256)
	var data, name, sum, other []byte
	for i := range records {
		name = fmt.Appendf(name[:0], "/usr/lib/x86_64-linux-gnu/libexample-%06d.so.%d\x00", i%1_000_000, i%10)
		sum = mrlog.SHA256.AppendSum(sum[:0], name)
		data = append(data[:0], 40, 0, 0, 0)
		data = append(append(data, "sha256:\x00"...), sum...)
		data = append(append(data, byte(len(name)), 0, 0, 0), name...)
		sum = mrlog.SHA1.AppendSum(sum[:0], data)
		other = mrlog.SHA256.AppendSum(other[:0], data)
		if err := mrlog.SHA1.Extend(sha1, sum); err != nil {
			return nil, nil, err
		}
		if err := mrlog.SHA256.Extend(sha256, other); err != nil {
			return nil, nil, err
		}
		err := w.Write([]mrlog.Record{{
			Register: listRegister, Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng"), Content: data,
			Digests: []mrlog.Digest{{Alg: mrlog.SHA1, Sum: sum}},
		}})
		if err != nil {
			return nil, nil, err
		}
	}
	return sha1, sha256, w.Close()
}

// listAgainstPeer is T9: an IMA list against a program that does what
// evidence-api does. See evidence.
func (h *harness) listAgainstPeer() error {
	path := filepath.Join(h.dir, "ima.ascii")
	var sha1, sha256 []byte
	err := createFile(path, func(w io.Writer) (err error) {
		sha1, sha256, err = writeList(w, h.o.records)
		return err
	})
	if err != nil {
		return err
	}
	defer os.Remove(path)
	peer := func(procs int) command { return command{[]string{h.self, childFlag, "evidence", path}, procs} }
	replay := func(procs int) command { return command{[]string{h.bin, "replay", path}, procs} }
	check := func(procs int) command {
		return command{[]string{
			h.bin, "verify", "--expect", "pcr10:sha1=" + hex.EncodeToString(sha1),
			"--expect", "pcr10:sha256=" + hex.EncodeToString(sha256), path,
		}, procs}
	}
	for _, m := range []struct {
		what    string
		command func(procs int) command
		limit   float64
	}{
		{"IMA list, replay", replay, 6},
		{"IMA list read twice, templates checked, two banks", check, 0},
	} {
		for _, procs := range []int{1, 2} {
			c := m.command(procs)
			runs, err := h.turns(h.whole(peer(procs)), h.whole(c))
			if err != nil {
				return err
			}
			h.report.add(row{
				Target: "T9", What: fmt.Sprintf("%s, %d procs: evidence / mrlog", m.what, procs), Command: h.typed(c),
				Limit: m.limit, Unit: "x",
			}.compare("evidence", runs[0], "mrlog", runs[1], h.o.records))
			if procs == 2 {
				h.peak(row{Target: "T9", What: "peak memory, " + m.what, Command: h.typed(c), Limit: memoryLimit}, runs[1])
				if m.limit > 0 {
					h.peak(row{Target: "T9", What: "peak memory, evidence"}, runs[0])
				}
			}
		}
	}
	return h.listChecked()
}

// listChecked compares what verify does with a list in memory whose banks it is
// told: mrlog verify reads a list twice, to find out how they were extended.
func (h *harness) listChecked() error {
	all, err := h.peers("^BenchmarkList$", "1x")
	if err != nil {
		return err
	}
	theirs, err := all.costs("List/evidence")
	if err != nil {
		return err
	}
	for _, procs := range []int{1, 2} {
		ours, err := all.costs(fmt.Sprintf("List/mrlog-%d", procs))
		if err != nil {
			return err
		}
		h.report.add(row{
			Target: "T9", What: fmt.Sprintf("IMA list in memory, templates checked, two banks, %d procs: evidence / verify.Check", procs),
			Command: "go test -run '^$' -bench '^BenchmarkList$' -benchtime 1x ./internal/perf", Limit: 2, Unit: "x",
		}.compare("evidence", theirs, "mrlog", ours, listRecords))
	}
	return nil
}
