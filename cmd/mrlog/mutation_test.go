// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mrlog.dev"
	"mrlog.dev/convert"
)

const (
	// patience is how long one altered log may take in all that is done with
	// it: it is of some 100 KiB, and takes milliseconds.
	patience = time.Minute

	mutationsAtOnce = 10_000

	// A run of the program may allocate so much, and so much for each byte of
	// its input. All is counted, also what was freed since.
	mutationBytes   = 24 << 20
	mutationPerByte = 3000
	// Reading alone.
	readBytes   = 8 << 20
	readPerByte = 400
)

// TestMutatedLogs alters logs of every format (see mutate) and gives them to all
// that reads logs. Whatever the bytes: no panic, an end within patience, memory
// as the input's size; and either an error that says where, or a complete
// answer, that is the same records once more by another way through the
// buffers, and again from what they are written as. What a log is refused for,
// the program says, with the place, and exits with 4.
//
// MRLOG_MUTATIONS says which are tried: the first so many (100000), or from one
// number to another (4711-4711), as a failure prints it.
func TestMutatedLogs(t *testing.T) {
	first, last := 0, 2999
	if raceEnabled || testing.Short() {
		last = 299
	}
	if which := os.Getenv("MRLOG_MUTATIONS"); which != "" {
		var err error
		from, to, ok := strings.Cut(which, "-")
		if !ok {
			from, to = "0", which
		}
		if first, err = strconv.Atoi(from); err == nil {
			last, err = strconv.Atoi(to)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			last--
		}
	}
	// In several processes, because cobra keeps all flags that were ever made.
	for last-first >= mutationsAtOnce {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMutatedLogs$", "-test.v", "-test.timeout=0")
		cmd.Env = append(os.Environ(), fmt.Sprintf("MRLOG_MUTATIONS=%d-%d", first, first+mutationsAtOnce-1))
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Errorf("from %d: %v", first, err)
		}
		first += mutationsAtOnce
	}
	seeds := seedLogs(t)
	read, refused := make(map[string]int), 0
	for i := first; i <= last; i++ {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		seed, log := mutate(rng, seeds)
		what := fmt.Sprintf("MRLOG_MUTATIONS=%d-%d, of %s, %d bytes", i, i, seed.name, len(log))
		format, err := inTime(what, func(ctx context.Context) (string, error) { return examine(ctx, rng, log) })
		if err != nil {
			t.Errorf("%s: %v\nbegins with %.400q", what, err, log)
			if first == last {
				t.Logf("%q", log)
			}
		}
		if format == "" {
			refused++
		} else {
			read[format]++
		}
	}
	n := last - first + 1
	t.Logf("%d seeds, %d mutations: %d refused, read: %v", len(seeds), n, refused, read)
	if n < 1000 {
		return
	}
	for _, f := range convert.Formats() {
		if f.Name != convert.Evidence && read[f.Name] == 0 {
			t.Errorf("no mutation was read as %s: these say little of it", f.Name)
		}
	}
	if refused < n/5 || refused > n*4/5 {
		t.Errorf("%d of %d mutations refused: these say little", refused, n)
	}
}

