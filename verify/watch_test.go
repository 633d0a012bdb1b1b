// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/convert"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/verify"
)

// at is a record of a firmware's log: a register, an event type, and the data,
// of which the digest is.
func at(reg string, event uint32, data string) mrlog.Record {
	r, err := mrlog.ParseRegister(reg)
	if err != nil {
		panic(err)
	}
	return mrlog.Record{
		Type: mrlog.TypePCClient, Event: event, Register: r, Content: []byte(data), NotExtended: event == mrlog.EventNoAction,
		Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, []byte(data))}},
	}
}

func sep(reg string) mrlog.Record { return at(reg, 4, "\x00\x00\x00\x00") }

// whole is a TCG event as JSON has it, with a member that is not known.
func whole(rec mrlog.Record) mrlog.Record {
	rec.Content = fmt.Appendf(nil, `{"event_type":%d,"event_data":"%x","x":1}`, rec.Event, rec.Content)
	rec.Form, rec.Event = mrlog.FormJSON, 0
	return rec
}

// named is the data of a UEFI variable.
func named(name string) string {
	b := make([]byte, 16, 64)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(name)))
	b = binary.LittleEndian.AppendUint64(b, 1)
	for _, c := range []byte(name) {
		b = append(b, c, 0)
	}
	return string(append(b, 1))
}

// launched is an event of Confidential Space.
func launched(event byte, value string) mrlog.Record {
	r := at("ccmr4", 0, tlv(event, value))
	r.Type, r.Event = 80, 0
	return r
}

func withSM3(recs ...mrlog.Record) []mrlog.Record {
	for i := range recs {
		recs[i].Digests = []mrlog.Digest{{Alg: mrlog.SM3, Sum: mrlog.SM3.AppendSum(nil, recs[i].Content)}}
	}
	return recs
}

func repeated(n int, rec mrlog.Record) (out []mrlog.Record) {
	for range n {
		out = append(out, rec)
	}
	return out
}

func join(lists ...[]mrlog.Record) (out []mrlog.Record) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// typed is a record whose content is said to be of another type.
func typed(t mrlog.ContentType, rec mrlog.Record) mrlog.Record {
	rec.Type, rec.Event = t, 0
	return rec
}

func in(reg string, rec mrlog.Record) mrlog.Record {
	rec.Register = at(reg, 0, "").Register
	return rec
}

// digestOf gives a record the digest of a launcher's.
func digestOf(launched, rec mrlog.Record) mrlog.Record {
	rec.Digests = []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, []byte(tlv(80, string(launched.Content))))}}
	return rec
}

// launchers are the separators of launchers in so many registers.
func launchers(n int) (out []mrlog.Record) {
	for i := range n {
		out = append(out, in(fmt.Sprintf("nv%d", i), launched(8, "")))
	}
	return out
}

