#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the vectors of the attestation agent's older, text log. Shares no code
with mrlog."""

import hashlib
import os

HERE = os.path.dirname(os.path.abspath(__file__))
EVENTS = [b"domain operation content", b'github.com/confidential-containers PullImage {"image":"a b"}']


def vector(name, comment, lines, alg="sha384", bad=None, tail=b""):
    def h(p):
        return hashlib.new(alg, p).digest()

    value, log, records = bytes(hashlib.new(alg).digest_size), b"", []
    for i, text in enumerate(lines):
        if text and not (bad and i + 1 >= bad[0]):
            records.append("record: %d %d %d %s:%s" % (i + 1, len(log), len(text), alg, h(text).hex()))
            value = h(value + h(text))
        log += text + b"\n"
    log += tail
    out = ["name: " + name, "comment: " + comment, "expect: " + ("malformed" if bad else "ok")]
    if bad:
        out += ["line: %d" % bad[0], "reason: " + bad[1]]
    out += ["register: rtmr3", "records: %d" % len(records)]
    if records:
        out += ["algs: " + alg] + records + ["final: %s:%s" % (alg, value.hex())]
    with open(os.path.join(HERE, name + ".txt"), "wb") as f:
        f.write("\n".join(out).encode() + b"\n\n" + log)


vector("short", "INIT with half of the digits, as the agent wrote it", [b"INIT sha384/" + b"0" * 48] + EVENTS)
vector("short-sha256", "the same for SHA-256", [b"INIT sha256/" + b"0" * 32] + EVENTS, "sha256")
vector("full", "INIT with all digits, as in a native log", [b"INIT sha384/" + b"0" * 96] + EVENTS)
vector("published", "INIT as it was published", [b"INIT/sha384 " + b"0" * 96] + EVENTS)
vector("hash", "no line is a comment", [b"INIT sha384/" + b"0" * 48, b"# domain operation"])
vector("empty-line", "an empty line is no record", [b"INIT sha384/" + b"0" * 48, b"", b"a b c", b""])
vector("carriage-return", "a carriage return is part of its line", [b"INIT sha384/" + b"0" * 48, b"a b c\r"])
vector("bad-no-init", "no INIT", EVENTS, bad=(1, "first-record"))
vector("bad-two-inits", "a second INIT", [b"INIT sha384/" + b"0" * 48, b"a b c", b"INIT sha384/" + b"0" * 48], bad=(3, "second-init"))
vector("bad-torn", "the last line has no newline", [b"INIT sha384/" + b"0" * 48, b"a b c"], bad=(3, "torn"), tail=b"a b")
