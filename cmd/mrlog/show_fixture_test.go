// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/internal/eventdata"
	"mrlog.dev/tcg"
)

// Short names: the fixtures are full of them.
const (
	globalGUID   = eventdata.Global
	securityGUID = eventdata.Security
	ownerGUID    = eventdata.Owner
	vendorGUID   = "00112233-4455-6677-8899-aabbccddeeff"
)

type wide16 = eventdata.Wide

var (
	packed       = eventdata.Bytes
	guidBytes    = eventdata.GUID
	variableData = eventdata.Variable
)

// certificateOf is signed by one that has no country.
func certificateOf(cn string) []byte {
	der, rdn := eventdata.DER, eventdata.RDN
	return eventdata.Certificate(
		der(0x30, rdn("55040a", "Root, Inc.", 0x0C)),
		der(0x30, rdn("550406", "DE", 0x0C), rdn("55040a", "Test Ltd", 0x0C), rdn("550403", cn, 0x0C)),
	)
}

// devicePath leads to a file on a disk.
func devicePath(file string) []byte {
	return eventdata.Path(eventdata.PCIRoot(), eventdata.PCI(), eventdata.Disk(), eventdata.File(file))
}

// gptData is a partition table of one partition.
func gptData(name string) []byte {
	label := make([]byte, 72)
	copy(label, packed(wide16(name)))
	entry := packed(guidBytes("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), guidBytes(ownerGUID), uint64(2048), uint64(4095), uint64(1), label)
	header := packed("EFI PART", make([]byte, 48), guidBytes(vendorGUID), uint64(2), uint32(1), uint32(128), uint32(0))
	return packed(header, uint64(1), entry)
}

// Events that have no name in the root package.
const (
	evCRTMVersion    = 0x8
	evPlatformConfig = 0xA
	evIPL            = 0xD
	evConfig         = 0x80000001
	evBoot           = 0x80000002
	evApplication    = 0x80000003
	evGPT            = 0x80000006
	evBlob2          = 0x8000000A
	evTables2        = 0x8000000B
	evAuthority      = 0x800000E0
	evSPDM           = 0x800000E1
	evDstackEvent    = 0x08000001
)

// tcgFixture are events of every kind that package event tells apart, as a
// firmware, a boot loader and agents log them.
func tcgFixture() []mrlog.Record {
	var out []mrlog.Record
	add := func(index, event uint32, measured, data []byte) {
		rec := mrlog.Record{
			Register: mrlog.Register{Space: mrlog.PCR, Index: index}, Type: mrlog.TypePCClient, Event: event, Content: data,
			NotExtended: event == mrlog.EventNoAction,
		}
		for _, a := range []mrlog.Alg{mrlog.SHA256, mrlog.SHA384} {
			sum := a.AppendSum(nil, measured)
			if rec.NotExtended {
				sum = make([]byte, a.Size())
			}
			rec.Digests = append(rec.Digests, mrlog.Digest{Alg: a, Sum: sum})
		}
		out = append(out, rec)
	}
	whole := func(index, event uint32, parts ...any) { data := packed(parts...); add(index, event, data, data) }
	other := []byte("something that is not in the log")

	whole(0, mrlog.EventNoAction, "StartupLocality\x00\x03")
	whole(0, mrlog.EventNoAction, "SP800-155 Event3", uint32(11129), guidBytes(ownerGUID),
		"\x06Google", "\x05Model", "\x021\x00", "\x06Google", uint32(11129), "\x032.7", uint32(1), uint32(20), "https://example.org/", uint32(0), uint32(0))
	whole(0, mrlog.EventNoAction, "Vendor Event\x00\x00\x00\x00", "\x01\x02")
	whole(0, evCRTMVersion, wide16("Firmware 1.2"), uint16(0))
	whole(0, evCRTMVersion, guidBytes(vendorGUID))
	add(0, evBlob2, other, packed("\x08Fv(1234)", uint64(0xFFC00000), uint64(540672)))
	add(1, evTables2, other, packed("\x04ACPI", uint64(1), guidBytes("8868e871-e4f1-11d3-bc22-0080c73c8881"), uint64(0x7F00)))
	whole(7, evConfig, variableData(globalGUID, "SecureBoot", []byte{1}))
	whole(7, evConfig, variableData(securityGUID, "db", packed(
		eventdata.List(eventdata.X509, certificateOf("Test DB 2026")),
		eventdata.List(eventdata.SHA256, bytes.Repeat([]byte{0xAB}, 32)))))
	whole(7, evConfig, variableData(securityGUID, "dbx", nil))
	whole(7, evConfig, variableData(vendorGUID, "Blob", []byte{0xFF, 0x00, 0xFE}))
	whole(7, evConfig, variableData(globalGUID, "PK", []byte("short")))
	whole(0, 4, "\x00\x00\x00\x00")
	whole(6, 4, "an operating system starts")
	whole(6, 4, "\x01\x00\x00\x00")
	whole(1, evBoot, packed(uint16(1), uint16(0)))
	order := packed(uint16(1), uint16(2))
	add(1, evBoot, order, variableData(globalGUID, "BootOrder", order))
	path := devicePath(`\EFI\BOOT\BOOTX64.EFI`)
	boot := eventdata.Option(1, "Linux", path, packed(wide16("quiet"), uint16(0)))
	add(1, evBoot, boot, variableData(globalGUID, "Boot0001", boot))
	whole(5, evGPT, gptData("EFI system"))
	add(4, evApplication, other, eventdata.Image(path))
	whole(7, evAuthority, variableData(securityGUID, "db", packed(guidBytes(ownerGUID), certificateOf("Test DB 2026"))))
	whole(7, evAuthority, variableData(eventdata.Shim, "SbatLevel", []byte("sbat,1,2022052400\ngrub,2\n")))
	add(4, 5, []byte("Calling EFI Application"), []byte("Calling EFI Application from Boot Option"))
	grub := "linux /vmlinuz root=/dev/vda1"
	add(8, evIPL, []byte(grub), []byte("grub_cmd: "+grub+"\x00"))
	cmdline := "/vmlinuz root=/dev/vda1 ro quiet"
	add(8, evIPL, []byte(cmdline), []byte("kernel_cmdline: "+cmdline+"\x00"))
	add(9, evIPL, other, []byte("/boot/grub/grub.cfg\x00\x01"))
	whole(12, evIPL, wide16("console=ttyS0 quiet"), uint16(0))
	add(9, mrlog.EventTag, other, packed(uint32(0x8F3B22EC), uint32(13), "Linux initrd\x00"))
	whole(9, mrlog.EventTag, uint32(0x12345678), uint32(3), "\x01\x02\x03")
	agent := "example.org/puller PullImage docker.io/busybox:1"
	whole(16, mrlog.EventTag, uint32(0x4141454C), uint32(len(agent)), agent)
	windows := eventdata.Windows
	whole(12, mrlog.EventTag, windows(
		0x40010001,
		windows(0x00020002, uint64(17)), windows(0x00050001, uint8(0)),
		windows(0x40010003, windows(0x00070001, wide16(`\Windows\System32\winload.efi`), uint16(0)), windows(0x00070003, uint32(0x800C)),
			windows(0x00070004, bytes.Repeat([]byte{0x5A}, 32)), windows(0x00070007, uint64(0x800000)), windows(0x0007000E, uint64(0x000A000065F40001)), windows(0x00070008, wide16("Example Windows"), uint16(0))),
		windows(0x0005000F, uint64(0x000A000000000000), uint16(10), uint16(0xB), uint32(32), wide16("Base"), uint16(0), bytes.Repeat([]byte{0xA5}, 32)),
	))
	setting := func(index uint32, label string, parts ...any) {
		add(index, evPlatformConfig, packed(parts...), eventdata.Config(label, parts...))
	}
	setting(1, "td_hob", eventdata.HOB(1, uint32(9), make([]byte, 44)),
		eventdata.HOB(3, make([]byte, 16), uint32(7), uint32(7), uint64(0x100000), uint64(1<<31)),
		eventdata.HOB(4, guidBytes("6a0c5870-d4ed-44f4-a135-dd238b6f0c8d"), "DSDT"), eventdata.HOB(0xFFFF))
	setting(1, "secure_authority", "\x01\x02")
	setting(2, "td_payload_svn", uint64(3))
	setting(2, "td_payload_info", "console=hvc0\x00")
	whole(0, 0x11, "GCE NonHostInfo\x00", uint8(4), make([]byte, 15))
	add(2, evSPDM, other, packed("SPDM Device Sec\x00", uint16(1), uint16(0), uint32(1), uint32(1), "\x01\x01", uint16(3), "\x0A\x0B\x0C",
		uint16(0), uint16(0), uint16(0x8086), uint16(0x1234), make([]byte, 8)))
	spdmPath := eventdata.Path(eventdata.PCIRoot())
	add(2, evSPDM, other, packed("SPDM Device Sec2", uint16(2), uint8(0), uint8(0), uint32(0), uint32(2), uint32(0), uint32(3), uint64(0),
		uint64(len(spdmPath)), spdmPath, "\x0A\x0B\x0C"))
	whole(14, evDstackEvent, packed(uint32(evDstackEvent), ":compose-hash:", "\xab\xcd"))
	whole(14, evDstackEvent, packed(`{"name":"compose-hash: abcd","payload":"6f6b","type":134217729}`))
	whole(14, evConfig, variableData(vendorGUID, "SecureBoot", []byte{1}))
	whole(14, evConfig, variableData(vendorGUID, "SecureBoot = on", nil))
	whole(14, 0x0BADF00D, "\xde\xad\xbe\xef")
	whole(14, evConfig, "too short")
	whole(14, mrlog.EventAction, "EV_SEPARATOR\ttext", "\x00\xde\xad\xbe")
	whole(mrlog.NoIndex, mrlog.EventNoAction, "Vendor Event\x00\x00\x00\x00", "\x03")
	return out
}

// tcgLog writes a log of firmware with padding behind it.
func tcgLog(t testing.TB, records []mrlog.Record, padding int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tcg.NewWriter(&b, tcg.WriterOptions{Dialect: tcg.Agile})
	if err := w.Write(records); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), bytes.Repeat([]byte{0xFF}, padding)...)
}

