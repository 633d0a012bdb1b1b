// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
)

// rehash gives a record the digests of its content in the banks that it has.
func rehash(rec *mrlog.Record) {
	for i, d := range rec.Digests {
		rec.Digests[i].Sum = d.Alg.AppendSum(nil, rec.Content)
	}
}

func TestWriterRefuses(t *testing.T) {
	const (
		first  = 0
		second = 1
		third  = 2
	)
	log := init256 + "example.org/app Start\nexample.org/app Stop\n"
	content := func(s string) func(*mrlog.Record) {
		return func(r *mrlog.Record) { r.Content = []byte(s); rehash(r) }
	}
	for _, tt := range []struct {
		name string
		at   int
		edit func(*mrlog.Record)
		want string
	}{
		{"another type", second, func(r *mrlog.Record) { r.Type = mrlog.TypePCClient }, "only the lines of native logs"},
		{"a named type", second, func(r *mrlog.Record) { r.Type = mrlog.TypeNamed }, "only the lines of native logs"},
		{"another form", second, func(r *mrlog.Record) { r.Form = mrlog.FormJSON }, "no line of a native log"},
		{"INIT of another type", first, func(r *mrlog.Record) { r.Type = mrlog.TypeSystemd }, "only the lines of native logs"},
		{"empty", second, content(""), "empty"},
		{"comment", third, content("# x"), "comment"},
		{"comment mark alone", third, content("#"), "comment"},
		{"newline", second, content("a\nb"), "newline at byte 1"},
		{"newline first", second, content("\n"), "newline at byte 0"},
		{"newline last", second, content("a\n"), "newline at byte 1"},
		{"too long", third, content(strings.Repeat("x", nelr.MaxLine+1)), "1048577 bytes, a line at most 1048576"},
		{"not extended", second, func(r *mrlog.Record) { r.NotExtended = true }, "not extended"},
		{"number repeated", second, func(r *mrlog.Record) { r.Number = 0 }, "number 0"},
		{"number skipped", third, func(r *mrlog.Record) { r.Number = 3 }, "number 3"},
		{"first number", first, func(r *mrlog.Record) { r.Number = 1 }, "number 1"},
		{"second INIT", third, content(strings.TrimSuffix(init256, "\n")), "second INIT"},
		{"second INIT, malformed", third, content("INIT"), "second INIT"},
		{"no INIT", first, content("example.org/app Start"), "must be INIT"},
		{"malformed INIT", first, content("INIT sha256/00"), "must be INIT"},
		{"INIT of another bank", first, content(strings.TrimSuffix(init1, "\n")), "no sha1 digest"},
		{"another index", second, func(r *mrlog.Record) { r.Register.Index++ }, "of rtmr3, the log of rtmr2"},
		{"another space", second, func(r *mrlog.Record) { r.Register.Space = mrlog.CCMR }, "of ccmr2, the log of rtmr2"},
		{"a register without a space", first, func(r *mrlog.Record) { r.Register = mrlog.Register{Index: 2} }, "no hint can name"},
		{"an index too large", first, func(r *mrlog.Record) { r.Register = mrlog.Register{Space: mrlog.PCR, Index: mrlog.MaxIndex + 1} }, "no hint can name"},
		{"digest missing", second, func(r *mrlog.Record) { r.Digests = nil }, "no sha256 digest"},
		{"digest of another bank", second, func(r *mrlog.Record) { r.Digests[0].Alg = mrlog.SM3 }, "no sha256 digest"},
		{"digest too many", second, func(r *mrlog.Record) {
			r.Digests = append(r.Digests, mrlog.Digest{Alg: mrlog.SHA1})
			rehash(r)
		}, "2 digests, INIT lists 1"},
		{"digest twice", second, func(r *mrlog.Record) { r.Digests = append(r.Digests, r.Digests[0]) }, "2 digests, INIT lists 1"},
		{"digest altered", second, func(r *mrlog.Record) { r.Digests[0].Sum[31] ^= 1 }, "not that of the content"},
		{"digest cut", second, func(r *mrlog.Record) { r.Digests[0].Sum = r.Digests[0].Sum[:31] }, "not that of the content"},
		{"content altered", third, func(r *mrlog.Record) { r.Content[0] ^= 1 }, "not that of the content"},
		{"INIT altered", first, func(r *mrlog.Record) { r.Content[len(r.Content)-1] = '1' }, "not that of the content"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(log), nelr.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			good := make([]mrlog.Record, len(records))
			for i := range records {
				good[i] = records[i].Clone()
			}
			tt.edit(&records[tt.at])
			span := records[tt.at].Span

			// Nothing of the record is written, all that came before is.
			var out bytes.Buffer
			w := nelr.NewWriter(&out)
			refuses := func() {
				t.Helper()
				err := w.Write(records)
				var refused *mrlog.CarryError
				if !errors.As(err, &refused) || !strings.Contains(refused.What, tt.want) || refused.Record != int64(tt.at) || refused.Span != span || refused.Format != nelr.Format {
					t.Errorf("%v, want record %d: %s", err, tt.at, tt.want)
				}
			}
			refuses()
			if err := w.Close(); (err == nil) != (tt.at > 0) {
				t.Errorf("Close: %v", err)
			}
			if want := log[:span.Offset]; out.String() != want {
				t.Errorf("wrote %q, want %q", out.String(), want)
			}

			// A refusal leaves the writer as it was: what can be carried
			// still can.
			out.Reset()
			w = nelr.NewWriter(&out)
			refuses()
			if err := errors.Join(w.Write(good[tt.at:]), w.Close()); err != nil || out.String() != log {
				t.Errorf("went on: %v, wrote %q", err, out.String())
			}
		})
	}
}

