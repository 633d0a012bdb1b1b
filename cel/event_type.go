// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"strconv"
	"strings"
)

// EventName returns the name of a TCG event type, EV_SEPARATOR say, and false
// for a type that has none (PC Client Platform Firmware Profile 1.06, tables of
// event types).
func EventName(event uint32) (string, bool) {
	switch event {
	case 0x00000000:
		return "EV_PREBOOT_CERT", true
	case 0x00000001:
		return "EV_POST_CODE", true
	case 0x00000002:
		return "EV_UNUSED", true
	case 0x00000003:
		return "EV_NO_ACTION", true
	case 0x00000004:
		return "EV_SEPARATOR", true
	case 0x00000005:
		return "EV_ACTION", true
	case 0x00000006:
		return "EV_EVENT_TAG", true
	case 0x00000007:
		return "EV_S_CRTM_CONTENTS", true
	case 0x00000008:
		return "EV_S_CRTM_VERSION", true
	case 0x00000009:
		return "EV_CPU_MICROCODE", true
	case 0x0000000A:
		return "EV_PLATFORM_CONFIG_FLAGS", true
	case 0x0000000B:
		return "EV_TABLE_OF_DEVICES", true
	case 0x0000000C:
		return "EV_COMPACT_HASH", true
	case 0x0000000D:
		return "EV_IPL", true
	case 0x0000000E:
		return "EV_IPL_PARTITION_DATA", true
	case 0x0000000F:
		return "EV_NONHOST_CODE", true
	case 0x00000010:
		return "EV_NONHOST_CONFIG", true
	case 0x00000011:
		return "EV_NONHOST_INFO", true
	case 0x00000012:
		return "EV_OMIT_BOOT_DEVICE_EVENTS", true
	case 0x00000013:
		return "EV_POST_CODE2", true
	case 0x80000000:
		return "EV_EFI_EVENT_BASE", true
	case 0x80000001:
		return "EV_EFI_VARIABLE_DRIVER_CONFIG", true
	case 0x80000002:
		return "EV_EFI_VARIABLE_BOOT", true
	case 0x80000003:
		return "EV_EFI_BOOT_SERVICES_APPLICATION", true
	case 0x80000004:
		return "EV_EFI_BOOT_SERVICES_DRIVER", true
	case 0x80000005:
		return "EV_EFI_RUNTIME_SERVICES_DRIVER", true
	case 0x80000006:
		return "EV_EFI_GPT_EVENT", true
	case 0x80000007:
		return "EV_EFI_ACTION", true
	case 0x80000008:
		return "EV_EFI_PLATFORM_FIRMWARE_BLOB", true
	case 0x80000009:
		return "EV_EFI_HANDOFF_TABLES", true
	case 0x8000000A:
		return "EV_EFI_PLATFORM_FIRMWARE_BLOB2", true
	case 0x8000000B:
		return "EV_EFI_HANDOFF_TABLES2", true
	case 0x8000000C:
		return "EV_EFI_VARIABLE_BOOT2", true
	case 0x8000000D:
		return "EV_EFI_GPT_EVENT2", true
	case 0x80000010:
		return "EV_EFI_HCRTM_EVENT", true
	case 0x800000E0:
		return "EV_EFI_VARIABLE_AUTHORITY", true
	case 0x800000E1:
		return "EV_EFI_SPDM_FIRMWARE_BLOB", true
	case 0x800000E2:
		return "EV_EFI_SPDM_FIRMWARE_CONFIG", true
	case 0x800000E3:
		return "EV_EFI_SPDM_DEVICE_POLICY", true
	case 0x800000E4:
		return "EV_EFI_SPDM_DEVICE_AUTHORITY", true
	}
	return "", false
}