// templateData is the data of an IMA template: fields with their sizes.
func templateData(fields ...[]byte) []byte {
	var p []byte
	for _, f := range fields {
		p = append(packed(p, uint32(len(f))), f...)
	}
	return p
}

// celFixture are contents of the other types, as CEL carries them in TLV.
func celFixture() []mrlog.Record {
	var out []mrlog.Record
	add := func(reg mrlog.Register, typ mrlog.ContentType, form mrlog.Form, name string, measured, content []byte) {
		out = append(out, mrlog.Record{
			Number: uint64(len(out)), HasNumber: true, Register: reg, Type: typ, Form: form, Content: content,
			Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, measured)}},
		})
		if name != "" {
			out[len(out)-1].Name = []byte(name)
		}
	}
	pcr := func(i uint32) mrlog.Register { return mrlog.Register{Space: mrlog.PCR, Index: i} }
	ima := func(name string, fields ...[]byte) {
		data := templateData(fields...)
		add(pcr(10), mrlog.TypeIMATemplate, mrlog.FormRaw, name, data, data)
	}
	sum := append([]byte("sha256:\x00"), bytes.Repeat([]byte{0x5A}, 32)...)
	signature := append([]byte{3, 2, 4, 0x1A, 0x2B, 0x3C, 0x4D, 0, 3}, 1, 2, 3)
	ima("ima-ng", sum, []byte("boot_aggregate\x00"))
	ima("ima-sig", sum, []byte("/usr/bin/some file (x)\x00"), signature)
	ima("ima-ngv2", append([]byte("verity:"), sum...), []byte("/usr/bin/python3\x00"))
	ima("ima-buf", sum, []byte("kexec-cmdline\x00"), []byte("root=/dev/vda1 quiet"))
	ima("ima-modsig", sum, []byte("/lib/modules/x.ko\x00"), nil, sum, []byte{0x30, 0x82})
	ima("evm-sig", sum, []byte("/bin/sh\x00"), append([]byte{5}, signature[1:]...), []byte("security.ima\x00"), packed(uint32(2)), []byte{7, 8},
		packed(uint32(0)), packed(uint32(0)), packed(uint16(0o755)))
	ima("d-ng|n-ng", []byte("nocolon"), []byte("no NUL"))
	add(pcr(10), mrlog.TypeIMATemplate, mrlog.FormRaw, "unknown-template", []byte("x"), []byte("\x01\x02"))
	tlv, _ := hex.DecodeString("0000000005412e545854010000000498ea6e4f07000000036c6162")
	add(pcr(10), mrlog.TypeIMATLV, mrlog.FormRaw, "", append([]byte{8, 0, 0, 0, byte(len(tlv))}, tlv...), tlv)
	add(pcr(11), mrlog.TypeSystemd, mrlog.FormRaw, "", []byte("enter-initrd"), []byte("enter-initrd"))
	var events []byte
	for _, m := range []cel.Management{{Type: cel.StateTrans, Value: cel.StateKexec}, {Type: cel.Timestamp, Value: 1234567}} {
		events = m.Append(events)
	}
	add(pcr(11), mrlog.TypeCEL, mrlog.FormTLV, "", events, events)
	version := cel.Management{Type: cel.CELVersion, Major: 1, Minor: 1}.Append(nil)
	add(pcr(11), mrlog.TypeCEL, mrlog.FormTLV, "", version, version)
	out[len(out)-1].NotExtended = true
	launch := append([]byte{1, 0, 0, 0, 13}, "sha256:abcdef"...)
	add(pcr(13), 80, mrlog.FormRaw, "", append([]byte{80, 0, 0, 0, byte(len(launch))}, launch...), launch)
	return out
}

