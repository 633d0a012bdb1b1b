// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"
)

// Alg is a hash algorithm by its TPM_ALG_ID (TCG Algorithm Registry, table
// "TPM_ALG_ID Constants"). An Alg outside the constants below is carried
// through every format but cannot be computed: its Size is 0.
type Alg uint16

// The algorithms that mrlog computes.
const (
	SHA1     Alg = 0x0004 // read and replayed, never enough to bind anything
	SHA256   Alg = 0x000B
	SHA384   Alg = 0x000C
	SHA512   Alg = 0x000D
	SM3      Alg = 0x0012 // spelled sm3_256
	SHA3_256 Alg = 0x0027
	SHA3_384 Alg = 0x0028
	SHA3_512 Alg = 0x0029
)

const (
	// MaxDigestSize is the size in bytes of the largest digest of a known
	// algorithm.
	MaxDigestSize = 64

	// MaxUnknownDigestSize bounds a digest of an algorithm that mrlog does
	// not know; none twice as long as today's longest is in sight.
	MaxUnknownDigestSize = 128

	// MaxDigests bounds the digests of one record: one per bank, and no
	// platform has more banks than the registry has algorithms in use.
	MaxDigests = 16
)

// ErrSize says that a digest or register value does not have its
// algorithm's size.
var ErrSize = errors.New("wrong size for the algorithm")

// Known lists the algorithms that can be computed, in order of their ids.
func Known() []Alg {
	return []Alg{SHA1, SHA256, SHA384, SHA512, SM3, SHA3_256, SHA3_384, SHA3_512}
}

// Size returns the digest size in bytes, or 0 for an unknown algorithm.
func (a Alg) Size() int {
	switch a {
	case SHA1:
		return 20
	case SHA256, SM3, SHA3_256:
		return 32
	case SHA384, SHA3_384:
		return 48
	case SHA512, SHA3_512:
		return 64
	}
	return 0
}

// Binds reports whether a digest of the algorithm can prove anything. SHA-1
// cannot: two contents with one digest can be made.
func (a Alg) Binds() bool { return a.Size() != 0 && a != SHA1 }

// String returns the name that the canonical event log uses, "sha384" say, or
// the id in hexadecimal, "0x0044", for an unknown algorithm.
func (a Alg) String() string {
	switch a {
	case SHA1:
		return "sha1"
	case SHA256:
		return "sha256"
	case SHA384:
		return "sha384"
	case SHA512:
		return "sha512"
	case SM3:
		return "sm3_256"
	case SHA3_256:
		return "sha3_256"
	case SHA3_384:
		return "sha3_384"
	case SHA3_512:
		return "sha3_512"
	}
	return fmt.Sprintf("0x%04x", uint16(a))
}

// AlgByName returns the algorithm with exactly the name that String gives. It
// is the strict form, for formats that allow one spelling only.
func AlgByName(name string) (Alg, bool) {
	switch name {
	case "sha384":
		return SHA384, true
	case "sha256":
		return SHA256, true
	case "sha512":
		return SHA512, true
	case "sha1":
		return SHA1, true
	case "sm3_256":
		return SM3, true
	case "sha3_256":
		return SHA3_256, true
	case "sha3_384":
		return SHA3_384, true
	case "sha3_512":
		return SHA3_512, true
	}
	return 0, false
}

// ParseAlg reads an algorithm as producers spell it: the canonical name in any
// case, with a hyphen or nothing for the underscore (SHA-384, sm3, sha3-256),
// "sha" for SHA-1, or the id as "0x0044".
func ParseAlg(s string) (Alg, error) {
	if a, ok := AlgByName(s); ok {
		return a, nil
	}
	l := strings.ToLower(s)
	if hex, ok := strings.CutPrefix(l, "0x"); ok && len(hex) <= 4 {
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && n != 0 {
			return Alg(n), nil
		}
		return 0, fmt.Errorf("unknown hash algorithm %.40q", s)
	}
	switch l {
	case "sha", "sha-1":
		return SHA1, nil
	case "sha-256":
		return SHA256, nil
	case "sha-384":
		return SHA384, nil
	case "sha-512":
		return SHA512, nil
	case "sm3", "sm3-256", "sm3256":
		return SM3, nil
	case "sha3-256":
		return SHA3_256, nil
	case "sha3-384":
		return SHA3_384, nil
	case "sha3-512":
		return SHA3_512, nil
	}
	if a, ok := AlgByName(l); ok {
		return a, nil
	}
	return 0, fmt.Errorf("unknown hash algorithm %.40q", s)
}

// AppendSum appends the digest of data to dst and returns it. It does not
// allocate when dst has room for Size bytes. For an unknown algorithm it
// returns dst as it is.
func (a Alg) AppendSum(dst, data []byte) []byte {
	switch a {
	case SHA384:
		s := sha512.Sum384(data)
		return append(dst, s[:]...)
	case SHA256:
		s := sha256.Sum256(data)
		return append(dst, s[:]...)
	case SHA512:
		s := sha512.Sum512(data)
		return append(dst, s[:]...)
	case SHA1:
		s := sha1.Sum(data)
		return append(dst, s[:]...)
	case SM3:
		s := sm3.Sum(data)
		return append(dst, s[:]...)
	case SHA3_256:
		s := sha3.Sum256(data)
		return append(dst, s[:]...)
	case SHA3_384:
		s := sha3.Sum384(data)
		return append(dst, s[:]...)
	case SHA3_512:
		s := sha3.Sum512(data)
		return append(dst, s[:]...)
	}
	return dst
}

// newHash returns a new digest, or nil for an unknown algorithm.
func (a Alg) newHash() hash.Hash {
	switch a {
	case SHA384:
		return sha512.New384()
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	case SHA1:
		return sha1.New()
	case SM3:
		return sm3.New()
	case SHA3_256:
		return sha3.New256()
	case SHA3_384:
		return sha3.New384()
	case SHA3_512:
		return sha3.New512()
	}
	return nil
}

// Extend replaces value by H(value ‖ digest). Both must have the algorithm's
// size; otherwise value stays and the error is ErrSize.
func (a Alg) Extend(value, digest []byte) error {
	n := a.Size()
	if n == 0 || len(value) != n || len(digest) != n {
		return ErrSize
	}
	var buf [2 * MaxDigestSize]byte
	copy(buf[:], value)
	copy(buf[n:], digest)
	a.AppendSum(value[:0], buf[:2*n])
	return nil
}
