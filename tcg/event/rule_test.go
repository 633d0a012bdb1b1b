// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/tcg/event"
)

func TestMeasured(t *testing.T) {
	v := variable(global, "BootOrder", []byte{1, 0})
	authority := variable(shim, "Shim", []byte("certificate"))
	padded := append(slices.Clone(authority), 0, 0, 0xAF)
	stub := bytesOf(wide("console=x"), uint16(0))
	aael := bytesOf("LEAA", uint32(5), "a b c")
	windows := sipa(0x40010001, sipa(0x00040001, byte(0)))
	for _, c := range []struct {
		what    string
		event   uint32
		data    string
		want    []string // part: bytes
		certain bool
	}{
		{"EV_NO_ACTION", 3, "x", nil, false},
		{"EV_POST_CODE", 1, "x", nil, false},
		{"EV_SEPARATOR", 4, "\x00\x00\x00\x00", []string{"data:\x00\x00\x00\x00"}, true},
		{"EV_SEPARATOR of ones", 4, "\xff\xff\xff\xff", []string{"data:\xff\xff\xff\xff"}, true},
		{"EV_SEPARATOR of an error", 4, "\x01\x00\x00\x00", []string{"data:\x01\x00\x00\x00"}, false},
		{"EV_SEPARATOR of Windows", 4, "WBCL", []string{"data:WBCL"}, false},
		{"EV_ACTION", 5, "x", []string{"data:x"}, true},
		{"EV_S_CRTM_CONTENTS", 7, "x", nil, false},
		{"EV_S_CRTM_VERSION", 8, "x", []string{"data:x"}, false},
		{"EV_CPU_MICROCODE", 9, "x", nil, false},
		{"EV_PLATFORM_CONFIG_FLAGS", 10, "x", nil, false},
		{"EV_PLATFORM_CONFIG_FLAGS of td-shim", 10, string(config("td_payload_svn", uint64(3))) + "x", []string{"info:\x03\x00\x00\x00\x00\x00\x00\x00"}, false},
		{"EV_PLATFORM_CONFIG_FLAGS of another label", 10, string(config("other", uint64(3))), nil, false},
		{"EV_TABLE_OF_DEVICES", 11, "x", []string{"data:x"}, false},
		{"EV_COMPACT_HASH", 12, "x", nil, false},
		{"EV_NONHOST_CODE", 15, "x", nil, false},
		{"EV_NONHOST_CONFIG", 16, "x", nil, false},
		{"EV_NONHOST_INFO", 17, "x", []string{"data:x"}, false},
		{"EV_OMIT_BOOT_DEVICE_EVENTS", 18, "x", []string{"data:x"}, true},
		{"EV_POST_CODE2", 19, "x", nil, false},
		{"EV_EFI_VARIABLE_DRIVER_CONFIG", 0x80000001, string(v), []string{"data:" + string(v)}, true},
		{"EV_EFI_VARIABLE_BOOT", 0x80000002, string(v), []string{"variable:\x01\x00", "data:" + string(v)}, false},
		{"EV_EFI_VARIABLE_BOOT, damaged", 0x80000002, "x", []string{"data:x"}, false},
		{"EV_EFI_BOOT_SERVICES_APPLICATION", 0x80000003, "x", nil, false},
		{"EV_EFI_BOOT_SERVICES_DRIVER", 0x80000004, "x", nil, false},
		{"EV_EFI_RUNTIME_SERVICES_DRIVER", 0x80000005, "x", nil, false},
		{"EV_EFI_GPT_EVENT", 0x80000006, "x", []string{"data:x"}, true},
		{"EV_EFI_ACTION", 0x80000007, "x", []string{"data:x"}, true},
		{"EV_EFI_PLATFORM_FIRMWARE_BLOB", 0x80000008, "x", nil, false},
		{"EV_EFI_HANDOFF_TABLES", 0x80000009, "x", nil, false},
		{"EV_EFI_PLATFORM_FIRMWARE_BLOB2", 0x8000000A, "x", nil, false},
		{"EV_EFI_HANDOFF_TABLES2", 0x8000000B, "x", nil, false},
		{"EV_EFI_VARIABLE_BOOT2", 0x8000000C, string(v), []string{"data:" + string(v)}, true},
		{"EV_EFI_GPT_EVENT2", 0x8000000D, "x", []string{"data:x"}, false},
		{"EV_EFI_HCRTM_EVENT", 0x80000010, "x", []string{"data:x"}, false},
		{"EV_EFI_VARIABLE_AUTHORITY", 0x800000E0, string(authority), []string{"data:" + string(authority), "variable:certificate"}, true},
		{
			"EV_EFI_VARIABLE_AUTHORITY of old shim", 0x800000E0, string(padded),
			[]string{"data:" + string(padded), "data:" + string(padded[:len(padded)-1]), "data:" + string(authority), "variable:certificate"},
			true,
		},
		{"EV_EFI_VARIABLE_AUTHORITY, damaged", 0x800000E0, "x", []string{"data:x"}, true},
		{"EV_EFI_SPDM_FIRMWARE_BLOB", 0x800000E1, "x", []string{"data:x"}, false},
		{"unknown", 0x12345678, "x", []string{"data:x"}, false},
		{"dstack", 0x08000001, "x", []string{"data:x"}, true},

		{"GRUB", 13, "grub_cmd: set x\x00", []string{"text:set x", "text:set x\x00"}, false},
		{"GRUB of Alibaba", 13, "grub_cmd set x\x00\x8b", []string{"text:set x", "text:set x\x00", "text:set x\x00\x8b"}, false},
		{"GRUB without NUL", 13, "kernel_cmdline: x", []string{"text:x"}, false},
		{"GRUB, file", 13, "/grub.cfg\x00", nil, false},
		{"GRUB, kernel", 13, "grub_linuxefi Kernel\x00l", nil, false},
		{"shim", 13, "MokList\x00", nil, false},
		{"sd-stub, text", 13, string(stub), []string{"data:" + string(stub)}, false},
		{"sd-stub, section", 13, ".\x00l\x00i\x00n\x00u\x00x\x00\x00\x00", []string{"data:.\x00l\x00i\x00n\x00u\x00x\x00\x00\x00", "name:.linux\x00"}, false},
		{"sd-stub, no section", 13, ".\x00x\x00\x00\x00", []string{"data:.\x00x\x00\x00\x00"}, false},
		{"other loader", 13, "hello\x00", []string{"data:hello\x00", "text:hello"}, false},
		{"EV_IPL, empty", 13, "", []string{"data:"}, false},

		{"AAEL", 6, string(aael), []string{"data:" + string(aael)}, true},
		{"AAEL with more behind it", 6, string(aael) + "x", []string{"data:" + string(aael) + "x"}, true},
		{"AAEL, cut", 6, string(aael[:7]), []string{"data:" + string(aael[:7])}, true},
		{"Linux", 6, "\xec\x22\x3b\x8f\x01\x00\x00\x00x", nil, false},
		{"Windows", 6, string(windows), []string{"data:" + string(windows)}, false},
		{"Windows, damaged", 6, string(windows[:9]), []string{"data:" + string(windows[:9])}, false},
		{"other tag", 6, "\x01\x00\x00\x00\x01\x00\x00\x00x", []string{"data:\x01\x00\x00\x00\x01\x00\x00\x00x", "text:x"}, false},
		{"tag, damaged", 6, "x", []string{"data:x"}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			rec := record(c.event, []byte(c.data))
			rule := event.Measured(rec)
			var got []string
			for _, p := range rule.Parts() {
				got = append(got, fmt.Sprintf("%s:%s", p.Of, p.Data))
			}
			stated := c.certain || c.event == 8 || c.event == 0x80000002 || strings.HasPrefix(c.what, "GRUB") && c.want != nil
			if rule.Stated != stated {
				t.Errorf("stated: %v", rule.Stated)
			}
			if !slices.Equal(got, c.want) || rule.Certain != c.certain {
				t.Errorf("%q, certain: %v; want %q, %v", got, rule.Certain, c.want, c.certain)
			}
			if n := testing.AllocsPerRun(10, func() { event.Measured(rec) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			rec.NotExtended = true
			if rule := event.Measured(rec); len(rule.Parts()) != 0 || rule.Certain || rule.Stated {
				t.Error("an event that was not extended has a rule")
			}
		})
	}
	for _, rec := range []mrlog.Record{{Type: mrlog.TypeCCCEL}, {Type: 80}, {Type: mrlog.TypePCClient, Event: 5, Form: mrlog.FormCBOR}} {
		if rule := event.Measured(&rec); len(rule.Parts()) != 0 || rule.Certain {
			t.Errorf("content type %d has a rule", rec.Type)
		}
	}
}

// TestMeasuredHalved: older sd-boot logged one byte of a text's NUL and measured
// two.
func TestMeasuredHalved(t *testing.T) {
	halved := bytesOf(wide("quiet"), byte(0))
	data := slices.Clip(append(slices.Clone(halved), 0xAA)) // what follows in the log
	rec := record(13, data[:len(halved)])
	rule := event.Measured(rec)
	if p := rule.Parts(); len(p) != 1 || p[0].Of != event.OfData || string(p[0].Data) != string(halved)+"\x00" || rule.Certain {
		t.Errorf("%q, certain: %v", p, rule.Certain)
	}
	if data[len(halved)] != 0xAA {
		t.Error("it wrote into the log")
	}
}

// BenchmarkMeasured is what a verifier pays for each record besides hashing.
func BenchmarkMeasured(b *testing.B) {
	for _, rec := range []*mrlog.Record{
		record(0x80000003, image(path(file))),
		record(5, []byte("action")),
		record(0x80000002, variable(global, "BootOrder", []byte{1, 0})),
		record(13, []byte("grub_cmd: "+strings.Repeat("x", 100)+"\x00")),
		record(13, []byte("(hd0,gpt1)/boot/grub/grub.cfg\x00")),
	} {
		b.Run(fmt.Sprintf("%08x", rec.Event), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				event.Measured(rec)
			}
		})
	}
}
