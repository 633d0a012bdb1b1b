// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// View is how a log and its register stand to one another, in the words of
// "mrlog status".
type View struct {
	State   string // absent, clean, behind, torn, reset or diverged
	Records int    // complete ones
	Missing int    // complete records that the register does not show
}

// Look reads the log at a path and compares it with its register's values. It
// takes no boot into account: "reset" stands for a register at INIT's value
// with records behind it, whatever that calls for.
func Look(path string, live Values) (View, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return View{State: "absent"}, nil
	}
	if err != nil {
		return View{}, err
	}
	p, err := parse(data)
	if err != nil {
		return View{State: "diverged"}, nil
	}
	v := View{Records: len(p.records)}
	if p.torn != "" && p.torn[0] != '#' {
		last := p.values[len(p.values)-1]
		if whole, err := last.Extend(p.torn); err == nil && whole.Equal(live) {
			v.State = "torn"
			return v, nil
		}
	}
	n := p.end(live)
	switch {
	case n < 0:
		v.State = "diverged"
	case n == 0 && len(p.records) > 1:
		v.State = "reset"
	case p.torn != "":
		v.State, v.Missing = "torn", len(p.records)-n
	case n < len(p.records):
		v.State, v.Missing = "behind", len(p.records)-n
	default:
		v.State = "clean"
	}
	return v, nil
}

// String says it in one line.
func (v View) String() string {
	return fmt.Sprintf("%s, %d records, %d missing", v.State, v.Records, v.Missing)
}
