// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"bytes"
	"fmt"
	"hash"
	"slices"
)

// MaxReplayBanks bounds the banks of all registers in one replay, because a
// hostile log can name a new register in every record. The largest real
// platform, a TPM with 24 PCRs and a few NV indexes in every algorithm, stays
// far below it.
const MaxReplayBanks = 1024

// Bank is a bank of a register with the value that a replay computed.
type Bank struct {
	Register Register
	Alg      Alg
	Value    []byte
	Records  uint64 // extended into it

	// Start is the value that the replay began with: the reset value, the
	// one that Replay.Start or an INIT record gave, in PCR 0 the one of the
	// locality that a StartupLocality or H-CRTM event tells of, in PCR 17 to
	// 22 zeros if an event tells of a dynamic launch.
	Start []byte
	// Unexplained: Start was stated by an INIT record, and is neither the
	// register's reset value nor the end of an earlier log in this replay.
	// What led to it is not shown, so that the value proves only the
	// records since.
	Unexplained bool
}

// InitError says why a record that states the start of a bank was not used as
// such: an INIT record, in PCR 0 a StartupLocality or an H-CRTM event, in PCR 17
// to 22 an event of a dynamic launch. The replay went on without it.
type InitError struct {
	Register Register
	Alg      Alg // 0 when the record is unreadable, or of all banks
	Record   Record
	Reason   string
	Stated   []byte // start value that the record states, if it could be read
	Found    []byte // value of the bank at that point
}

// Error names the record, the bank and the reason.
func (e *InitError) Error() string {
	s := e.Register.String() + ": INIT record"
	switch {
	case e.Record.IsStartupLocality():
		s = e.Register.String() + ": StartupLocality record"
	case e.Record.IsLaunch():
		s = e.Register.String() + ": start of the record of a dynamic launch"
	case e.Record.Type == TypePCClient:
		s = e.Register.String() + ": start of the H-CRTM record"
	}
	if e.Record.HasNumber {
		s += fmt.Sprintf(" %d", e.Record.Number)
	}
	if e.Alg != 0 {
		s += " (" + e.Alg.String() + ")"
	}
	s += " is not used: " + e.Reason
	if e.Stated != nil {
		s += fmt.Sprintf("; it states %x, the register holds %x", e.Stated, e.Found)
	}
	return s
}

// MaxInitErrors bounds the refused start values that a replay keeps; it counts
// all of them.
const MaxInitErrors = 16

// Replay computes register values from records, of any number of registers and
// banks at once. The zero value is ready for use.
type Replay struct {
	banks []*bank
	room  []bank // allocated, and not in use yet
	// The first bank of each register: those of real platforms in an array,
	// others in a map.
	near [NV][nearIndexes]*bank
	far  map[Register]*bank

	located  bool // the log tells the locality that PCR 0 starts with
	locality byte
	launched bool // the log tells of a dynamic launch, before PCR 17 to 22 were extended

	initErrors []*InitError
	refused    int
	skipped    map[Alg]uint64
}

// bank keeps its value and the next digest side by side, as the hash function
// wants them.
type bank struct {
	register    Register
	alg         Alg
	given       bool // the caller stated the start value
	unexplained bool
	size        int
	records     uint64
	next        *bank     // of the same register
	hash        hash.Hash // one for all banks of the algorithm
	state       [2 * MaxDigestSize]byte
	start       [MaxDigestSize]byte
}

// nearIndexes is how many registers a space of a real platform has.
const nearIndexes = 24

func (b *bank) value() []byte { return b.state[:b.size] }

func (b *bank) extend(sum []byte) {
	copy(b.state[b.size:], sum)
	b.hash.Reset()
	b.hash.Write(b.state[:2*b.size])
	b.hash.Sum(b.state[:0])
	b.records++
}

