// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"slices"

	"mrlog.dev"
)

// Placement says in which space registers are named. Three spaces name the same
// hardware by different numbers, and a platform's table ([mrlog.Platform.Map])
// says which is which.
type Placement struct {
	Space    mrlog.Space    // to name registers in; NoSpace leaves them as they are
	Platform mrlog.Platform // whose table tells

	// Keep leaves a register that has no name in the space under its own.
	// Otherwise a record of one is a [*mrlog.CarryError].
	Keep bool

	// Except is a space whose registers keep their names: those of another
	// device.
	Except mrlog.Space

	// Drop, if not nil, is called with the error of each such record, which
	// is then left out.
	Drop func(*mrlog.CarryError)
}

// Pair is a register under the name that its log gives it, and the one that a
// Placement gave it.
type Pair struct{ From, To mrlog.Register }

// placed names the registers of a log in another space.
type placed struct {
	mrlog.Reader
	p       Placement
	pairs   []Pair // that were seen
	none    uint64 // informative records of a register without a name in the space
	records int64
}

// placedHasher is placed for a reader that computes digests.
type placedHasher struct {
	placed
	hasher mrlog.Hasher
}

// Place returns a reader of the records of r with their registers named as p
// says. NV indexes keep their names. A record that was not extended is of no
// register in truth: where its register has no name, it gets [mrlog.NoIndex].
func Place(r mrlog.Reader, p Placement) mrlog.Reader {
	if p.Space == mrlog.NoSpace {
		return r
	}
	d := placed{Reader: r, p: p}
	if h, ok := r.(mrlog.Hasher); ok {
		return &placedHasher{d, h}
	}
	return &d
}

// Unwrap returns the reader behind it.
func (d *placed) Unwrap() mrlog.Reader { return d.Reader }

// Header implements [mrlog.Reader].
func (d *placed) Header() mrlog.Header {
	h := d.Reader.Header()
	if h.Space != d.p.Space && h.Space != mrlog.NoSpace && !d.p.Keep {
		h.Space, h.SpaceAssumed = d.p.Space, false
	}
	return h
}

// Read implements [mrlog.Reader].
func (d *placed) Read(b *mrlog.Batch) error { return d.next(d.Reader.Read, b) }

// Scan implements [mrlog.Hasher].
func (d *placedHasher) Scan(b *mrlog.Batch) error { return d.next(d.hasher.Scan, b) }

// Hash implements [mrlog.Hasher].
func (d *placedHasher) Hash(records []mrlog.Record) { d.hasher.Hash(records) }

// next reads until a batch has a record.
func (d *placed) next(read func(*mrlog.Batch) error, b *mrlog.Batch) error {
	for {
		if err := read(b); err != nil {
			return err
		}
		kept := b.Records[:0]
		for i := range b.Records {
			rec := &b.Records[i]
			err := d.place(rec)
			if err == nil {
				kept = append(kept, *rec)
			} else if d.p.Drop == nil {
				return err
			} else {
				d.p.Drop(err)
			}
			d.records++
		}
		if b.Records = kept; len(kept) > 0 {
			return nil
		}
	}
}

// place names the record's register.
func (d *placed) place(rec *mrlog.Record) *mrlog.CarryError {
	reg := rec.Register
	if reg.Space == d.p.Space || reg.Space == mrlog.NV || reg.Space == d.p.Except && reg.Space != mrlog.NoSpace {
		return nil
	}
	i := slices.IndexFunc(d.pairs, func(p Pair) bool { return p.From == reg })
	if i >= 0 {
		rec.Register = d.pairs[i].To
		rec.Notes &^= mrlog.NoteSpaceAssumed
		return nil
	}
	to, err := d.p.Platform.To(d.p.Space, reg)
	switch {
	case err == nil:
		if len(d.pairs) < mrlog.MaxReplayBanks {
			d.pairs = append(d.pairs, Pair{reg, to})
		}
	case d.p.Keep:
		return nil
	case rec.NotExtended:
		to = mrlog.Register{Space: d.p.Space, Index: mrlog.NoIndex}
		d.none++
	default:
		return &mrlog.CarryError{Format: "space " + d.p.Space.String(), Record: d.records, Span: rec.Span, What: err.Error()}
	}
	rec.Register = to
	rec.Notes &^= mrlog.NoteSpaceAssumed
	return nil
}

