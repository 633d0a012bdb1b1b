// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"encoding/binary"

	"mrlog.dev"
)

// maxCCMR is the last index of a CC measurement register (UEFI 2.10, section
// 38.4.1; Hygon CSV has the same).
const maxCCMR = 4

// begin tells the shape of the log by its first record, and the space of its
// indexes.
func (r *Reader) begin() {
	r.begun = true
	if r.opts.Bare {
		r.header.Dialect = string(AAEL)
		for _, a := range mrlog.Known() {
			r.table = append(r.table, mrlog.AlgSize{Alg: a, Size: a.Size()})
		}
	} else if r.shape(); r.err != nil {
		return
	}
	r.space()
}

// need returns the beginning of the log, so many bytes if it has them.
func (r *Reader) need(n int) []byte {
	p := r.src.mem
	for len(p) < n {
		var err error
		if p, err = r.src.ahead(len(p)); err != nil {
			break // it comes again when what is before it has been given out
		}
	}
	return p
}

// shape tells the dialect by the header record, if there is one.
func (r *Reader) shape() {
	r.sha1 = true
	p := r.need(oldSize + len(signature))
	if len(p) == 0 || len(p) >= flagSize && (run(p[:flagSize], 0xFF) == flagSize || zero(p[:min(len(p), zeroFlag(true))])) {
		return // no record, and no shape
	}
	r.header.Dialect = string(SHA1)
	r.header.Algs = append(r.few[:0], mrlog.AlgSize{Alg: mrlog.SHA1, Size: mrlog.SHA1.Size()})
	if len(p) < oldSize+len(signature) || binary.LittleEndian.Uint32(p[4:]) != mrlog.EventNoAction {
		return
	}
	signed := string(p[oldSize:oldSize+len(signature)]) == signature
	if !signed && (!zero(p[placeSize:oldSize-lengthSize]) || !zero(p[oldSize:oldSize+len(signature)])) {
		return
	}
	length := binary.LittleEndian.Uint32(p[oldSize-lengthSize:])
	if int64(length) < int64(len(signature)) {
		return
	}
	if length > specFixed+specAlg*mrlog.MaxDigests+1+255 {
		if signed {
			r.err = r.fault(oldSize-lengthSize, limitErr("header", uint64(length), specFixed+specAlg*mrlog.MaxDigests+1+255))
		}
		return
	}
	size := oldSize + int(length)
	if p = r.need(size); len(p) < size {
		return // the end of the log within its first record is found later
	}
	spec, at, err := parseSpecID(p[oldSize:size], r.few[:0])
	switch {
	case err != nil && signed:
		r.err = r.fault(int64(oldSize+at), err)
		return
	case err != nil:
		return
	case spec.NoSignature:
		r.header.Dialect = string(CoCo)
	default:
		r.header.Dialect = string(Agile)
	}
	r.header.Algs, r.table = spec.Algs, spec.Algs
	r.head, r.sha1 = true, false
}

// ccBank reports whether an algorithm is that of the only bank of a platform
// with CC-MRs: SHA-384 on TDX, SM3 on CSV.
func ccBank(a mrlog.Alg) bool { return a == mrlog.SHA384 || a == mrlog.SM3 }

// space tells the space of the indexes, or leaves it to what the records show.
func (r *Reader) space() {
	switch {
	case r.opts.Space != mrlog.NoSpace:
		r.header.Space = r.opts.Space
	case r.sha1, len(r.table) > 1 && !r.opts.Bare, !r.opts.Bare && !ccBank(r.table[0].Alg):
		r.header.Space = mrlog.PCR
	default:
		r.header.Space, r.header.SpaceAssumed = mrlog.CCMR, true
		r.note = mrlog.NoteSpaceAssumed
		if r.unsure = !r.opts.Bare; r.opts.Bare && !r.looksCC(0) {
			r.pcrs(nil)
		}
	}
}

// settle tells the space before the first records, which end so far into the
// log, are given out.
func (r *Reader) settle(b *mrlog.Batch, at int, ended bool) {
	if r.unsure && !ended && r.err == nil && !r.looksCC(at) {
		r.pcrs(b)
	}
	r.unsure = false
}

// pcrs corrects the assumption that the indexes are those of CC-MRs.
func (r *Reader) pcrs(b *mrlog.Batch) {
	r.unsure = false
	r.header.Space, r.header.SpaceAssumed = mrlog.PCR, false
	r.note = 0
	if b != nil {
		for i := range b.Records {
			b.Records[i].Register.Space, b.Records[i].Notes = mrlog.PCR, 0
		}
	}
}

// looksCC reports whether the records from a place on look like those of a CC
// log, as far as [MaxLookAhead] shows: indexes up to 4, and one bank. An empty
// log does.
func (r *Reader) looksCC(at int) bool {
	var bank mrlog.Alg // of the records
	if !r.opts.Bare {
		bank = r.table[0].Alg
	}
	p := r.src.mem[:min(len(r.src.mem), MaxLookAhead)]
	for at < MaxLookAhead {
		if bank != 0 {
			at = skip(p, at, bank)
		}
		size := countSize
		if len(p)-at >= countSize {
			index, event, count := binary.LittleEndian.Uint32(p[at:]), binary.LittleEndian.Uint32(p[at+4:]), binary.LittleEndian.Uint32(p[at+8:])
			switch {
			case index == event && (index == 0 || index == mrlog.NoIndex):
				return true // the end
			case index > maxCCMR && event != mrlog.EventNoAction:
				return false
			case count != 1:
				return count == 0 || count > uint32(len(r.table)) || !r.opts.Bare // an error, but of several banks
			}
			size += algIDSize
			if len(p)-at >= size {
				alg := mrlog.Alg(binary.LittleEndian.Uint16(p[at+countSize:]))
				if bank == 0 {
					bank = alg
				}
				if alg != bank || !ccBank(alg) {
					return !r.opts.Bare // an error, but of several banks
				}
				size += alg.Size() + lengthSize
				if len(p)-at >= size {
					length := binary.LittleEndian.Uint32(p[at+size-lengthSize:])
					if length > MaxEvent {
						return true
					}
					at += size + int(length)
					continue
				}
			}
		}
		if len(p) >= MaxLookAhead {
			break
		}
		var err error
		if p, err = r.src.ahead(len(p)); err != nil {
			break
		}
	}
	return true
}

// skip returns where in p the first record from at on is that is not whole, or
// not plainly one of a CC log.
func skip(p []byte, at int, bank mrlog.Alg) int {
	size := countSize + algIDSize + bank.Size() + lengthSize
	for len(p)-at >= size {
		q := p[at : at+size]
		index, event := binary.LittleEndian.Uint32(q), binary.LittleEndian.Uint32(q[4:])
		if index > maxCCMR || index|event == 0 || binary.LittleEndian.Uint32(q[8:]) != 1 || mrlog.Alg(binary.LittleEndian.Uint16(q[countSize:])) != bank {
			break
		}
		length := binary.LittleEndian.Uint32(q[size-lengthSize:])
		if length > MaxEvent {
			break
		}
		at += size + int(length)
	}
	return at
}
