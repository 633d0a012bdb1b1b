// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// A log of one record of PCR 4, with a digest of data, in each encoding whose
// content may have more in it than its type has. The content is given as its
// encoding has it.

func jsonLog(typ, content string, data []byte) string {
	return array(entry(0, `"pcr":4`, typ, content, data, mrlog.SHA256))
}

func tlv(t byte, v string) string {
	return string(binary.BigEndian.AppendUint32([]byte{t}, uint32(len(v)))) + v
}

func tlvLog(typ byte, content string, data []byte) string {
	sum := string(mrlog.SHA256.AppendSum(nil, data))
	return tlv(0, "\x00") + tlv(1, "\x04") + tlv(3, tlv(0x0b, sum)) + tlv(typ, content)
}

// item is a CBOR string of a kind: 0x40 of bytes, 0x60 of text.
func item(kind byte, v string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind | 25}, uint16(len(v)))) + v
}

func cborLog(typ byte, content string, data []byte) string {
	sum := string(mrlog.SHA256.AppendSum(nil, data))
	return "\x81\xa5\x00\x00\x01\x04\x03\x81\xa2\x00\x0b\x01" + item(0x40, sum) + "\x09" + string(rune(typ)) + "\x0a" + content
}

// answer verifies a log against its own value, and says how its only content
// stands, and what is found.
func answer(t tester, log string) (c verify.Content, found string, ok bool) {
	t.Helper()
	r := check(t, values(t, log), log)
	b := r.Registers[0]
	c = verify.Opaque
	switch {
	case b.Differs > 0:
		c = verify.Differs
	case b.Matches > 0:
		c = verify.Matches
	}
	return c, findings(r), r.OK()
}