// TestCutLogs cuts each seed where its records begin and end, and one byte on
// either side: at some of these places, at all if MRLOG_MUTATIONS is set.
func TestCutLogs(t *testing.T) {
	seeds, cuts := seedLogs(t), 0
	few := os.Getenv("MRLOG_MUTATIONS") == ""
	for _, seed := range seeds {
		last := -1
		for i, edge := range seed.edges {
			if few && i%(1+len(seed.edges)/8) != 0 || raceEnabled && i%8 != 0 {
				continue
			}
			for at := max(edge-1, last+1, 0); at <= min(edge+1, len(seed.data)); at++ {
				last = at
				cuts++
				what := fmt.Sprintf("%s, cut at %d of %d", seed.name, at, len(seed.data))
				rng := rand.New(rand.NewPCG(2, uint64(at)))
				if _, err := inTime(what, func(ctx context.Context) (string, error) { return examine(ctx, rng, seed.data[:at]) }); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
	t.Logf("%d cuts", cuts)
}

// inTime gives up, with the stacks of all goroutines, on what does not end.
func inTime(what string, do func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	watch := time.AfterFunc(2*patience, func() { panic("does not end: " + what) })
	defer watch.Stop()
	format, err := do(ctx)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("took longer than %s", patience)
	}
	return format, err
}

// allocated runs do and returns what it allocated.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// examine gives a log to all that reads logs. It returns the format that the
// log was read in to its end, "" if it was refused.
func examine(ctx context.Context, rng *rand.Rand, log []byte) (format string, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := make([]byte, 16<<10)
			err = fmt.Errorf("panic: %v\n%s", p, stack[:runtime.Stack(stack, false)])
		}
	}()
	var (
		records []mrlog.Record
		header  mrlog.Header
		kind    convert.Kind
	)
	got := allocated(func() { records, header, kind, err = readLog(bytes.NewReader(log), convert.Source{}) })
	if limit := uint64(readBytes + readPerByte*len(log)); got > limit {
		return "", fmt.Errorf("reading took %d bytes of memory, more than %d", got, limit)
	}
	if fault := checkPlace(err, len(log), kind); fault != nil {
		return "", fault
	}
	// Another way through the buffers.
	src := io.Reader(iotest.HalfReader(bytes.NewReader(log)))
	if len(log) < 2000 {
		src = iotest.OneByteReader(bytes.NewReader(log))
	}
	again, _, _, err2 := readLog(src, convert.Source{})
	if fmt.Sprint(err) != fmt.Sprint(err2) {
		return "", fmt.Errorf("read once: %v, read again: %v", err, err2)
	}
	if diff := differ(records, again, true); diff != "" {
		return "", fmt.Errorf("read again: %s", diff)
	}
	if err == nil {
		format = header.Format
		if fault := checkWritten(ctx, log, header, records); fault != nil {
			return format, fault
		}
	}
	for range 2 {
		if fault := checkProgram(ctx, rng, log, header, records, err == nil); fault != nil {
			return format, fault
		}
	}
	return format, nil
}

// readLog reads a log of any format to its end, or to its error.
func readLog(src io.Reader, s convert.Source) ([]mrlog.Record, mrlog.Header, convert.Kind, error) {
	r, err := convert.Open(src, s)
	if err != nil {
		return nil, mrlog.Header{}, convert.Kind{}, err
	}
	records, header, err := readWhole(r)
	return records, header, convert.Wrapped(r), err
}

// readWhole returns clones of all records.
func readWhole(r mrlog.Reader) ([]mrlog.Record, mrlog.Header, error) {
	var out []mrlog.Record
	for rec, err := range mrlog.All(r) {
		if err != nil {
			return out, r.Header(), err
		}
		out = append(out, rec.Clone())
	}
	return out, r.Header(), nil
}

// checkPlace wants an error about an input to say where it is.
func checkPlace(err error, size int, k convert.Kind) error {
	var s *mrlog.SyntaxError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &s):
		return fmt.Errorf("no *mrlog.SyntaxError: %w", err)
	case s.Format == "" || s.Err == nil || s.Offset < 0:
		return fmt.Errorf("no place or no reason: %w", err)
	case k.Wrapping == convert.NoWrapping && k.Member == "" && s.Offset > int64(size) && !strings.Contains(err.Error(), "unwrapped from"):
		return fmt.Errorf("a place behind the %d bytes of the input: %w", size, err)
	}
	return nil
}

// differ says how records differ, apart from where they stand and from notes.
// Numbers count if numbered.
func differ(want, got []mrlog.Record, numbered bool) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d records were %d", len(got), len(want))
	}
	for i := range want {
		a, b := &want[i], &got[i]
		same := a.Register == b.Register && a.Type == b.Type && a.Form == b.Form && a.NotExtended == b.NotExtended && a.Event == b.Event &&
			bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Content, b.Content) &&
			slices.EqualFunc(a.Digests, b.Digests, func(d, e mrlog.Digest) bool { return d.Alg == e.Alg && bytes.Equal(d.Sum, e.Sum) }) &&
			(!numbered || !a.HasNumber || a.Number == b.Number && b.HasNumber)
		if !same {
			return fmt.Sprintf("record %d was %+v, is %+v", i, *a, *b)
		}
	}
	return ""
}

// allTargets are all formats and dialects that can be written.
func allTargets() []convert.Target {
	var all []convert.Target
	for _, f := range convert.Formats() {
		switch {
		case f.ReadOnly:
		case f.Dialects == nil:
			all = append(all, convert.Target{Format: f.Name})
		}
		for _, d := range f.Dialects {
			all = append(all, convert.Target{Format: f.Name, Dialect: d})
		}
	}
	return all
}

