// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"

	"mrlog.dev"
)

// evidence does with an IMA list what cc-api's evidence-api does in Go, step by
// step, in code of its own: the whole list in memory, each line a string that is
// cut at blanks, digest and template in structures of their own, all records
// kept; then a replay over maps. It checks and rebuilds nothing. It allocates as
// often as the original, 15 times a record.
func evidence(path string, out io.Writer) error {
	list, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	all, err := evidenceParse(list)
	if err != nil {
		return err
	}
	for index, banks := range evidenceReplay(all) {
		for alg, value := range banks {
			fmt.Fprintf(out, "pcr%d:%s=%x\n", index, alg, value)
		}
	}
	return nil
}

type (
	evidenceDigest struct {
		alg mrlog.Alg
		sum []byte
	}
	evidenceLine struct {
		number, index int
		kind          uint32
		digests       []evidenceDigest
		size          int
		event         []byte
		extra         map[string]string
	}
	evidenceEvent interface {
		register() int
		sums() []evidenceDigest
	}
	evidenceRecord struct {
		index, kind uint32
		digests     []evidenceDigest
		size        uint32
		event       []byte
		format      string
	}
)

func (r *evidenceRecord) register() int          { return int(r.index) }
func (r *evidenceRecord) sums() []evidenceDigest { return r.digests }

func evidenceParse(list []byte) ([]evidenceEvent, error) {
	sizes := map[mrlog.Alg]int{mrlog.SHA1: 20, mrlog.SHA256: 32, mrlog.SHA384: 48, mrlog.SHA512: 64}
	var all []evidenceEvent
	var numbers [24]int
	lines := bufio.NewScanner(bytes.NewReader(list))
	for lines.Scan() {
		l, err := evidenceCut(bytes.TrimSpace(lines.Bytes()), sizes)
		if err != nil {
			return nil, err
		}
		l.number = numbers[l.index]
		numbers[l.index]++
		all = append(all, &evidenceRecord{index: uint32(l.index), kind: l.kind, digests: l.digests, size: uint32(l.size), event: l.event, format: "pcclient"})
	}
	return all, lines.Err()
}

func evidenceCut(line []byte, sizes map[mrlog.Alg]int) (*evidenceLine, error) {
	words := strings.Split(string(line), " ")
	if len(words) < 4 {
		return nil, errors.New("line of less than four words")
	}
	index, err := strconv.Atoi(words[0])
	if err != nil {
		return nil, err
	}
	d := evidenceDigest{sum: make([]byte, len(words[1])/2)}
	for alg, size := range sizes {
		if size == len(d.sum) {
			d.alg = alg
			break
		}
	}
	sum, err := hex.DecodeString(words[1])
	if err != nil {
		return nil, err
	}
	copy(d.sum, sum)
	event := []byte(strings.Join(words[3:], " "))
	return &evidenceLine{
		index: index, digests: []evidenceDigest{d}, size: len(event), event: event,
		extra: map[string]string{"template": words[2]},
	}, nil
}

func evidenceReplay(all []evidenceEvent) map[int]map[mrlog.Alg][]byte {
	values := make(map[int]map[mrlog.Alg][]byte)
	for _, e := range all {
		if values[e.register()] == nil {
			values[e.register()] = make(map[mrlog.Alg][]byte)
		}
		for _, d := range e.sums() {
			value := make([]byte, d.alg.Size())
			if v, ok := values[e.register()][d.alg]; ok {
				value = v
			}
			var h hash.Hash
			switch d.alg {
			case mrlog.SHA1:
				h = sha1.New()
			case mrlog.SHA256:
				h = sha256.New()
			case mrlog.SHA384:
				h = sha512.New384()
			default:
				h = sha512.New()
			}
			h.Write(append(value, d.sum...))
			values[e.register()][d.alg] = h.Sum(nil)
		}
	}
	return values
}
