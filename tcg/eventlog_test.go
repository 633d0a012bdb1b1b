// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
	tcgevent "mrlog.dev/tcg/event"
)

// eventlogVersion is the version whose deviations are listed. Others have less
// of them, and some of their own.
const eventlogVersion = "5.4"

// eventlogProgram returns the path of tpm2_eventlog, or skips the test; without
// it a test fails if MRLOG_REQUIRE names it.
func eventlogProgram(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("tpm2_eventlog")
	if err == nil {
		var out []byte
		if out, err = exec.Command(path, "--version").Output(); err == nil && !bytes.Contains(out, []byte(`version="`+eventlogVersion+`"`)) {
			err = fmt.Errorf("want version %s: %s", eventlogVersion, out)
		}
	}
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("MRLOG_REQUIRE"), ","), "tpm2_eventlog") {
		t.Fatalf("MRLOG_REQUIRE names tpm2_eventlog: %v", err)
	}
	t.Skipf("no tpm2_eventlog to compare with (scripts/need tpm2_eventlog): %v", err)
	return ""
}

// listing is what tpm2_eventlog says of a log. Its output is YAML by name only:
// the events of a SHA-1 log are one mapping, and a text of several lines is
// not indented. So lines are compared, without what indents them.
type listing struct {
	events  [][]string        // of each event the lines that say what mrlog says, too
	values  map[string]string // of each bank: "0 sha256"
	accused map[int]bool      // events whose digest is not of their data
	failure string            // "" if it read the log to its end
}

var warning = regexp.MustCompile(`^WARN: Event (\d+)'s digest does not match its payload`)

func runEventlog(t testing.TB, program string, log []byte) listing {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, log, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, problem bytes.Buffer
	cmd := exec.Command(program, "--eventlog-version=2", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = &out, &problem
	l := listing{values: map[string]string{}, accused: map[int]bool{}}
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(problem.String(), "\n")
		l.failure = fmt.Sprintf("%v: %s", err, first)
	}
	for line := range strings.Lines(problem.String()) {
		if m := warning.FindStringSubmatch(line); m != nil {
			n := 0
			fmt.Sscan(m[1], &n)
			l.accused[n] = true
		}
	}
	events, values, _ := strings.Cut(out.String(), "\npcrs:\n")
	_, events, _ = strings.Cut(events, "\nevents:\n")
	l.readEvents(events + "\n")
	bank := ""
	for line := range strings.Lines(values) {
		index, value, ok := strings.Cut(line, ": 0x")
		if !ok {
			bank = strings.Trim(line, " :\n")
			continue
		}
		l.values[strings.TrimSpace(index)+" "+bank] = strings.TrimSpace(value)
	}
	return l
}

// unsaid matches the lines that [sayEvent] has nothing for: what only describes
// or opens the data beside it, and those fields of a partition table that are
// not decoded.
var unsaid = regexp.MustCompile(`^(EventNum|DigestCount|Digests|SpecID|Algorithms|Algorithm\[\d+\]|numberOfAlgorithms|vendorInfoSize|UnicodeNameLength|VariableData|` +
	`SignatureListSize|SignatureHeaderSize|SignatureSize|Keys|BlobDescriptionSize|LengthOfDevicePath|Header|Revision|HeaderSize|HeaderCRC32|MyLBA|AlternateLBA|` +
	`FirstUsableLBA|LastUsableLBA|PartitionEntryLBA|NumberOfPartitionEntry|SizeOfPartitionEntry|PartitionEntryArrayCRC32|Partitions|Event):(\z| [^"]*\z)`)

// textBlock matches a text, line by line in quotes of its own.
var textBlock = regexp.MustCompile(`String: \|-\n((?: *".*"\n)+)`)

func (l *listing) readEvents(text string) {
	text = textBlock.ReplaceAllStringFunc(text, func(s string) string {
		var lines []string
		for line := range strings.Lines(textBlock.FindStringSubmatch(s)[1]) {
			line = strings.Trim(line, " \n")
			lines = append(lines, unescape.Replace(line[1:len(line)-1]))
		}
		return fmt.Sprintf("String: %q\n", strings.Join(lines, "\n"))
	})
	typ := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimLeft(line, " -"), "\n")
		if strings.HasPrefix(line, "PCRIndex: ") {
			l.events = append(l.events, nil)
		}
		if t, ok := strings.CutPrefix(line, "SignatureType: "); ok {
			typ = t // of a list; we say it of each signature
			continue
		}
		if unsaid.MatchString(line) || len(l.events) == 0 {
			continue
		}
		last := &l.events[len(l.events)-1]
		if owner, ok := strings.CutPrefix(line, "SignatureOwner: "); ok {
			line = "SignatureOwner: " + owner + " " + typ
		}
		if strings.HasPrefix(line, "PCRIndex: ") {
			typ = ""
		}
		*last = append(*last, line)
	}
}

