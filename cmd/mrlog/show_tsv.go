// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"

	"mrlog.dev"
)

// tsvView is for scripts: one record per line, nothing cut.
type tsvView struct{ out *bufio.Writer }

func (v *tsvView) begin(string, mrlog.Header) error {
	_, err := v.out.WriteString("recnum\tregister\ttype\tcontent\tdigests\tvalues\tevent\n")
	return err
}

func (v *tsvView) record(s *shown) error {
	_, err := fmt.Fprintf(v.out, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", s.number, s.Register, typeName(s.Record), s.worst(),
		digestList(s.Digests), digestList(s.values), eventText(s.Record, 0))
	return err
}

func (v *tsvView) end(*summary) error { return nil }

func digestList(digests []mrlog.Digest) string {
	var b []byte
	for _, d := range digests {
		if d.Sum == nil {
			continue
		}
		if b != nil {
			b = append(b, ',')
		}
		b = d.Append(b)
	}
	if b == nil {
		return "-"
	}
	return string(b)
}
