// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// childFlag makes the program one of its own subprocesses; the next argument
// says which.
const childFlag = "-child"

func child(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("%s: want a role and its arguments", childFlag)
	}
	role, args := args[0], args[1:]
	switch role {
	case "run":
		return childRun(ctx, args)
	case "floor":
		return childFloor(args)
	case "streaming":
		return streaming(args[0], os.Stdout)
	case "collect":
		return collect(args[0], os.Stdout)
	case "evidence":
		return evidence(args[0], os.Stdout)
	}
	return fmt.Errorf("%s %s: no such role", childFlag, role)
}

// childRun runs a command with its output thrown away, and prints what it
// took. See peak for why this is a process of its own.
func childRun(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	c := cost{Wall: time.Since(start), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), RSS: peak(cmd.ProcessState)}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// command is something to run.
type command struct {
	args  []string
	procs int // GOMAXPROCS
}

// shown is the command as a user would type it.
func (c command) shown() string {
	if c.procs == 0 {
		return strings.Join(c.args, " ")
	}
	return "GOMAXPROCS=" + strconv.Itoa(c.procs) + " " + strings.Join(c.args, " ")
}

func (c command) env() []string {
	if c.procs == 0 {
		return os.Environ()
	}
	return append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(c.procs))
}

// time runs the command as a whole process.
func (h *harness) time(c command) (cost, error) {
	return h.ask(command{append([]string{h.self, childFlag, "run"}, c.args...), c.procs})
}

// ask runs a child of ours that prints a cost.
func (h *harness) ask(c command) (cost, error) {
	var out cost
	text, err := h.output(c)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
}

// output runs a command and returns what it prints.
func (h *harness) output(c command) ([]byte, error) {
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(h.ctx, c.args[0], c.args[1:]...)
	cmd.Env = c.env()
	cmd.Stdout, cmd.Stderr = &out, &problem
	// A killed child would leave its own child behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", c.shown(), err, tail(problem.Bytes()))
	}
	return out.Bytes(), nil
}

func tail(b []byte) string {
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return strings.TrimSpace(string(b))
}

// turns runs the contestants one after the other, once to warm up and then
// round by round, and returns the runs of each.
func (h *harness) turns(contestants ...func() (cost, error)) ([][]cost, error) {
	runs := make([][]cost, len(contestants))
	for round := range h.o.rounds + 1 {
		for i, run := range contestants {
			c, err := run()
			if err != nil {
				return nil, err
			}
			if round > 0 {
				runs[i] = append(runs[i], c)
			}
		}
	}
	return runs, nil
}

// whole makes a contestant of a command.
func (h *harness) whole(c command) func() (cost, error) {
	return func() (cost, error) { return h.time(c) }
}

// say tells on standard error what is being done.
func (h *harness) say(format string, args ...any) {
	fmt.Fprintf(h.progress, format+"\n", args...)
}
