// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package mrlog

import "bytes"

// Types of TCG events that mean something to a replay or a writer (PC Client
// Platform Firmware Profile 1.06, section 10.4.1).
const (
	EventNoAction uint32 = 0x00000003 // logged and never extended
	EventAction   uint32 = 0x00000005 // text that was measured as it stands
	EventTag      uint32 = 0x00000006 // an id, a size and data of the producer's
	EventHCRTM    uint32 = 0x80000010 // hashed before the TPM was started
)

// localitySignature opens the data of the EV_NO_ACTION event that tells from
// where the TPM was started (PFP 1.06, section 10.4.5.3).
const localitySignature = "StartupLocality\x00"

// localityHCRTM is the locality that PCR 0 starts with if it holds an H-CRTM
// (TPM 2.0 Library, part 1, section H-CRTM).
const localityHCRTM = 4

// IsLaunch reports whether the record is an event of a dynamic launch (D-RTM),
// which clears PCR 17 to 22 before anything is extended into them: one of Intel
// TXT (types 0x400 to 0x4FF, Intel TXT Software Development Guide, appendix
// "Event types"), of Linux's secure launch (0x500 to 0x5FF), or of Google's
// machines (0x10000000).
func (r *Record) IsLaunch() bool {
	if r.NotExtended || r.Type != TypePCClient || r.Form != FormRaw || !r.Register.dynamic() {
		return false
	}
	return r.Event >= 0x400 && r.Event < 0x600 || r.Event == 0x10000000
}

// IsStartupLocality reports whether the record is a StartupLocality event, well
// formed or not.
func (r *Record) IsStartupLocality() bool {
	return r.NotExtended && r.Event == EventNoAction && r.Type == TypePCClient && r.Form == FormRaw &&
		bytes.HasPrefix(r.Content, []byte(localitySignature))
}

// StartupLocality returns the locality that a StartupLocality event states, and
// false if it is not well formed or states none that a TPM starts in: 0, 3 or,
// with an H-CRTM, 4.
func (r *Record) StartupLocality() (byte, bool) {
	if !r.IsStartupLocality() || len(r.Content) != len(localitySignature)+1 {
		return 0, false
	}
	l := r.Content[len(localitySignature)]
	return l, l == 0 || l == 3 || l == localityHCRTM
}
