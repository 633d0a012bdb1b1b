// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"mrlog.dev"
)

// signature opens the data of the header record of a crypto-agile log.
const signature = "Spec ID Event03\x00"

const (
	specFixed = 28 // bytes of a SpecID before its table
	specAlg   = 4  // bytes of a row of the table
)

// SpecID is the data of the header record: TCG_EfiSpecIdEvent (PC Client
// Platform Firmware Profile 1.06, section 10.4.5.1).
type SpecID struct {
	// NoSignature: the signature is all zero, as CoCo's attestation agent
	// writes it.
	NoSignature   bool
	PlatformClass uint32 // 0 client, 1 server
	Minor, Major  uint8  // of the specification's version
	Errata        uint8
	UintnSize     uint8           // 1 for 32 bits, 2 for 64
	Algs          []mrlog.AlgSize // the banks of the log, none twice
	VendorInfo    []byte          // at most 255 bytes, borrowed
}

// ParseSpecID reads the data of a header record. VendorInfo borrows data.
func ParseSpecID(data []byte) (SpecID, error) {
	s, at, err := parseSpecID(data, nil)
	if err != nil {
		return SpecID{}, &mrlog.SyntaxError{Format: Format, Offset: int64(at), Record: -1, Err: err}
	}
	return s, nil
}

// parseSpecID is ParseSpecID into the memory of room, if that is enough. With an
// error it returns where in data it is.
func parseSpecID(data []byte, room []mrlog.AlgSize) (s SpecID, at int, err error) {
	if len(data) <= specFixed {
		return s, 0, fmt.Errorf("header of %d bytes, want %d or more", len(data), specFixed+1)
	}
	switch {
	case string(data[:16]) == signature:
	case string(data[:16]) == string(make([]byte, 16)):
		s.NoSignature = true
	default:
		return s, 0, fmt.Errorf("header has the signature %q", data[:16])
	}
	s.PlatformClass = binary.LittleEndian.Uint32(data[16:])
	s.Minor, s.Major, s.Errata, s.UintnSize = data[20], data[21], data[22], data[23]
	n := binary.LittleEndian.Uint32(data[24:])
	switch {
	case n == 0:
		return s, 24, errors.New("header lists no algorithm")
	case n > mrlog.MaxDigests:
		return s, 24, fmt.Errorf("header lists %d algorithms, the limit is %d: %w", n, mrlog.MaxDigests, mrlog.ErrLimit)
	case uint32(len(data)-specFixed-1) < specAlg*n:
		return s, 24, fmt.Errorf("header lists %d algorithms and ends after %d bytes", n, len(data))
	}
	if s.Algs = room[:0]; uint32(cap(room)) < n {
		s.Algs = make([]mrlog.AlgSize, 0, n)
	}
	at = specFixed
	for range n {
		a := mrlog.AlgSize{Alg: mrlog.Alg(binary.LittleEndian.Uint16(data[at:])), Size: int(binary.LittleEndian.Uint16(data[at+2:]))}
		if err := checkAlg(s.Algs, a); err != nil {
			return s, at, fmt.Errorf("header: %w", err)
		}
		s.Algs = append(s.Algs, a)
		at += specAlg
	}
	s.VendorInfo = data[at+1:]
	if int(data[at]) != len(s.VendorInfo) {
		return s, at, fmt.Errorf("header has %d bytes after its algorithms, and says that it has %d", len(s.VendorInfo), data[at])
	}
	return s, 0, nil
}

// checkAlg refuses a row of the table that no record could be read by. The rows
// before it are good.
func checkAlg(before []mrlog.AlgSize, a mrlog.AlgSize) error {
	switch known := a.Alg.Size(); {
	case a.Alg == 0:
		return errors.New("hash algorithm 0 is none")
	case known != 0 && a.Size != known:
		return fmt.Errorf("%s digests of %d bytes, want %d", a.Alg, a.Size, known)
	case a.Size == 0:
		return fmt.Errorf("%s digests are empty", a.Alg)
	case a.Size > mrlog.MaxUnknownDigestSize:
		return limitErr(a.Alg.String()+" digests", uint64(a.Size), mrlog.MaxUnknownDigestSize)
	}
	for _, b := range before {
		if b.Alg == a.Alg {
			return fmt.Errorf("%s is listed twice", a.Alg)
		}
	}
	return nil
}

// Append appends the data of the header record.
func (s *SpecID) Append(dst []byte) []byte {
	if s.NoSignature {
		dst = append(dst, make([]byte, 16)...)
	} else {
		dst = append(dst, signature...)
	}
	dst = binary.LittleEndian.AppendUint32(dst, s.PlatformClass)
	dst = append(dst, s.Minor, s.Major, s.Errata, s.UintnSize)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s.Algs)))
	for _, a := range s.Algs {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(a.Alg))
		dst = binary.LittleEndian.AppendUint16(dst, uint16(a.Size))
	}
	dst = append(dst, byte(len(s.VendorInfo)))
	return append(dst, s.VendorInfo...)
}

// headed reports whether a record is the header of a crypto-agile log, and
// returns what it says. That it is meant to be one and is malformed is an
// error.
func headed(r *mrlog.Record) (SpecID, bool, error) {
	if r.Type != mrlog.TypePCClient || r.Form != mrlog.FormRaw || r.Event != mrlog.EventNoAction || !oneSHA1(r.Digests) {
		return SpecID{}, false, nil
	}
	s, _, err := parseSpecID(r.Content, nil)
	switch {
	case bytes.HasPrefix(r.Content, []byte(signature)):
		return s, true, err
	case err != nil || !zero(r.Digests[0].Sum):
		return SpecID{}, false, nil
	}
	return s, true, nil
}

// oneSHA1 reports whether digests are those of a record of the SHA-1 shape.
func oneSHA1(digests []mrlog.Digest) bool {
	return len(digests) == 1 && digests[0].Alg == mrlog.SHA1 && len(digests[0].Sum) == mrlog.SHA1.Size()
}

// zero reports whether p is all zero.
func zero(p []byte) bool { return run(p, 0) == len(p) }
