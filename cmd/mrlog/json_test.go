// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mrlog.dev"
)

// jsonPage is the contract of --json, and the tests below what holds the
// program to it.
const jsonPage = "../../docs/json.md"

// field is a row of a table of the page, or a field of a struct.
type field struct {
	name, kind string
	optional   bool
}

// readJSONPage returns the tables of the page, by the name in the comment
// before each.
func readJSONPage(t *testing.T) map[string][]field {
	page, err := os.ReadFile(jsonPage)
	if err != nil {
		t.Fatal(err)
	}
	mark := regexp.MustCompile(`^<!-- fields (\w+) -->$`)
	row := regexp.MustCompile("^\\| `(\\w+)` \\| (\\w+) \\| (.*) \\|$")
	tables := make(map[string][]field)
	name := ""
	for i, line := range strings.Split(string(page), "\n") {
		switch m := mark.FindStringSubmatch(line); {
		case m != nil:
			name = m[1]
			if _, twice := tables[name]; twice {
				t.Errorf("line %d: second table of %s", i+1, name)
			}
			tables[name] = nil
		case name == "" || line == "| field | type | meaning |" || line == "| --- | --- | --- |":
		case !strings.HasPrefix(line, "|"):
			name = ""
		default:
			m := row.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("line %d is not a row of field, type and meaning: %s", i+1, line)
			}
			tables[name] = append(tables[name], field{name: m[1], kind: m[2]})
		}
	}
	return tables
}

// fieldsOf returns what encoding/json makes of a struct.
func fieldsOf(t *testing.T, s reflect.Type) []field {
	var out []field
	for i := range s.NumField() {
		f := s.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			t.Errorf("%s.%s has no name in JSON", s.Name(), f.Name)
		}
		out = append(out, field{name: name, kind: kindOf(f.Type), optional: options == "omitempty"})
	}
	return out
}

// kindOf names a Go type as the page does.
func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[json.RawMessage]() {
		return "any"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "array"
	case reflect.Struct:
		return "object"
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return "number"
	}
	return t.String()
}

// outputs are the structs of the package that are printed as JSON. That none
// is missing is checked against the source.
func outputs() map[string]reflect.Type {
	all := map[string]reflect.Type{}
	add := func(values ...any) {
		for _, v := range values {
			all[reflect.TypeOf(v).Name()] = reflect.TypeOf(v)
		}
	}
	add(errorOutput{}, findingOutput{}, replayOutput{}, registerOutput{}, showRecord{}, showDigest{}, showSuspicion{},
		verifyOutput{}, verifyRegister{}, verifyFinding{}, versionOutput{},
		convertOutput{}, mappedOutput{}, lostOutput{}, checkedOutput{})
	add(recordingOutputs()...)
	return all
}

func TestJSONPageTables(t *testing.T) {
	tables := readJSONPage(t)
	structs := outputs()
	for name, s := range structs {
		table, ok := tables[name]
		if !ok {
			t.Errorf("docs/json.md has no table of %s", name)
			continue
		}
		want := fieldsOf(t, s)
		for i := range want {
			want[i].optional = false
		}
		if name == "showRecord" && !slices.ContainsFunc(want, func(f field) bool { return f.name == "text" }) {
			// Written after the struct, which may not hold them whole.
			want = append(want, field{name: "event", kind: "object"}, field{name: "text", kind: "string"}, field{name: "data", kind: "string"}, field{name: "json", kind: "any"})
		}
		if !slices.Equal(table, want) {
			t.Errorf("%s:\n docs/json.md has %v\n the program     %v", name, table, want)
		}
	}
	for name := range tables {
		if _, ok := structs[name]; !ok && name != "showOutput" && runtime.GOOS == "linux" {
			t.Errorf("docs/json.md has a table of %s, which the program does not print", name)
		}
	}
}

// byMeaning are fields whose meaning says when they are there.
var byMeaning = map[string]bool{
	"showRecord.event_type": true, // of one type only
	"showRecord.name":       true, // of a template
	"showRecord.name_data":  true, // with name
	"showRecord.text":       true, // one of text, data and json
	"showRecord.data":       true,
	"showRecord.json":       true,
	"verifyRegister.prefix": true, // with one state only
}

