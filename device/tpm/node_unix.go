// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// node is a character device of the kernel. A command is one write, an answer
// one read. The descriptor does not block: with a Linux of version 5.0 or
// later a write then returns at once, and the answer is waited for in poll,
// which has a timeout. Older ones wait in the write, with a timeout of the
// driver's.
type node struct{ fd int }

// openNode opens a character device. System calls: open, fstat.
func openNode(path string) (link, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("another program has it open, and it serves one at a time (/dev/tpmrm0 serves many): %w", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("user %d may not use it: run mrlog as root, or as a member of the device's group: %w", os.Geteuid(), err)
	case err != nil:
		return nil, err
	}
	n := &node{fd}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, errors.Join(err, n.close())
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, errors.Join(errors.New("not a character device"), n.close())
	}
	return n, nil
}

func (n *node) close() error { return unix.Close(n.fd) }

// exchange sends a command. The driver may have executed it whatever the
// write returns: it does so in the write, unless told not to wait.
func (n *node) exchange(command []byte, deadline time.Time) ([]byte, error) {
	wrote, err := unix.Write(n.fd, command)
	if err == nil && wrote != len(command) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return nil, &lostError{sent: true, err: err}
	}
	answer, err := readAnswer(&nodeReader{n.fd, deadline})
	if err != nil {
		return nil, &lostError{sent: true, err: err}
	}
	return answer, nil
}

// nodeReader reads from a descriptor that does not block, until a deadline.
type nodeReader struct {
	fd       int
	deadline time.Time
}

func (r *nodeReader) Read(p []byte) (int, error) {
	for {
		left := time.Until(r.deadline)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond))
		if err == nil && ready == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := unix.Read(r.fd, p)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
