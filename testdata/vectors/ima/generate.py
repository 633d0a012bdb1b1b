#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the vectors of IMA lists beside this file (README.md explains them).

It shares nothing with mrlog: it makes lists from what the kernel measures, as
the kernel's sources lay them out, and hashes with hashlib. Run it by hand, look
at the difference, commit.
"""

import hashlib
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
SIZE = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def H(alg, data):
    return hashlib.new(alg, data).digest()


class Measure:
    """One measurement: fields as bytes and as the kernel shows them."""

    def __init__(self, template, *fields, pcr=10, violation=False):
        self.template, self.pcr, self.violation = template, pcr, violation
        self.raw = [f[0] for f in fields]
        self.text = [f[1] for f in fields]

    def data(self, e):
        if self.template == "ima":
            return self.raw[0] + self.raw[1].ljust(256, b"\0")
        return b"".join(struct.pack(e + "I", len(f)) + f for f in self.raw)

    def logged(self, alg, e):
        return bytes(SIZE[alg]) if self.violation else H(alg, self.data(e))

    def extended(self, alg, e, padded=False):
        of = "sha1" if padded else alg
        d = b"\xff" * SIZE[of] if self.violation else H(of, self.data(e))
        return d.ljust(SIZE[alg], b"\0")

    def binary(self, alg, e):
        out = struct.pack(e + "I", self.pcr) + self.logged(alg, e)
        out += struct.pack(e + "I", len(self.template)) + self.template.encode()
        if self.template == "ima":
            return out + self.raw[0] + struct.pack(e + "I", len(self.raw[1])) + self.raw[1]
        return out + struct.pack(e + "I", len(self.data(e))) + self.data(e)

    def ascii(self, alg, e):
        head = b"%2d %s %s" % (self.pcr, self.logged(alg, e).hex().encode(), self.template.encode())
        return head + b"".join(b" " + t for t in self.text) + b"\n"

    def register(self):
        return ("rtmr%d" if self.pcr <= 3 else "pcr%d") % self.pcr


def ng(digest, alg="sha256"):
    return alg.encode() + b":\0" + digest, alg.encode() + b":" + digest.hex().encode()


def plain(digest):
    return digest, digest.hex().encode()


def name(s):
    b = s if isinstance(s, bytes) else s.encode()
    return b + b"\0", b


def old(s):
    return s.encode(), s.encode()


def blob(b):
    return b, b.hex().encode()


def number(n, width, e):
    return struct.pack(e + {2: "H", 4: "I"}[width], n), str(n).encode()


HELLO = H("sha256", b"hello\n")
BOOT = ng(H("sha256", b"boot"))
SIG = bytes.fromhex("030204deadbeef0008") + b"RSA-SIGN"
EVM = bytes.fromhex("0502040102030400 03".replace(" ", "")) + b"evm"


def evm_sig(e):
    return Measure(
        "evm-sig", ng(HELLO), name("/bin/evm"), blob(EVM), name("security.selinux|security.capability"),
        blob(struct.pack(e + "II", 5, 2)), blob(b"label\1\2"), number(1000, 4, e), number(0, 4, e), number(0o100755, 2, e))


def write(name_, comment, form, e, alg, log, measures, spans, pair=None, fault=None):
    out = ["name: " + name_, "comment: " + comment, "expect: " + ("malformed" if fault else "ok")]
    if fault:
        out += ["offset: %d" % fault[0], "reason: " + fault[1]]
    out += ["form: " + form, "order: " + {"<": "little", ">": "big"}[e], "alg: " + alg]
    if pair:
        out.append("pair: " + pair)
    out.append("records: %d" % len(measures))
    for m, (offset, length) in zip(measures, spans):
        out.append("record: %d %d %s %s %s:%s sha384:%s" % (
            offset, length, m.register(), m.template, alg, m.extended(alg, e).hex(), m.extended("sha384", e).hex()))
    finals = {}
    for m in measures:
        for a, mode in [(alg, "logged")] + [(a, mode) for a in ("sha256", "sha384") if a != alg for mode in ("native", "padded")]:
            k = (m.register(), a, mode)
            finals[k] = H(a, finals.get(k, bytes(SIZE[a])) + m.extended(a, e, mode == "padded"))
    for (reg, a, mode), v in finals.items():
        out.append("final: %s %s %s:%s" % (reg, a, mode, v.hex()))
    (HERE / (name_ + ".txt")).write_bytes("\n".join(out).encode() + b"\n\n" + log)
    return finals


def lay(measures, form, alg, e):
    log, spans = b"", []
    for m in measures:
        p = m.binary(alg, e) if form == "binary" else m.ascii(alg, e)
        spans.append((len(log), len(p) - (form == "ascii")))
        log += p
    return log, spans


def both(name_, comment, measures, alg="sha1", e="<"):
    for form, other in (("binary", "ascii"), ("ascii", "binary")):
        log, spans = lay(measures, form, alg, e)
        finals = write("%s-%s" % (name_, form), comment, form, e, alg, log, measures, spans, pair="%s-%s" % (name_, other))
    return finals


def bad(name_, comment, form, log, measures, offset, reason):
    good, spans = lay(measures, form, "sha1", "<")
    assert log.startswith(good)
    write("bad-" + name_, comment, form, "<", "sha1", log, measures, spans, fault=(offset, reason))


def main():
    for f in HERE.glob("*.txt"):
        f.unlink()
    hello = Measure("ima-ng", ng(HELLO), name("/usr/bin/my_tool"))
    boot = Measure("ima-sig", BOOT, name("boot_aggregate"), blob(b""))
    f = both("example", "the example of package ima", [hello])
    assert f["pcr10", "sha1", "logged"].hex() == "9f2df494d0a8af2b7af5fbaffbf96728176a2ce4"
    assert f["pcr10", "sha256", "native"].hex() == "8e0af349d71518cd4e28fd0d27da3878500b55f30add40cda170e989e0ed2f5f"
    assert f["pcr10", "sha256", "padded"].hex() == "5667ffa4c303ad4a4c29f8e2662fd19e69fd91e2ccca064186bd530035ad207a"
    both("empty-field", "a field without bytes leaves a blank at the end of the line", [boot])
    both("old", "template ima: other lengths, other data", [
        Measure("ima", plain(H("sha1", b"hello\n")), old("/bin/x")),
        Measure("ima", plain(bytes(20)), old("/bin/y"), violation=True)])
    v = [Measure("ima-ng", ng(bytes(n)), name("/var/log/x"), violation=True) for n in (20, 32)]
    f = both("violation", "logged as zero, extended as 0xFF; twenty zeros in older kernels", v)
    f = both("violation-alone", "one, in the bank of the list", v[1:], alg="sha256")
    assert f["pcr10", "sha256", "logged"].hex() == "bba91ca85dc914b2ec3efb9e16e7267bf9193b14350d20fba8a8b406730ae30a"
    templates = [
        boot, hello,
        Measure("ima-sig", ng(HELLO), name("/etc/x"), blob(SIG)),
        Measure("ima-buf", ng(HELLO), name("kexec-cmdline"), blob(b"root=/dev/vda")),
        Measure("ima-modsig", ng(HELLO), name("/boot/x"), blob(b""), ng(H("sha1", b"x"), "sha1"), blob(b"\x30\x00")),
        Measure("ima-ngv2", ng(HELLO, "verity:sha256"), name("/opt/x")),
        Measure("ima-sigv2", ng(H("sha512", b"x"), "ima:sha512"), name("/opt/y"), blob(SIG)),
        evm_sig("<"),
        Measure("d-ng|n-ng|sig", ng(HELLO), name("/custom"), blob(b"")),
    ]
    both("templates", "each template of the kernel, and a format string", templates)
    for alg in ("sha256", "sha384", "sha512"):
        both("bank-" + alg, "the list of another bank", [boot, hello], alg=alg)
    both("big-endian", "the list of a big-endian host: sizes in the hashed data, too", [boot, evm_sig(">")], e=">")
    both("rtmr", "an index up to 3 is that of an RTMR", [Measure("ima-ng", ng(HELLO), name("/x"), pcr=2)], alg="sha384")
    both("registers", "several registers, indexes of one to three digits", [
        Measure("ima-ng", ng(HELLO), name("/x"), pcr=p) for p in (10, 5, 123)])
    both("name-bytes", "a name is any bytes but NUL, and newline in ASCII; the last field keeps its blanks", [
        Measure("ima-ng", ng(HELLO), name(b"tab\tcr\r esc\x1b \xff end "))])

    log, _ = lay([boot, hello], "binary", "sha1", "<")
    first = len(boot.binary("sha1", "<"))
    for n in (3, 12, 30, 36, 60):
        bad("cut-%d" % n, "cut within the second record", "binary", log[:first + n], [boot], first + n, "cut")
    bad("index", "register 0x01000000", "binary", log[:first] + b"\0\0\0\1" + log[first + 4:], [boot], first, "index")
    bad("name-length", "no name", "binary", log[:first + 24] + bytes(4) + log[first + 28:], [boot], first + 24, "name")
    bad("name", "a NUL in the name", "binary", log[:first + 28] + b"im\0" + log[first + 31:], [boot], first + 28, "name")
    bad("size", "4 GiB of data", "binary", log[:first + 34] + b"\xff" * 4 + log[first + 38:], [boot], first + 34, "size")
    log, _ = lay([boot, hello], "ascii", "sha1", "<")
    first = len(boot.ascii("sha1", "<"))
    bad("line-cut", "cut within the last name", "ascii", log[:-3], [boot], len(log) - 3, "cut")
    bad("line-index", "a line that is no record", "ascii", log[:first] + b"x" + log[first:], [boot], first, "index")
    bad("line-name", "a line without a name", "ascii", log[:first + 44] + b" " + log[first + 44:], [boot], first + 44, "name")


main()
