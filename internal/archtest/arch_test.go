// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// repository is the tree that the rules apply to: what git tracks, and what it
// would track, so that a finding comes before the commit.
type repository struct {
	root    string
	files   map[string]string // text by path; folders and binary files are empty
	texts   []textFile
	sources []*source
	errs    []string // files that do not parse
}

var load = sync.OnceValues(func() (*repository, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	names, err := fileNames(root)
	if err != nil {
		return nil, err
	}
	r := &repository{root: root, files: make(map[string]string)}
	var otherModules []string
	for _, name := range names {
		if dir, base := path.Split(name); base == "go.mod" && dir != "" {
			otherModules = append(otherModules, dir)
		}
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, not yet committed
		} else if err != nil {
			return nil, err
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			r.files[dir] = ""
		}
		if !isText(text) {
			r.files[name] = ""
			continue
		}
		f := textFile{name, string(text)}
		r.files[name] = f.text
		r.texts = append(r.texts, f)
		inOther := func(dir string) bool { return strings.HasPrefix(name, dir) }
		if path.Ext(name) != ".go" || f.fixture() || slices.ContainsFunc(otherModules, inOther) {
			continue
		}
		s, err := parse(name, f.text)
		if err != nil {
			r.errs = append(r.errs, err.Error())
			continue
		}
		r.sources = append(r.sources, s)
	}
	return r, nil
})

// fileNames lists the files of the repository; outside a git checkout, all
// files but those that the Makefile makes.
func fileNames(root string) ([]string, error) {
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	if out, err := git.Output(); err == nil {
		names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		slices.Sort(names)
		return slices.Compact(names), nil
	}
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "dist"}, name):
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

func repo(t *testing.T) *repository {
	t.Helper()
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func report(t *testing.T, findings []string) {
	t.Helper()
	slices.Sort(findings)
	for _, f := range findings {
		t.Error(f)
	}
}

func eachSource(t *testing.T, check func(*source) []string) {
	t.Helper()
	var all []string
	for _, s := range repo(t).sources {
		all = append(all, check(s)...)
	}
	report(t, all)
}

func eachText(t *testing.T, check func(textFile) []string) {
	t.Helper()
	var all []string
	for _, f := range repo(t).texts {
		all = append(all, check(f)...)
	}
	report(t, all)
}

// eachPackage calls check with the files of each package, without its tests.
func eachPackage(t *testing.T, check func(dir string, files []*source) []string) {
	t.Helper()
	packages := make(map[string][]*source)
	for _, s := range repo(t).sources {
		if !s.test {
			packages[s.dir] = append(packages[s.dir], s)
		}
	}
	var all []string
	for dir, files := range packages {
		all = append(all, check(dir, files)...)
	}
	report(t, all)
}

func TestParses(t *testing.T)       { report(t, repo(t).errs) }
func TestLayerTable(t *testing.T)   { report(t, checkTable()) }
func TestLayers(t *testing.T)       { eachSource(t, checkLayers) }
func TestPackageNames(t *testing.T) { eachSource(t, checkPackageNames) }
func TestPackageDocs(t *testing.T)  { eachPackage(t, checkPackageDoc) }
func TestCalls(t *testing.T)        { eachSource(t, checkCalls) }
func TestVars(t *testing.T)         { eachPackage(t, checkVars) }
func TestLicence(t *testing.T)      { eachText(t, checkLicence) }
func TestLength(t *testing.T)       { eachText(t, checkLength) }
func TestMachineWords(t *testing.T) { eachText(t, checkMachineWords) }

func TestMarkdownLinks(t *testing.T) {
	r := repo(t)
	eachText(t, func(f textFile) []string {
		return checkLinks(f, func(p string) (string, bool) {
			text, ok := r.files[p]
			return text, ok || p == "."
		})
	})
}

func TestDocumentsNamed(t *testing.T) {
	r := repo(t)
	bases := make(map[string]bool)
	for name := range r.files {
		bases[path.Base(name)] = true
	}
	eachText(t, func(f textFile) []string {
		if strings.HasPrefix(f.path, "internal/archtest/") {
			return nil // names made-up ones
		}
		return checkMentions(f, func(base string) bool { return bases[base] })
	})
}

func TestHackingShowsLayers(t *testing.T) {
	report(t, checkHacking(repo(t).files["HACKING.md"]))
}

// TestExceptions: an exception whose reason is gone must go too.
func TestExceptions(t *testing.T) {
	r := repo(t)
	var names []string
	for _, s := range r.sources {
		for name := range s.file.Scope.Objects {
			names = append(names, s.dir+"."+name)
		}
	}
	dirs := make(map[string]bool)
	for _, s := range r.sources {
		dirs[s.dir] = true
	}
	for key := range vars {
		if dir, _, _ := cutName(key); dirs[dir] && !slices.Contains(names, key) {
			t.Errorf("vars: %s is gone: take out its row", key)
		}
	}
	for key := range mayPanic {
		if dir, _, _ := cutName(key); !dirs[dir] {
			t.Errorf("mayPanic: %s is gone: take out its row", key)
		}
	}
	for _, table := range []map[string]string{longFiles, machineWordsIn} {
		for name := range table {
			if _, ok := r.files[name]; !ok {
				t.Errorf("exception for %s, which is gone: take out its row", name)
			}
		}
	}
	for name := range longFiles {
		if strings.Count(r.files[name], "\n") <= maxLines {
			t.Errorf("longFiles: %s no longer needs its row", name)
		}
	}
}

// cutName takes PATH.NAME apart; the path may hold dots only as ".".
func cutName(key string) (dir, name string, ok bool) {
	if rest, ok := strings.CutPrefix(key, ".."); ok {
		return ".", rest, true
	}
	return strings.Cut(key, ".")
}

// TestLinked asks the Go command what a build would hold. A package that is
// not there yet is skipped.
func TestLinked(t *testing.T) {
	r := repo(t)
	for _, row := range linked {
		t.Run(displayName(row.path), func(t *testing.T) {
			t.Parallel()
			if !slices.ContainsFunc(r.sources, func(s *source) bool { return s.dir == row.path && !s.test }) {
				t.Skip("not there yet")
			}
			list := exec.Command("go", "list", "-e", "-buildvcs=false", "-deps", "-json=ImportPath,Standard,Module", "./"+row.path)
			list.Dir = r.root
			list.Stderr = os.Stderr
			out, err := list.Output()
			if err != nil {
				t.Fatal(err)
			}
			deps, err := parseList(out)
			if err != nil {
				t.Fatal(err)
			}
			if len(deps) == 0 {
				t.Fatal("go list names no package")
			}
			report(t, checkLinked(displayName(row.path), row.only, row.bad, deps))
		})
	}
}
