// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsmfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Operation is what can fail or be slow.
type Operation int

// The operations.
const (
	Extend Operation = iota // write to a register
	Read                    // read of an attribute
	Report                  // ioctl for a TDREPORT

	operations
)

// String returns the word that the control file uses.
func (o Operation) String() string {
	switch o {
	case Extend:
		return "extend"
	case Read:
		return "read"
	case Report:
		return "report"
	}
	return "operation" + strconv.Itoa(int(o))
}

func parseOperation(s string) (Operation, bool) {
	for o := range operations {
		if o.String() == s {
			return o, true
		}
	}
	return 0, false
}

// Fault is an operation that is to fail.
type Fault struct {
	Operation Operation
	Register  string        // only on this one, by its name without the hash; "" is any
	Every     int           // each so manieth call; 0 and 1 are every one
	Times     int           // so often, then no more; 0 is without end
	Errno     syscall.Errno // the answer; 0 is one byte less than all
	After     bool          // with the operation done, which then fails

	seen, struck int
}

// errnos are the errors that can be asked for by name.
var errnos = map[string]syscall.Errno{
	"EIO": syscall.EIO, "EBUSY": syscall.EBUSY, "EINTR": syscall.EINTR, "ENXIO": syscall.ENXIO,
	"EINVAL": syscall.EINVAL, "ENOMEM": syscall.ENOMEM, "short": 0,
}

// check refuses a fault that the kernel promises not to have, or that means
// nothing.
func (f *Fault) check() error {
	switch {
	case f.Operation < 0 || f.Operation >= operations:
		return fmt.Errorf("unknown %s", f.Operation)
	case f.Every < 0 || f.Times < 0:
		return fmt.Errorf("negative count")
	case f.After && f.Operation != Extend:
		return fmt.Errorf("%s has no effect, so that nothing can fail after it", f.Operation)
	case f.After && (f.Errno == syscall.EBUSY || f.Errno == syscall.EINTR || f.Errno == syscall.EINVAL):
		return fmt.Errorf("the kernel gives %s only before it has done anything", f.word())
	case f.Errno == 0 && f.Operation == Report:
		return fmt.Errorf("an ioctl cannot be short")
	}
	return nil
}

// strikes counts a call, and says whether it is to fail.
func (f *Fault) strikes(op Operation, r *register) bool {
	if f.Operation != op || f.Register != "" && (r == nil || r.base() != f.Register) {
		return false
	}
	f.seen++
	if f.Times > 0 && f.struck >= f.Times || f.Every > 1 && f.seen%f.Every != 0 {
		return false
	}
	f.struck++
	return true
}

// answer is what the caller gets instead of n.
func (f *Fault) answer(n int) (int, syscall.Errno) {
	if f.Errno == 0 {
		return n - 1, 0
	}
	return 0, f.Errno
}

func (f *Fault) word() string {
	for word, e := range errnos {
		if e == f.Errno {
			return word
		}
	}
	return strconv.Itoa(int(f.Errno))
}

// String returns the line that sets the fault.
func (f *Fault) String() string {
	s := "fail " + f.Operation.String()
	if f.Register != "" {
		s += " on " + f.Register
	}
	if f.Every > 1 {
		s += " every " + strconv.Itoa(f.Every)
	}
	if f.Times > 0 {
		s += " times " + strconv.Itoa(f.Times)
	}
	s += " " + f.word()
	if f.After {
		return s + " after"
	}
	return s + " before"
}

// parseFault reads the words after "fail".
func parseFault(words []string) (*Fault, error) {
	f := &Fault{}
	has := false
	for len(words) > 0 {
		word, rest := words[0], words[1:]
		op, isOp := parseOperation(word)
		errno, isErrno := errnos[word]
		switch {
		case isOp:
			f.Operation = op
		case isErrno && !has:
			f.Errno, has = errno, true
		case word == "before":
			f.After = false
		case word == "after":
			f.After = true
		case word == "on" && len(rest) > 0:
			f.Register, rest = rest[0], rest[1:]
		case (word == "every" || word == "times") && len(rest) > 0:
			n, err := strconv.Atoi(rest[0])
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%s %.20q: not a count", word, rest[0])
			}
			if word == "every" {
				f.Every = n
			} else {
				f.Times = n
			}
			rest = rest[1:]
		default:
			return nil, fmt.Errorf("unexpected %.20q in a fault", word)
		}
		words = rest
	}
	if !has {
		known := make([]string, 0, len(errnos))
		for name := range errnos {
			known = append(known, name)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("a fault needs an error: %s", strings.Join(known, ", "))
	}
	return f, f.check()
}
