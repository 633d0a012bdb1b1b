// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package aael

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"mrlog.dev"
	"mrlog.dev/tcg"
)

// endFlag ends what a verifier is handed.
const endFlag = "\xff\xff\xff\xff\xff\xff\xff\xff"

// format names composed logs in errors.
const format = "aael"

// appendHeader appends the header that the agent writes where the platform has
// no CC event log: of its three generations the newest.
func appendHeader(dst []byte) []byte {
	spec := tcg.SpecID{NoSignature: true, Algs: []mrlog.AlgSize{
		{Alg: mrlog.SHA256, Size: mrlog.SHA256.Size()},
		{Alg: mrlog.SHA384, Size: mrlog.SHA384.Size()},
		{Alg: mrlog.SM3, Size: mrlog.SM3.Size()},
	}}
	data := spec.Append(nil)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, mrlog.EventNoAction)
	dst = append(dst, make([]byte, mrlog.SHA1.Size())...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// Compose returns what a verifier is handed: the CC event log without what
// follows its end, or a header if there is none, the agent's file, and the flag
// that ends a log. Either may be empty. Both are read to find out where they
// end, and whether the records of the agent are its own.
func Compose(ccel, log []byte) ([]byte, error) {
	end, err := endOf(ccel, tcg.Options{}, nil)
	if err != nil {
		return nil, err
	}
	own := func(r *mrlog.Record) error {
		if _, ok := Text(r); !ok {
			return errors.New("record is not of an event of the attestation agent")
		}
		return nil
	}
	logEnd, err := endOf(log, tcg.Options{Bare: true}, own)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, end+logEnd+128)
	if end == 0 {
		out = appendHeader(out)
	}
	out = append(out, ccel[:end]...)
	out = append(out, log[:logEnd]...)
	return append(out, endFlag...), nil
}

// Split takes apart what Compose has put together: the CC event log, which is
// empty if there is a header without a signature alone, and the agent's file.
// Both borrow log. The agent's records are the last ones; without any, the file
// is empty. If other records follow one of them, it is an error.
func Split(log []byte) (ccel, file []byte, err error) {
	at, records, header := int64(-1), 0, false
	end, err := endOf(log, tcg.Options{}, func(r *mrlog.Record) error {
		if records++; records == 1 {
			header = r.Event == mrlog.EventNoAction && noSignature(r.Content)
		}
		_, ok := Text(r)
		switch {
		case ok && at < 0:
			at = r.Span.Offset
		case !ok && at >= 0:
			return errors.New("record is not of an event of the attestation agent, and follows one")
		case !ok && records > 1:
			header = false
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if at < 0 {
		at = int64(end)
	}
	if !header {
		ccel = log[:at:at]
	}
	return ccel, log[at:end:end], nil
}

func noSignature(data []byte) bool {
	s, err := tcg.ParseSpecID(data)
	return err == nil && s.NoSignature
}

// endOf returns where the records of a log end. It calls see, if it is not nil,
// with each.
func endOf(log []byte, o tcg.Options, see func(*mrlog.Record) error) (int, error) {
	if bytes.Count(log, []byte{0xFF}) == len(log) {
		return 0, nil // an empty area
	}
	r := tcg.NewReaderBytes(log, o)
	number := int64(0)
	for rec, err := range mrlog.All(r) {
		if err != nil {
			return 0, err
		}
		if see != nil {
			if err := see(rec); err != nil {
				return 0, &mrlog.SyntaxError{Format: format, Offset: rec.Span.Offset, Record: number, Err: err}
			}
		}
		number++
	}
	end := r.End().Offset
	if end < 0 || end > int64(len(log)) {
		return 0, fmt.Errorf("log of %d bytes ends at %d", len(log), end)
	}
	return int(end), nil
}
