// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"

	"mrlog.dev"
)

// names is a table of what CEL-JSON writes as a name and other encodings as a
// number. The tables are short, so that looking from the start is as fast as
// anything.
type names[T comparable] []struct {
	number T
	name   string
}

// of returns the name of a number, and false if it has none.
func (n names[T]) of(number T) (string, bool) {
	for i := range n {
		if n[i].number == number {
			return n[i].name, true
		}
	}
	return "", false
}

// number returns the number with exactly this name.
func (n names[T]) number(name string) (number T, ok bool) {
	for i := range n {
		if n[i].name == name {
			return n[i].number, true
		}
	}
	return number, false
}

// describeType names a record's content type for an error.
func describeType(r *mrlog.Record) string {
	if r.Type == mrlog.TypeNamed {
		return fmt.Sprintf("type %.40q", r.Name)
	}
	if name, ok := mrlog.TypeName(r.Type); ok {
		return fmt.Sprintf("type %s (%d)", name, r.Type)
	}
	return fmt.Sprintf("type %d", r.Type)
}

// managementNames are those of CEL 1.1, content cel.
var managementNames = names[ManagementType]{
	{CELVersion, "cel_version"},
	{FirmwareEnd, "firmware_end"},
	{Timestamp, "cel_timestamp"},
	{StateTrans, "state_trans"},
}

// String returns the name that CEL-JSON gives the event, "cel_version" say, or
// "" for an unknown one.
func (t ManagementType) String() string {
	name, _ := managementNames.of(t)
	return name
}

// ManagementTypeByName returns the event with exactly the name that String
// gives.
func ManagementTypeByName(name string) (ManagementType, bool) { return managementNames.number(name) }

// stateNames are those of CEL 1.1, event state_trans.
var stateNames = names[uint64]{
	{StateSuspend, "suspend"},
	{StateHibernate, "hibernate"},
	{StateKexec, "kexec"},
}

// StateName returns the name of a StateTrans value, "kexec" say, and false for
// a value that has none.
func StateName(v uint64) (string, bool) { return stateNames.of(v) }

// StateByName returns the value of a StateTrans event with exactly the name
// that [StateName] gives.
func StateByName(name string) (uint64, bool) { return stateNames.number(name) }
