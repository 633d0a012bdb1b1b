// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"mrlog.dev"
	"mrlog.dev/cel"
	"mrlog.dev/dstack"
	"mrlog.dev/internal/strict"
	"mrlog.dev/internal/term"
	"mrlog.dev/nelr"
	"mrlog.dev/systemd"
	"mrlog.dev/tcg/event"
)

// What a record's content says, as a line and as a JSON object, for every kind
// of record.

// maxDecoded bounds the contents that are decoded. Those of real logs are far
// smaller; decoded, a content may take several times its size.
const maxDecoded = 1 << 20

// preview bounds what is made printable for a table of some width.
func preview(content []byte, width int) []byte {
	if width > 0 && len(content) > 4*width {
		return content[:4*width]
	}
	return content
}

// eventText says in one printable line what a record measured. What it is, the
// type says in a column of its own, which no content can pose as; of a TCG
// event, the line begins with it.
func eventText(rec *mrlog.Record, width int) string {
	content := preview(rec.Content, width)
	if rec.Type == mrlog.TypePCClient && rec.Form == mrlog.FormRaw {
		return tcgText(rec, content)
	}
	if e, _, ok := dstack.Measured(rec); ok && len(rec.Content) <= maxDecoded {
		return "dstack event " + runtimeText(event.Runtime{Version: e.Version, Name: e.Name, Payload: e.Payload})
	}
	switch rec.Form {
	case mrlog.FormJSON:
		if s, ok := systemdOf(rec); ok {
			return systemdText(&s)
		}
		if text, ok := firmwareText(rec); ok {
			return text
		}
		if data, ok := tss2Of(rec); ok {
			return tss2Text(data, content)
		}
		return term.Printable(content)
	case mrlog.FormCBOR:
		return hex.EncodeToString(content)
	}
	switch rec.Type {
	case mrlog.TypeCCCEL, mrlog.TypeSystemd:
		return term.Printable(content)
	case mrlog.TypeIMATemplate, mrlog.TypeIMATLV:
		return imaText(rec, content)
	case mrlog.TypeCEL:
		return managementText(rec.Content)
	case event.TypeCOS:
		if e := event.Decode(rec); len(rec.Content) <= maxDecoded && known(e) {
			return term.Line(e.Text())
		}
	}
	return textOrHex(content)
}

// known reports whether there is anything to say of an event's data.
func known(e event.Event) bool { return e.Kind() != "data" || e.Reason != "" }

// tcgText is the line of a TCG event: its type, then what its data says.
func tcgText(rec *mrlog.Record, content []byte) string {
	name := eventName(rec.Event)
	if len(rec.Content) > maxDecoded {
		return name + " " + textOrHex(content)
	}
	e := event.Decode(rec)
	if !known(e) {
		return strings.TrimSpace(name + " " + hex.EncodeToString(content))
	}
	text := term.Line(e.Text())
	switch data := e.Data.(type) {
	case event.Separator:
		// The type has said so.
		text = strings.TrimPrefix(strings.TrimPrefix(text, "separator"), ": ")
	case event.Agent:
		text = "AAEL " + text
	case event.Runtime:
		name, text = "dstack event", runtimeText(data)
	case event.Variable:
		text = asWord(text, data.Name)
		if want := spaces[data.Name]; want != "" && data.GUID.String() != want {
			// Not the variable that everybody knows by this name.
			text = "in " + data.GUID.String() + ", " + text
		}
	}
	return strings.TrimSpace(name + " " + text)
}

// Name spaces of the variables that say how the machine is secured. In another
// one the same name means something else.
const (
	globalSpace   = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	securitySpace = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	shimSpace     = "605dab50-e046-4300-abb6-3dd810dd8b23"
)

var spaces = map[string]string{
	"SecureBoot": globalSpace, "SetupMode": globalSpace, "AuditMode": globalSpace, "DeployedMode": globalSpace,
	"PK": globalSpace, "KEK": globalSpace,
	"db": securitySpace, "dbx": securitySpace, "dbt": securitySpace, "dbr": securitySpace,
	"MokList": shimSpace, "MokListX": shimSpace, "MokListTrusted": shimSpace, "SbatLevel": shimSpace, "Shim": shimSpace,
}

// runtimeText is the line of an event of dstack.
func runtimeText(e event.Runtime) string {
	return asWord(term.Line(event.Event{Data: e}.Text()), e.Name)
}

