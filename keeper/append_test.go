// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

func TestReceipts(t *testing.T) {
	r := newTPMRig(t)
	k := r.open(nil)
	got := r.append(k, "a", "b", "c")
	for i, g := range got {
		if g.Record != int64(i)+1 || g.AlreadyThere {
			t.Errorf("receipt %d: %+v", i, g)
		}
		for _, b := range r.banks {
			alg, _ := mrlog.AlgByName(b.name)
			if want := b.hash([]byte(line([]string{"a", "b", "c"}[i]))); !bytes.Equal(valueOf(g.Digests, alg), want) {
				t.Errorf("receipt %d: digests %v", i, g.Digests)
			}
		}
	}
	for name, v := range r.m.value(r.reg) {
		alg, _ := mrlog.AlgByName(name)
		if !bytes.Equal(valueOf(got[2].Values, alg), v) {
			t.Errorf("last receipt: %v, register holds %x", got[2].Values, v)
		}
		if bytes.Equal(valueOf(got[1].Values, alg), v) {
			t.Error("the values are all the same")
		}
	}
	r.wantEvents("a", "b", "c")
}

func TestComments(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	e := ev("a")
	e.Comment = ": boot forged\ntwo\n"
	if _, err := k.Append(context.Background(), r.reg, []Event{e}); err != nil {
		t.Fatal(err)
	}
	must(t, k.Comment(context.Background(), r.reg, "alone"))
	r.wantEvents("a")
	data, _ := os.ReadFile(r.log())
	if want := "# : boot forged\n# two\n" + line("a") + "\n# alone\n"; !strings.HasSuffix(string(data), want) {
		t.Errorf("log ends %q, want %q", data, want)
	}
	for _, p := range r.check().hints {
		if strings.Contains(p, "forged") {
			t.Error("a comment became a hint")
		}
	}
	if err := k.Comment(context.Background(), r.reg, ""); !errors.Is(err, ErrEvent) {
		t.Errorf("empty comment: %v", err)
	}
	if err := k.Comment(context.Background(), r.reg, "a\x00"); !errors.Is(err, ErrEvent) {
		t.Errorf("bad comment: %v", err)
	}
}

// TestEvents that cannot be recorded leave log and register alone, and the
// good ones of their call with them.
func TestEventsRefused(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	for name, bad := range map[string]Event{
		"empty":            {},
		"blank in domain":  {Event: nelr.Event{Domain: "a b", Operation: "c"}},
		"reserved domain":  {Event: nelr.Event{Domain: "INIT", Operation: "sha384/00"}},
		"newline":          ev("a\nb"),
		"NUL":              ev("a\x00"),
		"CR":               ev("a\r"),
		"invalid UTF-8":    ev("\xff"),
		"oversized":        ev(strings.Repeat("x", nelr.MaxLine)),
		"free-form INIT":   {Line: []byte("INIT sha384/00")},
		"free-form hash":   {Line: []byte("# x")},
		"free-form break":  {Line: []byte("a\nb")},
		"both":             {Event: nelr.Event{Domain: "a", Operation: "b"}, Line: []byte("x")},
		"comment too long": {Comment: strings.Repeat("x\n", MaxBatchBytes/3)},
		"comment line":     {Comment: strings.Repeat("x", nelr.MaxLine)},
	} {
		_, err := k.Append(context.Background(), r.reg, []Event{ev("good"), bad})
		if e, ok := errors.AsType[*EventError](err); !ok || !errors.Is(err, ErrEvent) || e.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(r.state); err == nil {
			t.Fatalf("%s: the state folder was made", name)
		}
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{{Line: []byte(" free form\t")}}); err != nil {
		t.Errorf("free-form line: %v", err)
	}
	if got, err := k.Append(context.Background(), r.reg, nil); err != nil || len(got) != 0 {
		t.Errorf("no events: %v, %v", got, err)
	}
	r.check()
}

func TestRegistersRefused(t *testing.T) {
	r := newRig(t)
	r.m.desc[1].NotExtendable = "it is the firmware's"
	k := r.open(nil)
	if _, err := k.Append(context.Background(), rtmr3, []Event{ev("a")}); !errors.Is(err, device.ErrNotExtendable) {
		t.Errorf("a register that cannot be extended: %v", err)
	}
	if _, err := k.Append(context.Background(), pcr14, []Event{ev("a")}); !errors.Is(err, device.ErrNoRegister) {
		t.Errorf("a register that is not there: %v", err)
	}
	if _, err := k.Status(context.Background(), rtmr3); err != nil {
		t.Errorf("status of a register that cannot be extended: %v", err)
	}
}

