// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"mrlog.dev"
)

// ErrReset says that the TPM was reset while the device was open: its
// registers do not hold what was extended before. Nothing was extended; a Read
// of the register says what it holds now, and lets it be extended again.
var ErrReset = errors.New("the TPM was reset while it was in use: its registers are no longer what they were")

var (
	// errTPM12 is found in the form of an answer, whatever the command was.
	errTPM12 = errors.New("it answers as a TPM 1.2; mrlog needs a TPM 2.0")
	// errChanged is found when a new connection is made.
	errChanged = errors.New("the TPM's active banks are not those that were there when it was opened: open it again")
)

// lostError says that a command got no answer, or none that can be read. The
// connection is of no use any more.
type lostError struct {
	sent bool // the TPM may have the whole command
	err  error
}

func (e *lostError) Error() string {
	if e.sent {
		return fmt.Sprintf("no answer, so that it is unknown whether the TPM executed the command: %v", e.err)
	}
	return fmt.Sprintf("the command was not sent: %v", e.err)
}

func (e *lostError) Unwrap() error { return e.err }

// explain adds what the TPM's response code means here, where its own words do
// not say.
func explain(err error) error {
	because := func(why string) error { return fmt.Errorf("%s: %w", why, err) }
	switch {
	case errors.Is(err, tpm2.TPMRCInitialize), errors.Is(err, tpm2.TPMRCReboot):
		return fmt.Errorf("%w, and nobody has started it again (the firmware does at boot; for swtpm see --flags startup-clear): %w", ErrReset, err)
	case errors.Is(err, tpm2.TPMRCFailure):
		return because("the TPM has failed its own tests, and takes commands again only after a restart of the machine")
	case errors.Is(err, tpm2.TPMRCLocality):
		return because("the TPM wants another locality than 0, the one that programs have")
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCAuthUnavailable), errors.Is(err, tpm2.TPMRCAuthType):
		return because("somebody has set a password or policy for the register")
	case busy(err):
		return because("the TPM takes no command, however often it is asked")
	}
	return err
}

// busy reports whether an answer says that the command was not executed, and
// may be sent again.
func busy(err error) bool {
	return errors.Is(err, tpm2.TPMRCRetry) || errors.Is(err, tpm2.TPMRCTesting) || errors.Is(err, tpm2.TPMRCYielded)
}

// about names the register and the TPM that an error is about.
func (d *Device) about(reg mrlog.Register, err error) error {
	return fmt.Errorf("%s: TPM at %s: %w", reg, d.path, err)
}
