// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"os"
	"strings"
	"testing"
)

// FuzzLeft: whatever stands behind the last record that a keeper wrote, looking
// changes nothing; and an event is refused, or stands in a log that gives the
// register's value. Some of what is left behind has been extended.
func FuzzLeft(f *testing.F) {
	for _, s := range []string{
		"", line("x") + "\n", line("x"), "# a\n#: boot boot-2\n", "#: register rtmr3\n" + line("x") + "\n", "\n\n", "\x00\n", "\xff", "INIT sha384/00\n",
		line("x") + "\n" + line("y") + "\n", line("x") + "\n" + line("y"), strings.Repeat("a", 5000) + "\n",
	} {
		f.Add(s, byte(0))
		f.Add(s, byte(1))
	}
	f.Fuzz(func(t *testing.T, text string, extended byte) {
		if len(text) > 1<<16 {
			return
		}
		r := newRig(t)
		k := r.open(nil)
		r.append(k, "first")
		k.Close()
		leave(r, text)
		n := int(extended % 4)
		for l := range strings.Lines(text) {
			if l = strings.TrimSuffix(l, "\n"); l == "" || l[0] == '#' || n == 0 {
				continue
			}
			r.m.extend(r.reg, l)
			n--
		}
		k = r.open(nil)
		before, err := os.ReadFile(r.log())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Status(context.Background(), r.reg); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(r.log()); err != nil || string(after) != string(before) {
			t.Fatalf("looking changed the log: %v", err)
		}
		if _, err := k.Append(context.Background(), r.reg, []Event{ev("last")}); err != nil {
			if after, _ := os.ReadFile(r.log()); !strings.HasPrefix(string(after), string(before[:len(before)-len(text)])) {
				t.Fatalf("after %v the log lacks what was recorded", err)
			}
			return
		}
		p := r.check()
		if len(p.events) == 0 || p.events[len(p.events)-1] != line("last") {
			t.Fatalf("events %q", p.events)
		}
	})
}
