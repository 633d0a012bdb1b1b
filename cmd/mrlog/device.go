// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"mrlog.dev/device"
	"mrlog.dev/device/soft"
	"mrlog.dev/keeper"
)

// knownDevices is what --device and MRLOG_DEVICE take.
const knownDevices = "tdx[:TREE[,REPORT]], tpm[:PATH], soft[:FOLDER], soft-tdx[:FOLDER], soft-tpm[:FOLDER]"

// deviceSpec is a device as it was asked for; the zero value asks for the one
// that is found.
type deviceSpec struct {
	kind   string
	path   string // measurement tree, device node or socket, folder; "" is the default
	report string // with tdx: device that makes reports, or none; "" is the default
}

// deviceSpec reads the flag, else the environment.
func (g *globals) deviceSpec(e *env) (deviceSpec, error) {
	text, from := g.device, ""
	if text == "" {
		text, from = e.getenv("MRLOG_DEVICE"), "MRLOG_DEVICE: "
	}
	if text == "" {
		return deviceSpec{}, nil
	}
	var s deviceSpec
	var named bool
	s.kind, s.path, named = strings.Cut(text, ":")
	switch s.kind {
	case "soft", "soft-tdx", "soft-tpm", kindTPM:
	case kindTDX:
		if comma := strings.LastIndexByte(s.path, ','); comma >= 0 {
			s.path, s.report = s.path[:comma], s.path[comma+1:]
		}
	default:
		f := &failure{code: exitUsage, err: fmt.Errorf("%sunknown device %.40q (known: %s)", from, s.kind, knownDevices)}
		if strings.ContainsRune(s.kind, filepath.Separator) {
			f.hint = "its kind comes before a path: tpm:/dev/tpmrm0"
		}
		return s, f
	}
	if named && s.path == "" && s.report == "" {
		// A shell variable that is not set, most likely: never another
		// device than the one that was meant.
		return s, usage("%sdevice %.40q names nothing after its colon", from, text)
	}
	return s, nil
}

// openDevice opens the device that the flag or the environment names, else the
// one that is found, and returns with it what detection has found out about
// devices that are not used. It is closed when the verb has ended.
//
// A simulated device is never found, only named: its values prove nothing.
// Software registers that are not there are made only by a verb that writes.
func (g *globals) openDevice(ctx context.Context, e *env, create bool) (device.Device, []findingOutput, error) {
	spec, err := g.deviceSpec(e)
	if err != nil {
		return nil, nil, err
	}
	var d device.Device
	var findings []findingOutput
	switch spec.kind {
	case "":
		d, findings, err = e.detect(ctx)
	case kindTDX:
		d, err = e.openTDX(spec.path, spec.report)
	case kindTPM:
		d, err = e.openTPM(ctx, spec.path)
	default:
		d, err = spec.openSoft(filepath.Join(g.stateFolder(e), "soft"), create)
	}
	if err != nil {
		return nil, findings, err
	}
	if c, ok := d.(io.Closer); ok {
		e.atEnd = append(e.atEnd, c.Close)
	}
	return d, findings, nil
}

func (s deviceSpec) openSoft(standard string, create bool) (device.Device, error) {
	path := s.path
	if path == "" {
		path = standard
	}
	if !create && !soft.Exists(path) {
		return nil, &failure{
			code: exitFailed, err: fmt.Errorf("there are no software registers at %s", path),
			hint: "the first mrlog extend makes them; --state and --device say where",
		}
	}
	shape := soft.TDX
	if s.kind == "soft-tpm" {
		shape = soft.TPM
	}
	d, err := soft.Open(path, shape)
	var other *soft.ShapeError
	if s.kind == "soft" && errors.As(err, &other) {
		d, err = soft.Open(path, other.Held) // "soft" is whichever is there
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// openKeeper opens the device, and a keeper of its logs in the state folder.
// Whoever calls it closes the keeper; the device is closed after the verb.
func (g *globals) openKeeper(ctx context.Context, e *env, create bool) (device.Device, *keeper.Keeper, error) {
	d, _, err := g.openDevice(ctx, e, create)
	if err != nil {
		return nil, nil, err
	}
	k, err := keeper.Open(keeper.Options{State: g.stateFolder(e), Device: d})
	return d, k, err
}
