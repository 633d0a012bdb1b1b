// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"errors"
	"io"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
)

// manyRegisters names another register in each record.
type manyRegisters struct{ next uint32 }

func (m *manyRegisters) Header() mrlog.Header { return mrlog.Header{Format: "fake"} }

func (m *manyRegisters) Read(b *mrlog.Batch) error {
	b.Reset()
	for range 512 {
		r := b.Add()
		r.Register = mrlog.Register{Space: mrlog.NV, Index: m.next}
		r.Span.Offset = int64(m.next)
		m.next++
	}
	return nil
}

// TestTooManyRegisters: a log that names ever new registers is malformed, and
// the error says where, instead of taking ever more memory.
func TestTooManyRegisters(t *testing.T) {
	r := convert.Number(&manyRegisters{}, convert.NumberAnew)
	var b mrlog.Batch
	for range 1 << 10 {
		err := r.Read(&b)
		if err == nil {
			continue
		}
		var syntax *mrlog.SyntaxError
		if err == io.EOF || !errors.As(err, &syntax) || !errors.Is(err, mrlog.ErrLimit) || syntax.Offset != 1<<16 {
			t.Fatalf("error %v, want one of syntax at offset %d", err, 1<<16)
		}
		return
	}
	t.Fatal("no limit")
}