// Start sets the value that a bank begins with, instead of the reset value. It
// is for values known from elsewhere (a startup locality, an earlier log), and
// an error once the bank has been extended.
func (r *Replay) Start(reg Register, alg Alg, value []byte) error {
	if alg.Size() == 0 || len(value) != alg.Size() {
		return fmt.Errorf("%s %s: start value of %d bytes: %w", reg, alg, len(value), ErrSize)
	}
	b, err := r.bank(reg, alg)
	if err != nil {
		return err
	}
	if b.records > 0 {
		return fmt.Errorf("%s %s: start value after %d records", reg, alg, b.records)
	}
	b.begin(value)
	b.given = true
	return nil
}

// Extend replays records, in order. A digest that does not have its
// algorithm's size is a *SyntaxError with the record's place; the records
// before it have been replayed. Digests of unknown algorithms are counted, see
// Skipped. A record that states a start value and cannot be used is no error
// here: see InitErrors.
func (r *Replay) Extend(records []Record) error {
	for i := range records {
		rec := &records[i]
		if rec.NotExtended {
			if rec.Register == pcr0 {
				r.startup(rec)
			}
			continue
		}
		if rec.Event == EventHCRTM && rec.Register == pcr0 {
			r.hcrtm(rec)
		}
		if !r.launched && rec.IsLaunch() {
			r.launch(rec)
		}
		if rec.IsInit() {
			if err := r.init(rec); err != nil {
				return err
			}
		}
		for _, d := range rec.Digests {
			b := r.find(rec.Register, d.Alg)
			if b == nil {
				if d.Alg.Size() == 0 {
					if r.skipped == nil {
						r.skipped = make(map[Alg]uint64)
					}
					r.skipped[d.Alg]++
					continue
				}
				var err error
				if b, err = r.bank(rec.Register, d.Alg); err != nil {
					return r.fault(rec, err)
				}
			}
			if len(d.Sum) != b.size {
				return r.fault(rec, fmt.Errorf("%s digest has %d bytes: %w", d.Alg, len(d.Sum), ErrSize))
			}
			b.extend(d.Sum)
		}
	}
	return nil
}

func (r *Replay) fault(rec *Record, err error) error {
	n := int64(-1)
	if rec.HasNumber {
		n = int64(rec.Number)
	}
	return &SyntaxError{Format: "replay of " + rec.Register.String(), Line: rec.Span.Line, Offset: rec.Span.Offset, Record: n, Err: err}
}

// init lets an INIT record state the start of its register's banks. Its text
// counts only as far as its own digest covers it, and only while the bank is
// untouched or holds that very value: a forged INIT changes nothing.
func (r *Replay) init(rec *Record) error {
	values, err := ParseInit(rec.Content)
	if err != nil {
		r.refuse(&InitError{Register: rec.Register, Record: *rec, Reason: err.Error()})
		return nil
	}
	var sum [MaxDigestSize]byte
	for _, d := range rec.Digests {
		if d.Alg.Size() == 0 {
			continue
		}
		i := slices.IndexFunc(values, func(v Digest) bool { return v.Alg == d.Alg })
		if i < 0 {
			r.refuse(&InitError{Register: rec.Register, Alg: d.Alg, Record: *rec, Reason: "it states no value for this bank"})
			continue
		}
		b, err := r.bank(rec.Register, d.Alg)
		if err != nil {
			return r.fault(rec, err)
		}
		stated := values[i].Sum
		refusal := &InitError{Register: rec.Register, Alg: d.Alg, Record: *rec, Stated: stated, Found: bytes.Clone(b.value())}
		switch {
		case !bytes.Equal(d.Alg.AppendSum(sum[:0], rec.Content), d.Sum):
			refusal.Reason = "its text does not hash to its digest"
			r.refuse(refusal)
		case bytes.Equal(b.value(), stated):
			// At its reset value, or joined to what was replayed before.
		case b.records == 0 && !b.given:
			b.begin(stated)
			b.unexplained = !rec.Register.ResetsTo(d.Alg, stated)
		default:
			refusal.Reason = "its value is not the register's at this point"
			r.refuse(refusal)
		}
	}
	for _, v := range values {
		if !slices.ContainsFunc(rec.Digests, func(d Digest) bool { return d.Alg == v.Alg }) {
			r.refuse(&InitError{Register: rec.Register, Alg: v.Alg, Record: *rec, Reason: "the record has no digest for this bank"})
		}
	}
	return nil
}

