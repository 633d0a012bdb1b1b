// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzReader: the lines are those that splitting gives, up to one that is too
// long, however the bytes come.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\n\nbb\ntorn"), 3)
	f.Add([]byte("too long\n"), 4)
	f.Add([]byte("\n"), 0)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit = int(uint(limit) % 64)
		for _, src := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text)), iotest.DataErrReader(bytes.NewReader(text))} {
			r, rest := NewReader(src, limit), text
			for {
				line, torn, err := r.Next()
				if len(rest) == 0 {
					if err != io.EOF {
						t.Fatalf("%q, %v at the end", line, err)
					}
					break
				}
				want, after, whole := bytes.Cut(rest, []byte{'\n'})
				if len(want) > limit {
					if !errors.Is(err, ErrLong) {
						t.Fatalf("%q, %v, of a line of %d bytes", line, err, len(want))
					}
					break
				}
				if err != nil || torn == whole || !bytes.Equal(line, want) {
					t.Fatalf("%q, torn %v, %v: want %q", line, torn, err, want)
				}
				rest = after
			}
		}
	})
}
