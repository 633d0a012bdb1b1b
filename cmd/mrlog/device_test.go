// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mrlog.dev/internal/swtpm"
	"mrlog.dev/internal/tsmfs"
)

// bench is a device that behaves as the real one does, and what a test can do
// to it without the code under test.
type bench struct {
	t        *testing.T
	root     string // of the machine's files
	state    string
	device   string // as --device names it; "" is the one that is found
	register string
	banks    []string
	held     func(register, bank string) string // value in the hardware
	stray    func(register string)              // extends behind everybody's back
	reset    func()                             // as a reset of the machine does
	send     func(command []byte) []byte        // to a TPM
}

// eachBench runs a test on each device. Where one cannot be had the test is
// skipped, or fails if MRLOG_REQUIRE names it.
func eachBench(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Run("tdx", func(t *testing.T) {
		f := tsmfs.Test(t, tsmfs.Options{})
		test(t, tdxBench(t, f, "tdx:"+f.Tree()+","+f.Report()))
	})
	t.Run("tdx without reports", func(t *testing.T) {
		f := tsmfs.Test(t, tsmfs.Options{})
		test(t, tdxBench(t, f, "tdx:"+f.Tree()))
	})
	t.Run("tpm", func(t *testing.T) {
		test(t, tpmBench(t, 0x0004, 0x000B, 0x000C))
	})
}

