// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mrlog.dev/internal/torture/witness"
)

// patience is how long a program may take before it counts as hanging: more
// than the keeper waits for a lock.
const patience = 60 * time.Second

// builds are the programs under test: two builds of the same source, since a
// machine may run both while it is updated.
type builds [2]string

// build makes both.
func build(ctx context.Context, dir string) (builds, error) {
	var out builds
	for i := range out {
		out[i] = filepath.Join(dir, string(rune('a'+i)), "mrlog")
		flags := []string{"-s -w -X main.version=torture-a", "-X main.version=torture-b"}[i]
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", out[i], "mrlog.dev/cmd/mrlog")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return out, fmt.Errorf("building mrlog: %w\n%s", err, text)
		}
	}
	return out, nil
}

// given takes one program for both builds, under the name that scripts call.
func given(bin, dir string) (builds, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return builds{}, err
	}
	name := filepath.Join(dir, "mrlog")
	return builds{name, name}, os.Symlink(bin, name)
}

// answer is how a run of mrlog ended.
type answer struct {
	code   int // -1 if it was killed
	stdout string
	stderr string
}

func (a answer) killed() bool { return a.code < 0 }

func (a answer) String() string {
	return fmt.Sprintf("exit %d, stdout %.300q, stderr %.600q", a.code, a.stdout, a.stderr)
}

// args puts together what every run on a machine is given.
func (m *machine) args(args ...string) []string {
	return append(args, "--state", m.state, "--device", m.device)
}

// run runs a program to its end.
func run(stdin string, name string, args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	a := answer{stdout: stdout.String(), stderr: stderr.String()}
	if ctx.Err() != nil {
		return a, fmt.Errorf("%s %s: no end after %v: %v", name, strings.Join(args, " "), patience, a)
	}
	var code error
	if a.code, code = exitCode(err); code != nil {
		return a, code
	}
	return a, nil
}

// exitCode returns the exit code that an error of Wait stands for, -1 for death
// by a signal.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return -1, nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// event is one to be submitted: torture.example/CALLER Op CONTENT.
type event struct{ caller, content string }

func (e event) domain() string { return "torture.example/" + e.caller }
func (e event) line() string   { return e.domain() + " Op " + e.content }

// extend records one event with the command.
func (m *machine) extend(bin string, e event, flags ...string) (answer, error) {
	return run("", bin, m.extendArgs(e, flags...)...)
}

func (m *machine) extendArgs(e event, flags ...string) []string {
	args := append([]string{"extend", "--register", m.reg}, flags...)
	return m.args(append(args, e.domain(), "Op", e.content)...)
}

var receiptLine = regexp.MustCompile(`^[a-z]+[0-9]+: (recorded|already there): record (-?[0-9]+)((?: [a-z0-9]+:[0-9a-f]+)+)$`)

// parseReceipts reads what extend printed, in either form. A last line without
// a newline is not counted: the reader may not have it whole.
func parseReceipts(stdout string) ([]*witness.Receipt, error) {
	var out []*witness.Receipt
	for line := range strings.Lines(stdout) {
		text, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break
		}
		r := &witness.Receipt{Digests: make(witness.Values)}
		if strings.HasPrefix(text, "{") {
			var j struct {
				Record int
				Banks  []struct{ Bank, Digest string }
			}
			if err := json.Unmarshal([]byte(text), &j); err != nil {
				return nil, err
			}
			r.Record = j.Record
			for _, b := range j.Banks {
				sum, err := hex.DecodeString(b.Digest)
				if err != nil {
					return nil, err
				}
				r.Digests[b.Bank] = sum
			}
			out = append(out, r)
			continue
		}
		f := receiptLine.FindStringSubmatch(text)
		if f == nil {
			return nil, fmt.Errorf("no receipt: %q", text)
		}
		r.Record, _ = strconv.Atoi(f[2])
		for _, d := range strings.Fields(f[3]) {
			bank, value, _ := strings.Cut(d, ":")
			r.Digests[bank], _ = hex.DecodeString(value)
		}
		out = append(out, r)
	}
	return out, nil
}