// EventByName returns the TCG event type with the name that [EventName] gives,
// in upper or in lower case, or with the decimal number that stands for a type
// without a name.
func EventByName(name string) (uint32, bool) {
	if event, ok := eventByName(name); ok {
		return event, true
	}
	if name == "" {
		return 0, false
	}
	if c := name[0]; c >= '0' && c <= '9' {
		if c == '0' && len(name) > 1 {
			return 0, false // one number has one spelling
		}
		n, err := strconv.ParseUint(name, 10, 32)
		return uint32(n), err == nil
	}
	if upper := strings.ToUpper(name); strings.ToLower(name) == name {
		return eventByName(upper)
	}
	return 0, false
}

func eventByName(name string) (uint32, bool) {
	switch name {
	case "EV_PREBOOT_CERT":
		return 0x00000000, true
	case "EV_POST_CODE":
		return 0x00000001, true
	case "EV_UNUSED":
		return 0x00000002, true
	case "EV_NO_ACTION":
		return 0x00000003, true
	case "EV_SEPARATOR":
		return 0x00000004, true
	case "EV_ACTION":
		return 0x00000005, true
	case "EV_EVENT_TAG":
		return 0x00000006, true
	case "EV_S_CRTM_CONTENTS":
		return 0x00000007, true
	case "EV_S_CRTM_VERSION":
		return 0x00000008, true
	case "EV_CPU_MICROCODE":
		return 0x00000009, true
	case "EV_PLATFORM_CONFIG_FLAGS":
		return 0x0000000A, true
	case "EV_TABLE_OF_DEVICES":
		return 0x0000000B, true
	case "EV_COMPACT_HASH":
		return 0x0000000C, true
	case "EV_IPL":
		return 0x0000000D, true
	case "EV_IPL_PARTITION_DATA":
		return 0x0000000E, true
	case "EV_NONHOST_CODE":
		return 0x0000000F, true
	case "EV_NONHOST_CONFIG":
		return 0x00000010, true
	case "EV_NONHOST_INFO":
		return 0x00000011, true
	case "EV_OMIT_BOOT_DEVICE_EVENTS":
		return 0x00000012, true
	case "EV_POST_CODE2":
		return 0x00000013, true
	case "EV_EFI_EVENT_BASE":
		return 0x80000000, true
	case "EV_EFI_VARIABLE_DRIVER_CONFIG":
		return 0x80000001, true
	case "EV_EFI_VARIABLE_BOOT":
		return 0x80000002, true
	case "EV_EFI_BOOT_SERVICES_APPLICATION":
		return 0x80000003, true
	case "EV_EFI_BOOT_SERVICES_DRIVER":
		return 0x80000004, true
	case "EV_EFI_RUNTIME_SERVICES_DRIVER":
		return 0x80000005, true
	case "EV_EFI_GPT_EVENT":
		return 0x80000006, true
	case "EV_EFI_ACTION":
		return 0x80000007, true
	case "EV_EFI_PLATFORM_FIRMWARE_BLOB":
		return 0x80000008, true
	case "EV_EFI_HANDOFF_TABLES":
		return 0x80000009, true
	case "EV_EFI_PLATFORM_FIRMWARE_BLOB2":
		return 0x8000000A, true
	case "EV_EFI_HANDOFF_TABLES2":
		return 0x8000000B, true
	case "EV_EFI_VARIABLE_BOOT2":
		return 0x8000000C, true
	case "EV_EFI_GPT_EVENT2":
		return 0x8000000D, true
	case "EV_EFI_HCRTM_EVENT":
		return 0x80000010, true
	case "EV_EFI_VARIABLE_AUTHORITY":
		return 0x800000E0, true
	case "EV_EFI_SPDM_FIRMWARE_BLOB":
		return 0x800000E1, true
	case "EV_EFI_SPDM_FIRMWARE_CONFIG":
		return 0x800000E2, true
	case "EV_EFI_SPDM_DEVICE_POLICY":
		return 0x800000E3, true
	case "EV_EFI_SPDM_DEVICE_AUTHORITY":
		return 0x800000E4, true
	}
	return 0, false
}
