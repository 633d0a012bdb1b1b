// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/verify"
)

var (
	zeros = make([]byte, 48)
	ones  = bytes.Repeat([]byte{0xFF}, 48)
)

// entry is a record of CEL-JSON with a digest of each algorithm: of what, or of
// the content if that is nil.
func entry(n int, pcr, typ, content string, what []byte, algs ...mrlog.Alg) string {
	var digests []string
	for _, a := range algs {
		digests = append(digests, fmt.Sprintf(`{"hashAlg":%q,"digest":"%x"}`, a, a.AppendSum(nil, what)))
	}
	return fmt.Sprintf(`{"recnum":%d,%s,"digests":[%s],"content_type":%q,"content":%s}`, n, pcr, strings.Join(digests, ","), typ, content)
}

func array(entries ...string) string { return "[" + strings.Join(entries, ",\n") + "]" }

// separator is an EV_SEPARATOR in a PCR.
func separator(n, pcr int, algs ...mrlog.Alg) string {
	return entry(n, fmt.Sprintf(`"pcr":%d`, pcr), "pcclient_std", `{"event_type":"EV_SEPARATOR","event_data":"00000000"}`, make([]byte, 4), algs...)
}

func line(n int, text string) string {
	return entry(n, `"pcr":2`, "CC-CEL", fmt.Sprintf("%q", text), []byte(text), mrlog.SHA384)
}

