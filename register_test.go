// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
)

func TestParseRegister(t *testing.T) {
	for in, want := range map[string]mrlog.Register{
		"pcr0":          {Space: mrlog.PCR, Index: 0},
		"PCR23":         {Space: mrlog.PCR, Index: 23},
		"ccmr4":         {Space: mrlog.CCMR, Index: 4},
		"rtmr3":         {Space: mrlog.RTMR, Index: 3},
		"Rtmr2":         {Space: mrlog.RTMR, Index: 2},
		"pcr16777215":   {Space: mrlog.PCR, Index: mrlog.MaxIndex},
		"nv0x01d10200":  {Space: mrlog.NV, Index: 0x01d10200},
		"NV0X01D10200":  {Space: mrlog.NV, Index: 0x01d10200},
		"nv30474752":    {Space: mrlog.NV, Index: 0x01d10200},
		"nv0xffffffff":  {Space: mrlog.NV, Index: 0xffffffff},
		"nv0x1":         {Space: mrlog.NV, Index: 1},
		"nv4294967295":  {Space: mrlog.NV, Index: 0xffffffff},
		"nv0x000000001": {Space: mrlog.NV, Index: 1},
	} {
		if got, err := mrlog.ParseRegister(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", "pcr", "7", "PCR[7]", "pcr 7", " pcr7", "pcr7 ", "pcr07", "pcr+7", "pcr-7", "pcr_7", "pcr7x", "pcr0x7", "pcr1_0",
		"rtmr16777216", "pcr4294967296", "pcr99999999999999999999", "mr2", "register2", "nv", "nv0x", "nv0x100000000", "nv010", "nv0x+1", "nv0x0x1",
		"pcr\x00", "pcr7\n", "рcr7", "pcr٧", "rtmr\u00b2",
	} {
		if got, err := mrlog.ParseRegister(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		} else if len(err.Error()) > 300 {
			t.Errorf("%q: error of %d bytes", bad, len(err.Error()))
		}
	}
	for _, s := range []mrlog.Space{mrlog.PCR, mrlog.CCMR, mrlog.RTMR, mrlog.NV} {
		if got, err := mrlog.ParseSpace(strings.ToUpper(s.String())); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	if s, err := mrlog.ParseSpace(""); err == nil || mrlog.NoSpace.String() != "" {
		t.Errorf("the empty space: %v, %v", s, err)
	}
}

func FuzzParseRegister(f *testing.F) {
	for _, s := range []string{"pcr7", "NV0x01D10200", "rtmr16777215", "ccmr04", "nv00", "register2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := mrlog.ParseRegister(s)
		if err != nil {
			return
		}
		if back, err := mrlog.ParseRegister(r.String()); err != nil || back != r {
			t.Errorf("%q: %v, then %v, %v", s, r, back, err)
		}
		if r.Space != mrlog.NV && r.Index > mrlog.MaxIndex {
			t.Errorf("%q: index %d", s, r.Index)
		}
	})
}

func TestRegisterCompare(t *testing.T) {
	var all []mrlog.Register
	for _, s := range []mrlog.Space{mrlog.NoSpace, mrlog.PCR, mrlog.CCMR, mrlog.RTMR, mrlog.NV} {
		for _, i := range []uint32{0, 2, 10, mrlog.MaxIndex} {
			all = append(all, mrlog.Register{Space: s, Index: i})
		}
	}
	for i, a := range all {
		for j, b := range all {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v, %v: %d", a, b, got)
			}
		}
	}
}

