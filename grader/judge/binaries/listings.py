"""PTX and SASS of the kernels of a launch record, made readable: each stretch below the line of the file it came from.

The PTX comes with the record; the SASS is made from the very binary that is launched, by nvdisasm behind the sandbox's walls.
Both are texts from a process that may be hostile: cleaned, cut, shown, and never the ground of a verdict.
"""

from __future__ import annotations

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

TEXT_LIMIT = 64 * 1024  # characters of all PTX of a report, and as many of all SASS; what is cut says so in a line more
MOST_BINARIES = 4  # disassembling takes most of a second each
NO_DISASSEMBLER = "No SASS: Triton's package on this machine has no nvdisasm."
NOT_ASKED = "SASS is made by Submit."
UNREADABLE = "No SASS: nvdisasm could not read this binary."

_LIMITS = Limits(time_limit_s=60)
_ANSWER_LIMIT_S = 25.0
_LAST_LINE = 80  # characters kept for what says that the text was cut
_OWN_LINE = re.compile(rf"{re.escape(FILENAME)}:(\d+)")
_PTX_NOISE = re.compile(r"\$L__(tmp|func_)\w*:|// (begin|end) inline asm|// (-- |@|Generated|\.globl).*|//?\s*$")
_SASS_LINE = re.compile(r'//## File "(?:[^"]*/)?([^"/]+)", line (\d+)')
_SASS_CODE = re.compile(r"\s*/\*([0-9a-f]{4,8})\*/\s+(.*?)\s*;?\s*$")
_SASS_LABEL = re.compile(r"(\.L_\w+):")


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
        shown = {"ptx": readable_ptx(binary.ptx), "sass": readable_sass(text)}
        for name, whole in shown.items():
            shown[name] = clean(_cut(whole, left[name]), TEXT_LIMIT + _LAST_LINE)
            left[name] -= len(shown[name])
        made.append(Listing(kernel=kernel, target=record.target, note="" if text else why or UNREADABLE, **shown))
    return tuple(made)


def readable_ptx(ptx: str) -> str:
    """PTX without debug tables and labels that nothing jumps to; `// line N` where the learner's line changes."""
    body = re.split(r"^\t\.(?:file|section)\b", ptx, maxsplit=1, flags=re.M)[0]
    lines: list[str] = []
    shown = None
    for line in body.splitlines():
        text = line.strip()
        if text.startswith(".loc"):
            own = _OWN_LINE.search(text)
            if own and own[1] != shown:
                shown = own[1]
                lines.append(f"// line {shown}")
        elif text and not _PTX_NOISE.match(text):
            lines.append(line.rstrip().expandtabs(4))
    return "\n".join(lines)


def readable_sass(sass: str) -> str:
    """Addresses, instructions and labels of nvdisasm's text, with `// line N`; a line of Triton's own names its file."""
    lines: list[str] = []
    shown = None
    for line in sass.splitlines():
        if place := _SASS_LINE.search(line):
            where = f"// line {place[2]}" if place[1] == FILENAME else f"// {place[1]}, line {place[2]}"
            if where != shown:
                shown = where
                lines.append(where)
        elif code := _SASS_CODE.match(line):
            lines.append(f"{code[1]}  {code[2]}")
        elif label := _SASS_LABEL.match(line.strip()):
            lines.append(f"{label[1]}:")
    while lines and lines[-1].endswith(("NOP", ":")):  # fills up the last line of the instruction cache
        lines.pop()
    return "\n".join(lines)


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
                texts.append(blob.decode("utf-8", "replace"))
    except (Ended, SandboxError, KeyError):
        texts += nothing[len(texts) :]
    return texts, ""


def _cut(text: str, most: int) -> str:
    """Whole lines of `text`, `most` characters at the utmost; the last one says what was left out."""
    if len(text) <= most:
        return text
    lines = text.splitlines()
    kept, used = 0, 0
    while used + len(lines[kept]) + 1 <= most - _LAST_LINE:
        used += len(lines[kept]) + 1
        kept += 1
    return "\n".join([*lines[:kept], f"// … cut here: {len(lines) - kept:,} of {len(lines):,} lines are not kept"])
