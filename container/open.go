// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"mrlog.dev"
	"mrlog.dev/internal/strict"
)

// Format is the name of containers in errors.
const Format = "container"

// The formats of logs, as in the headers of their readers.
const (
	TCG      = "tcg"
	IMAASCII = "ima-ascii"
	AAELText = "aael-text"
	Dstack   = "dstack"
	Claims   = "trustee-claims" // see NewClaimsReader
	Intel    = "ita"            // see NewIntelReader
)

const (
	// MaxLogs bounds the logs of one container. None in use has more than
	// two.
	MaxLogs = 16

	// DefaultMaxSize bounds the logs of one container together. The largest
	// in use, IMA lists of hosts that run for months, stay below 20 MiB.
	DefaultMaxSize = 32 << 20
)

// ErrNoLog says that there is no log in a container.
var ErrNoLog = errors.New("no event log is in it")

// Options of Open.
type Options struct {
	// MaxSize bounds the bytes of all logs together; 0 stands for
	// DefaultMaxSize.
	MaxSize int
}

// Log is a log that was in a container.
type Log struct {
	Name   string // where it stood: names of members, with dots between
	Format string
	Bytes  []byte // the log itself
	Offset int64  // of the member's value in the container

	// First is the number of the log's first record in the whole list, where
	// a container says so.
	First uint64
}

// Open returns the logs of the container in r, in its order. One without a log
// gives an error that wraps ErrNoLog and says what it is, if that is known.
func Open(r io.Reader, o Options) ([]Log, error) {
	size := o.MaxSize
	if size <= 0 {
		size = DefaultMaxSize
	}
	// Base64 takes four bytes for three, and a text an escape for each line.
	text := math.MaxInt
	if size < math.MaxInt/2-1<<20 {
		text = size + size/2 + 1<<20
	}
	u := &opener{dec: strict.NewDecoder(r, Format, text), left: size, size: size}
	kind, err := u.dec.Peek()
	switch {
	case err != nil:
		return nil, err
	case kind == 0:
		return nil, u.dec.Fault(0, errors.New("input is empty"))
	case kind == '[':
		err = u.array("", "")
	default:
		err = u.object("")
	}
	if err != nil {
		return nil, err
	}
	if err := u.dec.End(); err != nil {
		return nil, err
	}
	if len(u.logs) == 0 {
		err := ErrNoLog
		if u.kind != "" {
			err = fmt.Errorf("%s: %w", u.kind, ErrNoLog)
		}
		return nil, u.dec.Fault(0, err)
	}
	return u.logs, nil
}

// opener goes through a container.
type opener struct {
	dec  *strict.Decoder
	logs []Log
	size int    // limit of all logs together
	left int    // of it
	kind string // of a container that has no log
}

// object goes through the object at hand.
func (u *opener) object(path string) error {
	if err := u.dec.Token('{'); err != nil {
		return err
	}
	list, entry := -1, uint64(0)
	for {
		more, err := u.dec.More()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, err := u.dec.Name()
		if err != nil {
			return err
		}
		before := len(u.logs)
		switch name {
		case "ima_measurement_list_entry":
			if entry, err = u.number(); err != nil {
				return err
			}
		case "tpm_quote", "hcl_report":
			u.kind = "evidence of a TPM, which verifiers take without one"
			err = u.inside(join(path, name))
		default:
			err = u.member(path, name)
		}
		if err != nil {
			return err
		}
		if name == "ima_measurement_list" && len(u.logs) > before {
			list = before
		}
	}
	if list >= 0 {
		u.logs[list].First = entry
	}
	return nil
}

func join(path, name string) string {
	// A path is for people; that of a hostile container may be anything.
	const longest = 200
	if path != "" {
		name = path + "." + name
	}
	if len(name) > longest {
		return "…" + name[len(name)-longest:]
	}
	return name
}

// member reads a member of an object.
func (u *opener) member(path, name string) error {
	in := join(path, name)
	switch name {
	case "cc_eventlog", "mb_measurement_list":
		return u.text(in, u.base64(TCG))
	case "aa_eventlog":
		return u.text(in, u.plain(AAELText))
	case "ima_measurement_list":
		return u.text(in, u.plain(IMAASCII))
	case "uefi_event_logs":
		return u.array(in, Claims)
	case "event_log":
		if kind, err := u.dec.Peek(); err != nil || kind == '[' {
			if err != nil {
				return err
			}
			return u.array(in, "")
		}
		return u.text(in, u.eventLog)
	}
	return u.inside(in)
}

