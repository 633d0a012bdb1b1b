// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLines: however the text arrives, its lines are those that a split gives,
// each with its place.
func TestLines(t *testing.T) {
	for _, text := range []string{
		"", "\n", "a", "a\n", "a\nb", "\n\na\n", "a\r\n", "\x00\xff\n",
		strings.Repeat("x", 3*first) + "\n" + strings.Repeat("y\n", 2*first) + strings.Repeat("z", 2*first),
	} {
		for name, in := range map[string]io.Reader{
			"all": strings.NewReader(text), "halves": iotest.HalfReader(strings.NewReader(text)),
			"bytes": iotest.OneByteReader(strings.NewReader(text)), "with end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			l := NewReader(in, 1<<20)
			var at int64
			want := strings.Split(text, "\n")
			for i, w := range want {
				if last := i == len(want)-1; last && w == "" {
					break
				}
				got, torn, err := l.Next()
				if err != nil || string(got) != w || torn != (i == len(want)-1) || l.Offset() != at || l.Line() != i+1 {
					t.Fatalf("%s, line %d: %.20q torn %v at %d, line %d, %v", name, i, got, torn, l.Offset(), l.Line(), err)
				}
				at += int64(len(w)) + 1
			}
			if _, _, err := l.Next(); err != io.EOF {
				t.Errorf("%s: %v at the end", name, err)
			}
		}
	}
}

func TestLong(t *testing.T) {
	for _, n := range []int{0, 1, 10, 11, 12, 3 * first} {
		for _, end := range []string{"", "\n", "\nb"} {
			l := NewReader(strings.NewReader(strings.Repeat("a", n)+end), 10)
			got, _, err := l.Next()
			if n > 10 && !errors.Is(err, ErrLong) || n <= 10 && (err != nil && n+len(end) > 0 || len(got) != n) {
				t.Errorf("%d bytes and %q: %q, %v", n, end, got, err)
			}
		}
	}
	// A line that does not end takes no more memory than the limit.
	l := NewReader(endless{}, 1<<20)
	if _, _, err := l.Next(); !errors.Is(err, ErrLong) || cap(l.buf) > 4<<20 {
		t.Errorf("%v, buffer of %d bytes", err, cap(l.buf))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{'a'}, len(p))), nil }

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

type liar struct{}

func (liar) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestReader(t *testing.T) {
	broken := errors.New("broken")
	l := NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 10)
	if got, _, err := l.Next(); string(got) != "a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, _, err := l.Next(); err != broken {
		t.Error(err)
	}
	if _, _, err := NewReader(idle{}, 10).Next(); err != io.ErrNoProgress {
		t.Error(err)
	}
	if _, _, err := NewReader(liar{}, 10).Next(); err == nil {
		t.Error("an impossible count is taken")
	}
}
