// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// unhex decodes hexadecimal with blanks in it.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readTLV(p []byte) ([]mrlog.Record, mrlog.Header, error) {
	r := NewTLVReader(bytes.NewReader(p), Options{})
	recs, err := logtest.ReadAll(r)
	return recs, r.Header(), err
}

func readCBOR(p []byte) ([]mrlog.Record, mrlog.Header, error) {
	r := NewCBORReader(bytes.NewReader(p), Options{})
	recs, err := logtest.ReadAll(r)
	return recs, r.Header(), err
}

func writeTLV(d Dialect, recs []mrlog.Record) ([]byte, error) {
	var buf bytes.Buffer
	w, err := NewTLVWriter(&buf, d)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.Write(recs), w.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func writeCBOR(records int64, recs []mrlog.Record) ([]byte, error) {
	var buf bytes.Buffer
	w := NewCBORWriter(&buf, records)
	if err := errors.Join(w.Write(recs), w.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// diffRecords compares records but for their place and notes. Absent and empty
// bytes are the same.
func diffRecords(want, got []mrlog.Record) string {
	if slices.EqualFunc(want, got, equalRecord) {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(mrlog.Record{}, "Span", "Notes"))
}

func equalRecord(a, b mrlog.Record) bool {
	return a.Number == b.Number && a.HasNumber == b.HasNumber && a.Register == b.Register &&
		a.Type == b.Type && a.Form == b.Form && a.NotExtended == b.NotExtended && a.Event == b.Event &&
		bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Content, b.Content) &&
		slices.EqualFunc(a.Digests, b.Digests, func(d, e mrlog.Digest) bool {
			return d.Alg == e.Alg && bytes.Equal(d.Sum, e.Sum)
		})
}

func noted(recs []mrlog.Record) bool {
	for _, r := range recs {
		if r.Notes&mrlog.NoteNonCanonical != 0 {
			return true
		}
	}
	return false
}

// plainNotes returns the notes of a record that was written by us and read
// without options.
func plainNotes(r mrlog.Record) mrlog.Note {
	if r.Type == mrlog.TypeCCCEL && r.Register.Space == mrlog.RTMR && r.Register.Index <= maxRTMR {
		return mrlog.NoteSpaceAssumed
	}
	return 0
}

// record makes a record with one digest, which is that of its content.
func record(n uint64, reg mrlog.Register, t mrlog.ContentType, content []byte) mrlog.Record {
	return mrlog.Record{
		Number: n, HasNumber: true, Register: reg, Type: t, Content: content,
		Digests: []mrlog.Digest{{Alg: mrlog.SHA384, Sum: mrlog.SHA384.AppendSum(nil, content)}},
	}
}

var errBroken = errors.New("broken pipe of a test")

// brokenWriter takes n bytes.
type brokenWriter struct{ n int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// wantSyntax fails unless err is a *mrlog.SyntaxError at an offset.
func wantSyntax(t testing.TB, err error, offset int64) *mrlog.SyntaxError {
	t.Helper()
	var s *mrlog.SyntaxError
	if !errors.As(err, &s) {
		t.Fatalf("error is %v, want a *mrlog.SyntaxError", err)
	}
	if offset >= 0 && s.Offset != offset {
		t.Fatalf("error %q is at %d, want %d", err, s.Offset, offset)
	}
	return s
}

// errReader gives its bytes, then its error.
func errReader(p []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(p), &failing{err})
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
