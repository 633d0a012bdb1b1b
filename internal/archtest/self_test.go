// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"strings"
	"testing"
)

// expect wants exactly one finding that contains want, or none if want is
// empty.
func expect(t *testing.T, want string, findings []string) {
	t.Helper()
	switch {
	case want == "" && len(findings) != 0:
		t.Errorf("found %q, want nothing", findings)
	case want != "" && len(findings) != 1:
		t.Errorf("found %q, want one finding that says %q", findings, want)
	case want != "" && !strings.Contains(findings[0], want):
		t.Errorf("found %q, want %q", findings[0], want)
	}
}

func mustParse(t *testing.T, name, text string) *source {
	t.Helper()
	s, err := parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCheckLayers(t *testing.T) {
	for _, tt := range []struct{ file, imports, want string }{
		{"nelr/reader.go", `"mrlog.dev"; "bytes"`, ""},
		{"alg.go", `"github.com/emmansun/gmsm/sm3"`, ""},
		{"alg.go", `"github.com/emmansun/gmsm/sm4"`, "every library is a decision"},
		{"alg.go", `"mrlog.dev/nelr"`, "imports run downward only"},
		{"nelr/reader.go", `"mrlog.dev/cel"`, "imports run downward only"},
		{"nelr/reader.go", `"github.com/emmansun/gmsm/sm3"`, "every library is a decision"},
		{"nelr/reader.go", `"mrlog.dev/keeper"`, "the base column never imports the recording one"},
		{"cel/json.go", `"github.com/go-json-experiment/json/jsontext"`, ""},
		{"cel/cbor.go", `"github.com/fxamacker/cbor/v2"`, "every library is a decision"},
		{"cel/cbor_test.go", `"github.com/fxamacker/cbor/v2"`, ""},
		{"cel/cbor_test.go", `"github.com/stretchr/testify"`, "every library is a decision"},
		{"keeper/append.go", `"mrlog.dev/nelr"; "mrlog.dev/device"; "os"`, ""},
		{"keeper/append.go", `"mrlog.dev/verify"`, "the recording column never imports the verifying one"},
		{"keeper/append.go", `"mrlog.dev/cel"`, "imports run downward only"},
		{"verify/verify.go", `"mrlog.dev/keeper"`, "the verifying column never imports the recording one"},
		{"verify/verify.go", `"mrlog.dev/internal/vectors"`, "never imports the testing one"},
		{"verify/verify_test.go", `"mrlog.dev/keeper"`, ""},
		{"verify/verify_test.go", `"mrlog.dev/cmd/mrlog"`, "top of the house"},
		{"convert/convert.go", `"mrlog.dev/cmd/mrlog"`, "top of the house"},
		{"cmd/mrlog/main.go", `"mrlog.dev/keeper"; "mrlog.dev/verify"; "os"`, ""},
		{"surprise/x.go", `"fmt"`, "is not in the table of layers"},
		{"reader.go", `"os"`, "files, environment and standard streams belong to the caller"},
		{"reader.go", `"net/netip"`, "the network belongs to the caller"},
		{"nelr/reader.go", `"log/slog"`, "return an error"},
		{"nelr/reader_test.go", `"os"`, ""},
	} {
		s := mustParse(t, tt.file, "package p\nimport ("+tt.imports+")\n")
		t.Run(tt.file+" "+tt.imports, func(t *testing.T) { expect(t, tt.want, checkLayers(s)) })
	}
}

func TestCheckTable(t *testing.T) {
	saved := layers
	t.Cleanup(func() { layers = saved })

	layers = append(saved[:0:0], saved...)
	layers[1].imports = ". cel"
	expect(t, "nelr may import cel, which does not stand before it", checkTable())

	layers = append(saved[:0:0], saved...)
	for i := range layers {
		if layers[i].path == "keeper" {
			layers[i].imports += " verify"
		}
	}
	expect(t, "keeper (recording) may import verify (verifying)", checkTable())
}

func TestCheckPackageNames(t *testing.T) {
	for _, tt := range []struct{ file, name, want string }{
		{"nelr/reader.go", "nelr", ""},
		{"nelr/reader_test.go", "nelr_test", ""},
		{"internal/util/a.go", "util", `package "util"`},
		{"internal/helpers/a.go", "paths", `package "helpers"`},
		{"pkg/nelr/a.go", "nelr", `package "pkg"`},
		{"x/a_test.go", "common_test", `package "common"`},
	} {
		t.Run(tt.file, func(t *testing.T) {
			expect(t, tt.want, checkPackageNames(mustParse(t, tt.file, "package "+tt.name+"\n")))
		})
	}
}

func TestCheckPackageDoc(t *testing.T) {
	const licenceOnly = "// Copyright The mrlog Authors\n\npackage nelr\n"
	for _, tt := range []struct {
		name, dir string
		texts     []string
		want      string
	}{
		{"good", "nelr", []string{"// Package nelr reads.\npackage nelr\n", licenceOnly}, ""},
		{"command", "cmd/mrlog", []string{"// Command mrlog records.\npackage main\n"}, ""},
		{"tests only", "x", nil, ""},
		{"none", "nelr", []string{licenceOnly}, "no package comment"},
		{"wrong words", "nelr", []string{"// This package reads.\npackage nelr\n"}, "begins"},
		{"wrong name", "nelr", []string{"// Package nelrs reads.\npackage nelr\n"}, "begins"},
		{"command like a package", "cmd/mrlog", []string{"// Package main records.\npackage main\n"}, "begins"},
		{"two", "nelr", []string{"// Package nelr a.\npackage nelr\n", "// Package nelr b.\npackage nelr\n"}, "in both"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var files []*source
			for i, text := range tt.texts {
				files = append(files, mustParse(t, tt.dir+"/"+string(rune('a'+i))+".go", text))
			}
			expect(t, tt.want, checkPackageDoc(tt.dir, files))
		})
	}
}