var recordedUpTo = regexp.MustCompile(`recorded up to record ([0-9]+), but the receipt could not be printed`)

// settle turns an answer into what the caller knows of its events, and finds
// answers that contradict themselves.
func (a answer) settle(events []event) ([]witness.Event, error) {
	if a.code > 0 && a.stderr == "" {
		return nil, fmt.Errorf("no message: %v", a)
	}
	if len(events) == 0 {
		return nil, nil // a recovery
	}
	receipts, err := parseReceipts(a.stdout)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", err, a)
	}
	if len(receipts) > len(events) {
		return nil, fmt.Errorf("%d receipts for %d events: %v", len(receipts), len(events), a)
	}
	rest := witness.Refused
	switch {
	case a.killed(), strings.Contains(a.stderr, "outcome unknown"):
		rest = witness.Unknown
	case recordedUpTo.MatchString(a.stderr):
		rest = witness.Unknown
		if len(events) == 1 {
			rest = witness.Recorded
		}
	case a.code == 0 && len(receipts) < len(events):
		return nil, fmt.Errorf("%d receipts for %d events: %v", len(receipts), len(events), a)
	}
	var out []witness.Event
	for i, e := range events {
		w := witness.Event{Line: e.line(), Outcome: rest}
		if i < len(receipts) {
			w.Outcome, w.Receipt = witness.Recorded, receipts[i]
		}
		out = append(out, w)
	}
	return out, nil
}

// status is what "mrlog status --json" says of the machine's register.
type status struct {
	code    int
	State   string
	Records int
	Missing int
	Reason  string
	Remedy  string
}

func (m *machine) status(bin string) (status, error) {
	a, err := run("", bin, m.args("status", "--json")...)
	if err != nil {
		return status{}, err
	}
	var out struct {
		Agree     bool
		Registers []struct {
			Register string
			status
		}
	}
	if err := json.Unmarshal([]byte(a.stdout), &out); err != nil {
		return status{code: a.code}, fmt.Errorf("status: %w: %v", err, a)
	}
	for _, r := range out.Registers {
		if r.Register != m.reg {
			continue
		}
		s := r.status
		s.code = a.code
		bad := s.State == "diverged" || s.State == "unreadable"
		switch {
		case bad == out.Agree:
			return s, fmt.Errorf("status says %s and agree %t", s.State, out.Agree)
		case (s.State == "diverged") != (a.code == 3), !bad && a.code != 0:
			return s, fmt.Errorf("status says %s and exits with %d", s.State, a.code)
		case bad && (s.Reason == "" || s.Remedy == ""):
			return s, fmt.Errorf("status says %s without reason or remedy", s.State)
		}
		return s, nil
	}
	return status{}, fmt.Errorf("status does not name %s: %v", m.reg, a)
}

// truthful compares a status with what the witness sees. Nobody may be at work
// on the log.
func (m *machine) truthful(bin string) (status, error) {
	s, err := m.status(bin)
	if err != nil {
		return s, err
	}
	v, err := m.view()
	if err != nil {
		return s, err
	}
	same := s.State == v.State
	switch {
	case m.ended() && (v.Missing > 0 || v.State == "reset" || v.State == "diverged"): // nothing of another boot is extended
		return s, tell(s.State == "earlier" && s.Records == v.Records, s, v)
	case v.State == "reset":
		same = s.State == "earlier" || s.State == "diverged"
	case v.State == "behind" && v.Records == v.Missing && v.Records == 1: // INIT was not extended
	case v.State == "absent":
		return s, tell(same, s, v)
	case v.State == "diverged":
		return s, tell(same, s, v)
	}
	if same && (s.Records != v.Records || v.State != "reset" && s.Missing != v.Missing) {
		same = false
	}
	return s, tell(same, s, v)
}

func tell(same bool, s status, v witness.View) error {
	if same {
		return nil
	}
	return fmt.Errorf("status says %s, %d records, %d missing (%s); found: %v", s.State, s.Records, s.Missing, s.Reason, v)
}
