// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
)

// log is a log that is made field by field, as tests need it.
type log []byte

// header returns the header of a crypto-agile log.
func header(algs ...mrlog.Alg) log {
	spec := tcg.SpecID{Major: 2, UintnSize: 2}
	for _, a := range algs {
		spec.Algs = append(spec.Algs, mrlog.AlgSize{Alg: a, Size: a.Size()})
	}
	return log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), spec.Append(nil))
}

// old appends a record in the SHA-1 shape.
func (l log) old(index, event uint32, digest, data []byte) log {
	l = binary.LittleEndian.AppendUint32(l, index)
	l = binary.LittleEndian.AppendUint32(l, event)
	l = append(l, digest...)
	l = binary.LittleEndian.AppendUint32(l, uint32(len(data)))
	return append(l, data...)
}

// event appends an event with the digests of its data, or zeros.
func (l log) event(index, event uint32, data string, algs ...mrlog.Alg) log {
	l = binary.LittleEndian.AppendUint32(l, index)
	l = binary.LittleEndian.AppendUint32(l, event)
	l = binary.LittleEndian.AppendUint32(l, uint32(len(algs)))
	for _, a := range algs {
		l = binary.LittleEndian.AppendUint16(l, uint16(a))
		if event == mrlog.EventNoAction {
			l = append(l, make([]byte, a.Size())...)
		} else {
			l = a.AppendSum(l, []byte(data))
		}
	}
	l = binary.LittleEndian.AppendUint32(l, uint32(len(data)))
	return append(l, data...)
}

// chain extends the digests of texts into a value that begins with bytes of
// fill, by other means than a replay.
func chain(alg mrlog.Alg, fill, last byte, texts ...string) string {
	value := bytes.Repeat([]byte{fill}, alg.Size())
	value[len(value)-1] = last
	for _, s := range texts {
		value = alg.AppendSum(nil, append(value, alg.AppendSum(nil, []byte(s))...))
	}
	return hex.EncodeToString(value)
}

const (
	separator = 4
	crtm      = 8
	postCode  = 1
	ipl       = 13
)