func tdxBench(t *testing.T, f *tsmfs.FS, device string) *bench {
	control := func(line string) {
		if err := f.Control(line); err != nil {
			t.Fatal(err)
		}
	}
	return &bench{
		t: t, root: t.TempDir(), state: t.TempDir(), device: device, register: "rtmr2", banks: []string{"sha384"},
		held: func(register, _ string) string { return hex.EncodeToString(f.Live(register)) },
		stray: func(register string) { // as any other program of this machine does
			w, err := os.OpenFile(filepath.Join(f.Tree(), register+":sha384"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.WriteString(strings.Repeat("Z", 48)); err != nil {
				t.Fatal(err)
			}
		},
		reset: func() { control("reset") },
	}
}

// bankNames are the banks of a TPM, and their sizes.
var bankNames = map[uint16]struct {
	name string
	size int
}{0x0004: {"sha1", 20}, 0x000B: {"sha256", 32}, 0x000C: {"sha384", 48}}

func tpmBench(t *testing.T, algs ...uint16) *bench {
	d := swtpm.New(t, algs...)
	number := func(register string) (n uint32) {
		if _, err := fmt.Sscanf(register, "pcr%d", &n); err != nil {
			t.Fatal(register, err)
		}
		return n
	}
	send := func(command []byte) []byte {
		answer, err := d.Send(command)
		if err != nil || len(answer) < 10 || binary.BigEndian.Uint32(answer[6:]) != 0 {
			t.Fatalf("%x: %x, %v", command, answer, err)
		}
		return answer
	}
	b := &bench{
		t: t, root: t.TempDir(), state: t.TempDir(), device: "tpm:" + d.Socket(), register: "pcr14", send: send,
		// TPM2_PCR_Read of one PCR in one bank: tag, size, code, one
		// selection; the answer ends with the digest.
		held: func(register, bank string) string {
			for alg, is := range bankNames {
				if is.name == bank {
					n := number(register)
					command := []byte{0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7E, 0, 0, 0, 1, byte(alg >> 8), byte(alg), 3, 0, 0, 0}
					command[17+n/8] = 1 << (n % 8)
					answer := send(command)
					return hex.EncodeToString(answer[len(answer)-is.size:])
				}
			}
			return "no such bank"
		},
		stray: func(register string) {
			digests := make(map[uint16][]byte)
			for _, alg := range algs {
				digests[alg] = []byte(strings.Repeat("Z", bankNames[alg].size))
			}
			send(swtpm.Extend(number(register), digests))
		},
		reset: func() {
			if err := d.PowerCycle(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, alg := range algs {
		b.banks = append(b.banks, bankNames[alg].name)
	}
	return b
}

// file makes a file of the machine.
func (b *bench) file(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) log(register string) string { return filepath.Join(b.state, register, "log") }

// run runs mrlog, which must end with a code.
func (b *bench) run(code int, args ...string) (stdout, stderr string) {
	b.t.Helper()
	cmd := exec.Command("mrlog", args...)
	cmd.Env = append(os.Environ(), "MRLOG_STATE="+b.state, "MRLOG_DEVICE="+b.device, "MRLOG_REGISTER=", rootVariable+"="+b.root)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		b.t.Fatalf("mrlog %s: %v, want exit code %d\n%s%s", strings.Join(args, " "), err, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// status is what mrlog status --json says, and of one register.
func (b *bench) status(code int, register string) (statusOutput, statusRegister) {
	b.t.Helper()
	out, _ := b.run(code, "status", "--json")
	var s statusOutput
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		b.t.Fatal(err)
	}
	at := slices.IndexFunc(s.Registers, func(r statusRegister) bool { return r.Register == register })
	if at < 0 {
		b.t.Fatalf("no %s: %s", register, out)
	}
	return s, s.Registers[at]
}

// agree checks a register against its log: mrlog status, mrlog replay, and
// mrlog verify of the log in another format, each with what the hardware holds.
func (b *bench) agree(register string, records int64) {
	b.t.Helper()
	s, r := b.status(0, register)
	if !s.Agree || r.State != "clean" || r.Records != records || len(r.Banks) != len(b.banks) {
		b.t.Fatalf("%+v", r)
	}
	var replay replayOutput
	out, _ := b.run(0, "replay", "--json", b.log(register))
	if err := json.Unmarshal([]byte(out), &replay); err != nil || len(replay.Registers) != len(b.banks) {
		b.t.Fatalf("%v: %s", err, out)
	}
	converted := filepath.Join(b.t.TempDir(), "log.cbor")
	b.run(0, "convert", "--to", "cel-cbor", "-o", converted, b.log(register))
	args := []string{"verify", converted}
	for i, bank := range b.banks {
		held := b.held(register, bank)
		if is := r.Banks[i]; is.Bank != bank || is.Register != held || is.Log != held {
			b.t.Fatalf("%s holds %s in %s, mrlog status says %+v", register, held, bank, is)
		}
		if is := replay.Registers[i]; is.Register != register || is.Bank != bank || is.Value != held {
			b.t.Fatalf("%s holds %s in %s, mrlog replay says %+v", register, held, bank, is)
		}
		if bank != "sha1" { // which verifies nothing
			args = append(args, "--expect", register+":"+bank+"="+held)
		}
	}
	b.run(0, args...)
}

// The main job on each device: events in, the log agrees with the hardware.
func TestDevices(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		for i := range 3 {
			out, errs := b.run(0, "extend", "example.org/app", "Event", fmt.Sprint(i))
			if want := fmt.Sprintf("%s: recorded: record %d ", b.register, i+1); !strings.HasPrefix(out, want) || errs != "" {
				t.Fatalf("%s%s", out, errs)
			}
		}
		b.agree(b.register, 4)
		out, _ := b.run(0, "status")
		if !strings.Contains(out, "\nevents  go to "+b.register+"\n") || !strings.Contains(out, "\n"+b.register+strings.Repeat(" ", 9-len(b.register))+"clean: 4 records, ") {
			t.Error(out)
		}
		if out, _ := b.run(0, "recover"); out != b.register+": 4 records: nothing to do\n" {
			t.Error(out)
		}

		// A log that begins on a register that others extended.
		other := map[string]string{"rtmr2": "rtmr3", "pcr14": "pcr23"}[b.register]
		b.stray(other)
		if _, r := b.status(0, other); r.State != "absent" || r.Remedy == "" {
			t.Errorf("%+v", r)
		}
		out, _ = b.run(0, "status")
		if line := regexp.MustCompile(`(?m)^no log, extended by others: .*$`).FindString(out); !strings.HasSuffix(line, other) {
			t.Error(out)
		}
		b.run(0, "extend", "--register", other, "a", "b")
		if _, r := b.status(0, other); r.State != "clean" || r.Records != 2 {
			t.Errorf("%+v", r)
		}
	})
}

// Who extends a register behind the log's back is noticed at the next
// operation, and the register is named. Nothing more is recorded.
func TestDevicesExtendedBehind(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.run(0, "extend", "a", "b")
		b.run(0, "extend", "c", "d")
		before, err := os.ReadFile(b.log(b.register))
		if err != nil {
			t.Fatal(err)
		}
		b.stray(b.register)
		held := b.held(b.register, b.banks[0])
		out, errs := b.run(3, "status")
		if errs != "mrlog: error: log and register have diverged: "+b.register+"\n" ||
			!strings.Contains(out, "diverged: 3 records") || !strings.Contains(out, b.banks[0]+" in the register "+held) {
			t.Errorf("%s%s", out, errs)
		}
		if s, r := b.status(3, b.register); s.Agree || r.State != "diverged" || r.Reason == "" || r.Remedy == "" || r.Banks[0].Register == r.Banks[0].Log {
			t.Errorf("%+v", r)
		}
		for _, args := range [][]string{{"extend", "e", "f"}, {"recover"}} {
			if _, errs := b.run(3, args...); !strings.HasPrefix(errs, "mrlog: error: "+b.register+": log and register have diverged: ") {
				t.Error(errs)
			}
		}
		after, err := os.ReadFile(b.log(b.register))
		if err != nil || string(after) != string(before) || b.held(b.register, b.banks[0]) != held {
			t.Errorf("the log was %q, is %q, %v", before, after, err)
		}
	})
}

// A register that was reset while the machine ran on has lost what was
// extended: no log leads from its value to that of the register.
func TestDevicesReset(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.run(0, "extend", "a", "b")
		b.reset()
		_, r := b.status(3, b.register)
		if r.State != "diverged" || !strings.Contains(r.Reason, "reset") {
			t.Errorf("%+v", r)
		}
		if _, errs := b.run(3, "extend", "c", "d"); !strings.Contains(errs, b.register) {
			t.Error(errs)
		}
	})
}

