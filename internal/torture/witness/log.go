// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
)

// Values are those of a register, by the name of the bank.
type Values map[string][]byte

// Equal reports whether both have the same banks with the same values.
func (v Values) Equal(w Values) bool {
	return len(v) > 0 && maps.EqualFunc(v, w, bytes.Equal)
}

// String gives the values in full.
func (v Values) String() string {
	var out string
	for _, name := range []string{"sha256", "sha384", "sha512"} {
		if sum, ok := v[name]; ok {
			out += fmt.Sprintf(" %s:%x", name, sum)
		}
	}
	return out
}

func newHash(bank string) (hash.Hash, error) {
	switch bank {
	case "sha256":
		return sha256.New(), nil
	case "sha384":
		return sha512.New384(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("bank %.20q is not known here", bank)
}

// Digest returns the digest of a line in a bank.
func Digest(bank, line string) ([]byte, error) {
	h, err := newHash(bank)
	if err != nil {
		return nil, err
	}
	h.Write([]byte(line))
	return h.Sum(nil), nil
}

// Extend returns the values after one more measured line.
func (v Values) Extend(line string) (Values, error) {
	out := make(Values)
	for bank, old := range v {
		h, err := newHash(bank)
		if err != nil {
			return nil, err
		}
		h.Write([]byte(line))
		digest := h.Sum(nil)
		h.Reset()
		h.Write(old)
		h.Write(digest)
		out[bank] = h.Sum(nil)
	}
	return out, nil
}

// parsed is a log, read by its newlines.
type parsed struct {
	start   Values
	records []string // measured lines, INIT first
	values  []Values // after each of them
	torn    string   // what follows the last newline
}

// parse reads a log. A log without INIT as its first record, or with another,
// is an error.
func parse(data []byte) (*parsed, error) {
	p := new(parsed)
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			p.torn = string(line)
			break
		}
		data = rest
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := p.add(string(line)); err != nil {
			return nil, fmt.Errorf("record %d: %w", len(p.records), err)
		}
	}
	if p.start == nil {
		return p, errors.New("no INIT")
	}
	return p, nil
}

func (p *parsed) add(line string) error {
	isInit := len(line) >= 5 && line[:5] == "INIT "
	switch {
	case isInit && p.start != nil:
		return errors.New("a second INIT")
	case !isInit && p.start == nil:
		return fmt.Errorf("%.60q comes before INIT", line)
	case isInit:
		start, err := parseInit(line[5:])
		if err != nil {
			return err
		}
		p.start = start
	}
	last := p.start
	if n := len(p.values); n > 0 {
		last = p.values[n-1]
	}
	next, err := last.Extend(line)
	if err != nil {
		return err
	}
	p.records = append(p.records, line)
	p.values = append(p.values, next)
	return nil
}

// parseInit reads what follows "INIT ": BANK/HEX, with blanks between.
func parseInit(text string) (Values, error) {
	out := make(Values)
	for _, field := range bytes.Split([]byte(text), []byte(" ")) {
		bank, value, ok := bytes.Cut(field, []byte("/"))
		if !ok {
			return nil, fmt.Errorf("INIT: %.60q is not BANK/HEX", field)
		}
		h, err := newHash(string(bank))
		if err != nil {
			return nil, fmt.Errorf("INIT: %w", err)
		}
		sum, err := hex.DecodeString(string(value))
		if err != nil {
			return nil, fmt.Errorf("INIT: %w", err)
		}
		if len(sum) != h.Size() || out[string(bank)] != nil {
			return nil, fmt.Errorf("INIT: bad value of %s", bank)
		}
		out[string(bank)] = sum
	}
	return out, nil
}

// end returns how many records replay to the values: the longest prefix, -1 if
// there is none, 0 for INIT's own value.
func (p *parsed) end(v Values) int {
	for n := len(p.values); n > 0; n-- {
		if p.values[n-1].Equal(v) {
			return n
		}
	}
	if p.start.Equal(v) {
		return 0
	}
	return -1
}
