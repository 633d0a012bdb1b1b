// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// vector is a list of testdata/vectors/ima with what is known of it.
type vector struct {
	ok              bool
	offset          int64
	form, pair      string
	big             bool
	alg             mrlog.Alg
	count           int
	records, finals [][]string
	log             []byte
}

func (v *vector) open(o Options) mrlog.Reader {
	if v.form == "ascii" {
		return NewASCIIReader(bytes.NewReader(v.log), o)
	}
	return NewBinaryReader(bytes.NewReader(v.log), o)
}

func loadVectors(t *testing.T) map[string]*vector {
	t.Helper()
	names, err := filepath.Glob("../testdata/vectors/ima/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no vectors", err)
	}
	all := make(map[string]*vector)
	for _, file := range names {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, log, _ := bytes.Cut(data, []byte("\n\n"))
		v := &vector{log: log}
		for line := range strings.SplitSeq(string(head), "\n") {
			key, value, _ := strings.Cut(line, ": ")
			var err error
			switch key {
			case "name":
				all[value] = v
			case "comment", "reason":
			case "expect":
				v.ok = value == "ok"
			case "offset":
				v.offset, err = strconv.ParseInt(value, 10, 64)
			case "form":
				v.form = value
			case "order":
				v.big = value == "big"
			case "alg":
				v.alg, err = mrlog.ParseAlg(value)
			case "pair":
				v.pair = value
			case "records":
				v.count, err = strconv.Atoi(value)
			case "record":
				v.records = append(v.records, strings.Fields(value))
			case "final":
				v.finals = append(v.finals, strings.Fields(value))
			default:
				t.Fatalf("%s: unknown key %q", file, key)
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", file, key, err)
			}
		}
		if len(v.records) != v.count {
			t.Fatalf("%s: says %d records, lists %d", file, v.count, len(v.records))
		}
	}
	return all
}

func TestVectors(t *testing.T) {
	all := loadVectors(t)
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			r := v.open(Options{Banks: []mrlog.Alg{mrlog.SHA384}})
			records, err := logtest.ReadAll(r)
			if v.ok != (err == nil) {
				t.Fatalf("ok is %t: %v", v.ok, err)
			}
			if !v.ok {
				if e := syntax(t, err); e.Offset != v.offset || e.Record != int64(v.count) {
					t.Errorf("fault at %d of record %d, want %d of %d: %v", e.Offset, e.Record, v.offset, v.count, err)
				}
			}
			if len(records) != v.count || r.Header().Algs[0].Alg != v.alg || (r.Header().Dialect == BigEndian) != v.big {
				t.Fatalf("%d records, header %+v", len(records), r.Header())
			}
			for i := range records {
				rec := &records[i]
				got := []string{strconv.FormatInt(rec.Span.Offset, 10), strconv.Itoa(rec.Span.Length), rec.Register.String(), string(rec.Name), rec.Digests[0].String(), rec.Digests[len(rec.Digests)-1].String()}
				if fmt.Sprint(got) != fmt.Sprint(v.records[i]) {
					t.Errorf("record %d:\n%v, want\n%v", i, got, v.records[i])
				}
			}
			v.checkFinals(t)
			if v.pair == "" {
				return
			}
			// The pair has what the other form is written as.
			var out []byte
			if v.form == "ascii" {
				out, err = writeBinary(WriteOptions{Alg: v.alg, BigEndian: v.big}, records)
			} else {
				var text string
				text, err = writeASCII(WriteOptions{Alg: v.alg}, records)
				out = []byte(text)
			}
			if err != nil || !bytes.Equal(out, all[v.pair].log) {
				t.Errorf("in the other form: %q, %v", out, err)
			}
		})
	}
}

// checkFinals finds every value by replay, in the mode that led to it.
func (v *vector) checkFinals(t *testing.T) {
	t.Helper()
	var wants []Want
	var modes []string
	for _, f := range v.finals {
		reg, err := mrlog.ParseRegister(f[0])
		if err != nil {
			t.Fatal(err)
		}
		alg, err := mrlog.ParseAlg(f[1])
		if err != nil {
			t.Fatal(err)
		}
		mode, value, _ := strings.Cut(f[2], ":")
		wants = append(wants, Want{Register: reg, Alg: alg, Value: unhex(t, value)})
		modes = append(modes, mode)
	}
	got, _, _ := FindBanks(v.open(Options{}), wants)
	for i, m := range got {
		if m.Mode.String() != modes[i] {
			t.Errorf("%s %s: %s after %d records, want %s", m.Register, m.Alg, m.Mode, m.Records, modes[i])
		}
	}
}
