// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textFile is a file of the repository that is text.
type textFile struct {
	path string
	text string
}

// isText reports whether the bytes are what a person writes.
func isText(b []byte) bool { return utf8.Valid(b) && !bytes.ContainsRune(b, 0) }

// fixture reports whether a file is test data: not written for readers.
func (f textFile) fixture() bool {
	return slices.Contains(strings.Split(f.path, "/"), "testdata")
}

var licence = [2]string{"Copyright The mrlog Authors", "SPDX-License-Identifier: Apache-2.0"}

// checkLicence wants the two lines at the top of source files, after a script's
// first line.
func checkLicence(f textFile) []string {
	mark := "# "
	lines := strings.SplitN(f.text, "\n", 4)
	switch {
	case path.Ext(f.path) == ".go":
		mark = "// "
	case strings.HasPrefix(f.text, "#!"):
		lines = lines[1:]
	case path.Ext(f.path) == ".sh", path.Ext(f.path) == ".mk", path.Base(f.path) == "Makefile":
	default:
		return nil
	}
	if f.fixture() || len(lines) >= 2 && lines[0] == mark+licence[0] && lines[1] == mark+licence[1] {
		return nil
	}
	return []string{fmt.Sprintf("%s:1: does not begin with %q and %q: a file that is copied alone must still say whose it is and under which terms", f.path, mark+licence[0], mark+licence[1])}
}

// checkLength refuses files that nobody reads to the end.
func checkLength(f textFile) []string {
	switch path.Ext(f.path) {
	case ".go", ".md", ".sh", ".mk", "":
	default:
		return nil
	}
	n := strings.Count(f.text, "\n")
	if f.fixture() || f.path == "LICENSE" || n <= maxLines || longFiles[f.path] != "" {
		return nil
	}
	return []string{fmt.Sprintf("%s: %d lines, the limit is %d: one file per idea; split it, or give it a row in longFiles with its reason", f.path, n, maxLines)}
}

// checkMachineWords refuses what is true on one machine only.
func checkMachineWords(f textFile) []string {
	if machineWordsIn[f.path] != "" {
		return nil
	}
	var out []string
	for word, why := range machineWords {
		rest, base := f.text, 0
		for {
			i := strings.Index(rest, word)
			if i < 0 {
				break
			}
			before, _ := utf8.DecodeLastRuneInString(f.text[:base+i])
			if word[0] != '/' || !(unicode.IsLetter(before) || unicode.IsDigit(before) || strings.ContainsRune("._-}*)$", before)) {
				line := 1 + strings.Count(f.text[:base+i], "\n")
				out = append(out, fmt.Sprintf("%s:%d: %s: %s; it holds for nobody else", f.path, line, word, why))
			}
			base += i + len(word)
			rest = f.text[base:]
		}
	}
	slices.Sort(out)
	return out
}

var (
	linkPattern    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s+(\S+)`)
	codePattern    = regexp.MustCompile("`[^`]*`")
	schemePattern  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
	mentionPattern = regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_./-]*\.md\b`)
)

// prose yields the lines of a Markdown file, those of code blocks empty.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	fence := ""
	for i, l := range lines {
		t := strings.TrimSpace(l)
		switch {
		case fence != "":
			if strings.HasPrefix(t, fence) {
				fence = ""
			}
			lines[i] = ""
		case strings.HasPrefix(t, "```"), strings.HasPrefix(t, "~~~"):
			fence = t[:3]
			lines[i] = ""
		}
	}
	return lines
}

// anchors lists the fragments that a Markdown file's headings can be reached
// by, as the usual hosts make them.
func anchors(text string) map[string]bool {
	m := make(map[string]bool)
	for _, l := range prose(text) {
		title := strings.TrimLeft(l, "#")
		if len(title) == len(l) || !strings.HasPrefix(title, " ") {
			continue
		}
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(title)) {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				b.WriteRune(r)
			case r == ' ':
				b.WriteByte('-')
			}
		}
		slug := b.String()
		for n := 1; m[slug]; n++ {
			slug = fmt.Sprintf("%s-%d", b.String(), n)
		}
		m[slug] = true
	}
	return m
}

