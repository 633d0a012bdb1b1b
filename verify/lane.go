// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"

	"mrlog.dev"
)

// lane is the records of one register, in all logs. What nobody measures, the
// numbers and the types of the records, must at least make sense from one to
// the next: whoever changes them changes how the records are read. A native log
// that is cut into two files is held to the same as in one.
type lane struct {
	register mrlog.Register
	native   bool // an INIT has been seen: lines of a native log follow
	numbered bool
	number   uint64 // of the last record that has one

	log  int  // the one at hand
	open bool // a record of it was extended

	progress // in what is compared
}

// next says what is wrong with a record after those before it, "" if nothing.
func (l *lane) next(rec *mrlog.Record, log int) string {
	if l.log != log {
		l.log, l.open = log, false
		if !l.native {
			l.numbered = false // another log has numbers of its own
		}
	}
	begins, init := !l.open, rec.IsInit()
	switch {
	case !rec.NotExtended:
		l.open = true
	case begins && l.native:
		return "" // a header, before INIT
	}
	if init {
		l.native = true
		if begins {
			l.numbered = false
		}
	} else if l.native && (rec.Type != mrlog.TypeCCCEL || rec.Form != mrlog.FormRaw) {
		return "record is no line of a native log, and stands in one: what was measured cannot be told from it"
	}
	if !rec.HasNumber {
		return ""
	}
	last, first := l.number, !l.numbered
	l.number, l.numbered = rec.Number, true
	switch {
	case first:
		return ""
	case init && (rec.Number == 0 || rec.Number > last): // a native log has numbers of its own, or goes on
		return ""
	case l.native && begins && rec.Number != last+1:
		return fmt.Sprintf("number %d does not follow %d in the log before: without an INIT, a native log does not begin anew", rec.Number, last)
	case rec.Number <= last:
		return fmt.Sprintf("number %d does not follow %d: the numbers of a register's records rise", rec.Number, last)
	case l.native && rec.Number != last+1:
		return fmt.Sprintf("number %d does not follow %d: a native log counts without gaps", rec.Number, last)
	}
	return ""
}
