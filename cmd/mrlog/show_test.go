// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/internal/eventdata"
	"mrlog.dev/internal/reallogs"
)

// showOf runs mrlog show on a log.
func showOf(t *testing.T, log []byte, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := runInProcess(bytes.NewReader(log), &out, &errs, append(append([]string{"show"}, args...), "-")...); code != 0 {
		t.Fatalf("show %s: exit %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// printableText checks that nothing in a text can act on a terminal.
func printableText(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: not UTF-8", what)
	}
	for i, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%s: %U at byte %d: %q", what, r, i, text[max(0, i-40):min(len(text), i+40)])
			return
		}
	}
}

// The output of logs with an event of every kind, in every form and at several
// widths, is the expected one: go test -update rewrites it, for a look.
func TestShowGolden(t *testing.T) {
	tcgBytes, celBytes := tcgLog(t, tcgFixture(), 40), celLog(t, celFixture())
	for _, test := range []struct {
		name string
		log  []byte
		args []string
	}{
		{"tcg-72", tcgBytes, []string{"--width", "72"}},
		{"tcg-80", tcgBytes, []string{"--width", "80"}},
		{"tcg-200", tcgBytes, []string{"--width", "200"}},
		{"tcg-long", tcgBytes, []string{"--long"}},
		{"tcg-tsv", tcgBytes, []string{"--tsv"}},
		{"cel-80", celBytes, []string{"--width", "80"}},
		{"cel-200", celBytes, []string{"--width", "200"}},
		{"cel-long", celBytes, []string{"--long"}},
		{"json-120", []byte(jsonFixture), []string{"--width", "120"}},
		{"json-long", []byte(jsonFixture), []string{"--long"}},
		{"dstack-100", []byte(dstackFixture), []string{"--width", "100"}},
		{"violation-100", violationFixture, []string{"--width", "100"}},
		{"nelr-long", []byte(nelrFixture), []string{"--long"}},
	} {
		got := showOf(t, test.log, test.args...)
		path := filepath.Join("testdata", "show", test.name+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// hostileTexts are names that would do something to a terminal, to a table or
// to its reader.
var hostileTexts = []string{
	"\x1b[31mred\x1b[0m\x1b]0;title\a\x1b[2J\x1b[H",
	"two\nlines\r\n  99  pcr7      matches  0000…  EV_SEPARATOR",
	"bidi \u202e\u2066 reversed \u200b\u200d \U000e0041",
	"c1 \u009b31m \u0085",
	strings.Repeat("日本語", 400),
	strings.Repeat("long ", 20_000),
	"\ttab\tSecureBoot = on",
	`"quoted" \x1b`,
	"e\u0301\u0301\u0301\u0301 combining" + strings.Repeat("\u0301", 500),
	strings.Repeat("\x00", 40),
	"\xff\xfe not UTF-8 \xc3",
}

// hostileLogs have these in every place that a log has room for text in.
func hostileLogs(t *testing.T) map[string][]byte {
	var firmware, others []mrlog.Record
	add := func(event uint32, data []byte) {
		firmware = append(firmware, mrlog.Record{
			Register: mrlog.Register{Space: mrlog.PCR, Index: 7}, Type: mrlog.TypePCClient, Event: event, Content: data,
			Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, data)}},
		})
	}
	other := func(typ mrlog.ContentType, name string, content []byte) {
		others = append(others, mrlog.Record{
			Number: uint64(len(others)), HasNumber: true, Register: mrlog.Register{Space: mrlog.PCR, Index: 10}, Type: typ, Name: []byte(name),
			Content: content, Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: make([]byte, 32)}},
		})
	}
	sum := append([]byte("sha256:\x00"), bytes.Repeat([]byte{0x5A}, 32)...)
	for _, text := range hostileTexts {
		add(evConfig, variableData(globalGUID, text, []byte{1}))
		add(evConfig, variableData(globalGUID, "SbatLevel", []byte(text)))
		add(evConfig, variableData(securityGUID, "db", eventdata.List(eventdata.X509, certificateOf(text))))
		path := devicePath(text)
		if len(path) < 1<<16 {
			add(evApplication, eventdata.Image(path))
			add(evBoot, variableData(globalGUID, "Boot0001", eventdata.Option(1, text, path, nil)))
		}
		add(evGPT, gptData(text))
		for _, prefix := range []string{"", "grub_cmd: ", "kernel_cmdline: ", "/"} {
			add(evIPL, []byte(prefix+text+"\x00"))
		}
		add(evIPL, packed(wide16(text), uint16(0)))
		add(mrlog.EventAction, []byte(text))
		add(mrlog.EventTag, packed(uint32(0x4141454C), uint32(4+len(text)), "a b "+text))
		add(evCRTMVersion, []byte(text))
		add(evDstackEvent, packed(uint32(evDstackEvent), ":", text, ":", text))
		add(0x0BADF00D, []byte(text))
		short := text[:min(len(text), 250)]
		add(evBlob2, packed(uint8(len(short)), short, uint64(1), uint64(2)))
		add(evTables2, packed(uint8(len(short)), short, uint64(0)))

		other(mrlog.TypeIMATemplate, "ima-ng", templateData(sum, []byte(text+"\x00")))
		other(mrlog.TypeIMATemplate, "ima-buf", templateData(sum, []byte("x\x00"), []byte(text)))
		other(mrlog.TypeIMATemplate, text[:min(len(text), 200)], []byte(text))
		other(mrlog.TypeIMATLV, "", packed(uint8(0), []byte{0, byte(len(text) >> 16), byte(len(text) >> 8), byte(len(text))}, text))
		other(mrlog.TypeSystemd, "", []byte(text))
		other(80, "", packed(uint8(4), []byte{0, byte(len(text) >> 16), byte(len(text) >> 8), byte(len(text))}, text))
		other(200, "", []byte(text))
	}
	var lines []map[string]any
	for _, text := range hostileTexts {
		lines = append(lines, map[string]any{
			"pcr": 11, "digests": []any{map[string]any{"hashAlg": "sha256", "digest": strings.Repeat("0", 64)}},
			"content_type": "systemd", "content": map[string]any{"string": text, "eventType": text, "bootId": text, "nvIndexName": text},
		}, map[string]any{
			"pcr": 11, "digests": []any{map[string]any{"hashAlg": "sha256", "digest": strings.Repeat("0", 64)}},
			"content_type": "dstack", "content": map[string]any{"event": text, "payload": "", "version": 1},
		}, map[string]any{
			"pcr": 11, "digests": []any{map[string]any{"hashAlg": "sha256", "digest": strings.Repeat("0", 64)}},
			"content_type": strings.ToValidUTF8(text[:min(len(text), 200)], "?") + "x", "content": text,
		})
	}
	asJSON, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"firmware": tcgLog(t, firmware, 0), "others": celLog(t, others), "json": asJSON}
}