// TestQuirks are logs that other readers have failed on, each with where.
func TestQuirks(t *testing.T) {
	s256, s384 := mrlog.SHA256, mrlog.SHA384
	for _, test := range []struct {
		name    string
		log     []byte
		options tcg.Options
		records int
		final   map[string]string
	}{
		{
			"trustee: EV_NO_ACTION after the first was extended",
			header(s256).event(7, separator, "a", s256).event(7, mrlog.EventNoAction, "x", s256).event(7, ipl, "b", s256),
			tcg.Options{},
			4,
			map[string]string{"pcr7 sha256": chain(s256, 0, 0, "a", "b")},
		},
		{
			"tpm2-tools#3224: EV_NO_ACTION was extended",
			header(s256).event(1, mrlog.EventNoAction, "x", s256),
			tcg.Options{},
			2,
			map[string]string{},
		},
		{
			"canonical/tdx#418: EV_NO_ACTION events of index 0 in a CC log, between and after others",
			header(s384).event(0, mrlog.EventNoAction, "SP800-155 Event3", s384).event(0, mrlog.EventNoAction, "SP800-155 Event3", s384).event(1, separator, "a", s384),
			tcg.Options{},
			4,
			map[string]string{"ccmr1 sha384": chain(s384, 0, 0, "a")},
		},
		{
			"go-eventlog: EV_NO_ACTION of index -1 was taken for the end",
			header(s256).event(mrlog.NoIndex, mrlog.EventNoAction, "trust point", s256).event(7, separator, "a", s256),
			tcg.Options{},
			3,
			map[string]string{"pcr7 sha256": chain(s256, 0, 0, "a")},
		},
		{
			"trustee: index 0 with type 0 was taken for the end",
			header(s256).event(0, 0, "certificate", s256).event(7, separator, "a", s256),
			tcg.Options{},
			3,
			map[string]string{"pcr0 sha256": chain(s256, 0, 0, "certificate"), "pcr7 sha256": chain(s256, 0, 0, "a")},
		},
		{
			"trustee#1565: PCR 17 to 22 start at 0xFF",
			header(s256).event(17, crtm, "a", s256).event(22, crtm, "a", s256).event(23, crtm, "a", s256),
			tcg.Options{},
			4,
			map[string]string{
				"pcr17 sha256": chain(s256, 0xFF, 0xFF, "a"), "pcr22 sha256": chain(s256, 0xFF, 0xFF, "a"),
				"pcr23 sha256": chain(s256, 0, 0, "a"),
			},
		},
		{
			"tpm2-tools#3242: StartupLocality",
			header(s256).event(0, mrlog.EventNoAction, "StartupLocality\x00\x03", s256).event(0, crtm, "a", s256),
			tcg.Options{},
			3,
			map[string]string{"pcr0 sha256": chain(s256, 0, 3, "a")},
		},
		{
			"tpm2-tools#3256: H-CRTM",
			header(s256).event(0, mrlog.EventHCRTM, "HCRTM", s256).event(0, crtm, "a", s256),
			tcg.Options{},
			3,
			map[string]string{"pcr0 sha256": chain(s256, 0, 4, "HCRTM", "a")},
		},
		{
			"tpm2-tools#2243: a log above 64 KiB",
			header(s256).event(4, ipl, strings.Repeat("x", 40<<10), s256).event(4, ipl, strings.Repeat("y", 40<<10), s256),
			tcg.Options{},
			3,
			map[string]string{"pcr4 sha256": chain(s256, 0, 0, strings.Repeat("x", 40<<10), strings.Repeat("y", 40<<10))},
		},
		{
			"intel/tdx-tools#449: an area of 1 MiB, of which the log takes little",
			append(header(s384).event(1, separator, "a", s384), bytes.Repeat([]byte{0xFF}, 1<<20)...),
			tcg.Options{},
			2,
			map[string]string{"ccmr1 sha384": chain(s384, 0, 0, "a")},
		},
		{"cmcp#433: a log of no byte", nil, tcg.Options{}, 0, map[string]string{}},
		{"an area that nobody wrote to", bytes.Repeat([]byte{0xFF}, 64<<10), tcg.Options{}, 0, map[string]string{}},
		{"an area that nobody wrote to, of zeros", make([]byte, 64<<10), tcg.Options{}, 0, map[string]string{}},
		{
			"tpm2-tools#2179: no Spec ID event",
			log(nil).old(0, crtm, bytes.Repeat([]byte{1}, 20), []byte("a")),
			tcg.Options{},
			1, nil,
		},
		{
			"tpm2-tools#2204: EV_POST_CODE of any size",
			header(s256).event(0, postCode, "", s256).event(0, postCode, "x", s256).event(0, postCode, "123456789012345", s256).event(0, postCode, "1234567890123456", s256),
			tcg.Options{},
			5,
			map[string]string{"pcr0 sha256": chain(s256, 0, 0, "", "x", "123456789012345", "1234567890123456")},
		},
		{
			"go-eventlog#25: separators where they are not expected, twice, and with other data",
			header(s256).event(8, separator, "COS", s256).event(8, separator, "COS", s256).event(8, ipl, "x", s256),
			tcg.Options{},
			4,
			map[string]string{"pcr8 sha256": chain(s256, 0, 0, "COS", "COS", "x")},
		},
		{
			"trustee: a type that nobody knows ended the log",
			header(s256).event(7, 0xDEADBEEF, "\xff\xfe", s256).event(7, separator, "a", s256),
			tcg.Options{},
			3,
			map[string]string{"pcr7 sha256": chain(s256, 0, 0, "\xff\xfe", "a")},
		},
		{
			"trustee: a SHA-1 digest ended the log",
			header(mrlog.SHA1, s256).event(7, separator, "a", mrlog.SHA1, s256),
			tcg.Options{},
			2,
			map[string]string{"pcr7 sha1": chain(mrlog.SHA1, 0, 0, "a"), "pcr7 sha256": chain(s256, 0, 0, "a")},
		},
		{
			"systemd#20134: a bank that the header lists and firmware never extends",
			header(mrlog.SHA1, s256).event(7, separator, "a", mrlog.SHA1),
			tcg.Options{},
			2,
			map[string]string{"pcr7 sha1": chain(mrlog.SHA1, 0, 0, "a")},
		},
		{
			"go-eventlog: only SHA-1, SHA-256 and SHA-384 banks",
			header(mrlog.SM3).event(1, separator, "a", mrlog.SM3),
			tcg.Options{},
			2,
			map[string]string{"ccmr1 sm3_256": chain(mrlog.SM3, 0, 0, "a")},
		},
		{
			"td-shim: an errata of its own, vendor info, zeros",
			slices.Concat(log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), (&tcg.SpecID{Major: 2, Errata: 0x69, UintnSize: 2, Algs: []mrlog.AlgSize{{Alg: s384, Size: 48}}, VendorInfo: []byte("td-shim")}).Append(nil)).event(1, separator, "a", s384), make([]byte, 100)),
			tcg.Options{},
			2,
			map[string]string{"ccmr1 sha384": chain(s384, 0, 0, "a")},
		},
		{
			"Linux: the digest is not that of the data",
			append(header(s384).event(2, mrlog.EventTag, "\xec\x22\x3b\x8f\x0d\x00\x00\x00Linux initrd\x00", s384), bytes.Repeat([]byte{0xFF}, 8)...),
			tcg.Options{},
			2,
			map[string]string{"ccmr2 sha384": chain(s384, 0, 0, "\xec\x22\x3b\x8f\x0d\x00\x00\x00Linux initrd\x00")},
		},
		{
			"attestation agent: records of its own after the firmware's, in index 4",
			append(header(s384).event(1, separator, "a", s384).event(4, mrlog.EventTag, "LEAA\x05\x00\x00\x00a b c", s384), bytes.Repeat([]byte{0xFF}, 8)...),
			tcg.Options{},
			3,
			map[string]string{"ccmr1 sha384": chain(s384, 0, 0, "a"), "ccmr4 sha384": chain(s384, 0, 0, "LEAA\x05\x00\x00\x00a b c")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, open := range readers {
				if how == "one byte" && len(test.log) > 100<<10 && raceEnabled {
					continue
				}
				r := open(test.log, test.options)
				records, err := logtest.ReadAll(r)
				if err != nil || len(records) != test.records {
					t.Fatalf("%s: %d records, %v", how, len(records), err)
				}
				if got := replay(t, records); test.final != nil && fmt.Sprint(got) != fmt.Sprint(test.final) {
					t.Errorf("%s: %v\nwant %v", how, got, test.final)
				}
				out, err := write(records, tcg.WriterOptions{})
				if err != nil || !bytes.Equal(out, test.log[:r.End().Offset]) {
					t.Errorf("%s: not written back: %v", how, err)
				}
			}
		})
	}
}

