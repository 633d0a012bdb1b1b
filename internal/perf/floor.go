// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// The hash floor is the work that no implementation on one processor avoids
// with the standard library's SHA-384: the digest of every line, and the
// register's chain, H(value ‖ digest).

// floorCommand has the floor measured by a child: a fresh process has nothing
// else to do, on one processor.
func (h *harness) floorCommand(record int) command {
	return command{[]string{h.self, childFlag, "floor", strconv.Itoa(h.o.records), strconv.Itoa(record)}, 1}
}

func childFloor(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("floor: want RECORDS and BYTES")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	record, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(hashFloor(n, record))
}

// hashFloor hashes n lines of a log with such records. It goes through few
// lines again and again, which stay in the processor's cache: to get them
// there is the converter's work.
func hashFloor(n, record int) cost {
	const block = 64
	source := newLineSource(record)
	lines := make([][]byte, block)
	for i := range lines {
		lines[i] = append([]byte(nil), source.next()...)
	}
	var digests [block][sha512.Size384]byte
	var state [2 * sha512.Size384]byte
	cpu, start := ownCPU(), time.Now()
	for done := 0; done < n; done += block {
		size := min(block, n-done)
		for i := range size {
			digests[i] = sha512.Sum384(lines[i])
		}
		for i := range size {
			copy(state[sha512.Size384:], digests[i][:])
			value := sha512.Sum384(state[:])
			copy(state[:], value[:])
		}
	}
	return cost{Wall: time.Since(start), CPU: ownCPU() - cpu}
}
