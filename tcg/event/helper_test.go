// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"mrlog.dev"
	"mrlog.dev/internal/eventdata"
)

// Short names: the tables are full of them.
const (
	global   = eventdata.Global
	security = eventdata.Security
	shim     = eventdata.Shim
	x509     = eventdata.X509
	sha256ID = eventdata.SHA256
	owner    = eventdata.Owner
)

type wide = eventdata.Wide

var (
	bytesOf  = eventdata.Bytes
	guid     = eventdata.GUID
	variable = eventdata.Variable
	list     = eventdata.List
	der      = eventdata.DER
	rdn      = eventdata.RDN
	node     = eventdata.Node
	path     = eventdata.Path
	image    = eventdata.Image
	option   = eventdata.Option
	sipa     = eventdata.Windows
	config   = eventdata.Config
	hob      = eventdata.HOB

	pciRoot = eventdata.PCIRoot()
	pci     = eventdata.PCI()
	disk    = eventdata.Disk()
	file    = eventdata.File(`\EFI\BOOT\BOOTX64.EFI`)
)

// certificate has names in both kinds of string.
func certificate(cn string) []byte {
	return eventdata.Certificate(
		der(0x30, rdn("550406", "DE", 0x13), rdn("55040a", "Root, Inc.", 0x0C)),
		der(0x30, rdn("550406", "DE", 0x13), rdn("55040a", "Test Ltd", 0x0C), rdn("550403", cn, 0x0C)),
	)
}

func record(event uint32, data []byte) *mrlog.Record {
	return &mrlog.Record{Type: mrlog.TypePCClient, Event: event, Content: data, NotExtended: event == mrlog.EventNoAction}
}
