// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"testing"

	"mrlog.dev"
)

// FuzzKnown: what is known of a content is found in any form, of any bytes, and
// a content with nothing unknown in it says what its record would have said.
func FuzzKnown(f *testing.F) {
	for _, s := range []struct {
		form    mrlog.Form
		typ     mrlog.ContentType
		content string
	}{
		{mrlog.FormJSON, mrlog.TypePCClient, `{"event_type":"EV_SEPARATOR","x":1,"event_data":"00000000"}`},
		{mrlog.FormJSON, mrlog.TypePCClient, `{"event_type":"EV_NEWER","event_data":"00"}`},
		{mrlog.FormJSON, mrlog.TypeIMATemplate, `{"template_name":"ima","template_data":"00","x":{}}`},
		{mrlog.FormJSON, 80, `"0A"`},
		{mrlog.FormCBOR, mrlog.TypePCClient, "\xa3\x00\x04\x01\x44\x00\x00\x00\x00\x02\x01"},
		{mrlog.FormCBOR, mrlog.TypePCClient, "\xa2\x00\x68EV_NEWER\x01\x5f\x41\x00\x41\x01\xff"},
		{mrlog.FormCBOR, mrlog.TypeIMATemplate, "\xbf\x00\x7f\x61i\xff\x01\x41\x00\x61x\xf6\xff"},
		{mrlog.FormCBOR, mrlog.TypeIMATLV, "\x5f\x41\x00\xff"},
		{mrlog.FormTLV, mrlog.TypePCClient, "\x01\x00\x00\x00\x01x\x00\x00\x00\x00\x01\x04\x02\x00\x00\x00\x00"},
		{mrlog.FormTLV, mrlog.TypeIMATemplate, "\x01\x00\x00\x00\x01x\x09\x00\x00\x00\x00"},
	} {
		f.Add(uint8(s.form), uint32(s.typ), []byte(s.content))
	}
	var k Known
	f.Fuzz(func(t *testing.T, form uint8, typ uint32, content []byte) {
		r := mrlog.Record{Form: mrlog.Form(form), Type: mrlog.ContentType(typ), Content: bytes.Clone(content)}
		got, err := k.Record(&r)
		if !bytes.Equal(r.Content, content) {
			t.Fatal("the content was changed")
		}
		if err != nil {
			if got != nil {
				t.Fatal("a record and an error")
			}
			return
		}
		if got.Form != mrlog.FormRaw || got.Type != r.Type || got.NotExtended || len(got.Content) > len(content) {
			t.Fatalf("%+v", got)
		}
		if r.Form != mrlog.FormJSON || r.Type != mrlog.TypePCClient && r.Type != mrlog.TypeIMATemplate {
			return
		}
		// The reader agrees, if it does not keep the content whole.
		own := mrlog.Record{Type: r.Type}
		var b mrlog.Batch
		var d jsonRecord
		if _, err := d.parseContent(content, &b, &own); err != nil || own.Form != mrlog.FormRaw {
			return
		}
		if own.Event != got.Event || !bytes.Equal(own.Name, got.Name) || !bytes.Equal(own.Content, got.Content) {
			t.Fatalf("%+v, the reader has %+v", got, own)
		}
	})
}
