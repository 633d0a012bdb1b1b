// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mrlog.dev"
	"mrlog.dev/ima"
	"mrlog.dev/internal/term"
)

// tlvFields are the fields of a record of IMA in TLV (CEL 1.1, content
// ima_tlv), as the template fields of the same meaning are named.
var tlvFields = [...]string{"path", "datahash", "datasig", "owner", "group", "mode", "timestamp", "label"}

var errTLV = errors.New("not a run of TLVs")

// imaFields returns the fields of a record of IMA. An error says what was not
// understood; the fields before that are returned.
func imaFields(rec *mrlog.Record) ([]ima.Field, error) {
	if rec.Type == mrlog.TypeIMATemplate {
		return ima.Fields(rec.Name, rec.Content)
	}
	var out []ima.Field
	for p := rec.Content; len(p) > 0; {
		if len(p) < 5 || uint64(binary.BigEndian.Uint32(p[1:])) > uint64(len(p)-5) {
			return out, errTLV
		}
		n := binary.BigEndian.Uint32(p[1:])
		f := ima.Field{ID: fmt.Sprint(p[0]), Kind: ima.KindBytes, Data: p[5 : 5+n]}
		if int(p[0]) < len(tlvFields) {
			f.ID = tlvFields[p[0]]
		}
		if f.ID == "path" || f.ID == "label" {
			f.Kind, f.Text = ima.KindName, f.Data
		}
		out = append(out, f)
		p = p[5+n:]
	}
	return out, nil
}

// signatureKinds name what a signature is of.
var signatureKinds = map[byte]string{ima.SignatureIMA: "ima", ima.SignatureEVM: "evm", ima.SignatureVerity: "verity"}

// imaText is the line of a record of IMA: the template, the file's name and
// digest, and who signed it.
func imaText(rec *mrlog.Record, content []byte) string {
	var parts []string
	if rec.Type == mrlog.TypeIMATemplate {
		parts = append(parts, word(string(rec.Name)))
	}
	fields, err := []ima.Field(nil), errTLV
	if rec.Form == mrlog.FormRaw && len(rec.Content) <= maxDecoded {
		fields, err = imaFields(rec)
	}
	if len(fields) == 0 && err != nil {
		return strings.Join(append(parts, textOrHex(content)), " ")
	}
	if rec.Notes&mrlog.NoteViolation != 0 {
		parts = append(parts, "(violation)")
	}
	// The name first: it is what a narrow table must show.
	for i := range fields {
		if f := &fields[i]; f.Kind == ima.KindName {
			parts = append(parts, word(string(f.Text)))
		}
	}
	for i := range fields {
		f := &fields[i]
		switch {
		case len(f.Data) == 0 || f.Kind == ima.KindName:
			continue
		case f.Problem != "":
			parts = append(parts, fmt.Sprintf("%s=%x (%s)", f.ID, clipped(f.Data), term.Line(f.Problem)))
		case f.Kind == ima.KindDigest:
			parts = append(parts, label(f)+digestText(f.Digest))
		case f.Kind == ima.KindSignature:
			what := ""
			if f.Signature.Type != ima.SignatureIMA {
				what = signatureKinds[f.Signature.Type] + " "
			}
			parts = append(parts, fmt.Sprintf("%ssigned by key %08x", what, f.Signature.KeyID))
		case f.Kind == ima.KindNumber && f.ID == "imode":
			parts = append(parts, fmt.Sprintf("%s=%04o", f.ID, f.Number))
		case f.Kind == ima.KindNumber:
			parts = append(parts, fmt.Sprintf("%s=%d", f.ID, f.Number))
		case f.Kind == ima.KindList:
			parts = append(parts, f.ID+"="+word(string(f.Text)))
		case f.Kind == ima.KindBytes:
			parts = append(parts, f.ID+"="+bufferText(f.Data))
		}
	}
	if err != nil {
		parts = append(parts, "("+term.Line(err.Error())+")")
	}
	return strings.Join(parts, " ")
}

