// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Variable is the data of an event that measured a UEFI variable, or the part
// of one that authorised something (UEFI_VARIABLE_DATA, PFP 1.06, section
// 10.2.9).
type Variable struct {
	GUID     GUID // of the variable's name space
	Name     string
	Contents []byte
	Value    VariableValue // what the contents are; nil where that is not known
}

// VariableValue is what the contents of a variable say.
type VariableValue interface {
	line() string
	members(o *object)
}

// rawVariable is UEFI_VARIABLE_DATA by its parts.
type rawVariable struct {
	guid           GUID
	name, contents []byte
	rest           []byte // behind it
}

// variableHeader is the size of what precedes the name.
const variableHeader = 32

func cutVariable(data []byte) (v rawVariable, ok bool) {
	if len(data) < variableHeader {
		return v, false
	}
	copy(v.guid[:], data)
	chars, size := binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[24:])
	left := uint64(len(data) - variableHeader)
	if chars > left/2 || size > left-2*chars {
		return v, false
	}
	p := data[variableHeader:]
	v.name = p[:2*chars]
	v.contents = p[2*chars:][:size:size]
	v.rest = p[2*chars+size:]
	return v, true
}

// decodeVariable reads a variable; of an authority, which is one signature of a
// database and not all of it.
func decodeVariable(data []byte, authority bool) Event {
	raw, ok := cutVariable(data)
	if !ok {
		return undecoded(data, "a variable that is longer than the data")
	}
	v := Variable{GUID: raw.guid, Name: strings.TrimRight(fromUTF16(raw.name), "\x00"), Contents: raw.contents}
	e := Event{Trailing: len(raw.rest)}
	var why string
	if v.Value, why = variableValue(v.Name, v.Contents, authority); why != "" {
		e.Reason = plain(v.Name) + ": " + why
	}
	e.Data = v
	return e
}

// flags are variables of one byte that is 0 or 1.
var flags = map[string]bool{
	"SecureBoot": true, "SetupMode": true, "AuditMode": true, "DeployedMode": true, "VendorKeys": true,
	"MokSBState": true, "MokDBState": true, "MokListTrusted": true, "MokIgnoreDB": true,
}

// databases hold signature lists.
var databases = map[string]bool{
	"PK": true, "KEK": true, "db": true, "dbx": true, "dbt": true, "dbr": true, "devdb": true,
	"PKDefault": true, "KEKDefault": true, "dbDefault": true, "dbxDefault": true,
	"MokList": true, "MokListRT": true, "MokListX": true, "MokListXRT": true, "Shim": true,
}

func variableValue(name string, p []byte, authority bool) (value VariableValue, why string) {
	switch {
	case len(p) == 0:
		return nil, ""
	case flags[name]:
		if len(p) != 1 {
			return nil, fmt.Sprintf("%s, not one", plural(len(p), "byte"))
		}
		return Flag(p[0]), ""
	case databases[name]:
		if authority {
			if s, ok := authoritySignature(p); ok {
				return s, ""
			}
		}
		return signatureDatabase(p)
	case name == "BootOrder" || name == "DriverOrder" || name == "SysPrepOrder" || name == "BootNext" || name == "BootCurrent":
		if len(p)%2 != 0 {
			return nil, "an odd number of bytes"
		}
		return Order(p), ""
	case isOption(name):
		return decodeOption(p)
	}
	if s, ok := textOf(p); ok {
		return Text{Text: s}, ""
	}
	if s, ok := authoritySignature(p); ok && authority && s.Type == typeX509 {
		return s, ""
	}
	return nil, ""
}

func (v Variable) kind() string { return "variable" }

func (v Variable) line() string {
	name := plain(v.Name)
	switch {
	case len(v.Contents) == 0:
		return name + ": empty"
	case v.Value == nil:
		return name + ": " + hexText(v.Contents)
	}
	if _, ok := v.Value.(Flag); ok {
		return name + " = " + v.Value.line()
	}
	return name + ": " + v.Value.line()
}