func TestStates(t *testing.T) {
	log := log384("a b c", "d e f")
	wrong := values(t, log)
	wrong[0].Value = bytes.Repeat([]byte{7}, 48)
	banks := "INIT sha1/" + strings.Repeat("0", 40) + " sha256/" + strings.Repeat("0", 64) + "\na b\n"
	both := values(t, banks)
	foreign := string(mrlog.AppendInit(nil, []mrlog.Digest{{Alg: mrlog.SHA384, Sum: ones}})) + "\na b\n"
	noAction := entry(0, `"pcr":0`, "pcclient_std", `{"event_type":"EV_NO_ACTION","event_data":"00"}`, []byte{0}, mrlog.SHA256)
	version := entry(0, `"pcr":4`, "cel", `{"type":"cel_version","data":{"major":1,"minor":1}}`, []byte{0}, mrlog.SHA256)
	unknown := `{"recnum":0,"pcr":4,"digests":[{"hashAlg":"0x0044","digest":"0011"}],"content_type":"pcclient_std","content":{"event_type":"EV_SEPARATOR","event_data":"00000000"}}`
	// led is the value that contents lead to, chained that of a separator.
	led := func(reg string, value []byte, contents ...string) verify.Expectation {
		for _, c := range contents {
			value = mrlog.SHA256.AppendSum(nil, mrlog.SHA256.AppendSum(bytes.Clone(value), []byte(c)))
		}
		return expect(t, reg, mrlog.SHA256, value)
	}
	chained := func(reg string, start byte) verify.Expectation {
		return led(reg, bytes.Repeat([]byte{start}, 32), "\x00\x00\x00\x00")
	}
	initOnes := append(mrlog.AppendInit(nil, []mrlog.Digest{{Alg: mrlog.SHA256, Sum: ones[:32]}}), '\n')
	sep := verify.Expectation{Register: mrlog.Register{Space: mrlog.PCR, Index: 4}, Alg: mrlog.SHA256, Value: unhex(t, "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969")}

	for _, c := range []struct {
		what   string
		expect []verify.Expectation
		logs   []string
		ok     bool
		states string
		prefix int64 // of the first register
		find   string
	}{
		{"its own value", values(t, log), []string{log}, true, "rtmr2:sha384=verified", -1, ""},
		{"as CEL-JSON", values(t, log), []string{to(t, "cel-json", log)}, true, "rtmr2:sha384=verified", -1, ""},
		{"as CEL-TLV", values(t, log), []string{to(t, "cel-tlv", log)}, true, "rtmr2:sha384=verified", -1, ""},
		{"as CEL-CBOR", values(t, log), []string{to(t, "cel-cbor", log)}, true, "rtmr2:sha384=verified", -1, ""},
		{"nothing is expected", nil, []string{log}, false, "rtmr2:sha384=unchecked", -1, ""},
		{"no logs", nil, nil, false, "", 0, ""},
		{"foreign value", wrong, []string{log}, false, "rtmr2:sha384=mismatch", -1, ""},
		{"log went on", after(t, log, 2), []string{log}, false, "rtmr2:sha384=mismatch", 2, ""},
		{"log went on after INIT", after(t, log, 1), []string{log}, false, "rtmr2:sha384=mismatch", 1, ""},
		{"nothing was extended yet", []verify.Expectation{expect(t, "rtmr2", mrlog.SHA384, zeros)}, []string{log}, false, "rtmr2:sha384=mismatch", 0, ""},
		{"register is ahead of the log", values(t, log), []string{log384("a b c")}, false, "rtmr2:sha384=mismatch", -1, ""},
		{"another register, never extended", []verify.Expectation{expect(t, "rtmr3", mrlog.SHA384, zeros)}, []string{"#: register rtmr2\n" + log}, false, "rtmr2:sha384=unchecked rtmr3:sha384=verified", -1, ""},
		{"that, beside one that is", append(values(t, "#: register rtmr2\n"+log), expect(t, "rtmr3", mrlog.SHA384, zeros)), []string{"#: register rtmr2\n" + log}, true, "rtmr2:sha384=verified rtmr3:sha384=verified", -1, ""},
		{"another register, extended by nobody knows", []verify.Expectation{expect(t, "rtmr3", mrlog.SHA384, ones)}, []string{log}, false, "rtmr2:sha384=unchecked rtmr3:sha384=mismatch", -1, ""},

		{"start that nothing explains", values(t, foreign), []string{foreign}, false, "rtmr2:sha384=unexplained-prefix", -1, ""},
		{"start that nothing explains, no match", wrong, []string{foreign}, false, "rtmr2:sha384=mismatch", -1, ""},
		{"value is the unexplained start", []verify.Expectation{expect(t, "rtmr2", mrlog.SHA384, ones)}, []string{foreign}, false, "rtmr2:sha384=mismatch", 0, ""},

		{"SHA-1 and SHA-256", both, []string{banks}, true, "rtmr2:sha1=weak rtmr2:sha256=verified", -1, ""},
		{"SHA-1 alone", both[:1], []string{banks}, false, "rtmr2:sha1=weak rtmr2:sha256=unchecked", -1, ""},
		{"SHA-1 alone, and another register", append([]verify.Expectation{expect(t, "rtmr3", mrlog.SHA256, make([]byte, 32))}, both[0]), []string{"#: register rtmr2\n" + banks}, false, "rtmr2:sha1=weak rtmr2:sha256=unchecked rtmr3:sha256=verified", -1, ""},
		{"SHA-1 matches, SHA-256 does not", []verify.Expectation{both[0], {Register: both[1].Register, Alg: mrlog.SHA256, Value: ones[:32]}}, []string{banks}, false, "rtmr2:sha1=weak rtmr2:sha256=mismatch", -1, ""},
		{"SHA-256 matches, SHA-1 does not", []verify.Expectation{{Register: both[1].Register, Alg: mrlog.SHA1, Value: ones[:20]}, both[1]}, []string{banks}, false, "rtmr2:sha1=mismatch rtmr2:sha256=verified", -1, ""},

		{"bank that the log does not have", []verify.Expectation{expect(t, "rtmr2", mrlog.SHA256, make([]byte, 32))}, []string{log}, false, "rtmr2:sha256=bank-not-present rtmr2:sha384=unchecked", -1, ""},
		{"and one that it has", append(values(t, log), expect(t, "rtmr2", mrlog.SHA512, make([]byte, 64))), []string{log}, false, "rtmr2:sha384=verified rtmr2:sha512=bank-not-present", -1, ""},

		{"separator", []verify.Expectation{sep}, []string{array(separator(0, 4, mrlog.SHA256))}, true, "pcr4:sha256=verified", -1, ""},
		{"EV_NO_ACTION is not extended", []verify.Expectation{expect(t, "pcr0", mrlog.SHA256, make([]byte, 32))}, []string{array(noAction)}, true, "pcr0:sha256=verified", -1, ""},
		{"cel_version is not extended", []verify.Expectation{sep}, []string{array(version, separator(1, 4, mrlog.SHA256))}, true, "pcr4:sha256=verified", -1, ""},
		{"only what is not extended", []verify.Expectation{expect(t, "pcr4", mrlog.SHA256, ones[:32])}, []string{array(version)}, false, "pcr4:sha256=mismatch", -1, ""},

		{"dynamic PCR, never launched", []verify.Expectation{expect(t, "pcr17", mrlog.SHA256, ones[:32])}, []string{array(noAction)}, true, "pcr17:sha256=verified", -1, ""},
		{"dynamic PCR, launched", []verify.Expectation{expect(t, "pcr17", mrlog.SHA256, zeros[:32])}, []string{array(noAction)}, true, "pcr17:sha256=verified", -1, ""},
		{"dynamic PCR, extended", []verify.Expectation{expect(t, "pcr17", mrlog.SHA256, bytes.Repeat([]byte{1}, 32))}, []string{array(noAction)}, false, "pcr17:sha256=mismatch", -1, ""},
		{"dynamic PCR, launched and extended", []verify.Expectation{chained("pcr17", 0)}, []string{array(separator(0, 17, mrlog.SHA256))}, true, "pcr17:sha256=verified", -1, ""},
		{"dynamic PCR, extended without a launch", []verify.Expectation{chained("pcr17", 0xFF)}, []string{array(separator(0, 17, mrlog.SHA256))}, true, "pcr17:sha256=verified", -1, ""},
		{"dynamic PCR, extended from elsewhere", []verify.Expectation{chained("pcr17", 1)}, []string{array(separator(0, 17, mrlog.SHA256))}, false, "pcr17:sha256=mismatch", -1, ""},
		{"dynamic PCR, launched, and more in the log", []verify.Expectation{chained("pcr17", 0)}, []string{array(separator(0, 17, mrlog.SHA256), separator(1, 17, mrlog.SHA256))}, false, "pcr17:sha256=mismatch", 1, ""},
		{"dynamic PCR, launched, and its INIT denies it", []verify.Expectation{led("pcr17", zeros[:32], string(initOnes[:len(initOnes)-1]), "a b")}, []string{"#: register pcr17\n" + string(initOnes) + "a b\n"}, false, "pcr17:sha256=mismatch", -1, ""},
		{"static PCR, from 0xFF", []verify.Expectation{chained("pcr16", 0xFF)}, []string{array(separator(0, 16, mrlog.SHA256))}, false, "pcr16:sha256=mismatch", -1, ""},
		{"static PCR of 0xFF", []verify.Expectation{expect(t, "pcr16", mrlog.SHA256, ones[:32])}, []string{array(noAction)}, false, "pcr16:sha256=mismatch", -1, ""},
		{"SHA-1 bank at its reset value", []verify.Expectation{expect(t, "pcr5", mrlog.SHA1, zeros[:20])}, []string{array(noAction)}, false, "pcr5:sha1=weak", -1, ""},

		{"unknown algorithm alone: the bank's own records are missing", []verify.Expectation{expect(t, "pcr4", mrlog.SHA256, zeros[:32])}, []string{array(unknown)}, false, "pcr4:sha256=bank-not-present", -1, ""},
		{"unknown algorithm beside", []verify.Expectation{sep}, []string{array(strings.Replace(separator(0, 4, mrlog.SHA256), `"digests":[`, `"digests":[{"hashAlg":"0x0044","digest":"0011"},`, 1))}, true, "pcr4:sha256=verified", -1, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := check(t, c.expect, c.logs...)
			if r.OK() != c.ok || states(r) != c.states {
				t.Errorf("OK %v, %s\nwant %v, %s\n%s", r.OK(), states(r), c.ok, c.states, findings(r))
			}
			if len(r.Registers) > 0 && r.Registers[0].Prefix != c.prefix {
				t.Errorf("prefix %d, want %d", r.Registers[0].Prefix, c.prefix)
			}
			if r.Found != 0 {
				t.Errorf("findings: %s", findings(r))
			}
		})
	}
}

