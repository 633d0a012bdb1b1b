// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"strings"
)

// messagingNode writes the nodes of buses and networks.
func messagingNode(n Node, r *reader) string {
	switch n.Subtype {
	case 1:
		controller, drive := "Primary", "Master"
		if r.u8() != 0 {
			controller = "Secondary"
		}
		if r.u8() != 0 {
			drive = "Slave"
		}
		return fmt.Sprintf("Ata(%s,%s,0x%x)", controller, drive, r.u16())
	case 2:
		return fmt.Sprintf("Scsi(0x%x,0x%x)", r.u16(), r.u16())
	case 3:
		r.u32()
		return fmt.Sprintf("Fibre(0x%x,0x%x)", r.u64(), r.u64())
	case 4:
		r.u32()
		return fmt.Sprintf("I1394(%016x)", r.u64())
	case 5:
		return fmt.Sprintf("USB(0x%x,0x%x)", r.u8(), r.u8())
	case 6:
		return fmt.Sprintf("I2O(0x%x)", r.u32())
	case 9:
		flags, gid := r.u32(), r.guid()
		return fmt.Sprintf("Infiniband(0x%x,%s,0x%x,0x%x,0x%x)", flags, gid.upper(), r.u64(), r.u64(), r.u64())
	case 10:
		return vendorNode("VenMsg", r)
	case 11:
		address, kind := r.take(32), r.u8()
		if kind <= 1 && address != nil { // Ethernet
			address = address[:6]
		}
		return fmt.Sprintf("MAC(%x,0x%x)", address, kind)
	case 12:
		return ipv4Node(r)
	case 13:
		return ipv6Node(r)
	case 14:
		return uartNode(r)
	case 15:
		return fmt.Sprintf("UsbClass(0x%x,0x%x,0x%x,0x%x,0x%x)", r.u16(), r.u16(), r.u8(), r.u8(), r.u8())
	case 16:
		number, vendor, product := r.u16(), r.u16(), r.u16()
		return fmt.Sprintf("UsbWwid(0x%x,0x%x,0x%x,%s)", vendor, product, number, plain(fromUTF16(r.p)))
	case 17:
		return fmt.Sprintf("Unit(0x%x)", r.u8())
	case 18:
		return fmt.Sprintf("Sata(0x%x,0x%x,0x%x)", r.u16(), r.u16(), r.u16())
	case 19:
		protocol, options, lun, group := r.u16(), r.u16(), r.take(8), r.u16()
		return fmt.Sprintf("iSCSI(%s,0x%x,0x%x,0x%x,%s)", plain(zeroEnded(r.p)), group, lun, options, transport(protocol, "TCP"))
	case 20:
		return fmt.Sprintf("Vlan(%d)", r.u16())
	case 21:
		r.u32()
		return fmt.Sprintf("FibreEx(0x%x,0x%x)", r.take(8), r.take(8))
	case 22:
		return fmt.Sprintf("SasEx(0x%x,0x%x,0x%x,0x%x)", r.take(8), r.take(8), r.u16(), r.u16())
	case 23:
		space, id := r.u32(), r.take(8)
		s := fmt.Sprintf("NVMe(0x%x,", space)
		for i := len(id) - 1; i >= 0; i-- {
			s += fmt.Sprintf("%02X", id[i])
			if i > 0 {
				s += "-"
			}
		}
		return s + ")"
	case 24:
		if len(r.p) == 0 {
			return "Uri()"
		}
		return "Uri(" + plain(zeroEnded(r.p)) + ")"
	case 25:
		return fmt.Sprintf("UFS(0x%x,0x%x)", r.u8(), r.u8())
	case 26:
		return fmt.Sprintf("SD(0x%x)", r.u8())
	case 27:
		return fmt.Sprintf("Bluetooth(%x)", r.take(6))
	case 28:
		return "Wi-Fi(" + plain(zeroEnded(r.take(32))) + ")"
	case 29:
		return fmt.Sprintf("eMMC(0x%x)", r.u8())
	case 30:
		return fmt.Sprintf("BluetoothLE(%x,0x%x)", r.take(6), r.u8())
	case 32:
		return "Nvdimm(" + r.guid().upper() + ")"
	case 34:
		kind, id := r.u8(), r.take(16)
		return fmt.Sprintf("NVMEoF(%s,0x%x,%x)", plain(zeroEnded(r.p)), kind, id)
	}
	return ""
}

// zeroEnded is text up to its NUL.
func zeroEnded(p []byte) string {
	for i, c := range p {
		if c == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}

// transport names an IP protocol; other is used for 0.
func transport(protocol uint16, other string) string {
	switch protocol {
	case 0:
		return other
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	}
	return fmt.Sprintf("0x%x", protocol)
}

// address writes an IP address of four or sixteen bytes, the latter as UEFI
// does, with all its digits.
func address(p []byte) string {
	if len(p) == 4 {
		return fmt.Sprintf("%d.%d.%d.%d", p[0], p[1], p[2], p[3])
	}
	var b strings.Builder
	for i := 0; i+1 < len(p); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%x", p[i:i+2])
	}
	return b.String()
}

// zero reports whether an address is of nothing.
func zero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }

func ipv4Node(r *reader) string {
	local, remote := address(r.take(4)), address(r.take(4))
	r.u32() // ports
	protocol, origin := r.u16(), "DHCP"
	if r.u8() != 0 {
		origin = "Static"
	}
	s := fmt.Sprintf("IPv4(%s,%s,%s,%s", remote, transport(protocol, "0x0"), origin, local)
	// Older firmware ends here.
	if len(r.p) >= 8 {
		if gateway, mask := r.take(4), r.take(4); !zero(gateway) || !zero(mask) {
			s += "," + address(gateway) + "," + address(mask)
		}
	}
	return s + ")"
}

func ipv6Node(r *reader) string {
	local, remote := address(r.take(16)), address(r.take(16))
	r.u32() // ports
	protocol := r.u16()
	origin := "Static"
	switch r.u8() {
	case 1:
		origin = "StatelessAutoConfigure"
	case 2:
		origin = "StatefulAutoConfigure"
	}
	s := fmt.Sprintf("IPv6(%s,%s,%s,%s", remote, transport(protocol, "0x0"), origin, local)
	if len(r.p) >= 17 {
		if prefix, gateway := r.u8(), r.take(16); prefix != 0 || !zero(gateway) {
			s += fmt.Sprintf(",%s,%d", address(gateway), prefix)
		}
	}
	return s + ")"
}

func uartNode(r *reader) string {
	r.u32()
	baud, bits := r.u64(), r.u8()
	parity, stop := "D", "D"
	if p := r.u8(); int(p) < len("DNEOMS") {
		parity = "DNEOMS"[p : p+1]
	}
	switch r.u8() {
	case 1:
		stop = "1"
	case 2:
		stop = "1.5"
	case 3:
		stop = "2"
	}
	return fmt.Sprintf("Uart(%d,%d,%s,%s)", baud, bits, parity, stop)
}
