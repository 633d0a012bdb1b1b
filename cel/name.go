// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"fmt"
	"strconv"
	"strings"

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

// typeNames are those of CEL 1.1, and CC-CEL, which stands first because it is
// looked for most.
var typeNames = names[mrlog.ContentType]{
	{mrlog.TypeCCCEL, "CC-CEL"},
	{mrlog.TypeCEL, "cel"},
	{mrlog.TypePCClient, "pcclient_std"},
	{mrlog.TypeIMATemplate, "ima_template"},
	{mrlog.TypeIMATLV, "ima_tlv"},
	{mrlog.TypeSystemd, "systemd"},
}

// TypeName returns the name that CEL-JSON gives a content type, and false for
// a type that has no registered name. CC-CEL is not registered either; it is
// the name that converters of native logs write.
func TypeName(t mrlog.ContentType) (string, bool) { return typeNames.of(t) }

// describeType names a record's content type for an error.
func describeType(r *mrlog.Record) string {
	if r.Type == mrlog.TypeNamed {
		return fmt.Sprintf("type %.40q", r.Name)
	}
	if name, ok := TypeName(r.Type); ok {
		return fmt.Sprintf("type %s (%d)", name, r.Type)
	}
	return fmt.Sprintf("type %d", r.Type)
}

// TypeByName returns the content type with exactly the name that [TypeName]
// gives.
func TypeByName(name string) (mrlog.ContentType, bool) { return typeNames.number(name) }

// eventNames are those of the PC Client Platform Firmware Profile 1.06, tables
// of event types.
var eventNames = names[uint32]{
	{0x00000000, "EV_PREBOOT_CERT"},
	{0x00000001, "EV_POST_CODE"},
	{0x00000002, "EV_UNUSED"},
	{0x00000003, "EV_NO_ACTION"},
	{0x00000004, "EV_SEPARATOR"},
	{0x00000005, "EV_ACTION"},
	{0x00000006, "EV_EVENT_TAG"},
	{0x00000007, "EV_S_CRTM_CONTENTS"},
	{0x00000008, "EV_S_CRTM_VERSION"},
	{0x00000009, "EV_CPU_MICROCODE"},
	{0x0000000A, "EV_PLATFORM_CONFIG_FLAGS"},
	{0x0000000B, "EV_TABLE_OF_DEVICES"},
	{0x0000000C, "EV_COMPACT_HASH"},
	{0x0000000D, "EV_IPL"},
	{0x0000000E, "EV_IPL_PARTITION_DATA"},
	{0x0000000F, "EV_NONHOST_CODE"},
	{0x00000010, "EV_NONHOST_CONFIG"},
	{0x00000011, "EV_NONHOST_INFO"},
	{0x00000012, "EV_OMIT_BOOT_DEVICE_EVENTS"},
	{0x00000013, "EV_POST_CODE2"},
	{0x80000000, "EV_EFI_EVENT_BASE"},
	{0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
	{0x80000002, "EV_EFI_VARIABLE_BOOT"},
	{0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"},
	{0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
	{0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
	{0x80000006, "EV_EFI_GPT_EVENT"},
	{0x80000007, "EV_EFI_ACTION"},
	{0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
	{0x80000009, "EV_EFI_HANDOFF_TABLES"},
	{0x8000000A, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
	{0x8000000B, "EV_EFI_HANDOFF_TABLES2"},
	{0x8000000C, "EV_EFI_VARIABLE_BOOT2"},
	{0x8000000D, "EV_EFI_GPT_EVENT2"},
	{0x80000010, "EV_EFI_HCRTM_EVENT"},
	{0x800000E0, "EV_EFI_VARIABLE_AUTHORITY"},
	{0x800000E1, "EV_EFI_SPDM_FIRMWARE_BLOB"},
	{0x800000E2, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
	{0x800000E3, "EV_EFI_SPDM_DEVICE_POLICY"},
	{0x800000E4, "EV_EFI_SPDM_DEVICE_AUTHORITY"},
}

// EventName returns the name of a TCG event type, EV_SEPARATOR say, and false
// for a type that has none.
func EventName(event uint32) (string, bool) { return eventNames.of(event) }

// EventByName returns the TCG event type with the name that [EventName] gives,
// in upper or in lower case, or with the decimal number that stands for a type
// without a name.
func EventByName(name string) (uint32, bool) {
	if event, ok := eventNames.number(name); ok || name == "" {
		return event, ok
	}
	if c := name[0]; c >= '0' && c <= '9' {
		if c == '0' && len(name) > 1 {
			return 0, false // one number has one spelling
		}
		n, err := strconv.ParseUint(name, 10, 32)
		return uint32(n), err == nil
	}
	if strings.ToLower(name) != name {
		return 0, false
	}
	return eventNames.number(strings.ToUpper(name))
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
