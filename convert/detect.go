// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mrlog.dev"
	"mrlog.dev/aael"
	"mrlog.dev/container"
	"mrlog.dev/dstack"
	"mrlog.dev/ima"
	"mrlog.dev/internal/strict"
)

const (
	// DetectSize is how many bytes from the start of a log Detect wants to
	// see. Of an object in JSON it may want more, see [Kind.Open].
	DetectSize = 4096

	// maxOpen bounds what of an object in JSON is read to tell its format. In
	// evidence, quotes, certificates and claims may stand before the first
	// member that tells.
	maxOpen = 4 << 20
)

// ErrFormat says that the format of an input could not be told.
var ErrFormat = errors.New("format not recognised")

// AmbiguousError says that an input could be of several formats. It wraps
// [ErrFormat].
type AmbiguousError struct {
	Formats []string // names that [Source.Format] takes
}

// Error names the candidates.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%v: it could be %s", ErrFormat, strings.Join(e.Formats, " or "))
}

// Unwrap returns ErrFormat.
func (e *AmbiguousError) Unwrap() error { return ErrFormat }

// NotLogError says that an input was recognised, and is no log. It wraps
// [ErrFormat].
type NotLogError struct {
	What string // "a TDX quote (version 4)"
	Why  string // what it holds instead, and where the log is; "" if there is nothing to say
}

