// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
	"mrlog.dev/tcg"
)

// event is a TCG event with the digests of its data.
func event(reg mrlog.Register, typ uint32, data string, algs ...mrlog.Alg) mrlog.Record {
	rec := mrlog.Record{Register: reg, Type: mrlog.TypePCClient, Event: typ, NotExtended: typ == mrlog.EventNoAction, Content: []byte(data)}
	for _, a := range algs {
		rec.Digests = append(rec.Digests, mrlog.Digest{Alg: a, Sum: a.AppendSum(nil, rec.Content)})
	}
	return rec
}

// native reads a native log of a register.
func native(t testing.TB, reg mrlog.Register, text string) []mrlog.Record {
	t.Helper()
	records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(text), nelr.Options{Register: reg}))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

var (
	pcr14 = mrlog.Register{Space: mrlog.PCR, Index: 14}
	ccmr3 = mrlog.Register{Space: mrlog.CCMR, Index: 3}
)

func initOf(reg mrlog.Register, algs ...mrlog.Alg) string {
	var values []mrlog.Digest
	for _, a := range algs {
		values = append(values, mrlog.Digest{Alg: a, Sum: reg.ResetValue(a)})
	}
	return string(mrlog.AppendInit(nil, values)) + "\n"
}

// TestWriteNative: a native log becomes EV_ACTION events, which replay to the
// same value; their data are its lines.
func TestWriteNative(t *testing.T) {
	for _, test := range []struct {
		reg  mrlog.Register
		algs []mrlog.Alg
	}{
		{ccmr3, []mrlog.Alg{mrlog.SHA384}},
		{pcr14, []mrlog.Alg{mrlog.SHA256, mrlog.SHA1}},
		{mrlog.Register{Space: mrlog.PCR, Index: 17}, []mrlog.Alg{mrlog.SHA256}},
		{pcr14, []mrlog.Alg{mrlog.SHA1}},
	} {
		text := initOf(test.reg, test.algs...) + "example.org/app Start pid=1\nfree form\t\xff\n"
		records := native(t, test.reg, text)
		out, err := write(records, tcg.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := tcg.NewReaderBytes(out, tcg.Options{Space: test.reg.Space})
		again, err := logtest.ReadAll(r)
		if err != nil || len(again) != 4 || r.Header().Dialect != string(tcg.Agile) {
			t.Fatalf("%d records, %v, %+v", len(again), err, r.Header())
		}
		if diff := cmp.Diff(replay(t, records), replay(t, again)); diff != "" {
			t.Error(diff)
		}
		var lines strings.Builder
		for _, rec := range again[1:] {
			if rec.Event != mrlog.EventAction || rec.Type != mrlog.TypePCClient {
				t.Errorf("%+v", rec)
			}
			lines.Write(rec.Content)
			lines.WriteByte('\n')
		}
		if lines.String() != text {
			t.Errorf("%q, want %q", lines.String(), text)
		}
		var banks []mrlog.Alg
		for _, a := range r.Header().Algs {
			banks = append(banks, a.Alg)
		}
		if diff := cmp.Diff(test.algs, banks); diff != "" {
			t.Error(diff)
		}
	}
}

// TestWriterHeader: the header of a log without one.
func TestWriterHeader(t *testing.T) {
	rec := event(ccmr3, mrlog.EventAction, "x", mrlog.SHA384)
	two := event(pcr14, mrlog.EventAction, "x", mrlog.SHA256, mrlog.SHA1)
	for _, test := range []struct {
		name    string
		records []mrlog.Record
		options tcg.WriterOptions
		want    log
	}{
		{"of the record", []mrlog.Record{rec}, tcg.WriterOptions{}, header(mrlog.SHA384).event(3, 5, "x", mrlog.SHA384)},
		{"of the first batch", []mrlog.Record{event(pcr14, 5, "y", mrlog.SHA256), two}, tcg.WriterOptions{}, header(mrlog.SHA256, mrlog.SHA1).event(14, 5, "y", mrlog.SHA256).event(14, 5, "x", mrlog.SHA256, mrlog.SHA1)},
		{"as asked", []mrlog.Record{two}, tcg.WriterOptions{Algs: []mrlog.AlgSize{{Alg: mrlog.SHA1, Size: 20}, {Alg: mrlog.SHA512, Size: 64}, {Alg: mrlog.SHA256, Size: 32}}}, header(mrlog.SHA1, mrlog.SHA512, mrlog.SHA256).event(14, 5, "x", mrlog.SHA256, mrlog.SHA1)},
		{"none", []mrlog.Record{rec}, tcg.WriterOptions{Dialect: tcg.AAEL}, log(nil).event(3, 5, "x", mrlog.SHA384)},
		{"none in the SHA-1 format", []mrlog.Record{event(pcr14, 5, "x", mrlog.SHA1)}, tcg.WriterOptions{}, log(nil).old(14, 5, mrlog.SHA1.AppendSum(nil, []byte("x")), []byte("x"))},
		{"SHA-1 in the agile format", []mrlog.Record{event(pcr14, 5, "x", mrlog.SHA1)}, tcg.WriterOptions{Dialect: tcg.Agile}, header(mrlog.SHA1).event(14, 5, "x", mrlog.SHA1)},
		{"CoCo's", []mrlog.Record{rec}, tcg.WriterOptions{Dialect: tcg.CoCo}, log(nil).old(0, 3, make([]byte, 20), (&tcg.SpecID{NoSignature: true, Algs: []mrlog.AlgSize{{Alg: mrlog.SHA384, Size: 48}}}).Append(nil)).event(3, 5, "x", mrlog.SHA384)},
		{"no record", nil, tcg.WriterOptions{}, nil},
	} {
		out, err := write(test.records, test.options)
		if err != nil || !bytes.Equal(out, test.want) {
			t.Errorf("%s: %x, %v\nwant %x", test.name, out, err, []byte(test.want))
		}
	}
}

// TestWriterRefuses: what cannot be carried is named, and the record leaves no
// trace; what can be comes after it.
func TestWriterRefuses(t *testing.T) {
	s384, s256 := mrlog.SHA384, mrlog.SHA256
	head := event(ccmr3, mrlog.EventNoAction, "", mrlog.SHA1)
	head.Content = (&tcg.SpecID{Major: 2, UintnSize: 2, Algs: []mrlog.AlgSize{{Alg: s384, Size: 48}}}).Append(nil)
	head.Digests[0].Sum = make([]byte, 20)
	badHead := head.Clone()
	badHead.Content = badHead.Content[:20]
	good := event(ccmr3, mrlog.EventAction, "good", s384)
	with := func(edit func(*mrlog.Record)) mrlog.Record {
		rec := good.Clone()
		edit(&rec)
		return rec
	}
	line := func(text string) mrlog.Record {
		return with(func(r *mrlog.Record) { r.Type, r.Event, r.Content = mrlog.TypeCCCEL, 0, []byte(text) })
	}
	for _, test := range []struct {
		name  string
		first []mrlog.Record
		bad   mrlog.Record
		o     tcg.WriterOptions
		want  string
	}{
		{"IMA", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Type = mrlog.TypeIMATemplate }), tcg.WriterOptions{}, "content of type ima_template (7) is no TCG event"},
		{"an unknown type", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Type = 99 }), tcg.WriterOptions{}, "content of type 99 is no TCG event"},
		{"a named type", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeNamed, []byte("tss2") }), tcg.WriterOptions{}, `content of type "tss2" is no TCG event`},
		{"a management event", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Type, r.Form = mrlog.TypeCEL, mrlog.FormTLV }), tcg.WriterOptions{}, "content of type cel (4) is in the form of another format"},
		{"an event in TLVs", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Form = mrlog.FormTLV }), tcg.WriterOptions{}, "pcclient_std (5) is in the form of another format"},
		{"a name", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Name = []byte("n") }), tcg.WriterOptions{}, "name"},
		{"EV_NO_ACTION extended", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Event = 3 }), tcg.WriterOptions{}, "EV_NO_ACTION event that was extended"},
		{"EV_ACTION not extended", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.NotExtended = true }), tcg.WriterOptions{}, "was not extended"},
		{"a line not extended", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Type, r.NotExtended = mrlog.TypeCCCEL, true }), tcg.WriterOptions{}, "was not extended"},
		{"INIT with a value", []mrlog.Record{head}, line("INIT sha384/" + strings.Repeat("01", 48)), tcg.WriterOptions{}, "a TCG log begins with the reset value of ccmr3"},
		{"INIT malformed", []mrlog.Record{head}, line("INIT sha384/00"), tcg.WriterOptions{}, "INIT"},
		{"an RTMR", nil, with(func(r *mrlog.Record) { r.Register.Space = mrlog.RTMR }), tcg.WriterOptions{}, "map the log to ccmr"},
		{"an NV index", nil, with(func(r *mrlog.Record) { r.Register.Space = mrlog.NV }), tcg.WriterOptions{}, "neither a PCR nor a CC-MR"},
		{"no space", nil, with(func(r *mrlog.Record) { r.Register.Space = mrlog.NoSpace }), tcg.WriterOptions{}, "neither a PCR nor a CC-MR"},
		{"two spaces", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Register.Space = mrlog.PCR }), tcg.WriterOptions{}, "register pcr3 in a log of indexes in space ccmr"},
		{"a large index", nil, with(func(r *mrlog.Record) { r.Register.Index = mrlog.MaxIndex + 1 }), tcg.WriterOptions{}, "too large"},
		{"no register", nil, with(func(r *mrlog.Record) { r.Register.Index = mrlog.NoIndex }), tcg.WriterOptions{}, "too large"},
		{"another bank", []mrlog.Record{head}, event(ccmr3, 5, "x", s256), tcg.WriterOptions{}, "digest of sha256, which is none of the log's banks"},
		{"one bank too many", []mrlog.Record{head}, event(ccmr3, 5, "x", s384, s256), tcg.WriterOptions{}, "sha256"},
		{"twice", []mrlog.Record{head}, event(ccmr3, 5, "x", s384, s384), tcg.WriterOptions{}, "two sha384 digests"},
		{"no digest", []mrlog.Record{head}, event(ccmr3, 5, "x"), tcg.WriterOptions{}, "no digest"},
		{"no digest, first", nil, event(ccmr3, 5, "x"), tcg.WriterOptions{}, "no digest"},
		{"a short digest", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Digests[0].Sum = r.Digests[0].Sum[:47] }), tcg.WriterOptions{}, "47 bytes in a bank of 48"},
		{"a short digest, first", nil, with(func(r *mrlog.Record) { r.Digests[0].Sum = r.Digests[0].Sum[:47] }), tcg.WriterOptions{}, "47 bytes, want 48"},
		{"algorithm 0, first", nil, with(func(r *mrlog.Record) { r.Digests[0].Alg = 0 }), tcg.WriterOptions{}, "algorithm 0"},
		{"an unknown algorithm without a header", nil, with(func(r *mrlog.Record) { r.Digests[0].Alg = 0x44 }), tcg.WriterOptions{Dialect: tcg.AAEL}, "no header states its size"},
		{"another bank in the SHA-1 format", nil, good, tcg.WriterOptions{Dialect: tcg.SHA1}, "none of the log's banks"},
		{"two digests in the SHA-1 format", nil, event(ccmr3, 5, "x", mrlog.SHA1, s384), tcg.WriterOptions{Dialect: tcg.SHA1}, "sha384"},
		{"a large event", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Content = make([]byte, tcg.MaxEvent+1) }), tcg.WriterOptions{}, "above the limit"},
		{"an end flag in a CC log", []mrlog.Record{head}, with(func(r *mrlog.Record) { r.Register.Index, r.Event = 0, 0 }), tcg.WriterOptions{}, "reads as the end"},
		{"an end flag in the SHA-1 format", nil, with(func(r *mrlog.Record) {
			r.Register.Index, r.Event = 0, 0
			r.Digests = []mrlog.Digest{{Alg: mrlog.SHA1, Sum: make([]byte, 20)}}
		}), tcg.WriterOptions{}, "reads as the end"},
		{"a header of another dialect", nil, head, tcg.WriterOptions{Dialect: tcg.CoCo}, "header of a log in dialect agile"},
		{"a header without one", nil, head, tcg.WriterOptions{Dialect: tcg.AAEL}, "header of a log in dialect agile"},
		{"a header in the SHA-1 format", nil, head, tcg.WriterOptions{Dialect: tcg.SHA1}, "header of a log in dialect agile"},
		{"a malformed header", nil, badHead, tcg.WriterOptions{}, "header of 20 bytes"},
		{"a second header", []mrlog.Record{head}, head, tcg.WriterOptions{}, "digest of sha1, which is none of the log's banks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := write(test.first, test.o)
			if err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			w := tcg.NewWriter(&buf, test.o)
			bad := test.bad
			bad.Span = mrlog.Span{Offset: 7, Line: 9}
			err = w.Write(append(append([]mrlog.Record(nil), test.first...), bad))
			var carry *mrlog.CarryError
			if !errors.As(err, &carry) || carry.Record != int64(len(test.first)) || carry.Span != bad.Span || carry.Format != tcg.Format || !strings.Contains(carry.What, test.want) {
				t.Fatalf("%v, want %q", err, test.want)
			}
			next := good
			if test.first == nil && test.o.Dialect == tcg.SHA1 {
				next = event(ccmr3, 5, "x", mrlog.SHA1)
			}
			err = w.Write([]mrlog.Record{next})
			switch {
			case test.first == nil && test.o.Dialect != "" && test.o.Dialect != tcg.SHA1 && err == nil, err == nil:
			default:
				t.Fatalf("after it: %v", err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			whole, err := write(append(append([]mrlog.Record(nil), test.first...), next), test.o)
			if err != nil || !bytes.Equal(buf.Bytes(), whole) || !bytes.HasPrefix(whole, want) {
				t.Errorf("%x\nwant %x, %v", buf.Bytes(), whole, err)
			}
		})
	}
}

