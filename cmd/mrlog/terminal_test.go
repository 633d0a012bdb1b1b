// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"mrlog.dev/convert"
)

// terminal is a pseudo terminal: what a program writes to its tty is in its
// screen.
type terminal struct {
	ctl, tty *os.File
	mu       sync.Mutex
	text     strings.Builder
	end      chan struct{}
}

func openTerminal(t *testing.T, columns int) *terminal {
	t.Helper()
	// O_NONBLOCK, so that a read ends when the file is closed.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)})
	}
	var tty *os.File
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		unix.Close(fd)
		t.Skipf("no pseudo terminals here: %v", err)
	}
	p := &terminal{ctl: os.NewFile(uintptr(fd), "ptmx"), tty: tty, end: make(chan struct{})}
	go func() {
		defer close(p.end)
		buf := make([]byte, 4096)
		for {
			n, err := p.ctl.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return // EIO when the last tty is closed
			}
		}
	}()
	t.Cleanup(func() { p.screen(); p.ctl.Close() })
	return p
}

// screen closes the tty and returns all that was written to it.
func (p *terminal) screen() string {
	p.tty.Close()
	<-p.end
	return strings.ReplaceAll(p.text.String(), "\r\n", "\n")
}

// hostileLog has in its events, and its name, what would do something to a
// terminal.
func hostileLog(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "log\x1b]0;title\a\x1b[2J")
	text := "INIT sha384/" + strings.Repeat("0", 96) + "\n" +
		"example.org/app Started \x1b[31mred\x1b[0m \x1b[2J\x1b[H\x1b]52;c;Z2V0\a\n" +
		"example.org/app C1 \xc2\x9b31m \x9b31m \b\b\b\x7f\r overwrites\n" +
		"example.org/app Bidi \u202e reversed \u2066 \u200b\n" +
		"example.org/app " + strings.Repeat("日本語 wide ", 40) + "\n" +
		"example.org/app " + strings.Repeat("long ", 400) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// harmless checks that text can move no cursor, change no colour and reorder
// nothing.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
			t.Errorf("%s: %U at byte %d: %q", what, r, i, text[max(0, i-40):min(len(text), i+40)])
			return
		}
	}
}

// columnsOf counts as wide what the East Asian Width of the test's own text
// makes wide.
func columnsOf(line string) int {
	n := 0
	for _, r := range line {
		n++
		if r >= 0x2E80 && r < 0xA000 {
			n++
		}
	}
	return n
}

// On a terminal show cuts its lines to the width, and nothing of the log gets
// through as it is; in colour or not.
func TestTerminalShow(t *testing.T) {
	path := hostileLog(t)
	for _, columns := range []int{50, 80, 131} {
		for _, noColor := range []string{"", "1"} {
			p := openTerminal(t, columns)
			cmd := exec.Command("mrlog", "show", path)
			cmd.Env = append(os.Environ(), "NO_COLOR="+noColor)
			cmd.Stdout, cmd.Stderr = p.tty, p.tty
			err := cmd.Run()
			screen := p.screen()
			if err != nil {
				t.Fatalf("%v\n%s", err, screen)
			}
			harmless(t, "show", screen)
			lines := strings.Split(screen, "\n")
			table, cut := 0, 0
			for _, line := range lines {
				if !strings.Contains(line, "  rtmr2  ") {
					continue
				}
				table++
				if n := columnsOf(line); n > columns {
					t.Errorf("%d columns, the terminal has %d: %s", n, columns, line)
				}
				if strings.HasSuffix(line, "…") {
					cut++
				}
			}
			if table != 6 || cut < 3 {
				t.Errorf("%d lines of records, %d of them cut:\n%s", table, cut, screen)
			}
		}
	}
}

