// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
)

func read(log []byte, o tcg.Options) ([]mrlog.Record, error) {
	return logtest.ReadAll(tcg.NewReaderBytes(log, o))
}

func write(records []mrlog.Record, o tcg.WriterOptions) ([]byte, error) {
	var buf bytes.Buffer
	w := tcg.NewWriter(&buf, o)
	if err := w.Write(records); err != nil {
		return nil, err
	}
	err := w.Close()
	return buf.Bytes(), err
}

// readers open a log in every way in which it can arrive.
var readers = map[string]func([]byte, tcg.Options) *tcg.Reader{
	"bytes":  tcg.NewReaderBytes,
	"blocks": func(p []byte, o tcg.Options) *tcg.Reader { return tcg.NewReader(bytes.NewReader(p), o) },
	"halves": func(p []byte, o tcg.Options) *tcg.Reader {
		return tcg.NewReader(iotest.HalfReader(bytes.NewReader(p)), o)
	},
	"one byte": func(p []byte, o tcg.Options) *tcg.Reader {
		return tcg.NewReader(iotest.OneByteReader(bytes.NewReader(p)), o)
	},
	"data and error": func(p []byte, o tcg.Options) *tcg.Reader {
		return tcg.NewReader(iotest.DataErrReader(bytes.NewReader(p)), o)
	},
}

// syntax returns the SyntaxError that err is.
func syntax(t testing.TB, err error) *mrlog.SyntaxError {
	t.Helper()
	var s *mrlog.SyntaxError
	if !errors.As(err, &s) {
		t.Fatalf("%v is no *mrlog.SyntaxError", err)
	}
	return s
}

// replay returns the values of all banks by their names, "pcr0 sha256".
func replay(t testing.TB, records []mrlog.Record) map[string]string {
	t.Helper()
	var r mrlog.Replay
	if err := r.Extend(records); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, b := range r.Banks() {
		out[b.Register.String()+" "+b.Alg.String()] = hex.EncodeToString(b.Value)
	}
	return out
}

// realLog is a log of the corpus with its known answers.
type realLog struct {
	File      string
	Kind      string
	Events    int
	Registers map[string]map[string]string // bank → index → value
	log       []byte
}

// space returns the space that the log's indexes are in.
func (l *realLog) space() mrlog.Space {
	if l.Kind == "ccel" {
		return mrlog.CCMR
	}
	return mrlog.PCR
}

func realLogs(t testing.TB) []realLog {
	t.Helper()
	dir := reallogs.Dir(t)
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []realLog
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(l realLog) bool { return l.Kind != "ccel" && l.Kind != "tcg" })
	for i := range all {
		if all[i].log, err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(all[i].File))); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 10 {
		t.Fatalf("%d logs in the corpus", len(all))
	}
	return all
}

// vector is a log of testdata/vectors/tcg with what is known of it.
type vector struct {
	name, expect, reason, dialect, space string
	algs                                 []string
	offset, padding                      int64
	records                              []vectorRecord
	final                                map[string]string
	log                                  []byte
}

type vectorRecord struct {
	offset, length, index, event, dataOffset, dataLength int64
	digests                                              []string
}

func (v *vector) options() tcg.Options { return tcg.Options{Bare: v.dialect == "aael"} }

func (v *vector) writer() tcg.WriterOptions {
	if v.dialect == "aael" {
		return tcg.WriterOptions{Dialect: tcg.AAEL}
	}
	return tcg.WriterOptions{}
}

func vectors(t testing.TB) []*vector {
	t.Helper()
	names, err := filepath.Glob("../testdata/vectors/tcg/*.txt")
	if err != nil || len(names) < 50 {
		t.Fatalf("%d vectors, %v", len(names), err)
	}
	var all []*vector
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseVector(data)
		if err != nil || v.name+".txt" != filepath.Base(name) {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
	return all
}

func parseVector(data []byte) (*vector, error) {
	head, log, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return nil, errors.New("no empty line")
	}
	v := &vector{log: log, final: map[string]string{}}
	count := -1
	for line := range strings.Lines(string(head)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		var err error
		switch key {
		case "name":
			v.name = value
		case "comment":
		case "expect":
			v.expect = value
		case "offset":
			v.offset, err = strconv.ParseInt(value, 10, 64)
		case "reason":
			v.reason = value
		case "dialect":
			v.dialect = value
		case "space":
			v.space = value
		case "algs":
			v.algs = strings.Fields(value)
		case "padding":
			v.padding, err = strconv.ParseInt(value, 10, 64)
		case "records":
			count, err = strconv.Atoi(value)
		case "record":
			var r vectorRecord
			f := strings.Fields(value)
			for i, p := range []*int64{&r.offset, &r.length, &r.index, &r.event, &r.dataOffset, &r.dataLength} {
				if *p, err = strconv.ParseInt(f[i], 0, 64); err != nil {
					return nil, err
				}
			}
			r.digests = f[6:]
			v.records = append(v.records, r)
		case "final":
			reg, bank, _ := strings.Cut(value, " ")
			alg, sum, _ := strings.Cut(bank, ":")
			v.final[reg+" "+alg] = sum
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if count != len(v.records) {
		return nil, fmt.Errorf("%d records of %d", len(v.records), count)
	}
	return v, nil
}

var errBroken = errors.New("broken source")

// broken gives a log out and then fails.
func broken(log []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(log), iotest.ErrReader(errBroken))
}
