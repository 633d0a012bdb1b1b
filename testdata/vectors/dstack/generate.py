#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the vectors of dstack's event logs. Shares no code with mrlog."""

import base64
import hashlib
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
TYPE = 0x08000001


def v1(name, payload):
    return struct.pack("<I", TYPE) + b":" + name.encode() + b":" + payload


def v2(name, payload):
    o = {"name": name, "payload": payload.hex(), "type": TYPE}
    return json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def h(p):
    return hashlib.sha384(p).digest()


def vector(name, comment, items, register="rtmr3", joint=b"\n", head=b"", tail=b"", lines=True, bad=None):
    """items: (bytes of the event, digest, or None if it is not a record, register)"""
    log, records, value = head, [], bytes(48)
    for i, (text, digest, reg) in enumerate(items):
        if digest is not None:
            line = log.count(b"\n") + 1 if lines else 0
            records.append("record: %d %d %d sha384:%s" % (line, len(log), len(text), digest.hex()))
            if reg == register:
                value = h(value + digest)
        log += text
        if lines or i + 1 < len(items):
            log += joint
    log += tail
    out = ["name: " + name, "comment: " + comment]
    if bad:
        out += ["expect: malformed", "line: %d" % bad[0], "reason: " + bad[1]]
        log = bad[2](log)
    else:
        out += ["expect: ok"]
    out += ["register: " + register, "records: %d" % len(records), "algs: sha384"] + records
    out += ["final: sha384:" + value.hex()]
    with open(os.path.join(HERE, name + ".txt"), "wb") as f:
        f.write("\n".join(out).encode() + b"\n\n" + log)


def line(name, payload, version=1):
    o = {"event": name, "payload": base64.b64encode(payload).decode()}
    if version != 1:
        o["version"] = version
    text = json.dumps(o, separators=(",", ":"), ensure_ascii=False).encode()
    return text, h((v1 if version == 1 else v2)(name, payload)), "rtmr3"


def api(imr, event_type, digest, name, payload, version=1, **more):
    o = {"imr": imr, "event_type": event_type, "digest": digest.hex(), "event": name, "event_payload": payload.hex()}
    if version != 1:
        o["version"] = version
    o.update(more)
    return json.dumps(o, separators=(",", ":"), ensure_ascii=False).encode(), digest, "rtmr%d" % imr


abcd = bytes.fromhex("abcd")
d1, d2 = h(v1("compose-hash", abcd)), h(v2("compose-hash", abcd))
sep = api(3, 4, h(bytes(4)), "", bytes(4))
array = dict(joint=b",", head=b"[", tail=b"]\n", lines=False)

vector("lines", "a guest's file: one event of each version", [line("compose-hash", abcd), line("compose-hash", abcd, 2)])
vector("lines-names", "names that JSON escapes, and an empty payload", [line('a"\\\n\x01é', b""), line('a"\\\n\x01é', b"", 2)])
vector("lines-colon", "two events of version 1 with one digest", [line("a:b", b"c"), line("a", b"b:c")])
vector("lines-blank", "lines without an event are skipped", [(b"", None, None), line("a", b""), (b" \t", None, None), line("b", b"")])
vector("lines-torn", "the last line has no newline", [line("a", b"")], bad=(2, "torn", lambda p: p + b'{"event":"b","payload":""}'))
vector("api", "firmware and run-time events", [sep, api(3, TYPE, d1, "compose-hash", abcd), api(3, TYPE, d2, "compose-hash", abcd, 2)], **array)
vector("api-preimage", "with preimages", [api(3, TYPE, d1, "compose-hash", abcd, preimage=v1("compose-hash", abcd).hex()),
                                          api(3, TYPE, d2, "compose-hash", abcd, 2, preimage=v2("compose-hash", abcd).hex())], **array)
vector("api-stripped", "without payloads of firmware events and digests of others",
       [(sep[0].replace(b'"00000000"', b'""'), sep[1], sep[2])] +
       [(t.replace(d.hex().encode(), b""), d, r) for t, d, r in (api(3, TYPE, d1, "compose-hash", abcd), api(3, TYPE, d2, "compose-hash", abcd, 2))], **array)
