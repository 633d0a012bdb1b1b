// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// TestContentsOfRuns: many records at once have the answers that each would
// have alone, and those are what the digest was made of.
func TestContentsOfRuns(t *testing.T) {
	types := []mrlog.ContentType{mrlog.TypeCCCEL, mrlog.TypeSystemd, mrlog.TypePCClient, mrlog.TypeIMATLV, 80, 255, 256, mrlog.TypeNamed}
	rapid.Check(t, func(t *rapid.T) {
		var records []mrlog.Record
		var made [][]string // what each digest was made of: "raw", "tlv" or "other"
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			r := mrlog.Record{
				Type:    rapid.SampledFrom(types).Draw(t, "type"),
				Event:   rapid.SampledFrom([]uint32{4, 5, 7, 8, 11, 13}).Draw(t, "event"),
				Content: bytes.Repeat([]byte{byte(len(records))}, rapid.SampledFrom([]int{0, 1, 120, 4000, 9000, 70_000}).Draw(t, "size")),
			}
			tlv := binary.BigEndian.AppendUint32([]byte{byte(r.Type)}, uint32(len(r.Content)))
			tlv = append(tlv, r.Content...)
			var of []string
			for _, alg := range rapid.SliceOfNDistinct(rapid.SampledFrom(mrlog.Known()), 0, 3, rapid.ID[mrlog.Alg]).Draw(t, "banks") {
				from := rapid.SampledFrom([]string{"raw", "tlv", "other"}).Draw(t, "of")
				data := map[string][]byte{"raw": r.Content, "tlv": tlv, "other": append(tlv, 0)}[from]
				of = append(of, from)
				r.Digests = append(r.Digests, mrlog.Digest{Alg: alg, Sum: alg.AppendSum(nil, data)})
			}
			records, made = append(records, r), append(made, of)
		}
		answers := make([]verify.Contents, len(records))
		var all, one verify.Hasher
		all.Each(records, answers)
		for i := range records {
			r := &records[i]
			rule := "raw"
			switch {
			case r.Type >= 256:
				rule = "none"
			case r.Type == mrlog.TypePCClient && (r.Event == 7 || r.Event == 13 && len(r.Content) > 0 && strings.ContainsAny(string(r.Content[0]), "/(")):
				rule = "none" // of the code of the CRTM, of a file
			case r.Type == 80 || r.Type == 255 || r.Type == mrlog.TypeIMATLV:
				rule = "tlv"
			}
			for j, d := range r.Digests {
				if alone := one.Content(r, d); alone != answers[i][j] {
					t.Fatalf("record %d, type %d, %s: %s in a run, %s alone", i, r.Type, d.Alg, answers[i][j], alone)
				}
				if (answers[i][j] == verify.Matches) != (made[i][j] == rule) {
					t.Fatalf("record %d, type %d, %s of %s: %s", i, r.Type, d.Alg, made[i][j], answers[i][j])
				}
			}
			if answers[i][len(r.Digests)] != verify.Opaque {
				t.Fatalf("record %d has an answer for a digest that it does not have", i)
			}
		}
	})
}

