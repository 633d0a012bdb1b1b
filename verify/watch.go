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
//     another type alone. In a CC register there may be as many as PCRs share it, but
//     then in all of them.
//   - After it, the code and version of the firmware, its volumes and the
//     microcode are suspicious, the variables that decide about secure boot in
//     PCR 7, and anything in PCR 0. Boot variables, applications, authorities,
//     partition tables and actions are not.
//   - A launcher of Confidential Space ends its part with one LaunchSeparator.
//     What follows with its content type is the workload's.
//
// PCRs from 8 on are the boot loader's and the system's: separators mean there
// what these want. The zero value is ready for use.
type Watch struct {
	Log string // name of the log at hand

	pcr      [8]boundary
	cc       [3]boundary // by CC-MR
	launches []launch
	found    []Finding // of Next, for End
	count    int
	known    cel.Known
	sums     []mrlog.Digest // of separators
}

// boundary is what has been seen of a firmware's register.
type boundary struct {
	records    int64
	separators int
	second     found // EV_SEPARATOR in a CC register
	hidden     found // first digest of a separator under another type, before any
}

// launch is what has been seen of a register of Confidential Space.
type launch struct {
	register mrlog.Register
	after    uint64 // records of the launcher's type after its separator
	first    found
}

// maxLaunches bounds the registers with a launcher's separator. A machine has
// one.
const maxLaunches = 16

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
	if rec.NotExtended || rec.Type != mrlog.TypePCClient && rec.Type != event.TypeCOS {
		return "", false
	}
	b, shared := w.boundary(rec)
	if b == nil && rec.Type != event.TypeCOS {
		return "", false
	}
	f := found{Finding: w.finding(number, rec, ""), place: place}
	if rec.Form != mrlog.FormRaw {
		var err error
		if rec, err = w.known.Record(rec); err != nil {
			return "", false // which has been found, see Hasher
		}
	}
	if rec.Type == event.TypeCOS {
		return w.launch(rec, f)
	}
	return w.firmware(b, shared, rec, f), false
}

// boundary is that of a record's register, nil if it is not the firmware's, and
// how many PCRs share the register.
func (w *Watch) boundary(rec *mrlog.Record) (b *boundary, shared int) {
	index := rec.Register.Index
	switch rec.Register.Space {
	case mrlog.PCR:
		if index < uint32(len(w.pcr)) {
			return &w.pcr[index], 1
		}
		return nil, 0
	case mrlog.RTMR:
		// CSV counts both from 0, and is the one platform with SM3.
		if !slices.ContainsFunc(rec.Digests, func(d mrlog.Digest) bool { return d.Alg == mrlog.SM3 }) {
			index++
		}
	case mrlog.CCMR:
	default:
		return nil, 0
	}
	if index < uint32(len(w.cc)) && sharing[index] > 0 {
		return &w.cc[index], sharing[index]
	}
	return nil, 0
}

// firmware looks at a record of a firmware's register.
func (w *Watch) firmware(b *boundary, shared int, rec *mrlog.Record, f found) string {
	b.records++
	reg := rec.Register
	if rec.Event != evSeparator {
		switch {
		case b.separators == 0 && b.hidden.Text == "" && w.separates(rec):
			b.hidden = f // some firmware measures code that is four zeros
			b.hidden.Text = hiddenText
		case b.separators > 0 && w.separates(rec):
			return hiddenText
		case b.separators > 0 && late(rec):
			return fmt.Sprintf("firmware measures this before the EV_SEPARATOR of %s, not after it", reg)
		}
		return ""
	}
	b.separators++
	switch {
	case b.separators == 1:
		return ""
	case shared == 1:
		return fmt.Sprintf("another EV_SEPARATOR of %s: a firmware ends its part of a PCR once", reg)
	case b.separators > shared:
		return fmt.Sprintf("EV_SEPARATOR number %d of %s, which %d PCRs share", b.separators, reg, shared)
	case b.separators == 2:
		b.second = f
	}
	return ""
}

const hiddenText = "its digest is that of an EV_SEPARATOR, and its type another: the type is not measured"

// separates reports whether a digest of a record is that of a separator.
func (w *Watch) separates(rec *mrlog.Record) bool {
	for _, d := range rec.Digests {
		if d.Alg.Size() == 0 {
			continue
		}
		i := slices.IndexFunc(w.sums, func(s mrlog.Digest) bool { return s.Alg == d.Alg })
		if i < 0 {
			i = len(w.sums)
			for _, v := range normalSeparators {
				w.sums = append(w.sums, mrlog.Digest{Alg: d.Alg, Sum: d.Alg.AppendSum(nil, v[:])})
			}
		}
		for _, s := range w.sums[i : i+len(normalSeparators)] {
			if bytes.Equal(s.Sum, d.Sum) {
				return true
			}
		}
	}
	return false
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
func (w *Watch) launch(rec *mrlog.Record, f found) (text string, later bool) {
	i := slices.IndexFunc(w.launches, func(l launch) bool { return l.register == rec.Register })
	separator := len(rec.Content) >= 5 && rec.Content[0] == launchSeparator &&
		uint64(binary.BigEndian.Uint32(rec.Content[1:])) == uint64(len(rec.Content)-5)
	switch {
	case i < 0 && separator && len(w.launches) < maxLaunches:
		w.launches = append(w.launches, launch{register: rec.Register})
		return "", true
	case i < 0:
		return "", true
	case separator:
		return fmt.Sprintf("another LaunchSeparator of %s: a launcher ends its part once", rec.Register), false
	}
	l := &w.launches[i]
	if l.after++; l.after == 1 {
		l.first = f
	}
	return fmt.Sprintf(afterLaunch, rec.Register), true
}

// End returns what is suspicious, what only the whole of the logs shows last: the
// first [MaxFindings], and how many there are. Call it after the last record.
func (w *Watch) End() (found []Finding, count int) {
	found, count = w.found, w.count
	for _, f := range w.end() {
		if count++; len(found) < MaxFindings {
			found = append(found, f.Finding)
		}
	}
	return found, count
}

// end returns what only the whole of the logs shows.
func (w *Watch) end() (all []found) {
	add := func(f found, format string, args ...any) {
		f.Text = fmt.Sprintf(format, args...)
		all = append(all, f)
	}
	for _, bs := range [][]boundary{w.pcr[:], w.cc[:]} {
		for i := range bs {
			if b := &bs[i]; b.separators == 0 && b.hidden.Text != "" {
				add(b.hidden, hiddenText)
			}
		}
	}
	// As many separators as PCRs are right if all PCRs have theirs.
	if b, next := &w.cc[1], &w.cc[2]; b.separators == 2 || b.separators == 3 {
		if r := b.second.Register; next.records > 0 && next.separators != sharing[2] {
			add(b.second, "another EV_SEPARATOR of %s, and %d of %s: some firmware puts that one here by mistake, others do not",
				r, next.separators, mrlog.Register{Space: r.Space, Index: r.Index + 1})
		}
	}
	if b := &w.cc[2]; b.separators > 1 && b.separators < sharing[2] {
		add(b.second, "another EV_SEPARATOR of %s: of %d PCRs that share it, %d have one", b.second.Register, sharing[2], b.separators)
	}
	for _, l := range w.launches {
		more := ""
		if l.after > 1 {
			more = fmt.Sprintf(" (%d records do)", l.after)
		}
		if l.after > 0 {
			add(l.first, "%s%s", fmt.Sprintf(afterLaunch, l.register), more)
		}
	}
	return all
}
