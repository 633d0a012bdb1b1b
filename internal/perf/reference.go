// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Two programs that do mrlog's work as one writes it in an hour, with what the
// standard library offers first: a Scanner, structs, encoding/json. They know
// SHA-384 only.

type refDigest struct {
	HashAlg string `json:"hashAlg"`
	Digest  string `json:"digest"`
}

type refRecord struct {
	RecNum      int         `json:"recnum"`
	PCR         int         `json:"pcr"`
	Digests     []refDigest `json:"digests"`
	ContentType string      `json:"content_type"`
	Content     string      `json:"content"`
}

type refLog struct {
	Log []refRecord `json:"log"`
	MR  string      `json:"mr"`
}

// refScan gives every record of a log to take, and returns the final value.
func refScan(path string, take func(refRecord) error) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var mr []byte
	n := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if mr == nil {
			start, ok := bytes.CutPrefix(line, []byte("INIT sha384/"))
			if !ok {
				return "", errors.New("first record is no INIT of SHA-384")
			}
			if mr, err = hex.DecodeString(string(start)); err != nil {
				return "", err
			}
		}
		digest := sha512.Sum384(line)
		value := sha512.Sum384(append(mr, digest[:]...))
		mr = value[:]
		err := take(refRecord{
			RecNum: n, PCR: 2,
			Digests:     []refDigest{{"sha384", hex.EncodeToString(digest[:])}},
			ContentType: "CC-CEL",
			Content:     string(line),
		})
		if err != nil {
			return "", err
		}
		n++
	}
	return hex.EncodeToString(mr), lines.Err()
}

// streaming encodes every record when it is read.
func streaming(path string, out io.Writer) error {
	w := bufio.NewWriter(out)
	e := json.NewEncoder(w)
	sep := `{"log":[`
	mr, err := refScan(path, func(r refRecord) error {
		if _, err := w.WriteString(sep); err != nil {
			return err
		}
		sep = ","
		return e.Encode(r)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "],\"mr\":%q}\n", mr)
	return w.Flush()
}

// collect keeps all records, and encodes them at once.
func collect(path string, out io.Writer) error {
	var log refLog
	var err error
	log.MR, err = refScan(path, func(r refRecord) error {
		log.Log = append(log.Log, r)
		return nil
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(log)
}
