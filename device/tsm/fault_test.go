// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tsm

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mrlog.dev/internal/tsmfs"
)

// TestFailedExtend: whether a write that failed has extended is known from a
// report, and from an attribute it is not.
func TestFailedExtend(t *testing.T) {
	for _, errno := range []string{"EIO", "ENXIO", "ENOMEM", "short"} {
		for _, when := range []string{"before", "after"} {
			t.Run(errno+"/"+when, func(t *testing.T) {
				ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
					records := append(append(one("a"), one("b")...), one("c")...)
					start, _ := read(t, d, rtmr2)
					control(t, f, "fail every 2 times 1 "+errno+" "+when)
					n, err := d.Extend(context.Background(), rtmr2, records)
					if n != 1 || err == nil {
						t.Fatalf("Extend = %d, %v", n, err)
					}
					for _, want := range []string{"rtmr2", "record 1", filepath.Join(f.Tree(), "rtmr2:sha384")} {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("error does not name %s: %v", want, err)
						}
					}
					if errno == "EIO" && !errors.Is(err, unix.EIO) || errno == "short" && !strings.Contains(err.Error(), "short write: 47 of 48") {
						t.Errorf("error: %v", err)
					}
					want := fold(start, records[:1])
					if when == "after" {
						want = fold(start, records[:2])
					}
					if live := f.Live("rtmr2"); !bytes.Equal(live, want) {
						t.Fatalf("live %x, want %x", live, want)
					}
					value, fresh := read(t, d, rtmr2)
					switch {
					case d.report != nil && (!fresh || !bytes.Equal(value, want)):
						t.Errorf("report: %x, fresh: %t; want %x", value, fresh, want)
					case d.report == nil && fresh:
						t.Error("an attribute is called fresh after a failed write")
					}
					// All writes to the others have succeeded.
					if _, fresh := read(t, d, rtmr1); !fresh {
						t.Error("another register is not fresh")
					}
					if _, err := d.Extend(context.Background(), rtmr3, one("d")); err != nil {
						t.Fatal(err)
					}
					if value, fresh := read(t, d, rtmr2); !fresh || !bytes.Equal(value, want) {
						t.Errorf("after a write that succeeded: %x, fresh: %t", value, fresh)
					}
				})
			})
		}
	}
}

// TestStaleCache is the reason for Fresh: the attribute gives the old value
// although the register was extended.
func TestStaleCache(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{})
	attributes := open(t, Options{Tree: f.Tree()})
	reports := open(t, Options{Tree: f.Tree(), Report: f.Report()})
	if _, err := attributes.Extend(context.Background(), rtmr2, one("a")); err != nil {
		t.Fatal(err)
	}
	old, _ := read(t, attributes, rtmr2)
	control(t, f, "fail EIO after")
	if _, err := attributes.Extend(context.Background(), rtmr2, one("b")); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	if value, fresh := read(t, attributes, rtmr2); fresh || !bytes.Equal(value, old) {
		t.Errorf("attribute: %x, fresh: %t; want the old %x, not fresh", value, fresh, old)
	}
	// Another process knows nothing of that. What it is told is that the value
	// comes from a cache.
	other, err := open(t, Options{Tree: f.Tree()}).Read(context.Background(), rtmr2)
	if err != nil || !other.Fresh || !other.Cached || !bytes.Equal(other.Values[0].Sum, old) {
		t.Errorf("another Device: %+v, %v", other, err)
	}
	want := fold(old, one("b"))
	if value, fresh := read(t, reports, rtmr2); !fresh || !bytes.Equal(value, want) {
		t.Errorf("report: %x, fresh: %t; want %x", value, fresh, want)
	}
	if r, err := reports.Read(context.Background(), rtmr2); err != nil || r.Cached {
		t.Errorf("report: cached %t, %v", r.Cached, err)
	}
	// The report has refreshed the cache: the value is another one.
	if value, fresh := read(t, attributes, rtmr2); !fresh || !bytes.Equal(value, want) {
		t.Errorf("attribute after a refresh: %x, fresh: %t; want %x", value, fresh, want)
	}
}