// A field that may be absent says so, and no other does.
func TestJSONPageAbsent(t *testing.T) {
	page, err := os.ReadFile(jsonPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // by struct and field
	name := ""
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "<!-- fields "); ok {
			name, _, _ = strings.Cut(rest, " ")
		}
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			rows[name+"."+strings.Trim(cells[1], " `")] = strings.ReplaceAll(cells[3], "`absent`", "") // a state of that name
		}
	}
	for name, s := range outputs() {
		for _, f := range fieldsOf(t, s) {
			at := name + "." + f.name
			if f.optional && f.kind != "boolean" && !byMeaning[at] && !strings.Contains(rows[at], "absent") {
				t.Errorf("%s.%s can be absent, and docs/json.md does not say when", name, f.name)
			}
			if !f.optional && strings.Contains(rows[at], "absent") {
				t.Errorf("%s.%s is never absent, and docs/json.md says that it can be", name, f.name)
			}
		}
	}
}

// Every struct with names in JSON is in outputs, but for those inside a
// function, which other tests look at.
func TestJSONPageComplete(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := outputs()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
				if !ok || !slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return f.Tag != nil }) {
					continue
				}
				if name := spec.(*ast.TypeSpec).Name.Name; known[name] == nil && runtime.GOOS == "linux" {
					t.Errorf("%s: %s has names in JSON, and the test does not hold it to docs/json.md", file, name)
				}
			}
		}
	}
}

// show writes its object as it goes, without a struct: its real output is held
// to the page.
func TestJSONPageShow(t *testing.T) {
	tables := readJSONPage(t)
	// One log has no dialect but an assumed space, the next the reverse; the
	// third has padding, and tells where the TPM was started; the last tells of
	// a dynamic launch.
	launch := mrlog.Record{
		Register: mrlog.Register{Space: mrlog.PCR, Index: 17}, Type: mrlog.TypePCClient, Event: 0x402,
		Digests: []mrlog.Digest{{Alg: mrlog.SHA256, Sum: make([]byte, 32)}},
	}
	seen := make(map[string]bool)
	for _, log := range []string{
		"INIT sha384/" + strings.Repeat("0", 96) + "\n",
		`{"log":[]}`,
		string(tcgLog(t, tcgFixture(), 8)),
		string(tcgLog(t, []mrlog.Record{launch}, 0)),
	} {
		var out bytes.Buffer
		if code := runInProcess(strings.NewReader(log), &out, os.Stderr, "show", "--json", "-"); code != 0 {
			t.Fatalf("exit %d", code)
		}
		d := json.NewDecoder(bytes.NewReader(out.Bytes()))
		at := 0
		for _, name := range topNames(t, d) {
			i := slices.IndexFunc(tables["showOutput"][at:], func(f field) bool { return f.name == name })
			if i < 0 {
				t.Fatalf("%q is not in docs/json.md, or in another order", name)
			}
			at += i + 1
			seen[name] = true
		}
		var object map[string]any
		if err := json.Unmarshal(out.Bytes(), &object); err != nil {
			t.Fatal(err)
		}
		for _, r := range object["records"].([]any) {
			if r := r.(map[string]any); object["format"] == "nelr" && (r["text"] == nil || r["data"] != nil || r["json"] != nil) {
				t.Errorf("a line of a native log is not given as text: %v", r)
			}
		}
		for _, f := range tables["showOutput"] {
			if v, ok := object[f.name]; ok && kindOfValue(v) != f.kind {
				t.Errorf("%s is %s, docs/json.md says %s", f.name, kindOfValue(v), f.kind)
			}
		}
	}
	for _, f := range tables["showOutput"] {
		if !seen[f.name] {
			t.Errorf("docs/json.md has %s, no output does", f.name)
		}
	}
}

// topNames returns the names of the object that is read, in order.
func topNames(t *testing.T, d *json.Decoder) []string {
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		t.Fatalf("no object: %v %v", tok, err)
	}
	var names []string
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tok.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func kindOfValue(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}

// The examples of the page are JSON with the fields of its tables.
func TestJSONPageExamples(t *testing.T) {
	page, err := os.ReadFile(jsonPage)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, table := range readJSONPage(t) {
		for _, f := range table {
			known[f.name] = true
		}
	}
	for key := range eventMembers(t) {
		_, name, _ := strings.Cut(key, ".")
		known[name] = true
	}
	examples := 0
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		examples++
		var v any
		if err := json.Unmarshal(block[1], &v); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
		for name := range namesIn(v) {
			if !known[name] {
				t.Errorf("an example has %q, which is in no table", name)
			}
		}
	}
	if examples == 0 {
		t.Error("no examples found")
	}
}

func namesIn(v any) map[string]bool {
	names := make(map[string]bool)
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			maps.Copy(names, namesIn(e))
		}
	case map[string]any:
		for name, e := range v {
			names[name] = true
			maps.Copy(names, namesIn(e))
		}
	}
	return names
}
