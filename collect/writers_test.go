// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mrlog.dev"
	"mrlog.dev/device/soft"
	"mrlog.dev/keeper"
	"mrlog.dev/nelr"
)

// TestMain makes the test binary a writer when a test starts it as one.
func TestMain(m *testing.M) {
	if state := os.Getenv("MRLOG_TEST_STATE"); state != "" {
		if err := writer(state, os.Getenv("MRLOG_TEST_NAME"), os.Getenv("MRLOG_TEST_BOOT")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// writer appends events until it is killed, and prints each when it is
// acknowledged. Now and then it writes a batch.
func writer(state, name, boot string) error {
	k, err := openKeeper(state, boot)
	if err != nil {
		return err
	}
	defer k.Close()
	pace := time.NewTicker(500 * time.Microsecond) // or the logs outgrow the checks
	for i := 0; ; i++ {
		<-pace.C
		var events []keeper.Event
		for j := range 1 + i%5 {
			events = append(events, event(fmt.Sprintf("%s.%d.%d", name, i, j)))
		}
		if i%11 == 0 {
			if err := k.Comment(context.Background(), rtmr2, "a comment"); err != nil {
				return err
			}
		}
		if _, err := k.Append(context.Background(), rtmr2, events); err != nil {
			return err
		}
		for _, e := range events {
			fmt.Println(line(e))
		}
	}
}

func event(content string) keeper.Event {
	return keeper.Event{Event: nelr.Event{Domain: "test.example", Operation: "op", Content: content}}
}

func events(contents []string) []keeper.Event {
	var out []keeper.Event
	for _, c := range contents {
		out = append(out, event(c))
	}
	return out
}

func line(e keeper.Event) string { return "test.example op " + e.Content }

func openKeeper(state, boot string) (*keeper.Keeper, error) {
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	if err != nil {
		return nil, err
	}
	return keeper.Open(keeper.Options{State: state, Device: d, BootID: func() (string, error) { return boot, nil }})
}

// acks are the events acknowledged so far.
type acks struct {
	mu   sync.Mutex
	list []string
}

func (a *acks) add(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, line)
}

func (a *acks) now() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list[:len(a.list):len(a.list)]
}

// run starts a writer, kills it after a while, and starts the next, until stop
// is closed.
func run(t *testing.T, stop chan struct{}, state, name, boot string, a *acks) {
	for n := 0; ; n++ {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "MRLOG_TEST_STATE="+state, "MRLOG_TEST_NAME="+name+strconv.Itoa(n), "MRLOG_TEST_BOOT="+boot)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Error(err)
			return
		}
		var killed atomic.Bool
		kill := func() { killed.Store(true); cmd.Process.Kill() }
		timer := time.AfterFunc(time.Duration(30+rand.N(150))*time.Millisecond, kill)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			a.add(lines.Text())
			select {
			case <-stop:
				kill()
			default:
			}
		}
		cmd.Wait()
		timer.Stop()
		if !killed.Load() {
			t.Errorf("writer %s: %s", name, &stderr)
			return
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// Snapshots are taken as fast as they can be while processes write, are killed
// and begin new logs, over several boots. Each must be consistent, replay by
// other code to its values, and hold what was acknowledged before it began.
func TestBesideWriters(t *testing.T) {
	boots, each := 3, 1500*time.Millisecond
	if testing.Short() {
		boots, each = 2, 300*time.Millisecond
	}
	if s := os.Getenv("MRLOG_TEST_SECONDS"); s != "" {
		n, err := strconv.Atoi(s)
		must(t, err)
		each = time.Duration(n) * time.Second
	}
	state := filepath.Join(scratch(t), "state")
	must(t, os.Mkdir(state, 0o700))
	d, err := soft.Open(filepath.Join(state, "soft"), soft.TDX)
	must(t, err)
	collector := &Collector{}
	snapshots, logs, most := 0, 0, 0
	round := func(boot int) {
		id := fmt.Sprintf("boot-%d", boot)
		must(t, d.Reset(context.Background()))
		stop := make(chan struct{})
		var a acks
		var all sync.WaitGroup
		defer all.Wait()
		defer close(stop)
		for _, name := range []string{"a", "b"} {
			all.Go(func() { run(t, stop, state, id+name, id, &a) })
		}
		all.Go(func() {
			k, err := openKeeper(state, id)
			if err != nil {
				t.Error(err)
				return
			}
			defer k.Close()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(20+rand.N(100)) * time.Millisecond):
				}
				if _, err := k.NewLog(context.Background(), rtmr2); err != nil {
					t.Errorf("new log: %v", err)
					return
				}
			}
		})
		look := func(c *Collector, given []mrlog.Digest) {
			before := a.now()
			o := Options{State: state, Device: d, Registers: []mrlog.Register{rtmr2}, BootID: func() (string, error) { return id, nil }}
			if given != nil {
				o.Values = map[mrlog.Register][]mrlog.Digest{rtmr2: given}
			}
			s, err := c.Snapshot(context.Background(), o)
			must(t, err)
			defer s.Close()
			reg := &s.Registers[0]
			if !s.Consistent {
				t.Fatalf("%s: %s", reg.State, reg.Reason)
			}
			snapshots++
			if reg.State == NoLog {
				if given == nil && len(before) > 0 {
					t.Fatal("no log, after events were acknowledged")
				}
				return
			}
			logs += len(reg.Logs)
			most = max(most, len(reg.Logs))
			if reg.Unexplained {
				t.Fatal("an earlier log of the boot is missing")
			}
			events := checkChain(t, reg)
			there := make(map[string]bool, len(events))
			for _, e := range events {
				if there[e] {
					t.Fatalf("%q is there twice", e)
				}
				there[e] = true
			}
			if given != nil {
				return // of an unknown time
			}
			for _, e := range before {
				if !there[e] {
					t.Fatalf("%q was acknowledged before the snapshot and is not in it", e)
				}
			}
		}
		read := func() []mrlog.Digest {
			r, err := d.Read(context.Background(), rtmr2)
			must(t, err)
			return r.Values
		}
		defer func() { t.Logf("%s: %d events acknowledged, %d snapshots so far", id, len(a.now()), snapshots) }()
		for end := time.Now().Add(each); time.Now().Before(end) && !t.Failed(); {
			quoted := read()
			look(collector, nil)
			look(&Collector{}, nil)
			look(collector, quoted)
			look(&Collector{}, quoted)
		}
	}
	for boot := range boots {
		round(boot)
	}
	t.Logf("%d snapshots, %d logs in them, %d at most", snapshots, logs, most)
}
