// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The rules of what a person or a script sees:
//
//   - The answer goes to standard output, everything else to standard error,
//     each line of it after "mrlog: ". Lower case, no final period.
//   - Besides progress there are "error:", "warning:", "note:" and "hint:".
//   - --json: one documented object on standard output (docs/json.md); an
//     error is one object on standard error, with the exit code in it.
//   - Progress and layout for a terminal only where there is one.
//   - What comes from a log is made printable first: it may hold anything.
//   - The exit code says what happened: the table exitCodes.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"mrlog.dev"
	"mrlog.dev/internal/term"
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

	// root is where the machine's files are looked for: /, but in tests.
	root string

	json  bool           // --json
	atEnd []func() error // what is closed after the verb
}

// end closes what the verb has opened.
func (e *env) end() {
	for _, closeIt := range e.atEnd {
		_ = closeIt() // what it did was acknowledged, or not, before
	}
	e.atEnd = nil
}

// failure is an error with what a person needs besides its text.
type failure struct {
	code     int
	err      error
	findings []findingOutput // that led to it
	hint     string
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
	Error    string          `json:"error"`
	Findings []findingOutput `json:"findings,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Exit     int             `json:"exit"`
}

// findingOutput is what the search for a device came upon, and why it is not
// used.
type findingOutput struct {
	Device string `json:"device"`
	What   string `json:"what"`
	Why    string `json:"why"`
	Remedy string `json:"remedy,omitempty"`
}

// String gives a finding as one line.
func (f findingOutput) String() string {
	line := f.Device + ": " + f.What + ": " + f.Why
	if f.Remedy != "" {
		line += "; " + f.Remedy
	}
	return line
}

// report prints an error the one way, and returns its exit code.
func (e *env) report(err error) int {
	if err == nil {
		return exitOK
	}
	code, hint := classify(err)
	message := err.Error()
	if errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	var findings []findingOutput
	if f, ok := errors.AsType[*failure](err); ok {
		findings = f.findings
	}
	if e.json {
		line, _ := appendJSON(nil, errorOutput{message, findings, hint, code})
		fmt.Fprintf(e.stderr, "%s\n", line)
		return code
	}
	e.say("error: %s", strings.ReplaceAll(message, "\n", "; ")) // joined errors
	for _, f := range findings {
		e.say("hint: %s", f)
	}
	if hint != "" {
		e.say("hint: %s", hint)
	}
	return code
}

func (e *env) warn(format string, args ...any) { e.say("warning: "+format, args...) }
func (e *env) note(format string, args ...any) { e.say("note: "+format, args...) }

// say prints one line to standard error, whatever is in it: file names and
// what stands in logs may hold anything.
func (e *env) say(format string, args ...any) {
	fmt.Fprintf(e.stderr, "mrlog: %s\n", term.Line(fmt.Sprintf(format, args...)))
}

// count gives "1 record", "2 records".
func count[N int | int64 | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printJSON prints a value as the answer of a verb.
func (e *env) printJSON(v any) error {
	line, err := appendJSON(nil, v)
	if err == nil {
		_, err = e.stdout.Write(append(line, '\n'))
	}
	return err
}

// appendJSON appends a value as JSON that is safe to print.
func appendJSON(dst []byte, v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	return term.JSON(dst, bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), nil
}

// minWidth is the narrowest table: the beginning of an event is still to be
// seen. What says that it is narrower is no terminal that a person looks at.
const minWidth = 40

// columns returns the width of the terminal behind w, or 0 if there is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !xterm.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := xterm.GetSize(int(f.Fd()))
	if err != nil || width < minWidth {
		return 80
	}
	return width
}