func TestWriterEmpty(t *testing.T) {
	var out bytes.Buffer
	w := nelr.NewWriter(&out)
	var refused *mrlog.CarryError
	if err := errors.Join(w.Write(nil), w.Close()); !errors.As(err, &refused) || out.Len() != 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// Another register goes into a hint, and comes back from it.
func TestWriterRegister(t *testing.T) {
	for _, name := range []string{"rtmr2", "rtmr3", "pcr14", "ccmr4", "nv0x01d10200", "pcr2"} {
		reg, err := mrlog.ParseRegister(name)
		if err != nil {
			t.Fatal(err)
		}
		records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(init256+"x\n"), nelr.Options{Register: reg}))
		if err != nil {
			t.Fatal(err)
		}
		want := init256 + "x\n"
		if name != "rtmr2" {
			want = "#: register " + name + "\n" + want
		}
		if got := write(t, records); got != want {
			t.Errorf("%s: %q", name, got)
		}
		back, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(want), nelr.Options{}))
		if err != nil || len(back) != 2 || back[1].Register != reg {
			t.Errorf("%s: came back as %v, %v", name, back, err)
		}
	}
}

func write(t testing.TB, records []mrlog.Record) string {
	t.Helper()
	var out bytes.Buffer
	w := nelr.NewWriter(&out)
	if err := errors.Join(w.Write(records), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Records without a number, as systemd writes them, are numbered by place; and
// the order of digests is the log's own affair.
func TestWriterAccepts(t *testing.T) {
	log := "INIT sha1/" + strings.Repeat("00", 20) + " sha256/" + strings.Repeat("00", 32) + "\nx\n\xff\x00\r \n"
	records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(log), nelr.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		records[i].HasNumber, records[i].Number = false, 99
		d := records[i].Digests
		d[0], d[1] = d[1], d[0]
	}
	if got := write(t, records); got != log {
		t.Errorf("%q", got)
	}
}

func TestWriterLimit(t *testing.T) {
	log := "#: register pcr9\n" + init256 + "a\nbb\n"
	records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(log), nelr.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for limit := range int64(len(log) + 2) {
		var out bytes.Buffer
		w := nelr.NewWriter(&out)
		w.SetLimit(limit)
		err := errors.Join(w.Write(records), w.Close())
		if int64(out.Len()) > limit || (err == nil) != (limit >= int64(len(log))) || !strings.HasPrefix(log, out.String()) {
			t.Errorf("limit %d: %d bytes, %v", limit, out.Len(), err)
		}
		if out.Len() > 0 && strings.Count(out.String(), "\n") < 2 {
			t.Errorf("limit %d: a hint without INIT: %q", limit, out.String())
		}
	}
}

// A target that fails, at whatever size.
func TestWriterTargetFails(t *testing.T) {
	records, err := logtest.ReadAll(nelr.NewReader(bytes.NewReader(benchLog(1000, mrlog.SHA1)[:200_000-17*1001-1]), nelr.Options{IgnoreTorn: true}))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk full")
	for n := range 5 {
		left := n
		w := nelr.NewWriter(writerFunc(func(p []byte) (int, error) {
			if left--; left < 0 {
				return 0, broken
			}
			return len(p), nil
		}))
		err := w.Write(records)
		if closed := w.Close(); n < 3 && closed != broken || err != nil && closed != err {
			t.Errorf("%d good writes: %v, then %v", n, err, closed)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Any log comes back from its records, without what was not measured.
func TestRoundTripProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[^\n#][^\n]{0,30}`)
		var log bytes.Buffer
		var values []mrlog.Digest
		for _, alg := range rapid.SliceOfNDistinct(rapid.SampledFrom(mrlog.Known()), 1, 4, rapid.ID[mrlog.Alg]).Draw(t, "banks") {
			values = append(values, mrlog.Digest{Alg: alg, Sum: rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "value")})
		}
		log.Write(mrlog.AppendInit(nil, values))
		log.WriteByte('\n')
		measured := bytes.Clone(log.Bytes())
		for range rapid.IntRange(0, 10).Draw(t, "lines") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				log.WriteString("#" + rapid.StringMatching(`[^\n]{0,20}`).Draw(t, "comment"))
			case 1: // an empty line
			default:
				line := text.Draw(t, "line")
				if mrlog.IsInit([]byte(line)) {
					continue
				}
				log.WriteString(line)
				measured = append(append(measured, line...), '\n')
			}
			log.WriteByte('\n')
		}
		if diff := differ(nelr.NewReader(bytes.NewReader(log.Bytes()), nelr.Options{}), log.Bytes()); diff != "" {
			t.Fatal(diff)
		}
		records, err := logtest.ReadAll(nelr.NewReader(bytes.NewReader(log.Bytes()), nelr.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := nelr.NewWriter(&out)
		if err := errors.Join(w.Write(records), w.Close()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(measured), out.String()); diff != "" {
			t.Error(diff)
		}
	})
}
