// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
)

// describe gives a field in one line.
func describe(f Field) string {
	s := f.ID + "="
	switch f.Kind {
	case KindDigest:
		s += fmt.Sprintf("%s/%s/%s/%x", f.Digest.Type, f.Digest.Name, f.Digest.Alg, f.Digest.Sum)
	case KindName, KindList:
		s += string(f.Text)
	case KindSignature:
		s += fmt.Sprintf("%d/%d/%s/%08x/%s", f.Signature.Type, f.Signature.Version, f.Signature.Hash, f.Signature.KeyID, f.Signature.Sum)
	case KindNumber:
		s += fmt.Sprint(f.Number)
	case KindLengths:
		s += fmt.Sprint(f.Lengths)
	case KindBytes:
		s += fmt.Sprintf("%x", f.Data)
	}
	if f.Problem != "" {
		s += " (" + f.Problem + ")"
	}
	return s
}

func TestFields(t *testing.T) {
	for _, big := range []bool{false, true} {
		for _, m := range allSamples(big) {
			fields, err := Fields([]byte(m.template), m.data(big))
			if err != nil || len(fields) != len(m.fields) {
				t.Fatalf("%s: %d fields, %v", m.template, len(fields), err)
			}
			for i, f := range fields {
				if !bytes.Equal(f.Data, m.fields[i]) || f.Problem != "" && m.text[1] != "bare" {
					t.Errorf("%s: %s, data %x, want %x", m.template, describe(f), f.Data, m.fields[i])
				}
			}
		}
	}

	data := func(fields ...string) []byte {
		m := measure{template: "custom"}
		for _, f := range fields {
			m.fields = append(m.fields, []byte(f))
		}
		return m.data(false)
	}
	h32, h20 := strings.Repeat("h", 32), strings.Repeat("h", 20)
	for _, tt := range []struct{ name, data, want string }{
		{"d-ng", string(data("sha256:\x00" + h32)), "d-ng=/sha256/sha256/" + fmt.Sprintf("%x", h32)},
		{"d-ngv2", string(data("verity:sm3-256:\x00" + h32)), "d-ngv2=verity/sm3-256/sm3_256/" + fmt.Sprintf("%x", h32)},
		{"d-ngv2", string(data("other:sha1:\x00" + h20)), "d-ngv2=other/sha1/sha1/" + fmt.Sprintf("%x", h20) + ` (digest of the unknown type "other")`},
		{"d-ng", string(data("wp512:\x00x")), "d-ng=/wp512/0x0000/78 (wp512 digest has 1 bytes, want 64)"},
		{"d-ng", string(data("crc32:\x00x")), `d-ng=/crc32/0x0000/78 (digest of the unknown algorithm "crc32")`},
		{"d-ng", string(data("sha256 without")), "d-ng=//0x0000/ (digest without the name of its algorithm)"},
		{"d", string(data("x")), "d=//0x0000/78 (digest of 1 bytes, want 20 (SHA-1) or 16 (MD5))"},
		{"n-ng", string(data("x")), "n-ng=x (text does not end in a NUL)"},
		{"n-ng", string(data("x\x00y\x00")), "n-ng=x\x00y (text with a NUL in it)"},
		{"sig", string(data("\x03\x02\x04\xde\xad\xbe\xef\x00\x03sig")), "sig=3/2/sha256/deadbeef/sig"},
		{"sig", string(data("\x06\x03\x05\xde\xad\xbe\xef\x00\x03sig")), "sig=6/3/sha384/deadbeef/sig"},
		{"sig", string(data("\x03\x02\x04\xde\xad\xbe\xef\x01\x03sig")), "sig=3/2/sha256/deadbeef/sig (signature has 3 bytes, its header says 259)"},
		{"sig", string(data("\x03\x02\x99\xde\xad\xbe\xef\x00\x03sig")), "sig=3/2//deadbeef/sig (signature of a digest of the unknown algorithm 153)"},
		{"sig", string(data("\x03\x01")), "sig=3/1//00000000/ (signature of version 1, which is not decoded)"},
		{"sig", string(data("\x03\x02\x04")), "sig=3/2//00000000/ (signature is cut off within its header)"},
		{"evmsig", string(data("\x02hmac")), "evmsig=2/104//00000000/ (signature of the unknown type 2)"},
		{"iuid", string(data("\xe8\x03\x00\x00")), "iuid=1000"},
		{"iuid", string(data("\xe8\x03")), "iuid=1000 (number of 2 bytes, want 4)"},
		{"imode", string(data("")), "imode=0"},
		{"xattrlengths", string(data("\x01\x00\x00\x00\x02")), "xattrlengths=[1] (lengths in 5 bytes, want a multiple of 4)"},
		{"ima-ng", "\x01\x00\x00\x00x\xff\x00\x00\x00", "d-ng=//0x0000/ (digest without the name of its algorithm)"},
		{"ima-ng", "", ""},
		{"ima", "short", ""},
		{"unheard-of", "x", ""},
	} {
		fields, err := Fields([]byte(tt.name), []byte(tt.data))
		var got []string
		for _, f := range fields {
			got = append(got, describe(f))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.name, tt.data, got, tt.want)
		}
		if broken := tt.name == "ima-ng" || tt.name == "ima" || tt.name == "unheard-of"; broken != (err != nil) {
			t.Errorf("%s %q: %v", tt.name, tt.data, err)
		}
	}

	for _, big := range []bool{false, true} {
		m := evmSample(big)
		fields, err := Fields([]byte(m.template), m.data(big))
		if err != nil {
			t.Fatal(err)
		}
		xattrs, err := Xattrs(fields)
		if err != nil || len(xattrs) != 2 || xattrs[0].Name != "security.selinux" || string(xattrs[0].Value) != "label" || string(xattrs[1].Value) != "\x01\x02" {
			t.Errorf("%v, %v", xattrs, err)
		}
		if _, err := Xattrs(fields[:5]); err == nil {
			t.Error("attributes without values")
		}
		fields[4].Lengths = append(fields[4].Lengths, 0)
		if _, err := Xattrs(fields); err == nil {
			t.Error("a length too many")
		}
	}
}

