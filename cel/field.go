// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

// Numbers of the record's fields: TLV types and CBOR map keys (CEL 1.1, table
// of TLV types).
const (
	fieldNumber      = 0
	fieldPCR         = 1
	fieldNV          = 2
	fieldDigests     = 3
	fieldContentType = 9   // CBOR map key only
	fieldContent     = 10  // CBOR map key only
	fieldCCMR        = 108 // TLV only; go-eventlog's, not registered
)

// spaceField is our extension key of the JSON and CBOR record. Its value is
// the name of the register's space where the plain index would be read in
// another one; see spaceKey.
const spaceField = "space"
