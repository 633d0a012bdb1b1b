#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the vectors of TCG logs beside this file (README.md explains them).

It shares nothing with mrlog: it packs logs field by field, notes what it packed,
and hashes with hashlib. Run it by hand, look at the difference, commit. SM3
needs a hashlib that is linked to OpenSSL >= 1.1.1.
"""

import hashlib
import pathlib
import struct

IDS = {"sha1": 4, "sha256": 11, "sha384": 12, "sha512": 13, "sm3_256": 18, "sha3_256": 39, "0x0044": 0x44}
SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64, "sm3_256": 32, "sha3_256": 32}
NO_ACTION, SEPARATOR, ACTION, TAG, HCRTM = 3, 4, 5, 6, 0x80000010


def H(alg, data):
    if alg not in SIZES:
        return b"\xa5" * 24  # no such algorithm: any 24 bytes
    return hashlib.new({"sm3_256": "sm3"}.get(alg, alg), data).digest()


def specid(algs, signature=b"Spec ID Event03\0", vendor=b"", version=b"\0\2\0\2", sizes=None):
    table = b"".join(struct.pack("<HH", IDS[a], (sizes or {}).get(a, SIZES.get(a, 24))) for a in algs)
    return signature + struct.pack("<I", 0) + version + struct.pack("<I", len(algs)) + table + bytes([len(vendor)]) + vendor


class Log:
    def __init__(self, algs, dialect="agile", space="pcr", index=0, header=None, known=None):
        self.algs, self.dialect, self.space = algs, dialect, space
        self.data, self.records, self.end = b"", [], None
        self.values, self.locality, self.launched = {}, 0, False
        self.known = known or algs
        if dialect in ("agile", "coco"):
            spec = header or specid(algs, bytes(16) if dialect == "coco" else b"Spec ID Event03\0",
                                    version=bytes(4) if dialect == "coco" else b"\0\2\0\2")
            self.old(index, NO_ACTION, spec, bytes(20))

    def old(self, index, event, data, digest=None):
        digest = H("sha1", data) if digest is None else digest
        self.put(index, event, data, struct.pack("<II", index, event) + digest, [("sha1", digest)])

    def event(self, index, event, data, digests=None, algs=None):
        if self.dialect == "sha1":
            return self.old(index, event, data)
        digests = digests or [(a, H(a, data)) for a in algs or self.algs]
        if event == NO_ACTION:
            digests = [(a, bytes(len(d))) for a, d in digests]
        head = struct.pack("<III", index, event, len(digests))
        self.put(index, event, data, head + b"".join(struct.pack("<H", IDS[a]) + d for a, d in digests), digests)

    def put(self, index, event, data, head, digests):
        head += struct.pack("<I", len(data))
        self.records.append((len(self.data), len(head) + len(data), index, event, len(self.data) + len(head), len(data), digests))
        self.data += head + data
        if event == NO_ACTION:
            if data.startswith(b"StartupLocality\0") and index == 0 and self.space == "pcr":
                self.locality = data[-1]
            return
        if event == HCRTM and index == 0:
            self.locality = 4
        dynamic = self.space == "pcr" and 17 <= index <= 22
        if dynamic and (0x400 <= event < 0x600 or event == 0x10000000):
            self.launched = True
        for alg, d in digests:
            if alg not in SIZES:
                continue
            start = bytes([0xFF] * SIZES[alg]) if dynamic and not self.launched else bytes(SIZES[alg])
            if self.space == "pcr" and index == 0:
                start = start[:-1] + bytes([self.locality])
            old = self.values.get((index, alg), start)
            self.values[index, alg] = H(alg, old + d)

    def pad(self, data):
        if self.end is None:
            self.end = len(self.data)
        self.data += data

    def write(self, name, comment, fault=None, reason=None):
        out = [f"name: {name}", f"comment: {comment}", f"expect: {'malformed' if reason else 'ok'}"]
        if reason:
            out += [f"offset: {fault}", f"reason: {reason}"]
        out += [f"dialect: {self.dialect}" if self.records or reason else "dialect: none", f"space: {self.space}"]
        if self.dialect in ("agile", "coco"):
            out.append("algs: " + " ".join(self.algs))
        if not reason:
            end = len(self.data) if self.end is None else self.end
            out.append(f"padding: {len(self.data) - end}")
        out.append(f"records: {len(self.records)}")
        for o, n, i, e, do, dn, digests in self.records:
            out.append(f"record: {o} {n} {i} 0x{e:08x} {do} {dn} " + " ".join(f"{a}:{d.hex()}" for a, d in digests))
        for (i, a), v in sorted(self.values.items(), key=lambda kv: (kv[0][0], IDS[kv[0][1]])):
            out.append(f"final: {self.space}{i} {a}:{v.hex()}")
        path = pathlib.Path(__file__).parent / f"{name}.txt"
        path.write_bytes("\n".join(out).encode() + b"\n\n" + self.data)


def small(algs, **kw):
    log = Log(algs, **kw)
    log.event(0, 8, "1.0\0".encode("utf-16le"))
    log.event(7, SEPARATOR, bytes(4))
    log.event(7, ACTION, b"Exit Boot Services Invocation")
    return log


def cc(**kw):
    log = Log(["sha384"], space="ccmr", **kw)
    log.event(2, SEPARATOR, bytes(4))
    return log


def aael(text):
    return struct.pack("<II", 0x4141454C, len(text)) + text


log = cc()
log.write("ccel", "the header and one EV_SEPARATOR of a TDX guest; RTMR1 follows")
assert log.values[2, "sha384"].hex().startswith("518923b0f955d08d")

log = cc(index=1)
log.pad(b"\xff" * 100)
log.write("ccel-ones", "the area is filled with 0xFF, and the header has index 1, as TDVF writes it")

log = Log(["sha384"], space="ccmr", header=specid(["sha384"], vendor=b"td-shim", version=b"\0\2\x69\2"))
log.event(1, SEPARATOR, bytes(4))
log.pad(bytes(77))
log.write("ccel-zeros", "td-shim: vendor info, and an area filled with zeros")

log = cc()
log.pad(b"\xff" * 8 + bytes(5))
log.write("ccel-flag-then-zeros", "a flag of 0xFF, and zeros after it")

log = cc()
log.pad(bytes(8))
log.write("ccel-zero-flag", "a zero flag and nothing else")

for n, algs in enumerate((["sha384"], ["sha384", "sm3_256"], ["sha256", "sha384", "sm3_256"])):
    log = Log(algs, dialect="coco", space="ccmr" if n == 0 else "pcr")
    text = aael(b"domain operation content")
    log.event(4, TAG, text, algs=["sha384"])
    if n == 0:
        assert log.values[4, "sha384"].hex().startswith("82d3f7a4203f58da")
    log.pad(b"\xff" * 8)
    log.write(f"coco-{65 + 4 * n}", "CoCo's header without a signature, an AAEL record, the end flag" +
              ("" if n == 0 else "; several banks in the header, so that the indexes are taken for PCRs"))

log = Log(["sha384"], dialect="aael", space="ccmr")
log.event(4, TAG, aael(b"domain operation content"))
log.event(4, TAG, aael(b"github.com/confidential-containers PullImage {}"))
log.write("aael", "the file of CoCo's attestation agent: no header; to be read as such on request")

log = Log(["sm3_256"], space="ccmr")
log.event(3, SEPARATOR, bytes(4))
log.write("csv", "Hygon CSV: one bank, SM3")

small(["sha1", "sha256", "sha384", "sha512", "sm3_256", "sha3_256"]).write("banks", "six banks")
small(["sha256"]).write("sha256", "one bank of a TPM: PCRs, whatever their indexes")

log = Log(["sha384"])
log.event(0, 8, b"x")
log.event(4, SEPARATOR, bytes(4))
log.event(5, SEPARATOR, bytes(4))
log.write("sha384-pcr", "one SHA-384 bank, and an index above 4: PCRs")

log = small(["sha256", "0x0044"])
log.write("unknown-alg", "a bank of an algorithm that nobody knows; its size is in the header")

log = Log(["sha1", "sha256"])
log.event(7, SEPARATOR, bytes(4), algs=["sha256"])
log.event(7, ACTION, b"sorted otherwise", algs=["sha256", "sha1"])
log.write("some-banks", "records without a bank, and with the banks in another order than the header's")

log = Log(["sha256"])
log.event(0, NO_ACTION, b"SP800-155 Event3" + bytes(20))
log.event(0, 8, b"v")
log.event(7, NO_ACTION, b"between")
log.event(7, SEPARATOR, bytes(4))
log.event(7, NO_ACTION, b"after")
log.event(0xFFFFFFFF, NO_ACTION, b"of no PCR")
log.write("no-action", "EV_NO_ACTION at the beginning, between and after other records, and one of no register: none is extended")

for locality in (0, 3, 4):
    log = Log(["sha1", "sha256"])
    log.event(0, NO_ACTION, b"StartupLocality\0" + bytes([locality]))
    log.event(0, 8, b"v")
    log.write(f"locality-{locality}", f"StartupLocality {locality}: PCR 0 starts with it as its last byte")

log = Log(["sha256"])
log.event(0, HCRTM, b"HCRTM")
log.event(0, 8, b"v")
log.write("hcrtm", "an H-CRTM event: PCR 0 starts with 4 as its last byte")

log = Log(["sha256"])
log.event(17, 8, b"v")
log.event(23, 8, b"v")
log.write("drtm", "PCR 17 starts with 0xFF, PCR 23 with zeros")

log = Log(["sha1", "sha256"])
log.event(17, 0x402, b"")
log.event(17, 0x10C, b"v")
log.event(18, 0x410, b"v")
log.event(22, SEPARATOR, bytes(4))
log.write("drtm-launch", "an event of Intel TXT: a dynamic launch has cleared PCR 17 to 22")

log = Log(["sha256"])
log.event(18, 8, b"v")
log.event(17, 0x10000000, b"DRTM")
log.event(18, 8, b"w")
log.event(21, SEPARATOR, bytes(4))
log.write("drtm-late", "the event of a dynamic launch after PCR 18 was extended, which goes on from where it was")

log = small([], dialect="sha1")
log.write("sha1", "the format of TCG 1.2, without a header record")
log = Log([], dialect="sha1")
log.old(0, NO_ACTION, b"Spec ID Event00\0" + bytes(12), bytes(20))
log.old(0, 0, b"certificate")
log.old(4, 13, b"")
log.write("sha1-header", "the format of TCG 1.2 with its header; then EV_PREBOOT_CERT in PCR 0, which is no end flag, and an event without data")
log.pad(b"\xff" * 9)
log.write("sha1-ones", "the same with padding")

log = Log(["sha256"])
log.event(0, 0, b"certificate")
log.write("preboot-cert", "EV_PREBOOT_CERT in PCR 0 begins with eight zero bytes, and is no end flag")

empty = Log([], dialect="sha1")
empty.write("empty", "no byte: a log without records")
empty.pad(b"\xff" * 64)
empty.write("empty-ones", "padding only")
empty = Log([], dialect="sha1")
empty.pad(bytes(64))
empty.write("empty-zeros", "zeros only")


def bad(name, comment, log, tail, into, reason):
    at = len(log.data)
    log.data += tail
    log.write("bad-" + name, comment, at + into, reason)


whole = struct.pack("<III", 7, 5, 1) + b"\x0b\0" + bytes(32) + struct.pack("<I", 4) + b"data"
for cut in (1, 4, 8, 11, 12, 13, 14, 45, 46, 49, 50, 53):
    bad(f"cut-{cut}", f"the log ends {cut} bytes into a record", small(["sha256"]), whole[:cut], cut, "cut")
bad("cut-header", "the log ends within its header", Log([], dialect="sha1"), small(["sha256"]).data[:60], 60, "cut")
bad("flag-short", "seven bytes of 0xFF are no end flag", cc(), b"\xff" * 7, 7, "cut")
bad("no-digest", "a record without a digest", small(["sha256"]), struct.pack("<III", 7, 5, 0) + bytes(20), 8, "digests")
bad("many-digests", "more digests than the header has algorithms", small(["sha256"]), struct.pack("<III", 7, 5, 2) + bytes(200), 8, "digests")
bad("twice", "two digests of one algorithm", small(["sha1", "sha256"]),
    struct.pack("<III", 7, 5, 2) + b"\x0b\0" + bytes(32) + b"\x0b\0" + bytes(32) + bytes(4), 46, "digests")
bad("other-alg", "an algorithm that the header does not list", small(["sha256"]), struct.pack("<III", 7, 5, 1) + b"\x0c\0" + bytes(60), 12, "algorithm")
bad("size", "event data of 4 GiB", small(["sha256"]), whole[:46] + b"\xff\xff\xff\xff" + bytes(10), 46, "size")
bad("index", "a register that there cannot be", small(["sha256"]), struct.pack("<I", 0x01000000) + whole[4:], 0, "index")
bad("trailing", "a record after the end flag", cc(), b"\xff" * 8 + whole, 8, "trailing")
bad("trailing-zeros", "a CC log, a zero flag, and more", cc(), bytes(8) + b"\1", 9, "cut")
bad("trailing-ones", "zeros and then 0xFF", cc(), bytes(12) + b"\xff" * 8, 12, "trailing")


def head(name, comment, spec, into, reason):
    log = Log([], dialect="agile", header=spec)
    log.records, log.values = [], {}
    log.dialect = "sha1"
    log.write("bad-header-" + name, comment, 32 + into, reason)


head("size", "a SHA-256 bank of 20 bytes", specid(["sha256"], sizes={"sha256": 20}), 28, "header")
head("no-alg", "no algorithm", specid([]), 24, "header")
head("many-algs", "an algorithm count of 2^32-1", specid(["sha256"])[:24] + b"\xff" * 4 + bytes(60), 24, "header")
head("twice", "one algorithm twice", specid(["sha256", "sha256"]), 32, "header")
head("empty-alg", "digests of no byte", specid(["0x0044"], sizes={"0x0044": 0}), 28, "header")
head("huge-alg", "digests of 65535 bytes", specid(["0x0044"], sizes={"0x0044": 65535}), 28, "header")
head("vendor", "vendor info that runs over the end", specid(["sha256"])[:-1] + b"\x09x", 32, "header")
head("short", "a header of its signature alone", specid(["sha256"])[:20], 0, "header")