func TestCheckCalls(t *testing.T) {
	mayPanic["x.Good.Do"] = "made up"
	t.Cleanup(func() { delete(mayPanic, "x.Good.Do") })
	for _, tt := range []struct{ name, file, text, want string }{
		{"panic", "x/a.go", `package x; func f() { panic("no") }`, "panic in library code"},
		{"panic in a variable", "x/a.go", `package x; var _ = func() int { panic("no") }`, "panic in library code"},
		{"panic with a reason", "x/a.go", `package x; type Good int; func (g *Good) Do() { panic("no") }`, ""},
		{"panic in a test", "x/a_test.go", `package x; func f() { panic("no") }`, ""},
		{"own panic", "x/a.go", `package x; func f(panic func()) { panic() }`, ""},
		{"println", "x/a.go", `package x; func f() { println(1) }`, "debugging"},
		{"init", "x/a.go", `package x; func init() {}`, "func init"},
		{"init in a command", "cmd/x/a.go", `package main; func init() {}`, "func init"},
		{"method init", "x/a.go", `package x; type T int; func (T) init() {}`, ""},
		{"log", "x/a.go", `package x; import "log"; func f() { log.Print("x") }`, "global and mutable"},
		{"log, renamed", "x/a.go", `package x; import l "log"; func f() { l.Fatal("x") }`, "global and mutable"},
		{"log in a command", "cmd/x/main.go", `package main; import "log"; func f() { log.Print("x") }`, "global and mutable"},
		{"own log", "x/a.go", `package x; func f(log interface{ Print() }) { log.Print() }`, ""},
		{"print", "x/a.go", `package x; import "fmt"; func f() { fmt.Println("x") }`, "belongs to the program"},
		{"print in a command", "cmd/x/a.go", `package main; import "fmt"; func f() { fmt.Println("x") }`, ""},
		{"print to a writer", "x/a.go", `package x; import ("fmt"; "io"); func f(w io.Writer) { fmt.Fprintln(w, "x") }`, ""},
		{"exit", "x/a.go", `package x; import "os"; func f() { os.Exit(1) }`, "only main.go"},
		{"exit in a command", "cmd/x/run.go", `package main; import "os"; func f() { os.Exit(1) }`, "only main.go"},
		{"exit in main.go", "cmd/x/main.go", `package main; import "os"; func f() { os.Exit(1) }`, ""},
		{"stderr", "x/a.go", `package x; import "os"; var w = os.Stderr`, "belong to the program"},
		{"ioutil", "x/a.go", `package x; import "io/ioutil"; var f = ioutil.ReadAll`, "deprecated"},
		{"sleep", "x/a.go", `package x; import "time"; func f() { time.Sleep(1) }`, "cannot be cancelled"},
		{"duration", "x/a.go", `package x; import "time"; const d = time.Second`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.want, checkCalls(mustParse(t, tt.file, tt.text))) })
	}
}

