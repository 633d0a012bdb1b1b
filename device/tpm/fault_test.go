// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/internal/swtpm"
)

// nth applies a fault to the n-th of the commands that it gets (from 1), and
// lets the others through.
func nth(n int, f swtpm.Fault) swtpm.Fault {
	return func(x *swtpm.Exchange) ([]byte, error) {
		if n--; n == 0 {
			return f(x)
		}
		return x.Forward(x.Command)
	}
}

// TestLostExtends: whatever happens to a command, it is sent once, the error
// says what is unknown, and the next read says what is true.
func TestLostExtends(t *testing.T) {
	for name, c := range map[string]struct {
		fault swtpm.Fault
		in    bool // the second of three records was extended
		want  string
	}{
		"lost before the TPM has it": {swtpm.Drop, false, "unknown"},
		"lost answer":                {swtpm.DropAnswer, true, "unknown"},
		"answer cut short": {swtpm.Alter(func(a []byte) []byte {
			binary.BigEndian.PutUint32(a[2:], 12)
			return a[:12]
		}), true, ""},
		"answer of no sense": {swtpm.Alter(func(a []byte) []byte { clear(a); return a }), true, "unknown"},
		"refused":            {swtpm.Answer(0x907), false, "another locality"}, // TPM_RC_LOCALITY
		"password":           {swtpm.Answer(0x9A2), false, "password"},         // TPM_RC_BAD_AUTH, session 1
	} {
		t.Run(name, func(t *testing.T) {
			s := swtpm.New(t, sha256ID, sha384ID)
			d := open(t, s.Socket())
			wantValue(t, d, pcr14)
			s.Inject(swtpm.PCRExtend, -1, nth(2, c.fault))
			n, err := extend1(t, d, pcr14, "a", "b", "c")
			if n != 1 || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "pcr14") || !strings.Contains(err.Error(), s.Socket()) || !strings.Contains(err.Error(), "record 1 ") {
				t.Fatalf("Extend = %d, %v", n, err)
			}
			if n := s.Seen(swtpm.PCRExtend); n != 2 {
				t.Errorf("%d extends were sent, want 2", n)
			}
			now := []string{"a"}
			if c.in {
				now = append(now, "b")
			}
			wantValue(t, d, pcr14, now...)
			if n, err := extend1(t, d, pcr14, "d"); n != 1 || err != nil {
				t.Errorf("afterwards: Extend = %d, %v", n, err)
			}
			wantValue(t, d, pcr14, append(now, "d")...)
		})
	}
}

// TestLostBetween: a connection that ended unnoticed costs an extend an error,
// a read nothing.
func TestLostBetween(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	d := open(t, s.Socket())
	must(t, s.Disconnect())
	wantValue(t, d, pcr14)
	must(t, s.Disconnect())
	if n, err := extend1(t, d, pcr14, "x"); n != 0 || err == nil {
		t.Errorf("Extend = %d, %v", n, err)
	}
	// The TPM is the same and was not reset: no read is needed.
	if n, err := extend1(t, d, pcr14, "x"); n != 1 || err != nil {
		t.Errorf("the next: Extend = %d, %v", n, err)
	}
	wantValue(t, d, pcr14, "x")
	// Once: a TPM that never answers is an error.
	s.Inject(swtpm.PCRRead, -1, swtpm.Drop)
	if _, err := d.Read(context.Background(), pcr14); err == nil || !strings.Contains(err.Error(), "pcr14") {
		t.Errorf("Read: %v", err)
	}
	if n := s.Seen(swtpm.PCRRead); n > 5 {
		t.Errorf("%d reads were sent", n)
	}
}

// TestBusy: what the TPM did not take is sent again, until it is.
func TestBusy(t *testing.T) {
	for _, rc := range []uint32{0x922, 0x90A, 0x908} { // RETRY, TESTING, YIELDED
		s := swtpm.New(t, sha256ID)
		s.Inject(swtpm.GetCapability, 1, swtpm.Answer(rc))
		d := open(t, s.Socket())
		s.Inject(swtpm.PCRExtend, 3, swtpm.Answer(rc))
		s.Inject(swtpm.PCRRead, 2, swtpm.Answer(rc))
		if n, err := extend1(t, d, pcr14, "a", "b"); n != 2 || err != nil {
			t.Fatalf("0x%x: Extend = %d, %v", rc, n, err)
		}
		wantValue(t, d, pcr14, "a", "b")
		if n := s.Seen(swtpm.PCRExtend); n != 5 {
			t.Errorf("0x%x: %d extends were sent, want 5", rc, n)
		}
		d.busyTimeout = 20 * time.Millisecond
		s.Inject(swtpm.PCRExtend, -1, swtpm.Answer(rc))
		n, err := extend1(t, d, pcr14, "c")
		if n != 0 || !errors.Is(err, tpm2.TPMRC(rc)) || !strings.Contains(err.Error(), "takes no command") {
			t.Errorf("0x%x for good: Extend = %d, %v", rc, n, err)
		}
		s.Heal()
		wantValue(t, d, pcr14, "a", "b")
	}
}

