// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"encoding/binary"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"mrlog.dev"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
)

// eventlogDeviations are the differences from tpm2_eventlog: in which logs, and
// what [deviate] says of it. docs/interop.md explains each, in a row that begins
// alike.
var eventlogDeviations = []struct{ what, logs, says string }{
	{"the header of a CC log", "ccel-ones tcg/ccel-aael-alibaba tcg/ccel-cos113 tcg/ccel-ovmf tdx-intel/ccel", `bad pcrIndex for EV_NO_ACTION event`},
	{"the end flag, and zeros", "ccel-flag-then-zeros ccel-zero-flag ccel-zeros", `^refused .*: (PCR Index -1|corrupted log)`},
	{"index 0xFFFFFFFF", "no-action", `^refused .*: PCR Index -1`},
	{"an area without a log", "empty empty-ones empty-zeros", `^refused .*(failed to parse|segmentation fault)|tpm2_eventlog has 2`},
	{"CoCo's header", "coco-65 coco-69 coco-73", `^refused .*: corrupted log`},
	{"no header", "aael", `^refused .*: insufficient size`},
	{"header of TCG 1.2", "sha1-header sha1-ones", `^refused .*: numberOfAlgorithms is invalid`},
	{"an algorithm that is not SHA-1, SHA-2 or SM3", "banks unknown-alg", `^refused .*: PCR0 algorithm (39|68) unsupported`},
	{"sizes of digests in the header", "bad-header-empty-alg bad-header-huge-alg bad-header-size", `^read by`},
	{"header with an algorithm twice", "bad-header-twice", `^read by`},
	{"a record without digests", "bad-no-digest", `^read by`},
	{"two digests of one bank", "bad-many-digests bad-twice", `^read by`},
	{"EV_NO_ACTION events in PCR 0", "locality-0 locality-3 locality-4 cos-125-intel-tdx-secure-boot gdc-host glinux-alex ubuntu-2404-intel-tdx tcg/tpm-glinux-locality3 tcg/tpm-sp800-155", `^0 sha`},
	{"H-CRTM", "hcrtm host-gmes", `^0 sha|, EV_EFI_HCRTM_EVENT: `},
	{"PCR 17 to 22", "drtm drtm-late", `^(17|18) sha256: `},
	{"event types of PFP 1.06", "made", `EV_EFI_SPDM_FIRMWARE_BLOB, tpm2_eventlog: EventType: Unknown event type`},
	{"a variable without contents", "arch-linux-workstation made tcg/tpm-sdboot-fedora37", `EV_EFI_VARIABLE_DRIVER_CONFIG: , tpm2_eventlog: Enabled: 'No'`},
	{"shim's own certificate", "cos-85-amd-sev cos-93-amd-sev debian-10 rhel8-uefi tcg/tpm-debian10-sha1 tcg/tpm-postcode", `EV_EFI_VARIABLE_AUTHORITY: Signature(Owner: 00000000-0000|Data: 3082)`},
	{"text where a blob may be", "gdc-host glinux-alex made tcg/tpm-glinux-locality3", `(EV_S_CRTM_CONTENTS|EV_POST_CODE): .*, tpm2_eventlog: BlobBase: `},
	{"the name of a blob", "made", `BlobDescription: "445845", tpm2_eventlog: BlobDescription: "4458"`},
	{"a partition's name that is not ASCII", "made", `PartitionName: "Ärger", tpm2_eventlog: PartitionName: "\(null\)"`},
	{"a device path longer than the data", "made", `EV_EFI_RUNTIME_SERVICES_DRIVER: Event: `},
	{"bytes of a boot loader", "made", `EV_IPL: Event: "fffe01", tpm2_eventlog: String: `},
	{"the version of a Dell server", "gdc-host", `EV_S_CRTM_VERSION, digest is not of the data: false, tpm2_eventlog: true`},
	{"text that lost half of its NUL", "arch-linux-workstation", `EV_IPL, digest is not of the data: false, tpm2_eventlog: true`},
}