// unescape undoes what tpm2_eventlog escapes.
var unescape = strings.NewReplacer(`\0`, "\x00", `\a`, "\a", `\b`, "\b", `\t`, "\t", `\v`, "\v", `\f`, "\f", `\r`, "\r",
	`\e`, "\x1b", `\\`, `\`, `\"`, `"`, `\'`, "'", `\x20`, " ")

// maxHex is how much of an event tpm2_eventlog prints in hexadecimal.
const maxHex = 1024

// sayEvent puts a record the way tpm2_eventlog does, made of what [tcgevent.Decode]
// says wherever both decode the same.
func sayEvent(rec *mrlog.Record, agile bool) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	name, ok := mrlog.EventName(rec.Event)
	if !ok {
		name = "Unknown event type"
	}
	say("PCRIndex: %d", rec.Register.Index)
	say("EventType: %s", name)
	e := tcgevent.Decode(rec)
	if id, ok := e.Data.(tcgevent.SpecID); ok && agile && rec.Span.Offset == 0 {
		say("Digest: \"%x\"", rec.Digests[0].Sum)
		say("EventSize: %d", len(rec.Content))
		say("Signature: %s", id.Signature)
		say("platformClass: %d", id.PlatformClass)
		say("specVersionMinor: %d", id.Minor)
		say("specVersionMajor: %d", id.Major)
		say("specErrata: %d", id.Errata)
		say("uintnSize: %d", id.UintnSize)
		for _, a := range id.Algs {
			say("algorithmId: %s", a.Alg)
			say("digestSize: %d", a.Size)
		}
		if len(id.Vendor) > 0 {
			say("vendorInfo: \"%x\"", id.Vendor)
		}
		return lines
	}
	for _, d := range rec.Digests {
		say("AlgorithmId: %s", d.Alg)
		say("Digest: \"%x\"", d.Sum)
	}
	say("EventSize: %d", len(rec.Content))
	if len(rec.Content) == 0 {
		return lines
	}
	trailing := rec.Content[len(rec.Content)-e.Trailing:]
	switch d := e.Data.(type) {
	case tcgevent.Variable:
		say("VariableName: %s", d.GUID)
		say("VariableDataLength: %d", len(d.Contents))
		say("UnicodeName: %s", d.Name)
		sayVariable(say, name, d)
	case tcgevent.Image:
		say("ImageLocationInMemory: 0x%x", d.Address)
		say("ImageLengthInMemory: %d", d.Size)
		say("ImageLinkTimeAddress: 0x%x", d.LinkTime)
		say("DevicePath: '%x%x'", []byte(d.Path), trailing)
	case tcgevent.GPT:
		sayGPT(say, d)
	case tcgevent.Blob:
		if name == "EV_EFI_PLATFORM_FIRMWARE_BLOB2" {
			say("BlobDescription: \"%x\"", d.Name)
		}
		say("BlobBase: 0x%x", d.Base)
		say("BlobLength: 0x%x", d.Size)
	case tcgevent.Boot:
		text := d.Text
		if d.Wide {
			text = string(utf16Bytes(text))
		}
		if i := strings.Index(string(rec.Content), text); i >= 0 {
			text = string(rec.Content) // a prefix of GRUB's, and NULs
		}
		say("String: %q", text)
	case tcgevent.Locality:
		say("StartupLocality: %d", uint8(d))
	default:
		text, ok := e.Data.(tcgevent.Text)
		if ok && (name == "EV_EFI_ACTION" || name == "EV_POST_CODE" || name == "EV_EFI_HCRTM_EVENT") {
			sayLines(say, text.Text)
		} else {
			say("Event: \"%x\"", rec.Content[:min(len(rec.Content), maxHex)])
		}
	}
	return lines
}

func sayVariable(say func(string, ...any), name string, v tcgevent.Variable) {
	switch d := v.Value.(type) {
	case tcgevent.Flag:
		if v.Name == "SecureBoot" || v.Name == "MokListTrusted" {
			if d == 0 {
				say("Enabled: 'No'")
			} else {
				say("Enabled: 'Yes'")
			}
			return
		}
	case tcgevent.Database:
		for s := range d.All() {
			say("SignatureOwner: %s %s", s.Owner, s.Type)
			say("SignatureData: %x", s.Data)
		}
		return
	case tcgevent.Signature:
		say("SignatureOwner: %s ", d.Owner)
		say("SignatureData: %x", d.Data)
		return
	case tcgevent.Order:
		for i := 0; i+1 < len(d); i += 2 {
			say("Boot%04x", binary.LittleEndian.Uint16(d[i:]))
		}
		return
	case tcgevent.LoadOption:
		if d.Attributes&1 == 0 {
			say("Enabled: 'No'")
		} else {
			say("Enabled: 'Yes'")
		}
		say("FilePathListLength: %d", len(d.Path))
		say("Description: \"%s\"", d.Description)
		say("DevicePath: '%x%x'", []byte(d.Path), d.Data)
		return
	case tcgevent.Text:
		if v.Name == "SbatLevel" {
			say("String: %q", strings.TrimSuffix(d.Text, "\n")) // their lines have no ends
			return
		}
	}
	if len(v.Contents) > 0 {
		say("VariableData: \"%x\"", v.Contents)
	}
}

