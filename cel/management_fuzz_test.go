// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"testing"
)

// FuzzManagement: a management event that is read is appended in one form, which
// is read as the same.
func FuzzManagement(f *testing.F) {
	for _, m := range []Management{{Type: CELVersion, Major: 1, Minor: 1}, {Type: FirmwareEnd}, {Type: Timestamp, Value: 1 << 40}, {Type: StateTrans, Value: StateKexec}} {
		f.Add(m.Append(nil))
	}
	f.Add([]byte{1, 0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		m, rest, err := ParseManagement(p)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(p, rest) || len(rest) == len(p) {
			t.Fatalf("%x leaves %x", p, rest)
		}
		out := m.Append(nil)
		if len(out) > len(p)-len(rest) {
			t.Fatalf("%x became longer: %x", p, out)
		}
		again, rest, err := ParseManagement(out)
		if err != nil || len(rest) != 0 || again != m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
