// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The rules of what a person or a script sees:
//
//   - The answer goes to standard output, everything else to standard error,
//     each line of it after "mrlog: ". Lower case, no final period.
//   - Besides progress there are "error:", "warning:" and "hint:".
//   - --json: one documented object on standard output (docs/json.md); an
//     error is one object on standard error, with the exit code in it.
//   - Progress and layout for a terminal only where there is one.
//   - What comes from a log is made printable first: it may hold anything.
//   - The exit code says what happened: the table exitCodes.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"mrlog.dev"
)

// The exit codes.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNo        = 3
	exitMalformed = 4
)

const exitCodes = `Exit status:
  0  done; verified
  1  could not be done: I/O, device
  2  wrong usage
  3  the evidence says no: mismatch, diverged
  4  malformed input`

// env is the world of one run.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	json bool // --json
}

// failure is an error with what a person needs besides its text.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// no is the evidence's refusal.
func no(format string, args ...any) error {
	return &failure{code: exitNo, err: fmt.Errorf(format, args...)}
}

// hinted adds a hint to an error and leaves its code.
func hinted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	code, _ := classify(err)
	return &failure{code: code, err: err, hint: fmt.Sprintf(format, args...)}
}

// classify gives an error its exit code and hint.
func classify(err error) (code int, hint string) {
	var (
		f      *failure
		syntax *mrlog.SyntaxError
		carry  *mrlog.CarryError
	)
	switch {
	case errors.As(err, &f):
		return f.code, f.hint
	case errors.As(err, &syntax), errors.As(err, &carry):
		return exitMalformed, ""
	}
	if code, ok := classifyRecording(err); ok {
		return code, ""
	}
	return exitFailed, ""
}

type errorOutput struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

// report prints an error the one way, and returns its exit code.
func (e *env) report(err error) int {
	if err == nil {
		return exitOK
	}
	code, hint := classify(err)
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	if e.json {
		line, _ := json.Marshal(errorOutput{text, hint, code})
		fmt.Fprintf(e.stderr, "%s\n", line)
		return code
	}
	e.say("error: %s", strings.ReplaceAll(text, "\n", "; ")) // joined errors
	if hint != "" {
		e.say("hint: %s", hint)
	}
	return code
}

func (e *env) warn(format string, args ...any) { e.say("warning: "+format, args...) }

// say prints one line to standard error, whatever is in it: file names and
// what stands in logs may hold anything.
func (e *env) say(format string, args ...any) {
	fmt.Fprintf(e.stderr, "mrlog: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// oneLine gives text as a line that can move no cursor.
func oneLine(text string) string {
	if strings.IndexFunc(text, hidden) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch _, n := utf8.DecodeRuneInString(text[i:]); {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports whether a character shows as anything but itself.
func hidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// count gives "1 record", "2 records".
func count[N int | int64 | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printJSON prints a value as the answer of a verb.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// columns returns the width of the terminal behind w, or 0 if there is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		return 80
	}
	return width
}
