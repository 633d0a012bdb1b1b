// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package reallogs finds the corpus of real logs for tests: the folder that
// MRLOG_CORPUS names, else one beside the project. It is kept apart from the
// project; where it is not, a test is skipped, or fails if MRLOG_REQUIRE lists
// corpus.
package reallogs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Dir returns the corpus's folder.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := find()
	if err == nil {
		return dir
	}
	if slices.Contains(strings.Split(os.Getenv("MRLOG_REQUIRE"), ","), "corpus") {
		t.Fatalf("MRLOG_REQUIRE names the corpus of real logs: %v", err)
	}
	t.Skipf("no corpus of real logs (set MRLOG_CORPUS): %v", err)
	return ""
}

// Path returns the path of a file of the corpus, by its name in the manifest.
func Path(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(Dir(t), filepath.FromSlash(name))
}

// Read returns a file of the corpus.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(Path(t, name))
	if err != nil {
		t.Fatal(err) // the corpus is there, and not whole
	}
	return data
}

// Available reports whether there is a corpus, for tests that go without.
func Available() bool {
	_, err := find()
	return err == nil
}

func find() (string, error) {
	dir := os.Getenv("MRLOG_CORPUS")
	if dir == "" {
		root, err := os.Getwd()
		for ; err == nil; root = filepath.Dir(root) {
			if _, missing := os.Stat(filepath.Join(root, "go.mod")); missing == nil || root == filepath.Dir(root) {
				break
			}
		}
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "..", "shared", "corpus")
	}
	_, err := os.Stat(filepath.Join(dir, "MANIFEST.json"))
	return dir, err
}
