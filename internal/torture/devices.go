// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"mrlog.dev/internal/swtpm"
	"mrlog.dev/internal/torture/witness"
	"mrlog.dev/internal/tsmfs"
)

// errNoDevice: the device cannot be had on this machine.
var errNoDevice = errors.New("cannot be had here")

// tree gives the machine the measurement tree of a TDX guest, by FUSE.
func (m *machine) tree() error {
	dir := filepath.Join(m.dir, "fuse")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	f, err := tsmfs.Mount(dir, tsmfs.Options{})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", m.kind, errNoDevice, err)
	}
	m.close = func() { _ = f.Close() }
	m.reg = "rtmr2"
	m.device = "tdx:" + f.Tree() + "," + f.Report()
	if m.kind == cached {
		m.device = "tdx:" + f.Tree() + ",none"
	}
	m.file = filepath.Join(f.Tree(), m.reg+":sha384")
	m.values = func() (witness.Values, error) {
		// Not by a read of the file: the kernel's cache may be behind.
		return witness.Values{"sha384": f.Live(m.reg)}, nil
	}
	m.reset = func() error { return f.Control("reset") }
	m.behind = func(line string) error {
		sum, err := witness.Digest("sha384", line)
		if err != nil {
			return err
		}
		return f.Control(fmt.Sprintf("extend %s %x", m.reg, sum))
	}
	if m.kind == cached {
		// Whoever extends beside mrlog does it through the driver, which
		// refreshes the cache. Failing extends leave records undecided, which
		// takes a person: those are tested in process (TestDoubtAtEveryStep).
		m.behind = func(line string) error {
			sum, err := witness.Digest("sha384", line)
			if err != nil {
				return err
			}
			return overwriteAt(m.file, sum)
		}
		return nil
	}
	m.disturb = func(rng *rand.Rand) error {
		faults := []string{
			"EIO", "EIO after", "EBUSY", "EINTR", "ENXIO", "ENXIO after", "EINVAL", "ENOMEM", "short", "short after",
		}
		return f.Control(
			fmt.Sprintf("fail extend every %d %s", 1+rng.IntN(8), faults[rng.IntN(len(faults))]),
			fmt.Sprintf("fail report every %d EIO", 2+rng.IntN(8)),
			fmt.Sprintf("slow extend %dus", rng.IntN(2)*rng.IntN(3000)))
	}
	m.calm = func() error { return f.Control("clear") }
	return nil
}

// overwriteAt writes to the beginning of a file, with one call.
func overwriteAt(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Close())
}

// The banks of the TPM, by TPM_ALG_ID.
var tpmBanks = map[string]uint16{"sha256": 0x000B, "sha384": 0x000C}

// tpm gives the machine an emulated TPM.
func (m *machine) tpm() error {
	if err := swtpm.Available(); err != nil {
		return fmt.Errorf("%s: %w: %w", m.kind, errNoDevice, err)
	}
	const pcr = 14
	t, err := swtpm.Start(swtpm.Options{Socket: filepath.Join(m.dir, "tpm"), Banks: []swtpm.Bank{{Alg: 0x000B}, {Alg: 0x000C}}})
	if err != nil {
		return err
	}
	m.close = func() { _ = t.Close() }
	m.reg = fmt.Sprint("pcr", pcr)
	m.device = "tpm:" + t.Socket()
	m.values = func() (witness.Values, error) {
		out := make(witness.Values)
		for bank, alg := range tpmBanks {
			if out[bank], err = readPCR(t, pcr, alg); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	m.reset = t.PowerCycle
	m.behind = func(line string) error {
		digests := make(map[uint16][]byte)
		for bank, alg := range tpmBanks {
			if digests[alg], err = witness.Digest(bank, line); err != nil {
				return err
			}
		}
		answer, err := t.Send(swtpm.Extend(pcr, digests))
		if err == nil && binary.BigEndian.Uint32(answer[6:]) != 0 {
			err = fmt.Errorf("TPM2_PCR_Extend: %x", answer)
		}
		return err
	}
	m.disturb = func(rng *rand.Rand) error {
		const retry, failure = 0x922, 0x101 // TPM_RC_RETRY, TPM_RC_FAILURE
		faults := []swtpm.Fault{swtpm.Drop, swtpm.DropAnswer, swtpm.Answer(retry), swtpm.Answer(failure)}
		every, calls := 1+rng.IntN(8), 0
		do := faults[rng.IntN(len(faults))]
		t.Inject(swtpm.PCRExtend, -1, func(x *swtpm.Exchange) ([]byte, error) {
			if calls++; calls%every != 0 { // one exchange at a time
				return x.Forward(x.Command)
			}
			return do(x)
		})
		return nil
	}
	m.calm = func() error { t.Heal(); return nil }
	m.die = func() { t.Inject(swtpm.PCRExtend, 1, swtpm.Die) }
	m.revive = t.Restart
	return nil
}

// readPCR reads a PCR with a command of its own making.
func readPCR(t *swtpm.TPM, pcr int, alg uint16) ([]byte, error) {
	cmd := binary.BigEndian.AppendUint32(nil, 1) // one selection
	cmd = binary.BigEndian.AppendUint16(cmd, alg)
	selected := [3]byte{}
	selected[pcr/8] = 1 << (pcr % 8)
	cmd = append(append(cmd, 3), selected[:]...)
	head := binary.BigEndian.AppendUint16(nil, 0x8001)
	head = binary.BigEndian.AppendUint32(head, uint32(10+len(cmd)))
	head = binary.BigEndian.AppendUint32(head, swtpm.PCRRead)
	answer, err := t.Send(append(head, cmd...))
	if err != nil {
		return nil, err
	}
	// Header 10, update counter 4, selection 4 + 6, one digest 4, its size 2.
	const at = 10 + 4 + 4 + 6 + 4 + 2
	if len(answer) <= at || binary.BigEndian.Uint32(answer[6:]) != 0 || int(binary.BigEndian.Uint16(answer[at-2:])) != len(answer)-at {
		return nil, fmt.Errorf("TPM2_PCR_Read: %x", answer)
	}
	return answer[at:], nil
}
