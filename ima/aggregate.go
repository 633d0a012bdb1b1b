// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"fmt"

	"mrlog.dev"
)

// Aggregate says how a boot_aggregate record stands to the PCRs that it sums
// up.
type Aggregate uint8

// The answers.
const (
	// AggregateAbsent: the record is no boot_aggregate.
	AggregateAbsent Aggregate = iota
	// AggregateNone: its digest is zero. The kernel found no TPM.
	AggregateNone
	// AggregateUnknown: the PCRs in the bank of its digest are not known, so
	// that nothing can be computed.
	AggregateUnknown
	// AggregateMatches: it is the digest of the PCRs.
	AggregateMatches
	// AggregateDiffers: it is not. The list is of another boot, or altered.
	AggregateDiffers
)

// String names the answer as output does.
func (a Aggregate) String() string {
	switch a {
	case AggregateNone:
		return "none"
	case AggregateUnknown:
		return "unknown"
	case AggregateMatches:
		return "matches"
	case AggregateDiffers:
		return "differs"
	}
	return "absent"
}

// BootAggregate is the finding of [CheckBootAggregate].
type BootAggregate struct {
	Result Aggregate
	Digest Digest // that the record has
	PCRs   int    // how many it sums up, 8 or 10, if it matches
	Want   []byte // what it should be, if it differs: of PCR 0 to 9, for SHA-1 0 to 7
	Reason string // of AggregateUnknown
}

// CheckBootAggregate compares the first record of a list with PCR values. It
// holds the digest of PCR 0 to 7, and since Linux 5.8 of PCR 0 to 9 in banks
// other than SHA-1; for these, either is taken. (In a list of an RTMR it holds that
// of MRTD and RTMR 0 to 2 before the list, as kernels extend it that measure to
// RTMRs: that is not compared here.) The function value returns the
// value of a PCR in a bank, or nil.
func CheckBootAggregate(r *mrlog.Record, value func(bank mrlog.Alg, pcr uint32) []byte) BootAggregate {
	var out BootAggregate
	if r.Type != mrlog.TypeIMATemplate || r.Form != mrlog.FormRaw {
		return out
	}
	fields, err := Fields(r.Name, r.Content)
	if err != nil || len(fields) < 2 || fields[0].Kind != KindDigest || fields[1].Kind != KindName || string(fields[1].Text) != "boot_aggregate" {
		return out
	}
	out.Digest = fields[0].Digest
	if fields[0].ID == "d" {
		out.Digest.Name, out.Digest.Alg = "sha1", mrlog.SHA1
	}
	alg := out.Digest.Alg
	switch {
	case len(out.Digest.Sum) > 0 && filled(out.Digest.Sum, 0):
		out.Result = AggregateNone
		return out
	case fields[0].Problem != "":
		out.Result, out.Reason = AggregateUnknown, fields[0].Problem
		return out
	case alg == 0:
		out.Result, out.Reason = AggregateUnknown, fmt.Sprintf("no PCR bank is of %.40s", out.Digest.Name)
		return out
	}
	var pcrs []byte
	for i := range uint32(10) {
		if i == 8 {
			if out.Want = alg.AppendSum(nil, pcrs); bytes.Equal(out.Want, out.Digest.Sum) {
				out.Result, out.PCRs, out.Want = AggregateMatches, 8, nil
				return out
			}
			if alg == mrlog.SHA1 {
				break
			}
		}
		v := value(alg, i)
		if len(v) != alg.Size() {
			out.Result, out.Reason, out.Want = AggregateUnknown, fmt.Sprintf("PCR %d is not known in the %s bank", i, alg), nil
			return out
		}
		pcrs = append(pcrs, v...)
	}
	out.Result = AggregateDiffers
	if alg != mrlog.SHA1 {
		if out.Want = alg.AppendSum(nil, pcrs); bytes.Equal(out.Want, out.Digest.Sum) {
			out.Result, out.PCRs, out.Want = AggregateMatches, 10, nil
		}
	}
	return out
}
