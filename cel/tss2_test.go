// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"mrlog.dev"
)

// tss2 is a log of tpm2-tss; the digest is sha256("hi\n").
const tss2 = `[
  {
    "recnum":0,
    "pcr":16,
    "digests":[
      {
        "hashAlg":"SHA256",
        "digest":"98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
      }
    ],
    "content_type":"tss2",
    "content":{
      "data":"68690a",
      "event":{ "test":"myfile" }
    }
  }
]`

func TestTSS2(t *testing.T) {
	old := strings.NewReplacer("content_type", "type", `"content":`, `"sub_event":`).Replace(tss2)
	for _, text := range []string{tss2, old} {
		got, err := readJSON(NewJSONReader(strings.NewReader(text), Options{}))
		if err != nil || len(got) != 1 {
			t.Fatalf("%d records, %v", len(got), err)
		}
		data, ok := MeasuredTSS2(&got[0])
		if !ok || !bytes.Equal(mrlog.SHA256.AppendSum(nil, data), got[0].Digests[0].Sum) || got[0].Notes != mrlog.NoteNonCanonical {
			t.Errorf("%q, %+v", data, got[0])
		}
		back, err := writeJSON(arrayWriter, got)
		if err != nil || !bytes.Contains(back, []byte(`"content_type":"tss2","content":{`)) {
			t.Errorf("%s, %v", back, err)
		}
	}
	for _, text := range []string{
		strings.Replace(tss2, `"recnum":0`, `"type":"tss2","recnum":0`, 1),
		strings.Replace(tss2, `"recnum":0`, `"sub_event":{},"recnum":0`, 1),
	} {
		_, err := readJSON(NewJSONReader(strings.NewReader(text), Options{}))
		if _, ok := errors.AsType[*mrlog.SyntaxError](err); !ok || !strings.Contains(err.Error(), "both") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, content := range []string{"", "[]", "{}", `{"event":{"data":"00"}}`, `{"data":"0"}`, `{"data":1}`, `{"data":"00","data":"00"}`, `{"data":"00"}x`} {
		r := mrlog.Record{Type: mrlog.TypeNamed, Name: []byte(TypeTSS2), Form: mrlog.FormJSON, Content: []byte(content)}
		if data, ok := MeasuredTSS2(&r); ok {
			t.Errorf("%s: %x", content, data)
		}
	}
	if _, ok := MeasuredTSS2(&mrlog.Record{Type: mrlog.TypeNamed, Name: []byte("x"), Form: mrlog.FormJSON, Content: []byte(`{"data":"00"}`)}); ok {
		t.Error("that is another type")
	}
}
