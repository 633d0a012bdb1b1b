// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
	"mrlog.dev/aael"
	"mrlog.dev/cel"
	"mrlog.dev/container"
	"mrlog.dev/dstack"
	"mrlog.dev/ima"
	"mrlog.dev/nelr"
	"mrlog.dev/tcg"
)

// Source says how a log is to be read. The zero value reads what the log says
// of itself.
type Source struct {
	Format string // by name; "" to detect it

	// Space overrides the space of registers that the log gives by a plain
	// number.
	Space mrlog.Space

	// Index is the number of a native log's register, in place of its hint, or
	// of an older log of CoCo's attestation agent.
	// A plain number up to 3 is an RTMR, else a PCR, unless Space says
	// otherwise. The other formats name the register in every record: there
	// it is an error.
	Index    uint32
	HasIndex bool
	// IndexIfNative makes it count for native logs and be nothing for others:
	// of several logs, it is for those that need it.
	IndexIfNative bool

	// IgnoreTorn reads a log of lines as if its torn last line were not there,
	// and a log of TCG records as if what follows its end, and is no padding,
	// were none of it: [Torn] and [Trailing] tell.
	IgnoreTorn bool

	// Banks and Padded are further banks of an IMA list, whose digests are
	// computed, and with Part only where they can be: see [ima.Options].
	Banks, Padded []mrlog.Alg
	Part          bool
}

// ErrSpace says that the indexes of a log cannot be in the space that was
// stated.
var ErrSpace = errors.New("the log's indexes cannot be in that space")

// ErrIndex says that a register was stated for a log that names its own in
// every record.
var ErrIndex = errors.New("a register's number is for native logs")

// Open returns a Reader of the log in r, in the format that is stated or
// detected, unwrapped if it is in gzip, base64 or hexadecimal: [Wrapped] tells.
// The places of records and of errors are then those in the unwrapped log. Of
// evidence that holds several logs it is all of them, see [OpenAll]. It reads r
// in blocks, so put no buffer between.
func Open(r io.Reader, s Source) (mrlog.Reader, error) {
	logs, err := OpenAll(r, s)
	switch {
	case err != nil:
		return nil, err
	case len(logs) == 1:
		return logs[0].Reader, nil
	}
	return Join(logs), nil
}

// OpenAll is Open for what can hold several logs: it returns each, named by the
// member that it stood in. What evidence holds is kept in memory, see package
// container; any other input is one log without a name.
func OpenAll(r io.Reader, s Source) ([]Input, error) {
	start := make([]byte, DetectSize)
	n, err := io.ReadFull(r, start)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	start = start[:n]
	if err != nil && err != io.EOF && s.Format == "" {
		return nil, err
	}
	k, err2 := s.kind(start)
	if err2 != nil {
		return nil, err2
	}
	if s.HasIndex && !s.IndexIfNative && k.Format != NELR && k.Format != AAELText {
		return nil, fmt.Errorf("%w: the records of a %s log name their registers", ErrIndex, k.Format)
	}
	src := io.Reader(&prefixed{start: start, rest: r, err: err})
	switch k.Wrapping {
	case Gzip:
		src = &unzipper{src: counted{r: src}}
	case Hex, Base64:
		src = &decoder{src: src, wrapping: k.Wrapping}
	}
	if k.BOM {
		src = &skipped{r: src, n: len(bom)}
	}
	if k.Open && s.Format == "" {
		if k, src, err = k.settle(src); err != nil {
			return nil, err
		}
	}
	k.Open = false
	if k.Format == Evidence {
		return evidence(src, k, s)
	}
	log, err := decode(src, k.Format, s)
	if err != nil {
		return nil, err
	}
	return []Input{{Reader: dress(log, k)}}, nil
}

// evidence opens the logs that stand in JSON.
func evidence(r io.Reader, k Kind, s Source) ([]Input, error) {
	logs, err := container.Open(r, container.Options{})
	if err != nil {
		return nil, (&dressed{kind: k}).name(err)
	}
	var out []Input
	for _, l := range logs {
		inner := k
		inner.Member, inner.First = l.Name, l.First
		if inner.Format, err = Canonical(l.Format); err != nil {
			return nil, err
		}
		log, err := decode(bytes.NewReader(l.Bytes), inner.Format, s)
		if err != nil {
			return nil, err
		}
		out = append(out, Input{Name: l.Name, Reader: dress(log, inner)})
	}
	return out, nil
}

// kind tells what the input is, of which start is the beginning.
func (s *Source) kind(start []byte) (Kind, error) {
	if s.Format == "" {
		k, err := Sniff(start)
		return k, undetected(err)
	}
	k := Kind{}
	var err error
	if k.Format, err = Canonical(s.Format); err != nil {
		return k, err
	}
	if len(start) == 0 {
		return k, nil
	}
	// Nothing begins like gzip; text is unwrapped if the format is in it.
	if sniffed, err := Sniff(start); isGzip(start) {
		k.Wrapping, k.BOM = Gzip, sniffed.BOM
	} else if err == nil && sniffed.Wrapping != NoWrapping && sniffed.Format == k.Format {
		k = sniffed
	} else if bytes.HasPrefix(start, []byte(bom)) {
		k.BOM = true
	}
	return k, nil
}

// undetected is an error of detection: the input is at fault.
func undetected(err error) error {
	if err == nil {
		return nil
	}
	return &mrlog.SyntaxError{Format: "detection", Record: -1, Err: err}
}

