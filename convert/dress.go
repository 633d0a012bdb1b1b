// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"

	"mrlog.dev"
)

// A reader of this package may stand before another one, to do something to its
// records. Unwrap gives that one.
type unwrapper interface{ Unwrap() mrlog.Reader }

// as returns the first of r and the readers behind it that is a T.
func as[T any](r mrlog.Reader) (T, bool) {
	for {
		if t, ok := r.(T); ok {
			return t, true
		}
		u, ok := r.(unwrapper)
		if !ok {
			var none T
			return none, false
		}
		r = u.Unwrap()
	}
}

// dressed is a reader under the name that its format has here, and what was
// unwrapped from around it.
type dressed struct {
	mrlog.Reader
	kind Kind
}

// dressedHasher is dressed for a reader that computes digests.
type dressedHasher struct {
	dressed
	hasher mrlog.Hasher
}

// dress names a reader's format as this package does.
func dress(r mrlog.Reader, k Kind) mrlog.Reader {
	if r.Header().Format == k.Format && k.Wrapping == NoWrapping && !k.BOM && k.Member == "" {
		return r
	}
	d := dressed{r, k}
	if h, ok := r.(mrlog.Hasher); ok {
		return &dressedHasher{d, h}
	}
	return &d
}

// Unwrap returns the reader behind it.
func (d *dressed) Unwrap() mrlog.Reader { return d.Reader }

// Header implements [mrlog.Reader].
func (d *dressed) Header() mrlog.Header {
	h := d.Reader.Header()
	h.Format = d.kind.Format
	return h
}

// Read implements [mrlog.Reader].
func (d *dressed) Read(b *mrlog.Batch) error { return d.name(d.Reader.Read(b)) }

// Scan implements [mrlog.Hasher].
func (d *dressedHasher) Scan(b *mrlog.Batch) error { return d.name(d.hasher.Scan(b)) }

// Hash implements [mrlog.Hasher].
func (d *dressedHasher) Hash(records []mrlog.Record) { d.hasher.Hash(records) }

// name gives an error about the log the format's name, and says what its
// offset is in.
func (d *dressed) name(err error) error {
	var s *mrlog.SyntaxError
	if err == nil || !errors.As(err, &s) || s.Format == string(d.kind.Wrapping) {
		return err
	}
	c := *s
	c.Format = d.kind.Format
	if d.kind.Member != "" {
		c.Format += " in " + d.kind.Member
	}
	if d.kind.Wrapping != NoWrapping {
		c.Format += " unwrapped from " + string(d.kind.Wrapping)
	}
	return &c
}

// Wrapped returns what a log was unwrapped from.
func Wrapped(r mrlog.Reader) Kind {
	for {
		switch d := r.(type) {
		case *dressed:
			return d.kind
		case *dressedHasher:
			return d.kind
		case unwrapper:
			r = d.Unwrap()
		default:
			return Kind{Format: r.Header().Format}
		}
	}
}
