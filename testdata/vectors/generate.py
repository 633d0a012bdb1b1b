#!/usr/bin/env python3
# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden vectors beside this file (README.md explains their form).

It shares nothing with mrlog: it reads a log as docs/spec/nelr.md says, in the
dumbest way, and hashes with hashlib. Run it by hand, look at the difference,
commit. SM3 needs a hashlib that is linked to OpenSSL >= 1.1.1.
"""

import hashlib
import pathlib
import re

SIZES = {
    "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64,
    "sm3_256": 32, "sha3_256": 32, "sha3_384": 48, "sha3_512": 64,
}


def H(alg, data):
    return hashlib.new({"sm3_256": "sm3"}.get(alg, alg), data).digest()


class Malformed(Exception):
    def __init__(self, line, reason):
        self.line, self.reason = line, reason


def parse_init(text):
    """The start value of each bank, or None."""
    if not text.startswith(b"INIT "):
        return None
    banks = {}
    for bank in text[5:].split(b" "):
        m = re.fullmatch(rb"([a-z0-9_]+)/([0-9a-f]*)", bank)
        if not m or m[1].decode() not in SIZES or m[1].decode() in banks:
            return None
        alg = m[1].decode()
        if len(m[2]) != 2 * SIZES[alg]:
            return None
        banks[alg] = bytes.fromhex(m[2].decode())
    return banks


def read(log):
    """Records as (line number, offset, bytes), start values, fault or None."""
    records, start, fault, offset, number = [], None, None, 0, 0
    pieces = log.split(b"\n")
    try:
        for i, text in enumerate(pieces):
            number += 1
            torn = i == len(pieces) - 1
            if text and text[:1] != b"#":
                if torn:
                    raise Malformed(number, "torn")
                if start is None:
                    start = parse_init(text)
                    if start is None:
                        raise Malformed(number, "first-record")
                elif text == b"INIT" or text[:5] == b"INIT ":
                    raise Malformed(number, "second-init")
                records.append((number, offset, text))
            offset += len(text) + 1
        if start is None:
            lines = len(pieces) if pieces[-1] else len(pieces) - 1
            raise Malformed(max(lines, 1), "no-init")
    except Malformed as m:
        fault = m
    return records, start, fault


def replay(records, start):
    values = dict(start)
    for _, _, text in records:
        for alg in values:
            values[alg] = H(alg, values[alg] + H(alg, text))
    return values


HERE = pathlib.Path(__file__).parent
WRITTEN = []


def vector(name, comment, log, register="rtmr2"):
    if isinstance(log, str):
        log = log.encode()
    records, start, fault = read(log)
    head = [f"name: {name}", f"comment: {comment}",
            f"expect: {'malformed' if fault else 'ok'}"]
    if fault:
        head += [f"line: {fault.line}", f"reason: {fault.reason}"]
    head += [f"register: {register}", f"records: {len(records)}"]
    if start is not None:
        head += ["algs: " + " ".join(start)]
        for number, offset, text in records:
            head.append(f"record: {number} {offset} {len(text)} "
                        + " ".join(f"{a}:{H(a, text).hex()}" for a in start))
        for alg, value in replay(records, start).items():
            head.append(f"final: {alg}:{value.hex()}")
        dynamic = re.fullmatch(r"pcr(1[7-9]|2[0-2])", register)
        odd = [a for a, v in start.items()
               if any(v) and not (dynamic and v == b"\xff" * len(v))]
        if odd:
            head.append("unexplained: " + " ".join(odd))
    body = "\n".join(head).encode() + b"\n\n" + log
    (HERE / f"{name}.txt").write_bytes(body)
    WRITTEN.append(name)


def init(*algs, fill="00"):
    return "INIT " + " ".join(f"{a}/{fill * SIZES[a]}" for a in algs) + "\n"


I384 = init("sha384")
EVENT = "example.org/app Start pid=1\n"

# The sample of the format's proposal: its measured lines, our comments.
vector("sample", "the measured lines of the original sample log; digests and final value are the published ones",
       "#\n# A small log. This block is for people: none of it is measured, and\n# neither is the empty line that follows it.\n#\n\n"
       "# RTMR2 was untouched when the log began:\n" + I384 + "\n# An image was loaded; its manifest has this digest.\n"
       "github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef\n"
       "\n\n# JSON is content like any other. The backslashes stand in the line as they\n# are: no tab and no newline is in it.\n"
       "github.com/confidential-containers EventWithJSONParams { \"key1\":\"value1\\tmore values and 'quotes'\\n\", \"key2\": [ \"value2\", 2, true, null ] }\n")

# Algorithms and banks.
for a in SIZES:
    vector("alg-" + a.replace("_", "-"), f"one bank, {a}", init(a) + EVENT + "example.org/app Stop\n")
vector("banks-two", "two banks, each from its own start value", init("sha256", "sha384") + EVENT)
vector("banks-order", "the order of banks is INIT's, not that of ids or names", init("sha512", "sha1", "sha256") + EVENT)
vector("banks-all", "every algorithm at once", init(*SIZES) + EVENT)
vector("init-only", "INIT is itself measured: its digest is extended", I384)

# Start values.
vector("start-ff", "a start value that is no reset value of an RTMR: unexplained", init("sha384", fill="ff") + EVENT)
vector("start-ff-pcr17", "0xFF is the reset value of PCR 17 to 22", "#: register pcr17\n" + init("sha256", fill="ff") + EVENT, "pcr17")
vector("start-zero-pcr17", "zeros in PCR 17 to 22 are a reset too, by a dynamic launch", "#: register pcr17\n" + init("sha256") + EVENT, "pcr17")
vector("start-locality", "startup locality 3 in PCR 0 ends the reset value in 03: only other evidence explains it",
       "#: register pcr0\nINIT sha256/" + "00" * 31 + "03\n" + EVENT, "pcr0")
vector("start-mixed", "one bank from its reset value, one from elsewhere",
       "INIT sha256/" + "00" * 32 + " sha384/" + "0123456789abcdef" * 6 + "\n" + EVENT)

# What is not measured.
vector("comments-everywhere", "comments and empty lines before INIT, between records, doubled, and last",
       "\n\n#\n# one\n##two\n#three\n" + I384 + "# between\n\n\n" + EVENT + "#!x\n#\tx\n" + EVENT + "\n# end\n\n")
vector("comment-torn", "a last comment without a newline is no record, so nothing is torn", I384 + EVENT + "# cut he")
vector("comment-cr", "a line that is only CR is a record; one that begins with # is a comment whatever it ends in", I384 + "# dos\r\n\r\n" + EVENT)
vector("comment-indented", "a blank before the # makes a record of it", I384 + " # measured\n\t# measured\n" + EVENT)
vector("comment-binary", "comments may hold any bytes", b"# \x00\xff\xfe\r\n#\x80\n" + I384.encode() + b"#\x00\n" + EVENT.encode())
vector("blank-line", "a line of blanks is not empty: it is measured", I384 + " \n\t\n  \t \n")
vector("newlines-last", "empty lines at the end", I384 + EVENT + "\n\n\n\n")

# Hints.
vector("hint-register", "the register hint names the register", "#: register rtmr3\n" + I384 + EVENT, "rtmr3")
vector("hint-last-counts", "of several register hints the last before INIT counts", "#: register rtmr3\n# x\n#: register rtmr1\n" + I384 + EVENT, "rtmr1")
vector("hint-late", "a register hint after INIT comes too late", I384 + "#: register rtmr3\n" + EVENT)
vector("hint-not", "lines that are comments, not hints: another blank, no blank, no value, no key, an unknown register",
       "# : register rtmr3\n#:register rtmr3\n#:  register rtmr3\n#: register\n#: register \n#:  rtmr3\n#: register rtmrX\n#: Register rtmr3\n" + I384 + EVENT)
vector("hint-pcr", "a register may be a PCR", "#: register pcr14\n#: boot 6c8a2cd0-4f0b-4e0e-9d0a-0a4f2f1d6b11\n" + init("sha1", "sha256") + EVENT, "pcr14")
vector("hint-unknown", "unknown keys are ignored", "#: colour blue\n#: x-checkpoint 1 2 3\n" + I384 + EVENT)

# Significant bytes.
vector("blanks", "leading, trailing and doubled blanks are part of a record", I384 + "  leading\ntrailing  \na  b   c\n a \n")
vector("tabs", "tabs are part of a record", I384 + "\tleading\ntrailing\t\na\tb c\td\n")
vector("cr", "CR is part of a record: no line end but LF is known", I384 + "dos line\r\nmac\rline\n\r\n\r\r\n")
vector("backslashes", "nothing is an escape", I384 + "example.org/app Op \\n\\t\\\\ \\u0041 \\x41 \\\n\\\n")
vector("quotes", "nothing is a quote", I384 + "example.org/app Op \"a\" 'b' `c` $HOME $(x) * ?\n\"\n'\n")
vector("non-ascii", "UTF-8 is hashed as it stands, composed and decomposed forms apart",
       I384 + "example.org/app Op caf\u00e9\nexample.org/app Op cafe\u0301\nexample.org/app Op \u65e5\u672c\u8a9e \U0001f512\n\u2028\n\ufeffexample.org/app Op bom\n")
vector("invalid-utf8", "records that are not UTF-8 are read and replayed; no form in JSON can carry them",
       I384.encode() + b"\xff\nexample.org/app Op \xc3\x28\n\xed\xa0\x80 surrogate\n\xc0\xaf overlong\n")
vector("nul", "NUL bytes are part of a record", I384.encode() + b"\x00\nexample.org/app Op a\x00b\n\x00\x00 x\x00\n")
vector("control", "so is every other control character", I384.encode() + bytes(b for b in range(1, 32) if b != 10) + b"\n\x7f\n" + "\u0085\n".encode())

# What other tools stumble over.
vector("echo-n", "records that a shell's echo takes for options", I384 + "-n\n-e x\n-E\n-ne \\x41\n-- x\n")
vector("percent", "records that printf takes for formats", I384 + "%s %d %n\n%\n%%\n")
vector("like-json", "a record that looks like a canonical record",
       I384 + '{"recnum":0,"pcr":2,"digests":[{"hashAlg":"sha384","digest":"00"}],"content_type":"CC-CEL","content":"x"}\n[\n]\n')
vector("like-init", "words that are not INIT: reserved, but read", I384 + "INITX foo\nINIT\tsha384/00\nInit sha384/00\ninit\n INIT sha384/00\nINIT/x\nXINIT x\n")
vector("free-form", "lines that are no events: one word, a reserved domain, three blanks", I384 + "word\nVERIFIER says yes\n   \nx \n")
vector("repeated", "the same record three times is three records", I384 + EVENT * 3)
vector("long-line", "a line of 5,000 bytes", I384 + "example.org/app Blob " + "0123456789" * 498 + "\n")
vector("one-byte", "records of one byte", I384 + "".join(c + "\n" for c in "!a~."))

# Malformed: no INIT.
vector("bad-empty", "an empty log", "")
vector("bad-newline", "one empty line", "\n")
vector("bad-comments-only", "comments only", "# a\n\n# b\n")
vector("bad-comment-torn", "one comment without a newline", "# a")
vector("bad-no-init", "the first record is an event", "# a\n\n" + EVENT + I384)
vector("bad-initx", "the first word is not INIT", "INITX sha384/" + "00" * 48 + "\n" + EVENT)
vector("bad-init-alone", "INIT without a bank", "INIT\n" + EVENT)
vector("bad-init-blank", "INIT and a blank without a bank", "INIT \n" + EVENT)
vector("bad-init-lower", "init in lower case", "init sha384/" + "00" * 48 + "\n")
vector("bad-init-indented", "a blank before INIT", " " + I384)
vector("bad-init-tab", "a tab for the blank", I384.replace(" ", "\t"))
vector("bad-init-cr", "a CR after INIT: it is part of the record", I384.replace("\n", "\r\n") + EVENT)
vector("bad-init-bom", "a byte order mark before INIT", "\ufeff" + I384 + EVENT)
vector("bad-init-colon", "a colon for the slash", I384.replace("/", ":"))
vector("bad-init-no-slash", "no value", "INIT sha384\n")
vector("bad-init-no-value", "an empty value", "INIT sha384/\n")
vector("bad-init-short", "a value that is too short", "INIT sha384/" + "00" * 47 + "\n" + EVENT)
vector("bad-init-long", "a value that is too long", "INIT sha384/" + "00" * 49 + "\n" + EVENT)
vector("bad-init-odd", "an odd number of digits", "INIT sha256/" + "0" * 63 + "\n")
vector("bad-init-other-size", "the size of another algorithm", "INIT sha256/" + "00" * 48 + "\n")
vector("bad-init-upper-hex", "upper-case hexadecimal", "INIT sha384/" + "00" * 47 + "0A\n" + EVENT)
vector("bad-init-not-hex", "a letter that is no digit", "INIT sha384/" + "00" * 47 + "0g\n" + EVENT)
vector("bad-init-0x", "0x before the value", "INIT sha256/0x" + "00" * 31 + "\n")
vector("bad-init-unknown-alg", "an unknown algorithm", "INIT sha999/" + "00" * 48 + "\n" + EVENT)
vector("bad-init-upper-alg", "an algorithm in upper case", "INIT SHA384/" + "00" * 48 + "\n" + EVENT)
vector("bad-init-hyphen-alg", "an algorithm with a hyphen", "INIT sha-384/" + "00" * 48 + "\n")
vector("bad-init-sm3", "the short name of SM3, which is sm3_256 here", "INIT sm3/" + "00" * 32 + "\n")
vector("bad-init-double-blank", "two blanks between banks", init("sha256", "sha384").replace(" sha384", "  sha384"))
vector("bad-init-comma", "a comma between banks", init("sha256", "sha384").replace(" sha384", ",sha384"))
vector("bad-init-trailing-blank", "a blank after the last bank", I384.replace("\n", " \n") + EVENT)
vector("bad-init-duplicate", "a bank twice", init("sha384", "sha384") + EVENT)
vector("bad-init-second-bank", "the second bank is malformed", init("sha256").strip() + " sha384/00\n" + EVENT)
vector("bad-init-torn", "INIT without its newline", I384.strip())
vector("bad-init-cut", "INIT cut in its value", I384[:40])

# Malformed later.
vector("bad-two-inits", "a second INIT with the right value for its place is still one too many", I384 + EVENT + I384 + EVENT)
vector("bad-two-inits-at-once", "two INITs, nothing between", I384 + I384)
vector("bad-second-init-malformed", "a second INIT that is malformed besides", I384 + EVENT + "# x\nINIT x\n")
vector("bad-second-init-alone", "the word alone is reserved for INIT, too", I384 + EVENT + "INIT\n" + EVENT)
vector("bad-torn", "the last record has no newline", I384 + EVENT + "example.org/app Sto")
vector("bad-torn-after-comment", "a torn record after a comment", I384 + EVENT + "# next\n\nx")
vector("bad-torn-blank", "the torn record is one blank", I384 + EVENT + " ")
vector("bad-torn-init", "the torn record begins like INIT", I384 + EVENT + "INIT sha384/00")

for stale in HERE.glob("*.txt"):
    if stale.stem not in WRITTEN:
        stale.unlink()
print(len(WRITTEN), "vectors")
