// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"
)

// cost is what one run took.
type cost struct {
	Wall time.Duration `json:"wall_ns"`
	CPU  time.Duration `json:"cpu_ns"` // of all processors, user and system
	RSS  int64         `json:"rss"`    // peak resident bytes; 0 where unknown
}

func wall(c cost) float64 { return c.Wall.Seconds() }
func cpu(c cost) float64  { return c.CPU.Seconds() }

// spread is a median with what it lies between.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func (s spread) times(f float64) spread { return spread{s.Median * f, s.Min * f, s.Max * f} }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + m) / 2
	}
	return spread{m, v[0], v[len(v)-1]}
}

// each gives one figure of every run.
func each(runs []cost, figure func(cost) float64) []float64 {
	v := make([]float64, len(runs))
	for i, c := range runs {
		v[i] = figure(c)
	}
	return v
}

// ratios divides run by run: the two of a round ran side by side.
func ratios(a, b []cost, figure func(cost) float64) spread {
	v := make([]float64, len(a))
	for i := range a {
		v[i] = figure(a[i]) / figure(b[i])
	}
	return spreadOf(v)
}
