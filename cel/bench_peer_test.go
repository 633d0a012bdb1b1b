// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import (
	"bytes"
	"testing"

	gocel "github.com/google/go-eventlog/cel"
	"github.com/google/go-eventlog/register"

	"mrlog.dev"
)

// The peer's figures, on the same log in the same run.

func BenchmarkPeerTLVDecode(b *testing.B) {
	in := benchTLV(b)
	b.ReportAllocs()
	for b.Loop() {
		log, err := gocel.DecodeToCEL(bytes.NewBuffer(in))
		if err != nil || len(log.Records()) != benchRecords {
			b.Fatal(err)
		}
	}
	perRecord(b, len(in))
}

func BenchmarkPeerTLVDecodeReplayCheck(b *testing.B) {
	in := benchTLV(b)
	var replay mrlog.Replay
	if err := replay.Extend(benchLog()); err != nil {
		b.Fatal(err)
	}
	bank := register.RTMRBank{RTMRs: []register.RTMR{{
		Index:  3, // go-eventlog counts RTMRs; its CC-MR is one more
		Digest: replay.Value(mrlog.Register{Space: mrlog.CCMR, Index: 4}, mrlog.SHA384),
	}}}
	b.ReportAllocs()
	for b.Loop() {
		log, err := gocel.DecodeToCEL(bytes.NewBuffer(in))
		if err != nil {
			b.Fatal(err)
		}
		if err := log.Replay(bank); err != nil {
			b.Fatal(err)
		}
		for _, r := range log.Records() {
			c := cosContent{5, r.Content.Value[tlvHead:]}
			if err := gocel.VerifyDigests(c, r.Digests); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRecord(b, len(in))
}

func BenchmarkPeerTLVEncode(b *testing.B) {
	log, err := gocel.DecodeToCEL(bytes.NewBuffer(benchTLV(b)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		if err := log.EncodeCEL(&buf); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, buf.Len())
}