// firmwareText is the line of an event of the firmware as an agent of dstack gives
// it: with a name that nobody measured, or without its data, which was left out to
// save room.
func firmwareText(rec *mrlog.Record) (string, bool) {
	var o strict.Object
	if rec.Type != mrlog.TypeNamed || string(rec.Name) != dstack.TypeName || len(rec.Content) > maxDecoded || !o.Reset(rec.Content) {
		return "", false
	}
	var name string
	data := mrlog.Record{Type: mrlog.TypePCClient}
	typed := false
	for {
		member, value, _, ok := o.Next()
		if !ok {
			break
		}
		switch string(member) {
		case "imr", "digest":
		case "event":
			text, _ := strict.AppendText(nil, value)
			name = string(text)
		case "event_payload":
			data.Content, _, _ = strict.AppendHex(nil, value)
		case "event_type":
			n, err := strict.Uint(value, math.MaxUint32)
			data.Event, typed = uint32(n), err == nil
		default:
			return "", false
		}
	}
	if !typed || data.Event == dstack.RuntimeEvent {
		return "", false
	}
	kind, text := eventName(data.Event), "(its data was left out)"
	if len(data.Content) > 0 {
		text = strings.TrimSpace(strings.TrimPrefix(tcgText(&data, data.Content), kind))
	}
	if name != "" {
		kind += " " + word(name) + ":"
	}
	return strings.TrimSpace(kind + " " + text), true
}

// registerText is a register's name for people: firmware and Windows log events
// that are of none.
func registerText(reg mrlog.Register) string {
	if reg.Index == mrlog.NoIndex && reg.Space != mrlog.NV {
		return "none"
	}
	return reg.String()
}

// asWord puts the name that a line begins with in quotes where it could be taken
// for more than a name.
func asWord(line, name string) string {
	if rest, ok := strings.CutPrefix(line, term.Printable(name)); ok {
		return word(name) + rest
	}
	return line
}

// appendEvent appends what the content of a record says as a JSON object, or
// nothing if nothing is known of it. Its kinds and members are in docs/json.md.
func appendEvent(dst []byte, rec *mrlog.Record) []byte {
	if len(rec.Content) > maxDecoded {
		return dst
	}
	if e, _, ok := dstack.Measured(rec); ok {
		return event.Event{Data: event.Runtime{Version: e.Version, Name: e.Name, Payload: e.Payload}}.AppendJSON(dst)
	}
	switch rec.Type {
	case mrlog.TypePCClient, event.TypeCOS:
		if e := event.Decode(rec); known(e) {
			return e.AppendJSON(dst)
		}
	case mrlog.TypeCCCEL:
		if rec.Form == mrlog.FormRaw {
			return appendLine(dst, rec.Content)
		}
	case mrlog.TypeSystemd:
		if s, ok := systemdOf(rec); ok {
			return appendSystemd(dst, &s)
		}
	case mrlog.TypeNamed:
		if data, ok := tss2Of(rec); ok {
			return appendTSS2(dst, data)
		}
	case mrlog.TypeIMATemplate, mrlog.TypeIMATLV:
		if rec.Form == mrlog.FormRaw {
			return appendIMA(dst, rec)
		}
	case mrlog.TypeCEL:
		if rec.Form == mrlog.FormTLV {
			return appendManagement(dst, rec.Content)
		}
	}
	return dst
}

// appendValue appends a value of this program's own types, which always is
// JSON.
func appendValue(dst []byte, v any) []byte {
	dst, err := appendJSON(dst, v)
	must(err)
	return dst
}

// appendLine appends the parts of a native log's line.
func appendLine(dst, line []byte) []byte {
	if values, err := mrlog.ParseInit(line); err == nil {
		type start struct {
			Bank  string `json:"bank"`
			Value string `json:"value"`
		}
		v := struct {
			Kind  string  `json:"kind"`
			Banks []start `json:"banks"`
		}{Kind: "init"}
		for _, d := range values {
			v.Banks = append(v.Banks, start{d.Alg.String(), hex.EncodeToString(d.Sum)})
		}
		return appendValue(dst, v)
	}
	e, err := nelr.ParseEvent(line)
	if err != nil {
		return dst
	}
	dst = append(dst, `{"kind":"line"`...)
	for _, part := range [...]struct{ name, text string }{{"domain", e.Domain}, {"operation", e.Operation}, {"content", e.Content}} {
		dst = append(append(append(dst, ',', '"'), part.name...), '"', ':')
		dst, _ = strict.AppendString(dst, []byte(part.text)) // it is UTF-8: it was parsed
	}
	return append(dst, '}')
}

// systemdOf reads the content of a systemd record; false if it is not of
// systemd's form.
func systemdOf(rec *mrlog.Record) (c systemd.Content, ok bool) {
	if rec.Type != mrlog.TypeSystemd || len(rec.Content) > maxDecoded {
		return c, false
	}
	switch rec.Form {
	case mrlog.FormRaw:
		return systemd.Content{String: string(rec.Content), HasString: true}, utf8.Valid(rec.Content)
	case mrlog.FormJSON:
		c, err := systemd.Parse(rec.Content)
		return c, err == nil && c.HasString
	}
	return c, false
}

// systemdText is the string and, where it is known, what kind it is of.
func systemdText(c *systemd.Content) string {
	text := term.Printable(c.String)
	if c.EventType != "" {
		text = word(c.EventType) + ": " + text
	}
	if c.NVIndexName != "" {
		text = "NV index " + word(c.NVIndexName) + ", " + text
	}
	return text
}

