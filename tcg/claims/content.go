// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxDepth is how deep the JSON that trustee reads may be nested (serde_json's
// limit of 128, less one).
const maxDepth = 127

// parse is the content of an AAEL event: the JSON value if it is one that
// trustee's parser takes, else the text itself.
func parse(content string) any {
	text := []byte(content)
	if !parses(text) || !json.Valid(text) {
		return content
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return content
	}
	v, ok := numbers(v)
	if !ok {
		return content
	}
	return v
}

// parses looks for what the two parsers take differently: depth, and halves of
// surrogate pairs.
func parses(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
			if i == len(text) || text[i] != 'u' {
				continue
			}
			r, ok := escape(text[i-1:])
			if !ok {
				return false
			}
			i += 4
			if !utf16.IsSurrogate(r) {
				continue
			}
			low, ok := escape(text[i+1:])
			if !ok || utf16.DecodeRune(r, low) == '\uFFFD' {
				return false
			}
			i += 6
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return false
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return true
}

// escape reads \uXXXX.
func escape(p []byte) (rune, bool) {
	if len(p) < 6 || p[0] != '\\' || p[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p[2:6]), 16, 16)
	return rune(n), err == nil
}

// numbers makes of each number what trustee makes of it: 64-bit integers stay,
// others are floating point. One that is too large for that is no JSON to it.
func numbers(v any) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		s := string(v)
		if !strings.ContainsAny(s, ".eE") && s != "-0" {
			if _, err := strconv.ParseInt(s, 10, 64); err == nil {
				return v, true
			}
			if _, err := strconv.ParseUint(s, 10, 64); err == nil {
				return v, true
			}
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	case []any:
		for i := range v {
			var ok bool
			if v[i], ok = numbers(v[i]); !ok {
				return nil, false
			}
		}
	case map[string]any:
		for name := range v {
			n, ok := numbers(v[name])
			if !ok {
				return nil, false
			}
			v[name] = n
		}
	}
	return v, true
}
