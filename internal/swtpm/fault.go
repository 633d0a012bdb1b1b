// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import "errors"

// Exchange is one command of a client on its way to the TPM. No other command
// is on its way.
type Exchange struct {
	Command []byte
	tpm     *TPM
}

// Forward sends a command to the TPM and returns the answer.
func (x *Exchange) Forward(cmd []byte) ([]byte, error) { return x.tpm.forward(cmd) }

// Kill ends the emulator as kill -9 does.
func (x *Exchange) Kill() error { return x.tpm.kill() }

// PowerCycle is TPM.PowerCycle in the middle of an exchange.
func (x *Exchange) PowerCycle() error {
	if err := x.tpm.powerOff(); err != nil {
		return err
	}
	_, err := x.Forward(startupClear())
	return err
}

// A Fault answers a client's command. With an error the client's connection is
// closed without an answer.
type Fault func(x *Exchange) ([]byte, error)

type fault struct {
	code uint32 // 0 for any
	left int    // how many more commands; negative without end
	do   Fault
}

// Inject lets the fault answer the next n commands with a code: any command if
// the code is 0, for good if n is negative. The fault injected first comes
// first.
func (t *TPM) Inject(code uint32, n int, f Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, &fault{code: code, left: n, do: f})
}

// Heal takes all faults away.
func (t *TPM) Heal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

var errDropped = errors.New("swtpm: dropped on demand")

// Drop loses the command before the TPM has it.
func Drop(*Exchange) ([]byte, error) { return nil, errDropped }

// DropAnswer lets the TPM execute the command, and loses the answer.
func DropAnswer(x *Exchange) ([]byte, error) {
	if _, err := x.Forward(x.Command); err != nil {
		return nil, err
	}
	return nil, errDropped
}

// Die kills the emulator before it has the command.
func Die(x *Exchange) ([]byte, error) { return nil, errors.Join(errDropped, x.Kill()) }

// Answer answers with a response code in the TPM's stead, which does not get
// the command.
func Answer(rc uint32) Fault {
	return func(*Exchange) ([]byte, error) { return frame(noSessions, rc, nil), nil }
}

// Hold keeps the command, and with it the TPM, until the channel is closed.
func Hold(until <-chan struct{}) Fault {
	return func(x *Exchange) ([]byte, error) {
		<-until
		return x.Forward(x.Command)
	}
}

// Alter changes the TPM's answer.
func Alter(f func(answer []byte) []byte) Fault {
	return func(x *Exchange) ([]byte, error) {
		answer, err := x.Forward(x.Command)
		if err != nil {
			return nil, err
		}
		return f(answer), nil
	}
}