// written converts a log as the command does: records without numbers get them.
func written(ctx context.Context, log []byte, s convert.Source, to convert.Target) ([]byte, *mrlog.Replay, error) {
	open := func() (mrlog.Reader, error) {
		r, err := convert.Open(bytes.NewReader(log), s)
		if err != nil {
			return nil, err
		}
		return convert.Number(r, convert.FillIn), nil
	}
	if to.NeedsCount() {
		r, err := open()
		if err != nil {
			return nil, nil, err
		}
		if to.Records, err = convert.Count(ctx, r); err != nil {
			return nil, nil, err
		}
	}
	r, err := open()
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	replay, err := convert.Copy(ctx, &out, to, r, convert.Options{Replay: true})
	return out.Bytes(), replay, err
}

// checkWritten writes a log that was read in all formats. What carries its
// records gives them back; what does not says which it cannot carry. The log's
// own format carries them all.
func checkWritten(ctx context.Context, log []byte, header mrlog.Header, records []mrlog.Record) error {
	for _, to := range allTargets() {
		// But for an envelope, which is of one register in one bank, and a list
		// whose low numbers are taken for RTMRs and the others for PCRs.
		own := to.Format == header.Format && (to.Dialect == header.Dialect || to.Dialect == "") && !to.NeedsReplay() &&
			(!isIMA(to.Format) || !slices.ContainsFunc(records, func(r mrlog.Record) bool { return r.Register.Space != header.Space }))
		if header.Space != mrlog.NV {
			to.Space = header.Space
		}
		out, replay, err := written(ctx, log, convert.Source{}, to)
		name := strings.TrimSuffix(to.Format+"/"+to.Dialect, "/")
		var carry *mrlog.CarryError
		switch {
		case err == nil:
		case !errors.As(err, &carry):
			return fmt.Errorf("to %s: neither written nor refused for a record: %w", name, err)
		case own:
			return fmt.Errorf("to %s, which it is in: %w", name, err)
		default:
			continue
		}
		whole := !slices.ContainsFunc(convert.Formats(), func(f convert.Info) bool { return f.Name == to.Format && !f.Whole })
		s := convert.Source{Format: to.Format}
		if !whole {
			s.Space = to.Space
			for _, b := range replay.Banks() {
				if !slices.Contains(s.Banks, b.Alg) {
					s.Banks = append(s.Banks, b.Alg)
				}
			}
		}
		back, _, _, err := readLog(bytes.NewReader(out), s)
		if err != nil {
			return fmt.Errorf("to %s: what was written is not read: %w\n%.300q", name, err, out)
		}
		if own || whole && to.Format != convert.NELR {
			if diff := differ(records, back, own || whole); diff != "" {
				return fmt.Errorf("to %s and back: %s", name, diff)
			}
			continue
		}
		// A format of another kind may know less of a record, and leads to
		// the same values.
		var after mrlog.Replay
		if err := after.Extend(back); err != nil {
			return fmt.Errorf("to %s and back: %w", name, err)
		}
		for _, b := range replay.Banks() {
			if v := after.Value(b.Register, b.Alg); b.Records > 0 && v != nil && !bytes.Equal(v, b.Value) {
				return fmt.Errorf("to %s and back: %s:%s was %x, is %x", name, b.Register, b.Alg, b.Value, v)
			}
		}
	}
	return nil
}

// said is what an error that ends a run must name: the input, and a place in it
// or a record that cannot be carried.
var said = regexp.MustCompile(`^mrlog: error: (standard input[^ ]*: )?(.*(line \d+|offset \d+|record \d+)|.*format not recognised: |.*this is .* not a log)`)

