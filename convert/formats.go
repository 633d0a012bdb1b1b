// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"

	"mrlog.dev/container"
	"mrlog.dev/dstack"
	"mrlog.dev/tcg"
)

// The formats, by the names that options and headers use.
const (
	NELR     = "nelr"      // native event log: one line per record
	CELJSON  = "cel-json"  // canonical event log: JSON array, envelope object, JSON lines
	CELSeq   = "cel-seq"   // canonical event log: JSON text sequence (RFC 7464)
	CELCBOR  = "cel-cbor"  // canonical event log: CBOR array or sequence
	CELTLV   = "cel-tlv"   // canonical event log: TLV
	TCG2     = "tcg2"      // log of TCG firmware: crypto-agile, SHA-1, CC event log
	IMA      = "ima"       // measurement list of Linux IMA, binary
	IMAASCII = "ima-ascii" // the same as text
	AAEL     = "aael"      // log of CoCo's attestation agent: TCG records without a header
	AAELText = "aael-text" // the same as text, before July 2025
	Dstack   = "dstack"    // log of dstack guests: JSON lines, JSON array
	Evidence = "evidence"  // what logs are sent in: evidence, responses, claims

	Claims = container.Claims // what CoCo's trustee derives from a log
	Intel  = container.Intel  // what clients of Intel Trust Authority send
)

// Info describes a format for people and for options.
type Info struct {
	Name     string
	Title    string
	Dialects []string // that can be written, the default first; nil where there is one. A tcg2 log that has a header keeps its own

	// Whole: it carries every record of a native log, so that the log comes
	// back as it was. The others are for records of their own kind.
	Whole bool
	// ReadOnly: it is not written.
	ReadOnly bool
	// Also lists other names that are understood: that of a producer whose
	// log is in this format, say.
	Also []string
}

// Formats lists the formats that are known.
func Formats() []Info {
	return []Info{
		{Name: NELR, Title: "native event log, one text line per record", Whole: true},
		{Name: CELJSON, Title: "canonical event log, JSON", Dialects: []string{"array", "envelope"}, Whole: true, Also: []string{"pcrlock", "fapi"}},
		{Name: CELSeq, Title: "canonical event log, JSON text sequence (RFC 7464)", Whole: true, Also: []string{"systemd"}},
		{Name: CELCBOR, Title: "canonical event log, CBOR", Dialects: []string{"array", "sequence"}, Whole: true},
		{Name: CELTLV, Title: "canonical event log, TLV", Dialects: []string{"minimal", "go-eventlog", "4-byte"}, Whole: true},
		{
			Name: TCG2, Title: "log of TCG firmware, also CC (CCEL)", Also: []string{tcg.Format, "ccel"},
			Dialects: []string{string(tcg.Agile), string(tcg.SHA1), string(tcg.CoCo)},
		},
		{Name: IMA, Title: "measurement list of Linux IMA, binary", Also: []string{"ima-binary"}},
		{Name: IMAASCII, Title: "measurement list of Linux IMA, text"},
		{Name: AAEL, Title: "log of CoCo's attestation agent"},
		{Name: AAELText, Title: "older log of CoCo's attestation agent, text", ReadOnly: true},
		{Name: Dstack, Title: "log of dstack guests", Dialects: []string{dstack.API, dstack.Lines}},
		{Name: Evidence, Title: "the logs inside evidence (CoCo), a response (Keylime, dstack), claims", ReadOnly: true, Also: []string{"coco", "keylime"}},
		{Name: Claims, Title: "events as CoCo's trustee decodes them", ReadOnly: true, Also: []string{"trustee"}},
		{Name: Intel, Title: "events as clients of Intel Trust Authority send them", ReadOnly: true},
	}
}

// Names lists the formats' names.
func Names() []string { return names(func(Info) bool { return true }) }

// Written lists the names of the formats that can be written.
func Written() []string { return names(func(f Info) bool { return !f.ReadOnly }) }

// Whole lists the names of the formats that carry every record of a native
// log.
func Whole() []string { return names(func(f Info) bool { return f.Whole }) }

func names(which func(Info) bool) []string {
	var names []string
	for _, f := range Formats() {
		if which(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// lookup returns the format of that name.
func lookup(name string) (Info, error) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		for _, also := range f.Also {
			if also == name {
				return f, nil
			}
		}
	}
	return Info{}, fmt.Errorf("unknown format %.40q (known: %s)", name, strings.Join(Names(), ", "))
}

// Canonical returns the name that [Formats] lists a format under.
func Canonical(name string) (string, error) {
	f, err := lookup(name)
	return f.Name, err
}
