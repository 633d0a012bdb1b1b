// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the project to its own architecture: which package
// may import which, what a binary may link, what code may not do, and what
// every file must say. It has tests only. Each finding names the place, what is
// wrong there, and why that is a rule.
//
// The rules are data, in tables_test.go: a new package, a new library or an
// exception is an entry there, with its reason, in the same commit. The code
// that applies them is in rules_test.go (source) and repo_test.go (files and
// links); self_test.go breaks every rule on made-up input, so that none can
// stop working unseen.
package archtest