func appendSystemd(dst []byte, c *systemd.Content) []byte {
	var mapped *uint32
	if c.HasMappedPCR {
		mapped = &c.MappedPCR
	}
	return appendValue(dst, struct {
		Kind      string  `json:"kind"`
		Text      string  `json:"text"`
		Event     string  `json:"event_type,omitempty"`
		NV        string  `json:"nv_index_name,omitempty"`
		Mapped    *uint32 `json:"mapped_pcr,omitempty"`
		Boot      string  `json:"boot,omitempty"`
		Timestamp uint64  `json:"timestamp,omitempty"`
	}{"systemd", c.String, c.EventType, c.NVIndexName, mapped, c.BootID, c.Timestamp})
}

// tss2Of returns what tpm2-tss measured; false if the record is none of its.
func tss2Of(rec *mrlog.Record) ([]byte, bool) {
	if len(rec.Content) > maxDecoded {
		return nil, false
	}
	return cel.MeasuredTSS2(rec)
}

// tss2Text is the data that was measured, if it is text, and what is said of it.
func tss2Text(data, content []byte) string {
	if len(data) == 0 || !utf8.Valid(data) || term.Printable(data) != string(data) {
		return term.Printable(content)
	}
	return "measured " + strconv.Quote(string(data)) + ": " + term.Printable(content)
}

func appendTSS2(dst, data []byte) []byte {
	v := struct {
		Kind string `json:"kind"`
		Text string `json:"text,omitempty"`
		Data string `json:"data,omitempty"`
	}{Kind: "application"}
	if utf8.Valid(data) {
		v.Text = string(data)
	} else {
		v.Data = hex.EncodeToString(data)
	}
	return appendValue(dst, v)
}

// states are the values of a change of state.
var states = [...]string{cel.StateSuspend: "suspend", cel.StateHibernate: "hibernate", cel.StateKexec: "kexec"}

// management returns the events of the log itself, or false if the content is
// not made of them.
func management(content []byte) ([]cel.Management, bool) {
	var out []cel.Management
	for rest := content; len(rest) > 0; {
		m, tail, err := cel.ParseManagement(rest)
		if err != nil {
			return nil, false
		}
		out, rest = append(out, m), tail
	}
	return out, len(out) > 0
}

// managementText names the events of the log itself.
func managementText(content []byte) string {
	events, ok := management(content)
	if !ok {
		return hex.EncodeToString(content)
	}
	var parts []string
	for _, m := range events {
		text := m.Type.String()
		switch {
		case m.Type == cel.CELVersion:
			text += fmt.Sprintf(" %d.%d", m.Major, m.Minor)
		case m.Type == cel.StateTrans && m.Value < uint64(len(states)):
			text += " " + states[m.Value]
		case m.Type != cel.FirmwareEnd:
			text += fmt.Sprintf(" %d", m.Value)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func appendManagement(dst, content []byte) []byte {
	events, ok := management(content)
	if !ok {
		return dst
	}
	type own struct {
		Type    string  `json:"type"`
		Version string  `json:"version,omitempty"`
		Value   *uint64 `json:"value,omitempty"`
		Name    string  `json:"name,omitempty"`
	}
	v := struct {
		Kind   string `json:"kind"`
		Events []own  `json:"events"`
	}{Kind: "management"}
	for _, m := range events {
		o := own{Type: m.Type.String()}
		switch m.Type {
		case cel.CELVersion:
			o.Version = fmt.Sprintf("%d.%d", m.Major, m.Minor)
		case cel.FirmwareEnd:
		default:
			o.Value = &m.Value
			if m.Type == cel.StateTrans && m.Value < uint64(len(states)) {
				o.Name = states[m.Value]
			}
		}
		v.Events = append(v.Events, o)
	}
	return appendValue(dst, v)
}

// word is text as one word of a line: in quotes where it could be taken for
// more than that.
func word(text string) string {
	p := term.Printable(text)
	if p != "" && p[0] != '"' && p[0] != '(' && !strings.Contains(p, " ") && !strings.HasSuffix(p, ":") {
		return p
	}
	if p != "" && p[0] == '"' {
		return p
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p) + `"`
}

// typeName is the content type's name, its number if it has none, or in quotes
// a name that has no number: any writer may have made it up.
func typeName(rec *mrlog.Record) string {
	if rec.Type == mrlog.TypeNamed {
		return fmt.Sprintf("%+q", rec.Name)
	}
	if name, ok := mrlog.TypeName(rec.Type); ok {
		return name
	}
	return fmt.Sprintf("type %d", uint64(rec.Type))
}

func eventName(event uint32) string {
	if name, ok := mrlog.EventName(event); ok {
		return name
	}
	return fmt.Sprintf("event 0x%08x", event)
}

// textOrHex shows text as such and anything else in hexadecimal.
func textOrHex(content []byte) string {
	text := bytes.TrimSuffix(content, []byte{0})
	if len(text) > 0 && utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7F }) < 0 {
		return term.Printable(content)
	}
	return hex.EncodeToString(content)
}
