// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Certificates are read only for their names: whether they are good is not
// asked here, and a package that could tell is too much to trust with a
// hostile log.

// Tags of DER values (X.690, section 8).
const (
	derInteger   = 0x02
	derOID       = 0x06
	derUTF8      = 0x0C
	derPrintable = 0x13
	derT61       = 0x14
	derIA5       = 0x16
	derUniversal = 0x1C
	derBMP       = 0x1E
	derSequence  = 0x30
	derSet       = 0x31
	derVersion   = 0xA0 // [0] EXPLICIT, of a certificate
)

// cutDER takes the first value off p; all is the value with its header.
func cutDER(p []byte) (tag byte, value, all, rest []byte, ok bool) {
	if len(p) < 2 {
		return 0, nil, nil, nil, false
	}
	tag = p[0]
	n, at := uint64(p[1]), uint64(2)
	if n >= 0x80 {
		size := n - 0x80
		if size == 0 || size > 4 || uint64(len(p)) < 2+size {
			return 0, nil, nil, nil, false
		}
		n = 0
		for _, c := range p[2 : 2+size] {
			n = n<<8 | uint64(c)
		}
		at += size
	}
	if n > uint64(len(p))-at {
		return 0, nil, nil, nil, false
	}
	return tag, p[at : at+n], p[:at+n], p[at+n:], true
}

// certificateLen returns the length of the certificate that p begins with.
func certificateLen(p []byte) (int, bool) {
	tag, value, all, _, ok := cutDER(p)
	if !ok || tag != derSequence {
		return 0, false
	}
	tag, _, _, _, ok = cutDER(value)
	return len(all), ok && tag == derSequence
}

type certificateName struct {
	subject, issuer name
	serial          []byte
}

// certificateNames reads subject, issuer and serial number of an X.509
// certificate (RFC 5280, section 4.1).
func certificateNames(p []byte) (c certificateName, ok bool) {
	tag, p, _, _, ok := cutDER(p)
	if !ok || tag != derSequence {
		return c, false
	}
	if tag, p, _, _, ok = cutDER(p); !ok || tag != derSequence {
		return c, false
	}
	next := func(want byte) []byte {
		var value []byte
		t, v, _, rest, good := cutDER(p)
		if ok = ok && good && t == want; ok {
			value, p = v, rest
		}
		return value
	}
	if t, _, _, rest, good := cutDER(p); good && t == derVersion {
		p = rest
	}
	c.serial = next(derInteger)
	next(derSequence) // algorithm
	c.issuer = name(next(derSequence))
	next(derSequence) // validity
	c.subject = name(next(derSequence))
	return c, ok
}

// name is the value of an X.501 name.
type name []byte

// attribute is one part of a name.
type attribute struct{ kind, value string }

// attributeNames are the short names of attribute types (RFC 4514, section 3,
// and others that certificates hold) by their DER.
var attributeNames = map[string]string{
	"550403": "CN", "550405": "serialNumber", "550406": "C", "550407": "L", "550408": "ST",
	"550409": "street", "55040a": "O", "55040b": "OU", "2a864886f70d010901": "emailAddress",
	"0992268993f22c640119": "DC", "0992268993f22c640101": "UID",
}

// attributes returns the parts in the encoded order; of a damaged name those
// before the damage.
func (n name) attributes() []attribute {
	var out []attribute
	for len(n) > 0 {
		tag, set, _, rest, ok := cutDER(n)
		if !ok || tag != derSet {
			break
		}
		n = name(rest)
		for len(set) > 0 {
			var pair []byte
			if tag, pair, _, set, ok = cutDER(set); !ok || tag != derSequence {
				return out
			}
			tag, oid, _, value, ok := cutDER(pair)
			if !ok || tag != derOID {
				return out
			}
			digits := hex.EncodeToString(oid)
			kind := attributeNames[digits]
			if kind == "" {
				kind = "oid-" + digits
			}
			tag, text, all, _, ok := cutDER(value)
			if !ok {
				return out
			}
			out = append(out, attribute{kind, nameText(tag, text, all)})
		}
	}
	return out
}

func nameText(tag byte, text, all []byte) string {
	switch tag {
	case derUTF8, derPrintable, derIA5:
		return strings.ToValidUTF8(string(text), "\uFFFD")
	case derT61: // Latin-1 in practice
		var b strings.Builder
		for _, c := range text {
			b.WriteRune(rune(c))
		}
		return b.String()
	case derBMP:
		swapped := make([]byte, len(text)&^1)
		for i := 0; i+1 < len(text); i += 2 {
			swapped[i], swapped[i+1] = text[i+1], text[i]
		}
		return fromUTF16(swapped)
	case derUniversal:
		var b strings.Builder
		for i := 0; i+3 < len(text); i += 4 {
			b.WriteRune(rune(text[i+1])<<16 | rune(text[i+2])<<8 | rune(text[i+3]))
		}
		return b.String()
	}
	return "#" + hex.EncodeToString(all)
}

// String writes the name as RFC 4514 does, the last part first.
func (n name) String() string {
	parts := n.attributes()
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(parts[i].kind)
		b.WriteByte('=')
		v := parts[i].value
		for j, r := range v {
			if strings.ContainsRune(`,+"\<>;`, r) || r == ' ' && (j == 0 || j == len(v)-1) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// short is the name's most telling part.
func (n name) short() string {
	parts := n.attributes()
	for _, want := range []string{"CN", "OU", "O", "emailAddress"} {
		for i := len(parts) - 1; i >= 0; i-- {
			if parts[i].kind == want {
				return want + "=" + parts[i].value
			}
		}
	}
	if s := n.String(); s != "" {
		return s
	}
	return fmt.Sprintf("name of %d bytes", len(n))
}
