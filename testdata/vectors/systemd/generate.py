#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the vectors of systemd's measurement logs. Shares no code with mrlog."""

import hashlib
import hmac
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
BOOT = "0123456789abcdef0123456789abcdef"
SHORT = {7: "a", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t", 11: "v", 92: "\\", 34: '"', 39: "'"}


def cescape(p):
    out = ""
    for c in p:
        out += "\\" + SHORT[c] if c in SHORT else "\\%03o" % c if c < 32 or c >= 127 else chr(c)
    return out


def record(place, measured, kind, algs=("sha256",), key=None, name=None, stamp=1234567, string=None, number=None):
    o = dict(place)
    if number is not None:
        o["recnum"] = number
    if key:
        digests = [(a, hmac.new(key, measured, a).digest()) for a in algs]
    else:
        digests = [(a, hashlib.new(a, measured).digest()) for a in algs]
    o["digests"] = [{"hashAlg": a, "digest": d.hex()} for a, d in digests]
    o["content_type"] = "systemd"
    content = {"nvIndexName": name} if name else {}
    if string is None:
        string = cescape(measured[:1024]) + ("..." if len(measured) > 1024 else "")
    content.update({"string": string, "bootId": BOOT, "timestamp": stamp, "eventType": kind})
    o["content"] = content
    reg = "pcr%d" % o["pcr"] if "pcr" in o else "rtmr%d" % o["rtmr"] if "rtmr" in o else "nv0x%08x" % o["nv_index"]
    return json.dumps(o, separators=(",", ":"), ensure_ascii=False).encode(), digests, reg


def firmware(number, pcr, event, data):
    d = hashlib.sha256(data).digest()
    o = {"pcr": pcr, "recnum": number, "digests": [{"hashAlg": "sha256", "digest": d.hex()}], "content_type": "pcclient_std",
         "content": {"event_type": event, "event_data": data.hex()}}
    return json.dumps(o, separators=(",", ":")).encode(), [("sha256", d)], "pcr%d" % pcr


def vector(name, comment, records, register, head=b"", array=False, bad=None):
    algs = [a for a, _ in records[0][1]] if records else []
    values = {a: bytes(hashlib.new(a).digest_size) for a in algs}
    log, lines = head + (b"[" if array else b""), []
    for i, (text, digests, reg) in enumerate(records):
        log += b"" if array else b"\x1e"
        at = 0 if array else log.count(b"\n") + 1
        lines.append("record: %d %d %d %s" % (at, len(log), len(text), " ".join("%s:%s" % (a, d.hex()) for a, d in digests)))
        if reg == register:
            for a, d in digests:
                values[a] = hashlib.new(a, values[a] + d).digest()
        log += text + (b"\n" if not array else b"," if i + 1 < len(records) else b"]\n")
    out = ["name: " + name, "comment: " + comment, "expect: " + ("malformed" if bad else "ok")]
    if bad:
        out += ["line: %d" % bad[0], "reason: " + bad[1]]
        log += bad[2]
    out += ["register: " + register, "records: %d" % len(lines)]
    if algs:
        out += ["algs: " + " ".join(algs)] + lines + ["final: %s:%s" % (a, values[a].hex()) for a in algs]
    with open(os.path.join(HERE, name + ".txt"), "wb") as f:
        f.write("\n".join(out).encode() + b"\n\n" + log)


P11, P15, P9 = {"pcr": 11}, {"pcr": 15}, {"pcr": 9}
example = record(P11, b"enter-initrd", "phase")
vector("phase", "the example of one record", [example], "pcr11")
vector("phases", "all phases in two banks", [record(P11, p, "phase", ("sha1", "sha256"), stamp=n) for n, p in enumerate(
    (b"enter-initrd", b"leave-initrd", b"sysinit", b"ready", b"shutdown", b"final"))], "pcr11")
vector("identity", "machine and file system", [record(P15, b"machine-id:" + BOOT.encode(), "machine-id"),
                                               record(P15, b"file-system:/:ext4:u::p:t:", "filesystem")], "pcr15")
vector("escaped", "bytes that are escaped", [record(P15, b"file-system:/a\\x3ab:\xc3\xa9\x00\"'\n\x7f", "filesystem")], "pcr15")
vector("cut", "a long text: what was measured cannot be known", [record(P11, b"x" * 1025, "phase")], "pcr11")
vector("not-cut", "a text of just the length that is shown", [record(P11, b"x" * 1021 + b"...", "phase")], "pcr11")
vector("volume-key", "a keyed digest: what was measured cannot be known", [record(P15, b"cryptsetup:luks:uuid", "volume-key", key=b"k")], "pcr15")
vector("nvpcr", "an NV index that stands for a PCR", [record({"nv_index": 30474752}, b"product-id:missing", "product-id", name="hardware")], "nv0x01d10200")
vector("nvpcr-init", "an NV index is set up", [record(P9, b"nvpcr-init:hardware:0x01d10200:000b", "nvpcr-init"), record(P9, b"nvpcr-separator", "nvpcr-separator")], "pcr9")
vector("cc", "the proposed log of CC registers", [record({"rtmr": 2, "mapped_pcr": 11}, b"enter-initrd", "phase", ("sha384",)),
                                                  record({"rtmr": 2}, b"product-id:missing", "product-id", ("sha384",), name="hardware")], "rtmr2")
vector("before", "what precedes the first record is skipped", [example], "pcr11", head=b'ent":{}}\n')
vector("pcrlock", "as systemd-pcrlock prints it: numbers count over the whole log", [
    firmware(1, 4, "EV_SEPARATOR", bytes(4)), firmware(2, 7, "2147483871", b"x"), record(P11, b"enter-initrd", "phase", number=3)], "pcr11", array=True)
vector("bad-nul", "a record with a NUL, and a good one after it", [example], "pcr11",
       bad=(2, "nul", b"\x1e" + example[0][:40] + b"\0" + example[0][40:] + b"\n\x1e" + example[0] + b"\n"))
vector("bad-cut-off", "the last record is cut off", [example], "pcr11", bad=(2, "torn", b"\x1e" + example[0][:40]))
vector("bad-no-separator", "no record separator", [], "pcr11", bad=(1, "no-separator", example[0] + b"\n"))
