// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// naive reads a log as the specification says, in the plainest way: all at
// once, with nothing of the reader but its constants. It returns the records
// before the fault, and the fault's line and reason, 0 for none.
func naive(log []byte) (records []mrlog.Record, reg mrlog.Register, line int, reason string) {
	reg = nelr.DefaultRegister()
	note := mrlog.NoteSpaceAssumed
	var algs []mrlog.Alg
	offset := int64(0)
	pieces := bytes.Split(log, []byte("\n"))
	for i, text := range pieces {
		last := i == len(pieces)-1
		switch {
		case len(text) > nelr.MaxLine:
			return records, reg, i + 1, "longer"
		case len(text) == 0 || text[0] == '#':
			if m := hintLine.FindSubmatch(text); m != nil && algs == nil && !last {
				if r, err := mrlog.ParseRegister(string(m[1])); err == nil && r.String() == string(m[1]) {
					reg, note = r, 0
				}
			}
			offset += int64(len(text)) + 1
			continue
		case last:
			return records, reg, i + 1, "torn"
		case algs == nil:
			if !initRecord.Match(text) {
				return records, reg, i + 1, "first record: "
			}
			for _, bank := range strings.Split(string(text), " ")[1:] {
				name, value, _ := strings.Cut(bank, "/")
				alg, _ := mrlog.AlgByName(name)
				if len(value) != 2*alg.Size() || strings.Count(string(text), " "+name+"/") > 1 {
					return records, reg, i + 1, "first record: "
				}
				algs = append(algs, alg)
			}
		case string(text) == "INIT" || bytes.HasPrefix(text, []byte("INIT ")):
			return records, reg, i + 1, "second INIT record"
		}
		rec := mrlog.Record{
			Number: uint64(len(records)), HasNumber: true, Type: mrlog.TypeCCCEL, Content: text, Notes: note,
			Span: mrlog.Span{Offset: offset, Length: len(text), Line: i + 1},
		}
		for _, alg := range algs {
			rec.Digests = append(rec.Digests, mrlog.Digest{Alg: alg, Sum: alg.AppendSum(nil, text)})
		}
		records = append(records, rec)
		offset += int64(len(text)) + 1
	}
	for i := range records {
		records[i].Register = reg
	}
	if algs == nil {
		lines := len(pieces)
		if len(pieces[lines-1]) == 0 {
			lines--
		}
		return nil, reg, max(lines, 1), "no INIT record"
	}
	return records, reg, 0, ""
}

var (
	hintLine   = regexp.MustCompile(`(?s)^#: register (.+)$`)
	initRecord = regexp.MustCompile(`^INIT( (sha1|sha256|sha384|sha512|sm3_256|sha3_256|sha3_384|sha3_512)/[0-9a-f]+)+$`)
)

// differ says how what r reads differs from what naive makes of log, "" if it
// does not.
func differ(r *nelr.Reader, log []byte) string {
	want, reg, line, reason := naive(log)
	var b mrlog.Batch
	n := 0
	var err error
	for {
		if err = r.Read(&b); err != nil {
			break
		}
		if len(b.Records) == 0 {
			return "an empty batch without an error"
		}
		for i := range b.Records {
			got := &b.Records[i]
			if n == len(want) {
				return fmt.Sprintf("a record too many: %q", got.Content)
			}
			w := &want[n]
			w.Register = reg
			n++
			if got.Number != w.Number || !got.HasNumber || got.Register != w.Register || got.Type != w.Type ||
				got.Form != 0 || got.NotExtended || got.Notes != w.Notes || got.Event != 0 || got.Name != nil ||
				got.Span != w.Span || !bytes.Equal(got.Content, w.Content) || len(got.Digests) != len(w.Digests) {
				return fmt.Sprintf("record %d is %+v\nwant %+v", n-1, got, w)
			}
			if s := got.Span; !bytes.Equal(log[s.Offset:s.Offset+int64(s.Length)], got.Content) {
				return fmt.Sprintf("record %d is not at its place, %+v", n-1, s)
			}
			for j, d := range got.Digests {
				if d.Alg != w.Digests[j].Alg || !bytes.Equal(d.Sum, w.Digests[j].Sum) {
					return fmt.Sprintf("record %d has digest %v, want %v", n-1, d, w.Digests[j])
				}
			}
		}
	}
	if n != len(want) {
		return fmt.Sprintf("%d records, want %d; then %v", n, len(want), err)
	}
	if len(b.Records) != 0 {
		return "records beside an error"
	}
	if again := r.Read(&b); again != err {
		return fmt.Sprintf("%v, then %v", err, again)
	}
	if reason == "" {
		if err != io.EOF {
			return fmt.Sprintf("%v, want io.EOF", err)
		}
		return ""
	}
	var fault *mrlog.SyntaxError
	switch {
	case !errors.As(err, &fault) || fault.Format != nelr.Format:
		return fmt.Sprintf("error %v is no SyntaxError", err)
	case fault.Line != line || !strings.Contains(fault.Err.Error(), reason):
		return fmt.Sprintf("error %q, want line %d: %s", err, line, reason)
	case fault.Offset < 0 || fault.Offset > int64(len(log)) || len(err.Error()) > 400:
		return fmt.Sprintf("error %q at %d of %d", err, fault.Offset, len(log))
	case reason == "torn" && (!errors.Is(err, nelr.ErrTorn) || fault.Offset != int64(len(log))):
		return fmt.Sprintf("error %q at %d is not ErrTorn at the end", err, fault.Offset)
	case reason == "longer" && !errors.Is(err, mrlog.ErrLimit):
		return fmt.Sprintf("error %q is not ErrLimit", err)
	case fault.Record != int64(len(want)) && (len(want) > 0 || fault.Record != -1):
		return fmt.Sprintf("error %q is of record %d, want %d", err, fault.Record, len(want))
	}
	return ""
}
