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

// listRegister is the one that IMA extends.
var listRegister = mrlog.Register{Space: mrlog.PCR, Index: 10}

// writeList writes an ASCII list of so many ima-ng records, each some 179 bytes,
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
		{"IMA list, templates checked, two banks", check, 2},
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
			if procs == 1 {
				continue
			}
			rss := func(runs []cost) spread {
				s := spreadOf(each(runs, func(c cost) float64 { return float64(c.RSS) / (1 << 20) }))
				s.Median = s.Max // what counts is the worst of them
				return s
			}
			if runs[0][0].RSS == 0 {
				h.report.skip("T9", "peak memory is not measured on this system")
				continue
			}
			h.report.add(row{
				Target: "T9", What: "peak memory, " + m.what, Command: h.typed(c), Limit: memoryLimit, Most: true, Unit: "MiB",
				Value: rss(runs[1]), Detail: fmt.Sprintf("evidence: %s MiB", figure(rss(runs[0]).Max)),
			})
		}
	}
	return nil
}
