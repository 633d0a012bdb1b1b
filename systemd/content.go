// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"mrlog.dev/internal/strict"
)

// MaxString is how much of the measured bytes systemd-pcrextend shows.
const MaxString = 1024

const (
	cutMark   = "..."
	volumeKey = "volume-key" // its digest is keyed
)

// Content is what a record of systemd says. All of it is a claim.
type Content struct {
	NVIndexName  string
	String       string // escaped, and perhaps cut
	HasString    bool
	BootID       string
	Timestamp    uint64 // microseconds since boot
	EventType    string
	MappedPCR    uint32 // in the log of CC registers
	HasMappedPCR bool
	Unknown      bool // it has other members, too
}

// Parse reads the content of a record, in JSON.
func Parse(content []byte) (Content, error) {
	var (
		c Content
		o strict.Object
	)
	if _, err := strict.Check(content); err != nil {
		return c, err
	}
	if !o.Reset(content) {
		return c, errors.New("content is not an object")
	}
	for {
		name, value, _, ok := o.Next()
		if !ok {
			return c, nil
		}
		var (
			text []byte
			n    uint64
			err  error
		)
		switch string(name) {
		case "nvIndexName", "string", "bootId", "eventType":
			if text, ok = strict.AppendText(nil, value); !ok {
				err = fmt.Errorf("%.40q is not a string", value)
			}
		case "timestamp":
			c.Timestamp, err = strict.Uint(value, math.MaxUint64)
		case "mapped_pcr":
			n, err = strict.Uint(value, math.MaxUint32)
			c.MappedPCR, c.HasMappedPCR = uint32(n), true
		default:
			c.Unknown = true
		}
		if err != nil {
			return Content{}, fmt.Errorf("%s: %w", name, err)
		}
		switch string(name) {
		case "nvIndexName":
			c.NVIndexName = string(text)
		case "string":
			c.String, c.HasString = string(text), true
		case "bootId":
			c.BootID = string(text)
		case "eventType":
			c.EventType = string(text)
		}
	}
}

// Measured returns the bytes whose hash is the digest of the record with this
// content, and false if the content does not tell them. The content is the JSON
// object; where a canonical event log has the measured bytes themselves, there
// is nothing to take back.
func Measured(content []byte) (text []byte, ok bool) {
	c, err := Parse(content)
	if err != nil {
		return nil, false
	}
	return c.Measured()
}

// Measured is [Measured] for a content that has been read.
func (c *Content) Measured() (text []byte, ok bool) {
	if !c.HasString || c.EventType == volumeKey {
		return nil, false
	}
	text, ok = unescape([]byte(c.String))
	if !ok {
		// It was not escaped: not all of systemd does.
		return []byte(c.String), true
	}
	if len(text) == MaxString+len(cutMark) && bytes.HasSuffix(text, []byte(cutMark)) {
		return nil, false
	}
	return text, true
}

// short are the bytes that have an escape of one letter.
const (
	short        = "\a\b\f\n\r\t\v\\\"'"
	shortLetters = "abfnrtv\\\"'"
)

// unescape undoes cescape, the escaping of systemd. It returns false for text
// that cescape would not have written: then the bytes are not known for sure.
func unescape(s []byte) (text []byte, ok bool) {
	text = make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c < ' ' || c >= 0x7F || c == '"' || c == '\'':
			return nil, false
		case c != '\\':
			text = append(text, c)
			continue
		case i+1 == len(s):
			return nil, false
		}
		i++
		if n := bytes.IndexByte([]byte(shortLetters), s[i]); n >= 0 {
			text = append(text, short[n])
			continue
		}
		if len(s)-i < 3 {
			return nil, false
		}
		n := 0
		for _, d := range s[i : i+3] {
			if d < '0' || d > '7' {
				return nil, false
			}
			n = 8*n + int(d-'0')
		}
		if n > 0xFF || n >= ' ' && n < 0x7F || bytes.IndexByte([]byte(short), byte(n)) >= 0 {
			return nil, false
		}
		text = append(text, byte(n))
		i += 2
	}
	return text, true
}

// Is reports whether a log that begins so is one that systemd keeps: a JSON text
// sequence whose first record is of its type, as far as can be seen.
func Is(start []byte) bool {
	if len(start) == 0 || start[0] != 0x1E {
		return false
	}
	first, _, _ := bytes.Cut(start[1:], []byte{0x1E})
	return bytes.Contains(first, []byte(`"content_type":"systemd"`))
}
