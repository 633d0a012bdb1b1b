// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package term makes text from anywhere safe and fitting for a terminal.
package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns text in which nothing can move the cursor, change colours
// or reorder what is read. Text of graphic characters and blanks stays as it
// is. Any other is given in double quotes, with control characters, formatting
// characters and bytes that are not UTF-8 as escapes (\t, \x1b, \u202e) and
// quotes and backslashes escaped too; so is text that begins with a quote.
// Two different texts never look the same.
func Printable[T string | []byte](text T) string {
	if plain(text) {
		return string(text)
	}
	var b strings.Builder
	b.WriteByte('"')
	for s := string(text); len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\\' || r == '"':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\n':
			b.WriteString(`\n`)
		case graphic(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	b.WriteByte('"')
	return b.String()
}

// graphic reports whether a character shows as itself and moves nothing. Of
// blanks only the common one does.
func graphic(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) }

func plain[T string | []byte](text T) bool {
	if len(text) > 0 && text[0] == '"' {
		return false
	}
	for s := string(text); len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || !graphic(r) {
			return false
		}
		s = s[n:]
	}
	return true
}

// Width returns the columns that printable text takes.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// runeWidth approximates East Asian Width: wide scripts take two columns,
// combining marks none.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60,
		r >= 0xFFE0 && r <= 0xFFE6, r >= 0x1F300 && r <= 0x1FAFF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	}
	return 1
}

// Fit cuts printable text to at most so many columns, ending it in an ellipsis
// where it was cut.
func Fit(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeWidth(r); n > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}