// TestExpectations: what cannot be judged as it was meant is an error before a
// record is read, never left out.
func TestExpectations(t *testing.T) {
	log := log384("a b")
	good := values(t, log)[0]
	for what, x := range map[string]verify.Expectation{
		"no value":          {Register: good.Register, Alg: good.Alg},
		"empty value":       {Register: good.Register, Alg: good.Alg, Value: []byte{}},
		"short value":       {Register: good.Register, Alg: good.Alg, Value: good.Value[:47]},
		"unknown algorithm": {Register: mrlog.Register{Space: mrlog.RTMR, Index: 1}, Alg: 0x44, Value: good.Value},
		"another value":     {Register: good.Register, Alg: good.Alg, Value: ones},
	} {
		for _, all := range [][]verify.Expectation{{good, x}, {x, good}} {
			if r, err := tryCheck(t, all, 1, log); err == nil {
				t.Errorf("%s: OK is %v, %s, want an error", what, r.OK(), states(r))
			}
		}
	}
	if r := check(t, []verify.Expectation{good, good}, log); !r.OK() {
		t.Errorf("the same value twice: %s", states(r))
	}
}

// TestJoined: a log that begins where an earlier one of its register ends is
// joined to it, and to nothing else.
func TestJoined(t *testing.T) {
	first := log384("a b c", "d e f")
	end := values(t, first)[0].Value
	second := init384(end) + "\ng h i\n"
	x := values(t, second)
	firmware := array(entry(0, `"pcr":2,"space":"rtmr"`, "pcclient_std", `{"event_type":"EV_SEPARATOR","event_data":"00000000"}`, make([]byte, 4), mrlog.SHA384))
	joined := init384(values(t, firmware)[0].Value) + "\nx y\n"
	for _, c := range []struct {
		what   string
		expect []verify.Expectation
		logs   []string
		ok     bool
		states string
		found  int
	}{
		{"second alone", x, []string{second}, false, "rtmr2:sha384=unexplained-prefix", 0},
		{"first, second", x, []string{first, second}, true, "rtmr2:sha384=verified", 0},
		{"first, second, converted", x, []string{to(t, "cel-json", first), to(t, "cel-tlv", second)}, true, "rtmr2:sha384=verified", 0},
		// INIT of the first is then no longer the register's value.
		{"second, first", x, []string{second, first}, false, "rtmr2:sha384=mismatch", 1},
		{"first twice", values(t, first), []string{first, first}, false, "rtmr2:sha384=mismatch", 1},
		{"a record is missing between", x, []string{log384("a b c"), second}, false, "rtmr2:sha384=mismatch", 1},
		{"first of another register", x, []string{"#: register rtmr3\n" + first, second}, false, "rtmr2:sha384=unexplained-prefix rtmr3:sha384=unchecked", 0},
		{"firmware log, native log", values(t, joined), []string{firmware, joined}, true, "rtmr2:sha384=verified", 0},
		{"value at the seam", values(t, first), []string{first, second}, false, "rtmr2:sha384=mismatch", 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := check(t, c.expect, c.logs...)
			if r.OK() != c.ok || states(r) != c.states || r.Found != c.found {
				t.Errorf("OK %v, %s, %d findings\nwant %v, %s, %d\n%s", r.OK(), states(r), r.Found, c.ok, c.states, c.found, findings(r))
			}
			if c.found > 0 && (!strings.Contains(findings(r), "INIT record") || r.Findings[0].Number != 0 || r.Findings[0].Log != "log1") {
				t.Errorf("finding is %+v", r.Findings[0])
			}
			if c.what == "value at the seam" && r.Registers[0].Prefix != 3 {
				t.Errorf("prefix %d, want 3", r.Registers[0].Prefix)
			}
		})
	}
}

