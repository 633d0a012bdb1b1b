// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/tcg/event"
)

func partitions(names ...string) []byte {
	p := bytesOf("EFI PART", uint32(0x10000), uint32(92), make([]byte, 8+32), guid("1c1c8fb8-306e-4682-b66a-f418c6e3fccf"),
		uint64(2), uint32(128), uint32(128), uint32(0), uint64(len(names)))
	for _, n := range names {
		p = append(p, bytesOf(guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), guid(owner), uint64(2048), uint64(4095), uint64(0), wide(n), make([]byte, 72-2*len(n)))...)
	}
	return p
}

// decodings are event data of every kind, each with what it must say. They are
// the seeds of the fuzz test, too.
var decodings = []struct {
	what  string
	event uint32
	data  []byte
	text  string
	json  string // some of it
}{
	{"nothing", 5, nil, "", `"kind":"data","data":""`},
	{"action", 0x80000007, []byte("Exit Boot Services Invocation"), "Exit Boot Services Invocation", `"kind":"text","text":"Exit Boot Services Invocation"`},
	{"action with NUL", 5, []byte("x\x00"), "x", `"text":"x"`},
	{"action that is no text", 0x80000007, []byte{1, 2, 3}, "010203", `"kind":"data","data":"010203"`},
	{"action that would move the cursor", 5, []byte("a\x1b[2J"), "611b5b324a", `"data":"611b5b324a"`},
	{"action of two lines", 5, []byte("a\nb"), `"a\nb"`, `"text":"a\nb"`},
	{"action that hides", 5, []byte("a\u202eb"), `61e280ae62`, ``},

	{"separator", 4, make([]byte, 4), "separator", `"kind":"separator","value":"00000000","error":false`},
	{"separator of ones", 4, []byte{255, 255, 255, 255}, "separator", `"error":false`},
	{"separator of an error", 4, []byte{1, 0, 0, 0}, "separator: error 00000001", `"error":true`},
	{"separator of Windows", 4, []byte("WBCL"), "separator: WBCL", `"text":"WBCL"`},
	{"separator of no size", 4, []byte{0}, "undecodable (a separator of 1 byte): 00", `"kind":"data","undecodable":"a separator of 1 byte"`},

	{"version, wide", 8, bytesOf(wide("GCE v1"), uint16(0)), "firmware version GCE v1", `"kind":"version","text":"GCE v1"`},
	{"version, narrow", 8, []byte("1.0\x00"), "firmware version 1.0", `"text":"1.0"`},
	{"version, GUID", 8, guid("546bfb1e-1d0c-4055-a4ad-4ef4bf17b83a"), "firmware version 546bfb1e-1d0c-4055-a4ad-4ef4bf17b83a", `"guid":"546bfb1e`},
	{"version, none", 8, make([]byte, 2), "firmware version not given", `"text":""`},
	{"version, text and more", 8, []byte("M60\x00\x00\x02\x00\xbe\x80"), "firmware version M60 (+4 bytes)", `"text":"M60","trailing":4`},
	{"version, two letters and more", 8, []byte("M6\x00\xbe"), "4d3600be", `"kind":"data"`},
	{"version, bytes", 8, []byte{9, 8, 7}, "090807", `"kind":"data"`},

	{"post code, text", 1, []byte("ACPI DATA"), "ACPI DATA", `"kind":"text"`},
	{"post code, blob", 1, bytesOf(uint64(0xFF130000), uint64(4096)), "firmware: 4096 bytes at 0xff130000", `"kind":"blob","base":"0xff130000","size":4096`},
	{"post code 2", 0x13, bytesOf(byte(4), "POST", uint64(16), uint64(32)), "POST: 32 bytes at 0x10", `"name":"POST"`},
	{"CRTM contents", 7, []byte("FIT Type 0x02\x00"), "FIT Type 0x02", ``},
	{"microcode, bytes", 9, []byte{1, 2, 3}, "010203", `"kind":"data"`},
	{"label before data", 10, bytesOf("vm_hob", make([]byte, 10), uint32(3), "\xff\x01\x02"), "vm_hob 03000000ff0102", `"text":"vm_hob","data":"03000000ff0102"`},
	{"compact hash", 12, []byte("WMI"), "WMI", ``},
	{"blob", 0x80000008, bytesOf(uint64(0x820000), uint64(0xE0000)), "firmware: 917504 bytes at 0x820000", `"size":917504`},
	{"blob, short", 0x80000008, []byte{1, 2}, "undecodable (too short for a firmware blob): 0102", ``},
	{"blob 2", 0x8000000A, bytesOf(byte(3), "Fv\x00", uint64(0xFFC00000), uint64(8)), "Fv: 8 bytes at 0xffc00000", ``},
	{"blob 2, short", 0x8000000A, bytesOf(byte(30), "Fv\xff"), "undecodable (too short for a firmware blob with a name): 1e4676ff", ``},
	{"tables", 0x80000009, bytesOf(uint64(1), guid("eb9d2d31-2d88-11d3-9a16-0090273fc14d"), uint64(0x7000)), "handoff tables: SMBIOS", `"tables":[{"guid":"eb9d2d31-2d88-11d3-9a16-0090273fc14d","name":"SMBIOS","address":"0x7000"}]`},
	{"tables, 32 bits", 0x80000009, bytesOf(uint32(1), guid("eb9d2d31-2d88-11d3-9a16-0090273fc14d"), uint32(0x7000)), "handoff tables: SMBIOS", `"address":"0x7000"`},
	{"tables, too many", 0x80000009, bytesOf(uint64(1<<60), uint64(0)), "undecodable (more tables than data): 00000000000000100000000000000000", ``},
	{"tables 2", 0x8000000B, bytesOf(byte(9), "TdxTable\x00", uint64(1), guid("93bb96af-b9f2-4eb8-9462-e0ba74564236"), uint64(0x809000)), "TdxTable: 93bb96af-b9f2-4eb8-9462-e0ba74564236", `"address":"0x809000"`},
	{"tables 2, too many", 0x8000000B, bytesOf(byte(1), "T", uint64(1<<40)), "undecodable (1099511627776 tables in 0 bytes): T", ``},

	{"Secure Boot on", 0x80000001, variable(global, "SecureBoot", []byte{1}), "SecureBoot = on", `"kind":"variable","guid":"8be4df61-93ca-11d2-aa0d-00e098032b8c","guid_name":"EFI global variable","name":"SecureBoot","size":1,"value":1`},
	{"Secure Boot off", 0x80000001, variable(global, "SecureBoot", []byte{0}), "SecureBoot = off", `"value":0`},
	{"Secure Boot absent", 0x80000001, variable(global, "SecureBoot", nil), "SecureBoot: empty", `"size":0`},
	{"Secure Boot of two bytes", 0x80000001, variable(global, "SecureBoot", []byte{1, 1}), "undecodable (SecureBoot: 2 bytes, not one): SecureBoot: 0101", `"data":"0101"`},
	{
		"db", 0x80000001, variable(security, "db", append(list(x509, certificate("A")), list(sha256ID, make([]byte, 32))...)),
		"db: 1 certificate (CN=A), 1 hash", `"signatures":[{"type":"x509","owner":"77fa9abd-0359-4d32-bd60-28f4e78f784b","subject":"CN=A,O=Test Ltd,C=DE","issuer":"O=Root\\, Inc.,C=DE","serial":"1234","sha256":"`,
	},
	{"dbx of two hashes", 0x80000001, variable(security, "dbx", list(sha256ID, make([]byte, 32), make([]byte, 32))), "dbx: 2 hashes", `"type":"sha256"`},
	{"dbx, cut", 0x80000001, variable(security, "dbx", append(list(sha256ID, make([]byte, 32)), 1, 2)), "undecodable (dbx: 2 bytes after the last signature list): dbx: 1 hash", `"undecodable":"dbx: 2 bytes after the last signature list"`},
	{"PK that is no list", 0x80000001, variable(global, "PK", bytes.Repeat([]byte{0xFF}, 40)), "undecodable (PK: a signature list of 4294967295 bytes in 40): PK: no signatures", ``},
	{"authority", 0x800000E0, variable(security, "db", bytesOf(guid(owner), certificate("UEFI CA"))), "db: CN=UEFI CA", `"signature":{"type":"x509","owner":"77fa`},
	{"authority of a hash", 0x800000E0, variable(security, "db", make([]byte, 48)), "db: sha256:" + strings.Repeat("00", 32), ``},
	{"authority of shim, padded", 0x800000E0, append(variable(shim, "Shim", certificate("Vendor")), 0, 0, 0, 0, 0, 0xAF), "Shim: CN=Vendor (+6 bytes)", `"trailing":6`},
	{"certificate that is none", 0x800000E0, variable(security, "db", bytesOf(guid(owner), der(0x30, der(0x30, []byte{1})))), "db: certificate that cannot be read", `"sha256":"`},
	{"authority of another name", 0x800000E0, variable(shim, "vendor_db", bytesOf(guid(owner), certificate("Vendor"))), "vendor_db: CN=Vendor", `"subject":"CN=Vendor,`},
	{"SBAT", 0x800000E0, variable(shim, "SbatLevel", []byte("sbat,1,2021030218\n")), `SbatLevel: "sbat,1,2021030218\n"`, `"text":"sbat,1,2021030218\n"`},
	{"MokListTrusted", 0x800000E0, variable(shim, "MokListTrusted", []byte{1}), "MokListTrusted = on", ``},
	{"BootOrder", 0x80000002, variable(global, "BootOrder", []byte{1, 0, 10, 0}), "BootOrder: 0001, 000A", `"order":["0001","000A"]`},
	{"BootOrder, odd", 0x80000002, variable(global, "BootOrder", []byte{1}), "undecodable (BootOrder: an odd number of bytes): BootOrder: 01", ``},
	{
		"Boot0001", 0x80000002, variable(global, "Boot0001", option(1, "Disk", path(disk, file), bytesOf(wide("quiet"), uint16(0)))),
		`Boot0001: Disk, HD(1,GPT,507A4A79-ECA4-4FD0-8BBC-D5F4FAC3E723,0x800,0x1000)/\EFI\BOOT\BOOTX64.EFI, options quiet`,
		`"attributes":1,"description":"Disk","path":{"text":"HD(1,GPT,507A4A79-ECA4-4FD0-8BBC-D5F4FAC3E723,0x800,0x1000)/\\EFI\\BOOT\\BOOTX64.EFI","nodes":["HD(1,GPT,507A4A79-ECA4-4FD0-8BBC-D5F4FAC3E723,0x800,0x1000)","\\EFI\\BOOT\\BOOTX64.EFI"]},"options":"quiet","option_data":"71`,
	},
	{"Boot000F, inactive", 0x8000000C, variable(global, "Boot000F", option(0, "Disk", path(), nil)), "Boot000F: Disk (inactive)", ``},
	{"Boot0001 without a description", 0x80000002, variable(global, "Boot0001", []byte{1, 0, 0, 0, 0, 0, 'a', 0}), "undecodable (Boot0001: a load option without a description): Boot0001: 0100000000006100", ``},
	{"Boot0001 with a long path", 0x80000002, variable(global, "Boot0001", bytesOf(uint32(1), uint16(50), uint16(0))), "undecodable (Boot0001: a load option whose device path is longer than it): Boot0001: 0100000032000000", ``},
	{"variable with text", 0x80000001, variable(owner, "Any", []byte("hello")), "Any: hello", `"text":"hello"`},
	{"variable with bytes", 0x80000001, variable(owner, "Any", []byte{1, 2}), "Any: 0102", `"data":"0102"`},
	{"variable, cut", 0x80000001, variable(owner, "Any", []byte{1, 2})[:36], "undecodable (a variable that is longer than the data): bd9afa775903324dbd6028f4e78f784b03000000000000000200000000000000… (36 bytes)", ``},
	{"SPDM policy", 0x800000E3, variable(security, "devdb", list(sha256ID, make([]byte, 32))), "devdb: 1 hash", ``},

	{"image", 0x80000003, image(path(pciRoot, pci, file)), "/EFI/BOOT/BOOTX64.EFI at PciRoot(0x0)/Pci(0x3,0x0)", `"kind":"image","address":"0x1000","size":4096,"link_time":"0x0","path":{"text":"PciRoot(0x0)/Pci(0x3,0x0)/\\EFI\\BOOT\\BOOTX64.EFI"`},
	{"driver without a file", 0x80000004, image(path(pciRoot)), "image of 4096 bytes at PciRoot(0x0)", ``},
	{"image without a path", 0x80000003, image(nil), "image of 4096 bytes at 0x1000", `"path":{"text":"","nodes":[]}`},
	{"image, 32 bits", 0x80000003, bytesOf(uint64(0x1000), uint32(64), uint32(0), uint32(len(path(file))), path(file)), "/EFI/BOOT/BOOTX64.EFI", `"size":64`},
	{"image of old shim", 0x80000003, append(make([]byte, 40), 0xAF), "image (+9 bytes)", `"trailing":9`},
	{"image, short", 0x80000003, []byte{1, 2, 3}, "undecodable (too short for an image): 010203", ``},
	{"image with a bad path", 0x80000003, image([]byte{1, 1, 2, 0}), "undecodable (device path: a node at offset 0 that is longer than the path, or has no length): image of 4096 bytes at 0x1000", ``},

	{"GPT", 0x80000006, partitions("EFI", ""), "GPT of disk 1c1c8fb8-306e-4682-b66a-f418c6e3fccf: 2 partitions (EFI, EFI system partition)", `"disk":"1c1c8fb8-306e-4682-b66a-f418c6e3fccf","partitions":[{"name":"EFI","type":"c12a7328-f81f-11d2-ba4b-00a0c93ec93b","type_name":"EFI system partition","guid":"77fa9abd-0359-4d32-bd60-28f4e78f784b","first_block":2048,"last_block":4095,"attributes":"0x0"}`},
	{"GPT, cut", 0x80000006, partitions("EFI")[:150], "undecodable (1 partitions in 50 bytes): GPT of disk 1c1c8fb8-306e-4682-b66a-f418c6e3fccf: 0 partitions", ``},
	{"GPT, none", 0x8000000D, make([]byte, 100), "undecodable (no partition table): 0000000000000000000000000000000000000000000000000000000000000000… (100 bytes)", ``},

	{"grub", 13, []byte("grub_cmd: set timeout=0\x00"), "grub: set timeout=0", `"kind":"boot","what":"command","text":"set timeout=0"`},
	{"grub of Alibaba", 13, []byte("grub_cmd set timeout=0\x00\x8b"), "grub: set timeout=0 (+1 byte)", `"what":"command"`},
	{"command line", 13, []byte("kernel_cmdline: /vmlinuz quiet\x00"), "cmdline: /vmlinuz quiet", `"what":"kernel-cmdline"`},
	{"module", 13, []byte("module_cmdline: /m x\x00"), "module: /m x", `"what":"module-cmdline"`},
	{"grub's file", 13, []byte("(hd0,gpt1)/boot/grub/grub.cfg\x00"), "file (hd0,gpt1)/boot/grub/grub.cfg", `"what":"file"`},
	{"shim", 13, []byte("MokListX\x00"), "shim: MokListX", `"what":"shim"`},
	{"stub's command line", 13, bytesOf(wide("console=ttyS0 root=x"), uint16(0)), "console=ttyS0 root=x", `"what":"text","text":"console=ttyS0 root=x","utf16":true`},
	{"loader's command line, half of its NUL", 13, bytesOf(wide("quiet rw"), byte(0)), "quiet rw", `"what":"text","text":"quiet rw","utf16":true`},
	{"stub's section", 13, bytesOf(wide(".linux"), uint16(0)), "section .linux", `"what":"section"`},
	{"other text of a loader", 13, []byte("hello\x00"), "hello", `"what":"other"`},
	{"other bytes of a loader", 13, []byte{1, 2, 3}, "010203", `"kind":"data"`},

	{"initrd", 6, bytesOf(uint32(0x8F3B22EC), uint32(13), "Linux initrd\x00"), "Linux initrd", `"kind":"tag","id":"0x8f3b22ec","name":"Linux initrd","text":"Linux initrd"`},
	{"load options", 6, bytesOf(uint32(0x8F3B22ED), uint32(26), "LOADED_IMAGE::LoadOptions\x00"), "Linux load options", ``},
	{"loader.conf", 6, bytesOf(uint32(0xF5BC582A), uint32(24), wide("loader.conf"), uint16(0)), "loader.conf", `"name":"loader.conf"`},
	{"unknown tag", 6, bytesOf(uint32(1), uint32(2), "\x01\x02", byte(9)), "tag 0x00000001: 0102 (+1 byte)", `"id":"0x00000001","data":"0102"`},
	{"name without a tag", 6, []byte("LOADED_IMAGE::LoadOptions\x00"), "LOADED_IMAGE::LoadOptions", `"text":"LOADED_IMAGE::LoadOptions"`},
	{"name shorter than a tag", 6, []byte("x y\x00"), "undecodable (a tag that is longer than the data): 78207900", ``},
	{"tag, cut", 6, bytesOf(uint32(1), uint32(20), "x"), "undecodable (a tag that is longer than the data): 010000001400000078", ``},
	{"AAEL", 6, bytesOf("LEAA", uint32(18), "a.example op {x y}"), "a.example op {x y}", `"kind":"aael","domain":"a.example","operation":"op","content":"{x y}"`},
	{"AAEL of two words", 6, bytesOf("LEAA", uint32(4), "a op"), "undecodable (an event of the attestation agent that is not domain, operation and content): AAEL: a op", ``},
	{"AAEL that is no text", 6, bytesOf("LEAA", uint32(5), "a b \xff"), "undecodable (an event of the attestation agent that is not UTF-8): AAEL: 612062" + "20ff", ``},

	{
		"Windows", 6, sipa(
			0x40010001,
			sipa(0x00020002, uint64(17)), sipa(0x00040001, byte(0)), sipa(0x00050002, byte(1)), sipa(0x00050002, byte(9)),
			sipa(0x40010003, sipa(0x00070001, wide(`\Windows\x.sys`), uint16(0)), sipa(0x00070002, uint64(4096)),
				sipa(0x00070003, uint32(0x800C)), sipa(0x00070003, uint32(0x8003)), sipa(0x00070004, "\xab\xcd"),
				sipa(0x00070007, uint64(0xFFFF)), sipa(0x0007000E, uint64(0x000A000000010002))),
			sipa(0x40010002, sipa(0x00090004, "\x01")), sipa(0x00021234, "?"),
		),
		`Windows TRUSTBOUNDARY: BOOTCOUNTER 17, BOOTDEBUGGING off, CODEINTEGRITY on, CODEINTEGRITY 9, LOADEDMODULE_AGGREGATION \Windows\x.sys, ELAM_AGGREGATION, … (7 events)`,
		`"kind":"windows","id":"0x40010001","name":"TRUSTBOUNDARY","events":[{"id":"0x00020002","name":"BOOTCOUNTER","value":17},` +
			`{"id":"0x00040001","name":"BOOTDEBUGGING","value":0},{"id":"0x00050002","name":"CODEINTEGRITY","value":1},` +
			`{"id":"0x00050002","name":"CODEINTEGRITY","value":9},{"id":"0x40010003","name":"LOADEDMODULE_AGGREGATION","events":[` +
			`{"id":"0x00070001","name":"FILEPATH","text":"\\Windows\\x.sys"},{"id":"0x00070002","name":"IMAGESIZE","value":4096},` +
			`{"id":"0x00070003","name":"HASHALGORITHMID","algorithm":"sha256"},{"id":"0x00070003","name":"HASHALGORITHMID","algorithm":"0x8003"},` +
			`{"id":"0x00070004","name":"AUTHENTICODEHASH","data":"abcd"},{"id":"0x00070007","name":"IMAGEBASE","address":"0xffff"},` +
			`{"id":"0x0007000e","name":"MODULE_VERSION","version":"10.0.1.2"}]},{"id":"0x40010002","name":"ELAM_AGGREGATION","events":[` +
			`{"id":"0x00090004","name":"ELAM_MEASURED","data":"01"}]},{"id":"0x00021234","data":"3f"}]}`,
	},
	{
		"Windows, policies", 6, sipa(
			0x40010001,
			sipa(0x0005000F, uint64(0x000A000000000001), uint16(6), uint16(0xB), uint32(2), wide("wd"), uint16(0), "\x01\x02"),
			sipa(0x00050013, uint64(5), uint32(2), uint16(0xB), "\x03\x04"),
		),
		"Windows TRUSTBOUNDARY: SI_POLICY wd 10.0.0.1, OS_REVOCATION_LIST sha256:0304",
		`"name":"SI_POLICY","version":"10.0.0.1","text":"wd","algorithm":"sha256","digest":"0102"},{"id":"0x00050013","name":"OS_REVOCATION_LIST","value":5,"algorithm":"sha256","digest":"0304"}`,
	},
	{"Windows, no container", 6, append(sipa(0x00050001, byte(1)), 0), "Windows OSKERNELDEBUG on (+1 byte)", `"kind":"windows","id":"0x00050001","name":"OSKERNELDEBUG","value":1,"trailing":1`},
	{"Windows, unknown container", 6, sipa(0x40010099), "Windows 0x40010099", `"id":"0x40010099","events":[]`},
	{"Windows, odd text", 6, sipa(0x40010001, sipa(0x00050009, "a")), "undecodable (SYSTEMROOT: 1 byte): Windows TRUSTBOUNDARY: SYSTEMROOT 61", `"name":"SYSTEMROOT","data":"61"`},
	{"Windows, odd number", 6, sipa(0x40010001, sipa(0x00020002, "abc")), "undecodable (BOOTCOUNTER: 3 bytes): Windows TRUSTBOUNDARY: BOOTCOUNTER 616263", `"data":"616263"`},
	{"Windows, cut policy", 6, sipa(0x0005000F, uint64(1), uint16(90), uint16(0xB), uint32(2), "x"), "undecodable (SI_POLICY: 17 bytes): Windows SI_POLICY 01000000000000005a000b000200000078", ``},
	{
		"Windows, cut", 6, sipa(0x40010001, sipa(0x00040001, byte(0)), uint32(0x00050001), uint32(2), "x"),
		"undecodable (TRUSTBOUNDARY: an event at offset 9 that is longer than its container): Windows TRUSTBOUNDARY: BOOTDEBUGGING off", `"events":[{"id":"0x00040001","name":"BOOTDEBUGGING","value":0}]`,
	},
	{
		"Windows, deep", 6, sipa(0x40010001, sipa(0x40010001, sipa(0x40010001, sipa(0x40010001, sipa(0x40010001, sipa(0x00040001, byte(0))))))),
		"undecodable (containers more than 4 deep): Windows TRUSTBOUNDARY: TRUSTBOUNDARY", `{"id":"0x40010001","name":"TRUSTBOUNDARY","data":"010004000100000000"}]}]}]}]}`,
	},

	{
		"td_hob", 10, config("td_hob", hob(1, uint32(9), uint32(0), make([]byte, 40)),
			hob(3, make([]byte, 16), uint32(7), uint32(7), uint64(0x1000), uint64(4096)), hob(3, make([]byte, 16), uint32(1), uint32(0), uint64(0x9000), uint64(1)),
			hob(3, make([]byte, 16), uint32(0xFFFFFFFF), uint32(0), uint64(0), uint64(0)),
			hob(4, guid("6a0c5870-d4ed-44f4-a135-dd238b6f0c8d"), "DSDT"), hob(4, "x"), hob(0x77, "\x01"), hob(0xFFFF), make([]byte, 5)),
		"td_hob: 4096 bytes of memory in 1 range, 2 other resources, 2 extensions, 1 other block",
		`"kind":"td-shim","name":"td_hob","blocks":[{"type":"handoff","data":"0900000000000000` + strings.Repeat("00", 40) + `"},` +
			`{"type":"resource","resource":"unaccepted-memory","attributes":"0x7","base":"0x1000","size":4096},` +
			`{"type":"resource","resource":"mmio","attributes":"0x0","base":"0x9000","size":1},` +
			`{"type":"resource","resource":"4294967295","attributes":"0x0","base":"0x0","size":0},` +
			`{"type":"extension","guid":"6a0c5870-d4ed-44f4-a135-dd238b6f0c8d","name":"ACPI table","data":"44534454"},` +
			`{"type":"extension","data":"78"},{"type":"0x0077","data":"01"}]}`,
	},
	{"td_hob without an end", 10, config("td_hob", hob(1)), "undecodable (td_hob: no whole block at offset 8): td_hob: 0 bytes of memory in 0 ranges", `"blocks":[{"type":"handoff","data":""}]`},
	{"td_hob with a block of no size", 10, config("td_hob", uint16(3), uint16(0), uint32(0), hob(0xFFFF)), "undecodable (td_hob: no whole block at offset 0): td_hob: 0 bytes of memory in 0 ranges", ``},
	{"td_hob with more behind", 10, config("td_hob", hob(0xFFFF), "\x01\x00\x02"), "undecodable (td_hob: 3 bytes behind the last block): td_hob: 0 bytes of memory in 0 ranges", ``},
	{"td_payload_info", 10, append(config("td_payload_info", "console=hvc0\x00\x00"), 7), "td_payload_info: console=hvc0 (+1 byte)", `"name":"td_payload_info","text":"console=hvc0"`},
	{"td_payload_svn", 10, config("td_payload_svn", uint64(3)), "td_payload_svn: 3", `"name":"td_payload_svn","svn":3`},
	{"td_payload_svn, short", 10, config("td_payload_svn", uint32(3)), "undecodable (td_payload_svn: 4 bytes, not eight): td_payload_svn: 03000000", `"data":"03000000"`},
	{"secure_authority", 10, config("secure_authority", "\x01\x02"), "secure_authority: 0102", `"name":"secure_authority","data":"0102"`},
	{"td_hob, cut", 10, config("td_hob", hob(0xFFFF))[:27], "td_hob 08000000ffff08000000" + "00", `"kind":"text"`},
	{"td_payload", 0x8000000A, bytesOf(byte(11), "td_payload\x00", uint64(0x1000000), uint64(7)), "td_payload: 7 bytes at 0x1000000", `"kind":"blob","name":"td_payload"`},

	{
		"Spec ID", 3, bytesOf("Spec ID Event03\x00", uint32(0), byte(0), byte(2), byte(0), byte(2), uint32(2), uint16(4), uint16(20), uint16(0xB), uint16(32), byte(3), "foo"),
		"log of version 2.0, banks sha1, sha256, vendor foo", `"kind":"spec-id","signature":"Spec ID Event03","version":"2.0","errata":0,"platform_class":0,"uintn_size":2,"banks":[{"bank":"sha1","size":20},{"bank":"sha256","size":32}],"vendor":"666f6f"`,
	},
	{"Spec ID of CoCo", 3, bytesOf(make([]byte, 24), uint32(1), uint16(12), uint16(48), byte(0)), "log of version 0.0, banks sha384", ``},
	{"Spec ID of TCG 1.2", 3, bytesOf("Spec ID Event02\x00", uint32(0), byte(2), byte(1), byte(0), byte(2), byte(0)), "log of version 1.2", ``},
	{"Spec ID, many banks", 3, bytesOf("Spec ID Event03\x00", uint64(0), uint32(1<<31)), "undecodable (2147483648 banks): log of version 0.0", ``},
	{"locality", 3, []byte("StartupLocality\x00\x03"), "TPM started from locality 3", `"kind":"startup-locality","locality":3`},
	{"locality, cut", 3, []byte("StartupLocality\x00"), "undecodable (a startup locality without its value): 537461727475704c6f63616c69747900", ``},
	{"SP800-155", 3, bytesOf("SP800-155 Event\x00", uint32(11129), guid(owner)), "reference manifest 77fa9abd-0359-4d32-bd60-28f4e78f784b", `"kind":"reference","version":1,"vendor_id":11129,"manifest":"77fa9abd-0359-4d32-bd60-28f4e78f784b"`},
	{
		"SP800-155, 3", 3, bytesOf("SP800-155 Event3", uint32(11129), guid(owner), byte(2), "M\x00", byte(1), "\x00", byte(1), "\x00", byte(2), "F\x00", uint32(1), byte(4), "2.7\x00", uint32(1), uint32(11), "https://x/y", uint32(0), uint32(0), make([]byte, 6)),
		"reference manifest 77fa9abd-0359-4d32-bd60-28f4e78f784b of firmware F 2.7 at https://x/y", `"firmware_version":"2.7","locator_type":1,"locator":"https://x/y"`,
	},
	{"BIOSIntegrity", 3, bytesOf("BIOSIntegrityEv\x00", "\x01\x02"), "BIOSIntegrityEv 0102", `"kind":"no-action","signature":"BIOSIntegrityEv","data":"0102"`},
	{"no action, bytes", 3, []byte{1, 2}, "0102", `"kind":"data"`},

	{"GCE", 17, bytesOf("GCE NonHostInfo\x00", byte(4), make([]byte, 15)), "memory encryption: SEV-SNP", `"technology":4,"name":"SEV-SNP"`},
	{"nonhost, text", 17, []byte("x y"), "x y", `"kind":"text"`},

	{
		"SPDM", 0x800000E1, bytesOf("SPDM Device Sec\x00", uint16(1), uint16(0), uint32(2), uint32(1), byte(1), byte(1), uint16(3), "abc", uint16(0), uint16(16), uint16(0x8086), uint16(0x1234), make([]byte, 8)),
		"PCI device 8086:1234: 01010300616263", `"kind":"device","version":1,"spdm_hash":2,"device_kind":1,"pci_vendor":"8086","pci_device":"1234","data":"01010300616263"`,
	},
	{
		"SPDM 2", 0x800000E2, bytesOf("SPDM Device Sec2", uint16(2), byte(0), byte(0), uint32(0), uint32(0), uint32(0), uint32(3), uint64(7), uint64(len(path(pciRoot, pci))), path(pciRoot, pci), "abc"),
		"device at PciRoot(0x0)/Pci(0x3,0x0): 616263", `"state":0`,
	},
	{"SPDM, cut", 0x800000E1, []byte("SPDM Device Sec\x00\x01"), "undecodable (too short): device: ", ``},
	{"SPDM of another kind", 0x800000E1, []byte("SPDM Device Sec9"), `undecodable (signature "SPDM Device Sec9"): 5350444d20446576696365205365633` + "9", ``},

	{"dstack 1", 0x08000001, bytesOf(uint32(0x08000001), ":compose-hash:\xab\xcd"), "compose-hash: abcd", `"kind":"runtime","version":1,"name":"compose-hash","payload":"abcd"`},
	{"dstack 2", 0x08000001, []byte(`{"name":"compose-hash","payload":"abcd","type":134217729}`), "compose-hash: abcd", `"version":2,"name":"compose-hash","payload":"abcd"`},
	{"dstack 2, escapes", 0x08000001, []byte(`{"name":"a\"b\u0007","payload":"","type":134217729}`), `"a\"b\x07": `, `"name":"a\"b\u0007","payload":""`},
	{"dstack 2, broken", 0x08000001, []byte(`{"name":"a\","payload":"","type":134217729}`), `{"name":"a\","payload":"","type":134217729}`, `"kind":"text"`},
	{"dstack, other", 0x08000001, []byte("system-ready"), "system-ready", `"kind":"text"`},
	{"unknown type", 0x12345678, []byte("hello"), "hello", ``},
	{"unknown type, bytes", 0x12345678, []byte{1}, "01", ``},
}

