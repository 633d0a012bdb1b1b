// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package term makes text from anywhere safe and fitting for a terminal.
package term

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns text as a line in which nothing can move the cursor, change
// colours or reorder what is read: control characters, formatting and invisible
// characters and bytes that are not UTF-8 become escapes such as \t, \x1b or
// \u202e. It is for messages; a text that holds such an escape itself looks the
// same.
func Line[T string | []byte](text T) string {
	if plain(text) {
		return string(text)
	}
	return string(appendEscaped(nil, string(text), false))
}

// Printable is Line for what must be told apart: text with anything to escape
// is given in double quotes, with quotes and backslashes escaped too, and so is
// text that begins with a quote. Characters that merely resemble others stay.
func Printable[T string | []byte](text T) string {
	if plain(text) && (len(text) == 0 || text[0] != '"') {
		return string(text)
	}
	return string(append(appendEscaped([]byte{'"'}, string(text), true), '"'))
}

// JSON appends JSON text, which must be valid, with every character in its
// strings that Line would escape as \u followed by four digits.
func JSON(dst, text []byte) []byte {
	dst = slices.Grow(dst, len(text))
	for len(text) > 0 {
		// Nearly all of it is ASCII.
		run := 0
		for run < len(text) && text[run] < 0x7F {
			run++
		}
		if dst, text = append(dst, text[:run]...), text[run:]; len(text) == 0 {
			break
		}
		r, n := utf8.DecodeRune(text)
		switch {
		case graphic(r):
			dst = append(dst, text[:n]...)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, hi, lo)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		text = text[n:]
	}
	return dst
}

// appendEscaped appends text with escapes; of a quoted text also quotes and
// backslashes.
func appendEscaped(dst []byte, s string, quoted bool) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[0])
		case quoted && (r == '\\' || r == '"'):
			dst = append(dst, '\\', byte(r))
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case graphic(r):
			dst = append(dst, s[:n]...)
		case r < 0x80:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r > 0xFFFF:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		s = s[n:]
	}
	return dst
}

// graphic reports whether a character shows as something and moves nothing. Of
// blanks only the common one does.
func graphic(r rune) bool {
	switch {
	case r < 0x7F:
		return r >= ' '
	case r == '\u2800': // braille without a dot
		return false
	}
	return unicode.IsGraphic(r) && !unicode.In(r, unicode.Zs, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func plain[T string | []byte](text T) bool {
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