// TestForgedINIT: an INIT whose text was altered under its digest, or which
// stands where it does not belong, changes no start value, and is a finding.
func TestForgedINIT(t *testing.T) {
	target := bytes.Repeat([]byte{0x42}, 48)
	honest := array(line(0, init384(zeros)), line(1, "a b c"))
	x := values(t, honest)
	for _, c := range []struct {
		what   string
		log    string
		states string
		found  int
		text   string
	}{
		{"honest", honest, "verified", 0, ""},
		{"other value under the old digest", array(
			entry(0, `"pcr":2`, "CC-CEL", `"`+init384(target)+`"`, []byte(init384(zeros)), mrlog.SHA384), line(1, "a b c"),
		), "verified", 2, "its text does not hash to its digest"},
		{"other value with its own digest", array(line(0, init384(target)), line(1, "a b c")), "mismatch", 0, ""},
		{"later in the log", array(line(0, init384(zeros)), line(1, "a b c"), line(2, init384(target))), "mismatch", 1, "its value is not the register's at this point"},
		{"later in the log, reset value", array(line(0, init384(zeros)), line(1, "a b c"), line(2, init384(zeros))), "mismatch", 1, "its value is not the register's at this point"},
		{"after another record", array(line(0, "a b c"), line(1, init384(target))), "mismatch", 1, "its value is not the register's at this point"},
		{"unreadable", array(entry(0, `"pcr":2`, "CC-CEL", `"INIT sha384/00"`, []byte(init384(zeros)), mrlog.SHA384), line(1, "a b c")), "verified", 2, "hexadecimal digits"},
		{"of another bank", array(line(0, "INIT sha256/"+strings.Repeat("0", 64)), line(1, "a b c")), "mismatch", 2, "it states no value for this bank"},
		{"of more banks than digests", array(line(0, init384(zeros)+" sha256/"+strings.Repeat("1", 64)), line(1, "a b c")), "mismatch", 1, "no digest for this bank"},
		{"upper-case hexadecimal", array(line(0, "INIT sha384/"+strings.Repeat("AA", 48)), line(1, "a b c")), "mismatch", 1, "upper-case"},
		{"text changed to no INIT", array(entry(0, `"pcr":2`, "CC-CEL", `"init sha384"`, []byte(init384(zeros)), mrlog.SHA384), line(1, "a b c")), "verified", 1, "content does not hash"},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, format := range []string{"cel-json", "cel-tlv", "cel-cbor"} {
				r := check(t, x, to(t, format, c.log))
				if got := r.Registers[0]; got.State.String() != c.states || r.Found != c.found || !strings.Contains(findings(r), c.text) || len(r.Registers) != 1 {
					t.Errorf("%s: %s, %d findings\n%s\nwant %s, %d, %q", format, states(r), r.Found, findings(r), c.states, c.found, c.text)
				} else if c.what != "other value with its own digest" && !bytes.Equal(got.Start, zeros) {
					t.Errorf("start value is %x", got.Start)
				}
				if r.OK() != (c.what == "honest") {
					t.Errorf("OK is %v: %s", r.OK(), states(r))
				}
			}
		})
	}
	// A log that ends in what the forger wants the verifier to believe: the
	// start is stated such that nothing else is needed.
	r := check(t, []verify.Expectation{expect(t, "rtmr2", mrlog.SHA384, target)}, array(
		line(0, "a b c"), entry(1, `"pcr":2`, "CC-CEL", `"`+init384(target)+`"`, []byte("whatever"), mrlog.SHA384)))
	if r.OK() || r.Found != 2 {
		t.Errorf("%s, %s", states(r), findings(r))
	}
}

