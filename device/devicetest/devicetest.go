// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package devicetest holds every device to the contract of device.Device.
package devicetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"mrlog.dev"
	"mrlog.dev/device"
)

// Run runs the conformance suite. The factory is called once for each part and
// returns a device for the test alone; its registers may hold any value.
func Run(t *testing.T, factory func(t *testing.T) device.Device) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, device.Device)
	}{
		{"Describes", describes},
		{"Reads", reads},
		{"ExtendsInOrder", extendsInOrder},
		{"ExtendsNothing", extendsNothing},
		{"TakesDigestsInAnyOrder", takesAnyOrder},
		{"RefusesDigests", refusesDigests},
		{"RefusesRegisters", refusesRegisters},
		{"RefusesDoneContext", refusesDoneContext},
		{"OwnsNothing", ownsNothing},
		{"Concurrent", concurrent},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, factory(t)) })
	}
}

// digests returns a record for the register; n tells records apart.
func digests(r device.Register, n int) []mrlog.Digest {
	var out []mrlog.Digest
	for _, b := range r.Banks {
		out = append(out, mrlog.Digest{Alg: b.Alg, Sum: b.Alg.AppendSum(nil, fmt.Appendf(nil, "record %d", n))})
	}
	return out
}

// fold computes an extend without the code under test where it can.
func fold(t *testing.T, alg mrlog.Alg, value, digest []byte) []byte {
	t.Helper()
	in := append(bytes.Clone(value), digest...)
	switch alg {
	case mrlog.SHA256:
		s := sha256.Sum256(in)
		return s[:]
	case mrlog.SHA384:
		s := sha512.Sum384(in)
		return s[:]
	case mrlog.SHA512:
		s := sha512.Sum512(in)
		return s[:]
	}
	return alg.AppendSum(nil, in)
}

func read(t *testing.T, d device.Device, reg mrlog.Register) []mrlog.Digest {
	t.Helper()
	got, err := d.Read(context.Background(), reg)
	if err != nil {
		t.Fatalf("Read(%s): %v", reg, err)
	}
	return got.Values
}

func want(t *testing.T, d device.Device, reg mrlog.Register, values []mrlog.Digest) {
	t.Helper()
	got := read(t, d, reg)
	if len(got) != len(values) {
		t.Fatalf("%s: %d banks, want %d", reg, len(got), len(values))
	}
	for i, v := range values {
		if got[i].Alg != v.Alg || !bytes.Equal(got[i].Sum, v.Sum) {
			t.Fatalf("%s: %s, want %s", reg, got[i], v)
		}
	}
}

// one returns a register that can be extended and read.
func one(t *testing.T, d device.Device) device.Register {
	t.Helper()
	for _, r := range d.Registers() {
		if r.NotExtendable == "" && r.NotReadable == "" {
			return r
		}
	}
	t.Fatal("no register can be both extended and read")
	return device.Register{}
}

func describes(t *testing.T, d device.Device) {
	if i := d.Info(); i.Kind == "" || i.Where == "" {
		t.Errorf("Info is not complete: %+v", i)
	}
	var last mrlog.Register
	for i, r := range d.Registers() {
		if i > 0 && last.Compare(r.Name) >= 0 {
			t.Errorf("%s stands after %s", r.Name, last)
		}
		last = r.Name
		if len(r.Banks) == 0 {
			t.Errorf("%s has no bank", r.Name)
		}
		for _, b := range r.Banks {
			if b.Alg.Size() == 0 || len(b.Reset) != b.Alg.Size() {
				t.Errorf("%s %s: reset value of %d bytes", r.Name, b.Alg, len(b.Reset))
			}
		}
	}
}

func reads(t *testing.T, d device.Device) {
	for _, r := range d.Registers() {
		if r.NotReadable != "" {
			continue
		}
		got := read(t, d, r.Name)
		if len(got) != len(r.Banks) {
			t.Fatalf("%s: %d values for %d banks", r.Name, len(got), len(r.Banks))
		}
		for i, b := range r.Banks {
			if got[i].Alg != b.Alg || len(got[i].Sum) != b.Alg.Size() {
				t.Errorf("%s: value %d is %s, want one of %s", r.Name, i, got[i], b.Alg)
			}
		}
	}
}

func extendsInOrder(t *testing.T, d device.Device) {
	for _, r := range d.Registers() {
		if r.NotExtendable != "" || r.NotReadable != "" {
			continue
		}
		values := read(t, d, r.Name)
		var records [][]mrlog.Digest
		for n := range 5 {
			rec := digests(r, n)
			records = append(records, rec)
			for i := range values {
				values[i].Sum = fold(t, values[i].Alg, values[i].Sum, rec[i].Sum)
			}
		}
		for _, part := range [][][]mrlog.Digest{records[:1], records[1:4], records[4:]} {
			if n, err := d.Extend(context.Background(), r.Name, part); err != nil || n != len(part) {
				t.Fatalf("Extend(%s, %d records) = %d, %v", r.Name, len(part), n, err)
			}
		}
		want(t, d, r.Name, values)
	}
}

