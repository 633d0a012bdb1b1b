// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is one parsed Go file.
type source struct {
	path string // in the repository, with slashes
	dir  string // its package's path in the module; "." is the root
	test bool
	fset *token.FileSet
	file *ast.File
}

// parse reads a Go file.
func parse(name, text string) (*source, error) {
	s := &source{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
	var err error
	s.file, err = parser.ParseFile(s.fset, name, text, parser.ParseComments)
	return s, err
}

// command reports whether the file is part of a program.
func (s *source) command() bool { return s.file.Name.Name == "main" }

// at gives the place of a node and what is to be said of it.
func (s *source) at(n ast.Node, format string, args ...any) string {
	p := s.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d: %s", s.path, p.Line, fmt.Sprintf(format, args...))
}

// within reports whether the import path p is root or below it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// inModule turns an import path of this module into the path of the layers
// table.
func inModule(p string) (string, bool) {
	if p == module {
		return ".", true
	}
	return strings.CutPrefix(p, module+"/")
}

func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

func layerOf(dir string) (layer, bool) {
	for _, l := range layers {
		if l.path == dir {
			return l.layer, true
		}
	}
	return layer{}, false
}

func importsOf(s *source) map[string]ast.Node {
	m := make(map[string]ast.Node)
	for _, i := range s.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			m[p] = i
		}
	}
	return m
}

// checkLayers holds a file's imports to its package's row of the table.
func checkLayers(s *source) []string {
	l, ok := layerOf(s.dir)
	if !ok {
		return []string{s.at(s.file.Name, "package %s is not in the table of layers: add a row to internal/archtest/tables_test.go and to HACKING.md that says what it may import, because imports run downward only", s.dir)}
	}
	var out []string
	for p, node := range importsOf(s) {
		own, ours := inModule(p)
		switch {
		case ours && within(own, "cmd"):
			out = append(out, s.at(node, "imports %s: a command is the top of the house", p))
		case ours && s.test:
			// Tests may look anywhere: one that proves that both columns
			// agree needs both.
		case ours && !slices.Contains(strings.Fields(l.imports), own):
			target, known := layerOf(own)
			switch {
			case known && crosses(l.column, target.column):
				out = append(out, s.at(node, "imports %s: the %s column never imports the %s one, because one bug in shared code could hide what it did; only a command sees both", p, l.column, target.column))
			default:
				out = append(out, s.at(node, "imports %s, which the row of %s in the table of layers does not list (%s): imports run downward only", p, s.dir, l.imports))
			}
		case !ours && !isStandard(p):
			if slices.ContainsFunc(l.libs, func(m string) bool { return within(p, m) }) {
				continue
			}
			if s.test && allowedInTests(p) {
				continue
			}
			out = append(out, s.at(node, "imports %s, which the row of %s in the table of layers does not list: every library is a decision, and in the end part of what a user must trust", p, s.dir))
		case l.pure && !s.test:
			for bad, why := range notPure {
				if within(p, bad) {
					out = append(out, s.at(node, "imports %s, but %s does no I/O of its own: %s", p, s.dir, why))
				}
			}
		}
	}
	return out
}

func allowedInTests(p string) bool {
	for m := range testLibs {
		if within(p, m) {
			return true
		}
	}
	return false
}

// crosses reports whether an import from one column to another is forbidden
// whatever the table says.
func crosses(from, to column) bool {
	return from == verifying && to == recording || from == recording && to == verifying ||
		from == base && (to == verifying || to == recording || to == front) ||
		to == front || to == tests && from != tests
}

// checkTable holds the table itself to the rules that it stands for.
func checkTable() []string {
	var out []string
	seen := make(map[string]column)
	for _, l := range layers {
		for imp := range strings.FieldsSeq(l.imports) {
			to, ok := seen[imp]
			if !ok {
				out = append(out, fmt.Sprintf("layers: %s may import %s, which does not stand before it: imports run downward only", l.path, imp))
			} else if l.column != front && crosses(l.column, to) {
				out = append(out, fmt.Sprintf("layers: %s (%s) may import %s (%s): the columns never import each other", l.path, l.column, imp, to))
			}
		}
		seen[l.path] = l.column
	}
	return out
}