// TestAltered: content that was altered under its digest is a finding where the
// rule is known, and proves nothing where it is not.
func TestAltered(t *testing.T) {
	pc := func(event, data string) string {
		return fmt.Sprintf(`{"event_type":%q,"event_data":%q}`, event, data)
	}
	for _, c := range []struct {
		what, typ, content string
		digest             []byte // of what
		alg                mrlog.Alg
		want               verify.Content
	}{
		{"line", "CC-CEL", `"a b c"`, []byte("a b c"), mrlog.SHA384, verify.Matches},
		{"line, altered", "CC-CEL", `"a b d"`, []byte("a b c"), mrlog.SHA384, verify.Differs},
		{"line, emptied", "CC-CEL", `""`, []byte("a b c"), mrlog.SHA384, verify.Differs},
		{"separator", "pcclient_std", pc("EV_SEPARATOR", "00000000"), make([]byte, 4), mrlog.SHA384, verify.Matches},
		{"separator, altered", "pcclient_std", pc("EV_SEPARATOR", "ffffffff"), make([]byte, 4), mrlog.SHA384, verify.Differs},
		{"GPT event, altered", "pcclient_std", pc("EV_EFI_GPT_EVENT", "01"), []byte{2}, mrlog.SHA384, verify.Differs},
		{"variable authority, altered", "pcclient_std", pc("EV_EFI_VARIABLE_AUTHORITY", "01"), []byte{2}, mrlog.SHA384, verify.Differs},
		{"boot variable: of its data", "pcclient_std", pc("EV_EFI_VARIABLE_BOOT", "01"), []byte{2}, mrlog.SHA384, verify.Opaque},
		{"boot application: of the image", "pcclient_std", pc("EV_EFI_BOOT_SERVICES_APPLICATION", "01"), []byte{2}, mrlog.SHA384, verify.Opaque},
		{"EV_IPL", "pcclient_std", pc("EV_IPL", "01"), []byte{2}, mrlog.SHA384, verify.Opaque},
		{"EV_IPL that matches", "pcclient_std", pc("EV_IPL", "02"), []byte{2}, mrlog.SHA384, verify.Matches},
		{"EV_EVENT_TAG that matches", "pcclient_std", pc("EV_EVENT_TAG", "02"), []byte{2}, mrlog.SHA384, verify.Matches},
		{"systemd, bytes", "systemd", `"656e7465722d696e69747264"`, []byte("enter-initrd"), mrlog.SHA384, verify.Matches},
		{"systemd, bytes, altered or keyed", "systemd", `"656e7465722d696e69747265"`, []byte("enter-initrd"), mrlog.SHA384, verify.Opaque},
		{"systemd, object", "systemd", `{"string":"enter-initrd","bootId":"00"}`, []byte("enter-initrd"), mrlog.SHA384, verify.Part},
		{"systemd, object, altered", "systemd", `{"string":"leave-initrd","bootId":"00"}`, []byte("enter-initrd"), mrlog.SHA384, verify.Differs},
		{"systemd, object, escaped", "systemd", `{"string":"a\\\\x","bootId":"00"}`, []byte(`a\x`), mrlog.SHA384, verify.Part},
		{"systemd, object, perhaps escaped", "systemd", `{"string":"a\\\\n"}`, []byte(`a\n`), mrlog.SHA384, verify.Part},
		{"systemd, object, escaped and altered", "systemd", `{"string":"a\\\\n"}`, []byte(`b\n`), mrlog.SHA384, verify.Differs},
		{"systemd, volume key", "systemd", `{"string":"cryptsetup:x:y","eventType":"volume-key"}`, []byte("cryptsetup:x:y"), mrlog.SHA384, verify.Opaque},
		{"dstack, v1", "dstack", `{"imr":3,"event_type":134217729,"digest":"","event":"a","event_payload":"00","colon":1}`, []byte("\x01\x00\x00\x08:a:\x00"), mrlog.SHA384, verify.Part},
		{"dstack, v1, altered", "dstack", `{"imr":3,"event_type":134217729,"digest":"","event":"b","event_payload":"00","colon":1}`, []byte("\x01\x00\x00\x08:a:\x00"), mrlog.SHA384, verify.Differs},
		{"dstack, v1, of two names", "dstack", `{"imr":3,"event_type":134217729,"digest":"","event":"a:b","event_payload":"00"}`, []byte("\x01\x00\x00\x08:a:b:\x00"), mrlog.SHA384, verify.Opaque},
		{"tss2", "tss2", `{"data":"6869","event":"x"}`, []byte("hi"), mrlog.SHA384, verify.Part},
		{"tss2, altered", "tss2", `{"data":"6868","event":"x"}`, []byte("hi"), mrlog.SHA384, verify.Differs},
		{"IMA template", "ima_template", `{"template_name":"ima-ng","template_data":"0102"}`, []byte{1, 2}, mrlog.SHA384, verify.Matches},
		{"IMA template, altered", "ima_template", `{"template_name":"ima-ng","template_data":"0103"}`, []byte{1, 2}, mrlog.SHA384, verify.Differs},
		{"IMA template, altered, SHA-1", "ima_template", `{"template_name":"ima-ng","template_data":"0103"}`, []byte{1, 2}, mrlog.SHA1, verify.Differs},
		{"IMA template ima", "ima_template", `{"template_name":"ima","template_data":"0102"}`, []byte{1, 2}, mrlog.SHA1, verify.Matches},
		{"IMA template ima, in another form", "ima_template", `{"template_name":"ima","template_data":"0103"}`, []byte{1, 2}, mrlog.SHA1, verify.Opaque},
		{"IMA TLV, altered", "ima_tlv", `"0000000001aa"`, []byte{8}, mrlog.SHA384, verify.Differs},
		{"timestamp", "cel", `{"type":"cel_timestamp","data":1}`, []byte{8}, mrlog.SHA384, verify.Opaque},
		{"kind without a number", "someone.else", `{"data":"00"}`, []byte{0}, mrlog.SHA384, verify.Opaque},
	} {
		t.Run(c.what, func(t *testing.T) {
			log := array(entry(0, `"pcr":11`, c.typ, c.content, c.digest, c.alg))
			r := check(t, values(t, log), log)
			b := r.Registers[0]
			got := [3]uint64{b.Matches, b.Opaque, b.Differs}
			want := map[verify.Content][3]uint64{verify.Matches: {1, 0, 0}, verify.Opaque: {0, 1, 0}, verify.Part: {0, 1, 0}, verify.Differs: {0, 0, 1}}[c.want]
			if got != want {
				t.Errorf("matches, opaque, differs: %v, want %v", got, want)
			}
			if ok := c.want != verify.Differs && c.alg != mrlog.SHA1; r.OK() != ok {
				t.Errorf("OK is %v: %s", r.OK(), findings(r))
			}
			if c.want == verify.Differs {
				f := r.Findings[0]
				if r.Found != 1 || f.Alg != c.alg || f.Register.String() != "pcr11" || f.Log != "log0" || f.Span.Length == 0 || !strings.Contains(f.Text, "not what was measured") {
					t.Errorf("%d findings: %+v", r.Found, f)
				}
			}
		})
	}
}