// No text of a log can act on a terminal, take more than a line, be wider than
// the table, or stand where the columns are.
func TestShowHostile(t *testing.T) {
	for name, log := range hostileLogs(t) {
		records := strings.Count(showOf(t, log, "--tsv"), "\n") - 1
		if records < 3*len(hostileTexts) {
			t.Fatalf("%s: %d records", name, records)
		}
		for _, width := range []int{40, 59, 60, 72, 80, 99, 100, 119, 120, 200} {
			what := fmt.Sprintf("%s at width %d", name, width)
			got := showOf(t, log, "--width", fmt.Sprint(width))
			printableText(t, what, got)
			head, rest, _ := strings.Cut(got[strings.Index(got, "\n\n")+2:], "\n")
			rows, _, _ := strings.Cut(rest, "\n\n")
			lines := strings.Split(rows, "\n")
			if len(lines) != records {
				t.Errorf("%s: %d lines of %d records", what, len(lines), records)
			}
			at := strings.Index(head, "CONTENT")
			for _, line := range lines {
				if n := tableColumns(line); n > width {
					t.Errorf("%s: %d columns: %s", what, n, line)
				}
				if strings.Contains(line, strings.Repeat("\u0301", maxMarks+1)) {
					t.Errorf("%s: a heap of marks", what)
				}
				if at > len(line) || !regexp.MustCompile(`^(matches|DIFFERS|deviates|opaque ) `).MatchString(cutColumns(line, at)) {
					t.Errorf("%s: no answer in the column CONTENT: %s", what, line)
				}
			}
		}
		for _, args := range [][]string{{}, {"--long"}, {"--tsv"}, {"--json"}} {
			got := showOf(t, log, args...)
			printableText(t, name+strings.Join(args, " "), got)
			if len(args) > 0 && args[0] == "--json" && !json.Valid([]byte(got)) {
				t.Errorf("%s: not JSON", name)
			}
			if len(args) > 0 && args[0] == "--tsv" {
				for line := range strings.Lines(got) {
					if strings.Count(line, "\t") != 6 {
						t.Errorf("%s: %d columns: %.200q", name, strings.Count(line, "\t")+1, line)
					}
				}
			}
			if len(args) > 0 && args[0] == "--long" {
				// Each line is a title, a record's, or a field with a name of ours.
				for line := range strings.Lines(got) {
					if !regexp.MustCompile(`^(standard input: |\d+  pcr\d+  (matches|DIFFERS|deviates|opaque)  |    [a-z0-9_]+ |      register |\n|pcr\d+:sha256 after |  [0-9a-f]{64}\n|content DIFFERS |registers are taken )`).MatchString(line) {
						t.Errorf("%s: --long has the line %.200q", name, line)
					}
				}
			}
		}
	}
}

