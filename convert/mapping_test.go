// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/convert"
)

// The mapping of native logs to the canonical event log (specification of the
// native log, section 9), written once more from its text: it shares nothing
// with the packages that it checks.

type refDigest struct {
	HashAlg string `json:"hashAlg"`
	Digest  string `json:"digest"`
}

type refRecord struct {
	RecNum      *uint64     `json:"recnum"`
	PCR         *uint64     `json:"pcr"`
	Digests     []refDigest `json:"digests"`
	ContentType string      `json:"content_type"`
	Content     string      `json:"content"`
}

type refEnvelope struct {
	Log []refRecord `json:"log"`
	MR  string      `json:"mr"`
}

// refSum is the digest of an algorithm by its CEL name.
func refSum(alg string, p []byte) []byte {
	switch alg {
	case "sha1":
		s := sha1.Sum(p)
		return s[:]
	case "sha256":
		s := sha256.Sum256(p)
		return s[:]
	case "sha384":
		s := sha512.Sum384(p)
		return s[:]
	case "sha512":
		s := sha512.Sum512(p)
		return s[:]
	case "sha3_256":
		s := sha3.Sum256(p)
		return s[:]
	case "sha3_384":
		s := sha3.Sum384(p)
		return s[:]
	case "sha3_512":
		s := sha3.Sum512(p)
		return s[:]
	case "sm3_256":
		return refSM3(p)
	}
	panic("algorithm " + alg)
}

// refSM3 is GB/T 32905-2016, sections 4 and 5.
func refSM3(p []byte) []byte {
	v := [8]uint32{0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e}
	m := append(bytes.Clone(p), 0x80)
	for len(m)%64 != 56 {
		m = append(m, 0)
	}
	m = binary.BigEndian.AppendUint64(m, uint64(len(p))*8)
	rol := bits.RotateLeft32
	for ; len(m) > 0; m = m[64:] {
		var w [68]uint32
		for i := range 16 {
			w[i] = binary.BigEndian.Uint32(m[4*i:])
		}
		for i := 16; i < 68; i++ {
			x := w[i-16] ^ w[i-9] ^ rol(w[i-3], 15)
			w[i] = x ^ rol(x, 15) ^ rol(x, 23) ^ rol(w[i-13], 7) ^ w[i-6]
		}
		a, b, c, d, e, f, g, h := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
		for i := range 64 {
			t, ff, gg := uint32(0x79cc4519), a^b^c, e^f^g
			if i >= 16 {
				t, ff, gg = 0x7a879d8a, a&b|a&c|b&c, e&f|^e&g
			}
			ss1 := rol(rol(a, 12)+e+rol(t, i%32), 7)
			ss2 := ss1 ^ rol(a, 12)
			tt1, tt2 := ff+d+ss2+(w[i]^w[i+4]), gg+h+ss1+w[i]
			a, b, c, d = tt1, a, rol(b, 9), c
			e, f, g, h = tt2^rol(tt2, 9)^rol(tt2, 17), e, rol(f, 19), g
		}
		for i, x := range [8]uint32{a, b, c, d, e, f, g, h} {
			v[i] ^= x
		}
	}
	var out []byte
	for _, x := range v {
		out = binary.BigEndian.AppendUint32(out, x)
	}
	return out
}

func TestRefSM3(t *testing.T) {
	// GB/T 32905-2016, annex A.1.
	if got := hex.EncodeToString(refSM3([]byte("abc"))); got != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0" {
		t.Fatal(got)
	}
}

// refMap maps a native log whose register has the plain index pcr, and returns
// the final values by algorithm.
func refMap(text string, pcr uint64) ([]refRecord, map[string]string) {
	var out []refRecord
	var algs []string
	values := make(map[string][]byte)
	for _, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if out == nil {
			for _, bank := range strings.Split(line, " ")[1:] {
				f := strings.Split(bank, "/")
				algs = append(algs, f[0])
				values[f[0]], _ = hex.DecodeString(f[1])
			}
		}
		n, index := uint64(len(out)), pcr
		rec := refRecord{RecNum: &n, PCR: &index, ContentType: "CC-CEL", Content: line}
		for _, a := range algs {
			d := refSum(a, []byte(line))
			rec.Digests = append(rec.Digests, refDigest{a, hex.EncodeToString(d)})
			values[a] = refSum(a, append(values[a], d...))
		}
		out = append(out, rec)
	}
	final := make(map[string]string)
	for a, v := range values {
		final[a] = hex.EncodeToString(v)
	}
	return out, final
}

// strictJSON parses with two parsers: one that refuses members that the mapping
// does not have, one that refuses names that occur twice and text that is not
// UTF-8.
func strictJSON(p []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("after the value: %v", err)
	}
	j := jsontext.NewDecoder(bytes.NewReader(p))
	if _, err := j.ReadValue(); err != nil {
		return err
	}
	if _, err := j.ReadToken(); err != io.EOF {
		return fmt.Errorf("after the value: %v", err)
	}
	return nil
}

