// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mrlog.dev"
	"mrlog.dev/device"
	"mrlog.dev/nelr"
)

const (
	// MaxBatch is the most records that are written before they are
	// extended. A crash leaves at most so many to extend: a longer tail is
	// nobody's crash, and is not measured.
	MaxBatch = 1024

	// MaxBatchBytes is the most that is appended with one write, and the
	// longest comment of an event with its record.
	MaxBatchBytes = 4 << 20
)

// Options say what a keeper works on.
type Options struct {
	// State is the folder with a folder per register. It is made (0700) when
	// the first log is. It must be on a local file system.
	State string
	// Device holds the registers. Whoever opened it closes it, after Close.
	Device device.Device

	// LockTimeout is how long an operation waits for other processes;
	// DefaultLockTimeout if zero. It counts from the call, or for a call of
	// several batches from the beginning of each. The wait for other calls on
	// this keeper is not bounded by it, only by ctx.
	LockTimeout time.Duration
	// MaxLog is the largest size of a log in bytes; nelr.MaxLog if zero.
	MaxLog int64
	// MinFree is how many bytes an event leaves free on the file system of the
	// logs; DefaultMinFree if zero, nothing if negative.
	MinFree int64
	// BootID returns the id of the kernel's present boot; KernelBootID if
	// nil. It is called once. After an error the boot counts as unknown: no
	// boot hint is written, and a register that was reset counts as reset
	// during this boot.
	BootID func() (string, error)
}

// Keeper appends to the logs of a state folder and extends their registers.
// Its methods may be called from several goroutines at once; calls on one
// register share locks, writes and syncs. Any number of keepers, in any number
// of processes, may work on one state folder.
type Keeper struct {
	state   string
	device  device.Device
	timeout time.Duration
	maxLog  int64
	minFree int64
	boot    string // "" if unknown
	disk    disk

	mu     sync.Mutex
	closed bool
	books  map[mrlog.Register]*book
}

// Open returns a keeper. Logs are opened, and the state folder is looked at,
// when they are first used.
func Open(o Options) (*Keeper, error) {
	switch {
	case o.State == "":
		return nil, errors.New("keeper: no state folder given")
	case o.Device == nil:
		return nil, errors.New("keeper: no device given")
	case o.MaxLog < 0 || o.MaxLog > nelr.MaxLog:
		return nil, fmt.Errorf("keeper: largest log of %d bytes: want at most %d", o.MaxLog, int64(nelr.MaxLog))
	}
	state, err := filepath.Abs(o.State)
	if err != nil {
		return nil, err
	}
	k := &Keeper{
		state:   state,
		device:  o.Device,
		timeout: o.LockTimeout,
		maxLog:  o.MaxLog,
		minFree: max(0, o.MinFree),
		disk:    system{},
		books:   make(map[mrlog.Register]*book),
	}
	if k.timeout <= 0 {
		k.timeout = DefaultLockTimeout
	}
	if k.maxLog == 0 {
		k.maxLog = nelr.MaxLog
	}
	if o.MinFree == 0 {
		k.minFree = DefaultMinFree
	}
	bootID := o.BootID
	if bootID == nil {
		bootID = KernelBootID
	}
	if id, err := bootID(); err == nil && id != "" {
		if _, err := nelr.AppendHint(nil, nelr.HintBoot, id); err != nil {
			return nil, fmt.Errorf("keeper: boot id: %w", err)
		}
		k.boot = id
	}
	return k, nil
}