// A file that grows while it is read (tpm2-tools#1975) is read as far as it goes.
func TestQuirkGrowing(t *testing.T) {
	l := header(mrlog.SHA256).event(7, separator, "a", mrlog.SHA256)
	first := len(l)
	l = l.event(7, separator, "b", mrlog.SHA256)
	for cut := range l {
		src := io.MultiReader(bytes.NewReader(l[:cut]), iotest.DataErrReader(bytes.NewReader(l[cut:])))
		if records, err := logtest.ReadAll(tcg.NewReader(src, tcg.Options{})); err != nil || len(records) != 3 {
			t.Fatalf("grew at %d of %d: %d records, %v", cut, first, len(records), err)
		}
	}
}

// A header that is no header leaves a log of TCG 1.2: an event of another
// vendor, or one whose data begins with zeros.
func TestQuirkOtherNoAction(t *testing.T) {
	for _, data := range []string{"StartupLocality\x00\x03", "Spec ID Event00\x00............", "Spec ID Event02\x00............", strings.Repeat("\x00", 33), strings.Repeat("\x00", 600), ""} {
		l := log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), []byte(data)).old(7, separator, bytes.Repeat([]byte{7}, 20), []byte("a"))
		r := tcg.NewReaderBytes(l, tcg.Options{})
		records, err := logtest.ReadAll(r)
		if err != nil || len(records) != 2 || r.Header().Dialect != string(tcg.SHA1) {
			t.Errorf("%q: %d records, %v, dialect %s", data, len(records), err, r.Header().Dialect)
		}
	}
}

// The signature counts only within the data of the first record.
func TestQuirkSignatureElsewhere(t *testing.T) {
	l := append(log(nil).old(0, mrlog.EventNoAction, make([]byte, 20), nil), header(mrlog.SHA256)[32:]...)
	r := tcg.NewReaderBytes(l, tcg.Options{})
	records, err := logtest.ReadAll(r)
	if s := syntax(t, err); len(records) != 1 || s.Offset != 32 || r.Header().Dialect != string(tcg.SHA1) {
		t.Errorf("%d records, %v", len(records), err)
	}
}
