// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Launch is an event of Google's Confidential Space, which says what container
// was started and how (content type 80, [TypeCOS]).
type Launch struct {
	What  uint8 // see Name
	Value string
}

// launchNames are the events by their numbers (go-tpm-tools, package cel).
var launchNames = [...]string{
	"ImageRef", "ImageDigest", "RestartPolicy", "ImageID", "Arg", "EnvVar", "OverrideArg", "OverrideEnv",
	"LaunchSeparator", "MemoryMonitor", "GpuCCMode", "GPUDeviceAttestationBinding",
}

const (
	launchSeparator     = 8
	launchMemoryMonitor = 9
)

// Name is what Confidential Space calls the event, ImageDigest say.
func (l Launch) Name() string {
	if int(l.What) < len(launchNames) {
		return launchNames[l.What]
	}
	return fmt.Sprintf("event %d", l.What)
}

// DecodeCOS decodes the content of a record of [TypeCOS]: one TLV with a
// big-endian length.
func DecodeCOS(content []byte) Event {
	if len(content) < 5 {
		return undecoded(content, "too short for an event of Confidential Space")
	}
	n := uint64(binary.BigEndian.Uint32(content[1:]))
	value := content[5:]
	if n > uint64(len(value)) {
		return undecoded(content, "an event of %d bytes in %d", n, len(value))
	}
	l := Launch{What: content[0], Value: string(value[:n])}
	e := Event{Trailing: len(value) - int(n)}
	if l.What == launchMemoryMonitor && n == 1 && value[0] <= 1 {
		l.Value = fmt.Sprint(value[0])
	} else if !utf8.ValidString(l.Value) {
		l.Value = hex.EncodeToString(value[:n])
		e.Reason = "a value that is not UTF-8"
	}
	e.Data = l
	return e
}

func (l Launch) kind() string { return "launch" }

func (l Launch) line() string {
	switch {
	case l.What == launchSeparator && l.Value == "":
		return l.Name()
	case l.What == launchSeparator:
		return l.Name() + ": failed: " + plain(l.Value)
	}
	return l.Name() + ": " + plain(l.Value)
}

func (l Launch) members(o *object) {
	o.number("number", uint64(l.What))
	o.text("name", l.Name())
	o.text("value", l.Value)
}

// Runtime is a runtime event of dstack, as the bytes that its digest is of. In
// version 1 these do not tell where a name with a colon ends: it is taken to end
// at the first.
type Runtime struct {
	Version int // of the digest: 1 or 2
	Name    string
	Payload []byte
}

// decodeDstack reads what a digest of dstack is of: the event's type, its name
// and payload with colons between them, or canonical JSON.
func decodeDstack(data []byte) Event {
	if len(data) > 5 && binary.LittleEndian.Uint32(data) == evDstack && data[4] == ':' {
		name, payload, ok := bytes.Cut(data[5:], []byte{':'})
		if ok && utf8.Valid(name) {
			return Event{Data: Runtime{1, string(name), payload}}
		}
	}
	// {"name":…,"payload":"hex","type":134217729}, in this order only: it is
	// canonical.
	if rest, ok := strings.CutPrefix(string(data), `{"name":"`); ok {
		name, rest, ok1 := strings.Cut(rest, `","payload":"`)
		digits, rest, ok2 := strings.Cut(rest, `","type":`)
		payload, err := hex.DecodeString(digits)
		var unescaped string
		if ok1 && ok2 && err == nil && rest == fmt.Sprintf("%d}", evDstack) &&
			json.Unmarshal([]byte(`"`+name+`"`), &unescaped) == nil {
			return Event{Data: Runtime{2, unescaped, payload}}
		}
	}
	return decodeText(data)
}

func (r Runtime) kind() string { return "runtime" }

func (r Runtime) line() string {
	if s, ok := textOf(r.Payload); ok {
		return plain(r.Name) + ": " + plain(s)
	}
	return plain(r.Name) + ": " + hexText(r.Payload)
}

func (r Runtime) members(o *object) {
	o.number("version", uint64(r.Version))
	o.text("name", r.Name)
	o.hex("payload", r.Payload)
}
