// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mrlog.dev/device"
	"mrlog.dev/internal/tsmfs"
)

// machine makes the files of a machine: a path that ends in a slash is a
// folder.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := publicDir(t)
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	guestCPU = "processor\t: 0\nflags\t\t: fpu vme tdx_guest lm\n\nprocessor\t: 1\n"
	otherCPU = "processor\t: 0\nflags\t\t: fpu vme tdx_guest_not lm\n"
	misc     = "sys/devices/virtual/misc/"
)

func TestDetectNothing(t *testing.T) {
	for _, c := range []struct {
		name              string
		files             map[string]string
		what, why, remedy string
	}{
		{
			"nothing at all",
			map[string]string{},
			"sys", "sysfs is not mounted", "mount -t sysfs",
		},
		{
			"no guest",
			map[string]string{misc: "", "proc/cpuinfo": otherCPU, "proc/sys/kernel/osrelease": "6.18.1\n"},
			misc, "does not say that this is a TDX guest", "",
		},
		{
			"no guest, old kernel",
			map[string]string{misc: "", "proc/sys/kernel/osrelease": "5.4.0\n"},
			misc, "does not say that this is a TDX guest", "",
		},
		{
			"driver not loaded",
			map[string]string{misc: "", "proc/cpuinfo": guestCPU, "proc/sys/kernel/osrelease": "6.16.0-rc1\n"},
			misc, "driver is not loaded", "modprobe tdx-guest",
		},
		{
			"driver not loaded, old kernel",
			map[string]string{misc: "", "proc/cpuinfo": guestCPU, "proc/sys/kernel/osrelease": "6.8.0-45-generic\n"},
			misc, "Linux 6.8.0-45-generic is older than 6.16", "boot Linux 6.16",
		},
		{
			"old kernel",
			map[string]string{misc + "tdx_guest/": "", "dev/tdx_guest": "", "proc/sys/kernel/osrelease": "6.15.9\n"},
			"dev/tdx_guest", "Linux 6.15.9 does not show its measurement registers", "boot Linux 6.16",
		},
		{
			"another driver",
			map[string]string{misc + "tdx_guest/": "", "dev/tdx_guest": "", "proc/sys/kernel/osrelease": "7.0.1\n"},
			"dev/tdx_guest", "its driver shows no measurement registers", "modprobe tdx-guest",
		},
		{
			"a release of another form",
			map[string]string{misc + "tdx_guest/": "", "dev/tdx_guest": "", "proc/sys/kernel/osrelease": "custom\n"},
			"dev/tdx_guest", "its driver shows no measurement registers", "modprobe tdx-guest",
		},
		{
			"the sample driver",
			map[string]string{misc + "tsm_mr_sample/measurements/rtmr1:sha384": strings.Repeat("x", 48)},
			misc, "does not say that this is a TDX guest", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := machine(t, c.files)
			tree, findings := Detect(root)
			if tree != "" || len(findings) == 0 {
				t.Fatalf("Detect = %q, %+v", tree, findings)
			}
			f := findings[0]
			if f.What != filepath.Join(root, c.what) || !strings.Contains(f.Why, c.why) || !strings.Contains(f.Remedy, c.remedy) || c.remedy == "" && f.Remedy != "" {
				t.Errorf("found %+v", f)
			}
			_, err := Open(Options{Root: root})
			var absent *AbsentError
			if !errors.As(err, &absent) || len(absent.Findings) != len(findings) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	root := machine(t, map[string]string{misc + "tsm_mr_sample/measurements/rtmr1:sha384": strings.Repeat("x", 48)})
	if _, findings := Detect(root); len(findings) != 2 || !strings.Contains(findings[1].Why, "sample") || findings[1].Remedy == "" {
		t.Errorf("the sample driver: %+v", findings)
	}
}

func TestSample(t *testing.T) {
	root := machine(t, map[string]string{
		misc + "tsm_mr_sample/measurements/": "", misc + "tdx_guest/measurements/": "", "sys/class/misc/": "",
	})
	if err := os.Symlink("../../devices/virtual/misc/tsm_mr_sample", filepath.Join(root, "sys/class/misc/sample")); err != nil {
		t.Fatal(err)
	}
	for tree, want := range map[string]bool{
		misc + "tsm_mr_sample/measurements": true, "sys/class/misc/sample/measurements": true, misc + "tdx_guest/measurements": false,
	} {
		if isSample(filepath.Join(root, tree)) != want {
			t.Errorf("isSample(%s) = %t", tree, !want)
		}
	}
}

// tdxMachine mounts registers where a TDX guest has them.
func tdxMachine(t *testing.T, o tsmfs.Options) (string, *tsmfs.FS) {
	t.Helper()
	root := machine(t, map[string]string{misc + "tdx_guest/": "", "dev/": "", "sys/class/misc/": ""})
	f := tsmfs.TestAt(t, filepath.Join(root, misc, "tdx_guest"), o)
	for link, to := range map[string]string{
		"dev/tdx_guest":            "../" + misc + "tdx_guest/tdx_guest",
		"sys/class/misc/tdx_guest": "../../devices/virtual/misc/tdx_guest",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root, f
}

func TestDetectTDX(t *testing.T) {
	root, f := tdxMachine(t, tsmfs.Options{})
	tree, findings := Detect(root)
	if tree != f.Tree() {
		t.Fatalf("tree %q, want %q", tree, f.Tree())
	}
	want := []device.Finding{{What: tree}, {What: filepath.Join(root, "dev/tdx_guest")}}
	if len(findings) != 2 || findings[0] != want[0] || findings[1] != want[1] {
		t.Errorf("findings %+v", findings)
	}
	// However the kernel's tree is named, reports are what is read.
	for _, o := range []Options{
		{Root: root}, {Root: root, Tree: tree}, {Root: root, Tree: filepath.Join(root, "sys/class/misc/tdx_guest/measurements")},
	} {
		d := open(t, o)
		read(t, d, rtmr2)
		if d.report == nil || d.Info().Kind != "tdx" {
			t.Errorf("%+v: %+v, report device %v", o, d.Info(), d.report)
		}
	}
	if begun, _ := f.Calls(tsmfs.Read); begun != 0 {
		t.Errorf("%d reads of attributes", begun)
	}
	// Attributes are when asked for, or when the tree is another's.
	other := tsmfs.Test(t, tsmfs.Options{})
	for _, o := range []Options{{Root: root, Report: NoReport}, {Tree: tree}, {Root: root, Tree: other.Tree()}} {
		if d := open(t, o); d.report != nil {
			t.Errorf("%+v: report device %v", o, d.report.Name())
		}
	}
}

func TestDetectLess(t *testing.T) {
	t.Run("no report device", func(t *testing.T) {
		root, _ := tdxMachine(t, tsmfs.Options{NoReport: true})
		tree, findings := Detect(root)
		if tree == "" || len(findings) != 2 || findings[0].Why != "" || !strings.Contains(findings[1].Why, "not there") || findings[1].Remedy == "" {
			t.Errorf("%q, %+v", tree, findings)
		}
		if _, err := Open(Options{Root: root}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "dev/tdx_guest") {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("a register that is read-only", func(t *testing.T) {
		root, f := tdxMachine(t, tsmfs.Options{Attributes: readOnly()})
		_, findings := Detect(root)
		if len(findings) != 2 || findings[0].What != filepath.Join(f.Tree(), "rtmr3:sha384") || !strings.Contains(findings[0].Why, "mode 0444") || findings[0].Remedy != "" {
			t.Errorf("%+v", findings)
		}
	})
	t.Run("mounted read-only", func(t *testing.T) {
		root, f := tdxMachine(t, tsmfs.Options{})
		if err := unix.Mount("", f.Dir(), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			t.Skipf("skipped: mounting read-only: %v", err)
		}
		_, findings := Detect(root)
		if len(findings) != 5 || !strings.Contains(findings[0].Why, "mounted read-only") || !strings.Contains(findings[0].Remedy, "container") || findings[4].Why != "" {
			t.Errorf("%+v", findings)
		}
	})
	t.Run("not root", func(t *testing.T) {
		root, _ := tdxMachine(t, tsmfs.Options{})
		asNobody(t, func(t *testing.T) {
			tree, findings := Detect(root)
			if tree == "" || len(findings) != 5 {
				t.Errorf("%q, %+v", tree, findings)
				return
			}
			for _, f := range findings {
				if f.Why == "" || f.Remedy != "run mrlog as root" {
					t.Errorf("%+v", f)
				}
			}
			if _, err := Open(Options{Root: root}); !errors.Is(err, os.ErrPermission) {
				t.Errorf("Open: %v", err)
			}
		})
	})
	t.Run("no register", func(t *testing.T) {
		root, _ := tdxMachine(t, tsmfs.Options{Attributes: tsmfs.TDX()[:4]})
		tree, findings := Detect(root)
		if tree == "" || len(findings) != 2 || !strings.Contains(findings[0].Why, "none of its attributes") {
			t.Errorf("%q, %+v", tree, findings)
		}
	})
	t.Run("two platforms", func(t *testing.T) {
		root, f := tdxMachine(t, tsmfs.Options{})
		other := filepath.Join(root, misc, "arm_cca_guest/measurements")
		if err := os.MkdirAll(other, 0o755); err != nil {
			t.Fatal(err)
		}
		tree, findings := Detect(root)
		if tree != f.Tree() || len(findings) != 3 || findings[2].What != other {
			t.Errorf("%q, %+v", tree, findings)
		}
	})
}

func TestDetectCCA(t *testing.T) {
	root := machine(t, map[string]string{misc + "arm_cca_guest/": ""})
	f := tsmfs.TestAt(t, filepath.Join(root, misc, "arm_cca_guest"), tsmfs.Options{NoReport: true, Attributes: []tsmfs.Attribute{
		{Name: "rim:sha256", Value: make([]byte, 32), Mode: 0o444},
		{Name: "rem0:sha256", Value: make([]byte, 32), Mode: 0o644},
	}})
	d := open(t, Options{Root: root})
	if d.Info().Kind != "tsm" || d.Info().Where != f.Tree() || len(d.Registers()) != 1 || d.Registers()[0].Name.String() != "rtmr0" {
		t.Errorf("%+v, %+v", d.Info(), d.Registers())
	}
	if _, err := d.Read(context.Background(), d.Registers()[0].Name); err != nil {
		t.Error(err)
	}
}

// TestOwnMachine: whatever this machine is, looking does no harm.
func TestOwnMachine(t *testing.T) {
	tree, findings := Detect("")
	if tree == "" && (len(findings) == 0 || findings[0].Why == "") {
		t.Errorf("no tree and no reason: %+v", findings)
	}
	t.Logf("%q, %+v", tree, findings)
}