func TestOnce(t *testing.T) {
	r := newRig(t)
	once := func(c string) Event { e := ev(c); e.Once = true; e.Comment = "c"; return e }
	k := r.open(nil)
	r.append(k, "a")
	got, err := k.Append(context.Background(), r.reg, []Event{once("a"), once("b"), once("b"), once("c")})
	must(t, err)
	for i, want := range []Receipt{{Record: 1, AlreadyThere: true}, {Record: 2}, {Record: 2, AlreadyThere: true}, {Record: 3}} {
		if got[i].Record != want.Record || got[i].AlreadyThere != want.AlreadyThere {
			t.Errorf("receipt %d: %+v", i, got[i])
		}
	}
	other := r.open(nil)
	r.append(other, "d")
	got, err = k.Append(context.Background(), r.reg, []Event{once("d")})
	if err != nil || !got[0].AlreadyThere || got[0].Record != 4 {
		t.Errorf("a record of another keeper: %+v, %v", got, err)
	}
	r.append(k, "a") // without Once
	r.wantEvents("a", "b", "c", "d", "a")

	// An earlier log of this boot counts.
	m := build(r, r.boot)
	m.extended()
	must(t, os.Rename(r.log(), r.log()+".1"))
	m.save()
	k2 := r.open(nil)
	got, err = k2.Append(context.Background(), r.reg, []Event{once("a"), once("e")})
	if err != nil || !got[0].AlreadyThere || got[0].Record != -1 || got[1].Record != 1 {
		t.Errorf("a record of an earlier log: %+v, %v", got, err)
	}
	// One of an earlier boot does not.
	r.m.reset()
	r.boot = "boot-2"
	got, err = r.open(nil).Append(context.Background(), r.reg, []Event{once("a")})
	if err != nil || got[0].AlreadyThere {
		t.Errorf("a record of an earlier boot: %+v, %v", got, err)
	}
	r.wantEvents("a")
}

// TestOnceConcurrently: of many, one records.
func TestOnceConcurrently(t *testing.T) {
	r := newRig(t)
	k1, k2 := r.open(nil), r.open(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	recorded := 0
	for i := range 32 {
		wg.Go(func() {
			e := ev("same")
			e.Once = true
			got, err := []*Keeper{k1, k2}[i%2].Append(context.Background(), r.reg, []Event{e})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !got[0].AlreadyThere {
				recorded++
			}
		})
	}
	wg.Wait()
	if recorded != 1 {
		t.Errorf("recorded %d times", recorded)
	}
	r.wantEvents("same")
}

// TestPartlyExtended: a device that stops in the middle of a batch.
func TestPartlyExtended(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "z")
	f.at = func(_ int, s string) fate {
		if s == "extend 4" {
			return half
		}
		return pass
	}
	events := []Event{ev("a"), ev("b"), ev("c"), ev("d")}
	events[2].Comment = "of c"
	got, err := k.Append(context.Background(), r.reg, events)
	if len(got) != 2 || !errors.Is(err, ErrRefused) || !errors.Is(err, errInjected) {
		t.Fatalf("%d receipts, %v", len(got), err)
	}
	r.wantEvents("z", "a", "b")
	if data, _ := os.ReadFile(r.log()); strings.Contains(string(data), "of c") {
		t.Error("the comment of a refused record is still there")
	}
	r.append(k, "e")
	r.wantEvents("z", "a", "b", "e")
}

// TestUnknown: the register cannot be read after a failed extend.
func TestUnknown(t *testing.T) {
	for _, extended := range []bool{true, false} {
		for _, how := range []fate{failBefore, stale} {
			r := newRig(t)
			f := new(faults)
			k := r.open(f)
			r.append(k, "z")
			failed := false
			f.at = func(_ int, s string) fate {
				switch {
				case s == "extend 1":
					failed = true
					if extended {
						return failAfter
					}
					return failBefore
				case failed:
					return how
				}
				return pass
			}
			_, err := k.Append(context.Background(), r.reg, []Event{ev("a")})
			if !errors.Is(err, ErrUnknown) {
				t.Fatalf("extended %t: %v", extended, err)
			}
			f.at = nil
			s, err := k.Status(context.Background(), r.reg)
			if want := map[bool]State{true: Clean, false: Behind}[extended]; err != nil || s.State != want || !s.InFlight {
				t.Errorf("extended %t: status %+v, %v", extended, s, err)
			}
			r.append(k, "b")
			r.wantEvents("z", "a", "b")
		}
	}
}

// TestForeignExtendDuringFailure: the register holds what no record leads to.
func TestForeignExtendDuringFailure(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "z")
	f.at = func(_ int, s string) fate {
		if s == "extend 1" {
			r.m.extend(r.reg, "stray")
			return failBefore
		}
		return pass
	}
	_, err := k.Append(context.Background(), r.reg, []Event{ev("a")})
	if !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	f.at = nil
	_, err = k.Append(context.Background(), r.reg, []Event{ev("b")})
	wantDiverged(t, err, PastLog)
}