// TestEvents: the data of a TCG event matches if the digest is of the part that
// its producer measures, in part if that is not all; a difference counts where
// there is no doubt.
func TestEvents(t *testing.T) {
	boot := []byte("\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00x\x00ab")
	for _, c := range []struct {
		what     string
		event    uint32
		data     string
		measured string
		want     verify.Content
	}{
		{"boot variable, contents", 0x80000002, string(boot), "ab", verify.Part},
		{"boot variable, whole", 0x80000002, string(boot), string(boot), verify.Matches},
		{"boot variable, another name", 0x80000002, strings.Replace(string(boot), "x\x00", "y\x00", 1), "ab", verify.Part},
		{"separator, error", 4, "\x01\x00\x00\x00", "what the platform says", verify.Opaque},
		{"separator, error, logged", 4, "\x01\x00\x00\x00", "\x01\x00\x00\x00", verify.Matches},
		{"separator, normal, altered", 4, "\x01\x00\x00\x00", "\xff\xff\xff\xff", verify.Differs},
		{"boot variable, something else", 0x80000002, string(boot), "x", verify.Deviates},
		{"configuration, contents", 0x80000001, string(boot), "ab", verify.Differs},
		{"authority of old shim", 0x800000E0, string(boot) + "\xaf", string(boot), verify.Part},
		{"authority, altered", 0x800000E0, string(boot) + "\xaf", "x", verify.Differs},
		{"GRUB's command", 13, "grub_cmd: set x\x00", "set x", verify.Part},
		{"GRUB's command, altered", 13, "grub_cmd: set y\x00", "set x", verify.Deviates},
		{"firmware version", 8, "1.0", "1.0", verify.Matches},
		{"firmware version of Dell", 8, "1.0", "x", verify.Deviates},
		{"GRUB's file", 13, "/grub.cfg\x00", "/grub.cfg\x00", verify.Opaque},
		{"loader's text without half of its NUL", 13, "q\x00u\x00\x00", "q\x00u\x00\x00\x00", verify.Matches},
		{"loader's text without half of its NUL, altered", 13, "q\x00u\x00\x00", "q\x00i\x00\x00\x00", verify.Opaque},
		{"section's name", 13, ".\x00l\x00i\x00n\x00u\x00x\x00\x00\x00", ".linux\x00", verify.Part},
		{"section", 13, ".\x00l\x00i\x00n\x00u\x00x\x00\x00\x00", "the kernel", verify.Opaque},
		{"AAEL", 6, "LEAA\x05\x00\x00\x00a b c", "LEAA\x05\x00\x00\x00a b c", verify.Matches},
		{"AAEL, altered", 6, "LEAA\x05\x00\x00\x00a b d", "LEAA\x05\x00\x00\x00a b c", verify.Differs},
		{"AAEL, of the text", 6, "LEAA\x05\x00\x00\x00a b c", "a b c", verify.Differs},
		{"Linux initrd", 6, "\xec\x22\x3b\x8f\x01\x00\x00\x00x", "the initrd", verify.Opaque},
		{"image", 0x80000003, "path", "path", verify.Opaque},
		{"EV_NO_ACTION", 3, "x", "x", verify.Opaque},
		{"unknown", 0x12345678, "x", "x", verify.Matches},
	} {
		var h verify.Hasher
		rec := mrlog.Record{Type: mrlog.TypePCClient, Event: c.event, Content: []byte(c.data)}
		for _, alg := range mrlog.Known() {
			d := mrlog.Digest{Alg: alg, Sum: alg.AppendSum(nil, []byte(c.measured))}
			if got := h.Content(&rec, d); got != c.want {
				t.Errorf("%s, %s: %s, want %s", c.what, alg, got, c.want)
			}
		}
	}

	// Firmware for TPM 1.2 measured the contents of configuration variables,
	// too: only what has SHA-1 alone is of such.
	var h verify.Hasher
	rec := mrlog.Record{Type: mrlog.TypePCClient, Event: 0x80000001, Content: boot}
	old := mrlog.Digest{Alg: mrlog.SHA1, Sum: mrlog.SHA1.AppendSum(nil, []byte("ab"))}
	other := mrlog.Digest{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, []byte("ab"))}
	for _, c := range []struct {
		digests []mrlog.Digest
		want    verify.Content
	}{
		{[]mrlog.Digest{old}, verify.Part},
		{[]mrlog.Digest{other}, verify.Differs},
		{[]mrlog.Digest{old, other}, verify.Differs},
	} {
		rec.Digests = c.digests
		if got := h.Content(&rec, c.digests[0]); got != c.want {
			t.Errorf("configuration variable with %d digests, %s: %s, want %s", len(c.digests), c.digests[0].Alg, got, c.want)
		}
	}
}

// TestViolation: nothing but 0xFF is what the kernel extends for a violation, in
// older ones with zeros behind it in other banks than SHA-1. A digest of bytes that are no UTF-8 is one like others.
func TestViolation(t *testing.T) {
	rec := mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima-ng"), Content: []byte("altered")}
	var h verify.Hasher
	for fill, want := range map[byte]verify.Content{0xFF: verify.Opaque, 0x80: verify.Differs, 0xFE: verify.Differs, 'A': verify.Differs} {
		for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256} {
			if got := h.Content(&rec, mrlog.Digest{Alg: alg, Sum: bytes.Repeat([]byte{fill}, alg.Size())}); got != want {
				t.Errorf("%s digest of bytes %#x: %s, want %s", alg, fill, got, want)
			}
			padded := make([]byte, 32)
			copy(padded, bytes.Repeat([]byte{fill}, 20))
			if got := h.Content(&rec, mrlog.Digest{Alg: mrlog.SHA256, Sum: padded}); got != want {
				t.Errorf("padded digest of bytes %#x: %s, want %s", fill, got, want)
			}
		}
	}
}
