// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
)

// measureCC is a record of systemd's proposed log of CC registers; the digest is
// sha384("enter-initrd").
func measureCC(register, content string) string {
	return `{` + register + `,"digests":[{"hashAlg":"sha384","digest":"` + digestEnterInitrd + `"}],"content_type":"systemd","content":` + content + `}`
}

// From printf enter-initrd | sha384sum.
const digestEnterInitrd = "687eef3a3a8c716439b5ed583657e8668401630c321f2f35d19b953ddf20b68a96474d0c2e5f0e1757bfa5ba70b9fc32"

// TestSeqMeasureCC: records of the log of CC registers are of RTMRs, lose
// nothing, and are written back byte for byte if systemd would have written
// them so.
func TestSeqMeasureCC(t *testing.T) {
	const plain = `{"string":"enter-initrd","bootId":"0123456789abcdef0123456789abcdef","timestamp":1,"eventType":"phase"}`
	const mapped = `{"mapped_pcr":11,"string":"enter-initrd","bootId":"0123456789abcdef0123456789abcdef","timestamp":1,"eventType":"phase"}`
	for _, test := range []struct {
		text, content string
		loose         bool
	}{
		{measureCC(`"rtmr":2`, plain), plain, false},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, plain), mapped, false},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, `{}`), `{"mapped_pcr":11}`, false},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, `{ }`), `{"mapped_pcr":11}`, true},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, `{ "string":"a"}`), `{"mapped_pcr":11, "string":"a"}`, false},
		{measureCC(`"mapped_pcr":11,"rtmr":2`, plain), mapped, true},
		{measureCC(`"rtmr":2`, mapped), mapped, true},
		{measureCC(`"rtmr":2`, `{"mapped_pcr":"x"}`), `{"mapped_pcr":"x"}`, false},
		{measureCC(`"pcr":2,"space":"rtmr"`, plain), plain, true},
	} {
		text := "\x1E" + test.text + "\n"
		got, err := readJSON(NewSeqReader(strings.NewReader(text), Options{}))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		r := &got[0]
		if r.Register != (mrlog.Register{Space: mrlog.RTMR, Index: 2}) || string(r.Content) != test.content || (r.Notes == mrlog.NoteNonCanonical) != test.loose {
			t.Errorf("%s: %v %s, notes %d", test.text, r.Register, r.Content, r.Notes)
		}
		back, err := writeJSON(seqWriter, got)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if (string(back) == text) == test.loose {
			t.Errorf("%s: written as %s", test.text, back)
		}
		// Whatever it is written as, it is the same record.
		for _, open := range []func(io.Writer) mrlog.Writer{seqWriter, arrayWriter} {
			p, err := writeJSON(open, got)
			if err != nil {
				t.Fatal(err)
			}
			var again []mrlog.Record
			if p[0] == recordSeparator {
				again, err = readJSON(NewSeqReader(strings.NewReader(string(p)), Options{}))
			} else {
				again, err = readJSON(NewJSONReader(strings.NewReader(string(p)), Options{}))
			}
			if err != nil || len(again) != 1 || string(again[0].Content) != test.content || again[0].Register != r.Register || again[0].Notes != 0 {
				t.Errorf("%s: read again from %s: %v, %v", test.text, p, again, err)
			}
		}
	}
}

func TestSeqMeasureCCRefused(t *testing.T) {
	for _, test := range []struct{ text, say string }{
		{measureCC(`"rtmr":2,"pcr":2`, `{}`), "both"},
		{measureCC(`"rtmr":2,"nv_index":2`, `{}`), "both"},
		{measureCC(`"rtmr":2,"space":"rtmr"`, `{}`), "both"},
		{measureCC(`"pcr":2,"mapped_pcr":11`, `{}`), "without"},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, `{"mapped_pcr":11}`), "no place"},
		{measureCC(`"rtmr":2,"mapped_pcr":11`, `"6162"`), "no place"},
		{measureCC(`"rtmr":2,"mapped_pcr":4294967296`, `{}`), "above"},
		{measureCC(`"rtmr":16777216`, `{}`), "above"},
		{measureCC(`"rtmr":-1`, `{}`), "integer"},
	} {
		_, err := readJSON(NewSeqReader(strings.NewReader("\x1E"+test.text+"\n"), Options{}))
		if fault, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || fault.Record != 0 || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: %v does not say %q", test.text, err, test.say)
		}
	}
}

// TestSeqSkipped: what precedes the first record is no record, and is told.
func TestSeqSkipped(t *testing.T) {
	good := "\x1E" + systemdRecord + "\n"
	for _, before := range []string{"", "\n", systemdRecord[30:] + "\n", "\x00", strings.Repeat("x\n", 1<<16)} {
		for _, in := range []io.Reader{strings.NewReader(before + good), iotest.OneByteReader(strings.NewReader(before + good))} {
			d := NewSeqReader(in, Options{})
			got, err := readJSON(d)
			if err != nil || len(got) != 1 {
				t.Fatalf("%.20q: %d records, %v", before, len(got), err)
			}
			want := mrlog.Span{Offset: int64(len(before)) + 1, Length: len(systemdRecord), Line: 1 + strings.Count(before, "\n")}
			if got[0].Span != want {
				t.Errorf("%.20q: record at %+v, want %+v", before, got[0].Span, want)
			}
			if span, ok := d.Skipped(); ok != (before != "") || span.Length != len(before) {
				t.Errorf("%.20q: skipped %+v", before, span)
			}
		}
	}
}

// TestSeqNUL: the record with the NUL is refused, and not the ones before it;
// nothing is glued together.
func TestSeqNUL(t *testing.T) {
	good := "\x1E" + systemdRecord + "\n"
	for i := range len(good) - 1 {
		bad := good[:1+i] + "\x00" + good[1+i:]
		got, err := readJSON(NewSeqReader(strings.NewReader(good+bad+good), Options{}))
		fault, ok := errors.AsType[*mrlog.SyntaxError](err)
		if !ok || fault.Record != 1 || fault.Offset != int64(len(good)+1+i) || !strings.Contains(err.Error(), "NUL") || len(got) != 1 {
			t.Fatalf("NUL at %d: %d records, %v", i, len(got), err)
		}
	}
}

// TestSeqEventTypes: systemd's event types, old and new, come and go as they are.
func TestSeqEventTypes(t *testing.T) {
	var text strings.Builder
	for i, kind := range []string{
		"phase", "filesystem", "volume-key", "machine-id", "product-id", "keyslot", "nvpcr-init", "nvpcr-separator",
		"dm-verity", "imds-userdata", "os-separator", "of the future",
	} {
		record := strings.Replace(systemdRecord, `"phase"`, `"`+kind+`"`, 1)
		if i%2 == 1 {
			record = strings.Replace(record, `"pcr":11`, `"nv_index":30474752`, 1)
			record = strings.Replace(record, `{"string"`, `{"nvIndexName":"hardware","string"`, 1)
		}
		text.WriteString("\x1E" + record + "\n")
	}
	got, err := readJSON(NewSeqReader(strings.NewReader(text.String()), Options{}))
	if err != nil || slices.ContainsFunc(got, func(r mrlog.Record) bool { return r.Notes != 0 || r.HasNumber }) {
		t.Fatalf("%v, %v", got, err)
	}
	if back, err := writeJSON(seqWriter, got); err != nil || string(back) != text.String() {
		t.Errorf("written as %q, %v", back, err)
	}
}
