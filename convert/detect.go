// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"mrlog.dev"
)

// DetectSize is how many bytes from the start of a log Detect wants to see.
const DetectSize = 4096

// ErrFormat says that the format of an input could not be told.
var ErrFormat = errors.New("format not recognised")

// Detect tells the format of a log from its first bytes, [DetectSize] of them
// or the whole of a shorter one. It looks at structure, never at a name; what
// it says is then parsed strictly. If nothing or more than one fits, the error
// wraps ErrFormat and names what would settle it.
func Detect(start []byte) (string, error) {
	if len(start) == 0 {
		return "", fmt.Errorf("%w: the input is empty, and an empty log has no format of its own", ErrFormat)
	}
	var fits []string
	for _, f := range []struct {
		name string
		test func([]byte) bool
	}{
		{CELSeq, isSeq},
		{CELTLV, isTLV},
		{CELCBOR, isCBOR},
		{CELJSON, isJSON},
		{NELR, isNative},
	} {
		if f.test(start) {
			fits = append(fits, f.name)
		}
	}
	switch len(fits) {
	case 0:
		if isLine(start) {
			return NELR, nil // without INIT: its reader says so, with the line
		}
		return "", fmt.Errorf("%w: it begins with %s", ErrFormat, preview(start))
	case 1:
		return fits[0], nil
	}
	return "", fmt.Errorf("%w: it could be %s", ErrFormat, strings.Join(fits, " or "))
}

func preview(start []byte) string {
	if n := min(len(start), 16); isText(start[:n]) {
		return fmt.Sprintf("%q", start[:n])
	}
	return fmt.Sprintf("bytes % x", start[:min(len(start), 16)])
}

func isSeq(p []byte) bool { return p[0] == 0x1E }

// isTLV: the recnum field, then an index field of one of its three types.
func isTLV(p []byte) bool {
	if p[0] != 0 || len(p) < 5 {
		return false
	}
	size := binary.BigEndian.Uint32(p[1:])
	if size < 1 || size > 8 {
		return false
	}
	if len(p) <= 5+int(size) {
		return true // cut short in its first record: for the reader to say
	}
	t := p[5+size]
	return t == 1 || t == 2 || t == 108
}

// isCBOR: a map of a record's size, alone or first in an array, whose first
// key is one of a record's.
func isCBOR(p []byte) bool {
	switch head := p[0]; {
	case head == 0x80 || head == 0x9F && len(p) > 1 && p[1] == 0xFF:
		return len(p) <= 2 // an array without records
	case head > 0x80 && head <= 0x97 || head == 0x9F:
		p = p[1:]
	case head >= 0x98 && head <= 0x9B:
		skip := 1 + 1<<(head-0x98)
		if len(p) <= skip {
			return true // cut short in its head
		}
		p = p[skip:]
	}
	if len(p) == 0 {
		return true
	}
	if (p[0] < 0xA3 || p[0] > 0xA6) && p[0] != 0xBF {
		return false
	}
	return len(p) == 1 || p[1] <= 0x0A || p[1] == 0x18 || p[1] == 0x65
}

// isJSON: the first byte that is not white space opens an array or an object.
func isJSON(p []byte) bool {
	t := bytes.TrimLeft(p, " \t\r\n")
	return len(t) > 0 && (t[0] == '[' || t[0] == '{')
}

// isNative: the first line that is not empty is a comment or INIT, perhaps cut
// short.
func isNative(p []byte) bool {
	t := bytes.TrimLeft(p, "\n")
	if len(t) == 0 || t[0] == '#' {
		return true
	}
	line, _, _ := bytes.Cut(t, []byte{'\n'})
	return mrlog.IsInit(line) || bytes.HasPrefix([]byte("INIT "), line)
}

// isLine: the first line that is not empty is at least text.
func isLine(p []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(p, "\n"), []byte{'\n'})
	return isText(line)
}

// isText reports whether p has no control characters but tab and carriage
// return. It need not be UTF-8.
func isText(p []byte) bool {
	return bytes.IndexFunc(p, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\r' }) < 0
}