// Pairs returns the registers of a log that were given another name, as far as
// it was read, and how many informative records are now of none.
func Pairs(r mrlog.Reader) ([]Pair, uint64) {
	d, ok := as[interface{ seen() ([]Pair, uint64) }](r)
	if !ok {
		return nil, 0
	}
	return d.seen()
}

func (d *placed) seen() ([]Pair, uint64) { return d.pairs, d.none }

// Sight is what the beginning of a log shows of the machine that it is of.
type Sight struct {
	Name   string
	Format string
	Spaces []mrlog.Space // of its registers, NV indexes apart
	Algs   []mrlog.Alg   // of its digests

	Registers []mrlog.Register // of its first records
	First     *mrlog.Record    // a copy of the first; nil if there is none
	Assumed   bool             // its registers are given by number only
}

// ErrPlatform says that logs do not tell the platform that they are of.
var ErrPlatform = errors.New("the platform cannot be told")

// PlatformOf returns the platform whose registers logs are of, "" if they do not
// tell. CC measurement registers and run-time measurement registers of SHA-384
// are those of TDX, of SM3 those of CSV. A PCR can be that of any TPM. Logs that
// contradict each other are an error.
func PlatformOf(sights []Sight) (mrlog.Platform, error) {
	var found mrlog.Platform
	var by string
	for _, s := range sights {
		var p mrlog.Platform
		switch {
		case !slices.Contains(s.Spaces, mrlog.CCMR) && !slices.Contains(s.Spaces, mrlog.RTMR), len(s.Algs) != 1:
			continue
		case s.Algs[0] == mrlog.SHA384:
			p = mrlog.TDX
		case s.Algs[0] == mrlog.SM3:
			p = mrlog.CSV
		default:
			continue
		}
		if found != "" && p != found {
			return "", fmt.Errorf("%w: %s is of %s, %s of %s", ErrPlatform, by, found, s.Name, p)
		}
		found, by = p, s.Name
	}
	return found, nil
}

// OfPlatform reports whether PCRs of the log can stand for registers of the
// platform: it has the platform's one bank. A TPM beside a CC platform, which
// is another device, has others.
func (s *Sight) OfPlatform(p mrlog.Platform) bool {
	switch p {
	case mrlog.TDX:
		return len(s.Algs) == 1 && s.Algs[0] == mrlog.SHA384
	case mrlog.CSV:
		return len(s.Algs) == 1 && s.Algs[0] == mrlog.SM3
	}
	return false
}

// CommonSpace returns the space that registers of all the logs can be named in,
// NoSpace if they are all in one already: logs of CC-MRs and RTMRs meet in
// CC-MRs, which are all of the platform's. PCRs are taken for registers of the
// platform only if the caller stated it, or the log has the platform's bank.
func CommonSpace(sights []Sight, p mrlog.Platform, stated bool) (mrlog.Space, error) {
	var spaces []mrlog.Space
	by := make(map[mrlog.Space]*Sight)
	for i := range sights {
		for _, s := range sights[i].Spaces {
			if !slices.Contains(spaces, s) {
				spaces = append(spaces, s)
				by[s] = &sights[i]
			}
		}
	}
	if len(spaces) < 2 {
		return mrlog.NoSpace, nil
	}
	one, two := by[spaces[0]], by[spaces[1]]
	if p == "" {
		return mrlog.NoSpace, fmt.Errorf("%w: %s is of %s, %s of %s", ErrPlatform, one.Name, spaces[0], two.Name, spaces[1])
	}
	for i := range sights {
		if s := &sights[i]; slices.Contains(s.Spaces, mrlog.PCR) && !stated && !s.OfPlatform(p) {
			return mrlog.NoSpace, fmt.Errorf("%w of %s: it is of PCRs in the banks %v, the other logs of registers of %s: are they of one machine?", ErrPlatform, s.Name, s.Algs, p)
		}
	}
	return mrlog.CCMR, nil
}
