// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/logtest"
)

// given is a reader of records that are there, so many at a time.
type given struct {
	records []mrlog.Record
	size    int
	header  mrlog.Header
	err     error // at the end; io.EOF by default
}

func (g *given) Header() mrlog.Header { return g.header }

func (g *given) Read(b *mrlog.Batch) error {
	b.Reset()
	if len(g.records) == 0 {
		if g.err != nil {
			return g.err
		}
		return io.EOF
	}
	n := min(max(1, g.size), len(g.records))
	for _, r := range g.records[:n] {
		*b.Add() = r.Clone()
	}
	g.records = g.records[n:]
	return nil
}

// register reads a register's name.
func register(t *testing.T, name string) mrlog.Register {
	t.Helper()
	reg, err := mrlog.ParseRegister(name)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// of makes a record of each register: "ccmr2" extended in SHA-384, "(ccmr0)" not
// extended.
func of(t *testing.T, names ...string) []mrlog.Record {
	var out []mrlog.Record
	for i, name := range names {
		r := mrlog.Record{Type: mrlog.TypePCClient, Event: 4, Content: []byte{byte(i)}, Notes: mrlog.NoteSpaceAssumed, Span: mrlog.Span{Offset: int64(i)}}
		if inner, ok := strings.CutPrefix(name, "("); ok {
			name, r.NotExtended, r.Event = strings.TrimSuffix(inner, ")"), true, 3
		}
		r.Register = register(t, name)
		r.Digests = []mrlog.Digest{{Alg: mrlog.SHA384, Sum: make([]byte, 48)}}
		out = append(out, r)
	}
	return out
}

func registersOf(records []mrlog.Record) string {
	var names []string
	for _, r := range records {
		name := r.Register.String()
		if r.Register.Index == mrlog.NoIndex {
			name = r.Register.Space.String() + "none"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// TestPlace: every register is named by the platform's table, and by nothing
// else; what it does not have is an error, stays, or is left out, as asked.
func TestPlace(t *testing.T) {
	for _, c := range []struct {
		on      mrlog.Platform
		space   mrlog.Space
		in      string
		want    string // of the records before the error
		err     string
		kept    string // with Keep
		dropped string // with Drop
	}{
		{mrlog.TDX, mrlog.CCMR, "rtmr0 rtmr1 rtmr2 rtmr3", "ccmr1 ccmr2 ccmr3 ccmr4", "", "ccmr1 ccmr2 ccmr3 ccmr4", "ccmr1 ccmr2 ccmr3 ccmr4"},
		{mrlog.TDX, mrlog.RTMR, "ccmr3 rtmr2 pcr10 pcr16", "rtmr2 rtmr2 rtmr2 rtmr3", "", "rtmr2 rtmr2 rtmr2 rtmr3", "rtmr2 rtmr2 rtmr2 rtmr3"},
		{mrlog.CSV, mrlog.CCMR, "rtmr2 pcr10", "ccmr2 ccmr3", "", "ccmr2 ccmr3", "ccmr2 ccmr3"},
		{mrlog.TDX, mrlog.RTMR, "ccmr1 ccmr0 ccmr2", "rtmr0", "record 1: ccmr0 (MRTD) has no rtmr on tdx", "rtmr0 ccmr0 rtmr1", "rtmr0 rtmr1"},
		{mrlog.TDX, mrlog.RTMR, "(ccmr0) ccmr1", "rtmrnone rtmr0", "", "ccmr0 rtmr0", "rtmrnone rtmr0"},
		{mrlog.TDX, mrlog.RTMR, "ccmr5", "", "ccmr5 has no rtmr on tdx", "ccmr5", ""},
		{mrlog.TDX, mrlog.PCR, "rtmr2", "", "it has no one PCR", "rtmr2", ""},
		{mrlog.TDX, mrlog.CCMR, "nv0x01d10200 ccmr1", "nv0x01d10200 ccmr1", "", "nv0x01d10200 ccmr1", "nv0x01d10200 ccmr1"},
		{mrlog.TPM, mrlog.PCR, "rtmr2", "", "rtmr2 has no pcr on tpm", "rtmr2", ""},
		{"", mrlog.CCMR, "rtmr2", "", "rtmr2 has no ccmr", "rtmr2", ""},
		{mrlog.TDX, mrlog.NoSpace, "rtmr2 ccmr2 pcr2", "rtmr2 ccmr2 pcr2", "", "rtmr2 ccmr2 pcr2", "rtmr2 ccmr2 pcr2"},
	} {
		records := of(t, strings.Fields(c.in)...)
		for _, size := range []int{1, 2, 100} {
			p := convert.Placement{Space: c.space, Platform: c.on}
			read := func(p convert.Placement) (string, error) {
				got, err := logtest.ReadAll(convert.Place(&given{records: slices.Clone(records), size: size}, p))
				for i, g := range got {
					// What was renamed is not of an assumed space any more.
					if assumed := g.Notes&mrlog.NoteSpaceAssumed != 0; p.Drop == nil && i < len(records) && assumed != (g.Register == records[i].Register) {
						t.Errorf("%s on %s: record %d: assumed %v", c.in, c.on, i, assumed)
					}
				}
				return registersOf(got), err
			}
			got, err := read(p)
			var carry *mrlog.CarryError
			switch {
			case c.err == "" && (err != nil || got != c.want):
				t.Errorf("%s on %s to %s: %s, %v, want %s", c.in, c.on, c.space, got, err, c.want)
			case c.err != "" && (!errors.As(err, &carry) || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s on %s to %s: %v, want %q", c.in, c.on, c.space, err, c.err)
			}
			p.Keep = true
			if got, err := read(p); err != nil || got != c.kept {
				t.Errorf("%s on %s to %s, kept: %s, %v, want %s", c.in, c.on, c.space, got, err, c.kept)
			}
			p.Keep = false
			dropped := 0
			p.Drop = func(err *mrlog.CarryError) { dropped++ }
			if got, err := read(p); err != nil || got != c.dropped || dropped != len(records)-len(strings.Fields(got)) {
				t.Errorf("%s on %s to %s, dropped: %s, %d, %v, want %s", c.in, c.on, c.space, got, dropped, err, c.dropped)
			}
		}
	}
	// The registers of another device keep their names.
	p := convert.Placement{Space: mrlog.CCMR, Platform: mrlog.TDX, Except: mrlog.PCR}
	if got, err := logtest.ReadAll(convert.Place(&given{records: of(t, "rtmr2", "pcr10")}, p)); err != nil || registersOf(got) != "ccmr3 pcr10" {
		t.Errorf("%s, %v", registersOf(got), err)
	}
	r := convert.Place(&given{records: of(t, "(ccmr0)", "ccmr3", "ccmr3", "rtmr1"), size: 9}, convert.Placement{Space: mrlog.RTMR, Platform: mrlog.TDX})
	if _, err := logtest.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if pairs, none := convert.Pairs(r); len(pairs) != 1 || none != 1 || pairs[0].From != register(t, "ccmr3") || pairs[0].To != register(t, "rtmr2") {
		t.Errorf("pairs %v, %d of none", pairs, none)
	}
}

// TestPlatformOf: the platform follows from CC logs alone, and the common space
// from all.
func TestPlatformOf(t *testing.T) {
	const tdx, csv, none = mrlog.TDX, mrlog.CSV, mrlog.Platform("")
	log := func(space mrlog.Space, algs ...mrlog.Alg) convert.Sight {
		return convert.Sight{Name: space.String(), Spaces: []mrlog.Space{space}, Algs: algs}
	}
	for _, c := range []struct {
		what      string
		sights    []convert.Sight
		on        mrlog.Platform
		err       string
		space     mrlog.Space
		commonErr string
	}{
		{"nothing", nil, none, "", mrlog.NoSpace, ""},
		{"firmware log of TDX", []convert.Sight{log(mrlog.CCMR, mrlog.SHA384)}, tdx, "", mrlog.NoSpace, ""},
		{"firmware log of CSV", []convert.Sight{log(mrlog.CCMR, mrlog.SM3)}, csv, "", mrlog.NoSpace, ""},
		{"TPM", []convert.Sight{log(mrlog.PCR, mrlog.SHA256, mrlog.SHA384)}, none, "", mrlog.NoSpace, ""},
		{"TPM of one bank", []convert.Sight{log(mrlog.PCR, mrlog.SHA384)}, none, "", mrlog.NoSpace, ""},
		{"TDX with IMA", []convert.Sight{log(mrlog.CCMR, mrlog.SHA384), log(mrlog.RTMR, mrlog.SHA384)}, tdx, "", mrlog.CCMR, ""},
		{"TDX with a PCR of its bank", []convert.Sight{log(mrlog.CCMR, mrlog.SHA384), log(mrlog.PCR, mrlog.SHA384)}, tdx, "", mrlog.CCMR, ""},
		{"TDX with a TPM", []convert.Sight{log(mrlog.CCMR, mrlog.SHA384), log(mrlog.PCR, mrlog.SHA256)}, tdx, "", mrlog.CCMR, "it is of PCRs"},
		{"two platforms", []convert.Sight{log(mrlog.CCMR, mrlog.SHA384), log(mrlog.RTMR, mrlog.SM3)}, none, "ccmr is of tdx, rtmr of csv", mrlog.NoSpace, "cannot be told"},
		{"no telling", []convert.Sight{log(mrlog.CCMR, mrlog.SHA256), log(mrlog.RTMR, mrlog.SHA256)}, none, "", mrlog.CCMR, "ccmr is of ccmr, rtmr of rtmr"},
	} {
		on, err := convert.PlatformOf(c.sights)
		if on != c.on || (err == nil) != (c.err == "") || err != nil && (!errors.Is(err, convert.ErrPlatform) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v", c.what, on, err)
		}
		space, err := convert.CommonSpace(c.sights, on, false)
		if c.commonErr == "" && (err != nil || space != c.space) || c.commonErr != "" && (!errors.Is(err, convert.ErrPlatform) || !strings.Contains(fmt.Sprint(err), c.commonErr)) {
			t.Errorf("%s: common space %q, %v", c.what, space, err)
		}
		if space, err := convert.CommonSpace(c.sights, tdx, true); err != nil || c.err == "" && space != c.space {
			t.Errorf("%s, with the platform stated: %q, %v", c.what, space, err)
		}
	}
}

// TestJoin: the records of all logs come in order, errors and places name the
// log, and numbers count per register.
func TestJoin(t *testing.T) {
	inputs := func() []convert.Input {
		return []convert.Input{
			{"a", &given{records: of(t, "ccmr1", "ccmr2", "ccmr1"), size: 2}},
			{"empty", &given{}},
			{"b", &given{records: of(t, "ccmr2", "ccmr1"), size: 1}},
		}
	}
	j := convert.Join(inputs())
	got, err := logtest.ReadAll(convert.Number(j, convert.NumberAnew))
	if err != nil || registersOf(got) != "ccmr1 ccmr2 ccmr1 ccmr2 ccmr1" {
		t.Fatalf("%s, %v", registersOf(got), err)
	}
	for i, want := range []uint64{0, 0, 1, 1, 2} {
		if !got[i].HasNumber || got[i].Number != want {
			t.Errorf("record %d has number %d, want %d", i, got[i].Number, want)
		}
	}
	for i, want := range []string{"a 0", "a 1", "a 2", "b 0", "b 1"} {
		name, n := j.Where(int64(i))
		if where := fmt.Sprint(name, " ", n); where != want {
			t.Errorf("record %d is %s, want %s", i, where, want)
		}
	}
	fault := errors.New("cable pulled")
	broken := inputs()
	broken[2].Reader = &given{records: of(t, "ccmr2"), err: fault}
	got, err = logtest.ReadAll(convert.Join(broken))
	var one *convert.InputError
	if !errors.As(err, &one) || one.Name != "b" || !errors.Is(err, fault) || len(got) != 4 {
		t.Errorf("%d records, %v", len(got), err)
	}
	// A stated final value is compared with the log's own records.
	lying := strings.Replace(samplePublished, sampleMR[:4], "0000", 1)
	for _, in := range []string{samplePublished, lying} {
		open := func(log string) mrlog.Reader {
			r, err := convert.Open(strings.NewReader(log), convert.Source{})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		j := convert.Join([]convert.Input{{"first", open(sample)}, {"envelope", open(in)}})
		if _, err := logtest.ReadAll(j); err != nil {
			t.Fatal(err)
		}
		if claims := j.Claims(); (len(claims) > 0) != (in == lying) || len(claims) > 0 && claims[0].Name != "envelope" {
			t.Errorf("claims %v", claims)
		}
	}
}

// TestNumber: logged numbers stay, missing ones go on from them.
func TestNumber(t *testing.T) {
	records := of(t, "pcr1", "pcr1", "pcr2", "pcr1", "(pcr1)")
	records[0].Number, records[0].HasNumber = 7, true
	for how, want := range map[convert.Numbering]string{
		convert.AsLogged: "7 - - - -", convert.FillIn: "7 8 0 9 10", convert.NumberAnew: "0 1 0 2 3",
	} {
		got, err := logtest.ReadAll(convert.Number(&given{records: slices.Clone(records), size: 2}, how))
		if err != nil {
			t.Fatal(err)
		}
		var numbers []string
		for _, r := range got {
			n := "-"
			if r.HasNumber {
				n = fmt.Sprint(r.Number)
			}
			numbers = append(numbers, n)
		}
		if s := strings.Join(numbers, " "); s != want {
			t.Errorf("%d: %s, want %s", how, s, want)
		}
	}
	var many []mrlog.Record
	for i := range 1<<16 + 1 {
		many = append(many, mrlog.Record{Register: mrlog.Register{Space: mrlog.PCR, Index: uint32(i)}})
	}
	if _, err := logtest.ReadAll(convert.Number(&given{records: many, size: 1000}, convert.FillIn)); !errors.Is(err, mrlog.ErrLimit) {
		t.Errorf("too many registers: %v", err)
	}
}

// TestLook: a log that was looked at is read from its beginning, with any
// number of processors, and what is placed and numbered on the way stays whole.
func TestLook(t *testing.T) {
	log := "#: register rtmr3\n" + sample + strings.Repeat("one more line\n", 3000)
	var want []byte
	for _, procs := range []int{1, 2, 3} {
		r, err := convert.Open(strings.NewReader(log), convert.Source{})
		if err != nil {
			t.Fatal(err)
		}
		s, r := convert.Look("log", r)
		if len(s.Spaces) != 1 || s.Spaces[0] != mrlog.RTMR || len(s.Algs) != 1 || s.Algs[0] != mrlog.SHA384 || s.Assumed || s.Format != convert.NELR || len(s.Registers) != 1 {
			t.Errorf("%+v", s)
		}
		r = convert.Number(convert.Place(r, convert.Placement{Space: mrlog.CCMR, Platform: mrlog.TDX}), convert.NumberAnew)
		var out bytes.Buffer
		if _, err := convert.Copy(t.Context(), &out, convert.Target{Format: convert.CELTLV}, r, convert.Options{Procs: procs}); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = out.Bytes()
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%d processors give another log", procs)
		}
	}
	back, err := open(want)
	if err != nil || len(back) != 3003 || back[3002].Number != 3002 || back[3002].Register != register(t, "ccmr4") {
		t.Errorf("%d records, %v", len(back), err)
	}
	// An error at the beginning comes when it is read.
	_, r := convert.Look("broken", &given{err: io.ErrUnexpectedEOF})
	if _, err := logtest.ReadAll(r); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}

// TestDrop: what the target cannot carry is left out, told with its number, and
// nothing else is.
func TestDrop(t *testing.T) {
	records := of(t, "ccmr1", "ccmr2", "ccmr3")
	records[1].Type, records[1].Name, records[1].Form, records[1].Content = mrlog.TypeNamed, []byte("example"), mrlog.FormJSON, []byte(`1`)
	records[1].Event = 0
	for _, to := range []convert.Target{{Format: convert.CELTLV}, {Format: convert.TCG2}, {Format: convert.CELCBOR, Dialect: "sequence"}} {
		var out bytes.Buffer
		var lost []int64
		r := convert.Number(&given{records: slices.Clone(records), size: 2}, convert.FillIn)
		replay, err := convert.Copy(t.Context(), &out, to, r, convert.Options{Replay: true, Drop: func(err *mrlog.CarryError) { lost = append(lost, err.Record) }})
		if err != nil || len(lost) != 1 || lost[0] != 1 || replay.Len() != 3 {
			t.Errorf("%s: lost %v, %v", name(to), lost, err)
		}
		back, err := open(out.Bytes())
		if want := "ccmr1 ccmr3"; err != nil || !strings.HasSuffix(registersOf(back), want) {
			t.Errorf("%s: %s, %v, want %s", name(to), registersOf(back), err, want)
		}
		r = convert.Number(&given{records: slices.Clone(records), size: 2}, convert.FillIn)
		_, err = convert.Copy(t.Context(), io.Discard, to, r, convert.Options{})
		wantCarry(t, err, "record 1: ")
	}
}
