// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Available says why swtpm cannot be run, or nothing.
func Available() error {
	_, err := exec.LookPath("swtpm")
	return err
}

// Options say which TPM to start.
type Options struct {
	// Socket is where clients connect; "" for one in the state folder.
	Socket string
	// Banks are the PCR banks; none for those that swtpm has by default.
	Banks []Bank
}

// TPM is an emulated TPM with its clients. Its methods may be called from
// several goroutines at once.
type TPM struct {
	dir    string
	socket string
	listen net.Listener
	wait   sync.WaitGroup

	mu      sync.Mutex // one command at a time, and what stands below
	process *process   // nil while it does not run
	faults  []*fault
	seen    map[uint32]int
	clients map[net.Conn]struct{}
}

var errNotRunning = errors.New("swtpm: not running")

// Start starts a new TPM with a state folder of its own. It is ready for use,
// as after the firmware's TPM2_Startup. The caller closes it.
func Start(o Options) (*TPM, error) {
	dir, err := os.MkdirTemp("", "mrlog-swtpm-")
	if err != nil {
		return nil, fmt.Errorf("swtpm: state folder: %w", err)
	}
	t := &TPM{dir: dir, socket: o.Socket, seen: make(map[uint32]int), clients: make(map[net.Conn]struct{})}
	if t.socket == "" {
		t.socket = filepath.Join(dir, "sock")
	}
	if err := t.start(o); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *TPM) start(o Options) error {
	if err := t.Restart(); err != nil {
		return err
	}
	if o.Banks != nil {
		for _, cmd := range [][]byte{allocate(o.Banks), shutdownClear()} {
			if err := t.must(cmd); err != nil {
				return err
			}
		}
		if err := t.PowerCycle(); err != nil {
			return err
		}
	}
	l, err := net.Listen("unix", t.socket)
	if err != nil {
		return fmt.Errorf("swtpm: %w", err)
	}
	t.listen = l
	t.wait.Go(t.accept)
	return nil
}

// Socket is the path of the socket for clients.
func (t *TPM) Socket() string { return t.socket }

// Send sends a command past all faults and returns the answer.
func (t *TPM) Send(cmd []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forward(cmd)
}

func (t *TPM) forward(cmd []byte) ([]byte, error) {
	if t.process == nil {
		return nil, errNotRunning
	}
	return t.process.command(cmd)
}

// must sends a command that has to succeed.
func (t *TPM) must(cmd []byte) error {
	answer, err := t.Send(cmd)
	if err != nil {
		return err
	}
	if rc := code(answer); rc != 0 {
		return fmt.Errorf("swtpm: command 0x%x: answer 0x%x", code(cmd), rc)
	}
	return nil
}

// PowerOff takes the power away and gives it back, and leaves the TPM as it
// then is: until Startup it answers TPM_RC_INITIALIZE.
func (t *TPM) PowerOff() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.powerOff()
}

func (t *TPM) powerOff() error {
	if t.process == nil {
		return errNotRunning
	}
	if err := t.process.control(ctrlStop, nil); err != nil {
		return err
	}
	return t.process.control(ctrlInit, make([]byte, 4))
}

// Startup starts the TPM as firmware does, with its registers reset.
func (t *TPM) Startup() error { return t.must(startupClear()) }

// PowerCycle resets the TPM under its clients: power off and on, Startup. All
// connections stay.
func (t *TPM) PowerCycle() error {
	if err := t.PowerOff(); err != nil {
		return err
	}
	return t.Startup()
}

// Kill ends the emulator as kill -9 does. Clients see their connection end at
// their next command.
func (t *TPM) Kill() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kill()
}

func (t *TPM) kill() error {
	if t.process == nil {
		return nil
	}
	p := t.process
	t.process = nil
	return p.kill()
}

// Restart starts the emulator, again if it was killed, with the state that its
// folder holds: banks and reset counts stay, registers do not.
func (t *TPM) Restart() error {
	if err := t.Kill(); err != nil {
		return err
	}
	p, err := launch(t.dir)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.process = p
	t.mu.Unlock()
	return t.Startup()
}

// Close ends everything and removes the state.
func (t *TPM) Close() error {
	var errs []error
	if t.listen != nil {
		errs = append(errs, t.listen.Close())
	}
	errs = append(errs, t.Disconnect(), t.Kill())
	t.wait.Wait()
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}