// The other verbs, and errors, let nothing through either.
func TestTerminalHostile(t *testing.T) {
	path := hostileLog(t)
	torn := path + "torn"
	if err := os.WriteFile(torn, []byte("INIT sha384/"+strings.Repeat("0", 96)+"\n\x1b[31mtorn"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := path + "bad"
	if err := os.WriteFile(bad, []byte("INIT \x1b[31m/00\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	badJSON := path + "json"
	if err := os.WriteFile(badJSON, []byte("[{\"recnum\":0,\"\x1b[31m\":\"\xc2\x9b\"}]"), 0o644); err != nil {
		t.Fatal(err)
	}
	altered := path + "altered"
	if err := os.WriteFile(altered, []byte(`[{"recnum":0,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"`+strings.Repeat("0", 96)+
		`"}],"content_type":"CC-CEL","content":"\u001b[31m"},{"recnum":1,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"`+strings.Repeat("0", 96)+
		`"}],"content_type":"\u001b[31m","content":{"\u001b[31m":"\u009b"}}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	expect := "rtmr2=" + strings.Repeat("0", 96)
	for _, args := range [][]string{
		{"show", "--tsv", altered},
		{"show", altered},
		{"show", bad},
		{"show", badJSON},
		{"show", path + "none"},
		{"replay", path},
		{"replay", torn},
		{"replay", "--torn", "ignore", torn},
		{"replay", bad},
		{"replay", badJSON},
		{"verify", "--expect", expect, path},
		{"verify", "--expect", expect, altered},
		{"verify", "--expect", "\x1b[31m=00", path},
		{"verify", "--expect", "rtmr2:\x1b[31m=00", path},
		{"convert", "--to", "\x1b[31m", path},
		{"convert", "--to", "cel-tlv", "--dialect", "\x1b[31m", path},
		{"convert", "--to", "cel-json", "-o", path + "/\x1b[31m", path},
		{"convert", "--to", "cel-json", path, "-o", os.DevNull},
		{"convert", "--to", "cel-tlv", altered, "-o", os.DevNull},
		{"extend", "--device", "\x1b[31m", "a", "b"},
		{"extend", "--device", "soft:/\x1b[31m/none", "--register", "\x1b[31m", "a", "b"},
		{"extend", "\x1b[31m", "b"},
		{"status", "--device", "soft", "--state", path},
		{"\x1b[31m", "x"},
		{"show", "--\x1b[31m"},
		{"show", "--width", "\x1b[31m", path},
		{"completion", "\x1b[31m"},
	} {
		p := openTerminal(t, 80)
		cmd := exec.Command("mrlog", args...)
		cmd.Stdout, cmd.Stderr = p.tty, p.tty
		_ = cmd.Run() // most of them fail, as they should
		screen := p.screen()
		if args[1] == "--tsv" {
			screen = strings.ReplaceAll(screen, "\t", " ")
		}
		harmless(t, fmt.Sprintf("%q", args), screen)
		if code := cmd.ProcessState.ExitCode(); code < 0 || code > 4 {
			t.Errorf("%q: exit %d", args, code)
		}
	}
}

// Bytes do not go to a terminal: some of them it would act on.
func TestTerminalBytes(t *testing.T) {
	for _, format := range convert.Written() {
		p := openTerminal(t, 80)
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte("INIT sha384/"+strings.Repeat("0", 96)+"\nexample.org/app Started x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("mrlog", "convert", "--to", format, path)
		cmd.Stdout, cmd.Stderr = p.tty, p.tty
		err := cmd.Run()
		screen := p.screen()
		if format == convert.CELSeq {
			screen = strings.ReplaceAll(screen, "\x1e", "") // its record separator
		}
		harmless(t, format, screen)
		switch {
		case err == nil:
		case strings.Contains(screen, format+" is bytes, and standard output is a terminal: name a file with -o\n"):
		case strings.Contains(screen, "content "): // what the format cannot carry
		default:
			t.Errorf("%s: %v\n%s", format, err, screen)
		}
	}
}

// A long conversion shows on a terminal how far it is, and takes that away.
func TestTerminalProgress(t *testing.T) {
	for _, test := range []struct {
		name, term string
		args       []string
		tty, shown bool
	}{
		{"terminal", "xterm", nil, true, true},
		{"json", "xterm", []string{"--json"}, true, false},
		{"dumb", "dumb", nil, true, false},
		{"pipe", "xterm", nil, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := openTerminal(t, 80)
			out := filepath.Join(t.TempDir(), "out")
			cmd := exec.Command("mrlog", append(test.args, "convert", "--to", "cel-json", "-o", out, "-")...)
			cmd.Env = append(os.Environ(), "TERM="+test.term)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var errs strings.Builder
			cmd.Stderr = &errs
			if test.tty {
				cmd.Stderr = p.tty
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The input takes its time.
			text := "INIT sha384/" + strings.Repeat("0", 96) + "\n"
			for range 7 {
				text += strings.Repeat("example.org/app Event with some content\n", 20_000)
				if _, err := io.WriteString(in, text); err != nil {
					t.Fatal(err)
				}
				text = ""
				time.Sleep(250 * time.Millisecond)
			}
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			screen := p.screen() + errs.String()
			shown := strings.Contains(screen, "\rmrlog: convert standard input: ") && strings.Contains(screen, " records\x1b[K")
			switch {
			case shown != test.shown, !test.shown && screen != "":
				t.Errorf("progress shown: %v, want %v: %q", shown, test.shown, screen)
			case shown && !strings.HasSuffix(screen, "\r\x1b[K"):
				t.Errorf("progress is not taken away: %q", screen)
			case strings.Contains(screen, "\n"):
				t.Errorf("progress takes more than a line: %q", screen)
			}
			if info, err := os.Stat(out); err != nil || info.Size() < 1<<20 {
				t.Errorf("output: %v %v", info, err)
			}
		})
	}
}
