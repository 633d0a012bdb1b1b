// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"errors"
	"net"
)

// accept takes clients until the listener is closed.
func (t *TPM) accept() {
	for {
		c, err := t.listen.Accept()
		if err != nil {
			return
		}
		t.mu.Lock()
		t.clients[c] = struct{}{}
		t.mu.Unlock()
		t.wait.Go(func() { t.serve(c) })
	}
}

// serve answers one client's commands until it goes, or a command gets no
// answer.
func (t *TPM) serve(c net.Conn) {
	defer func() {
		c.Close()
		t.mu.Lock()
		delete(t.clients, c)
		t.mu.Unlock()
	}()
	for {
		cmd, err := readFrame(c)
		if err != nil {
			return
		}
		answer, err := t.exchange(cmd)
		if err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// exchange passes a client's command to the first fault that wants it, else to
// the TPM.
func (t *TPM) exchange(cmd []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	cc := code(cmd)
	t.seen[cc]++
	for _, f := range t.faults {
		if f.left == 0 || f.code != 0 && f.code != cc {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f.do(&Exchange{Command: cmd, tpm: t})
	}
	return t.forward(cmd)
}

// Disconnect closes all clients' connections.
func (t *TPM) Disconnect() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for c := range t.clients {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Seen counts the commands with a code that clients have sent.
func (t *TPM) Seen(code uint32) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[code]
}
