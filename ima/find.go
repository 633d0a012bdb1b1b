// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package ima

import (
	"bytes"
	"fmt"
	"io"

	"mrlog.dev"
)

// Want is a value that a list is to lead to: of a quote, say.
type Want struct {
	Register mrlog.Register
	Alg      mrlog.Alg
	Start    []byte // before the list; nil stands for the reset value
	Value    []byte
}

// Mode says what a bank was extended with.
type Mode uint8

// The modes.
const (
	ModeNone   Mode = iota // no part of the list leads to the value
	ModeLogged             // the logged digests: the list is of this bank
	ModeNative             // the digest of the template data (Linux 5.8 and later)
	ModePadded             // the SHA-1 digest and zeros (Linux before 5.8)
	ModeStart              // nothing: the value is the one before the list
)

// String names the mode as output does.
func (m Mode) String() string {
	switch m {
	case ModeLogged:
		return "logged"
	case ModeNative:
		return "native"
	case ModePadded:
		return "padded"
	case ModeStart:
		return "start"
	}
	return "none"
}

// Match is what [FindBanks] found of a wanted value.
type Match struct {
	Want
	Mode Mode

	// Records of the list, from its first one, that lead to the value. What
	// follows was recorded after it was read: the kernel appends to the list
	// before it extends, and a list is read after the quote.
	Records uint64

	// Last is the place of the register's last record, counted from 1: 0 if
	// the list has none.
	Last uint64

	// Opaque: the replay of this bank ended at a record that has no template
	// data to derive its digest from. Records is then the place of that one.
	Opaque bool
}

// FindBanks replays a list, whatever further banks it is read with, to each
// of the wanted values: with the logged digests in the bank that the list is of,
// else with native and with padded ones. It returns how each bank was extended
// and how many records lead to the value, and the number of all records. The
// answers are in the order of the wants. An error is that of the reader, or of a
// want that makes no sense; what was found before it is returned.
func FindBanks(r mrlog.Reader, wants []Want) ([]Match, uint64, error) {
	out := make([]Match, len(wants))
	chains := make([]chains2, len(wants))
	for i, w := range wants {
		out[i].Want = w
		size := w.Alg.Size()
		start := w.Start
		if start == nil {
			start = w.Register.ResetValue(w.Alg)
		}
		if size == 0 || len(w.Value) != size || len(start) != size {
			return out, 0, fmt.Errorf("%s %s: %w", w.Register, w.Alg, mrlog.ErrSize)
		}
		c := &chains[i]
		c.begin(start)
		if c.done = bytes.Equal(start, w.Value); c.done {
			out[i].Mode = ModeStart
		}
	}
	var b mrlog.Batch
	var n uint64
	for {
		if err := r.Read(&b); err == io.EOF {
			return out, n, nil
		} else if err != nil {
			return out, n, err
		}
		for i := range b.Records {
			rec := &b.Records[i]
			n++
			for j := range out {
				if rec.Register != out[j].Register || len(rec.Digests) == 0 {
					continue
				}
				out[j].Last = n
				if c := &chains[j]; !c.done {
					c.step(&out[j], rec, n)
				}
			}
		}
	}
}

// chains2 are the values of a bank in two modes, the second for padding. Each
// stands before the digest to extend, as the hash function wants them.
type chains2 struct {
	size  int
	state [2][2 * mrlog.MaxDigestSize]byte
	dead  bool // the first can go no further
	done  bool
}

func (c *chains2) begin(start []byte) {
	c.size = len(start)
	for i := range c.state {
		copy(c.state[i][:], start)
	}
}

// extend extends a chain with the digest that stands behind its value, and
// reports whether it then has the wanted value.
func (c *chains2) extend(i int, m *Match, mode Mode, n uint64) {
	s := &c.state[i]
	m.Alg.AppendSum(s[:0], s[:2*c.size])
	if bytes.Equal(s[:c.size], m.Value) {
		m.Mode, m.Records, m.Opaque, c.done = mode, n, false, true
	}
}

func (c *chains2) step(m *Match, r *mrlog.Record, n uint64) {
	logged := &r.Digests[0]
	first := c.state[0][c.size : 2*c.size]
	if logged.Alg == m.Alg {
		copy(first, logged.Sum)
		c.extend(0, m, ModeLogged, n)
		return
	}
	violation := r.Notes&mrlog.NoteViolation != 0
	opaque := r.Form != mrlog.FormRaw && !violation
	switch {
	case c.dead:
	case opaque:
		c.dead = true
		m.Opaque, m.Records = true, n
	case violation:
		fill(first)
		c.extend(0, m, ModeNative, n)
	default:
		m.Alg.AppendSum(first[:0], r.Content)
		c.extend(0, m, ModeNative, n)
	}
	if c.done {
		return
	}
	second := c.state[1][c.size : 2*c.size]
	clear(second)
	switch sha1 := mrlog.SHA1.Size(); {
	case c.size < sha1:
		return
	case logged.Alg == mrlog.SHA1:
		copy(second, logged.Sum)
	case violation:
		fill(second[:sha1])
	case opaque:
		c.done = true // neither way
		return
	default:
		mrlog.SHA1.AppendSum(second[:0], r.Content)
	}
	c.extend(1, m, ModePadded, n)
}