// TestSpaces: a log that gives its register by a plain number is of the
// register that the caller expects; unless two could be meant, or it says.
func TestSpaces(t *testing.T) {
	plain := log384("a b c")
	value := values(t, plain)[0].Value
	x := func(regs ...string) (out []verify.Expectation) {
		for _, r := range regs {
			out = append(out, expect(t, r, mrlog.SHA384, value))
		}
		return out
	}
	for _, c := range []struct {
		expect []verify.Expectation
		log    string
		ok     bool
		states string
	}{
		{x("rtmr2"), plain, true, "rtmr2:sha384=verified"},
		{x("pcr2"), plain, true, "pcr2:sha384=verified"},
		{x("ccmr2"), plain, true, "ccmr2:sha384=verified"},
		{x("nv0x00000002"), plain, false, "rtmr2:sha384=unchecked nv0x00000002:sha384=mismatch"},
		{x("rtmr3"), plain, false, "rtmr2:sha384=unchecked rtmr3:sha384=mismatch"},
		{x("pcr2", "ccmr2"), plain, false, "pcr2:sha384=mismatch ccmr2:sha384=mismatch rtmr2:sha384=unchecked"},
		{x("pcr2", "ccmr2", "pcr2"), plain, false, "pcr2:sha384=mismatch ccmr2:sha384=mismatch rtmr2:sha384=unchecked"},
		{x("pcr2", "rtmr2"), plain, false, "pcr2:sha384=mismatch rtmr2:sha384=verified"},
		{x("rtmr2", "pcr2"), plain, false, "pcr2:sha384=mismatch rtmr2:sha384=verified"},
		{x("pcr2"), "#: register rtmr2\n" + plain, false, "pcr2:sha384=mismatch rtmr2:sha384=unchecked"},
		{x("pcr2"), to(t, "cel-json", plain), true, "pcr2:sha384=verified"},
		{x("pcr2"), to(t, "cel-tlv", plain), true, "pcr2:sha384=verified"},
		{x("pcr2"), to(t, "cel-cbor", plain), true, "pcr2:sha384=verified"},
		{x("rtmr14"), "#: register pcr14\n" + plain, false, "pcr14:sha384=unchecked rtmr14:sha384=mismatch"},
	} {
		r := check(t, c.expect, c.log)
		if r.OK() != c.ok || states(r) != c.states || r.Found > 0 {
			t.Errorf("%v of %.40q:\nOK %v, %s\nwant %v, %s", c.expect, c.log, r.OK(), states(r), c.ok, c.states)
		}
	}
	// The name goes for all of the log, however many batches it has.
	long := plain + strings.Repeat("one more line\n", 3000)
	for _, format := range []string{"nelr", "cel-json", "cel-seq", "cel-tlv", "cel-cbor"} {
		want := []verify.Expectation{expect(t, "pcr2", mrlog.SHA384, values(t, long)[0].Value)}
		if r := check(t, want, to(t, format, long)); !r.OK() || states(r) != "pcr2:sha384=verified" {
			t.Errorf("%s: %s", format, states(r))
		}
	}
}

// TestSkipped: digests of algorithms that cannot be computed are counted.
func TestSkipped(t *testing.T) {
	log := array(separator(0, 4, mrlog.SHA256),
		`{"recnum":1,"pcr":4,"digests":[{"hashAlg":"0x0044","digest":"00"},{"hashAlg":"0x0045","digest":"00"}],"content_type":"pcclient_std","content":{"event_type":"EV_IPL","event_data":""}}`,
		`{"recnum":2,"pcr":5,"digests":[{"hashAlg":"0x0044","digest":"00"}],"content_type":"pcclient_std","content":{"event_type":"EV_IPL","event_data":""}}`)
	r := check(t, values(t, log), log)
	if r.Skipped[0x44] != 2 || r.Skipped[0x45] != 1 || len(r.Skipped) != 2 {
		t.Errorf("skipped: %v", r.Skipped)
	}
}

