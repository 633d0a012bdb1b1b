// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one measure.
type row struct {
	Target  string  `json:"target"` // "T1"
	What    string  `json:"what"`
	Limit   float64 `json:"limit,omitempty"` // 0: no target, for information
	Most    bool    `json:"most,omitempty"`  // the limit is the most, else the least, that is wanted
	Unit    string  `json:"unit"`
	Value   spread  `json:"value"`
	CPU     *spread `json:"cpu,omitempty"` // the same ratio, of processor time
	Detail  string  `json:"detail,omitempty"`
	Command string  `json:"command,omitempty"`
	Skipped string  `json:"skipped,omitempty"` // why it was not measured
	Verdict string  `json:"verdict,omitempty"`
}

// compare fills in the ratio of two contestants that ran in turns.
func (r row) compare(nameA string, a []cost, nameB string, b []cost, records int) row {
	r.Value = ratios(a, b, wall)
	if c := ratios(a, b, cpu); c.Median > 0 && !math.IsInf(c.Median, 0) && !math.IsNaN(c.Median) {
		r.CPU = &c
	}
	show := func(name string, runs []cost) string {
		s := spreadOf(each(runs, wall)).Median
		return fmt.Sprintf("%s %.4g s (%.4g ns/record)", name, s, s*1e9/float64(records))
	}
	r.Detail = show(nameA, a) + ", " + show(nameB, b)
	return r
}

// judge says whether the target is met; that is all that is ever made of it.
func (r row) judge() string {
	switch {
	case r.Skipped != "":
		return "skipped"
	case r.Limit == 0:
		return ""
	case r.Most && r.Value.Median <= r.Limit, !r.Most && r.Value.Median >= r.Limit:
		return "met"
	}
	return "missed"
}

func (r row) limit() string {
	switch {
	case r.Limit == 0:
		return "–"
	case r.Most:
		return "≤ " + figure(r.Limit) + unit(r.Unit)
	}
	return "≥ " + figure(r.Limit) + unit(r.Unit)
}

func (r row) measured() string {
	if r.Skipped != "" {
		return "–"
	}
	return figure(r.Value.Median) + unit(r.Unit)
}

func (r row) between() string {
	if r.Skipped != "" || r.Value.Min == r.Value.Max {
		return "–"
	}
	return figure(r.Value.Min) + "–" + figure(r.Value.Max)
}

func (r row) processor() string {
	if r.CPU == nil {
		return "–"
	}
	return figure(r.CPU.Median) + unit(r.Unit)
}

func unit(u string) string {
	if u == "x" || u == "" {
		return u
	}
	return " " + u
}

// figure prints three digits: the fourth is never the same twice.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// report is all that was measured.
type report struct {
	Date    string `json:"date"`
	Machine string `json:"machine"`
	Load    string `json:"load,omitempty"` // before the first run
	Records int    `json:"records"`
	Rounds  int    `json:"rounds"`
	Rows    []row  `json:"rows"`
}

func (r *report) describe(o options) {
	r.Date = time.Now().Format(time.DateOnly)
	model := procField("/proc/cpuinfo", "model name")
	if model == "" {
		model = "unknown processor"
	}
	r.Machine = fmt.Sprintf("%s, %d processors, %s %s/%s", model, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load, _, _ = strings.Cut(string(load), " ")
	}
	r.Records, r.Rounds = o.records, o.rounds
}

func (r *report) add(x row) {
	x.Verdict = x.judge()
	r.Rows = append(r.Rows, x)
}

func (r *report) skip(target, why string) { r.add(row{Target: target, What: why, Skipped: why}) }

func (r *report) header() string {
	s := fmt.Sprintf("%s; %s; %d records, medians of %d runs in turns", r.Date, r.Machine, r.Records, r.Rounds)
	if r.Load != "" {
		s += "; load before: " + r.Load
	}
	return s
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tmeasure\ttarget\tmeasured\tmin–max\tcpu\t\tmedians")
	for _, x := range r.Rows {
		fmt.Fprintln(t, strings.Join([]string{x.Target, x.What, x.limit(), x.measured(), x.between(), x.processor(), x.Verdict, x.Detail}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.header())
	return err
}

func (r *report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n\n", r.header())
	b.WriteString("| | measure | target | measured | min–max | processor time | | medians |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	commands := make(map[string]bool)
	var order []string
	for _, x := range r.Rows {
		measured := x.measured()
		if x.Verdict == "missed" {
			measured = "**" + measured + "**"
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join([]string{x.Target, x.What, x.limit(), measured, x.between(), x.processor(), x.Verdict, x.Detail}, " | "))
		if c := x.Target + ": `" + x.Command + "`"; x.Command != "" && !commands[c] {
			commands[c] = true
			order = append(order, c)
		}
	}
	b.WriteString("\nCommands:\n\n")
	for _, c := range order {
		fmt.Fprintf(&b, "- %s\n", c)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