// refCBOR decodes an array of records with a library that shares nothing with
// ours.
func refCBOR(p []byte) ([]refRecord, error) {
	type digest struct {
		Alg uint64 `cbor:"0,keyasint"`
		Sum []byte `cbor:"1,keyasint"`
	}
	type record struct {
		RecNum  *uint64  `cbor:"0,keyasint"`
		PCR     *uint64  `cbor:"1,keyasint"`
		Digests []digest `cbor:"3,keyasint"`
		Type    uint64   `cbor:"9,keyasint"`
		Content string   `cbor:"10,keyasint"`
	}
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, IndefLength: cbor.IndefLengthForbidden}.DecMode()
	if err != nil {
		return nil, err
	}
	var in []record
	if err := mode.Unmarshal(p, &in); err != nil {
		return nil, err
	}
	var out []refRecord
	for _, r := range in {
		if r.Type != 204 {
			return nil, fmt.Errorf("content type %d", r.Type)
		}
		o := refRecord{RecNum: r.RecNum, PCR: r.PCR, ContentType: "CC-CEL", Content: r.Content}
		for _, d := range r.Digests {
			o.Digests = append(o.Digests, refDigest{refName(d.Alg), hex.EncodeToString(d.Sum)})
		}
		out = append(out, o)
	}
	return out, nil
}

// refTLV decodes records in TLV.
func refTLV(p []byte) (out []refRecord, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	cut := func(p []byte) (byte, []byte, []byte) {
		n := binary.BigEndian.Uint32(p[1:])
		return p[0], p[5 : 5+n], p[5+n:]
	}
	number := func(p []byte) *uint64 {
		var n uint64
		for _, c := range p {
			n = n<<8 | uint64(c)
		}
		return &n
	}
	for len(p) > 0 {
		o := refRecord{ContentType: "CC-CEL"}
		var v []byte
		for _, want := range []byte{0, 1, 3, 204} {
			var typ byte
			if typ, v, p = cut(p); typ != want {
				return nil, fmt.Errorf("field of type %d, want %d", typ, want)
			}
			switch want {
			case 0:
				o.RecNum = number(v)
			case 1:
				o.PCR = number(v)
			case 3:
				for len(v) > 0 {
					var alg byte
					var sum []byte
					alg, sum, v = cut(v)
					o.Digests = append(o.Digests, refDigest{refName(uint64(alg)), hex.EncodeToString(sum)})
				}
			case 204:
				o.Content = string(v)
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func refName(id uint64) string {
	return map[uint64]string{4: "sha1", 11: "sha256", 12: "sha384", 13: "sha512", 18: "sm3_256", 39: "sha3_256", 40: "sha3_384", 41: "sha3_512"}[id]
}

// TestMapping compares every canonical form of hundreds of native logs with the
// mapping above.
func TestMapping(t *testing.T) {
	seen := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		n := drawNative(t, mrlog.Known(), true)
		// The plain index alone: what names a register's space is an
		// extension that the mapping does not have.
		pcr := rapid.Uint32Range(0, 23).Draw(t, "pcr")
		source := convert.Source{Index: pcr, HasIndex: true}
		want, final := refMap(string(n.text), uint64(pcr))
		for _, to := range targets() {
			out, _, err := copyTo(n.text, to, source, 2)
			if to.NeedsReplay() && len(n.start) > 1 {
				wantCarry(t, err, "one register in one bank")
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name(to), err)
			}
			var got []refRecord
			switch name(to) {
			case "cel-json/array":
				err = strictJSON(out, &got)
			case "cel-json/envelope":
				var e refEnvelope
				err = strictJSON(out, &e)
				got = e.Log
				if mr := final[n.start[0].Alg.String()]; e.MR != mr {
					t.Fatalf("mr is %s, want %s", e.MR, mr)
				}
			case "cel-seq":
				for i, text := range strings.Split(string(out), "\x1e") {
					if i == 0 {
						if text != "" {
							t.Fatalf("sequence begins with %q", text)
						}
						continue
					}
					if !strings.HasSuffix(text, "\n") {
						t.Fatalf("text %q has no newline", text)
					}
					var r refRecord
					err = errors.Join(err, strictJSON([]byte(text), &r))
					got = append(got, r)
				}
			case "cel-cbor/array":
				got, err = refCBOR(out)
			case "cel-tlv/minimal", "cel-tlv/4-byte", "cel-tlv/go-eventlog":
				got, err = refTLV(out)
			default:
				continue
			}
			seen[name(to)]++
			if err != nil {
				t.Fatalf("%s: %v\n%q", name(to), err, out)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", name(to), diff)
			}
		}
		// The replay, from the text and from a conversion.
		records, err := open(n.text)
		if err != nil {
			t.Fatal(err)
		}
		values, err := banks(records)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range values {
			if hex.EncodeToString(b.Value) != final[b.Alg.String()] || b.Records != uint64(len(want)) {
				t.Fatalf("%s replays to %x in %d records, want %s in %d", b.Alg, b.Value, b.Records, final[b.Alg.String()], len(want))
			}
		}
	})
	if len(seen) != 7 {
		t.Errorf("forms that were compared: %v", seen)
	}
}