// TestWatch: what is suspicious, and what is not.
func TestWatch(t *testing.T) {
	const (
		another = "another EV_SEPARATOR of "
		hidden  = "its digest is that of an EV_SEPARATOR, and its type another"
		late    = "firmware measures this before the EV_SEPARATOR of "
	)
	one := func(recs ...mrlog.Record) []mrlog.Record { return recs }
	for _, c := range []struct {
		what string
		log  []mrlog.Record
		want []string // "number text"
	}{
		{"one for each PCR", one(sep("pcr0"), sep("pcr1"), sep("pcr7")), nil},
		{"two of a PCR", one(sep("pcr4"), at("pcr4", 0x80000003, "app"), sep("pcr4")), []string{"2 " + another + "pcr4"}},
		{"three", repeated(3, sep("pcr4")), []string{"1 " + another + "pcr4", "2 " + another + "pcr4"}},
		{"one of an error after it", one(sep("pcr0"), at("pcr0", 4, "\x01\x00\x00\x00")), []string{"1 " + another + "pcr0"}},
		{"two of a loader's PCR", repeated(3, sep("pcr8")), nil},
		{"not extended", one(sep("pcr0"), at("pcr0", mrlog.EventNoAction, "x")), nil},
		{"with another member", one(sep("pcr4"), whole(sep("pcr4"))), []string{"1 " + another + "pcr4"}},
		{"with nothing that can be read", one(sep("pcr4"), mrlog.Record{Type: mrlog.TypePCClient, Form: mrlog.FormJSON, Register: sep("pcr4").Register, Content: []byte("{}")}), nil},

		{"second under another type", one(sep("pcr4"), at("pcr4", 5, "\x00\x00\x00\x00")), []string{"1 " + hidden}},
		{"of ones", one(sep("pcr4"), at("pcr4", 5, "\xff\xff\xff\xff")), []string{"1 " + hidden}},
		{"the only one under another type", one(at("pcr4", 1, "\x00\x00\x00\x00"), at("pcr4", 5, "\x00\x00\x00\x00")), []string{"0 " + hidden}},
		{"second under another content type", one(sep("pcr4"), typed(mrlog.TypeCCCEL, sep("pcr4")), typed(200, sep("pcr4")), typed(80, sep("pcr4"))), []string{"1 " + hidden, "2 " + hidden, "3 " + hidden}},
		{"the only one under another content type", one(typed(mrlog.TypeNamed, sep("pcr4")), at("pcr4", 8, "2.0")), []string{"0 " + hidden}},
		{"other content types", one(sep("pcr0"), typed(mrlog.TypeCCCEL, at("pcr0", 0, "x"))), nil},
		{"code of four zeros", one(at("pcr0", 7, "\x00\x00\x00\x00"), sep("pcr0")), nil},

		{"code after it", one(at("pcr0", 8, "1.0"), sep("pcr0"), at("pcr0", 8, "2.0")), []string{"2 " + late + "pcr0"}},
		{"anything of PCR 0 after it", one(sep("pcr0"), at("pcr0", 5, "x"), at("pcr0", 1, "x"), at("pcr1", 1, "x")), []string{"1 " + late + "pcr0", "2 " + late + "pcr0"}},
		{
			"the firmware after it", one(
				sep("pcr2"), at("pcr2", 7, "x"), at("pcr2", 8, "x"), at("pcr2", 9, "x"),
				at("pcr2", 0x80000008, "x"), at("pcr2", 0x8000000A, "x"), at("pcr2", 0x80000010, "x")),
			[]string{"1 " + late, "2 " + late, "3 " + late, "4 " + late, "5 " + late, "6 " + late},
		},
		{
			"what follows in real logs", one(
				sep("pcr1"), sep("pcr4"), sep("pcr5"), sep("pcr7"),
				at("pcr1", 0x80000002, named("BootOrder")), at("pcr1", 0x80000009, "SMBIOS"), at("pcr4", 0x80000003, "app"), at("pcr4", 0x80000007, "x"),
				at("pcr5", 0x80000006, "GPT"), at("pcr5", 0x80000007, "Exit Boot Services Invocation"), at("pcr7", 0x800000E0, named("db"))),
			nil,
		},
		{"secure boot after it", one(sep("pcr7"), at("pcr7", 0x80000001, named("SecureBoot"))), []string{"1 " + late + "pcr7"}},
		{"each database", one(
			sep("pcr7"), at("pcr7", 0x80000001, named("PK")), at("pcr7", 0x80000001, named("KEK")), at("pcr7", 0x80000001, named("db")),
			at("pcr7", 0x80000001, named("dbx")), at("pcr7", 0x80000001, named("Lang"))), []string{"1 " + late, "2 " + late, "3 " + late, "4 " + late}},
		{"a variable of that name elsewhere", one(sep("pcr1"), at("pcr1", 0x80000001, named("PK"))), nil},
		{"before it", one(at("pcr7", 0x80000001, named("PK")), sep("pcr7")), nil},

		{"one for each CC register", one(sep("ccmr1"), at("ccmr1", 1, "ACPI DATA"), sep("ccmr2"), at("ccmr2", 5, "x")), nil},
		{"one for each PCR, in CC registers", join(repeated(2, sep("ccmr1")), repeated(5, sep("ccmr2"))), nil},
		{"the same, with PCR 0", join(repeated(3, sep("ccmr1")), repeated(5, sep("ccmr2"))), nil},
		{"one too many", join(repeated(4, sep("ccmr1")), repeated(6, sep("ccmr2"))), []string{"3 EV_SEPARATOR number 4 of ccmr1", "9 EV_SEPARATOR number 6 of ccmr2"}},
		{"two, and none in the next", one(sep("ccmr1"), at("ccmr2", 5, "x"), sep("ccmr1"), at("ccmr2", 5, "x")), []string{"2 " + another + "ccmr1, and 0 of ccmr2"}},
		{"two, and one in the next", one(sep("ccmr1"), sep("ccmr1"), sep("ccmr2")), []string{"1 " + another + "ccmr1, and 1 of ccmr2"}},
		{"two, of the next nothing", one(sep("ccmr1"), sep("ccmr1")), nil},
		{"two in the second", one(sep("ccmr1"), sep("ccmr2"), sep("ccmr2")), []string{"2 " + another + "ccmr2: of 5 PCRs that share it, 2 have one"}},
		{"RTMRs", one(sep("rtmr0"), at("rtmr1", 5, "x"), sep("rtmr0")), []string{"2 " + another + "rtmr0, and 0 of rtmr1"}},
		{"RTMRs, one for each PCR", join(repeated(2, sep("rtmr0")), repeated(5, sep("rtmr1"))), nil},
		{"RTMRs of CSV", withSM3(join(repeated(2, sep("rtmr1")), repeated(5, sep("rtmr2")))...), nil},
		{"RTMRs of CSV, one too many", withSM3(join(repeated(4, sep("rtmr1")), repeated(5, sep("rtmr2")))...), []string{"3 EV_SEPARATOR number 4 of rtmr1"}},
		{"RTMRs and CC-MRs", join(repeated(2, sep("rtmr1")), repeated(3, sep("ccmr2"))), []string{"1 " + another + "rtmr1: of 5 PCRs that share it, 2 have one", "3 " + another + "ccmr2: of 5 PCRs that share it, 3 have one"}},
		{"the loader's CC register", repeated(9, sep("ccmr3")), nil},
		{"secure boot after it, CC", one(sep("ccmr1"), at("ccmr1", 0x80000001, named("db"))), []string{"1 " + late + "ccmr1"}},
		{"the firmware after it, CC", one(sep("ccmr1"), at("ccmr1", 0x8000000A, "x")), []string{"1 " + late + "ccmr1"}},
		{"NV indexes", repeated(2, sep("nv0x01d10200")), nil},

		{"launcher", one(launched(0, "image"), launched(8, "")), nil},
		{"launcher twice", one(launched(8, ""), launched(8, "")), []string{"1 another LaunchSeparator of ccmr4"}},
		{"one record after it", one(launched(8, ""), launched(1, "sha256:00")), []string{"1 follows the LaunchSeparator of ccmr4: it is the workload's, not the launcher's"}},
		{"three", one(launched(0, "image"), launched(8, ""), launched(1, "x"), launched(8, "failed"), launched(1, "y"), launched(4, "z")), []string{"3 another LaunchSeparator", "2 follows the LaunchSeparator of ccmr4: it is the workload's, not the launcher's (3 records do)"}},
		{"in the last of many registers", join(launchers(40), one(in("nv39", launched(1, "x")))), []string{"40 follows the LaunchSeparator of nv0x00000027"}},
		{
			"launcher's under another type", one(
				digestOf(launched(8, ""), typed(200, launched(8, ""))), digestOf(launched(8, ""), typed(mrlog.TypeCCCEL, launched(8, ""))),
				digestOf(launched(8, ""), at("ccmr4", 6, "x")), launched(1, "x")),
			[]string{"0 its digest is that of a LaunchSeparator", "1 its digest", "2 its digest"},
		},
		{"no separator", one(launched(0, "image"), launched(9, "\x01")), nil},
		{"another content after it", one(launched(8, ""), at("ccmr4", 6, "LEAA\x05\x00\x00\x00a b c")), nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			var w verify.Watch
			for i := range c.log {
				w.Next(uint64(i), &c.log[i])
			}
			found, n := w.End()
			if n != len(c.want) || len(found) != n {
				t.Fatalf("%d found: %+v\nwant %q", n, found, c.want)
			}
			for i, f := range found {
				if got := fmt.Sprintf("%d %s", f.Number, f.Text); !strings.HasPrefix(got, c.want[i]) {
					t.Errorf("%q, want %q", got, c.want[i])
				}
				if f.Register != c.log[f.Number].Register {
					t.Errorf("%s", f.Register)
				}
			}
		})
	}
}