// pcr0 is the one register whose start depends on how the TPM was started (TPM
// 2.0 Library, part 1, section "Initializing PCR").
var pcr0 = Register{Space: PCR}

// startup lets a StartupLocality event state the start of PCR 0. It was not
// extended, so that it proves nothing; a false one leads to a false value.
func (r *Replay) startup(rec *Record) {
	if !rec.IsStartupLocality() {
		return
	}
	l, ok := rec.StartupLocality()
	switch {
	case !ok:
		r.refuse(&InitError{Register: pcr0, Record: *rec, Reason: "it is not one byte of 0, 3 or 4"})
	case r.located:
		r.refuse(&InitError{Register: pcr0, Record: *rec, Reason: fmt.Sprintf("the start is that of locality %d already", r.locality)})
	case r.extended(pcr0):
		r.refuse(&InitError{Register: pcr0, Record: *rec, Reason: "the register was extended before"})
	default:
		r.locate(l)
	}
}

// hcrtm lets an H-CRTM event, which is about to be extended, state the start of
// PCR 0.
func (r *Replay) hcrtm(rec *Record) {
	switch {
	case rec.Type != TypePCClient || rec.Form != FormRaw:
	case r.extended(pcr0):
		r.refuse(&InitError{Register: pcr0, Record: *rec, Reason: "the register was extended before"})
	case r.located && r.locality != localityHCRTM:
		r.refuse(&InitError{Register: pcr0, Record: *rec, Reason: fmt.Sprintf("the start is that of locality %d already", r.locality)})
	default:
		r.locate(localityHCRTM)
	}
}

// launch lets an event of a dynamic launch, which is about to be extended, state
// that PCR 17 to 22 start with zeros, those that are there and those to come. What
// the caller has stated stays.
func (r *Replay) launch(rec *Record) {
	r.launched = true
	reg := Register{Space: PCR}
	for reg.Index = firstDynamic; reg.Index <= lastDynamic; reg.Index++ {
		if r.extended(reg) {
			if r.fromZeros(reg) {
				continue
			}
			r.refuse(&InitError{Register: reg, Record: *rec, Reason: "the register was extended before"})
			continue
		}
		for b := r.first(reg); b != nil; b = b.next {
			if !b.given {
				b.begin(make([]byte, b.size))
			}
		}
	}
}

// fromZeros reports whether all banks of the register started with zeros, which
// is all that an event of a dynamic launch says.
func (r *Replay) fromZeros(reg Register) bool {
	for b := r.first(reg); b != nil; b = b.next {
		if b.start != ([MaxDigestSize]byte{}) {
			return false
		}
	}
	return true
}

// extended reports whether a bank of the register has been.
func (r *Replay) extended(reg Register) bool {
	for b := r.first(reg); b != nil; b = b.next {
		if b.records > 0 {
			return true
		}
	}
	return false
}

// locate starts the banks of PCR 0 with a locality, those that are there and
// those to come. What the caller has stated stays.
func (r *Replay) locate(locality byte) {
	r.located, r.locality = true, locality
	for b := r.first(pcr0); b != nil; b = b.next {
		if !b.given {
			b.locate(locality)
		}
	}
}

// begin sets the value that the bank begins with.
func (b *bank) begin(value []byte) {
	copy(b.start[:], value)
	copy(b.state[:], value)
}

// locate begins with the reset value with the locality as its last byte.
func (b *bank) locate(locality byte) {
	b.start[b.size-1], b.state[b.size-1] = locality, locality
}

