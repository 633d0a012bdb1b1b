// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package verify

// Strictness is what a content that does not fit its digest, and a record that
// stands where it should not, mean for the answer. What documents say of digests,
// and what firmware does, are not the same.
type Strictness uint8

// The ways.
const (
	// Normal: a content that contradicts its digest by a rule that is certain
	// is a finding. One that does by a rule that is stated, and that some
	// producers are known not to follow, is a remark; so is what is suspicious.
	Normal Strictness = iota
	// Strict: all of these are findings.
	Strict
	// ReportOnly: contents that contradict their digests are remarks; they are
	// not bound. Anything else that is wrong still is a finding.
	ReportOnly
)

// String names the way as output does.
func (s Strictness) String() string {
	switch s {
	case Strict:
		return "strict"
	case ReportOnly:
		return "report"
	}
	return "normal"
}
