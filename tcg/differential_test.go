// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tcg_test

import (
	"bytes"
	"crypto"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-eventlog/register"
	peer "github.com/google/go-eventlog/tcg"
	"github.com/google/go-eventlog/testdata"

	"mrlog.dev"
	"mrlog.dev/internal/logtest"
	"mrlog.dev/tcg"
)

// peerBanks are the banks that go-eventlog knows.
var peerBanks = map[register.HashAlg]mrlog.Alg{
	register.HashSHA1: mrlog.SHA1, register.HashSHA256: mrlog.SHA256, register.HashSHA384: mrlog.SHA384,
}

// differ reads a log with both and returns the first difference.
func differ(t testing.TB, log []byte, o tcg.Options) string {
	t.Helper()
	el, perr := peer.ParseEventLog(log, peer.ParseOpts{AllowPadding: true})
	r := tcg.NewReaderBytes(log, o)
	records, err := logtest.ReadAll(r)
	switch {
	case err != nil && perr != nil:
		return ""
	case err != nil:
		return fmt.Sprintf("read by the peer alone: %v", err)
	case perr != nil:
		return fmt.Sprintf("refused by the peer alone: %v", perr)
	}
	events := records
	if d := tcg.Dialect(r.Header().Dialect); d == tcg.Agile || d == tcg.CoCo {
		events = records[1:]
	}
	for hash, alg := range peerBanks {
		theirs := el.Events(hash)
		if len(theirs) != len(events) {
			return fmt.Sprintf("%d events, the peer has %d", len(events), len(theirs))
		}
		for i, e := range theirs {
			rec := &events[i]
			var sum []byte
			for _, d := range rec.Digests {
				if d.Alg == alg {
					sum = d.Sum
				}
			}
			if uint32(e.Index) != rec.Register.Index || uint32(e.Type) != rec.Event || !bytes.Equal(e.Data, rec.Content) || !bytes.Equal(e.Digest, sum) {
				return fmt.Sprintf("event %d: %+v, the peer has %+v", i, rec, e)
			}
		}
	}
	return differReplay(t, log, records)
}

// differReplay lets the peer compare its replay with our values, bank by bank.
func differReplay(t testing.TB, log []byte, records []mrlog.Record) string {
	t.Helper()
	for _, bank := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		mrs := registers(t, log, bank)
		if len(mrs) == 0 {
			continue
		}
		want := 0
		for _, rec := range records {
			for _, d := range rec.Digests {
				if !rec.NotExtended && hashes[d.Alg] == bank {
					want++
				}
			}
		}
		events, err := peer.ParseAndReplay(log, mrs, peer.ParseOpts{AllowPadding: true})
		if err != nil {
			return fmt.Sprintf("%s: %v", bank, err)
		}
		if len(events) != want {
			return fmt.Sprintf("%s: the peer replayed %d events, we %d", bank, len(events), want)
		}
	}
	return ""
}

// deviations are the vectors that go-eventlog reads otherwise, with a part of
// what the difference is. docs/interop.md explains each.
var deviations = map[string]string{
	"aael":             "refused by the peer alone",
	"bad-header-short": "read by the peer alone",
	"bad-header-size":  "read by the peer alone",
	"bad-header-twice": "read by the peer alone",
	"bad-index":        "read by the peer alone",
	"bad-no-digest":    "read by the peer alone",
	"bad-trailing":     "read by the peer alone",
	"bad-twice":        "read by the peer alone",
	"ccel-zero-flag":   "refused by the peer alone",
	"ccel-zeros":       "refused by the peer alone",
	"coco-65":          "refused by the peer alone",
	"coco-69":          "refused by the peer alone",
	"coco-73":          "refused by the peer alone",
	"csv":              "refused by the peer alone",
	"drtm":             "registers failed to replay: [17]",
	"drtm-late":        "registers failed to replay: [18]",
	"empty":            "refused by the peer alone",
	"empty-ones":       "refused by the peer alone",
	"empty-zeros":      "the peer has 2",
	"no-action":        "the peer has 5",
	"sha1-header":      "refused by the peer alone",
	"sha1-ones":        "refused by the peer alone",
	"some-banks":       "registers failed to replay: [7]",
}

// TestPeerVectors compares with go-eventlog on every vector. A deviation that
// is not listed is a failure, as is a listed one that is none any more.
func TestPeerVectors(t *testing.T) {
	doc, err := os.ReadFile("../docs/interop.md")
	if err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(deviations)
	for _, v := range vectors(t) {
		got, want := differ(t, v.log, v.options()), deviations[v.name]
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %s\nlisted: %s", v.name, got, want)
		}
		delete(left, v.name)
		if want != "" && !strings.Contains(string(doc), "`"+v.name+"`") {
			t.Errorf("docs/interop.md does not explain %s", v.name)
		}
	}
	for name := range left {
		t.Errorf("no vector %s", name)
	}
}

// peerLogs are the real logs that come with go-eventlog.
func peerLogs() map[string][]byte {
	return map[string][]byte{
		"arch-linux-workstation":        testdata.ArchLinuxWorkstationEventLog,
		"debian-10":                     testdata.Debian10EventLog,
		"glinux-alex":                   testdata.GlinuxAlexEventLog,
		"rhel8-uefi":                    testdata.Rhel8EventLog,
		"ubuntu-1804-amd-sev":           testdata.Ubuntu1804AmdSevEventLog,
		"ubuntu-2104-no-dbx":            testdata.Ubuntu2104NoDbxEventLog,
		"ubuntu-2104-no-secure-boot":    testdata.Ubuntu2104NoSecureBootEventLog,
		"ubuntu-2404-amd-sevsnp":        testdata.Ubuntu2404AmdSevSnpEventLog,
		"cos-85-amd-sev":                testdata.Cos85AmdSevEventLog,
		"cos-93-amd-sev":                testdata.Cos93AmdSevEventLog,
		"cos-101-amd-sev":               testdata.Cos101AmdSevEventLog,
		"cos-121-amd-sev":               testdata.Cos121AmdSevEventLog,
		"gdc-host":                      testdata.GdcHost,
		"ubuntu-2404-intel-tdx":         testdata.Ubuntu2404IntelTdxA4HighGpu8GEventLog,
		"cos-125-intel-tdx-secure-boot": testdata.Cos125IntelTdxSecureBootA4HighGpu8GEventLog,
		"host-gmes":                     testdata.HostGMESEventLog,
	}
}

// TestPeerLogs compares on real logs, and writes them back.
func TestPeerLogs(t *testing.T) {
	all := peerLogs()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		got := differ(t, all[name], tcg.Options{})
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
		checkWriteBack(t, name, all[name])
	}
}

// TestPeerCorpus compares on the logs of the corpus.
func TestPeerCorpus(t *testing.T) {
	for _, l := range realLogs(t) {
		if got := differ(t, l.log, tcg.Options{}); got != "" {
			t.Errorf("%s: %s", l.File, got)
		}
	}
}