// TestWriterWithoutLock: somebody appends between our write and our look.
func TestWriterWithoutLock(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "z")
	f.at = func(_ int, s string) fate {
		if s == "size" {
			w, _ := os.OpenFile(r.log(), os.O_WRONLY|os.O_APPEND, 0)
			fmt.Fprintln(w, line("rude"))
			w.Close()
		}
		return pass
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("a")}); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	f.at = nil
	r.append(k, "b")
	r.wantEvents("z", "a", "rude", "b")
}

func TestManyEvents(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	var contents []string
	for i := range 2*MaxBatch + 5 {
		contents = append(contents, fmt.Sprint(i))
	}
	r.append(k, contents...)
	r.wantEvents(contents...)
	// As many bytes as make several batches.
	big := strings.Repeat("y", 900<<10)
	for i := range 9 {
		contents = append(contents, fmt.Sprint(i, big))
	}
	r.append(k, contents[len(contents)-9:]...)
	r.wantEvents(contents...)
}

// TestConcurrent: every caller's events are there once, in its order, and the
// receipts say where.
func TestConcurrent(t *testing.T) {
	const callers, each = 64, 20
	r := newRig(t)
	f := new(faults)
	keepers := []*Keeper{r.open(f), r.open(nil)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	at := make(map[int64]string)
	for c := range callers {
		wg.Go(func() {
			last := int64(0)
			for i := range each {
				content := fmt.Sprintf("%d.%d", c, i)
				got, err := keepers[c%8/7].Append(context.Background(), r.reg, []Event{ev(content)})
				if err != nil {
					t.Error(err)
					return
				}
				if got[0].Record <= last {
					t.Errorf("caller %d: record %d after %d", c, got[0].Record, last)
				}
				last = got[0].Record
				mu.Lock()
				at[last] = line(content)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	p := r.check()
	if len(p.events) != callers*each || len(at) != callers*each {
		t.Fatalf("%d records, %d receipts, want %d", len(p.events), len(at), callers*each)
	}
	for i, e := range p.events {
		if at[int64(i)+1] != e {
			t.Fatalf("record %d is %q, the receipt was for %q", i+1, e, at[int64(i)+1])
		}
	}
	extends := 0
	for _, s := range f.steps {
		if strings.HasPrefix(s, "extend") {
			extends++
		}
	}
	t.Logf("%d batches for %d records", extends, callers*each*7/8)
}

// TestContext: a call that waits can be cancelled; one that writes cannot.
func TestContext(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "a")
	ctx, cancel := context.WithCancel(context.Background())
	inExtend, goOn := make(chan bool), make(chan bool)
	f.at = func(_ int, s string) fate {
		if s == "extend 1" {
			inExtend <- true
			<-goOn
		}
		return pass
	}
	first, second := make(chan error), make(chan error)
	go func() { _, err := k.Append(ctx, r.reg, []Event{ev("b")}); first <- err }()
	<-inExtend
	go func() { _, err := k.Append(ctx, r.reg, []Event{ev("c")}); second <- err }()
	time.Sleep(5 * time.Millisecond)
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("a call that waited: %v", err)
	}
	goOn <- true
	if err := <-first; err != nil {
		t.Errorf("a call that wrote: %v", err)
	}
	f.at = nil
	if _, err := k.Append(ctx, r.reg, []Event{ev("d")}); !errors.Is(err, context.Canceled) {
		t.Errorf("a call with a done context: %v", err)
	}
	p := r.check()
	if len(p.events) != 2 || p.events[1] != line("b") {
		t.Errorf("log has %q", p.events)
	}
}

func TestClose(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "a")
	must(t, k.Close())
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("b")}); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	if _, err := k.Recover(context.Background(), r.reg); !errors.Is(err, ErrClosed) {
		t.Errorf("Recover after Close: %v", err)
	}
	must(t, k.Close())
	r.wantEvents("a")
}

// TestCloseWhileWaiting: calls under way end, one way or the other.
func TestCloseWhileWaiting(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var acked int
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				_, err := k.Append(context.Background(), r.reg, []Event{ev(fmt.Sprint(i, ".", j))})
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				acked++
				mu.Unlock()
			}
		})
	}
	time.Sleep(3 * time.Millisecond)
	k.Close()
	wg.Wait()
	if n := len(r.check().events); n != acked {
		t.Errorf("%d records, %d acknowledged", n, acked)
	}
}

// TestSeveralRegisters of one state folder do not touch one another.
func TestSeveralRegisters(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "a")
	r.reg = rtmr3
	r.append(k, "b")
	r.wantEvents("b")
	r.reg = rtmr2
	r.wantEvents("a")
}