// Error says what the input is.
func (e *NotLogError) Error() string {
	s := "this is " + e.What + ", not a log"
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

// Unwrap returns ErrFormat.
func (e *NotLogError) Unwrap() error { return ErrFormat }

// detector is a format and its test. A test sees at least one byte, and says
// yes to the beginning of a log that is cut anywhere as long as nothing in it
// speaks against the format.
type detector struct {
	name string
	test func([]byte) bool
}

// detectors are the tests of all formats. They exclude each other wherever
// enough of the input is seen, so that their order does not count.
func detectors() []detector {
	return []detector{
		{CELSeq, isSeq},
		{TCG2, isTCG},
		{AAEL, isAAEL},
		{IMA, isIMA},
		{CELTLV, isTLV},
		{CELCBOR, isCBOR},
		{CELJSON, isCELJSON},
		{Dstack, dstack.Is},
		{Evidence, isEvidence},
		{Claims, container.IsClaims},
		{Intel, container.IsIntel},
		{AAELText, isAAELText},
		{IMAASCII, isIMAASCII},
		{NELR, isNative},
	}
}

// Detect tells the format of a log from its first bytes, [DetectSize] of them
// or the whole of a shorter one. It looks at structure, never at a name; what
// it says is then parsed strictly. If nothing or more than one fits, the error
// wraps ErrFormat and names what would settle it. Of what is wrapped in another
// form [Sniff] looks inside.
func Detect(start []byte) (string, error) {
	if len(start) == 0 {
		return "", fmt.Errorf("%w: the input is empty, and an empty log has no format of its own", ErrFormat)
	}
	if err := notLog(start); err != nil {
		return "", err
	}
	var fits []string
	for _, f := range detectors() {
		if f.test(start) {
			fits = append(fits, f.name)
		}
	}
	switch len(fits) {
	case 0:
		if isLine(start) {
			return NELR, nil // without INIT: its reader says so, with the line
		}
		return "", fmt.Errorf("%w: it begins with %s", ErrFormat, preview(start))
	case 1:
		return fits[0], nil
	}
	return "", &AmbiguousError{Formats: fits}
}

func preview(start []byte) string {
	if n := min(len(start), 16); isText(start[:n]) {
		return fmt.Sprintf("%q", start[:n])
	}
	return fmt.Sprintf("bytes % x", start[:min(len(start), 16)])
}

func isSeq(p []byte) bool { return p[0] == 0x1E }

// load32 is the little-endian number at an offset; false if p ends before it.
func load32(p []byte, at int) (uint32, bool) {
	if len(p) < at+4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(p[at:]), true
}

// onlyZeros reports whether p is zero from one offset to another, as far as it
// goes.
func onlyZeros(p []byte, from, to int) bool {
	from, to = min(from, len(p)), min(to, len(p))
	return len(bytes.Trim(p[from:to], "\x00")) == 0
}

// The layout of the first record of a TCG log, which has the shape of TCG 1.2.
const (
	tcgDigest  = 8  // where the digest begins
	tcgLength  = 28 // where the length of the data stands
	tcgData    = 32 // where the data begins
	tcgMinimum = 8  // of the input, to tell anything: index and type
)

// maxPCR is the last PCR of a TPM (PC Client Platform TPM Profile).
const maxPCR = 23

// isTCG: a Spec ID header, CoCo's header without a signature, padding alone, or
// records of TCG 1.2 whose sizes chain.
func isTCG(p []byte) bool {
	if len(p) < tcgMinimum {
		return false
	}
	if uniform(p) {
		return true // the area of a log that has no record
	}
	event, _ := load32(p, 4)
	if event == mrlog.EventNoAction && onlyZeros(p, tcgDigest, tcgLength) {
		return isSpecID(p)
	}
	return isTCG12(p)
}

// uniform reports whether p is nothing but 0xFF, or nothing but zero.
func uniform(p []byte) bool {
	return (p[0] == 0 || p[0] == 0xFF) && len(bytes.Trim(p, string(p[:1]))) == 0
}

// isSpecID: the data of the first record begins with the signature of a Spec ID
// event, or is one without a signature, by its size.
func isSpecID(p []byte) bool {
	length, ok := load32(p, tcgLength)
	if !ok {
		return true
	}
	data := p[tcgData:]
	if n := min(len(data), len(specSignature)); string(data[:n]) == specSignature[:n] {
		return n > 0 || length >= uint32(len(specSignature))
	}
	switch {
	case bytes.HasPrefix(data, []byte(oldSignature)):
		return true
	case !onlyZeros(data, 0, 16):
		return isTCG12(p)
	case length < 29 || length > 28+4*mrlog.MaxDigests+1+255:
		return false
	}
	// The size is 29 bytes, four for each algorithm, and the vendor's.
	if n, ok := load32(data, 24); ok {
		if n == 0 || n > mrlog.MaxDigests || 28+4*n+1 > length {
			return false
		}
		if at := 28 + 4*int(n); len(data) > at {
			return uint32(at+1)+uint32(data[at]) == length
		}
	}
	return true
}

// Signatures of the Spec ID events (PFP 1.06, section 10.4.5.1; TCG EFI
// Platform 1.22, section 9.4.5.1).
const (
	specSignature = "Spec ID Event03\x00"
	oldSignature  = "Spec ID Event00\x00"
)

// maxTCGData bounds the data of an event that detection goes past.
const maxTCGData = 1 << 20

// isTCG12: records of TCG 1.2, one behind the other, as far as p goes. It takes
// a whole one.
func isTCG12(p []byte) bool {
	if certainTLV(p) {
		return false
	}
	whole := 0
	for {
		if whole > 0 && (len(p) == 0 || uniform(p)) {
			return true
		}
		index, ok := load32(p, 0)
		event, ok2 := load32(p, 4)
		if !ok || !ok2 {
			return whole > 0
		}
		switch _, known := mrlog.EventName(event); {
		case whole > 0 && index == event && index == 0xFFFFFFFF:
			return true // the flag at the end
		case whole > 0 && (index <= mrlog.MaxIndex || index == mrlog.NoIndex):
			// Behind a first one any type of event may come.
		case index > maxPCR && (event != mrlog.EventNoAction || index != mrlog.NoIndex), !known:
			return false
		}
		if whole > 0 && index|event == 0 && onlyZeros(p, 0, tcgData) {
			return true // the flag at the end
		}
		length, ok := load32(p, tcgLength)
		if !ok {
			return whole > 0
		}
		if length > maxTCGData {
			return false
		}
		if len(p) < tcgData+int(length) {
			// A first record that is longer than what is seen must show more
			// of itself: a digest that is none, or zero only where nothing
			// was measured.
			return whole > 0 || len(p) >= DetectSize && (event == mrlog.EventNoAction || !onlyZeros(p, tcgDigest, tcgLength))
		}
		p = p[tcgData+int(length):]
		whole++
	}
}

// aaelTag opens the data of an event of CoCo's attestation agent: the tagged
// event's id, 0x4141454C, in little endian.
const aaelTag = "LEAA"

// isAAEL: a record of an EV_EVENT_TAG with one digest of a known algorithm and
// the tag of CoCo's attestation agent, without a header before it.
func isAAEL(p []byte) bool {
	index, _ := load32(p, 0)
	event, ok := load32(p, 4)
	if !ok || index > maxPCR || event != mrlog.EventTag {
		return false
	}
	count, ok := load32(p, 8)
	if !ok {
		return true
	}
	if count != 1 || len(p) < 14 {
		return count == 1
	}
	size := mrlog.Alg(binary.LittleEndian.Uint16(p[12:])).Size()
	if size == 0 {
		return false
	}
	at := 14 + size
	length, ok := load32(p, at)
	if !ok {
		return true
	}
	data := p[at+4:]
	n := min(len(data), len(aaelTag))
	if string(data[:n]) != aaelTag[:n] {
		return false
	}
	inner, ok := load32(data, 4)
	return !ok || inner == length-8
}

// isAAELText: an INIT line that the older attestation agent wrote: half of the
// digits, or the published form. Other spellings are native logs gone wrong.
func isAAELText(p []byte) bool {
	if !aael.IsText(p) {
		return false
	}
	line, _, _ := bytes.Cut(bytes.TrimLeft(p, "\n"), []byte{'\n'})
	name, value, ok := bytes.Cut(bytes.TrimPrefix(line, []byte("INIT ")), []byte{'/'})
	if !ok || bytes.HasPrefix(line, []byte("INIT/")) {
		return ok
	}
	alg, err := mrlog.ParseAlg(string(name))
	return err == nil && len(value) == alg.Size()
}

// isIMA: a digest of one of the sizes with the name of a template behind it.
func isIMA(p []byte) bool { return ima.DetectBinary(p) && !certainTLV(p) }

// certainTLV reports whether the heads of two fields of a log in TLV are seen.
// Nothing else has these bytes there but by chance, and digests can be any.
func certainTLV(p []byte) bool { return len(p) > 18 && isTLV(p) }

// isIMAASCII: an index, a digest and the name of a template.
func isIMAASCII(p []byte) bool { return ima.DetectASCII(p) }

// isTLV: the recnum field, then an index field of one of its three types. A TCG
// log can begin like it, and has zeros where the index field would be.
func isTLV(p []byte) bool {
	if p[0] != 0 || len(p) < 5 {
		return false
	}
	size := binary.BigEndian.Uint32(p[1:])
	if size < 1 || size > 8 {
		return false
	}
	if len(p) <= 5+int(size) {
		return true // cut short in its first record: for the reader to say
	}
	p = p[5+size:]
	if p[0] != 1 && p[0] != 2 && p[0] != 108 {
		return false
	}
	if len(p) < 5 {
		return onlyZeros(p, 1, 4)
	}
	size = binary.BigEndian.Uint32(p[1:])
	return size >= 1 && size <= 8
}

// isCBOR: a map of a record's size, alone or first in an array, whose first
// key is one of a record's.
func isCBOR(p []byte) bool {
	switch head := p[0]; {
	case head == 0x80 || head == 0x9F && len(p) > 1 && p[1] == 0xFF:
		return len(p) <= 2 // an array without records
	case head > 0x80 && head <= 0x97 || head == 0x9F:
		p = p[1:]
	case head >= 0x98 && head <= 0x9B:
		skip := 1 + 1<<(head-0x98)
		if len(p) <= skip {
			return true // cut short in its head
		}
		p = p[skip:]
	}
	if len(p) == 0 {
		return true
	}
	if (p[0] < 0xA3 || p[0] > 0xA6) && p[0] != 0xBF {
		return false
	}
	return len(p) == 1 || p[1] <= 0x0A || p[1] == 0x18 || p[1] == 0x65
}

// isJSON: the first byte that is not white space opens an array or an object.
func isJSON(p []byte) bool {
	t := bytes.TrimLeft(p, " \t\r\n")
	return len(t) > 0 && (t[0] == '[' || t[0] == '{')
}

// isCELJSON: JSON that is no other format's.
func isCELJSON(p []byte) bool {
	return isJSON(p) && !dstack.Is(p) && !isEvidence(p) && !container.IsClaims(p) && !container.IsIntel(p)
}

// isEvidence: an object with the members of one that holds logs, or whose first
// member is a quote or a report.
func isEvidence(p []byte) bool {
	first := ""
	array, _ := strict.Outline(p, func(in, name, _ []byte) {
		if first == "" && in == nil {
			first = string(name)
		}
	})
	return !array && (first == "quote" || first == "attestation_report" || container.Is(p))
}

// isOpen: an object in JSON, or the first in an array, of which more must be
// seen to tell its format: it goes on, and it is not the envelope of a log,
// which is as long as the log.
func isOpen(p []byte) bool {
	envelope := false
	_, ended := strict.Outline(p, func(in, name, value []byte) {
		if in == nil && string(name) == "log" {
			value = bytes.TrimLeft(value, " \t\r\n")
			envelope = envelope || len(value) > 0 && value[0] == '['
		}
	})
	return isJSON(p) && !ended && !envelope
}

// isNative: the first line that is not empty is a comment or INIT, perhaps cut
// short.
func isNative(p []byte) bool {
	t := bytes.TrimLeft(p, "\n")
	if len(t) == 0 || t[0] == '#' {
		return true
	}
	line, _, _ := bytes.Cut(t, []byte{'\n'})
	return (mrlog.IsInit(line) || bytes.HasPrefix([]byte("INIT "), line)) && !isAAELText(p)
}

// isLine: the first line that is not empty is at least text.
func isLine(p []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(p, "\n"), []byte{'\n'})
	return isText(line)
}

