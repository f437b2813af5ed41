"""No text of a stranger holds the trusted side: each of its patterns and parsers is done with 64 KB within 10 ms."""

import dataclasses
import json
import re
import struct
import time

import patterns
import pytest

from grader.judge.binaries.listings import readable_ptx, readable_sass
from grader.judge.diagnosis import messages
from grader.judge.diagnosis.messages import explain
from grader.sandbox import protocol
from grader.sandbox.protocol import Fault, ProtocolError
from grader.sandbox.record import cubin
from grader.sandbox.record.format import MAGIC, RecordError, parse
from grader.sandbox.session import culprit
from grader.source import clean

LIMIT_S = 0.010
USES = patterns.uses()


def least_s(work, times=5):
    """The least of some times, so that what else the machine does is not counted. Stops at the first that is short enough."""
    least = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
        if least < LIMIT_S:
            break
    return least


def applied(use, text):
    ready = use.prepared(text)
    if isinstance(use.pattern.pattern, bytes):
        ready = ready.encode()
    if use.method == "sub":
        return use.pattern.sub("", ready)
    found = getattr(use.pattern, use.method)(ready)
    return list(found) if use.method == "finditer" else found


def test_the_patterns_of_the_trusted_side_are_found():
    found = {use.where.partition(":")[0] for use in USES}

    assert {"grader/judge/binaries/listings.py", "grader/judge/diagnosis/messages.py", "grader/source.py"} <= found
    assert any(place.startswith("tabs/") for place in found)


@pytest.mark.parametrize("use", USES, ids=[f"{use.where}-{use.method}-{number}" for number, use in enumerate(USES)])
def test_a_pattern_is_done_with_any_text_at_once(use):
    for text in patterns.hostile_texts(use.pattern.pattern):
        taken = least_s(lambda text=text: applied(use, text))
        # where a list of all that was found is made, making the list takes longer than finding
        assert taken < (4 if use.method in ("split", "findall", "finditer") else 1) * LIMIT_S, (
            f"{taken:.3f} s for {text[:60]!r}"
        )


@pytest.mark.parametrize("pattern", [r"\s*/\*([0-9a-f]{4,8})\*/\s+(.*?)\s*;?\s*$", r"name (.*) is (.*) here"])
def test_a_pattern_that_is_not_linear_is_seen(pattern):
    use = patterns.Use("here", re.compile(pattern), "search")

    assert any(least_s(lambda text=text: applied(use, text), 1) > LIMIT_S for text in patterns.hostile_texts(pattern, 4096))


def test_without_cut_lines_a_rule_would_not_be_linear():
    """The ablation of `messages.legible`."""
    bare = [dataclasses.replace(use, prepared=str) for use in USES if use.prepared is messages.legible]

    assert any(
        least_s(lambda use=use, text=text: applied(use, text), 1) > LIMIT_S
        for use in bare
        for text in patterns.hostile_texts(use.pattern.pattern, 16384)
    )


HOSTILE = {
    "spaces": " " * 65536,
    "a_line_of_code": "        /*0000*/" + " " * 65500 + "x",
    "lines": "a\n" * 32768,
    "locations": "\t.loc 1 1 0 // submission.py:" * 2000,
    "digits": "\t.loc submission.py:" + "1" * 65000,
    "files": '\t//## File "' + "/" * 65000 + '", line 1',
    "quotes": '"' * 65536,
    "astral": "\U00020000" * 65536,
    "controls": "\x1b" * 65536,
    "brackets": "[" * 65536,
}
READERS = {
    "ptx": readable_ptx,
    "sass": readable_sass,
    "clean": clean,
    "clean_of_a_listing": lambda text: clean(text, 4096),
    "culprit": culprit.clean,
    "culprit_tail": lambda text: culprit.clean(text, tail=True),
    "reply": lambda text: refused(ProtocolError, lambda: protocol.parse_reply(text.encode())),
    "reply_of_a_text": lambda text: refused(
        ProtocolError, lambda: protocol.parse_reply(json.dumps({"kind": text[:30000]}).encode())
    ),
    "header": lambda text: refused(
        RecordError, lambda: parse(struct.pack("<8sII", MAGIC, 1, len(text.encode())) + text.encode(), arguments=("x",))
    ),
    "cubin": lambda text: refused(cubin.CubinError, lambda: cubin.facts(b"\x7fELF\x02\x01" + text.encode())),
}


def refused(kind, work):
    with pytest.raises(kind):
        work()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_parser_is_done_with_any_text_at_once(read, text):
    assert least_s(lambda: read(text)) < 4 * LIMIT_S  # Python's own loops over lines, not one search


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_megabytes_take_no_longer_than_what_is_kept(text):
    """What is read of a text is cut first: sixteen times the text takes no longer."""
    for read in (clean, culprit.clean, readable_ptx, readable_sass):
        assert least_s(lambda read=read: read(text * 128)) < 0.25


def test_all_rules_together_are_done_with_the_longest_fault():
    text = ("First input shape Loop-carried variable a has initial type Mismatched type for a between then block (" * 200)[
        :8192
    ]

    assert least_s(lambda: explain(Fault(stage="run", error_type="E", text=text, raw=text))) < 10 * LIMIT_S


# A cubin in which everything is as large as it may be: symbols, sections, names, attributes.
def elf(*, sections, symbols=b"", texts=b"\0"):
    names = b"\0" + b"".join(name + b"\0" for name, *_ in sections) + b".symtab\0.strtab\0.shstrtab\0"
    body = bytearray(64)
    table = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    everything = [*sections, (b".symtab", 2, symbols), (b".strtab", 3, texts), (b".shstrtab", 3, names)]
    for name, kind, data in everything:
        table += struct.pack("<IIQQQQIIQQ", names.index(b"\0" + name + b"\0") + 1, kind, 0, 0, len(body), len(data), 0, 0, 0, 0)
        body += data
    body[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", body, 40, len(body))
    struct.pack_into("<HHH", body, 58, 64, len(everything) + 1, len(everything))
    return bytes(body + table)


def symbol(name):
    return struct.pack("<IBBHQQ", name, 2, 0, 0, 0, 0)


def test_a_name_of_every_symbol_is_not_read():
    """65,536 symbols, each a suffix of one long name: only those that registers are given for are looked up."""
    long = ("a" * 4088 + "\U0001f600").encode() + b"\0"
    bomb = elf(sections=(), symbols=b"".join(symbol(number % 512) for number in range(65536)), texts=long)

    assert least_s(lambda: cubin.facts(bomb)) < LIMIT_S
    assert cubin.facts(bomb).kernels == {}


def test_attributes_that_many_kernels_share_are_refused():
    """64 kernels of one name read one section 64 times."""
    registers = b"".join(struct.pack("<BBHII", 4, 0x2F, 8, number, 1) for number in range(64))
    attributes = struct.pack("<BBH", 1, 0, 0) * 16000
    shared = elf(
        sections=((b".nv.info", 0x70000000, registers), (b".nv.info.k", 0x70000000, attributes)),
        symbols=b"".join(symbol(1) for _ in range(64)),
        texts=b"\0k\0",
    )

    with pytest.raises(cubin.CubinError, match="too large"):
        cubin.facts(shared)
