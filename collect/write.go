// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package collect

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// entry is a file of a written snapshot, or, without copy, a folder.
type entry struct {
	name string // slashes between
	size int64
	copy func(ctx context.Context, w io.Writer) (int64, error)
}

// entries lists what a written snapshot holds, in order. Folders come before
// what is in them.
func (r *Result) entries() ([]entry, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r.Manifest()); err != nil {
		return nil, err
	}
	all := []entry{{ManifestName, int64(text.Len()), func(_ context.Context, w io.Writer) (int64, error) {
		n, err := w.Write(text.Bytes())
		return int64(n), err
	}}}
	for i := range r.Registers {
		reg := &r.Registers[i]
		if len(reg.Logs) > 0 {
			all = append(all, entry{name: reg.Name.String()})
		}
		for j, l := range reg.Logs {
			all = append(all, entry{reg.file(j), l.Bytes, l.copy})
		}
	}
	return all, nil
}

// WriteTar writes the snapshot as a tar file (USTAR). The same snapshot gives
// the same bytes: owner and times of its files are 0, the only time is that in
// snapshot.json. After an error, what was written is not complete.
func (r *Result) WriteTar(ctx context.Context, w io.Writer) error {
	all, err := r.entries()
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, e := range all {
		h := tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: fileMode, Size: e.size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if e.copy == nil {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, e.name+"/", dirMode
		}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if e.copy != nil {
			if _, err := e.copy(ctx, t); err != nil {
				return err
			}
		}
	}
	return t.Close()
}

// WriteDir writes the snapshot into a folder that must not be there yet; its
// error then wraps fs.ErrExist. The folder appears when it is complete. It has
// mode 0700, its files 0600. Nothing is synced: a snapshot can be taken again.
func (r *Result) WriteDir(ctx context.Context, path string) error {
	return place(path, func(temp string) error {
		if err := os.Mkdir(temp, dirMode); err != nil {
			return err
		}
		all, err := r.entries()
		if err != nil {
			return err
		}
		for _, e := range all {
			name := filepath.Join(temp, filepath.FromSlash(e.name))
			if e.copy == nil {
				err = os.Mkdir(name, dirMode)
			} else {
				err = create(name, func(w io.Writer) error {
					_, err := e.copy(ctx, w)
					return err
				})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteTarFile writes what WriteTar does into a file that must not be there
// yet, as WriteDir does a folder.
func (r *Result) WriteTarFile(ctx context.Context, path string) error {
	return place(path, func(temp string) error {
		return create(temp, func(w io.Writer) error { return r.WriteTar(ctx, w) })
	})
}

// create makes a file that was not there and fills it.
func create(name string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}

// place makes something under a temporary name beside path, and gives it its
// name, which nothing may have.
func place(path string, fill func(temp string) error) error {
	exists := &fs.PathError{Op: "create", Path: path, Err: unix.EEXIST}
	if _, err := os.Lstat(path); err == nil {
		return exists
	}
	path = filepath.Clean(path)
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x", filepath.Base(path), rand.Uint32()))
	err := fill(temp)
	if err == nil {
		err = rename(temp, path)
	}
	if err == nil {
		return nil
	}
	_ = os.RemoveAll(temp)
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == temp {
		p.Path = path // which somebody asked for
	}
	return err
}

// rename gives a file or a folder a name that nothing has. A file system that
// cannot do that in one step is asked first.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		if _, lerr := os.Lstat(to); lerr == nil {
			err = unix.EEXIST
		} else {
			err = unix.Rename(from, to)
		}
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: to, Err: err}
	}
	return nil
}
