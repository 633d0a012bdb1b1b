// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

const module = "mrlog.dev"

// A column is a side of the house. Packages of the two working columns never
// import each other, not even through a third.
type column string

const (
	base      column = "base"      // what both columns stand on
	verifying column = "verifying" // reads logs and judges them
	recording column = "recording" // writes logs and extends registers
	front     column = "front"     // sees both: commands
	tests     column = "testing"   // used by tests only, imported by no one else
)

// layer says what a package's code (not its tests) may import.
type layer struct {
	column  column
	imports string   // packages of this module, by their path in it; "." is the root
	libs    []string // modules outside it
	pure    bool     // no I/O of its own: neither os, net nor log
}

const (
	libSM3  = "github.com/emmansun/gmsm"
	libJSON = "github.com/go-json-experiment/json"
	libSys  = "golang.org/x/sys"
	libTerm = "golang.org/x/term"
	libTPM  = "github.com/google/go-tpm"
	libCLI  = "github.com/spf13/cobra"
	libCmp  = "github.com/google/go-cmp"
	libFUSE = "github.com/hanwen/go-fuse/v2"
)

// layers is the house, from the ground up. A package may import only what
// stands before it in this table, and of that only what its row lists. HACKING.md
// shows the same table, with a sentence for each package.
var layers = []struct {
	path string
	layer
}{
	{".", layer{column: base, libs: []string{libSM3 + "/sm3"}, pure: true}},
	{"nelr", layer{column: base, imports: ".", pure: true}},
	{"internal/source", layer{column: base, imports: ".", pure: true}},
	{"internal/strict", layer{column: base, imports: ".", libs: []string{libJSON}, pure: true}},
	{"cel", layer{column: base, imports: ". internal/source internal/strict", libs: []string{libJSON}, pure: true}},
	{"tcg", layer{column: base, imports: ". internal/source", pure: true}},
	{"tcg/event", layer{column: base, imports: ".", pure: true}},
	{"tcg/claims", layer{column: base, imports: ".", pure: true}},
	{"ima", layer{column: base, imports: ". internal/source", pure: true}},
	{"internal/line", layer{column: base, pure: true}},
	{"dstack", layer{column: base, imports: ". internal/strict internal/line", pure: true}},
	{"aael", layer{column: base, imports: ". tcg internal/line", pure: true}},
	{"systemd", layer{column: base, imports: ". internal/strict", pure: true}},
	{"container", layer{column: base, imports: ". internal/strict", pure: true}},
	{"internal/pipe", layer{column: base, imports: ".", pure: true}},
	{"internal/term", layer{column: base, libs: []string{libTerm, libSys}}},
	{"internal/vectors", layer{column: tests}},
	{"internal/reallogs", layer{column: tests}},
	{"internal/eventdata", layer{column: tests}},
	{"internal/logtest", layer{column: tests, imports: ". internal/vectors", libs: []string{libCmp}}},
	{"convert", layer{column: base, imports: ". nelr cel tcg ima internal/strict dstack aael container internal/pipe", pure: true}},
	{"verify", layer{column: verifying, imports: ". nelr cel dstack systemd tcg/event internal/pipe convert", pure: true}},
	{"device", layer{column: recording, imports: "."}},
	{"device/devicetest", layer{column: tests, imports: ". device"}},
	{"internal/flock", layer{column: recording, libs: []string{libSys}}},
	{"device/tsm", layer{column: recording, imports: ". device", libs: []string{libSys}}},
	{"device/soft", layer{column: recording, imports: ". device internal/flock", libs: []string{libSys}}},
	{"device/tpm", layer{column: recording, imports: ". device", libs: []string{libTPM + "/tpm2", libSys}}},
	{"keeper", layer{column: recording, imports: ". nelr device internal/flock", libs: []string{libSys}}},
	{"collect", layer{column: recording, imports: ". nelr device keeper", libs: []string{libSys}}},
	{"cmd/mrlog", layer{
		column:  front,
		imports: ". nelr cel tcg/event tcg/claims ima internal/strict dstack systemd internal/pipe internal/term convert verify device device/soft device/tsm device/tpm keeper collect",
		libs:    []string{libCLI, "github.com/spf13/pflag", libTerm, libSys},
	}},
	{"internal/perf", layer{column: front, imports: ". nelr cel tcg ima internal/pipe convert verify", libs: []string{libSys}}},
	{"internal/tsmfs", layer{column: tests, imports: ".", libs: []string{libFUSE, libSys}}},
	{"internal/tsmfs/mount", layer{column: tests, imports: "internal/tsmfs"}},
	{"internal/swtpm", layer{column: tests}},
	{"internal/swtpm/serve", layer{column: tests, imports: "internal/swtpm"}},
	{"internal/torture/witness", layer{column: base}},
	{"internal/torture", layer{
		column:  tests,
		imports: ". nelr device device/soft device/tsm device/tpm keeper internal/tsmfs internal/swtpm internal/torture/witness",
		libs:    []string{libSys},
	}},
	{"internal/archtest", layer{column: tests}},
}

