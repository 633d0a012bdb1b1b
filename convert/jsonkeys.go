// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package convert

import "bytes"

// jsonKeys returns the names in the object that p begins with, or in the first
// object of the array, as far as p goes. It tells what a file is, nothing more:
// what is no JSON ends it.
func jsonKeys(p []byte) (array bool, keys []string) {
	depth, want := 0, 1
	key := false // a name may come
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case ' ', '\t', '\r', '\n':
		case '[':
			if depth == 0 {
				array, want = true, 2
			}
			depth++
			key = false
		case '{':
			depth++
			key = depth == want
		case ']', '}':
			if depth--; depth < want && len(keys) > 0 || depth <= 0 {
				return array, keys
			}
			key = false
		case ',':
			key = depth == want
		case '"':
			end := stringEnd(p[i+1:])
			if end < 0 {
				return array, keys
			}
			if key {
				keys = append(keys, string(p[i+1:i+1+end]))
			}
			key = false
			i += 1 + end
		default:
			key = false
		}
	}
	return array, keys
}

// stringEnd returns where the string ends that p goes on with, or -1.
func stringEnd(p []byte) int {
	for i := 0; i < len(p); i++ {
		n := bytes.IndexAny(p[i:], `"\`)
		if n < 0 {
			return -1
		}
		if i += n; p[i] == '"' {
			return i
		}
		i++ // what is escaped
	}
	return -1
}