func TestResetValue(t *testing.T) {
	for _, alg := range append(mrlog.Known(), 0x44) {
		zero, ones := make([]byte, alg.Size()), bytes.Repeat([]byte{0xFF}, alg.Size())
		for space := mrlog.NoSpace; space <= mrlog.NV; space++ {
			for index := range uint32(32) {
				r := mrlog.Register{Space: space, Index: index}
				dynamic := space == mrlog.PCR && slices.Contains([]uint32{17, 18, 19, 20, 21, 22}, index)
				want := zero
				if dynamic {
					want = ones
				}
				if got := r.ResetValue(alg); !bytes.Equal(got, want) {
					t.Errorf("%v %v: %x", r, alg, got)
				}
				if got := r.AppendResetValue([]byte("x"), alg); string(got) != "x"+string(want) {
					t.Errorf("%v %v: appended %x", r, alg, got)
				}
				if alg.Size() == 0 {
					continue
				}
				for _, tt := range []struct {
					value []byte
					want  bool
				}{
					{zero, true}, // also where a dynamic launch gives it
					{ones, dynamic},
					{append(bytes.Clone(zero[1:]), 3), false}, // a startup locality
					{zero[1:], false},
					{ones[1:], false},
					{append(bytes.Clone(zero), 0), false},
					{nil, false},
				} {
					if got := r.ResetsTo(alg, tt.value); got != tt.want {
						t.Errorf("%v %v resets to %x: %v", r, alg, tt.value, got)
					}
				}
			}
		}
	}
}

func TestPlatformMaps(t *testing.T) {
	for _, p := range []mrlog.Platform{mrlog.TDX, mrlog.CSV, mrlog.CCA, mrlog.TPM} {
		seen := map[mrlog.Register]string{}
		claim := func(r mrlog.Register, name string) {
			if other, ok := seen[r]; ok {
				t.Errorf("%s: %v belongs to %s and to %s", p, r, other, name)
			}
			seen[r] = name
		}
		for i, row := range p.Map() {
			if row.Source == "" || row.Name == "" {
				t.Errorf("%s: row %d has no source or no name", p, i)
			}
			if row.CCMR >= 0 {
				claim(mrlog.Register{Space: mrlog.CCMR, Index: uint32(row.CCMR)}, row.Name)
			}
			if row.RTMR >= 0 {
				claim(mrlog.Register{Space: mrlog.RTMR, Index: uint32(row.RTMR)}, row.Name)
			}
			for _, n := range row.PCRs {
				claim(mrlog.Register{Space: mrlog.PCR, Index: n}, row.Name)
			}
		}
		for n := range uint32(24) {
			pcr := mrlog.Register{Space: mrlog.PCR, Index: n}
			row, ok := p.Row(pcr)
			if !ok || seen[pcr] != row.Name {
				t.Errorf("%s: %v maps nowhere", p, pcr)
			}
		}
		// Whatever one register is called in another space, it is the same
		// row, and the way back leads to it.
		for r, name := range seen {
			for _, space := range []mrlog.Space{mrlog.PCR, mrlog.CCMR, mrlog.RTMR} {
				to, err := p.To(space, r)
				if err != nil {
					continue
				}
				if row, ok := p.Row(to); !ok || row.Name != name || to.Space != space {
					t.Errorf("%s: %v (%s) became %v (%s)", p, r, name, to, row.Name)
				}
				if r.Space == mrlog.PCR {
					continue // several share a register
				}
				if back, err := p.To(r.Space, to); err == nil && back != r {
					t.Errorf("%s: %v, then %v, then %v", p, r, to, back)
				}
			}
		}
	}
	if rows := mrlog.Platform("sgx").Map(); rows != nil {
		t.Errorf("an unknown platform has %d rows", len(rows))
	}
}

