// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// An IMA list has the digests of one bank, and was extended in all of them.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/ima"
	"mrlog.dev/verify"
)

// isIMA reports whether a format is one of IMA's.
func isIMA(format string) bool { return format == convert.IMA || format == convert.IMAASCII }

// rereadable returns standard input, which it keeps in a temporary file if it
// has an IMA list, or may have one: that is read twice.
func (e *env) rereadable(args []string, o convert.Source) (io.Reader, error) {
	if !slices.Contains(args, "-") {
		return e.stdin, nil
	}
	start := make([]byte, convert.DetectSize)
	n, err := io.ReadFull(e.stdin, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	start = start[:n]
	all := io.MultiReader(bytes.NewReader(start), e.stdin)
	var k convert.Kind
	format, err := convert.Canonical(o.Format)
	if err != nil && n > 0 {
		k, _ = convert.Sniff(start)
		format = k.Format
	}
	if !isIMA(format) && format != convert.Evidence && !k.Open {
		return all, nil
	}
	f, err := unnamed()
	if err != nil {
		return nil, err
	}
	e.atEnd = append(e.atEnd, f.Close)
	size, err := io.Copy(f, all)
	return &spool{io.NewSectionReader(f, 0, size), f}, err
}

// spool is standard input in a file.
type spool struct {
	*io.SectionReader
	file *os.File
}

// derive opens an IMA list once more if values are expected in banks that it has
// no digests of, so that these are computed: as the kernel extends them since
// Linux 5.8, or as it did before, whichever leads to the value.
func (e *env) derive(in *input, stdin io.Reader, o convert.Source, place convert.Placement, expect []verify.Expectation, c *verify.Checker) (*input, error) {
	if !isIMA(in.sight.Format) || len(in.sight.Algs) == 0 {
		return in, nil
	}
	var wants []ima.Want
	for _, x := range expect {
		if x.Alg != in.sight.Algs[0] {
			wants = append(wants, ima.Want{Register: x.Register, Alg: x.Alg, Start: bytes.Clone(c.Value(x.Register, x.Alg)), Value: x.Value})
		}
	}
	if len(wants) == 0 {
		return in, nil
	}
	if info, err := os.Stat(in.arg); in.arg != "-" && err == nil && !info.Mode().IsRegular() {
		if !slices.ContainsFunc(wants, func(w ima.Want) bool { return slices.Contains(in.registers(place), w.Register) }) {
			return in, nil // most likely it is of other registers
		}
		return in, usage("%s is not a regular file, and an IMA list is read twice to find out how banks that it has no digests of were extended: use -", in.arg)
	}
	reopen := func(o convert.Source) (*input, error) {
		from := stdin
		if s, ok := stdin.(*spool); ok {
			from = io.NewSectionReader(s.file, 0, s.Size())
		}
		parts, err := openParts(in.arg, from, o)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			if i != in.part {
				_ = p.Close()
			}
		}
		if in.part >= len(parts) {
			return nil, fmt.Errorf("%s: it was changed while it was read", in.arg)
		}
		parts[in.part].arg = in.arg
		return parts[in.part], nil
	}
	first, err := reopen(o)
	if err != nil {
		return in, err
	}
	found, _, err := ima.FindBanks(convert.Place(first.Reader, place), wants)
	_ = first.Close()
	if err != nil {
		return in, first.at(err)
	}
	for _, m := range found {
		bank := m.Register.String() + ":" + m.Alg.String()
		switch {
		case m.Last == 0:
			continue // the list is not of that register
		case m.Opaque:
			e.warn("%s: the digests in %s cannot be derived: record %d does not tell what was hashed", in.name, bank, m.Records)
			continue
		case m.Mode == ima.ModeNative || m.Mode == ima.ModePadded:
			how := "of the template data"
			if m.Mode == ima.ModePadded {
				how = "of SHA-1, with zeros (Linux before 5.8, or without that hash)"
			}
			e.note("%s: the digests in %s are derived, %s: they lead to the expected value", in.name, bank, how)
			if m.Records < m.Last {
				e.note("%s: that value of %s is the one after %d of %s: the list was read later", in.name, bank, m.Records, count(m.Last, "record"))
			}
		}
		if slices.Contains(o.Banks, m.Alg) || slices.Contains(o.Padded, m.Alg) {
			continue
		}
		if m.Mode == ima.ModePadded {
			o.Padded = append(o.Padded, m.Alg)
		} else {
			o.Banks = append(o.Banks, m.Alg)
		}
	}
	if len(o.Banks)+len(o.Padded) == 0 {
		return in, nil
	}
	o.Part = true // a bank without its digest is a finding, with its place
	again, err := reopen(o)
	if err != nil {
		return in, errors.Join(err, in.Close())
	}
	again.look()
	return again, in.Close()
}

// registers are those of the first records, as they are placed.
func (i *input) registers(place convert.Placement) []mrlog.Register {
	out := slices.Clone(i.sight.Registers)
	for j, r := range out {
		if place.Space == mrlog.NoSpace || r.Space == place.Space || r.Space == place.Except {
			continue
		}
		if to, err := place.Platform.To(place.Space, r); err == nil {
			out[j] = to
		}
	}
	return out
}
