// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package cel reads and writes the TCG Canonical Event Log (CEL 1.0 r0.41 and
// 1.1 r11), a log of measurements in one information model and several
// encodings.
//
// # The record
//
// A record has a number (recnum), the register that was extended (pcr or
// nv_index), the digests that were extended, one per bank, a content type and
// a content. Each encoding writes it in this order.
//
//	JSON array     [NewJSONReader]  one array of objects
//	JSON sequence  [NewSeqReader]   RFC 7464, as systemd appends it
//	CBOR           [NewCBORReader]  an array of maps, or an RFC 8742 sequence
//	TLV            [NewTLVReader]   records one after the other, in three dialects
//
// What a reader takes is liberal, as producers differ: integers of any width,
// keys in any order, types and algorithms by number or by name. What a writer
// gives is canonical: equal records give equal bytes. A record that the writer
// would have written otherwise than it stood is marked
// [mrlog.NoteNonCanonical]. Never is anything lost in silence: what an encoding
// cannot carry is a [*mrlog.CarryError] that names it, and nothing of that
// record is written; what a record does not have room for is a
// [*mrlog.SyntaxError] with its place.
//
// # Example
//
// The record number 0 of PCR 4, an EV_SEPARATOR of four zero bytes, in TLV (the
// type in one byte, the length in four, big-endian, and the value):
//
//	00 00000001 00                  recnum 0
//	01 00000001 04                  pcr 4
//	03 00000025                     digests, 37 bytes
//	   0b 00000020                    sha256, 32 bytes
//	      df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119
//	05 0000000f                     pcclient_std, 15 bytes
//	   00 00000001 04                 event_type 4
//	   01 00000004 00000000           event_data
//
// and the same in CBOR, in an array of one:
//
//	81                              array(1)
//	  a5                              map(5)
//	    00 00                           recnum 0
//	    01 04                           pcr 4
//	    03 81 a2 00 0b 01 5820          digests [{0: sha256, 1: 32 bytes}]
//	      df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119
//	    09 05                           content_type pcclient_std
//	    0a a2 00 04 01 44 00000000      content {0: event_type, 1: event_data}
//
// PCR 4 in the SHA-256 bank, zero before, then holds
// 3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969.
//
// # Content
//
// How a content stands in [mrlog.Record], and which encodings carry it:
//
//	pcclient_std (5)   Event, Content = event_data; FormRaw             all
//	ima_template (7)   Name (may be absent), Content; FormRaw           all
//	ima_tlv (8)        Content = nested TLVs as bytes; FormRaw          all
//	systemd (9)        Content = the measured string; FormRaw           all
//	  as systemd logs  Content = its JSON object; FormJSON              JSON
//	cel (4)            Content = management TLVs, see [Management];     all
//	                   FormTLV. Several in one record                   not CBOR
//	CC-CEL (204)       Content = the line of a native log; FormRaw      all
//	unknown number     Content = bytes; FormRaw                         all
//	                   a JSON value, a CBOR item as it stood            that one
//	a name only        TypeNamed, Name                                  JSON
//
// A content that does not have its type's shape is kept whole, in the form of
// the encoding that it came from: FormTLV (pcclient_std, ima_template and
// management events that are not understood), FormCBOR or FormJSON. Written in
// that encoding again it gives the same bytes; no other carries it. But these
// are errors: TLVs that run over the end of their content, one field twice, a
// CC-CEL content that is no string. Management events, as far as they are
// understood, are held in canonical TLVs, integers in the fewest bytes.
//
// EV_NO_ACTION events, cel_version and firmware_end were logged without being
// extended (Record.NotExtended); their digests are kept all the same. A record
// whose NotExtended says otherwise than its content cannot be carried.
//
// CC-CEL is the type that converters of native logs write; it has a name in
// JSON and no registered number. mrlog uses 204 (0xCC) in TLV and CBOR.
//
// # Registers
//
// TLV has index types for PCRs (1), NV indexes (2) and, by go-eventlog and not
// registered, CC-MRs (108). JSON and CBOR have pcr and nv_index; a register
// in another space is carried with the extension key "space", value "ccmr" or
// "rtmr". The plain index of a CC-CEL record from 0 to 3 is that of an RTMR,
// because native logs are converted with the index of their register, and PCR
// 0 to 3 are the firmware's: that reading is an assumption, which
// [mrlog.NoteSpaceAssumed] marks, Header.SpaceAssumed reports of the first
// record, and [Options] overrides. A CC-CEL record of PCR 0 to 3 needs "space":
// "pcr", and cannot be in TLV.
//
// In JSON, "rtmr" in place of "pcr" names an RTMR: systemd's proposed log of CC
// registers has it. "mapped_pcr", which may follow there, becomes the first
// member of the record's content. [SeqWriter] writes both back for records of
// type systemd that have no number; everything else is written with "space".
//
// The index 4294967295 ([mrlog.NoIndex]) is above what the specification allows.
// It is taken and written for records that were not extended, because firmware
// gives it to EV_NO_ACTION events that are of no register.
//
// # TLV dialects
//
// The specification leaves the width of integers open. [Minimal] uses the
// fewest bytes, [GoEventlog] eight for recnum and one for the index (its reader
// takes nothing else), [FourByte] four for each and for event_type. All are
// read, mixed too; Header.Dialect reports what was seen.
//
// # Limits
//
// [MaxContent], [MaxRecord], [MaxDepth], [MaxJSONRecord] and those beside it,
// [mrlog.MaxDigests] and [mrlog.MaxUnknownDigestSize], each with its reason. Logs are read in a
// stream; memory is one batch and the record at hand, whatever lengths are
// stated. The writers and the readers of TLV and CBOR do not allocate per
// record.
package cel