func celLog(t testing.TB, records []mrlog.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := cel.NewTLVWriter(&b, cel.Minimal)
	if err == nil {
		err = w.Write(records)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// jsonFixture is what only JSON carries: the contents of systemd and of
// tpm2-tss. Those of systemd have keyed digests, so that nothing can be said of
// them.
var jsonFixture = `[
{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed"}],"content_type":"systemd","content":{"nvIndexName":"hardware","string":"cryptsetup:root:x","bootId":"0123456789abcdef0123456789abcdef","timestamp":1234567,"eventType":"volume-key"}},
{"rtmr":2,"mapped_pcr":11,"digests":[{"hashAlg":"sha384","digest":"` + strings.Repeat("0", 96) + `"}],"content_type":"systemd","content":{"string":"a key","eventType":"volume-key"}},
{"pcr":16,"digests":[{"hashAlg":"sha256","digest":"51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed"}],"content_type":"tss2","content":{"data":"656e7465722d696e69747264","event":{"app":"x"}}},
{"pcr":16,"digests":[{"hashAlg":"sha256","digest":"ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f"}],"content_type":"tss2","content":{"data":"ff00"}}
]`

// dstackFixture is what an agent of dstack gives, and leaves out.
var dstackFixture = `[{"imr":0,"event_type":2147483649,"digest":"` + strings.Repeat("0", 96) + `","event":"","event_payload":""},` +
	`{"imr":0,"event_type":10,"digest":"` + strings.Repeat("1", 96) + `","event":"acpi-loader","event_payload":"414350492044415441"},` +
	`{"imr":0,"event_type":10,"digest":"` + strings.Repeat("2", 96) + `","event":"a b","event_payload":"414350492044415441","more":1},` +
	`{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"6f6b"},` +
	`{"imr":3,"event_type":134217729,"digest":"","event":"a:b","event_payload":"abcd"}]`

// nelrFixture is a native log.
var nelrFixture = "INIT sha384/" + strings.Repeat("0", 96) + "\nexample.org/app Started version=1.2 and more\nfree form\n"

// violationFixture is a measurement list of Linux with a violation.
var violationFixture = []byte("10 0000000000000000000000000000000000000000 ima-ng sha256:" + strings.Repeat("0", 64) + " /var/log/open for writing\n")
