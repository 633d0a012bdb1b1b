// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// initWord opens an INIT record: the domain that no event may use.
const initWord = "INIT"

// IsInit reports whether a measured line is an INIT record, well formed or
// not.
func IsInit(line []byte) bool {
	return len(line) >= len(initWord) && string(line[:len(initWord)]) == initWord &&
		(len(line) == len(initWord) || line[len(initWord)] == ' ')
}

// AppendInit appends the INIT record of a register whose banks have the given
// values: "INIT sha384/" and the value in lower-case hexadecimal; of several
// banks each after one space. The record is a measured line without its
// newline.
func AppendInit(dst []byte, values []Digest) []byte {
	dst = append(dst, initWord...)
	for _, v := range values {
		dst = append(dst, ' ')
		dst = append(dst, v.Alg.String()...)
		dst = append(dst, '/')
		dst = hex.AppendEncode(dst, v.Sum)
	}
	return dst
}

// ParseInit reads an INIT record, strictly: one spelling of each algorithm,
// exactly its size in lower-case hexadecimal, one space between banks, no bank
// twice. The values share no memory with line.
func ParseInit(line []byte) ([]Digest, error) {
	rest, ok := bytes.CutPrefix(line, []byte(initWord+" "))
	if !ok {
		return nil, ErrNotInit
	}
	switch rest := bytes.TrimRight(rest, " \r"); {
	case bytes.HasSuffix(line, []byte{'\r'}):
		return nil, errors.New("INIT ends in a carriage return: lines of a log end in a newline alone")
	case len(rest) < len(line)-len(initWord+" "):
		return nil, errors.New("INIT ends in a blank")
	}
	var values []Digest
	for bank := range bytes.SplitSeq(rest, []byte{' '}) {
		if len(values) == MaxDigests {
			return nil, fmt.Errorf("INIT lists more than %d banks: %w", MaxDigests, ErrLimit)
		}
		name, value, ok := bytes.Cut(bank, []byte{'/'})
		if !ok {
			return nil, fmt.Errorf("INIT value %.40q is not of the form ALG/HEX", bank)
		}
		alg, ok := AlgByName(string(name))
		if !ok {
			return nil, fmt.Errorf("INIT names an unknown algorithm: %.40q", name)
		}
		if slices.ContainsFunc(values, func(d Digest) bool { return d.Alg == alg }) {
			return nil, fmt.Errorf("INIT lists %s twice", alg)
		}
		if len(value) != 2*alg.Size() {
			return nil, fmt.Errorf("INIT %s value has %d hexadecimal digits, want %d", alg, len(value), 2*alg.Size())
		}
		if bytes.ContainsFunc(value, func(r rune) bool { return r >= 'A' && r <= 'F' }) {
			return nil, fmt.Errorf("INIT %s value has upper-case hexadecimal digits", alg)
		}
		sum := make([]byte, alg.Size())
		if _, err := hex.Decode(sum, value); err != nil {
			return nil, fmt.Errorf("INIT %s value is not hexadecimal", alg)
		}
		values = append(values, Digest{Alg: alg, Sum: sum})
	}
	return values, nil
}
