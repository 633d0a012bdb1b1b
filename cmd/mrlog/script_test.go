// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// update rewrites the golden files inside the scripts: go test -update.
var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// maxPeak is the most memory that any run of the program may take, in KiB,
// whatever it is given to read. (The race detector multiplies memory, so it is
// not held there.)
const maxPeak = 64 << 10

// TestMain makes this binary the program, too: copied under the name mrlog
// into a folder of PATH it is the real main, in a process of its own.
func TestMain(m *testing.M) {
	if raceEnabled && os.Getenv("GORACE") == "" {
		// Or each of the many processes sleeps for a second at its end.
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(m, map[string]func(){"mrlog": mrlogBelow, "peak": peak})
}

// rootVariable names the folder that stands for / in tests: what the machine
// that runs them has must not count.
const rootVariable = "MRLOG_TEST_ROOT"

// mrlogBelow is main, on a machine whose files are below another folder.
func mrlogBelow() { os.Exit(program(cmp.Or(os.Getenv(rootVariable), "/"))) }

// peak runs a command and fails if it took more memory than maxPeak. It stands
// between the tests and the command because the kernel counts a process's peak
// from its parent's: this one is small.
func peak() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "peak:", err)
		os.Exit(125)
	}
	if kib := maxRSS(cmd.ProcessState); kib > maxPeak && !raceEnabled {
		fmt.Fprintf(os.Stderr, "peak: %d KiB, the limit is %d\n", kib, maxPeak)
		os.Exit(124)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// TestScript runs testdata/script: what a person sees of every verb, flag,
// exit code and error.
//
// These messages no script reaches, for the reason given:
//
//   - "event of N bytes is longer than a line may be": an argument cannot be
//     so long, and from standard input such a line is not read to its end.
//   - "extend works on Linux only" and its like: other systems.
//   - "log is locked": needs ten seconds of waiting; package keeper tests it.
//   - "outcome unknown", "refused", "keeper is closed", a short write, a log
//     on a network file system, of another owner or at its limit of size,
//     a boot id that is not one: faults of disk, device and kernel, which
//     package keeper injects.
//   - "last record is undecided" and exit 3 of log new: they take a register that
//     cannot be read, see TestUnreadableRegister, or one that is extended while
//     the log begins.
//   - "more than N banks in one log", records of 2^53: package mrlog.
//   - "no part of the log could be …" for a failed close or rename of -o:
//     needs a failing disk; the scripts have the folder that is not there.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		ContinueOnError:    true,
		Setup: func(e *testscript.Env) error {
			// What the person who runs the tests has set must not count.
			e.Setenv("MRLOG_STATE", "")
			e.Setenv("MRLOG_DEVICE", "")
			e.Setenv("MRLOG_REGISTER", "")
			e.Setenv(rootVariable, filepath.Join(e.WorkDir, "machine"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "race":
				return raceEnabled, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    cmdExits,
			"corrupt":  cmdCorrupt,
			"jsoneq":   cmdJSONEq,
			"measured": cmdMeasured,
			"hex":      cmdHex,
			"unhex":    cmdUnhex,
			"repeat":   cmdRepeat,
			"truncate": cmdTruncate,
			"files":    cmdFiles,
			"odd":      cmdOdd,
		},
	})
}

// cmdExits: exits CODE PROGRAM ARG… runs the program, within maxPeak, and
// compares its exit code. Standard input, output and error are as for exec.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec("peak", args[1:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	// Whatever happens, nobody is shown the inside of the program.
	stderr := ts.ReadFile("stderr")
	for _, bad := range []string{"panic:", "goroutine ", "%!", "WARNING: DATA RACE"} {
		if strings.Contains(stderr, bad) {
			ts.Fatalf("standard error has %q", bad)
		}
	}
	for line := range strings.Lines(stderr) {
		if args[1] == "mrlog" && !strings.HasPrefix(line, "mrlog: ") && !strings.HasPrefix(line, `{"error":`) {
			ts.Fatalf("a line of standard error does not begin with the program's name: %q", line)
		}
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// cmdCorrupt: corrupt FILE OFFSET BYTE sets a byte; an offset below 0 counts
// from the end.
func cmdCorrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: corrupt FILE OFFSET BYTE")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	b, err := strconv.ParseUint(args[2], 0, 8)
	ts.Check(err)
	if at < 0 || at >= len(data) {
		ts.Fatalf("offset %d is outside the %d bytes of %s", at, len(data), args[0])
	}
	data[at] = byte(b)
	writeInPlace(ts, path, data)
}

// writeInPlace keeps the file's inode and mode: a log is known by them.
func writeInPlace(ts *testscript.TestScript, path string, data []byte) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	ts.Check(err)
	_, err = f.Write(data)
	ts.Check(errors.Join(err, f.Close()))
}

