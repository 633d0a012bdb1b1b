// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"strconv"

	"mrlog.dev"
)

// jsonPlace appends what stands in a record between its number and its first
// digest: the register, its space, the algorithm. Records of one log mostly
// share it, so that the last one's text is kept.
type jsonPlace struct {
	register mrlog.Register
	alg      mrlog.Alg
	plain    bool // the index says the register's space
	text     []byte
}

func (p *jsonPlace) append(dst []byte, r *mrlog.Record, alg mrlog.Alg) []byte {
	if plain := plainIndex(r); len(p.text) == 0 || r.Register != p.register || alg != p.alg || plain != p.plain {
		p.register, p.alg, p.plain = r.Register, alg, plain
		p.text = appendJSONPlace(p.text[:0], r, alg)
	}
	return append(dst, p.text...)
}

func appendJSONPlace(dst []byte, r *mrlog.Record, alg mrlog.Alg) []byte {
	if r.Register.Space == mrlog.NV {
		dst = append(dst, `"nv_index":`...)
	} else {
		dst = append(dst, `"pcr":`...)
	}
	dst = strconv.AppendUint(dst, uint64(r.Register.Index), 10)
	if space := spaceKey(r); space != "" {
		dst = append(dst, `,"space":"`...)
		dst = append(dst, space...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"digests":[`...)
	return appendJSONAlg(dst, alg)
}

// appendJSONAlg opens a digest, up to its value.
func appendJSONAlg(dst []byte, alg mrlog.Alg) []byte {
	dst = append(dst, `{"hashAlg":"`...)
	if alg.Size() != 0 {
		dst = append(dst, alg.String()...)
	} else {
		dst = append(dst, '0', 'x')
		dst = appendJSONHex(dst, []byte{byte(alg >> 8), byte(alg)})
	}
	return append(dst, `","digest":"`...)
}

// decimal appends numbers of which each is mostly the one after the last.
type decimal struct {
	last   uint64
	digits [20]byte // those of last, at the end
	from   int      // where they begin; 0 before the first
}

func (d *decimal) append(dst []byte, n uint64) []byte {
	if d.from == 0 || n != d.last+1 || n == 0 {
		text := strconv.AppendUint(dst, n, 10)[len(dst):]
		d.from = len(d.digits) - len(text)
		copy(d.digits[d.from:], text)
	} else {
		i := len(d.digits) - 1
		for ; i >= d.from && d.digits[i] == '9'; i-- {
			d.digits[i] = '0'
		}
		if i < d.from { // 99 and one are three digits
			d.from = i
			d.digits[i] = '0'
		}
		d.digits[i]++
	}
	d.last = n
	return append(dst, d.digits[d.from:]...)
}
