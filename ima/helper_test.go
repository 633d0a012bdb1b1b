// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/internal/reallogs"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(s, " ", ""), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readBinary(p []byte, o Options) ([]mrlog.Record, error) {
	return logtest.ReadAll(NewBinaryReader(bytes.NewReader(p), o))
}

func readASCII(p string, o Options) ([]mrlog.Record, error) {
	return logtest.ReadAll(NewASCIIReader(strings.NewReader(p), o))
}

func writeBinary(o WriteOptions, records []mrlog.Record) ([]byte, error) {
	var out bytes.Buffer
	w, err := NewBinaryWriter(&out, o)
	if err != nil {
		return nil, err
	}
	if err := w.Write(records); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func writeASCII(o WriteOptions, records []mrlog.Record) (string, error) {
	var out bytes.Buffer
	w, err := NewASCIIWriter(&out, o)
	if err != nil {
		return "", err
	}
	if err := w.Write(records); err != nil {
		return "", err
	}
	err = w.Close()
	return out.String(), err
}

// corpusPCRs returns the register values that belong to the QEMU set, by bank
// and index.
func corpusPCRs(t testing.TB) map[string]map[string]string {
	t.Helper()
	var values map[string]map[string]string
	if err := json.Unmarshal(reallogs.Read(t, "qemu-ovmf/pcrs.json"), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

var pcr10 = mrlog.Register{Space: mrlog.PCR, Index: 10}

// sum hashes by a road of its own.
func sum(alg mrlog.Alg, parts ...[]byte) []byte {
	data := bytes.Join(parts, nil)
	switch alg {
	case mrlog.SHA1:
		s := sha1.Sum(data)
		return s[:]
	case mrlog.SHA256:
		s := sha256.Sum256(data)
		return s[:]
	case mrlog.SHA384:
		s := sha512.Sum384(data)
		return s[:]
	case mrlog.SHA512:
		s := sha512.Sum512(data)
		return s[:]
	}
	return alg.AppendSum(nil, data)
}

// measure is the oracle's record: what the kernel would measure, and how both
// lists show it. It shares nothing with the package.
type measure struct {
	pcr      uint32
	template string
	fields   [][]byte // with their NULs; of template ima: digest and bare name
	text     []string // the same in ASCII
	violated bool
}

func (m *measure) order(big bool) binary.AppendByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// data is what the kernel hashes.
func (m *measure) data(big bool) []byte {
	var out []byte
	if m.template == "ima" {
		padded := make([]byte, 256)
		copy(padded, m.fields[1])
		return append(append(out, m.fields[0]...), padded...)
	}
	for _, f := range m.fields {
		out = m.order(big).AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

// logged is the digest in the list of a bank.
func (m *measure) logged(alg mrlog.Alg, big bool) []byte {
	if m.violated {
		return make([]byte, alg.Size())
	}
	return sum(alg, m.data(big))
}

// extended is the digest that the register of a bank is extended with.
func (m *measure) extended(alg mrlog.Alg, padded, big bool) []byte {
	switch {
	case m.violated && padded:
		return append(bytes.Repeat([]byte{0xFF}, 20), make([]byte, alg.Size()-20)...)
	case m.violated:
		return bytes.Repeat([]byte{0xFF}, alg.Size())
	case padded:
		return append(sum(mrlog.SHA1, m.data(big)), make([]byte, alg.Size()-20)...)
	}
	return sum(alg, m.data(big))
}

func (m *measure) binary(alg mrlog.Alg, big bool) []byte {
	e := m.order(big)
	out := e.AppendUint32(nil, m.pcr)
	out = append(out, m.logged(alg, big)...)
	out = e.AppendUint32(out, uint32(len(m.template)))
	out = append(out, m.template...)
	if m.template == "ima" {
		out = append(out, m.fields[0]...)
		out = e.AppendUint32(out, uint32(len(m.fields[1])))
		return append(out, m.fields[1]...)
	}
	data := m.data(big)
	out = e.AppendUint32(out, uint32(len(data)))
	return append(out, data...)
}

func (m *measure) ascii(alg mrlog.Alg, big bool) string {
	return fmt.Sprintf("%2d %x %s %s\n", m.pcr, m.logged(alg, big), m.template, strings.Join(m.text, " "))
}

// lists gives both forms of a list.
func lists(all []measure, alg mrlog.Alg, big bool) ([]byte, string) {
	var bin []byte
	var text strings.Builder
	for i := range all {
		bin = append(bin, all[i].binary(alg, big)...)
		text.WriteString(all[i].ascii(alg, big))
	}
	return bin, text.String()
}

// value is a register after the measures for it, from zeros.
func value(all []measure, pcr uint32, alg mrlog.Alg, padded, big bool) []byte {
	v := make([]byte, alg.Size())
	for i := range all {
		if all[i].pcr == pcr {
			v = sum(alg, v, all[i].extended(alg, padded, big))
		}
	}
	return v
}

func ng(alg string, digest []byte) ([]byte, string) {
	return append([]byte(alg+":\x00"), digest...), fmt.Sprintf("%s:%x", alg, digest)
}

func name(s string) []byte { return append([]byte(s), 0) }

// samples has a record of every template, and odd ones.
func samples() []measure {
	file := sum(mrlog.SHA256, []byte("hello\n"))
	d, dt := ng("sha256", file)
	v2, v2t := ng("verity:sha256", file)
	i2, i2t := ng("ima:sha512", sum(mrlog.SHA512, []byte("x")))
	zero20, zero20t := ng("sha256", make([]byte, 20))
	zero32, zero32t := ng("sha256", make([]byte, 32))
	old := sum(mrlog.SHA1, []byte("hello\n"))
	sig := append([]byte{3, 2, 4, 0xde, 0xad, 0xbe, 0xef, 0, 8}, "RSA-SIGN"...)
	evm := append([]byte{5, 2, 4, 1, 2, 3, 4, 0, 3}, "evm"...)
	modsig := []byte{0x30, 0x82, 0x01, 0x00}
	md, mdt := ng("sha1", old)
	none := []byte(nil)
	return []measure{
		{10, "ima-sig", [][]byte{d, name("boot_aggregate"), none}, []string{dt, "boot_aggregate", ""}, false},
		{10, "ima-ng", [][]byte{d, name("/usr/bin/my_tool")}, []string{dt, "/usr/bin/my_tool"}, false},
		{10, "ima", [][]byte{old, []byte("/bin/x")}, []string{hex.EncodeToString(old), "/bin/x"}, false},
		{10, "ima", [][]byte{make([]byte, 20), []byte("/bin/y z")}, []string{strings.Repeat("0", 40), "/bin/y z"}, true},
		{10, "ima", [][]byte{old, bytes.Repeat([]byte{'n'}, 255)}, []string{hex.EncodeToString(old), strings.Repeat("n", 255)}, false},
		{10, "ima-sig", [][]byte{d, name("/etc/ssl/öffentlich"), sig}, []string{dt, "/etc/ssl/öffentlich", hex.EncodeToString(sig)}, false},
		{10, "ima-buf", [][]byte{d, name("kexec-cmdline"), []byte("root=/dev/vda")}, []string{dt, "kexec-cmdline", hex.EncodeToString([]byte("root=/dev/vda"))}, false},
		{10, "ima-ng", [][]byte{zero20, name("/var/log/old")}, []string{zero20t, "/var/log/old"}, true},
		{10, "ima-ng", [][]byte{zero32, name("/var/log/new")}, []string{zero32t, "/var/log/new"}, true},
		{10, "ima-modsig", [][]byte{d, name("/boot/vmlinuz"), none, md, modsig}, []string{dt, "/boot/vmlinuz", "", mdt, hex.EncodeToString(modsig)}, false},
		{10, "ima-modsig", [][]byte{d, name("/bin/sh"), sig, none, none}, []string{dt, "/bin/sh", hex.EncodeToString(sig), "", ""}, false},
		{11, "ima-ngv2", [][]byte{v2, name("/opt/app")}, []string{v2t, "/opt/app"}, false},
		{10, "ima-sigv2", [][]byte{i2, name("/opt/app2"), sig}, []string{i2t, "/opt/app2", hex.EncodeToString(sig)}, false},
		{10, "d-ng|n-ng|sig", [][]byte{d, name("/custom"), none}, []string{dt, "/custom", ""}, false},
		{10, "n-ng|buf|d", [][]byte{name(""), none, old}, []string{"", "", hex.EncodeToString(old)}, false},
		{10, "ima-ng", [][]byte{append([]byte(":\x00"), old...), name("bare")}, []string{hex.EncodeToString(old), "bare"}, false},
		{10, "ima-ng", [][]byte{d, name("tab\tand\rand\x1b\xff")}, []string{dt, "tab\tand\rand\x1b\xff"}, false},
		{10, "ima-ng", [][]byte{d, name("a blank at the end ")}, []string{dt, "a blank at the end "}, false},
		{10, "ima-ng", [][]byte{d, name(strings.Repeat("p", 64<<10))}, []string{dt, strings.Repeat("p", 64<<10)}, false},
		{5, "ima-ng", [][]byte{d, name("/pcr5")}, []string{dt, "/pcr5"}, false},
		{123, "ima-ng", [][]byte{d, name("/pcr123")}, []string{dt, "/pcr123"}, false},
		{10, "ima-sig", [][]byte{d, name("/evm"), evm}, []string{dt, "/evm", hex.EncodeToString(evm)}, false},
	}
}

// evmSample depends on the byte order, as the attributes' lengths do.
func evmSample(big bool) measure {
	m := measure{pcr: 10, template: "evm-sig"}
	e := m.order(big)
	d, dt := ng("sha256", sum(mrlog.SHA256, []byte("evm")))
	sig := append([]byte{5, 2, 4, 1, 2, 3, 4, 0, 3}, "evm"...)
	lengths := e.AppendUint32(e.AppendUint32(nil, 5), 2)
	values := []byte("label\x01\x02")
	m.fields = [][]byte{
		d, name("/bin/evm"), sig, name("security.selinux|security.capability"), lengths, values,
		e.AppendUint32(nil, 1000), e.AppendUint32(nil, 0), e.AppendUint16(nil, 0o100755),
	}
	m.text = []string{
		dt, "/bin/evm", hex.EncodeToString(sig), "security.selinux|security.capability", hex.EncodeToString(lengths), hex.EncodeToString(values),
		"1000", "0", "33261",
	}
	return m
}

func allSamples(big bool) []measure { return append(samples(), evmSample(big)) }

// syntax wants an error of a reader about the input.
func syntax(t *testing.T, err error) *mrlog.SyntaxError {
	t.Helper()
	var e *mrlog.SyntaxError
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a SyntaxError", err)
	}
	return e
}

// replay replays records.
func replay(t *testing.T, records []mrlog.Record) *mrlog.Replay {
	t.Helper()
	var r mrlog.Replay
	if err := r.Extend(records); err != nil {
		t.Fatal(err)
	}
	return &r
}

// onebyte gives an input byte by byte.
type onebyte struct{ r io.Reader }

func (o onebyte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return o.r.Read(p[:1])
}