// TestHostile: a log that names a new register in every record is refused at a
// stated limit, with the place.
func TestHostile(t *testing.T) {
	var log strings.Builder
	n := 100000
	if testing.Short() {
		n = 2000
	}
	for i := range n {
		log.WriteString(separator(i, i, mrlog.SHA256))
		log.WriteByte('\n')
	}
	for _, procs := range []int{1, 2, 3} {
		_, err := tryCheck(t, nil, procs, log.String())
		var s *mrlog.SyntaxError
		if !errors.Is(err, mrlog.ErrLimit) || !errors.As(err, &s) || s.Line != mrlog.MaxReplayBanks+1 {
			t.Errorf("%v, want ErrLimit at line %d", err, mrlog.MaxReplayBanks+1)
		}
	}
}

// TestMaxFindings: findings are kept up to a bound, and all counted.
func TestMaxFindings(t *testing.T) {
	for _, n := range []int{verify.MaxFindings - 1, verify.MaxFindings, verify.MaxFindings + 1, 10 * verify.MaxFindings} {
		var entries, inits []string
		for i := range n {
			entries = append(entries, entry(i, `"pcr":2`, "CC-CEL", `"a b d"`, []byte("a b c"), mrlog.SHA384))
			inits = append(inits, entry(i, `"pcr":2`, "CC-CEL", `"`+init384(ones)+`"`, []byte("a b c"), mrlog.SHA384))
		}
		log := array(entries...)
		r := check(t, values(t, log), log)
		if r.Found != n || len(r.Findings) != min(n, verify.MaxFindings) || r.OK() || r.Registers[0].Differs != uint64(n) {
			t.Errorf("%d found, %d kept of %d", r.Found, len(r.Findings), n)
		}
		for i, f := range r.Findings {
			if f.Number != uint64(i) {
				t.Fatalf("finding %d is of record %d", i, f.Number)
			}
		}
		// Of forged INIT records there are two findings each.
		log = array(inits...)
		if r = check(t, values(t, log), log); r.Found != 2*n || r.OK() {
			t.Errorf("%d found of %d", r.Found, 2*n)
		}
	}
}