// TestWhole: a content with more in it than its type has is compared in what is
// known of it. One that cannot be read as its type is a finding.
func TestWhole(t *testing.T) {
	text := func(s string) []byte { return []byte(s) }
	zero := make([]byte, 4)
	cos := "\x50\x00\x00\x00\x05\x08\x00\x00\x00\x00" // LaunchSeparator
	none := "content is not what its type says, and its sha256 digest cannot be of it: "
	differs := "content does not hash to its sha256 digest: it is not what was measured"
	for _, c := range []struct {
		what, log string
		want      verify.Content
		found     string // "" with a yes
	}{
		// What was measured is there, beside something else.
		{"event", jsonLog("pcclient_std", `{"event_type":"EV_SEPARATOR","event_data":"00000000","x":[{"y":1}]}`, zero), verify.Opaque, ""},
		{"event, number", jsonLog("pcclient_std", `{"x":null,"event_type":4,"event_data":"00000000"}`, zero), verify.Opaque, ""},
		{"event of a name that nobody knows", jsonLog("pcclient_std", `{"event_type":"EV_NEWER","event_data":"00"}`, text("?")), verify.Opaque, ""},
		{"template", jsonLog("ima_template", `{"template_name":"ima-ng","template_data":"6162","x":1}`, text("ab")), verify.Opaque, ""},
		{"tss2", jsonLog("tss2", `{"data":"6162","event":{},"x":1}`, text("ab")), verify.Opaque, ""},
		{"systemd", jsonLog("systemd", `{"string":"ready","bootId":"00","newer":{"a":[]}}`, text("ready")), verify.Opaque, ""},
		{"systemd, nothing told", jsonLog("systemd", `{"bootId":"00"}`, text("ready")), verify.Opaque, ""},
		{"Confidential Space, upper case", strings.Replace(jsonLog("type", `"080000000A00"`, text("\x50\x00\x00\x00\x06\x08\x00\x00\x00\x0a\x00")), `"type"`, "80", 1), verify.Opaque, ""},
		{"event, CBOR", cborLog(5, "\xa3\x00\x04\x01\x44\x00\x00\x00\x00\x02\x01", zero), verify.Opaque, ""},
		{"event in pieces, CBOR", cborLog(5, "\xa2\x00\x04\x01\x5f\x42\x00\x00\x42\x00\x00\xff", zero), verify.Opaque, ""},
		{"event of a name that nobody knows, CBOR", cborLog(5, "\xa2\x00\x68EV_NEWER\x01\x41\x00", text("?")), verify.Opaque, ""},
		{"template, CBOR", cborLog(7, "\xa3\x00\x66ima-ng\x01\x42ab\x61x\xf6", text("ab")), verify.Opaque, ""},
		{"event, TLV", tlvLog(5, tlv(0, "\x04")+tlv(1, "\x00\x00\x00\x00")+tlv(2, ""), zero), verify.Opaque, ""},
		{"template, TLV", tlvLog(7, tlv(9, "z")+tlv(0, "ima-ng")+tlv(1, "ab"), text("ab")), verify.Opaque, ""},

		// It is not.
		{"event altered", jsonLog("pcclient_std", `{"event_type":"EV_SEPARATOR","event_data":"ffffffff","x":1}`, zero), verify.Differs, differs},
		{"template altered", jsonLog("ima_template", `{"template_name":"ima-ng","template_data":"6163","x":1}`, text("ab")), verify.Differs, differs},
		{"tss2 altered", jsonLog("tss2", `{"data":"6163","x":1}`, text("ab")), verify.Differs, differs},
		{"systemd altered", jsonLog("systemd", `{"string":"ready!","newer":1}`, text("ready")), verify.Differs, differs},
		{"event altered, CBOR", cborLog(5, "\xa3\x00\x04\x01\x44\xff\xff\xff\xff\x02\x01", zero), verify.Differs, differs},
		{"template altered, CBOR", cborLog(7, "\xa3\x00\x66ima-ng\x01\x42ac\x61x\xf6", text("ab")), verify.Differs, differs},
		{"event altered, TLV", tlvLog(5, tlv(0, "\x04")+tlv(1, "\xff\xff\xff\xff")+tlv(2, ""), zero), verify.Differs, differs},
		{"template altered, TLV", tlvLog(7, tlv(0, "ima-ng")+tlv(1, "ac")+tlv(2, ""), text("ab")), verify.Differs, differs},

		// It cannot be read.
		{"event without data", jsonLog("pcclient_std", `{"event_type":"EV_SEPARATOR"}`, zero), verify.Differs, none},
		{"event without type", jsonLog("pcclient_std", `{"event_data":"00000000","event":"EV_SEPARATOR"}`, zero), verify.Differs, none},
		{"event, data of another kind", jsonLog("pcclient_std", `{"event_type":"EV_SEPARATOR","event_data":0}`, zero), verify.Differs, none},
		{"event, type of another kind", jsonLog("pcclient_std", `{"event_type":-4,"event_data":"00000000"}`, zero), verify.Differs, none},
		{"event, type empty", jsonLog("pcclient_std", `{"event_type":"","event_data":"00000000"}`, zero), verify.Differs, none},
		{"event, string", jsonLog("pcclient_std", `"00000000"`, zero), verify.Differs, none},
		{"template without data", jsonLog("ima_template", `{"template_name":"ima-ng"}`, text("ab")), verify.Differs, none},
		{"template, name of another kind", jsonLog("ima_template", `{"template_name":1,"template_data":"6162"}`, text("ab")), verify.Differs, none},
		{"ima_tlv, no string", jsonLog("ima_tlv", `{"data":"00"}`, zero), verify.Differs, none},
		{"tss2 without data", jsonLog("tss2", `{"event":{}}`, text("ab")), verify.Differs, none},
		{"tss2, data of another kind", jsonLog("tss2", `{"data":1}`, text("ab")), verify.Differs, none},
		{"systemd, number", jsonLog("systemd", `7`, text("ready")), verify.Differs, none},
		{"systemd, string of another kind", jsonLog("systemd", `{"string":7}`, text("ready")), verify.Differs, none},
		{"dstack, no event", jsonLog("dstack", `{"event":1}`, text("ready")), verify.Differs, none},
		{"Confidential Space, no string", strings.Replace(jsonLog("type", `{"ImageRef":"x"}`, text(cos)), `"type"`, "80", 1), verify.Differs, none},
		{"event, number, CBOR", cborLog(5, "\x04", zero), verify.Differs, none},
		{"event without data, CBOR", cborLog(5, "\xa1\x00\x04", zero), verify.Differs, none},
		{"event, data is text, CBOR", cborLog(5, "\xa2\x00\x04\x01\x64abcd", zero), verify.Differs, none},
		{"template, array, CBOR", cborLog(7, "\x82\x66ima-ng\x42ab", text("ab")), verify.Differs, none},
		{"ima_tlv, text, CBOR", cborLog(8, "\x62ab", text("ab")), verify.Differs, none},
		{"systemd, map, CBOR", cborLog(9, "\xa1\x00\x62ab", text("ab")), verify.Differs, none},
		{"event without data, TLV", tlvLog(5, tlv(0, "\x04"), zero), verify.Differs, none},
		{"event, type of 9 bytes, TLV", tlvLog(5, tlv(0, "\x00\x00\x00\x00\x00\x00\x00\x00\x04")+tlv(1, "\x00\x00\x00\x00"), zero), verify.Differs, none},
		{"template without data, TLV", tlvLog(7, tlv(0, "ima-ng"), text("ab")), verify.Differs, none},

		// No rule is certain.
		{"another type", jsonLog("x.example", `{"data":1}`, text("ab")), verify.Opaque, ""},
		{"another number", strings.Replace(jsonLog("type", `{"data":1}`, text("ab")), `"type"`, "200", 1), verify.Opaque, ""},
		{"another number, CBOR", cborLog(17, "\x01", text("ab")), verify.Opaque, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, found, ok := answer(t, c.log)
			if got != c.want || ok != (c.found == "") || !strings.HasPrefix(found, c.found) {
				t.Errorf("%s, OK %v, %q; want %s, %q", got, ok, found, c.want, c.found)
			}
		})
	}
}

