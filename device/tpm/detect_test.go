// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree makes files below a new root: a name that ends with a slash is a
// folder, content "/dev/null" a character device.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(p, 0o755))
		case content == os.DevNull:
			must(t, os.Symlink(content, p))
		default:
			must(t, os.WriteFile(p, []byte(content), 0o644))
		}
	}
	return root
}

func TestDetect(t *testing.T) {
	denied := func(path string) (link, error) { return nil, fmt.Errorf("open %s: %w", path, syscall.EACCES) }
	gone := func(string) (link, error) { return nil, syscall.ENODEV }
	fine := func(string) (link, error) { return &script{}, nil }
	class, managed, raw := classDir+"/tpm_version_major", managedNode, rawNode
	for name, c := range map[string]struct {
		files map[string]string
		open  func(string) (link, error)
		want  [][3]string // What, and parts of Why and Remedy; "" for none at all
	}{
		"nothing":          {nil, fine, [][3]string{{managed, "firmware describes none", "vTPM"}}},
		"no driver":        {map[string]string{acpiTable: "TPM2"}, fine, [][3]string{{managed, "no driver", "modprobe tpm_crb"}}},
		"no node":          {map[string]string{class: "2\n", acpiTable: "TPM2"}, fine, [][3]string{{managed, "not here", "--device /dev/tpmrm0"}}},
		"TPM 1.2":          {map[string]string{class: "1\n", raw: os.DevNull}, fine, [][3]string{{classDir, "TPM 1.2", "TPM 2.0"}}},
		"good":             {map[string]string{class: "2\n", raw: os.DevNull, managed: os.DevNull}, fine, [][3]string{{managed, "", ""}}},
		"no manager":       {map[string]string{class: "2\n", raw: os.DevNull}, fine, [][3]string{{raw, "one program at a time", "4.12"}}},
		"denied":           {map[string]string{managed: os.DevNull}, denied, [][3]string{{managed, "permission denied", "as root"}}},
		"broken":           {map[string]string{managed: os.DevNull}, gone, [][3]string{{managed, "no such device", "dmesg"}}},
		"no device":        {map[string]string{managed: "text"}, fine, [][3]string{{managed, "not a character device", "remove"}}},
		"SHA-1 only":       {map[string]string{managed: os.DevNull, classDir + "/pcr-sha1/": ""}, fine, [][3]string{{managed, "", ""}, {classDir + "/pcr-sha1", "proves nothing", "activate SHA-256"}}},
		"SHA-1 and others": {map[string]string{managed: os.DevNull, classDir + "/pcr-sha1/": "", classDir + "/pcr-sha256/": ""}, fine, [][3]string{{managed, "", ""}}},
	} {
		root := tree(t, c.files)
		got := detect(root, c.open)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, want := range c.want {
			g := got[i]
			if g.What != filepath.Join(root, want[0]) || (want[1] == "") != (g.Why == "") || !strings.Contains(g.Why, want[1]) ||
				(want[2] == "") != (g.Remedy == "") || !strings.Contains(g.Remedy, want[2]) {
				t.Errorf("%s: %+v, want %q", name, g, want)
			}
		}
	}
	// The real one: whatever there is here, it is said.
	if got := Detect("/"); len(got) == 0 || got[0].What == "" {
		t.Errorf("Detect: %+v", got)
	}
}

func TestDefaultPath(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"":          nil,
		rawNode:     {rawNode: os.DevNull},
		managedNode: {rawNode: os.DevNull, managedNode: os.DevNull},
	} {
		root := tree(t, files)
		got := DefaultPath(root)
		if want != "" {
			want = filepath.Join(root, want)
		}
		if got != want {
			t.Errorf("DefaultPath is %q, want %q", got, want)
		}
	}
}
