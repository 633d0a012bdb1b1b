// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is a hash value with its algorithm. In a record it is the very value
// that was extended; len(Sum) is authoritative, and for a known algorithm it
// is the algorithm's size unless the record says otherwise.
type Digest struct {
	Alg Alg
	Sum []byte
}

// Append appends the text form, "sha384:" and lower-case hexadecimal.
func (d Digest) Append(dst []byte) []byte {
	dst = append(dst, d.Alg.String()...)
	dst = append(dst, ':')
	return hex.AppendEncode(dst, d.Sum)
}

// String returns the form that Append appends.
func (d Digest) String() string { return string(d.Append(nil)) }

// ParseDigest reads the text form that String gives; the algorithm as
// [ParseAlg] reads it, the value in hexadecimal of either case and, for a
// known algorithm, of exactly its size.
func ParseDigest(s string) (Digest, error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, fmt.Errorf("digest %.40q is not of the form ALG:HEX", s)
	}
	alg, err := ParseAlg(name)
	if err != nil {
		return Digest{}, err
	}
	sum, err := ParseHex(value, alg)
	if err != nil {
		return Digest{}, err
	}
	return Digest{Alg: alg, Sum: sum}, nil
}

// ParseHex reads a value of alg in hexadecimal of either case. Its length must
// be that of the algorithm; of an unknown algorithm at most
// [MaxUnknownDigestSize] bytes.
func ParseHex(s string, alg Alg) ([]byte, error) {
	size := alg.Size()
	if size != 0 && len(s) != 2*size {
		return nil, fmt.Errorf("%s value has %d hexadecimal digits, want %d", alg, len(s), 2*size)
	}
	if len(s) > 2*MaxUnknownDigestSize {
		return nil, fmt.Errorf("%s value has %d hexadecimal digits, the limit is %d", alg, len(s), 2*MaxUnknownDigestSize)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%s value is not hexadecimal: %w", alg, err)
	}
	return b, nil
}
