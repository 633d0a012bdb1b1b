// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/tcg/event"
)

// examine holds what must be so for any data: a line that is safe to print and
// not too long, JSON that is valid, parts that are of the data.
func examine(t testing.TB, rec *mrlog.Record) {
	t.Helper()
	e := event.Decode(rec)
	if e.Data == nil && rec.Content != nil {
		t.Fatal("no data")
	}
	text := e.Text()
	if len(text) > 64<<10 {
		t.Fatalf("a line of %d bytes", len(text))
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
		t.Fatalf("not printable: %q", text)
	}
	if p := e.AppendJSON(nil); !json.Valid(p) {
		t.Fatalf("not JSON: %s", p)
	} else if len(p) > 64*len(rec.Content)+1<<10 {
		t.Fatalf("%d bytes of JSON from %d", len(p), len(rec.Content))
	}
	if e.Trailing < 0 || e.Trailing > len(rec.Content) {
		t.Fatalf("%d trailing bytes of %d", e.Trailing, len(rec.Content))
	}
	rule := event.Measured(rec)
	for i, p := range rule.Parts() {
		if p.Of != event.OfName && !bytes.Contains(rec.Content, p.Data) && string(p.Data) != string(rec.Content)+"\x00" {
			t.Fatalf("part %d is not of the data", i)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, d := range decodings {
		f.Add(d.event, d.data)
	}
	f.Fuzz(func(t *testing.T, typ uint32, data []byte) { examine(t, record(typ, data)) })
}

func FuzzPath(f *testing.F) {
	f.Add(path(pciRoot, pci, disk, file))
	f.Add(path(node(3, 12, make([]byte, 23)), node(0x7F, 1), node(2, 2, make([]byte, 15))))
	f.Fuzz(func(t *testing.T, data []byte) {
		examine(t, record(0x80000003, image(data)))
		n := 0
		for range event.DevicePath(data).Nodes() {
			n++
		}
		if 4*n > len(data) {
			t.Fatalf("%d nodes in %d bytes", n, len(data))
		}
	})
}

func FuzzSignatures(f *testing.F) {
	f.Add(append(list(x509, certificate("A")), list(sha256ID, make([]byte, 32))...))
	f.Add(bytesOf(guid(owner), certificate("UEFI CA")))
	f.Fuzz(func(t *testing.T, data []byte) {
		examine(t, record(0x80000001, variable(security, "db", data)))
		examine(t, record(0x800000E0, variable(security, "db", data)))
	})
}

func FuzzOption(f *testing.F) {
	f.Add(option(1, "Disk", path(disk, file), bytesOf(wide("quiet"), uint16(0))))
	f.Fuzz(func(t *testing.T, data []byte) {
		examine(t, record(0x80000002, variable(global, "Boot0001", data)))
	})
}

func FuzzWindows(f *testing.F) {
	f.Add(sipa(0x40010003, sipa(0x00070001, wide("x.sys"))))
	f.Fuzz(func(t *testing.T, data []byte) { examine(t, record(6, sipa(0x40010001, data))) })
}

func FuzzHOB(f *testing.F) {
	f.Add(bytesOf(hob(3, make([]byte, 40)), hob(4, guid(owner)), hob(0xFFFF)))
	f.Fuzz(func(t *testing.T, data []byte) { examine(t, record(10, config("td_hob", data))) })
}

func FuzzCOS(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x09sha256:00"))
	f.Fuzz(func(t *testing.T, data []byte) { examine(t, &mrlog.Record{Type: event.TypeCOS, Content: data}) })
}

// TestCut: every event of the tables, cut after every byte, with every byte set
// to ones.
func TestCut(t *testing.T) {
	for _, d := range decodings {
		for n := range d.data {
			examine(t, record(d.event, d.data[:n:n]))
			altered := bytes.Clone(d.data)
			altered[n] = 0xFF
			examine(t, record(d.event, altered))
		}
	}
}

// TestHostile: large data that makes much of little takes time and memory as
// its size, not as its square.
func TestHostile(t *testing.T) {
	const size = 1 << 20
	fill := func(unit []byte) []byte { return bytes.Repeat(unit, size/len(unit)) }
	certificates := list(x509)
	for _, c := range []struct {
		what  string
		event uint32
		data  []byte
	}{
		{"text", 5, fill([]byte("a"))},
		{"text to escape", 5, fill([]byte("\n"))},
		{"wide text", 13, fill([]byte("a\x00"))},
		{"surrogates", 0x80000001, variable(owner, "x", fill([]byte{0x00, 0xD8}))},
		{"command", 13, append([]byte("grub_cmd: "), fill([]byte("\t"))...)},
		{"bytes", 0x12345678, fill([]byte{1})},
		{"nodes", 0x80000003, image(fill([]byte{1, 1, 4, 0}))},
		{"unknown nodes", 0x80000003, image(fill([]byte{99, 1, 4, 0}))},
		{"file nodes", 0x80000003, image(fill(file))},
		{"path ends", 0x80000003, image(fill([]byte{0x7F, 0xFF, 4, 0}))},
		{"long nodes", 0x80000003, image(fill(node(2, 2, make([]byte, 60000))))},
		{"addresses", 0x80000003, image(fill(node(2, 3, make([]byte, 60000))))},
		{"empty lists", 0x80000001, variable(security, "db", fill(certificates))},
		{"empty signatures", 0x80000001, variable(security, "db", list(x509, make([][]byte, size/16)...))},
		{"certificates", 0x80000001, variable(security, "db", list(x509, slicesOf(certificate("A"), size/200)...))},
		{"names", 0x800000E0, variable(security, "db", bytesOf(guid(owner), certificate(strings.Repeat("\\,", 30000))))},
		{"attributes", 0x800000E0, variable(security, "db", bytesOf(guid(owner), long(size)))},
		{"boot order", 0x80000002, variable(global, "BootOrder", fill([]byte{1, 0}))},
		{"options", 0x80000002, variable(global, "Boot0001", option(1, "x", nil, fill([]byte("a\x00"))))},
		{"partitions", 0x80000006, manyPartitions(size / 128)},
		{"tables", 0x8000000B, bytesOf(byte(0), uint64(size/24), make([]byte, size))},
		{"AAEL", 6, bytesOf("LEAA", uint32(size), fill([]byte(" ")))},
		{"Windows", 6, sipa(0x40010001, fill(sipa(0x00040001)))},
		{"Windows, containers", 6, sipa(0x40010001, fill(sipa(0x40010003)))},
		{"Windows, nested", 6, sipa(0x40010001, sipa(0x40010001, sipa(0x40010001, fill(sipa(0x40010001, sipa(0x00050009))))))},
		{"Windows, endless", 6, func() (p []byte) {
			for n := size / 8; n > 0; n-- {
				p = append(p, bytesOf(uint32(0x40010001), uint32(8*(n-1)))...)
			}
			return p
		}()},
		{"blocks", 10, config("td_hob", fill(hob(3)))},
		{"empty blocks", 10, config("td_hob", fill(hob(0)))},
		{"dstack", 0x08000001, fill([]byte(`{"name":"`))},
		{"variable name", 0x80000001, bytesOf(guid(global), uint64(size/2), uint64(0), fill([]byte("a\x00")))},
	} {
		t.Run(c.what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			examine(t, record(c.event, c.data))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 256*size {
				t.Errorf("%d bytes allocated for %d", n, len(c.data))
			}
		})
	}
}

func slicesOf(p []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = p
	}
	return out
}

func manyPartitions(n int) []byte {
	p := partitions()
	p = p[:len(p)-8]
	return bytesOf(p, uint64(n), make([]byte, 128*n))
}

// long is a certificate whose subject has many attributes, and is longer than
// its lengths could say in two bytes.
func long(size int) []byte {
	one := rdn("550406", "DE", 0x13)
	der4 := func(tag byte, body []byte) []byte {
		n := len(body)
		return append([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	}
	subject := der4(0x30, bytes.Repeat(one, size/len(one)))
	tbs := der4(0x30, bytes.Join([][]byte{der(0x02, []byte{1}), der(0x30), der(0x30), der(0x30), subject}, nil))
	return der4(0x30, tbs)
}