func TestDecode(t *testing.T) {
	for _, c := range decodings {
		t.Run(c.what, func(t *testing.T) {
			e := event.Decode(record(c.event, c.data))
			if got := e.Text(); got != c.text {
				t.Errorf("text %s\nwant %s", got, c.text)
			}
			got := e.AppendJSON([]byte("x"))[1:]
			if !json.Valid(got) || !strings.Contains(string(got), c.json) {
				t.Errorf("JSON %s\nwant %s", got, c.json)
			}
			if (e.Reason != "") != strings.HasPrefix(c.text, "undecodable") {
				t.Errorf("reason %q", e.Reason)
			}
		})
	}
}

// TestOtherRecords: what is no TCG event is data.
func TestOtherRecords(t *testing.T) {
	for _, rec := range []mrlog.Record{
		{Type: mrlog.TypeCCCEL, Content: []byte("a b c")},
		{Type: mrlog.TypePCClient, Event: 4, Form: mrlog.FormJSON, Content: []byte("{}")},
		{Type: 81, Content: []byte{1}},
	} {
		if e := event.Decode(&rec); e.Kind() != "data" || e.Reason != "" || event.Measured(&rec).Certain {
			t.Errorf("%d: %s %q", rec.Type, e.Kind(), e.Reason)
		}
	}
	if (event.Event{}).Text() != "" || string((event.Event{}).AppendJSON(nil)) != `{"kind":"data"}` {
		t.Error("the zero event is not empty")
	}
}

