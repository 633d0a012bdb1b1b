// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/devicetest"
	"mrlog.dev/internal/swtpm"
)

const (
	sha1ID   uint16 = 0x0004
	sha256ID uint16 = 0x000B
	sha384ID uint16 = 0x000C
	sha512ID uint16 = 0x000D
)

var (
	pcr14 = mrlog.Register{Space: mrlog.PCR, Index: 14}
	pcr15 = mrlog.Register{Space: mrlog.PCR, Index: 15}
	pcr16 = mrlog.Register{Space: mrlog.PCR, Index: 16}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *Device {
	t.Helper()
	d, err := Open(context.Background(), path)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// sum hashes with the standard library alone.
func sum(t testing.TB, alg mrlog.Alg, b []byte) []byte {
	t.Helper()
	switch alg {
	case mrlog.SHA1:
		s := sha1.Sum(b)
		return s[:]
	case mrlog.SHA256:
		s := sha256.Sum256(b)
		return s[:]
	case mrlog.SHA384:
		s := sha512.Sum384(b)
		return s[:]
	case mrlog.SHA512:
		s := sha512.Sum512(b)
		return s[:]
	}
	t.Fatalf("no independent %s", alg)
	return nil
}

// record is the digests of a content for a register.
func record(t testing.TB, d *Device, reg mrlog.Register, content string) []mrlog.Digest {
	t.Helper()
	r, err := device.Find(d, reg)
	must(t, err)
	var out []mrlog.Digest
	for _, b := range r.Banks {
		out = append(out, mrlog.Digest{Alg: b.Alg, Sum: sum(t, b.Alg, []byte(content))})
	}
	return out
}

func extend1(t testing.TB, d *Device, reg mrlog.Register, contents ...string) (int, error) {
	t.Helper()
	var records [][]mrlog.Digest
	for _, c := range contents {
		records = append(records, record(t, d, reg, c))
	}
	return d.Extend(context.Background(), reg, records)
}

// wantValue reads a register and compares with the replay of contents from the
// reset value.
func wantValue(t testing.TB, d *Device, reg mrlog.Register, contents ...string) {
	t.Helper()
	r, err := device.Find(d, reg)
	must(t, err)
	got, err := d.Read(context.Background(), reg)
	must(t, err)
	if !got.Fresh || len(got.Values) != len(r.Banks) {
		t.Fatalf("fresh %t, %d values for %d banks", got.Fresh, len(got.Values), len(r.Banks))
	}
	for i, b := range r.Banks {
		fill := byte(0)
		if reg.Index >= 17 && reg.Index <= 22 {
			fill = 0xFF
		}
		v := bytes.Repeat([]byte{fill}, b.Alg.Size())
		for _, c := range contents {
			v = sum(t, b.Alg, append(v, sum(t, b.Alg, []byte(c))...))
		}
		if got.Values[i].Alg != b.Alg || !bytes.Equal(got.Values[i].Sum, v) {
			t.Errorf("%s: %s, want %x after %q", reg, got.Values[i], v, contents)
		}
	}
}

func TestConformance(t *testing.T) {
	for _, banks := range [][]uint16{{sha256ID}, {sha1ID}, {sha256ID, sha384ID}, {sha1ID, sha256ID, sha384ID, sha512ID}} {
		t.Run(fmt.Sprint(len(banks), " banks from ", banks[0]), func(t *testing.T) {
			devicetest.Run(t, func(t *testing.T) device.Device {
				d := open(t, swtpm.New(t, banks...).Socket())
				if n := len(d.Registers()[0].Banks); n != len(banks) {
					t.Fatalf("%d banks, want %d", n, len(banks))
				}
				return d
			})
		})
	}
	t.Run("without a proxy", func(t *testing.T) {
		devicetest.Run(t, func(t *testing.T) device.Device { return open(t, swtpm.NewPlain(t)) })
	})
}

func TestDescribesTheTPM(t *testing.T) {
	s := swtpm.New(t, sha256ID, sha384ID)
	d := open(t, s.Socket())
	if i := d.Info(); i != (device.Info{Kind: "tpm", Simulated: true, Where: s.Socket()}) {
		t.Errorf("Info %+v", i)
	}
	if n := len(d.Registers()); n != 24 {
		t.Fatalf("%d registers", n)
	}
	for i, r := range d.Registers() {
		if r.Name != (mrlog.Register{Space: mrlog.PCR, Index: uint32(i)}) || r.NotReadable != "" {
			t.Errorf("register %d: %+v", i, r)
		}
		drtm := i >= 17 && i <= 22
		if drtm != (r.NotExtendable != "") {
			t.Errorf("%s: %q", r.Name, r.NotExtendable)
		}
		if resettable := i == 16 || i == 23; d.Resettable(r.Name) != resettable {
			t.Errorf("%s: resettable is not %t", r.Name, resettable)
		}
		wantValue(t, d, r.Name)
	}
	if d.Resettable(mrlog.Register{Space: mrlog.RTMR, Index: 16}) {
		t.Error("rtmr16 is resettable")
	}
}

// TestRefusesDynamicRegisters: the default PCR of others, 17, fails with a
// reason before anything is sent.
func TestRefusesDynamicRegisters(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	d := open(t, s.Socket())
	for i := uint32(17); i <= 22; i++ {
		reg := mrlog.Register{Space: mrlog.PCR, Index: i}
		n, err := extend1(t, d, reg, "x")
		if n != 0 || !errors.Is(err, device.ErrNotExtendable) || !strings.Contains(err.Error(), reg.String()) || !strings.Contains(err.Error(), "dynamic root of trust") {
			t.Errorf("Extend = %d, %v", n, err)
		}
	}
	_, err := extend1(t, d, mrlog.Register{Space: mrlog.PCR, Index: 17}, "x")
	if err == nil || !strings.Contains(err.Error(), "PCR 17 belongs to the dynamic root of trust (D-RTM): only localities 2, 3 and 4 may extend it, and programs have locality 0") {
		t.Errorf("pcr17: %v", err)
	}
	if n := s.Seen(swtpm.PCRExtend); n != 0 {
		t.Errorf("%d extends were sent", n)
	}
}

// TestPartBanks: each PCR has the banks that are allocated for it.
func TestPartBanks(t *testing.T) {
	s := swtpm.NewBanks(t, swtpm.Bank{Alg: sha256ID}, swtpm.Bank{Alg: sha384ID, PCRs: []int{0, 14, 17}})
	d := open(t, s.Socket())
	for _, r := range d.Registers() {
		want := 1
		if i := r.Name.Index; i == 0 || i == 14 || i == 17 {
			want = 2
		}
		if len(r.Banks) != want {
			t.Errorf("%s: %d banks, want %d", r.Name, len(r.Banks), want)
		}
	}
	for _, reg := range []mrlog.Register{pcr14, pcr15} {
		n, err := extend1(t, d, reg, "a", "b")
		if n != 2 || err != nil {
			t.Fatalf("Extend = %d, %v", n, err)
		}
		wantValue(t, d, reg, "a", "b")
	}
	s = swtpm.NewBanks(t, swtpm.Bank{Alg: sha256ID, PCRs: []int{0, 14, 17}})
	d = open(t, s.Socket())
	if n := len(d.Registers()); n != 3 {
		t.Errorf("%d registers of 3", n)
	}
	if _, err := d.Read(context.Background(), pcr15); !errors.Is(err, device.ErrNoRegister) {
		t.Errorf("pcr15, in no bank: %v", err)
	}
}

// TestUnknownBank: the SHA-512 bank of the emulator appears as one of an
// algorithm that nobody knows.
func TestUnknownBank(t *testing.T) {
	s := swtpm.NewBanks(t, swtpm.Bank{Alg: sha256ID}, swtpm.Bank{Alg: sha512ID, PCRs: []int{0, 14, 17}})
	s.Inject(swtpm.GetCapability, -1, swtpm.Alter(func(a []byte) []byte {
		return bytes.Replace(a, []byte{0x00, 0x0D, 0x03}, []byte{0x00, 0x44, 0x03}, 1)
	}))
	d := open(t, s.Socket())
	n, err := extend1(t, d, pcr14, "x")
	if n != 0 || !errors.Is(err, device.ErrNotExtendable) || !strings.Contains(err.Error(), "0x0044") {
		t.Errorf("Extend = %d, %v", n, err)
	}
	if n := s.Seen(swtpm.PCRExtend); n != 0 {
		t.Errorf("%d extends were sent", n)
	}
	wantValue(t, d, pcr14)
	if n, err := extend1(t, d, pcr15, "x"); n != 1 || err != nil {
		t.Errorf("pcr15, which is not in that bank: %d, %v", n, err)
	}
	r, err := device.Find(d, mrlog.Register{Space: mrlog.PCR, Index: 17})
	must(t, err)
	if !strings.Contains(r.NotExtendable, "0x0044") || !strings.Contains(r.NotExtendable, "dynamic root") {
		t.Errorf("pcr17 has two reasons: %q", r.NotExtendable)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]string{
		file:                       "neither a character device nor a Unix socket",
		dir:                        "neither a character device nor a Unix socket",
		filepath.Join(dir, "none"): "no such file",
	} {
		if _, err := Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if DefaultPath("/") == "" {
		if _, err := Open(context.Background(), ""); err == nil || !strings.HasPrefix(err.Error(), "no TPM: /dev/tpmrm0: ") {
			t.Errorf("no path: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, file); !errors.Is(err, context.Canceled) {
		t.Errorf("a done context: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	for name, c := range map[string]struct {
		code  uint32
		fault swtpm.Fault
		want  string
	}{
		"not started": {swtpm.GetCapability, swtpm.Answer(0x100), "nobody has started it"},
		"failed":      {swtpm.GetCapability, swtpm.Answer(0x101), "failed its own tests"},
		"TPM 1.2": {0, func(*swtpm.Exchange) ([]byte, error) {
			return []byte{0x00, 0xC4, 0, 0, 0, 10, 0, 0, 0, 0x1E}, nil
		}, "TPM 1.2"},
		"no banks": {swtpm.GetCapability, func(*swtpm.Exchange) ([]byte, error) {
			return append([]byte{0x80, 0x01, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 5}, 0, 0, 0, 0), nil
		}, "no PCR is active"},
		"gone": {swtpm.ReadClock, swtpm.Drop, "no answer"},
		"another capability": {swtpm.GetCapability, swtpm.Alter(func(a []byte) []byte {
			a[14] = 6
			return a
		}), "TPM2_GetCapability"},
	} {
		s.Inject(c.code, 1, c.fault)
		d, err := Open(context.Background(), s.Socket())
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.Socket()) {
			t.Errorf("%s: %v", name, err)
		}
		s.Heal()
	}
	// A TPM that does not tell its PCR properties is one after the profile.
	n := 0
	s.Inject(swtpm.GetCapability, 2, func(x *swtpm.Exchange) ([]byte, error) {
		if n++; n == 2 {
			return swtpm.Answer(0x1C4)(x)
		}
		return x.Forward(x.Command)
	})
	told, profile := open(t, s.Socket()), open(t, s.Socket())
	if len(told.shape.properties) != 0 || len(profile.shape.properties) == 0 {
		t.Fatalf("%d and %d properties", len(told.shape.properties), len(profile.shape.properties))
	}
	for i, r := range told.Registers() {
		if o := profile.Registers()[i]; r.NotExtendable != o.NotExtendable || told.Resettable(r.Name) != profile.Resettable(r.Name) {
			t.Errorf("%s: profile %q, swtpm %q", r.Name, r.NotExtendable, o.NotExtendable)
		}
	}
}

func TestClosed(t *testing.T) {
	d, err := Open(context.Background(), swtpm.New(t, sha256ID).Socket())
	must(t, err)
	must(t, d.Close())
	must(t, d.Close())
	if _, err := d.Read(context.Background(), pcr14); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := extend1(t, d, pcr14, "x"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Extend: %v", err)
	}
}

// TestTwoDevices: two programs with one TPM.
func TestTwoDevices(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	a, b := open(t, s.Socket()), open(t, s.Socket())
	for _, d := range []*Device{a, b, a} {
		if n, err := extend1(t, d, pcr14, "x"); n != 1 || err != nil {
			t.Fatalf("Extend = %d, %v", n, err)
		}
	}
	wantValue(t, a, pcr14, "x", "x", "x")
	wantValue(t, b, pcr14, "x", "x", "x")
}

func TestReadAnswerInPieces(t *testing.T) {
	frame := []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0, 0, 7, 8}
	pr, pw := io.Pipe()
	go func() {
		for i := range frame {
			pw.Write(frame[i : i+1])
		}
	}()
	got, err := readAnswer(pr)
	if err != nil || !bytes.Equal(got, frame) {
		t.Errorf("%x, %v", got, err)
	}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"nothing":    {nil, "EOF"},
		"cut short":  {frame[:11], "unexpected EOF"},
		"too long":   {append(bytes.Clone(frame), 9), "has 13"},
		"too short":  {[]byte{0x80, 0x01, 0, 0, 0, 9, 0, 0, 0, 0}, "has 9 bytes"},
		"impossible": {[]byte{0x80, 0x01, 0xFF, 0, 0, 9, 0, 0, 0, 0}, "bytes"},
	} {
		if _, err := readAnswer(bytes.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkExtend(b *testing.B) {
	for _, banks := range [][]uint16{{sha384ID}, {sha256ID, sha384ID}, {sha1ID, sha256ID, sha384ID, sha512ID}} {
		b.Run(fmt.Sprint("banks=", len(banks)), func(b *testing.B) {
			d := open(b, swtpm.New(b, banks...).Socket())
			rec := [][]mrlog.Digest{record(b, d, pcr14, "x")}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Extend(context.Background(), pcr14, rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	d := open(b, swtpm.New(b, sha256ID, sha384ID).Socket())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Read(context.Background(), pcr14); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainExtend is without the proxy: what a program costs that talks
// to swtpm itself.
func BenchmarkPlainExtend(b *testing.B) {
	d := open(b, swtpm.NewPlain(b))
	rec := [][]mrlog.Digest{record(b, d, pcr14, "x")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Extend(context.Background(), pcr14, rec); err != nil {
			b.Fatal(err)
		}
	}
}