// decode opens what is unwrapped.
func decode(r io.Reader, format string, s Source) (mrlog.Reader, error) {
	o := cel.Options{Space: s.Space}
	switch format {
	case NELR:
		return native(r, s), nil
	case CELJSON:
		return cel.NewJSONReader(r, o), nil
	case CELSeq:
		return cel.NewSeqReader(r, o), nil
	case CELCBOR:
		return cel.NewCBORReader(r, o), nil
	case CELTLV:
		return cel.NewTLVReader(r, o), nil
	case TCG2, AAEL:
		if s.Space == mrlog.RTMR {
			return nil, fmt.Errorf("%w: the indexes of a %s log are those of pcr or ccmr, not %s", ErrSpace, format, s.Space)
		}
		return tcg.NewReader(r, tcg.Options{Space: s.Space, Bare: format == AAEL, IgnoreTrailing: s.IgnoreTorn}), nil
	case IMA, IMAASCII:
		o := ima.Options{Space: s.Space, Banks: s.Banks, Padded: s.Padded, Part: s.Part}
		if format == IMA {
			return ima.NewBinaryReader(r, o), nil
		}
		return ima.NewASCIIReader(r, o), nil
	case AAELText:
		o := aael.Options{Space: s.Space, IgnoreTorn: s.IgnoreTorn}
		if s.HasIndex {
			o.Register = mrlog.Register{Space: s.Space, Index: s.Index}
			if s.Space == mrlog.NoSpace {
				o.Register.Space = plainSpace(s.Index)
			}
		}
		return aael.NewTextReader(r, o), nil
	case Claims, Intel:
		o := container.ReaderOptions{Space: s.Space}
		if format == Claims {
			return container.NewClaimsReader(r, o), nil
		}
		return container.NewIntelReader(r, o), nil
	case Dstack:
		return dstack.NewReader(r, dstack.Options{Space: s.Space, IgnoreTorn: s.IgnoreTorn}), nil
	}
	_, err := lookup(format)
	return nil, err
}

// prefixed gives back what detection has read. Unlike an io.MultiReader it
// fills a read from both, so that a reader's first block is a whole one.
type prefixed struct {
	start []byte
	rest  io.Reader
	err   error // of rest, that came behind the start
}

func (p *prefixed) Read(b []byte) (int, error) {
	n := copy(b, p.start)
	p.start = p.start[n:]
	if n == len(b) || len(p.start) > 0 {
		return n, nil
	}
	if p.err != nil {
		return n, p.err
	}
	m, err := p.rest.Read(b[n:])
	return n + m, err
}

// skipped leaves out the first bytes.
type skipped struct {
	r io.Reader
	n int
}

func (s *skipped) Read(b []byte) (int, error) {
	for s.n > 0 {
		n, err := s.r.Read(b[:min(s.n, len(b))])
		s.n -= n
		if err != nil {
			return 0, err
		}
	}
	return s.r.Read(b)
}

// native opens a native log with the register that the source states.
func native(r io.Reader, s Source) mrlog.Reader {
	o := nelr.Options{IgnoreTorn: s.IgnoreTorn}
	switch {
	case s.HasIndex:
		o.Register = mrlog.Register{Space: s.Space, Index: s.Index}
		if s.Space == mrlog.NoSpace {
			o.Register.Space = plainSpace(s.Index)
			o.SpaceAssumed = o.Register.Space == mrlog.RTMR
		}
	case s.Space != mrlog.NoSpace:
		o.Default = mrlog.Register{Space: s.Space, Index: nelr.DefaultRegister().Index}
	}
	return nelr.NewReader(r, o)
}

// plainSpace is the space of a plain number in a record of a native log: PCR 0
// to 3 are the firmware's and never have one.
func plainSpace(index uint32) mrlog.Space {
	if index <= 3 {
		return mrlog.RTMR
	}
	return mrlog.PCR
}

// Torn returns the place of a torn last line that was left out of a native
// log, as Source.IgnoreTorn asked.
func Torn(r mrlog.Reader) (mrlog.Span, bool) {
	if t, ok := as[interface{ Torn() (mrlog.Span, bool) }](r); ok {
		return t.Torn()
	}
	return mrlog.Span{}, false
}

// Trailing returns where the log of TCG records ended, and how many bytes behind
// its padding were left out as Source.IgnoreTorn asked. It is known once all
// records have been read.
func Trailing(r mrlog.Reader) (offset, n int64) {
	if t, ok := as[interface{ End() tcg.End }](r); ok {
		end := t.End()
		return end.Offset, end.Other
	}
	return 0, 0
}

// StatedMR returns the final value that an envelope states for its log. It is
// a claim of the file, known once all records have been read.
func StatedMR(r mrlog.Reader) (string, bool) {
	if e, ok := as[interface{ MR() (string, bool) }](r); ok {
		return e.MR()
	}
	return "", false
}

// CheckMR compares the final value that an envelope states, if it does, with
// the replay of its records.
func CheckMR(r mrlog.Reader, replay *mrlog.Replay) error {
	stated, ok := StatedMR(r)
	if !ok {
		return nil
	}
	banks := replay.Banks()
	for _, b := range banks {
		if v, err := mrlog.ParseHex(stated, b.Alg); err == nil && bytes.Equal(v, b.Value) {
			return nil
		}
	}
	if len(banks) == 1 {
		return fmt.Errorf("envelope states mr %.160q, its records replay to %x", stated, banks[0].Value)
	}
	return fmt.Errorf("envelope states mr %.160q, its records replay to other values", stated)
}