// checkLinks wants every link from a Markdown file to the repository to lead
// somewhere. get returns a file's text; folders are files with empty text.
func checkLinks(f textFile, get func(path string) (string, bool)) []string {
	if path.Ext(f.path) != ".md" || f.fixture() {
		return nil
	}
	var out []string
	for i, line := range prose(f.text) {
		for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(line, ""), -1) {
			target := m[1] + m[2]
			if schemePattern.MatchString(target) {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			name, text, ok := f.path, f.text, true
			if file != "" {
				name = path.Join(path.Dir(f.path), file)
				if strings.HasPrefix(file, "/") {
					name = path.Clean(file[1:])
				}
				text, ok = get(name)
			}
			switch {
			case !ok:
				out = append(out, fmt.Sprintf("%s:%d: link to %s, which is not there: a dead link costs every reader the search", f.path, i+1, target))
			case fragment != "" && path.Ext(name) == ".md" && !anchors(text)[fragment]:
				out = append(out, fmt.Sprintf("%s:%d: link to %s, but %s has no such heading: a dead link costs every reader the search", f.path, i+1, target, name))
			}
		}
	}
	return out
}

// checkMentions wants every document that is named in prose or code to be in
// the repository.
func checkMentions(f textFile, there func(base string) bool) []string {
	if f.fixture() {
		return nil
	}
	var out []string
	for i, line := range strings.Split(f.text, "\n") {
		if strings.Contains(line, "://") {
			continue
		}
		for _, name := range mentionPattern.FindAllString(line, -1) {
			if !there(path.Base(name)) {
				out = append(out, fmt.Sprintf("%s:%d: names the document %s, which is not in the repository: a reader cannot follow", f.path, i+1, name))
			}
		}
	}
	return out
}

// checkHacking wants HACKING.md to show the table of layers as it is.
func checkHacking(text string) []string {
	var out []string
	for _, l := range layers {
		imports := "nothing"
		if l.imports != "" || len(l.libs) != 0 {
			var names []string
			for n := range strings.FieldsSeq(l.imports) {
				names = append(names, "`"+displayName(n)+"`")
			}
			for _, lib := range l.libs {
				names = append(names, strings.TrimPrefix(lib, "github.com/"))
			}
			imports = strings.Join(names, ", ")
		}
		start, end := "| `"+displayName(l.path)+"` |", "| "+imports+" |"
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.HasPrefix(line, start) && strings.HasSuffix(line, end)
		}) {
			out = append(out, fmt.Sprintf("HACKING.md: no row %q … %q: newcomers learn the layers there, so they must be those of internal/archtest", start, end))
		}
	}
	return out
}

// displayName is how people name a package.
func displayName(p string) string {
	if p == "." {
		return "mrlog"
	}
	return p
}

// listed is what go list says of one package of a build.
type listed struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
}

// parseList reads the output of go list -deps -json.
func parseList(out []byte) ([]listed, error) {
	var all []listed
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		switch err := d.Decode(&p); err {
		case nil:
			all = append(all, p)
		case io.EOF:
			return all, nil
		default:
			return nil, err
		}
	}
}

// checkLinked holds what a build links to the package's row of the table.
func checkLinked(name string, only []string, bad map[string]string, deps []listed) []string {
	var out []string
	foreign := make(map[string]bool)
	for _, d := range deps {
		for b, why := range bad {
			if within(d.ImportPath, b) {
				out = append(out, fmt.Sprintf("%s links %s: %s", name, d.ImportPath, why))
			}
		}
		if d.Standard || d.Module == nil || d.Module.Path == module || only == nil {
			continue
		}
		if !slices.Contains(only, d.Module.Path) && !foreign[d.Module.Path] {
			foreign[d.Module.Path] = true
			out = append(out, fmt.Sprintf("%s links the module %s (by package %s), want at most %v: what is linked here everything stands on", name, d.Module.Path, d.ImportPath, only))
		}
	}
	return out
}
