// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"mrlog.dev"
)

// Field is one field of template data. It borrows its bytes from the data.
type Field struct {
	ID   string // as in a format string: "d-ng", "n-ng", …
	Kind Kind
	Data []byte // of the field, as they were hashed

	// What the data says; which of them depends on the kind.
	Digest    Digest    // KindDigest
	Text      []byte    // KindName, KindList: without the NUL
	Signature Signature // KindSignature, unless Data is empty
	Number    uint64    // KindNumber
	Lengths   []uint32  // KindLengths

	// Problem says why Data is not what its kind says, or is "". What could
	// be understood stands above all the same.
	Problem string
}

// Digest is a digest with the name of its algorithm, as the kernel spells it.
type Digest struct {
	Type string    // "ima" or "verity" in d-ngv2; else ""
	Name string    // "sha256"; "" in the field d
	Alg  mrlog.Alg // of the name; 0 if it is not known
	Sum  []byte
}

// Signature is a signature with its header (Linux, integrity.h, struct
// signature_v2_hdr).
type Signature struct {
	Type    byte // SignatureIMA, …
	Version byte
	Hash    string // name of the hash algorithm; "" if its number is not known
	KeyID   uint32 // last four bytes of the signing key's identifier
	Sum     []byte // the signature itself: RSA, or ECDSA in DER
}

// The types of a signature (Linux, enum evm_ima_xattr_type).
const (
	SignatureIMA    = 3 // of the file's digest
	SignatureEVM    = 5 // of the file's metadata, portable
	SignatureVerity = 6 // of the file's fs-verity digest
)

// hashes are the kernel's hash algorithms by their number (Linux, enum
// hash_algo), with the size of their digests.
var hashes = [...]struct {
	name string
	size int
}{
	{"md4", 16},
	{"md5", 16},
	{"sha1", 20},
	{"rmd160", 20},
	{"sha256", 32},
	{"sha384", 48},
	{"sha512", 64},
	{"sha224", 28},
	{"rmd128", 16},
	{"rmd256", 32},
	{"rmd320", 40},
	{"wp256", 32},
	{"wp384", 48},
	{"wp512", 64},
	{"tgr128", 16},
	{"tgr160", 20},
	{"tgr192", 24},
	{"sm3", 32},
	{"streebog256", 32},
	{"streebog512", 64},
	{"sha3-256", 32},
	{"sha3-384", 48},
	{"sha3-512", 64},
}

// hashSize returns the digest size of an algorithm that the kernel names, or 0.
func hashSize(name string) int {
	for _, h := range hashes {
		if h.name == name || name == "sm3-256" && h.name == "sm3" {
			return h.size
		}
	}
	return 0
}

// Fields decodes the template data of a record in [mrlog.FormRaw]. Its error
// says what is not a field: the template is not known, or the data ends within a
// field or goes on behind the last one; the fields before that are returned. A
// field that is not what it should be says so itself.
func Fields(name, data []byte) ([]Field, error) {
	tm := parseTemplate(name)
	if tm.fields == nil {
		return nil, fmt.Errorf("template %.80q is not known", name)
	}
	var mem [maxFields][]byte
	raw, big, err := mem[:0], false, error(nil)
	if tm.old {
		var ok bool
		if raw, ok = cutOld(raw, data); !ok {
			return nil, errOld
		}
	} else {
		var ok bool
		if raw, big, ok = splitAny(raw, data, len(tm.fields)); !ok {
			raw, big = splitMost(mem[:0], data, len(tm.fields))
			err = fmt.Errorf("template data of %d bytes is not the %d fields of template %.80q", len(data), len(tm.fields), name)
		}
	}
	fields := make([]Field, len(raw))
	for i, f := range raw {
		fields[i] = parseField(&tm.fields[i], f, tm.old, big)
	}
	return fields, err
}

var errOld = errors.New("template data is not a digest of 20 bytes and a name with zeros up to 256")

// splitMost returns the fields that come before what is wrong with the data, in
// the byte order in which they are more.
func splitMost(dst [][]byte, data []byte, n int) ([][]byte, bool) {
	little, _ := split(dst, data, n, false)
	count := len(little)
	if bigger, _ := split(dst, data, n, true); len(bigger) > count {
		return bigger, true
	}
	little, _ = split(dst, data, n, false)
	return little, false
}

func parseField(s *shape, data []byte, old, big bool) Field {
	f := Field{ID: s.id, Kind: s.kind, Data: data}
	switch s.kind {
	case KindDigest:
		f.digest(s.plain)
	case KindName, KindList:
		f.text(old)
	case KindSignature:
		f.signature()
	case KindNumber:
		if f.Number = loadUint(data[:min(len(data), 8)], big); len(data) != s.width && len(data) != 0 {
			f.Problem = fmt.Sprintf("number of %d bytes, want %d", len(data), s.width)
		}
	case KindLengths:
		for i := 0; i+4 <= len(data); i += 4 {
			f.Lengths = append(f.Lengths, load32(data[i:], big))
		}
		if len(data)%4 != 0 {
			f.Problem = fmt.Sprintf("lengths in %d bytes, want a multiple of 4", len(data))
		}
	}
	return f
}

