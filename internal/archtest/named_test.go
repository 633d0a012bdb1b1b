// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// quirksPage is the page whose tables end in a column of tests.
const quirksPage = "docs/quirks.md"

var (
	// A package, and the tests of it that follow.
	testsOf    = regexp.MustCompile("(?:`([a-z0-9/]+)`: )?((?:`Test[^`]+`(?:, )?)+)")
	namedTest  = regexp.MustCompile("`(Test[A-Za-z0-9_]+)(?:/([^`]+))?`")
	scriptName = regexp.MustCompile("`([a-z_]+)\\.txtar`")
)

// checkNamedTests wants the tests that a page names to be there: scripts of the
// command, functions in the tests of the package that stands before them, and
// for a test of a table the beginning of its name in the same tests.
func checkNamedTests(page string, files map[string]string) (named int, out []string) {
	tests := make(map[string]string) // source of a package's tests
	for name, text := range files {
		if strings.HasSuffix(name, "_test.go") {
			tests[path.Dir(name)] += text
		}
	}
	for _, line := range prose(page) {
		for _, m := range scriptName.FindAllStringSubmatch(line, -1) {
			named++
			if _, ok := files["cmd/mrlog/testdata/script/"+m[1]+".txtar"]; !ok {
				out = append(out, quirksPage+": names the script "+m[1]+".txtar, which is not there")
			}
		}
		for _, group := range testsOf.FindAllStringSubmatch(line, -1) {
			pkg := group[1]
			if pkg == "mrlog" {
				pkg = "."
			}
			for _, m := range namedTest.FindAllStringSubmatch(group[2], -1) {
				named++
				if !strings.Contains(tests[pkg], "\nfunc "+m[1]+"(") || m[2] != "" && !strings.Contains(tests[pkg], `"`+m[2]) {
					out = append(out, quirksPage+": names the test "+m[0]+" of "+group[1]+", which is not there")
				}
			}
		}
	}
	return named, out
}

// TestQuirksPage: every test that docs/quirks.md names exists, and every row of
// its tables names one.
func TestQuirksPage(t *testing.T) {
	r := repo(t)
	named, out := checkNamedTests(r.files[quirksPage], r.files)
	report(t, out)
	rows := 0
	for _, line := range prose(r.files[quirksPage]) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") && !strings.HasPrefix(line, "| what goes") {
			rows++
			if n, _ := checkNamedTests(line, nil); n == 0 {
				t.Errorf("%s: no test in %q", quirksPage, line)
			}
		}
	}
	if rows < 20 || named < 2*rows {
		t.Errorf("%d tests in %d rows of %s: the page is read wrongly", named, rows, quirksPage)
	}
}

func TestQuirksPageSelf(t *testing.T) {
	files := map[string]string{
		"a/b/x_test.go": "\nfunc TestOne(t *testing.T) {\n\"repo#1: text\"", "y_test.go": "\nfunc TestTwo(",
		"cmd/mrlog/testdata/script/s.txtar": "",
	}
	for page, bad := range map[string]int{
		"`s.txtar`; `a/b`: `TestOne/repo#1`, `TestOne`; `mrlog`: `TestTwo`": 0,
		"`t.txtar`": 1, "`a/b`: `TestTwo`": 1, "`mrlog`: `TestOne`": 1, "`a/b`: `TestOne/repo#2`": 1, "`TestOne`": 1, "`a/b`: `TestOne`, `TestOn`": 1,
	} {
		if _, out := checkNamedTests(page, files); len(out) != bad {
			t.Errorf("%s: %q", page, out)
		}
	}
}