func (v Variable) members(o *object) {
	o.text("guid", v.GUID.String())
	o.given("guid_name", v.GUID.Name())
	o.text("name", v.Name)
	o.number("size", uint64(len(v.Contents)))
	if v.Value == nil {
		o.hex("data", v.Contents)
		return
	}
	v.Value.members(o)
}

// Flag is the value of a variable such as SecureBoot: 1 is on, 0 is off.
type Flag uint8

func (f Flag) line() string {
	switch f {
	case 0:
		return "off"
	case 1:
		return "on"
	}
	return fmt.Sprint(uint8(f))
}

func (f Flag) members(o *object) { o.number("value", uint64(f)) }

// Order is the value of BootOrder and its like: numbers of options, two bytes
// each.
type Order []byte

func (b Order) line() string {
	var s strings.Builder
	for i := 0; i+1 < len(b) && s.Len() < maxText; i += 2 {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%04X", binary.LittleEndian.Uint16(b[i:]))
	}
	return s.String()
}

func (b Order) members(o *object) {
	o.list("order", func(add func(func([]byte) []byte)) {
		for i := 0; i+1 < len(b); i += 2 {
			add(func(dst []byte) []byte {
				return appendString(dst, fmt.Sprintf("%04X", binary.LittleEndian.Uint16(b[i:])))
			})
		}
	})
}

// isOption reports whether a variable of this name is a load option: Boot0001.
func isOption(name string) bool {
	for _, prefix := range []string{"Boot", "Driver", "SysPrep", "PlatformRecovery"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok && len(digits) == 4 {
			return strings.Trim(digits, "0123456789ABCDEFabcdef") == ""
		}
	}
	return false
}

// LoadOption is the value of Boot#### and its like (EFI_LOAD_OPTION, UEFI 2.10,
// section 3.1.3).
type LoadOption struct {
	Attributes  uint32 // bit 0: active
	Description string
	Path        DevicePath // the first of them is booted, the others are hints
	Data        []byte     // of the program that is loaded
}

func decodeOption(p []byte) (value VariableValue, why string) {
	r := reader{p: p}
	o := LoadOption{Attributes: r.u32()}
	size := r.u16()
	text, rest, ok := cutUTF16(r.p)
	if r.short || !ok {
		return nil, "a load option without a description"
	}
	o.Description = text
	r.p = rest
	o.Path = r.take(uint64(size))
	if r.short {
		return nil, "a load option whose device path is longer than it"
	}
	o.Data = r.p
	if why = o.Path.check(); why != "" {
		why = "device path: " + why
	}
	return o, why
}

func (l LoadOption) line() string {
	s := plain(l.Description)
	if l.Attributes&1 == 0 {
		s += " (inactive)"
	}
	if path := l.Path.Text(); path != "" {
		s += ", " + path
	}
	if text, ok := wideText(l.Data); ok {
		s += ", options " + plain(text)
	}
	return s
}

func (l LoadOption) members(o *object) {
	o.number("attributes", uint64(l.Attributes))
	o.text("description", l.Description)
	o.object("path", l.Path.members)
	if text, ok := wideText(l.Data); ok {
		o.text("options", text)
	}
	if len(l.Data) > 0 {
		o.hex("option_data", l.Data)
	}
}

// authoritySignature reads the contents of an EV_EFI_VARIABLE_AUTHORITY event:
// one EFI_SIGNATURE_DATA, or a certificate without an owner, as shim logs the
// one that it was built with.
func authoritySignature(p []byte) (Signature, bool) {
	if n, ok := certificateLen(p); ok && n == len(bytes.TrimRight(p, "\x00")) || ok && n == len(p) {
		return Signature{Type: typeX509, Data: p[:n]}, true
	}
	if len(p) < 16 {
		return Signature{}, false
	}
	s := Signature{Owner: GUID(p[:16]), Data: p[16:]}
	if n, ok := certificateLen(s.Data); ok && n <= len(s.Data) {
		// shim logged what followed in memory, too.
		s.Type, s.Data = typeX509, s.Data[:n]
		return s, true
	}
	if len(s.Data) == 32 {
		s.Type = typeSHA256
		return s, true
	}
	return Signature{}, false
}