// TestLongLived: a keeper does not read again what it has hashed.
func TestLongLived(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "a")
	other := r.open(nil)
	r.append(other, "b")
	b := k.books[r.reg]
	before := b.known.offset
	r.append(k, "c")
	if before == 0 || b.known.records != 4 {
		t.Errorf("known %d records, offset was %d", b.known.records, before)
	}
	r.append(other, "d")
	r.wantEvents("a", "b", "c", "d")
}

// TestOnceWithARefusedRecord: two callers submit one record, one of them only
// once, and the device refuses it.
func TestOnceWithARefusedRecord(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "z")
	inExtend, goOn := make(chan bool), make(chan bool)
	extends := 0
	f.at = func(_ int, s string) fate {
		if s != "extend 1" {
			return pass
		}
		if extends++; extends > 1 {
			return failBefore
		}
		inExtend <- true
		<-goOn
		return pass
	}
	answers := make(chan error, 3)
	submit := func(e Event) {
		_, err := k.Append(context.Background(), r.reg, []Event{e})
		answers <- err
	}
	go submit(ev("first"))
	<-inExtend
	queued := func(n int) {
		for b := k.books[r.reg]; ; time.Sleep(time.Millisecond) {
			b.mu.Lock()
			got := len(b.queue)
			b.mu.Unlock()
			if got == n {
				return
			}
		}
	}
	go submit(ev("x"))
	queued(1)
	once := ev("x")
	once.Once = true
	go submit(once)
	queued(2)
	goOn <- true
	refused := 0
	for range 3 {
		if err := <-answers; errors.Is(err, ErrRefused) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 2 {
		t.Errorf("%d callers were told refused, want 2", refused)
	}
	f.at = nil
	r.wantEvents("z", "first")
}

// TestOnceCannotBeLookedUp: a call with Once that cannot be looked up is
// answered with an error, and nothing of it is recorded: not alone, and not in
// a batch with others.
func TestOnceCannotBeLookedUp(t *testing.T) {
	r := newRig(t)
	k := r.open(nil)
	r.append(k, "first")
	must(t, os.Symlink("nowhere", r.log()+".1"))
	once := ev("once")
	once.Once = true
	if got, err := k.Append(context.Background(), r.reg, []Event{ev("x"), once}); err == nil || len(got) != 0 {
		t.Errorf("alone: %v, %v", got, err)
	}
	r.wantEvents("first")

	b := k.books[r.reg]
	var calls []*call
	b.turn <- struct{}{} // so that all get into one batch
	for _, events := range [][]Event{{ev("y"), once}, {ev("z")}, {ev("y"), ev("w")}, {ev("v"), once}} {
		c := &call{deadline: time.Now().Add(time.Minute), done: make(chan struct{})}
		for _, e := range events {
			it, err := e.render(b.desc.Banks)
			must(t, err)
			c.items = append(c.items, it)
		}
		calls = append(calls, c)
	}
	b.queue = append(b.queue, calls...)
	b.lead(context.Background(), calls[0])
	b.leave()
	for i, c := range calls {
		<-c.done
		if refused := i == 0 || i == 3; refused != (c.err != nil) || refused && len(c.receipts) > 0 {
			t.Errorf("call %d: %v, %v", i, c.receipts, c.err)
		}
	}
	r.wantEvents("first", "z", "y", "w")
	must(t, os.Remove(r.log()+".1"))
	if got, err := k.Append(context.Background(), r.reg, []Event{once}); err != nil || got[0].AlreadyThere {
		t.Errorf("once the log can be read: %+v, %v", got, err)
	}
	r.wantEvents("first", "z", "y", "w", "once")
}

// Once goes by the line, and not by the digest in whatever bank comes first.
func TestOnceKey(t *testing.T) {
	r := newTPMRig(t)
	k := r.open(nil)
	r.append(k, "a")
	e := ev("b")
	e.Once = true
	it, err := e.render(k.books[r.reg].desc.Banks)
	must(t, err)
	other, err := ev("a").render(k.books[r.reg].desc.Banks)
	must(t, err)
	it.digests[0] = other.digests[0] // a collision in the first bank
	b := k.books[r.reg]
	got, err := b.submit(context.Background(), []item{it})
	if err != nil || got[0].AlreadyThere {
		t.Fatalf("%+v, %v", got, err)
	}
}

// A log that somebody cuts while it is appended to is not filled up again.
func TestCutUnderAWrite(t *testing.T) {
	r := newRig(t)
	f := new(faults)
	k := r.open(f)
	r.append(k, "a", "b")
	f.at = func(n int, step string) fate {
		if step == "write" {
			must(t, os.Truncate(r.log(), 100))
		}
		return pass
	}
	if _, err := k.Append(context.Background(), r.reg, []Event{ev("c")}); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
	data, err := os.ReadFile(r.log())
	must(t, err)
	if bytes.IndexByte(data, 0) >= 0 {
		t.Errorf("the log has NULs: %q", data)
	}
}
