// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg/event"
)

// corpusLogs are the TCG logs of the corpus of real logs.
var corpusLogs = []string{
	"tcg/ccel-aael-alibaba.bin", "tcg/ccel-cos113.bin", "tcg/ccel-ovmf.bin", "tcg/tpm-cos101.bin",
	"tcg/tpm-debian10-sha1.bin", "tcg/tpm-four-banks.bin", "tcg/tpm-glinux-locality3.bin", "tcg/tpm-postcode.bin",
	"tcg/tpm-sdboot-fedora37.bin", "tcg/tpm-sp800-155.bin", "tdx-intel/ccel.bin", "qemu-ovmf/firmware.bin",
}

// corpusLog reads a log of the corpus, or skips.
func corpusLog(t testing.TB, name string) []mrlog.Record {
	t.Helper()
	records, err := walk(reallogs.Read(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return records
}

// walk reads a TCG log for these tests, independently of the reader that users
// have: the first record, then crypto-agile records if it says so, until
// padding or the end.
func walk(data []byte) ([]mrlog.Record, error) {
	le := binary.LittleEndian
	var records []mrlog.Record
	sizes := map[mrlog.Alg]int{}
	agile := false
	for at := 0; at < len(data); {
		p := data[at:]
		if len(p) < 8 || le.Uint64(p) == 1<<64-1 || le.Uint64(p) == 0 {
			return records, nil
		}
		rec := mrlog.Record{Type: mrlog.TypePCClient, Event: le.Uint32(p[4:])}
		rec.Register.Index = le.Uint32(p)
		rec.NotExtended = rec.Event == mrlog.EventNoAction
		n := 8
		if agile {
			count := int(le.Uint32(p[n:]))
			n += 4
			for range count {
				alg := mrlog.Alg(le.Uint16(p[n:]))
				size, ok := sizes[alg]
				if !ok {
					return nil, fmt.Errorf("offset %d: algorithm %s", at, alg)
				}
				rec.Digests = append(rec.Digests, mrlog.Digest{Alg: alg, Sum: p[n+2:][:size]})
				n += 2 + size
			}
		} else {
			rec.Digests = []mrlog.Digest{{Alg: mrlog.SHA1, Sum: p[n:][:20]}}
			n += 20
		}
		size := int(le.Uint32(p[n:]))
		rec.Content = p[n+4:][:size:size]
		at += n + 4 + size
		records = append(records, rec)
		if len(records) == 1 && bytes.HasPrefix(rec.Content, []byte("Spec ID Event03")) {
			agile = true
			for i := range int(le.Uint32(rec.Content[24:])) {
				sizes[mrlog.Alg(le.Uint16(rec.Content[28+4*i:]))] = int(le.Uint16(rec.Content[30+4*i:]))
			}
		}
	}
	return records, nil
}

// counts of answers of one log, over all banks.
type counts struct{ matches, differs, opaque int }

// TestCorpus: every event of every real log is decoded, and its data stands to
// its digests as the rules say. Nothing differs; the counts change only with
// the rules.
func TestCorpus(t *testing.T) {
	want := map[string]counts{
		"tcg/ccel-aael-alibaba.bin":    {74, 0, 14},
		"tcg/ccel-cos113.bin":          {31, 0, 13},
		"tcg/ccel-ovmf.bin":            {12, 0, 9},
		"tcg/tpm-cos101.bin":           {120, 0, 25},
		"tcg/tpm-debian10-sha1.bin":    {22, 0, 3},
		"tcg/tpm-four-banks.bin":       {0, 0, 5},
		"tcg/tpm-glinux-locality3.bin": {42, 0, 15},
		"tcg/tpm-postcode.bin":         {92, 0, 25},
		"tcg/tpm-sdboot-fedora37.bin":  {24, 0, 4},
		"tcg/tpm-sp800-155.bin":        {123, 0, 37},
		"tdx-intel/ccel.bin":           {73, 0, 26},
		"qemu-ovmf/firmware.bin":       {57, 0, 16},
	}
	for _, name := range corpusLogs {
		t.Run(name, func(t *testing.T) {
			var got counts
			for i, rec := range corpusLog(t, name) {
				e := event.Decode(&rec)
				if e.Reason != "" || e.Kind() == "data" {
					t.Errorf("record %d, event %08x: %s", i, rec.Event, e.Text())
				}
				if p := e.AppendJSON(nil); !json.Valid(p) {
					t.Errorf("record %d: %s", i, p)
				}
				rule := event.Measured(&rec)
				for _, d := range rec.Digests {
					of := -1
					for j, p := range rule.Parts() {
						if bytes.Equal(d.Alg.AppendSum(nil, p.Data), d.Sum) {
							of = j
							break
						}
					}
					switch {
					case of >= 0:
						got.matches++
					case rule.Certain:
						got.differs++
						t.Errorf("record %d, event %08x: %s is not that of %s", i, rec.Event, d.Alg, e.Text())
					default:
						got.opaque++
						checkable(t, i, &rec, e)
					}
				}
			}
			if got != want[name] {
				t.Errorf("%+v, want %+v", got, want[name])
			}
		})
	}
}

// checkable complains of an event that should have matched: only what is
// measured of something outside the log may be opaque.
func checkable(t *testing.T, i int, rec *mrlog.Record, e event.Event) {
	t.Helper()
	switch d := e.Data.(type) {
	case event.Image, event.Blob, event.Tables, event.Tag, event.SpecID, event.Locality, event.Reference:
		return
	case event.Boot:
		if d.What == event.BootFile || d.What == event.BootShim {
			return
		}
	case event.Text:
		switch rec.Event {
		case 1, 7, 10: // EV_POST_CODE, EV_S_CRTM_CONTENTS, EV_PLATFORM_CONFIG_FLAGS
			return
		}
	}
	t.Errorf("record %d, event %08x is opaque: %s", i, rec.Event, e.Text())
}