// TestWriterOptions: options that mean nothing.
func TestWriterOptions(t *testing.T) {
	for want, o := range map[string]tcg.WriterOptions{
		`unknown dialect "tcg2"`:   {Dialect: "tcg2"},
		"sha256 digests of 20":     {Algs: []mrlog.AlgSize{{Alg: mrlog.SHA256, Size: 20}}},
		"sha256 is listed twice":   {Algs: []mrlog.AlgSize{{Alg: mrlog.SHA256, Size: 32}, {Alg: mrlog.SHA256, Size: 32}}},
		"17 algorithms, the limit": {Algs: many(17)},
	} {
		w := tcg.NewWriter(io.Discard, o)
		if err := w.Write(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := w.Close(); err == nil {
			t.Errorf("%q: closed", want)
		}
	}
}

func many(n int) []mrlog.AlgSize {
	out := make([]mrlog.AlgSize, n)
	for i := range out {
		out[i] = mrlog.AlgSize{Alg: mrlog.Alg(0x100 + i), Size: 1}
	}
	return out
}

// TestWriterErrors: those of the destination come as they are and stay, and a
// closed log takes no more.
func TestWriterErrors(t *testing.T) {
	rec := event(pcr14, 5, strings.Repeat("x", 100<<10), mrlog.SHA256)
	for name, dst := range map[string]io.Writer{"fails": failing{}, "short": short{}} {
		w := tcg.NewWriter(dst, tcg.WriterOptions{})
		err := w.Write([]mrlog.Record{rec})
		if err == nil || w.Write([]mrlog.Record{rec}) != err || w.Close() != err || w.Close() != nil {
			t.Errorf("%s: %v", name, err)
		}
		w = tcg.NewWriter(dst, tcg.WriterOptions{})
		if err := w.Write([]mrlog.Record{event(pcr14, 5, "x", mrlog.SHA256)}); err != nil {
			t.Errorf("%s: a small record: %v", name, err)
		}
		if w.Close() == nil {
			t.Errorf("%s: closed", name)
		}
	}
	w := tcg.NewWriter(io.Discard, tcg.WriterOptions{})
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if w.Write([]mrlog.Record{rec}) == nil {
		t.Error("a closed log takes a record")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errBroken }

type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }
