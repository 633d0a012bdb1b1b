// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/device/soft"
	tpm2 "mrlog.dev/device/tpm"
	"mrlog.dev/device/tsm"
	"mrlog.dev/keeper"
	"mrlog.dev/nelr"
)

// writerArg makes this program a writer that uses the library.
const writerArg = "writer"

// writer appends events from several goroutines at once, and prints before
// each call what it tries and after it what came of that.
func writer(args []string) error {
	var state, spec, register, name string
	var events, callers, batch, flaky int
	var seed uint64
	var failing bool
	f := flag.NewFlagSet(writerArg, flag.ContinueOnError)
	f.StringVar(&state, "state", "", "")
	f.StringVar(&spec, "device", "", "")
	f.StringVar(&register, "register", "", "")
	f.StringVar(&name, "name", "", "")
	f.IntVar(&events, "events", 1, "calls of each caller")
	f.IntVar(&callers, "callers", 1, "")
	f.IntVar(&batch, "batch", 1, "events of a call, at most")
	f.IntVar(&flaky, "flaky", 0, "the device fails every `N`th call")
	f.BoolVar(&failing, "failing", false, "the device fails by itself: go on after errors")
	f.Uint64Var(&seed, "seed", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	reg, err := mrlog.ParseRegister(register)
	if err != nil {
		return err
	}
	d, done, err := openDevice(spec)
	if err != nil {
		return err
	}
	defer done()
	if flaky > 0 {
		d = &flakyDevice{Device: d, every: flaky, rng: rand.New(rand.NewPCG(seed, 1))}
	}
	k, err := keeper.Open(keeper.Options{State: state, Device: d})
	if err != nil {
		return err
	}
	defer k.Close()
	fail := make(chan error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(c)+2))
			fail <- caller(k, reg, fmt.Sprintf("%s.%d", name, c), events, batch, failing, rng)
		})
	}
	wg.Wait()
	close(fail)
	for e := range fail {
		err = errors.Join(err, e)
	}
	return err
}

// openDevice opens the device that a machine names, as the command does.
func openDevice(spec string) (device.Device, func(), error) {
	kind, where, _ := strings.Cut(spec, ":")
	switch kind {
	case "soft-tdx", "soft-tpm":
		d, err := soft.Open(where, soft.Shape(strings.TrimPrefix(kind, "soft-")))
		return d, func() {}, err
	case "tdx":
		path, report, _ := strings.Cut(where, ",")
		d, err := tsm.Open(tsm.Options{Tree: path, Report: report})
		return d, func() {}, err
	case "tpm":
		d, err := tpm2.Open(context.Background(), where)
		if err != nil {
			return nil, nil, err
		}
		return d, func() { _ = d.Close() }, nil
	}
	return nil, nil, fmt.Errorf("unknown device %q", spec)
}

// caller submits events, a call after the other.
func caller(k *keeper.Keeper, reg mrlog.Register, name string, calls, most int, failing bool, rng *rand.Rand) error {
	number := 0
	for range calls {
		var events []keeper.Event
		var tries strings.Builder
		var contents []string
		for range 1 + rng.IntN(most) {
			content := fmt.Sprint(number)
			number++
			e := keeper.Event{Event: nelr.Event{Domain: "torture.example/" + name, Operation: "Op", Content: content}}
			if rng.IntN(10) == 0 {
				e.Comment = "of " + name
			}
			events, contents = append(events, e), append(contents, content)
			fmt.Fprintf(&tries, "try %s %s\n", name, content)
		}
		// One write: another caller's line is never in the middle.
		os.Stdout.WriteString(tries.String())
		receipts, err := k.Append(context.Background(), reg, events)
		var told strings.Builder
		for i, c := range contents {
			switch {
			case i < len(receipts):
				fmt.Fprintf(&told, "yes %s %s %d", name, c, receipts[i].Record)
				for _, d := range receipts[i].Digests {
					fmt.Fprintf(&told, " %s:%x", d.Alg, d.Sum)
				}
				told.WriteByte('\n')
			case errors.Is(err, keeper.ErrUnknown):
				fmt.Fprintf(&told, "maybe %s %s\n", name, c)
			case err == nil:
				return fmt.Errorf("%d receipts for %d events, and no error", len(receipts), len(events))
			default:
				fmt.Fprintf(&told, "no %s %s\n", name, c)
			}
		}
		os.Stdout.WriteString(told.String())
		if err != nil && !errors.Is(err, errFlaky) && (!failing || errors.Is(err, keeper.ErrDiverged)) {
			return err
		}
	}
	return nil
}

// flakyDevice fails every nth call, before it did its work, after it, or in
// the middle, or takes its time.
type flakyDevice struct {
	device.Device
	every int

	mu    sync.Mutex
	calls int
	rng   *rand.Rand
}

var errFlaky = errors.New("the device fails, as it was asked to")

// turn says what happens to a call: 0 for nothing.
func (d *flakyDevice) turn(fates int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls++; d.calls%d.every != 0 {
		return 0
	}
	return 1 + d.rng.IntN(fates)
}

func (d *flakyDevice) Read(ctx context.Context, reg mrlog.Register) (device.Reading, error) {
	switch d.turn(2) {
	case 1:
		return device.Reading{}, errFlaky
	case 2:
		<-time.After(5 * time.Millisecond)
	}
	return d.Device.Read(ctx, reg)
}

func (d *flakyDevice) Extend(ctx context.Context, reg mrlog.Register, records [][]mrlog.Digest) (int, error) {
	switch d.turn(4) {
	case 1:
		return 0, errFlaky
	case 2: // it happened all the same, and nobody says how much
		if n, err := d.Device.Extend(ctx, reg, records); err != nil {
			return n, err
		}
		return 0, errFlaky
	case 3:
		n, err := d.Device.Extend(ctx, reg, records[:len(records)/2])
		if err != nil {
			return n, err
		}
		return n, errFlaky
	case 4:
		<-time.After(5 * time.Millisecond)
	}
	return d.Device.Extend(ctx, reg, records)
}
