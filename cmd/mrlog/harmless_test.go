// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestHarmlessContents: what is decoded of a content, wherever a producer may put
// a text, does nothing to a terminal, and begins no line.
func TestHarmlessContents(t *testing.T) {
	const evil = "\x1b[31mX\n0  pcr7  matches  \u009b\u202e"
	field := func(s string) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s }
	wide := ""
	for _, u := range utf16.Encode([]rune(evil)) {
		wide += string([]byte{byte(u), byte(u >> 8)})
	}
	sum := strings.Repeat("s", 20)
	records := []string{}
	add := func(typ, content string) {
		records = append(records, fmt.Sprintf(`{"recnum":%d,"pcr":5,"digests":[{"hashAlg":"sha1","digest":"%x"}],"content_type":%q,"content":{%s}}`, len(records), sum, typ, content))
	}
	for _, name := range []string{"ima", "ima-ng", "ima-ngv2", "ima-sigv2", "ima-buf", "evm-sig", `\u001b[31m|n-ng`, "d-ng|n-ng|d-modsig|modsig", `d|n|\u202e`} {
		for _, data := range []string{
			field(evil+":\x00"+sum) + field(evil+"\x00"), field("ima:"+evil+":\x00"+sum) + field(evil), field(evil+":sha1:\x00"+sum) + field(evil+"\x00") + field(evil),
			field("verity:sha1:\x00"+sum) + field(evil+"\x00") + field("\x03\x02\x04"+evil), sum + field(evil), evil, strings.Repeat(field(evil), 12),
		} {
			add("ima_template", fmt.Sprintf(`"template_name":"%s","template_data":"%x"`, name, data))
		}
	}
	for event, list := range map[string][]string{
		"EV_IPL":                   {wide + "\x00\x00", wide + "\x00", "grub_cmd: " + evil, "/" + evil, evil},
		"EV_EVENT_TAG":             {"\x09\x00\x05\x00" + field(wide), "\x01\x00\x01\x40" + field("\x01\x00\x07\x00"+field(wide)), "LEAA" + field(evil+" "+evil+" "+evil), "\xed\x22\x3b\x8f" + field(evil), evil},
		"EV_PLATFORM_CONFIG_FLAGS": {"td_payload_info\x00" + field(evil), "secure_authority" + field(evil), "td_hob" + strings.Repeat("\x00", 10) + field(evil), evil + "\x00"},
		"EV_S_CRTM_VERSION":        {wide, evil},
		"EV_SEPARATOR":             {evil, evil[:4]},
		"EV_NONHOST_INFO":          {evil},
		"EV_EFI_ACTION":            {evil},
		"EV_EFI_VARIABLE_BOOT":     {strings.Repeat("g", 16) + string(binary.LittleEndian.AppendUint64(nil, uint64(len(wide)/2))) + "\x01\x00\x00\x00\x00\x00\x00\x00" + wide + evil},
		"134217729":                {"\x01\x00\x00\x08:" + evil + ":" + evil},
	} {
		for _, data := range list {
			add("pcclient_std", fmt.Sprintf(`"event_type":%q,"event_data":"%x"`, event, data))
		}
	}
	path := filepath.Join(t.TempDir(), "log.json")
	if err := os.WriteFile(path, []byte("["+strings.Join(records, ",")+"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"--width=200", "--long", "--json", "--tsv"} {
		out, err := exec.CommandContext(t.Context(), "mrlog", "show", form, path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", form, err, out)
		}
		if text := strings.ReplaceAll(string(out), "\t", " "); strings.Contains(text, "\n0  pcr7") {
			t.Errorf("%s: a line that is none of a record", form)
		} else {
			harmless(t, form, text)
		}
	}
}
