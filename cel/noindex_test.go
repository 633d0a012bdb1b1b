// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
)

// The index that stands for no register is carried for records that were not
// extended, in every encoding, and refused for others.
func TestNoIndex(t *testing.T) {
	rec := mrlog.Record{
		HasNumber:   true,
		Register:    mrlog.Register{Space: mrlog.PCR, Index: mrlog.NoIndex},
		Digests:     []mrlog.Digest{{Alg: mrlog.SHA1, Sum: make([]byte, 20)}},
		Type:        mrlog.TypePCClient,
		Event:       mrlog.EventNoAction,
		NotExtended: true,
		Content:     []byte("trust point"),
	}
	extended := rec.Clone()
	extended.Event, extended.NotExtended = mrlog.EventAction, false
	for name, codec := range map[string]struct {
		write func(io.Writer) mrlog.Writer
		read  func(io.Reader) mrlog.Reader
		event [2]string // EV_NO_ACTION, and EV_ACTION
	}{
		"json": {
			func(w io.Writer) mrlog.Writer { return NewJSONWriter(w) },
			func(r io.Reader) mrlog.Reader { return NewJSONReader(r, Options{}) },
			[2]string{"EV_NO_ACTION", "EV_ACTION"},
		},
		"cbor": {
			func(w io.Writer) mrlog.Writer { return NewCBORWriter(w, 1) },
			func(r io.Reader) mrlog.Reader { return NewCBORReader(r, Options{}) },
			[2]string{"\x0a\xa2\x00\x03", "\x0a\xa2\x00\x05"},
		},
		"tlv": {
			func(w io.Writer) mrlog.Writer {
				t, err := NewTLVWriter(w, Minimal)
				if err != nil {
					panic(err)
				}
				return t
			},
			func(r io.Reader) mrlog.Reader { return NewTLVReader(r, Options{}) },
			[2]string{"\x00\x00\x00\x00\x01\x03\x01", "\x00\x00\x00\x00\x01\x05\x01"},
		},
	} {
		var buf bytes.Buffer
		w := codec.write(&buf)
		if err := w.Write([]mrlog.Record{rec}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := w.Close(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out := buf.String()
		got, err := logtest.ReadAll(codec.read(strings.NewReader(out)))
		if err != nil || len(got) != 1 || got[0].Register != rec.Register || !got[0].NotExtended || got[0].Notes != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		forged := strings.Replace(out, codec.event[0], codec.event[1], 1)
		if _, err := logtest.ReadAll(codec.read(strings.NewReader(forged))); forged == out || err == nil || !strings.Contains(err.Error(), "register index 4294967295 is too large") {
			t.Errorf("%s: read as extended: %v", name, err)
		}
		err = codec.write(io.Discard).Write([]mrlog.Record{extended})
		if err == nil || !strings.Contains(err.Error(), "register index 4294967295 is too large") {
			t.Errorf("%s: written as extended: %v", name, err)
		}
	}
}
