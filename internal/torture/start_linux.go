// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func start(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == writerArg {
		return writer(args[1:])
	}
	t := &torture{workers: runtime.NumCPU(), log: os.Stderr}
	var only, devices, bin string
	var every int
	var length time.Duration
	f := flag.NewFlagSet("torture", flag.ExitOnError)
	f.DurationVar(&length, "time", 10*time.Minute, "how long the crash loop lasts")
	f.Uint64Var(&t.seed, "seed", rand.Uint64()>>32, "what decides what happens")
	f.StringVar(&devices, "device", "", "`DEVICES` to use, separated by commas (default: all that work here)")
	f.StringVar(&only, "only", "steps,abuse,crash", "`PARTS` to run")
	f.IntVar(&every, "every", 1, "of the faults of steps, only each `N`th")
	f.StringVar(&bin, "bin", "", "`PATH` of the mrlog to break (default: two builds of this tree)")
	if err := f.Parse(args); err != nil {
		return err
	}
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	t.show = err == nil
	dir, err := t.folder()
	if err != nil {
		return err
	}
	if bin == "" {
		t.bins, err = build(ctx, dir)
	} else {
		t.bins, err = given(bin, dir)
	}
	if err != nil {
		return err
	}
	if t.script, err = measureScript("."); err != nil {
		return fmt.Errorf("%w (torture runs in the module's root)", err)
	}
	which := kinds
	if devices != "" {
		which = nil
		for _, d := range strings.Split(devices, ",") {
			which = append(which, kind(d))
		}
	}
	which = t.possible(which)
	t.say("seed %d, devices %v, folders %v", t.seed, which, t.folders)
	began := time.Now()
	for _, part := range strings.Split(only, ",") {
		for _, k := range which {
			if ctx.Err() != nil {
				break
			}
			partBegan := time.Now()
			switch part {
			case "steps":
				if err = tracer(dir); err == nil {
					if k == cached {
						continue // a failed extend takes a person there
					}
					err = t.steps(ctx, k, every)
				}
			case "crash":
				err = t.crash(ctx, k, length/time.Duration(len(which)))
			case "abuse":
				err = t.abuse(ctx, k)
			default:
				err = fmt.Errorf("unknown part %q", part)
			}
			if err != nil {
				return err
			}
			t.say("%s on %s: %v", part, k, time.Since(partBegan).Round(time.Second))
		}
	}
	t.say("seed %d, %v", t.seed, time.Since(began).Round(time.Second))
	t.tally.print(os.Stdout)
	if n := len(t.tally.violations); n > 0 {
		return fmt.Errorf("%d violations", n)
	}
	for _, d := range t.folders {
		os.RemoveAll(d)
	}
	return errors.Join(ctx.Err())
}

// folder makes the folders of the machines: on disk, and on tmpfs if there is
// one.
func (t *torture) folder() (string, error) {
	for _, at := range []string{"", "/dev/shm"} {
		dir, err := os.MkdirTemp(at, "torture-")
		if err != nil && at == "" {
			return "", err
		}
		if err == nil {
			t.folders = append(t.folders, dir)
		}
	}
	return t.folders[0], nil
}

// possible leaves out the devices that cannot be had here, and says so.
func (t *torture) possible(which []kind) []kind {
	var out []kind
	for _, k := range which {
		m, err := newMachine(k, t.folders[0])
		if errors.Is(err, errNoDevice) {
			t.say("skipped: %v", err)
			continue
		}
		if err == nil {
			m.remove()
		}
		out = append(out, k) // any other error comes again
	}
	return out
}