// TestSlow: a command has a deadline, and a late answer is not taken for that
// of another command.
func TestSlow(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	d := open(t, s.Socket())
	d.commandTimeout = 50 * time.Millisecond
	hold := make(chan struct{})
	s.Inject(swtpm.PCRExtend, 1, swtpm.Hold(hold))
	n, err := extend1(t, d, pcr14, "a")
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("Extend = %d, %v", n, err)
	}
	d.commandTimeout = commandTimeout
	close(hold)
	wantValue(t, d, pcr14, "a") // the TPM takes one command after the other

	hold = make(chan struct{})
	s.Inject(swtpm.PCRRead, 1, swtpm.Hold(hold))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Read(ctx, pcr14); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	// Waiting for another caller ends with the context, too.
	must(t, d.acquire(context.Background()))
	if _, err := d.Read(ctx, pcr14); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read while another reads: %v", err)
	}
	d.release()
	close(hold)
	wantValue(t, d, pcr14, "a")
}

// wantReset checks that no register is extended, and no command sent, until the
// register has been read.
func wantReset(t *testing.T, s *swtpm.TPM, d *Device, reg mrlog.Register) {
	t.Helper()
	before := s.Seen(swtpm.PCRExtend)
	for range 2 {
		if n, err := extend1(t, d, reg, "x"); n != 0 || !errors.Is(err, ErrReset) || !strings.Contains(err.Error(), reg.String()) {
			t.Errorf("Extend(%s) = %d, %v; want ErrReset", reg, n, err)
		}
	}
	if n := s.Seen(swtpm.PCRExtend); n != before {
		t.Errorf("%d extends were sent", n-before)
	}
	wantValue(t, d, reg)
	if n, err := extend1(t, d, reg, "new"); n != 1 || err != nil {
		t.Errorf("once it was read: Extend(%s) = %d, %v", reg, n, err)
	}
	wantValue(t, d, reg, "new")
}

func TestReset(t *testing.T) {
	start := func(t *testing.T) (*swtpm.TPM, *Device) {
		s := swtpm.New(t, sha256ID)
		d := open(t, s.Socket())
		for _, reg := range []mrlog.Register{pcr14, pcr15} {
			if n, err := extend1(t, d, reg, "a", "b"); n != 2 || err != nil {
				t.Fatalf("Extend = %d, %v", n, err)
			}
			wantValue(t, d, reg, "a", "b")
		}
		return s, d
	}
	t.Run("not started again", func(t *testing.T) {
		s, d := start(t)
		must(t, s.PowerOff())
		if _, err := d.Read(context.Background(), pcr14); !errors.Is(err, ErrReset) || !errors.Is(err, tpm2.TPMRCInitialize) {
			t.Errorf("Read: %v", err)
		}
		if n, err := extend1(t, d, pcr15, "x"); n != 0 || !errors.Is(err, ErrReset) {
			t.Errorf("Extend = %d, %v", n, err)
		}
		must(t, s.Startup())
		wantReset(t, s, d, pcr14)
		wantReset(t, s, d, pcr15)
	})
	t.Run("an extend meets it", func(t *testing.T) {
		s, d := start(t)
		must(t, s.PowerOff())
		if n, err := extend1(t, d, pcr14, "x"); n != 0 || !errors.Is(err, ErrReset) {
			t.Errorf("Extend = %d, %v", n, err)
		}
		must(t, s.Startup())
		wantReset(t, s, d, pcr14)
	})
	t.Run("the update counter went back", func(t *testing.T) {
		s, d := start(t)
		must(t, s.PowerCycle())
		wantValue(t, d, pcr14)
		wantReset(t, s, d, pcr15)
		if n, err := extend1(t, d, pcr14, "c"); n != 1 || err != nil {
			t.Errorf("Extend = %d, %v", n, err)
		}
	})
	t.Run("killed and started", func(t *testing.T) {
		s, d := start(t)
		must(t, s.Kill())
		if _, err := d.Read(context.Background(), pcr14); err == nil {
			t.Error("Read of a dead TPM")
		}
		if n, err := extend1(t, d, pcr14, "x"); n != 0 || err == nil {
			t.Errorf("Extend = %d, %v", n, err)
		}
		must(t, s.Restart())
		wantReset(t, s, d, pcr14)
		wantReset(t, s, d, pcr15)
	})
	t.Run("killed by a command", func(t *testing.T) {
		s, d := start(t)
		s.Inject(swtpm.PCRExtend, 1, swtpm.Die)
		if n, err := extend1(t, d, pcr14, "c"); n != 0 || err == nil || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("Extend = %d, %v", n, err)
		}
		must(t, s.Restart())
		wantReset(t, s, d, pcr14)
	})
}

