// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/nelr"
)

// block is a fenced block of the specification.
type block struct{ kind, text string }

func specBlocks(t *testing.T) (string, []block) {
	t.Helper()
	page, err := os.ReadFile("../docs/spec/nelr.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllSubmatch(page, -1) {
		blocks = append(blocks, block{string(m[1]), string(m[2])})
	}
	return string(page), blocks
}

// TestSpecExamples recomputes every digest and value on the page, and replays
// its logs as one verifier would: each on its own, and D after C.
func TestSpecExamples(t *testing.T) {
	_, blocks := specBlocks(t)
	var logs [][]mrlog.Record
	for i, b := range blocks {
		if b.kind != "nelr" {
			continue
		}
		records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(b.text), nelr.Options{}))
		if err != nil {
			t.Fatalf("example %d: %v", len(logs), err)
		}
		var got strings.Builder
		var replay mrlog.Replay
		for _, rec := range records {
			if err := replay.Extend([]mrlog.Record{rec}); err != nil {
				t.Fatal(err)
			}
			for _, d := range rec.Digests {
				fmt.Fprintf(&got, "%d %s digest %x\n%[1]d %[2]s value  %[4]x\n", rec.Number, d.Alg, d.Sum, replay.Value(rec.Register, d.Alg))
			}
		}
		if i+1 == len(blocks) || blocks[i+1].kind != "values" {
			t.Fatalf("example %d has no values", len(logs))
		}
		if diff := cmp.Diff(blocks[i+1].text, got.String()); diff != "" {
			t.Errorf("example %d (-page +computed):\n%s", len(logs), diff)
		}
		logs = append(logs, records)
	}
	if len(logs) != 4 {
		t.Fatalf("%d examples, want A to D", len(logs))
	}
	if reg := logs[1][0].Register.String(); reg != "pcr14" {
		t.Errorf("example B is of %s", reg)
	}
	for _, tt := range []struct {
		logs        [][]mrlog.Record
		unexplained bool
	}{{logs[3:4], true}, {logs[2:4], false}} {
		var replay mrlog.Replay
		for _, l := range tt.logs {
			if err := replay.Extend(l); err != nil {
				t.Fatal(err)
			}
		}
		if b := replay.Banks(); len(b) != 1 || b[0].Unexplained != tt.unexplained {
			t.Errorf("%d logs: %+v", len(tt.logs), b)
		}
		if _, n := replay.InitErrors(); n != 0 {
			t.Errorf("%d logs: %d INITs refused", len(tt.logs), n)
		}
	}
}

// The converted log on the page is that of example A, by the mapping of
// section 9.
func TestSpecMapping(t *testing.T) {
	_, blocks := specBlocks(t)
	var sample, converted string
	for _, b := range blocks {
		if b.kind == "nelr" && sample == "" {
			sample = b.text
		}
		if b.kind == "json" {
			converted = b.text
		}
	}
	type digest struct{ HashAlg, Digest string }
	type record struct {
		Recnum  uint64
		PCR     uint32
		Digests []digest
		Type    string `json:"content_type"`
		Content string
	}
	var page, want struct {
		Log []record
		MR  string
	}
	dec := json.NewDecoder(strings.NewReader(converted))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&page); err != nil {
		t.Fatal(err)
	}
	records, err := logtest.ReadAll(nelr.NewReader(strings.NewReader(sample), nelr.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		c := record{Recnum: rec.Number, PCR: rec.Register.Index, Type: "CC-CEL", Content: string(rec.Content)}
		for _, d := range rec.Digests {
			c.Digests = append(c.Digests, digest{d.Alg.String(), hex.EncodeToString(d.Sum)})
		}
		want.Log = append(want.Log, c)
	}
	want.MR = hex.EncodeToString(replay.Value(nelr.DefaultRegister(), mrlog.SHA384))
	if diff := cmp.Diff(want, page); diff != "" {
		t.Error(diff)
	}
}

func TestSpecEvents(t *testing.T) {
	_, blocks := specBlocks(t)
	n := 0
	for _, b := range blocks {
		if b.kind != "events" {
			continue
		}
		for line := range strings.Lines(b.text) {
			verdict, line, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			n++
			if _, err := nelr.ParseEvent([]byte(line)); (err == nil) != (verdict == "ok") {
				t.Errorf("%s %q: %v", verdict, line, err)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d examples of events", n)
	}
}

// What the page states of limits, names and sections is what the code says.
func TestSpecStates(t *testing.T) {
	page, _ := specBlocks(t)
	for _, want := range []string{
		"| line, LF not counted, comments included | 1,048,576 bytes |", "| log | 4,294,967,296 bytes |",
		"| banks | 16 in a canonical record |", "the number 204 (0xCC)", "else 2 (RTMR 2)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("page does not say %q", want)
		}
	}
	if nelr.MaxLine != 1048576 || nelr.MaxLog != 4294967296 || mrlog.MaxDigests != 16 || mrlog.TypeCCCEL != 204 || nelr.DefaultRegister().String() != "rtmr2" {
		t.Error("the page states other limits than the code")
	}
	for _, alg := range mrlog.Known() {
		if !strings.Contains(page, `%s"`+alg.String()+`"`) {
			t.Errorf("the grammar lacks %s", alg)
		}
	}
	for _, key := range []string{nelr.HintRegister, nelr.HintBoot, nelr.HintCheckpoint, nelr.HintAudit} {
		if !strings.Contains(page, "\n| `"+key+"` | ") {
			t.Errorf("section 7 lacks the hint %s", key)
		}
	}
	for i, title := range []string{
		"Lines", "INIT", "Events", "What a keeper records", "Torn lines", "Digests and replay", "Comments and hints", "Limits",
		"To the canonical event log", "Back, and what a verifier does with INIT", "What is not in scope",
	} {
		if !strings.Contains(page, fmt.Sprintf("\n## %d. %s\n", i+1, title)) {
			t.Errorf("section %d is not %q: the code cites it", i+1, title)
		}
	}
}