// TestFreshIsTrue reads while every other write fails after it has extended.
// What is called fresh must be a value that the register had during the call.
func TestFreshIsTrue(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		const writes = 300
		control(t, f, "fail every 2 EIO after")
		value := f.Live("rtmr2")
		place := map[string]int{string(value): 0}
		for i := range writes {
			value = fold(value, one("x"))
			place[string(value)] = i + 1
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range writes {
				if _, err := d.Extend(context.Background(), rtmr2, one("x")); err != nil && !errors.Is(err, unix.EIO) {
					t.Error(err)
				}
			}
		}()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					first := place[string(f.Live("rtmr2"))]
					r, err := d.Read(context.Background(), rtmr2)
					if err != nil {
						t.Error(err)
						return
					}
					last := place[string(f.Live("rtmr2"))]
					at, known := place[string(r.Values[0].Sum)]
					if r.Fresh && (!known || at < first || at > last) {
						t.Errorf("called fresh: value %d, when the register went from %d to %d", at, first, last)
					}
				}
			})
		}
		wg.Wait()
		<-done
	})
}

func TestBusy(t *testing.T) {
	ways(t, func(t *testing.T, f *tsmfs.FS, d *Device) {
		start := f.Live("rtmr2")
		control(t, f, "fail times 5 EBUSY")
		if n, err := d.Extend(context.Background(), rtmr2, one("a")); n != 1 || err != nil {
			t.Fatalf("busy for a while: %d, %v", n, err)
		}
		if !bytes.Equal(f.Live("rtmr2"), fold(start, one("a"))) {
			t.Error("extended not once")
		}
		control(t, f, "clear", "fail EBUSY")
		n, err := d.Extend(context.Background(), rtmr2, one("b"))
		if n != 0 || !errors.Is(err, unix.EBUSY) {
			t.Errorf("busy for ever: %d, %v", n, err)
		}
		if begun, _ := f.Calls(tsmfs.Extend); begun != busyTries {
			t.Errorf("tried %d times, want %d", begun, busyTries)
		}
		if _, fresh := read(t, d, rtmr2); !fresh {
			t.Error("nothing happened, and the value is called old")
		}
		control(t, f, "clear", "fail EINTR")
		if n, err := d.Extend(context.Background(), rtmr2, one("b")); n != 0 || !errors.Is(err, unix.EINTR) {
			t.Errorf("interrupted for ever: %d, %v", n, err)
		}
		if !bytes.Equal(f.Live("rtmr2"), fold(start, one("a"))) {
			t.Error("something was extended")
		}
	})
}

// TestBusyContext: the context ends the wait for the first record, and for no
// other.
func TestBusyContext(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{})
	d := open(t, Options{Tree: f.Tree(), Report: f.Report()})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	control(t, f, "fail EBUSY")
	if n, err := d.Extend(ctx, rtmr2, one("a")); n != 0 || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, unix.EBUSY) {
		t.Errorf("busy until the context was done: %d, %v", n, err)
	}
	if begun, _ := f.Calls(tsmfs.Extend); begun >= busyTries {
		t.Errorf("tried %d times", begun)
	}
	control(t, f, "clear", "slow extend 100ms", "fail every 2 EBUSY")
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if n, err := d.Extend(ctx, rtmr2, append(one("a"), one("b")...)); n != 2 || err != nil {
		t.Errorf("done while the first record was on its way: %d, %v", n, err)
	}
	// A report is asked for again in the same way.
	control(t, f, "clear", "fail report EBUSY")
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Read(ctx, rtmr2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
}

// TestBusyElsewhere: only the TDX driver promises that EBUSY is without effect.
func TestBusyElsewhere(t *testing.T) {
	f := tsmfs.Test(t, tsmfs.Options{Attributes: []tsmfs.Attribute{{Name: "rtmr2:sha384", Value: make([]byte, 48), Mode: 0o644}}})
	d := open(t, Options{Tree: f.Tree()})
	if k := d.Info().Kind; k != "tsm" {
		t.Errorf("kind %s", k)
	}
	control(t, f, "fail times 1 EBUSY")
	if n, err := d.Extend(context.Background(), rtmr2, one("a")); n != 0 || !errors.Is(err, unix.EBUSY) {
		t.Errorf("%d, %v", n, err)
	}
	if begun, _ := f.Calls(tsmfs.Extend); begun != 1 {
		t.Errorf("tried %d times", begun)
	}
	if _, fresh := read(t, d, rtmr2); fresh {
		t.Error("fresh after a failed write")
	}
}
