// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package container_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mrlog.dev"
	"mrlog.dev/aael"
	"mrlog.dev/cel"
	"mrlog.dev/container"
	"mrlog.dev/dstack"
	"mrlog.dev/ima"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
	"mrlog.dev/tcg"
)

func open(text string) ([]container.Log, error) {
	return container.Open(strings.NewReader(text), container.Options{})
}

// short is a log in base64, no more.
const short = "bG9n"

func TestOpen(t *testing.T) {
	log := func(name, format, bytes string) container.Log {
		return container.Log{Name: name, Format: format, Bytes: []byte(bytes)}
	}
	resumed := log("results.ima_measurement_list", "ima-ascii", "10 ab\n")
	resumed.First = 42
	const claims = `[{"digests":[],"event":"","index":1,"type_name":"EV_X"}]`
	const intel = `[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[]}]`
	const stack = `[{"imr":3,"event_type":1,"digest":"","event":"","event_payload":""}]`
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	quoted := func(s string) string { return strconv.Quote(s) }
	for text, want := range map[string][]container.Log{
		`{"cc_eventlog":"` + short + `","quote":"AAAA"}`:                                                            {log("cc_eventlog", "tcg", "log")},
		`{"attestation_report":{},"cert_chain":[],"serial_number":[1,2],"cc_eventlog":"` + short + `"}`:             {log("cc_eventlog", "tcg", "log")},
		`{"quote":"AAAA","cc_eventlog":"` + short + `","aa_eventlog":"INIT sha384\/00\na b c\n"}`:                   {log("cc_eventlog", "tcg", "log"), log("aa_eventlog", "aael-text", "INIT sha384/00\na b c\n")},
		`{"quote":"AAAA","cc_eventlog":null,"aa_eventlog":"x"}`:                                                     {log("aa_eventlog", "aael-text", "x")},
		`{"primary_evidence":{"quote":"","cc_eventlog":"` + short + `"},"additional_evidence":""}`:                  {log("primary_evidence.cc_eventlog", "tcg", "log")},
		`{"a":[{},{"cc_eventlog":"` + short + `"}]}`:                                                                {log("a[1].cc_eventlog", "tcg", "log")},
		`{"code":200,"results":{"ima_measurement_list":"10 ab\n","ima_measurement_list_entry":42,"quote":"r"}}`:     {resumed},
		`{"results":{"ima_measurement_list_entry":42,"mb_measurement_list":null,"ima_measurement_list":"10 ab\n"}}`: {resumed},
		`{"results":{"mb_measurement_list":"` + short + `","ima_measurement_list":"x"}}`:                            {log("results.mb_measurement_list", "tcg", "log"), log("results.ima_measurement_list", "ima-ascii", "x")},
		`{"uefi_event_logs":` + claims + `}`:                                                                        {log("uefi_event_logs", "trustee-claims", claims)},
		`{"submods":{"cpu0":{"tdx":{"uefi_event_logs":` + claims + `}}}}`:                                           {log("submods.cpu0.tdx.uefi_event_logs", "trustee-claims", claims)},
		claims:                                       {log("", "trustee-claims", claims)},
		intel:                                        {log("", "ita", intel)},
		`{"event_log":` + intel + `}`:                {log("event_log", "ita", intel)},
		`{"event_log":"` + b64(intel) + `"}`:         {log("event_log", "ita", intel)},
		`{"event_log":` + quoted(intel) + `}`:        {log("event_log", "ita", intel)},
		`{"quote":"","event_log":` + stack + `}`:     {log("event_log", "dstack", stack)},
		`{"event_log":` + quoted(stack) + `}`:        {log("event_log", "dstack", stack)},
		`{"event_log":"` + short + `"}`:              {log("event_log", "tcg", "log")},
		`{"cc_eventlog":"bG9n\u0062G9n\/\/\/\/"}`:    {log("cc_eventlog", "tcg", "loglog\xff\xff\xff")},
		" {\n\"cc_eventlog\" : \"" + short + "\"}\n": {log("cc_eventlog", "tcg", "log")},
	} {
		for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			got, err := container.Open(in, container.Options{})
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(container.Log{}, "Offset")); diff != "" || err != nil {
				t.Errorf("%s: %v %s", text, err, diff)
			}
			for _, l := range got {
				if c := text[l.Offset]; c != '"' && c != '[' {
					t.Errorf("%s: %s is at %d", text, l.Name, l.Offset)
				}
			}
		}
		for n := range strings.TrimRight(text, " \n") {
			if got, err := open(text[:n]); err == nil {
				t.Errorf("%s: %v", text[:n], got)
			} else if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok {
				t.Errorf("%s: %v", text[:n], err)
			}
		}
	}
}

