// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"strings"
)

// Types of signatures (UEFI 2.10, section 32.4.1), as texts.
const (
	sigX509   = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	sigSHA256 = "c1c41626-504c-4092-aca9-41f936934328"
)

var (
	typeX509   = GUID{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}
	typeSHA256 = GUID{0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28}
)

// signatureTypes are the short names of the types.
var signatureTypes = map[string]string{
	sigX509:                                "x509",
	sigSHA256:                              "sha256",
	"826ca512-cf10-4ac9-b187-be01496631bd": "sha1",
	"0b6e5233-a65c-44c9-9407-d9ab83bfc8bd": "sha224",
	"ff3e5307-9fd0-48c9-85f1-8ad56c701e01": "sha384",
	"093e0fae-a6c4-4f50-9f1b-d41e2b89c19a": "sha512",
	"57347f87-7a9b-403a-b93c-dc4afb7a0ebc": "sm3",
	"3c5766e8-269c-4e34-aa14-ed776e85b3b6": "rsa2048",
	"e2b36190-879b-4a3d-ad8d-f2e7bba32784": "rsa2048-sha256",
	"67f8444f-8743-48f1-a328-1eaab8736080": "rsa2048-sha1",
	"3bd2a492-96c0-4079-b420-fcf98ef103ed": "x509-sha256",
	"7076876e-80c2-4ee6-aad2-28b349a6865b": "x509-sha384",
	"446dbf63-2502-4cda-bcfa-2465d2b0fe9d": "x509-sha512",
	"60d807e5-10b4-49a9-9331-e40437888d37": "x509-sm3",
	"4aafd29d-68df-49ee-8aa9-347d375665a7": "pkcs7",
}

// Signature is one entry of a signature database: a certificate, or the hash of
// an image or of a certificate (EFI_SIGNATURE_DATA).
type Signature struct {
	Type  GUID // of its list
	Owner GUID // who put it there; zero where it is not logged
	Data  []byte
}

// Name is the signature's type in short, "x509" or "sha256" say, or its GUID.
func (s Signature) Name() string {
	guid := s.Type.String()
	if name := signatureTypes[guid]; name != "" {
		return name
	}
	return guid
}

// Subject returns the subject of an X.509 certificate, as RFC 4514 writes it;
// false if it is none, or not well formed.
func (s Signature) Subject() (string, bool) {
	if s.Type != typeX509 {
		return "", false
	}
	name, ok := certificateNames(s.Data)
	return name.subject.String(), ok
}

// short is what a line for people tells of it.
func (s Signature) short() string {
	if s.Type == typeX509 {
		if name, ok := certificateNames(s.Data); ok {
			return plain(name.subject.short())
		}
		return "certificate that cannot be read"
	}
	return s.Name() + ":" + hexText(s.Data)
}

func (s Signature) line() string { return s.short() }

func (s Signature) members(o *object) { o.object("signature", s.fields) }

func (s Signature) fields(o *object) {
	o.text("type", s.Name())
	if s.Owner != (GUID{}) {
		o.text("owner", s.Owner.String())
	}
	if s.Type != typeX509 {
		o.hex("data", s.Data)
		return
	}
	if name, ok := certificateNames(s.Data); ok {
		o.text("subject", name.subject.String())
		o.text("issuer", name.issuer.String())
		o.hex("serial", name.serial)
	}
	sum := sha256.Sum256(s.Data)
	o.hex("sha256", sum[:])
	o.number("size", uint64(len(s.Data)))
}

// Database is the value of a signature database: PK, KEK, db, dbx, MokList (a
// row of EFI_SIGNATURE_LIST, UEFI 2.10, section 32.4.1).
type Database struct {
	lists []byte // whole lists
}

// listHeader is the size of what precedes a list's own header.
const listHeader = 28

// cutList takes the first list off a database.
func cutList(p []byte) (typ GUID, size int, entries, rest []byte, why string) {
	r := reader{p: p}
	typ = r.guid()
	total, header, each := uint64(r.u32()), uint64(r.u32()), uint64(r.u32())
	switch {
	case r.short:
		return typ, 0, nil, nil, fmt.Sprintf("%s after the last signature list", plural(len(p), "byte"))
	case total < listHeader || total > uint64(len(p)):
		return typ, 0, nil, nil, fmt.Sprintf("a signature list of %d bytes in %d", total, len(p))
	case header > total-listHeader:
		return typ, 0, nil, nil, "a signature list whose header is longer than it"
	}
	entries = p[listHeader+header : total]
	switch {
	case len(entries) == 0 && each == 0:
	case each < 16 || uint64(len(entries))%each != 0:
		return typ, 0, nil, nil, fmt.Sprintf("a signature list of %d bytes with signatures of %d", len(entries), each)
	}
	return typ, int(each), entries, p[total:], ""
}

// signatureDatabase keeps the lists that are well formed, and says what is
// wrong with the first that is not.
func signatureDatabase(p []byte) (value VariableValue, why string) {
	d := Database{lists: p}
	for rest := p; len(rest) > 0; {
		_, _, _, next, why := cutList(rest)
		if why != "" {
			d.lists = p[:len(p)-len(rest)]
			return d, why
		}
		rest = next
	}
	return d, ""
}

// All ranges over the signatures of all lists.
func (d Database) All() iter.Seq[Signature] {
	return func(yield func(Signature) bool) {
		for rest := d.lists; len(rest) > 0; {
			typ, size, entries, next, why := cutList(rest)
			if why != "" {
				return
			}
			for len(entries) > 0 {
				if !yield(Signature{Type: typ, Owner: GUID(entries[:16]), Data: entries[16:size:size]}) {
					return
				}
				entries = entries[size:]
			}
			rest = next
		}
	}
}

func (d Database) line() string {
	certificates, hashes := 0, 0
	var names []string
	for s := range d.All() {
		if s.Type != typeX509 {
			hashes++
			continue
		}
		if certificates++; len(names) < 8 {
			names = append(names, s.short())
		}
	}
	var parts []string
	if certificates > 0 {
		more := ""
		if certificates > len(names) {
			more = "; …"
		}
		parts = append(parts, fmt.Sprintf("%s (%s%s)", plural(certificates, "certificate"), strings.Join(names, "; "), more))
	}
	if hashes > 0 {
		what := "hash"
		if hashes > 1 {
			what = "hashes"
		}
		parts = append(parts, fmt.Sprintf("%d %s", hashes, what))
	}
	if parts == nil {
		return "no signatures"
	}
	return strings.Join(parts, ", ")
}

func (d Database) members(o *object) {
	o.list("signatures", func(add func(func([]byte) []byte)) {
		for s := range d.All() {
			add(func(dst []byte) []byte { return appendObject(dst, s.fields) })
		}
	})
}
