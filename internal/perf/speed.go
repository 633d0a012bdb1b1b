// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
)

// large tells which of the two targets of a size applies: hashing outweighs
// the rest the more, the longer the lines are, and so does copying.
func large(record int) bool { return record > 500 }

// convertAgainstFloor is T1: what the converter adds to the hashing.
func (h *harness) convertAgainstFloor(record int) error {
	path, err := h.log(record)
	if err != nil {
		return err
	}
	c := h.convert(path, 1)
	floor := h.floorCommand(record)
	runs, err := h.turns(h.whole(c), func() (cost, error) { return h.ask(floor) })
	if err != nil {
		return err
	}
	target := 1.25
	if large(record) {
		target = 1.30
	}
	h.report.add(row{
		Target: "T1", What: fmt.Sprintf("convert, 1 processor / hash floor, %d B", record), Command: h.typed(c),
		Limit: target, Most: true, Unit: "x",
	}.compare("mrlog", runs[0], "floor", runs[1], h.o.records))
	return nil
}

// convertAgainstReference is T2: what care gains over the obvious programs.
func (h *harness) convertAgainstReference(record int) error {
	path, err := h.log(record)
	if err != nil {
		return err
	}
	reference := func(role string) func() (cost, error) {
		return h.whole(command{[]string{h.self, childFlag, role, path}, 1})
	}
	contestants := []func() (cost, error){h.whole(h.convert(path, 1)), reference("streaming")}
	// All records as structs, and all of the output beside them.
	need := int64(h.o.records) * int64(6*record+1200)
	if free := freeMemory(); free == 0 || free > need+need/4 {
		contestants = append(contestants, reference("collect"))
	} else {
		h.report.skip("T2", fmt.Sprintf("collect-then-encode, %d B: it takes about %d MiB of memory, %d are free", record, need>>20, free>>20))
	}
	runs, err := h.turns(contestants...)
	if err != nil {
		return err
	}
	target := 2.0
	if large(record) {
		target = 1.75
	}
	r := row{Target: "T2", Command: h.typed(h.convert(path, 1)), Unit: "x"}
	r.What, r.Limit = fmt.Sprintf("streaming encoding/json / convert, %d B", record), target
	h.report.add(r.compare("streaming", runs[1], "mrlog", runs[0], h.o.records))
	if len(runs) > 2 {
		r.What, r.Limit = fmt.Sprintf("collect-then-encode / convert, %d B", record), 4.4
		h.report.add(r.compare("collect", runs[2], "mrlog", runs[0], h.o.records))
	}
	return nil
}

// convertOnTwo is T3: what a second processor gains.
func (h *harness) convertOnTwo(record int) error {
	if runtime.NumCPU() < 2 {
		h.report.skip("T3", "this machine has one processor")
		return nil
	}
	path, err := h.log(record)
	if err != nil {
		return err
	}
	runs, err := h.turns(h.whole(h.convert(path, 2)), h.whole(h.convert(path, 1)))
	if err != nil {
		return err
	}
	h.report.add(row{
		Target: "T3", What: fmt.Sprintf("convert, 2 processors / 1, %d B", record), Command: h.typed(h.convert(path, 2)),
		Limit: 0.55, Most: true, Unit: "x",
	}.compare("two", runs[0], "one", runs[1], h.o.records))
	return nil
}