// TestEventlog compares with tpm2_eventlog on every vector, on real logs and on
// one of made-up events. A deviation that is not listed is a failure, as is a
// listed one that is none any more.
func TestEventlog(t *testing.T) {
	program := eventlogProgram(t)
	type log struct {
		data    []byte
		options tcg.Options
	}
	logs := map[string]log{"made": {data: madeLog(t)}}
	for _, v := range vectors(t) {
		logs[v.name] = log{v.log, v.options()}
	}
	for name, data := range peerLogs() {
		logs[name] = log{data: data}
	}
	if reallogs.Available() {
		for _, l := range realLogs(t) {
			logs[strings.TrimSuffix(l.File, ".bin")] = log{data: l.log}
		}
	}
	hit := map[string]bool{}
	for name, l := range logs {
		for _, difference := range deviate(t, program, l.data, l.options) {
			known := false
			for _, d := range eventlogDeviations {
				if slices.Contains(strings.Fields(d.logs), name) && regexp.MustCompile(d.says).MatchString(difference) {
					known, hit[d.what+name] = true, true
				}
			}
			if !known {
				t.Errorf("%s: %s", name, difference)
			}
		}
	}
	doc, err := os.ReadFile("../docs/interop.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "## tpm2_eventlog")
	for _, d := range eventlogDeviations {
		_, row, ok := strings.Cut(table, "\n| "+d.what+" | ")
		row, _, _ = strings.Cut(row, " | ")
		names := strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(row))
		if listed := strings.Fields(d.logs); !ok || !slices.Equal(names, listed) {
			t.Errorf("docs/interop.md, %s: %q, listed are %q", d.what, names, listed)
		}
		for _, name := range strings.Fields(d.logs) {
			if _, read := logs[name]; read && !hit[d.what+name] {
				t.Errorf("%s: no deviation any more: %s", name, d.what)
			}
		}
	}
}