func extendsNothing(t *testing.T, d device.Device) {
	r := one(t, d)
	before := read(t, d, r.Name)
	if n, err := d.Extend(context.Background(), r.Name, nil); n != 0 || err != nil {
		t.Errorf("Extend of no records = %d, %v", n, err)
	}
	want(t, d, r.Name, before)
}

func takesAnyOrder(t *testing.T, d device.Device) {
	r := one(t, d)
	values := read(t, d, r.Name)
	rec := digests(r, 1)
	for i := range values {
		values[i].Sum = fold(t, values[i].Alg, values[i].Sum, rec[i].Sum)
	}
	for i, j := 0, len(rec)-1; i < j; i, j = i+1, j-1 {
		rec[i], rec[j] = rec[j], rec[i]
	}
	if n, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{rec}); n != 1 || err != nil {
		t.Fatalf("Extend = %d, %v", n, err)
	}
	want(t, d, r.Name, values)
}

// foreignTo returns an algorithm of which the register has no bank.
func foreignTo(r device.Register) mrlog.Alg {
	for _, a := range mrlog.Known() {
		if !slices.ContainsFunc(r.Banks, func(b device.Bank) bool { return b.Alg == a }) {
			return a
		}
	}
	return 0
}

func refusesDigests(t *testing.T, d device.Device) {
	r := one(t, d)
	before := read(t, d, r.Name)
	good := digests(r, 0)
	short := digests(r, 1)
	short[0].Sum = short[0].Sum[1:]
	other := digests(r, 1)
	foreign := foreignTo(r)
	other[0] = mrlog.Digest{Alg: foreign, Sum: make([]byte, foreign.Size())}
	twice := append(digests(r, 1), digests(r, 1)[0])
	for name, bad := range map[string][]mrlog.Digest{
		"none": nil, "one bank less": good[:len(good)-1], "short sum": short, "another algorithm": other, "a bank twice": twice,
	} {
		// A good record before the bad one must not be extended either.
		n, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{good, bad})
		if n != 0 || !errors.Is(err, device.ErrDigests) {
			t.Errorf("%s: Extend = %d, %v; want ErrDigests", name, n, err)
		}
	}
	want(t, d, r.Name, before)
}

func refusesRegisters(t *testing.T, d device.Device) {
	missing := mrlog.Register{Space: mrlog.NV, Index: 0x01ffffff}
	if _, err := d.Read(context.Background(), missing); !errors.Is(err, device.ErrNoRegister) {
		t.Errorf("Read of a register that is not there: %v", err)
	}
	if _, err := d.Extend(context.Background(), missing, nil); !errors.Is(err, device.ErrNoRegister) {
		t.Errorf("Extend of a register that is not there: %v", err)
	}
	for _, r := range d.Registers() {
		if r.NotExtendable == "" {
			continue
		}
		n, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{digests(r, 0)})
		if n != 0 || !errors.Is(err, device.ErrNotExtendable) {
			t.Errorf("Extend(%s) = %d, %v; want ErrNotExtendable", r.Name, n, err)
		}
	}
}

func refusesDoneContext(t *testing.T, d device.Device) {
	r := one(t, d)
	before := read(t, d, r.Name)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Read(ctx, r.Name); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with a done context: %v", err)
	}
	if n, err := d.Extend(ctx, r.Name, [][]mrlog.Digest{digests(r, 0)}); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Extend with a done context = %d, %v", n, err)
	}
	want(t, d, r.Name, before)
}

// ownsNothing checks that what Read gave is the caller's, and what Extend took
// stays as it was.
func ownsNothing(t *testing.T, d device.Device) {
	r := one(t, d)
	before := read(t, d, r.Name)
	got := read(t, d, r.Name)
	clear(got[0].Sum)
	got[0].Sum[0] = 0xA5
	want(t, d, r.Name, before)
	rec := digests(r, 0)
	if _, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{rec}); err != nil {
		t.Fatal(err)
	}
	for i, g := range digests(r, 0) {
		if !bytes.Equal(g.Sum, rec[i].Sum) {
			t.Error("Extend altered its argument")
		}
	}
}

// concurrent extends one record from several goroutines; in whatever order,
// none may be lost or doubled, and no reader may see anything in between.
func concurrent(t *testing.T, d device.Device) {
	const callers, each = 8, 25
	r := one(t, d)
	values := read(t, d, r.Name)
	rec := digests(r, 0)
	seen := map[string]bool{string(values[0].Sum): true}
	for range callers * each {
		for i := range values {
			values[i].Sum = fold(t, values[i].Alg, values[i].Sum, rec[i].Sum)
		}
		seen[string(values[0].Sum)] = true
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if n, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{rec}); n != 1 || err != nil {
					t.Errorf("Extend = %d, %v", n, err)
				}
				got, err := d.Read(context.Background(), r.Name)
				if err != nil {
					t.Errorf("Read: %v", err)
				} else if !seen[string(got.Values[0].Sum)] {
					t.Errorf("Read gave a value that the register never had: %s", got.Values[0])
				}
			}
		})
	}
	wg.Wait()
	want(t, d, r.Name, values)
}
