// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import "bytes"

// Kind says what the bytes of a field are.
type Kind uint8

// The kinds.
const (
	KindDigest    Kind = iota // digest, with the name of its algorithm in all fields but d
	KindName                  // path, or what was measured: text and a NUL
	KindSignature             // signature with its header
	KindBytes                 // anything
	KindNumber                // unsigned integer in the byte order of the list
	KindList                  // names with bars between, and a NUL
	KindLengths               // unsigned integers of 32 bits
)

// shape is what the kernel knows of a field (Linux, ima_template.c,
// supported_fields).
type shape struct {
	id    string
	kind  Kind
	width int  // of a number
	plain bool // a digest without the name of its algorithm
}

var shapes = [...]shape{
	{id: "d", kind: KindDigest, plain: true},
	{id: "n", kind: KindName},
	{id: "d-ng", kind: KindDigest},
	{id: "d-ngv2", kind: KindDigest},
	{id: "n-ng", kind: KindName},
	{id: "sig", kind: KindSignature},
	{id: "buf", kind: KindBytes},
	{id: "d-modsig", kind: KindDigest},
	{id: "modsig", kind: KindBytes},
	{id: "evmsig", kind: KindSignature},
	{id: "iuid", kind: KindNumber, width: 4},
	{id: "igid", kind: KindNumber, width: 4},
	{id: "imode", kind: KindNumber, width: 2},
	{id: "xattrnames", kind: KindList},
	{id: "xattrlengths", kind: KindLengths},
	{id: "xattrvalues", kind: KindBytes},
}

// builtin are the templates that have a name of their own (Linux,
// ima_template.c, builtin_templates). Any other name is a format string.
var builtin = [...]struct{ name, format string }{
	{"ima", "d|n"},
	{"ima-ng", "d-ng|n-ng"},
	{"ima-sig", "d-ng|n-ng|sig"},
	{"ima-ngv2", "d-ngv2|n-ng"},
	{"ima-sigv2", "d-ngv2|n-ng|sig"},
	{"ima-buf", "d-ng|n-ng|buf"},
	{"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
	{"evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
}

// template is the name of a template with its fields.
type template struct {
	name   string
	old    bool    // template ima, whose data has no lengths
	fields []shape // nil if the name is not known
}

// parseTemplate looks a template's name up.
func parseTemplate(name []byte) template {
	t := template{name: string(name)}
	format := t.name
	for _, b := range builtin {
		if b.name == t.name {
			format = b.format
			t.old = b.name == "ima"
			break
		}
	}
	t.fields = parseFormat([]byte(format))
	return t
}

// parseFormat returns the fields of a format string, or nil.
func parseFormat(format []byte) []shape {
	if bytes.Count(format, []byte{'|'}) >= maxFields {
		return nil
	}
	var fields []shape
next:
	for id := range bytes.SplitSeq(format, []byte{'|'}) {
		for _, s := range shapes {
			if s.id == string(id) {
				fields = append(fields, s)
				continue next
			}
		}
		return nil
	}
	return fields
}

// checkName returns why a name cannot be that of a template, or "". Names come
// from the kernel's command line.
func checkName(name []byte) string {
	if len(name) == 0 {
		return "template has no name"
	}
	if len(name) > MaxName {
		return "template name is too long"
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return "template name is not of printable characters"
		}
	}
	return ""
}

// split cuts template data into n fields, with their lengths in a byte order.
// It reports whether they are there and nothing else.
func split(dst [][]byte, data []byte, n int, big bool) ([][]byte, bool) {
	for range n {
		if len(data) < 4 {
			return dst, false
		}
		size := load32(data, big)
		data = data[4:]
		if uint64(size) > uint64(len(data)) {
			return dst, false
		}
		dst = append(dst, data[:size:size])
		data = data[size:]
	}
	return dst, len(data) == 0
}

// splitAny is split in the byte order in which it works out, little-endian
// first, and tells which.
func splitAny(dst [][]byte, data []byte, n int) (_ [][]byte, big, ok bool) {
	at := len(dst)
	for _, big := range [...]bool{false, true} {
		if dst, ok = split(dst[:at], data, n, big); ok {
			return dst, big, true
		}
	}
	return dst[:at], false, false
}
