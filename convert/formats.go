// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"
)

// The formats, by the names that options and headers use.
const (
	NELR    = "nelr"     // native event log: one line per record
	CELJSON = "cel-json" // canonical event log: JSON array, envelope object, JSON lines
	CELSeq  = "cel-seq"  // canonical event log: JSON text sequence (RFC 7464)
	CELCBOR = "cel-cbor" // canonical event log: CBOR array or sequence
	CELTLV  = "cel-tlv"  // canonical event log: TLV
)

// Info describes a format for people and for options.
type Info struct {
	Name     string
	Title    string
	Dialects []string // that can be written, the default first; nil where there is one
}

// Formats lists the formats that can be read and written.
func Formats() []Info {
	return []Info{
		{NELR, "native event log, one text line per record", nil},
		{CELJSON, "canonical event log, JSON", []string{"array", "envelope"}},
		{CELSeq, "canonical event log, JSON text sequence (RFC 7464)", nil},
		{CELCBOR, "canonical event log, CBOR", []string{"array", "sequence"}},
		{CELTLV, "canonical event log, TLV", []string{"minimal", "go-eventlog", "4-byte"}},
	}
}

// Names lists the formats' names.
func Names() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// lookup returns the format of that name.
func lookup(name string) (Info, error) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
	}
	return Info{}, fmt.Errorf("unknown format %.40q (known: %s)", name, strings.Join(Names(), ", "))
}
