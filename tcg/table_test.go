// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"mrlog.dev/tcg"
)

// table is a table of a real TDX guest.
const table = "4343454c380000000184494e54454c2045444b32202020200200000020202020130000010200000000000100000000000090647d00000000"

func TestParseTable(t *testing.T) {
	data, err := hex.DecodeString(table)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tcg.ParseTable(data)
	want := tcg.Table{Revision: 1, OEM: "INTEL", OEMTable: "EDK2", Type: tcg.CCTDX, LogSize: 0x10000, LogAddress: 0x7d649000}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Type.String() != "tdx" || tcg.CCSEV.String() != "sev" || tcg.CCType(9).String() != "type 9" {
		t.Error("names of types")
	}
	for i := range data {
		for _, to := range []byte{0, 0xFF, data[i] + 1} {
			bad := append([]byte(nil), data...)
			if bad[i] == to {
				continue
			}
			bad[i] = to
			if _, err := tcg.ParseTable(bad); err == nil {
				t.Errorf("byte %d changed to %d: accepted", i, to)
			} else {
				syntax(t, err)
			}
		}
		if _, err := tcg.ParseTable(data[:i]); err == nil {
			t.Errorf("%d bytes: accepted", i)
		}
	}
	if _, err := tcg.ParseTable(append(data, 0)); err == nil || !strings.Contains(err.Error(), "says that it has 56 bytes, and has 57") {
		t.Errorf("a byte more: %v", err)
	}
}