// madeLog is a log of events whose data no log at hand has.
func madeLog(t testing.TB) []byte {
	t.Helper()
	const (
		global = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
		owner  = "\xbd\x9a\xfa\x77\x59\x03\x32\x4d\xbd\x60\x28\xf4\xe7\x8f\x78\x4b"
		x509   = "\xa1\x59\xc0\xa5\xe4\x94\xa7\x4a\x87\xb5\xab\x15\x5c\x2b\xf0\x72"
		sha256 = "\x26\x16\xc4\xc1\x4c\x50\x92\x40\xac\xa9\x41\xf9\x36\x93\x43\x28"
		path   = "\x02\x01\x0c\x00\xd0\x41\x03\x0a\x00\x00\x00\x00\x7f\xff\x04\x00"
	)
	le := binary.LittleEndian
	u32 := func(n uint32) string { return string(le.AppendUint32(nil, n)) }
	u64 := func(n uint64) string { return string(le.AppendUint64(nil, n)) }
	wide := func(s string) string { return string(utf16Bytes(s)) }
	variable := func(name, contents string) string {
		return global + u64(uint64(len(utf16.Encode([]rune(name))))) + u64(uint64(len(contents))) + wide(name) + contents
	}
	list := func(typ, header string, entries ...string) string {
		body := header + strings.Join(entries, "")
		return typ + u32(uint32(28+len(body))) + u32(uint32(len(header))) + u32(uint32(len(entries[0]))) + body
	}
	option := func(attributes uint32, description, more string) string {
		return u32(attributes) + string(le.AppendUint16(nil, uint16(len(path)))) + wide(description) + "\x00\x00" + path + more
	}
	partition := func(name string) string {
		return x509 + owner + u64(40) + u64(80) + u64(1<<60) + wide(name) + strings.Repeat("\x00", 72-len(wide(name)))
	}
	gpt := func(partitions ...string) string {
		return "EFI PART" + u32(0x10000) + u32(92) + u32(1) + u32(0) + u64(1) + u64(99) + u64(34) + u64(66) + owner + u64(2) +
			u32(128) + u32(128) + u32(2) + u64(uint64(len(partitions))) + strings.Join(partitions, "")
	}
	hash := owner + strings.Repeat("h", 32)
	var records []mrlog.Record
	for _, v := range vectors(t) {
		if v.name == "sha256" {
			all, err := read(v.log, tcg.Options{})
			if err != nil {
				t.Fatal(err)
			}
			records = all[:1] // the header
		}
	}
	for _, e := range []struct {
		pcr, event uint32
		data       string
	}{
		{7, 0x80000001, variable("SecureBoot", "\x00")},
		{7, 0x80000001, variable("SecureBoot", "")},
		{7, 0x80000001, variable("PK", "")},
		{7, 0x80000001, variable("db", list(x509, "", owner+"certificate")+list(sha256, "", hash, hash))},
		{7, 0x80000001, variable("dbx", list(sha256, "header", hash))},
		{7, 0x80000001, variable("AuditMode", "\x01")},
		{1, 0x80000002, variable("BootOrder", "\x01\x00\xff\xab")},
		{1, 0x80000002, variable("Boot0001", option(0, "inactive", ""))},
		{1, 0x80000002, variable("Boot00aB", option(0x101, "hidden", "quiet"))},
		{1, 0x8000000C, variable("Boot0002", option(1, "BOOT2", ""))},
		{7, 0x800000E0, variable("db", hash)},
		{7, 0x800000E0, variable("MokListTrusted", "\x01")},
		{7, 0x800000E0, variable("SbatLevel", "sbat,1\ngrub,2\n")},
		{0, 1, "POST CODE"},
		{0, 1, "ACPI DATA\x00"},
		{0, 1, "SMM CODE, SMM CO"},
		{0, 1, u64(0xFF130000) + u64(0xA7F000)},
		{0, 0x80000008, u64(0xFF130000) + u64(1) + "more"},
		{0, 0x8000000A, "\x03DXE" + u64(0xFF130000) + u64(1)},
		{5, 0x80000006, gpt()},
		{5, 0x80000006, gpt(partition("EFI"), partition(strings.Repeat("n", 36)))},
		{5, 0x80000006, gpt(partition("Ärger"))},
		{5, 0x80000007, "one\ntwo"},
		{4, 0x80000007, "with NUL\x00"},
		{9, 13, ""},
		{9, 13, "\"q\" 'r' \\ \tx\x00"},
		{9, 13, "é\x00"},
		{9, 13, "\xff\xfe\x01"},
		{12, 13, wide("quiet\x00")},
		{9, 13, wide("quiet") + "\x00"},
		{2, 0x80000004, u64(0x1000) + u64(20) + u64(0x2000) + u64(uint64(len(path))) + path + "more"},
		{2, 0x80000005, u64(0x1000) + u64(20) + u64(0x2000) + u64(0)},
		{2, 0x80000005, u64(0x1000) + u64(20) + u64(0x2000) + u64(1000)},
		{1, 6, u32(5) + u32(3) + "tag"},
		{0, 8, wide("1.0\x00")},
		{2, 4, "\xff\xff\xff\xff"},
		{2, 0x800000E1, "SPDM Device Sec\x00" + strings.Repeat("\x00", 20)},
		{0, 10, strings.Repeat("x", 2000)},
		{1, 9, "microcode\x00"},
		{14, 0x12345678, "?"},
	} {
		records = append(records, mrlog.Record{
			Register: mrlog.Register{Space: mrlog.PCR, Index: e.pcr},
			Type:     mrlog.TypePCClient, Event: e.event, Content: []byte(e.data),
			Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, []byte(e.data))}},
		})
	}
	log, err := write(records, tcg.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return log
}
