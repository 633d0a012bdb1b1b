// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"testing"

	"mrlog.dev"
	"mrlog.dev/verify"
)

// FuzzContent: of any record, the answer is one of the four, is the same alone
// and among others, and no digest matches beside another that does.
func FuzzContent(f *testing.F) {
	for _, s := range []struct {
		typ   mrlog.ContentType
		form  byte
		event uint32
		name  string
		data  string
	}{
		{mrlog.TypeCCCEL, 0, 0, "", "example.org/app Started x"},
		{mrlog.TypeCEL, 1, 0, "", "\x03\x00\x00\x00\x01\x01"},
		{mrlog.TypePCClient, 0, 4, "", "\x00\x00\x00\x00"},
		{mrlog.TypePCClient, 0, 13, "", "grub_cmd: linux /vmlinuz\x00"},
		{mrlog.TypePCClient, 0, mrlog.EventTag, "", "LEAA\x05\x00\x00\x00a b c"},
		{mrlog.TypePCClient, 0, 0x08000001, "", "\x01\x00\x00\x08:a:b"},
		{mrlog.TypeIMATemplate, 0, 0, "ima-ng", "\x01\x00\x00\x00a"},
		{mrlog.TypeIMATLV, 0, 0, "", "\x00\x00\x00\x00\x01a"},
		{mrlog.TypeSystemd, 2, 0, "", `{"string":"enter-initrd","eventType":"phase"}`},
		{mrlog.TypeNamed, 2, 0, "dstack", `{"imr":3,"event_type":134217729,"digest":"","event":"a","event_payload":""}`},
		{mrlog.TypeNamed, 2, 0, "x", `{}`},
		{80, 3, 0, "", "\xa1\x00\x01"},
	} {
		f.Add(uint32(s.typ), s.form, s.event, s.name, []byte(s.data), byte(2), false)
	}
	algs := []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA384, mrlog.SHA512, mrlog.SM3, 0x1234}
	f.Fuzz(func(t *testing.T, typ uint32, form byte, event uint32, name string, data []byte, alg byte, strict bool) {
		a := algs[int(alg)%len(algs)]
		whole := mrlog.Digest{Alg: a, Sum: a.AppendSum(nil, data)}
		if a.Size() == 0 {
			whole.Sum = make([]byte, 32)
		}
		rec := mrlog.Record{
			Type: mrlog.ContentType(typ), Form: mrlog.Form(form % 5), Event: event, Name: []byte(name), Content: data,
			Register: mrlog.Register{Space: mrlog.RTMR, Index: 3},
		}
		rec.Digests = []mrlog.Digest{whole, {Alg: a, Sum: bytes.Clone(whole.Sum)}}
		rec.Digests[1].Sum[0] ^= 1
		var h verify.Hasher
		if strict {
			h.Contents = verify.Strict
		}
		kept := rec.Clone()
		var answers [3]verify.Contents
		h.Each([]mrlog.Record{rec, rec, rec}, answers[:])
		for i, d := range rec.Digests {
			got := h.Content(&rec, d)
			if got > verify.Deviates || answers[0][i] != got || answers[1][i] != got || answers[2][i] != got {
				t.Fatalf("digest %d: %v alone, among others %v, %v, %v", i, got, answers[0][i], answers[1][i], answers[2][i])
			}
			if got == verify.Matches && h.Content(&rec, rec.Digests[1-i]) == verify.Matches {
				t.Fatalf("two %s digests of %q match", a, data)
			}
			if a.Size() == 0 && (got == verify.Matches || got == verify.Part) {
				t.Fatalf("a digest that nobody can compute is a %v", got)
			}
		}
		if !bytes.Equal(kept.Content, rec.Content) || !bytes.Equal(kept.Digests[0].Sum, rec.Digests[0].Sum) {
			t.Fatal("the record was changed")
		}
	})
}
