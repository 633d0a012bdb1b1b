// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"crypto/sha512"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a log with its register and its callers.
func good(t *testing.T) (text string, end Values, callers []Caller) {
	t.Helper()
	text = "#: register rtmr2\nINIT sha384/" + strings.Repeat("0", 96) + "\na 1\nb 1\n\n# a comment\na 2\na 3\n"
	end = Values{"sha384": make([]byte, 48)}
	for line := range strings.Lines(text) {
		if line != "\n" && line[0] != '#' {
			d := sha512.Sum384([]byte(strings.TrimSuffix(line, "\n")))
			v := sha512.Sum384(append(end["sha384"], d[:]...))
			end["sha384"] = v[:]
		}
	}
	callers = []Caller{
		{"a", []Event{{"a 1", Recorded, &Receipt{1, digests(t, "a 1")}}, {"a 2", Unknown, nil}, {"a 3", Recorded, nil}}},
		{"b", []Event{{"b 1", Recorded, &Receipt{2, digests(t, "b 1")}}, {"b 2", Refused, nil}, {"b 3", Unknown, nil}}},
	}
	return text, end, callers
}

func digests(t *testing.T, line string) Values {
	t.Helper()
	d, err := Digest("sha384", line)
	if err != nil {
		t.Fatal(err)
	}
	return Values{"sha384": d}
}

// values replays a text, for logs that are wrong only in what they hold.
func values(t *testing.T, text string) Values {
	t.Helper()
	p, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p.values[len(p.values)-1]
}

// TestCheck breaks each promise in turn: the check is worth what it finds.
func TestCheck(t *testing.T) {
	text, end, _ := good(t)
	for _, c := range []struct {
		name string
		text string
		end  Values
		edit func(callers []Caller)
		want string
	}{
		{"good", text, end, nil, ""},
		{"register behind", text, values(t, strings.TrimSuffix(text, "a 3\n")), nil, "the log gives"},
		{"register elsewhere", text, Values{"sha384": make([]byte, 48)}, nil, "the log gives"},
		{"torn", text + "b 3", end, nil, "torn"},
		{"lost", strings.Replace(text, "a 3\n", "", 1), nil, nil, `"a 3" of a was answered as recorded, and is lost`},
		{"twice", text + "a 2\n", nil, nil, "twice"},
		{"foreign", text + "c 1\n", nil, nil, "submitted by nobody"},
		{"refused", text + "b 2\n", nil, nil, "told that it is not"},
		{"out of order", strings.Replace(text, "a 2\na 3\n", "a 3\na 2\n", 1), nil, nil, "which a submitted later"},
		{"wrong receipt", text, end, func(c []Caller) { c[0].Events[0].Receipt.Record = 2 }, "its receipt says record 2"},
		{"wrong digest", text, end, func(c []Caller) { c[0].Events[0].Receipt.Digests["sha384"][0] ^= 1 }, "its receipt says sha384"},
		{"no digest", text, end, func(c []Caller) { c[0].Events[0].Receipt.Digests = nil }, "no digest"},
		{"second INIT", text + "INIT sha384/" + strings.Repeat("0", 96) + "\n", end, nil, "second INIT"},
		{"no INIT", "a 1\n", end, nil, "before INIT"},
		{"empty", "", end, nil, "no INIT"},
		{"two of a name", text, end, func(c []Caller) { c[1].Events[0].Line = "a 1" }, "the test is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			write(t, path, c.text)
			_, _, callers := good(t)
			if c.edit != nil {
				c.edit(callers)
			}
			end := c.end
			if end == nil {
				end = values(t, c.text)
			}
			err := Check([]Log{{Path: path, End: end}}, callers)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestLeft is a log of an earlier boot: what follows its register's last value
// may stand there if nobody was told that it was recorded.
func TestLeft(t *testing.T) {
	text, end, callers := good(t)
	path := filepath.Join(t.TempDir(), "log.1")
	for _, c := range []struct {
		tail, want string
	}{
		{"b 3\n", ""},
		{"b 3", ""},
		{"b 3\ntor", ""},
		{"b 3\nx\n", "submitted by nobody"},
	} {
		write(t, path, text+c.tail)
		err := Check([]Log{{Path: path, End: end, Left: true}}, callers)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: got %v, want %q", c.tail, err, c.want)
		}
	}
	callers[1].Events[2].Outcome = Recorded
	write(t, path, text+"b 3\n")
	if err := Check([]Log{{Path: path, End: end, Left: true}}, callers); err == nil || !strings.Contains(err.Error(), "was not extended") {
		t.Errorf("a recorded event that was not extended: %v", err)
	}
	if err := Check([]Log{{Path: path, End: end, Left: true, Start: end}}, callers); err == nil || !strings.Contains(err.Error(), "the register had") {
		t.Errorf("another start: %v", err)
	}
}

func TestLook(t *testing.T) {
	text, end, _ := good(t)
	path := filepath.Join(t.TempDir(), "log")
	before := values(t, strings.TrimSuffix(text, "a 3\n"))
	more, err := end.Extend("b 3")
	if err != nil {
		t.Fatal(err)
	}
	zero := Values{"sha384": make([]byte, 48)}
	if v, err := Look(path, zero); err != nil || v.State != "absent" {
		t.Errorf("no log: %v, %v", v, err)
	}
	for _, c := range []struct {
		text string
		live Values
		want string
	}{
		{text, end, "clean, 5 records, 0 missing"},
		{text, before, "behind, 5 records, 1 missing"},
		{text + "b 3", end, "torn, 5 records, 0 missing"},
		{text + "b 3", before, "torn, 5 records, 1 missing"},
		{text + "b 3", more, "torn, 5 records, 0 missing"},
		{text, zero, "reset, 5 records, 0 missing"},
		{text, more, "diverged, 5 records, 0 missing"},
		{"a 1\n", end, "diverged, 0 records, 0 missing"},
	} {
		write(t, path, c.text)
		v, err := Look(path, c.live)
		if err != nil || fmt.Sprint(v) != c.want {
			t.Errorf("got %v, %v, want %s", v, err, c.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
