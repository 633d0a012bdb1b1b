// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package vectors reads the golden vectors of testdata/vectors, for the tests
// of every package that can use them. Their form is described in
// testdata/vectors/README.md. It knows nothing of the formats that the vectors
// are of, and computes nothing.
package vectors

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Digest is a value with the name of its algorithm.
type Digest struct {
	Alg string
	Sum []byte
}

// Record is a record that a vector's log holds.
type Record struct {
	Line    int   // from 1
	Offset  int64 // of its first byte
	Length  int   // without the newline
	Digests []Digest
}

// Vector is a log with what is known of it.
type Vector struct {
	Name     string
	Comment  string
	OK       bool   // expect: ok, not malformed
	Line     int    // at fault, if malformed
	Reason   string // if malformed, a word of README.md
	Register string
	Algs     []string // banks in INIT's order; nil without a well-formed INIT
	Records  []Record // of the log, or before the fault
	Final    []Digest // values after those records, in INIT's order
	// Unexplained names the banks whose start value is not a reset value.
	Unexplained []string
	Log         []byte
}

// Load reads all vectors of a folder, in order of their names.
func Load(fsys fs.FS) ([]*Vector, error) {
	names, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, err
	}
	var all []*Vector
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		v, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if v.Name+".txt" != path.Base(name) {
			return nil, fmt.Errorf("%s: its name is %q", name, v.Name)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, errors.New("no vectors found")
	}
	return all, nil
}

// Parse reads one vector. Unknown keys are errors: a misspelt expectation must
// not pass for none.
func Parse(data []byte) (*Vector, error) {
	head, log, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return nil, errors.New("no empty line after the header")
	}
	v := &Vector{Log: log}
	records := -1
	for i, line := range strings.Split(string(head), "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("header line %d: not of the form KEY: VALUE", i+1)
		}
		var err error
		switch key {
		case "name":
			v.Name = value
		case "comment":
			v.Comment = value
		case "expect":
			v.OK = value == "ok"
			if !v.OK && value != "malformed" {
				err = fmt.Errorf("unknown expectation %q", value)
			}
		case "line":
			v.Line, err = strconv.Atoi(value)
		case "reason":
			v.Reason = value
		case "register":
			v.Register = value
		case "algs":
			v.Algs = strings.Fields(value)
		case "records":
			records, err = strconv.Atoi(value)
		case "record":
			var r Record
			r, err = parseRecord(value)
			v.Records = append(v.Records, r)
		case "final":
			var d Digest
			d, err = parseDigest(value)
			v.Final = append(v.Final, d)
		case "unexplained":
			v.Unexplained = strings.Fields(value)
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return nil, fmt.Errorf("header line %d, %s: %w", i+1, key, err)
		}
	}
	switch {
	case v.Name == "" || v.Register == "":
		return nil, errors.New("name or register missing")
	case records != len(v.Records):
		return nil, fmt.Errorf("says records: %d, lists %d", records, len(v.Records))
	case v.OK && (v.Line != 0 || v.Reason != ""), !v.OK && (v.Line == 0 || v.Reason == ""):
		return nil, errors.New("line and reason belong to a malformed log, and only to one")
	case !slices.Equal(v.Algs, names(v.Final)):
		return nil, errors.New("algs and final disagree")
	}
	for _, r := range v.Records {
		if !slices.Equal(v.Algs, names(r.Digests)) {
			return nil, fmt.Errorf("algs and the record of line %d disagree", r.Line)
		}
	}
	return v, nil
}

func parseRecord(s string) (Record, error) {
	var r Record
	f := strings.Fields(s)
	if len(f) < 3 {
		return r, errors.New("want LINE OFFSET LENGTH ALG:HEX…")
	}
	var e1, e2, e3 error
	r.Line, e1 = strconv.Atoi(f[0])
	r.Offset, e2 = strconv.ParseInt(f[1], 10, 64)
	r.Length, e3 = strconv.Atoi(f[2])
	if err := errors.Join(e1, e2, e3); err != nil {
		return r, err
	}
	for _, d := range f[3:] {
		digest, err := parseDigest(d)
		if err != nil {
			return r, err
		}
		r.Digests = append(r.Digests, digest)
	}
	return r, nil
}

func parseDigest(s string) (Digest, error) {
	alg, value, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, errors.New("want ALG:HEX")
	}
	sum, err := hex.DecodeString(value)
	return Digest{Alg: alg, Sum: sum}, err
}

func names(digests []Digest) []string {
	var s []string
	for _, d := range digests {
		s = append(s, d.Alg)
	}
	return s
}