// checkProgram runs the program on a log, in one of the ways that there are.
func checkProgram(ctx context.Context, rng *rand.Rand, log []byte, header mrlog.Header, records []mrlog.Record, whole bool) error {
	var args []string
	asJSON, other := false, false // other: the log is not read as it was before
	switch rng.IntN(12) {
	case 0:
		args = []string{"show", "--tsv"}
	case 1:
		args, asJSON = []string{"show", "--json"}, true
	case 2:
		args = []string{"show", "--long"}
	case 3:
		args = []string{"show", "--width", strconv.Itoa(minWidth + rng.IntN(200))}
	case 4:
		args, asJSON, other = []string{"show", "--trustee-claims"}, true, true
	case 5:
		args = []string{"replay"}
	case 6:
		args, asJSON = []string{"replay", "--json"}, true
	case 7, 8:
		args, other = []string{"verify"}, true
		if asJSON = rng.IntN(2) == 0; asJSON {
			args = append(args, "--json")
		}
		var replay mrlog.Replay
		_ = replay.Extend(records)
		switch rng.IntN(6) {
		case 0:
			args = append(args, "--contents", "strict")
		case 1:
			args = append(args, "--contents", "report")
		case 2:
			args = append(args, "--prefix")
		}
		args = append(args, "--expect", "pcr16:sha256="+strings.Repeat("0", 64))
		for i, b := range replay.Banks() {
			if i < 8 && b.Register.String() != "pcr16" {
				args = append(args, "--expect", fmt.Sprintf("%s:%s=%x", b.Register, b.Alg, b.Value))
			}
		}
	default:
		to := allTargets()
		target := to[rng.IntN(len(to))]
		args, other = []string{"convert", "--check", "--to", target.Format}, true
		if target.Dialect != "" {
			args = append(args, "--dialect", target.Dialect)
		}
		if rng.IntN(3) == 0 {
			args = append(args, "--lossy")
		}
		if rng.IntN(6) == 0 {
			args = append(args, "--to-space", [...]string{"pcr", "ccmr", "rtmr"}[rng.IntN(3)], "--platform", [...]string{"tdx", "csv", "cca", "tpm"}[rng.IntN(4)])
		}
	}
	if (args[0] == "show" || args[0] == "replay") && rng.IntN(8) == 0 {
		args, other = append(args, "--bank", [...]string{"sha256", "sha384:padded"}[rng.IntN(2)]), true
	}
	if rng.IntN(6) == 0 {
		formats := convert.Names()
		args, other = append(args, "--from", formats[rng.IntN(len(formats))]), true
	}
	if rng.IntN(6) == 0 {
		args, other = append(args, "--torn", "ignore"), true
	}
	if rng.IntN(8) == 0 {
		args, other = append(args, "--space", [...]string{"pcr", "ccmr", "rtmr"}[rng.IntN(3)]), true
	}
	var (
		out, errs bytes.Buffer
		code      int
	)
	got := allocated(func() {
		e := env{stdin: bytes.NewReader(log), stdout: &out, stderr: &errs, getenv: func(string) string { return "" }}
		code = run(ctx, &e, append(args, "-"))
	})
	fault := func(format string, a ...any) error {
		return fmt.Errorf("mrlog %s: exit %d, %s\n%.600s", strings.Join(args, " "), code, fmt.Sprintf(format, a...), errs.String())
	}
	if limit := uint64(mutationBytes + mutationPerByte*len(log)); got > limit {
		return fault("took %d bytes of memory, more than %d", got, limit)
	}
	if args[0] != "convert" {
		if i := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }); i >= 0 {
			return fault("prints what is not printable: %.60q", out.Bytes()[i:])
		}
	}
	if i := strings.IndexFunc(errs.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
		return fault("says what is not printable")
	}
	switch code {
	case exitOK:
		if !whole && !other {
			return fault("but the log was refused before")
		}
	case exitNo:
		// Verification and replay refuse; what is written differs only if
		// something was left out.
		if args[0] == "show" || args[0] == "convert" && !slices.Contains(args, "--lossy") {
			return fault("nothing was to be refused")
		}
	case exitMalformed:
		if whole && !other {
			return fault("but the log was read before")
		}
		if line := lastError(errs.String()); !said.MatchString(line) && !asJSON {
			return fault("no place in %q", line)
		}
	case exitUsage:
		if !other {
			return fault("not usage: the log")
		}
	default:
		return fault("a log is no reason for that")
	}
	switch {
	case code != exitOK && code != exitNo:
	case asJSON && !json.Valid(out.Bytes()):
		return fault("not JSON: %.300q", out.Bytes())
	case len(args) == 2 && args[1] == "--tsv":
		if rows := bytes.Count(out.Bytes(), []byte("\n")) - 1; rows != len(records) {
			return fault("%d rows of %d records", rows, len(records))
		}
	}
	return nil
}

// lastError is the line of standard error that says why a run failed.
func lastError(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "mrlog: error: ") {
			last = strings.TrimSuffix(line, "\n")
		}
	}
	return last
}