func TestPlatformTo(t *testing.T) {
	for _, tt := range []struct {
		platform mrlog.Platform
		from, to string // to: "" for an error that holds why
		space    mrlog.Space
		why      string
	}{
		{mrlog.TDX, "pcr0", "ccmr0", mrlog.CCMR, ""},
		{mrlog.TDX, "pcr1", "rtmr0", mrlog.RTMR, ""},
		{mrlog.TDX, "pcr7", "rtmr0", mrlog.RTMR, ""},
		{mrlog.TDX, "pcr2", "rtmr1", mrlog.RTMR, ""},
		{mrlog.TDX, "pcr6", "ccmr2", mrlog.CCMR, ""},
		{mrlog.TDX, "pcr8", "rtmr2", mrlog.RTMR, ""},
		{mrlog.TDX, "pcr15", "ccmr3", mrlog.CCMR, ""},
		{mrlog.TDX, "pcr16", "rtmr3", mrlog.RTMR, ""},
		{mrlog.TDX, "pcr23", "ccmr4", mrlog.CCMR, ""},
		{mrlog.TDX, "rtmr3", "ccmr4", mrlog.CCMR, ""},
		{mrlog.TDX, "ccmr1", "rtmr0", mrlog.RTMR, ""},
		{mrlog.TDX, "ccmr0", "pcr0", mrlog.PCR, ""},
		{mrlog.TDX, "ccmr0", "", mrlog.RTMR, "MRTD"},
		{mrlog.TDX, "pcr0", "", mrlog.RTMR, "MRTD"},
		{mrlog.TDX, "rtmr2", "", mrlog.PCR, "8, 9, 10, 11, 12, 13, 14, 15"},
		{mrlog.TDX, "pcr24", "", mrlog.RTMR, "no rtmr"},
		{mrlog.TDX, "rtmr4", "", mrlog.CCMR, "no ccmr"},
		{mrlog.TDX, "nv0x1", "", mrlog.RTMR, "no rtmr"},
		{mrlog.TDX, "rtmr3", "rtmr3", mrlog.RTMR, ""},
		{mrlog.CSV, "rtmr3", "ccmr3", mrlog.CCMR, ""},
		{mrlog.CSV, "pcr8", "rtmr3", mrlog.RTMR, ""},
		{mrlog.CCA, "rtmr2", "ccmr3", mrlog.CCMR, ""},
		{mrlog.CCA, "pcr17", "rtmr3", mrlog.RTMR, ""},
		{mrlog.TPM, "pcr7", "pcr7", mrlog.PCR, ""},
		{mrlog.TPM, "pcr7", "", mrlog.RTMR, "no rtmr"},
		{mrlog.TPM, "rtmr2", "", mrlog.PCR, "no pcr"},
		{"sgx", "pcr7", "", mrlog.RTMR, "no rtmr"},
	} {
		from, err := mrlog.ParseRegister(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tt.platform.To(tt.space, from)
		if tt.to != "" && (err != nil || got.String() != tt.to) {
			t.Errorf("%s: %s to %s: %v, %v", tt.platform, tt.from, tt.space, got, err)
		}
		if tt.to == "" && (err == nil || !strings.Contains(err.Error(), tt.why)) {
			t.Errorf("%s: %s to %s: %v, %v; want an error with %q", tt.platform, tt.from, tt.space, got, err, tt.why)
		}
	}
}

// Were PCR 0 to end up at a register that software extends, a guest could
// write the measurement of its own firmware.
func TestPCR0IsNeverExtendable(t *testing.T) {
	for _, p := range []mrlog.Platform{mrlog.TDX, mrlog.CSV, mrlog.CCA} {
		row, ok := p.Row(mrlog.Register{Space: mrlog.PCR, Index: 0})
		if !ok || row.Extendable {
			t.Errorf("%s: PCR 0 is at %+v", p, row)
		}
		for n := range uint32(24) {
			row, _ := p.Row(mrlog.Register{Space: mrlog.PCR, Index: n})
			if row.Extendable != (n != 0) {
				t.Errorf("%s: PCR %d, %s extendable: %v", p, n, row.Name, row.Extendable)
			}
		}
	}
	for n := range uint32(24) {
		row, _ := mrlog.TPM.Row(mrlog.Register{Space: mrlog.PCR, Index: n})
		if row.Extendable != (n < 17 || n > 22) || row.Name != fmt.Sprintf("PCR%d", n) {
			t.Errorf("PCR %d: %+v", n, row)
		}
	}
}