// cmdJSONEq: jsoneq A B compares two files as JSON values.
func cmdJSONEq(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: jsoneq A B")
	}
	var values [2]any
	for i, name := range args {
		d := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			ts.Fatalf("%s: %v", name, err)
		}
		if d.More() {
			ts.Fatalf("%s: more than one JSON value", name)
		}
	}
	diff := gocmp.Diff(values[0], values[1])
	switch {
	case neg && diff == "":
		ts.Fatalf("%s and %s are the same JSON value", args[0], args[1])
	case !neg && diff != "":
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], diff)
	}
}

// cmdMeasured: measured LOG prints the lines of a native log that are
// measured, by a rule of its own: not empty, no # first.
func cmdMeasured(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: measured LOG")
	}
	text, out := ts.ReadFile(args[0]), ts.Stdout()
	for line := range strings.SplitAfterSeq(text, "\n") {
		if line != "" && line != "\n" && line[0] != '#' {
			fmt.Fprint(out, line)
		}
	}
}

// cmdHex: hex FILE prints the bytes of a file, 16 a line.
func cmdHex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hex FILE")
	}
	data, out := ts.ReadFile(args[0]), ts.Stdout()
	for chunk := range slices.Chunk([]byte(data), 16) {
		fmt.Fprintf(out, "% x\n", chunk)
	}
}

// cmdUnhex: unhex FROM TO writes the bytes that a text gives in hexadecimal.
// Blanks and what follows a # do not count.
func cmdUnhex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unhex FROM TO")
	}
	var digits strings.Builder
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	data, err := hex.DecodeString(digits.String())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

// cmdRepeat: repeat FILE N TEXT appends a text so many times to a file; in the
// text, \n and \xNN are what they are in Go.
func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat FILE N TEXT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[2], `"`, `\"`) + `"`)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	ts.Check(err)
	// In blocks: a test must not need the memory that it forbids.
	block := bytes.Repeat([]byte(text), min(n, 1+(64<<10)/max(1, len(text))))
	for n > 0 && len(text) > 0 {
		part := block[:min(n*len(text), len(block))]
		_, err = f.Write(part)
		ts.Check(err)
		n -= len(part) / len(text)
	}
	ts.Check(f.Close())
}

// cmdTruncate: truncate FILE SIZE cuts a file; a size below 0 takes so many
// bytes from its end.
func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	path := ts.MkAbs(args[0])
	if size < 0 {
		info, err := os.Stat(path)
		ts.Check(err)
		size += info.Size()
	}
	ts.Check(os.Truncate(path, size))
}

// cmdFiles: files FOLDER prints the names in a folder, hidden ones too.
func cmdFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: files FOLDER")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	out := ts.Stdout()
	for _, e := range entries {
		fmt.Fprintln(out, e.Name())
	}
}

// cmdOdd: odd exits … is exits, where \n and \xNN in an argument are what they
// are in Go.
func cmdOdd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || args[0] != "exits" {
		ts.Fatalf("usage: odd exits CODE PROGRAM ARG…")
	}
	for i, a := range args {
		text, err := strconv.Unquote(`"` + a + `"`)
		ts.Check(err)
		args[i] = text
	}
	cmdExits(ts, neg, args[1:])
}

// TestScriptsCoverVerbs holds the scripts to the program: each verb and each
// flag of each verb is used by some script.
func TestScriptsCoverVerbs(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	var all strings.Builder
	for _, path := range scripts {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	lines := strings.Split(all.String(), "\n")
	uses := func(words ...string) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			for _, w := range words {
				if !slices.ContainsFunc(strings.Fields(line), func(f string) bool {
					f = strings.Trim(f, "'")
					return f == w || strings.HasPrefix(f, w+"=")
				}) {
					return false
				}
			}
			return true
		})
	}
	root := newRoot(&env{getenv: func(string) string { return "" }})
	var verbs func(parent *cobra.Command)
	verbs = func(parent *cobra.Command) {
		for _, verb := range parent.Commands() {
			if verb.Hidden {
				continue
			}
			verbs(verb)
			path := strings.Fields(verb.CommandPath())
			if !uses(path...) {
				t.Errorf("no script runs %s", verb.CommandPath())
			}
			verb.Flags().VisitAll(func(f *pflag.Flag) {
				long, short := append(path, "--"+f.Name), append(path, "-"+f.Shorthand)
				if !uses(long...) && (f.Shorthand == "" || !uses(short...)) {
					t.Errorf("no script runs %s with --%s", verb.CommandPath(), f.Name)
				}
			})
		}
	}
	verbs(root)
	for _, code := range []string{"0", "1", "2", "3", "4"} {
		if !uses("exits", code, "mrlog") {
			t.Errorf("no script expects exit code %s", code)
		}
	}
	if runtime.GOOS != "linux" {
		t.Log("verbs that record were not run")
	}
}
