// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"encoding/hex"
	"time"

	"mrlog.dev"
)

// ManifestName is the file of a written snapshot that says what is in it.
const ManifestName = "snapshot.json"

// Manifest is what snapshot.json holds, and what mrlog snapshot --json prints.
// docs/json.md is its contract. It is a description, and proves nothing: who
// verifies compares the logs with values of their own.
type Manifest struct {
	Time       string             `json:"time"`
	Boot       string             `json:"boot,omitempty"`
	Device     ManifestDevice     `json:"device"`
	Consistent bool               `json:"consistent"`
	Registers  []ManifestRegister `json:"registers"`
}

// ManifestDevice is the device of a Manifest.
type ManifestDevice struct {
	Kind      string `json:"kind"`
	Simulated bool   `json:"simulated"`
	Where     string `json:"where"`
}

// ManifestRegister is a register of a Manifest.
type ManifestRegister struct {
	Register    string         `json:"register"`
	State       string         `json:"state"`
	Given       bool           `json:"given"`
	Unexplained bool           `json:"unexplained"`
	Banks       []ManifestBank `json:"banks"`
	Records     int64          `json:"records"`
	Bytes       int64          `json:"bytes"`
	Logs        []ManifestLog  `json:"logs"`
	Reason      string         `json:"reason,omitempty"`
}

// ManifestLog is a log of a Manifest.
type ManifestLog struct {
	File    string         `json:"file"`
	Path    string         `json:"path"`
	Number  int            `json:"number,omitempty"`
	Bytes   int64          `json:"bytes"`
	Records int64          `json:"records"`
	Start   []ManifestBank `json:"start"`
	End     []ManifestBank `json:"end"`
}

// ManifestBank is a value in a Manifest.
type ManifestBank struct {
	Bank  string `json:"bank"`
	Value string `json:"value"`
}

// Manifest describes the snapshot.
func (r *Result) Manifest() Manifest {
	m := Manifest{
		Time:       r.Taken.UTC().Format(time.RFC3339Nano),
		Boot:       r.Boot,
		Device:     ManifestDevice{r.Device.Kind, r.Device.Simulated, r.Device.Where},
		Consistent: r.Consistent,
		Registers:  []ManifestRegister{},
	}
	for i := range r.Registers {
		reg := &r.Registers[i]
		out := ManifestRegister{
			Register: reg.Name.String(), State: string(reg.State), Given: reg.Given, Unexplained: reg.Unexplained,
			Banks: manifestBanks(reg.Values), Logs: []ManifestLog{}, Reason: reg.Reason,
		}
		for j, l := range reg.Logs {
			out.Records += l.Records
			out.Bytes += l.Bytes
			out.Logs = append(out.Logs, ManifestLog{
				File: reg.file(j), Path: l.Path, Number: l.Number, Bytes: l.Bytes, Records: l.Records,
				Start: manifestBanks(l.Start), End: manifestBanks(l.End),
			})
		}
		m.Registers = append(m.Registers, out)
	}
	return m
}

func manifestBanks(values []mrlog.Digest) []ManifestBank {
	out := []ManifestBank{}
	for _, v := range values {
		out = append(out, ManifestBank{v.Alg.String(), hex.EncodeToString(v.Sum)})
	}
	return out
}

// file returns the name that a log has in a written snapshot. The last one,
// which ends with the register's value, is always "log", also when it was set
// aside meanwhile.
func (r *Register) file(i int) string {
	number := r.Logs[i].Number
	if i == len(r.Logs)-1 {
		number = 0
	}
	return r.Name.String() + "/" + nameOf(number)
}
