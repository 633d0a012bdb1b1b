// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

import (
	"bytes"
	"fmt"
	"strings"

	"mrlog.dev"
)

// The keys of hints that mrlog writes (specification, section 7).
const (
	HintRegister   = "register"   // which register the log is of: "rtmr3"
	HintBoot       = "boot"       // boot id of the kernel that the log was begun under
	HintCheckpoint = "checkpoint" // register value after so many records
	HintAudit      = "audit"      // who asked for the record that follows
)

const hintMark = "#: "

// Measured reports whether a line of a log, without its newline, is a record:
// whether it is hashed and extended.
func Measured(line []byte) bool { return len(line) > 0 && line[0] != '#' }

// AppendComment appends text as comment lines, each "# " and a line of text,
// ended by a newline. No comment made so can pose as a hint or a record. Text
// that could not be recorded (not UTF-8, control characters other than tab and
// newline, a line longer than [MaxLine]) is an error, dst then as it was.
func AppendComment(dst []byte, text string) ([]byte, error) {
	start := len(dst)
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if err := checkText("comment", line); err != nil {
			return dst[:start], err
		}
		if len(line)+2 > MaxLine {
			return dst[:start], fmt.Errorf("comment of %d bytes is longer than a line may be (%d): %w", len(line)+2, MaxLine, mrlog.ErrLimit)
		}
		dst = append(dst, "# "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return dst, nil
}

// AppendHint appends a hint line with its newline. The key is one word of
// printable ASCII, the value text that could stand in a record.
func AppendHint(dst []byte, key, value string) ([]byte, error) {
	if err := checkWord("hint key", key); err != nil {
		return dst, err
	}
	if err := checkText("hint value", value); err != nil {
		return dst, err
	}
	if value == "" {
		return dst, fmt.Errorf("hint %s has no value", key)
	}
	if size := len(hintMark) + len(key) + 1 + len(value); size > MaxLine {
		return dst, fmt.Errorf("hint of %d bytes is longer than a line may be (%d): %w", size, MaxLine, mrlog.ErrLimit)
	}
	dst = append(dst, hintMark...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = append(dst, value...)
	return append(dst, '\n'), nil
}

// ParseHint reads a line, without its newline, as a hint. A hint is a claim of
// whoever could write the log: never trust it. A line that begins like a hint
// and has no key or no value is a comment.
func ParseHint(line []byte) (key, value string, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(hintMark))
	if !ok {
		return "", "", false
	}
	k, v, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(k) == 0 || len(v) == 0 {
		return "", "", false
	}
	return string(k), string(v), true
}
