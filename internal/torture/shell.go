// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"mrlog.dev/internal/torture/witness"
)

// specification is where the example of a writer of other make stands, from
// the module's root.
const specification = "docs/spec/keeper.md"

// measureScript returns the example from the specification's section 7, as it
// stands there.
func measureScript(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, specification))
	if err != nil {
		return "", err
	}
	_, section, _ := strings.Cut(string(text), "\n## 7. Other writers\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, script, _ := strings.Cut(section, "\n```bash\n")
	script, _, found := strings.Cut(script, "\n```\n")
	if !found {
		return "", errors.New(specification + ": no example in section 7")
	}
	return script + "\n", nil
}

// shells is the example run once for each event, one after the other.
type shells struct {
	mu     sync.Mutex
	now    *exec.Cmd
	killed bool
	group  bool // a kill is for all that the shell started, too
	done   chan struct{}

	caller string
	events []witness.Event
	err    error
}

// startShells runs the example for n events, or until it is killed if that is
// to be the end of it; else until n were recorded, whatever is killed.
func (m *machine) startShells(script, bin, caller string, n int, group, goOn bool) *shells {
	s := &shells{caller: caller, group: group, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for i, recorded := 0, 0; i < n || goOn && recorded < n; i++ {
			e := event{caller, strconv.Itoa(i)}
			var said strings.Builder
			cmd := exec.Command("bash", "-c", script, "measure", m.log(), m.file, e.line())
			cmd.Env = append(os.Environ(), "MRLOG_STATE="+m.state, "MRLOG_DEVICE="+m.device,
				"PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"))
			cmd.Stderr = &said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			s.mu.Lock()
			if s.killed && !goOn {
				s.mu.Unlock()
				return
			}
			s.killed = false
			s.err = cmd.Start()
			s.now = cmd
			s.mu.Unlock()
			if s.err != nil {
				return
			}
			code, err := exitCode(cmd.Wait())
			w := witness.Event{Line: e.line()}
			if code == 0 {
				w.Outcome = witness.Recorded
				recorded++
			}
			s.events = append(s.events, w)
			switch {
			case err != nil:
				s.err = err
				return
			case code > 0 && !m.failing:
				s.mu.Lock()
				killed := s.killed
				s.mu.Unlock()
				if !killed { // a part of it may have been killed, and not the shell
					s.err = fmt.Errorf("the example for other writers: exit %d: %s", code, &said)
					return
				}
			}
		}
	}()
	return s
}

func (s *shells) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return
	}
	pid := s.now.Process.Pid
	if s.group {
		pid = -pid
	}
	_ = syscall.Kill(pid, sig)
}

func (s *shells) kill() {
	s.mu.Lock()
	s.killed = true
	s.mu.Unlock()
	s.signal(syscall.SIGKILL)
}

func (s *shells) stop() { s.signal(syscall.SIGSTOP) }

func (s *shells) wait(l *ledger) error {
	<-s.done
	l.add(s.caller, s.events...)
	return s.err
}