// The registers of a guest are found, with a TPM beside them, and IMA at work.
func TestDetected(t *testing.T) {
	root := t.TempDir()
	misc := filepath.Join(root, "sys/devices/virtual/misc/tdx_guest")
	if err := os.MkdirAll(misc, 0o755); err != nil {
		t.Fatal(err)
	}
	f := tsmfs.TestAt(t, misc, tsmfs.Options{})
	b := tdxBench(t, f, "")
	b.root = root
	b.file("proc/sys/kernel/osrelease", "6.16.2\n")
	b.file("dev/tpmrm0", "")
	b.file(imaCounts[0], "7\n")
	if err := os.Symlink(f.Report(), filepath.Join(root, "dev/tdx_guest")); err != nil {
		t.Fatal(err)
	}
	s, _ := b.status(0, "rtmr2")
	if s.Device != (statusDevice{Kind: "tdx", Simulated: true, Where: f.Tree(), Detected: true}) ||
		len(s.Findings) != 1 || s.Findings[0].Device != "tpm" || s.Findings[0].Remedy != "name it with --device tpm to use it" {
		t.Errorf("%+v %+v", s.Device, s.Findings)
	}
	// Without its report device: what to do, and what can be done without.
	report := filepath.Join(root, "dev/tdx_guest")
	if err := os.Rename(report, report+".away"); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"", "tdx"} {
		b.device = device
		if _, errs := b.run(1, "extend", "a", "b"); !strings.HasPrefix(errs, "mrlog: error: tdx: report device: ") ||
			!strings.Contains(errs, "; make it with udev or devtmpfs; in a container, pass the device in\n") ||
			!strings.HasSuffix(errs, "\nmrlog: hint: --device tdx:"+f.Tree()+",none does without reports: it reads what the kernel has cached\n") {
			t.Errorf("%q: %s", device, errs)
		}
	}
	b.device = "tdx:" + f.Tree() + ",none"
	if _, r := b.status(0, "rtmr3"); !r.AtReset {
		t.Errorf("%+v", r)
	}
	if err := os.Rename(report+".away", report); err != nil {
		t.Fatal(err)
	}
	b.device = ""

	const ima = "IMA is at work (7 measurements): kernels that let it use RTMRs extend rtmr2"
	out, _ := b.run(0, "status")
	if !strings.Contains(out, "kernel  Linux 6.16.2, new enough to extend RTMRs\n") ||
		!strings.Contains(out, "\nwarning: rtmr2: "+ima+": a log of it does not stay in step\n         what to do: rtmr3 has no other known writer\n") {
		t.Error(out)
	}
	// The warning comes with the first event of a log, and on divergence.
	if _, errs := b.run(0, "extend", "a", "b"); errs != "mrlog: warning: rtmr2: "+ima+", and this log will not have it; rtmr3 has no other known writer\n" {
		t.Error(errs)
	}
	if _, errs := b.run(0, "extend", "a", "b"); errs != "" {
		t.Error(errs)
	}
	if _, errs := b.run(0, "extend", "--register", "rtmr3", "a", "b"); errs != "" {
		t.Error(errs)
	}
	b.stray("rtmr2")
	hint := "mrlog: hint: " + ima + ", and that log cannot have it; rtmr3 has no other known writer\n"
	if _, errs := b.run(3, "extend", "a", "b"); !strings.HasSuffix(errs, hint) {
		t.Error(errs)
	}
	if _, r := b.status(3, "rtmr3"); r.State != "clean" {
		t.Errorf("%+v", r)
	}

	// Elsewhere there is nothing of all that.
	b.root = t.TempDir()
	b.file("sys/devices/README", "")
	if _, errs := b.run(1, "extend", "a", "b"); strings.Count(errs, "\nmrlog: hint: ") != 3 {
		t.Error(errs)
	}
}

