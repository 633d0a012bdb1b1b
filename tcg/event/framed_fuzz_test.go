// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"testing"
)

// framed are the events whose data begins with something fixed that a fuzzer
// hardly finds, each with its type.
var framed = []struct {
	event uint32
	head  []byte
	data  []byte // of a seed
}{
	{3, []byte("SP800-155 Event3"), bytesOf(uint32(11129), guid(owner), "\x01a")},
	{3, []byte("SP800-155 Event2"), nil},
	{3, []byte("Spec ID Event03\x00"), bytesOf(uint32(0), "\x00\x02\x00\x02", uint32(1), uint16(12), uint16(48), uint8(0))},
	{3, []byte("StartupLocality\x00"), []byte{3}},
	{6, []byte("LEAA"), bytesOf(uint32(5), "a b c")},
	{6, []byte("\xec\x22\x3b\x8f"), bytesOf(uint32(13), "Linux initrd\x00")},
	{5, nil, []byte("Calling EFI Application from Boot Option")},
	{8, nil, bytesOf(wide("1.0"), uint16(0))},
	{13, []byte("grub_cmd: "), []byte("linux /vmlinuz\x00")},
	{13, []byte("kernel_cmdline: "), []byte("quiet\x00")},
	{0x11, []byte("GCE NonHostInfo\x00"), make([]byte, 16)},
	{0x80000001, guid(global), bytesOf(uint64(2), uint64(1), wide("PK"), "\x01")},
	{0x80000002, guid(global), bytesOf(uint64(9), uint64(2), wide("BootOrder"), "\x01\x00")},
	{0x800000E0, guid(security), bytesOf(uint64(2), uint64(16), wide("db"), guid(owner))},
	{0x80000006, []byte("EFI PART"), make([]byte, 92)},
	{0x80000008, nil, bytesOf(uint64(1<<20), uint64(4096))},
	{0x8000000A, nil, bytesOf("\x04ACPI", uint64(1), uint64(2))},
	{0x8000000B, nil, bytesOf("\x04ACPI", uint64(1), guid(owner), uint64(2))},
	{0x800000E1, []byte("SPDM Device Sec\x00"), bytesOf(uint16(1), uint16(0), uint32(1), uint32(1), "\x01\x01", uint16(3), "abc")},
	{0x800000E1, []byte("SPDM Device Sec2"), bytesOf(uint16(2), uint8(0), uint8(0), uint32(0), uint32(2), uint32(0), uint32(3), uint64(0))},
	{0x08000001, []byte{1, 0, 0, 8, ':'}, []byte("compose-hash:\xab")},
	{0x08000001, []byte(`{"name":"`), []byte(`a","payload":"6f6b","type":134217729}`)},
}

// FuzzFramed: every decoder gets beyond what it knows its data by.
func FuzzFramed(f *testing.F) {
	for i, e := range framed {
		f.Add(byte(i), e.data)
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		e := framed[int(which)%len(framed)]
		examine(t, record(e.event, append(e.head[:len(e.head):len(e.head)], data...)))
	})
}