// TestVerifiersEvents: verifiers' claims have no data of events; that is no
// finding.
func TestVerifiersEvents(t *testing.T) {
	for _, log := range []string{
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[{"type_id":"0x4","type_name":"EV_SEPARATOR","tags":["x"],"measurement":"` + strings.Repeat("11", 48) + `"}]}]`,
		`[{"index":1,"type_name":"EV_NEWER","details":{},"digests":[{"alg":"SHA-384","digest":"` + strings.Repeat("11", 48) + `"}],"event":"AAAAAA=="}]`,
	} {
		if r := check(t, values(t, log), log); !r.OK() || r.Registers[0].Opaque != 1 {
			t.Errorf("%s\n%s, %s", log, states(r), findings(r))
		}
	}
}

// TestAddedMember: to add members to a content, or take some away, never turns a
// no into a yes; to add some turns no yes into a no. Nothing of it is bound.
func TestAddedMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 1, 20).Draw(t, "data")
		typ := rapid.SampledFrom([]string{"pcclient_std", "ima_template", "tss2", "systemd"}).Draw(t, "type")
		members := map[string][]string{
			"pcclient_std": {`"event_type":"EV_ACTION"`, fmt.Sprintf(`"event_data":"%x"`, data)},
			"ima_template": {`"template_name":"ima-ng"`, fmt.Sprintf(`"template_data":"%x"`, data)},
			"tss2":         {fmt.Sprintf(`"data":"%x"`, data)},
			"systemd":      {fmt.Sprintf(`"string":"%s"`, data), `"bootId":"00"`},
		}[typ]
		plain := jsonLog(typ, "{"+strings.Join(members, ",")+"}", data)
		if _, found, ok := answer(t, plain); !ok {
			t.Fatalf("%s\n%s", plain, found)
		}

		altered := rapid.Bool().Draw(t, "altered")
		measured := data
		if altered {
			measured = append([]byte("#"), data...)
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "added") {
			at := rapid.IntRange(0, len(members)).Draw(t, "place")
			m := fmt.Sprintf(`"x%d":%s`, i, rapid.SampledFrom([]string{"1", `"00"`, "null", `{"data":"00","event_data":"00"}`, "[]"}).Draw(t, "value"))
			members = append(members[:at:at], append([]string{m}, members[at:]...)...)
		}
		log := jsonLog(typ, "{"+strings.Join(members, ",")+"}", measured)
		c, found, ok := answer(t, log)
		if ok == altered || c == verify.Matches {
			t.Fatalf("altered: %v, OK: %v, %s\n%s\n%s", altered, ok, c, log, found)
		}
		if back := to(t, "cel-json", log); !strings.Contains(back, "{"+strings.Join(members, ",")+"}") {
			t.Fatalf("%s\nis written back as\n%s", log, back)
		}
	})
}

// TestAddedItem is TestAddedMember for the binary encodings.
func TestAddedItem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := string(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "data"))
		cbor, template := rapid.Bool().Draw(t, "cbor"), rapid.Bool().Draw(t, "template")
		var parts, extras []string
		typ := byte(5)
		if template {
			typ = 7
		}
		switch {
		case cbor && template:
			parts = []string{"\x00" + item(0x60, "ima-ng"), "\x01" + item(0x40, data)}
		case cbor:
			parts = []string{"\x00\x05", "\x01" + item(0x40, data)}
		case template:
			parts = []string{tlv(0, "ima-ng"), tlv(1, data)}
		default:
			parts = []string{tlv(0, "\x05"), tlv(1, data)}
		}
		if cbor {
			extras = []string{"\x02" + item(0x40, data), item(0x60, "x") + "\xf6", "\x20\x80", "\x40\xa1\x01" + item(0x40, data)}
		} else {
			extras = []string{tlv(2, data), tlv(9, ""), tlv(255, tlv(1, data))}
		}
		measured := data
		altered := rapid.Bool().Draw(t, "altered")
		if altered {
			measured = "#" + data
		}
		for range rapid.IntRange(1, 3).Draw(t, "added") {
			at := rapid.IntRange(0, len(parts)).Draw(t, "place")
			parts = slices.Insert(parts, at, rapid.SampledFrom(extras).Draw(t, "extra"))
		}
		content, format := strings.Join(parts, ""), "cel-tlv"
		log := tlvLog(typ, content, []byte(measured))
		if cbor {
			content, format = string([]byte{0xa0 | byte(len(parts))})+content, "cel-cbor"
			log = cborLog(typ, content, []byte(measured))
		}
		c, found, ok := answer(t, log)
		if ok == altered || c == verify.Matches {
			t.Fatalf("altered: %v, OK: %v, %s\n%x\n%s", altered, ok, c, log, found)
		}
		if back := to(t, format, log); !strings.Contains(back, content) {
			t.Fatalf("%x\nis written back as\n%x", log, back)
		}
	})
}
