// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package cel

import "errors"

// errClosed says that a writer is used after Close.
var errClosed = errors.New("the log is closed")