// label is for a digest that is not the one of the file's contents.
func label(f *ima.Field) string {
	if f.ID == "d-modsig" {
		return "without its signature "
	}
	return ""
}

// digestText is a digest as it stands, but for what it is of and by which
// algorithm where that is no single word: both are as the record says.
func digestText(d ima.Digest) string {
	text := hex.EncodeToString(d.Sum)
	if d.Name != "" {
		text = word(d.Name) + ":" + text
	}
	if d.Type != "" && d.Type != "ima" {
		text = word(d.Type) + ":" + text
	}
	return text
}

// maxBuffer is how many bytes of a buffer that IMA measured a line shows.
const maxBuffer = 64

func clipped(p []byte) []byte { return p[:min(len(p), maxBuffer)] }

// bufferText shows a buffer that was measured, the command line of a kexec say.
func bufferText(p []byte) string {
	text := textOrHex(p)
	if strings.HasPrefix(text, `"`) {
		return text
	}
	if text != hex.EncodeToString(p) {
		return word(text)
	}
	if len(p) > maxBuffer {
		return fmt.Sprintf("%x… (%s)", clipped(p), count(len(p), "byte"))
	}
	return text
}

func appendIMA(dst []byte, rec *mrlog.Record) []byte {
	type field struct {
		ID        string   `json:"id"`
		Text      *string  `json:"text,omitempty"`
		DigestOf  string   `json:"digest_of,omitempty"`
		Algorithm string   `json:"algorithm,omitempty"`
		Digest    string   `json:"digest,omitempty"`
		Signature string   `json:"signature_type,omitempty"`
		Version   byte     `json:"version,omitempty"`
		Hash      string   `json:"hash,omitempty"`
		KeyID     string   `json:"key_id,omitempty"`
		Number    *uint64  `json:"number,omitempty"`
		Lengths   []uint32 `json:"lengths,omitempty"`
		Data      string   `json:"data,omitempty"`
		Problem   string   `json:"problem,omitempty"`
	}
	v := struct {
		Kind        string  `json:"kind"`
		Undecodable string  `json:"undecodable,omitempty"`
		Template    string  `json:"template,omitempty"`
		Violation   bool    `json:"violation,omitempty"`
		File        *string `json:"file,omitempty"`
		Fields      []field `json:"fields"`
	}{Kind: "ima", Template: string(rec.Name), Violation: rec.Notes&mrlog.NoteViolation != 0, Fields: []field{}}
	fields, err := imaFields(rec)
	if err != nil {
		v.Undecodable = err.Error()
	}
	for i := range fields {
		f := &fields[i]
		out := field{ID: f.ID, Problem: f.Problem}
		switch f.Kind {
		case ima.KindDigest:
			out.DigestOf, out.Algorithm, out.Digest = f.Digest.Type, f.Digest.Name, hex.EncodeToString(f.Digest.Sum)
		case ima.KindName, ima.KindList:
			text := string(f.Text)
			if out.Text = &text; f.Kind == ima.KindName && v.File == nil && f.ID != "label" {
				v.File = &text
			}
		case ima.KindSignature:
			if len(f.Data) > 0 && f.Problem == "" {
				out.Signature, out.Version, out.Hash = signatureKinds[f.Signature.Type], f.Signature.Version, f.Signature.Hash
				out.KeyID = fmt.Sprintf("%08x", f.Signature.KeyID)
			}
			out.Data = hex.EncodeToString(f.Data)
		case ima.KindNumber:
			out.Number = &f.Number
		case ima.KindLengths:
			out.Lengths = f.Lengths
		default:
			out.Data = hex.EncodeToString(f.Data)
		}
		if f.Problem != "" {
			out.Data = hex.EncodeToString(f.Data)
		}
		v.Fields = append(v.Fields, out)
	}
	return appendValue(dst, v)
}
