// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mrlog.dev"
)

// Format names the claims in errors.
const Format = "trustee claims"

// Writer writes the claims of a firmware log as one JSON object with the member
// uefi_event_logs, a record at a time. It is an [mrlog.Writer].
type Writer struct {
	w     io.Writer
	buf   bytes.Buffer
	enc   *json.Encoder
	count int64 // records taken
	comma bool
	err   error
}

// NewWriter returns a writer of claims to w.
func NewWriter(w io.Writer) *Writer {
	c := &Writer{w: w}
	c.enc = json.NewEncoder(&c.buf)
	c.enc.SetEscapeHTML(false)
	return c
}

var errClosed = errors.New("claims: write after Close")

// Write adds records. One of which trustee would refuse the log, or that is no
// TCG event, gives a [mrlog.CarryError]; what was written before is no whole
// object then.
func (c *Writer) Write(records []mrlog.Record) error {
	if c.err != nil {
		return c.err
	}
	for i := range records {
		c.buf.Reset()
		if c.count == 0 {
			c.buf.WriteString(`{"uefi_event_logs":[`)
		}
		why := c.add(&records[i])
		if why != "" {
			c.err = &mrlog.CarryError{Format: Format, Record: c.count, Span: records[i].Span, What: why}
			return c.err
		}
		if _, c.err = c.w.Write(c.buf.Bytes()); c.err != nil {
			return c.err
		}
		c.count++
	}
	return nil
}

// Close ends the object.
func (c *Writer) Close() error {
	if c.err != nil {
		if c.err == errClosed {
			return nil
		}
		return c.err
	}
	end := "\n]}\n"
	if c.count == 0 {
		end = `{"uefi_event_logs":[` + end
	}
	if _, c.err = io.WriteString(c.w, end); c.err != nil {
		return c.err
	}
	c.err = errClosed
	return nil
}

// add appends the record's claim to the buffer, or says why there is none.
func (c *Writer) add(rec *mrlog.Record) string {
	if c.count == 0 && isHeader(rec) {
		return ""
	}
	e, why := claim(rec)
	if why != "" {
		return why
	}
	if c.comma {
		c.buf.WriteByte(',')
	}
	c.comma = true
	c.buf.WriteByte('\n')
	if err := c.enc.Encode(e); err != nil {
		return err.Error()
	}
	c.buf.Truncate(c.buf.Len() - 1) // the newline
	return ""
}

// isHeader reports whether a record is the one that opens a log: its signature
// is "Spec ID Event", or zero where the attestation agent wrote it.
func isHeader(rec *mrlog.Record) bool {
	const id = "Spec ID Event"
	return rec.Type == mrlog.TypePCClient && rec.Event == mrlog.EventNoAction && len(rec.Content) >= 16 &&
		(bytes.HasPrefix(rec.Content, []byte(id)) || len(bytes.Trim(rec.Content[:16], "\x00")) == 0)
}

// entry is one claim. Members are in trustee's order, which is that of the
// alphabet.
type entry struct {
	Details details  `json:"details"`
	Matches bool     `json:"digest_matches_event"`
	Digests []digest `json:"digests"`
	Event   string   `json:"event"`
	Index   uint32   `json:"index"`
	Type    string   `json:"type_name"`
}

type digest struct {
	Alg    string `json:"alg"`
	Digest string `json:"digest"`
}

// details are what trustee reads from an event's data.
type details struct {
	Data           any      `json:"data,omitempty"`
	DevicePaths    []string `json:"device_paths,omitempty"`
	String         *string  `json:"string,omitempty"`
	Name           *string  `json:"unicode_name,omitempty"`
	NameLength     *uint64  `json:"unicode_name_length,omitempty"`
	VariableData   *string  `json:"variable_data,omitempty"`
	VariableLength *uint64  `json:"variable_data_length,omitempty"`
	VariableName   *string  `json:"variable_name,omitempty"`
}

// algNames are the algorithms whose digests trustee compares.
var algNames = map[mrlog.Alg]string{
	mrlog.SHA256: "SHA-256", mrlog.SHA384: "SHA-384", mrlog.SHA512: "SHA-512", mrlog.SM3: "SM3",
}

// claim makes the claim of a record, or says why trustee would make none.
func claim(rec *mrlog.Record) (e entry, why string) {
	if rec.Type != mrlog.TypePCClient || rec.Form != mrlog.FormRaw {
		return e, "claims are of TCG events"
	}
	e.Index = rec.Register.Index
	switch rec.Register.Space {
	case mrlog.PCR, mrlog.CCMR, mrlog.NoSpace:
	case mrlog.RTMR:
		e.Index++
	default:
		return e, fmt.Sprintf("register %s", rec.Register)
	}
	var ok bool
	if e.Type, ok = typeNames[rec.Event]; !ok {
		return e, fmt.Sprintf("trustee refuses a log with an event of type 0x%08x", rec.Event)
	}
	e.Digests = make([]digest, 0, len(rec.Digests))
	e.Matches = true
	var sum []byte
	for _, d := range rec.Digests {
		name := algNames[d.Alg]
		if name == "" {
			return e, fmt.Sprintf("trustee refuses a log with digests of %s", d.Alg)
		}
		e.Digests = append(e.Digests, digest{name, hex.EncodeToString(d.Sum)})
		sum = d.Alg.AppendSum(sum[:0], rec.Content)
		e.Matches = e.Matches && bytes.Equal(sum, d.Sum)
	}
	e.Event = base64.StdEncoding.EncodeToString(rec.Content)
	if e.Details, why = describe(rec.Event, rec.Content); why != "" {
		return e, fmt.Sprintf("trustee refuses the log: %s: %s", e.Type, why)
	}
	return e, ""
}
