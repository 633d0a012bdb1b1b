// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"math"
	"strconv"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// The log that systemd proposes for what it measures into CC registers
// (cc-measure.log, systemd pull request 43041) has "rtmr" where its TPM log has
// "pcr", and may have "mapped_pcr" after it: the PCR that the caller named. A
// record has no field for that PCR. It is kept as the first member of the
// content, which is not what was measured either, and goes back to its place
// where the record is written as systemd would.

// isMeasureCC reports whether a record is one of that log, and a [SeqWriter]
// writes it so.
func isMeasureCC(r *mrlog.Record) bool {
	return r.Type == mrlog.TypeSystemd && !r.HasNumber && r.Register.Space == mrlog.RTMR
}

// registerName returns the name of the member that gives a register's index.
func registerName(nv, rtmr bool) string {
	switch {
	case nv:
		return jsonNV
	case rtmr:
		return jsonRTMR
	}
	return jsonPCR
}

// mappedPrefix opens a content that holds "mapped_pcr".
const mappedPrefix = `{"` + jsonMapped + `":`

// addMapped puts the number into the record's content. It returns false if the
// content is not an object, or has such a member.
func addMapped(b *mrlog.Batch, r *mrlog.Record, number []byte) (loose, ok bool) {
	if r.Type != mrlog.TypeSystemd || r.Form != mrlog.FormJSON {
		return false, false
	}
	w, ok := walk(r.Content, '{')
	if !ok {
		return false, false
	}
	empty := true
	for w.next() {
		empty = false
		if string(w.name()) == jsonMapped {
			return false, false
		}
		w.value()
	}
	out := b.Alloc(len(mappedPrefix) + len(number) + len(r.Content))[:0]
	out = append(out, mappedPrefix...)
	out = append(out, number...)
	if empty {
		loose = len(r.Content) > len("{}")
		out = append(out, '}')
	} else {
		out = append(out, ',')
		out = append(out, r.Content[1:]...)
	}
	r.Content = out[:len(out):len(out)]
	return loose, true
}

// cutMapped undoes addMapped: it returns the number, and what of the content
// follows its opening brace without it.
func cutMapped(content []byte) (number, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(content, []byte(mappedPrefix))
	if !ok {
		return nil, nil, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	number, rest = rest[:n], rest[n:]
	if _, err := strict.Uint(number, math.MaxUint32); err != nil || len(rest) == 0 {
		return nil, nil, false
	}
	switch rest[0] {
	case '}':
		return number, rest, len(rest) == 1
	case ',':
		return number, rest[1:], true
	}
	return nil, nil, false
}

// appendMeasureCC appends a record as systemd would write it to its log of CC
// registers, after the opening brace.
func (e *jsonEncoder) appendMeasureCC(dst []byte, r *mrlog.Record) ([]byte, string) {
	dst = append(dst, `"rtmr":`...)
	dst = strconv.AppendUint(dst, uint64(r.Register.Index), 10)
	content := *r
	if number, rest, ok := cutMapped(r.Content); ok && r.Form == mrlog.FormJSON {
		dst = append(dst, `,"mapped_pcr":`...)
		dst = append(dst, number...)
		e.scratch = append(append(e.scratch[:0], '{'), rest...)
		content.Content = e.scratch
	}
	dst = append(dst, `,"digests":[`...)
	for i := range r.Digests {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONAlg(dst, r.Digests[i].Alg)
		dst = appendJSONHex(dst, r.Digests[i].Sum)
		dst = append(dst, '"', '}')
	}
	dst = append(dst, `],"content_type":"systemd","content":`...)
	dst, what := e.appendContent(dst, &content)
	if what != "" {
		return dst, what
	}
	e.open = e.sep
	return append(dst, e.shut...), ""
}