// A TPM is found where there is no guest's tree, with the writers of its PCRs.
func TestDetectedTPM(t *testing.T) {
	b := tpmBench(t, 0x000B)
	b.file("sys/devices/README", "")
	b.file("dev/README", "")
	b.file(imaCounts[1], "3\n")
	b.file(systemdLogs[0], "\x1e{\"pcr\":11}\n")
	socket := strings.TrimPrefix(b.device, "tpm:")
	b.device = ""
	if err := os.Symlink(socket, filepath.Join(b.root, "dev/tpmrm0")); err != nil {
		t.Fatal(err)
	}
	b.run(0, "extend", "a", "b")
	b.agree("pcr14", 2)
	s, r := b.status(0, "pcr10")
	if s.Device.Kind != "tpm" || !s.Device.Detected || len(s.Findings) == 0 || s.Findings[0].Device != "tdx" || r.Writers != "IMA extends it (3 measurements)" {
		t.Errorf("%+v %+v %+v", s.Device, s.Findings, r)
	}
	if out, _ := b.run(0, "status"); !strings.Contains(out, "\nhas another writer: pcr10, pcr11 (--json says why of each)\n") {
		t.Error(out)
	}
	if _, errs := b.run(2, "extend", "--pcr", "10", "a", "b"); !strings.Contains(errs, "pcr10 belongs to IMA") {
		t.Error(errs)
	}
	if _, errs := b.run(0, "extend", "--pcr", "10", "--shared", "a", "b"); !strings.HasPrefix(errs, "mrlog: warning: pcr10: IMA extends it (3 measurements), and this log will not have it; pcr14 ") {
		t.Error(errs)
	}
	if out, _ := b.run(0, "status"); !strings.Contains(out, "\nwarning: pcr10: IMA extends it (3 measurements): a log of it does not stay in step\n") {
		t.Error(out)
	}
}

