// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"encoding/hex"
	"testing"

	"mrlog.dev"
)

// The examples of the specification's implementations, digests recomputed here.

const (
	exampleTLV = "0000000001 00 0100000001 04" +
		"0300000025 0b00000020 df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119" +
		"050000000f 0000000001 04 0100000004 00000000"
	exampleCBOR = "81a5000001040381a2000b015820df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119" +
		"09050aa20004014400000000"
)

func exampleA() mrlog.Record {
	return mrlog.Record{
		HasNumber: true,
		Register:  mrlog.Register{Space: mrlog.PCR, Index: 4},
		Digests:   []mrlog.Digest{{Alg: mrlog.SHA256, Sum: mrlog.SHA256.AppendSum(nil, make([]byte, 4))}},
		Type:      mrlog.TypePCClient,
		Event:     4,
		Content:   make([]byte, 4),
	}
}

func TestExampleA(t *testing.T) {
	want := []mrlog.Record{exampleA()}
	recs, h, err := readTLV(unhex(t, exampleTLV))
	if err != nil {
		t.Fatal(err)
	}
	if d := diffRecords(want, recs); d != "" {
		t.Errorf("TLV (-want +got):\n%s", d)
	}
	if want := (mrlog.Header{Format: "cel-tlv", Dialect: "minimal", Space: mrlog.PCR}); h.Dialect != want.Dialect || h.Format != want.Format || h.Space != want.Space || h.SpaceAssumed {
		t.Errorf("header is %+v, want %+v", h, want)
	}
	if recs[0].Notes != 0 || recs[0].Span != (mrlog.Span{Length: 74}) {
		t.Errorf("notes %v, span %+v", recs[0].Notes, recs[0].Span)
	}
	if out, err := writeTLV(Minimal, want); err != nil || !bytes.Equal(out, unhex(t, exampleTLV)) {
		t.Errorf("TLV written: %x, %v", out, err)
	}

	recs, h, err = readCBOR(unhex(t, exampleCBOR))
	if err != nil {
		t.Fatal(err)
	}
	if d := diffRecords(want, recs); d != "" {
		t.Errorf("CBOR (-want +got):\n%s", d)
	}
	if h.Dialect != "array" || h.Format != "cel-cbor" || h.Space != mrlog.PCR || recs[0].Notes != 0 {
		t.Errorf("header is %+v, notes %v", h, recs[0].Notes)
	}
	if recs[0].Span != (mrlog.Span{Offset: 1, Length: 57}) {
		t.Errorf("span %+v", recs[0].Span)
	}
	if out, err := writeCBOR(1, want); err != nil || !bytes.Equal(out, unhex(t, exampleCBOR)) {
		t.Errorf("CBOR written: %x, %v", out, err)
	}
	if out, err := writeCBOR(-1, want); err != nil || !bytes.Equal(out, unhex(t, exampleCBOR)[1:]) {
		t.Errorf("CBOR sequence written: %x, %v", out, err)
	}

	var replay mrlog.Replay
	if err := replay.Extend(want); err != nil {
		t.Fatal(err)
	}
	value := hex.EncodeToString(replay.Value(want[0].Register, mrlog.SHA256))
	if value != "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969" {
		t.Errorf("PCR 4 is %s", value)
	}
}

// body is the part of example A after its index.
const body = "0300000025 0b00000020 df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"

