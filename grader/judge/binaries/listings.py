"""PTX and SASS of the kernels of a launch record, made readable: each stretch below the line of the file it came from.

The PTX comes with the record; the SASS is made from the very binary that is launched, by nvdisasm behind the sandbox's walls.
Both are texts from a process that may be hostile: cut before they are read, read line by line in time that is linear in what is
left, cleaned, shown, and never the ground of a verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from grader.faults import SandboxError
from grader.judge.binaries.anatomy import first_launches
from grader.report import Listing
from grader.sandbox.process.door import Limits, Sandbox
from grader.sandbox.process.ending import Ended
from grader.sandbox.record.commands import Binary, Record
from grader.sandbox.session.culprit import FILENAME
from grader.sandbox.walls import roots
from grader.source import clean

TEXT_LIMIT = 64 * 1024  # bytes, as JSON, of all PTX of a report, and as many of all SASS; what is cut says so in a line more
READ_LIMIT = 1 << 20  # characters of one text that are looked at
LINES_LIMIT = 20_000  # … and lines
LINE_LIMIT = 400  # characters of a line; nvdisasm's have some eighty
MOST_BINARIES = 4  # disassembling takes most of a second each
NO_DISASSEMBLER = "No SASS: Triton's package on this machine has no nvdisasm."
NOT_ASKED = "SASS is made by Submit."
UNREADABLE = "No SASS: nvdisasm could not read this binary."

_LIMITS = Limits(time_limit_s=60)
_ANSWER_LIMIT_S = 25.0
_LAST_LINE = 80  # characters kept for what says that the text was cut
_NUMBER = re.compile(r"\d{1,6}")
_PTX_LABEL = re.compile(r"\$L__(?:tmp|func_)\w*:")
_PTX_NOISE = ("// begin inline asm", "// end inline asm", "// -- ", "// @", "// Generated", "// .globl")
_SASS_ADDRESS = re.compile(r"/\*([0-9a-f]{4,8})\*/\s")
_SASS_LABEL = re.compile(r"\.L_\w+(?=:)")


def listings_of(record: Record, sandbox: Sandbox | None, cancelled: Callable[[], bool] = lambda: False) -> tuple[Listing, ...]:
    """One entry for each binary of the anatomy, in the order of their first launch.

    Args:
        sandbox: starts the disassembler; None for PTX alone.
    """
    kernels: dict[int, str] = {}
    for launch in first_launches(record.commands):
        kernels.setdefault(launch.binary, launch.kernel)
    launched = [(record.binaries[index], kernel) for index, kernel in list(kernels.items())[:MOST_BINARIES]]
    sass, why = _disassembled([binary for binary, _ in launched], sandbox, cancelled)
    left = {"ptx": TEXT_LIMIT, "sass": TEXT_LIMIT}
    made = []
    for (binary, kernel), text in zip(launched, sass, strict=True):
        shown: dict[str, str] = {}
        for name, lines in (("ptx", readable_ptx(binary.ptx)), ("sass", readable_sass(text))):
            shown[name] = _cut(lines, left[name])
            left[name] -= _size(shown[name])
        note = "" if text else why or UNREADABLE
        made.append(Listing(kernel=kernel, target=record.target, ptx=shown["ptx"], sass=shown["sass"], note=note))
    return tuple(made)


def readable_ptx(ptx: str) -> list[str]:
    """PTX without debug tables and labels that nothing jumps to; `// line N` where the learner's line changes."""
    lines: list[str] = []
    shown = None
    for line in _lines(ptx):
        text = line.strip()
        if line.startswith(("\t.file", "\t.section")):
            break
        if text.startswith(".loc"):
            _, _, place = text.partition(f"{FILENAME}:")
            own = _NUMBER.match(place)
            if own and own[0] != shown:
                shown = own[0]
                lines.append(f"// line {shown}")
        elif text.strip("/ ") and not text.startswith(_PTX_NOISE) and not _PTX_LABEL.match(text):
            lines.append(line.rstrip().expandtabs(4))
    return lines


def readable_sass(sass: str) -> list[str]:
    """Addresses, instructions and labels of nvdisasm's text, with `// line N`; a line of Triton's own names its file."""
    lines: list[str] = []
    shown = None
    for line in _lines(sass):
        text = line.strip()
        if text.startswith('//## File "'):
            path, _, place = text.removeprefix('//## File "').partition('", line ')
            number = _NUMBER.match(place)
            file = path.rpartition("/")[2]
            if number and file:
                where = f"// line {number[0]}" if file == FILENAME else f"// {file}, line {number[0]}"
                if where != shown:
                    shown = where
                    lines.append(where)
        elif code := _SASS_ADDRESS.match(text):
            lines.append(f"{code[1]}  {text[code.end() :].rstrip('; ').lstrip()}")
        elif label := _SASS_LABEL.match(text):
            lines.append(f"{label[0]}:")
    while lines and lines[-1].endswith(("NOP", ":")):  # fills up the last line of the instruction cache
        lines.pop()
    return lines


def _lines(text: str) -> list[str]:
    """The beginning of a hostile text as lines: ASCII, which compiler and disassembler write, and of bounded length."""
    begins = text[:READ_LIMIT].encode("ascii", "replace").decode()
    return [line[:LINE_LIMIT] for line in begins.split("\n", LINES_LIMIT)[:LINES_LIMIT]]


def _disassembled(binaries: Sequence[Binary], sandbox: Sandbox | None, cancelled: Callable[[], bool]) -> tuple[list[str], str]:
    """The text of each binary, and why there is none."""
    nothing = [""] * len(binaries)
    if sandbox is None:
        return nothing, NOT_ASKED
    if not roots.nvdisasm():
        return nothing, NO_DISASSEMBLER
    texts: list[str] = []
    try:
        with sandbox.start_disassembler(_LIMITS) as conversation:
            conversation.receive(_ANSWER_LIMIT_S, cancelled)
            for binary in binaries:
                conversation.send({"size": len(binary.cubin)})
                conversation.send_raw(binary.cubin)
                _, fields = conversation.receive(_ANSWER_LIMIT_S, cancelled)
                blob = conversation.receive_blob(fields["size"], _ANSWER_LIMIT_S, cancelled)
                texts.append(blob[:READ_LIMIT].decode("ascii", "replace"))
    except (Ended, SandboxError, KeyError):
        texts += nothing[len(texts) :]
    return texts, ""


def _cut(lines: Sequence[str], most: int) -> str:
    """As many of the lines as fit into `most` bytes; the last one says what was left out."""
    kept, used = 0, 0
    room = max(0, most - _LAST_LINE)
    for line in lines:
        used += _size(line) + len(r"\n")
        if used > room:
            break
        kept += 1
    if kept == len(lines):
        return clean("\n".join(lines), most)
    cut = f"// … cut here: {len(lines) - kept:,} of {len(lines):,} lines are not kept"
    return clean("\n".join([*lines[:kept], cut]), max(most, _LAST_LINE))


def _size(text: str) -> int:
    """Bytes that it takes within JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
