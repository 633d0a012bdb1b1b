// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/tcg/event"
)

// Types of TCG events that a Watch looks for (PFP 1.06, section 10.4.1).
const (
	evCRTMContents         = 0x00000007
	evCRTMVersion          = 0x00000008
	evMicrocode            = 0x00000009
	evVariableDriverConfig = 0x80000001
	evBlob                 = 0x80000008
	evBlob2                = 0x8000000A
	evHCRTM                = 0x80000010
)

// Watch looks for records that stand where they should not: whoever boots later
// can extend a firmware's register, and claim in the log that the firmware did.
// It sees the records of all logs in their order. Its rules are such that logs
// of real firmware satisfy them, but for what is odd in them.
//
//   - A firmware ends its part of PCR 0 to 7 with one EV_SEPARATOR (PFP 1.06,
//     section 10.4.1). A second one is suspicious, and so is its digest under
//     another type alone, whatever content that has. In a CC register there may
//     be as many as PCRs share it, but then in all of them.
//   - After it, the code and version of the firmware, its volumes and the
//     microcode are suspicious, the variables that decide about secure boot in
//     PCR 7, and anything in PCR 0. Boot variables, applications, authorities,
//     partition tables and actions are not.
//   - A launcher of Confidential Space ends its part with one LaunchSeparator.
//     What follows with its content type is the workload's. Its digest under
//     another type is suspicious.
//
// PCRs from 8 on are the boot loader's and the system's: separators mean there
// what these want. The zero value is ready for use.
type Watch struct {
	Log string // name of the log at hand

	// trusted are the algorithms of the RTMRs' expected values. If there are
	// none, the first record of an RTMR tells of which platform it is.
	trusted []mrlog.Alg

	registers []watched
	found     []Finding // of Next, for End
	count     int
	known     cel.Known
	sums      []mrlog.Digest // of separators
}

// watched is a register with what has been seen of it, in all and up to where
// its log is accepted if it goes on.
type watched struct {
	register  mrlog.Register
	shared    int // PCRs that share it, 0 if it is not the firmware's
	sight, at sight
}

// sight is what has been seen of a register.
type sight struct {
	records    int64 // TCG events
	separators int
	second     found // EV_SEPARATOR in a CC register
	hidden     found // first digest of a separator under another type, before any

	launched bool   // a launcher's separator has been seen
	after    uint64 // records of the launcher's type since
	first    found
}

// sharing is how many PCRs share a CC-MR: none has MRTD, PCR 0, 1 and 7 have the
// first (PCR 0 in older firmware), 2 to 6 the second (UEFI 2.10, section 38.4.1).
var sharing = [3]int{0, 3, 5}

// Next looks at the next record, of which the number is what Findings are to
// give. It says what is suspicious about the record, "" if nothing is that can
// be told by then; see End.
func (w *Watch) Next(number uint64, rec *mrlog.Record) string {
	text, later := w.next(number, rec, 0)
	if text != "" && !later {
		if w.count++; len(w.found) < MaxFindings {
			w.found = append(w.found, w.finding(number, rec, text))
		}
	}
	return text
}

func (w *Watch) finding(number uint64, rec *mrlog.Record, text string) Finding {
	return Finding{Log: w.Log, Register: rec.Register, Number: number, Span: rec.Span, Text: text}
}

// next is Next for a record with a place among those of its register. It reports
// whether the record is among those that end tells of.
func (w *Watch) next(number uint64, rec *mrlog.Record, place int64) (text string, later bool) {
	if rec.NotExtended {
		return "", false
	}
	if w.hidesLaunch(rec) {
		return hiddenLaunch, false
	}
	r := w.of(rec)
	if r == nil {
		return "", false
	}
	f := found{Finding: w.finding(number, rec, ""), place: place}
	typed := rec.Type == mrlog.TypePCClient || rec.Type == event.TypeCOS
	if typed && rec.Form != mrlog.FormRaw {
		var err error
		if rec, err = w.known.Record(rec); err != nil {
			return "", false // which has been found, see Hasher
		}
	}
	if typed && rec.Type == event.TypeCOS {
		if text, later = r.sight.launch(rec, f); text != "" {
			return text, later
		}
		later = true
	}
	if r.shared > 0 {
		if text := w.firmware(r, rec, f, typed && rec.Type == mrlog.TypePCClient); text != "" {
			return text, false
		}
	}
	return "", later
}

