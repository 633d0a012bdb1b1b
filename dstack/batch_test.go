// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/dstack"
)

// TestBatches: records of a long log hold while the next batch is read, and
// Scan with Hash is Read.
func TestBatches(t *testing.T) {
	const n = 3000
	var events []mrlog.Record
	for i := range n {
		e := dstack.Event{Name: fmt.Sprintf("event-%d", i), Payload: bytes.Repeat([]byte{byte(i)}, i%200), Version: 1 + i%2}
		if i%7 == 0 {
			e.Name = "a:" + e.Name
		}
		line := fmt.Sprintf(`{"event":%q,"payload":"AA==","version":%d}`, e.Name, e.Version)
		records, _, err := read(line+"\n", dstack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, records[0])
	}
	for _, lines := range []bool{true, false} {
		text, err := write(events, lines, dstack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := dstack.NewReader(strings.NewReader(text), dstack.Options{})
		var batches [2]mrlog.Batch
		total, reads := 0, 0
		check := func(b *mrlog.Batch) {
			d.Hash(b.Records)
			for i := range b.Records {
				want := &events[total]
				got := &b.Records[i]
				if !bytes.Equal(got.Digests[0].Sum, want.Digests[0].Sum) || lines && !bytes.Equal(got.Content, want.Content) || got.Type != want.Type {
					t.Fatalf("record %d: %+v, want %+v", total, got, want)
				}
				total++
			}
		}
		for {
			b := &batches[reads%2]
			err := d.Scan(b)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if reads > 0 { // only now, when the next one has been read
				check(&batches[(reads+1)%2])
			}
			reads++
		}
		check(&batches[(reads+1)%2])
		if total != n || reads < 3 {
			t.Errorf("%d records in %d batches", total, reads)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, lines := range []bool{true, false} {
		var events []mrlog.Record
		for i := range 1000 {
			records, _, err := read(fmt.Sprintf(`{"event":"event-%d","payload":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","version":2}`+"\n", i), dstack.Options{})
			if err != nil {
				b.Fatal(err)
			}
			events = append(events, records...)
		}
		text, err := write(events, lines, dstack.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("lines=%v", lines), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var batch mrlog.Batch
			for b.Loop() {
				d := dstack.NewReader(strings.NewReader(text), dstack.Options{})
				for {
					if err := d.Read(&batch); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
