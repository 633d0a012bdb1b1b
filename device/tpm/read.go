// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"mrlog.dev"
	"mrlog.dev/device"
)

// readRounds is how often a register is read anew that others extend all the
// while. Only a TPM that gives its banks in several answers needs it.
const readRounds = 32

// Read returns the values of all banks of a PCR, always fresh. Where the
// connection breaks it is made anew and the register read again, once: reading
// changes nothing. A deadline of ctx counts to the end.
//
// Command: TPM2_PCR_Read of all banks. One answer holds up to 8 digests, of one
// instant. Where the TPM gives fewer than it was asked for the rest is asked
// for, until the update counter has not changed meanwhile or, for a PCR that it
// does not count, until two rounds give the same.
func (d *Device) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	r, err := device.Find(d, reg)
	if err != nil {
		return device.Reading{}, err
	}
	if err := d.acquire(ctx); err != nil {
		return device.Reading{}, d.about(reg, err)
	}
	defer d.release()
	kept := d.link != nil
	values, err := d.read(ctx, r)
	var lost *lostError
	if kept && errors.As(err, &lost) && ctx.Err() == nil {
		values, err = d.read(ctx, r)
	}
	if err != nil {
		if c := ctx.Err(); c != nil {
			err = fmt.Errorf("%w: %w", c, err)
		}
		return device.Reading{}, d.about(reg, err)
	}
	d.readIn[reg.Index] = d.epoch
	return device.Reading{Values: values, Fresh: true}, nil
}

func (d *Device) read(ctx context.Context, r device.Register) (values []mrlog.Digest, err error) {
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	err = d.run(ctx, func(w wire) error {
		values, err = d.settled(w, r)
		return err
	})
	return values, err
}

// settled returns values of one instant.
func (d *Device) settled(w wire, r device.Register) ([]mrlog.Digest, error) {
	var last round
	for range readRounds {
		now, err := readRound(w, r)
		if err != nil {
			return nil, err
		}
		if now.first < d.counter {
			d.epoch++ // a counter begins anew when the TPM does
		}
		d.counter = now.last
		counted := !d.shape.uncounted.has(r.Name.Index)
		if now.answers == 1 || counted && now.first == now.last || now.same(last) {
			return now.values, nil
		}
		last = now
	}
	return nil, fmt.Errorf("its banks changed while they were read, %d times in a row", readRounds)
}

// round is what one pass over a register's banks gave.
type round struct {
	values      []mrlog.Digest
	first, last uint32 // update counters in the first and last answer
	answers     int
}

func (r round) same(o round) bool {
	return slices.EqualFunc(r.values, o.values, func(a, b mrlog.Digest) bool { return bytes.Equal(a.Sum, b.Sum) })
}

// readRound asks for banks until all have been given.
func readRound(w wire, r device.Register) (round, error) {
	out := round{values: make([]mrlog.Digest, len(r.Banks))}
	for missing := len(r.Banks); missing > 0; out.answers++ {
		var ask tpm2.TPMLPCRSelection
		for i, b := range r.Banks {
			if out.values[i].Sum == nil {
				ask.PCRSelections = append(ask.PCRSelections, tpm2.TPMSPCRSelection{
					Hash:      tpm2.TPMAlgID(b.Alg),
					PCRSelect: tpm2.PCClientCompatible.PCRs(uint(r.Name.Index)),
				})
			}
		}
		answer, err := tpm2.PCRRead{PCRSelectionIn: ask}.Execute(w)
		if err != nil {
			return round{}, fmt.Errorf("TPM2_PCR_Read: %w", err)
		}
		out.last = answer.PCRUpdateCounter
		if out.answers == 0 {
			out.first = out.last
		}
		digests := answer.PCRValues.Digests
		before := missing
		for _, s := range answer.PCRSelectionOut.PCRSelections {
			if !selection(s.PCRSelect).has(r.Name.Index) {
				continue
			}
			alg := mrlog.Alg(s.Hash)
			i := slices.IndexFunc(r.Banks, func(b device.Bank) bool { return b.Alg == alg })
			if i < 0 || out.values[i].Sum != nil || len(digests) == 0 || len(digests[0].Buffer) != alg.Size() {
				return round{}, fmt.Errorf("TPM2_PCR_Read: the answer's bank %s and its digests are not what was asked for", alg)
			}
			out.values[i] = mrlog.Digest{Alg: alg, Sum: digests[0].Buffer}
			digests = digests[1:]
			missing--
		}
		if len(digests) > 0 {
			return round{}, errors.New("TPM2_PCR_Read: the answer has more digests than banks")
		}
		if missing == before {
			return round{}, errors.New("TPM2_PCR_Read: the TPM gives no more of the register's banks, though they are active")
		}
	}
	return out, nil
}