func TestOpenRefused(t *testing.T) {
	many := func(n int) string {
		return `{"a":[` + strings.Repeat(`{"cc_eventlog":"`+short+`"},`, n-1) + `{"cc_eventlog":"` + short + `"}]}`
	}
	if _, err := open(many(container.MaxLogs)); err != nil {
		t.Error(err)
	}
	for text, say := range map[string]string{
		"":                                "empty",
		"x":                               "invalid",
		"1":                               "a number",
		"{}":                              "no event log",
		"[]":                              "no event log",
		`{"cc_eventlog":null}`:            "no event log",
		`{"cc_eventlog":""}`:              "no event log",
		`{"tpm_quote":{},"ak_public":""}`: "evidence of a TPM",
		`{"cc_eventlog":1}`:               "not a string",
		`{"mb_measurement_list":[1,2]}`:   "not a string",
		`{"uefi_event_logs":{}}`:          "not an array",
		`{"cc_eventlog":"bG9"}`:           "base64",
		`{"cc_eventlog":"bG9n\n"}`:        "base64",
		`{"cc_eventlog":"bG9n","cc_eventlog":"bG9n"}`:                  "duplicate",
		`{"cc_eventlog":"bG9n","\u0063c_eventlog":"bG9n"}`:             "duplicate",
		`{"cc_eventlog":"bG9n"}{}`:                                     "after the end",
		"{\"cc_eventlog\":\"bG9n\"}\x00":                               "invalid",
		"{\"cc_eventlog\":\"bG\x009n\"}":                               "invalid",
		"{\"aa_eventlog\":\"\xff\"}":                                   "UTF-8",
		`{"aa_eventlog":"\ud800"}`:                                     "surrogate",
		`{"ima_measurement_list":"x","ima_measurement_list_entry":-1}`: "integer",
		strings.Repeat(`{"a":`, 1000):                                  "deeper",
		strings.Repeat(`[`, 1000):                                      "deeper",
		`{"a":` + strings.Repeat(`[`, 1000):                            "deeper",
		many(container.MaxLogs + 1):                                    "more than",
	} {
		_, err := open(text)
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || !strings.Contains(err.Error(), say) {
			t.Errorf("%.80q: %v does not say %q", text, err, say)
		}
		if errors.Is(err, container.ErrNoLog) != strings.Contains(fmt.Sprint(err), "no event log") {
			t.Errorf("%.80q: %v", text, err)
		}
	}
	broken := errors.New("broken")
	if _, err := container.Open(io.MultiReader(strings.NewReader(`{"cc_`), iotest.ErrReader(broken)), container.Options{}); err != broken {
		t.Error(err)
	}
}