// PCRs that prove nothing, or that nobody can extend, are said to be so; a
// bank that proves nothing, too.
func TestTPMLimits(t *testing.T) {
	b := tpmBench(t, 0x0004)
	out, _ := b.run(0, "status")
	if !strings.Contains(out, "\nwarning: the only active bank is sha1: what it holds proves nothing\n") ||
		!strings.Contains(out, "\ncan be reset by any program: pcr16, pcr23\n") ||
		!strings.Contains(out, "\ncannot be extended: pcr17 to pcr22 (--json says why of each)\n") {
		t.Error(out)
	}
	for _, n := range []string{"17", "22"} {
		if _, errs := b.run(2, "extend", "--pcr", n, "a", "b"); !strings.HasPrefix(errs, "mrlog: error: pcr"+n+": register cannot be extended from user space: ") || !strings.Contains(errs, "\nmrlog: hint: without --register and --pcr it is pcr14\n") {
			t.Error(errs)
		}
	}
	if _, errs := b.run(0, "extend", "--pcr", "23", "a", "b"); !strings.HasPrefix(errs, "mrlog: warning: pcr23 can be reset by any program") ||
		!strings.Contains(errs, "\nmrlog: warning: pcr23 has no active bank but sha1, which proves nothing; mrlog status says what to do\n") {
		t.Error(errs)
	}
	if out, _ := b.run(0, "status"); !strings.Contains(out, "\nwarning: pcr23: it can be reset by any program: ") {
		t.Error(out)
	}
	if _, errs := b.run(2, "extend", "--register", "ccmr4", "a", "b"); !strings.Contains(errs, "\nmrlog: hint: a TPM has pcr0 to pcr23; without --register it is pcr14\n") {
		t.Error(errs)
	}
	if _, r := b.status(0, "pcr17"); !r.AtReset || r.Remedy != "" {
		t.Errorf("%+v", r)
	}

	// The firmware's banks: sha256 has what sha1 lacks.
	b = tpmBench(t, 0x000B, 0x000C)
	for _, pcr := range []byte{0, 7} {
		command := swtpm.Extend(uint32(pcr), map[uint16][]byte{0x000B: make([]byte, 32)})
		b.send(command)
	}
	if out, _ := b.run(0, "status"); !strings.Contains(out, "\nwarning: the bank sha384 is active, but the firmware extended nothing into it: ") {
		t.Error(out)
	}
}

// A TPM that never answers does not outlast an interrupt.
func TestMuteTPM(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mute")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("mrlog", "status", "--device", "tpm:"+socket, "--state", t.TempDir())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 10)); err != nil { // a command has come
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed || out.String() != "mrlog: error: interrupted\n" {
		t.Errorf("%v: %s", err, out.String())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Who is not root is told what that means, with exit code 1: nothing is wrong
// with what was asked for.
func TestNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can be somebody else")
	}
	f := tsmfs.Test(t, tsmfs.Options{})
	dir := t.TempDir() // of root, for all to look into
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mrlog"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(device, want string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(dir, "mrlog"), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MRLOG_STATE="+filepath.Join(dir, "state"), "MRLOG_DEVICE="+device, "MRLOG_REGISTER=")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		text, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q: %v\n%s", device, args, err, text)
		}
	}
	const hint = "\nmrlog: hint: run mrlog as root; "
	run("tdx:"+f.Tree(), "mrlog: error: rtmr2: register cannot be extended from user space: user 65534 may not write to ", "extend", "a", "b")
	run("tdx:"+f.Tree()+","+f.Report(), hint, "extend", "a", "b")
	run("tdx:"+f.Tree()+","+f.Report(), hint, "status")
	run("soft", hint, "extend", "a", "b")
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	run("tdx:"+f.Tree(), "what to do: run mrlog as root; ", "status")
	run("tdx:"+f.Tree(), "\nwarning: nothing can be recorded: rtmr2: ", "status")
}