// TestWatchBound: what is kept is bounded, what is counted is not.
func TestWatchBound(t *testing.T) {
	log := repeated(3*verify.MaxFindings, sep("pcr4"))
	var w verify.Watch
	for i := range log {
		if text := w.Next(uint64(i), &log[i]); (text == "") != (i == 0) {
			t.Fatalf("record %d: %q", i, text)
		}
	}
	if found, n := w.End(); len(found) != verify.MaxFindings || n != len(log)-1 {
		t.Errorf("%d kept of %d", len(found), n)
	}
}

// TestStrictness: the same logs, by each way of --contents.
func TestStrictness(t *testing.T) {
	event := func(typ, data string, measured []byte) string {
		return array(entry(0, `"pcr":4`, "pcclient_std", fmt.Sprintf(`{"event_type":%q,"event_data":"%x"}`, typ, data), measured, mrlog.SHA256))
	}
	variable := named("BootOrder")
	other := []byte("something else")
	for _, c := range []struct {
		what, log              string
		strict, normal, report bool
		remarks                int // of the last two
	}{
		{"right", event("EV_ACTION", "x", []byte("x")), true, true, true, 0},
		{"contradicts", event("EV_ACTION", "x", other), false, false, true, 0},
		{"boot variable", event("EV_EFI_VARIABLE_BOOT", variable, []byte{1}), true, true, true, 0},
		{"boot variable, whole", event("EV_EFI_VARIABLE_BOOT", variable, []byte(variable)), true, true, true, 0},
		{"boot variable of something else", event("EV_EFI_VARIABLE_BOOT", variable, other), false, true, true, 1},
		{"boot variable with another member", strings.Replace(event("EV_EFI_VARIABLE_BOOT", variable, other), `"event_type"`, `"x":1,"event_type"`, 1), false, true, true, 1},
		{"command", event("EV_IPL", "grub_cmd: x\x00", []byte("x")), true, true, true, 0},
		{"command of something else", event("EV_IPL", "grub_cmd: x\x00", other), false, true, true, 1},
		{"version", event("EV_S_CRTM_VERSION", "x", []byte("x")), true, true, true, 0},
		{"version of something else", event("EV_S_CRTM_VERSION", "x", other), false, true, true, 1},
		{"file", event("EV_IPL", "/boot/vmlinuz\x00", other), true, true, true, 0},
		{"image", event("EV_EFI_BOOT_SERVICES_APPLICATION", "x", other), true, true, true, 0},
		{"event that nobody knows", event("1234", "x", other), true, true, true, 0},
		{"systemd's text", array(entry(0, `"pcr":11`, "systemd", `"7265616479"`, other, mrlog.SHA256)), false, true, true, 1},
		{"systemd's text, perhaps keyed", array(entry(0, `"pcr":15`, "systemd", fmt.Sprintf(`"%x"`, "cryptsetup:root:00"), other, mrlog.SHA256)), true, true, true, 0},
		{"template in a way of its own", array(entry(0, `"pcr":10`, "ima_template", `{"template_name":"ima","template_data":"00"}`, other, mrlog.SHA256)), false, true, true, 1},
		{"cannot be read", array(entry(0, `"pcr":4`, "pcclient_std", `{"event_type":4}`, other, mrlog.SHA256)), false, false, true, 0},
		{"suspicious", array(separator(0, 4, mrlog.SHA256), separator(1, 4, mrlog.SHA256)), false, true, true, 1},
		{"suspicious, with another member", strings.ReplaceAll(array(separator(0, 4, mrlog.SHA256), separator(1, 4, mrlog.SHA256)), `{"event_type"`, `{"x":1,"event_type"`), false, true, true, 1},
		{"numbers that do not rise", array(separator(1, 4, mrlog.SHA256), separator(1, 3, mrlog.SHA256), separator(1, 4, mrlog.SHA256)), false, false, false, 1},
	} {
		for _, way := range []struct {
			contents verify.Strictness
			ok       bool
		}{{verify.Strict, c.strict}, {verify.Normal, c.normal}, {verify.ReportOnly, c.report}} {
			r, err := verify.Check(t.Context(), []verify.Log{{Name: "log", Reader: reader(t, c.log)}}, verify.Options{Expect: values(t, c.log), Contents: way.contents})
			if err != nil {
				t.Fatal(err)
			}
			remarks := c.remarks
			switch {
			case way.contents == verify.Strict:
				remarks = 0
			case way.contents == verify.ReportOnly && c.report && !c.normal:
				remarks++ // what would have been a finding
				b := r.Registers[0]
				if b.Differs != 1 || b.Bound()+b.DigestBound() != 0 || b.State != verify.Verified {
					t.Errorf("%s: %+v", c.what, b)
				}
			}
			if r.OK() != way.ok || r.Contents != way.contents || r.Remarked != remarks || len(r.Remarks) != remarks {
				t.Errorf("%s, %s: OK %v, want %v; %+v\n%s", c.what, way.contents, r.OK(), way.ok, r.Remarks, findings(r))
			}
		}
	}
}