// of returns what is known of a record's register: nil if that is not the
// firmware's, and the record not a launcher's.
func (w *Watch) of(rec *mrlog.Record) *watched {
	reg := rec.Register
	switch {
	case rec.Type == event.TypeCOS:
	case reg.Space == mrlog.PCR && reg.Index < 8:
	case (reg.Space == mrlog.CCMR || reg.Space == mrlog.RTMR) && reg.Index < uint32(len(sharing)):
	default:
		return nil
	}
	for i := range w.registers {
		if w.registers[i].register == reg {
			return &w.registers[i]
		}
	}
	if len(w.registers) == mrlog.MaxReplayBanks {
		return nil // no replay has so many
	}
	w.registers = append(w.registers, watched{register: reg, shared: w.shared(rec)})
	return &w.registers[len(w.registers)-1]
}

// shared is how many PCRs share the register of a record, 0 if it is not the
// firmware's.
func (w *Watch) shared(rec *mrlog.Record) int {
	index := rec.Register.Index
	switch rec.Register.Space {
	case mrlog.PCR:
		if index < 8 {
			return 1
		}
		return 0
	case mrlog.RTMR:
		// CSV counts both from 0, and is the one platform with SM3. A digest of
		// which nobody knows the register's value says nothing.
		csv := slices.Contains(w.trusted, mrlog.SM3)
		if w.trusted == nil {
			csv = slices.ContainsFunc(rec.Digests, func(d mrlog.Digest) bool { return d.Alg == mrlog.SM3 })
		}
		if !csv {
			index++
		}
	case mrlog.CCMR:
	default:
		return 0
	}
	if index < uint32(len(sharing)) {
		return sharing[index]
	}
	return 0
}

// mark notes that the log of a register may be accepted up to here.
func (w *Watch) mark(reg mrlog.Register) {
	for i := range w.registers {
		if r := &w.registers[i]; r.register == reg {
			r.at = r.sight
			return
		}
	}
}

// firmware looks at a record of a firmware's register, which may be no TCG event.
func (w *Watch) firmware(r *watched, rec *mrlog.Record, f found, tcg bool) string {
	b, reg := &r.sight, r.register
	if tcg {
		b.records++
	}
	if !tcg || rec.Event != evSeparator {
		switch {
		case b.separators == 0 && b.hidden.Text == "" && w.separates(rec):
			b.hidden = f // some firmware measures code that is four zeros
			b.hidden.Text = hiddenText
		case b.separators > 0 && w.separates(rec):
			return hiddenText
		case b.separators > 0 && tcg && late(rec):
			return fmt.Sprintf("firmware measures this before the EV_SEPARATOR of %s, not after it", reg)
		}
		return ""
	}
	b.separators++
	switch {
	case b.separators == 1:
		return ""
	case r.shared == 1:
		return fmt.Sprintf("another EV_SEPARATOR of %s: a firmware ends its part of a PCR once", reg)
	case b.separators > r.shared:
		return fmt.Sprintf("EV_SEPARATOR number %d of %s, which %d PCRs share", b.separators, reg, r.shared)
	case b.separators == 2:
		b.second = f
	}
	return ""
}

const hiddenLaunch = "its digest is that of a LaunchSeparator, and its type another: the type is not measured"

const hiddenText = "its digest is that of an EV_SEPARATOR, and its type another: the type is not measured"

// endings are what is hashed of separators: those of a firmware that tell of no
// error, and that of a launcher which has nothing to tell.
var endings = [...]string{"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x50\x00\x00\x00\x05\x08\x00\x00\x00\x00"}

// launcher is the one of a launcher.
const launcher = 2

// ends reports whether a digest of a record is that of a firmware's separator, or
// of a launcher's.
func (w *Watch) ends(rec *mrlog.Record) (firmware, launch bool) {
	for _, d := range rec.Digests {
		if d.Alg.Size() == 0 {
			continue
		}
		i := slices.IndexFunc(w.sums, func(s mrlog.Digest) bool { return s.Alg == d.Alg })
		if i < 0 {
			i = len(w.sums)
			for _, v := range endings {
				w.sums = append(w.sums, mrlog.Digest{Alg: d.Alg, Sum: d.Alg.AppendSum(nil, []byte(v))})
			}
		}
		for j, s := range w.sums[i : i+len(endings)] {
			if bytes.Equal(s.Sum, d.Sum) {
				return j != launcher, j == launcher
			}
		}
	}
	return false, false
}

// separates reports whether a digest of a record is that of a firmware's separator.
func (w *Watch) separates(rec *mrlog.Record) bool {
	firmware, _ := w.ends(rec)
	return firmware
}

