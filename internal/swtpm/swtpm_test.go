// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"sync"
	"testing"
)

const sha256ID = 0x000B

// dial connects a client.
func dial(t *testing.T, s *TPM) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(c net.Conn, cmd []byte) ([]byte, error) {
	if _, err := c.Write(cmd); err != nil {
		return nil, err
	}
	return readFrame(c)
}

// readPCR is TPM2_PCR_Read of the SHA-256 bank.
func readPCR(i int) []byte {
	var sel [3]byte
	sel[i/8] = 1 << (i % 8)
	return frame(noSessions, PCRRead, append([]byte{0, 0, 0, 1, 0, sha256ID, 3}, sel[:]...))
}

// value reads a PCR past all faults.
func value(t *testing.T, s *TPM, i int) []byte {
	t.Helper()
	answer, err := s.Send(readPCR(i))
	if err != nil {
		t.Fatal(err)
	}
	if rc := code(answer); rc != 0 || len(answer) < 32 {
		t.Fatalf("answer %x", answer)
	}
	return answer[len(answer)-32:]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var one = Extend(14, map[uint16][]byte{sha256ID: bytes.Repeat([]byte{1}, 32)})

// extended is PCR 14 after n times the command one.
func extended(n int) []byte {
	v := make([]byte, 32)
	for range n {
		s := sha256.Sum256(append(v, bytes.Repeat([]byte{1}, 32)...))
		v = s[:]
	}
	return v
}

func wantValue(t *testing.T, s *TPM, n int) {
	t.Helper()
	if got := value(t, s, 14); !bytes.Equal(got, extended(n)) {
		t.Errorf("PCR 14 is %x, want the value after %d extends", got, n)
	}
}

func TestClientsShareOneTPM(t *testing.T) {
	s := New(t, sha256ID)
	var wg sync.WaitGroup
	for range 4 {
		c := dial(t, s)
		wg.Go(func() {
			for range 10 {
				if a, err := ask(c, one); err != nil || code(a) != 0 {
					t.Errorf("extend: %x, %v", a, err)
				}
			}
		})
	}
	wg.Wait()
	wantValue(t, s, 40)
	if n := s.Seen(PCRExtend); n != 40 {
		t.Errorf("%d extends seen", n)
	}
}

func TestBanks(t *testing.T) {
	s := NewBanks(t, Bank{Alg: sha256ID}, Bank{Alg: 0x000C, PCRs: []int{0, 17, 23}})
	answer, err := s.Send(frame(noSessions, GetCapability, []byte{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1}))
	must(t, err)
	if got := hex.EncodeToString(answer[headerSize+1:]); got != "00000005"+"00000004"+"000403000000"+"000b03ffffff"+"000c03010082"+"000d03000000" {
		t.Errorf("capability %s", got)
	}
}

func TestFaults(t *testing.T) {
	s := New(t, sha256ID)
	done := 0
	for _, f := range []struct {
		name         string
		do           Fault
		answered, in bool
	}{
		{"drop", Drop, false, false},
		{"drop the answer", DropAnswer, false, true},
		{"answer", Answer(0x922), true, false},
		{"alter", Alter(func(a []byte) []byte { a[9] = 0x42; return a }), true, true},
	} {
		s.Inject(PCRExtend, 1, f.do)
		c := dial(t, s)
		if _, err := ask(c, readPCR(14)); err != nil {
			t.Fatalf("%s: another command: %v", f.name, err)
		}
		a, err := ask(c, one)
		if f.answered != (err == nil) || err == nil && code(a) == 0 {
			t.Errorf("%s: %x, %v", f.name, a, err)
		}
		if f.in {
			done++
		}
		wantValue(t, s, done)
		a, err = ask(dial(t, s), one)
		if err != nil || code(a) != 0 {
			t.Errorf("%s: afterwards: %x, %v", f.name, a, err)
		}
		done++
		wantValue(t, s, done)
	}
	hold := make(chan struct{})
	s.Inject(0, -1, Hold(hold))
	c := dial(t, s)
	if _, err := c.Write(one); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if a, err := readFrame(c); err != nil || code(a) != 0 {
		t.Errorf("held: %x, %v", a, err)
	}
	s.Heal()
	wantValue(t, s, done+1)
}

func TestPower(t *testing.T) {
	s := New(t, sha256ID)
	c := dial(t, s)
	if _, err := ask(c, one); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, 1)
	must(t, s.PowerOff())
	if a, err := ask(c, one); err != nil || code(a) != 0x100 {
		t.Errorf("before Startup: %x, %v", a, err)
	}
	must(t, s.Startup())
	wantValue(t, s, 0)
	if a, err := ask(c, one); err != nil || code(a) != 0 {
		t.Errorf("after Startup: %x, %v", a, err)
	}
	must(t, s.PowerCycle())
	wantValue(t, s, 0)

	s.Inject(PCRExtend, 1, Die)
	if a, err := ask(c, one); err == nil {
		t.Errorf("killed: %x", a)
	}
	if a, err := ask(dial(t, s), one); err == nil {
		t.Errorf("not running: %x", a)
	}
	must(t, s.Restart())
	if a, err := ask(dial(t, s), one); err != nil || code(a) != 0 {
		t.Errorf("restarted: %x, %v", a, err)
	}
	wantValue(t, s, 1)
	// Only SHA-256: the allocation is in the state.
	if a, err := s.Send(Extend(14, map[uint16][]byte{0x000C: make([]byte, 48)})); err != nil || code(a) != 0 {
		t.Errorf("extend of a bank that is not there: %x, %v", a, err)
	}
}