func (r *Replay) refuse(e *InitError) {
	r.refused++
	if len(r.initErrors) < MaxInitErrors {
		e.Record = e.Record.Clone()
		r.initErrors = append(r.initErrors, e)
	}
}

// first returns the first bank of a register.
func (r *Replay) first(reg Register) *bank {
	if reg.Space < NV && reg.Index < nearIndexes {
		return r.near[reg.Space][reg.Index]
	}
	return r.far[reg]
}

// find returns the bank if it is there.
func (r *Replay) find(reg Register, alg Alg) *bank {
	for b := r.first(reg); b != nil; b = b.next {
		if b.alg == alg {
			return b
		}
	}
	return nil
}

// bank returns the bank, made at the register's reset value if need be.
func (r *Replay) bank(reg Register, alg Alg) (*bank, error) {
	if b := r.find(reg, alg); b != nil {
		return b, nil
	}
	if len(r.banks) == MaxReplayBanks {
		return nil, fmt.Errorf("more than %d banks in one log: %w", MaxReplayBanks, ErrLimit)
	}
	if len(r.room) == 0 {
		r.room = make([]bank, min(4+len(r.banks), 8))
		r.banks = slices.Grow(r.banks, len(r.room))
	}
	b := &r.room[0]
	r.room = r.room[1:]
	b.register, b.alg, b.size = reg, alg, alg.Size()
	b.hash = r.hash(alg)
	if !r.launched || !reg.dynamic() {
		reg.AppendResetValue(b.start[:0], alg)
		copy(b.state[:], b.start[:b.size])
	}
	if r.located && reg == pcr0 {
		b.locate(r.locality)
	}
	r.banks = append(r.banks, b)
	if head := r.first(reg); head != nil {
		for head.next != nil {
			head = head.next
		}
		head.next = b
		return b, nil
	}
	if reg.Space < NV && reg.Index < nearIndexes {
		r.near[reg.Space][reg.Index] = b
		return b, nil
	}
	if r.far == nil {
		r.far = make(map[Register]*bank)
	}
	r.far[reg] = b
	return b, nil
}

// hash returns the hash function of an algorithm's banks. A digest that is used
// again is faster than one made for each extend.
func (r *Replay) hash(alg Alg) hash.Hash {
	for _, b := range r.banks {
		if b.alg == alg {
			return b.hash
		}
	}
	return alg.newHash()
}

// Value returns the present value of a bank, or nil if no record has named it.
// It is borrowed until the next Extend.
func (r *Replay) Value(reg Register, alg Alg) []byte {
	if b := r.find(reg, alg); b != nil {
		return b.value()
	}
	return nil
}

// Banks returns all banks that were named, ordered by register, then algorithm
// id. The caller owns them.
func (r *Replay) Banks() []Bank {
	out := make([]Bank, 0, len(r.banks))
	for _, b := range r.banks {
		out = append(out, Bank{
			Register: b.register, Alg: b.alg, Value: bytes.Clone(b.value()), Records: b.records,
			Start: bytes.Clone(b.start[:b.size]), Unexplained: b.unexplained,
		})
	}
	slices.SortFunc(out, func(a, b Bank) int {
		if c := a.Register.Compare(b.Register); c != 0 {
			return c
		}
		return int(a.Alg) - int(b.Alg)
	})
	return out
}

// Len returns how many banks were named so far.
func (r *Replay) Len() int { return len(r.banks) }

// InitErrors returns the records that state a start value and were not used for
// it, the first [MaxInitErrors] of them, and how many there were in all.
func (r *Replay) InitErrors() ([]*InitError, int) { return r.initErrors, r.refused }

// Skipped returns the algorithms that could not be replayed because mrlog does
// not know them, each with its number of digests.
func (r *Replay) Skipped() map[Alg]uint64 { return r.skipped }