func TestCheckVars(t *testing.T) {
	vars["x.version"] = "made up"
	t.Cleanup(func() { delete(vars, "x.version") })
	for _, tt := range []struct{ name, text, want string }{
		{"error", `package x; import "errors"; var ErrX = errors.New("x")`, ""},
		{"table", `package x; var names = [...]string{"a"}; var m = map[int]int{1: 2}`, ""},
		{"bytes", `package x; var magic = []byte("x")`, ""},
		{"computed table", `package x; var squares = func() (t [9]int) { for i := range t { t[i] = i * i }; return t }()`, ""},
		{"pattern", `package x; import "regexp"; var p = regexp.MustCompile("x")`, ""},
		{"interface check", `package x; var _ error = (*T)(nil); type T struct{ error }`, ""},
		{"embedded", "package x\nimport _ \"embed\"\n//go:embed a.txt\nvar text string\n", ""},
		{"test seam", `package x; var testOnlyFault func() error`, ""},
		{"listed", `package x; var version string`, ""},
		{"counter", `package x; var n int`, "neither an error nor a table"},
		{"default", `package x; var Default = New(); func New() int { return 1 }`, "neither an error nor a table"},
		{"pool", `package x; import "sync"; var pool = sync.Pool{}`, "neither an error nor a table"},
		{"exported table", `package x; var Names = []string{"a"}`, "is exported"},
		{"assigned element", `package x; var m = map[int]int{}; func f() { m[1] = 2 }`, "assigns to"},
		{"assigned", `package x; var t = []int{1}; func f() { t = nil }`, "assigns to"},
		{"incremented", `package x; var t = []int{1}; func f() { (t[0])++ }`, "assigns to"},
		{"local of the same name", `package x; var t = []int{1}; func f() { t := 1; t = 2; _ = t }`, ""},
		{"local var of the same name", `package x; var t = []int{1}; func f() { var t int; t = 2; _ = t }`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.want, checkVars("x", []*source{mustParse(t, "x/a.go", tt.text)}))
		})
	}
	t.Run("another file", func(t *testing.T) {
		a := mustParse(t, "x/a.go", `package x; var t = []int{1}`)
		b := mustParse(t, "x/b.go", `package x; func f() { t[0] = 2 }`)
		expect(t, "x/b.go:1: assigns to", checkVars("x", []*source{a, b}))
	})
}

func TestCheckLicence(t *testing.T) {
	lines := func(mark string) string { return mark + licence[0] + "\n" + mark + licence[1] + "\n" }
	for _, tt := range []struct{ file, text, want string }{
		{"a.go", lines("// ") + "\npackage a\n", ""},
		{"a.go", "package a\n", "does not begin"},
		{"a.go", "\n" + lines("// "), "does not begin"},
		{"a.go", "// " + licence[1] + "\n", "does not begin"},
		{"scripts/x", "#!/bin/sh\n" + lines("# "), ""},
		{"scripts/x", "#!/bin/sh\necho\n", "does not begin"},
		{"scripts/x.sh", "echo\n", "does not begin"},
		{"Makefile", lines("# ") + "\nall:\n", ""},
		{"Makefile", "all:\n", "does not begin"},
		{"README.md", "hello\n", ""},
		{"x/testdata/a.go", "package a\n", ""},
	} {
		t.Run(tt.file, func(t *testing.T) { expect(t, tt.want, checkLicence(textFile{tt.file, tt.text})) })
	}
}

func TestCheckLength(t *testing.T) {
	long := strings.Repeat("x\n", maxLines+1)
	longFiles["allowed.go"] = "made up"
	t.Cleanup(func() { delete(longFiles, "allowed.go") })
	for _, tt := range []struct{ file, text, want string }{
		{"a.go", long[2:], ""},
		{"a.go", long, "701 lines"},
		{"a.md", long, "701 lines"},
		{"Makefile", long, "701 lines"},
		{"allowed.go", long, ""},
		{"x/testdata/a.md", long, ""},
		{"go.sum", long, ""},
	} {
		t.Run(tt.file, func(t *testing.T) { expect(t, tt.want, checkLength(textFile{tt.file, tt.text})) })
	}
}

func TestCheckMachineWords(t *testing.T) {
	home, root, work := "/ho"+"me/", "/ro"+"ot/", "/wo"+"rk/"
	for _, tt := range []struct{ text, want string }{
		{"see docs" + work + "x and a" + root, ""},
		{"x\ncd " + work + "main", "a.md:2: " + work},
		{home + "me/x", "a path of one machine"},
		{`"` + root + `x"`, "a path of one machine"},
		{"from https://proxy.gol" + "ang.org/x", "a registry's host"},
		{"apt from deb.deb" + "ian.org", "a registry's host"},
	} {
		t.Run(tt.text, func(t *testing.T) { expect(t, tt.want, checkMachineWords(textFile{"a.md", tt.text})) })
	}
}

