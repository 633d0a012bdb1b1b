// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
)

// interruptible is a source whose Read ends when the context does, although
// the read of the source beneath cannot be called back.
type interruptible struct {
	ctx context.Context
	src io.Reader

	buf    []byte // what the read under way fills
	ready  []byte // of it, read and not yet given out
	err    error  // to be given out after ready
	result chan readResult
}

type readResult struct {
	n   int
	err error
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.result == nil {
			if r.buf == nil {
				r.buf = make([]byte, 64<<10)
			}
			result := make(chan readResult, 1)
			r.result = result
			go func() {
				n, err := r.src.Read(r.buf)
				result <- readResult{n, err}
			}()
		}
		select {
		case done := <-r.result:
			r.result, r.ready, r.err = nil, r.buf[:done.n], done.err
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}