func TestCheckBootAggregate(t *testing.T) {
	pcr := func(bank mrlog.Alg, i uint32) []byte {
		if bank == mrlog.SHA384 && i == 9 || bank == mrlog.SHA512 {
			return nil
		}
		return sum(bank, []byte{byte(i)})
	}
	of := func(bank mrlog.Alg, n uint32) []byte {
		var all []byte
		for i := range n {
			all = append(all, pcr(bank, i)...)
		}
		return sum(bank, all)
	}
	record := func(template, alg string, digest []byte, path string) *mrlog.Record {
		m := measure{template: template, pcr: 10}
		if template == "ima" {
			m.fields = [][]byte{digest, []byte(path)}
		} else {
			d, _ := ng(alg, digest)
			m.fields = [][]byte{d, name(path)}
		}
		return &mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte(template), Content: m.data(false)}
	}
	for _, tt := range []struct {
		what string
		r    *mrlog.Record
		want Aggregate
		pcrs int
	}{
		{"SHA-1", record("ima-ng", "sha1", of(mrlog.SHA1, 8), "boot_aggregate"), AggregateMatches, 8},
		{"SHA-1 of ten", record("ima-ng", "sha1", of(mrlog.SHA1, 10), "boot_aggregate"), AggregateDiffers, 0},
		{"template ima", record("ima", "", of(mrlog.SHA1, 8), "boot_aggregate"), AggregateMatches, 8},
		{"SHA-256", record("ima-ng", "sha256", of(mrlog.SHA256, 10), "boot_aggregate"), AggregateMatches, 10},
		{"SHA-256, older", record("ima-ng", "sha256", of(mrlog.SHA256, 8), "boot_aggregate"), AggregateMatches, 8},
		{"v2", record("ima-ngv2", "ima:sha256", of(mrlog.SHA256, 10), "boot_aggregate"), AggregateMatches, 10},
		{"another boot", record("ima-ng", "sha256", of(mrlog.SHA256, 9), "boot_aggregate"), AggregateDiffers, 0},
		{"no TPM", record("ima-ng", "sha256", make([]byte, 32), "boot_aggregate"), AggregateNone, 0},
		{"PCR 9 not known", record("ima-ng", "sha384", of(mrlog.SHA384, 7), "boot_aggregate"), AggregateUnknown, 0},
		{"PCR 9 not needed", record("ima-ng", "sha384", of(mrlog.SHA384, 8), "boot_aggregate"), AggregateMatches, 8},
		{"no bank", record("ima-ng", "sha512", of(mrlog.SHA256, 8), "boot_aggregate"), AggregateUnknown, 0},
		{"no such bank", record("ima-ng", "md5", make([]byte, 15), "boot_aggregate"), AggregateNone, 0},
		{"MD5", record("ima-ng", "md5", bytes.Repeat([]byte{1}, 16), "boot_aggregate"), AggregateUnknown, 0},
		{"wrong size", record("ima-ng", "sha256", []byte{1}, "boot_aggregate"), AggregateUnknown, 0},
		{"another record", record("ima-ng", "sha256", of(mrlog.SHA256, 10), "/bin/sh"), AggregateAbsent, 0},
		{"another template", record("n-ng", "sha256", nil, "boot_aggregate"), AggregateAbsent, 0},
		{"another type", &mrlog.Record{}, AggregateAbsent, 0},
	} {
		got := CheckBootAggregate(tt.r, pcr)
		if got.Result != tt.want || got.PCRs != tt.pcrs || (got.Reason != "") != (tt.want == AggregateUnknown) || (got.Want != nil) != (tt.want == AggregateDiffers) {
			t.Errorf("%s: %+v (%s), want %s of %d", tt.what, got, got.Result, tt.want, tt.pcrs)
		}
	}
}