func TestDialects(t *testing.T) {
	const minimal4, wide4 = "0000000001 04", "0000000004 00000004"
	event := func(typ string) string {
		if typ == wide4 {
			return "0500000012" + typ + "0100000004 00000000"
		}
		return "050000000f" + typ + "0100000004 00000000"
	}
	for _, tt := range []struct {
		name, in, dialect string
		noted             bool
	}{
		{"minimal", "0000000001 00 0100000001 04" + body + event(minimal4), "minimal", false},
		{"go-eventlog", "0000000008 0000000000000000 0100000001 04" + body + event(minimal4), "go-eventlog", false},
		{"4-byte", "0000000004 00000000 0100000004 00000004" + body + event(wide4), "4-byte", false},
		{"4-byte with a short event", "0000000004 00000000 0100000004 00000004" + body + event(minimal4), "4-byte", true},
		{"minimal with a wide event", "0000000001 00 0100000001 04" + body + event(wide4), "minimal", true},
		{"other", "0000000002 0000 0100000001 04" + body + event(minimal4), "other", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			recs, h, err := readTLV(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRecords([]mrlog.Record{exampleA()}, recs); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if h.Dialect != tt.dialect || noted(recs) != tt.noted {
				t.Errorf("dialect %q, noted %v", h.Dialect, noted(recs))
			}
			if tt.noted {
				return
			}
			if out, err := writeTLV(Dialect(tt.dialect), recs); err != nil || !bytes.Equal(out, in) {
				t.Errorf("written: %x, %v", out, err)
			}
		})
	}

	// Eight bytes hold a number that needs them in two dialects; the record
	// after it decides.
	wide := "0000000008 0100000000000000 0100000001 04" + body + event(minimal4)
	for first, dialect := range map[string]string{
		wide: "minimal",
		wide + "0000000008 0000000000000001 0100000001 04" + body + event(minimal4): "go-eventlog",
		wide + "0000000001 01 0100000001 04" + body + event(minimal4):               "minimal",
	} {
		recs, h, err := readTLV(unhex(t, first))
		if err != nil || h.Dialect != dialect || noted(recs) {
			t.Errorf("dialect %q, %v, noted %v, want %q", h.Dialect, err, noted(recs), dialect)
		}
	}
	mixed := "0000000001 00 0100000001 04" + body + event(minimal4) + "0000000008 0000000000000001 0100000001 04" + body + event(minimal4)
	recs, h, err := readTLV(unhex(t, mixed))
	if err != nil || h.Dialect != "mixed" || recs[0].Notes != 0 || recs[1].Notes != mrlog.NoteNonCanonical {
		t.Errorf("mixed: %+v, %v", h, err)
	}
}

// head is the beginning of a record in PCR 1, up to its content.
const head = "0000000001 00 0100000001 01" + body

func TestContentsTLV(t *testing.T) {
	imaTLV := "000000000541 2e54585401000000 2098ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
	for _, tt := range []struct {
		name, content string
		want          mrlog.Record
		noted         bool
	}{
		{
			"cel_version", "0400000011 010000000c 000000000101 010000000101",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "010000000c000000000101010000000101"), NotExtended: true},
			false,
		},
		{
			"cel_version, wide", "0400000013 010000000e 00000000020001 01000000020001",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "010000000c000000000101010000000101"), NotExtended: true},
			true,
		},
		{
			"firmware_end", "0400000005 0200000000",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "0200000000"), NotExtended: true},
			false,
		},
		{
			"version and time", "0400000017 010000000c 000000000101 010000000101 5000000001 07",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "010000000c0000000001010100000001015000000001 07")},
			false,
		},
		{
			"hexadecimal numbering", "0400000006 8100000001 02",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "510000000102")},
			true,
		},
		{
			"unknown management event", "0400000007 3300000002 0102",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV, Content: unhex(t, "33000000020102")},
			false,
		},
		{
			"no management event", "0400000000",
			mrlog.Record{Type: mrlog.TypeCEL, Form: mrlog.FormTLV},
			false,
		},
		{
			"ima_template", "070000000f 0000000003 696d61 0100000002 abcd",
			mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima"), Content: []byte{0xab, 0xcd}},
			false,
		},
		{
			"ima_template, swapped", "070000000f 0100000002 abcd 0000000003 696d61",
			mrlog.Record{Type: mrlog.TypeIMATemplate, Name: []byte("ima"), Content: []byte{0xab, 0xcd}},
			true,
		},
		{
			"ima_template, no name", "0700000007 0100000002 abcd",
			mrlog.Record{Type: mrlog.TypeIMATemplate, Content: []byte{0xab, 0xcd}},
			false,
		},
		{
			"ima_template, empty name", "070000000c 0000000000 0100000002 abcd",
			mrlog.Record{Type: mrlog.TypeIMATemplate, Content: []byte{0xab, 0xcd}},
			true,
		},
		{
			"ima_tlv", "080000002f" + imaTLV,
			mrlog.Record{Type: mrlog.TypeIMATLV, Content: unhex(t, imaTLV)},
			false,
		},
		{
			"systemd", "090000000c 656e7465722d696e69747264",
			mrlog.Record{Type: mrlog.TypeSystemd, Content: []byte("enter-initrd")},
			false,
		},
		{
			"no action", "050000000d 0000000001 03 0100000002 abcd",
			mrlog.Record{Type: mrlog.TypePCClient, Event: 3, Content: []byte{0xab, 0xcd}, NotExtended: true},
			false,
		},
		{
			"swapped", "050000000d 0100000002 abcd 0000000001 05",
			mrlog.Record{Type: mrlog.TypePCClient, Event: 5, Content: []byte{0xab, 0xcd}},
			true,
		},
		{
			"no data", "0500000006 0000000001 03",
			mrlog.Record{Type: mrlog.TypePCClient, Form: mrlog.FormTLV, Content: unhex(t, "000000000103")},
			false,
		},
		{
			"five-byte event", "050000000a 0000000005 0100000000",
			mrlog.Record{Type: mrlog.TypePCClient, Form: mrlog.FormTLV, Content: unhex(t, "0000000005 0100000000")},
			false,
		},
		{
			"third part", "0500000013 0000000001 05 0100000002 abcd 0200000001 00",
			mrlog.Record{Type: mrlog.TypePCClient, Form: mrlog.FormTLV, Content: unhex(t, "0000000001050100000002abcd020000000100")},
			false,
		},
		{
			"unknown type", "c800000003 010203",
			mrlog.Record{Type: 200, Content: []byte{1, 2, 3}},
			false,
		},
		{
			"line", "cc00000004 61206220",
			mrlog.Record{Type: mrlog.TypeCCCEL, Content: []byte("a b "), Register: mrlog.Register{Space: mrlog.RTMR, Index: 1}},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, head+tt.content)
			want := tt.want
			want.HasNumber = true
			want.Digests = exampleA().Digests
			if want.Register.Space == mrlog.NoSpace {
				want.Register = mrlog.Register{Space: mrlog.PCR, Index: 1}
			}
			recs, h, err := readTLV(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := diffRecords([]mrlog.Record{want}, recs); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if noted(recs) != tt.noted || h.Dialect != "minimal" {
				t.Errorf("noted %v, dialect %q", noted(recs), h.Dialect)
			}
			if h.SpaceAssumed != (want.Type == mrlog.TypeCCCEL) {
				t.Errorf("header %+v", h)
			}
			out, err := writeTLV(Minimal, recs)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.noted && !bytes.Equal(out, in) {
				t.Errorf("written: %x\nread:    %x", out, in)
			}
			again, _, err := readTLV(out)
			if err != nil || noted(again) {
				t.Fatalf("read again: %v, noted %v", err, noted(again))
			}
			if d := diffRecords(recs, again); d != "" {
				t.Errorf("read again (-first +second):\n%s", d)
			}
		})
	}
}