// tableColumns counts as wide what the East Asian Width of this test's own text
// makes wide, and marks not at all.
func tableColumns(line string) int {
	n := 0
	for _, r := range line {
		switch {
		case r == '\u0301':
		case r >= 0x2E80 && r < 0xA000:
			n += 2
		default:
			n++
		}
	}
	return n
}

// cutColumns is what follows so many columns of a line.
func cutColumns(line string, columns int) string {
	n := 0
	for i, r := range line {
		if n >= columns {
			return line[i:]
		}
		if n++; r >= 0x2E80 && r < 0xA000 {
			n++
		}
	}
	return ""
}

// corpusFiles are the real logs, or none, and then the test is skipped.
func corpusFiles(t *testing.T, names ...string) []string {
	t.Helper()
	dir := reallogs.Dir(t)
	var files []string
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".table.bin") || strings.HasSuffix(f, "quote.bin") })
	if len(files) == 0 {
		t.Fatalf("the corpus has none of %q", names)
	}
	return files
}

// Every real log is shown in every form, and nothing of it is left undecoded
// that is not known to be.
func TestShowCorpus(t *testing.T) {
	undecoded := 0
	for _, file := range corpusFiles(t, "tcg/*.bin", "tdx-intel/*.bin", "tdx-intel/*.txt", "qemu-ovmf/*.bin", "qemu-ovmf/*.txt", "nelr/sample.*") {
		log, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{40, 60, 72, 80, 200} {
			got := showOf(t, log, "--width", fmt.Sprint(width))
			printableText(t, file, got)
			for line := range strings.Lines(got) {
				if n := tableColumns(strings.TrimSuffix(line, "\n")); n > width && strings.Contains(line, "  pcr") {
					t.Errorf("%s: %d columns: %s", file, n, line)
				}
			}
		}
		if long := showOf(t, log, "--long"); strings.Contains(long, "DIFFERS") {
			t.Errorf("%s has a content that differs from its digest:\n%s", file, long)
		}
		showOf(t, log, "--tsv")
		var object struct {
			Records []struct {
				Number int `json:"recnum"`
				Type   string
				Event  map[string]any
			}
		}
		if err := json.Unmarshal([]byte(showOf(t, log, "--json")), &object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, r := range object.Records {
			if r.Event["undecodable"] != nil {
				undecoded++
				t.Logf("%s, record %d: %v", filepath.Base(file), r.Number, r.Event["undecodable"])
			}
			checkEvent(t, fmt.Sprintf("%s, record %d", file, r.Number), r.Event)
		}
	}
	if undecoded > 1 {
		t.Errorf("%d events of the corpus are not decoded", undecoded)
	}
}

// --trustee-claims prints what trustee's verifier printed for the same logs.
func TestShowTrusteeClaims(t *testing.T) {
	for _, file := range corpusFiles(t, "tcg/*.trustee-claims.json") {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(strings.TrimSuffix(file, ".trustee-claims.json") + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(showOf(t, log, "--trustee-claims")), &b); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(a, b); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// eventMembers are the members of docs/json.md that an event may have, by the
// object that they are in and their name, with the type of each.
func eventMembers(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(jsonPage)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "<!-- members of events -->\n")
	if !ok {
		t.Fatal("docs/json.md has no table of the members of events")
	}
	rows := make(map[string]string)
	row := regexp.MustCompile("^\\| ((?:`[a-z-]+`(?:, )?)+|any) \\| ((?:`\\w+`(?:, )?)+) \\| (\\w+) \\| (.+) \\|\n$")
	for line := range strings.Lines(rest) {
		switch m := row.FindStringSubmatch(line); {
		case !strings.HasPrefix(line, "|"):
			return rows
		case strings.HasPrefix(line, "| in |"), strings.HasPrefix(line, "| --- |"):
		case m == nil:
			t.Fatalf("not a row of objects, members, type and meaning: %s", line)
		default:
			for in := range strings.SplitSeq(strings.ReplaceAll(m[1], "`", ""), ", ") {
				for name := range strings.SplitSeq(strings.ReplaceAll(m[2], "`", ""), ", ") {
					if rows[in+"."+name] != "" {
						t.Errorf("docs/json.md has %s.%s twice", in, name)
					}
					rows[in+"."+name] = m[3]
				}
			}
		}
	}
	return rows
}

// nested names the objects in the members of events, those in some objects
// first; others are named by the kind.
var nested = map[string]string{
	"signature": "signature", "signatures": "signature", "path": "path", "tables": "table", "partitions": "partition",
	"banks": "bank", "fields": "field", "events": "event", "blocks": "block",
	"windows.events": "windows",
}

// checkEvent holds an event to docs/json.md, and returns the members that it
// has.
func checkEvent(t *testing.T, what string, event map[string]any) map[string]bool {
	t.Helper()
	rows := eventMembers(t)
	seen := make(map[string]bool)
	var check func(in string, object map[string]any)
	check = func(in string, object map[string]any) {
		for name, v := range object {
			key := in + "." + name
			if rows[key] == "" && rows["any."+name] != "" && in == event["kind"] {
				key = "any." + name
			}
			seen[key] = true
			if kind := kindOfValue(v); rows[key] != kind {
				t.Errorf("%s: %s is %s, docs/json.md says %q", what, key, kind, rows[key])
			}
			within := cmp.Or(nested[key], nested[name])
			switch v := v.(type) {
			case map[string]any:
				check(within, v)
			case []any:
				for _, e := range v {
					if e, ok := e.(map[string]any); ok {
						check(within, e)
					}
				}
			}
		}
	}
	if kind, ok := event["kind"].(string); ok {
		check(kind, event)
	} else if event != nil {
		t.Errorf("%s: event without a kind", what)
	}
	return seen
}

// docs/json.md lists exactly the members that events have.
func TestJSONPageEvents(t *testing.T) {
	seen := make(map[string]bool)
	for _, log := range [][]byte{tcgLog(t, tcgFixture(), 0), celLog(t, celFixture()), []byte(jsonFixture), []byte(nelrFixture), violationFixture, []byte(dstackFixture)} {
		var object struct {
			Records []struct {
				Number int `json:"recnum"`
				Event  map[string]any
			}
		}
		if err := json.Unmarshal([]byte(showOf(t, log, "--json")), &object); err != nil {
			t.Fatal(err)
		}
		for _, r := range object.Records {
			for key := range checkEvent(t, fmt.Sprintf("record %d", r.Number), r.Event) {
				seen[key] = true
			}
		}
	}
	for key := range eventMembers(t) {
		if !seen[key] {
			t.Errorf("docs/json.md has %s, no fixture does", key)
		}
	}
}
