// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"

	"mrlog.dev"
)

// maxRTMR is the last index at which a plain pcr of a CC-CEL record means a
// run-time measurement register.
const maxRTMR = 3

// Options says how a log is to be read. The zero value reads what the log
// says.
type Options struct {
	// Space that plain indexes are numbered in: PCR, CCMR or RTMR. It
	// overrides what a record's plain pcr would be taken for, and never
	// what a record states (index type 108, nv_index, the key "space").
	Space mrlog.Space
}

// check refuses options that mean nothing.
func (o Options) check() error {
	switch o.Space {
	case mrlog.NoSpace, mrlog.PCR, mrlog.CCMR, mrlog.RTMR:
		return nil
	}
	return fmt.Errorf("plain indexes cannot be in space %q (want pcr, ccmr or rtmr)", o.Space)
}

// plainSpace returns the space that a plain index ("pcr" without more) is taken
// to be in. A native log is converted with the plain index of its register, an
// RTMR on TDX, while PCR 0 to 3 belong to the firmware and never have a native
// log.
func plainSpace(t mrlog.ContentType, index uint32) mrlog.Space {
	if t == mrlog.TypeCCCEL && index <= maxRTMR {
		return mrlog.RTMR
	}
	return mrlog.PCR
}

// plain sets the register of a record, whose type is known, from a plain index.
// A space that is not PCR's is noted as an assumption, unless the user states
// it.
func (o Options) plain(r *mrlog.Record, index uint32) {
	r.Register = mrlog.Register{Space: o.Space, Index: index}
	if o.Space == mrlog.NoSpace {
		if r.Register.Space = plainSpace(r.Type, index); r.Register.Space != mrlog.PCR {
			r.Notes |= mrlog.NoteSpaceAssumed
		}
	}
}

// tooLarge reports whether no record can have an index that is not an NV
// index.
func tooLarge(index uint64) bool { return index > mrlog.MaxIndex && index != mrlog.NoIndex }

// errNoIndex says that a record that was extended is of no register.
var errNoIndex = fmt.Errorf("register index %d is too large: it stands for none, and the record was extended", uint32(mrlog.NoIndex))

// checkIndex refuses a record that was extended into no register.
func checkIndex(r *mrlog.Record) error {
	if r.Register.Index == mrlog.NoIndex && r.Register.Space != mrlog.NV && !r.NotExtended {
		return errNoIndex
	}
	return nil
}

// assumed reports whether a record's space is an assumption of ours.
func assumed(r *mrlog.Record) bool { return r.Notes&mrlog.NoteSpaceAssumed != 0 }

// plainIndex reports whether the plain index of a record, read with the zero
// Options, gives its register back.
func plainIndex(r *mrlog.Record) bool {
	return r.Register.Space == plainSpace(r.Type, r.Register.Index)
}

// spaceNames are the values of the key "space".
var spaceNames = names[mrlog.Space]{
	{mrlog.PCR, "pcr"},
	{mrlog.CCMR, "ccmr"},
	{mrlog.RTMR, "rtmr"},
}

// spaceKey returns the value of the extension key "space" that JSON and CBOR
// write for a record: empty for an NV index and where the plain index says it
// all, else "ccmr", "rtmr" or, for a CC-CEL record in PCR 0 to 3, "pcr".
func spaceKey(r *mrlog.Record) string {
	if r.Register.Space == mrlog.NV || plainIndex(r) {
		return ""
	}
	return r.Register.Space.String()
}