// TestOtherBanks: a TPM that comes back with other banks is not the one that
// was opened.
func TestOtherBanks(t *testing.T) {
	s := swtpm.New(t, sha256ID)
	d := open(t, s.Socket())
	must(t, s.Disconnect())
	s.Inject(swtpm.GetCapability, 1, swtpm.Alter(func(a []byte) []byte {
		return bytes.Replace(a, []byte{0x00, 0x0B, 0x03, 0xFF}, []byte{0x00, 0x0B, 0x03, 0xFE}, 1)
	}))
	if _, err := d.Read(context.Background(), pcr14); !errors.Is(err, errChanged) {
		t.Errorf("Read: %v", err)
	}
	wantValue(t, d, pcr14)
}

// oneBank makes the TPM give the first bank that is asked for and no other,
// and calls between before each read, with how many there were.
func oneBank(between func(x *swtpm.Exchange, read int)) swtpm.Fault {
	read := 0
	return func(x *swtpm.Exchange) ([]byte, error) {
		between(x, read)
		read++
		cmd := bytes.Clone(x.Command[:20])
		binary.BigEndian.PutUint32(cmd[2:], 20)
		binary.BigEndian.PutUint32(cmd[10:], 1)
		return x.Forward(cmd)
	}
}

// TestBanksOneByOne: values of one instant, from a TPM that needs several
// answers, while another program extends.
func TestBanksOneByOne(t *testing.T) {
	for _, reg := range []mrlog.Register{pcr14, pcr16} { // counted, and not
		s := swtpm.New(t, sha1ID, sha256ID, sha384ID)
		d := open(t, s.Socket())
		if d.shape.uncounted.has(reg.Index) != (reg == pcr16) {
			t.Fatalf("%s: the update counter", reg)
		}
		other := swtpm.Extend(reg.Index, map[uint16][]byte{
			sha1ID: sum(t, mrlog.SHA1, []byte("x")), sha256ID: sum(t, mrlog.SHA256, []byte("x")), sha384ID: sum(t, mrlog.SHA384, []byte("x")),
		})
		meddle := func(reads ...int) swtpm.Fault {
			return oneBank(func(x *swtpm.Exchange, read int) {
				for _, r := range reads {
					if r == read || r < 0 {
						if a, err := x.Forward(other); err != nil || binary.BigEndian.Uint32(a[6:]) != 0 {
							t.Errorf("%x, %v", a, err)
						}
					}
				}
			})
		}
		s.Inject(swtpm.PCRRead, -1, meddle())
		wantValue(t, d, reg)
		s.Heal()
		s.Inject(swtpm.PCRRead, -1, meddle(1))
		wantValue(t, d, reg, "x")
		s.Heal()
		s.Inject(swtpm.PCRRead, -1, meddle(2, 4))
		wantValue(t, d, reg, "x", "x", "x")
		s.Heal()
		s.Inject(swtpm.PCRRead, -1, meddle(-1))
		if _, err := d.Read(context.Background(), reg); err == nil || !strings.Contains(err.Error(), "changed while they were read") {
			t.Errorf("%s, ever changing: %v", reg, err)
		}
	}
}