// TestOpenSize: the limit is that of all logs together, and holds before more is
// decoded.
func TestOpenSize(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, test := range []struct {
		text string
		ok   bool
	}{
		{`{"cc_eventlog":"` + b64(1000) + `"}`, true},
		{`{"cc_eventlog":"` + b64(1001) + `"}`, false},
		{`{"cc_eventlog":"` + b64(500) + `","mb_measurement_list":"` + b64(500) + `"}`, true},
		{`{"cc_eventlog":"` + b64(500) + `","mb_measurement_list":"` + b64(501) + `"}`, false},
		{`{"cc_eventlog":"` + b64(500) + `","aa_eventlog":"` + strings.Repeat("a", 501) + `"}`, false},
		{`{"uefi_event_logs":[` + strings.Repeat(" ", 998) + `]}`, true},
		{`{"uefi_event_logs":[` + strings.Repeat(" ", 999) + `]}`, false},
		{`{"cc_eventlog":"` + strings.Repeat("A", 8<<20), false},
		{`{"x":"` + strings.Repeat("A", 8<<20), false},
		{strings.Repeat(" ", 8<<20), false},
	} {
		_, err := container.Open(strings.NewReader(test.text), container.Options{MaxSize: 1000})
		if (err == nil) != test.ok || err != nil && !errors.Is(err, mrlog.ErrLimit) {
			t.Errorf("%.40s, %d bytes: %v", test.text, len(test.text), err)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		`{"quote":"AA","cc_eventlog":"`: true, `{"aa_eventlog":"`: true, ` { "uefi_event_logs" : [`: true, `{"tpm_quote":{},"hcl_report":"`: true,
		`{"a":{"uefi_event_logs":[`: true, `{"code":200,"status":"Success","results":{`: true, `{"results":{"ima_measurement_list":"`: true,
		`{"quote":"","event_log":"`: true, `[{"rtmr":{"index":1`: true, `[{"digests":[{}],"type_name":"EV_X"`: true,
		"": false, "{": false, "[": false, "{}": false, "[]": false, `{"log":[{"recnum":0`: false, `{"event":"cc_eventlog","payload":""}`: false,
		`[{"recnum":0,"pcr":1,"digests":[]`: false, `{"recnum":0,"content":{"x":{"cc_eventlog":1}}}`: false, "INIT sha384/": false,
		`[{"imr":0,"event_type":1,"digest":""`: false, `{"x":"\"cc_eventlog\":"}`: false,
		`{"recnum":0,"content":{"cc_eventlog":"`: false, `{"a":[{"cc_eventlog":"`: false, `{"a":{"b":{"cc_eventlog":"`: false, `{"a":{},"b":{"cc_eventlog":"`: true,
		`x{"cc_eventlog":"`: false, `{` + strings.Repeat(`"a":1,`, 100) + `"cc_eventlog":"`: true,
	} {
		if container.Is([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

const digest384 = "394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0"

func claim(index, digests, name, rest string) string {
	return `{"details":{"string":"x"},"digest_matches_event":true,"digests":[` + digests + `],"event":"AAAAAA==","index":` + index + `,"type_name":"` + name + `"` + rest + `}`
}

const (
	sum384 = `{"alg":"SHA-384","digest":"` + digest384 + `"}`
	sum256 = `{"alg":"SHA-256","digest":"df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"}`
)

func TestClaims(t *testing.T) {
	type events = []mrlog.Record
	unhex := func(s string) []byte {
		p, _ := hex.DecodeString(s)
		return p
	}
	one := []mrlog.Digest{{Alg: mrlog.SHA384, Sum: unhex(digest384)}}
	two := append(one[:1:1], mrlog.Digest{Alg: mrlog.SHA256, Sum: unhex("df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119")})
	record := func(s mrlog.Space, n uint32, d []mrlog.Digest) mrlog.Record {
		r := mrlog.Record{Register: mrlog.Register{Space: s, Index: n}, Digests: d, Type: mrlog.TypePCClient, Event: 4, Content: make([]byte, 4)}
		return r
	}
	noted := func(r mrlog.Record) mrlog.Record { r.Notes = mrlog.NoteSpaceAssumed; return r }
	action := record(mrlog.PCR, 1, two)
	action.Event, action.NotExtended = 3, true
	unknown := noted(record(mrlog.CCMR, 1, one))
	unknown.Event, unknown.Form, unknown.Content = 0, mrlog.FormJSON, []byte(claim("1", sum384, "EV_NEW", ""))
	ccmr, pcr := mrlog.Header{Space: mrlog.CCMR, SpaceAssumed: true}, mrlog.Header{Space: mrlog.PCR}
	for _, test := range []struct {
		text string
		o    container.ReaderOptions
		want events
		head mrlog.Header
	}{
		{"[]", container.ReaderOptions{}, nil, mrlog.Header{}},
		{"[" + claim("1", sum384, "EV_SEPARATOR", "") + "]", container.ReaderOptions{}, events{noted(record(mrlog.CCMR, 1, one))}, ccmr},
		{"[" + claim("1", sum384, "EV_SEPARATOR", `,"new":[1]`) + "]", container.ReaderOptions{Space: mrlog.RTMR}, events{record(mrlog.RTMR, 1, one)}, mrlog.Header{Space: mrlog.RTMR}},
		{"[" + claim("5", sum384, "EV_SEPARATOR", "") + "]", container.ReaderOptions{}, events{record(mrlog.PCR, 5, one)}, pcr},
		{"[" + claim("1", sum384+","+sum256, "EV_NO_ACTION", "") + "]", container.ReaderOptions{}, events{action}, pcr},
		{" [ " + claim("1", sum384, "EV_NEW", "") + " ] ", container.ReaderOptions{}, events{unknown}, ccmr},
	} {
		for _, in := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
			r := container.NewClaimsReader(in, test.o)
			got, err := logtest.ReadAll(r)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(mrlog.Record{}, "Span"), cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%s: %v, %s", test.text, err, diff)
			}
			test.head.Format = "trustee-claims"
			if diff := cmp.Diff(test.head, r.Header()); diff != "" {
				t.Errorf("%s: %s", test.text, diff)
			}
			for i := range got {
				if at := test.text[got[i].Span.Offset:][:got[i].Span.Length]; at[0] != '{' || at[len(at)-1] != '}' {
					t.Errorf("%s: record %d is %q", test.text, i, at)
				}
			}
			var buf bytes.Buffer
			logtest.Through(t, got, cel.NewJSONWriter(&buf), cel.NewJSONReader(&buf, cel.Options{}))
		}
	}
}

func TestClaimsRefused(t *testing.T) {
	good := claim("1", sum384, "EV_SEPARATOR", "")
	for text, say := range map[string]string{
		"": "too soon", "{}": "an object where", "[": "too soon", "[" + good: "too soon", "[" + good + "]x": "invalid", "[" + good + "][]": "after the end", "[1]": "not an object",
		"[" + strings.Replace(good, `"index":1,`, "", 1) + "]": `no "index"`, "[" + strings.Replace(good, `"event":"AAAAAA==",`, "", 1) + "]": `no "event"`,
		"[" + claim("1", "", "EV_SEPARATOR", "") + "]": "no digest", "[" + claim("1", sum384+","+sum384, "EV_SEPARATOR", "") + "]": "two of sha384",
		"[" + claim("1", `{"alg":"SHA-256","digest":"00"}`, "EV_SEPARATOR", "") + "]": "has 1 bytes", "[" + claim("1", `{"alg":"MD5","digest":"00"}`, "EV_SEPARATOR", "") + "]": "unknown hash",
		"[" + claim("1", `{"alg":"SHA-256"}`, "EV_SEPARATOR", "") + "]": "no value", "[" + claim("1", `1`, "EV_SEPARATOR", "") + "]": "array of objects",
		"[" + strings.Replace(good, "["+sum384+"]", "{}", 1) + "]": "array of objects",
		"[" + claim("16777216", sum256, "EV_SEPARATOR", "") + "]":  "above", "[" + claim("4294967295", sum256, "EV_SEPARATOR", "") + "]": "above",
		"[" + good + "," + claim("5", sum384, "EV_SEPARATOR", "") + "]": "state the space",
		"[" + strings.Replace(good, "AAAAAA==", "AAAAAA", 1) + "]":      "base64", "[" + strings.Replace(good, `"EV_SEPARATOR"`, "4", 1) + "]": "not a string",
		"[" + claim("1", strings.Repeat(sum384+",", 16)+sum384, "EV_SEPARATOR", "") + "]": "two of", "[\"" + strings.Repeat("x", container.MaxEvent+1<<18): "longer than",
	} {
		_, err := logtest.ReadAll(container.NewClaimsReader(strings.NewReader(text), container.ReaderOptions{}))
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || !strings.Contains(err.Error(), say) {
			t.Errorf("%.100q: %v does not say %q", text, err, say)
		}
	}
	if _, err := logtest.ReadAll(container.NewClaimsReader(strings.NewReader("[]"), container.ReaderOptions{Space: mrlog.NV})); err == nil {
		t.Error("claims of NV indexes")
	}
}

func intelEvent(id, sum string) string {
	return `{"type_id":"` + id + `","type_name":"EV_X","tags":["SecureBoot"],"measurement":"` + sum + `"}`
}

func TestIntel(t *testing.T) {
	a, b := intelEvent("0x80000001", digest384), intelEvent("0x00000003", digest384)
	text := `[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[` + a + "," + b + `]},{"rtmr":{"index":4,"bank":"SHA256"},"rtmr_events":null},` +
		`{"rtmr":{"bank":"SM3_256","index":2},"rtmr_events":[` + intelEvent("0x4", digest384[:64]) + "]}]\n"
	for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		r := container.NewIntelReader(in, container.ReaderOptions{})
		got, err := logtest.ReadAll(r)
		if err != nil || len(got) != 3 {
			t.Fatalf("%d records, %v", len(got), err)
		}
		if diff := cmp.Diff(mrlog.Header{Format: "ita", Space: mrlog.CCMR, SpaceAssumed: true}, r.Header()); diff != "" {
			t.Error(diff)
		}
		for i, want := range []string{"ccmr1 sha384:" + digest384 + " false " + a, "ccmr1 sha384:" + digest384 + " true " + b, "ccmr2 sm3_256:" + digest384[:64] + " false " + intelEvent("0x4", digest384[:64])} {
			if s := fmt.Sprint(got[i].Register, " ", got[i].Digests[0].String(), " ", got[i].NotExtended, " ", string(got[i].Content)); s != want {
				t.Errorf("%s, want %s", s, want)
			}
			if at := text[got[i].Span.Offset:][:got[i].Span.Length]; at != string(got[i].Content) {
				t.Errorf("record %d is at %s", i, at)
			}
		}
		var buf bytes.Buffer
		logtest.Through(t, got[:1], cel.NewJSONWriter(&buf), cel.NewJSONReader(&buf, cel.Options{}))
	}
	got, err := logtest.ReadAll(container.NewIntelReader(strings.NewReader(text), container.ReaderOptions{Space: mrlog.RTMR}))
	if err != nil || got[0].Register != (mrlog.Register{Space: mrlog.RTMR, Index: 1}) || got[0].Notes != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(text) - 2 {
		_, err := logtest.ReadAll(container.NewIntelReader(strings.NewReader(text[:n]), container.ReaderOptions{}))
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok {
			t.Errorf("%s: %v", text[:n], err)
		}
	}
	for text, say := range map[string]string{
		`[{}]`: "rtmr_events", `[{"rtmr":{"index":1,"bank":"SHA384"}}]`: "rtmr_events", `[{"rtmr_events":[]}]`: "before", `[{"x":1}]`: "know",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[],"x":1}]`: "know", `[{"rtmr":{"index":1}}]`: "bank", `[{"rtmr":{"bank":"SHA1"}}]`: "index", `[{"rtmr":1}]`: "not an object",
		`[{"rtmr":{"index":5,"bank":"SHA384"}}]`: "no CC-MR", `[{"rtmr":{"index":1,"bank":"MD5"}}]`: "unknown hash", `[{"rtmr":{"index":1,"bank":"SHA384","x":1}}]`: "know",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[{"type_id":"4","measurement":"00"}]}]`:   "in hexadecimal",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[{"type_id":"0x4","measurement":"00"}]}]`: "1 bytes",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[{"type_id":"0x4"}]}]`:                    "measurement",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[{"measurement":"` + digest384 + `"}]}]`:  "type_id",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":{}}]`:                                     "an object where",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr":{"index":2,"bank":"SHA384"},"rtmr_events":[]}]`:  "duplicate",
		`[{"rtmr":{"index":1,"index":2,"bank":"SHA384"},"rtmr_events":[]}]`:                           "duplicate",
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[1]}]`:                                    "not an object",
	} {
		_, err := logtest.ReadAll(container.NewIntelReader(strings.NewReader(text), container.ReaderOptions{}))
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v does not say %q", text, err, say)
		}
	}
}

// corpus returns a file of the folder of real logs, and the manifest's registers
// of each.
func corpus(t *testing.T) (read func(string) []byte, registers map[string]map[string]map[string]string) {
	t.Helper()
	manifest := reallogs.Read(t, "MANIFEST.json")
	var all []struct {
		File      string
		Registers json.RawMessage
	}
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	registers = map[string]map[string]map[string]string{}
	for _, m := range all {
		var r map[string]map[string]string
		if json.Unmarshal(m.Registers, &r) == nil {
			registers[m.File] = r
		}
	}
	return func(name string) []byte { return reallogs.Read(t, name) }, registers
}

func checkRegisters(t *testing.T, name string, records []mrlog.Record, want map[string]map[string]string) {
	t.Helper()
	var replay mrlog.Replay
	if err := replay.Extend(records); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Fatalf("%s: no registers in the manifest", name)
	}
	for alg, values := range want {
		a, _ := mrlog.AlgByName(alg)
		for index, value := range values {
			n, _ := strconv.Atoi(index)
			if got := hex.EncodeToString(replay.Value(mrlog.Register{Space: mrlog.CCMR, Index: uint32(n)}, a)); got != value {
				t.Errorf("%s: %s %s is %s, want %s", name, alg, index, got, value)
			}
		}
	}
}

// TestCorpusClaims: trustee's claims of real logs are the logs' events, and
// replay to the same values.
func TestCorpusClaims(t *testing.T) {
	read, registers := corpus(t)
	for _, name := range []string{"tcg/ccel-aael-alibaba", "tcg/ccel-ovmf"} {
		logs, err := container.Open(bytes.NewReader(read(name+".trustee-claims.json")), container.Options{})
		if err != nil || len(logs) != 1 || logs[0].Format != container.Claims {
			t.Fatalf("%s: %d logs, %v", name, len(logs), err)
		}
		got, err := logtest.ReadAll(container.NewClaimsReader(bytes.NewReader(logs[0].Bytes), container.ReaderOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		want, err := logtest.ReadAll(tcg.NewReaderBytes(read(name+".bin"), tcg.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[1:], got, cmpopts.IgnoreFields(mrlog.Record{}, "Span"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		checkRegisters(t, name, got, registers[name+".bin"])
	}
}

// TestCorpusEvidence: real logs come out of evidence as they went in.
func TestCorpusEvidence(t *testing.T) {
	read, registers := corpus(t)
	for _, name := range []string{"quotes/azure-snp-vtpm-evidence.json", "quotes/coco-tpm-evidence.json"} {
		p := read(name)
		if _, err := container.Open(bytes.NewReader(p), container.Options{}); !errors.Is(err, container.ErrNoLog) || !strings.Contains(err.Error(), "TPM") {
			t.Errorf("%s: %v", name, err)
		}
		if !container.Is(p[:min(len(p), 65536)]) {
			t.Errorf("%s is not known", name)
		}
	}
	for _, name := range []string{"tcg/ccel-aael-alibaba.bin", "tcg/ccel-cos113.bin", "tcg/ccel-ovmf.bin", "tdx-intel/ccel.bin"} {
		log := read(name)
		evidence, err := json.Marshal(map[string]any{"quote": read("tdx-intel/quote.bin"), "cc_eventlog": log})
		if err != nil {
			t.Fatal(err)
		}
		logs, err := container.Open(bytes.NewReader(evidence), container.Options{})
		if err != nil || len(logs) != 1 || !bytes.Equal(logs[0].Bytes, log) || !container.Is(evidence[:64]) {
			t.Fatalf("%s: %d logs, %v", name, len(logs), err)
		}
		records, err := logtest.ReadAll(tcg.NewReaderBytes(logs[0].Bytes, tcg.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		checkRegisters(t, name, records, registers[name])
	}
	// A Keylime agent's response with both of its logs.
	response, err := json.Marshal(map[string]any{"code": 200, "status": "Success", "results": map[string]any{
		"quote": "r", "mb_measurement_list": read("qemu-ovmf/firmware.bin"), "ima_measurement_list": string(read("qemu-ovmf/ima.txt")), "ima_measurement_list_entry": 0,
	}})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := container.Open(bytes.NewReader(response), container.Options{})
	if err != nil || len(logs) != 2 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, l := range logs {
		var r mrlog.Reader = tcg.NewReaderBytes(l.Bytes, tcg.Options{})
		if l.Format == container.IMAASCII {
			r = ima.NewASCIIReader(bytes.NewReader(l.Bytes), ima.Options{})
		}
		if records, err := logtest.ReadAll(r); err != nil || len(records) == 0 {
			t.Errorf("%s: %d records, %v", l.Name, len(records), err)
		}
	}
}

// TestFormats: what Open says a log is, its reader calls it, too.
func TestFormats(t *testing.T) {
	for _, r := range []struct {
		name string
		r    mrlog.Reader
	}{
		{container.TCG, tcg.NewReaderBytes(nil, tcg.Options{})},
		{container.IMAASCII, ima.NewASCIIReader(strings.NewReader(""), ima.Options{})},
		{container.AAELText, aael.NewTextReader(strings.NewReader(""), aael.Options{})},
		{container.Dstack, dstack.NewReader(strings.NewReader(""), dstack.Options{})},
		{container.Claims, container.NewClaimsReader(strings.NewReader("[]"), container.ReaderOptions{})},
		{container.Intel, container.NewIntelReader(strings.NewReader("[]"), container.ReaderOptions{})},
	} {
		_, _ = logtest.ReadAll(r.r)
		if got := r.r.Header().Format; got != r.name {
			t.Errorf("%s, want %s", got, r.name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, s := range []string{
		`{"quote":"AAAA","cc_eventlog":"` + short + `","aa_eventlog":"INIT sha384\/00\n"}`,
		`{"results":{"ima_measurement_list":"10 ab\n","ima_measurement_list_entry":42}}`,
		`{"a":[{"uefi_event_logs":[` + claim("1", sum384, "EV_SEPARATOR", "") + `]}],"event_log":"W10="}`,
		`[{"rtmr":{"index":1,"bank":"SHA384"},"rtmr_events":[` + intelEvent("0x4", digest384) + `]}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, r := range []mrlog.Reader{container.NewClaimsReader(bytes.NewReader(p), container.ReaderOptions{}), container.NewIntelReader(bytes.NewReader(p), container.ReaderOptions{})} {
			records, err := logtest.ReadAll(r)
			if _, ok := errors.AsType[*mrlog.SyntaxError](err); err != nil && !ok {
				t.Fatal(err)
			}
			for i := range records {
				if d := records[i].Digests; len(d) == 0 || d[0].Alg.Size() != 0 && len(d[0].Sum) != d[0].Alg.Size() || !json.Valid(p[records[i].Span.Offset:][:records[i].Span.Length]) {
					t.Fatalf("%+v", records[i])
				}
			}
		}
		logs, err := container.Open(bytes.NewReader(p), container.Options{MaxSize: 1 << 16})
		if err != nil {
			if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(p) || len(logs) == 0 || len(logs) > container.MaxLogs {
			t.Fatalf("%d logs in %q", len(logs), p)
		}
		total := 0
		for _, l := range logs {
			total += len(l.Bytes)
		}
		if total > len(p) {
			t.Fatalf("%d bytes of logs from %d", total, len(p))
		}
	})
}
