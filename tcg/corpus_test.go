// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
)

// TestCorpus reads real logs: their values and counts are those that are known.
func TestCorpus(t *testing.T) {
	for _, l := range realLogs(t) {
		t.Run(l.File, func(t *testing.T) {
			for how, open := range readers {
				r := open(l.log, tcg.Options{})
				records, err := logtest.ReadAll(r)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if len(records) != l.Events {
					t.Errorf("%s: %d records, want %d", how, len(records), l.Events)
				}
				h := r.Header()
				if h.Space != l.space() || h.SpaceAssumed != (l.space() == mrlog.CCMR) {
					t.Errorf("%s: space %s", how, h.Space)
				}
				want := map[string]string{}
				for bank, values := range l.Registers {
					for index, value := range values {
						want[h.Space.String()+index+" "+bank] = value
					}
				}
				if diff := cmp.Diff(want, replay(t, records)); diff != "" {
					t.Errorf("%s: (-known +ours)\n%s", how, diff)
				}
			}
		})
	}
}

// TestCorpusPCRs: the log of a boot in QEMU gives the values that its TPM had, as
// far as the firmware's log goes.
func TestCorpusPCRs(t *testing.T) {
	dir := reallogs.Dir(t)
	log, err := os.ReadFile(filepath.Join(dir, "qemu-ovmf", "firmware.bin"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "qemu-ovmf", "pcrs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pcrs map[string]map[string]string
	if err := json.Unmarshal(data, &pcrs); err != nil {
		t.Fatal(err)
	}
	records, err := read(log, tcg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, value := range replay(t, records) {
		var index, alg string
		if _, err := fmt.Sscanf(name, "pcr%s %s", &index, &alg); err != nil {
			t.Fatal(err)
		}
		if known := pcrs[alg][index]; known != value {
			t.Errorf("%s: %s, the TPM had %s", name, value, known)
		}
		n++
	}
	if n != 27 {
		t.Errorf("%d banks compared", n)
	}
}

// TestCorpusWriteBack: what is read is written back byte for byte, but for
// padding.
func TestCorpusWriteBack(t *testing.T) {
	for _, l := range realLogs(t) {
		checkWriteBack(t, l.File, l.log)
	}
}

// checkWriteBack writes a log back, directly and by way of the canonical event
// log in every encoding.
func checkWriteBack(t *testing.T, name string, log []byte) {
	t.Helper()
	r := tcg.NewReader(bytes.NewReader(log), tcg.Options{})
	records, err := logtest.ReadAll(r)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	want := log[:r.End().Offset]
	if r.Header().Padding != int64(len(log)-len(want)) || r.End().Other != 0 {
		t.Errorf("%s: padding %d, %+v", name, r.Header().Padding, r.End())
	}
	if out, err := write(records, tcg.WriterOptions{}); err != nil || !bytes.Equal(out, want) {
		t.Errorf("%s: not written back: %v", name, err)
	}
	// CEL counts the records of each register (CEL 1.1, section 4.2.2).
	count := map[mrlog.Register]uint64{}
	for i := range records {
		rec := &records[i]
		rec.Number, rec.HasNumber = count[rec.Register], true
		count[rec.Register]++
	}
	for way, there := range canonical {
		if there.dialectOnly != nil && !there.dialectOnly(records) {
			continue
		}
		var buf bytes.Buffer
		w, err := there.write(&buf, len(records))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(records); err != nil {
			t.Errorf("%s: %s: %v", name, way, err)
			continue
		}
		if err := w.Close(); err != nil {
			t.Errorf("%s: %s: %v", name, way, err)
		}
		again, err := logtest.ReadAll(there.read(&buf))
		if err != nil {
			t.Errorf("%s: %s: %v", name, way, err)
		}
		if out, err := write(again, tcg.WriterOptions{}); err != nil || !bytes.Equal(out, want) {
			t.Errorf("%s: %s: not written back: %v", name, way, err)
		}
		if diff := cmp.Diff(replay(t, records), replay(t, again)); diff != "" {
			t.Errorf("%s: %s: other values:\n%s", name, way, diff)
		}
	}
}

// canonical are the ways through the canonical event log.
var canonical = map[string]struct {
	write       func(io.Writer, int) (mrlog.Writer, error)
	read        func(io.Reader) mrlog.Reader
	dialectOnly func([]mrlog.Record) bool
}{
	"json": {
		func(w io.Writer, _ int) (mrlog.Writer, error) { return cel.NewJSONWriter(w), nil },
		func(r io.Reader) mrlog.Reader { return cel.NewJSONReader(r, cel.Options{}) },
		nil,
	},
	"cbor": {
		func(w io.Writer, n int) (mrlog.Writer, error) { return cel.NewCBORWriter(w, int64(n)), nil },
		func(r io.Reader) mrlog.Reader { return cel.NewCBORReader(r, cel.Options{}) },
		nil,
	},
	"tlv": {
		func(w io.Writer, _ int) (mrlog.Writer, error) { return cel.NewTLVWriter(w, cel.Minimal) },
		func(r io.Reader) mrlog.Reader { return cel.NewTLVReader(r, cel.Options{}) },
		nil,
	},
	"tlv/go-eventlog": {
		func(w io.Writer, _ int) (mrlog.Writer, error) { return cel.NewTLVWriter(w, cel.GoEventlog) },
		func(r io.Reader) mrlog.Reader { return cel.NewTLVReader(r, cel.Options{}) },
		func(records []mrlog.Record) bool { // indexes of one byte
			for i := range records {
				if records[i].Register.Index > 0xFF {
					return false
				}
			}
			return true
		},
	},
}

// TestVectorsThroughCEL takes the vectors the same way as real logs.
func TestVectorsThroughCEL(t *testing.T) {
	for _, v := range vectors(t) {
		if v.expect == "ok" && v.dialect != "aael" && v.dialect != "none" {
			checkWriteBack(t, v.name, v.log)
		}
	}
}

// TestCorpusTable reads the ACPI table that came with a log.
func TestCorpusTable(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(reallogs.Dir(t), "tcg", "ccel-cos113.table.bin"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := tcg.ParseTable(data)
	if err != nil {
		t.Fatal(err)
	}
	if table.Type != tcg.CCTDX || table.LogSize != 256<<10 || table.LogAddress == 0 || table.Revision != 1 {
		t.Errorf("%+v", table)
	}
}

// TestCorpusTruncated cuts a real log at every byte: it is whole only where a
// record ends, and otherwise an error at the end, after the records before.
func TestCorpusTruncated(t *testing.T) {
	for _, l := range realLogs(t) {
		if len(l.log) > 32<<10 && l.File != "tdx-intel/ccel.bin" {
			continue
		}
		r := tcg.NewReaderBytes(l.log, tcg.Options{Space: l.space()})
		records, err := logtest.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		end := r.End().Offset
		ends := map[int64]int{0: 0}
		for i, rec := range records {
			ends[rec.Span.Offset+int64(rec.Span.Length)] = i + 1
		}
		var b mrlog.Batch
		whole := 0
		step := int64(1)
		if testing.Short() || raceEnabled {
			step = 13
		}
		for cut := int64(0); cut <= end; cut++ {
			if n, ok := ends[cut]; ok {
				whole = n
			} else if cut%step != 0 {
				continue
			}
			r := tcg.NewReaderBytes(l.log[:cut:cut], tcg.Options{Space: l.space()})
			n := 0
			var err error
			for {
				if err = r.Read(&b); err != nil {
					break
				}
				n += len(b.Records)
			}
			_, atEnd := ends[cut]
			switch {
			case n != whole:
				t.Fatalf("%s cut at %d: %d records, want %d", l.File, cut, n, whole)
			case atEnd && err != io.EOF:
				t.Fatalf("%s cut at %d, after a record: %v", l.File, cut, err)
			case !atEnd && (syntax(t, err).Offset != cut || syntax(t, err).Record != int64(whole)):
				t.Fatalf("%s cut at %d: %v", l.File, cut, err)
			}
		}
		// In its padding, after the flag.
		for cut := end + 8; cut < int64(len(l.log)); cut += 997 {
			if _, err := read(l.log[:cut], tcg.Options{}); err != nil {
				t.Fatalf("%s cut at %d, in its padding: %v", l.File, cut, err)
			}
		}
	}
}