// checkPackageNames refuses names that say nothing.
func checkPackageNames(s *source) []string {
	name := strings.TrimSuffix(s.file.Name.Name, "_test")
	for _, part := range append(strings.Split(s.dir, "/"), name) {
		if badNames[part] {
			return []string{s.at(s.file.Name, "package %q: a name that says nothing about what is inside collects everything; name it for the one thing that it does", part)}
		}
	}
	return nil
}

// checkPackageDoc wants one package comment, in the right words. The files are
// those of one package, without its tests.
func checkPackageDoc(dir string, files []*source) []string {
	if len(files) == 0 {
		return nil
	}
	want := "Package " + files[0].file.Name.Name
	if files[0].command() {
		want = "Command " + path.Base(dir)
	}
	var docs []*source
	for _, s := range files {
		if s.file.Doc == nil || strings.TrimSpace(s.file.Doc.Text()) == "" {
			continue
		}
		docs = append(docs, s)
		if text := s.file.Doc.Text(); !strings.HasPrefix(text, want+" ") {
			return []string{s.at(s.file.Doc, "the package comment begins %.30q, want %q: it is the first thing that a reader sees, and tools rely on the form", text, want+" …")}
		}
	}
	switch len(docs) {
	case 0:
		return []string{fmt.Sprintf("%s: no package comment that begins %q: the comment says what the package is for and what it is not", dir, want+" …")}
	case 1:
		return nil
	}
	return []string{fmt.Sprintf("%s: package comments in both %s and %s: one of them goes stale", dir, docs[0].path, docs[1].path)}
}

// checkCalls refuses what library code may not do. Tests may.
func checkCalls(s *source) []string {
	if s.test {
		return nil
	}
	names := make(map[string]string) // local name → import path
	for p, node := range importsOf(s) {
		name := path.Base(p)
		if spec := node.(*ast.ImportSpec); spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	var out []string
	if _, ok := importsOf(s)["io/ioutil"]; ok {
		out = append(out, s.at(importsOf(s)["io/ioutil"], "imports io/ioutil: deprecated; io and os have it all"))
	}
	for _, decl := range s.file.Decls {
		in := s.dir
		if f, ok := decl.(*ast.FuncDecl); ok {
			in = s.dir + "." + funcName(f)
			if f.Recv == nil && f.Name.Name == "init" {
				out = append(out, s.at(f, "func init: nothing happens by being imported; do it where it is used"))
			}
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				id, ok := n.Fun.(*ast.Ident)
				if !ok || id.Obj != nil {
					return true
				}
				switch {
				case id.Name == "panic" && !s.command() && mayPanic[in] == "":
					out = append(out, s.at(n, "panic in library code: a hostile log must not end the program; return an error, or give the function a row in mayPanic with its reason"))
				case (id.Name == "print" || id.Name == "println") && !s.command():
					out = append(out, s.at(n, "%s: left from debugging", id.Name))
				}
			case *ast.SelectorExpr:
				id, ok := n.X.(*ast.Ident)
				if !ok || id.Obj != nil {
					return true
				}
				if why := forbidden(s, names[id.Name], n.Sel.Name); why != "" {
					out = append(out, s.at(n, "%s.%s: %s", id.Name, n.Sel.Name, why))
				}
			}
			return true
		})
	}
	return out
}

