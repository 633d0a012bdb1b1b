// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"encoding/hex"

	"github.com/go-json-experiment/json/jsontext"

	"mrlog.dev"
)

// TypeTSS2 is the name of the content type of what tpm2-tss (FAPI) measured for
// an application: {"data":HEX,"event":VALUE}, where event may be absent. It has
// no number.
const TypeTSS2 = "tss2"

// MeasuredTSS2 returns the data of a record of tpm2-tss, whose hash is the
// digest; "event" only describes it. It returns false if the record is none.
func MeasuredTSS2(r *mrlog.Record) (data []byte, ok bool) {
	if r.Type != mrlog.TypeNamed || r.Form != mrlog.FormJSON || string(r.Name) != TypeTSS2 {
		return nil, false
	}
	var c jsonChecker
	if _, err := c.check(r.Content); err != nil {
		return nil, false
	}
	w, ok := walk(r.Content, '{')
	if !ok {
		return nil, false
	}
	found := false
	for w.next() {
		name := string(w.name())
		if v := w.value(); name == "data" {
			text, err := jsontext.AppendUnquote(nil, v)
			if err != nil {
				return nil, false
			}
			if data, err = hex.AppendDecode(nil, text); err != nil {
				return nil, false
			}
			found = true
		}
	}
	return data, found
}
