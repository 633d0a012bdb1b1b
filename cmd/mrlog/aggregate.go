// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The first record of an IMA list sums up the PCRs that were there when IMA
// began. What comes of a comparison is said, and is no refusal: these may have
// been extended since.

import (
	"bytes"
	"slices"

	"mrlog.dev"
	"mrlog.dev/ima"
	"mrlog.dev/verify"
)

// aggregate is what the first record of a list says of the logs before it.
type aggregate struct {
	ima.BootAggregate
	name  string
	space mrlog.Space // of the list's registers
	pcrs  bool        // the logs before it are of PCRs
}

// aggregateOf compares the first record of a list with the PCRs that the logs so
// far lead to.
func aggregateOf(in *input, c *verify.Checker) aggregate {
	if !isIMA(in.sight.Format) || in.sight.First == nil {
		return aggregate{}
	}
	a := aggregate{name: in.name, space: in.sight.First.Register.Space}
	known := func(bank mrlog.Alg) bool { return c.Value(mrlog.Register{Space: mrlog.PCR}, bank) != nil }
	a.pcrs = slices.ContainsFunc(mrlog.Known(), known)
	a.BootAggregate = ima.CheckBootAggregate(in.sight.First, func(bank mrlog.Alg, pcr uint32) []byte {
		reg := mrlog.Register{Space: mrlog.PCR, Index: pcr}
		if v := c.Value(reg, bank); v != nil {
			return bytes.Clone(v)
		}
		if known(bank) {
			return reg.ResetValue(bank) // no record of it, in a log that is there
		}
		return nil
	})
	return a
}

// last is the last of the PCRs that the digest sums up, of a kernel since 5.8.
func (a *aggregate) last() uint32 {
	if a.Digest.Alg == mrlog.SHA1 {
		return 7
	}
	return 9
}

// verified reports whether the PCRs that are summed up are.
func (a *aggregate) verified(r *verify.Report) bool {
	for i := range a.last() + 1 {
		reg := mrlog.Register{Space: mrlog.PCR, Index: i}
		if !slices.ContainsFunc(r.Registers, func(b verify.Register) bool {
			return b.Register == reg && b.Alg == a.Digest.Alg && b.State == verify.Verified
		}) {
			return false
		}
	}
	return true
}

// noteAggregate tells what the comparison came to.
func (e *env) noteAggregate(a *aggregate, r *verify.Report) {
	switch {
	case a.Result == ima.AggregateAbsent:
	case a.Result == ima.AggregateNone && a.pcrs:
		e.warn("%s: its boot_aggregate is zero, as a kernel logs it that found no TPM, and the logs before it are of PCRs: they may be another machine's", a.name)
	case a.Result == ima.AggregateNone:
		e.note("%s: its boot_aggregate is zero: the kernel found no TPM", a.name)
	case a.space != mrlog.PCR:
		e.note("%s: its boot_aggregate is not compared: in a list of %s it sums up MRTD, too, which is in no log", a.name, a.space)
	case a.Result == ima.AggregateMatches:
		e.note("%s: its boot_aggregate sums up PCR 0 to %d as the logs before it give them", a.name, a.PCRs-1)
	case a.Result == ima.AggregateDiffers && a.verified(r):
		e.warn("%s: its boot_aggregate is not that of PCR 0 to %d, which are verified: one of them was extended after IMA began, or the values are not of one boot", a.name, a.last())
	case a.Result == ima.AggregateDiffers:
		e.warn("%s: its boot_aggregate is not that of PCR 0 to %d as the logs before it give them: the list is of another boot, or these were extended since", a.name, a.last())
	default:
		e.note("%s: its boot_aggregate is not compared with the logs before it: %s", a.name, a.Reason)
	}
}
