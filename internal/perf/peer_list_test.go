// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"mrlog.dev"
	"mrlog.dev/ima"
	"mrlog.dev/verify"
)

// imaList is a list in memory, with the values that it leads to.
type imaList struct {
	text         []byte
	sha1, sha256 []byte
}

func newIMAList(t testing.TB, records int) (l imaList) {
	t.Helper()
	var text bytes.Buffer
	var err error
	if l.sha1, l.sha256, err = writeList(&text, records); err != nil {
		t.Fatal(err)
	}
	l.text = text.Bytes()
	return l
}

// theirs parses, and replays the bank that the list is of.
func (l *imaList) theirs() error {
	all, err := evidenceParse(l.text)
	if err == nil && !bytes.Equal(evidenceReplay(all)[int(listRegister.Index)][mrlog.SHA1], l.sha1) {
		err = errors.New("the list replays to another value")
	}
	return err
}

// ours compares every template with its digest, derives the digests of another
// bank, and replays both.
func (l *imaList) ours(t testing.TB, procs, records int) error {
	report, err := verify.Check(t.Context(), []verify.Log{{
		Reader: ima.NewASCIIReader(bytes.NewReader(l.text), ima.Options{Banks: []mrlog.Alg{mrlog.SHA256}}),
	}}, verify.Options{Procs: procs, Expect: []verify.Expectation{
		{Register: listRegister, Alg: mrlog.SHA1, Value: l.sha1}, {Register: listRegister, Alg: mrlog.SHA256, Value: l.sha256},
	}})
	if err != nil {
		return err
	}
	for _, b := range report.Registers {
		if b.Matches != uint64(records) || !report.OK() {
			return fmt.Errorf("the list does not verify: %+v", report)
		}
	}
	return nil
}

// BenchmarkList is a list in memory. An op is the whole list.
func BenchmarkList(b *testing.B) {
	l := newIMAList(b, listRecords)
	measure(b, "evidence", l.theirs)
	for _, procs := range []int{1, 2} {
		measure(b, fmt.Sprintf("mrlog-%d", procs), func() error { return l.ours(b, procs, listRecords) })
	}
}

// TestListAnswers: the program that mrlog is compared with comes to the same value
// of the bank that the list is of, and every template of the list is good.
func TestListAnswers(t *testing.T) {
	const records = 1000
	l := newIMAList(t, records)
	if err := l.theirs(); err != nil {
		t.Error(err)
	}
	for procs := range 3 {
		if err := l.ours(t, procs, records); err != nil {
			t.Error(err)
		}
	}
	l.text = bytes.Replace(l.text, []byte("example-000999"), []byte("example-000998"), 1)
	if l.ours(t, 1, records) == nil {
		t.Error("an altered template is not seen")
	}
	l.text = append(l.text, l.text[:bytes.IndexByte(l.text, '\n')+1]...)
	if l.theirs() == nil {
		t.Error("another record is not seen")
	}
}