// TestDigestVectors recomputes what the producers extend.
func TestDigestVectors(t *testing.T) {
	ima := unhex(t, "080000002f0000000005412e545854010000002098ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4")
	cos := unhex(t, "500000000e 0100000009 7368613235363a3030")
	for _, tt := range []struct {
		in   []byte
		want string
	}{
		{ima, "sha256:c2384caa33665a5b05093d0d477b09854f75ed19ba1aa12e50e7088d5af837f9"},
		{cos, "sha256:298d2a264557095e59b63712c0745ab68f388b08fe19dffadc42b593b88dba63"},
		{cos, "sha384:1b183fc63ac0d868f488e726d0fcad145b64bd802287cf0216258fb232806b830db60f47c73c6fe85c84d85bf7081544"},
	} {
		want, err := mrlog.ParseDigest(tt.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := want.Alg.AppendSum(nil, tt.in); !bytes.Equal(got, want.Sum) {
			t.Errorf("%x hashes to %x, want %s", tt.in, got, want)
		}
	}

	// The launcher's record as it stands in a log.
	sum := mrlog.SHA384.AppendSum(nil, cos)
	in := unhex(t, "0000000008 0000000000000000 6c00000001 04 0300000035 0c00000030"+hex.EncodeToString(sum)+hex.EncodeToString(cos))
	recs, h, err := readTLV(in)
	if err != nil {
		t.Fatal(err)
	}
	want := mrlog.Record{HasNumber: true, Register: mrlog.Register{Space: mrlog.CCMR, Index: 4}, Type: 80, Content: cos[5:], Digests: []mrlog.Digest{{Alg: mrlog.SHA384, Sum: sum}}}
	if d := diffRecords([]mrlog.Record{want}, recs); d != "" || h.Dialect != "go-eventlog" || h.Space != mrlog.CCMR {
		t.Errorf("%+v (-want +got):\n%s", h, d)
	}
	if out, err := writeTLV(GoEventlog, recs); err != nil || !bytes.Equal(out, in) {
		t.Errorf("written: %x, %v", out, err)
	}
}