func TestDecodeCOS(t *testing.T) {
	for _, c := range []struct{ content, text, json string }{
		{"\x01\x00\x00\x00\x09sha256:00", "ImageDigest: sha256:00", `"kind":"launch","number":1,"name":"ImageDigest","value":"sha256:00"`},
		{"\x05\x00\x00\x00\x03A=b", "EnvVar: A=b", ``},
		{"\x08\x00\x00\x00\x00", "LaunchSeparator", ``},
		{"\x08\x00\x00\x00\x02no", "LaunchSeparator: failed: no", ``},
		{"\x09\x00\x00\x00\x01\x01", "MemoryMonitor: 1", `"value":"1"`},
		{"\x20\x00\x00\x00\x01x", "event 32: x", ``},
		{"\x04\x00\x00\x00\x01\xff", "undecodable (a value that is not UTF-8): Arg: ff", ``},
		{"\x04\x00\x00\x01\x00x", "undecodable (an event of 256 bytes in 1): 040000010078", ``},
		{"\x04", "undecodable (too short for an event of Confidential Space): 04", ``},
	} {
		e := event.Decode(&mrlog.Record{Type: event.TypeCOS, Form: mrlog.FormTLV, Content: []byte(c.content)})
		if got := e.Text(); got != c.text {
			t.Errorf("%q: text %s", c.content, got)
		}
		if got := string(e.AppendJSON(nil)); !json.Valid([]byte(got)) || !strings.Contains(got, c.json) {
			t.Errorf("%q: JSON %s", c.content, got)
		}
	}
}

