// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"mrlog.dev/device"
	"mrlog.dev/device/tpm"
	"mrlog.dev/device/tsm"
)

// The kinds of devices that are looked for, as --device names them.
const (
	kindTDX = "tdx"
	kindTPM = "tpm"
)

// detect opens the device that the machine has: the registers of a TDX guest
// first, because nobody outside the guest's hardware can set them, then a TPM.
// It returns what it found out about those that it does not use; where there is
// none, the error has it, too.
//
// A device that is there and cannot be opened is an error, and never a reason
// to take the next one: which register an event goes to must not depend on who
// asks.
func (e *env) detect(ctx context.Context) (device.Device, []findingOutput, error) {
	tree, found := tsm.Detect(e.root)
	findings := findingsOf(kindTDX, found)
	if tree != "" {
		d, err := e.openTDX(tree, "")
		switch {
		case err != nil:
			return nil, findings, withFindings(err, findings)
		case d.Info().Simulated && !e.pretended():
			_ = d.Close()
			findings = append(findings, simulated(kindTDX, d))
		default:
			findings = besides(findings, tree)
			if node := tpm.DefaultPath(e.root); node != "" {
				findings = append(findings, findingOutput{
					kindTPM, node, "the registers of the guest itself come first", "name it with --device tpm to use it",
				})
			}
			return d, findings, nil
		}
	}
	own := findingsOf(kindTPM, tpm.Detect(e.root))
	if tpm.DefaultPath(e.root) == "" {
		findings = append(findings, own...)
		return nil, findings, withFindings(errNoDevice, findings)
	}
	d, err := e.openTPM(ctx, "")
	if err != nil {
		findings = append(findings, own...)
		return nil, findings, withFindings(err, findings)
	}
	if d.Info().Simulated && !e.pretended() {
		_ = d.Close()
		findings = append(findings, simulated(kindTPM, d))
		return nil, findings, withFindings(errNoDevice, findings)
	}
	// What is wrong with banks and registers is said with them.
	for _, f := range own {
		if f.What == d.Info().Where {
			findings = append(findings, f)
		}
	}
	return d, findings, nil
}

// simulated is the finding about a device whose values prove nothing: it is
// used when it is named, and not for being there.
func simulated(kind string, d device.Device) findingOutput {
	where := d.Info().Where
	return findingOutput{kind, where, "its registers are simulated", fmt.Sprintf("name it to use it all the same, for tests: --device %s:%s", kind, where)}
}

// pretended reports whether the machine's files are a test's: then what is
// simulated below them stands for the real thing.
func (e *env) pretended() bool { return e.root != "/" }

// withFindings is the error where detection gave no device.
func withFindings(err error, findings []findingOutput) error {
	_, hint := classify(err)
	f := &failure{code: exitFailed, err: err, findings: findings, hint: hint}
	if errors.Is(err, errNoDevice) {
		f.hint = "--device soft keeps simulated registers in the state folder, for development and tests"
	}
	return f
}

// findingsOf takes over what is wrong with a kind of device.
func findingsOf(kind string, found []device.Finding) []findingOutput {
	var out []findingOutput
	for _, f := range found {
		if f.Why != "" {
			out = append(out, findingOutput{Device: kind, What: f.What, Why: f.Why, Remedy: f.Remedy})
		}
	}
	return out
}

// besides leaves out what is about the registers of a tree that is used: it is
// said with them.
func besides(findings []findingOutput, tree string) []findingOutput {
	var out []findingOutput
	for _, f := range findings {
		if !strings.HasPrefix(f.What, tree+string(filepath.Separator)) {
			out = append(out, f)
		}
	}
	return out
}

// openTDX opens a measurement tree; "" is the machine's.
func (e *env) openTDX(tree, report string) (*tsm.Device, error) {
	d, err := tsm.Open(tsm.Options{Tree: tree, Report: report, Root: e.root})
	var absent *tsm.AbsentError
	switch {
	case errors.As(err, &absent):
		return nil, withFindings(errors.New("no measurement registers of a guest were found"), findingsOf(kindTDX, absent.Findings))
	case err == nil:
		return d, nil
	}
	err = fmt.Errorf("tdx: %w", err)
	where, found := tree, []device.Finding(nil)
	if tree == "" {
		where, found = tsm.Detect(e.root)
	}
	f := &failure{code: exitFailed, err: err, findings: findingsOf(kindTDX, found), hint: mayNotHint(err)}
	if f.hint == "" && report == "" {
		// Are reports all that is missing?
		if without, err := tsm.Open(tsm.Options{Tree: where, Report: tsm.NoReport, Root: e.root}); err == nil {
			f.hint = fmt.Sprintf("--device tdx:%s,%s does without reports: it reads what the kernel has cached", where, tsm.NoReport)
			_ = without.Close()
		}
	}
	return nil, f
}

// openTPM opens a TPM; "" is the machine's.
func (e *env) openTPM(ctx context.Context, path string) (*tpm.Device, error) {
	if path == "" {
		if path = tpm.DefaultPath(e.root); path == "" {
			return nil, withFindings(errors.New("no TPM was found"), findingsOf(kindTPM, tpm.Detect(e.root)))
		}
	}
	// What is behind a socket may never answer. Nothing is at stake yet, so
	// that an interrupt need not wait for it.
	type opened struct {
		d   *tpm.Device
		err error
	}
	done := make(chan opened, 1)
	go func() {
		d, err := tpm.Open(ctx, path)
		done <- opened{d, err}
	}()
	select {
	case o := <-done:
		return o.d, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
