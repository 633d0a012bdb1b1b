// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const (
	// firstPause is how long to wait before a command is sent again that the
	// TPM did not take. Each further wait is twice as long, up to longestPause.
	firstPause   = 5 * time.Millisecond
	longestPause = 500 * time.Millisecond

	tagTPM12 uint16 = 0x00C4 // TPM_TAG_RSP_COMMAND of TPM 1.2
)

// wire is a link as the library wants it, for the commands of one operation.
type wire struct {
	link   link
	ctx    context.Context // of the operation; Send of the library takes none
	device *Device
}

var _ transport.TPM = wire{}

// Send sends a command until the TPM takes it, and returns the answer. Errors
// are of type *lostError, and mean that the link must be closed.
func (w wire) Send(command []byte) ([]byte, error) {
	giveUp := time.Now().Add(w.device.busyTimeout)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		deadline := time.Now().Add(w.device.commandTimeout)
		if d, ok := w.ctx.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
		answer, err := w.link.exchange(command, deadline)
		if err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint16(answer) == tagTPM12 {
			return nil, &lostError{sent: true, err: errTPM12}
		}
		if !busy(tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:]))) || time.Now().Add(pause).After(giveUp) {
			return answer, nil
		}
		select {
		case <-time.After(pause):
		case <-w.ctx.Done():
			return answer, nil
		}
	}
}

// ready makes a connection if there is none. The caller has acquired the
// device, as for run.
func (d *Device) ready(ctx context.Context) error {
	if d.link != nil {
		return nil
	}
	return d.connect(ctx)
}

// run runs commands on the connection. If an answer is missing or does not fit
// its command it closes the connection: what comes next on it may not fit
// either. Of ctx the deadline counts, and its end while the TPM is busy.
func (d *Device) run(ctx context.Context, f func(wire) error) error {
	err := f(wire{link: d.link, ctx: ctx, device: d})
	var rc tpm2.TPMRC
	if err != nil && !errors.As(err, &rc) {
		l := d.link
		d.link = nil
		return errors.Join(err, l.close())
	}
	return d.note(err)
}

// note takes notice of a reset that an error shows, and explains the error.
func (d *Device) note(err error) error {
	if errors.Is(err, tpm2.TPMRCInitialize) || errors.Is(err, tpm2.TPMRCReboot) {
		d.epoch++
	}
	return explain(err)
}

// connect makes a connection, asks the TPM what it is, and compares with what
// it was before.
func (d *Device) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.commandTimeout)
	defer cancel()
	l, socket, err := dial(ctx, d.path)
	if err != nil {
		return fmt.Errorf("the connection could not be made: %w", err)
	}
	w := wire{link: l, ctx: ctx, device: d}
	var c clock
	s, err := readShape(w)
	if err == nil {
		c, err = readClock(w)
	}
	if err != nil {
		return errors.Join(d.note(err), ctx.Err(), l.close())
	}
	switch {
	case d.shape == nil:
		d.shape, d.simulated = s, socket
	case !d.shape.equal(s):
		return errors.Join(errChanged, l.close())
	case c != d.clock:
		d.epoch++
	}
	d.clock, d.link = c, l
	return nil
}

// clock tells one start of a TPM from the next.
type clock struct{ resets, restarts uint32 }

// readClock returns zeros for a TPM that keeps its clock to itself.
func readClock(w wire) (clock, error) {
	answer, err := tpm2.ReadClock{}.Execute(w)
	if errors.Is(err, tpm2.TPMRCCommandCode) {
		return clock{}, nil
	}
	if err != nil {
		return clock{}, fmt.Errorf("TPM2_ReadClock: %w", err)
	}
	i := answer.CurrentTime.ClockInfo
	return clock{i.ResetCount, i.RestartCount}, nil
}
