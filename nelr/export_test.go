// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr

// SetLimit lowers the size at which w refuses, because a test of 4 GiB is none.
func (w *Writer) SetLimit(n int64) { w.limit = n }
