// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readme is what a new user types from.
const readme = "../../README.md"

// block is a fenced block of the README that is to be run.
type block struct {
	line    int // of its fence
	compare bool
	lines   []string
}

// readmeBlocks returns the blocks after a comment <!-- run --> or
// <!-- run: compare -->.
func readmeBlocks(t *testing.T, text string) []block {
	var blocks []block
	mark, in := "", -1
	for i, line := range strings.Split(text, "\n") {
		switch {
		case in >= 0 && line == "```":
			in = -1
		case in >= 0:
			blocks[in].lines = append(blocks[in].lines, line)
		case line == "<!-- run -->" || line == "<!-- run: compare -->":
			mark = line
		case strings.HasPrefix(line, "<!-- run"):
			t.Errorf("README.md:%d: want <!-- run --> or <!-- run: compare -->, not %s", i+1, line)
		case mark != "" && (line == "```console" || line == "```sh"):
			in = len(blocks)
			blocks = append(blocks, block{line: i + 1, compare: mark == "<!-- run: compare -->"})
			mark = ""
		case mark != "" && line != "":
			t.Errorf("README.md:%d: after %s comes no block of console or sh", i+1, mark)
			mark = ""
		}
	}
	return blocks
}

// step is a command of a block and the output shown after it.
type step struct {
	line    int
	command string
	output  []string
}

// steps takes a block apart: "$ " begins a command, a backslash at the end of
// its line goes on with it, the lines up to the next are its output. A block
// without "$ " is one command.
func (b block) steps() []step {
	var steps []step
	more := false
	for i, line := range b.lines {
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case ok:
			steps = append(steps, step{line: b.line + 1 + i, command: command})
			more = strings.HasSuffix(command, `\`)
		case more:
			last := &steps[len(steps)-1]
			last.command += "\n" + strings.TrimPrefix(line, "> ")
			more = strings.HasSuffix(line, `\`)
		case len(steps) > 0:
			last := &steps[len(steps)-1]
			last.output = append(last.output, line)
		}
	}
	if steps == nil {
		return []step{{line: b.line + 1, command: strings.Join(b.lines, "\n")}}
	}
	return steps
}

// The README's commands do what it shows. The blocks of the page are run in
// order, each in a folder of its own, with the program as mrlog in PATH.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Skip("there is no README.md yet: ", err)
	}
	blocks := readmeBlocks(t, string(text))
	if len(blocks) == 0 {
		t.Skip("README.md marks no block with <!-- run -->")
	}
	for _, b := range blocks {
		dir := t.TempDir()
		steps := b.steps()
		// One shell for the block, so that variables last; what each command
		// prints goes to a file of its own.
		var script strings.Builder
		outs := t.TempDir()
		for i, s := range steps {
			script.WriteString("exec >" + filepath.Join(outs, string(rune('a'+i/26))+string(rune('a'+i%26))) + " 2>&1\n" + s.command + "\n")
		}
		cmd := exec.Command("sh", "-e")
		cmd.Stdin = strings.NewReader("") // scripts are files: a command may read
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd.Args = append(cmd.Args, path)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MRLOG_STATE=", "MRLOG_DEVICE=", "MRLOG_REGISTER=")
		failed := cmd.Run()
		for i, s := range steps {
			data, err := os.ReadFile(filepath.Join(outs, string(rune('a'+i/26))+string(rune('a'+i%26))))
			if err != nil {
				t.Errorf("README.md:%d: %v; not run: %s", b.line, failed, s.command)
				break
			}
			got := strings.TrimRight(string(data), "\n")
			if b.compare {
				if diff := compareShown(s.output, got); diff != "" {
					t.Errorf("README.md:%d: $ %s\n%s", s.line, s.command, diff)
				}
			}
			if failed != nil && i == len(steps)-1 {
				t.Errorf("README.md:%d: %v: %s\n%s", b.line, failed, s.command, got)
			}
		}
	}
}

// compareShown compares the output of a command with what is shown of it: a
// line … stands for any lines, an … within one for any text.
func compareShown(shown []string, got string) string {
	var pattern strings.Builder
	text := strings.TrimRight(strings.Join(shown, "\n"), "\n")
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			pattern.WriteString(`\n`)
		}
		if line == "…" {
			pattern.WriteString(`(?s:.*)`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	if regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(got) {
		return ""
	}
	return "shown:\n" + text + "\nprinted:\n" + got
}

func TestCompareShown(t *testing.T) {
	for _, test := range []struct {
		shown, got string
		same       bool
	}{
		{"", "", true},
		{"a", "a", true},
		{"a\n", "a", true},
		{"a", "b", false},
		{"a", "", false},
		{"", "a", false},
		{"a\n…\nb", "a\nx\ny\nb", true},
		{"a\n…\nb", "a\nx\ny", false},
		{"boot …", "boot 1234", true},
		{"boot …", "boot 1\nb", false},
		{"a.c", "abc", false},
	} {
		if got := compareShown(strings.Split(test.shown, "\n"), test.got) == ""; got != test.same {
			t.Errorf("%q and %q: %v", test.shown, test.got, got)
		}
	}
}