func (f *Field) digest(plain bool) {
	if len(f.Data) == 0 {
		return // no appended signature, say
	}
	if plain {
		if f.Digest.Sum = f.Data; len(f.Data) != imaDigest && len(f.Data) != 16 {
			f.Problem = fmt.Sprintf("digest of %d bytes, want 20 (SHA-1) or 16 (MD5)", len(f.Data))
		}
		return
	}
	n := bytes.IndexByte(f.Data, 0)
	if n < 1 || f.Data[n-1] != ':' {
		f.Problem = "digest without the name of its algorithm"
		return
	}
	f.Digest.Sum = f.Data[n+1:]
	name := string(f.Data[:n-1])
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		f.Digest.Type, name = name[:i], name[i+1:]
	}
	f.Digest.Name = name
	size := hashSize(name)
	if size != 0 {
		if a, err := mrlog.ParseAlg(name); err == nil {
			f.Digest.Alg = a
		}
	}
	switch {
	case size == 0:
		f.Problem = fmt.Sprintf("digest of the unknown algorithm %.40q", name)
	case len(f.Digest.Sum) != size && (len(f.Digest.Sum) != imaDigest || !filled(f.Digest.Sum, 0)):
		// Of a violation, older kernels log twenty zeros.
		f.Problem = fmt.Sprintf("%s digest has %d bytes, want %d", name, len(f.Digest.Sum), size)
	}
	if f.Problem == "" && f.ID == "d-ngv2" && f.Digest.Type != "ima" && f.Digest.Type != "verity" {
		f.Problem = fmt.Sprintf("digest of the unknown type %.40q", f.Digest.Type)
	}
}

func (f *Field) text(old bool) {
	f.Text = f.Data
	if old || f.Kind == KindList && len(f.Data) == 0 {
		return
	}
	if n := len(f.Data); n > 0 && f.Data[n-1] == 0 {
		f.Text = f.Data[:n-1]
	} else {
		f.Problem = "text does not end in a NUL"
	}
	if bytes.IndexByte(f.Text, 0) >= 0 {
		f.Problem = "text with a NUL in it"
	}
}

// signatureHead is the size of a signature's header.
const signatureHead = 9

func (f *Field) signature() {
	if len(f.Data) == 0 {
		return
	}
	s := &f.Signature
	if s.Type = f.Data[0]; len(f.Data) > 1 {
		s.Version = f.Data[1]
	}
	switch {
	case s.Type != SignatureIMA && s.Type != SignatureEVM && s.Type != SignatureVerity:
		f.Problem = fmt.Sprintf("signature of the unknown type %d", s.Type)
		return
	case s.Version != 2 && s.Version != 3:
		f.Problem = fmt.Sprintf("signature of version %d, which is not decoded", s.Version)
		return
	case len(f.Data) < signatureHead:
		f.Problem = "signature is cut off within its header"
		return
	}
	if n := int(f.Data[2]); n < len(hashes) {
		s.Hash = hashes[n].name
	} else {
		f.Problem = fmt.Sprintf("signature of a digest of the unknown algorithm %d", n)
	}
	s.KeyID = load32(f.Data[3:], true)
	s.Sum = f.Data[signatureHead:]
	if want := int(f.Data[7])<<8 | int(f.Data[8]); want != len(s.Sum) {
		f.Problem = fmt.Sprintf("signature has %d bytes, its header says %d", len(s.Sum), want)
	}
}

// Xattr is an extended attribute of a file in template evm-sig.
type Xattr struct {
	Name  string
	Value []byte
}

// Xattrs puts the attributes together whose names, lengths and values stand in
// three fields of a template.
func Xattrs(fields []Field) ([]Xattr, error) {
	var names, values []byte
	var lengths []uint32
	for i := range fields {
		switch f := &fields[i]; f.ID {
		case "xattrnames":
			names = f.Text
		case "xattrlengths":
			lengths = f.Lengths
		case "xattrvalues":
			values = f.Data
		}
	}
	var out []Xattr
	if len(names) > 0 {
		for name := range bytes.SplitSeq(names, []byte{'|'}) {
			if len(out) == len(lengths) || uint64(lengths[len(out)]) > uint64(len(values)) {
				return out, errXattrs
			}
			n := lengths[len(out)]
			out = append(out, Xattr{Name: string(name), Value: values[:n:n]})
			values = values[n:]
		}
	}
	if len(out) != len(lengths) || len(values) > 0 {
		return out, errXattrs
	}
	return out, nil
}

var errXattrs = errors.New("names, lengths and values of the extended attributes do not fit")
