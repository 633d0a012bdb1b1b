// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/convert"
	"mrlog.dev/dstack"
	"mrlog.dev/systemd"
	"mrlog.dev/tcg/event"
)

// A reader keeps a content whole if there is more in it, or less, than its type
// has: a member that is not known, say. What is known of it is compared all the
// same, for to add a member is no way out of being compared.

// whole compares a content that was kept whole, of which a digest never is.
func (h *Hasher) whole(rec *mrlog.Record, d mrlog.Digest) Content {
	data, again, err := h.measured(rec)
	switch {
	case err != nil:
		return Differs
	case again != nil:
		return h.within(again, d)
	case data == nil:
		return Opaque
	}
	for _, p := range data {
		if h.sum = d.Alg.AppendSum(h.sum[:0], p); bytes.Equal(h.sum, d.Sum) {
			return Part
		}
	}
	return Differs
}

// within compares what a record has beside members that nothing binds.
func (h *Hasher) within(rec *mrlog.Record, d mrlog.Digest) Content {
	tlv := appendTLV(h.buf[len(h.buf):], rec)
	if c := h.raw(rec, d, tlv); c != Matches {
		return c
	}
	return Part
}

// measured says what a content that was kept whole tells of what was measured:
// bytes that the digest is of, one or the other; or a record as its type has it.
// Neither if it tells nothing. It is an error if the content is not what its type
// says, and no digest can be of it.
func (h *Hasher) measured(rec *mrlog.Record) (data [][]byte, as *mrlog.Record, err error) {
	switch {
	case rec.Form == mrlog.FormJSON && rec.Type == mrlog.TypeSystemd:
		c, err := systemd.Parse(rec.Content)
		if err != nil {
			return nil, nil, err
		}
		text, ok := c.Measured()
		if !ok {
			return nil, nil, nil // cut short, or keyed
		}
		// Older versions wrote the text as it was: what looks like an escape
		// may be none.
		return [][]byte{text, []byte(c.String)}, nil, nil
	case rec.Form == mrlog.FormJSON && rec.Type == mrlog.TypeNamed && string(rec.Name) == cel.TypeTSS2:
		text, ok := cel.MeasuredTSS2(rec)
		if !ok {
			return nil, nil, errors.New("it has no data in hexadecimal")
		}
		return [][]byte{text}, nil, nil
	case rec.Form == mrlog.FormJSON && rec.Type == mrlog.TypeNamed && string(rec.Name) == dstack.TypeName:
		if err := dstack.Check(rec.Content); err != nil {
			return nil, nil, err
		}
		e, text, ok := dstack.Measured(rec)
		if !ok || e.Ambiguous() {
			return nil, nil, nil // an event of another name has the same digest
		}
		return [][]byte{text}, nil, nil
	case rec.Type == mrlog.TypePCClient && (h.Format == convert.Claims || h.Format == convert.Intel):
		return nil, nil, nil
	}
	switch rec.Type {
	case mrlog.TypePCClient, mrlog.TypeIMATemplate, mrlog.TypeIMATLV, mrlog.TypeSystemd, mrlog.TypeCCCEL, event.TypeCOS:
		if h.known == nil {
			h.known = new(cel.Known)
		}
		as, err = h.known.Record(rec)
		return nil, as, err
	}
	return nil, nil, nil // no rule is certain
}
