// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"
)

const (
	headerSize = 10 // tag, size, response code

	// maxAnswer bounds an answer: the kernel's TPM_BUFSIZE, which no TPM's
	// TPM_PT_MAX_RESPONSE_SIZE is above.
	maxAnswer = 4096
)

// A link carries commands to a TPM, one at a time. After an error of exchange
// it must be closed. Its errors are of type *lostError.
type link interface {
	exchange(command []byte, deadline time.Time) ([]byte, error)
	close() error
}

// dial connects with what is at the path, and reports whether it is a socket.
func dial(ctx context.Context, path string) (l link, socket bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	switch {
	case info.Mode()&fs.ModeSocket != 0:
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, true, err
		}
		return &socketLink{conn}, true, nil
	case info.Mode()&fs.ModeCharDevice != 0:
		l, err := openNode(path)
		return l, false, err
	}
	return nil, false, errors.New("neither a character device nor a Unix socket")
}

// socketLink is a connection with a Unix socket.
type socketLink struct{ conn net.Conn }

func (s *socketLink) exchange(command []byte, deadline time.Time) ([]byte, error) {
	if err := s.conn.SetDeadline(deadline); err != nil {
		return nil, &lostError{err: err}
	}
	// Whoever is at the other end acts on whole commands only.
	if _, err := s.conn.Write(command); err != nil {
		return nil, &lostError{err: err}
	}
	answer, err := readAnswer(s.conn)
	if err != nil {
		return nil, &lostError{sent: true, err: err}
	}
	return answer, nil
}

func (s *socketLink) close() error { return s.conn.Close() }

// readAnswer reads one answer, in as many pieces as it comes.
func readAnswer(r io.Reader) ([]byte, error) {
	var buf [maxAnswer]byte
	for have, want := 0, headerSize; ; {
		// One read takes all that is there: a TPM's driver gives an answer
		// once.
		n, err := r.Read(buf[have:])
		have += n
		if want == headerSize && have >= headerSize {
			size := binary.BigEndian.Uint32(buf[2:])
			if size < headerSize || size > maxAnswer {
				return nil, fmt.Errorf("the answer says that it has %d bytes", size)
			}
			want = int(size)
		}
		switch {
		case have > want:
			return nil, fmt.Errorf("the answer says that it has %d bytes, and has %d", want, have)
		case have == want && have >= headerSize && want == int(binary.BigEndian.Uint32(buf[2:])):
			return append([]byte(nil), buf[:have]...), nil
		case err == io.EOF && have > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
	}
}