func TestNodes(t *testing.T) {
	ip := func(s string) []byte { return []byte(s) }
	for _, c := range []struct {
		node []byte
		want string
	}{
		{pci, "Pci(0x3,0x0)"},
		{node(1, 2, byte(1)), "PcCard(0x1)"},
		{node(1, 3, uint32(11), uint64(0x1000), uint64(0x1FFF)), "MemoryMapped(0xb,0x1000,0x1fff)"},
		{node(1, 4, guid(owner), "\x01\x02"), "VenHw(77FA9ABD-0359-4D32-BD60-28F4E78F784B,0102)"},
		{node(1, 4, guid(owner)), "VenHw(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(1, 5, uint32(2)), "Ctrl(0x2)"},
		{node(1, 6, byte(1), uint64(2)), "BMC(0x1,0x2)"},
		{node(1, 9), "Path(1,9,)"},
		{pciRoot, "PciRoot(0x0)"},
		{node(2, 1, uint32(0x0A0841D0), uint32(1)), "PcieRoot(0x1)"},
		{node(2, 1, uint32(0x060441D0), uint32(1)), "Floppy(0x1)"},
		{node(2, 1, uint32(0x123441D0), uint32(1)), "Acpi(PNP1234,0x1)"},
		{node(2, 1, uint32(0x0A031111), uint32(1)), "Acpi(0x0a031111,0x1)"},
		{node(2, 1, uint32(1)), "Path(2,1,01000000)"},
		{node(2, 2, uint32(0x0A0341D0), uint32(0), uint32(0), "HID\x00\x00CID\x00"), "AcpiEx(PNP0A03,0x00000000,0x0,HID,CID,)"},
		{node(2, 3, uint32(1), uint32(2)), "AcpiAdr(0x1,0x2)"},
		{node(2, 3), "Path(2,3,)"},
		{node(2, 4, uint32(1)), "NvdimmAcpiAdr(0x1)"},
		{node(3, 1, byte(1), byte(0), uint16(0)), "Ata(Secondary,Master,0x0)"},
		{node(3, 2, uint16(1), uint16(2)), "Scsi(0x1,0x2)"},
		{node(3, 3, uint32(0), uint64(1), uint64(2)), "Fibre(0x1,0x2)"},
		{node(3, 4, uint32(0), uint64(1)), "I1394(0000000000000001)"},
		{node(3, 5, byte(1), byte(2)), "USB(0x1,0x2)"},
		{node(3, 6, uint32(1)), "I2O(0x1)"},
		{node(3, 9, uint32(1), guid(owner), uint64(1), uint64(2), uint64(3)), "Infiniband(0x1,77FA9ABD-0359-4D32-BD60-28F4E78F784B,0x1,0x2,0x3)"},
		{node(3, 10, guid(owner)), "VenMsg(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(3, 11, "\x00\x13\x20\xf5\xfa\x77", make([]byte, 26), byte(1)), "MAC(001320f5fa77,0x1)"},
		{node(3, 12, ip("\xc0\xa8\x00\x01"), ip("\xc0\xa8\x00\x64"), uint32(0), uint16(6), byte(1), make([]byte, 8)), "IPv4(192.168.0.100,TCP,Static,192.168.0.1)"},
		{node(3, 12, ip("\xc0\xa8\x00\x01"), ip("\xc0\xa8\x00\x64"), uint32(0), uint16(17), byte(0), ip("\x0a\x00\x00\x01"), ip("\xff\x00\x00\x00")), "IPv4(192.168.0.100,UDP,DHCP,192.168.0.1,10.0.0.1,255.0.0.0)"},
		{node(3, 13, make([]byte, 15), byte(1), make([]byte, 16), uint32(0), uint16(0), byte(1), byte(64), make([]byte, 16)), "IPv6(0000:0000:0000:0000:0000:0000:0000:0000,0x0,StatelessAutoConfigure,0000:0000:0000:0000:0000:0000:0000:0001,0000:0000:0000:0000:0000:0000:0000:0000,64)"},
		{node(3, 14, uint32(0), uint64(115200), byte(8), byte(1), byte(1)), "Uart(115200,8,N,1)"},
		{node(3, 15, uint16(1), uint16(2), byte(3), byte(4), byte(5)), "UsbClass(0x1,0x2,0x3,0x4,0x5)"},
		{node(3, 16, uint16(1), uint16(2), uint16(3), wide("S1")), "UsbWwid(0x2,0x3,0x1,S1)"},
		{node(3, 17, byte(1)), "Unit(0x1)"},
		{node(3, 18, uint16(1), uint16(0xFFFF), uint16(0)), "Sata(0x1,0xffff,0x0)"},
		{node(3, 19, uint16(0), uint16(0), make([]byte, 8), uint16(1), "iqn.x"), "iSCSI(iqn.x,0x1,0x0000000000000000,0x0,TCP)"},
		{node(3, 20, uint16(5)), "Vlan(5)"},
		{node(3, 21, uint32(0), "\x00\x01\x02\x03\x04\x05\x06\x07", "\x00\x01\x02\x03\x04\x05\x06\x07"), "FibreEx(0x0001020304050607,0x0001020304050607)"},
		{node(3, 22, make([]byte, 16), uint16(1), uint16(2)), "SasEx(0x0000000000000000,0x0000000000000000,0x1,0x2)"},
		{node(3, 23, uint32(1), "\x01\x02\x03\x04\x05\x06\x07\x08"), "NVMe(0x1,08-07-06-05-04-03-02-01)"},
		{node(3, 24, "http://x/y\x1b"), `Uri("http://x/y\x1b")`},
		{node(3, 24), "Uri()"},
		{node(3, 25, byte(1), byte(2)), "UFS(0x1,0x2)"},
		{node(3, 26, byte(1)), "SD(0x1)"},
		{node(3, 27, "\x01\x02\x03\x04\x05\x06"), "Bluetooth(010203040506)"},
		{node(3, 28, "home", make([]byte, 28)), "Wi-Fi(home)"},
		{node(3, 29, byte(1)), "eMMC(0x1)"},
		{node(3, 30, "\x01\x02\x03\x04\x05\x06", byte(1)), "BluetoothLE(010203040506,0x1)"},
		{node(3, 32, guid(owner)), "Nvdimm(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(3, 34, byte(1), make([]byte, 16), "nqn.x\x00"), "NVMEoF(nqn.x,0x1,00000000000000000000000000000000)"},
		{node(3, 99, "x"), "Path(3,99,78)"},
		{disk, "HD(1,GPT,507A4A79-ECA4-4FD0-8BBC-D5F4FAC3E723,0x800,0x1000)"},
		{node(4, 1, uint32(1), uint64(8), uint64(16), "\x12\x34\x56\x78", make([]byte, 12), byte(1), byte(1)), "HD(1,MBR,0x78563412,0x8,0x10)"},
		{node(4, 2, uint32(1), uint64(2), uint64(3)), "CDROM(0x1,0x2,0x3)"},
		{node(4, 3, guid(owner), "x"), "VenMedia(77FA9ABD-0359-4D32-BD60-28F4E78F784B,78)"},
		{file, `\EFI\BOOT\BOOTX64.EFI`},
		{node(4, 4, wide("no end")), `no end`},
		{node(4, 4), `Path(4,4,)`},
		{node(4, 5, guid(owner)), "Media(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(4, 6, guid(owner)), "FvFile(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(4, 7, guid(owner)), "Fv(77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(4, 8, uint32(0), uint64(1), uint64(2)), "Offset(0x1,0x2)"},
		{node(4, 9, uint64(1), uint64(2), guid(owner), uint16(3)), "RamDisk(0x1,0x2,3,77FA9ABD-0359-4D32-BD60-28F4E78F784B)"},
		{node(4, 10), "Path(4,10,)"},
		{node(5, 1, uint16(2), uint16(0), "Disk\x00"), "BBS(HD,Disk,0x0)"},
		{node(5, 1, uint16(0x80), uint16(1), "\x00"), "BBS(0x80,,0x1)"},
		{node(9, 9, "ab"), "Path(9,9,6162)"},
	} {
		if got := event.DevicePath(c.node).Text(); got != c.want {
			t.Errorf("%x: %s, want %s", c.node, got, c.want)
		}
	}
	several := append(bytesOf(pciRoot, pci, node(0x7F, 1), pciRoot), path(file)...)
	several = append(several, path(file)...)
	if got, want := event.DevicePath(several).Text(), `PciRoot(0x0)/Pci(0x3,0x0),PciRoot(0x0)/\EFI\BOOT\BOOTX64.EFI,\EFI\BOOT\BOOTX64.EFI`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := event.DevicePath(append(bytes.Clone(pci), 1, 1, 3, 0)).Text(); got != "Pci(0x3,0x0)" {
		t.Errorf("a damaged path: %s", got)
	}
}
