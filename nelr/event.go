// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"mrlog.dev"
)

// Event is what a caller submits for measurement (specification, section 3).
type Event struct {
	Domain    string // who defines the operation: "github.com/confidential-containers"
	Operation string // what happened: "ImageLoad"
	Content   string // with what; may be empty
}

// AppendLine appends the event's measured line, without a newline, or says
// which field cannot be recorded and why; dst is then returned as it was.
// Different events never give the same line.
func (e Event) AppendLine(dst []byte) ([]byte, error) {
	if err := checkWord("domain", e.Domain); err != nil {
		return dst, err
	}
	if e.Domain[0] == '#' {
		return dst, errors.New("domain begins with '#': the line would read as a comment")
	}
	if reserved(e.Domain) {
		return dst, fmt.Errorf("domain %.60q is reserved: a domain with an upper-case letter and no lower-case one belongs to log keepers and verifiers", e.Domain)
	}
	if err := checkWord("operation", e.Operation); err != nil {
		return dst, err
	}
	size := len(e.Domain) + 1 + len(e.Operation)
	if e.Content != "" {
		size += 1 + len(e.Content)
	}
	if size > MaxLine {
		return dst, fmt.Errorf("event of %d bytes is longer than a line may be (%d): %w", size, MaxLine, mrlog.ErrLimit)
	}
	if err := checkText("content", e.Content); err != nil {
		return dst, err
	}
	dst = append(dst, e.Domain...)
	dst = append(dst, ' ')
	dst = append(dst, e.Operation...)
	if e.Content != "" {
		dst = append(dst, ' ')
		dst = append(dst, e.Content...)
	}
	return dst, nil
}

// ParseEvent takes a measured line apart: the first blank ends the domain, the
// second the operation, the rest is content. It is strict: a line that
// [Event.AppendLine] would not have given is an error.
func ParseEvent(line []byte) (Event, error) {
	domain, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return Event{}, errors.New("event has no operation: want DOMAIN OPERATION [CONTENT]")
	}
	operation, content, more := bytes.Cut(rest, []byte{' '})
	if more && len(content) == 0 {
		return Event{}, errors.New("event ends in a blank: without content there is none after the operation")
	}
	e := Event{Domain: string(domain), Operation: string(operation), Content: string(content)}
	if _, err := e.AppendLine(nil); err != nil {
		return Event{}, err
	}
	return e, nil
}

// CheckFreeForm says whether a keeper may record line as it is, without the
// form of an event: it must not be empty, read as a comment, use a reserved
// first word (INIT above all), exceed [MaxLine], or hold anything but UTF-8
// text without control characters other than tab.
func CheckFreeForm(line []byte) error {
	if len(line) == 0 {
		return errors.New("line is empty: an empty line is not measured")
	}
	if line[0] == '#' {
		return errors.New("line begins with '#': it would read as a comment")
	}
	if len(line) > MaxLine {
		return fmt.Errorf("line of %d bytes is longer than %d: %w", len(line), MaxLine, mrlog.ErrLimit)
	}
	word, _, _ := bytes.Cut(line, []byte{' '})
	if reserved(string(word)) {
		return fmt.Errorf("line begins with %.60q: a first word with an upper-case letter and no lower-case one is reserved for log keepers and verifiers", word)
	}
	return checkText("line", string(line))
}

// reserved reports whether a domain is set aside for keepers and verifiers.
func reserved(domain string) bool {
	upper := false
	for i := range len(domain) {
		switch c := domain[i]; {
		case 'a' <= c && c <= 'z':
			return false
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	return upper
}

func checkWord(field, s string) error {
	if s == "" {
		return fmt.Errorf("%s is empty", field)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			return fmt.Errorf("%s holds a blank at byte %d: a blank ends the %s", field, i, field)
		case c < 0x21 || c > 0x7E:
			return fmt.Errorf("%s holds byte 0x%02x at byte %d: want printable ASCII without blanks", field, c, i)
		}
	}
	return nil
}

func checkText(field, s string) error {
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return fmt.Errorf("%s is not valid UTF-8 at byte %d (0x%02x)", field, i, s[i])
			}
		case r == '\n':
			return fmt.Errorf("%s holds a newline at byte %d: a record is one line", field, i)
		case r != '\t' && unicode.IsControl(r):
			return fmt.Errorf("%s holds control character U+%04X at byte %d: of those only tab may be recorded", field, r, i)
		}
	}
	return nil
}
