// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"mrlog.dev"
)

// TestDecimal: whatever came before, a number has the digits it should.
func TestDecimal(t *testing.T) {
	var d decimal
	check := func(n uint64) {
		if got := string(d.append([]byte("x"), n)); got != "x"+strconv.FormatUint(n, 10) {
			t.Fatalf("%d is written as %s", n, got)
		}
	}
	for _, start := range []uint64{0, 7, 95, 998, 1<<32 - 3, 9999999999999999995, math.MaxUint64 - 2} {
		check(start)
		for i := uint64(1); i < 20; i++ {
			check(start + i) // wraps to 0 once
		}
	}
	for range 2000 {
		check(rand.Uint64() >> rand.IntN(64))
	}
}

// TestPlace: the kept text is used for the same place only.
func TestPlace(t *testing.T) {
	var p jsonPlace
	var records []mrlog.Record
	for _, reg := range []mrlog.Register{
		{Space: mrlog.PCR, Index: 2},
		{Space: mrlog.RTMR, Index: 2},
		{Space: mrlog.CCMR, Index: 2},
		{Space: mrlog.NV, Index: 2},
		{Space: mrlog.RTMR, Index: 3},
	} {
		for _, typ := range []mrlog.ContentType{mrlog.TypeCCCEL, mrlog.TypeSystemd} {
			records = append(records, mrlog.Record{Register: reg, Type: typ})
		}
	}
	algs := []mrlog.Alg{mrlog.SHA256, mrlog.SHA384, 0x0044}
	for range 2000 {
		r, alg := &records[rand.IntN(len(records))], algs[rand.IntN(len(algs))]
		for range 1 + rand.IntN(2) {
			got, want := string(p.append(nil, r, alg)), string(appendJSONPlace(nil, r, alg))
			if got != want {
				t.Fatalf("%v %v %v: %s, want %s", r.Register, r.Type, alg, got, want)
			}
		}
	}
}
