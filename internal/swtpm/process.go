// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// answerTimeout is how long the emulator may take for one command. It takes
// less than a millisecond, but a machine may be busy.
const answerTimeout = 30 * time.Second

// Commands of swtpm's control channel (swtpm_ioctls(3)).
const (
	ctrlInit uint32 = 2 // PTM_INIT: power goes and comes
	ctrlStop uint32 = 14
)

// process is one running emulator.
type process struct {
	cmd  *exec.Cmd
	data net.Conn // TPM commands
	ctrl net.Conn // control channel
	log  string
}

// launch starts swtpm on the state in dir. It is not started in the TPM's
// sense: TPM2_Startup comes first.
func launch(dir string) (*process, error) {
	data, dataChild, err := pair()
	if err != nil {
		return nil, err
	}
	ctrl, ctrlChild, err := pair()
	if err != nil {
		data.Close()
		dataChild.Close()
		return nil, err
	}
	p := &process{data: data, ctrl: ctrl, log: filepath.Join(dir, "log")}
	p.cmd = exec.Command("swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+dir,
		"--fd", "3",
		"--ctrl", "type=unixio,clientfd=4",
		"--flags", "not-need-init",
		"--log", "file="+p.log+",level=1")
	p.cmd.ExtraFiles = []*os.File{dataChild, ctrlChild}
	err = p.cmd.Start()
	dataChild.Close()
	ctrlChild.Close()
	if err != nil {
		data.Close()
		ctrl.Close()
		return nil, fmt.Errorf("swtpm: %w", err)
	}
	return p, nil
}

// pair returns two connected sockets: one for us, one for a child.
func pair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("swtpm: socket pair: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	ours, child := os.NewFile(uintptr(fds[0]), "swtpm"), os.NewFile(uintptr(fds[1]), "swtpm")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		child.Close()
		return nil, nil, fmt.Errorf("swtpm: socket pair: %w", err)
	}
	return conn, child, nil
}

// command sends one TPM command and returns the answer.
func (p *process) command(cmd []byte) ([]byte, error) {
	if err := p.data.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := p.data.Write(cmd); err != nil {
		return nil, p.failed(err)
	}
	answer, err := readFrame(p.data)
	if err != nil {
		return nil, p.failed(err)
	}
	return answer, nil
}

// control sends one command of the control channel, with its body.
func (p *process) control(cmd uint32, body []byte) error {
	if err := p.ctrl.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := p.ctrl.Write(append(binary.BigEndian.AppendUint32(nil, cmd), body...)); err != nil {
		return p.failed(err)
	}
	var result [4]byte
	if _, err := io.ReadFull(p.ctrl, result[:]); err != nil {
		return p.failed(err)
	}
	if n := binary.BigEndian.Uint32(result[:]); n != 0 {
		return fmt.Errorf("swtpm: control command %d: result 0x%x", cmd, n)
	}
	return nil
}

// failed adds what the emulator wrote to its log.
func (p *process) failed(err error) error {
	if b, _ := os.ReadFile(p.log); len(b) > 0 {
		return fmt.Errorf("swtpm: %w; its log: %s", err, b)
	}
	return fmt.Errorf("swtpm: %w", err)
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() error {
	p.data.Close()
	p.ctrl.Close()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("swtpm: kill: %w", err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("swtpm: wait: %w", err)
	}
	return nil
}