// hidesLaunch reports whether a record is a launcher's separator under another
// content type. Under IMA's its content contradicts the digest.
func (w *Watch) hidesLaunch(rec *mrlog.Record) bool {
	switch rec.Type {
	case event.TypeCOS, mrlog.TypeIMATemplate, mrlog.TypeIMATLV:
		return false
	}
	_, launch := w.ends(rec)
	return launch
}

// late reports whether no firmware measures an event after its separator.
func late(rec *mrlog.Record) bool {
	if rec.Register == (mrlog.Register{Space: mrlog.PCR}) {
		return true
	}
	switch rec.Event {
	case evCRTMContents, evCRTMVersion, evHCRTM, evMicrocode, evBlob, evBlob2:
		return true
	case evVariableDriverConfig:
		// Of the CC registers only the one of PCR 7 has these.
		if rec.Register.Space == mrlog.PCR && rec.Register.Index != 7 {
			return false
		}
		v, ok := event.Decode(rec).Data.(event.Variable)
		return ok && decides(v.Name)
	}
	return false
}

// decides reports whether a variable decides about secure boot (PFP 1.06,
// section 3.3.4.8).
func decides(name string) bool {
	switch name {
	case "SecureBoot", "PK", "KEK", "db", "dbx", "dbt", "dbr":
		return true
	}
	return false
}

const afterLaunch = "follows the LaunchSeparator of %s: it is the workload's, not the launcher's"

// launchSeparator is the number of the event that ends a launcher's part.
const launchSeparator = 8

// launch looks at a record of Confidential Space, see next.
func (s *sight) launch(rec *mrlog.Record, f found) (text string, later bool) {
	separator := len(rec.Content) >= 5 && rec.Content[0] == launchSeparator &&
		uint64(binary.BigEndian.Uint32(rec.Content[1:])) == uint64(len(rec.Content)-5)
	switch {
	case !s.launched:
		s.launched = separator
		return "", true
	case separator:
		return fmt.Sprintf("another LaunchSeparator of %s: a launcher ends its part once", rec.Register), false
	}
	if s.after++; s.after == 1 {
		s.first = f
	}
	return fmt.Sprintf(afterLaunch, rec.Register), true
}

// End returns what is suspicious, what only the whole of the logs shows last: the
// first [MaxFindings], and how many there are. Call it after the last record.
func (w *Watch) End() (found []Finding, count int) {
	found, count = w.found, w.count
	for _, f := range w.end(nil) {
		if count++; len(found) < MaxFindings {
			found = append(found, f.Finding)
		}
	}
	return found, count
}

// end returns what only the whole of the logs shows. Of registers whose logs are
// accepted up to a place before their end, what follows there is not looked at:
// nothing proves it, so that it must excuse nothing.
func (w *Watch) end(cut []mrlog.Register) (all []found) {
	add := func(f found, format string, args ...any) {
		f.Text = fmt.Sprintf(format, args...)
		all = append(all, f)
	}
	seen := func(r *watched) *sight {
		if slices.Contains(cut, r.register) {
			return &r.at
		}
		return &r.sight
	}
	for i := range w.registers {
		r := &w.registers[i]
		b := seen(r)
		if b.separators == 0 && b.hidden.Text != "" {
			add(b.hidden, hiddenText)
		}
		switch r.shared {
		case sharing[1]:
			// As many separators as PCRs are right if all PCRs have theirs.
			next := mrlog.Register{Space: r.register.Space, Index: r.register.Index + 1}
			j := slices.IndexFunc(w.registers, func(o watched) bool { return o.register == next })
			if j < 0 || b.separators != 2 && b.separators != 3 {
				continue
			}
			if n := seen(&w.registers[j]); n.records > 0 && n.separators != sharing[2] {
				add(b.second, "another EV_SEPARATOR of %s, and %d of %s: some firmware puts that one here by mistake, others do not", r.register, n.separators, next)
			}
		case sharing[2]:
			if b.separators > 1 && b.separators < sharing[2] {
				add(b.second, "another EV_SEPARATOR of %s: of %d PCRs that share it, %d have one", r.register, sharing[2], b.separators)
			}
		}
	}
	for i := range w.registers {
		r := &w.registers[i]
		b, more := seen(r), ""
		if b.after > 1 {
			more = fmt.Sprintf(" (%d records do)", b.after)
		}
		if b.after > 0 {
			add(b.first, "%s%s", fmt.Sprintf(afterLaunch, r.register), more)
		}
	}
	return all
}