// TestStrictPrefix: what is suspicious in what follows a register is no refusal,
// whether it is found at once or at the end.
func TestStrictPrefix(t *testing.T) {
	ccmr := func(n, index int) string {
		return strings.Replace(separator(n, index, mrlog.SHA256), `"digests"`, `"space":"ccmr","digests"`, 1)
	}
	for _, log := range []string{
		array(separator(0, 4, mrlog.SHA256), separator(1, 4, mrlog.SHA256)),
		array(ccmr(0, 1), ccmr(1, 1), ccmr(0, 2)),
	} {
		for _, prefix := range []bool{false, true} {
			x := after(t, log, 1)
			if !prefix {
				x = values(t, log)[:1]
			}
			r, err := verify.Check(t.Context(), []verify.Log{{Name: "log", Reader: reader(t, log)}}, verify.Options{Expect: x, Contents: verify.Strict, Prefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() != prefix || prefix && (r.Found != 0 || r.FoundLater != 1 || len(r.Later) != 1) || !prefix && r.Found != 1 {
				t.Errorf("prefix %v: OK %v, %s, %+v, later %+v", prefix, r.OK(), states(r), r.Findings, r.Later)
			}
		}
	}
}

// TestStrictPrefixExcuses: what follows the accepted part of a log, which nobody
// measured, makes nothing in it right.
func TestStrictPrefixExcuses(t *testing.T) {
	rtmr := func(n, index int, typ string, data []byte) string {
		return entry(n, fmt.Sprintf(`"pcr":%d,"space":"rtmr"`, index), "pcclient_std", fmt.Sprintf(`{"event_type":%q,"event_data":"%x"}`, typ, data), data, mrlog.SHA384)
	}
	sep := func(n, index int) string { return rtmr(n, index, "EV_SEPARATOR", make([]byte, 4)) }
	for what, log := range map[string][]string{
		"a separator under another type":     {rtmr(0, 0, "EV_ACTION", make([]byte, 4)), rtmr(1, 0, "EV_ACTION", []byte("x")), sep(2, 0)},
		"as many separators as there should": {sep(0, 1), sep(1, 1), sep(2, 1), sep(3, 1), sep(4, 1)},
	} {
		x := after(t, array(log...), 2)
		for _, n := range []int{2, len(log)} {
			l := array(log[:n]...)
			for _, way := range []verify.Strictness{verify.Strict, verify.Normal} {
				r, err := verify.Check(t.Context(), []verify.Log{{Name: "log", Reader: reader(t, l)}}, verify.Options{Expect: x, Contents: way, Prefix: true})
				if err != nil {
					t.Fatal(err)
				}
				if r.OK() != (way == verify.Normal) || r.Found+r.Remarked != 1 {
					t.Errorf("%s, %d records, %s: OK %v, %s %+v", what, n, way, r.OK(), states(r), r.Remarks)
				}
			}
		}
	}
}

// TestWatchPlatform: which PCRs share an RTMR says the algorithm of the expected
// value, and no digest beside it.
func TestWatchPlatform(t *testing.T) {
	sep := func(n int) string {
		return strings.Replace(separator(n, 0, mrlog.SHA384, mrlog.SM3), `"digests"`, `"space":"rtmr","digests"`, 1)
	}
	log := array(sep(0), sep(1), sep(2), sep(3))
	x := slices.DeleteFunc(values(t, log), func(e verify.Expectation) bool { return e.Alg == mrlog.SM3 })
	r, err := verify.Check(t.Context(), []verify.Log{{Name: "log", Reader: reader(t, log)}}, verify.Options{Expect: x, Contents: verify.Strict})
	if err != nil {
		t.Fatal(err)
	}
	if r.OK() || r.Found != 1 || !strings.HasPrefix(findings(r), "EV_SEPARATOR number 4 of rtmr0") {
		t.Errorf("%s: %s", states(r), findings(r))
	}
}

// oddLogs are the real logs that are suspicious, and why: the rules are such that
// no others are.
var oddLogs = map[string]string{
	// The separator of CC-MR 2 was extended into CC-MR 1, by firmware that
	// was in use for a time. Nothing tells it from a boundary that was moved.
	"ccel-ovmf.bin":                                 "another EV_SEPARATOR of ccmr1, and 0 of ccmr2",
	"ccel.bin":                                      "another EV_SEPARATOR of ccmr1, and 0 of ccmr2",
	"CCEL_unpadded.data.bin":                        "another EV_SEPARATOR of ccmr1, and 0 of ccmr2",
	"cos-113-intel-tdx-dupe-separator.bin":          "another EV_SEPARATOR of ccmr1, and 0 of ccmr2",
	"cos-113-intel-tdx-dupe-separator-unpadded.bin": "another EV_SEPARATOR of ccmr1, and 0 of ccmr2",
}

// strictLogs are the real logs with contents that deviate, which --contents
// strict refuses, and how many.
var strictLogs = map[string]int{
	"gdc-host.bin": 1, // the version of a Dell server
}

// realLogs calls f with each real log of a firmware: those of the corpus, and
// those that come with go-eventlog.
func realLogs(t *testing.T, f func(name string, log []byte)) {
	dirs := []string{reallogs.Path(t, "tcg"), reallogs.Path(t, "tdx-intel"), reallogs.Path(t, "qemu-ovmf")}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/go-eventlog").Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		dirs = append(dirs, filepath.Join(dir, "testdata"))
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			log, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if k, _ := convert.Sniff(log[:min(len(log), convert.DetectSize)]); k.Format == convert.TCG2 {
				f(d.Name(), log)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRealLogs: which real logs are suspicious, and which the strict way refuses.
func TestRealLogs(t *testing.T) {
	seen := 0
	realLogs(t, func(name string, log []byte) {
		seen++
		want := oddLogs[name]
		open := func() mrlog.Reader {
			r, err := convert.Open(bytes.NewReader(log), convert.Source{})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		for _, way := range []verify.Strictness{verify.Normal, verify.Strict} {
			r, err := verify.Check(context.Background(), []verify.Log{{Name: name, Reader: open()}}, verify.Options{Contents: way})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			others := r.Found
			var odd []verify.Finding
			deviate := 0
			for _, f := range r.Remarks {
				if strings.HasPrefix(f.Text, "content does not hash") {
					deviate++
				} else {
					odd = append(odd, f)
				}
			}
			if way == verify.Normal && deviate != strictLogs[name] {
				t.Errorf("%s: %d contents deviate, want %d: %+v", name, deviate, strictLogs[name], r.Remarks)
			}
			if way == verify.Strict {
				for _, f := range r.Findings {
					if want != "" && strings.HasPrefix(f.Text, want) {
						odd = append(odd, f)
						others--
					}
				}
				if others != strictLogs[name] {
					t.Errorf("%s, strict: %d findings, want %d: %s", name, others, strictLogs[name], findings(r))
				}
			} else if others != 0 {
				t.Errorf("%s: %s", name, findings(r))
			}
			if want == "" && len(odd) != 0 || want != "" && (len(odd) != 1 || !strings.HasPrefix(odd[0].Text, want)) {
				t.Errorf("%s, %s: %+v, want %q", name, way, odd, want)
			}
		}
	})
	t.Logf("%d logs", seen)
	if seen < 12 {
		t.Errorf("%d logs", seen)
	}
}