// TestProgress: told after each batch, rising, and from the beginning for each
// log.
func TestProgress(t *testing.T) {
	for _, procs := range []int{1, 3} {
		var at []int64
		c, err := verify.New(verify.Options{Procs: procs, Progress: func(records, offset int64) {
			if len(at) > 0 && records <= at[len(at)-1] {
				t.Errorf("%d records after %d", records, at)
			}
			at = append(at, records)
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range []string{log384(strings.Split(strings.Repeat("a b\n", 1500), "\n")...), to(t, "cel-tlv", log384("x y"))} {
			at = nil
			if err := c.Log(t.Context(), verify.Log{Reader: reader(t, l)}); err != nil {
				t.Fatal(err)
			}
			if want := []int64{1501, 2}[i]; len(at) == 0 || at[len(at)-1] != want {
				t.Errorf("log %d: told %d, want %d last", i, at, want)
			}
		}
		if r := c.Report(); r.Records != 1503 {
			t.Errorf("%d records", r.Records)
		}
	}
}

// TestErrors: a log that cannot be read to its end gives no report.
func TestErrors(t *testing.T) {
	log := log384("a b c")
	var s *mrlog.SyntaxError
	for _, bad := range []string{log + "torn", log + init384(zeros) + "\n", "no init\n", to(t, "cel-json", log) + "x", to(t, "cel-tlv", log)[:200]} {
		for _, procs := range []int{1, 2, 3} {
			for _, logs := range [][]string{{bad}, {log, bad}, {bad, log}} {
				r, err := tryCheck(t, values(t, log), procs, logs...)
				if r != nil || !errors.As(err, &s) {
					t.Errorf("%.30q: %v, %v", bad, r, err)
				}
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := verify.Check(ctx, []verify.Log{{Reader: reader(t, log)}}, verify.Options{}); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
}

// TestContent: the published examples of each rule.
func TestContent(t *testing.T) {
	cos := unhex(t, "0100000009 7368613235363a3030")
	ima := unhex(t, "0000000005412e545854 010000002098ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4")
	aael := []byte("domain operation content")
	for _, c := range []struct {
		what   string
		rec    mrlog.Record
		digest string
		want   verify.Content
	}{
		{"COS, SHA-256", mrlog.Record{Type: 80, Content: cos}, "sha256:298d2a264557095e59b63712c0745ab68f388b08fe19dffadc42b593b88dba63", verify.Matches},
		{"COS, SHA-384", mrlog.Record{Type: 80, Content: cos}, "sha384:1b183fc63ac0d868f488e726d0fcad145b64bd802287cf0216258fb232806b830db60f47c73c6fe85c84d85bf7081544", verify.Matches},
		{"COS, altered", mrlog.Record{Type: 80, Content: cos[:13]}, "sha256:298d2a264557095e59b63712c0745ab68f388b08fe19dffadc42b593b88dba63", verify.Differs},
		{"another private type, same bytes", mrlog.Record{Type: 81, Content: cos}, "sha256:298d2a264557095e59b63712c0745ab68f388b08fe19dffadc42b593b88dba63", verify.Opaque},
		{"type beyond TLV", mrlog.Record{Type: 336, Content: cos}, "sha256:298d2a264557095e59b63712c0745ab68f388b08fe19dffadc42b593b88dba63", verify.Opaque},
		{"ima_tlv", mrlog.Record{Type: mrlog.TypeIMATLV, Content: ima}, "sha256:c2384caa33665a5b05093d0d477b09854f75ed19ba1aa12e50e7088d5af837f9", verify.Matches},
		{"ima_tlv, altered", mrlog.Record{Type: mrlog.TypeIMATLV, Content: ima[:10]}, "sha256:c2384caa33665a5b05093d0d477b09854f75ed19ba1aa12e50e7088d5af837f9", verify.Differs},
		{"separator", mrlog.Record{Type: mrlog.TypePCClient, Event: 4, Content: make([]byte, 4)}, "sha256:df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119", verify.Matches},
		{"separator, altered", mrlog.Record{Type: mrlog.TypePCClient, Event: 4, Content: []byte{255, 255, 255, 255}}, "sha256:df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119", verify.Differs},
		{"separator, error value under a normal digest", mrlog.Record{Type: mrlog.TypePCClient, Event: 4, Content: []byte{1, 0, 0, 0}}, "sha256:df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119", verify.Differs},
		{"systemd", mrlog.Record{Type: mrlog.TypeSystemd, Content: []byte("enter-initrd")}, "sha256:51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed", verify.Matches},
		{"line", mrlog.Record{Type: mrlog.TypeCCCEL, Content: aael}, "sha256:65aad3b1620d4fe224d727579db2db87ff5c033f3e4424ae0fd72eb1149d3bd5", verify.Matches},
		{"line with its newline", mrlog.Record{Type: mrlog.TypeCCCEL, Content: append(aael, '\n')}, "sha256:65aad3b1620d4fe224d727579db2db87ff5c033f3e4424ae0fd72eb1149d3bd5", verify.Differs},
		{"violation that nobody marked", mrlog.Record{Type: mrlog.TypeIMATemplate, Content: cos}, "sha256:" + strings.Repeat("ff", 32), verify.Opaque},
		{"padded SHA-1 of another content", mrlog.Record{Type: mrlog.TypeIMATemplate, Content: cos}, "sha256:" + strings.Repeat("11", 20) + strings.Repeat("00", 12), verify.Differs},
		{"padded SHA-1 that nobody marked", mrlog.Record{Type: mrlog.TypeIMATemplate, Content: cos}, "sha256:" + fmt.Sprintf("%x", sha1.Sum(cos)) + strings.Repeat("00", 12), verify.Opaque},
		{"padded SHA-1", mrlog.Record{Type: mrlog.TypeIMATemplate, Notes: mrlog.NotePadded, Content: cos}, "sha256:" + fmt.Sprintf("%x", sha1.Sum(cos)) + strings.Repeat("00", 12), verify.Opaque},
		{"padded SHA-1 of another content, marked", mrlog.Record{Type: mrlog.TypeIMATemplate, Notes: mrlog.NotePadded, Content: cos[1:]}, "sha256:" + fmt.Sprintf("%x", sha1.Sum(cos)) + strings.Repeat("00", 12), verify.Differs},
		{"oldest template, altered", mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima"), Content: make([]byte, 276)}, "sha256:" + strings.Repeat("11", 32), verify.Differs},
		{"violation", mrlog.Record{Type: mrlog.TypeIMATemplate, Notes: mrlog.NoteViolation, Content: cos}, "sha1:" + strings.Repeat("ff", 20), verify.Opaque},
		{"padded", mrlog.Record{Type: mrlog.TypeCCCEL, Notes: mrlog.NotePadded, Content: aael}, "sha256:" + strings.Repeat("ff", 32), verify.Opaque},
		{"unknown algorithm", mrlog.Record{Type: mrlog.TypeCCCEL, Content: aael}, "0x0044:00", verify.Opaque},
		{"line that is no string", mrlog.Record{Type: mrlog.TypeCCCEL, Form: mrlog.FormJSON, Content: aael}, "sha256:65aad3b1620d4fe224d727579db2db87ff5c033f3e4424ae0fd72eb1149d3bd5", verify.Differs},
		{"text for people", mrlog.Record{Type: mrlog.TypeIMATemplate, Form: mrlog.FormText, Content: aael}, "sha256:65aad3b1620d4fe224d727579db2db87ff5c033f3e4424ae0fd72eb1149d3bd5", verify.Opaque},
	} {
		d, err := mrlog.ParseDigest(c.digest)
		if err != nil {
			t.Fatal(err)
		}
		var h verify.Hasher
		for range 2 { // the buffer is used again
			if got := h.Content(&c.rec, d); got != c.want {
				t.Errorf("%s: %s, want %s", c.what, got, c.want)
			}
		}
	}
}
