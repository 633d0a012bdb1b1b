// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package mrlog

// poison overwrites the bytes of a spent batch, so that a test under the race
// detector sees at once that a borrowed slice was used after its time.
func poison(spent []byte) {
	for i := range spent {
		spent[i] = 0xDB
	}
}
