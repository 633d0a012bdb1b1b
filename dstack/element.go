// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package dstack

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// element is one event as either form has it.
type element struct {
	line      bool // of the form of lines: neither imr, nor type, nor digest
	imr       uint32
	eventType uint32
	digest    []byte // empty if it was left out
	event     Event
	preimage  []byte // as stated
	stated    bool   // a preimage is
	unknown   bool   // it has members that mrlog does not know
}

func (e *element) runtime() bool { return e.eventType == RuntimeEvent }

// parser parses elements. What it holds between them is room.
type parser struct {
	object strict.Object
	buf    []byte
}

// parse reads an event, which is valid JSON. Its fields hold until the next
// call. With an error it returns where in raw it is.
func (p *parser) parse(raw []byte) (e element, at int, err error) {
	if !p.object.Reset(raw) {
		return e, 0, errors.New("event is not an object")
	}
	if cap(p.buf) < len(raw) { // than which all values together are shorter
		p.buf = make([]byte, 0, len(raw))
	}
	p.buf = p.buf[:0]
	e.event.Version = 1
	var imr, eventType, name, payload, short bool
	for {
		member, value, at, ok := p.object.Next()
		if !ok {
			break
		}
		start := len(p.buf)
		var n uint64
		switch string(member) {
		case "imr":
			imr = true
			n, err = strict.Uint(value, mrlog.MaxIndex)
			e.imr = uint32(n)
		case "event_type":
			eventType = true
			n, err = strict.Uint(value, math.MaxUint32)
			e.eventType = uint32(n)
		case "digest":
			p.buf, _, err = strict.AppendHex(p.buf, value)
			e.digest = p.buf[start:]
		case "event":
			name = true
			if p.buf, ok = strict.AppendText(p.buf, value); !ok {
				err = fmt.Errorf("%.40q is not a string", value)
			}
			e.event.Name = string(p.buf[start:])
		case "event_payload":
			payload = true
			p.buf, _, err = strict.AppendHex(p.buf, value)
			e.event.Payload = p.buf[start:]
		case "payload":
			short = true
			p.buf, err = strict.AppendBase64(p.buf, value)
			e.event.Payload = p.buf[start:]
		case "version":
			n, err = strict.Uint(value, math.MaxUint16)
			e.event.Version = int(n)
		case "preimage", "hash_input":
			if string(value) == "null" {
				break
			}
			e.unknown = e.unknown || e.stated
			e.stated = true
			p.buf, _, err = strict.AppendHex(p.buf, value)
			e.preimage = p.buf[start:]
		default:
			e.unknown = true
		}
		if err != nil {
			return e, at, fmt.Errorf("%s: %w", member, err)
		}
	}
	e.line = short && !imr && !eventType && !payload && e.digest == nil && !e.stated
	switch end := len(raw) - 1; {
	case e.line:
		e.eventType = RuntimeEvent
	case short:
		return e, end, errors.New(`event has "payload", and members of the other form`)
	case !imr:
		return e, end, errors.New(`event has no "imr"`)
	case !eventType:
		return e, end, errors.New(`event has no "event_type"`)
	case !payload:
		return e, end, errors.New(`event has no "event_payload"`)
	}
	if !name {
		return e, len(raw) - 1, errors.New(`event has no "event"`)
	}
	return e, 0, nil
}

// TypeName is the name of the content type of events that are kept whole.
const TypeName = "dstack"

// place is what a form does not say of an event.
type place struct {
	space    mrlog.Space    // that imr counts in
	register mrlog.Register // of lines
	note     mrlog.Note     // of these
	alg      mrlog.Alg      // of digests that are computed
}

