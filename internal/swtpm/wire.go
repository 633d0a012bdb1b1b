// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Command codes (TPM 2.0 part 2, table "Definition of (UINT32) TPM_CC
// Constants") that tests tell apart.
const (
	PCRAllocate   uint32 = 0x0000012B
	Startup       uint32 = 0x00000144
	Shutdown      uint32 = 0x00000145
	GetCapability uint32 = 0x0000017A
	PCRRead       uint32 = 0x0000017E
	ReadClock     uint32 = 0x00000181
	PCRExtend     uint32 = 0x00000182
	PCRReset      uint32 = 0x0000013D
)

const (
	headerSize = 10   // tag, size, command or response code
	maxFrame   = 4096 // TPM2_PT_MAX_COMMAND_SIZE and ..RESPONSE_SIZE of swtpm

	noSessions   uint16 = 0x8001 // TPM_ST_NO_SESSIONS
	withSessions uint16 = 0x8002 // TPM_ST_SESSIONS
)

// readFrame reads one command or answer: both begin with a tag, their size and
// a code.
func readFrame(r io.Reader) ([]byte, error) {
	frame := make([]byte, headerSize, maxFrame)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(frame[2:])
	if size < headerSize || size > maxFrame {
		return nil, fmt.Errorf("swtpm: a frame says that it has %d bytes", size)
	}
	frame = frame[:size]
	if _, err := io.ReadFull(r, frame[headerSize:]); err != nil {
		return nil, err
	}
	return frame, nil
}

// frame puts a header before a command's or an answer's body.
func frame(tag uint16, code uint32, body []byte) []byte {
	out := binary.BigEndian.AppendUint16(nil, tag)
	out = binary.BigEndian.AppendUint32(out, uint32(headerSize+len(body)))
	out = binary.BigEndian.AppendUint32(out, code)
	return append(out, body...)
}

// code returns a frame's command or response code.
func code(frame []byte) uint32 { return binary.BigEndian.Uint32(frame[6:]) }

// authorized puts the one handle of a command, and the empty password for it,
// before the command's parameters.
func authorized(cc, handle uint32, parameters []byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, handle)
	body = binary.BigEndian.AppendUint32(body, 9)          // size of what follows
	body = binary.BigEndian.AppendUint32(body, 0x40000009) // TPM_RS_PW
	body = append(body, 0, 0, 0, 0, 0)                     // no nonce, no attributes, empty password
	return frame(withSessions, cc, append(body, parameters...))
}

// startupClear is TPM2_Startup(TPM_SU_CLEAR), what firmware does after power
// comes on.
func startupClear() []byte { return frame(noSessions, Startup, []byte{0, 0}) }

// shutdownClear is TPM2_Shutdown(TPM_SU_CLEAR), what a system does before
// power goes.
func shutdownClear() []byte { return frame(noSessions, Shutdown, []byte{0, 0}) }

// A Bank is a hash algorithm by its TPM_ALG_ID, and the PCRs that it has; none
// means all 24.
type Bank struct {
	Alg  uint16
	PCRs []int
}

// implemented are the banks that libtpms has. An allocation must name those
// that it wants gone, too.
var implemented = []uint16{0x0004, 0x000B, 0x000C, 0x000D}

// allocate is TPM2_PCR_Allocate of these banks and no others.
func allocate(banks []Bank) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(implemented)))
	for _, alg := range implemented {
		var selected [3]byte
		for _, b := range banks {
			if b.Alg != alg {
				continue
			}
			if b.PCRs == nil {
				selected = [3]byte{0xFF, 0xFF, 0xFF}
			}
			for _, i := range b.PCRs {
				selected[i/8] |= 1 << (i % 8)
			}
		}
		body = binary.BigEndian.AppendUint16(body, alg)
		body = append(append(body, byte(len(selected))), selected[:]...)
	}
	return authorized(PCRAllocate, 0x4000000C, body) // TPM_RH_PLATFORM
}

// Extend is the command that extends a PCR with one digest per bank, put
// together without the library that is under test.
func Extend(pcr uint32, digests map[uint16][]byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(digests)))
	for alg, sum := range digests {
		body = append(binary.BigEndian.AppendUint16(body, alg), sum...)
	}
	return authorized(PCRExtend, pcr, body)
}

// Reset is the command that resets a PCR, if locality 0 may.
func Reset(pcr uint32) []byte { return authorized(PCRReset, pcr, nil) }