// TestPart: a record that does not tell what was hashed is an error, or has the
// logged digest alone.
func TestPart(t *testing.T) {
	list := helloLine + "\n" + "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-next x\n" + helloLine + "\n"
	for _, part := range []bool{false, true} {
		o := Options{Banks: []mrlog.Alg{mrlog.SHA256}, Padded: []mrlog.Alg{mrlog.SHA384}, Part: part}
		var got []int
		var err error
		for rec, failed := range mrlog.All(NewASCIIReader(strings.NewReader(list), o)) {
			if err = failed; err != nil {
				break
			}
			got = append(got, len(rec.Digests))
		}
		want := []int{3, 1, 3}
		if !part {
			want = []int{3}
		}
		if !slices.Equal(got, want) || (err == nil) != part {
			t.Errorf("part %t: %d digests, want %d; %v", part, got, want, err)
		}
	}
}

// Every prefix is found, in every mode, from any start.
func TestFindBanks(t *testing.T) {
	all := allSamples(false)
	for _, alg := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256} {
		bin, text := lists(all, alg, false)
		start := bytes.Repeat([]byte{7}, 64)
		var wants []Want
		var expect []string
		for i := range all {
			if all[i].pcr != 10 {
				continue
			}
			for _, bank := range []mrlog.Alg{mrlog.SHA1, mrlog.SHA256, mrlog.SHA512} {
				for _, padded := range []bool{false, true} {
					mode := ModeNative
					switch {
					case bank == alg:
						mode = ModeLogged
						if padded {
							continue
						}
					case padded:
						mode = ModePadded
						if bank == mrlog.SHA1 {
							continue
						}
					}
					w := Want{Register: pcr10, Alg: bank, Start: start[:bank.Size()]}
					v := w.Start
					for j := range all[:i+1] {
						if all[j].pcr == 10 {
							v = sum(bank, v, all[j].extended(bank, padded, false))
						}
					}
					w.Value = v
					wants = append(wants, w)
					expect = append(expect, fmt.Sprintf("%s %d", mode, i+1))
				}
			}
		}
		wants = append(
			wants,
			Want{Register: pcr10, Alg: mrlog.SHA512, Value: make([]byte, 64)},
			Want{Register: pcr10, Alg: mrlog.SHA512, Value: start},
			Want{Register: mrlog.Register{Space: mrlog.PCR, Index: 5}, Alg: alg, Value: value(all, 5, alg, false, false)},
		)
		expect = append(expect, "start 0", "none 0", "logged 20")
		for form, r := range map[string]mrlog.Reader{
			"binary": NewBinaryReaderBytes(bin, Options{}),
			"ASCII":  NewASCIIReader(strings.NewReader(text), Options{Banks: []mrlog.Alg{mrlog.SHA3_256}}),
		} {
			got, n, err := FindBanks(r, wants)
			if err != nil || n != uint64(len(all)) {
				t.Fatalf("%s: %d records, %v", form, n, err)
			}
			for i, m := range got {
				last := 0
				for j := range all {
					if uint32(all[j].pcr) == m.Register.Index {
						last = j + 1
					}
				}
				if s := fmt.Sprintf("%s %d", m.Mode, m.Records); s != expect[i] || m.Opaque || m.Last != uint64(last) {
					t.Errorf("%s of %s, %s: %s (opaque %t), want %s", form, alg, m.Alg, s, m.Opaque, expect[i])
				}
			}
		}
	}

	// A record without template data ends a native bank, and no padded one.
	opaque := "10 2a72e57ea10acde04ca804a9d4dd8959ee14c1e9 ima-next x\n"
	digest := unhex(t, "2a72e57ea10acde04ca804a9d4dd8959ee14c1e9")
	padded := sum(mrlog.SHA256, make([]byte, 32), digest, make([]byte, 12))
	got, _, err := FindBanks(NewASCIIReader(strings.NewReader(helloLine+"\n"+opaque), Options{}), []Want{
		{Register: pcr10, Alg: mrlog.SHA256, Value: bytes.Repeat([]byte{1}, 32)},
		{Register: pcr10, Alg: mrlog.SHA256, Value: sum(mrlog.SHA256, padded, digest, make([]byte, 12))},
		{Register: pcr10, Alg: mrlog.SHA1, Value: sum(mrlog.SHA1, sum(mrlog.SHA1, make([]byte, 20), digest), digest)},
	})
	if err != nil || !got[0].Opaque || got[0].Mode != ModeNone || got[0].Records != 2 || got[1].Mode != ModePadded || got[1].Records != 2 || got[1].Opaque || got[2].Mode != ModeLogged {
		t.Errorf("%+v, %v", got, err)
	}
	got, _, err = FindBanks(NewASCIIReader(strings.NewReader("10 "+strings.Repeat("11", 32)+" ima-next x\n"), Options{}), []Want{{Register: pcr10, Alg: mrlog.SHA384, Value: bytes.Repeat([]byte{1}, 48)}})
	if err != nil || !got[0].Opaque || got[0].Records != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got[0].Last != 1 {
		t.Errorf("last record of PCR 10 is %d", got[0].Last)
	}
	if _, _, err := FindBanks(NewBinaryReaderBytes(nil, Options{}), []Want{{Register: pcr10, Alg: mrlog.SHA384, Value: []byte{1}}}); !errors.Is(err, mrlog.ErrSize) {
		t.Errorf("a short value: %v", err)
	}
	if _, n, err := FindBanks(NewASCIIReader(strings.NewReader(helloLine+"\nx\n"), Options{}), nil); n != 1 || err == nil {
		t.Errorf("a broken list: %d records, %v", n, err)
	}
}

