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
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mrlog.dev"
)

// written takes a snapshot with two logs joined, one register without a log and
// one that is not consistent, and returns what it must be written as.
func written(t *testing.T) (*rig, *Result, map[string]string) {
	t.Helper()
	r := newRig(t)
	one := newBook("boot-1", zero(rtmr2), "a b", "c d")
	two := newBook("boot-1", one.end(), "e f")
	bad := newBook("boot-1", zero(pcr14), "g h")
	r.write(rtmr2, "log.7", one.text)
	r.write(rtmr2, "log", two.text+"later\ntorn")
	r.write(pcr14, "log", bad.text+"torn")
	r.d.set(rtmr2, two.end())
	r.d.set(pcr14, bad.end().extend("behind"))
	o := r.options()
	o.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600)) }
	s, err := Snapshot(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return r, s, map[string]string{
		"pcr14/": "", "pcr14/log": bad.text, "rtmr2/": "", "rtmr2/log.7": one.text, "rtmr2/log": two.text,
	}
}

// checkWritten compares what was written, and reads the manifest.
func checkWritten(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s holds %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want)+1 {
		t.Errorf("%d files, want %d", len(got), len(want)+1)
	}
	d := json.NewDecoder(strings.NewReader(got["snapshot.json"]))
	d.DisallowUnknownFields()
	var m Manifest
	must(t, d.Decode(&m))
	if m.Time != "2026-01-02T02:04:05.000000006Z" || m.Boot != "boot-1" || m.Device != (ManifestDevice{"fake", true, "memory"}) || m.Consistent {
		t.Errorf("manifest %+v", m)
	}
	states := ""
	for _, reg := range m.Registers {
		states += reg.Register + " " + reg.State + ";"
		var records, size int64
		for i, l := range reg.Logs {
			text := got[l.File]
			p, err := replay([]byte(text))
			must(t, err)
			if int64(len(text)) != l.Bytes || int64(len(p.events)+1) != l.Records {
				t.Errorf("%s: %d bytes, %d records", l.File, l.Bytes, l.Records)
			}
			for _, b := range l.End {
				if h := p.end[b.Bank]; h == nil || b.Value != hexOf(h) {
					t.Errorf("%s ends with %s, said %s", l.File, hexOf(h), b.Value)
				}
			}
			for _, b := range l.Start {
				if b.Value != hexOf(p.start[b.Bank]) {
					t.Errorf("%s starts with %s", l.File, b.Value)
				}
			}
			if i == len(reg.Logs)-1 && reg.State == "consistent" && reg.Banks[0].Value != l.End[0].Value {
				t.Error("the last log does not end with the value")
			}
			records, size = records+l.Records, size+l.Bytes
		}
		if records != reg.Records || size != reg.Bytes {
			t.Errorf("%s: %d records and %d bytes", reg.Register, reg.Records, reg.Bytes)
		}
		if (reg.Reason != "") != (reg.State == "inconsistent") {
			t.Errorf("%s: reason %q", reg.Register, reg.Reason)
		}
	}
	if states != "pcr14 inconsistent;rtmr1 no-log;rtmr2 consistent;" {
		t.Errorf("states %s", states)
	}
}

func hexOf(p []byte) string {
	return strings.TrimPrefix(mrlog.Digest{Alg: mrlog.SHA384, Sum: p}.String(), "sha384:")
}

func TestWriteDir(t *testing.T) {
	_, s, want := written(t)
	dir := filepath.Join(t.TempDir(), "out")
	must(t, s.WriteDir(context.Background(), dir+"/"))
	got := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		name, _ := filepath.Rel(dir, path)
		switch {
		case e.IsDir():
			if info.Mode().Perm() != 0o700 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
			if name != "." {
				got[name+"/"] = ""
			}
		default:
			if info.Mode() != 0o600 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
			text, err := os.ReadFile(path)
			must(t, err)
			got[name] = string(text)
		}
		return nil
	}))
	checkWritten(t, got, want)
	for _, write := range []func(context.Context, string) error{s.WriteDir, s.WriteTarFile} {
		if err := write(context.Background(), dir); !errors.Is(err, fs.ErrExist) {
			t.Errorf("an old snapshot was written over: %v", err)
		}
	}
}

func readTar(t *testing.T, data []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return got
		}
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		got[h.Name] = string(text)
		wantMode := int64(0o600)
		if strings.HasSuffix(h.Name, "/") {
			wantMode = 0o700
		}
		if h.Mode != wantMode || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Uname != "" {
			t.Errorf("header %+v", h)
		}
	}
}

func TestWriteTar(t *testing.T) {
	_, s, want := written(t)
	var a, b bytes.Buffer
	must(t, s.WriteTar(context.Background(), &a))
	must(t, s.WriteTar(context.Background(), &b))
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same snapshot gives other bytes")
	}
	checkWritten(t, readTar(t, a.Bytes()), want)
	path := filepath.Join(t.TempDir(), "out.tar")
	must(t, s.WriteTarFile(context.Background(), path))
	data, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(data, a.Bytes()) {
		t.Error("the file has other bytes")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// What appears under the name meanwhile is not replaced.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.Mkdir(from, 0o700))
	must(t, os.Mkdir(to, 0o700))
	if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
}

// What cannot be completed leaves nothing.
func TestWriteFails(t *testing.T) {
	r, s, _ := written(t)
	parent := t.TempDir()
	empty := func() {
		t.Helper()
		left, err := os.ReadDir(parent)
		must(t, err)
		if len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, write := range map[string]func(context.Context, string) error{"dir": s.WriteDir, "tar": s.WriteTarFile} {
		if err := write(ctx, filepath.Join(parent, name)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		empty()
		path := filepath.Join(parent, "none", name)
		var p *fs.PathError
		if err := write(context.Background(), path); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &p) || p.Path != path {
			t.Errorf("got %v", err)
		}
		empty()
	}
	// A log altered since.
	text, err := os.ReadFile(r.path(rtmr2, "log.7"))
	must(t, err)
	must(t, os.WriteFile(r.path(rtmr2, "log.7"), bytes.Replace(text, []byte("a b"), []byte("a c"), 1), 0o600))
	for name, write := range map[string]func(context.Context, string) error{"dir": s.WriteDir, "tar": s.WriteTarFile} {
		if err := write(context.Background(), filepath.Join(parent, name)); !errors.Is(err, ErrAltered) {
			t.Errorf("got %v", err)
		}
		empty()
	}
	// The reader of a tar goes away.
	if err := s.WriteTar(context.Background(), brokenPipe{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