// inside looks for logs in a value that is none.
func (u *opener) inside(path string) error {
	kind, err := u.dec.Peek()
	switch {
	case err != nil:
		return err
	case kind == '{':
		return u.object(path)
	case kind != '[':
		return u.dec.Skip()
	}
	if err := u.dec.Token('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := u.dec.More()
		if err != nil || !more {
			return err
		}
		if err := u.inside(path + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
}

func (u *opener) number() (uint64, error) {
	raw, at, err := u.dec.Value()
	if err != nil || string(raw) == "null" {
		return 0, err
	}
	n, err := strict.Uint(raw, math.MaxUint64)
	if err != nil {
		return 0, u.dec.Fault(at, err)
	}
	return n, nil
}

// found keeps a log.
func (u *opener) found(name, format string, log []byte, at int64) error {
	switch {
	case len(u.logs) == MaxLogs:
		return u.dec.Fault(at, fmt.Errorf("more than %d logs: %w", MaxLogs, mrlog.ErrLimit))
	case len(log) > u.left:
		return u.tooLarge(at)
	}
	u.left -= len(log)
	u.logs = append(u.logs, Log{Name: name, Format: format, Bytes: log, Offset: at})
	return nil
}

func (u *opener) tooLarge(at int64) error {
	return u.dec.Fault(at, fmt.Errorf("logs are larger than %d bytes together: %w", u.size, mrlog.ErrLimit))
}

// array keeps an array as a log. A format of "" is told from its first element;
// an array that is no log is left out.
func (u *opener) array(name, format string) error {
	raw, at, err := u.dec.Value()
	if err != nil || string(raw) == "null" {
		return err
	}
	if raw[0] != '[' {
		return u.dec.Fault(at, fmt.Errorf("%s is not an array", name))
	}
	if format == "" {
		if format = formatOf(raw); format == "" {
			return nil
		}
	}
	if len(raw) > u.left {
		return u.tooLarge(at)
	}
	return u.found(name, format, bytes.Clone(raw), at)
}

// formatOf tells the format of an array by the names of its first element.
func formatOf(raw []byte) string {
	var rtmr, imr, eventType, typeName, digests bool
	strict.Outline(raw, func(in, name, _ []byte) {
		switch {
		case in != nil:
		case string(name) == "rtmr", string(name) == "rtmr_events":
			rtmr = true
		case string(name) == "imr":
			imr = true
		case string(name) == "event_type":
			eventType = true
		case string(name) == "type_name":
			typeName = true
		case string(name) == "digests":
			digests = true
		}
	})
	switch {
	case rtmr:
		return Intel
	case imr && eventType:
		return Dstack
	case typeName && digests:
		return Claims
	}
	return ""
}

// text keeps a string as a log. The function decode gives the log and its
// format; one of "" is none.
func (u *opener) text(name string, decode func([]byte) ([]byte, string, error)) error {
	raw, at, err := u.dec.Value()
	if err != nil || string(raw) == "null" || string(raw) == `""` {
		return err
	}
	if raw[0] != '"' {
		return u.dec.Fault(at, fmt.Errorf("%s is not a string", name))
	}
	log, format, err := decode(raw)
	switch {
	case errors.Is(err, mrlog.ErrLimit):
		return u.tooLarge(at)
	case err != nil:
		return u.dec.Fault(at, fmt.Errorf("%s: %w", name, err))
	case format == "":
		return nil
	}
	return u.found(name, format, log, at)
}

// plain decodes a text.
func (u *opener) plain(format string) func([]byte) ([]byte, string, error) {
	return func(raw []byte) ([]byte, string, error) {
		log, ok := strict.AppendText(nil, raw)
		if !ok {
			return nil, "", errors.New("string cannot be read")
		}
		return log, format, nil
	}
}

// base64 decodes what is in base64.
func (u *opener) base64(format string) func([]byte) ([]byte, string, error) {
	return func(raw []byte) ([]byte, string, error) {
		if base64.StdEncoding.DecodedLen(len(raw)-2)-2 > u.left { // but for two bytes of padding
			return nil, "", mrlog.ErrLimit
		}
		log, err := strict.AppendBase64(nil, raw)
		return log, format, err
	}
}

// eventLog decodes the member of that name, which several producers have: the
// text of an array, as it is or in base64, or a TCG log in base64.
func (u *opener) eventLog(raw []byte) ([]byte, string, error) {
	log, ok := strict.AppendText(nil, raw)
	if !ok {
		return nil, "", errors.New("string cannot be read")
	}
	if !isArray(log) {
		var err error
		if log, _, err = u.base64("")(raw); err != nil {
			return nil, "", err
		}
		if !isArray(log) {
			return log, TCG, nil
		}
	}
	// Its own reader says what is wrong with it, if something is.
	return log, formatOf(log), nil
}

func isArray(log []byte) bool {
	t := bytes.TrimLeft(log, " \t\r\n")
	return len(t) > 0 && t[0] == '['
}

// signs are the members that tell a container, each set of them one.
var signs = [...][]string{
	{"cc_eventlog"},
	{"aa_eventlog"},
	{"uefi_event_logs"},
	{"attestation_report", "cert_chain"},
	{"tpm_quote", "hcl_report"},
	{"tpm_quote", "ak_public"},
	{"quote", "event_log"},
	{"primary_evidence"},
	{"ima_measurement_list"},
	{"mb_measurement_list"},
	{"code", "status", "results"},
}

// Is reports whether an input that begins so is a container that Open knows, as
// far as can be seen: a JSON object with the members of one, wherever they
// stand, or an array for one of the readers here. A result may be wrapped in
// another object; the content of a record is none.
func Is(start []byte) bool {
	t := bytes.TrimLeft(start, " \t\r\n")
	if len(t) == 0 {
		return false
	}
	if t[0] == '[' {
		return IsClaims(t) || IsIntel(t)
	}
	if t[0] != '{' {
		return false
	}
	wrapped := false
	var seen [len(signs)]uint8 // bits of the members
	strict.Outline(t, func(in, name, _ []byte) {
		switch {
		case in == nil:
			for i, all := range signs {
				if j := slices.Index(all, string(name)); j >= 0 {
					seen[i] |= 1 << j
				}
			}
		case string(in) != "content":
			switch string(name) {
			case "uefi_event_logs", "cc_eventlog", "ima_measurement_list", "mb_measurement_list":
				wrapped = true
			}
		}
	})
	for i, all := range signs {
		if seen[i] == 1<<len(all)-1 {
			return true
		}
	}
	return wrapped
}

// IsClaims reports whether an array that begins so is one for NewClaimsReader.
func IsClaims(start []byte) bool { return isArray(start) && formatOf(start) == Claims }

// IsIntel reports whether an array that begins so is one for NewIntelReader.
func IsIntel(start []byte) bool { return isArray(start) && formatOf(start) == Intel }