// What a list cannot carry is refused, leaves no trace, and can be followed by
// other records.
func TestCarry(t *testing.T) {
	good := func() mrlog.Record {
		m := samples()[1]
		data := m.data(false)
		return mrlog.Record{
			Register: pcr10, Type: mrlog.TypeIMATemplate, Name: []byte(m.template), Content: data,
			Digests: []mrlog.Digest{{Alg: mrlog.SHA1, Sum: sum(mrlog.SHA1, data)}},
		}
	}
	d, _ := ng("sha256", make([]byte, 32))
	custom := func(r *mrlog.Record, template string, fields ...[]byte) {
		m := measure{template: template, fields: fields}
		r.Name, r.Content = []byte(template), m.data(false)
	}
	const both, text = false, true
	for _, tt := range []struct {
		want  string
		ascii bool // only an ASCII list refuses it
		spoil func(r *mrlog.Record)
	}{
		{"content type is pcclient_std: ", both, func(r *mrlog.Record) { r.Type = mrlog.TypePCClient }},
		{`content type is "x"`, both, func(r *mrlog.Record) { r.Type, r.Name = mrlog.TypeNamed, []byte("x") }},
		{"another form", both, func(r *mrlog.Record) { r.Form = mrlog.FormTLV }},
		{"was not extended", both, func(r *mrlog.Record) { r.NotExtended = true }},
		{"event type 3", both, func(r *mrlog.Record) { r.Event = 3 }},
		{"register nv0x0000000a", both, func(r *mrlog.Record) { r.Register.Space = mrlog.NV }},
		{"plain indexes up to", both, func(r *mrlog.Record) { r.Register.Index = 1 << 24 }},
		{"its plain index is read as rtmr3", both, func(r *mrlog.Record) { r.Register.Index = 3 }},
		{"its plain index is read as pcr10", both, func(r *mrlog.Record) { r.Register.Space = mrlog.RTMR }},
		{"its plain index is read as pcr10", both, func(r *mrlog.Record) { r.Register.Space = mrlog.CCMR }},
		{"no name", both, func(r *mrlog.Record) { r.Name = nil }},
		{"printable", both, func(r *mrlog.Record) { r.Name = []byte("ima ng") }},
		{"too long", both, func(r *mrlog.Record) { r.Name = bytes.Repeat([]byte("n"), 255) }},
		{"above the limit", both, func(r *mrlog.Record) { r.Content = make([]byte, MaxData+1) }},
		{"no sha1 digest", both, func(r *mrlog.Record) { r.Digests[0].Alg = mrlog.SM3 }},
		{"no sha1 digest", both, func(r *mrlog.Record) { r.Digests = nil }},
		{"sha1 digest has 19 bytes", both, func(r *mrlog.Record) { r.Digests[0].Sum = r.Digests[0].Sum[1:] }},
		{"digest is zero", both, func(r *mrlog.Record) { clear(r.Digests[0].Sum) }},
		{"marked as a violation", both, func(r *mrlog.Record) { r.Notes = mrlog.NoteViolation }},
		{"sha1 digest beside", both, func(r *mrlog.Record) { r.Digests = append(r.Digests, r.Digests[0]) }},
		{"sha1 digest beside", both, func(r *mrlog.Record) { r.Digests = append(r.Digests, mrlog.Digest{Alg: mrlog.SHA1}) }},
		{"sha256 digest beside", both, func(r *mrlog.Record) {
			r.Digests = append(r.Digests, mrlog.Digest{Alg: mrlog.SHA256, Sum: make([]byte, 32)})
		}},
		{"0x0044 digest beside", both, func(r *mrlog.Record) {
			r.Digests = append(r.Digests, mrlog.Digest{Alg: 0x44, Sum: make([]byte, 32)})
		}},
		{"sha256 digest beside", both, func(r *mrlog.Record) {
			fill(r.Digests[0].Sum)
			r.Digests = append(r.Digests, mrlog.Digest{Alg: mrlog.SHA256, Sum: make([]byte, 32)})
		}},
		{"template data is not a digest of 20 bytes", both, func(r *mrlog.Record) { r.Name, r.Content = []byte("ima"), make([]byte, 275) }},
		{"template data is not a digest of 20 bytes", both, func(r *mrlog.Record) { r.Name, r.Content = []byte("ima"), bytes.Repeat([]byte{1}, 276) }},
		{"fields of the template are not known", text, func(r *mrlog.Record) { r.Name = []byte("ima-next") }},
		{"not made of the template's fields", text, func(r *mrlog.Record) { r.Content = r.Content[1:] }},
		{"not made of the template's fields", text, func(r *mrlog.Record) { r.Content = append(r.Content, 0) }},
		{"field n-ng: a newline", text, func(r *mrlog.Record) { custom(r, "ima-ng", d, name("a\nb")) }},
		{"field n-ng: a blank", text, func(r *mrlog.Record) { custom(r, "ima-sig", d, name("a b"), nil) }},
		{"field n-ng: a NUL", text, func(r *mrlog.Record) { custom(r, "ima-ng", d, name("a\x00b")) }},
		{"field n-ng: text does not end in a NUL", text, func(r *mrlog.Record) { custom(r, "ima-ng", d, []byte("a")) }},
		{"field n-ng: text does not end in a NUL", text, func(r *mrlog.Record) { custom(r, "ima-ng", d, nil) }},
		{"field xattrnames: text does not end in a NUL", text, func(r *mrlog.Record) { custom(r, "xattrnames", []byte{0}) }},
		{"field d-ng: digest without the name", text, func(r *mrlog.Record) { custom(r, "ima-ng", []byte("x"), name("a")) }},
		{"field d-ng: digest with neither", text, func(r *mrlog.Record) { custom(r, "ima-ng", []byte(":\x00"), name("a")) }},
		{"field d-ng: a blank", text, func(r *mrlog.Record) { custom(r, "ima-ng", []byte("a b:\x00"), name("a")) }},
		{"field iuid: number of another size", text, func(r *mrlog.Record) { custom(r, "iuid", []byte("ab")) }},
		{"field n: a NUL", text, func(r *mrlog.Record) { custom(r, "ima", make([]byte, 20), []byte("a\x00b")) }},
		{"field n: a newline", text, func(r *mrlog.Record) { custom(r, "ima", make([]byte, 20), []byte("a\nb")) }},
		{"a newline in the text", text, func(r *mrlog.Record) { r.Form, r.Content = mrlog.FormText, []byte("a\nb") }},
	} {
		var bin, txt bytes.Buffer
		bw, _ := NewBinaryWriter(&bin, WriteOptions{})
		tw, _ := NewASCIIWriter(&txt, WriteOptions{})
		first, bad, last := good(), good(), good()
		tt.spoil(&bad)
		for form, w := range map[string]mrlog.Writer{FormatBinary: bw, FormatASCII: tw} {
			err := w.Write([]mrlog.Record{first, bad, last})
			if form == FormatBinary && tt.ascii && bad.Form == mrlog.FormRaw {
				if err != nil {
					t.Errorf("%s: binary: %v", tt.want, err)
				}
				continue
			}
			var carry *mrlog.CarryError
			if !errors.As(err, &carry) || carry.Record != 1 || carry.Format != form {
				t.Errorf("%s: %s: %v", tt.want, form, err)
				continue
			}
			if !strings.Contains(err.Error(), tt.want) && bad.Form != mrlog.FormText {
				t.Errorf("%s: %s: %v", tt.want, form, err)
			}
			if err := w.Write([]mrlog.Record{last}); err != nil {
				t.Errorf("%s: then: %v", tt.want, err)
			}
			if err := errors.Join(w.Close(), w.Close()); err != nil {
				t.Error(err)
			}
			if err := w.Write([]mrlog.Record{last}); !errors.Is(err, errClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		m := samples()[1]
		if want := strings.Repeat(m.ascii(mrlog.SHA1, false), 2); txt.String() != want {
			t.Errorf("%s: wrote %q", tt.want, txt.String())
		}
		if want := bytes.Repeat(m.binary(mrlog.SHA1, false), 2); bin.Len() > 0 && !bytes.Equal(bin.Bytes(), want) {
			t.Errorf("%s: wrote %x", tt.want, bin.Bytes())
		}
	}

	// The space that the list will be read in.
	r := good()
	r.Register.Index = 2
	if _, err := writeBinary(WriteOptions{Space: mrlog.PCR}, []mrlog.Record{r}); err != nil {
		t.Errorf("pcr2 for a reader of pcrs: %v", err)
	}
	if _, err := writeBinary(WriteOptions{Space: mrlog.RTMR}, []mrlog.Record{r}); err == nil {
		t.Error("pcr2 for a reader of RTMRs")
	}
	// A refused first record does not decide on the algorithm.
	w, _ := NewBinaryWriter(new(bytes.Buffer), WriteOptions{})
	bad := good()
	bad.Digests = []mrlog.Digest{{Alg: mrlog.SM3, Sum: make([]byte, 3)}}
	if err := w.Write([]mrlog.Record{bad}); err == nil {
		t.Error("a digest of three bytes")
	}
	if err := w.Write([]mrlog.Record{good()}); err != nil {
		t.Errorf("then %v", err)
	}
	// Errors of what is written to.
	broken := errors.New("broken")
	w, _ = NewBinaryWriter(failing{broken}, WriteOptions{})
	if err := errors.Join(w.Write([]mrlog.Record{good()}), w.Close()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