// KernelBootID returns the kernel's boot id as it stands in
// /proc/sys/kernel/random/boot_id. It changes with kexec, too.
func KernelBootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// Append records events in a register's log, in order, and extends the
// register with them. It returns a receipt for each event that was recorded;
// without an error, that is every event, in the order given.
//
// With an error, the receipts are those of the first events, which were
// recorded nonetheless; what became of the others is the kind of the error
// (see the package's description). An event that cannot be recorded as it is
// (ErrEvent) is found before anything is written.
//
// More events than MaxBatch are recorded in several batches; in a register that
// cannot be read, each in one of its own. Ctx counts while
// the call waits for its turn and for the lock. From the write on, nothing can
// be cancelled.
func (k *Keeper) Append(ctx context.Context, reg mrlog.Register, events []Event) ([]Receipt, error) {
	b, err := k.book(reg)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(events))
	for i, e := range events {
		if items[i], err = e.render(b.desc.Banks); err != nil {
			return nil, fmt.Errorf("%s: %w", reg, &EventError{Index: i, Err: err})
		}
	}
	receipts := make([]Receipt, 0, len(events))
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && n < b.maxRecords() && size+len(items[n].text) <= MaxBatchBytes {
			size += len(items[n].text)
			n++
		}
		got, err := b.submit(ctx, items[:n])
		receipts = append(receipts, got...)
		if err != nil {
			return receipts, err
		}
		items = items[n:]
	}
	return receipts, nil
}

// Comment writes comment lines into a register's log. They are not measured:
// nothing is extended. A log that is not there is begun.
func (k *Keeper) Comment(ctx context.Context, reg mrlog.Register, text string) error {
	if text == "" {
		return &EventError{Err: errors.New("comment is empty")}
	}
	_, err := k.Append(ctx, reg, []Event{{Comment: text}})
	return err
}

// Outcome says what a recovery found and did.
type Outcome struct {
	Absent    bool   // there is no log, and nothing was done
	Records   int64  // in the log, after it
	InFlight  bool   // the sticky bit was set: a writer had not finished
	Extended  int    // records that had not been extended, and are now
	Cut       int64  // bytes of a torn line that were cut off
	Completed bool   // a torn line had been extended; its newline was added
	SetAside  string // path under which the log of an earlier boot is kept; "" if none was
	// AsideRecords are the complete records in the log set aside.
	AsideRecords int64
	Assumed      bool // Settle took the caller's word about the last record
	BootHint     bool // the log is now marked as one of this boot, too
}

// Recover brings a register and its log together, as every other operation
// does first, and says what that took. An error says that it could not be
// done; ErrDiverged, that it cannot be; ErrUndecided, that somebody must say what
// happened: see Settle.
func (k *Keeper) Recover(ctx context.Context, reg mrlog.Register) (Outcome, error) {
	b, err := k.book(reg)
	if err != nil {
		return Outcome{}, err
	}
	if err := b.enter(ctx); err != nil {
		return Outcome{}, err
	}
	defer b.leave()
	err = b.acquire(ctx, time.Now().Add(k.timeout), false)
	if errors.Is(err, errNoLog) {
		return Outcome{Absent: true}, nil
	}
	if err == nil && b.hintDue() {
		_, err = b.commit(&batch{})
		b.outcome.BootHint = err == nil
	}
	b.outcome.Records = b.known.records
	b.release()
	return b.outcome, err
}

// Close waits for the calls under way and closes the logs. Later calls return
// ErrClosed.
func (k *Keeper) Close() error {
	k.mu.Lock()
	k.closed = true
	books := k.books
	k.books = nil
	k.mu.Unlock()
	for _, b := range books {
		b.turn <- struct{}{} // never given back: see enter
		close(b.closed)
		b.drop()
	}
	return nil
}

// book returns what the keeper knows of a register's log.
func (k *Keeper) book(reg mrlog.Register) (*book, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, ErrClosed
	}
	if b := k.books[reg]; b != nil {
		return b, nil
	}
	desc, err := device.Find(k.device, reg)
	if err != nil {
		return nil, err
	}
	if desc.NotExtendable != "" {
		return nil, fmt.Errorf("%s: %w: %s", reg, device.ErrNotExtendable, desc.NotExtendable)
	}
	b := &book{
		k:      k,
		desc:   desc,
		dir:    k.folder(reg),
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	k.books[reg] = b
	return b, nil
}

// folder returns the path of a register's folder.
func (k *Keeper) folder(reg mrlog.Register) string { return filepath.Join(k.state, reg.String()) }