// record fills in r from an event that stands as raw. It reports whether the
// digest is to be computed, over Content or, if that is whole, over preimage.
func (p place) record(b *mrlog.Batch, r *mrlog.Record, e *element, raw []byte) (preimage []byte, derived bool, err error) {
	r.Register = mrlog.Register{Space: p.space, Index: e.imr}
	if e.line {
		r.Register, r.Notes = p.register, p.note
	}
	preimage, known := []byte(nil), false
	if e.runtime() {
		preimage, known = e.event.AppendPreimage(b.Alloc(preimageSize(&e.event))[:0])
	}
	alg := p.alg
	if len(e.digest) > 0 && len(e.digest) != alg.Size() {
		var ok bool
		if alg, ok = algOf(len(e.digest)); !ok {
			return nil, false, fmt.Errorf("digest of %d bytes is of no known algorithm", len(e.digest))
		}
	}
	r.Digests = b.NewDigests(1)
	switch {
	case len(e.digest) > 0:
		r.Digests[0] = mrlog.Digest{Alg: alg, Sum: b.Copy(e.digest)}
	case known:
		derived = true
		r.Digests[0] = mrlog.Digest{Alg: alg, Sum: b.Alloc(alg.Size())}
	default:
		return nil, false, errors.New("event has no digest, and none can be computed")
	}
	r.NotExtended = e.eventType == mrlog.EventNoAction
	r.Type, r.Event = mrlog.TypePCClient, e.eventType
	switch {
	case e.unknown || e.stated && (!known || !bytes.Equal(preimage, e.preimage)):
	case known && (e.event.Version != 1 || !strings.Contains(e.event.Name, ":")):
		r.Content = preimage
		return preimage, derived, nil
	case !e.runtime() && e.event.Name == "" && e.event.Version == 1 && (len(e.event.Payload) > 0 || ofNothing(&r.Digests[0])):
		r.Content = b.Copy(e.event.Payload)
		return nil, false, nil
	}
	r.Type, r.Event = mrlog.TypeNamed, 0
	r.Name, r.Form, r.Content = []byte(TypeName), mrlog.FormJSON, b.Copy(raw)
	return preimage, derived, nil
}

// preimageSize is no less than a preimage takes: a byte of a name can take six
// when escaped.
func preimageSize(e *Event) int {
	if e.Version == 1 {
		return len(v1Head) + len(e.Name) + 1 + len(e.Payload)
	}
	return len(v2Head) + 6*len(e.Name) + 2 + len(v2Mid) + 2*len(e.Payload) + len(v2Tail)
}

// algOf returns the algorithm of a digest by its size. No two that dstack uses
// share one.
func algOf(size int) (mrlog.Alg, bool) {
	for _, a := range []mrlog.Alg{mrlog.SHA384, mrlog.SHA256, mrlog.SHA512, mrlog.SHA1} {
		if a.Size() == size {
			return a, true
		}
	}
	return 0, false
}

// ofNothing reports whether the digest is that of no bytes.
func ofNothing(d *mrlog.Digest) bool {
	var sum [mrlog.MaxDigestSize]byte
	return bytes.Equal(d.Alg.AppendSum(sum[:0], nil), d.Sum)
}

// appendAPI appends the event as the agent gives it.
func (e *element) appendAPI(dst []byte) []byte {
	dst = append(dst, `{"imr":`...)
	dst = strconv.AppendUint(dst, uint64(e.imr), 10)
	dst = append(dst, `,"event_type":`...)
	dst = strconv.AppendUint(dst, uint64(e.eventType), 10)
	dst = append(dst, `,"digest":"`...)
	dst = hex.AppendEncode(dst, e.digest)
	dst = append(dst, `","event":`...)
	dst, _ = strict.AppendString(dst, []byte(e.event.Name))
	dst = append(dst, `,"event_payload":"`...)
	dst = hex.AppendEncode(dst, e.event.Payload)
	return e.appendVersion(append(dst, '"'))
}

// appendLine appends the event as it stands in the guest's file.
func (e *element) appendLine(dst []byte) []byte {
	dst = append(dst, `{"event":`...)
	dst, _ = strict.AppendString(dst, []byte(e.event.Name))
	dst = append(dst, `,"payload":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.event.Payload)
	return e.appendVersion(append(dst, '"'))
}

func (e *element) appendVersion(dst []byte) []byte {
	if e.event.Version != 1 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(e.event.Version), 10)
	}
	return append(dst, '}')
}
