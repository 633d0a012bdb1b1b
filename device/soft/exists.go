// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soft

import (
	"os"
	"path/filepath"
)

// Exists reports whether dir holds software registers: for programs that only
// look, because Open makes them where there are none.
func Exists(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, shapeFile))
	return err == nil && info.Mode().IsRegular()
}