func TestCheckLinks(t *testing.T) {
	files := map[string]string{
		"docs":         "",
		"docs/a.md":    "# First part\n## Twice\n## Twice\n## A `b`, c\n",
		"docs/b_c.txt": "",
	}
	get := func(p string) (string, bool) { s, ok := files[p]; return s, ok }
	for _, tt := range []struct{ file, text, want string }{
		{"README.md", "[a](docs/a.md) [b](docs/) [c](<docs/b_c.txt>) [d](https://example.com/x)", ""},
		{"README.md", "[a](docs/none.md)", "docs/none.md, which is not there"},
		{"README.md", "![a](docs/none.png \"title\")", "docs/none.png, which is not there"},
		{"README.md", "[a]: docs/none.md", "docs/none.md, which is not there"},
		{"docs/x.md", "[a](a.md) [b](../docs/a.md#first-part) [c](/docs/a.md#twice-1) [d](a.md#a-b-c)", ""},
		{"docs/x.md", "[a](docs/a.md)", "which is not there"},
		{"docs/x.md", "[a](a.md#second-part)", "no such heading"},
		{"docs/x.md", "# Top\n\n[a](#top)", ""},
		{"docs/x.md", "# Top\n\n[a](#bottom)", "no such heading"},
		{"docs/x.md", "`[a](none.md)`\n```\n[a](none.md)\n```\n", ""},
		{"x/testdata/y.md", "[a](none.md)", ""},
		{"a.go", "// [a](none.md)", ""},
	} {
		t.Run(tt.text, func(t *testing.T) { expect(t, tt.want, checkLinks(textFile{tt.file, tt.text}, get)) })
	}
}

func TestCheckMentions(t *testing.T) {
	there := func(base string) bool { return base == "nelr.md" }
	for _, tt := range []struct{ file, text, want string }{
		{"a.go", "// see docs/spec/nelr.md, section 4", ""},
		{"a.go", "package a\n\n// see PLAN.md §4", "a.go:3: names the document PLAN.md"},
		{"README.md", "https://example.com/README.md", ""},
		{"x/testdata/a.txt", "see PLAN.md", ""},
	} {
		t.Run(tt.text, func(t *testing.T) { expect(t, tt.want, checkMentions(textFile{tt.file, tt.text}, there)) })
	}
}

func TestCheckHacking(t *testing.T) {
	var rows strings.Builder
	for _, f := range checkHacking("") {
		_, rest, _ := strings.Cut(f, `no row "`)
		start, rest, _ := strings.Cut(rest, `" … "`)
		end, _, _ := strings.Cut(rest, `": `)
		rows.WriteString(start + " does its work " + end + "\n")
	}
	expect(t, "", checkHacking(rows.String()))
	expect(t, "no row \"| `nelr` |\"", checkHacking(strings.Replace(rows.String(), "| `nelr` |", "| `nerl` |", 1)))
}

func TestCheckLinked(t *testing.T) {
	deps, err := parseList([]byte(`
		{"ImportPath": "os", "Standard": true}
		{"ImportPath": "github.com/emmansun/gmsm/sm3", "Module": {"Path": "github.com/emmansun/gmsm"}}
		{"ImportPath": "github.com/emmansun/gmsm/internal/sm3", "Module": {"Path": "github.com/emmansun/gmsm"}}
		{"ImportPath": "mrlog.dev/verify", "Module": {"Path": "mrlog.dev"}}`))
	if err != nil || len(deps) != 4 {
		t.Fatal(deps, err)
	}
	expect(t, "", checkLinked("p", []string{libSM3}, nil, deps))
	expect(t, "", checkLinked("p", nil, map[string]string{"mrlog.dev/ver": "no"}, deps))
	expect(t, "p links the module github.com/emmansun/gmsm", checkLinked("p", []string{}, nil, deps))
	expect(t, "p links mrlog.dev/verify: no", checkLinked("p", nil, map[string]string{"mrlog.dev/verify": "no"}, deps))

	if _, err := parseList([]byte("{")); err == nil {
		t.Error("cut output of go list is accepted")
	}
}
