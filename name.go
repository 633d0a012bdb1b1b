// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import (
	"strconv"
	"strings"
)

// typeNames are those of CEL 1.1, and CC-CEL, which stands first because it is
// looked for most.
var typeNames = []struct {
	number ContentType
	name   string
}{
	{TypeCCCEL, "CC-CEL"},
	{TypeCEL, "cel"},
	{TypePCClient, "pcclient_std"},
	{TypeIMATemplate, "ima_template"},
	{TypeIMATLV, "ima_tlv"},
	{TypeSystemd, "systemd"},
}

// TypeName returns the name that the canonical event log gives a content type,
// and false for a type that has no registered name. CC-CEL is not registered
// either; it is the name that converters of native logs write.
func TypeName(t ContentType) (string, bool) {
	for i := range typeNames {
		if typeNames[i].number == t {
			return typeNames[i].name, true
		}
	}
	return "", false
}

// String returns the name that [TypeName] gives, or else the number.
func (t ContentType) String() string {
	if name, ok := TypeName(t); ok {
		return name
	}
	return strconv.FormatUint(uint64(t), 10)
}

// TypeByName returns the content type with exactly the name that [TypeName]
// gives.
func TypeByName(name string) (ContentType, bool) {
	for i := range typeNames {
		if typeNames[i].name == name {
			return typeNames[i].number, true
		}
	}
	return 0, false
}

// eventNames are those of the PC Client Platform Firmware Profile 1.06, tables
// of event types.
var eventNames = []struct {
	event uint32
	name  string
}{
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
func EventName(event uint32) (string, bool) {
	for i := range eventNames {
		if eventNames[i].event == event {
			return eventNames[i].name, true
		}
	}
	return "", false
}

// EventByName returns the TCG event type with the name that [EventName] gives,
// in upper or in lower case, or with the decimal number that stands for a type
// without a name.
func EventByName(name string) (uint32, bool) {
	if event, ok := eventByName(name); ok || name == "" {
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
	return eventByName(strings.ToUpper(name))
}

func eventByName(name string) (uint32, bool) {
	for i := range eventNames {
		if eventNames[i].name == name {
			return eventNames[i].event, true
		}
	}
	return 0, false
}
