// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"fmt"
	"strings"

	"mrlog.dev"
)

// Attribute is a file in the measurements folder.
type Attribute struct {
	// Name is NAME or NAME:HASH, "rtmr2:sha384" say.
	Name string
	// Value after a reset. Its length is the file's size.
	Value []byte
	// Mode holds the permissions: 0444 for what nobody can extend, 0644 for
	// a register that can be.
	Mode uint32
}

// base is the name without the hash.
func (a Attribute) base() string {
	name, _, _ := strings.Cut(a.Name, ":")
	return name
}

// alg is the hash of the attribute, or 0 if it has none.
func (a Attribute) alg() (mrlog.Alg, error) {
	_, hash, ok := strings.Cut(a.Name, ":")
	if !ok {
		return 0, nil
	}
	alg, err := mrlog.ParseAlg(hash)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w", a.Name, err)
	}
	if len(a.Value) != alg.Size() {
		return 0, fmt.Errorf("attribute %s: %w: value of %d bytes", a.Name, mrlog.ErrSize, len(a.Value))
	}
	return alg, nil
}

// TDX returns the attributes of a TDX guest. RTMR0 and RTMR1 start with values
// that a firmware might have left; RTMR2 and RTMR3 are untouched.
func TDX() []Attribute {
	filled := func(text string) []byte { return mrlog.SHA384.AppendSum(nil, []byte(text)) }
	return []Attribute{
		{"mrconfigid", make([]byte, 48), 0o444},
		{"mrowner", make([]byte, 48), 0o444},
		{"mrownerconfig", make([]byte, 48), 0o444},
		{"mrtd:sha384", filled("tsmfs image"), 0o444},
		{"rtmr0:sha384", filled("tsmfs firmware"), 0o644},
		{"rtmr1:sha384", filled("tsmfs kernel"), 0o644},
		{"rtmr2:sha384", make([]byte, 48), 0o644},
		{"rtmr3:sha384", make([]byte, 48), 0o644},
	}
}