// testLibs are the modules that tests may import besides those of their
// package's row.
var testLibs = map[string]string{
	libSM3:                            "digests by another road",
	libJSON:                           "strict reading of what was written",
	libSys:                            "locks and signals",
	"github.com/fxamacker/cbor/v2":    "independent CBOR",
	libCmp:                            "differences that a person can read",
	"github.com/google/go-eventlog":   "independent CEL-TLV and TCG logs",
	"github.com/rogpeppe/go-internal": "scripts that run the program",
	"pgregory.net/rapid":              "properties and state machines",
}

// notPure are standard packages that a pure package may not import, a path
// standing for what is below it too.
var notPure = map[string]string{
	"os":          "files, environment and standard streams belong to the caller",
	"net":         "the network belongs to the caller",
	"log":         "what to tell, and to whom, belongs to the caller: return an error",
	"syscall":     "the system belongs to the caller",
	"unsafe":      "hostile input is parsed here",
	"time":        "the clock is a parameter",
	"math/rand":   "randomness is a parameter",
	"crypto/rand": "randomness is a parameter",
}

// linked says what a package's build may hold, with everything that it
// imports by whatever road.
var linked = []struct {
	path string
	// only lists the modules that may be linked besides this one; nil means
	// any that bad does not name.
	only []string
	bad  map[string]string // import path, and what is below it → why not
}{
	{path: ".", only: []string{libSM3}, bad: nil},
	{path: "nelr", only: []string{libSM3}, bad: nil},
	{path: "cel", only: []string{libSM3, libJSON}, bad: nil},
	{path: "tcg", only: []string{libSM3}, bad: nil},
	{path: "tcg/event", only: []string{libSM3}, bad: map[string]string{
		"crypto/x509": "names are all that is wanted of a certificate, and hostile ones are decoded here",
	}},
	{path: "tcg/claims", only: []string{libSM3}, bad: nil},
	{path: "ima", only: []string{libSM3}, bad: nil},
	{path: "keeper", only: []string{libSM3, libSys}, bad: map[string]string{
		module + "/convert": "the keeper writes one form; a translator's bug must not reach a register",
		module + "/verify":  "what verifies shares no code with what records, so that one bug cannot hide the other",
		module + "/cel":     "the keeper writes native records; every parser less is less to trust",
		libCLI:              "the keeper is in the trusted base of the guest",
		"flag":              "the keeper is a library; its caller reads the command line",
	}},
	{path: "device/tsm", only: []string{libSM3, libSys}, bad: map[string]string{
		module + "/internal/tsmfs": "for tests only",
	}},
	{path: "collect", only: []string{libSM3, libSys}, bad: map[string]string{
		module + "/convert": "a log is copied as it stands",
		module + "/verify":  "what verifies shares no code with what collects, so that one bug cannot hide the other",
		module + "/cel":     "it reads native records; every parser less is less to trust",
		libCLI:              "the agent in the guest collects, too",
		"net/http":          "who sends evidence is its caller",
	}},
	{path: "cmd/mrlog", bad: map[string]string{
		"github.com/open-policy-agent/opa": "a policy engine would double the modules and triple the size: it gets its own program",
		"google.golang.org/grpc":           "the tool talks to no service",
		"google.golang.org/protobuf":       "no format here is protobuf",
		"github.com/golang/protobuf":       "no format here is protobuf",
		"github.com/fxamacker/cbor/v2":     "a test checks our CBOR against it, which proves nothing if we use it",
		"github.com/google/go-eventlog":    "tests check our readers against it, which proves nothing if we use it",
		"pgregory.net/rapid":               "for tests only",
		libCmp:                             "for tests only",
		"github.com/rogpeppe/go-internal":  "for tests only",
		"testing":                          "for tests only",
		module + "/internal/vectors":       "for tests only",
		module + "/internal/reallogs":      "for tests only",
		module + "/device/devicetest":      "for tests only",
		module + "/internal/tsmfs":         "for tests only",
		module + "/internal/swtpm":         "for tests only",
		libFUSE:                            "for tests only",
		"net/http":                         "the tool talks to no service",
	}},
}

