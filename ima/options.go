// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"fmt"
	"slices"

	"mrlog.dev"
)

// Names of the formats in headers and errors.
const (
	FormatBinary = "ima-binary"
	FormatASCII  = "ima-ascii"
)

// BigEndian is the Header.Dialect of the list of a big-endian host. Others have
// none.
const BigEndian = "big-endian"

// Options says how a list is to be read. The zero value finds out what it can.
type Options struct {
	// Space that the registers are numbered in. By default an index up to 3
	// is that of an RTMR, which IMA extends on TDX with some kernels, and
	// any other that of a PCR: PCR 0 to 3 belong to the firmware.
	Space mrlog.Space

	// Alg of the logged digests. By default it follows from their size and,
	// where several algorithms have it, from the first record's content.
	Alg mrlog.Alg

	// BigEndian says that the integers, those in the template data too, are
	// big-endian. By default the list tells: a binary one by its first
	// record's head, an ASCII one by the digest of its first record.
	BigEndian bool

	// Banks are further banks that the register was extended in. The list
	// has the digest of one bank; the digest in each of these is computed
	// from the template data, as Linux 5.8 and later extend it.
	Banks []mrlog.Alg

	// Padded are further banks that were extended with the SHA-1 digest and
	// zeros behind it: all but SHA-1 before Linux 5.8, and later those that
	// the kernel has no hash function for. See [FindBanks].
	Padded []mrlog.Alg

	// Part gives a record no digests in further banks if one of them cannot be
	// derived, because the list does not tell what was hashed. By default that
	// is an error: a replay of such a bank leads to another value.
	Part bool
}

// check refuses options that mean nothing.
func (o Options) check() error {
	switch o.Space {
	case mrlog.NoSpace, mrlog.PCR, mrlog.CCMR, mrlog.RTMR:
	default:
		return fmt.Errorf("a measurement list's indexes cannot be in space %q (want pcr, ccmr or rtmr)", o.Space)
	}
	if o.Alg != 0 && o.Alg.Size() == 0 {
		return fmt.Errorf("digests of the unknown algorithm %s", o.Alg)
	}
	var seen []mrlog.Alg
	for _, a := range slices.Concat(o.Banks, o.Padded) {
		if a.Size() == 0 {
			return fmt.Errorf("bank of the unknown algorithm %s", a)
		}
		if slices.Contains(seen, a) {
			return fmt.Errorf("bank %s is asked for twice", a)
		}
		seen = append(seen, a)
	}
	return nil
}

// maxRTMR is the last index that stands for a run-time measurement register.
const maxRTMR = 3

// spaceOf returns the space that an index is taken to be in.
func spaceOf(index uint32) mrlog.Space {
	if index <= maxRTMR {
		return mrlog.RTMR
	}
	return mrlog.PCR
}

// place sets the register of a record.
func (o *Options) place(r *mrlog.Record, index uint32) {
	r.Register = mrlog.Register{Space: o.Space, Index: index}
	if o.Space == mrlog.NoSpace {
		if r.Register.Space = spaceOf(index); r.Register.Space != mrlog.PCR {
			r.Notes |= mrlog.NoteSpaceAssumed
		}
	}
}
