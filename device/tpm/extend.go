// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"mrlog.dev"
	"mrlog.dev/device"
)

// Extend extends a PCR with each record's digests, all banks of a record in one
// command, which the TPM executes wholly or not at all. After a reset that was
// noticed it does nothing and returns an error that wraps ErrReset, until the
// register has been read.
//
// A record whose command got no answer may have been extended: the error says
// so. One that the TPM answered with a response code was not.
//
// Command, per record: TPM2_PCR_Extend with an empty password.
func (d *Device) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	r, err := device.Find(d, reg)
	if err != nil {
		return 0, err
	}
	if err := r.CheckExtend(records); err != nil {
		return 0, err
	}
	if err := d.acquire(ctx); err != nil {
		return 0, d.about(reg, err)
	}
	defer d.release()
	if err := d.ready(ctx); err != nil {
		return 0, d.about(reg, err)
	}
	if d.readIn[reg.Index] != d.epoch {
		return 0, d.about(reg, fmt.Errorf("%w; nothing was extended, read the register first", ErrReset))
	}
	done := 0
	err = d.run(context.WithoutCancel(ctx), func(w wire) error {
		for _, digests := range records {
			if err := extend(w, r, digests); err != nil {
				return fmt.Errorf("record %d of the request: TPM2_PCR_Extend: %w", done, err)
			}
			done++
		}
		return nil
	})
	if err != nil {
		return done, d.about(reg, err)
	}
	return done, nil
}

// extend sends one record.
func extend(w wire, r device.Register, digests []mrlog.Digest) error {
	cmd := tpm2.PCRExtend{PCRHandle: tpm2.AuthHandle{
		Handle: tpm2.TPMHandle(r.Name.Index),
		Auth:   tpm2.PasswordAuth(nil),
	}}
	for _, d := range digests {
		cmd.Digests.Digests = append(cmd.Digests.Digests, tpm2.TPMTHA{HashAlg: tpm2.TPMAlgID(d.Alg), Digest: d.Sum})
	}
	_, err := cmd.Execute(w)
	return err
}
