// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is a state folder with software registers, and what the tests know
// of it without the code under test: the log, replayed with crypto/sha256 and
// crypto/sha512, and the register's file, read as docs and device/soft lay it
// out.
type machine struct {
	t        *testing.T
	state    string
	device   string
	register string
	banks    []string
}

// machines are the shapes that every test of recording runs on.
var machines = []machine{
	{device: "soft", register: "rtmr2", banks: []string{"sha384"}},
	{device: "soft-tpm", register: "pcr14", banks: []string{"sha256", "sha384"}},
}

// eachMachine runs a test on a fresh machine of each shape.
func eachMachine(t *testing.T, test func(t *testing.T, m machine)) {
	for _, m := range machines {
		t.Run(m.device, func(t *testing.T) {
			m.t, m.state = t, t.TempDir()
			test(t, m)
		})
	}
}

// command is mrlog in a process of its own.
func (m machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("mrlog", args...)
	cmd.Env = append(os.Environ(), "MRLOG_STATE="+m.state, "MRLOG_DEVICE="+m.device, "MRLOG_REGISTER=")
	return cmd
}

// run runs mrlog, which must succeed, and returns its output.
func (m machine) run(args ...string) string {
	m.t.Helper()
	cmd := m.command(args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("mrlog %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

func (m machine) log() string { return filepath.Join(m.state, m.register, "log") }

// records returns the measured lines of the log. The last line must be whole.
func (m machine) records() []string {
	m.t.Helper()
	data, err := os.ReadFile(m.log())
	if err != nil {
		m.t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		m.t.Fatalf("the log does not end in a newline")
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

func sum(alg string, data []byte) []byte {
	if alg == "sha256" {
		s := sha256.Sum256(data)
		return s[:]
	}
	s := sha512.Sum384(data)
	return s[:]
}

// replayed computes the register's value in a bank from the log.
func (m machine) replayed(alg string) string {
	m.t.Helper()
	records := m.records()
	var value []byte
	for start := range strings.FieldsSeq(strings.TrimPrefix(records[0], "INIT")) {
		if name, v, _ := strings.Cut(start, "/"); name == alg {
			value, _ = hex.DecodeString(v)
		}
	}
	if value == nil {
		m.t.Fatalf("INIT has no %s: %s", alg, records[0])
	}
	for _, r := range records {
		value = sum(alg, append(value, sum(alg, []byte(r))...))
	}
	return hex.EncodeToString(value)
}

// held reads the register's value in a bank from its file: of two slots, 4096
// bytes apart, the valid one with the higher sequence counts.
func (m machine) held(alg string) string {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.state, "soft", m.register))
	if err != nil {
		m.t.Fatal(err)
	}
	best, value := -1, ""
	for _, slot := range [][]byte{data[:512], data[4096:4608]} {
		body, check, ok := bytes.Cut(slot, []byte("\ncheck "))
		want := sha256.Sum256(append(bytes.Clone(body), '\n'))
		if !ok || string(bytes.TrimRight(check, "\n")) != hex.EncodeToString(want[:]) {
			continue
		}
		words := strings.Fields(string(body))
		n, err := strconv.Atoi(words[slices.Index(words, "sequence")+1])
		if err != nil {
			m.t.Fatal(err)
		}
		if n > best {
			best, value = n, words[slices.Index(words, alg)+1]
		}
	}
	if best < 0 {
		m.t.Fatal("no slot of the register is valid")
	}
	return value
}

// agree checks that log and register agree: by what this file computes, by
// mrlog replay, by mrlog status and by mrlog verify.
func (m machine) agree() {
	m.t.Helper()
	var replay replayOutput
	if err := json.Unmarshal([]byte(m.run("replay", "--json", m.log())), &replay); err != nil {
		m.t.Fatal(err)
	}
	if len(replay.Registers) != len(m.banks) {
		m.t.Fatalf("%d banks replayed, want %d", len(replay.Registers), len(m.banks))
	}
	args := []string{"verify", m.log()}
	for i, alg := range m.banks {
		held, own, theirs := m.held(alg), m.replayed(alg), replay.Registers[i]
		if held != own {
			m.t.Fatalf("%s: the register holds %s, the log gives %s", alg, held, own)
		}
		if theirs.Register != m.register || theirs.Bank != alg || theirs.Value != own {
			m.t.Fatalf("mrlog replay gives %v, want %s in %s", theirs, own, alg)
		}
		args = append(args, "--expect", m.register+":"+alg+"="+held)
	}
	m.run(args...)
	if out := m.run("status"); !strings.Contains(out, "\n"+m.register+strings.Repeat(" ", 9-len(m.register))+"clean: ") {
		m.t.Fatalf("mrlog status: %s", out)
	}
}

// receipts takes apart what mrlog extend has printed: the numbers of the
// records. A last line without newline does not count: nobody has read it.
var receiptLine = regexp.MustCompile(`^(\w+): recorded: record (\d+)((?: sha\d+:[0-9a-f]+)+)\n$`)

// acknowledged checks receipts against the log: the i-th receipt is of the i-th
// event, which stands in the log at the receipt's place, once.
func (m machine) acknowledged(receipts string, events []string) int {
	m.t.Helper()
	records := m.records()
	times := make(map[string]int)
	for _, r := range records {
		times[r]++
	}
	i, last := 0, 0
	for line := range strings.Lines(receipts) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		match := receiptLine.FindStringSubmatch(line)
		if match == nil || match[1] != m.register || i >= len(events) {
			m.t.Fatalf("receipt %d: %q", i, line)
		}
		n, _ := strconv.Atoi(match[2])
		if n <= last || n >= len(records) || records[n] != events[i] || times[events[i]] != 1 {
			m.t.Fatalf("receipt %d is of record %d (after %d), of %d records; the event %q stands there %d times",
				i, n, last, len(records), events[i], times[events[i]])
		}
		want := ""
		for _, alg := range m.banks {
			want += fmt.Sprintf(" %s:%x", alg, sum(alg, []byte(events[i])))
		}
		if match[3] != want {
			m.t.Fatalf("receipt %d has%s, want%s", i, match[3], want)
		}
		i, last = i+1, n
	}
	return i
}

// numbered makes events that tell whose they are.
func numbered(who string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("example.org/%s Event %d", who, i)
	}
	return out
}

// Two processes append a thousand events each to one log.
func TestExtendTwoStreams(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		const each = 1000
		var wg sync.WaitGroup
		outs := make([]strings.Builder, 2)
		events := [][]string{numbered("a", each), numbered("b", each)}
		for i := range 2 {
			cmd := m.command("extend", "-")
			cmd.Stdin = strings.NewReader(strings.Join(events[i], "\n") + "\n")
			cmd.Stdout, cmd.Stderr = &outs[i], os.Stderr
			wg.Go(func() {
				if err := cmd.Run(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(m.records()); n != 2*each+1 {
			t.Fatalf("%d records, want %d", n, 2*each+1)
		}
		for i := range 2 {
			if n := m.acknowledged(outs[i].String(), events[i]); n != each {
				t.Errorf("%d receipts, want %d", n, each)
			}
		}
		m.agree()
	})
}

// Many processes append one event each, all at once; the first of them make
// folder, registers and log.
func TestExtendManyAtOnce(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		const callers, each = 2, 50
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range callers {
			for n := range each {
				event := fmt.Sprintf("%d-%d", i, n)
				cmd := m.command("extend", "example.org/many", event)
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, os.Stderr
				wg.Go(func() {
					<-start
					if err := cmd.Run(); err != nil || !receiptLine.MatchString(out.String()) {
						t.Errorf("%v: %s", err, out.String())
					}
				})
			}
		}
		close(start)
		wg.Wait()
		records := m.records()
		if len(records) != callers*each+1 {
			t.Fatalf("%d records, want %d", len(records), callers*each+1)
		}
		slices.Sort(records)
		if unique := slices.Compact(records); len(unique) != callers*each+1 {
			t.Errorf("%d different records, want %d", len(unique), callers*each+1)
		}
		m.agree()
	})
}

// The many callers of TestExtendManyAtOnce may also all be told to do the same
// thing once.
func TestExtendOnceAtOnce(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		var wg sync.WaitGroup
		for range 20 {
			cmd := m.command("extend", "--once", "example.org/once", "Only")
			cmd.Stderr = os.Stderr
			wg.Go(func() {
				if err := cmd.Run(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if records := m.records(); len(records) != 2 {
			t.Errorf("%d records, want INIT and one", len(records))
		}
		m.agree()
	})
}

// stream is a process that records events as they come, and what it has said.
type stream struct {
	cmd    *exec.Cmd
	events []string
	fed    chan struct{} // closed when all events are written, or nobody reads

	mu  sync.Mutex
	out []byte
	end chan struct{} // closed when its output has ended
	one chan struct{} // closed with its first receipt
}

func (m machine) stream(who string, events int) *stream {
	m.t.Helper()
	s := &stream{
		cmd: m.command("extend", "-"), events: numbered(who, events),
		fed: make(chan struct{}), end: make(chan struct{}), one: make(chan struct{}),
	}
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		defer close(s.fed)
		defer in.Close()
		for _, e := range s.events {
			// One write for each, so that batches are of all sizes.
			if _, err := io.WriteString(in, e+"\n"); err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(s.end)
		r := bufio.NewReader(out)
		for first := true; ; first = false {
			line, err := r.ReadBytes('\n')
			s.mu.Lock()
			s.out = append(s.out, line...)
			s.mu.Unlock()
			if first {
				close(s.one)
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// wait waits for the end of the process.
func (s *stream) wait() error {
	<-s.end
	err := s.cmd.Wait()
	<-s.fed
	return err
}

// One of two processes is killed at a random instant, again and again. After
// the next event log and register agree, and every event that was acknowledged
// is in the log, once, in order.
func TestExtendKilled(t *testing.T) {
	limit := 5 * time.Second // on each machine
	if testing.Short() {
		limit = time.Second
	}
	eachMachine(t, func(t *testing.T, m machine) {
		deadline := time.Now().Add(limit)
		rounds, repaired, acknowledged := 0, 0, 0
		for ; rounds < 3 || time.Now().Before(deadline); rounds++ {
			victim := m.stream(fmt.Sprintf("victim%d", rounds), 1<<14)
			other := m.stream(fmt.Sprintf("other%d", rounds), 200)
			if rounds%4 > 0 { // now and then while it starts
				<-victim.one
			}
			// In half of the rounds the other one is at work beside it and may
			// mend what it leaves; in the others nobody is.
			var otherErr error
			if rounds%2 == 1 {
				otherErr = other.wait()
			}
			time.Sleep(time.Duration(rand.Int64N(int64(15 * time.Millisecond))))
			if err := victim.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := victim.wait(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if rounds%2 == 0 {
				otherErr = other.wait()
			}
			if otherErr != nil {
				t.Fatalf("round %d: the process that was not killed: %v", rounds, otherErr)
			}
			if m.tail() {
				repaired++
			}
			last := fmt.Sprintf("Round%d", rounds)
			m.run("extend", "example.org/after", last)
			records := m.records()
			if want := "example.org/after " + last; records[len(records)-1] != want {
				t.Fatalf("round %d: the last record is %q, want %q", rounds, records[len(records)-1], want)
			}
			m.agreeQuick()
			acknowledged += m.acknowledged(string(victim.out), victim.events)
			if n := m.acknowledged(string(other.out), other.events); n != len(other.events) {
				t.Fatalf("round %d: %d receipts of the process that was not killed, want %d", rounds, n, len(other.events))
			}
		}
		m.agree()
		t.Logf("%d rounds, %d left something to mend, %d events acknowledged before the kill", rounds, repaired, acknowledged)
	})
}

// tail reports whether log and register do not agree as they are.
func (m machine) tail() bool {
	data, err := os.ReadFile(m.log())
	if err != nil {
		return true
	}
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return true
	}
	return m.held(m.banks[0]) != m.replayed(m.banks[0])
}

// agreeQuick is agree without processes.
func (m machine) agreeQuick() {
	m.t.Helper()
	for _, alg := range m.banks {
		if held, own := m.held(alg), m.replayed(alg); held != own {
			m.t.Fatalf("%s: the register holds %s, the log gives %s", alg, held, own)
		}
	}
}

// A process that is told to end while it waits for events ends, and what it
// was given before is recorded.
func TestExtendInterrupted(t *testing.T) {
	eachMachine(t, func(t *testing.T, m machine) {
		cmd := m.command("extend", "-")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "a b\nhalf a li"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !receiptLine.MatchString(line) {
			t.Fatalf("%q %v", line, err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if cmd.ProcessState.ExitCode() != exitFailed || errs.String() != "mrlog: error: interrupted\n" {
			t.Errorf("%v, standard error %q", err, errs.String())
		}
		if records := m.records(); len(records) != 2 || records[1] != "a b" {
			t.Errorf("records %q", records)
		}
		m.agree()
	})
}