// isText reports whether p has no control characters but tab and carriage
// return. It need not be UTF-8.
func isText(p []byte) bool {
	return bytes.IndexFunc(p, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\r' }) < 0
}

// Sizes of evidence that is told by them.
const (
	tdReportSize  = 1024
	snpReportSize = 1184
)

// notLog recognises what people have beside a log and take for one.
func notLog(p []byte) error {
	second, _ := load32(p, 4)
	switch {
	case bytes.HasPrefix(p, []byte("CCEL")) && second == 56:
		return &NotLogError{
			"the ACPI table CCEL",
			"it says where the firmware keeps its log; the log itself is /sys/firmware/acpi/tables/data/CCEL",
		}
	case len(p) >= 8 && (p[0] == 4 || p[0] == 5) && p[1] == 0 && second == 0x81:
		return &NotLogError{fmt.Sprintf("a TDX quote (version %d)", p[0]), "it holds the register values that logs are verified against"}
	case len(p) == tdReportSize && p[0] == 0x81 && onlyZeros(p, 4, 16):
		return &NotLogError{"a TDREPORT", "it holds the register values that logs are verified against"}
	case bytes.HasPrefix(p, []byte("\xffTCG\x80\x18")):
		return &NotLogError{"a TPM quote (TPMS_ATTEST)", "it holds a digest of the PCR values that logs are verified against"}
	case bytes.HasPrefix(p, []byte("HCLA")) && len(p) >= 16 && second <= 0xFF && !isText(p[:16]):
		return &NotLogError{"an Azure HCL report", "it holds a report of the hardware and the TPM's keys"}
	case isSNPReport(p):
		return &NotLogError{"an SNP attestation report", "SNP has no run-time measurement registers"}
	case bytes.HasPrefix(p, []byte("-----BEGIN ")):
		return &NotLogError{"a PEM file", "it holds keys or certificates"}
	case bytes.HasPrefix(p, []byte("---\n")) && (bytes.Contains(p, []byte("\nevents:")) || bytes.Contains(p, []byte("\nversion:"))):
		return &NotLogError{"what tpm2_eventlog prints", "it is made from a TCG log: give that one"}
	case isDump(p):
		return &NotLogError{"a dump of a file (xxd, hexdump)", "give the file itself; xxd -r makes it from what xxd printed"}
	case isKeylimeQuote(p):
		return &NotLogError{"a quote as Keylime sends it", "it holds the PCR values that logs are verified against"}
	}
	return notLogJSON(p)
}

// isDump reports whether it is what xxd, hexdump -C and the like print: lines of
// an offset, which is 0 in the first, and bytes.
func isDump(p []byte) bool {
	digits := len(p) - len(bytes.TrimLeft(p, "0"))
	if digits < 4 || digits > 16 {
		return false
	}
	rest := bytes.TrimPrefix(p[digits:], []byte(":"))
	rest = rest[:min(len(rest), 4)]
	first := bytes.TrimLeft(rest, " ")
	if len(first) < 2 || len(first) == len(rest) {
		return false
	}
	var b [1]byte
	_, err := hex.Decode(b[:], first[:2])
	return err == nil
}

func isSNPReport(p []byte) bool {
	version, _ := load32(p, 0)
	alg, ok := load32(p, 0x34)
	return ok && len(p) == snpReportSize && version >= 2 && version <= 5 && alg == 1
}

// isKeylimeQuote: "r", a quote, its signature and PCR values in base64.
func isKeylimeQuote(p []byte) bool {
	if p[0] != 'r' || len(p) < 64 {
		return false
	}
	parts := bytes.Split(bytes.TrimRight(p[1:], "\n"), []byte{':'})
	return len(parts) <= 3 && len(parts) > 1 && bytes.HasPrefix(parts[0], []byte("/1RDR")) && // "\xffTCG"
		!slices.ContainsFunc(parts, func(b []byte) bool { return bytes.ContainsAny(b, " {}\"\n") })
}

// notLogJSON recognises evidence that holds no log.
func notLogJSON(p []byte) error {
	if !isJSON(p) {
		return nil
	}
	var quote, other bool
	array, _ := strict.Outline(p, func(in, name, _ []byte) {
		switch {
		case in != nil:
		case string(name) == "tpm_quote":
			quote = true
		case string(name) == "hcl_report", string(name) == "ak_public":
			other = true
		}
	})
	if !array && quote && other {
		return &NotLogError{"TPM evidence as CoCo's attestation agent sends it", "it holds a quote with PCR values, and no log"}
	}
	return nil
}
