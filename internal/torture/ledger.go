// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mrlog.dev/internal/torture/witness"
)

// ledger has all that was submitted to the logs of one register, and what was
// answered.
type ledger struct {
	mu      sync.Mutex
	callers []witness.Caller
	index   map[string]int
	left    []witness.Log // logs that were set aside, oldest first
}

func newLedger() *ledger { return &ledger{index: make(map[string]int)} }

// add writes down events of a caller with their answers, in order.
func (l *ledger) add(caller string, events ...witness.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.index[caller]
	if !ok {
		i = len(l.callers)
		l.index[caller] = i
		l.callers = append(l.callers, witness.Caller{Name: caller})
	}
	l.callers[i].Events = append(l.callers[i].Events, events...)
}

// settle writes down a run's answer.
func (l *ledger) settle(a answer, events ...event) ([]witness.Event, error) {
	got, err := a.settle(events)
	if err != nil {
		return nil, err
	}
	for i, e := range events {
		l.add(e.caller, got[i])
	}
	return got, nil
}

// count returns how many events there are with an outcome.
func (l *ledger) count(o witness.Outcome) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, c := range l.callers {
		for _, e := range c.Events {
			if e.Outcome == o {
				n++
			}
		}
	}
	return n
}

// leave writes down that the register is about to be reset with the machine:
// the live log ends at its present value.
func (l *ledger) leave(end witness.Values) {
	l.left = append(l.left, witness.Log{End: end, Left: true})
}

// check holds the logs of a machine to the ledger. It wants log and register in
// step.
func (l *ledger) check(m *machine) error {
	live, err := m.values()
	if err != nil {
		return err
	}
	aside, err := filepath.Glob(filepath.Join(m.folder(), "log.[0-9]*"))
	if err != nil {
		return err
	}
	slices.SortFunc(aside, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	if len(aside) != len(l.left) {
		return fmt.Errorf("%d logs were set aside, want %d: %q", len(aside), len(l.left), aside)
	}
	logs := slices.Clone(l.left)
	for i := range logs {
		logs[i].Path = aside[i]
	}
	logs = append(logs, witness.Log{Path: m.log(), End: live})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := witness.Check(logs, l.callers); err != nil {
		return err
	}
	st, err := os.Stat(m.log())
	if err != nil {
		return err
	}
	if st.Mode() != 0o600 {
		return fmt.Errorf("the log has mode %v after an operation", st.Mode())
	}
	return nil
}

// inLog reports whether a whole line stands in the live log.
func (m *machine) inLog(line string) (bool, error) {
	data, err := os.ReadFile(m.log())
	if os.IsNotExist(err) {
		return false, nil
	}
	return strings.Contains("\n"+string(data), "\n"+line+"\n"), err
}
