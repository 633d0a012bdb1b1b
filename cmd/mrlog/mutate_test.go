// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mrlog.dev/convert"
	"mrlog.dev/internal/reallogs"
)

// seedLog is a log that mutations begin with.
type seedLog struct {
	name  string
	data  []byte
	edges []int // where its records begin and end
}

// maxSeed is how much of a seed is kept: of the corpus most of the padding goes.
const maxSeed = 40 << 10

// seedLogs are the logs of all vectors, in all formats that they can be written
// in, in evidence, and the corpus if it is there. A vector that is malformed is
// a seed, too.
func seedLogs(t *testing.T) []seedLog {
	var all []seedLog
	add := func(name string, data []byte) {
		data = data[:min(len(data), maxSeed)]
		all = append(all, seedLog{name, data, edges(data)})
	}
	err := filepath.WalkDir("../../testdata/vectors", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txt" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, log, ok := bytes.Cut(data, []byte("\n\n"))
		if !ok {
			t.Fatalf("%s: no vector", path)
		}
		add(filepath.ToSlash(path[len("../../testdata/vectors/"):]), log)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range encodings(t) {
		add(name, data)
	}
	if vectors := len(all); vectors < 100 {
		t.Fatalf("%d vectors", vectors)
	}
	add("events", tcgLog(t, tcgFixture(), 24))
	add("contents", celLog(t, celFixture()))
	add("keyed", []byte(jsonFixture))
	add("dstack", []byte(dstackFixture))
	add("violation", violationFixture)
	add("ita", []byte(`[{"rtmr":{"index":2,"bank":"SHA384"},"rtmr_events":[{"type_id":"0x4","type_name":"EV_SEPARATOR","tags":["x"],"measurement":"394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0"},{"type_id":"0x80000001","type_name":"EV_EFI_VARIABLE_DRIVER_CONFIG","measurement":"`+strings.Repeat("5a", 48)+`"}]}]`))
	if reallogs.Available() {
		dir := reallogs.Dir(t)
		for _, pattern := range []string{"tcg/*", "qemu-ovmf/*.bin", "qemu-ovmf/*.txt", "tdx-intel/*", "nelr/*", "quotes/*.json"} {
			names, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
			for _, name := range names {
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				add(filepath.Base(name), data)
			}
		}
	}
	// The canonical forms of a firmware log, of an IMA list and of systemd's.
	for _, s := range slices.Clone(all) {
		switch s.name {
		case "tcg/ccel.txt", "tcg/banks.txt", "tcg/locality-3.txt", "ima/templates-binary.txt", "systemd/phases.txt", "dstack/api.txt", "events", "contents":
		default:
			continue
		}
		for _, to := range allTargets() {
			if out, _, err := written(t.Context(), s.data, convert.Source{}, to); err == nil && len(out) > 0 {
				add(s.name+" as "+to.Format+" "+to.Dialect, out)
			}
		}
		var out bytes.Buffer
		if runInProcess(bytes.NewReader(s.data), &out, &bytes.Buffer{}, "show", "--trustee-claims", "-") == exitOK {
			add(s.name+" as claims", out.Bytes())
		}
	}
	// What logs are sent in.
	for _, s := range slices.Clone(all) {
		switch text := base64.StdEncoding.EncodeToString(s.data); s.name {
		case "tcg/ccel.txt", "tcg/coco-73.txt":
			add("evidence of "+s.name, []byte(`{"quote":"AAAA","cc_eventlog":"`+text+`","aa_eventlog":"INIT sha384\/00\na b c\n"}`))
		case "tcg/locality-3.txt":
			add("response of keylime", []byte(`{"code":200,"results":{"quote":"r","mb_measurement_list":"`+text+`","ima_measurement_list":"10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-ng sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 /usr/bin/my_tool\n","ima_measurement_list_entry":3}}`))
		case "dstack/api.txt":
			quoted, err := json.Marshal(string(s.data))
			if err != nil {
				t.Fatal(err)
			}
			add("response of dstack", []byte(`{"quote":"00","event_log":`+string(quoted)+`}`))
		}
	}
	return all
}

// edges are the offsets at which records of a log begin and end.
func edges(log []byte) []int {
	var all []int
	r, err := convert.Open(bytes.NewReader(log), convert.Source{})
	if err != nil {
		return nil
	}
	if convert.Wrapped(r).Member != "" {
		return nil // the places are elsewhere
	}
	records, _, _ := readWhole(r)
	for i := range records {
		s := records[i].Span
		all = append(all, int(s.Offset), int(s.Offset)+s.Length)
	}
	return slices.Compact(all)
}

// extremes are values that a length or a number should not have, as text.
var extremes = []string{"0", "-1", "1", "255", "256", "65535", "65536", "16777216", "2147483647", "2147483648", "4294967295", "4294967296", "9007199254740993", "9223372036854775807", "18446744073709551615", "18446744073709551616", "1e400", "1.5", "00", "null", `""`, "[]", "{}"}

// mutate returns an altered copy of a seed: bits flipped, lengths at their
// extremes, cut at a boundary of records or anywhere, spliced with another log,
// pieces repeated, moved or deleted, and wrapped.
func mutate(rng *rand.Rand, seeds []seedLog) (seed seedLog, log []byte) {
	seed = seeds[rng.IntN(len(seeds))]
	if strings.Contains(seed.name, "bad-") {
		seed = seeds[rng.IntN(len(seeds))] // too many are of that kind
	}
	log = bytes.Clone(seed.data)
	if rng.IntN(50) == 0 {
		return seed, dress(rng, log) // as it is
	}
	for more := true; more; more = rng.IntN(3) == 0 {
		log = alter(rng, log, seed, seeds)
	}
	if rng.IntN(12) == 0 {
		wrapped := dress(rng, log)
		if rng.IntN(2) == 0 && len(wrapped) > 0 {
			wrapped = alter(rng, wrapped, seedLog{}, seeds)
		}
		log = wrapped
	}
	return seed, log
}

// place draws an offset: at a boundary of records, next to one, or anywhere.
func (s *seedLog) place(rng *rand.Rand, size int) int {
	if len(s.edges) > 0 && rng.IntN(2) == 0 {
		at := s.edges[rng.IntN(len(s.edges))] + rng.IntN(3) - 1
		return min(max(at, 0), size)
	}
	if rng.IntN(4) == 0 {
		return rng.IntN(min(size, 128) + 1)
	}
	return rng.IntN(size + 1)
}

// replaced returns p with the bytes from from to to replaced.
func replaced(p []byte, from, to int, by []byte) []byte {
	return slices.Concat(p[:from], by, p[min(to, len(p)):])
}

func alter(rng *rand.Rand, log []byte, seed seedLog, seeds []seedLog) []byte {
	at := seed.place(rng, len(log))
	rest := len(log) - at
	switch rng.IntN(12) {
	case 0: // one bit
		if rest > 0 {
			log[at] ^= 1 << rng.IntN(8)
		}
	case 1: // one byte
		if rest > 0 {
			log[at] = byte(rng.Uint32())
		}
	case 2: // a length, of any width, in either order
		v := [...]uint64{0, 1, 1<<7 - 1, 1 << 8, 1<<15 - 1, 1<<16 - 1, 1 << 20, 1<<20 + 1, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1}[rng.IntN(14)]
		var field [8]byte
		binary.LittleEndian.PutUint64(field[:], v)
		width := 1 << rng.IntN(4)
		part := field[:width]
		if rng.IntN(2) == 0 {
			slices.Reverse(part)
		}
		copy(log[at:], part)
	case 3: // a head of CBOR that states much
		head := []byte{[...]byte{0x5b, 0x7b, 0x9b, 0xbb, 0x5a, 0x9a, 0x5f, 0x9f, 0xbf, 0xdb}[rng.IntN(10)]}
		return replaced(log, at, at+1, append(head, bytes.Repeat([]byte{0xFF}, rng.IntN(9))...))
	case 4: // a number in text
		from := at
		for from < len(log) && (log[from] < '0' || log[from] > '9') {
			from++
		}
		to := from
		for to < len(log) && log[to] >= '0' && log[to] <= '9' {
			to++
		}
		return replaced(log, from, to, []byte(extremes[rng.IntN(len(extremes))]))
	case 5: // cut
		return log[:at]
	case 6: // a piece of another log
		other := seeds[rng.IntN(len(seeds))]
		from := other.place(rng, len(other.data))
		n := rng.IntN(min(len(other.data)-from, 400) + 1)
		if rng.IntN(4) == 0 {
			n = len(other.data) - from
		}
		tail := at
		if rng.IntN(2) == 0 {
			tail = len(log)
		}
		return replaced(log, at, tail, other.data[from:from+n])
	case 7: // a block once more, or many times
		n := rng.IntN(min(rest, 300) + 1)
		times := 1
		if rng.IntN(8) == 0 {
			times = rng.IntN(64)
		}
		return replaced(log, at, at, bytes.Repeat(log[at:at+n], times))
	case 8: // a piece less
		return replaced(log, at, at+rng.IntN(min(rest, 300)+1), nil)
	case 9: // a character for another of its kind
		const digits, letters = "0123456789", "abcdefABCDEF/.:-_xyz"
		for ; at < len(log); at++ {
			if strings.IndexByte(digits, log[at]) >= 0 {
				log[at] = digits[rng.IntN(len(digits))]
				break
			}
			if strings.IndexByte(letters, log[at]) >= 0 {
				log[at] = letters[rng.IntN(len(letters))]
				break
			}
		}
	case 10: // whole records once more, elsewhere, or away
		if len(seed.edges) < 2 || len(log) < len(seed.data) {
			break
		}
		from := seed.edges[rng.IntN(len(seed.edges))]
		to := seed.edges[rng.IntN(len(seed.edges))]
		from, to = min(from, to), max(from, to)
		piece := bytes.Clone(log[from:to])
		if rng.IntN(2) == 0 {
			log = replaced(log, from, to, nil)
		}
		if rng.IntN(2) == 0 {
			at = min(seed.edges[rng.IntN(len(seed.edges))], len(log))
			log = replaced(log, at, at, piece)
		}
	case 11: // padding, or what stands where it should be
		fill := []byte{[...]byte{0, 0xFF, ' ', '\n', '[', '{', '"', '\\', 0x1e}[rng.IntN(9)]}
		return replaced(log, at, at, bytes.Repeat(fill, rng.IntN(64)))
	}
	return log
}

// dress wraps a log as people keep and send them.
func dress(rng *rand.Rand, log []byte) []byte {
	switch rng.IntN(5) {
	case 0:
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(log)
		_ = z.Close()
		return b.Bytes()
	case 1:
		return []byte(base64.StdEncoding.EncodeToString(log))
	case 2:
		return []byte(strings.ToUpper(hex.EncodeToString(log)) + "\n")
	case 3:
		return append([]byte("\xef\xbb\xbf"), log...)
	}
	return log
}
