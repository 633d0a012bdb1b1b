// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"pgregory.net/rapid"

	"mrlog.dev"
)

// hashes names each algorithm's function a second time, as a stream: Alg uses
// the one-shot forms.
var hashes = map[mrlog.Alg]func() hash.Hash{
	mrlog.SHA1:     sha1.New,
	mrlog.SHA256:   sha256.New,
	mrlog.SHA384:   sha512.New384,
	mrlog.SHA512:   sha512.New,
	mrlog.SM3:      sm3.New,
	mrlog.SHA3_256: func() hash.Hash { return sha3.New256() },
	mrlog.SHA3_384: func() hash.Hash { return sha3.New384() },
	mrlog.SHA3_512: func() hash.Hash { return sha3.New512() },
}

func sum(alg mrlog.Alg, data ...[]byte) []byte {
	h := hashes[alg]()
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

func TestAlgNames(t *testing.T) {
	// The TCG Algorithm Registry's numbers, and every spelling seen in the
	// wild: CEL, IMA, trustee, TCG, each in some other case too.
	for _, tt := range []struct {
		id        uint16
		alg       mrlog.Alg
		size      int
		canonical string
		others    string
	}{
		{4, mrlog.SHA1, 20, "sha1", "sha SHA SHA1 SHA-1 sha-1 0x4 0x0004 0X0004"},
		{11, mrlog.SHA256, 32, "sha256", "SHA256 SHA-256 sha-256 Sha256 0xb 0x000B 0x000b"},
		{12, mrlog.SHA384, 48, "sha384", "SHA384 SHA-384 sha-384 0x0c 0x000c"},
		{13, mrlog.SHA512, 64, "sha512", "SHA512 SHA-512 sha-512 0x000d"},
		{18, mrlog.SM3, 32, "sm3_256", "sm3 SM3 sm3-256 SM3_256 SM3-256 sm3256 0x0012"},
		{39, mrlog.SHA3_256, 32, "sha3_256", "sha3-256 SHA3-256 SHA3_256 0x0027"},
		{40, mrlog.SHA3_384, 48, "sha3_384", "sha3-384 SHA3-384 SHA3_384 0x0028"},
		{41, mrlog.SHA3_512, 64, "sha3_512", "sha3-512 SHA3-512 SHA3_512 0x0029"},
	} {
		if tt.alg != mrlog.Alg(tt.id) || tt.alg.Size() != tt.size || tt.alg.String() != tt.canonical {
			t.Errorf("%d: %v of %d bytes, want %s of %d", tt.id, tt.alg, tt.alg.Size(), tt.canonical, tt.size)
		}
		if got := hashes[tt.alg]().Size(); got != tt.size {
			t.Errorf("%v: crypto says %d bytes", tt.alg, got)
		}
		if a, ok := mrlog.AlgByName(tt.canonical); !ok || a != tt.alg {
			t.Errorf("AlgByName(%s) = %v, %v", tt.canonical, a, ok)
		}
		for _, s := range append(strings.Fields(tt.others), tt.canonical) {
			if a, err := mrlog.ParseAlg(s); err != nil || a != tt.alg {
				t.Errorf("ParseAlg(%s) = %v, %v", s, a, err)
			}
			if _, ok := mrlog.AlgByName(s); ok != (s == tt.canonical) {
				t.Errorf("AlgByName(%s): %v, want the canonical spelling only", s, ok)
			}
		}
		if tt.alg.Binds() != (tt.alg != mrlog.SHA1) {
			t.Errorf("%v binds: %v", tt.alg, tt.alg.Binds())
		}
		if !slices.Contains(mrlog.Known(), tt.alg) {
			t.Errorf("%v is not among the known", tt.alg)
		}
	}
	if known := mrlog.Known(); len(known) != 8 || !slices.IsSorted(known) {
		t.Errorf("known: %v", known)
	}
	for _, s := range []string{
		"", "sha2", "sha3", "sha3256", "sha 256", " sha256", "sha256 ", "sha256\x00", "md5", "sha999",
		"sha384/256", "0x", "0x0", "0x0000", "0x00000b", "0xg", "12", "0x+b", "0x_b", "ſha256",
	} {
		if a, err := mrlog.ParseAlg(s); err == nil {
			t.Errorf("ParseAlg(%q) = %v", s, a)
		}
		if a, ok := mrlog.AlgByName(s); ok {
			t.Errorf("AlgByName(%q) = %v", s, a)
		}
	}
}

func TestAlgUnknown(t *testing.T) {
	a, err := mrlog.ParseAlg("0x0044")
	if err != nil || a != 0x44 || a.Size() != 0 || a.Binds() || a.String() != "0x0044" {
		t.Errorf("%v (%d bytes), %v", a, a.Size(), err)
	}
	if got := a.AppendSum([]byte("x"), []byte("data")); string(got) != "x" {
		t.Errorf("sum of an unknown algorithm: %q", got)
	}
	if err := a.Extend(nil, nil); !errors.Is(err, mrlog.ErrSize) {
		t.Errorf("Extend: %v", err)
	}
	// A hostile name must not fill the terminal.
	if _, err := mrlog.ParseAlg(strings.Repeat("x", 1<<20)); len(err.Error()) > 200 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

// SM3 has no second implementation in Go's library, so these are the two
// examples of the standard that defines it (GB/T 32905-2016, appendix A).
func TestSM3Standard(t *testing.T) {
	for _, tt := range [][2]string{
		{"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
		{strings.Repeat("abcd", 16), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"},
	} {
		if got := mrlog.SM3.AppendSum(nil, []byte(tt[0])); hex.EncodeToString(got) != tt[1] {
			t.Errorf("%s: %x", tt[0], got)
		}
	}
}

func TestExtend(t *testing.T) {
	for _, alg := range mrlog.Known() {
		t.Run(alg.String(), rapid.MakeCheck(func(t *rapid.T) {
			n := alg.Size()
			bytesOf := rapid.SliceOfN(rapid.Byte(), n, n)
			value, digest := bytesOf.Draw(t, "value"), bytesOf.Draw(t, "digest")
			want, kept := sum(alg, value, digest), bytes.Clone(digest)
			if err := alg.Extend(value, digest); err != nil || !bytes.Equal(value, want) || !bytes.Equal(digest, kept) {
				t.Errorf("%x, want %x: %v", value, want, err)
			}
			data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
			if got := alg.AppendSum([]byte("head"), data); !bytes.Equal(got, append([]byte("head"), sum(alg, data)...)) {
				t.Errorf("sum %x", got)
			}
		}))
		for _, sizes := range [][2]int{{0, 0}, {alg.Size(), alg.Size() - 1}, {alg.Size() + 1, alg.Size()}, {alg.Size(), 2 * alg.Size()}} {
			value := make([]byte, sizes[0])
			if err := alg.Extend(value, make([]byte, sizes[1])); !errors.Is(err, mrlog.ErrSize) {
				t.Errorf("%v: sizes %v: %v", alg, sizes, err)
			}
			if !bytes.Equal(value, make([]byte, sizes[0])) {
				t.Errorf("%v: sizes %v: value was changed", alg, sizes)
			}
		}
		value, digest := make([]byte, alg.Size()), make([]byte, alg.Size())
		if n := testing.AllocsPerRun(100, func() { alg.Extend(value, digest) }); n != 0 {
			t.Errorf("%v: Extend allocates %v times", alg, n)
		}
	}
}

// The same value and digest in one slice: the old value is read before the new
// one is written.
func TestExtendAliased(t *testing.T) {
	v := bytes.Repeat([]byte{7}, 32)
	want := sum(mrlog.SHA256, v, v)
	if err := mrlog.SHA256.Extend(v, v); err != nil || !bytes.Equal(v, want) {
		t.Errorf("%x, want %x: %v", v, want, err)
	}
}

func TestDigest(t *testing.T) {
	sha := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ in, out string }{
		{"sha256:" + sha, "sha256:" + sha},
		{"SHA-256:" + strings.ToUpper(sha), "sha256:" + sha},
		{"sm3:" + sha, "sm3_256:" + sha},
		{"0x000b:" + sha, "sha256:" + sha},
		{"0x0044:00ff", "0x0044:00ff"},
		{"0x0044:" + strings.Repeat("ff", 128), "0x0044:" + strings.Repeat("ff", 128)},
		{"sha1:" + sha[:40], "sha1:" + sha[:40]},
	} {
		d, err := mrlog.ParseDigest(tt.in)
		if err != nil || d.String() != tt.out {
			t.Errorf("%s: %s, %v", tt.in, d, err)
		}
	}
	for _, bad := range []string{
		"", ":", "sha256", "sha256:", "sha256:" + sha[:62], "sha256:" + sha + "00", "sha256:" + sha[:63] + "g",
		"sha256: " + sha, "sha999:" + sha, "sha256/" + sha, ":" + sha, "0x0044:0", "0x0044:" + strings.Repeat("ff", 129), "sha256:0x" + sha[:62],
	} {
		if d, err := mrlog.ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest(%q) = %v", bad, d)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("aB", 32))
	f.Add("0x0044:00")
	f.Add("sha3-384:")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := mrlog.ParseDigest(s)
		if err != nil {
			return
		}
		if n := d.Alg.Size(); n != 0 && n != len(d.Sum) {
			t.Errorf("%q: %d bytes of %v", s, len(d.Sum), d.Alg)
		}
		back, err := mrlog.ParseDigest(d.String())
		if err != nil || back.Alg != d.Alg || !bytes.Equal(back.Sum, d.Sum) {
			t.Errorf("%q: %v, %v", s, back, err)
		}
	})
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&mrlog.SyntaxError{Format: "nelr", Line: 3, Offset: 12, Record: 1, Err: cause}, "nelr: line 3 (offset 12), record 1: cause"},
		{&mrlog.SyntaxError{Format: "cel-tlv", Offset: 12, Record: -1, Err: cause}, "cel-tlv: offset 12: cause"},
		{&mrlog.CarryError{Format: "nelr", Record: 4, What: "why"}, "nelr: record 4: why"},
		{&mrlog.CarryError{Format: "nelr", Record: 4, Span: mrlog.Span{Line: 9}, What: "why"}, "nelr: line 9, record 4: why"},
	} {
		if tt.err.Error() != tt.want {
			t.Errorf("%q, want %q", tt.err, tt.want)
		}
	}
	if err := fmt.Errorf("file: %w", &mrlog.SyntaxError{Err: cause}); !errors.Is(err, cause) {
		t.Error("a SyntaxError hides its reason")
	}
}