// TestWrongReads: an answer that is not about what was asked for is an error,
// never a value.
func TestWrongReads(t *testing.T) {
	s := swtpm.New(t, sha256ID, sha384ID)
	d := open(t, s.Socket())
	// header 10, counter 4, count 4, then per bank: alg 2, size 1, bits 3
	const first, second = 18, 24
	for name, f := range map[string]func(a []byte) []byte{
		"another bank":  func(a []byte) []byte { a[first+1] = 0x0D; return a },
		"a bank twice":  func(a []byte) []byte { copy(a[second:], a[first:second]); return a },
		"banks swapped": func(a []byte) []byte { a[first+1], a[second+1] = 0x0C, 0x0B; return a },
		"another PCR":   func(a []byte) []byte { a[first+4], a[second+4] = 0, 0; return a },
		"one PCR less":  func(a []byte) []byte { a[second+4] = 0; return a },
		"half of it": func(a []byte) []byte {
			a = a[:len(a)/2]
			binary.BigEndian.PutUint32(a[2:], uint32(len(a)))
			return a
		},
	} {
		s.Inject(swtpm.PCRRead, 1, swtpm.Alter(f))
		if r, err := d.Read(context.Background(), pcr14); err == nil {
			t.Errorf("%s: %v", name, r.Values)
		}
		s.Heal()
		wantValue(t, d, pcr14)
	}
	// No bank at all, for ever.
	s.Inject(swtpm.PCRRead, -1, swtpm.Alter(func(a []byte) []byte {
		a = append(a[:14:14], 0, 0, 0, 0, 0, 0, 0, 0)
		binary.BigEndian.PutUint32(a[2:], uint32(len(a)))
		return a
	}))
	if _, err := d.Read(context.Background(), pcr14); err == nil || !strings.Contains(err.Error(), "gives no more") {
		t.Errorf("Read: %v", err)
	}
}

// script is a link whose answers were written before.
type script struct{ answers []byte }

func (s *script) exchange([]byte, time.Time) ([]byte, error) {
	r := bytes.NewReader(s.answers)
	answer, err := readAnswer(&oneFrame{r})
	if err != nil {
		return nil, &lostError{sent: true, err: err}
	}
	s.answers = s.answers[len(s.answers)-r.Len():]
	return answer, nil
}

func (s *script) close() error { return nil }

// oneFrame reads no further than its caller needs for one answer.
type oneFrame struct{ r *bytes.Reader }

func (o *oneFrame) Read(p []byte) (int, error) {
	return o.r.Read(p[:min(len(p), 1)])
}

// FuzzAnswers: whatever a TPM says, it is an error or a value of the right
// form; the machine's owner may be the attacker, and own the TPM as well.
func FuzzAnswers(f *testing.F) {
	s := swtpm.New(f, sha256ID, sha384ID)
	var all []byte
	s.Inject(0, -1, func(x *swtpm.Exchange) ([]byte, error) {
		a, err := x.Forward(x.Command)
		all = append(all, a...)
		return a, err
	})
	d := open(f, s.Socket())
	if _, err := d.Read(context.Background(), pcr14); err != nil {
		f.Fatal(err)
	}
	if _, err := extend1(f, d, pcr14, "x"); err != nil {
		f.Fatal(err)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, answers []byte) {
		d := &Device{turn: make(chan struct{}, 1), readIn: make(map[uint32]uint64), commandTimeout: time.Second, link: &script{answers}}
		w := wire{link: d.link, ctx: context.Background(), device: d}
		s, err := readShape(w)
		if err != nil {
			return
		}
		d.shape = s
		if _, err := readClock(w); err != nil {
			return
		}
		for _, r := range s.registers {
			for _, b := range r.Banks {
				if len(b.Reset) != b.Alg.Size() || len(b.Reset) == 0 {
					t.Fatalf("%s: bank %s has a reset value of %d bytes", r.Name, b.Alg, len(b.Reset))
				}
			}
			d.link = w.link
			got, err := d.Read(context.Background(), r.Name)
			if err != nil {
				return
			}
			for i, b := range r.Banks {
				if got.Values[i].Alg != b.Alg || len(got.Values[i].Sum) != b.Alg.Size() {
					t.Fatalf("%s: %v", r.Name, got.Values)
				}
			}
			rec := make([]mrlog.Digest, len(r.Banks))
			for i, b := range r.Banks {
				rec[i] = mrlog.Digest{Alg: b.Alg, Sum: b.Reset}
			}
			if n, err := d.Extend(context.Background(), r.Name, [][]mrlog.Digest{rec}); n != 1 && err == nil || errors.Is(err, device.ErrDigests) {
				t.Fatalf("%s: Extend = %d, %v", r.Name, n, err)
			}
		}
	})
}
