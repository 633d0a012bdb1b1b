// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package claims_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
	"mrlog.dev/tcg/claims"
)

// claimsOf reads a log and writes its claims, batch by batch.
func claimsOf(t testing.TB, log []byte) ([]byte, error) {
	t.Helper()
	r := tcg.NewReaderBytes(log, tcg.Options{})
	var out bytes.Buffer
	w := claims.NewWriter(&out)
	var b mrlog.Batch
	for {
		switch err := r.Read(&b); {
		case err == io.EOF:
			err = w.Close()
			return out.Bytes(), err
		case err != nil:
			t.Fatal(err)
		}
		if err := w.Write(b.Records); err != nil {
			return out.Bytes(), err
		}
	}
}

func value(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return v
}

// TestCorpus: the claims are those that trustee prints for the same log.
func TestCorpus(t *testing.T) {
	for _, name := range []string{"tcg/ccel-aael-alibaba", "tcg/ccel-ovmf"} {
		got, err := claimsOf(t, reallogs.Read(t, name+".bin"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := reallogs.Read(t, name+".trustee-claims.json")
		g := value(t, got).(map[string]any)["uefi_event_logs"].([]any)
		w := value(t, want).(map[string]any)["uefi_event_logs"].([]any)
		if len(g) != len(w) {
			t.Errorf("%s: %d claims, want %d", name, len(g), len(w))
		}
		for i := range min(len(g), len(w)) {
			if !reflect.DeepEqual(g[i], w[i]) {
				t.Errorf("%s: claim %d\n%v\nwant\n%v", name, i, g[i], w[i])
			}
		}
		if len(g) == 0 || len(value(t, got).(map[string]any)) != 1 {
			t.Errorf("%s: not the object that is wanted", name)
		}
	}
	for _, name := range []string{"tcg/ccel-cos113.bin", "tdx-intel/ccel.bin"} {
		got, err := claimsOf(t, reallogs.Read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		value(t, got)
	}
	_, err := claimsOf(t, reallogs.Read(t, "tcg/tpm-cos101.bin"))
	var c *mrlog.CarryError
	if !errors.As(err, &c) || c.Record != 1 || !strings.Contains(c.What, "sha1") {
		t.Errorf("a log with SHA-1 digests: %v", err)
	}
}

func sumOf(a mrlog.Alg, p []byte) mrlog.Digest { return mrlog.Digest{Alg: a, Sum: a.AppendSum(nil, p)} }

// details returns the details of one event's claim, or why there are none.
func details(t testing.TB, event uint32, data []byte) (string, string) {
	t.Helper()
	var out bytes.Buffer
	w := claims.NewWriter(&out)
	err := w.Write([]mrlog.Record{{
		Type: mrlog.TypePCClient, Event: event, Content: data, Register: mrlog.Register{Space: mrlog.CCMR, Index: 1},
		Digests: []mrlog.Digest{sumOf(mrlog.SHA384, data)},
	}})
	if err != nil {
		var c *mrlog.CarryError
		if !errors.As(err, &c) || w.Close() == nil {
			t.Fatalf("%v", err)
		}
		return "", c.What
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e := value(t, out.Bytes()).(map[string]any)["uefi_event_logs"].([]any)[0].(map[string]any)
	if e["digest_matches_event"] != true || e["event"] != base64.StdEncoding.EncodeToString(data) || e["index"] != 1.0 {
		t.Fatalf("%v", e)
	}
	text, err := json.Marshal(e["details"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text), ""
}

func tag(id uint32, text string) string {
	p := binary.LittleEndian.AppendUint32(nil, id)
	return string(append(binary.LittleEndian.AppendUint32(p, uint32(len(text))), text...))
}

func image(path string) string {
	p := make([]byte, 24)
	return string(append(binary.LittleEndian.AppendUint64(p, uint64(len(path))), path...))
}

func unhex(digits string) string {
	p, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return string(p)
}

// node is a device path of one node.
func node(typ, subtype byte, data string) string {
	return string([]byte{typ, subtype, byte(4 + len(data)), 0}) + data + "\x7f\xff\x04\x00"
}

const aael = 0x4141454C

func TestDetails(t *testing.T) {
	variable := "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
	path := func(text string) string { return `{"device_paths":["` + text + `"]}` }
	for _, c := range []struct {
		what    string
		event   uint32
		data    string
		details string // or
		refused string
	}{
		{"no action", 3, "SP800-155 Event\x00", `{}`, ""},
		{"separator", 4, "\x00\x00\x00\x00", `{}`, ""},
		{"action", 5, "x\x00y", `{"string":"x\u0000y"}`, ""},
		{"action, empty", 0x80000007, "", `{"string":""}`, ""},
		{"action, not UTF-8", 5, "\xff", "", "not UTF-8"},
		{"driver", 0x80000004, "x", `{}`, ""},
		{"SPDM", 0x800000E2, "x", `{}`, ""},
		{"unknown", 0x800000E3, "x", "", "0x800000e3"},
		{"post code 2", 0x13, "x", "", "0x00000013"},

		{"config", 10, "a\x10b\x00\x07\u0085c", `{"string":"a bc"}`, ""},
		{"config, not UTF-8", 10, "a\xff", `{"string":""}`, ""},

		{"IPL", 13, "MokList\x00", `{"string":"MokList"}`, ""},
		{"IPL, cut at NUL", 13, "grub_cmd x\x00\x8b", `{"string":"grub_cmd x"}`, ""},
		{"IPL, not UTF-8", 13, "\xff\x01", `{"string":"ff01"}`, ""},
		{"IPL, short", 13, "x", "", "two bytes"},
		{"IPL, wide", 13, unhex("2e006c0069006e00750078000000"), `{"string":"linux"}`, ""},
		{"IPL, wide, odd", 13, "\x2e\x00\x00", "", "odd"},
		{"IPL, wide, nothing", 13, "\x2e\x00", "", "odd"},
		{"IPL, wide, lone surrogate", 13, "\x2e\x00\x00\xd8\x00\x00", `{"string":"` + "\ufffd" + `"}`, ""},

		{
			"variable", 0x80000001, variable + "\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00P\x00K\x00\x01\xff",
			`{"unicode_name":"PK","unicode_name_length":2,"variable_data":"AQ==","variable_data_length":1,"variable_name":"61dfe48b-ca93-d211-aa0d-00e098032b8c"}`, "",
		},
		{"variable, cut", 0x800000E0, variable + "\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00P\x00K\x00", "", "longer than the data"},
		{"variable, huge", 0x8000000C, variable + "\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00P\x00K\x00", "", "longer than the data"},
		{"variable, short", 0x80000002, variable, "", "too short"},
		{"variable, name not UTF-16", 0x80000002, variable + "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xd8", "", "not UTF-16"},

		{"tables", 0x8000000B, "\x09TdxTable\x00more", `{"string":"TdxTable"}`, ""},
		{"blob, last character lost", 0x8000000A, "\x03abc", `{"string":"ab"}`, ""},
		{"blob, none", 0x8000000A, "\x00", "", "no description"},
		{"blob, cut", 0x8000000A, "\x05ab", "", "no description"},
		{"blob, not UTF-8", 0x8000000A, "\x05\xffbcd", "", "not UTF-8"},

		{"tag", 6, tag(1, "Linux\x00 initrd\x00"), `{"string":"Linux initrd"}`, ""},
		{"tag, not UTF-8", 6, tag(1, "a\xf0\x90\x80b\xff\xed\xa0\x80\xc3"), `{"string":"a` + "\ufffdb\ufffd\ufffd\ufffd\ufffd\ufffd" + `"}`, ""},
		{"tag, cut", 6, tag(1, "abc")[:10], "", "longer than the data"},
		{"tag, short", 6, "abc", "", "too short"},
		{"AAEL", 6, tag(aael, "a b c d"), `{"data":{"content":"c d","domain":"a","operation":"b"},"string":"a b c d","unicode_name":"AAEL"}`, ""},
		{"AAEL, JSON", 6, tag(aael, `a b {"y":1,"x":[1.50,2],"y":2}`), `{"data":{"content":{"x":[1.5,2],"y":2},"domain":"a","operation":"b"},"string":"a b {\"y\":1,\"x\":[1.50,2],\"y\":2}","unicode_name":"AAEL"}`, ""},
		{"AAEL, number", 6, tag(aael, `a b 123`), `{"data":{"content":123,"domain":"a","operation":"b"},"string":"a b 123","unicode_name":"AAEL"}`, ""},
		{"AAEL, null", 6, tag(aael, `a b null`), `{"data":{"content":null,"domain":"a","operation":"b"},"string":"a b null","unicode_name":"AAEL"}`, ""},
		{"AAEL, number too large", 6, tag(aael, `a b 1e999`), `{"data":{"content":"1e999","domain":"a","operation":"b"},"string":"a b 1e999","unicode_name":"AAEL"}`, ""},
		{"AAEL, half a pair", 6, tag(aael, `a b "\ud800"`), `{"data":{"content":"\"\\ud800\"","domain":"a","operation":"b"},"string":"a b \"\\ud800\"","unicode_name":"AAEL"}`, ""},
		{"AAEL, a pair", 6, tag(aael, `a b "\ud83d\ude00\\"`), `{"data":{"content":"` + "\U0001F600" + `\\","domain":"a","operation":"b"},"string":"a b \"\\ud83d\\ude00\\\\\"","unicode_name":"AAEL"}`, ""},
		{"AAEL, empty content", 6, tag(aael, `a b `), `{"data":{"content":"","domain":"a","operation":"b"},"string":"a b ","unicode_name":"AAEL"}`, ""},
		{"AAEL, two words", 6, tag(aael, `a b`), "", "three words"},
		{"AAEL, not UTF-8", 6, tag(aael, "a b \xff"), "", "not UTF-8"},

		{"image without a path", 0x80000003, image(""), `{}`, ""},
		{"image, short", 0x80000003, "x", "", "too short"},
		{"image, path cut", 0x80000003, image(node(1, 1, "\x00\x01"))[:36], "", "longer than the data"},
		{"image, path that is an end", 0x80000003, image("\x7f\xff\x04\x00"), "", "too short for one"},
		{"image, node without a length", 0x80000003, image("\x01\x01\x00\x00\x7f\xff\x04\x00"), "", "no length"},
		{"image, half a node", 0x80000003, image("\x01\x01\x04\x00\x01\x7f\xff\x04\x00"), "", "end with a node"},
		{"PCI", 0x80000003, image(node(1, 1, "\x00\x03")), path("Pci(0,3)"), ""},
		{"PCI, short", 0x80000003, image(node(1, 1, "\x00")), path("Path(1,1,00)"), ""},
		{"ACPI", 0x80000003, image(node(2, 1, unhex("d041030a02000000"))), path("ACPI(PNP0A03,2)"), ""},
		{"USB", 0x80000003, image(node(3, 5, "\x01\x02")), path("USB(1,2)"), ""},
		{"MAC", 0x80000003, image(node(3, 11, unhex("001320f5fa77")+strings.Repeat("\x00", 26)+"\x01")), path("Mac(001320F5FA77,0x01)"), ""},
		{"IPv4", 0x80000003, image(node(3, 12, unhex("0100A8C06400A8C00000BC0C0600010000000000000000"))), path("IPv4(192.168.0.100,TCP,Static,192.168.0.1)"), ""},
		{"IPv4, gateway", 0x80000003, image(node(3, 12, unhex("0100A8C06400A8C00000BC0C1100000100000002000000"))), path("IPv4(192.168.0.100,UDP,DHCP,192.168.0.1,1,2)"), ""},
		{"Fibre", 0x80000003, image(node(3, 21, unhex("00010203040506070001020304050607"))), path("FibreEx(0x0001020304050607,0x0001020304050607)"), ""},
		{"NVMe", 0x80000003, image(node(3, 23, "\x01")), path("Path(3,23,01)"), ""},
		{"GPT disk", 0x80000003, image(node(4, 1, unhex("0f000000002800000000000000500300000000005e27f1007553d5439eb5de2add4c99320202"))), path("HD(15,GPT,00F1275E-5375-43D5-9EB5-DE2ADD4C9932,0x2800,0x35000)"), ""},
		{"MBR disk", 0x80000003, image(node(4, 1, unhex("01000000000800000000000000e02e0000000000431202a000000000431202a0000000000101"))), path("HD(1,MBR,0xa0021243,0x800,0x2ee000)"), ""},
		{"MBR disk, whole", 0x80000003, image(node(4, 1, unhex("00000000000000000000000000000000000000000000000000000000431202a0000000000101"))), path("HD(0,MBR,0x00000000)"), ""},
		{"disk of another format", 0x80000003, image(node(4, 1, strings.Repeat("\x00", 38))), path("Path(4,1," + strings.Repeat("00", 38) + ")"), ""},
		{"disk, one byte short", 0x80000003, image(node(4, 1, strings.Repeat("\x00", 37))), "", "one byte short"},
		{"vendor", 0x80000003, image(node(4, 3, unhex("f8d1c555cd04b5468a20e56cbb3052d0"))), path("VenMedia(55C5D1F8-04CD-46B5-8A20-E56CBB3052D0,)"), ""},
		{"file", 0x80000003, image(node(4, 4, "k\x00\x00\x00")), path("File(k)"), ""},
		{"file, empty", 0x80000003, image(node(4, 4, "")), path("Path(4,4,)"), ""},
		{"BIOS", 0x80000003, image(node(5, 1, unhex("8000000041424300"))), path("BBS(DEV,ABC,0)"), ""},
		{"BIOS, other", 0x80000003, image(node(5, 1, unhex("f0ff000000"))), path("BBS(65520,,0)"), ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, refused := details(t, c.event, []byte(c.data))
			if c.refused != "" {
				if !strings.Contains(refused, c.refused) || !strings.Contains(refused, "trustee refuses") {
					t.Errorf("%s, refused: %q, want %q", got, refused, c.refused)
				}
				return
			}
			if refused != "" || !reflect.DeepEqual(value(t, []byte(got)), value(t, []byte(c.details))) {
				t.Errorf("%s %s\nwant %s", got, refused, c.details)
			}
		})
	}
}

// TestDepth: JSON that trustee's parser finds too deep is a string.
func TestDepth(t *testing.T) {
	for _, n := range []int{127, 128} {
		deep := strings.Repeat("[", n) + strings.Repeat("]", n)
		got, _ := details(t, 6, []byte(tag(aael, "a b "+deep)))
		if isString := strings.Contains(got, `"content":"[`); isString != (n > 127) {
			t.Errorf("%d arrays: %s", n, got)
		}
	}
}

func TestWriter(t *testing.T) {
	sum := func(a mrlog.Alg, s string) mrlog.Digest { return sumOf(a, []byte(s)) }
	rec := func(space mrlog.Space, digests ...mrlog.Digest) mrlog.Record {
		return mrlog.Record{Type: mrlog.TypePCClient, Event: 5, Content: []byte("x"), Register: mrlog.Register{Space: space, Index: 2}, Digests: digests}
	}
	head := mrlog.Record{Type: mrlog.TypePCClient, Event: 3, Content: []byte("Spec ID Event03\x00"), NotExtended: true}
	for _, c := range []struct {
		what    string
		records []mrlog.Record
		want    string
	}{
		{"nothing", nil, `[]`},
		{"a header", []mrlog.Record{head}, `[]`},
		{
			"RTMR2 is index 3, several banks",
			[]mrlog.Record{head, rec(mrlog.RTMR, sum(mrlog.SHA256, "x"), sum(mrlog.SM3, "x"))},
			`[{"details":{"string":"x"},"digest_matches_event":true,"digests":[{"alg":"SHA-256","digest":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},{"alg":"SM3","digest":"` + hex.EncodeToString(sum(mrlog.SM3, "x").Sum) + `"}],"event":"eA==","index":3,"type_name":"EV_ACTION"}]`,
		},
		{
			"one bank of two differs",
			[]mrlog.Record{rec(mrlog.PCR, sum(mrlog.SHA256, "x"), sum(mrlog.SM3, "y"))},
			`[{"details":{"string":"x"},"digest_matches_event":false,"digests":[{"alg":"SHA-256","digest":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},{"alg":"SM3","digest":"` + hex.EncodeToString(sum(mrlog.SM3, "y").Sum) + `"}],"event":"eA==","index":2,"type_name":"EV_ACTION"}]`,
		},
		{
			"of no register",
			[]mrlog.Record{head, {Type: mrlog.TypePCClient, Event: 3, Register: mrlog.Register{Index: mrlog.NoIndex}, NotExtended: true}},
			`[{"details":{},"digest_matches_event":true,"digests":[],"event":"","index":4294967295,"type_name":"EV_NO_ACTION"}]`,
		},
		{"no digests", []mrlog.Record{rec(mrlog.CCMR)}, `[{"details":{"string":"x"},"digest_matches_event":true,"digests":[],"event":"eA==","index":2,"type_name":"EV_ACTION"}]`},
	} {
		t.Run(c.what, func(t *testing.T) {
			var out bytes.Buffer
			w := claims.NewWriter(&out)
			for i := range c.records {
				if err := w.Write(c.records[i:][:1]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(value(t, out.Bytes()), value(t, []byte(`{"uefi_event_logs":`+c.want+`}`))) {
				t.Errorf("%s\nwant %s", out.Bytes(), c.want)
			}
			if w.Write(c.records) == nil || w.Close() != nil {
				t.Error("written after Close, or Close failed twice")
			}
		})
	}
	for _, r := range []mrlog.Record{
		{Type: mrlog.TypeCCCEL, Content: []byte("a b c")},
		rec(mrlog.NV),
		rec(mrlog.PCR, sum(mrlog.SHA1, "x")),
		rec(mrlog.PCR, sum(mrlog.SHA3_256, "x")),
	} {
		var c *mrlog.CarryError
		if err := claims.NewWriter(io.Discard).Write([]mrlog.Record{r}); !errors.As(err, &c) || c.Format != claims.Format {
			t.Errorf("%v", err)
		}
	}
	broken := errors.New("broken")
	w := claims.NewWriter(failing{broken})
	if err := w.Write([]mrlog.Record{rec(mrlog.PCR)}); err != broken || w.Close() != broken {
		t.Errorf("%v", err)
	}
	if err := claims.NewWriter(failing{broken}).Close(); err != broken {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzClaims(f *testing.F) {
	f.Add(uint32(6), []byte(tag(aael, `a b {"x":[1,"\u00e9"]}`)))
	f.Add(uint32(0x80000003), []byte(image(node(1, 1, "\x00\x03"))))
	f.Add(uint32(13), []byte("\x2e\x00x\x00\x00\x00"))
	f.Add(uint32(0x80000001), make([]byte, 40))
	f.Fuzz(func(t *testing.T, event uint32, data []byte) { details(t, event, data) })
}