// badNames say nothing about what is inside, so that anything ends up there.
var badNames = map[string]bool{
	"util": true, "utils": true, "common": true, "types": true, "helper": true, "helpers": true,
	"pkg": true, "misc": true, "shared": true, "lib": true, "base": true,
}

// vars are package-level variables that are neither errors nor tables, as
// PATH.NAME, each with the reason why it must be one.
var vars = map[string]string{
	"cmd/mrlog.version": "set by the linker",
}

// mayPanic are functions of library code that may, as PATH.FUNC (methods as
// PATH.TYPE.FUNC), each with the reason.
var mayPanic = map[string]string{
	"internal/eventdata.Bytes": "tests call it in tables, where there is no test to fail yet",
	"internal/eventdata.GUID":  "tests call it in tables, where there is no test to fail yet",
}

// mayPrint are packages of library code that may use the standard streams.
var mayPrint = map[string]string{}

// maxLines is what a reader can still hold in mind.
const maxLines = 700

// longFiles may have more lines, each for a reason.
var longFiles = map[string]string{}

// machineWords in a file say where it was made. Split, or this file would be
// the first finding. A word that starts with a slash counts only where a path
// can start.
var machineWords = map[string]string{
	"/wo" + "rk/":                "a path of one machine",
	"/ro" + "ot/":                "a path of one machine",
	"/ho" + "me/":                "a path of one machine",
	"proxy.gol" + "ang.org":      "a registry's host: which one to use is the reader's choice",
	"sum.gol" + "ang.org":        "a registry's host: which one to use is the reader's choice",
	"goproxy" + ".io":            "a registry's host: which one to use is the reader's choice",
	"goproxy" + ".cn":            "a registry's host: which one to use is the reader's choice",
	"registry.np" + "mjs.org":    "a registry's host: which one to use is the reader's choice",
	"deb.deb" + "ian.org":        "a registry's host: which one to use is the reader's choice",
	"security.deb" + "ian.org":   "a registry's host: which one to use is the reader's choice",
	"pypi" + ".org":              "a registry's host: which one to use is the reader's choice",
	"files.python" + "hosted":    "a registry's host: which one to use is the reader's choice",
	"crates" + ".io":             "a registry's host: which one to use is the reader's choice",
	"repo.maven" + ".apache.org": "a registry's host: which one to use is the reader's choice",
}

// machineWordsIn are files that may hold such a word, each for a reason: logs
// of real machines, say.
var machineWordsIn = map[string]string{}
