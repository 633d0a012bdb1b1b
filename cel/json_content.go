// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"errors"
	"fmt"
	"math"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// parseContent reads the value of "content" as the record's type says. A value
// that is not of the shape that the type has is kept as it stands: the record
// is measured whatever its content looks like.
func (d *jsonRecord) parseContent(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose bool, err error) {
	var ok bool
	switch r.Type {
	case mrlog.TypeCCCEL:
		if r.Content, loose, ok = d.text(raw, b); !ok {
			return false, errors.New("line of a native log is not a string")
		}
		return loose, nil
	case mrlog.TypePCClient:
		loose, ok = d.parsePCClient(raw, b, r)
	case mrlog.TypeIMATemplate:
		loose, ok = d.parseIMATemplate(raw, b, r)
	case mrlog.TypeIMATLV, mrlog.TypeSystemd:
		r.Content, loose, ok = d.hex(raw, b)
	case mrlog.TypeCEL:
		loose, ok = d.parseManagement(raw, b, r)
	case mrlog.TypeNamed:
	default:
		// Only what the writer would write: any other string may be text.
		r.Content, loose, ok = d.hex(raw, b)
		ok = ok && !loose
	}
	if ok {
		return loose, nil
	}
	if len(raw) > MaxContent { // before it is copied
		return false, fmt.Errorf("%d bytes are above the limit of %d: %w", len(raw), MaxContent, mrlog.ErrLimit)
	}
	r.Event = 0
	if r.Type != mrlog.TypeNamed {
		r.Name = nil
	}
	r.Form, r.Content = mrlog.FormJSON, b.Copy(raw)
	return false, nil
}

// parsePCClient reads {"event_type":TYPE,"event_data":HEX}.
func (d *jsonRecord) parsePCClient(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var typed, data bool
	for w.next() {
		name := w.name()
		v := w.value()
		var loose bool
		switch string(name) {
		case jsonEventType:
			typed = true
			if len(v) > 0 && v[0] == '"' {
				text, _, ok := d.text(v, b)
				if !ok {
					return false, false
				}
				if r.Event, ok = mrlog.EventByName(string(text)); !ok {
					if r.Event = unnamedEvent; !d.extra || len(text) == 0 {
						return false, false
					}
				}
				name, _ := mrlog.EventName(r.Event)
				loose = string(v[1:len(v)-1]) != name
			} else {
				n, err := strict.Uint(v, math.MaxUint32)
				if err != nil {
					return false, false
				}
				r.Event = uint32(n)
				_, loose = mrlog.EventName(r.Event)
			}
			loose = loose || data
		case jsonEventData:
			data = true
			var ok bool
			if r.Content, loose, ok = d.hex(v, b); !ok {
				return false, false
			}
		default:
			if !d.extra {
				return false, false
			}
		}
		w.loose = w.loose || loose
	}
	return w.loose, typed && data
}

// parseIMATemplate reads {"template_name":NAME,"template_data":HEX}, the name
// optional.
func (d *jsonRecord) parseIMATemplate(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var data bool
	for w.next() {
		name := w.name()
		v := w.value()
		var loose bool
		switch string(name) {
		case jsonTemplateName:
			var ok bool
			if r.Name, loose, ok = d.text(v, b); !ok || len(r.Name) == 0 {
				return false, false // an empty name is not one left out
			}
			loose = loose || data
		case jsonTemplateData:
			data = true
			var ok bool
			if r.Content, loose, ok = d.hex(v, b); !ok {
				return false, false
			}
		default:
			if !d.extra {
				return false, false
			}
		}
		w.loose = w.loose || loose
	}
	return w.loose, data
}

// parseManagement reads one management event or an array of them into TLVs.
func (d *jsonRecord) parseManagement(raw []byte, b *mrlog.Batch, r *mrlog.Record) (loose, ok bool) {
	var buf [128]byte
	tlv := buf[:0]
	if len(raw) > 0 && raw[0] == '[' {
		w, _ := walk(raw, '[')
		n := 0
		for ; w.next(); n++ {
			m, loose, ok := jsonManagement(w.value())
			if !ok {
				return false, false
			}
			w.loose = w.loose || loose
			tlv = m.Append(tlv)
		}
		loose = w.loose || n == 1
	} else {
		m, l, ok := jsonManagement(raw)
		if !ok {
			return false, false
		}
		loose = l
		tlv = m.Append(tlv)
	}
	if len(tlv) == 0 {
		return false, false
	}
	r.Form, r.Content = mrlog.FormTLV, b.Copy(tlv)
	return loose, true
}

// jsonManagement reads one management event: {"type":NAME,"data":VALUE}, or
// {NAME:VALUE} as tpm2-tss writes it.
func jsonManagement(raw []byte) (m Management, loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return m, false, false
	}
	var typed, nested bool
	var data []byte
	for w.next() {
		name := w.name()
		v := w.value()
		switch {
		case nested:
			return m, false, false
		case string(name) == "type" && len(v) > 2 && v[0] == '"':
			typed = true
			w.loose = w.loose || data != nil
			if m.Type, ok = ManagementTypeByName(string(v[1 : len(v)-1])); !ok {
				return m, false, false
			}
		case string(name) == "data":
			data = v
		default:
			if m.Type, nested = ManagementTypeByName(string(name)); !nested || typed || data != nil {
				return m, false, false
			}
			w.loose = true
			data = v
		}
	}
	if !typed && !nested {
		return m, false, false
	}
	switch m.Type {
	case FirmwareEnd:
		return m, w.loose, data == nil
	case CELVersion:
		loose, ok = jsonVersion(data, &m)
		return m, w.loose || loose, ok
	case StateTrans:
		if len(data) > 2 && data[0] == '"' {
			m.Value, ok = StateByName(string(data[1 : len(data)-1]))
			return m, w.loose, ok
		}
		n, err := strict.Uint(data, math.MaxUint64)
		_, named := StateName(n)
		m.Value = n
		return m, w.loose || named, err == nil
	}
	n, err := strict.Uint(data, math.MaxUint64)
	m.Value = n
	return m, w.loose, err == nil
}

// jsonVersion reads {"major":N,"minor":N}.
func jsonVersion(raw []byte, m *Management) (loose, ok bool) {
	w, ok := walk(raw, '{')
	if !ok {
		return false, false
	}
	var major, minor bool
	for w.next() {
		name := w.name()
		n, err := strict.Uint(w.value(), math.MaxUint16)
		switch {
		case err != nil:
			return false, false
		case string(name) == "major":
			major, m.Major = true, uint16(n)
			w.loose = w.loose || minor
		case string(name) == "minor":
			minor, m.Minor = true, uint16(n)
		default:
			return false, false
		}
	}
	return w.loose, major && minor
}