// forbidden says why a file may not use a name of an imported package.
func forbidden(s *source, pkg, name string) string {
	switch pkg {
	case "log":
		return "the standard logger is global and mutable; return an error, or write to what the caller gave"
	case "fmt":
		if strings.HasPrefix(name, "Print") && !s.command() {
			return "standard output belongs to the program; write to what the caller gave"
		}
	case "os":
		switch name {
		case "Exit":
			if !s.command() || path.Base(s.path) != "main.go" {
				return "only main.go of a command ends the process: elsewhere it skips what is deferred, and no test can call it"
			}
		case "Stdout", "Stderr", "Stdin", "Args":
			if !s.command() && mayPrint[s.dir] == "" {
				return "the standard streams and arguments belong to the program; take an io.Writer, io.Reader or a value"
			}
		}
	case "time":
		if name == "Sleep" && !s.command() {
			return "it cannot be cancelled and makes tests slow; wait for what is to happen, with a context or a timer of the caller's"
		}
	}
	return ""
}

// funcName gives FUNC, or TYPE.FUNC for a method.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch u := t.(type) {
		case *ast.StarExpr:
			t = u.X
			continue
		case *ast.IndexExpr:
			t = u.X
			continue
		case *ast.Ident:
			return u.Name + "." + f.Name.Name
		}
		return f.Name.Name
	}
}

const whyVars = "what is global and can change makes two callers, or two tests, depend on each other"

// checkVars allows package-level variables of three kinds: errors, unexported
// tables that nothing assigns to, and those in the vars table. The files are
// those of one package, without its tests.
func checkVars(dir string, files []*source) []string {
	var out []string
	declared := make(map[string]bool)
	for _, s := range files {
		for _, decl := range s.file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					key := dir + "." + name.Name
					if name.Name == "_" || vars[key] != "" || embedded(g, v) {
						continue
					}
					declared[name.Name] = true
					var value ast.Expr
					if i < len(v.Values) {
						value = v.Values[i]
					}
					switch kind := varKind(value); {
					case kind == "error", strings.HasPrefix(name.Name, "testOnly"):
					case kind == "":
						out = append(out, s.at(name, "var %s is neither an error nor a table: %s; make it a parameter, or give it a row in vars with its reason (%s)", name.Name, whyVars, key))
					case name.IsExported():
						out = append(out, s.at(name, "var %s is exported, so that any importer can change it: %s; export a function", name.Name, whyVars))
					}
				}
			}
		}
	}
	for _, s := range files {
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				var targets []ast.Expr
				switch n := n.(type) {
				case *ast.AssignStmt:
					if n.Tok != token.DEFINE {
						targets = n.Lhs
					}
				case *ast.IncDecStmt:
					targets = []ast.Expr{n.X}
				}
				for _, t := range targets {
					if id := rootIdent(t); id != nil && declared[id.Name] && s.global(id) {
						out = append(out, s.at(t, "assigns to the package-level var %s: %s", id.Name, whyVars))
					}
				}
				return true
			})
		}
	}
	return out
}

// global reports whether an identifier that has a package-level variable's
// name is that variable, and no local one.
func (s *source) global(id *ast.Ident) bool {
	return id.Obj == nil || // declared in another file
		id.Obj == s.file.Scope.Lookup(id.Name)
}

func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// embedded reports whether a go:embed directive fills the variable.
func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// varKind tells the harmless kinds of variables by their first value: "error",
// "table", or "" for any other.
func varKind(value ast.Expr) string {
	switch v := value.(type) {
	case *ast.CompositeLit:
		if t, ok := v.Type.(*ast.SelectorExpr); ok {
			if pkg, ok := t.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") {
				return ""
			}
		}
		return "table"
	case *ast.CallExpr:
		switch f := v.Fun.(type) {
		case *ast.SelectorExpr:
			pkg, ok := f.X.(*ast.Ident)
			if !ok {
				return ""
			}
			switch pkg.Name + "." + f.Sel.Name {
			case "errors.New", "fmt.Errorf":
				return "error"
			case "regexp.MustCompile", "strings.NewReplacer":
				return "table"
			}
		case *ast.ArrayType: // []byte("…")
			return "table"
		case *ast.FuncLit: // computed where it stands
			return "table"
		}
	}
	return ""
}