func sayGPT(say func(string, ...any), g tcgevent.GPT) {
	say("Signature: \"EFI PART\"")
	say("DiskGUID: %s", g.Disk)
	say("NumberOfPartitions: %d", g.Len())
	for p := range g.All() {
		say("PartitionTypeGUID: %s", p.Type)
		say("UniquePartitionGUID: %s", p.GUID)
		say("StartingLBA: 0x%x", p.First)
		say("EndingLBA: 0x%x", p.Last)
		say("Attributes: 0x%x", p.Attributes)
		say("PartitionName: \"%s\"", p.Name)
	}
}

// sayLines says a text line by line, as readEvents takes it.
func sayLines(say func(string, ...any), text string) {
	for line := range strings.Lines(text + "\n") {
		say("%s", strings.TrimLeft(strings.TrimSuffix(line, "\n"), " -"))
	}
}

func utf16Bytes(s string) []byte {
	var p []byte
	for _, c := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, c)
	}
	return p
}

// deviate reads a log with both and returns all differences.
func deviate(t testing.TB, program string, log []byte, o tcg.Options) []string {
	t.Helper()
	theirs := runEventlog(t, program, log)
	r := tcg.NewReaderBytes(log, o)
	records, err := logtest.ReadAll(r)
	switch {
	case err != nil && theirs.failure != "":
		return nil
	case err != nil:
		return []string{fmt.Sprintf("read by tpm2_eventlog alone: %v", err)}
	case theirs.failure != "":
		return []string{"refused by tpm2_eventlog alone: " + theirs.failure}
	}
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if len(theirs.events) != len(records) {
		add("%d events, tpm2_eventlog has %d", len(records), len(theirs.events))
		return found
	}
	agile := r.Header().Dialect == string(tcg.Agile)
	for i := range records {
		rec := &records[i]
		name, _ := mrlog.EventName(rec.Event)
		ours := sayEvent(rec, agile)
		for n := range max(len(ours), len(theirs.events[i])) {
			a, b := lineAt(ours, n), lineAt(theirs.events[i], n)
			if a == b || isPathText(b) {
				continue
			}
			add("event %d, %s: %s, tpm2_eventlog: %s", i, name, brief(a), brief(b))
			if len(ours) != len(theirs.events[i]) {
				break // what follows is shifted
			}
		}
		if accused := differs(rec); agile && accused != theirs.accused[i] {
			add("event %d, %s, digest is not of the data: %v, tpm2_eventlog: %v", i, name, accused, theirs.accused[i])
		}
	}
	ours := map[string]string{} // the program calls everything a PCR
	for name, value := range replay(t, records) {
		ours[strings.TrimLeft(name, "pcrm")] = value
	}
	for name, value := range ours {
		if value != theirs.values[name] {
			add("%s: %s, tpm2_eventlog: %s", name, value, theirs.values[name])
		}
	}
	for name, value := range theirs.values {
		if ours[name] == "" {
			add("%s: none, tpm2_eventlog: %s", name, value)
		}
	}
	slices.Sort(found)
	return found
}

func lineAt(lines []string, n int) string {
	if n < len(lines) {
		return lines[n]
	}
	return ""
}

// isPathText matches a device path in a build that has a library for its text.
func isPathText(line string) bool {
	path, ok := strings.CutPrefix(line, "DevicePath: '")
	_, err := hex.DecodeString(strings.TrimSuffix(path, "'"))
	return ok && err != nil
}

// brief cuts long data.
func brief(s string) string {
	if len(s) > 120 {
		return s[:100] + "…" + s[len(s)-20:]
	}
	return s
}

// differs reports whether a digest should be of the record's data and is not.
func differs(rec *mrlog.Record) bool {
	rule := tcgevent.Measured(rec)
	if !rule.Certain {
		return false
	}
	for _, d := range rec.Digests {
		if !slices.ContainsFunc(rule.Parts(), func(p tcgevent.Part) bool {
			return bytes.Equal(d.Alg.AppendSum(nil, p.Data), d.Sum)
		}) {
			return true
		}
	}
	return false
}
