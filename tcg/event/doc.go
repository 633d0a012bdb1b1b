// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package event says what the data of measured events means: what a firmware,
// a boot loader, a kernel or an agent logged beside the digest, and how that
// data stands to the digest.
//
// [Decode] turns a record into an [Event], whose Data is a Go value of one of
// the types below, whose Text is a line for people and whose AppendJSON is an
// object for programs. It never fails: what is not understood is [Bytes], with
// a reason if its type promised more. [Measured] says which part of the data a
// digest is of; package verify compares.
//
// What an event says is the log's claim. The digest binds only the part that
// [Measured] names, and that only once it has been compared: the name of an
// EV_EFI_VARIABLE_BOOT event is not bound, nor is the "kernel_cmdline:" before
// a command line, nor the path of an image.
//
// # JSON
//
// An event is an object. Members may be added; none is removed, renamed or
// given another meaning. Every object has
//
//	kind         what the data is: the names below
//	undecodable  why the data could not be decoded, where its type is known
//	trailing     how many bytes follow the structure, where any do
//
// and, by kind,
//
//	data              data: hexadecimal
//	text              text; data: what follows it
//	separator         value: hexadecimal; error: whether it tells of one; text
//	version           text, or guid
//	nonhost-info      technology: number; name: "SEV-SNP" say
//	variable          guid, guid_name, name, size, and by its contents one of
//	                  value (0 or 1), signatures, signature, order, text, data,
//	                  or a load option: attributes, description, path, options
//	                  (text), option_data
//	image             address, size, link_time, path
//	blob              name, base, size
//	tables            name, tables: guid, name, address
//	gpt               disk, partitions: name, type, type_name, guid,
//	                  first_block, last_block, attributes
//	boot              what: "command", "kernel-cmdline", "module-cmdline",
//	                  "file", "shim", "section", "text" or "other"; text; utf16
//	td-shim           name, and by it svn, blocks, text or data
//	windows           id, name, and events, or by what the event is value, text,
//	                  version, address, algorithm, digest, data
//	tag               id, name, text or data
//	aael              domain, operation, content
//	spec-id           signature, version, errata, platform_class, uintn_size,
//	                  banks: bank, size; vendor
//	startup-locality  locality
//	reference         version, vendor_id, manifest, manufacturer, model,
//	                  platform_version, firmware_manufacturer,
//	                  firmware_manufacturer_id, firmware_version, locator_type,
//	                  locator, locator_data, certificate_locator_type,
//	                  certificate_locator_data
//	no-action         signature, data
//	device            version, spdm_hash, state, path, device_kind, pci_vendor,
//	                  pci_device, data
//	launch            number, name, value
//	runtime           version, name, payload: hexadecimal
//
// Events of Windows have the members of the kind, and nest up to four levels
// deep. A block has type; a resource besides resource, attributes, base and
// size; an extension guid, name and data; any other data. A signature has type ("x509", "sha256", …, or a GUID), owner, and data; a
// certificate instead of data has subject, issuer, serial, sha256 of the whole,
// and size. A path has text and nodes, an array of texts. Addresses and
// attributes of partitions are texts, "0x" and hexadecimal digits. GUIDs are in
// lower case.
package event
