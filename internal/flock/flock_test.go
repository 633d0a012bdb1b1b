// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package flock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open opens the file of a test once more: each has a lock of its own.
func open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "..", "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLock(t *testing.T) {
	a, b := open(t), open(t)
	lock := func(f *os.File, wait time.Duration) error {
		return Lock(context.Background(), int(f.Fd()), f.Name(), time.Now().Add(wait))
	}
	if err := lock(a, 0); err != nil {
		t.Fatal("a lock that is free, without time:", err)
	}
	began := time.Now()
	err := lock(b, 30*time.Millisecond)
	held, ok := errors.AsType[*HeldError](err)
	if !ok || held.PID != os.Getpid() || held.Command == "" || held.Path != b.Name() {
		t.Fatalf("held: %v", err)
	}
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
	if !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())+" ("+held.Command+")") {
		t.Errorf("%q does not name the holder", err)
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone home")
	time.AfterFunc(5*time.Millisecond, func() { cancel(gone) })
	if err := Lock(ctx, int(b.Fd()), b.Name(), time.Now().Add(time.Hour)); !errors.Is(err, gone) {
		t.Errorf("cancelled: %v", err)
	}

	freed := make(chan bool)
	time.AfterFunc(10*time.Millisecond, func() { Unlock(int(a.Fd())); close(freed) })
	if err := lock(b, time.Hour); err != nil {
		t.Error("freed while waited for:", err)
	}
	<-freed
	b.Close()
	if err := lock(a, time.Hour); err != nil {
		t.Error("freed by close:", err)
	}
	if err := Lock(context.Background(), -1, "nothing", time.Now()); !errors.Is(err, unix.EBADF) || !errors.As(err, new(*fs.PathError)) {
		t.Errorf("no file: %v", err)
	}
}

func TestFind(t *testing.T) {
	const table = `1: POSIX  ADVISORY  WRITE 17 00:19:12 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 fe:00:1048602 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4712 fe:00:1048602 0 EOF
3: FLOCK  ADVISORY  WRITE -1 00:19:13 0 EOF
4: FLOCK
`
	for ino, want := range map[uint64]int{1048602: 4711, 602: 0, 12: 0, 13: 0, 14: 0} {
		if got := find(table, ino); len(got) != min(want, 1) || want > 0 && got[0] != want {
			t.Errorf("%d: %d, want %d", ino, got, want)
		}
	}
	// A process that does not have the file open does not hold it.
	var st unix.Stat_t
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || !opens(os.Getpid(), &st) {
		t.Errorf("not open here, %v", err)
	}
	f.Close()
	if opens(os.Getpid(), &st) {
		t.Error("open after it was closed")
	}
	if s := (Holder{}).String(); s != "a process that cannot be seen from here" {
		t.Error(s)
	}
	if s := (Holder{PID: 7}).String(); s != "process 7" {
		t.Error(s)
	}
}
